//! bzip2: blocks that begin at any bit of a stream, found by the 48 bits that begin them.
//!
//! A block is decoded as a stream of its own: a header is put before it and an end after it. If the
//! bits that end it are by chance a part of it, decoding fails, and what follows up to the next such
//! bits is added to it.

use std::io;

use bzip2::{Decompress, Status};

use super::order::Seal;
use super::source::Source;
use super::worker::{Cut, Halt, Job, PartWorker, cut_short, damaged, foreign};

const FORMAT: &str = "bzip2";

/// The bits that begin a block, and those that end a stream: digits of π and of its square root.
const BLOCK_MAGIC: u64 = 0x3141_5926_5359;
const END_MAGIC: u64 = 0x1772_4538_5090;
const MAGIC_BITS: u64 = 48;
const CHECKSUM_BITS: u64 = 32;

/// `BZh` and a digit.
const HEADER_BYTES: u64 = 4;

/// A block has at most 900,000 symbols of at most 20 bits, and tables.
const MAX_BLOCK_BITS: u64 = 8 * (3 << 20);

/// Bits of the file from which a block is decoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment {
    /// The first bit of the magic.
    pub(super) start: u64,
    /// The first bit of the next magic.
    pub(super) end: u64,
}

/// Finds the blocks and ends of streams.
#[derive(Default)]
pub(super) struct Segments {
    /// In bits.
    position: u64,
    is_in_stream: bool,
}

impl Cut for Segments {
    fn next(
        &mut self,
        source: &Source,
        _block_bytes: usize,
    ) -> io::Result<Option<(Job, Option<u64>)>> {
        if !self.is_in_stream {
            let start = self.position / 8;
            if start > 0 && source.is_zero_from(start)? {
                return Ok(None);
            }
            let mut header = [0; HEADER_BYTES as usize];
            let count = source.read_at(&mut header, start)?;
            match &header[..count] {
                [b'B', b'Z', b'h', b'1'..=b'9'] => {}
                [] | [b'B'] | [b'B', b'Z'] | [b'B', b'Z', b'h'] => {
                    return Err(cut_short(FORMAT, source.length));
                }
                _ => return Err(foreign(FORMAT, start)),
            }
            self.position += 8 * HEADER_BYTES;
            self.is_in_stream = true;
        }
        let start = self.position;
        let checksum_at = start + MAGIC_BITS;
        match bits(source, start, MAGIC_BITS)? {
            Some(BLOCK_MAGIC) => {
                let end = find_magic(source, checksum_at + CHECKSUM_BITS)?
                    .ok_or_else(|| no_end(source, start))?;
                self.position = end;
                Ok(Some((Job::Bzip2Block(Segment { start, end }), Some(end))))
            }
            Some(END_MAGIC) => {
                let checksum = bits(source, checksum_at, CHECKSUM_BITS)?
                    .ok_or_else(|| cut_short(FORMAT, source.length))?;
                self.position = (checksum_at + CHECKSUM_BITS).next_multiple_of(8);
                self.is_in_stream = false;
                Ok(Some((Job::Bzip2End(checksum as u32), Some(self.position))))
            }
            Some(_) => Err(damaged(FORMAT, start / 8, "no block begins here")),
            None => Err(cut_short(FORMAT, source.length)),
        }
    }

    fn set_to(&mut self, place: u64) {
        self.position = place;
        self.is_in_stream = true;
    }
}

/// What is wrong when a block that begins at the bit `start` has no end.
fn no_end(source: &Source, start: u64) -> io::Error {
    if 8 * source.length - start < MAX_BLOCK_BITS {
        cut_short(FORMAT, source.length)
    } else {
        damaged(FORMAT, start / 8, "a block has no end")
    }
}

/// Up to 48 bits of the file, the first of them the highest; None if it does not have as many.
fn bits(source: &Source, position: u64, count: u64) -> io::Result<Option<u64>> {
    let shift = position % 8;
    let mut bytes = [0; 8];
    let length = (shift + count).div_ceil(8) as usize;
    if source.read_at(&mut bytes[..length], position / 8)? < length {
        return Ok(None);
    }
    Ok(Some(u64::from_be_bytes(bytes) << shift >> (64 - count)))
}

/// The first magic that begins at the bit `from` or later, but not too far away.
fn find_magic(source: &Source, from: u64) -> io::Result<Option<u64>> {
    let mut bytes = vec![0; 128 << 10];
    let mut position = from / 8;
    while 8 * position < from + MAX_BLOCK_BITS {
        let count = source.read_at(&mut bytes, position)?;
        let found = magics(&bytes[..count]).map(|bit| 8 * position + bit).find(|bit| *bit >= from);
        if found.is_some() || count < bytes.len() {
            return Ok(found);
        }
        // A magic may be cut by the end of the piece.
        position += (count - 7) as u64;
    }
    Ok(None)
}

/// For each value of a byte, which magics at which bit of the byte before may have it as their
/// first whole byte (`SECOND`), or as the one after that (`THIRD`).
const SECOND: [u16; 256] = shifts(1);
const THIRD: [u16; 256] = shifts(2);

const fn shifts(index: u32) -> [u16; 256] {
    let mut table = [0; 256];
    let mut bit = 0;
    while bit < 16 {
        let magic = if bit < 8 { BLOCK_MAGIC } else { END_MAGIC };
        // The magic from bit `bit % 8` of the highest byte of a word on.
        let word = magic << 16 >> (bit % 8);
        table[(word >> (56 - 8 * index) & 0xff) as usize] |= 1 << bit;
        bit += 1;
    }
    table
}

/// The bits at which magics begin.
fn magics(bytes: &[u8]) -> impl Iterator<Item = u64> {
    // The last magics are those that end with the last byte.
    let words = (0..bytes.len().saturating_sub(2)).filter(|index| {
        SECOND[usize::from(bytes[index + 1])] & THIRD[usize::from(bytes[index + 2])] != 0
    });
    words.flat_map(|index| {
        let mut word = [0; 8];
        let length = (bytes.len() - index).min(8);
        word[..length].copy_from_slice(&bytes[index..index + length]);
        let word = u64::from_be_bytes(word);
        (0..8_u64).filter_map(move |shift| {
            let fits = shift + MAGIC_BITS <= 8 * length as u64;
            let found = word << shift >> (64 - MAGIC_BITS);
            (fits && matches!(found, BLOCK_MAGIC | END_MAGIC)).then_some(8 * index as u64 + shift)
        })
    })
}

/// Decodes a block and gives its checksum.
pub(super) fn decode(part: &mut PartWorker<'_>, mut segment: Segment) -> Result<Seal, Halt> {
    let source = part.source();
    let checksum = bits(source, segment.start + MAGIC_BITS, CHECKSUM_BITS)?
        .ok_or_else(|| cut_short(FORMAT, source.length))? as u32;
    let cut = segment.end;
    loop {
        let stream = stream(source, segment, checksum)?;
        let Err(err) = decode_stream(part, &stream, segment)? else { break };
        if part.has_output {
            return Err(err.into());
        }
        part.wait_until_first()?;
        match find_magic(source, segment.end + 1)? {
            Some(end) if end - segment.start <= MAX_BLOCK_BITS => segment.end = end,
            _ => return Err(err.into()),
        }
    }
    if segment.end != cut {
        part.end_at(segment.end)?;
    }
    Ok(Seal::Add(checksum))
}

/// A stream of one block.
fn stream(source: &Source, segment: Segment, checksum: u32) -> io::Result<Vec<u8>> {
    let first = segment.start / 8;
    let length = segment.end.div_ceil(8) - first;
    let mut stream = vec![0; (HEADER_BYTES + length) as usize];
    let (header, block) = stream.split_at_mut(HEADER_BYTES as usize);
    // The largest size of blocks: what the stream's own header says does not matter.
    header.copy_from_slice(b"BZh9");
    if source.read_at(block, first)? < block.len() {
        return Err(cut_short(FORMAT, source.length));
    }
    let shift = segment.start % 8;
    if shift > 0 {
        for index in 0..block.len() {
            let next = block.get(index + 1).copied().unwrap_or(0);
            block[index] = block[index] << shift | next >> (8 - shift);
        }
    }
    let bit_count = segment.end - segment.start;
    stream.truncate((HEADER_BYTES + bit_count.div_ceil(8)) as usize);
    // The end of the stream, from the bit after the block on.
    let end = u128::from(END_MAGIC) << CHECKSUM_BITS | u128::from(checksum);
    let used = bit_count % 8;
    let mut word = end << (128 - MAGIC_BITS - CHECKSUM_BITS) >> used;
    if used > 0 {
        let last = stream.pop().expect("a block has bits");
        word |= u128::from(last & !(0xff >> used)) << 120;
    }
    let end_bytes = (used + MAGIC_BITS + CHECKSUM_BITS).div_ceil(8) as usize;
    stream.extend_from_slice(&word.to_be_bytes()[..end_bytes]);
    Ok(stream)
}

/// Decodes a stream of one block. The inner error says that it is none.
fn decode_stream(
    part: &mut PartWorker<'_>,
    mut stream: &[u8],
    segment: Segment,
) -> Result<io::Result<()>, Halt> {
    let position = segment.start / 8;
    part.seek(segment.end / 8);
    let mut decoder = Decompress::new(false);
    loop {
        let room = part.room()?;
        let (read, written) = (decoder.total_in(), decoder.total_out());
        let status = match decoder.decompress(stream, room) {
            Ok(Status::MemNeeded) => {
                return Err(io::Error::from(io::ErrorKind::OutOfMemory).into());
            }
            Ok(status) => status,
            Err(err) => return Ok(Err(damaged(FORMAT, position, &err.to_string()))),
        };
        let read = (decoder.total_in() - read) as usize;
        let written = (decoder.total_out() - written) as usize;
        stream = &stream[read..];
        part.wrote(written);
        match status {
            Status::StreamEnd if stream.is_empty() => return Ok(Ok(())),
            Status::StreamEnd => {
                return Ok(Err(damaged(FORMAT, position, "a block ends too early")));
            }
            _ if read == 0 && written == 0 => {
                return Ok(Err(damaged(FORMAT, position, "a block ends too late")));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each bit looked at on its own.
    fn magics_bit_by_bit(bytes: &[u8]) -> Vec<u64> {
        let mut found = Vec::new();
        let mut window = 0_u64;
        for bit in 0..8 * bytes.len() as u64 {
            let next = bytes[(bit / 8) as usize] >> (7 - bit % 8) & 1;
            window = (window << 1 | u64::from(next)) & ((1 << MAGIC_BITS) - 1);
            if bit + 1 >= MAGIC_BITS && matches!(window, BLOCK_MAGIC | END_MAGIC) {
                found.push(bit + 1 - MAGIC_BITS);
            }
        }
        found
    }

    #[test]
    fn magics_are_found_at_every_bit() {
        for magic in [BLOCK_MAGIC, END_MAGIC] {
            for start in 0..=80 {
                for filler in [0, u128::MAX] {
                    let mask = ((1_u128 << MAGIC_BITS) - 1) << (80 - start);
                    let word = filler & !mask | u128::from(magic) << (80 - start);
                    let bytes = word.to_be_bytes();
                    assert_eq!(magics(&bytes).collect::<Vec<_>>(), [start]);
                    assert_eq!(magics_bit_by_bit(&bytes), [start]);
                    for length in 0..16 {
                        assert!(magics(&bytes[..length]).eq(magics_bit_by_bit(&bytes[..length])));
                    }
                }
            }
        }
    }
}
