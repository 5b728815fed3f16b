//! A temporary file of record batches.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::{StreamExt, stream};

use super::{SpillStore, block, off_thread};
use crate::error::{Error, Result};

/// Blocks that are read before they are asked for.
const READ_AHEAD: usize = 2;

/// Batches of one schema, in blocks that are written one after the other and read in any order.
///
/// Several tasks may write at once. Clones are the same file, which is removed when the last is
/// dropped.
#[derive(Clone)]
pub(crate) struct SpillFile {
    inner: Arc<Inner>,
}

struct Inner {
    store: SpillStore,
    schema: SchemaRef,
    path: PathBuf,
    file: File,
    length: AtomicU64,
    /// Bytes of it that were given back.
    released: AtomicU64,
}

/// Where a batch is in its file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockRange {
    offset: u64,
    /// Bytes in the file.
    pub(crate) stored_bytes: usize,
    /// Rows of the batch.
    pub(crate) rows: usize,
    /// Bytes of the batch in memory.
    pub(crate) memory_bytes: usize,
}

impl SpillStore {
    /// A new, empty file for batches of this schema; `what` is part of its name.
    ///
    /// # Errors
    /// `Io` or `Resources` if it cannot be made.
    pub(crate) fn create(&self, what: &str, schema: SchemaRef) -> Result<SpillFile> {
        let path = self.next_path(what);
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)
            .map_err(|err| Error::io("create", &path, err))?;
        Ok(SpillFile {
            inner: Arc::new(Inner {
                store: self.clone(),
                schema,
                path,
                file,
                length: AtomicU64::new(0),
                released: AtomicU64::new(0),
            }),
        })
    }
}

impl SpillFile {
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.inner.schema
    }

    /// Writes a batch of `memory_bytes`, on a thread for blocking work; encoding and compression
    /// run on the caller's.
    ///
    /// # Errors
    /// `Resources` if the disk or the quota is full; `Io` if the system refuses.
    pub(crate) async fn append(
        &self,
        batch: &RecordBatch,
        memory_bytes: usize,
    ) -> Result<BlockRange> {
        let block = block::encode(batch, self.inner.store.inner.compression)?;
        let (rows, inner) = (batch.num_rows(), Arc::clone(&self.inner));
        let (offset, stored_bytes) =
            off_thread(move || Ok((inner.write(&block)?, block.len()))).await?;
        Ok(BlockRange { offset, stored_bytes, rows, memory_bytes })
    }

    /// As [`SpillFile::append`], on this thread.
    pub(crate) fn append_now(
        &self,
        batch: &RecordBatch,
        memory_bytes: usize,
    ) -> Result<BlockRange> {
        let block = block::encode(batch, self.inner.store.inner.compression)?;
        let offset = self.inner.write(&block)?;
        Ok(BlockRange { offset, stored_bytes: block.len(), rows: batch.num_rows(), memory_bytes })
    }

    /// The batch of one block.
    ///
    /// # Errors
    /// `Io` if it cannot be read or is not what was written.
    pub(crate) async fn block(&self, range: BlockRange) -> Result<RecordBatch> {
        let inner = Arc::clone(&self.inner);
        off_thread(move || inner.read(range)).await
    }

    /// Gives back the disk of a block that nobody reads any more, where the system can make a hole
    /// in a file. Elsewhere the file keeps it until it is removed.
    pub(crate) fn release(&self, range: BlockRange) {
        let bytes = range.stored_bytes as u64;
        if punch(&self.inner.file, range.offset, bytes).is_ok() {
            self.inner.store.give_disk(bytes);
            self.inner.released.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// The batches of these blocks, in this order, read a little ahead.
    pub(crate) fn read(&self, blocks: Vec<BlockRange>) -> SendableRecordBatchStream {
        let inner = Arc::clone(&self.inner);
        let batches = stream::iter(blocks)
            .map(move |range| {
                let inner = Arc::clone(&inner);
                async move { Ok(off_thread(move || inner.read(range)).await?) }
            })
            .buffered(READ_AHEAD);
        Box::pin(RecordBatchStreamAdapter::new(Arc::clone(self.schema()), batches))
    }
}

impl Inner {
    /// Writes a block after the others and says where.
    fn write(&self, block: &[u8]) -> Result<u64> {
        let bytes = block.len() as u64;
        self.store.take_disk(bytes, &self.path)?;
        let offset = self.length.fetch_add(bytes, Ordering::Relaxed);
        let started = Instant::now();
        write_at(&self.file, block, offset).map_err(|err| Error::io("write", &self.path, err))?;
        self.store.add_written(block, started);
        Ok(offset)
    }

    fn read(&self, range: BlockRange) -> Result<RecordBatch> {
        let mut block = vec![0; range.stored_bytes];
        read_at(&self.file, &mut block, range.offset).map_err(|err| unreadable(&self.path, err))?;
        if self.store.alters_next_read() {
            let middle = block.len() / 2;
            block[middle] ^= 1;
        }
        let batch = block::decode(&block, &self.schema, &self.path)?;
        if batch.num_rows() != range.rows {
            return Err(super::damaged(&self.path, "is damaged: rows are missing"));
        }
        Ok(batch)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let length = self.length.load(Ordering::Relaxed);
        self.store.give_disk(length - self.released.load(Ordering::Relaxed));
        // Gone already if the store was closed.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The error of a file that could not be read.
pub(super) fn unreadable(path: &Path, err: io::Error) -> Error {
    if err.kind() == io::ErrorKind::UnexpectedEof {
        return super::damaged(path, "was cut");
    }
    Error::io("read", path, err)
}

/// Makes a hole in a file. Only whole pages of it are given back by the system.
#[cfg(target_os = "linux")]
fn punch(file: &File, offset: u64, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    Ok(fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, bytes)?)
}

#[cfg(not(target_os = "linux"))]
fn punch(_: &File, _: u64, _: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
fn write_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, offset)
}

#[cfg(unix)]
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use futures::TryStreamExt;

    use super::*;
    use crate::session::{Knobs, SessionOptions};

    fn store(knobs: Knobs, limit: u64) -> (tempfile::TempDir, SpillStore) {
        let parent = tempfile::tempdir().unwrap();
        let options = SessionOptions { knobs, ..SessionOptions::new() }
            .temp_dirs([parent.path()])
            .max_temp_bytes(limit);
        (parent, SpillStore::new(&options).unwrap())
    }

    fn numbers(from: i64, to: i64) -> RecordBatch {
        let column = Int64Array::from_iter_values(from..to);
        RecordBatch::try_from_iter([("n", Arc::new(column) as _)]).unwrap()
    }

    /// Files below a folder, the lock aside.
    fn files(folder: &Path) -> usize {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries
            .map(|entry| match entry.file_type().unwrap().is_dir() {
                true => files(&entry.path()),
                false => usize::from(entry.file_name() != "lock"),
            })
            .sum()
    }

    #[tokio::test]
    async fn blocks_are_read_in_any_order() {
        let (parent, store) = store(Knobs::default(), 1 << 30);
        let file = store.create("test", numbers(0, 0).schema()).unwrap();
        let mut ranges = Vec::new();
        for i in 0..5 {
            ranges.push(file.append(&numbers(i * 10, i * 10 + 10), 80).await.unwrap());
        }
        ranges.push(file.append_now(&numbers(50, 60), 80).unwrap());
        ranges.reverse();
        let batches: Vec<RecordBatch> = file.read(ranges).try_collect().await.unwrap();
        assert_eq!(batches.len(), 6);
        assert_eq!((batches[0].clone(), batches[5].clone()), (numbers(50, 60), numbers(0, 10)));
        assert!(store.metrics().disk_bytes > 0);
        assert_eq!(files(parent.path()), 1);
        drop(file);
        assert_eq!((store.metrics().disk_bytes, files(parent.path())), (0, 0));
    }

    #[tokio::test]
    async fn a_released_block_takes_no_disk() {
        let (_parent, store) = store(Knobs::default(), 1 << 30);
        let file = store.create("test", numbers(0, 0).schema()).unwrap();
        let first = file.append(&numbers(0, 100_000), 800_000).await.unwrap();
        let second = file.append(&numbers(7, 9), 16).await.unwrap();
        let before = store.metrics().disk_bytes;
        file.release(first);
        if cfg!(target_os = "linux") {
            assert_eq!(store.metrics().disk_bytes, before - first.stored_bytes as u64);
        }
        assert_eq!(file.block(second).await.unwrap(), numbers(7, 9));
        drop(file);
        assert_eq!(store.metrics().disk_bytes, 0);
    }

    #[tokio::test]
    async fn a_cut_or_deleted_file_is_an_error() {
        let (parent, store) = store(Knobs::default(), 1 << 30);
        let file = store.create("test", numbers(0, 0).schema()).unwrap();
        let range = file.append(&numbers(0, 1000), 8000).await.unwrap();
        file.inner.file.set_len(range.stored_bytes as u64 - 1).unwrap();
        let read = file.read(vec![range]).try_collect::<Vec<_>>().await;
        let err = Error::from(read.unwrap_err());
        assert!(err.to_string().ends_with("was cut"), "{err}");
        assert!(err.to_string().contains(&parent.path().display().to_string()));
    }

    #[tokio::test]
    async fn faults_and_quotas() {
        let (_parent, store_that_fails) =
            store(Knobs { fail_write: Some(2), ..Knobs::default() }, 1 << 30);
        let file = store_that_fails.create("test", numbers(0, 0).schema()).unwrap();
        file.append(&numbers(0, 10), 80).await.unwrap();
        let err = file.append(&numbers(0, 10), 80).await.unwrap_err();
        assert_eq!(err.kind(), crate::ErrorKind::Io);
        file.append(&numbers(0, 10), 80).await.unwrap();

        let (_parent, small) = store(Knobs::default(), 4000);
        let file = small.create("test", numbers(0, 0).schema()).unwrap();
        let result = (0..100).try_for_each(|i| file.append_now(&numbers(i, i + 9), 72).map(drop));
        let err = result.unwrap_err();
        assert_eq!(err.kind(), crate::ErrorKind::Resources);
        assert!(err.hint().unwrap().contains("--max-temp-size"));
        assert!(small.metrics().disk_bytes <= 4000);
    }
}
