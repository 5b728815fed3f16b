//! zstd: frames one after the other, whose ends are found by the sizes of their blocks.

use std::io;

use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::order::Flow;
use super::source::Source;
use super::worker::{
    Cut, Halt, Job, MAX_LOOK_BYTES, MAX_WINDOW_BYTES, PartWorker, cut_short, damaged, foreign,
    too_large,
};

const FORMAT: &str = "zstd";

const MAGIC: u32 = 0xfd2f_b528;

/// Skippable frames have sixteen magic numbers.
const SKIPPABLE_MAGIC: u32 = 0x184d_2a50;
const SKIPPABLE_MASK: u32 = 0xffff_fff0;

/// Magic number and length of a skippable frame.
const SKIPPABLE_HEADER_BYTES: u64 = 8;

/// Magic number and the longest frame header.
const MAX_HEADER_BYTES: usize = 18;

const BLOCK_HEADER_BYTES: u64 = 3;
const CHECKSUM_BYTES: u64 = 4;

/// Text has become this much smaller, about; decides how large parts are.
const USUAL_RATIO: u64 = 4;

/// The header of a frame.
enum Frame {
    /// Nothing for us; this long with its header.
    Skippable(u64),
    Data(Header),
}

struct Header {
    /// With the magic number.
    bytes: u64,
    window_bytes: u64,
    /// Decompressed bytes, if told.
    content_bytes: Option<u64>,
    has_checksum: bool,
    has_dictionary: bool,
}

/// The header of the frame that begins at `start`.
///
/// # Errors
/// `InvalidData` if it is none, `UnexpectedEof` if the file ends in it.
fn frame(source: &Source, start: u64) -> io::Result<Frame> {
    let mut bytes = [0; MAX_HEADER_BYTES];
    let count = source.read_at(&mut bytes, start)?;
    let bytes = &bytes[..count];
    let is_foreign = count > 0 && !MAGIC.to_le_bytes().starts_with(&bytes[..count.min(4)]);
    let number = |from: usize, length: usize| -> io::Result<u64> {
        let mut word = [0; 8];
        let field = bytes.get(from..from + length);
        word[..length].copy_from_slice(field.ok_or_else(|| cut_short(FORMAT, source.length))?);
        Ok(u64::from_le_bytes(word))
    };
    if count >= 4 && number(0, 4)? as u32 & SKIPPABLE_MASK == SKIPPABLE_MAGIC {
        return Ok(Frame::Skippable(SKIPPABLE_HEADER_BYTES + number(4, 4)?));
    }
    if is_foreign {
        return Err(foreign(FORMAT, start));
    }
    let descriptor = number(4, 1)?;
    let is_single_segment = descriptor & 1 << 5 != 0;
    if descriptor & 1 << 3 != 0 {
        return Err(damaged(FORMAT, start, "a header is of no known kind"));
    }
    let mut position = 5;
    let mut window_bytes = 0;
    if !is_single_segment {
        let window = number(position, 1)?;
        let base = 1_u64 << (10 + (window >> 3));
        window_bytes = base + base / 8 * (window & 7);
        position += 1;
    }
    let dictionary_bytes = [0, 1, 2, 4][descriptor as usize & 3];
    let has_dictionary = number(position, dictionary_bytes)? != 0;
    position += dictionary_bytes;
    let content_field = match descriptor >> 6 {
        0 => usize::from(is_single_segment),
        1 => 2,
        2 => 4,
        _ => 8,
    };
    let content = number(position, content_field)?;
    position += content_field;
    let content_bytes = match content_field {
        0 => None,
        2 => Some(content + 256),
        _ => Some(content),
    };
    if is_single_segment {
        window_bytes = content_bytes.unwrap_or(0);
    }
    Ok(Frame::Data(Header {
        bytes: position as u64,
        window_bytes,
        content_bytes,
        has_checksum: descriptor & 1 << 2 != 0,
        has_dictionary,
    }))
}

/// Finds where frames begin.
#[derive(Default)]
pub(super) struct Frames {
    position: u64,
}

impl Cut for Frames {
    fn next(
        &mut self,
        source: &Source,
        block_bytes: usize,
    ) -> io::Result<Option<(Job, Option<u64>)>> {
        let start = self.position;
        if start > 0 && start >= source.length {
            return Ok(None);
        }
        let limit = start + MAX_LOOK_BYTES;
        let (mut end, mut content_bytes) = (start, 0);
        while end < source.length && end < limit && content_bytes < block_bytes as u64 {
            let Some((frame_end, frame_content)) = frame_end(source, end, limit) else { break };
            content_bytes += frame_content.unwrap_or((frame_end - end) * USUAL_RATIO);
            end = frame_end;
        }
        self.position = end;
        Ok(Some((Job::Zstd(start), (end > start).then_some(end))))
    }

    fn set_to(&mut self, place: u64) {
        self.position = place;
    }
}

/// Where the frame that begins at `start` ends, and how many bytes it says it holds. None if that
/// is behind `limit` or cannot be told, which decoding will explain.
fn frame_end(source: &Source, start: u64, limit: u64) -> Option<(u64, Option<u64>)> {
    let header = match frame(source, start).ok()? {
        Frame::Skippable(bytes) => return Some((start + bytes, Some(0))),
        Frame::Data(header) => header,
    };
    let mut position = start + header.bytes;
    while position < limit {
        let [low, middle, high] = source.array_at(position).ok()??;
        let block = u32::from_le_bytes([low, middle, high, 0]);
        let is_last = block & 1 != 0;
        position += BLOCK_HEADER_BYTES
            + match block >> 1 & 3 {
                // One byte that is repeated.
                1 => 1,
                3 => return None,
                _ => u64::from(block >> 3),
            };
        if is_last {
            let checksum_bytes = if header.has_checksum { CHECKSUM_BYTES } else { 0 };
            return Some((position + checksum_bytes, header.content_bytes));
        }
    }
    None
}

/// Decodes the frames of a part.
pub(super) fn decode(part: &mut PartWorker<'_>, from: u64) -> Result<(), Halt> {
    part.seek(from);
    let mut decoder = Decoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_BYTES.ilog2()))?;
    loop {
        let start = part.position();
        let source = part.source();
        match frame(source, start)? {
            Frame::Skippable(bytes) if start + bytes > source.length => {
                return Err(cut_short(FORMAT, source.length).into());
            }
            Frame::Skippable(bytes) => part.seek(start + bytes),
            Frame::Data(header) if header.window_bytes > MAX_WINDOW_BYTES => {
                return Err(too_large(FORMAT, start).into());
            }
            Frame::Data(header) if header.has_dictionary => {
                return Err(damaged(FORMAT, start, "a dictionary is needed to read it").into());
            }
            Frame::Data(_) => {
                decoder.reinit()?;
                decode_frame(part, &mut decoder)?;
            }
        }
        if part.ended()? == Flow::Done {
            return Ok(());
        }
    }
}

fn decode_frame(part: &mut PartWorker<'_>, decoder: &mut Decoder<'_>) -> Result<(), Halt> {
    loop {
        let position = part.position();
        let (input, room) = part.fill_and_room()?;
        let at_end = input.is_empty();
        let mut input = InBuffer::around(input);
        let mut output = OutBuffer::around(room);
        let left = decoder
            .run(&mut input, &mut output)
            .map_err(|err| damaged(FORMAT, position, &err.to_string()))?;
        let (read, written) = (input.pos(), output.pos());
        part.consume(read);
        part.wrote(written);
        if left == 0 {
            return Ok(());
        }
        if read == 0 && written == 0 && at_end {
            return Err(cut_short(FORMAT, position).into());
        }
    }
}
