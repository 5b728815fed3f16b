//! Aggregates of the rows of a partition up to a row, or up to its last peer, in one pass.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::physical_expr::window::{PlainAggregateWindowExpr, WindowExpr};

use super::frame::{Edge, Frames, Grain, Part};
use super::function::has_filter;
use super::rows::{Cursor, Exprs, Rows, evaluate};
use super::totals::{Totals, totals};

/// An aggregate up to a row, over the blocks of a partition.
pub(super) struct Running {
    totals: Box<dyn Totals>,
    frames: Frames,
    values: Cursor,
    /// The rows before this one were added.
    added: usize,
}

impl Running {
    /// The running aggregate of an expression over rows of this schema; `None` if it is none that we
    /// know.
    ///
    /// # Errors
    /// If the expression cannot be evaluated at all.
    pub(super) fn of(expr: &Arc<dyn WindowExpr>, schema: &SchemaRef) -> Result<Option<Self>> {
        let Some((totals, frames)) = parts(expr, schema)? else { return Ok(None) };
        let arguments: Exprs = expr.expressions().into_iter().collect();
        Ok(Some(Running { totals, frames, values: Cursor::new(arguments), added: 0 }))
    }

    /// The results for the next block.
    pub(super) async fn column(&mut self, rows: &mut Rows, part: &Part) -> Result<ArrayRef> {
        if self.added >= part.start + part.rows {
            // All of it is in the group that came from the block before.
            self.totals.repeat(part.rows);
            return Ok(self.totals.take());
        }
        let mut ends = ends(self.frames.grain, part.rows, || {
            Ok(part.peers.iter().map(|run| run.rows.end - part.start).collect())
        })?;
        // The last group may go on in the next block.
        let last = part.peers.last().filter(|_| self.frames.grain == Grain::Peers);
        if last.is_some() {
            ends.pop();
        }
        if !self.values.seek(rows, self.added).await? {
            return internal_err!("a partition ended before row {}", self.added);
        }
        self.totals.pass(&self.values.columns[0], 0, self.added - part.start, &ends);
        self.added = self.added.max(part.start + ends.last().copied().unwrap_or(0));
        if let Some(last) = last {
            let end = self.frames.end.of(rows, part, last).await?;
            let totals = &mut self.totals;
            let add = |columns: &[ArrayRef]| {
                totals.add(&columns[0]);
                Ok(())
            };
            self.values.visit(rows, self.added..end, add).await?;
            self.added = end;
            self.totals.repeat(last.rows.len());
        }
        Ok(self.totals.take())
    }

    /// The first row whose block it may still ask for.
    pub(super) fn needs(&self) -> usize {
        self.values.needs(self.added).min(self.frames.needs())
    }
}

/// The running aggregate of an expression over partitions that are in memory, one after the other;
/// `None` if it is none that we know. `peers` gives the runs of peers of all of them.
///
/// # Errors
/// Those of evaluating the expression.
pub(super) fn of_partitions(
    expr: &Arc<dyn WindowExpr>,
    batch: &RecordBatch,
    partitions: &[Range<usize>],
    peers: impl FnOnce() -> Result<Vec<Range<usize>>>,
) -> Result<Option<ArrayRef>> {
    let Some((mut totals, frames)) = parts(expr, &batch.schema())? else { return Ok(None) };
    let ends = ends(frames.grain, batch.num_rows(), || {
        Ok(peers()?.into_iter().map(|run| run.end).collect())
    })?;
    let values = evaluate(&expr.expressions().into_iter().collect(), batch)?;
    let mut ends = ends.as_slice();
    for partition in partitions {
        let count = ends.iter().take_while(|end| **end <= partition.end).count();
        let (own, others) = ends.split_at(count);
        totals.restart();
        totals.pass(&values[0], partition.start, partition.start, own);
        ends = others;
    }
    Ok(Some(totals.take()))
}

/// Whether an expression is a running aggregate that we know.
pub(super) fn is_running(expr: &Arc<dyn WindowExpr>, schema: &SchemaRef) -> bool {
    matches!(parts(expr, schema), Ok(Some(_)))
}

/// Where the runs of rows end that share their frames.
fn ends(
    grain: Grain,
    rows: usize,
    peers: impl FnOnce() -> Result<Vec<usize>>,
) -> Result<Vec<usize>> {
    if grain == Grain::Peers { peers() } else { Ok((1..=rows).collect()) }
}

/// The totals and the frames of an expression whose frames reach from the start of the partition to
/// the row, or to its last peer.
fn parts(
    expr: &Arc<dyn WindowExpr>,
    schema: &SchemaRef,
) -> Result<Option<(Box<dyn Totals>, Frames)>> {
    let Some(plain) = expr.as_any().downcast_ref::<PlainAggregateWindowExpr>() else {
        return Ok(None);
    };
    let frames = Frames::new(expr.get_window_frame(), expr.order_by())?;
    let is_running = matches!(
        (&frames.start, &frames.end, frames.grain),
        (Edge::First, Edge::Rows(1), Grain::Row) | (Edge::First, Edge::Peers(_), Grain::Peers)
    );
    if !is_running || has_filter(expr) {
        return Ok(None);
    }
    Ok(totals(plain.get_aggregate_expr(), schema)?.map(|totals| (totals, frames)))
}
