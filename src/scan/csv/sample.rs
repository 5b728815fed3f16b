//! What is looked at of a file before it is read.

use bytes::Bytes;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::error::Result;
use object_store::ObjectMeta;

use super::cuts::FileCuts;
use super::dialect::Dialect;
use super::input::{Input, Piece};
use crate::scan::store::FileStore;

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
        store: &FileStore,
        object: &ObjectMeta,
        compression: FileCompressionType,
    ) -> Result<Self> {
        let dialect = Dialect { compression, ..Dialect::default() };
        let mut input = Input::open(store, object, &dialect, &FileCuts::default(), 1).await?;
        let mut piece = Piece::default();
        input.load(&mut piece, 0, HEAD_BYTES as usize).await?;
        let (mut head, mut whole) = (piece.bytes, piece.at_end);
        if head.len() as u64 > HEAD_BYTES {
            head.truncate(HEAD_BYTES as usize);
            whole = false;
        }
        let (location, size) = (&object.location, object.size);
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
