//! Temporary files: where batches go that memory has no room for.
//!
//! - this module: the [`SpillStore`], which owns the folders, counts what is in them and refuses
//!   what is too much
//! - `block`: batches ⇄ compressed, checked bytes
//! - `pack`: batches ⇄ bytes that are as few as they can be without a compressor
//! - `file`: a [`SpillFile`] of blocks, written in order and read in any
//! - `raw`: a [`RawFile`] of bytes that came from elsewhere
//! - `folder`: a folder of this process, and the removal of those of dead ones
//! - `stream`: temporary files for DataFusion's operators
//!
//! Every byte that is read back is checked, but for those of a `RawFile`: a file that was cut or
//! altered is an error, never wrong rows.

mod block;
mod file;
mod folder;
mod pack;
mod raw;
mod stream;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use datafusion::common::runtime::SpawnedTask;
use parking_lot::Mutex;

use crate::error::{Error, ErrorKind, Result};
use crate::session::{ByteSize, SessionOptions, SpillCompression};

pub(crate) use file::{BlockRange, SpillFile};
pub(crate) use raw::RawFile;
pub(crate) use stream::StreamFiles;

use folder::Folder;

/// The folders of a session for temporary files.
///
/// Clones are the same store. Files are removed when dropped, the folders when the store is closed
/// or its last clone is dropped.
#[derive(Clone)]
pub(crate) struct SpillStore {
    inner: Arc<Inner>,
}

struct Inner {
    folders: Mutex<Vec<Folder>>,
    paths: Vec<PathBuf>,
    next_folder: AtomicUsize,
    next_file: AtomicUsize,
    limit_bytes: u64,
    compression: SpillCompression,
    usage: Usage,
    /// Faults that tests ask for: the number of the write that fails and of the read that is
    /// altered.
    fail_write: Option<u64>,
    alter_read: Option<u64>,
}

/// What a store has done so far.
#[derive(Debug, Default)]
struct Usage {
    files: AtomicU64,
    disk_bytes: AtomicU64,
    raw_bytes: AtomicU64,
    written_bytes: AtomicU64,
    writes: AtomicU64,
    reads: AtomicU64,
    /// Bytes written since the free space of the disk was looked at.
    unchecked_bytes: AtomicU64,
    write_nanoseconds: AtomicU64,
}

/// What temporary files have cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpillMetrics {
    /// Files that were made.
    pub files: u64,
    /// Bytes on disk now.
    pub disk_bytes: u64,
    /// Bytes that were written, before compression.
    pub raw_bytes: u64,
    /// Bytes that were written, as they are on disk.
    pub written_bytes: u64,
    /// Time spent in writing, of all threads.
    pub write_time: Duration,
}

impl SpillStore {
    /// Makes a folder below each temp dir, after removing those that dead processes left there.
    ///
    /// # Errors
    /// `Io` or `Resources` if a folder cannot be made.
    pub(crate) fn new(options: &SessionOptions) -> Result<Self> {
        let folders =
            options.temp_dirs.iter().map(|dir| Folder::create(dir)).collect::<Result<Vec<_>>>()?;
        Ok(SpillStore {
            inner: Arc::new(Inner {
                paths: folders.iter().map(|folder| folder.path().to_path_buf()).collect(),
                folders: Mutex::new(folders),
                next_folder: AtomicUsize::new(0),
                next_file: AtomicUsize::new(0),
                limit_bytes: options.max_temp_bytes,
                compression: options.spill_compression,
                usage: Usage::default(),
                fail_write: options.knobs.fail_write,
                alter_read: options.knobs.alter_read,
            }),
        })
    }

    /// Removes the folders and all that is in them, although clones may still exist.
    pub(crate) fn close(&self) {
        self.inner.folders.lock().clear();
    }

    /// Most that temporary files may take, in bytes.
    pub(crate) fn limit_bytes(&self) -> u64 {
        self.inner.limit_bytes
    }

    /// What it has cost so far.
    pub(crate) fn metrics(&self) -> SpillMetrics {
        let usage = &self.inner.usage;
        SpillMetrics {
            files: usage.files.load(Ordering::Relaxed),
            disk_bytes: usage.disk_bytes.load(Ordering::Relaxed),
            raw_bytes: usage.raw_bytes.load(Ordering::Relaxed),
            written_bytes: usage.written_bytes.load(Ordering::Relaxed),
            write_time: Duration::from_nanos(usage.write_nanoseconds.load(Ordering::Relaxed)),
        }
    }

    /// A name for a new file, in the folders by turns.
    fn next_path(&self, what: &str) -> PathBuf {
        let folder = self.inner.next_folder.fetch_add(1, Ordering::Relaxed);
        let file = self.inner.next_file.fetch_add(1, Ordering::Relaxed);
        self.inner.usage.files.fetch_add(1, Ordering::Relaxed);
        self.inner.paths[folder % self.inner.paths.len()].join(format!("{what}-{file}"))
    }

    /// Takes `bytes` of the disk for a file, before they are written.
    fn take_disk(&self, bytes: u64, path: &Path) -> Result<()> {
        let usage = &self.inner.usage;
        let number = usage.writes.fetch_add(1, Ordering::Relaxed) + 1;
        if self.inner.fail_write == Some(number) {
            return Err(Error::io("write", path, std::io::Error::other("a fault for tests")));
        }
        let before = usage.disk_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before + bytes > self.inner.limit_bytes {
            self.give_disk(bytes);
            return Err(Error::new(
                ErrorKind::Resources,
                format!(
                    "the query needs more temporary disk space than the {} it may use",
                    ByteSize(self.inner.limit_bytes)
                ),
            )
            .with_hint("raise --max-temp-size, or raise --memory-limit so that less is spilled"));
        }
        self.check_free_space(bytes, path).inspect_err(|_| self.give_disk(bytes))
    }

    /// Gives disk back after a file was removed.
    fn give_disk(&self, bytes: u64) {
        self.inner.usage.disk_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Looks now and then whether the disk is about to be full, before other programs suffer.
    fn check_free_space(&self, bytes: u64, path: &Path) -> Result<()> {
        const LOOK_EVERY_BYTES: u64 = 32 << 20;
        const KEEP_FREE_BYTES: u64 = 64 << 20;
        let unchecked = &self.inner.usage.unchecked_bytes;
        if unchecked.fetch_add(bytes, Ordering::Relaxed) + bytes < LOOK_EVERY_BYTES {
            return Ok(());
        }
        unchecked.store(0, Ordering::Relaxed);
        let folder = path.parent().unwrap_or(path);
        let Ok(disk) = rustix::fs::statvfs(folder) else { return Ok(()) };
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free >= KEEP_FREE_BYTES {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Resources,
            format!(
                "the disk of \"{}\" is almost full: {} are left",
                folder.display(),
                ByteSize(free)
            ),
        )
        .with_hint("free some space, or give another folder for temporary files with --temp-dir"))
    }

    /// Whether tests want the next block that is read to be altered.
    fn alters_next_read(&self) -> bool {
        let number = self.inner.usage.reads.fetch_add(1, Ordering::Relaxed) + 1;
        self.inner.alter_read == Some(number)
    }

    /// Counts a block that was written, from when it was begun.
    fn add_written(&self, block: &[u8], started: Instant) {
        self.count_written(block::raw_bytes(block), block.len() as u64, started);
    }

    /// Counts what was written: its bytes before compression and on disk, and the time since.
    fn count_written(&self, raw_bytes: u64, bytes: u64, started: Instant) {
        let usage = &self.inner.usage;
        let nanoseconds = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        usage.write_nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
        usage.raw_bytes.fetch_add(raw_bytes, Ordering::Relaxed);
        usage.written_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl std::fmt::Debug for SpillStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpillStore").field("paths", &self.inner.paths).finish_non_exhaustive()
    }
}

/// Does work that waits for a disk on a thread for it.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    ended(SpawnedTask::spawn_blocking(work)).await
}

/// What a task gave.
async fn ended<T: Send + 'static>(task: SpawnedTask<Result<T>>) -> Result<T> {
    let lost = |err| Error::internal(format!("a task was lost: {err}"));
    task.join_unwind().await.map_err(lost).flatten()
}

/// The error of a file whose content is not what was written.
fn damaged(path: &Path, what: &str) -> Error {
    Error::new(ErrorKind::Io, format!("the temporary file \"{}\" {what}", path.display()))
        .with_hint("something else wrote into it, or the disk is failing; run the query again")
}
