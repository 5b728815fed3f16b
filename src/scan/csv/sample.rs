//! What is looked at of a file before it is read.

use bytes::Bytes;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::error::Result;
use object_store::ObjectMeta;

use super::cuts::FileCuts;
use super::dialect::{Dialect, MAX_RECORD_BYTES};
use super::input::{Input, Piece};
use super::options::CsvOptions;
use crate::scan::store::FileStore;

/// The size of a file and what can be learnt of it without reading it whole.
pub(crate) struct Sample {
    /// The first bytes of the file, decompressed: 256 KiB, or as many as its first lines need.
    pub(crate) head: Vec<u8>,
    /// Whether `head` is the whole file.
    pub(crate) whole: bool,
    /// Pieces from further on; each begins and ends in the middle of some record. None for a
    /// compressed file, which cannot be entered in the middle.
    pub(crate) pieces: Vec<Bytes>,
}

/// How much is read from the front of a file at least.
const HEAD_BYTES: u64 = 256 << 10;
/// How many further places of a file are looked at, and how much is read at each.
const PIECE_COUNT: u64 = 16;
const PIECE_BYTES: u64 = 32 << 10;
/// The front does not grow beyond this for the sake of long lines: it is not counted against the
/// memory limit.
const MOST_HEAD_BYTES: usize = 4 << 20;

impl Sample {
    /// Reads the front of a file, so that it holds the first lines that are not skipped unless they
    /// are longer than 4 MiB, and pieces spread evenly over the rest, the last at its end.
    pub(crate) async fn read(
        store: &FileStore,
        object: &ObjectMeta,
        options: &CsvOptions,
        compression: FileCompressionType,
    ) -> Result<Self> {
        let dialect = Dialect { compression, ..Dialect::default() };
        let mut input = Input::open(store, object, &dialect, &FileCuts::default(), 1).await?;
        let mut piece = Piece::default();
        let mut count = HEAD_BYTES as usize;
        loop {
            input.load(&mut piece, 0, count).await?;
            let head = &piece.bytes[..piece.bytes.len().min(count)];
            if piece.at_end || count >= MOST_HEAD_BYTES || !options.needs_more(head) {
                break;
            }
            count *= 2;
        }
        let (mut head, mut whole) = (piece.bytes, piece.at_end);
        if head.len() > count {
            head.truncate(count);
            whole = false;
        }
        let head_bytes = head.len() as u64;
        let (location, size) = (&object.location, object.size);
        let mut pieces = Vec::new();
        if !whole && !compression.is_compressed() {
            let last = size.saturating_sub(PIECE_BYTES).max(head_bytes);
            let step = ((last - head_bytes) / PIECE_COUNT).max(PIECE_BYTES);
            let mut starts: Vec<u64> = (head_bytes..last).step_by(step as usize).collect();
            starts.push(last);
            let ranges: Vec<_> =
                starts.iter().map(|start| *start..(start + PIECE_BYTES).min(size)).collect();
            pieces = store.get_ranges(location, &ranges).await?;
        }
        Ok(Sample { head, whole, pieces })
    }
}

impl CsvOptions {
    /// Whether the front of a file is too short to be looked at: two lines must end in it after
    /// those that are skipped. Quotes are not known yet, nor is whether `\r` ends lines.
    fn needs_more(&self, head: &[u8]) -> bool {
        let skipped = self.skip_lines.unwrap_or(0);
        let ends = |newline| memchr::memchr_iter(newline, head);
        let newline = [b'\n', b'\r'].into_iter().max_by_key(|newline| ends(*newline).count());
        let mut ends = newline.into_iter().flat_map(ends).skip(skipped.saturating_sub(1));
        let start = if skipped > 0 { ends.next() } else { Some(0) };
        let most = self.max_record_bytes.unwrap_or(MAX_RECORD_BYTES);
        ends.nth(1).is_none() && start.is_none_or(|start| head.len() - start <= 2 * most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lines_are_looked_at() {
        let needs_more = |head: &[u8], skip, most| {
            CsvOptions::new().skip_lines(skip).max_record_bytes(most).needs_more(head)
        };
        for (head, skip, most, expected) in [
            (&b"a,b\n1,"[..], 0, 100, true),
            (b"a,b\n1,2\n", 0, 100, false),
            (b"a,b\r\n1,2\r\n", 0, 100, false),
            (b"a,b\r1,2\r", 0, 100, false),
            (b"title\na,b\n1,2\n", 1, 100, false),
            (b"title\na,b\n1,2\n", 2, 100, true),
            // No more than a header and a row of the length allowed.
            (b"a,b,c,d,e,", 0, 4, false),
            (b"title\n", 2, 1, true),
        ] {
            assert_eq!(needs_more(head, skip, most), expected, "{head:?}, {skip} skipped");
        }
    }
}
