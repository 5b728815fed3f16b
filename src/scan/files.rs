//! A path, a glob or a folder → a table.
//!
//! `FROM 'trips.csv'`, `FROM 'trips/2019-*.parquet'`, `FROM 'trips/'`: the format comes from the
//! extension (`.csv .tsv .parquet .json .ndjson .jsonl .arrow .feather`, the text ones also with
//! `.gz .zst .bz2 .xz`). All files of one table have one format and are in one store. Folders are read
//! to any depth; `year=2019/` in a path makes a column `year`; names that begin with `.` or `_` are
//! skipped.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider, TableProviderFactory, UrlTableFactory};
use datafusion::common::TableReference;
use datafusion::datasource::MemTable;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::error::DataFusionError;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{CreateExternalTable, SortExpr};
use object_store::ObjectMeta;
use parking_lot::RwLock;
use serde::{Deserialize, Serialize};

use super::calls::TableCall;
use super::csv::{
    CsvFormat, CsvOptions, Dialect, RejectedRecords, Rejects, RejectsTable, Sniffed, Types,
    sniff_files,
};
use super::file_columns::FileColumns;
use super::found::{Found, FoundFile, looks_like_path};
use super::json::JsonFiles;
use super::options::{FileOptions, OptionValue, compression_name};
use super::parquet::ParquetFiles;
use super::provider::{Files, FilesTable};
use super::store::FileStore;
use super::union::{Layout, layouts};
use crate::error::{Error, ErrorKind, Result};
use crate::session::Resources;
use crate::write::WritesAside;

/// The formats a file can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum FileKind {
    Csv,
    Parquet,
    Json,
    Arrow,
}

/// What the extensions of a name, such as `a.csv.gz`, say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileKindName {
    pub(crate) kind: FileKind,
    #[serde(with = "compression_name")]
    pub(crate) compression: FileCompressionType,
    /// Whether fields are separated by tabs.
    pub(crate) tabs: bool,
}

impl FileKindName {
    /// `None` for extensions that are not known.
    pub(crate) fn of(name: &str) -> Option<Self> {
        let lower = name.to_lowercase();
        let (stem, compression) = match lower.rsplit_once('.') {
            Some((stem, "gz")) => (stem, FileCompressionType::GZIP),
            Some((stem, "zst")) => (stem, FileCompressionType::ZSTD),
            Some((stem, "bz2")) => (stem, FileCompressionType::BZIP2),
            Some((stem, "xz")) => (stem, FileCompressionType::XZ),
            _ => (lower.as_str(), FileCompressionType::UNCOMPRESSED),
        };
        let extension = stem.rsplit_once('.')?.1;
        let kind = match extension {
            "csv" | "tsv" | "tab" => FileKind::Csv,
            "parquet" | "pq" => FileKind::Parquet,
            "json" | "ndjson" | "jsonl" => FileKind::Json,
            "arrow" | "feather" | "ipc" => FileKind::Arrow,
            _ => return None,
        };
        let text = matches!(kind, FileKind::Csv | FileKind::Json);
        let tabs = matches!(extension, "tsv" | "tab");
        (text || !compression.is_compressed()).then_some(FileKindName { kind, compression, tabs })
    }

    /// Whether files of both names can be one table.
    pub(super) fn reads_like(&self, other: &Self) -> bool {
        self.kind == other.kind && self.compression == other.compression
    }
}

/// What a table of files is made of.
#[derive(Default)]
pub(crate) struct FileTable {
    /// Paths, globs or folders.
    pub(crate) locations: Vec<String>,
    /// Format; by the extension when `None`.
    pub(crate) kind: Option<FileKind>,
    /// How to read them if they are CSV.
    pub(crate) csv: CsvOptions,
    /// How to put them together, whatever their format.
    pub(crate) files: FileOptions,
    /// Whether JSON files are one array; by their first byte when `None`.
    pub(crate) json_array: Option<bool>,
    /// Columns, except those in the path; read from the files when `None`.
    pub(crate) schema: Option<SchemaRef>,
    /// Columns in the path (`name=value/`) and their types; found when `None`.
    pub(crate) path_columns: Option<Vec<(String, DataType)>>,
    /// Orders the files are known to have.
    pub(crate) order: Vec<Vec<SortExpr>>,
}

impl FileTable {
    /// A table of the files at one path, glob or folder.
    pub(crate) fn at(location: impl Into<String>) -> Self {
        FileTable { locations: vec![location.into()], ..Default::default() }
    }

    /// A table of CSV files, read and put together as the options say.
    pub(crate) fn csv(locations: Vec<String>, options: CsvOptions) -> Self {
        let files = options.files.clone();
        let kind = Some(FileKind::Csv);
        FileTable { locations, kind, csv: options, files, ..Default::default() }
    }

    /// Looks at the files and makes the table.
    ///
    /// # Errors
    /// `Io` if there is no such file or it cannot be read; `Input` if its content cannot be
    /// understood; `Query` if the format is unknown or the files have several; `Config` if options
    /// contradict the files.
    pub(crate) async fn open(mut self, state: &SessionState) -> Result<Arc<dyn TableProvider>> {
        let files = self.located(state).await?;
        let use_columns = self.csv.use_columns.clone();
        let table = match files.kind.kind {
            FileKind::Csv if self.files.union_by_name && files.found.files.len() > 1 => {
                self.united_csv(state, files).await?
            }
            _ => {
                let (format, schema) = self.format(state, &files).await?;
                let (locations, given) = (self.locations.clone(), self.kind);
                let columns = self.columns_of_paths(&files.found)?;
                let list = Files::At { locations, given, kind: files.kind };
                self.table(&files.found, list, format, schema, columns)?
            }
        };
        match use_columns {
            Some(names) => super::union::only_columns(table, &names),
            None => Ok(table),
        }
    }

    /// Says how the files would be read as CSV: a table of one row, or of one for each layout that
    /// files have which are united by the names of their columns.
    ///
    /// # Errors
    /// Those of [`FileTable::open`].
    pub(crate) async fn sniffed(
        mut self,
        state: &SessionState,
        options: &[(String, OptionValue)],
    ) -> Result<Arc<dyn TableProvider>> {
        let files = self.located(state).await?;
        let rows = match self.files.union_by_name && files.found.files.len() > 1 {
            true => self.reports_of_layouts(&files, options).await?,
            false => {
                let sniffed = files.sniffed(&files.objects(), &self.csv).await?;
                vec![sniffed.report(&self.locations, options)?]
            }
        };
        Ok(Arc::new(MemTable::try_new(rows[0].schema(), vec![rows])?))
    }

    /// A row for each layout of files whose columns may differ.
    async fn reports_of_layouts(
        &self,
        files: &Located,
        options: &[(String, OptionValue)],
    ) -> Result<Vec<RecordBatch>> {
        let (filled, sniffed) = self.each_sniffed(files).await?;
        let line_ends: Vec<&'static str> = sniffed.iter().map(|file| file.line_end).collect();
        let (layouts, _) = layouts(sniffed);
        let mut rows = Vec::with_capacity(layouts.len());
        for Layout { dialect, schema, files: alike } in layouts {
            let shown =
                alike.iter().map(|file| files.found.store.shown(&filled[*file].meta.location));
            let shown: Vec<String> = shown.collect();
            let unseen = vec![false; schema.fields().len()];
            let line_end = line_ends[alike[0]];
            rows.push(Sniffed { dialect, schema, unseen, line_end }.report(&shown, options)?);
        }
        Ok(rows)
    }

    /// Finds the files, and takes what their names say for what is not given.
    async fn located(&mut self, state: &SessionState) -> Result<Located> {
        let found = Found::at(state, &self.locations).await?;
        let kind = found.kind(self.kind, &self.locations.join("', '"))?;
        if kind.tabs {
            self.csv.delimiter = self.csv.delimiter.or(Some(b'\t'));
        }
        let compression = self.files.compression.unwrap_or(kind.compression);
        Ok(Located { found, kind, compression })
    }

    /// The format and the columns of files that have the same ones.
    async fn format(
        &self,
        state: &SessionState,
        files: &Located,
    ) -> Result<(Arc<dyn FileFormat>, SchemaRef)> {
        let (store, objects) = (&files.found.store, &files.objects());
        let format: Arc<dyn FileFormat> = match files.kind.kind {
            FileKind::Csv => {
                let mut options = self.csv.clone();
                options.schema = self.schema.clone().or(options.schema);
                let mut sniffed = files.sniffed(objects, &options).await?;
                let rejects = self.rejects(state)?;
                attach(state, &mut sniffed.dialect, rejects.as_ref());
                return Ok((Arc::new(CsvFormat::new(sniffed.dialect, options)), sniffed.schema));
            }
            FileKind::Json => {
                Arc::new(JsonFiles::open(store, objects, files.compression, self.json_array).await?)
            }
            FileKind::Parquet => Arc::new(ParquetFiles::of(state)),
            FileKind::Arrow => Arc::new(ArrowFormat),
        };
        let schema = infer(&self.schema, &format, state, store, objects).await?;
        Ok((format, schema))
    }

    /// The list of the records that cannot be read, if it is asked for.
    fn rejects(&self, state: &SessionState) -> Result<Option<Arc<RejectedRecords>>> {
        self.csv.rejects().map(|rejects| rejects_table(state, &rejects)).transpose()
    }

    /// Options of one of several files whose columns may differ.
    fn options_of_one(&self) -> CsvOptions {
        // Types are given by names that not every file need have.
        let mut options = self.csv.clone();
        options.types = Types::Sniffed;
        options.column_formats = Vec::new();
        options
    }

    /// The CSV files that are not empty and what each of them is, if their columns may differ.
    async fn each_sniffed(&self, files: &Located) -> Result<(Vec<FoundFile>, Vec<Sniffed>)> {
        let options = self.options_of_one();
        let (mut filled, mut sniffed) = (Vec::new(), Vec::new());
        for file in files.found.files.iter().filter(|file| file.meta.size > 0) {
            sniffed.push(files.sniffed(std::slice::from_ref(&file.meta), &options).await?);
            filled.push(file.clone());
        }
        if sniffed.is_empty() {
            let path = &files.found.files[0].path;
            return Err(Error::input(format!("\"{path}\" is empty: it has no header and no rows")));
        }
        self.csv.give_by_name(&mut sniffed)?;
        Ok((filled, sniffed))
    }

    /// CSV files whose columns may differ, as one table.
    async fn united_csv(
        &self,
        state: &SessionState,
        files: Located,
    ) -> Result<Arc<dyn TableProvider>> {
        let options = self.options_of_one();
        let (filled, sniffed) = self.each_sniffed(&files).await?;
        let (layouts, whole) = layouts(sniffed);
        let columns = self.columns_of_paths(&files.found)?;
        let extra: Vec<String> =
            columns.fields().iter().map(|column| column.name().clone()).collect();
        let mut tables = Vec::with_capacity(layouts.len());
        let rejects = self.rejects(state)?;
        for mut layout in layouts {
            attach(state, &mut layout.dialect, rejects.as_ref());
            let format = Arc::new(CsvFormat::new(layout.dialect, options.clone()));
            let list = Files::These(layout.files.iter().map(|i| filled[*i].clone()).collect());
            let columns = columns.clone();
            tables.push(self.table(&files.found, list, format, layout.schema, columns)?);
        }
        super::union::union(tables, &whole, &extra)
    }

    fn columns_of_paths(&self, found: &Found) -> Result<FileColumns> {
        FileColumns::of(found, &self.files, self.path_columns.as_deref())
    }

    /// Files of one layout as a table.
    fn table(
        &self,
        found: &Found,
        files: Files,
        format: Arc<dyn FileFormat>,
        schema: SchemaRef,
        columns: FileColumns,
    ) -> Result<Arc<dyn TableProvider>> {
        let format: Arc<dyn FileFormat> = Arc::new(WritesAside(format));
        let order = self.order.clone();
        Ok(Arc::new(FilesTable::new(found, files, format, schema, columns, order)?))
    }
}

/// Files that were found, and what is known of them before they are read.
struct Located {
    found: Found,
    kind: FileKindName,
    compression: FileCompressionType,
}

impl Located {
    /// One a file.
    fn objects(&self) -> Vec<ObjectMeta> {
        self.found.files.iter().map(|file| file.meta.clone()).collect()
    }

    /// What some of the files are as CSV.
    async fn sniffed(&self, objects: &[ObjectMeta], options: &CsvOptions) -> Result<Sniffed> {
        sniff_files(&self.found.store, objects, options, self.compression).await
    }
}

/// Tells a scan what it has to know of its session.
pub(super) fn attach(
    state: &SessionState,
    dialect: &mut Dialect,
    rejects: Option<&Arc<RejectedRecords>>,
) {
    dialect.threads = state.config().target_partitions();
    dialect.memory = Some(Arc::clone(&state.runtime_env().memory_pool));
    if let Some(resources) = state.config().get_extension::<Resources>() {
        dialect.rejected_rows = Arc::clone(&resources.rejected_rows);
        let piece_bytes = resources.knobs.csv_piece_bytes;
        dialect.piece_bytes = piece_bytes.unwrap_or(dialect.piece_bytes);
        dialect.temporary = Some(resources.store.clone());
    }
    dialect.rejects = rejects.map(Arc::clone);
}

/// Makes the table that lists records which are left out, in place of an earlier one.
pub(super) fn rejects_table(
    state: &SessionState,
    rejects: &Rejects,
) -> Result<Arc<RejectedRecords>> {
    let name = TableReference::bare(rejects.table.as_str());
    let schema = state.schema_for_ref(name)?;
    let list = Arc::new(RejectedRecords::new(rejects.limit));
    if schema.table_exist(&rejects.table) {
        let taken = || {
            Error::config(format!("there is a table \"{}\" already", rejects.table))
                .with_hint("name another one for the rejected records: rejects_table = '…'")
        };
        let table = schema.deregister_table(&rejects.table)?.ok_or_else(taken)?;
        if !(table.as_ref() as &dyn std::any::Any).is::<RejectsTable>() {
            schema.register_table(rejects.table.clone(), table)?;
            return Err(taken());
        }
    }
    schema.register_table(rejects.table.clone(), Arc::new(RejectsTable(Arc::clone(&list))))?;
    Ok(list)
}

async fn infer(
    given: &Option<SchemaRef>,
    format: &Arc<dyn FileFormat>,
    state: &SessionState,
    store: &FileStore,
    objects: &[ObjectMeta],
) -> Result<SchemaRef> {
    match given {
        Some(schema) => Ok(Arc::clone(schema)),
        None => {
            let inferred = match format.is::<ArrowFormat>() && !store.is_local() {
                true => super::arrow::columns(state, store, objects).await,
                false => format.infer_schema(state, store.objects(), objects).await,
            };
            inferred.map_err(|err| {
                let err = Error::from(err);
                // DataFusion calls an Arrow file that is cut short a defect of its own.
                let err = match err.kind() {
                    ErrorKind::Internal => Error::input(err.to_string()),
                    _ => err,
                };
                match objects {
                    [one] => err.in_file(&store.shown(&one.location)),
                    _ => err,
                }
            })
        }
    }
}

/// Opens the tables that are named by a path or a call, each once a statement.
#[derive(Debug, Default)]
pub(crate) struct FileTables {
    /// Set once the session exists, which holds this in turn.
    state: Mutex<Weak<RwLock<SessionState>>>,
    opened: Mutex<HashMap<String, Arc<dyn TableProvider>>>,
}

impl FileTables {
    pub(crate) fn attach(&self, state: Weak<RwLock<SessionState>>) {
        *lock(&self.state) = state;
    }

    /// Forgets what was opened: files may have changed since.
    pub(crate) fn forget(&self) {
        lock(&self.opened).clear();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[async_trait]
impl UrlTableFactory for FileTables {
    async fn try_new(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        if let Some(table) = lock(&self.opened).get(name) {
            return Ok(Some(Arc::clone(table)));
        }
        let call = TableCall::parse(name);
        if call.is_none() && !looks_like_path(name) {
            return Ok(None);
        }
        let state = lock(&self.state).upgrade();
        let state = state.ok_or_else(|| Error::internal("a table outlived its session"))?;
        let state = state.read().clone();
        let table = match call {
            Some(call) => call.open(&state).await?,
            None => FileTable::at(name).open(&state).await?,
        };
        lock(&self.opened).insert(name.to_string(), Arc::clone(&table));
        Ok(Some(table))
    }
}

/// `CREATE EXTERNAL TABLE … STORED AS …`.
#[derive(Debug)]
pub(crate) struct FileTableFactory {
    kind: FileKind,
    tabs: bool,
}

impl FileTableFactory {
    /// The factories by the word after `STORED AS`.
    pub(crate) fn all() -> Vec<(&'static str, Arc<dyn TableProviderFactory>)> {
        let make =
            |kind, tabs| Arc::new(FileTableFactory { kind, tabs }) as Arc<dyn TableProviderFactory>;
        vec![
            ("CSV", make(FileKind::Csv, false)),
            ("TSV", make(FileKind::Csv, true)),
            ("PARQUET", make(FileKind::Parquet, false)),
            ("JSON", make(FileKind::Json, false)),
            ("NDJSON", make(FileKind::Json, false)),
            ("ARROW", make(FileKind::Arrow, false)),
        ]
    }
}

#[async_trait]
impl TableProviderFactory for FileTableFactory {
    async fn create(
        &self,
        state: &dyn Session,
        command: &CreateExternalTable,
    ) -> Result<Arc<dyn TableProvider>, DataFusionError> {
        let state = state
            .as_any()
            .downcast_ref::<SessionState>()
            .ok_or_else(|| Error::internal("a session of another kind"))?;
        let mut csv = CsvOptions::default();
        if self.kind == FileKind::Csv {
            csv = CsvOptions::from_sql(&command.options)?;
            if self.tabs {
                csv.delimiter = csv.delimiter.or(Some(b'\t'));
            }
        }
        let columns = command.schema.inner();
        let in_path = &command.table_partition_cols;
        let mut schema = None;
        let mut path_columns = None;
        if !columns.fields().is_empty() {
            let (path, file): (Vec<_>, Vec<_>) =
                columns.fields().iter().cloned().partition(|field| in_path.contains(field.name()));
            let types = path.iter().map(|f| (f.name().clone(), f.data_type().clone())).collect();
            path_columns = Some(types);
            schema = Some(Arc::new(arrow::datatypes::Schema::new(file)));
        } else if !in_path.is_empty() {
            path_columns =
                Some(in_path.iter().map(|name| (name.clone(), DataType::Utf8)).collect());
        }
        let table = FileTable {
            kind: Some(self.kind),
            schema,
            path_columns,
            order: command.order_exprs.clone(),
            ..FileTable::csv(command.locations.clone(), csv)
        };
        Ok(table.open(state).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_by_name() {
        let kind = |name| FileKindName::of(name).map(|found| (found.kind, found.compression));
        assert_eq!(kind("a.CSV"), Some((FileKind::Csv, FileCompressionType::UNCOMPRESSED)));
        assert_eq!(kind("a.tsv.gz"), Some((FileKind::Csv, FileCompressionType::GZIP)));
        assert_eq!(kind("a.ndjson.zst"), Some((FileKind::Json, FileCompressionType::ZSTD)));
        assert_eq!(kind("b.parquet"), Some((FileKind::Parquet, FileCompressionType::UNCOMPRESSED)));
        assert_eq!(kind("b.parquet.gz"), None);
        assert_eq!(kind("notes.txt"), None);
        assert_eq!(kind("gz"), None);
    }
}
