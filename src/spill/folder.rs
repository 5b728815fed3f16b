//! A folder for the temporary files of one session.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::error::{Error, Result};

/// Folders have names that begin so; the process number follows, for people who look.
const PREFIX: &str = "brimful-";

/// A file in each folder that its process keeps locked. The lock ends with the process however it
/// ends, and holds between machines and containers that share a disk, where process numbers do not.
const LOCK: &str = "lock";

/// A folder without a lock file is only being made, unless it is older than this.
const LONGEST_START: Duration = Duration::from_secs(3600);

/// A folder that only its owner can read, removed when dropped.
#[derive(Debug)]
pub(super) struct Folder {
    folder: TempDir,
    _lock: File,
}

impl Folder {
    /// Makes a folder below `parent`, after removing those of processes that have died.
    pub(super) fn create(parent: &Path) -> Result<Self> {
        remove_stale(parent);
        let prefix = format!("{PREFIX}{}-", std::process::id());
        let create = || -> std::io::Result<Folder> {
            let mut builder = tempfile::Builder::new();
            builder.prefix(&prefix);
            #[cfg(unix)]
            builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
            let folder = builder.tempdir_in(parent)?;
            // Locked before it has its name, or another session could find it without a lock.
            let unnamed = folder.path().join("unnamed");
            let lock = File::create_new(&unnamed)?;
            lock.lock()?;
            fs::rename(&unnamed, folder.path().join(LOCK))?;
            Ok(Folder { folder, _lock: lock })
        };
        create().map_err(|err| {
            Error::io("use the folder for temporary files", parent, err)
                .with_hint("name a folder that can be written to with --temp-dir")
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes the folders of processes that have died. What cannot be removed is left: it may be
/// another user's.
fn remove_stale(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(PREFIX)
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        if ours && is_stale(&entry.path()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn is_stale(folder: &Path) -> bool {
    match File::open(folder.join(LOCK)) {
        Ok(lock) => match lock.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
        },
        Err(err) if err.kind() == std::io::ErrorKind::NotFound => {
            let age = fs::metadata(folder)
                .and_then(|metadata| metadata.modified())
                .map(|modified| SystemTime::now().duration_since(modified).unwrap_or_default());
            age.is_ok_and(|age| age > LONGEST_START)
        }
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_the_dead_are_removed_and_others_are_not() {
        let parent = tempfile::tempdir().unwrap();
        let dead = parent.path().join("brimful-1-dead");
        let starting = parent.path().join("brimful-2-starting");
        let other = parent.path().join("other");
        for folder in [&dead, &starting, &other] {
            fs::create_dir(folder).unwrap();
            fs::write(folder.join("data"), "x").unwrap();
        }
        fs::write(dead.join(LOCK), "").unwrap();
        fs::write(other.join(LOCK), "").unwrap();
        let living = Folder::create(parent.path()).unwrap();
        assert!(!dead.exists());
        assert!(starting.exists() && other.exists());
        let second = Folder::create(parent.path()).unwrap();
        assert!(living.path().exists(), "its lock is held");
        let path = second.path().to_path_buf();
        drop(second);
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_can_look() {
        use std::os::unix::fs::PermissionsExt;
        let parent = tempfile::tempdir().unwrap();
        let folder = Folder::create(parent.path()).unwrap();
        let mode = fs::metadata(folder.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0);
    }
}
