//! A path, a glob or a folder → a table.
//!
//! `FROM 'trips.csv'`, `FROM 'trips/2019-*.parquet'`, `FROM 'trips/'`: the format comes from the
//! extension (`.csv .tsv .parquet .json .ndjson .jsonl .arrow .feather`, the text ones also with
//! `.gz .zst .bz2 .xz`). All files of one table have one format. Folders are read to any depth;
//! `year=2019/` in a path makes a column `year`; names that begin with `.` or `_` are skipped.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Weak};

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider, TableProviderFactory, UrlTableFactory};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::arrow::ArrowFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{
    ListingOptions, ListingTable, ListingTableConfig, ListingTableUrl,
};
use datafusion::error::DataFusionError;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{CreateExternalTable, SortExpr};
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use parking_lot::RwLock;

use super::csv::{CsvFormat, CsvOptions, sniff_files};
use super::null_names::{NULL_NAME, NullNames};
use super::parquet::ParquetFiles;
use crate::error::{Error, ErrorKind, Result};
use crate::write::WritesAside;

/// The formats a file can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileKind {
    Csv,
    Parquet,
    Json,
    Arrow,
}

/// What the extensions of a name, such as `a.csv.gz`, say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileKindName {
    pub(crate) kind: FileKind,
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

    /// Looks at the files and makes the table.
    ///
    /// # Errors
    /// `Io` if there is no such file or it cannot be read; `Input` if its content cannot be
    /// understood; `Query` if the format is unknown or the files have several.
    pub(crate) async fn open(self, state: &SessionState) -> Result<Arc<dyn TableProvider>> {
        let mut found = Found::default();
        for location in &self.locations {
            found.add(location)?;
        }
        let shown = self.locations.join("', '");
        let (kind, compression) = found.kind(self.kind, &shown)?;
        let urls = found.urls()?;
        let Some(first) = urls.first() else {
            return Err(Error::new(ErrorKind::Io, format!("no data files in '{shown}'")));
        };
        let store = state.runtime_env().object_store(first.object_store())?;
        let objects = heads(&store, &found.files).await?;

        let format: Arc<dyn FileFormat>;
        let schema: SchemaRef;
        match kind {
            FileKind::Csv => {
                let compression = self.csv.compression.unwrap_or(compression);
                let mut options = self.csv.clone();
                options.schema = self.schema.clone().or(options.schema);
                let (dialect, sniffed) =
                    sniff_files(&store, &objects, &options, compression).await?;
                format = Arc::new(CsvFormat::new(dialect, options));
                schema = sniffed;
            }
            FileKind::Json => {
                let array = begins_json_array(&store, &objects, compression).await?;
                format = Arc::new(
                    JsonFormat::default()
                        .with_file_compression_type(compression)
                        .with_newline_delimited(!array),
                );
                schema = infer(&self.schema, &format, state, &store, &objects).await?;
            }
            FileKind::Parquet => {
                let options = state.default_table_options().parquet;
                format = Arc::new(ParquetFiles(ParquetFormat::default().with_options(options)));
                schema = infer(&self.schema, &format, state, &store, &objects).await?;
            }
            FileKind::Arrow => {
                format = Arc::new(ArrowFormat);
                schema = infer(&self.schema, &format, state, &store, &objects).await?;
            }
        }
        let path_columns = self.path_columns.unwrap_or_else(|| found.path_columns());
        let format: Arc<dyn FileFormat> = Arc::new(WritesAside(format));
        let listing = |path_columns: Vec<(String, DataType)>| -> Result<Arc<dyn TableProvider>> {
            let options = ListingOptions::new(Arc::clone(&format))
                .with_file_extension(found.extension())
                .with_table_partition_cols(path_columns)
                .with_file_sort_order(self.order.clone());
            let config = ListingTableConfig::new_with_multi_paths(urls.clone())
                .with_listing_options(options)
                .with_schema(Arc::clone(&schema));
            let cache = state.runtime_env().cache_manager.get_file_statistic_cache();
            Ok(Arc::new(ListingTable::try_new(config)?.with_cache(cache)))
        };
        if !found.has_null_names() {
            return listing(path_columns);
        }
        let texts = path_columns.iter().map(|(name, _)| (name.clone(), DataType::Utf8));
        let read = listing(texts.collect())?;
        Ok(Arc::new(NullNames::new(read, listing(path_columns.clone())?, &path_columns)?))
    }
}

async fn infer(
    given: &Option<SchemaRef>,
    format: &Arc<dyn FileFormat>,
    state: &SessionState,
    store: &Arc<dyn ObjectStore>,
    objects: &[ObjectMeta],
) -> Result<SchemaRef> {
    match given {
        Some(schema) => Ok(Arc::clone(schema)),
        None => {
            let inferred = format.infer_schema(state, store, objects).await;
            inferred.map_err(|err| {
                let err = Error::from(err);
                // DataFusion calls an Arrow file that is cut short a defect of its own.
                let err = match err.kind() {
                    ErrorKind::Internal => Error::input(err.to_string()),
                    _ => err,
                };
                match objects {
                    [one] => err.in_file(&super::shown_path(&one.location)),
                    _ => err,
                }
            })
        }
    }
}

async fn heads(store: &Arc<dyn ObjectStore>, files: &[PathBuf]) -> Result<Vec<ObjectMeta>> {
    let mut objects = Vec::with_capacity(files.len());
    for file in files {
        let location = object_store::path::Path::from_absolute_path(file)
            .map_err(|err| Error::new(ErrorKind::Io, err.to_string()))?;
        objects.push(store.head(&location).await.map_err(DataFusionError::from)?);
    }
    Ok(objects)
}

/// Whether the first file is one JSON array rather than an object a line.
async fn begins_json_array(
    store: &Arc<dyn ObjectStore>,
    objects: &[ObjectMeta],
    compression: FileCompressionType,
) -> Result<bool> {
    let Some(object) = objects.iter().find(|object| object.size > 0) else {
        return Ok(false);
    };
    let head = super::csv::Sample::read(store.as_ref(), &object.location, object.size, compression)
        .await?
        .head;
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&head);
    Ok(text.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'['))
}

/// The files that locations stand for.
#[derive(Default)]
struct Found {
    /// Absolute paths, sorted within each location.
    files: Vec<PathBuf>,
    /// The folder, when the one location is one.
    folder: Option<PathBuf>,
}

impl Found {
    fn add(&mut self, location: &str) -> Result<()> {
        let path = local_path(location)?;
        let absolute = std::path::absolute(&path).map_err(|err| Error::io("find", &path, err))?;
        if absolute.is_dir() {
            let folder = canonical(&absolute)?;
            self.add_folder(&folder)?;
            self.folder = Some(folder);
        } else if absolute.exists() {
            self.files.push(canonical(&absolute)?);
        } else if is_glob(location) {
            let pattern = absolute.to_string_lossy().into_owned();
            let matches = glob::glob(&pattern)
                .map_err(|err| Error::query(format!("'{location}' is not a valid glob: {err}")))?;
            let before = self.files.len();
            for path in matches {
                let path = path.map_err(|err| {
                    let unreadable = err.path().to_path_buf();
                    Error::io("list", unreadable, err.into())
                })?;
                if path.is_file() && !is_hidden(&path) {
                    self.files.push(canonical(&path)?);
                }
            }
            if self.files.len() == before {
                return Err(Error::new(ErrorKind::Io, format!("no file matches '{location}'")));
            }
        } else {
            return Err(not_found(location, &absolute));
        }
        Ok(())
    }

    fn add_folder(&mut self, folder: &Path) -> Result<()> {
        let entries = std::fs::read_dir(folder).map_err(|err| Error::io("list", folder, err))?;
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(|err| Error::io("list", folder, err))?.path());
        }
        paths.sort();
        for path in paths.into_iter().filter(|path| !is_hidden(path)) {
            if path.is_dir() {
                self.add_folder(&path)?;
            } else if FileKindName::of(&path.to_string_lossy()).is_some() {
                self.files.push(path);
            }
        }
        Ok(())
    }

    /// The one format of all files.
    fn kind(
        &self,
        given: Option<FileKind>,
        shown: &str,
    ) -> Result<(FileKind, FileCompressionType)> {
        let mut one: Option<(FileKind, FileCompressionType)> = None;
        for file in &self.files {
            let name = file.to_string_lossy();
            let kind = match (given, FileKindName::of(&name)) {
                (Some(kind), Some(found)) => (kind, found.compression),
                (Some(kind), None) => (kind, FileCompressionType::UNCOMPRESSED),
                (None, Some(found)) => (found.kind, found.compression),
                (None, None) => {
                    return Err(Error::query(format!(
                        "the format of '{}' is not known by its extension",
                        file.display()
                    ))
                    .with_hint(
                        "the extensions are .csv .tsv .parquet .json .ndjson .arrow; for another \
                         name use CREATE EXTERNAL TABLE … STORED AS CSV LOCATION '…'",
                    ));
                }
            };
            match &one {
                None => one = Some(kind),
                Some(first) if *first == kind => {}
                Some(_) => {
                    return Err(Error::query(format!(
                        "the files of '{shown}' have several formats, such as '{}' and '{}'",
                        self.files[0].display(),
                        file.display()
                    ))
                    .with_hint("name one format with a glob, such as 'folder/*.csv'"));
                }
            }
        }
        one.ok_or_else(|| Error::new(ErrorKind::Io, format!("no data files in '{shown}'")))
    }

    fn urls(&self) -> Result<Vec<ListingTableUrl>> {
        // Columns in the path are read off it below the folder. Without them, naming the files
        // keeps those out that are hidden.
        match &self.folder {
            Some(folder) if !self.path_columns().is_empty() => {
                return Ok(vec![listing_url(folder, true)?]);
            }
            _ => {}
        }
        self.files.iter().map(|file| listing_url(file, false)).collect()
    }

    /// The extension a folder's files share, which keeps DataFusion from reading the others.
    fn extension(&self) -> String {
        match (&self.folder, self.files.first()) {
            (Some(_), Some(file)) => {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let compressed =
                    FileKindName::of(&name).is_some_and(|found| found.compression.is_compressed());
                let mut parts = name.rsplit('.');
                let last = parts.next().unwrap_or_default();
                match (compressed, parts.next()) {
                    (true, Some(format)) => format!(".{format}.{last}"),
                    _ => format!(".{last}"),
                }
            }
            _ => String::new(),
        }
    }

    /// Whether the path of a file says that a column is NULL.
    fn has_null_names(&self) -> bool {
        let Some(folder) = &self.folder else { return false };
        let says_null = |part: std::path::Component<'_>| {
            let name = part.as_os_str().to_string_lossy();
            name.split_once('=').is_some_and(|(_, value)| value == NULL_NAME)
        };
        let below = |file: &PathBuf| file.strip_prefix(folder).map(Path::to_path_buf);
        self.files
            .iter()
            .filter_map(|file| below(file).ok())
            .any(|path| path.components().any(says_null))
    }

    /// Columns in the first file's path below the folder, such as `year=2019/`.
    fn path_columns(&self) -> Vec<(String, DataType)> {
        let (Some(folder), Some(file)) = (&self.folder, self.files.first()) else {
            return Vec::new();
        };
        let below = file.strip_prefix(folder).unwrap_or(file);
        below
            .parent()
            .into_iter()
            .flat_map(|parent| parent.components())
            .filter_map(|part| {
                let part = part.as_os_str().to_str()?;
                let (name, _) = part.split_once('=')?;
                Some((name.to_string(), DataType::Utf8))
            })
            .collect()
    }
}

fn listing_url(path: &Path, folder: bool) -> Result<ListingTableUrl> {
    let url =
        if folder { url::Url::from_directory_path(path) } else { url::Url::from_file_path(path) };
    let url =
        url.map_err(|()| Error::internal(format!("\"{}\" is not absolute", path.display())))?;
    Ok(ListingTableUrl::try_new(url, None)?)
}

fn local_path(location: &str) -> Result<PathBuf> {
    if let Some((scheme, _)) = location.split_once("://") {
        if scheme != "file" {
            return Err(Error::query(format!("cannot read '{location}': only local files are"))
                .with_hint("download the file first"));
        }
        let url = url::Url::parse(location)
            .map_err(|err| Error::query(format!("'{location}' is not a valid URL: {err}")))?;
        return url
            .to_file_path()
            .map_err(|()| Error::query(format!("'{location}' names no local file")));
    }
    match location.strip_prefix("~/") {
        Some(rest) => match std::env::home_dir() {
            Some(home) => Ok(home.join(rest)),
            None => Ok(PathBuf::from(location)),
        },
        None => Ok(PathBuf::from(location)),
    }
}

/// The path without `..` and links, which object stores do not know.
fn canonical(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|err| Error::io("find", path, err))
}

fn is_glob(location: &str) -> bool {
    location.contains(['*', '?', '['])
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(['.', '_']))
}

fn not_found(location: &str, absolute: &Path) -> Error {
    let error = Error::new(ErrorKind::Io, format!("no such file: '{location}'"));
    let names: Vec<String> = absolute
        .parent()
        .and_then(|folder| std::fs::read_dir(folder).ok())
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .collect();
    let wanted = absolute.file_name().unwrap_or_default().to_string_lossy();
    match crate::error::nearest(&wanted, &names) {
        Some(near) => error.with_hint(format!("did you mean '{near}' in the same folder?")),
        None => match std::env::current_dir() {
            Ok(folder) if Path::new(location).is_relative() => {
                error.with_hint(format!("the current folder is {}", folder.display()))
            }
            _ => error,
        },
    }
}

/// Whether a table name that no catalog knows is meant as a path. A plain word never is, even if
/// there is a folder of that name: write `folder/`.
pub(crate) fn looks_like_path(name: &str) -> bool {
    name.contains('/')
        || is_glob(name)
        || FileKindName::of(name).is_some()
        || (name.contains('.') && Path::new(name).is_file())
}

/// Opens the tables that are named by a path, each once a statement.
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
        if !looks_like_path(name) {
            return Ok(None);
        }
        let state = lock(&self.state).upgrade();
        let state = state.ok_or_else(|| Error::internal("a table outlived its session"))?;
        let state = state.read().clone();
        let table = FileTable::at(name).open(&state).await?;
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
            locations: command.locations.clone(),
            kind: Some(self.kind),
            csv,
            schema,
            path_columns,
            order: command.order_exprs.clone(),
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
