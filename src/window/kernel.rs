//! Window functions over rows that are all in memory: a sort and DataFusion's functions on the
//! partitions, one after the other.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, UInt32Array};
use arrow::compute::{SortColumn, concat, lexsort_to_indices, take, take_record_batch};
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::EmitTo;
use datafusion::physical_expr::PhysicalSortExpr;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::window::WindowExpr;

use super::function::{aggregate_of_partitions, order_exprs};
use super::plan::{Stage, Windows};
use super::ranking::NumberKind;
use super::rows::{Exprs, evaluate, runs};
use super::running;

/// Rows of partitions that are evaluated without a pause.
const ROWS_WITHOUT_PAUSE: usize = 16 << 10;

/// What is held besides the rows themselves while `bytes` and `rows` of them are evaluated: the
/// rows in order, their order, a column twice, and results.
pub(super) fn work_bytes(windows: &Windows, bytes: usize, rows: usize) -> usize {
    let columns = windows.input.fields().len().max(1);
    let results: usize = windows.stages.iter().map(|stage| stage.result_bytes).sum();
    bytes + bytes / columns + rows * (4 + 16 + results)
}

/// What is held of the results of expressions for each row of this schema while they are evaluated.
pub(super) fn result_bytes(exprs: &[Arc<dyn WindowExpr>], schema: &SchemaRef) -> usize {
    // A column and where the partition of a row is; DataFusion makes many columns from a value for
    // each row, and puts those of the partitions together.
    let bytes = |expr| match has_fast_results(expr, schema) {
        true => 32,
        false => size_of::<ScalarValue>() + 32,
    };
    exprs.iter().map(bytes).sum()
}

/// All stages for rows in no order.
///
/// # Errors
/// Those of the expressions.
pub(super) async fn run(windows: &Windows, batch: RecordBatch) -> Result<RecordBatch> {
    let mut batch = batch;
    for stage in &windows.stages {
        if let Some(columns) = &stage.columns {
            batch = batch.project(columns)?;
        }
        if !stage.is_sorted {
            batch = sorted(batch, &stage.keys, &stage.order_by)?;
        }
        let keys = evaluate(&stage.keys, &batch)?;
        let partitions = runs(&keys, batch.num_rows())?;
        batch = add_columns(stage, batch, &partitions).await?;
    }
    Ok(batch)
}

/// The rows in the order of the keys, then of ORDER BY.
fn sorted(batch: RecordBatch, keys: &Exprs, order_by: &[PhysicalSortExpr]) -> Result<RecordBatch> {
    let mut columns: Vec<SortColumn> = evaluate(keys, &batch)?
        .into_iter()
        .map(|values| SortColumn { values, options: None })
        .collect();
    for order in order_by {
        if !keys.iter().any(|key| key.eq(&order.expr)) {
            columns.push(order.evaluate_to_sort_column(&batch)?);
        }
    }
    if columns.is_empty() || batch.num_rows() < 2 {
        return Ok(batch);
    }
    let order = lexsort_to_indices(&columns, None)?;
    drop(columns);
    Ok(take_record_batch(&batch, &order)?)
}

/// A batch of whole partitions in order, with the results of a stage.
///
/// # Errors
/// Those of the expressions.
pub(super) async fn add_columns(
    stage: &Stage,
    batch: RecordBatch,
    partitions: &[Range<usize>],
) -> Result<RecordBatch> {
    let mut columns = batch.columns().to_vec();
    for expr in &stage.exprs {
        columns.push(column(expr, &batch, partitions).await?);
    }
    Ok(RecordBatch::try_new(Arc::clone(&stage.schema), columns)?)
}

async fn column(
    expr: &Arc<dyn WindowExpr>,
    batch: &RecordBatch,
    partitions: &[Range<usize>],
) -> Result<ArrayRef> {
    if let Some(kind) = NumberKind::of(expr) {
        let peers = match kind.needs_peers() {
            true => peers(expr, batch, partitions)?,
            false => Vec::new(),
        };
        return Ok(kind.all(partitions, &peers));
    }
    if let Some(column) =
        running::of_partitions(expr, batch, partitions, || peers(expr, batch, partitions))?
    {
        return Ok(column);
    }
    if let [_] = partitions {
        return expr.evaluate(batch);
    }
    if let Some(aggregate) = aggregate_of_partitions(expr) {
        return totals(aggregate, batch, partitions);
    }
    let mut results = Vec::with_capacity(partitions.len());
    let mut rows = 0;
    for partition in partitions {
        results.push(expr.evaluate(&batch.slice(partition.start, partition.len()))?);
        rows += partition.len();
        if rows > ROWS_WITHOUT_PAUSE {
            rows = 0;
            tokio::task::yield_now().await;
        }
    }
    let results: Vec<&dyn Array> = results.iter().map(AsRef::as_ref).collect();
    Ok(concat(&results)?)
}

/// The runs of peers of all partitions.
fn peers(
    expr: &Arc<dyn WindowExpr>,
    batch: &RecordBatch,
    partitions: &[Range<usize>],
) -> Result<Vec<Range<usize>>> {
    if expr.order_by().is_empty() {
        return Ok(partitions.to_vec());
    }
    let columns = expr.partition_by().iter().cloned().chain(order_exprs(expr.order_by()).to_vec());
    runs(&evaluate(&columns.collect(), batch)?, batch.num_rows())
}

/// The value of an aggregate for each partition, repeated for its rows.
fn totals(
    aggregate: &AggregateFunctionExpr,
    batch: &RecordBatch,
    partitions: &[Range<usize>],
) -> Result<ArrayRef> {
    let mut groups = Vec::with_capacity(batch.num_rows());
    for (group, partition) in partitions.iter().enumerate() {
        groups.resize(groups.len() + partition.len(), group);
    }
    let values = evaluate(&aggregate.expressions().into_iter().collect(), batch)?;
    let mut accumulator = aggregate.create_groups_accumulator()?;
    accumulator.update_batch(&values, &groups, None, partitions.len())?;
    let totals = accumulator.evaluate(EmitTo::All)?;
    let places = UInt32Array::from_iter_values(groups.iter().map(|group| *group as u32));
    Ok(take(&totals, &places, None)?)
}

/// Whether the results of a partition come as a whole, not value by value.
fn has_fast_results(expr: &Arc<dyn WindowExpr>, schema: &SchemaRef) -> bool {
    NumberKind::of(expr).is_some()
        || aggregate_of_partitions(expr).is_some()
        || running::is_running(expr, schema)
}
