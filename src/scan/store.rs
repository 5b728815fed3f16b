//! The object store that the files of a table are in: the local disk, or one that the program has
//! registered.

use std::ops::Range;
use std::path::Path as LocalPath;
use std::sync::Arc;

use bytes::Bytes;
use datafusion::catalog::Session;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::object_store::ObjectStoreUrl;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{GetOptions, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::error::{Error, ErrorKind, Result};
use crate::session::Resources;
use crate::spill::{RawFile, SpillStore};

/// Requests for the sizes of files that are under way at once.
const HEADS_AT_ONCE: usize = 32;

/// A store and where it is. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct FileStore {
    url: ObjectStoreUrl,
    objects: Arc<dyn ObjectStore>,
    /// Where files go that are elsewhere and can only be read from front to end.
    temporary: Option<SpillStore>,
}

impl FileStore {
    /// The store that a session knows by this URL; `location` is what the user wrote.
    ///
    /// # Errors
    /// `Query` if there is none.
    pub(super) fn of(state: &dyn Session, url: ObjectStoreUrl, location: &str) -> Result<Self> {
        let Ok(objects) = state.runtime_env().object_store(&url) else {
            let shown = url.as_str().trim_end_matches('/');
            let error = format!("cannot read '{location}': no store is registered for {shown}");
            return Err(Error::query(error).with_hint(
                "download the file first; a program that uses the library can give it a store \
                 with Session::register_object_store",
            ));
        };
        let resources = state.config().get_extension::<Resources>();
        let temporary = resources.map(|resources| resources.store.clone());
        Ok(FileStore::new(url, objects, temporary))
    }

    /// A store that is known already.
    pub(super) fn new(
        url: ObjectStoreUrl,
        objects: Arc<dyn ObjectStore>,
        temporary: Option<SpillStore>,
    ) -> Self {
        FileStore { url, objects, temporary }
    }

    pub(super) fn url(&self) -> &ObjectStoreUrl {
        &self.url
    }

    /// The store as DataFusion's formats take it.
    pub(super) fn objects(&self) -> &Arc<dyn ObjectStore> {
        &self.objects
    }

    /// Whether its files are on this machine, where any place of them is read at little cost.
    pub(super) fn is_local(&self) -> bool {
        is_local(&self.url)
    }

    /// A file's path as the user would write it.
    pub(crate) fn shown(&self, location: &Path) -> String {
        shown_path(&self.url, location)
    }

    /// What is known of one file.
    pub(super) async fn head(&self, location: &Path) -> object_store::Result<ObjectMeta> {
        self.objects.head(location).await
    }

    /// What is known of each of these files.
    ///
    /// # Errors
    /// `Io` if one is not there.
    pub(super) async fn heads(&self, locations: Vec<Path>) -> Result<Vec<ObjectMeta>> {
        let heads = stream::iter(locations)
            .map(|location| async move { self.head(&location).await })
            .buffered(HEADS_AT_ONCE);
        heads.try_collect().await.map_err(|err| self.error(err))
    }

    /// All files below a prefix, sorted.
    ///
    /// # Errors
    /// `Io` if the store does not list them.
    pub(super) async fn list(&self, prefix: &Path) -> Result<Vec<ObjectMeta>> {
        let listed: object_store::Result<Vec<ObjectMeta>> =
            self.objects.list(Some(prefix)).try_collect().await;
        let mut files = listed.map_err(|err| self.error(err))?;
        files.sort_unstable_by(|a, b| a.location.cmp(&b.location));
        Ok(files)
    }

    /// A file, or some bytes of it, as the store gives it: as a local file or as a stream.
    pub(super) async fn get(
        &self,
        meta: &ObjectMeta,
        range: Option<Range<u64>>,
    ) -> DataFusionResult<GetResult> {
        if self.is_local() {
            return Ok(self.objects.get(&meta.location).await?);
        }
        let range = range.map(Into::into);
        let options = GetOptions { range, if_match: meta.e_tag.clone(), ..GetOptions::default() };
        match self.objects.get_opts(&meta.location, options).await {
            Ok(result) if result.meta.size == meta.size => Ok(result),
            Ok(_) | Err(object_store::Error::Precondition { .. }) => Err(self.changed(meta).into()),
            Err(err) => Err(self.error(err).into()),
        }
    }

    /// Some bytes of a file.
    ///
    /// # Errors
    /// `Io` if they cannot be read, or if the file is not the one that was found any more.
    pub(super) async fn get_range(
        &self,
        meta: &ObjectMeta,
        range: Range<u64>,
    ) -> DataFusionResult<Bytes> {
        let wanted = range.end - range.start;
        let bytes = self.get(meta, Some(range)).await?.bytes().await;
        let bytes = bytes.map_err(|err| self.error(err))?;
        match bytes.len() as u64 == wanted {
            true => Ok(bytes),
            false => Err(self.changed(meta).into()),
        }
    }

    /// Several ranges of a file.
    pub(super) async fn get_ranges(
        &self,
        location: &Path,
        ranges: &[Range<u64>],
    ) -> DataFusionResult<Vec<Bytes>> {
        Ok(self.objects.get_ranges(location, ranges).await?)
    }

    /// A copy of a file among the temporary files of the session, which is removed when dropped.
    ///
    /// # Errors
    /// `Resources` if there is no room for it; `Io` if it cannot be read or written.
    pub(super) async fn download(&self, meta: &ObjectMeta) -> DataFusionResult<RawFile> {
        let temporary = self.temporary.as_ref();
        let temporary = temporary.ok_or_else(|| Error::internal("a download without a session"))?;
        let mut copy = RawFile::create(temporary, "download")?;
        let mut chunks = self.get(meta, None).await?.into_stream();
        while let Some(chunk) = chunks.next().await {
            copy.append(&chunk.map_err(|err| self.error(err))?)?;
        }
        match copy.length() == meta.size {
            true => Ok(copy),
            false => Err(self.changed(meta).into()),
        }
    }

    fn changed(&self, meta: &ObjectMeta) -> Error {
        let path = self.shown(&meta.location);
        Error::new(ErrorKind::Io, format!("\"{path}\" has changed while it was read"))
            .with_hint("run the query again")
    }

    /// The error of a store; what is not there is called by its whole name.
    fn error(&self, err: object_store::Error) -> Error {
        match err {
            object_store::Error::NotFound { path, .. } if !self.is_local() => {
                Error::new(ErrorKind::Io, format!("no such file: \"{}{path}\"", self.url))
            }
            err => Error::from(datafusion::error::DataFusionError::from(err)),
        }
    }
}

/// Whether the files of a store are on this machine.
pub(super) fn is_local(url: &ObjectStoreUrl) -> bool {
    url.as_str() == "file:///"
}

/// A file's path as the user would write it: relative to the current folder if below it, and with the
/// URL of its store if that is not the local disk.
pub(crate) fn shown_path(store: &ObjectStoreUrl, location: &Path) -> String {
    if !is_local(store) {
        return format!("{store}{location}");
    }
    let absolute = format!("/{location}");
    let folder = std::env::current_dir().ok();
    let relative = folder.and_then(|folder| {
        LocalPath::new(&absolute).strip_prefix(folder).ok().map(LocalPath::to_path_buf)
    });
    match relative {
        Some(relative) => relative.display().to_string(),
        None => absolute,
    }
}
