//! A temporary file of bytes that came from elsewhere.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use super::SpillStore;
use crate::error::{Error, Result};

/// Bytes as they came, without checksums: whoever knows their format checks them. Removed when
/// dropped.
pub(crate) struct RawFile {
    store: SpillStore,
    path: PathBuf,
    file: File,
    length: u64,
}

impl RawFile {
    /// An empty file.
    ///
    /// # Errors
    /// `Io` if it cannot be made.
    pub(crate) fn create(store: &SpillStore, what: &str) -> Result<Self> {
        let path = store.next_path(what);
        let file = File::options().read(true).write(true).create_new(true).open(&path);
        let file = file.map_err(|err| Error::io("create", &path, err))?;
        Ok(RawFile { store: store.clone(), path, file, length: 0 })
    }

    /// Writes bytes at the end.
    ///
    /// # Errors
    /// `Resources` if there is no room for them; `Io` if they cannot be written.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.store.take_disk(bytes.len() as u64, &self.path)?;
        self.length += bytes.len() as u64;
        let started = Instant::now();
        self.file.write_all(bytes).map_err(|err| Error::io("write", &self.path, err))?;
        let count = bytes.len() as u64;
        self.store.count_written(count, count, started);
        Ok(())
    }

    /// Bytes that were written.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The file, for reading it at any place.
    ///
    /// # Errors
    /// `Io` if the system has no more handles.
    pub(crate) fn reader(&self) -> Result<File> {
        self.file.try_clone().map_err(|err| Error::io("read", &self.path, err))
    }
}

impl Drop for RawFile {
    fn drop(&mut self) {
        self.store.give_disk(self.length);
        let _ = std::fs::remove_file(&self.path);
    }
}
