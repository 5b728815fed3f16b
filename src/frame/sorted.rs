//! Rows that are said to be sorted: sorts of them cost nothing, and they are checked as they pass.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use arrow::row::{OwnedRow, RowConverter, SortField};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DFSchemaRef, Result, internal_err};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, SortExpr, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::metrics::{ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};
use futures::StreamExt;

use super::DataFrame;
use crate::error::Error;
use crate::kernel::{counted, until_error};
use crate::serialize::WrittenNode;

impl DataFrame {
    /// Says that the rows are sorted by these columns, as [`DataFrame::sort_by`] would have them, so
    /// that what needs this order need not sort them. They may come out in another order; sort them
    /// if theirs matters, which is cheap now.
    ///
    /// The query fails if they are not sorted.
    ///
    /// # Errors
    /// As for [`DataFrame::select`].
    pub fn set_sorted(self, by: &[&str]) -> crate::Result<Self> {
        let order = self.sort_keys(by)?;
        let input = self.logical();
        let node = Arc::new(SetSorted { input, order });
        Ok(self.planned(LogicalPlan::Extension(Extension { node })))
    }
}

/// The rows of the input, which are sorted by columns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub(crate) struct SetSorted {
    input: LogicalPlan,
    pub(super) order: Vec<SortExpr>,
}

impl SetSorted {
    /// The places of the columns.
    fn places(&self) -> Result<Vec<usize>> {
        let places = self.order.iter().map(|key| match &key.expr {
            Expr::Column(column) => self.input.schema().index_of_column(column),
            other => internal_err!("rows sorted by {other}"),
        });
        places.collect()
    }
}

impl WrittenNode for SetSorted {
    const KIND: &'static str = "set_sorted";

    fn state(&self) -> Option<String> {
        let keys: Vec<_> = self.order.iter().map(|key| (key.asc, key.nulls_first)).collect();
        serde_json::to_string(&keys).ok()
    }

    fn read(state: &str, _: SchemaRef, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let keys: Vec<(bool, bool)> = serde_json::from_str(state).map_err(Error::damaged)?;
        let order = exprs
            .into_iter()
            .zip(keys)
            .map(|(expr, (asc, nulls_first))| expr.sort(asc, nulls_first));
        match <[LogicalPlan; 1]>::try_from(inputs) {
            Ok([input]) => Ok(SetSorted { input, order: order.collect() }),
            Err(inputs) => internal_err!("the order of {} plans", inputs.len()),
        }
    }
}

impl UserDefinedLogicalNodeCore for SetSorted {
    fn name(&self) -> &'static str {
        "SetSorted"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        self.order.iter().map(|key| key.expr.clone()).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<String> = self.order.iter().map(ToString::to_string).collect();
        write!(f, "SetSorted: {}", keys.join(", "))
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let keys = self.order.iter().zip(exprs);
        let order = keys.map(|(key, expr)| SortExpr { expr, ..key.clone() }).collect();
        match <[LogicalPlan; 1]>::try_from(inputs) {
            Ok([input]) => Ok(SetSorted { input, order }),
            Err(inputs) => internal_err!("the order of {} plans", inputs.len()),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let mut needed = [output_columns.to_vec(), self.places().ok()?].concat();
        needed.sort_unstable();
        needed.dedup();
        Some(vec![needed])
    }
}

/// Plans rows that are said to be sorted.
pub(crate) struct SortedInputs;

#[async_trait]
impl ExtensionPlanner for SortedInputs {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(sorted) = node.as_any().downcast_ref::<SetSorted>() else { return Ok(None) };
        let [input] = inputs else {
            return internal_err!("the order of {} plans", inputs.len());
        };
        let keys = sorted.places()?.into_iter().zip(&sorted.order).map(|(place, key)| Key {
            place,
            options: SortOptions { descending: !key.asc, nulls_first: key.nulls_first },
        });
        Ok(Some(Arc::new(SetSortedExec::new(Arc::clone(input), keys.collect()))))
    }
}

/// A column that rows are sorted by.
#[derive(Debug, Clone, Copy)]
struct Key {
    place: usize,
    options: SortOptions,
}

/// The rows of the input, partition by partition, if each is sorted.
#[derive(Debug)]
struct SetSortedExec {
    input: Arc<dyn ExecutionPlan>,
    keys: Vec<Key>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl SetSortedExec {
    fn new(input: Arc<dyn ExecutionPlan>, keys: Vec<Key>) -> Self {
        let schema = input.schema();
        let mut equivalences = input.equivalence_properties().clone();
        equivalences.add_ordering(keys.iter().map(|key| {
            let column = Column::new(schema.field(key.place).name(), key.place);
            PhysicalSortExpr::new(Arc::new(column), key.options)
        }));
        let properties = PlanProperties::new(
            equivalences,
            input.output_partitioning().clone(),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        let metrics = ExecutionPlanMetricsSet::new();
        SetSortedExec { input, keys, properties: Arc::new(properties), metrics }
    }
}

impl DisplayAs for SetSortedExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match kind {
            DisplayFormatType::TreeRender => Ok(()),
            DisplayFormatType::Default | DisplayFormatType::Verbose => write!(f, "{}", self.name()),
        }
    }
}

impl ExecutionPlan for SetSortedExec {
    fn name(&self) -> &'static str {
        "SetSortedExec"
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
        // Dealing the rows out could mix them.
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
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match <[Arc<dyn ExecutionPlan>; 1]>::try_from(children) {
            Ok([input]) => Ok(Arc::new(SetSortedExec::new(input, self.keys.clone()))),
            Err(children) => internal_err!("the order of {} plans", children.len()),
        }
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let mut check = Check::new(self)?;
        let rows = self.input.execute(partition, context)?;
        let checked = rows.map(move |batch| batch.and_then(|batch| check.checked(batch)));
        Ok(counted(self.schema(), until_error(checked), &self.metrics, partition))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }
}

/// Compares each row with the one before it.
struct Check {
    converter: RowConverter,
    places: Vec<usize>,
    last: Option<OwnedRow>,
}

impl Check {
    fn new(plan: &SetSortedExec) -> Result<Self> {
        let schema = plan.schema();
        let fields = plan.keys.iter().map(|key| {
            SortField::new_with_options(schema.field(key.place).data_type().clone(), key.options)
        });
        let converter = RowConverter::new(fields.collect())?;
        let places = plan.keys.iter().map(|key| key.place).collect();
        Ok(Check { converter, places, last: None })
    }

    fn checked(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        let columns: Vec<_> =
            self.places.iter().map(|place| Arc::clone(batch.column(*place))).collect();
        let rows = self.converter.convert_columns(&columns)?;
        let mut before = self.last.as_ref().map(OwnedRow::row);
        for row in &rows {
            if before.is_some_and(|before| before > row) {
                let schema = batch.schema();
                let names =
                    self.places.iter().map(|place| format!("\"{}\"", schema.field(*place).name()));
                let names: Vec<String> = names.collect();
                let what = format!("the rows are not sorted by {}", names.join(", "));
                return Err(Error::query(what).with_hint("sort them instead of set_sorted").into());
            }
            before = Some(row);
        }
        let last = before.map(|row| row.owned());
        self.last = last;
        Ok(batch)
    }
}
