//! An output file that counts its bytes.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::output::OutputFile;

/// A file on its way to `target`: written aside, and gone again unless it is finished.
pub(super) struct Aside {
    file: OutputFile,
    target: PathBuf,
    written_bytes: u64,
}

impl Aside {
    /// Begins the file.
    ///
    /// # Errors
    /// Those of [`OutputFile::create`].
    pub(super) fn create(target: &Path) -> Result<Aside> {
        let file = OutputFile::create(target)?;
        Ok(Aside { file, target: target.to_path_buf(), written_bytes: 0 })
    }

    /// Where the file will lie.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// An I/O error that names the target, or one about resources when the disk is full.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(Error::from)
    }

    /// Gives the file its name and returns its path and its size in bytes.
    ///
    /// # Errors
    /// Those of [`OutputFile::commit`].
    pub(super) fn finish(self) -> Result<(PathBuf, u64)> {
        self.file.commit()?;
        Ok((self.target, self.written_bytes))
    }
}

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.written_bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
