//! Sorted runs into one sorted stream.
//!
//! As many runs are open at once as memory allows. Where that is fewer than there are, the shortest are
//! merged into a longer run first, just as many as make the last merge possible.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{BinaryArray, RecordBatch};
use arrow::compute::interleave_record_batch;
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::{RecordBatchReceiverStream, RecordBatchStreamAdapter};
use futures::{StreamExt, TryStreamExt, stream};

use super::order::{Common, Prefixes};
use super::sorter::{BATCH_BYTES, Context, Finished, Run, Sorter};
use crate::exchange::{BLOCK_BYTES, logical_bytes};

/// Most runs that are merged at once: more comparisons for each row than this cost more than writing
/// the rows once more.
const MOST_OPEN_RUNS: usize = 256;

/// Runs that are merged at once, whatever memory is free.
const LEAST_OPEN_RUNS: usize = 4;

/// Blocks of an open run that are in memory: the one being merged, its keys, the one before, of which
/// rows may still be referred to, and those read ahead.
const BLOCKS_OF_OPEN_RUN: usize = 5;

/// All rows that some sorters were given, in order.
///
/// # Errors
/// Those of writing and reading temporary files.
pub(super) async fn merged(
    context: &Arc<Context>,
    sorted: Vec<Finished>,
) -> Result<SendableRecordBatchStream> {
    let mut common = Common::default();
    let (mut streams, mut on_disk) = (Vec::new(), None::<Sorter>);
    for finished in sorted {
        match finished {
            Finished::InMemory(rows) => {
                common.absorb(rows.common());
                streams.push(rows.stream());
            }
            Finished::OnDisk(mut sorter) => {
                common.absorb(&sorter.common);
                match &mut on_disk {
                    None => on_disk = Some(sorter),
                    Some(first) => first.runs.append(&mut sorter.runs),
                }
            }
        }
    }
    let memory = match on_disk {
        None => None,
        Some(mut sorter) => {
            rewrite_shortest(&mut sorter, &common).await?;
            streams.extend(std::mem::take(&mut sorter.runs).into_iter().map(Run::stream));
            // What is reserved is held as long as the stream is.
            Some(sorter.memory)
        }
    };
    if streams.len() == 1 {
        let rows = streams.remove(0).inspect(move |_| {
            let _ = &memory;
        });
        return Ok(Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&context.schema), rows)));
    }
    let mut merge = Merge::new(context, &common, streams, BATCH_BYTES);
    // In a task of its own: whoever wants the rows works at the same time.
    let mut stream = RecordBatchReceiverStream::builder(Arc::clone(&context.schema), 1);
    let output = stream.tx();
    stream.spawn(async move {
        let _memory = memory;
        while let Some(batch) = merge.next().await? {
            if output.send(Ok(batch)).await.is_err() {
                break;
            }
        }
        Ok(())
    });
    Ok(stream.build())
}

/// Makes longer runs until all can be open at once.
async fn rewrite_shortest(sorter: &mut Sorter, common: &Common) -> Result<()> {
    loop {
        let open = open_runs(sorter);
        if sorter.runs.len() <= open {
            return Ok(());
        }
        let count = open.min(sorter.runs.len() - open + 1);
        sorter.runs.sort_by_key(|run| std::cmp::Reverse(run.bytes));
        let shortest = sorter.runs.split_off(sorter.runs.len() - count);
        sorter.context.rewritten_runs.add(count);
        let streams = shortest.iter().cloned().map(Run::stream).collect();
        let merge = Merge::new(&sorter.context, common, streams, BLOCK_BYTES);
        let rows = stream::try_unfold(merge, |mut merge| async {
            Ok(merge.next().await?.map(|batch| (batch, merge)))
        });
        sorter.rewrite(rows.boxed()).await?;
        shortest.iter().for_each(Run::release);
        sorter.memory.free();
    }
}

/// Takes memory for as many runs as can be open at once.
fn open_runs(sorter: &Sorter) -> usize {
    let block_bytes = sorter.runs.iter().map(Run::block_bytes).max().unwrap_or(0);
    let each = block_bytes * BLOCKS_OF_OPEN_RUN;
    let knob = sorter.context.resources.knobs.merge_runs;
    let most = knob.unwrap_or(MOST_OPEN_RUNS).max(2).min(sorter.runs.len());
    let least = most.min(LEAST_OPEN_RUNS);
    sorter.memory.grow(least * each);
    let more = (least..most).take_while(|_| sorter.memory.try_grow(each).is_ok());
    (least + more.count()).max(2)
}

/// A merge of sorted streams with a tree of losers (Knuth, The Art of Computer Programming, volume 3,
/// section 5.4.1).
struct Merge {
    context: Arc<Context>,
    prefixes: Prefixes,
    cursors: Vec<Cursor>,
    /// The winner, then the loser of the match at each inner node; none before all streams were read.
    tree: Vec<usize>,
    /// Rows that are still wanted.
    wanted: usize,
    /// About so large batches are made, of so many rows.
    batch_bytes: usize,
    batch_rows: usize,
}

/// A position in a sorted stream.
struct Cursor {
    stream: SendableRecordBatchStream,
    block: RecordBatch,
    keys: BinaryArray,
    prefixes: Vec<u64>,
    row: usize,
    /// The prefix of the row; all ones at the end.
    head: u64,
    /// The number of the block among those that the next batch is made of.
    number: usize,
}

impl Cursor {
    fn is_at_end(&self) -> bool {
        self.row >= self.prefixes.len()
    }
}

impl Merge {
    fn new(
        context: &Arc<Context>,
        common: &Common,
        streams: Vec<SendableRecordBatchStream>,
        batch_bytes: usize,
    ) -> Self {
        let cursors = streams.into_iter().map(|stream| Cursor {
            stream,
            block: RecordBatch::new_empty(Arc::clone(&context.schema)),
            keys: BinaryArray::new_null(0),
            prefixes: Vec::new(),
            row: 0,
            head: u64::MAX,
            number: 0,
        });
        Merge {
            context: Arc::clone(context),
            prefixes: common.prefixes(),
            cursors: cursors.collect(),
            tree: Vec::new(),
            wanted: context.fetch.unwrap_or(usize::MAX),
            batch_bytes,
            batch_rows: 0,
        }
    }

    /// The next rows.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.cursors.is_empty() {
            return Ok(None);
        }
        if self.tree.is_empty() {
            self.start().await?;
        }
        let rows = self.batch_rows.min(self.wanted);
        let mut blocks = Vec::with_capacity(self.cursors.len());
        for cursor in &mut self.cursors {
            cursor.number = blocks.len();
            blocks.push(cursor.block.clone());
        }
        let mut places = Vec::with_capacity(rows);
        while places.len() < rows {
            let winner = self.tree[0];
            let cursor = &mut self.cursors[winner];
            if cursor.is_at_end() {
                break;
            }
            places.push((cursor.number, cursor.row));
            cursor.row += 1;
            match cursor.prefixes.get(cursor.row) {
                Some(head) => cursor.head = *head,
                None => {
                    self.load(winner).await?;
                    let cursor = &mut self.cursors[winner];
                    cursor.number = blocks.len();
                    blocks.push(cursor.block.clone());
                }
            }
            self.replay(winner);
        }
        self.wanted -= places.len();
        if places.is_empty() {
            return Ok(None);
        }
        let blocks: Vec<&RecordBatch> = blocks.iter().collect();
        Ok(Some(interleave_record_batch(&blocks, &places)?))
    }

    /// Reads the first block of each stream and plays all matches.
    async fn start(&mut self) -> Result<()> {
        let (mut rows, mut bytes) = (0, 0);
        let count = self.cursors.len();
        for cursor in 0..count {
            self.load(cursor).await?;
            let block = &self.cursors[cursor].block;
            rows += block.num_rows();
            bytes += logical_bytes(block);
        }
        self.batch_rows = self.context.rows_of(self.batch_bytes, rows, bytes);
        // The winners below the inner nodes, which have the numbers before those of the leaves.
        let mut winners: Vec<usize> =
            (0..2 * count).map(|node| node.saturating_sub(count)).collect();
        self.tree = vec![0; count];
        for node in (1..count).rev() {
            let (a, b) = (winners[2 * node], winners[2 * node + 1]);
            let (winner, loser) = if self.is_before(b, a) { (b, a) } else { (a, b) };
            (winners[node], self.tree[node]) = (winner, loser);
        }
        self.tree[0] = winners[1];
        Ok(())
    }

    /// Goes on to the next block of a stream, which may be its end.
    async fn load(&mut self, cursor: usize) -> Result<()> {
        let cursor = &mut self.cursors[cursor];
        loop {
            cursor.row = 0;
            let Some(block) = cursor.stream.try_next().await? else {
                cursor.block = RecordBatch::new_empty(Arc::clone(&self.context.schema));
                cursor.keys = BinaryArray::new_null(0);
                cursor.prefixes.clear();
                cursor.head = u64::MAX;
                return Ok(());
            };
            cursor.keys = self.context.keys.of(&block)?;
            cursor.prefixes = self.prefixes.of_all(&cursor.keys);
            cursor.block = block;
            if let Some(head) = cursor.prefixes.first() {
                cursor.head = *head;
                return Ok(());
            }
        }
    }

    /// Plays the matches of a cursor that has moved.
    fn replay(&mut self, cursor: usize) {
        let mut winner = cursor;
        let mut node = (self.cursors.len() + cursor) / 2;
        while node > 0 {
            let loser = self.tree[node];
            if self.is_before(loser, winner) {
                self.tree[node] = winner;
                winner = loser;
            }
            node /= 2;
        }
        self.tree[0] = winner;
    }

    /// Whether the row of a cursor comes before that of another.
    fn is_before(&self, a: usize, b: usize) -> bool {
        let (a, b) = (&self.cursors[a], &self.cursors[b]);
        match a.head.cmp(&b.head) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal if a.is_at_end() => false,
            Ordering::Equal if b.is_at_end() => true,
            Ordering::Equal => {
                let (a, b) = (a.keys.value(a.row), b.keys.value(b.row));
                self.prefixes.rest(a) < self.prefixes.rest(b)
            }
        }
    }
}
