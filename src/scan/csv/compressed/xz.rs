//! xz: streams one after the other, each of blocks that an index at its end lists.
//!
//! Where all indexes can be read and list more than one block, groups of blocks are decoded as
//! streams of their own: the header of their stream is put before them, and an index of just these
//! blocks after them, by which the decoder checks their sizes. Otherwise one thread reads the file
//! from its beginning.

use std::io;
use std::sync::Arc;

use flate2::Crc;
use liblzma::stream::{Action, Error, Status, Stream};

use super::order::Flow;
use super::source::Source;
use super::worker::{
    Cut, Halt, Job, MAX_WINDOW_BYTES, PartWorker, cut_short, damaged, foreign, too_large,
};

const FORMAT: &str = "xz";

const HEADER_MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];
const FOOTER_MAGIC: [u8; 2] = *b"YZ";

/// Bytes of a stream's header, and of its footer.
const HEADER_BYTES: u64 = 12;

/// What the decoder may take: the window and what it needs besides.
const MEMORY_BYTES: u64 = MAX_WINDOW_BYTES + (2 << 20);

/// Bytes of an index that is read; one that is longer lists more blocks than it is worth to keep.
const MAX_INDEX_BYTES: u64 = 1 << 20;

/// Blocks of a file that are kept in mind, which takes 16 bytes each.
const MAX_BLOCK_COUNT: usize = 1 << 19;

/// Streams of a file that are looked for, and units of padding between them.
const MAX_STREAM_COUNT: usize = 1 << 15;
const MAX_PADDING_COUNT: usize = 1 << 12;

/// Sizes of a block, as they stand in an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Block {
    /// Bytes in the file without the padding.
    unpadded_bytes: u64,
    /// Decompressed bytes.
    content_bytes: u64,
}

impl Block {
    fn bytes(self) -> u64 {
        self.unpadded_bytes.next_multiple_of(4)
    }
}

/// What a stream holds.
pub(super) struct Layout {
    /// First byte of the first block.
    start: u64,
    /// The two bytes of its header that name the kind of checksum.
    flags: [u8; 2],
    blocks: Arc<[Block]>,
}

/// Blocks of one stream, one after the other.
pub(super) struct Group {
    start: u64,
    flags: [u8; 2],
    stream: Arc<[Block]>,
    first: usize,
    count: usize,
}

/// Finds the parts of a file.
#[derive(Default)]
pub(super) enum Streams {
    /// It was not looked at.
    #[default]
    Unknown,
    /// All blocks are known: those from this block of this stream on are left.
    Known { streams: Vec<Layout>, stream: usize, block: usize, position: u64 },
    /// Streams are read as they come, from here on.
    Unlisted(u64),
}

impl Cut for Streams {
    fn next(
        &mut self,
        source: &Source,
        block_bytes: usize,
    ) -> io::Result<Option<(Job, Option<u64>)>> {
        if let Streams::Unknown = self {
            let streams = layouts(source)?.unwrap_or_default();
            *self = match streams.iter().map(|stream| stream.blocks.len()).sum() {
                0 | 1 => Streams::Unlisted(0),
                _ => {
                    let position = streams[0].start;
                    Streams::Known { streams, stream: 0, block: 0, position }
                }
            };
        }
        match self {
            Streams::Unknown => Ok(None),
            Streams::Unlisted(start) if *start > 0 && *start >= source.length => Ok(None),
            Streams::Unlisted(start) => Ok(Some((Job::XzStream(*start), None))),
            Streams::Known { streams, stream, block, position } => {
                while let Some(layout) = streams.get(*stream) {
                    let left = &layout.blocks[*block..];
                    if left.is_empty() {
                        (*stream, *block) = (*stream + 1, 0);
                        *position = streams.get(*stream).map_or(0, |next| next.start);
                        continue;
                    }
                    let (mut count, mut bytes, mut content_bytes) = (0, 0, 0);
                    while count < left.len() && content_bytes < block_bytes as u64 {
                        bytes += left[count].bytes();
                        content_bytes += left[count].content_bytes;
                        count += 1;
                    }
                    let group = Group {
                        start: *position,
                        flags: layout.flags,
                        stream: Arc::clone(&layout.blocks),
                        first: *block,
                        count,
                    };
                    *block += count;
                    *position += bytes;
                    return Ok(Some((Job::XzBlocks(group), Some(*position))));
                }
                Ok(None)
            }
        }
    }

    fn set_to(&mut self, place: u64) {
        *self = Streams::Unlisted(place);
    }
}

/// The streams of a file, read from its end on. None if they are too many or not as they should be.
fn layouts(source: &Source) -> io::Result<Option<Vec<Layout>>> {
    let mut streams = Vec::new();
    let mut block_count = 0;
    let mut end = source.length;
    let mut padding_count = 0;
    while end > 0 {
        if end >= 4 && source.array_at(end - 4)? == Some([0; 4]) {
            end -= 4;
            padding_count += 1;
            if padding_count > MAX_PADDING_COUNT {
                return Ok(None);
            }
            continue;
        }
        let Some(layout) = layout_before(source, end)? else { return Ok(None) };
        block_count += layout.blocks.len();
        if block_count > MAX_BLOCK_COUNT || streams.len() == MAX_STREAM_COUNT {
            return Ok(None);
        }
        end = layout.start - HEADER_BYTES;
        streams.push(layout);
    }
    streams.reverse();
    Ok(Some(streams))
}

/// The stream that ends at `end`; None if there is none.
fn layout_before(source: &Source, end: u64) -> io::Result<Option<Layout>> {
    let Some(footer_start) = end.checked_sub(HEADER_BYTES) else { return Ok(None) };
    let Some(footer) = source.array_at::<12>(footer_start)? else { return Ok(None) };
    let flags = [footer[8], footer[9]];
    if footer[10..] != FOOTER_MAGIC || footer[..4] != checksum(&footer[4..10]) {
        return Ok(None);
    }
    let size = u32::from_le_bytes([footer[4], footer[5], footer[6], footer[7]]);
    let index_bytes = (u64::from(size) + 1) * 4;
    let Some(index_start) = footer_start.checked_sub(index_bytes) else { return Ok(None) };
    if index_bytes > MAX_INDEX_BYTES {
        return Ok(None);
    }
    let mut index = vec![0; index_bytes as usize];
    if source.read_at(&mut index, index_start)? < index.len() {
        return Ok(None);
    }
    let Some(blocks) = blocks(&index) else { return Ok(None) };
    let mut start = index_start;
    for block in &blocks {
        match start.checked_sub(block.bytes()) {
            Some(before) => start = before,
            None => return Ok(None),
        }
    }
    let Some(header_start) = start.checked_sub(HEADER_BYTES) else { return Ok(None) };
    if source.array_at(header_start)? != Some(header(flags)) {
        return Ok(None);
    }
    Ok(Some(Layout { start, flags, blocks: blocks.into() }))
}

/// The blocks that an index lists; None if it is not right.
fn blocks(index: &[u8]) -> Option<Vec<Block>> {
    let (fields, stored) = index.split_last_chunk()?;
    let mut rest = fields.strip_prefix(&[0])?;
    if *stored != checksum(fields) {
        return None;
    }
    let count = number(&mut rest)?;
    // Each takes two bytes or more.
    if count > rest.len() as u64 / 2 {
        return None;
    }
    let mut blocks = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let block = Block { unpadded_bytes: number(&mut rest)?, content_bytes: number(&mut rest)? };
        // So that sums of them cannot overflow.
        if block.unpadded_bytes == 0 || block.unpadded_bytes > 1 << 60 {
            return None;
        }
        blocks.push(block);
    }
    (rest.len() < 4 && rest.iter().all(|byte| *byte == 0)).then_some(blocks)
}

/// Takes a number of seven bits a byte, lowest first.
fn number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn push_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn checksum(bytes: &[u8]) -> [u8; 4] {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}

/// A stream's header.
fn header(flags: [u8; 2]) -> [u8; 12] {
    let mut header = [0; 12];
    header[..6].copy_from_slice(&HEADER_MAGIC);
    header[6..8].copy_from_slice(&flags);
    header[8..].copy_from_slice(&checksum(&flags));
    header
}

/// A stream's index and footer.
fn index_and_footer(flags: [u8; 2], blocks: &[Block]) -> Vec<u8> {
    let mut index = vec![0];
    push_number(&mut index, blocks.len() as u64);
    for block in blocks {
        push_number(&mut index, block.unpadded_bytes);
        push_number(&mut index, block.content_bytes);
    }
    index.resize(index.len().next_multiple_of(4), 0);
    index.extend(checksum(&index));
    let mut fields = [0; 6];
    fields[..4].copy_from_slice(&((index.len() / 4 - 1) as u32).to_le_bytes());
    fields[4..].copy_from_slice(&flags);
    index.extend(checksum(&fields));
    index.extend(fields);
    index.extend(FOOTER_MAGIC);
    index
}

/// Decodes blocks as a stream of their own.
pub(super) fn decode_blocks(part: &mut PartWorker<'_>, group: &Group) -> Result<(), Halt> {
    let blocks = &group.stream[group.first..group.first + group.count];
    let mut decoder = decoder()?;
    part.seek(group.start);
    step(part, &mut decoder, &header(group.flags))?;
    let mut left: u64 = blocks.iter().map(|block| block.bytes()).sum();
    while left > 0 {
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let (read, _) = step_file(part, &mut decoder, most)?;
        left -= read as u64;
    }
    let tail = index_and_footer(group.flags, blocks);
    let mut rest = tail.as_slice();
    let mut has_ended = false;
    while !rest.is_empty() && !has_ended {
        let (read, status) = step(part, &mut decoder, rest)?;
        rest = &rest[read..];
        has_ended = status == Status::StreamEnd;
    }
    // Otherwise the bytes of the index were taken for those of a block.
    if !rest.is_empty() || !has_ended {
        return Err(damaged(FORMAT, group.start, "blocks are not as the index says").into());
    }
    Ok(())
}

/// Decodes a stream and the padding after it, and more of them if need be.
pub(super) fn decode_streams(part: &mut PartWorker<'_>, from: u64) -> Result<(), Halt> {
    part.seek(from);
    loop {
        let start = part.position();
        let mut magic = [0; HEADER_MAGIC.len()];
        let count = part.source().read_at(&mut magic, start)?;
        if !HEADER_MAGIC.starts_with(&magic[..count]) {
            return Err(foreign(FORMAT, start).into());
        }
        let mut decoder = decoder()?;
        while step_file(part, &mut decoder, usize::MAX)?.1 != Status::StreamEnd {}
        let end = part.position();
        while part.fill()?.first() == Some(&0) {
            part.consume(1);
        }
        if !(part.position() - end).is_multiple_of(4) {
            return Err(damaged(FORMAT, end, "padding is not of four bytes each").into());
        }
        if part.ended()? == Flow::Done {
            return Ok(());
        }
    }
}

fn decoder() -> Result<Stream, Halt> {
    Ok(Stream::new_stream_decoder(MEMORY_BYTES, 0).map_err(io::Error::from)?)
}

/// Decodes some of `input`; how much, and whether the stream has ended.
fn step(
    part: &mut PartWorker<'_>,
    decoder: &mut Stream,
    input: &[u8],
) -> Result<(usize, Status), Halt> {
    let position = part.position();
    let room = part.room()?;
    let (read, written, status) = process(decoder, input, room, position)?;
    part.wrote(written);
    if status == Status::MemNeeded {
        return Err(damaged(FORMAT, position, "a block ends too late").into());
    }
    Ok((read, status))
}

/// Decodes up to `most` of the next bytes of the file; how many, and whether the stream has ended.
fn step_file(
    part: &mut PartWorker<'_>,
    decoder: &mut Stream,
    most: usize,
) -> Result<(usize, Status), Halt> {
    let position = part.position();
    let (input, room) = part.fill_and_room()?;
    let input = &input[..input.len().min(most)];
    let at_end = input.is_empty();
    let (read, written, status) = process(decoder, input, room, position)?;
    part.consume(read);
    part.wrote(written);
    if at_end && status != Status::StreamEnd && written == 0 {
        return Err(cut_short(FORMAT, position).into());
    }
    if status == Status::MemNeeded {
        return Err(damaged(FORMAT, position, "it cannot be decoded").into());
    }
    Ok((read, status))
}

/// Bytes read and written.
fn process(
    decoder: &mut Stream,
    input: &[u8],
    room: &mut [u8],
    position: u64,
) -> io::Result<(usize, usize, Status)> {
    let (read, written) = (decoder.total_in(), decoder.total_out());
    let status = decoder.process(input, room, Action::Run).map_err(|err| match err {
        Error::MemLimit => too_large(FORMAT, position),
        Error::Mem => io::ErrorKind::OutOfMemory.into(),
        err => damaged(FORMAT, position, &err.to_string()),
    })?;
    let read = (decoder.total_in() - read) as usize;
    Ok((read, (decoder.total_out() - written) as usize, status))
}

#[cfg(test)]
mod tests {
    use super::super::Compression;
    use super::super::tests::{decompress, lines, temporary, xz_stream};
    use super::*;

    #[test]
    fn an_index_is_read_as_it_is_written() {
        let sizes = [(5, 0), (127, 128), (1 << 20, 1 << 40), (1 << 60, (1 << 63) - 1)];
        for count in 0..=sizes.len() {
            let written: Vec<Block> = sizes[..count]
                .iter()
                .map(|(unpadded_bytes, content_bytes)| Block {
                    unpadded_bytes: *unpadded_bytes,
                    content_bytes: *content_bytes,
                })
                .collect();
            let bytes = index_and_footer([0, 1], &written);
            let index = &bytes[..bytes.len() - HEADER_BYTES as usize];
            assert_eq!(blocks(index), Some(written));
            for length in 0..index.len() {
                assert_eq!(blocks(&index[..length]), None);
            }
        }
    }

    /// The sizes are such as they could be, only not those of the blocks.
    #[test]
    fn a_wrong_index_is_an_error() {
        let content = lines(300_000, 1);
        let file = xz_stream(&content, 200_000);
        let source = Source::new(temporary(&file)).unwrap();
        let layout = layouts(&source).unwrap().unwrap().remove(0);
        let [large, small] = layout.blocks[..] else { panic!("two blocks") };
        let index_start = (layout.start + large.bytes() + small.bytes()) as usize;
        let more = |block: Block, unpadded: u64, content: u64| Block {
            unpadded_bytes: block.unpadded_bytes + unpadded,
            content_bytes: block.content_bytes + content,
        };
        let whole =
            Block { unpadded_bytes: large.bytes() + small.unpadded_bytes, content_bytes: 300_000 };
        let cases = [
            (vec![large, small], true),
            (vec![small, large], false),
            (vec![whole, more(small, 4, 0)], false),
            (vec![more(large, 0, 1), more(small, 0, 0)], false),
            (vec![more(large, 8, 0), small], false),
            (vec![whole], false),
        ];
        for (blocks, is_right) in cases {
            let tail = index_and_footer(layout.flags, &blocks);
            let wrong = [&file[..index_start], &tail].concat();
            for threads in [1, 2] {
                let (bytes, result) = decompress(&wrong, Compression::Xz, threads, 50_000);
                assert_eq!(result.is_ok(), is_right, "{blocks:?}");
                assert!(!is_right || bytes == content);
            }
        }
    }
}
