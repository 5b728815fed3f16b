//! Window functions over a partition of any size.
//!
//! Each [`Function`] gives its results block by block, in order, and reads the rows it needs through
//! cursors of its own. What it holds besides them does not grow with the partition, but for
//! aggregates that keep their values and functions we know nothing of; they say how much they hold.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Float64Array, RecordBatch, UInt32Array, UInt64Array,
};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{concat, concat_batches, take};
use datafusion::common::{ScalarValue, internal_err};
use datafusion::error::Result;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::functions_window::{cume_dist, lead_lag, nth_value, ntile, rank, row_number};
use datafusion::logical_expr::window_state::PartitionBatchState;
use datafusion::logical_expr::{Accumulator, WindowUDF};
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::window::{
    PartitionBatches, PartitionWindowAggStates, PlainAggregateWindowExpr,
    SlidingAggregateWindowExpr, StandardWindowExpr, WindowEvalContext, WindowExpr,
};
use datafusion::physical_plan::windows::WindowUDFExpr;

use super::frame::{Edge, Frames, Grain, GroupEnds, Part, Run};
use super::rows::{Cursor, Exprs, Rows};
use crate::exchange::{compacted, logical_bytes};

/// So many rows at once are worth a look at what an aggregate holds.
const MANY_ROWS: usize = 1024;

/// A window function over the rows of one partition.
pub(super) enum Function {
    Number(Number),
    Pick(Box<Pick>),
    Aggregate(Box<Aggregate>),
    Buffered(Box<Buffered>),
}

impl Function {
    /// The function of an expression, for a new partition.
    ///
    /// # Errors
    /// If the expression cannot be evaluated at all.
    pub(super) fn of(expr: &Arc<dyn WindowExpr>, memory: &MemoryReservation) -> Result<Self> {
        let any = expr.as_any();
        if let Some(plain) = any.downcast_ref::<PlainAggregateWindowExpr>()
            && !has_filter(expr)
        {
            let aggregate = Aggregate::new(expr, plain.get_aggregate_expr(), false, memory)?;
            return Ok(Function::Aggregate(Box::new(aggregate)));
        }
        if let Some(sliding) = any.downcast_ref::<SlidingAggregateWindowExpr>()
            && !has_filter(expr)
        {
            let aggregate = Aggregate::new(expr, sliding.get_aggregate_expr(), true, memory)?;
            return Ok(Function::Aggregate(Box::new(aggregate)));
        }
        if let Some(standard) = any.downcast_ref::<StandardWindowExpr>()
            && let Some(function) = standard.get_standard_func_expr().as_any().downcast_ref()
            && let Some(known) = Function::known(expr, function)?
        {
            return Ok(known);
        }
        Ok(Function::Buffered(Box::new(Buffered::new(expr, memory))))
    }

    fn known(expr: &Arc<dyn WindowExpr>, function: &WindowUDFExpr) -> Result<Option<Self>> {
        let fun = function.fun();
        if let Some(kind) = NumberKind::of_function(function) {
            return Ok(Some(Function::Number(Number::new(kind, expr))));
        }
        let Some(target) = Target::of(fun, function) else { return Ok(None) };
        Ok(Some(Function::Pick(Box::new(Pick::new(target, expr, function)?))))
    }

    /// The results for the next block.
    ///
    /// # Errors
    /// Those of reading on and of the function.
    pub(super) async fn column(&mut self, rows: &mut Rows, part: &Part) -> Result<ArrayRef> {
        match self {
            Function::Number(number) => number.column(rows, part).await,
            Function::Pick(pick) => pick.column(rows, part).await,
            Function::Aggregate(aggregate) => aggregate.column(rows, part).await,
            Function::Buffered(buffered) => buffered.column(rows, part).await,
        }
    }

    /// The first row whose block it may still ask for.
    pub(super) fn needs(&self) -> usize {
        match self {
            Function::Number(number) => number.ends.as_ref().map_or(usize::MAX, GroupEnds::needs),
            Function::Pick(pick) => pick.needs(),
            Function::Aggregate(aggregate) => aggregate.needs(),
            Function::Buffered(buffered) => buffered.next_row,
        }
    }
}

/// The aggregate of an expression that has one value for each partition, where DataFusion can
/// compute it for many of them at once.
pub(super) fn aggregate_of_partitions(
    expr: &Arc<dyn WindowExpr>,
) -> Option<&AggregateFunctionExpr> {
    let plain = expr.as_any().downcast_ref::<PlainAggregateWindowExpr>()?;
    let frames = Frames::new(expr.get_window_frame(), expr.order_by()).ok()?;
    let aggregate = plain.get_aggregate_expr();
    let is_one = frames.grain == Grain::Partition && !has_filter(expr);
    (is_one && aggregate.groups_accumulator_supported()).then_some(aggregate)
}

/// Whether an aggregate has a FILTER. DataFusion 55 does not give it but in what it prints, where
/// it is the last field.
fn has_filter(expr: &Arc<dyn WindowExpr>) -> bool {
    !format!("{expr:?}").ends_with("filter: None }")
}

/// A flag of a function that DataFusion 55 does not give but in what it prints.
fn has_flag(function: &WindowUDFExpr, flag: &str) -> bool {
    format!("{function:?}").contains(&format!("{flag}: true"))
}

/// Functions of the number of a row and of its group.
pub(super) struct Number {
    kind: NumberKind,
    /// The ends of groups, where they matter.
    ends: Option<GroupEnds>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberKind {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile(u64),
}

impl NumberKind {
    /// The kind of an expression, if it is such a function.
    pub(super) fn of(expr: &Arc<dyn WindowExpr>) -> Option<Self> {
        let standard = expr.as_any().downcast_ref::<StandardWindowExpr>()?;
        NumberKind::of_function(standard.get_standard_func_expr().as_any().downcast_ref()?)
    }

    fn of_function(function: &WindowUDFExpr) -> Option<Self> {
        let fun = function.fun();
        Some(match fun {
            _ if *fun == row_number::row_number_udwf() => NumberKind::RowNumber,
            _ if *fun == rank::rank_udwf() => NumberKind::Rank,
            _ if *fun == rank::dense_rank_udwf() => NumberKind::DenseRank,
            _ if *fun == rank::percent_rank_udwf() => NumberKind::PercentRank,
            _ if *fun == cume_dist::cume_dist_udwf() => NumberKind::CumeDist,
            _ if *fun == ntile::ntile_udwf() => {
                NumberKind::Ntile(u64::try_from(literal(function, 0)?).ok().filter(|n| *n > 0)?)
            }
            _ => return None,
        })
    }
}

impl NumberKind {
    /// Whether it depends on which rows are peers.
    pub(super) fn needs_peers(self) -> bool {
        !matches!(self, NumberKind::RowNumber | NumberKind::Ntile(_))
    }

    /// The results for partitions that are in memory, with the runs of their peers.
    pub(super) fn all(self, partitions: &[Range<usize>], peers: &[Range<usize>]) -> ArrayRef {
        let rows = partitions.last().map_or(0, |last| last.end);
        let by_row = |value: &dyn Fn(u64, u64) -> u64| -> ArrayRef {
            let mut values = Vec::with_capacity(rows);
            for partition in partitions {
                let all = partition.len() as u64;
                values.extend((0..all).map(|row| value(row, all)));
            }
            Arc::new(UInt64Array::from(values))
        };
        match self {
            NumberKind::RowNumber => by_row(&|row, _| row + 1),
            NumberKind::Ntile(tiles) => by_row(&|row, all| tile(row, all, tiles)),
            NumberKind::Rank => {
                Arc::new(UInt64Array::from(each_group(partitions, peers, |group| {
                    group.start as u64 + 1
                })))
            }
            NumberKind::DenseRank => {
                Arc::new(UInt64Array::from(each_group(partitions, peers, |group| {
                    group.number as u64 + 1
                })))
            }
            NumberKind::PercentRank => {
                Arc::new(Float64Array::from(each_group(partitions, peers, |group| {
                    group.start as f64 / (group.all as f64 - 1.0).max(1.0)
                })))
            }
            NumberKind::CumeDist => {
                Arc::new(Float64Array::from(each_group(partitions, peers, |group| {
                    group.end as f64 / group.all as f64
                })))
            }
        }
    }
}

/// Where a group is in its partition.
struct Group {
    number: usize,
    start: usize,
    end: usize,
    /// Rows of the partition.
    all: usize,
}

/// A value for each run of peers, repeated for its rows. No run is in two partitions.
fn each_group<T: Clone>(
    partitions: &[Range<usize>],
    peers: &[Range<usize>],
    value: impl Fn(Group) -> T,
) -> Vec<T> {
    let mut values = Vec::with_capacity(partitions.last().map_or(0, |last| last.end));
    let mut peers = peers.iter().peekable();
    for partition in partitions {
        let mut number = 0;
        while let Some(run) = peers.next_if(|run| run.start < partition.end) {
            let (start, end) = (run.start - partition.start, run.end - partition.start);
            let group = Group { number, start, end, all: partition.len() };
            values.resize(values.len() + run.len(), value(group));
            number += 1;
        }
    }
    values
}

/// An argument that must be a whole number; NULL is 0.
fn literal(function: &WindowUDFExpr, argument: usize) -> Option<i64> {
    let value = function.args().get(argument)?.downcast_ref::<Literal>()?.value();
    if value.is_null() {
        return Some(0);
    }
    if !value.data_type().is_integer() {
        return None;
    }
    value.cast_to(&arrow::datatypes::DataType::Int64).ok()?.try_into().ok()
}

impl Number {
    fn new(kind: NumberKind, expr: &Arc<dyn WindowExpr>) -> Self {
        let ends =
            (kind == NumberKind::CumeDist).then(|| GroupEnds::new(order_exprs(expr.order_by())));
        Number { kind, ends }
    }

    async fn column(&mut self, rows: &mut Rows, part: &Part) -> Result<ArrayRef> {
        let numbers = part.start as u64..(part.start + part.rows) as u64;
        Ok(match self.kind {
            NumberKind::RowNumber => {
                Arc::new(UInt64Array::from_iter_values(numbers.map(|number| number + 1)))
            }
            NumberKind::Rank => {
                Arc::new(UInt64Array::from(by_peers(part, |run| run.group_start as u64 + 1)))
            }
            NumberKind::DenseRank => {
                Arc::new(UInt64Array::from(by_peers(part, |run| run.group as u64 + 1)))
            }
            NumberKind::PercentRank => {
                let most = (rows.complete().await? as f64 - 1.0).max(1.0);
                Arc::new(Float64Array::from(by_peers(part, |run| run.group_start as f64 / most)))
            }
            NumberKind::CumeDist => {
                let all = rows.complete().await? as f64;
                let Some(groups) = &mut self.ends else {
                    return internal_err!("no ends of groups");
                };
                let mut values = Vec::with_capacity(part.rows);
                for run in &part.peers {
                    let end = groups.nth(rows, run.group + 1).await?;
                    values.resize(values.len() + run.rows.len(), end as f64 / all);
                }
                Arc::new(Float64Array::from(values))
            }
            NumberKind::Ntile(tiles) => {
                let all = rows.complete().await? as u64;
                Arc::new(UInt64Array::from_iter_values(numbers.map(|row| tile(row, all, tiles))))
            }
        })
    }
}

/// A value for each run of peers, repeated for its rows.
fn by_peers<T: Clone>(part: &Part, value: impl Fn(&Run) -> T) -> Vec<T> {
    let mut values = Vec::with_capacity(part.rows);
    for run in &part.peers {
        values.resize(values.len() + run.rows.len(), value(run));
    }
    values
}

/// The tile of a row, of `tiles` into which `all` rows are divided: the first ones have a row more
/// where they cannot be equal.
fn tile(row: u64, all: u64, tiles: u64) -> u64 {
    let (small, large_tiles) = (all / tiles, all % tiles);
    let in_large = large_tiles * (small + 1);
    if row < in_large {
        row / (small + 1) + 1
    } else {
        large_tiles + (row - in_large) / small.max(1) + 1
    }
}

/// Functions that give the value of another row.
pub(super) struct Pick {
    target: Target,
    /// What is given where there is no such row.
    default: ScalarValue,
    frames: Frames,
    /// Rows that count (all, or those that are not NULL) before the start of a frame, before its
    /// end, and the row that is given.
    before_start: Counter,
    before_end: Counter,
    picked: Counter,
}

/// Which row it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// The n-th of the frame, counted from 1, or from its end if negative. 0 is none.
    Nth(i64),
    /// So many before the row itself, or after it if negative.
    Before(i64),
}

impl Target {
    fn of(fun: &Arc<WindowUDF>, function: &WindowUDFExpr) -> Option<Self> {
        let is_reversed = has_flag(function, "is_reversed");
        let turned = |number: i64| if is_reversed { number.wrapping_neg() } else { number };
        let distance = || match function.args().get(1) {
            None => Some(1),
            Some(_) => literal(function, 1),
        };
        Some(match fun {
            _ if *fun == nth_value::first_value_udwf() => Target::Nth(1),
            _ if *fun == nth_value::last_value_udwf() => Target::Nth(-1),
            _ if *fun == nth_value::nth_value_udwf() => Target::Nth(turned(literal(function, 1)?)),
            _ if *fun == lead_lag::lag_udwf() => Target::Before(turned(distance()?)),
            _ if *fun == lead_lag::lead_udwf() => {
                Target::Before(turned(distance()?.wrapping_neg()))
            }
            _ => return None,
        })
    }
}

impl Pick {
    fn new(target: Target, expr: &Arc<dyn WindowExpr>, function: &WindowUDFExpr) -> Result<Self> {
        let ignores_nulls = has_flag(function, "ignore_nulls");
        let field = expr.field()?;
        let default = match (target, function.args().get(2)) {
            (Target::Before(_), Some(default)) => match default.downcast_ref::<Literal>() {
                Some(literal) => literal.value().cast_to(field.data_type())?,
                None => return internal_err!("a default that is no constant"),
            },
            _ => ScalarValue::try_from(field.data_type())?,
        };
        let values: Exprs = expr.expressions().into_iter().take(1).collect();
        let counter = || Counter::new(Arc::clone(&values), ignores_nulls);
        let (before_start, before_end, picked) = (counter(), counter(), counter());
        let frames = Frames::new(expr.get_window_frame(), expr.order_by())?;
        Ok(Pick { target, default, frames, before_start, before_end, picked })
    }

    async fn column(&mut self, rows: &mut Rows, part: &Part) -> Result<ArrayRef> {
        let mut found = Found::default();
        match self.target {
            Target::Nth(number) => {
                for run in self.frames.runs(part) {
                    let frame = self.frames.of(rows, part, &run).await?;
                    let start = self.before_start.before(rows, frame.start).await?;
                    let end = self.before_end.before(rows, frame.end).await?;
                    let distance = usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
                    let row = match number {
                        0 => None,
                        1.. => start.checked_add(distance - 1).filter(|row| *row < end),
                        _ => end.checked_sub(distance).filter(|row| *row >= start),
                    };
                    self.pick(rows, &mut found, row, run.rows.len()).await?;
                }
            }
            Target::Before(distance) => {
                for row in part.start..part.start + part.rows {
                    let row = self.other(rows, row, distance).await?;
                    self.pick(rows, &mut found, row, 1).await?;
                }
            }
        }
        found.finish(&self.picked, &self.default)
    }

    /// The row at a distance before a row, among those that count.
    async fn other(&mut self, rows: &mut Rows, row: usize, distance: i64) -> Result<Option<usize>> {
        let by = usize::try_from(distance.unsigned_abs()).unwrap_or(usize::MAX);
        if distance > 0 {
            return Ok(self.before_start.before(rows, row).await?.checked_sub(by));
        }
        if distance < 0 {
            let after = self.before_start.before(rows, row + 1).await?;
            return Ok(after.checked_add(by - 1));
        }
        // The row itself, whether it is NULL or not.
        self.picked.counts_all();
        Ok(Some(row))
    }

    async fn pick(
        &mut self,
        rows: &mut Rows,
        found: &mut Found,
        row: Option<usize>,
        times: usize,
    ) -> Result<()> {
        let place = match row {
            Some(row) => self.picked.place(rows, row, found).await?,
            None => None,
        };
        found.places.resize(found.places.len() + times, place);
        Ok(())
    }

    fn needs(&self) -> usize {
        let picked = self.picked.values.needs(0);
        match self.target {
            Target::Before(_) => picked.min(self.before_start.needs()),
            Target::Nth(_) => {
                // Nothing is ever counted before the first row.
                let starts_first = matches!(self.frames.start, Edge::First);
                let start = if starts_first { usize::MAX } else { self.before_start.needs() };
                picked.min(start).min(self.before_end.needs()).min(self.frames.needs())
            }
        }
    }
}

/// Counts rows, all or those that are not NULL.
struct Counter {
    values: Cursor,
    ignores_nulls: bool,
    /// Rows that were passed, and those of them that count.
    row: usize,
    count: usize,
    /// The places of the rows of the current block that count, once they were asked for.
    places: Option<Vec<u32>>,
}

impl Counter {
    fn new(values: Exprs, ignores_nulls: bool) -> Self {
        Counter { values: Cursor::new(values), ignores_nulls, row: 0, count: 0, places: None }
    }

    fn counts_all(&mut self) {
        self.ignores_nulls = false;
    }

    /// How many rows before this one count.
    async fn before(&mut self, rows: &mut Rows, row: usize) -> Result<usize> {
        if !self.ignores_nulls {
            return Ok(row);
        }
        let mut count = self.count;
        let wanted = self.row..row.max(self.row);
        self.values
            .visit(rows, wanted, |columns| {
                count += columns[0].len() - columns[0].logical_null_count();
                Ok(())
            })
            .await?;
        (self.row, self.count) = (row.max(self.row), count);
        Ok(count)
    }

    /// The first row whose block it may still ask for to count.
    fn needs(&self) -> usize {
        if self.ignores_nulls { self.values.needs(self.row) } else { usize::MAX }
    }

    /// The place of the row of this number, of those that count, in the block that the cursor is
    /// then in; `found` is told before it leaves one. `None` if there are not as many.
    async fn place(
        &mut self,
        rows: &mut Rows,
        number: usize,
        found: &mut Found,
    ) -> Result<Option<u32>> {
        if !self.ignores_nulls {
            if !self.values.rows().contains(&number) {
                found.leave(&self.values)?;
                if !self.values.seek(rows, number).await? {
                    return Ok(None);
                }
            }
            return Ok(Some(self.values.place(number) as u32));
        }
        loop {
            if let Some(places) = &self.places {
                if let Some(place) = places.get(number - self.count) {
                    return Ok(Some(*place));
                }
                if self.is_last(rows).await? {
                    return Ok(None);
                }
                self.count += places.len();
                found.leave(&self.values)?;
            }
            let next = self.values.rows().end;
            if !self.values.seek(rows, next).await? {
                return Ok(None);
            }
            let column = &self.values.columns[0];
            let nulls = column.logical_nulls();
            let counts =
                |row: &u32| nulls.as_ref().is_none_or(|nulls| nulls.is_valid(*row as usize));
            self.places = Some((0..column.len() as u32).filter(counts).collect());
        }
    }

    /// Whether the cursor is in the last block.
    async fn is_last(&self, rows: &mut Rows) -> Result<bool> {
        Ok(!rows.reach(self.values.rows().end).await?)
    }
}

/// Values that were found, in pieces, one for each block they are in.
#[derive(Default)]
struct Found {
    pieces: Vec<ArrayRef>,
    /// The places in the current block of those that are not in a piece; `None` where there is no
    /// row.
    places: Vec<Option<u32>>,
    /// Whether there is a row.
    is_found: Vec<bool>,
}

impl Found {
    /// Takes the values of the block that is left.
    fn leave(&mut self, values: &Cursor) -> Result<()> {
        if self.places.iter().any(Option::is_some) {
            let places = std::mem::take(&mut self.places);
            self.is_found.extend(places.iter().map(Option::is_some));
            let piece = take(&values.columns[0], &UInt32Array::from(places), None)?;
            self.pieces.push(own(piece)?);
        }
        Ok(())
    }

    fn finish(mut self, picked: &Counter, default: &ScalarValue) -> Result<ArrayRef> {
        self.leave(&picked.values)?;
        if !self.places.is_empty() {
            self.is_found.resize(self.is_found.len() + self.places.len(), false);
            let none = ScalarValue::try_from(default.data_type())?;
            self.pieces.push(none.to_array_of_size(self.places.len())?);
        }
        let pieces: Vec<&dyn Array> = self.pieces.iter().map(AsRef::as_ref).collect();
        let values =
            if let [piece] = self.pieces.as_slice() { Arc::clone(piece) } else { concat(&pieces)? };
        if default.is_null() || self.is_found.iter().all(|found| *found) {
            return Ok(values);
        }
        Ok(zip(&BooleanArray::from(self.is_found), &values, &default.to_scalar()?)?)
    }
}

/// The same values without those of other rows that they may hold on to.
fn own(column: ArrayRef) -> Result<ArrayRef> {
    let batch = compacted(RecordBatch::try_from_iter_with_nullable([("", column, true)])?);
    Ok(Arc::clone(batch.column(0)))
}

/// An aggregate over frames. Rows are added when a frame reaches them, and taken back when it has
/// left them.
pub(super) struct Aggregate {
    accumulator: Box<dyn Accumulator>,
    /// What the accumulator holds.
    memory: MemoryReservation,
    is_sliding: bool,
    frames: Frames,
    added: Cursor,
    removed: Cursor,
    /// The rows that are in the accumulator.
    frame: Range<usize>,
    /// Its value, if that was asked for.
    value: Option<ScalarValue>,
    /// The value of a frame without rows.
    empty: ScalarValue,
}

impl Aggregate {
    fn new(
        expr: &Arc<dyn WindowExpr>,
        aggregate: &AggregateFunctionExpr,
        is_sliding: bool,
        memory: &MemoryReservation,
    ) -> Result<Self> {
        let arguments: Exprs = expr.expressions().into_iter().collect();
        let accumulator = match is_sliding {
            true => aggregate.create_sliding_accumulator()?,
            false => aggregate.create_accumulator()?,
        };
        Ok(Aggregate {
            accumulator,
            memory: memory.new_empty(),
            is_sliding,
            frames: Frames::new(expr.get_window_frame(), expr.order_by())?,
            added: Cursor::new(Arc::clone(&arguments)),
            removed: Cursor::new(arguments),
            frame: 0..0,
            value: None,
            empty: aggregate.default_value(expr.field()?.data_type())?,
        })
    }

    async fn column(&mut self, rows: &mut Rows, part: &Part) -> Result<ArrayRef> {
        let runs = self.frames.runs(part);
        let mut values = Vec::with_capacity(part.rows);
        for run in &runs {
            let frame = self.frames.of(rows, part, run).await?;
            let value = self.value(rows, frame).await?;
            if runs.len() == 1 {
                return value.to_array_of_size(part.rows);
            }
            values.resize(values.len() + run.rows.len(), value);
        }
        self.memory.try_resize(self.accumulator.size())?;
        ScalarValue::iter_to_array(values)
    }

    /// The value for a frame, none of whose ends is before that of the last one.
    async fn value(&mut self, rows: &mut Rows, frame: Range<usize>) -> Result<ScalarValue> {
        if frame.is_empty() {
            let reached = frame.end.max(self.frame.end);
            if self.is_sliding && reached > 0 {
                self.remove_before(rows, self.frame.end).await?;
                self.frame = reached..reached;
            }
            return Ok(self.empty.clone());
        }
        if frame.end > self.frame.end {
            let (accumulator, memory) = (&mut self.accumulator, &self.memory);
            let add = |columns: &[ArrayRef]| {
                accumulator.update_batch(columns)?;
                // Asked for now and then: it may take as long as adding a row.
                let is_large = columns.first().is_some_and(|column| column.len() >= MANY_ROWS);
                if is_large { memory.try_resize(accumulator.size()) } else { Ok(()) }
            };
            self.added.visit(rows, self.frame.end..frame.end, add).await?;
            self.frame.end = frame.end;
            self.value = None;
        }
        if self.is_sliding {
            self.remove_before(rows, frame.start).await?;
        }
        match &self.value {
            Some(value) => Ok(value.clone()),
            None => {
                let value = self.accumulator.evaluate()?;
                self.value = Some(value.clone());
                Ok(value)
            }
        }
    }

    async fn remove_before(&mut self, rows: &mut Rows, row: usize) -> Result<()> {
        let row = row.min(self.frame.end);
        if row > self.frame.start {
            let (accumulator, old) = (&mut self.accumulator, self.frame.start..row);
            self.removed.visit(rows, old, |columns| accumulator.retract_batch(columns)).await?;
            self.frame.start = row;
            self.value = None;
        }
        Ok(())
    }

    fn needs(&self) -> usize {
        let removed =
            if self.is_sliding { self.removed.needs(self.frame.start) } else { usize::MAX };
        self.added.needs(self.frame.end).min(removed).min(self.frames.needs())
    }
}

/// A function we know nothing of: DataFusion evaluates it on the rows that it needs, or on all.
pub(super) struct Buffered {
    expr: Arc<dyn WindowExpr>,
    batches: PartitionBatches,
    states: PartitionWindowAggStates,
    /// The block that is read next, and its first row.
    next: usize,
    next_row: usize,
    /// The results of all rows, where they cannot be had before.
    results: Option<ArrayRef>,
    /// What is held of all this.
    memory: MemoryReservation,
}

impl Buffered {
    fn new(expr: &Arc<dyn WindowExpr>, memory: &MemoryReservation) -> Self {
        Buffered {
            expr: Arc::clone(expr),
            batches: PartitionBatches::default(),
            states: PartitionWindowAggStates::default(),
            next: 0,
            next_row: 0,
            results: None,
            memory: memory.new_empty(),
        }
    }

    async fn column(&mut self, rows: &mut Rows, part: &Part) -> Result<ArrayRef> {
        if !self.expr.uses_bounded_memory() {
            let results = match &self.results {
                Some(results) => Arc::clone(results),
                None => self.evaluate_all(rows).await?,
            };
            self.results = Some(Arc::clone(&results));
            return Ok(results.slice(part.start, part.rows));
        }
        loop {
            if let Some(state) = self.states.values_mut().next()
                && state.state.out_col.len() >= part.rows
            {
                let results = Arc::clone(&state.state.out_col);
                let left = results.len() - part.rows;
                state.state.out_col = results.slice(part.rows, left);
                return Ok(results.slice(0, part.rows));
            }
            self.advance(rows).await?;
        }
    }

    async fn evaluate_all(&mut self, rows: &mut Rows) -> Result<ArrayRef> {
        let mut batches = Vec::new();
        while let Some(batch) = rows.block(self.next).await? {
            (self.next, self.next_row) = (self.next + 1, self.next_row + batch.num_rows());
            // The rows once more in one batch, and a value for each while results are made.
            let values = batch.num_rows() * size_of::<ScalarValue>();
            self.memory.try_grow(2 * logical_bytes(&batch) + values)?;
            batches.push(batch);
        }
        let batch = concat_batches(&rows.schema(), &batches)?;
        drop(batches);
        let results = self.expr.evaluate(&batch)?;
        drop(batch);
        self.memory.resize(results.get_array_memory_size());
        Ok(results)
    }

    /// Reads a block more and evaluates what can be.
    async fn advance(&mut self, rows: &mut Rows) -> Result<()> {
        let block = rows.block(self.next).await?;
        if self.batches.is_empty() {
            let none = PartitionBatchState::new(rows.schema());
            self.batches.insert(Vec::new(), none);
        }
        let Some(state) = self.batches.values_mut().next() else {
            return internal_err!("a partition without rows");
        };
        if let Some(result) = self.states.values_mut().next() {
            // What was evaluated for good is not kept.
            let done = &mut result.state;
            let pruned = done.window_frame_range.start.min(done.last_calculated_index);
            let left = state.record_batch.num_rows() - pruned;
            state.record_batch = state.record_batch.slice(pruned, left);
            done.prune_state(pruned);
        }
        match block {
            Some(block) => {
                (self.next, self.next_row) = (self.next + 1, self.next_row + block.num_rows());
                let bytes = logical_bytes(&state.record_batch) + logical_bytes(&block);
                // Twice while they are put together.
                self.memory.try_resize(2 * bytes)?;
                state.extend(&block)?;
            }
            None if state.is_end => return internal_err!("a function gave too few results"),
            None => state.is_end = true,
        }
        let context = WindowEvalContext::default();
        self.expr.evaluate_stateful(&self.batches, &mut self.states, &context)
    }
}

/// The expressions of ORDER BY.
pub(super) fn order_exprs(order_by: &[PhysicalSortExpr]) -> Exprs {
    order_by.iter().map(|order| Arc::clone(&order.expr)).collect()
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{Float64Type, UInt64Type};

    use super::*;

    #[test]
    fn tiles_differ_by_a_row_at_most_and_the_first_are_larger() {
        let tiles = |all, tiles| (0..all).map(|row| tile(row, all, tiles)).collect::<Vec<_>>();
        assert_eq!(tiles(10, 4), [1, 1, 1, 2, 2, 2, 3, 3, 4, 4]);
        assert_eq!(tiles(3, 5), [1, 2, 3]);
        assert_eq!(tiles(4, 2), [1, 1, 2, 2]);
        assert_eq!(tiles(2, u64::MAX), [1, 2]);
    }

    #[test]
    fn numbers_of_several_partitions() {
        let (partitions, peers) = ([0..4, 4..5, 5..7], [0..1, 1..3, 3..4, 4..5, 5..7]);
        let whole = |kind: NumberKind| {
            kind.all(&partitions, &peers).as_primitive::<UInt64Type>().values().to_vec()
        };
        assert_eq!(whole(NumberKind::RowNumber), [1, 2, 3, 4, 1, 1, 2]);
        assert_eq!(whole(NumberKind::Rank), [1, 2, 2, 4, 1, 1, 1]);
        assert_eq!(whole(NumberKind::DenseRank), [1, 2, 2, 3, 1, 1, 1]);
        assert_eq!(whole(NumberKind::Ntile(2)), [1, 1, 2, 2, 1, 1, 2]);
        let part = |kind: NumberKind| {
            kind.all(&partitions, &peers).as_primitive::<Float64Type>().values().to_vec()
        };
        let third = 1.0 / 3.0;
        assert_eq!(part(NumberKind::PercentRank), [0.0, third, third, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(part(NumberKind::CumeDist), [0.25, 0.75, 0.75, 1.0, 1.0, 1.0, 1.0]);
    }
}
