//! How the files of a table are read, written down: who opens the table from it finds nothing out
//! again, so that the rows are the same ones.

use std::any::Any;
use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::execution::context::SessionState;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::{Expr, SortExpr};
use datafusion::prelude::ident;
use serde::{Deserialize, Serialize};

use super::csv::{CsvFormat, CsvOptions, Dialect, Rejects};
use super::file_columns::FileColumns;
use super::files::{FileKind, FileKindName, attach, rejects_table};
use super::found::{Found, FoundFile, absolute};
use super::json::{JsonFiles, Layout};
use super::options::compression_name;
use super::parquet::ParquetFiles;
use super::provider::{Files, FilesTable};
use super::store::FileStore;
use crate::error::{Error, Result};
use crate::write::WritesAside;

/// All that tells how the rows of a table of files are read, but for its columns.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Recipe {
    /// The URL of the store.
    store: String,
    files: RecipeFiles,
    format: RecipeFormat,
    /// How many columns `name=value/` in the paths give.
    in_path: usize,
    /// Whether the last column is the path itself.
    filename: bool,
    whole_paths: bool,
    orders: Vec<Vec<Key>>,
}

#[derive(Debug, Serialize, Deserialize)]
enum RecipeFiles {
    At { locations: Vec<String>, given: Option<FileKind>, kind: FileKindName },
    These(Vec<RecipeFile>),
}

#[derive(Debug, Serialize, Deserialize)]
struct RecipeFile {
    location: String,
    path: String,
    below: Option<usize>,
}

#[derive(Debug, Serialize, Deserialize)]
enum RecipeFormat {
    Csv {
        dialect: Box<Dialect>,
        rejects: Option<Rejects>,
    },
    Json {
        #[serde(with = "compression_name")]
        compression: FileCompressionType,
        layout: Layout,
    },
    Parquet,
    Arrow,
}

/// A column that the rows of each file are sorted by.
#[derive(Debug, Serialize, Deserialize)]
struct Key {
    column: String,
    ascending: bool,
    nulls_first: bool,
}

impl Recipe {
    /// The recipe of a table, if it is one of files.
    ///
    /// # Errors
    /// `Io` if paths are relative and the current folder is not there.
    pub(crate) fn of(table: &dyn TableProvider) -> Result<Option<Self>> {
        let Some(table) = (table as &dyn Any).downcast_ref::<FilesTable>() else { return Ok(None) };
        let files = match &table.files {
            Files::At { locations, given, kind } => {
                let locations = locations.iter().map(|location| absolute(location));
                let locations = locations.collect::<Result<_>>()?;
                RecipeFiles::At { locations, given: *given, kind: kind.clone() }
            }
            Files::These(files) => RecipeFiles::These(
                files
                    .iter()
                    .map(|file| RecipeFile {
                        location: file.meta.location.to_string(),
                        path: file.path.clone(),
                        below: file.below,
                    })
                    .collect(),
            ),
        };
        let orders = table.order.iter().map(|keys| keys.iter().map_while(Key::of).collect());
        Ok(Some(Recipe {
            store: table.store.url().as_str().to_string(),
            files,
            format: RecipeFormat::of(&table.format)?,
            in_path: table.columns.in_path.len(),
            filename: table.columns.filename.is_some(),
            whole_paths: table.columns.whole_paths,
            orders: orders.collect(),
        }))
    }

    /// The table, whose columns are these. Its files are looked at when it is scanned.
    ///
    /// # Errors
    /// `Query` if the session does not know the store; `Input` if the recipe is not of a table with
    /// these columns; `Config` if the table for rejected records has a name that is taken.
    pub(crate) fn table(
        self,
        state: &SessionState,
        schema: &SchemaRef,
    ) -> Result<Arc<dyn TableProvider>> {
        let url = ObjectStoreUrl::parse(&self.store)?;
        let store = FileStore::of(state, url, &self.store)?;
        let of_paths = self.in_path + usize::from(self.filename);
        let Some(of_files) = schema.fields().len().checked_sub(of_paths) else {
            return Err(Error::input("a table of files has fewer columns than their paths"));
        };
        let (of_files, of_paths) = schema.fields().split_at(of_files);
        let (in_path, filename) = of_paths.split_at(self.in_path);
        let columns = FileColumns {
            in_path: in_path.to_vec(),
            filename: filename.first().cloned(),
            whole_paths: self.whole_paths,
        };
        let file_schema = Schema::new_with_metadata(of_files.to_vec(), schema.metadata().clone());
        let format = self.format.open(state, &store)?;
        let files = match self.files {
            RecipeFiles::At { locations, given, kind } => Files::At { locations, given, kind },
            RecipeFiles::These(files) => Files::These(
                files
                    .into_iter()
                    .map(|file| FoundFile::at(&file.location, file.path, file.below))
                    .collect(),
            ),
        };
        let orders = self.orders.iter().map(|keys| keys.iter().map(Key::expr).collect()).collect();
        let found = Found { store, files: Vec::new(), folder: None };
        let (format, file_schema) = (Arc::new(WritesAside(format)), Arc::new(file_schema));
        Ok(Arc::new(FilesTable::new(&found, files, format, file_schema, columns, orders)?))
    }
}

impl RecipeFormat {
    fn of(format: &Arc<dyn FileFormat>) -> Result<Self> {
        let format = match format.downcast_ref::<WritesAside>() {
            Some(WritesAside(format)) => format,
            None => format,
        };
        if let Some(csv) = format.downcast_ref::<CsvFormat>() {
            let dialect = Box::new(csv.dialect().clone());
            Ok(RecipeFormat::Csv { dialect, rejects: csv.options().rejects() })
        } else if let Some(json) = format.downcast_ref::<JsonFiles>() {
            Ok(RecipeFormat::Json { compression: json.compression(), layout: json.layout() })
        } else if format.is::<ParquetFiles>() {
            Ok(RecipeFormat::Parquet)
        } else if format.is::<ArrowFormat>() {
            Ok(RecipeFormat::Arrow)
        } else {
            Err(Error::internal(format!("files of an unknown format: {format:?}")))
        }
    }

    fn open(self, state: &SessionState, store: &FileStore) -> Result<Arc<dyn FileFormat>> {
        Ok(match self {
            RecipeFormat::Csv { mut dialect, rejects } => {
                let list = rejects.as_ref().map(|rejects| rejects_table(state, rejects));
                attach(state, &mut dialect, list.transpose()?.as_ref());
                Arc::new(CsvFormat::new(*dialect, CsvOptions::default().with_rejects(rejects)))
            }
            RecipeFormat::Json { compression, layout } => {
                Arc::new(JsonFiles::new(store, compression, layout))
            }
            RecipeFormat::Parquet => Arc::new(ParquetFiles::of(state)),
            RecipeFormat::Arrow => Arc::new(ArrowFormat),
        })
    }
}

impl Key {
    /// `None` if it is not a column.
    fn of(key: &SortExpr) -> Option<Self> {
        let Expr::Column(column) = &key.expr else { return None };
        Some(Key { column: column.name.clone(), ascending: key.asc, nulls_first: key.nulls_first })
    }

    fn expr(&self) -> SortExpr {
        ident(self.column.as_str()).sort(self.ascending, self.nulls_first)
    }
}
