//! Where the frame of a row begins and ends.
//!
//! Both ends only move forward from row to row, so each is an [`Edge`] that searches from where it
//! is. Rows that are equal in ORDER BY are peers; a group is all peers of a row.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::SortOptions;
use datafusion::common::utils::{compare_rows, get_row_at_idx};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{WindowFrame, WindowFrameBound, WindowFrameUnits};
use datafusion::physical_expr::PhysicalSortExpr;

use super::rows::{Cursor, Exprs, Rows, evaluate, runs};

/// A run of peers within a block.
#[derive(Debug, Clone)]
pub(super) struct Run {
    /// Its rows, by their numbers in the partition.
    pub(super) rows: Range<usize>,
    /// The first row of its group, which may be in an earlier block.
    pub(super) group_start: usize,
    /// The number of its group.
    pub(super) group: usize,
}

/// A block of rows for which results are wanted.
pub(super) struct Part {
    /// The number of its first row in the partition.
    pub(super) start: usize,
    pub(super) rows: usize,
    /// The ORDER BY columns.
    pub(super) order_by: Vec<ArrayRef>,
    pub(super) peers: Vec<Run>,
}

/// Finds the runs of peers of one block after the other.
pub(super) struct Peers {
    order_by: Exprs,
    /// The last row of the block before, the first row of its group and the number of that.
    last: Option<(Vec<ScalarValue>, usize, usize)>,
    next_row: usize,
}

impl Peers {
    pub(super) fn new(order_by: Exprs) -> Self {
        Peers { order_by, last: None, next_row: 0 }
    }

    /// The runs of the next block.
    pub(super) fn next(&mut self, batch: &RecordBatch) -> Result<Part> {
        let (rows, start) = (batch.num_rows(), self.next_row);
        let order_by = evaluate(&self.order_by, batch)?;
        let first = get_row_at_idx(&order_by, 0)?;
        let mut open = match &self.last {
            Some((last, group_start, group)) if *last == first => Some((*group_start, *group)),
            _ => None,
        };
        let mut next_group = self.last.as_ref().map_or(0, |(_, _, group)| group + 1);
        let mut peers = Vec::new();
        for range in runs(&order_by, rows)? {
            let range = start + range.start..start + range.end;
            let (group_start, group) = open.take().unwrap_or_else(|| {
                next_group += 1;
                (range.start, next_group - 1)
            });
            peers.push(Run { rows: range, group_start, group });
        }
        let Some(Run { group_start, group, .. }) = peers.last() else {
            return internal_err!("a block without rows");
        };
        self.last = Some((get_row_at_idx(&order_by, rows - 1)?, *group_start, *group));
        self.next_row += rows;
        Ok(Part { start, rows, order_by, peers })
    }
}

/// For which rows of a part the frame is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grain {
    /// Each row has a frame of its own.
    Row,
    /// Peers share it.
    Peers,
    /// All rows of the partition share it.
    Partition,
}

/// The frames of the rows of a partition.
pub(super) struct Frames {
    pub(super) start: Edge,
    pub(super) end: Edge,
    pub(super) grain: Grain,
}

impl Frames {
    pub(super) fn new(frame: &WindowFrame, order_by: &[PhysicalSortExpr]) -> Result<Self> {
        let start = Edge::new(&frame.start_bound, frame.units, Side::Start, order_by)?;
        let end = Edge::new(&frame.end_bound, frame.units, Side::End, order_by)?;
        let grain = match (&start, &end) {
            (Edge::First, Edge::Last) => Grain::Partition,
            _ if frame.units == WindowFrameUnits::Rows => Grain::Row,
            _ if order_by.is_empty() => Grain::Partition,
            _ => Grain::Peers,
        };
        Ok(Frames { start, end, grain })
    }

    /// The runs of rows of a part that share their frames.
    pub(super) fn runs(&self, part: &Part) -> Vec<Run> {
        match self.grain {
            Grain::Peers => part.peers.clone(),
            // Where frames do not depend on peers, groups are not looked at.
            Grain::Partition => {
                vec![Run { rows: part.start..part.start + part.rows, group_start: 0, group: 0 }]
            }
            Grain::Row => (part.start..part.start + part.rows)
                .map(|row| Run { rows: row..row + 1, group_start: row, group: row })
                .collect(),
        }
    }

    /// The rows of the frame of a run.
    ///
    /// # Errors
    /// Those of reading on.
    pub(super) async fn of(
        &mut self,
        rows: &mut Rows,
        part: &Part,
        run: &Run,
    ) -> Result<Range<usize>> {
        let start = self.start.of(rows, part, run).await?;
        let end = self.end.of(rows, part, run).await?;
        Ok(start..end)
    }

    /// The first row whose block it may still ask for.
    pub(super) fn needs(&self) -> usize {
        self.start.needs().min(self.end.needs())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Start,
    End,
}

/// One end of the frames of a partition.
pub(super) enum Edge {
    /// The first row of the partition.
    First,
    /// After its last row.
    Last,
    /// So many rows after the row itself, or before if negative.
    Rows(i64),
    /// After the last peer of the row.
    Peers(PeersEnd),
    /// The start of the group that comes so many groups after the row's own, or before.
    Groups { ends: GroupEnds, shift: i64 },
    /// Where a value is that lies at a distance from the row's own.
    Range(RangeEdge),
}

impl Edge {
    fn new(
        bound: &WindowFrameBound,
        units: WindowFrameUnits,
        side: Side,
        order_by: &[PhysicalSortExpr],
    ) -> Result<Self> {
        use WindowFrameBound::{CurrentRow, Following, Preceding};
        if bound.is_unbounded() {
            return Ok(if matches!(bound, Preceding(_)) { Edge::First } else { Edge::Last });
        }
        // The end is after the last row or group of the frame.
        let own = i64::from(side == Side::End);
        let exprs: Exprs = order_by.iter().map(|order| Arc::clone(&order.expr)).collect();
        let groups =
            |shift: i64| Ok(Edge::Groups { ends: GroupEnds::new(Arc::clone(&exprs)), shift });
        let count = |value: &ScalarValue| match value {
            ScalarValue::UInt64(Some(value)) => Ok(i64::try_from(*value).unwrap_or(i64::MAX / 2)),
            _ => internal_err!("a frame is bounded by {value}, which is no number of rows"),
        };
        match (units, bound) {
            (WindowFrameUnits::Rows, CurrentRow) => Ok(Edge::Rows(own)),
            (WindowFrameUnits::Rows, Preceding(value)) => Ok(Edge::Rows(own - count(value)?)),
            (WindowFrameUnits::Rows, Following(value)) => {
                Ok(Edge::Rows(own.saturating_add(count(value)?)))
            }
            (_, CurrentRow) if side == Side::End => {
                Ok(Edge::Peers(PeersEnd { values: Cursor::new(exprs), row: 0 }))
            }
            (_, CurrentRow) => groups(0),
            (WindowFrameUnits::Groups, Preceding(value)) => groups(own - count(value)?),
            (WindowFrameUnits::Groups, Following(value)) => {
                groups(own.saturating_add(count(value)?))
            }
            (WindowFrameUnits::Range, Preceding(delta) | Following(delta)) => {
                let Some(order) = order_by.first() else {
                    return internal_err!("a frame of values without ORDER BY");
                };
                Ok(Edge::Range(RangeEdge {
                    values: Cursor::new([Arc::clone(&order.expr)].into_iter().collect()),
                    row: 0,
                    delta: delta.clone(),
                    is_preceding: matches!(bound, Preceding(_)),
                    side,
                    options: order.options,
                }))
            }
        }
    }

    /// The row of this end of the frame of a run.
    ///
    /// # Errors
    /// Those of reading on.
    pub(super) async fn of(&mut self, rows: &mut Rows, part: &Part, run: &Run) -> Result<usize> {
        match self {
            Edge::First => Ok(0),
            Edge::Last => rows.complete().await,
            Edge::Rows(shift) => match shifted(run.rows.start, *shift) {
                0 => Ok(0),
                row if rows.reach(row - 1).await? => Ok(row),
                _ => rows.complete().await,
            },
            Edge::Peers(end) => end.of(rows, part, run).await,
            Edge::Groups { ends, shift } => ends.nth(rows, shifted(run.group, *shift)).await,
            Edge::Range(edge) => edge.of(rows, part, run).await,
        }
    }

    fn needs(&self) -> usize {
        match self {
            Edge::First | Edge::Last | Edge::Rows(_) => usize::MAX,
            Edge::Peers(end) => end.values.needs(0),
            Edge::Groups { ends, .. } => ends.needs(),
            Edge::Range(edge) => edge.values.needs(edge.row),
        }
    }
}

fn shifted(number: usize, shift: i64) -> usize {
    let distance = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX);
    if shift < 0 { number.saturating_sub(distance) } else { number.saturating_add(distance) }
}

/// Finds the end of the group that a row is in.
pub(super) struct PeersEnd {
    /// Looks for it in the blocks that follow.
    values: Cursor,
    /// The last end that was found there.
    row: usize,
}

impl PeersEnd {
    async fn of(&mut self, rows: &mut Rows, part: &Part, run: &Run) -> Result<usize> {
        let end = run.rows.end;
        if end <= self.row {
            // It is in the group that came from the block before.
            return Ok(self.row);
        }
        if end < part.start + part.rows {
            return Ok(end);
        }
        // Its last row is the last of the block; the group may go on in those that follow.
        self.row = end;
        let own = get_row_at_idx(&part.order_by, part.rows - 1)?;
        while self.values.seek(rows, self.row).await?
            && get_row_at_idx(&self.values.columns, self.values.place(self.row))? == own
        {
            let block = self.values.rows();
            let peers = runs(&self.values.columns, block.len())?.into_iter().next();
            self.row += peers.map_or(0, |run| run.len());
            if self.row < block.end {
                break;
            }
        }
        Ok(self.row)
    }
}

/// Finds the ends of the groups of a partition, one after the other.
pub(super) struct GroupEnds {
    values: Cursor,
    /// The runs of peers in the block of the cursor that were not used.
    runs: std::vec::IntoIter<Range<usize>>,
    /// The end of the last group that was found, and how many were.
    row: usize,
    count: usize,
}

impl GroupEnds {
    pub(super) fn new(order_by: Exprs) -> Self {
        GroupEnds { values: Cursor::new(order_by), runs: Vec::new().into_iter(), row: 0, count: 0 }
    }

    /// The end of the first `count` groups; the end of the partition if it has fewer.
    pub(super) async fn nth(&mut self, rows: &mut Rows, count: usize) -> Result<usize> {
        while self.count < count && self.advance(rows).await? {
            self.count += 1;
        }
        Ok(self.row)
    }

    /// The first row whose block it may still ask for.
    pub(super) fn needs(&self) -> usize {
        self.values.needs(self.row)
    }

    /// Moves to the end of the next group; `false` if there is none.
    async fn advance(&mut self, rows: &mut Rows) -> Result<bool> {
        let Some(mut run) = self.run(rows).await? else { return Ok(false) };
        while run.end == self.values.rows().end {
            // Its last row in this block; the group may go on in the next.
            let last = get_row_at_idx(&self.values.columns, self.values.place(run.end - 1))?;
            self.row = run.end;
            if !self.values.seek(rows, self.row).await? {
                return Ok(true);
            }
            self.find_runs()?;
            if get_row_at_idx(&self.values.columns, 0)? != last {
                return Ok(true);
            }
            let Some(next) = self.runs.next() else { return internal_err!("a block without rows") };
            run = next;
        }
        self.row = run.end;
        Ok(true)
    }

    /// The run of peers that begins where the last group ended.
    async fn run(&mut self, rows: &mut Rows) -> Result<Option<Range<usize>>> {
        if let Some(run) = self.runs.next() {
            return Ok(Some(run));
        }
        if !self.values.seek(rows, self.row).await? {
            return Ok(None);
        }
        self.find_runs()?;
        Ok(self.runs.next())
    }

    fn find_runs(&mut self) -> Result<()> {
        let block = self.values.rows();
        let runs = runs(&self.values.columns, block.len())?.into_iter();
        let runs = runs.map(|run| block.start + run.start..block.start + run.end);
        self.runs = runs.collect::<Vec<_>>().into_iter();
        Ok(())
    }
}

/// Finds the first row whose value is (at the start of a frame) not before, or (at its end) after a
/// value at a distance from that of the row itself.
pub(super) struct RangeEdge {
    values: Cursor,
    row: usize,
    delta: ScalarValue,
    is_preceding: bool,
    side: Side,
    options: SortOptions,
}

impl RangeEdge {
    async fn of(&mut self, rows: &mut Rows, part: &Part, run: &Run) -> Result<usize> {
        let Some(order_by) = part.order_by.first() else {
            return internal_err!("a frame of values without ORDER BY");
        };
        let own = ScalarValue::try_from_array(order_by, run.rows.start - part.start)?;
        let Some(target) = self.target(own)? else {
            // Beyond what the type can hold, so there are no such rows.
            if !self.is_preceding {
                self.row = rows.complete().await?;
            }
            return Ok(self.row);
        };
        let target = [target];
        while self.values.seek(rows, self.row).await? {
            let end = self.values.rows().end;
            while self.row < end {
                let place = self.values.place(self.row);
                let value = ScalarValue::try_from_array(&self.values.columns[0], place)?;
                let order = compare_rows(&[value], &target, &[self.options])?;
                if order.is_gt() || (order.is_eq() && self.side == Side::Start) {
                    return Ok(self.row);
                }
                self.row += 1;
            }
        }
        Ok(self.row)
    }

    /// The value that is looked for; `None` if its type cannot hold it.
    fn target(&self, own: ScalarValue) -> Result<Option<ScalarValue>> {
        if own.is_null() {
            return Ok(Some(own));
        }
        if self.is_preceding == self.options.descending {
            return Ok(own.add_checked(&self.delta).ok());
        }
        let is_unsigned = own.data_type().is_unsigned_integer();
        if is_unsigned && own < self.delta {
            return Ok(Some(ScalarValue::new_zero(&own.data_type())?));
        }
        Ok(own.sub_checked(&self.delta).ok())
    }
}
