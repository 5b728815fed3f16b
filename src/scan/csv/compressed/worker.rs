//! A thread that decodes one part after the other.

use std::io;
use std::sync::Arc;
use std::thread;

use super::order::{Flow, Order, Seal, caught};
use super::source::Source;
use super::{bzip2, gzip, xz, zstd};

/// How much of the file a worker reads at once.
const READ_BYTES: usize = 128 << 10;

/// Largest window that a file may demand.
pub(super) const MAX_WINDOW_BYTES: u64 = 128 << 20;

/// How far from its beginning the end of a part is looked for. A part that is longer cannot be
/// decoded ahead of another anyway: its blocks would be too many.
pub(super) const MAX_LOOK_BYTES: u64 = 8 << 20;

/// Finds the parts of a file.
pub(super) trait Cut: Send {
    /// The next part and its end, if that is known without decoding; None after the last part.
    ///
    /// An end is a place that `set_to` takes. If it is None, the next call comes after a `set_to`.
    fn next(
        &mut self,
        source: &Source,
        block_bytes: usize,
    ) -> io::Result<Option<(Job, Option<u64>)>>;

    /// The next part begins here.
    fn set_to(&mut self, place: u64);
}

/// What is to be decoded for a part.
pub(super) enum Job {
    /// gzip members from this byte on.
    Gzip(u64),
    /// zstd frames from this byte on.
    Zstd(u64),
    /// A bzip2 block.
    Bzip2Block(bzip2::Segment),
    /// The checksum at the end of a bzip2 stream.
    Bzip2End(u32),
    /// xz blocks.
    XzBlocks(xz::Group),
    /// An xz stream from this byte on.
    XzStream(u64),
}

/// Why a worker leaves its part.
pub(super) enum Halt {
    /// Nobody wants the part.
    Stopped,
    /// It cannot be decoded.
    Failed(io::Error),
}

impl From<io::Error> for Halt {
    fn from(err: io::Error) -> Self {
        Halt::Failed(err)
    }
}

/// The file is damaged near `position`.
pub(super) fn damaged(format: &str, position: u64, detail: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("the {format} data is damaged near byte {position}: {detail}"),
    )
}

/// The file ends at `position`, too early.
pub(super) fn cut_short(format: &str, position: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        format!("the {format} data ends too early, at byte {position}: the file was cut"),
    )
}

/// Something that is not of the format stands at `position`, where it should begin or could end.
pub(super) fn foreign(format: &str, position: u64) -> io::Error {
    let message = match position {
        0 => format!("the file is not a {format} file"),
        _ => format!("something that is not {format} data begins at byte {position}"),
    };
    io::Error::new(io::ErrorKind::InvalidData, message)
}

/// The file needs more memory than is allowed.
pub(super) fn too_large(format: &str, position: u64) -> io::Error {
    io::Error::new(
        io::ErrorKind::OutOfMemory,
        format!(
            "the {format} data at byte {position} demands a window of more than {} MiB",
            MAX_WINDOW_BYTES >> 20
        ),
    )
}

/// Starts a worker, if there may be one more.
///
/// # Errors
/// If the system gives no thread.
pub(super) fn spawn(order: &Arc<Order>) -> io::Result<()> {
    if !order.enter() {
        return Ok(());
    }
    let shared = Arc::clone(order);
    let spawned = thread::Builder::new().name("decompress".to_string()).spawn(move || {
        if let Err(err) = caught(|| work(&shared)) {
            shared.give_up(&err);
        }
        shared.leave();
    });
    if spawned.is_err() {
        order.leave();
    }
    spawned.map(drop)
}

/// Decodes parts while there are any.
fn work(order: &Arc<Order>) -> io::Result<()> {
    // Without another thread this one does all the work.
    while let Some((id, job)) = order.take(|| drop(spawn(order))) {
        let mut part = PartWorker::new(order, id);
        let result = caught(|| part.decode(job));
        if let Some(block) = part.block.take() {
            order.recycle(block);
        }
        match result {
            Ok(seal) => order.finish(id, Ok(seal)),
            Err(Halt::Failed(err)) => order.finish(id, Err(err)),
            Err(Halt::Stopped) => {}
        }
    }
    Ok(())
}

/// What a decoder of one part reads from and writes to.
pub(super) struct PartWorker<'a> {
    order: &'a Order,
    id: u64,
    input: Vec<u8>,
    /// Unused bytes of `input`.
    start: usize,
    end: usize,
    /// Place in the file of the byte after `input[..end]`.
    read_to: u64,
    /// The block to fill, and how far it is filled.
    block: Option<Vec<u8>>,
    filled: usize,
    /// Whether anything was written.
    pub(super) has_output: bool,
}

impl<'a> PartWorker<'a> {
    fn new(order: &'a Order, id: u64) -> Self {
        PartWorker {
            order,
            id,
            input: Vec::new(),
            start: 0,
            end: 0,
            read_to: 0,
            block: None,
            filled: 0,
            has_output: false,
        }
    }

    fn decode(&mut self, job: Job) -> Result<Option<Seal>, Halt> {
        let seal = match job {
            Job::Gzip(from) => gzip::decode(self, from).map(|()| None),
            Job::Zstd(from) => zstd::decode(self, from).map(|()| None),
            Job::Bzip2Block(segment) => bzip2::decode(self, segment).map(Some),
            Job::Bzip2End(checksum) => Ok(Some(Seal::Close(checksum))),
            Job::XzBlocks(group) => xz::decode_blocks(self, &group).map(|()| None),
            Job::XzStream(from) => xz::decode_streams(self, from).map(|()| None),
        };
        // What was decoded before an error is not lost: it is as good as the rest.
        if !matches!(seal, Err(Halt::Stopped)) {
            self.flush()?;
        }
        seal
    }

    pub(super) fn source(&self) -> &'a Source {
        &self.order.source
    }

    /// Goes to a byte of the file.
    pub(super) fn seek(&mut self, position: u64) {
        let ahead = position.checked_sub(self.position());
        match ahead.and_then(|ahead| usize::try_from(ahead).ok()) {
            Some(ahead) if ahead <= self.end - self.start => self.start += ahead,
            _ => {
                self.start = 0;
                self.end = 0;
                self.read_to = position;
            }
        }
    }

    /// Place in the file of the next unused byte.
    pub(super) fn position(&self) -> u64 {
        self.read_to - (self.end - self.start) as u64
    }

    /// The next unused bytes; none at the end of the file.
    pub(super) fn fill(&mut self) -> Result<&[u8], Halt> {
        if self.start == self.end {
            if self.order.is_stopped() {
                return Err(Halt::Stopped);
            }
            self.input.resize(READ_BYTES, 0);
            self.start = 0;
            self.end = 0;
            self.end = self.order.source.read_at(&mut self.input, self.read_to)?;
            self.read_to += self.end as u64;
        }
        Ok(&self.input[self.start..self.end])
    }

    /// Marks bytes of the last `fill` as used.
    pub(super) fn consume(&mut self, count: usize) {
        self.start += count;
        debug_assert!(self.start <= self.end);
    }

    /// The next `N` bytes, if the file has as many.
    pub(super) fn array<const N: usize>(&mut self) -> Result<Option<[u8; N]>, Halt> {
        let mut array = [0; N];
        for byte in &mut array {
            match self.fill()?.first() {
                Some(first) => *byte = *first,
                None => return Ok(None),
            }
            self.consume(1);
        }
        Ok(Some(array))
    }

    /// Where to write; never empty.
    pub(super) fn room(&mut self) -> Result<&mut [u8], Halt> {
        Ok(self.input_and_room(false)?.1)
    }

    /// The next unused bytes as `fill` gives them, and where to write.
    pub(super) fn fill_and_room(&mut self) -> Result<(&[u8], &mut [u8]), Halt> {
        self.input_and_room(true)
    }

    fn input_and_room(&mut self, fill: bool) -> Result<(&[u8], &mut [u8]), Halt> {
        if fill {
            self.fill()?;
        }
        if self.filled == self.order.block_bytes() {
            self.flush()?;
        }
        if self.order.is_stopped() {
            return Err(Halt::Stopped);
        }
        let block = match &mut self.block {
            Some(block) => block,
            empty => empty.insert(self.order.take_block(self.id)?),
        };
        Ok((&self.input[self.start..self.end], &mut block[self.filled..]))
    }

    /// Marks the first bytes of the room as written.
    pub(super) fn wrote(&mut self, count: usize) {
        self.filled += count;
        self.has_output |= count > 0;
    }

    /// Hands over what was written.
    fn flush(&mut self) -> Result<(), Halt> {
        if self.filled > 0
            && let Some(mut block) = self.block.take()
        {
            block.truncate(self.filled);
            self.filled = 0;
            self.order.put_block(self.id, block, self.position())?;
        }
        Ok(())
    }

    /// A member has ended at the position. Whether the part ends with it.
    pub(super) fn ended(&self) -> Result<Flow, Halt> {
        self.order.ended(self.id, self.position())
    }

    /// Waits until the part is proven to begin where it does.
    pub(super) fn wait_until_first(&self) -> Result<(), Halt> {
        self.order.wait_until_first(self.id)
    }

    /// The part, which is the first, ends here and not where it was cut.
    pub(super) fn end_at(&self, place: u64) -> Result<(), Halt> {
        self.order.end_first_at(self.id, place)
    }
}
