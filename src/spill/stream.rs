//! Temporary files for DataFusion's operators, which write and read streams of bytes.
//!
//! The bytes are cut into frames with a checksum (`block::seal`, uncompressed: DataFusion has
//! compressed them). Writing is buffered, reading runs ahead on a thread for blocking work.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::Result as DataFusionResult;
use datafusion::execution::{SpillFile, SpillWriter, TempFileFactory};
use futures::{Stream, StreamExt, stream};

use super::{SpillStore, block, ended, file};
use crate::error::{Error, Result};

/// Bytes in a frame.
const FRAME_BYTES: usize = 256 << 10;

/// Makes the files; see [`TempFileFactory`].
pub(crate) struct StreamFiles {
    pub(crate) store: SpillStore,
}

impl TempFileFactory for StreamFiles {
    fn create_temp_file(&self, _description: &str) -> DataFusionResult<Arc<dyn SpillFile>> {
        let path = self.store.next_path("run");
        File::create_new(&path).map_err(|err| Error::io("create", &path, err))?;
        let length = Arc::new(AtomicU64::new(0));
        Ok(Arc::new(StreamFile { store: self.store.clone(), path, length }))
    }
}

/// A file of frames, removed when dropped.
struct StreamFile {
    store: SpillStore,
    path: PathBuf,
    length: Arc<AtomicU64>,
}

impl SpillFile for StreamFile {
    fn path(&self) -> Option<&Path> {
        Some(&self.path)
    }

    fn size(&self) -> Option<u64> {
        Some(self.length.load(Ordering::Relaxed))
    }

    fn read_stream(
        &self,
    ) -> DataFusionResult<Pin<Box<dyn Stream<Item = DataFusionResult<Bytes>> + Send>>> {
        let file = File::open(&self.path).map_err(|err| Error::io("open", &self.path, err))?;
        let frames = Frames {
            file: BufReader::with_capacity(FRAME_BYTES, file),
            path: self.path.clone(),
            left: self.length.load(Ordering::Relaxed),
            store: self.store.clone(),
        };
        // The next frame is read while this one is used.
        let first = SpawnedTask::spawn_blocking(move || frames.next());
        Ok(stream::try_unfold(Some(first), |reading| async {
            let Some(reading) = reading else { return Ok(None) };
            let Some((frame, frames)) = ended(reading).await? else { return Ok(None) };
            Ok(Some((frame, Some(SpawnedTask::spawn_blocking(move || frames.next())))))
        })
        .boxed())
    }

    fn open_writer(&self) -> DataFusionResult<Box<dyn SpillWriter>> {
        let file = File::options()
            .append(true)
            .open(&self.path)
            .map_err(|err| Error::io("open", &self.path, err))?;
        Ok(Box::new(FrameWriter {
            file,
            path: self.path.clone(),
            store: self.store.clone(),
            length: Arc::clone(&self.length),
            frame: Vec::with_capacity(FRAME_BYTES),
        }))
    }
}

impl Drop for StreamFile {
    fn drop(&mut self) {
        self.store.give_disk(self.length.load(Ordering::Relaxed));
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Reads frame after frame.
struct Frames {
    file: BufReader<File>,
    path: PathBuf,
    /// Bytes of the file that were not read.
    left: u64,
    store: SpillStore,
}

impl Frames {
    /// The bytes of the next frame, and the reader for those after it.
    fn next(mut self) -> Result<Option<(Bytes, Self)>> {
        if self.left == 0 {
            return Ok(None);
        }
        let unreadable = |err| file::unreadable(&self.path, err);
        let mut frame = vec![0; block::HEADER_BYTES];
        self.file.read_exact(&mut frame).map_err(unreadable)?;
        let stored = block::stored_bytes(&frame, &self.path)?;
        let length = (block::HEADER_BYTES + stored) as u64;
        if length > self.left {
            return Err(super::damaged(&self.path, "is damaged: a length is too large"));
        }
        frame.resize(block::HEADER_BYTES + stored, 0);
        self.file.read_exact(&mut frame[block::HEADER_BYTES..]).map_err(unreadable)?;
        if self.store.alters_next_read() {
            let middle = frame.len() / 2;
            frame[middle] ^= 1;
        }
        self.left -= length;
        block::check(&frame, &self.path)?;
        Ok(Some((Bytes::from(frame).slice(block::HEADER_BYTES..), self)))
    }
}

/// Collects bytes into frames.
struct FrameWriter {
    file: File,
    path: PathBuf,
    store: SpillStore,
    length: Arc<AtomicU64>,
    frame: Vec<u8>,
}

impl FrameWriter {
    fn write_frame(&mut self) -> Result<()> {
        if self.frame.is_empty() {
            return Ok(());
        }
        let block = block::seal(&self.frame);
        self.store.take_disk(block.len() as u64, &self.path)?;
        self.length.fetch_add(block.len() as u64, Ordering::Relaxed);
        let started = Instant::now();
        self.file.write_all(&block).map_err(|err| Error::io("write", &self.path, err))?;
        self.store.add_written(&block, started);
        self.frame.clear();
        Ok(())
    }
}

impl Write for FrameWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(FRAME_BYTES - self.frame.len());
        self.frame.extend_from_slice(&bytes[..taken]);
        if self.frame.len() == FRAME_BYTES {
            self.write_frame().map_err(io::Error::other)?;
        }
        Ok(taken)
    }

    /// A frame ends when it is full or the file is finished, not here: many small frames would be
    /// slow.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SpillWriter for FrameWriter {
    fn finish(&mut self) -> DataFusionResult<()> {
        Ok(self.write_frame()?)
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;
    use crate::session::SessionOptions;

    #[tokio::test]
    async fn a_stream_is_read_as_it_was_written_or_is_an_error() {
        let parent = tempfile::tempdir().unwrap();
        let store = SpillStore::new(&SessionOptions::new().temp_dirs([parent.path()])).unwrap();
        let files = StreamFiles { store: store.clone() };
        let file = files.create_temp_file("test").unwrap();
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|i| (i % 251) as u8).collect();
        let mut writer = file.open_writer().unwrap();
        for piece in bytes.chunks(70_001) {
            writer.write_all(piece).unwrap();
        }
        writer.finish().unwrap();
        drop(writer);
        let read = |file: &Arc<dyn SpillFile>| file.read_stream().unwrap().try_collect::<Vec<_>>();
        assert_eq!(read(&file).await.unwrap().concat(), bytes);
        assert_eq!(store.metrics().disk_bytes, file.size().unwrap());

        let path = file.path().unwrap().to_path_buf();
        let mut stored = std::fs::read(&path).unwrap();
        stored[600_000] ^= 4;
        std::fs::write(&path, &stored).unwrap();
        assert!(read(&file).await.unwrap_err().to_string().contains("is damaged"));
        std::fs::write(&path, &stored[..500_000]).unwrap();
        assert!(read(&file).await.is_err());
        drop(file);
        assert!(!path.exists());
        assert_eq!(store.metrics().disk_bytes, 0);
    }
}
