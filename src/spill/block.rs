//! A block: a record batch as bytes, compressed and with a checksum.
//!
//! ```text
//! magic u32 │ codec u32 │ raw length u64 │ stored length u64 │ XXH64 of what follows u64 │
//! plain length u64 │ plain bytes │ bytes that the codec has compressed
//! ```
//!
//! All numbers are little-endian. `pack` says what the bytes are. Those for the codec are compressed as
//! a whole: one long match window and one call. The raw length is that of these before compression, the
//! stored length that of the plain and the compressed bytes. The checksum is XXH64 (Y. Collet).

use std::path::Path;

use arrow::array::RecordBatch;
use arrow::buffer::{Buffer, MutableBuffer};
use arrow::datatypes::SchemaRef;
use twox_hash::XxHash64;

use super::damaged;
use super::pack::{Packed, pack, unpack};
use crate::error::Result;
use crate::session::SpillCompression;

const MAGIC: u32 = u32::from_le_bytes(*b"BRIM");

/// Bytes before those of the batch.
pub(super) const HEADER_BYTES: usize = 40;

/// What the checksum covers begins here.
const CHECKED_FROM: usize = 32;

/// zstd's fastest positive level: spilling is about time.
const ZSTD_LEVEL: i32 = 1;

/// A block of one batch, with its header.
pub(super) fn encode(batch: &RecordBatch, compression: SpillCompression) -> Result<Vec<u8>> {
    let Packed { plain, rest } = pack(batch)?;
    Ok(sealed(&plain, &rest, compression))
}

/// Puts a header before bytes.
pub(super) fn seal(raw: &[u8]) -> Vec<u8> {
    sealed(raw, &[], SpillCompression::None)
}

/// Puts a header before plain bytes and others, which are compressed if that makes them fewer.
fn sealed(plain: &[u8], raw: &[u8], compression: SpillCompression) -> Vec<u8> {
    let start = HEADER_BYTES + plain.len();
    let mut block = Vec::with_capacity(start + raw.len());
    block.resize(HEADER_BYTES, 0);
    block.extend(plain);
    let compressed = match compression {
        SpillCompression::None => false,
        SpillCompression::Lz4 => {
            block.resize(start + lz4_flex::block::get_maximum_output_size(raw.len()), 0);
            let written = lz4_flex::block::compress_into(raw, &mut block[start..]);
            block.truncate(start + written.as_ref().map_or(0, |length| *length));
            written.is_ok_and(|length| length < raw.len())
        }
        SpillCompression::Zstd => {
            let bytes = zstd::bulk::compress(raw, ZSTD_LEVEL);
            block.extend_from_slice(bytes.as_deref().unwrap_or_default());
            bytes.is_ok_and(|bytes| bytes.len() < raw.len())
        }
    };
    let codec = if compressed { compression } else { SpillCompression::None };
    if !compressed {
        block.truncate(start);
        block.extend_from_slice(raw);
    }
    let stored = (block.len() - HEADER_BYTES) as u64;
    block[CHECKED_FROM..HEADER_BYTES].copy_from_slice(&(plain.len() as u64).to_le_bytes());
    let seed = seed(codec_number(codec).into(), raw.len() as u64);
    let checksum = XxHash64::oneshot(seed, &block[CHECKED_FROM..]);
    block[0..4].copy_from_slice(&MAGIC.to_le_bytes());
    block[4..8].copy_from_slice(&codec_number(codec).to_le_bytes());
    block[8..16].copy_from_slice(&(raw.len() as u64).to_le_bytes());
    block[16..24].copy_from_slice(&stored.to_le_bytes());
    block[24..32].copy_from_slice(&checksum.to_le_bytes());
    block
}

/// How many bytes follow a header.
pub(super) fn stored_bytes(header: &[u8], path: &Path) -> Result<usize> {
    match (number(header, 0, 4), number(header, 16, 24)) {
        (Some(magic), Some(stored)) if magic == u64::from(MAGIC) => {
            usize::try_from(stored).map_err(|_| damaged(path, "is damaged: a length is too large"))
        }
        _ => Err(damaged(path, "is damaged: a block does not begin where it should")),
    }
}

/// Bytes that a sealed block holds before compression.
pub(super) fn raw_bytes(block: &[u8]) -> u64 {
    let field = |from, to| number(block, from, to).unwrap_or(0);
    field(8, 16).saturating_add(field(CHECKED_FROM, HEADER_BYTES))
}

/// Whether a block is as it was sealed; `path` is for the message.
pub(super) fn check(block: &[u8], path: &Path) -> Result<()> {
    let stored = stored_bytes(block, path)?;
    if block.len() - HEADER_BYTES != stored {
        return Err(damaged(path, "was cut"));
    }
    let field = |from, to| number(block, from, to).unwrap_or(0);
    let seed = seed(field(4, 8), field(8, 16));
    if XxHash64::oneshot(seed, &block[CHECKED_FROM..]) != field(24, 32) {
        return Err(damaged(path, "is damaged: a checksum is wrong"));
    }
    Ok(())
}

/// The plain bytes that were sealed, and the others.
fn open<'a>(block: &'a [u8], path: &Path) -> Result<(&'a [u8], Buffer)> {
    check(block, path)?;
    let field = |from, to| number(block, from, to).unwrap_or(0);
    let wrong = || damaged(path, "is damaged: a block cannot be decompressed");
    let plain = usize::try_from(field(CHECKED_FROM, HEADER_BYTES)).map_err(|_| wrong())?;
    let (plain, bytes) = block[HEADER_BYTES..].split_at_checked(plain).ok_or_else(wrong)?;
    let stored = bytes.len();
    let length = usize::try_from(field(8, 16)).map_err(|_| wrong())?;
    let mut raw = MutableBuffer::from_len_zeroed(length);
    let written = match field(4, 8) {
        0 if length == stored => {
            raw.as_slice_mut().copy_from_slice(bytes);
            length
        }
        1 => lz4_flex::block::decompress_into(bytes, raw.as_slice_mut()).map_err(|_| wrong())?,
        2 => zstd::bulk::decompress_to_buffer(bytes, raw.as_slice_mut()).map_err(|_| wrong())?,
        _ => return Err(wrong()),
    };
    if written != length {
        return Err(wrong());
    }
    Ok((plain, raw.into()))
}

/// The batch of a block.
pub(super) fn decode(block: &[u8], schema: &SchemaRef, path: &Path) -> Result<RecordBatch> {
    let (plain, rest) = open(block, path)?;
    // SAFETY: by its checksum the block is one that `encode` made of a valid batch, in a folder that
    // only this user can write to.
    let batch = unsafe { unpack(plain, &rest, schema)? };
    batch.ok_or_else(|| damaged(path, "is damaged: a batch is missing"))
}

/// The checksum begins with this, so that it also covers the header.
fn seed(codec: u64, raw_bytes: u64) -> u64 {
    raw_bytes ^ codec.rotate_right(8)
}

fn number(bytes: &[u8], from: usize, to: usize) -> Option<u64> {
    let mut word = [0; 8];
    word[..to - from].copy_from_slice(bytes.get(from..to)?);
    Some(u64::from_le_bytes(word))
}

fn codec_number(compression: SpillCompression) -> u32 {
    match compression {
        SpillCompression::None => 0,
        SpillCompression::Lz4 => 1,
        SpillCompression::Zstd => 2,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, DictionaryArray, Int64Array, ListArray, StringArray,
        StringViewArray,
    };
    use arrow::datatypes::{Int8Type, Int32Type};

    use super::*;

    fn batch() -> RecordBatch {
        let rows = 1000_i64;
        let text: Vec<Option<String>> =
            (0..rows).map(|i| (i % 7 != 0).then(|| format!("text number {i}"))).collect();
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(
            (0..rows).map(|i| Some(vec![Some(i as i32), None])),
        );
        let names: Vec<&str> = (0..rows).map(|i| ["a", "b", "c"][i as usize % 3]).collect();
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("number", Arc::new(Int64Array::from_iter_values(0..rows))),
            ("flag", Arc::new(BooleanArray::from_iter((0..rows).map(|i| Some(i % 2 == 0))))),
            ("text", Arc::new(StringArray::from(text.clone()))),
            ("view", Arc::new(StringViewArray::from_iter(text))),
            ("list", Arc::new(list)),
            ("name", Arc::new(names.into_iter().collect::<DictionaryArray<Int8Type>>())),
        ];
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(n, c)| (n, c, true)))
            .unwrap()
    }

    #[test]
    fn every_codec_gives_back_what_was_put_in() {
        let path = Path::new("x");
        for codec in [SpillCompression::None, SpillCompression::Lz4, SpillCompression::Zstd] {
            for batch in [batch(), batch().slice(3, 500), batch().slice(0, 0)] {
                let block = encode(&batch, codec).unwrap();
                assert_eq!(stored_bytes(&block, path).unwrap(), block.len() - HEADER_BYTES);
                assert_eq!(decode(&block, &batch.schema(), path).unwrap(), batch);
            }
        }
        let raw = encode(&batch(), SpillCompression::None).unwrap().len();
        assert!(encode(&batch(), SpillCompression::Lz4).unwrap().len() < raw / 2);
    }

    #[test]
    fn bytes_that_do_not_compress_are_kept_as_they_are() {
        let mut state = 1_u64;
        let noise: Vec<u8> = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .take(5000)
        .collect();
        for codec in [SpillCompression::Lz4, SpillCompression::Zstd] {
            let block = sealed(b"plain", &noise, codec);
            assert_eq!(block.len(), HEADER_BYTES + 5 + noise.len());
            let (plain, rest) = open(&block, Path::new("x")).unwrap();
            assert_eq!((plain, rest.as_slice()), (b"plain".as_slice(), noise.as_slice()));
        }
    }

    #[test]
    fn any_altered_or_missing_byte_is_an_error() {
        let batch = batch();
        let schema = batch.schema();
        let block = encode(&batch, SpillCompression::Lz4).unwrap();
        for at in (0..HEADER_BYTES).chain((HEADER_BYTES..block.len()).step_by(97)) {
            let mut altered = block.clone();
            altered[at] ^= 0x10;
            let err = decode(&altered, &schema, Path::new("/tmp/file")).unwrap_err();
            assert!(err.to_string().contains("the temporary file \"/tmp/file\""), "{at}: {err}");
        }
        for length in [0, 5, HEADER_BYTES, block.len() - 1] {
            assert!(decode(&block[..length], &schema, Path::new("x")).is_err(), "{length}");
        }
    }
}
