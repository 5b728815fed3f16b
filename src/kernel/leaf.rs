//! Streams as a leaf of a plan.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::internal_err;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::coop::make_cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};
use futures::{TryStreamExt, stream};
use parking_lot::Mutex;

/// Gives each partition the stream it was made with, once.
#[derive(Debug)]
pub(crate) struct Leaf {
    streams: Streams,
    properties: Arc<PlanProperties>,
    /// Expressions that what is read here will be filtered by.
    expressions: Vec<Arc<dyn PhysicalExpr>>,
}

struct Streams(Mutex<Vec<Option<SendableRecordBatchStream>>>);

impl fmt::Debug for Streams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} streams", self.0.lock().len())
    }
}

impl Leaf {
    pub(crate) fn new(schema: SchemaRef, streams: Vec<SendableRecordBatchStream>) -> Self {
        let properties = Arc::new(PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(streams.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        ));
        let streams = Streams(Mutex::new(streams.into_iter().map(Some).collect()));
        Leaf { streams, properties, expressions: Vec::new() }
    }

    /// One partition of one batch.
    pub(crate) fn of_batch(batch: RecordBatch) -> Self {
        let schema = batch.schema();
        let batches = stream::iter((batch.num_rows() > 0).then_some(Ok(batch)));
        let stream = RecordBatchStreamAdapter::new(Arc::clone(&schema), batches);
        Leaf::new(schema, vec![Box::pin(stream)])
    }

    /// Gives no more than so many rows at once. A join works on a batch without a pause, so this is
    /// how it is made to pause where each row matches many.
    pub(crate) fn with_rows(self, rows: usize) -> Self {
        let schema = self.schema();
        {
            let mut streams = self.streams.0.lock();
            for stream in streams.iter_mut() {
                *stream = stream.take().map(|stream| {
                    let slices = stream.map_ok(move |batch| {
                        let starts = (0..batch.num_rows()).step_by(rows);
                        let slices: Vec<Result<RecordBatch>> = starts
                            .map(|start| Ok(batch.slice(start, rows.min(batch.num_rows() - start))))
                            .collect();
                        stream::iter(slices)
                    });
                    let schema = SchemaRef::clone(&schema);
                    Box::pin(RecordBatchStreamAdapter::new(schema, slices.try_flatten())) as _
                });
            }
        }
        self
    }

    /// Says that what is read here is filtered by `expression`, so that the operator keeps it up.
    pub(crate) fn with_expression(mut self, expression: Arc<dyn PhysicalExpr>) -> Self {
        self.expressions.push(expression);
        self
    }
}

impl DisplayAs for Leaf {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leaf")
    }
}

impl ExecutionPlan for Leaf {
    fn name(&self) -> &str {
        "Leaf"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![]
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        datafusion::physical_plan::apply_expression_roots(&self.expressions, f)
    }

    fn with_new_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        match self.streams.0.lock().get_mut(partition).and_then(Option::take) {
            Some(stream) => Ok(make_cooperative(stream)),
            None => internal_err!("partition {partition} of a leaf was read before"),
        }
    }
}
