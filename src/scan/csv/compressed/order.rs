//! Parts that are decoded at the same time, and their blocks in the order of the file.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::{Condvar, Mutex, MutexGuard};
use tokio::sync::Notify;

use super::source::Source;
use super::worker::{Cut, Halt, Job};

/// Blocks that only the first part may take, so that it never waits for those behind it: one to
/// fill while the other is handed out.
const FIRST_PART_BLOCKS: usize = 2;

/// Hands out the blocks of all parts in order, and bounds how many there are.
pub(super) struct Order {
    pub(super) source: Source,
    block_bytes: usize,
    /// Blocks that may exist.
    max_blocks: usize,
    /// Blocks that the first part may have, and parts that may be in the order.
    depth: usize,
    max_workers: usize,
    /// Held while a part is cut. Locked before `state`.
    cut: Mutex<Box<dyn Cut>>,
    state: Mutex<State>,
    /// Workers wait here for whatever they need: a block, a place in the order, a part.
    changed: Condvar,
    /// The consumer waits here.
    ready: Notify,
    stopped: AtomicBool,
}

struct State {
    /// Parts not yet handed out; the first is proven to begin where it does.
    parts: VecDeque<Part>,
    last_id: u64,
    cutting: Cutting,
    /// How often cutting was set back.
    set_backs: u64,
    workers: usize,
    spare: Vec<Vec<u8>>,
    compressed_bytes: u64,
    checksum: u32,
    failed: Option<(io::ErrorKind, String)>,
}

/// What is known of the place where the next part begins.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cutting {
    /// The cut goes on from where it is. Ends with a part, the end of the file or an error.
    Goes,
    /// The last part has no known end. Ends when its decoder has come to it.
    Waits,
    /// The cut is to go on from here. Ends with the next cut.
    SetTo(u64),
    /// Nothing comes after the last part.
    Done,
}

struct Part {
    id: u64,
    /// Where the next part begins, as far as known.
    end: Option<u64>,
    /// Full blocks, and how far in the file the decoder was after each.
    blocks: VecDeque<(Vec<u8>, u64)>,
    /// Blocks that it has or fills.
    held: usize,
    outcome: Option<io::Result<Option<Seal>>>,
}

/// What the end of a part means for the checksum over the parts of a bzip2 stream.
pub(super) enum Seal {
    /// The checksum of one more block.
    Add(u32),
    /// The checksum of all blocks since the last of these.
    Close(u32),
}

/// What a worker does after the end of a member.
#[derive(PartialEq, Eq)]
pub(super) enum Flow {
    /// The part goes on with another member.
    Continue,
    /// The part has ended.
    Done,
}

impl Order {
    pub(super) fn new(
        source: Source,
        cut: Box<dyn Cut>,
        threads: usize,
        block_bytes: usize,
        ahead_bytes: usize,
    ) -> Self {
        let max_workers = threads.max(1);
        let block_bytes = block_bytes.max(1);
        let depth = 2 * max_workers + 2;
        Order {
            source,
            block_bytes,
            max_blocks: depth.max(ahead_bytes / block_bytes),
            depth,
            max_workers,
            cut: Mutex::new(cut),
            state: Mutex::new(State {
                parts: VecDeque::new(),
                last_id: 0,
                cutting: Cutting::Goes,
                set_backs: 0,
                workers: 0,
                spare: Vec::new(),
                compressed_bytes: 0,
                checksum: 0,
                failed: None,
            }),
            changed: Condvar::new(),
            ready: Notify::new(),
            stopped: AtomicBool::new(false),
        }
    }

    /// Bytes of a full block.
    pub(super) fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// The next block in the order of the file.
    pub(super) async fn next(&self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(result) = self.next_now() {
                return result;
            }
            self.ready.notified().await;
        }
    }

    /// The next block, if it or the end is there.
    fn next_now(&self) -> Option<io::Result<Option<Vec<u8>>>> {
        let mut state = self.state.lock();
        loop {
            if let Some((kind, message)) = &state.failed {
                return Some(Err(io::Error::new(*kind, message.clone())));
            }
            let Some(first) = state.parts.front_mut() else {
                return (state.cutting == Cutting::Done).then_some(Ok(None));
            };
            if let Some((block, compressed_bytes)) = first.blocks.pop_front() {
                first.held -= 1;
                state.compressed_bytes = compressed_bytes;
                self.changed.notify_all();
                return Some(Ok(Some(block)));
            }
            match first.outcome.take()? {
                Ok(seal) => {
                    state.parts.pop_front();
                    if let Err(err) = state.check(seal) {
                        self.fail(&mut state, &err);
                    }
                    self.changed.notify_all();
                }
                Err(err) => self.fail(&mut state, &err),
            }
        }
    }

    /// Fails as a whole.
    pub(super) fn give_up(&self, err: &io::Error) {
        self.fail(&mut self.state.lock(), err);
        self.ready.notify_one();
    }

    fn fail(&self, state: &mut State, err: &io::Error) {
        state.failed = Some((err.kind(), err.to_string()));
        state.parts.clear();
        state.spare.clear();
        self.stopped.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Takes a block that is no longer needed.
    pub(super) fn recycle(&self, mut block: Vec<u8>) {
        if block.capacity() < self.block_bytes {
            return;
        }
        // Decoders write to bytes that are initialised: only those are set that were cut off.
        block.resize(self.block_bytes, 0);
        let mut state = self.state.lock();
        if state.held() + state.spare.len() < self.max_blocks && !self.is_stopped() {
            state.spare.push(block);
        }
    }

    #[cfg(test)]
    pub(super) fn compressed_bytes(&self) -> u64 {
        self.state.lock().compressed_bytes
    }

    /// Blocks that exist, without those handed out.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let state = self.state.lock();
        state.held() + state.spare.len()
    }

    /// Lets every worker end.
    pub(super) fn stop(&self) {
        let mut state = self.state.lock();
        self.stopped.store(true, Ordering::Relaxed);
        state.parts.clear();
        state.spare.clear();
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// Enters a worker, if there may be one more.
    pub(super) fn enter(&self) -> bool {
        let mut state = self.state.lock();
        let enters = state.workers < self.max_workers;
        state.workers += usize::from(enters);
        enters
    }

    /// Takes a worker out.
    pub(super) fn leave(&self) {
        self.state.lock().workers -= 1;
    }

    /// Cuts the next part. None when there is none. Calls `more` if another may be cut right away.
    pub(super) fn take(&self, more: impl FnOnce()) -> Option<(u64, Job)> {
        let mut cut = self.cut.lock();
        let mut state = self.state.lock();
        loop {
            if self.is_stopped() || state.cutting == Cutting::Done {
                return None;
            }
            if state.cutting == Cutting::Waits || state.parts.len() >= self.depth {
                self.changed.wait(&mut state);
                continue;
            }
            if let Cutting::SetTo(place) = state.cutting {
                cut.set_to(place);
                state.cutting = Cutting::Goes;
            }
            let set_backs = state.set_backs;
            let result = MutexGuard::unlocked(&mut state, || {
                caught(|| cut.next(&self.source, self.block_bytes))
            });
            if state.set_backs != set_backs || self.is_stopped() {
                continue;
            }
            let (end, job, outcome) = match result {
                Ok(Some((job, end))) => (end, Some(job), None),
                Ok(None) => {
                    state.cutting = Cutting::Done;
                    self.wake();
                    return None;
                }
                Err(err) => (None, None, Some(Err(err))),
            };
            state.last_id += 1;
            let id = state.last_id;
            state.cutting = match (&job, end) {
                (None, _) => Cutting::Done,
                (Some(_), None) => Cutting::Waits,
                (Some(_), Some(_)) => Cutting::Goes,
            };
            let blocks = VecDeque::new();
            state.parts.push_back(Part { id, end, blocks, held: 0, outcome });
            if job.is_none() {
                self.wake();
            }
            drop((state, cut));
            if end.is_some() {
                more();
            }
            return job.map(|job| (id, job));
        }
    }

    /// An empty block for a part; waits until there may be one more.
    pub(super) fn take_block(&self, id: u64) -> Result<Vec<u8>, Halt> {
        let mut state = self.state.lock();
        loop {
            let index = self.index(&state, id)?;
            let held = state.held();
            let held_by_first = state.parts[0].held;
            let is_free = held < self.max_blocks
                && if index == 0 {
                    held_by_first < self.depth
                } else {
                    held - held_by_first < self.max_blocks - FIRST_PART_BLOCKS
                };
            if is_free {
                state.parts[index].held += 1;
                let spare = state.spare.pop();
                drop(state);
                return Ok(spare.unwrap_or_else(|| vec![0; self.block_bytes]));
            }
            self.changed.wait(&mut state);
        }
    }

    /// Hands over a block of a part, whose decoder has come to `position`.
    pub(super) fn put_block(&self, id: u64, block: Vec<u8>, position: u64) -> Result<(), Halt> {
        let mut state = self.state.lock();
        let index = self.index(&state, id)?;
        state.parts[index].blocks.push_back((block, position));
        if index == 0 {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Hands over how a part ended.
    pub(super) fn finish(&self, id: u64, outcome: io::Result<Option<Seal>>) {
        let mut state = self.state.lock();
        if let Ok(index) = self.index(&state, id) {
            let part = &mut state.parts[index];
            part.held = part.blocks.len();
            part.outcome = Some(outcome);
            self.wake();
        }
    }

    /// A member of a part has ended at `position`. Whether the part ends with it.
    ///
    /// If the next part begins before that, it begins wrongly: the parts after this one are thrown
    /// away, as soon as this one is proven to begin where it does.
    pub(super) fn ended(&self, id: u64, position: u64) -> Result<Flow, Halt> {
        let mut state = self.state.lock();
        let index = self.index(&state, id)?;
        match state.parts[index].end {
            Some(end) if position < end => return Ok(Flow::Continue),
            Some(end) if position == end => return Ok(Flow::Done),
            // It is the last part, as no other is cut before its end is known.
            None => {}
            Some(_) => {
                drop(state);
                self.wait_until_first(id)?;
                state = self.state.lock();
                self.index(&state, id)?;
            }
        }
        self.set_back(&mut state, id, position);
        Ok(Flow::Done)
    }

    /// Waits until all parts before this one are handed out, and so this one begins rightly.
    pub(super) fn wait_until_first(&self, id: u64) -> Result<(), Halt> {
        let mut state = self.state.lock();
        while self.index(&state, id)? > 0 {
            self.changed.wait(&mut state);
        }
        Ok(())
    }

    /// Throws away the parts after the first, which ends at `position`.
    pub(super) fn end_first_at(&self, id: u64, position: u64) -> Result<(), Halt> {
        let mut state = self.state.lock();
        self.index(&state, id)?;
        self.set_back(&mut state, id, position);
        Ok(())
    }

    fn set_back(&self, state: &mut State, id: u64, position: u64) {
        while state.parts.back().is_some_and(|part| part.id != id) {
            state.parts.pop_back();
        }
        if let Some(part) = state.parts.back_mut() {
            part.end = Some(position);
        }
        state.cutting = Cutting::SetTo(position);
        state.set_backs += 1;
        self.changed.notify_all();
    }

    /// Which part in the order it is; halts its worker if it was thrown away.
    fn index(&self, state: &State, id: u64) -> Result<usize, Halt> {
        if self.is_stopped() {
            return Err(Halt::Stopped);
        }
        state.parts.iter().position(|part| part.id == id).ok_or(Halt::Stopped)
    }

    fn wake(&self) {
        self.changed.notify_all();
        self.ready.notify_one();
    }
}

impl State {
    fn held(&self) -> usize {
        self.parts.iter().map(|part| part.held).sum()
    }

    fn check(&mut self, seal: Option<Seal>) -> io::Result<()> {
        match seal {
            None => {}
            Some(Seal::Add(checksum)) => self.checksum = self.checksum.rotate_left(1) ^ checksum,
            Some(Seal::Close(checksum)) => {
                if self.checksum != checksum {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        format!(
                            "the bzip2 data is damaged before byte {}: the checksum of a stream \
                             is wrong",
                            self.compressed_bytes
                        ),
                    ));
                }
                self.checksum = 0;
            }
        }
        Ok(())
    }
}

/// Calls `work`, turning a panic into an error.
pub(super) fn caught<T, E: From<io::Error>>(work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        Ok(result) => result,
        Err(payload) => {
            let message = payload
                .downcast_ref::<&str>()
                .map(|message| (*message).to_string())
                .or_else(|| payload.downcast_ref::<String>().cloned())
                .unwrap_or_default();
            Err(io::Error::other(format!("a thread that decompresses panicked: {message}")).into())
        }
    }
}
