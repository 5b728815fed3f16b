//! Files that appear only when they are complete.
//!
//! A file is written under a temporary name in the directory it belongs to and renamed at the
//! end. Dropped before that, after an error, it takes its temporary file with it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// A file on its way to `target`.
pub(super) struct Aside {
    file: NamedTempFile,
    target: PathBuf,
    written_bytes: u64,
}

impl Aside {
    /// Opens a temporary file next to `target`.
    ///
    /// # Errors
    ///
    /// A configuration error when `target` is something other than a file, which a rename would
    /// destroy (`/dev/null`, say); an I/O error when the directory is missing or not writable.
    pub(super) fn create(target: &Path) -> Result<Aside> {
        if target.metadata().is_ok_and(|found| !found.is_file()) {
            return Err(Error::config(format!(
                "\"{}\" exists and is not a regular file",
                target.display()
            ))
            .with_hint("name a file to create or to replace"));
        }
        let Some(name) = target.file_name() else {
            return Err(Error::config(format!("\"{}\" is not a file name", target.display())));
        };
        let directory = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let prefix = format!(".{}.", name.to_string_lossy());
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".partial");
        #[cfg(unix)]
        {
            // A temporary file is private by default; this one becomes an ordinary file, whose
            // permissions the umask decides.
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(std::fs::Permissions::from_mode(0o666));
        }
        let file = builder
            .tempfile_in(directory)
            .map_err(|err| Error::io("create", target, into_plain(err)))?;
        Ok(Aside { file, target: target.to_path_buf(), written_bytes: 0 })
    }

    /// Where the file will lie.
    pub(super) fn target(&self) -> &Path {
        &self.target
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    ///
    /// An I/O error that names the target, or one about resources when the disk is full.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.write_all(bytes).map_err(|err| Error::io("write", &self.target, err))
    }

    /// Renames the file to its target and returns its path and its size in bytes.
    ///
    /// # Errors
    ///
    /// An I/O error when the rename fails.
    pub(super) fn finish(self) -> Result<(PathBuf, u64)> {
        let Aside { file, target, written_bytes } = self;
        file.persist(&target).map_err(|err| Error::io("create", &target, err.error))?;
        Ok((target, written_bytes))
    }
}

impl Write for Aside {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.as_file_mut().write(bytes)?;
        self.written_bytes += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.as_file_mut().flush()
    }
}

/// The error without the random name that `tempfile` adds, which would mean nothing to the user.
fn into_plain(err: io::Error) -> io::Error {
    io::Error::from(err.kind())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_appears_when_finished() {
        let directory = tempfile::tempdir().unwrap();
        let target = directory.path().join("out.csv");
        std::fs::write(&target, "old").unwrap();
        let mut aside = Aside::create(&target).unwrap();
        aside.append(b"new text").unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        assert_eq!(aside.finish().unwrap(), (target.clone(), 8));
        assert_eq!(std::fs::read(&target).unwrap(), b"new text");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_dropped_file_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let mut aside = Aside::create(&directory.path().join("out.csv")).unwrap();
        aside.append(b"half").unwrap();
        drop(aside);
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
