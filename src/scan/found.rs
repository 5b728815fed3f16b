//! A path, a glob or a folder → the files that it stands for, and what their names tell.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use chrono::DateTime;
use datafusion::catalog::Session;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::execution::object_store::ObjectStoreUrl;
use glob::{MatchOptions, Pattern};
use object_store::ObjectMeta;
use url::Url;

use super::files::{FileKind, FileKindName};
use super::store::FileStore;
use crate::error::{Error, ErrorKind, Result};

/// A `*` stands for a part of one name, as it does in the local file system.
const GLOB_OPTIONS: MatchOptions = MatchOptions {
    case_sensitive: true,
    require_literal_separator: true,
    require_literal_leading_dot: false,
};

/// A file that was found.
#[derive(Debug, Clone)]
pub(super) struct FoundFile {
    pub(super) meta: ObjectMeta,
    /// Its whole path by which it was found, links and all.
    pub(super) path: String,
    /// Where the part of the path begins that is below the folder that was named, if one was.
    pub(super) below: Option<usize>,
}

impl FoundFile {
    /// A file of which no more is known than where it is.
    pub(super) fn at(location: &str, path: String, below: Option<usize>) -> Self {
        let meta = ObjectMeta {
            location: location.into(),
            last_modified: DateTime::default(),
            size: 0,
            e_tag: None,
            version: None,
        };
        FoundFile { meta, path, below }
    }

    /// The part of the path below the folder that was named.
    pub(super) fn below_folder(&self) -> Option<&str> {
        self.below.and_then(|start| self.path.get(start..))
    }
}

/// The files that locations stand for, each once.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) store: FileStore,
    /// Sorted within each location.
    pub(super) files: Vec<FoundFile>,
    /// The folder, when the one location is one.
    pub(super) folder: Option<Url>,
}

impl Found {
    /// The files of paths, globs and folders, which are all in one store.
    ///
    /// # Errors
    /// `Io` if there is none or it cannot be read; `Query` if it is no valid URL or glob, or if the
    /// locations are in several stores.
    pub(super) async fn at(state: &dyn Session, locations: &[String]) -> Result<Self> {
        let mut found: Option<Found> = None;
        let mut seen = HashSet::new();
        for location in locations {
            let place = Place::parse(location)?;
            let store = FileStore::of(state, place.store(), location)?;
            let (mut files, folder) = match &place {
                Place::Local(path) => local_files(&store, location, path).await?,
                Place::Elsewhere { key, .. } => listed_files(&store, location, key).await?,
            };
            files.retain(|file| seen.insert(file.meta.location.clone()));
            match &mut found {
                None => found = Some(Found { store, files, folder }),
                Some(found) if found.store.url() == store.url() => {
                    found.files.extend(files);
                    found.folder = None;
                }
                Some(_) => {
                    return Err(Error::query(format!(
                        "'{}' and '{location}' are in different stores",
                        locations[0]
                    ))
                    .with_hint("read them one at a time, and put them together with UNION ALL"));
                }
            }
        }
        found.ok_or_else(|| Error::query("no path of a file is given"))
    }

    /// The one format of all files; their fields are separated by tabs if all names say so.
    ///
    /// # Errors
    /// `Query` if there are several or it is not known; `Io` if there are no files.
    pub(super) fn kind(&self, given: Option<FileKind>, shown: &str) -> Result<FileKindName> {
        let mut one: Option<FileKindName> = None;
        for FoundFile { path, .. } in &self.files {
            let kind = match (given, FileKindName::of(path)) {
                (Some(kind), Some(named)) => FileKindName { kind, ..named },
                (Some(kind), None) => {
                    let compression = FileCompressionType::UNCOMPRESSED;
                    FileKindName { kind, compression, tabs: false }
                }
                (None, Some(named)) => named,
                (None, None) => {
                    return Err(Error::query(format!(
                        "the format of '{path}' is not known by its extension"
                    ))
                    .with_hint(
                        "the extensions are .csv .tsv .parquet .json .ndjson .arrow; for another \
                         name use CREATE EXTERNAL TABLE … STORED AS CSV LOCATION '…'",
                    ));
                }
            };
            match &mut one {
                None => one = Some(kind),
                Some(first) if first.reads_like(&kind) => first.tabs &= kind.tabs,
                Some(_) => {
                    return Err(Error::query(format!(
                        "the files of '{shown}' have several formats, such as '{}' and '{path}'",
                        self.files[0].path
                    ))
                    .with_hint("name one format with a glob, such as 'folder/*.csv'"));
                }
            }
        }
        one.ok_or_else(|| Error::new(ErrorKind::Io, format!("no data files in '{shown}'")))
    }
}

/// Where a location is.
enum Place {
    Local(PathBuf),
    /// In another store. The key is taken as it is written, without percent codes.
    Elsewhere {
        store: ObjectStoreUrl,
        key: String,
    },
}

impl Place {
    fn parse(location: &str) -> Result<Self> {
        let invalid = |err: String| Error::query(format!("'{location}' is not a valid URL: {err}"));
        let Some((scheme, rest)) = location.split_once("://") else {
            let home = location
                .strip_prefix("~/")
                .and_then(|rest| std::env::home_dir().map(|home| home.join(rest)));
            return Ok(Place::Local(home.unwrap_or_else(|| PathBuf::from(location))));
        };
        if scheme == "file" {
            let url = Url::parse(location).map_err(|err| invalid(err.to_string()))?;
            let path = url.to_file_path();
            let path = path.map_err(|()| Error::query(format!("'{location}' names no local file")));
            return Ok(Place::Local(path?));
        }
        let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
        let store = ObjectStoreUrl::parse(format!("{scheme}://{authority}"));
        let store = store.map_err(|err| invalid(Error::from(err).to_string()))?;
        Ok(Place::Elsewhere { store, key: key.to_string() })
    }

    fn store(&self) -> ObjectStoreUrl {
        match self {
            Place::Local(_) => ObjectStoreUrl::local_filesystem(),
            Place::Elsewhere { store, .. } => store.clone(),
        }
    }
}

/// The same place, whatever the current folder is.
///
/// # Errors
/// `Query` if it is no valid URL; `Io` if there is no current folder.
pub(super) fn absolute(location: &str) -> Result<String> {
    match Place::parse(location)? {
        Place::Elsewhere { .. } => Ok(location.to_string()),
        Place::Local(path) => {
            let path = std::path::absolute(&path);
            let path = path.map_err(|err| Error::io("find", location, err))?;
            Ok(path.to_string_lossy().into_owned())
        }
    }
}

/// The files of a local path, glob or folder, and the folder if it is one.
async fn local_files(
    store: &FileStore,
    location: &str,
    path: &Path,
) -> Result<(Vec<FoundFile>, Option<Url>)> {
    let absolute = std::path::absolute(path).map_err(|err| Error::io("find", path, err))?;
    let mut paths = LocalPaths::default();
    let mut folder = None;
    if absolute.is_dir() {
        let root = canonical(&absolute)?;
        paths.add_folder(&root, &root)?;
        let url = Url::from_directory_path(&root);
        folder = Some(url.map_err(|()| Error::internal(format!("'{location}' is not absolute")))?);
    } else if absolute.exists() {
        paths.add(&absolute, None)?;
    } else if is_glob(location) {
        let pattern = absolute.to_string_lossy().into_owned();
        let matches = glob::glob(&pattern).map_err(|err| not_a_glob(location, &err))?;
        for path in matches {
            let path = path.map_err(|err| {
                let unreadable = err.path().to_path_buf();
                Error::io("list", unreadable, err.into())
            })?;
            if path.is_file() && !is_hidden(&name_of(&path)) {
                paths.add(&path, None)?;
            }
        }
        if paths.files.is_empty() {
            return Err(no_match(location));
        }
    } else {
        return Err(not_found(location, &absolute));
    }
    let locations = paths.files.iter().map(|file| file.location.clone()).collect();
    let metas = store.heads(locations).await?;
    let files = paths.files.into_iter().zip(metas);
    let files = files.map(|(file, meta)| FoundFile { meta, path: file.path, below: file.below });
    Ok((files.collect(), folder))
}

/// Local files as they are found.
#[derive(Default)]
struct LocalPaths {
    files: Vec<LocalFile>,
    /// Folders that were looked at: links may lead to one twice, or in a circle.
    folders: HashSet<PathBuf>,
}

struct LocalFile {
    location: object_store::path::Path,
    path: String,
    below: Option<usize>,
}

impl LocalPaths {
    fn add_folder(&mut self, folder: &Path, root: &Path) -> Result<()> {
        if !self.folders.insert(canonical(folder)?) {
            return Ok(());
        }
        let entries = std::fs::read_dir(folder).map_err(|err| Error::io("list", folder, err))?;
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(|err| Error::io("list", folder, err))?.path());
        }
        paths.sort();
        for path in paths.into_iter().filter(|path| !is_hidden(&name_of(path))) {
            if path.is_dir() {
                self.add_folder(&path, root)?;
            } else if FileKindName::of(&path.to_string_lossy()).is_some() {
                self.add(&path, Some(root))?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, folder: Option<&Path>) -> Result<()> {
        let location = object_store::path::Path::from_absolute_path(canonical(path)?)
            .map_err(|err| Error::new(ErrorKind::Io, err.to_string()))?;
        let whole = path.to_string_lossy().into_owned();
        let below = folder.and_then(|folder| {
            let below = path.strip_prefix(folder).ok()?;
            Some(whole.len() - below.to_string_lossy().len())
        });
        self.files.push(LocalFile { location, path: whole, below });
        Ok(())
    }
}

/// The files of a key, a glob or a prefix of another store, and the folder if it is a prefix.
async fn listed_files(
    store: &FileStore,
    location: &str,
    key: &str,
) -> Result<(Vec<FoundFile>, Option<Url>)> {
    let path_of = |key: &str| {
        object_store::path::Path::parse(key)
            .map_err(|err| Error::query(format!("'{location}' is not a valid path: {err}")))
    };
    let found = |meta: ObjectMeta, below: Option<usize>| {
        let path = store.shown(&meta.location);
        let below = below.map(|length| path.len() - meta.location.as_ref().len() + length);
        FoundFile { meta, path, below }
    };
    if let Some(glob) = key.find(GLOB_CHARACTERS) {
        let pattern = Pattern::new(key).map_err(|err| not_a_glob(location, &err))?;
        let folder = key[..glob].rfind('/').map_or("", |end| &key[..end]);
        let mut metas = store.list(&path_of(folder)?).await?;
        // A file of this very name is meant, whatever else the glob matches.
        match metas.iter().position(|meta| meta.location.as_ref() == key) {
            Some(place) => metas = vec![metas.swap_remove(place)],
            None => metas.retain(|meta| {
                let name = meta.location.filename().unwrap_or_default();
                pattern.matches_with(meta.location.as_ref(), GLOB_OPTIONS) && !is_hidden(name)
            }),
        }
        if metas.is_empty() {
            return Err(no_match(location));
        }
        return Ok((metas.into_iter().map(|meta| found(meta, None)).collect(), None));
    }
    if !key.is_empty() && !key.ends_with('/') {
        match store.head(&path_of(key)?).await {
            Ok(meta) => return Ok((vec![found(meta, None)], None)),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(err) => return Err(datafusion::error::DataFusionError::from(err).into()),
        }
    }
    let prefix = path_of(key)?;
    let metas = store.list(&prefix).await?;
    if metas.is_empty() {
        return Err(Error::new(ErrorKind::Io, format!("no such file: '{location}'")));
    }
    let prefix_length = match prefix.as_ref().len() {
        0 => 0,
        length => length + "/".len(),
    };
    let files = metas.into_iter().filter(|meta| {
        let below = &meta.location.as_ref()[prefix_length..];
        !below.split('/').any(is_hidden) && FileKindName::of(below).is_some()
    });
    let files = files.map(|meta| found(meta, Some(prefix_length))).collect();
    Ok((files, Some(folder_url(store, &prefix)?)))
}

/// A prefix of a store as a URL, with the percent codes that one has.
fn folder_url(store: &FileStore, prefix: &object_store::path::Path) -> Result<Url> {
    let mut url = AsRef::<Url>::as_ref(store.url()).clone();
    match url.path_segments_mut() {
        Ok(mut segments) => {
            segments.clear().extend(prefix.parts()).push("");
        }
        Err(()) => return Err(Error::internal(format!("{} has no paths", store.url()))),
    }
    Ok(url)
}

/// The path without `..` and links, which object stores do not know.
fn canonical(path: &Path) -> Result<PathBuf> {
    path.canonicalize().map_err(|err| Error::io("find", path, err))
}

const GLOB_CHARACTERS: [char; 3] = ['*', '?', '['];

fn is_glob(location: &str) -> bool {
    location.contains(GLOB_CHARACTERS)
}

fn name_of(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

fn is_hidden(name: &str) -> bool {
    name.starts_with(['.', '_'])
}

fn not_a_glob(location: &str, err: &glob::PatternError) -> Error {
    Error::query(format!("'{location}' is not a valid glob: {err}"))
}

fn no_match(location: &str) -> Error {
    Error::new(ErrorKind::Io, format!("no file matches '{location}'"))
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
