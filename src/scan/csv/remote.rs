//! A file in an object store, read in ranges.
//!
//! A request takes long however little it asks for. So while a piece is parsed, the next one is on its
//! way.

use std::ops::Range;

use bytes::Bytes;
use datafusion::common::runtime::SpawnedTask;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use object_store::ObjectMeta;

use super::dialect::Dialect;
use crate::scan::store::FileStore;

/// The file, and what was asked for already.
pub(crate) struct Remote {
    store: FileStore,
    meta: ObjectMeta,
    /// Nothing is asked for ahead of its use beyond this place.
    ahead_to: u64,
    /// Where the memory for it comes from.
    memory: Option<MemoryReservation>,
    next: Option<(Range<u64>, SpawnedTask<Result<Bytes>>)>,
}

impl Remote {
    pub(super) fn new(store: FileStore, meta: ObjectMeta) -> Self {
        Remote { store, meta, ahead_to: 0, memory: None, next: None }
    }

    pub(super) fn size(&self) -> u64 {
        self.meta.size
    }

    /// Says that the file will be read up to this place, piece by piece.
    pub(super) fn read_ahead(&mut self, end: u64, dialect: &Dialect) {
        self.ahead_to = end.min(self.meta.size);
        let consumer = || MemoryConsumer::new("CSV of an object store");
        self.memory = dialect.memory.as_ref().map(|pool| consumer().register(pool));
    }

    /// Appends the bytes of this range; perhaps those after it, too, if they are there.
    ///
    /// # Errors
    /// `Io` if they cannot be read.
    pub(super) async fn append(&mut self, bytes: &mut Vec<u8>, range: Range<u64>) -> Result<()> {
        let length = range.end - range.start;
        let mut position = range.start;
        if let Some((ahead, task)) = self.next.take()
            && ahead.start == position
        {
            let lost = |err| DataFusionError::ExecutionJoin(Box::new(err));
            bytes.extend_from_slice(&task.join_unwind().await.map_err(lost)??);
            position = ahead.end;
        }
        if position < range.end {
            bytes.extend_from_slice(&self.store.get_range(&self.meta, position..range.end).await?);
            position = range.end;
        }
        self.ask_for(position..position.saturating_add(length).min(self.ahead_to));
        Ok(())
    }

    /// Sends for a range, if there is memory for it.
    fn ask_for(&mut self, range: Range<u64>) {
        let length = range.end.saturating_sub(range.start) as usize;
        let has_room = self.memory.as_ref().is_none_or(|memory| memory.try_resize(length).is_ok());
        if length > 0 && has_room {
            let (store, meta, wanted) = (self.store.clone(), self.meta.clone(), range.clone());
            let task = SpawnedTask::spawn(async move { store.get_range(&meta, wanted).await });
            self.next = Some((range, task));
        }
    }
}
