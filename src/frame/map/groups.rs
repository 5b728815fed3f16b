//! A function over the rows of one group after the other.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::{SortOptions, concat_batches, partition};
use arrow::datatypes::SchemaRef;
use datafusion::common::internal_err;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::utils::get_row_at_idx;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{
    Distribution, EquivalenceProperties, LexRequirement, OrderingRequirements, PhysicalExpr,
    PhysicalSortExpr, PhysicalSortRequirement,
};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, Partitioning,
    PlanProperties, apply_expression_roots,
};
use futures::{TryStreamExt, stream};

use super::Function;
use super::exec::results;
use crate::error::{Error, ErrorKind};
use crate::exchange::{compacted, logical_bytes};
use crate::kernel::{counted, until_error};
use crate::session::ByteSize;

/// Gives the rows of each group to a function. The input is sorted by the keys, then by the order.
pub(super) struct MapGroupsExec {
    input: Arc<dyn ExecutionPlan>,
    schema: SchemaRef,
    function: Function,
    /// The columns that a group has in common.
    keys: Vec<usize>,
    /// The order of the rows of a group.
    order: Vec<PhysicalSortExpr>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl MapGroupsExec {
    pub(super) fn new(
        input: Arc<dyn ExecutionPlan>,
        schema: SchemaRef,
        function: Function,
        keys: Vec<usize>,
        order: Vec<PhysicalSortExpr>,
    ) -> Self {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        let metrics = ExecutionPlanMetricsSet::new();
        MapGroupsExec { input, schema, function, keys, order, properties, metrics }
    }
}

impl fmt::Debug for MapGroupsExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MapGroupsExec").field("input", &self.input).finish_non_exhaustive()
    }
}

impl DisplayAs for MapGroupsExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let schema = self.input.schema();
        let names: Vec<&str> =
            self.keys.iter().map(|key| schema.field(*key).name().as_str()).collect();
        match kind {
            DisplayFormatType::TreeRender => write!(f, "keys={}", names.join(", ")),
            DisplayFormatType::Default | DisplayFormatType::Verbose => {
                write!(f, "MapGroupsExec: keys=[{}]", names.join(", "))
            }
        }
    }
}

impl ExecutionPlan for MapGroupsExec {
    fn name(&self) -> &str {
        "MapGroupsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![Distribution::SinglePartition])
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        let schema = self.input.schema();
        let keys = self.keys.iter().map(|key| {
            let column = Arc::new(Column::new(schema.field(*key).name(), *key));
            PhysicalSortRequirement::new(column, Some(SortOptions::new(false, false)))
        });
        let order = self.order.iter().cloned().map(PhysicalSortRequirement::from);
        vec![LexRequirement::new(keys.chain(order)).map(OrderingRequirements::new)]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.order.iter().map(|sort| &sort.expr), f)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (Some(input), true) = (children.pop(), children.is_empty()) else {
            return internal_err!("a function over the groups of several plans");
        };
        let (schema, function) = (Arc::clone(&self.schema), Arc::clone(&self.function));
        let (keys, order) = (self.keys.clone(), self.order.clone());
        Ok(Arc::new(MapGroupsExec::new(input, schema, function, keys, order)))
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let memory = MemoryConsumer::new("a group").register(context.memory_pool());
        let groups = Groups {
            input: self.input.execute(partition, context)?,
            keys: self.keys.clone(),
            ahead: None,
            memory,
        };
        let groups = stream::try_unfold(groups, |mut groups| async move {
            Ok(groups.next().await?.map(|group| (group, groups)))
        });
        let (function, schema) = (Arc::clone(&self.function), Arc::clone(&self.schema));
        let mapped = groups
            .and_then(move |group| {
                let mapped = results("map_groups", &function, group, Arc::clone(&schema));
                futures::future::ready(mapped)
            })
            .try_flatten();
        Ok(counted(self.schema(), until_error(mapped), &self.metrics, partition))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// The groups of a sorted stream.
struct Groups {
    input: SendableRecordBatchStream,
    keys: Vec<usize>,
    /// Rows that were read and not given yet, and the groups they are in.
    ahead: Option<(RecordBatch, VecDeque<Range<usize>>)>,
    /// What is held of the group that is put together.
    memory: MemoryReservation,
}

impl Groups {
    /// The rows of the next group.
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.memory.free();
        let mut pieces: Vec<RecordBatch> = Vec::new();
        loop {
            let (batch, mut ranges) = match self.ahead.take() {
                Some(ahead) => ahead,
                None => match self.input.try_next().await? {
                    None if pieces.is_empty() => return Ok(None),
                    None => return self.whole(&pieces),
                    Some(batch) if batch.num_rows() == 0 => continue,
                    Some(batch) => {
                        let ranges = self.ranges(&batch)?;
                        (batch, ranges)
                    }
                },
            };
            if let Some(piece) = pieces.first()
                && self.key(piece)? != self.key(&batch)?
            {
                self.ahead = Some((batch, ranges));
                return self.whole(&pieces);
            }
            let Some(range) = ranges.pop_front() else { continue };
            let is_last = ranges.is_empty();
            self.hold(&mut pieces, batch.slice(range.start, range.len()))?;
            if !is_last {
                let rest = batch.slice(range.end, batch.num_rows() - range.end);
                let ranges = ranges.iter().map(|next| next.start - range.end..next.end - range.end);
                self.ahead = Some((rest, ranges.collect()));
                return self.whole(&pieces);
            }
        }
    }

    fn columns(&self, batch: &RecordBatch) -> Vec<ArrayRef> {
        self.keys.iter().map(|key| Arc::clone(batch.column(*key))).collect()
    }

    fn ranges(&self, batch: &RecordBatch) -> Result<VecDeque<Range<usize>>> {
        if self.keys.is_empty() {
            return Ok(std::iter::once(0..batch.num_rows()).collect());
        }
        Ok(partition(&self.columns(batch))?.ranges().into())
    }

    /// The values that a group has in common.
    fn key(&self, batch: &RecordBatch) -> Result<Vec<datafusion::common::ScalarValue>> {
        get_row_at_idx(&self.columns(batch), 0)
    }

    /// Keeps rows until their group is complete: their bytes, and again when they are put together.
    fn hold(&mut self, pieces: &mut Vec<RecordBatch>, rows: RecordBatch) -> Result<()> {
        let rows = compacted(rows);
        let grown = self.memory.try_grow(2 * logical_bytes(&rows));
        grown.map_err(|err| {
            let bytes = ByteSize((self.memory.size() / 2) as u64);
            let error = Error::new(
                ErrorKind::Resources,
                format!("a group of map_groups does not fit into memory: {bytes} of it were read"),
            );
            error.with_hint("raise the memory limit, or group by more columns").with_source(err)
        })?;
        pieces.push(rows);
        Ok(())
    }

    fn whole(&self, pieces: &[RecordBatch]) -> Result<Option<RecordBatch>> {
        match pieces {
            [one] => Ok(Some(one.clone())),
            _ => Ok(Some(concat_batches(&self.input.schema(), pieces)?)),
        }
    }
}
