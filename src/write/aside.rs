//! Files that are made in a hidden folder beside their place, on the same file system, and get their
//! names when all of them are complete. Until then, and if that never comes, what was there stays.

use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::error::{Error, Result};
use crate::output::replaceable;

/// How long a writer that was stopped may go on.
const LAST_WRITES: Duration = Duration::from_millis(20);

/// A hidden folder for what is being written. Dropped, it takes everything with it.
#[derive(Debug)]
pub(super) struct Aside {
    folder: Option<TempDir>,
    /// The folders that were made for the target.
    made: Made,
    target: Target,
}

#[derive(Debug)]
enum Target {
    File { path: PathBuf, permissions: Option<Permissions> },
    Folder { path: PathBuf },
}

impl Aside {
    /// For a file that will be at `path`. A symbolic link is followed, an existing file keeps its
    /// permissions.
    ///
    /// # Errors
    /// If there is a folder, or the place cannot be written to.
    pub(super) fn for_file(path: &Path) -> Result<Self> {
        let made = made_for(path)?;
        let (path, existing) = replaceable(path)?;
        let folder = hidden_in(parent_of(&path), path.file_name().unwrap_or_default())?;
        let permissions = existing.map(|metadata| metadata.permissions());
        Ok(Aside { folder: Some(folder), made, target: Target::File { path, permissions } })
    }

    /// For files in the folder `path`, beside those that are there.
    ///
    /// # Errors
    /// If there is a file, or the place cannot be written to.
    pub(super) fn for_folder(path: &Path) -> Result<Self> {
        // Without a slash at the end.
        let path = &path.components().collect::<PathBuf>();
        if path.exists() && !path.is_dir() {
            let what = io::Error::new(io::ErrorKind::NotADirectory, "it is not a directory");
            return Err(Error::io("write", path, what));
        }
        let made = made_for(path)?;
        let path = path.clone();
        // Inside of a folder that exists, because that may be the root of a file system.
        let name = path.file_name().unwrap_or_default();
        let folder =
            if path.is_dir() { hidden_in(&path, name) } else { hidden_in(parent_of(&path), name) };
        Ok(Aside { folder: Some(folder?), made, target: Target::Folder { path } })
    }

    /// Where to write.
    pub(super) fn path(&self) -> &Path {
        self.folder.as_ref().expect("there until it is dropped").path()
    }

    /// Gives the files in the hidden folder, by their names there, their paths: those of a file
    /// target are the one file; others are below the folder.
    ///
    /// # Errors
    /// If a file cannot be renamed. Then those that were are taken away again.
    pub(super) fn commit(&mut self, files: &[(String, PathBuf)]) -> Result<()> {
        match &self.target {
            Target::File { path, permissions } => {
                let [(name, _)] = files else {
                    return Err(Error::internal("a file was written in several parts"));
                };
                let from = self.path().join(name);
                let refused = |err| Error::io("write", path, err);
                if let Some(permissions) = permissions {
                    fs::set_permissions(&from, permissions.clone()).map_err(refused)?;
                }
                fs::rename(&from, path).map_err(refused)?;
            }
            Target::Folder { path } if path.is_dir() => place(self.path(), files, path)?,
            Target::Folder { path } => {
                let whole = self.path().join("whole");
                fs::create_dir(&whole).map_err(|err| Error::io("create", &whole, err))?;
                place(self.path(), files, &whole)?;
                fs::rename(&whole, path).map_err(|err| Error::io("write", path, err))?;
            }
        }
        std::mem::take(&mut self.made).keep();
        Ok(())
    }

    /// Removes what was not given a name, on this thread.
    pub(super) fn discard(mut self) {
        if let Some(remove) = self.removal() {
            remove();
        }
    }

    fn removal(&mut self) -> Option<impl FnOnce() + Send + 'static> {
        let folder = self.folder.take()?.keep();
        let made = std::mem::take(&mut self.made);
        Some(move || {
            let _ = fs::remove_dir_all(&folder);
            // Now they may be empty.
            drop(made);
        })
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        let Some(remove) = self.removal() else { return };
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || {
                // Writers that were told to stop may just be making a file, and the folder with it.
                std::thread::sleep(LAST_WRITES);
                remove();
            })),
            Err(_) => remove(),
        }
    }
}

/// Folders that were made for a file. Dropped, those of them that have no files are removed.
#[derive(Debug, Default)]
struct Made {
    /// The topmost of them, if any had to be made.
    top: Option<PathBuf>,
}

impl Made {
    /// Makes the folder that `path` is to be in, and those around it.
    fn parents_of(path: &Path) -> io::Result<Self> {
        let parent = parent_of(path);
        let missing = parent.ancestors().take_while(|folder| !folder.exists()).last();
        let made = Made { top: missing.map(Path::to_path_buf) };
        fs::create_dir_all(parent)?;
        Ok(made)
    }

    fn keep(mut self) {
        self.top = None;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if let Some(top) = &self.top {
            remove_empty(top);
        }
    }
}

/// The folders that are made for a target.
fn made_for(path: &Path) -> Result<Made> {
    Made::parents_of(path).map_err(|err| Error::io("create", parent_of(path), err))
}

/// Removes a folder and those in it if there are no files.
fn remove_empty(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        remove_empty(&entry.path());
    }
    let _ = fs::remove_dir(folder);
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn hidden_in(folder: &Path, name: &std::ffi::OsStr) -> Result<TempDir> {
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".");
    let mut builder = tempfile::Builder::new();
    builder.suffix(".tmp");
    // Names may have 255 bytes; ours adds some.
    if prefix.len() < 240 {
        builder.prefix(&prefix);
    }
    builder.tempdir_in(folder).map_err(|err| Error::io("write", folder.join(name), err))
}

/// Moves files from one folder to their paths below another, all or none. Folders that are not there
/// are made, and removed again if it is none.
fn place(from: &Path, files: &[(String, PathBuf)], to: &Path) -> Result<()> {
    let mut placed: Vec<(PathBuf, Made)> = Vec::new();
    for (name, path) in files {
        let path = to.join(path);
        let moved = Made::parents_of(&path).and_then(|made| {
            fs::rename(from.join(name), &path)?;
            Ok(made)
        });
        match moved {
            Ok(made) => placed.push((path, made)),
            Err(err) => {
                for (path, _) in &placed {
                    let _ = fs::remove_file(path);
                }
                return Err(Error::io("write", &path, err));
            }
        }
    }
    for (_, made) in placed {
        made.keep();
    }
    Ok(())
}
