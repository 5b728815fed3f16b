//! A path, a glob or a folder → the files that it stands for, and what their names tell.

use std::path::{Path, PathBuf};

use arrow::datatypes::DataType;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::listing::ListingTableUrl;

use super::file_columns::path_values;
use super::files::{FileKind, FileKindName};
use super::null_names::NULL_NAME;
use crate::error::{Error, ErrorKind, Result};

/// The files that locations stand for.
#[derive(Default)]
pub(super) struct Found {
    /// Absolute paths, sorted within each location.
    pub(super) files: Vec<PathBuf>,
    /// The folder, when the one location is one.
    pub(super) folder: Option<PathBuf>,
}

impl Found {
    /// Adds the files of a path, a glob or a folder.
    ///
    /// # Errors
    /// `Io` if there is none or it cannot be read; `Query` if it is no local path or no valid glob.
    pub(super) fn add(&mut self, location: &str) -> Result<()> {
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
    pub(super) fn kind(
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

    /// What DataFusion is to list: the folder if its paths have columns, else each file.
    pub(super) fn urls(&self) -> Result<Vec<ListingTableUrl>> {
        // Columns in the path are read off it below the folder. Without them, naming the files
        // keeps those out that are hidden.
        match &self.folder {
            Some(folder) if !self.path_columns().is_empty() => Ok(vec![listing_url(folder, true)?]),
            _ => self.file_urls(),
        }
    }

    /// Each file.
    pub(super) fn file_urls(&self) -> Result<Vec<ListingTableUrl>> {
        self.files.iter().map(|file| listing_url(file, false)).collect()
    }

    /// The part of a file's path that may say something: below the folder that was named, or all.
    pub(super) fn below_folder<'a>(&self, file: &'a Path) -> &'a Path {
        match &self.folder {
            Some(folder) => file.strip_prefix(folder).unwrap_or(file),
            None => file,
        }
    }

    /// The extension a folder's files share, which keeps DataFusion from reading the others.
    pub(super) fn extension(&self) -> String {
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
    pub(super) fn has_null_names(&self) -> bool {
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
    pub(super) fn path_columns(&self) -> Vec<(String, DataType)> {
        let (Some(_), Some(file)) = (&self.folder, self.files.first()) else {
            return Vec::new();
        };
        let values = path_values(self.below_folder(file));
        values.into_iter().map(|(name, _)| (name, DataType::Utf8)).collect()
    }
}

/// The location of a file or a folder, which is absolute, for DataFusion.
pub(super) fn listing_url(path: &Path, folder: bool) -> Result<ListingTableUrl> {
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
