//! Offsets of bytes → numbers of lines, for people.

use datafusion::error::Result;
use object_store::ObjectMeta;

use super::cuts::FileCuts;
use super::dialect::Dialect;
use super::input::{Input, Piece};
use crate::scan::store::FileStore;

/// How much of a file is looked at at once.
const PIECE_BYTES: usize = 1 << 20;

/// The numbers, from 1, of the lines that these bytes of a file are on. The offsets, which ascend,
/// are those of the file after decompression and translation. Reads the file from its beginning.
pub(crate) async fn line_numbers(
    store: &FileStore,
    meta: &ObjectMeta,
    dialect: &Dialect,
    offsets: &[u64],
) -> Result<Vec<u64>> {
    let mut input = Input::open(store, meta, dialect, &FileCuts::default(), 1).await?;
    input.read_ahead(meta.size, dialect);
    let newline = dialect.newline.byte();
    let mut piece = Piece::default();
    let mut numbers = Vec::with_capacity(offsets.len());
    let (mut position, mut number) = (0, 1);
    for offset in offsets {
        while position < *offset {
            if position >= piece.end() {
                input.load(&mut piece, position, PIECE_BYTES).await?;
            }
            let from = (position - piece.base) as usize;
            let bytes = &piece.bytes[from..];
            let bytes = &bytes[..bytes.len().min((offset - position) as usize)];
            if bytes.is_empty() {
                break;
            }
            number += memchr::memchr_iter(newline, bytes).count() as u64;
            position += bytes.len() as u64;
        }
        numbers.push(number);
    }
    Ok(numbers)
}
