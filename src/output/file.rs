//! Output files that appear whole or not at all: written under a temporary name beside the final
//! one and renamed at the end. So a failed query leaves the old file in place, and a query may read
//! the file that its result replaces.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use tempfile::TempPath;

use crate::error::{Error, Result};

/// Bytes gathered before each write.
const BUFFER_BYTES: usize = 256 * 1024;

/// Links that are followed before giving up; the limit of Linux.
const MOST_LINKS: usize = 40;

/// A file in the making, or a device or pipe that is written directly.
///
/// Dropped without [`OutputFile::commit`], it leaves nothing behind.
#[derive(Debug)]
pub struct OutputFile {
    writer: BufWriter<NamedFile>,
    /// The temporary name and the final one; neither for what is written directly.
    rename: Option<(TempPath, PathBuf)>,
}

impl OutputFile {
    /// Begins a file that will be at `path`, or opens the device or pipe that is there.
    ///
    /// A symbolic link is followed. An existing file keeps its permissions; one that may not be
    /// written is not replaced.
    ///
    /// # Errors
    /// When `path` is a directory, or its folder does not exist or may not be written.
    pub fn create(path: &Path) -> Result<Self> {
        let refused = |err: io::Error| Error::io("write", path, err);
        let is_file = fs::metadata(path).map_or(true, |existing| !is_special(&existing));
        if !is_file || is_descriptor(path) {
            // Appending keeps the place in a file that standard output is redirected to.
            let file = OpenOptions::new().append(true).open(path).map_err(refused)?;
            return Ok(Self::new(file, path, None));
        }

        let (target, existing) = replaceable(path)?;
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        let mut prefix = OsString::from(".");
        prefix.push(target.file_name().unwrap_or_default());
        prefix.push(".");
        let mut builder = tempfile::Builder::new();
        builder.suffix(".tmp");
        // Names may have 255 bytes; ours adds some.
        if prefix.len() < 240 {
            builder.prefix(&prefix);
        }
        if let Some(permissions) = new_file_permissions() {
            builder.permissions(permissions);
        }
        let (file, temporary) = builder.tempfile_in(folder).map_err(refused)?.into_parts();
        if let Some(metadata) = existing {
            file.set_permissions(metadata.permissions()).map_err(refused)?;
        }
        Ok(Self::new(file, path, Some((temporary, target))))
    }

    fn new(file: File, path: &Path, rename: Option<(TempPath, PathBuf)>) -> Self {
        let file = NamedFile { file, path: path.to_path_buf() };
        OutputFile { writer: BufWriter::with_capacity(BUFFER_BYTES, file), rename }
    }

    /// Writes what is buffered and gives the file its name.
    ///
    /// # Errors
    /// When the disk is full or the folder changed in the meantime; the old file is untouched then.
    pub fn commit(mut self) -> Result<()> {
        self.writer.flush()?;
        if let Some((temporary, target)) = self.rename.take() {
            temporary
                .persist(&target)
                .map_err(|err| Error::io("write", &self.writer.get_ref().path, err.error))?;
        }
        Ok(())
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.writer.write_all(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// A file whose errors have its name.
#[derive(Debug)]
struct NamedFile {
    file: File,
    path: PathBuf,
}

impl Write for NamedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes).map_err(|err| {
            // The kind stays what it is: an interrupted write is tried again.
            io::Error::new(err.kind(), Error::io("write", &self.path, err))
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Where a file that replaces the one at `path` must be, and what is there now. A symbolic link is
/// followed.
///
/// # Errors
/// When there is a directory, or something that may not be written.
pub(crate) fn replaceable(path: &Path) -> Result<(PathBuf, Option<Metadata>)> {
    let refused = |err: io::Error| Error::io("write", path, err);
    let existing = match fs::metadata(path) {
        Ok(metadata) => Some(metadata),
        Err(err) if err.kind() == io::ErrorKind::NotFound => None,
        Err(err) => return Err(refused(err)),
    };
    if existing.as_ref().is_some_and(Metadata::is_dir) || ends_in_separator(path) {
        return Err(refused(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory")));
    }
    if existing.as_ref().is_some_and(is_special) {
        return Err(refused(io::Error::other("it is not a file")));
    }
    let target = follow_links(path).map_err(refused)?;
    if existing.is_some() {
        // A rename asks the folder only.
        OpenOptions::new().append(true).open(&target).map_err(refused)?;
    }
    Ok((target, existing))
}

/// Whether it is neither a file nor a folder.
fn is_special(metadata: &Metadata) -> bool {
    !metadata.is_file() && !metadata.is_dir()
}

/// What a new file may be used for, before the umask takes its share.
fn new_file_permissions() -> Option<Permissions> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        Some(Permissions::from_mode(0o666))
    }
    #[cfg(not(unix))]
    None
}

/// Whether the path names an open descriptor, such as `/dev/stdout`, rather than a file.
fn is_descriptor(path: &Path) -> bool {
    let names = ["/dev/stdout", "/dev/stderr"];
    names.iter().any(|name| path == Path::new(name))
        || path.starts_with("/dev/fd")
        || path.starts_with("/proc")
}

/// `folder/` cannot become a file.
fn ends_in_separator(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().last().is_some_and(|&b| std::path::is_separator(b.into()))
}

/// The path behind symbolic links, whether or not there is something.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::symlink_metadata(&target) {
            Ok(metadata) if metadata.is_symlink() => {
                let link = fs::read_link(&target)?;
                // An absolute link replaces all of it.
                target.pop();
                target.push(link);
            }
            _ => return Ok(target),
        }
    }
    Err(io::Error::other("too many levels of symbolic links"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_when_it_is_committed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        let mut file = OutputFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        assert!(!path.exists());
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["out.csv"]);
        // As any other new file.
        let plain = folder.path().join("plain");
        fs::write(&plain, b"").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain));
    }

    #[test]
    fn dropped_it_leaves_the_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.csv");
        fs::write(&path, b"old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let mut file = OutputFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        drop(file);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["out.csv"]);
        let mut file = OutputFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        file.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("sub")).unwrap();
        let link = folder.path().join("link");
        symlink("sub/target", &link).unwrap();
        for text in ["first", "second"] {
            let mut file = OutputFile::create(&link).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.commit().unwrap();
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            let target = folder.path().join("sub/target");
            assert_eq!(fs::read_to_string(target).unwrap(), text);
        }
        symlink("loop", folder.path().join("loop")).unwrap();
        assert!(OutputFile::create(&folder.path().join("loop")).is_err());
    }

    #[test]
    fn devices_are_written_and_folders_are_not() {
        let mut file = OutputFile::create(Path::new("/dev/null")).unwrap();
        file.write_all(b"gone").unwrap();
        file.commit().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let message = OutputFile::create(folder.path()).unwrap_err().to_string();
        assert_eq!(
            message,
            format!("could not write \"{}\": it is a directory", folder.path().display())
        );
        let missing = folder.path().join("none/out.csv");
        let message = OutputFile::create(&missing).unwrap_err().to_string();
        assert_eq!(
            message,
            format!("could not write \"{}\": no such file or directory", missing.display())
        );
    }

    #[test]
    fn errors_of_writing_have_the_name() {
        if !Path::new("/dev/full").exists() {
            return;
        }
        let mut file = OutputFile::create(Path::new("/dev/full")).unwrap();
        file.write_all(b"text").unwrap();
        let message = file.commit().unwrap_err().to_string();
        assert_eq!(message, "could not write \"/dev/full\": the disk is full");
    }
}
