//! gzip: members one after the other.
//!
//! The members of a BGZF file tell their size in an extra field. Those of other files begin where
//! the fixed bytes of a header are found, which is a guess that their decoding proves.

use std::io;

use flate2::{Crc, Decompress, FlushDecompress, Status};
use memchr::memmem;

use super::order::Flow;
use super::source::Source;
use super::worker::{Cut, Halt, Job, MAX_LOOK_BYTES, PartWorker, cut_short, damaged, foreign};

const FORMAT: &str = "gzip";

/// Magic number and the only method there is, deflate.
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// Bytes of a header without its optional fields.
const HEADER_BYTES: usize = 10;

/// Bits of the header's fourth byte.
const HAS_CHECKSUM: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0xe0;

/// Decompressed bytes of a BGZF member, at most.
const BGZF_MEMBER_BYTES: usize = 64 << 10;

/// Text has become this much smaller, about; decides how large parts are.
const USUAL_RATIO: usize = 4;

/// Finds where members begin.
#[derive(Default)]
pub(super) struct Members {
    position: u64,
}

impl Cut for Members {
    fn next(
        &mut self,
        source: &Source,
        block_bytes: usize,
    ) -> io::Result<Option<(Job, Option<u64>)>> {
        let start = self.position;
        if start > 0 && start >= source.length {
            return Ok(None);
        }
        let count = (block_bytes / BGZF_MEMBER_BYTES).max(1);
        let end = match bgzf_end(source, start, count)? {
            Some(end) => Some(end),
            None => find_header(source, start + (block_bytes / USUAL_RATIO).max(1) as u64)?,
        };
        self.position = end.unwrap_or(start);
        Ok(Some((Job::Gzip(start), end)))
    }

    fn set_to(&mut self, place: u64) {
        self.position = place;
    }
}

/// Where up to `count` BGZF members from `start` on end, by what they say; None if there are none.
fn bgzf_end(source: &Source, start: u64, count: usize) -> io::Result<Option<u64>> {
    let mut position = start;
    for _ in 0..count {
        // The usual header, whose only extra field is this one.
        let Some(header) = source.array_at::<18>(position)? else { break };
        let is_bgzf = header[..3] == MAGIC
            && header[3] == HAS_EXTRA
            && header[10..16] == [6, 0, b'B', b'C', 2, 0];
        if !is_bgzf {
            break;
        }
        position += u64::from(u16::from_le_bytes([header[16], header[17]])) + 1;
    }
    Ok((position > start).then_some(position))
}

/// The first place from `from` on, not too far away, that looks like the header of a member.
fn find_header(source: &Source, from: u64) -> io::Result<Option<u64>> {
    let finder = memmem::Finder::new(&MAGIC);
    let mut bytes = vec![0; 256 << 10];
    let mut position = from;
    while position < from + MAX_LOOK_BYTES {
        let count = source.read_at(&mut bytes, position)?;
        for index in finder.find_iter(&bytes[..count]) {
            if let Some(header) = bytes[index..count].first_chunk::<HEADER_BYTES>()
                && is_likely_header(header)
            {
                return Ok(Some(position + index as u64));
            }
        }
        if count < bytes.len() {
            break;
        }
        // A header may be cut by the end of the piece.
        position += (count - (HEADER_BYTES - 1)) as u64;
    }
    Ok(None)
}

/// Whether flags, extra flags and system are such as compressors write.
fn is_likely_header(header: &[u8; HEADER_BYTES]) -> bool {
    header[..3] == MAGIC
        && header[3] & RESERVED == 0
        && matches!(header[8], 0 | 2 | 4)
        && matches!(header[9], 0..=13 | 255)
}

/// Decodes the members of a part. Zeros after the last member of the file are skipped.
pub(super) fn decode(part: &mut PartWorker<'_>, from: u64) -> Result<(), Halt> {
    part.seek(from);
    let mut inflate = Decompress::new(false);
    loop {
        let position = part.position();
        if position > 0 && part.fill()?.first().is_none_or(|byte| *byte == 0) {
            let source = part.source();
            if !source.is_zero_from(position)? {
                return Err(foreign(FORMAT, position).into());
            }
            part.seek(source.length.max(position));
        } else {
            skip_header(part, position)?;
            inflate.reset(false);
            decode_body(part, &mut inflate)?;
        }
        if part.ended()? == Flow::Done {
            return Ok(());
        }
    }
}

fn skip_header(part: &mut PartWorker<'_>, start: u64) -> Result<(), Halt> {
    let mut checksum = Crc::new();
    for magic in &MAGIC[..2] {
        if array(part, &mut checksum)? != [*magic] {
            return Err(foreign(FORMAT, start).into());
        }
    }
    let [method, flags, ..]: [u8; HEADER_BYTES - 2] = array(part, &mut checksum)?;
    if method != MAGIC[2] || flags & RESERVED != 0 {
        return Err(damaged(FORMAT, start, "a header is of no known kind").into());
    }
    if flags & HAS_EXTRA != 0 {
        let mut left = usize::from(u16::from_le_bytes(array(part, &mut checksum)?));
        while left > 0 {
            let bytes = fill(part)?;
            let count = bytes.len().min(left);
            checksum.update(&bytes[..count]);
            part.consume(count);
            left -= count;
        }
    }
    for flag in [HAS_NAME, HAS_COMMENT] {
        // Ends with a zero.
        while flags & flag != 0 && array(part, &mut checksum)? != [0] {}
    }
    if flags & HAS_CHECKSUM != 0 {
        let expected = checksum.sum() as u16;
        if u16::from_le_bytes(array(part, &mut checksum)?) != expected {
            return Err(damaged(FORMAT, start, "the checksum of a header is wrong").into());
        }
    }
    Ok(())
}

fn decode_body(part: &mut PartWorker<'_>, inflate: &mut Decompress) -> Result<(), Halt> {
    let mut checksum = Crc::new();
    loop {
        let position = part.position();
        let (input, room) = part.fill_and_room()?;
        let at_end = input.is_empty();
        let (read, written) = (inflate.total_in(), inflate.total_out());
        let status = inflate
            .decompress(input, room, FlushDecompress::None)
            .map_err(|err| damaged(FORMAT, position, &err.to_string()))?;
        let read = (inflate.total_in() - read) as usize;
        let written = (inflate.total_out() - written) as usize;
        checksum.update(&room[..written]);
        part.consume(read);
        part.wrote(written);
        if status == Status::StreamEnd {
            break;
        }
        if read == 0 && written == 0 {
            return Err(match at_end {
                true => cut_short(FORMAT, position).into(),
                false => damaged(FORMAT, position, "it cannot be decoded").into(),
            });
        }
    }
    let position = part.position();
    let trailer: [u8; 8] = match part.array()? {
        Some(trailer) => trailer,
        None => return Err(cut_short(FORMAT, part.position()).into()),
    };
    let (sum, length) = trailer.split_at(4);
    if sum != checksum.sum().to_le_bytes() {
        return Err(damaged(FORMAT, position, "the checksum of a member is wrong").into());
    }
    if length != (inflate.total_out() as u32).to_le_bytes() {
        return Err(damaged(FORMAT, position, "the length of a member is wrong").into());
    }
    Ok(())
}

/// The next bytes of a header.
fn array<const N: usize>(part: &mut PartWorker<'_>, checksum: &mut Crc) -> Result<[u8; N], Halt> {
    match part.array()? {
        Some(array) => {
            checksum.update(&array);
            Ok(array)
        }
        None => Err(cut_short(FORMAT, part.position()).into()),
    }
}

/// The next bytes, of which there must be some.
fn fill<'a>(part: &'a mut PartWorker<'_>) -> Result<&'a [u8], Halt> {
    if part.fill()?.is_empty() {
        return Err(cut_short(FORMAT, part.position()).into());
    }
    part.fill()
}
