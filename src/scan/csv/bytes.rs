//! The bytes of a file in large pieces, from disk, from a decoder or from an object store.

use std::io::{Read, Seek, SeekFrom};

use bytes::Bytes;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::error::{DataFusionError, Result};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResultPayload, ObjectStore};

use crate::error::Error;

/// How much is asked of the system in one read: large enough for sequential speed, small enough
/// that one buffer a partition does not count against any sensible memory limit.
const READ_BYTES: usize = 1 << 20;

/// A source of bytes that is read like a `BufRead`.
pub(crate) enum ByteSource {
    /// A local file, or a decoder over one. Reads block, as they are served from the page cache or
    /// by the decoder on this core.
    Read { read: Box<dyn Read + Send>, buffer: Vec<u8>, start: usize, end: usize },
    /// Pieces that arrive from elsewhere.
    Stream { stream: BoxStream<'static, Result<Bytes>>, piece: Bytes },
}

impl ByteSource {
    /// Opens `location` from byte `offset` to its end, decompressed. `offset` must be 0 for a
    /// compressed file.
    pub(crate) async fn open(
        store: &dyn ObjectStore,
        location: &Path,
        offset: u64,
        compression: FileCompressionType,
    ) -> Result<Self> {
        debug_assert!(offset == 0 || !compression.is_compressed());
        let range = (offset > 0).then_some(GetRange::Offset(offset));
        let options = GetOptions { range, ..Default::default() };
        let result = store.get_opts(location, options).await?;
        match result.payload {
            GetResultPayload::File(mut file, _) => {
                file.seek(SeekFrom::Start(offset))?;
                let read: Box<dyn Read + Send> = if compression.is_compressed() {
                    Box::new(compression.convert_read(file)?)
                } else {
                    Box::new(file)
                };
                Ok(ByteSource::Read { read, buffer: vec![0; READ_BYTES], start: 0, end: 0 })
            }
            GetResultPayload::Stream(stream) => {
                let stream = stream.map(|piece| piece.map_err(DataFusionError::from)).boxed();
                let stream = compression.convert_stream(stream)?;
                Ok(ByteSource::Stream { stream, piece: Bytes::new() })
            }
        }
    }

    /// The next unconsumed bytes; empty at the end.
    pub(crate) async fn fill(&mut self, location: &Path) -> Result<&[u8]> {
        match self {
            ByteSource::Read { read, buffer, start, end } => {
                if start == end {
                    *start = 0;
                    *end = loop {
                        match read.read(buffer) {
                            Ok(count) => break count,
                            Err(err) if err.kind() == std::io::ErrorKind::Interrupted => {}
                            Err(err) => return Err(unreadable(location, err)),
                        }
                    };
                }
                Ok(&buffer[*start..*end])
            }
            ByteSource::Stream { stream, piece } => {
                while piece.is_empty() {
                    match stream.next().await {
                        Some(next) => *piece = next?,
                        None => break,
                    }
                }
                Ok(piece)
            }
        }
    }

    /// Marks the first `count` bytes of the last `fill` as used.
    pub(crate) fn consume(&mut self, count: usize) {
        match self {
            ByteSource::Read { start, end, .. } => {
                debug_assert!(*start + count <= *end);
                *start += count;
            }
            ByteSource::Stream { piece, .. } => {
                let _ = piece.split_to(count);
            }
        }
    }
}

fn unreadable(location: &Path, err: std::io::Error) -> DataFusionError {
    Error::io("read", crate::scan::shown_path(location), err).into()
}

/// The size of a file and what can be learnt of it without reading it whole.
pub(crate) struct Sample {
    /// The first bytes of the file, decompressed.
    pub(crate) head: Vec<u8>,
    /// Whether `head` is the whole file.
    pub(crate) whole: bool,
    /// Pieces from further on; each begins and ends in the middle of some record. None for a
    /// compressed file, which cannot be entered in the middle.
    pub(crate) pieces: Vec<Bytes>,
}

/// How much is read from the front of a file.
const HEAD_BYTES: u64 = 256 << 10;
/// How many further places of a file are looked at, and how much is read at each.
const PIECE_COUNT: u64 = 16;
const PIECE_BYTES: u64 = 32 << 10;

impl Sample {
    /// Reads the front of a file and pieces spread evenly over the rest, the last at its end.
    pub(crate) async fn read(
        store: &dyn ObjectStore,
        location: &Path,
        size: u64,
        compression: FileCompressionType,
    ) -> Result<Self> {
        let mut source = ByteSource::open(store, location, 0, compression).await?;
        let mut head = Vec::new();
        let mut whole = false;
        while (head.len() as u64) < HEAD_BYTES {
            let bytes = source.fill(location).await?;
            if bytes.is_empty() {
                whole = true;
                break;
            }
            let count = bytes.len().min(HEAD_BYTES as usize - head.len());
            head.extend_from_slice(&bytes[..count]);
            source.consume(count);
        }
        whole |= !compression.is_compressed() && head.len() as u64 >= size;
        let mut pieces = Vec::new();
        if !whole && !compression.is_compressed() {
            let last = size.saturating_sub(PIECE_BYTES).max(HEAD_BYTES);
            let step = ((last - HEAD_BYTES) / PIECE_COUNT).max(PIECE_BYTES);
            let mut starts: Vec<u64> = (HEAD_BYTES..last).step_by(step as usize).collect();
            starts.push(last);
            let ranges: Vec<_> =
                starts.iter().map(|start| *start..(start + PIECE_BYTES).min(size)).collect();
            pieces = store.get_ranges(location, &ranges).await?;
        }
        Ok(Sample { head, whole, pieces })
    }
}
