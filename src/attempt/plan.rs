//! The nodes of a physical plan.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::datatypes::SchemaRef;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{internal_err, resources_datafusion_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::{RecordBatchReceiverStream, RecordBatchStreamAdapter};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties,
};
use futures::{StreamExt, TryStreamExt, stream};
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::exchange::logical_bytes;
use crate::kernel::counted;
use crate::session::Resources;

/// What an attempt may hold, shared by the parts of its plan that ask for it.
struct Ledger {
    held: Mutex<MemoryReservation>,
    /// The most it may hold, of the switches for tests.
    most_bytes: usize,
    /// Parts that still read.
    reading: AtomicUsize,
    outcome: watch::Sender<Outcome>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Open,
    /// All has been read, and memory was granted for it.
    Fits,
    Refused,
}

impl Ledger {
    fn take(&self, bytes: usize) -> Result<()> {
        let held = self.held.lock();
        let granted = if self.is_refused() {
            Err(resources_datafusion_err!("an attempt was given up"))
        } else if held.size().saturating_add(bytes) > self.most_bytes {
            Err(resources_datafusion_err!("an attempt may hold {} bytes", self.most_bytes))
        } else {
            held.try_grow(bytes)
        };
        if granted.is_err() {
            self.outcome.send_replace(Outcome::Refused);
        }
        granted
    }

    fn is_refused(&self) -> bool {
        *self.outcome.borrow() == Outcome::Refused
    }

    fn end_of_part(&self) {
        if self.reading.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.outcome.send_if_modified(|outcome| {
                let last = *outcome == Outcome::Open;
                if last {
                    *outcome = Outcome::Fits;
                }
                last
            });
        }
    }
}

/// Gives back what an attempt holds when it is over.
struct Holding(Arc<Ledger>);

impl Drop for Holding {
    fn drop(&mut self) {
        // Parts that have not noticed yet take no more.
        self.0.outcome.send_replace(Outcome::Refused);
        self.0.held.lock().free();
    }
}

/// A part of a plan that reads within a budget; it has ended when this is dropped.
struct Reading(Arc<Ledger>);

impl Drop for Reading {
    fn drop(&mut self) {
        self.0.end_of_part();
    }
}

/// Passes batches on as long as memory is granted for them.
#[derive(Debug)]
pub(super) struct WithinBudgetExec {
    input: Arc<dyn ExecutionPlan>,
    bytes_a_row: usize,
    properties: Arc<PlanProperties>,
    /// The ledger of the attempt that this is part of, once it has begun.
    ledger: LedgerCell,
}

#[derive(Default)]
struct LedgerCell(Mutex<Option<Arc<Ledger>>>);

impl fmt::Debug for LedgerCell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.lock().is_some() { "begun" } else { "not begun" })
    }
}

impl WithinBudgetExec {
    pub(super) fn new(input: Arc<dyn ExecutionPlan>, bytes_a_row: usize) -> Self {
        let properties = Arc::clone(input.properties());
        WithinBudgetExec { input, bytes_a_row, properties, ledger: LedgerCell::default() }
    }
}

impl DisplayAs for WithinBudgetExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match kind {
            DisplayFormatType::TreeRender => write!(f, "bytes_a_row={}", self.bytes_a_row),
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "WithinBudgetExec: bytes_a_row={}", self.bytes_a_row)
            }
        }
    }
}

impl ExecutionPlan for WithinBudgetExec {
    fn name(&self) -> &'static str {
        "WithinBudgetExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("a budget for several plans");
        };
        Ok(Arc::new(WithinBudgetExec::new(input, self.bytes_a_row)))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let Some(ledger) = self.ledger.0.lock().clone() else {
            return internal_err!("a budget without an attempt");
        };
        let reading = Reading(ledger);
        let bytes_a_row = self.bytes_a_row;
        let batches = self.input.execute(partition, context)?.and_then(move |batch| {
            let taken = reading.0.take(batch.num_rows().saturating_mul(bytes_a_row));
            futures::future::ready(taken.map(|()| batch))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), batches)))
    }
}

/// Tries one plan, and runs the other if memory was refused. One partition, in no order.
#[derive(Debug)]
pub(super) struct InMemoryFirstExec {
    in_memory: Arc<dyn ExecutionPlan>,
    bounded: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl InMemoryFirstExec {
    pub(super) fn new(in_memory: Arc<dyn ExecutionPlan>, bounded: Arc<dyn ExecutionPlan>) -> Self {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(bounded.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        ));
        let metrics = ExecutionPlanMetricsSet::new();
        InMemoryFirstExec { in_memory, bounded, properties, metrics }
    }

    /// A ledger for the budgets of the first plan.
    fn ledger(&self, context: &TaskContext) -> Result<Arc<Ledger>> {
        let most_bytes = Resources::of(context)?.knobs.attempt_bytes;
        let most_bytes = most_bytes.map_or(usize::MAX, |bytes| bytes as usize);
        let consumer = MemoryConsumer::new("InMemoryFirst").with_can_spill(true);
        let ledger = Arc::new(Ledger {
            held: Mutex::new(consumer.register(context.memory_pool())),
            most_bytes,
            reading: AtomicUsize::new(0),
            outcome: watch::Sender::new(Outcome::Open),
        });
        self.in_memory.apply(|node| {
            if node.is::<InMemoryFirstExec>() {
                return Ok(TreeNodeRecursion::Jump);
            }
            if let Some(budget) = node.downcast_ref::<WithinBudgetExec>() {
                let parts = budget.properties.output_partitioning().partition_count();
                ledger.reading.fetch_add(parts, Ordering::Relaxed);
                *budget.ledger.0.lock() = Some(Arc::clone(&ledger));
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(ledger)
    }
}

impl DisplayAs for InMemoryFirstExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match kind {
            DisplayFormatType::TreeRender => Ok(()),
            DisplayFormatType::Default | DisplayFormatType::Verbose => write!(f, "{}", self.name()),
        }
    }
}

impl ExecutionPlan for InMemoryFirstExec {
    fn name(&self) -> &'static str {
        "InMemoryFirstExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.in_memory, &self.bounded]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false, false]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match <[Arc<dyn ExecutionPlan>; 2]>::try_from(children) {
            Ok([in_memory, bounded]) => Ok(Arc::new(InMemoryFirstExec::new(in_memory, bounded))),
            Err(children) => internal_err!("an attempt of {} plans", children.len()),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return internal_err!("an attempt has one partition, not {partition}");
        }
        let attempt = Attempt {
            holding: Holding(self.ledger(&context)?),
            in_memory: Arc::clone(&self.in_memory),
            bounded: Arc::clone(&self.bounded),
            context,
            given_up: MetricBuilder::new(&self.metrics).global_counter("given_up"),
        };
        let rows = stream::once(attempt.run()).try_flatten();
        Ok(counted(self.schema(), rows, &self.metrics, partition))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Most bytes of rows that an attempt keeps until all of its input was granted.
const MOST_EARLY_BYTES: usize = 4 << 20;

/// An attempt that has begun.
struct Attempt {
    holding: Holding,
    in_memory: Arc<dyn ExecutionPlan>,
    bounded: Arc<dyn ExecutionPlan>,
    context: Arc<TaskContext>,
    given_up: Count,
}

impl Attempt {
    /// The rows of the plan that succeeds.
    async fn run(self) -> Result<SendableRecordBatchStream> {
        let schema = self.bounded.schema();
        if let Some(rows) = self.in_memory().await? {
            let holding = self.holding;
            let rows = rows.inspect(move |_| {
                let _until_all_are_given = &holding;
            });
            return Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)));
        }
        self.given_up.add(1);
        drop(self.holding);
        all_rows(&self.bounded, schema, &self.context)
    }

    /// The rows of the first plan; `None` if it was refused memory before it gave one.
    async fn in_memory(&self) -> Result<Option<SendableRecordBatchStream>> {
        let ledger = &self.holding.0;
        let schema = self.bounded.schema();
        let mut rows = all_rows(&self.in_memory, Arc::clone(&schema), &self.context)?;
        let mut outcome = ledger.outcome.subscribe();
        // Rows that come while parts may still be refused: an aggregation whose input is in order gives
        // groups before it has read all of it.
        let (mut early, mut early_bytes) = (Vec::new(), 0);
        let failed = loop {
            let next = tokio::select! {
                biased;
                decided = outcome.wait_for(|outcome| *outcome != Outcome::Open), if !early.is_empty() => {
                    decided.map_err(|err| DataFusionError::External(Box::new(err)))?;
                    break None;
                }
                next = rows.next() => next,
            };
            match next {
                Some(Ok(batch)) => {
                    early_bytes += logical_bytes(&batch);
                    early.push(batch);
                }
                Some(Err(err)) => break Some(err),
                None => break None,
            }
            if early_bytes > MOST_EARLY_BYTES {
                return Ok(None);
            }
        };
        match failed {
            _ if ledger.is_refused() => Ok(None),
            Some(err) if matches!(err.find_root(), DataFusionError::ResourcesExhausted(_)) => {
                Ok(None)
            }
            Some(err) => Err(err),
            None => {
                let rows = stream::iter(early.into_iter().map(Ok)).chain(rows);
                Ok(Some(Box::pin(RecordBatchStreamAdapter::new(schema, rows))))
            }
        }
    }
}

/// The rows of all partitions of a plan, which run at the same time and stop when the stream is
/// dropped.
fn all_rows(
    plan: &Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    context: &Arc<TaskContext>,
) -> Result<SendableRecordBatchStream> {
    let partitions = plan.output_partitioning().partition_count();
    let mut builder = RecordBatchReceiverStream::builder(schema, partitions);
    for partition in 0..partitions {
        let mut rows = plan.execute(partition, Arc::clone(context))?;
        let output = builder.tx();
        builder.spawn(async move {
            while let Some(batch) = rows.next().await {
                let ended = batch.is_err();
                if output.send(batch).await.is_err() || ended {
                    break;
                }
            }
            Ok(())
        });
    }
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use datafusion::physical_plan::collect;

    use super::*;
    use crate::session::Knobs;
    use crate::{Session, SessionOptions};

    /// A query whose values are collected, with what its plan tells afterwards.
    struct Ran {
        rows: Result<Vec<String>>,
        given_up: usize,
        reserved_after: usize,
    }

    async fn run(attempt_bytes: Option<u64>, sql: &str) -> Ran {
        let options = SessionOptions {
            knobs: Knobs { attempt_bytes, reserved_only: true, ..Knobs::default() },
            ..SessionOptions::new().threads(3).memory_limit_bytes(256 << 20)
        };
        let session = Session::new(options).unwrap();
        let plan = session.context().sql(sql).await.unwrap().create_physical_plan().await.unwrap();
        let context = session.context().task_ctx();
        let rows = collect(Arc::clone(&plan), Arc::clone(&context)).await.map(|batches| {
            let text = arrow::util::pretty::pretty_format_batches(&batches).unwrap().to_string();
            text.lines().skip(3).map(str::to_string).collect()
        });
        let mut given_up = 0;
        plan.apply(|node| {
            let metrics = node.metrics().unwrap_or_default();
            given_up += metrics.sum_by_name("given_up").map_or(0, |count| count.as_usize());
            Ok(TreeNodeRecursion::Continue)
        })
        .unwrap();
        drop(plan);
        // Tasks that were stopped may take a moment to notice.
        let started = Instant::now();
        while context.memory_pool().reserved() > 0 && started.elapsed() < Duration::from_secs(5) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ran { rows, given_up, reserved_after: context.memory_pool().reserved() }
    }

    const MEDIANS: &str = "SELECT value % 3 AS g, median(value), count(*)
        FROM generate_series(1, 100000) GROUP BY value % 3 ORDER BY g";

    #[tokio::test(flavor = "multi_thread")]
    async fn values_that_fit_are_kept_and_others_are_not() {
        let fits = run(None, MEDIANS).await;
        let too_many = run(Some(1 << 20), MEDIANS).await;
        let none = run(Some(0), MEDIANS).await;
        assert_eq!((fits.given_up, too_many.given_up, none.given_up), (0, 1, 1));
        let rows = fits.rows.unwrap();
        assert_eq!(rows.len(), 4, "{rows:?}");
        assert_eq!(too_many.rows.unwrap(), rows);
        assert_eq!(none.rows.unwrap(), rows);
        assert_eq!([fits.reserved_after, too_many.reserved_after, none.reserved_after], [0; 3]);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn attempts_within_attempts() {
        let sql = "SELECT median(m), max(m) FROM (SELECT value % 100 AS g, median(value) AS m
            FROM generate_series(1, 10000) GROUP BY value % 100)";
        let fits = run(None, sql).await;
        let none = run(Some(0), sql).await;
        assert_eq!(fits.given_up, 0);
        // The outer one reads the inner one twice.
        assert_eq!(none.given_up, 3);
        assert_eq!(none.rows.unwrap(), fits.rows.unwrap());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn an_error_of_the_input_is_the_error_of_the_query() {
        let sql = "SELECT median(10 / (value - 5000)) FROM generate_series(1, 10000)";
        for attempt_bytes in [None, Some(0)] {
            let ran = run(attempt_bytes, sql).await;
            let err = ran.rows.unwrap_err().to_string();
            assert!(err.contains("Divide by zero"), "{err}");
            assert_eq!(ran.reserved_after, 0);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn no_rows_are_an_answer() {
        let sql = "SELECT median(value), count(*) FROM generate_series(1, 10) WHERE value > 20";
        let fits = run(None, sql).await;
        assert_eq!(fits.given_up, 0);
        assert_eq!(fits.rows.unwrap(), run(Some(0), sql).await.rows.unwrap());
    }
}
