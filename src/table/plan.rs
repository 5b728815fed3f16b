//! Changes of a table in logical plans, and how they are planned.

use std::fmt;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DFSchemaRef, internal_err};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, ExprSchemable, Extension, LogicalPlan, LogicalPlanBuilder, TableType,
    UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

use super::change::{ChangeKind, FIRST_VALUE, change};
use super::{StoredTable, TableScan, Version};

/// A change of a table, which gives the number of changed rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd)]
struct ChangeNode {
    kind: ChangeKind,
    table: StoredTable,
    /// As [`super::change::change`] takes it.
    input: LogicalPlan,
}

/// The plan that makes changes to a table: rows with the number of a row of [`Numbered`], whether it
/// is taken out, and values for the columns of the table that have their names.
///
/// # Errors
/// If a value cannot become one of the type of its column.
pub(crate) fn changed(
    kind: ChangeKind,
    table: &StoredTable,
    changes: LogicalPlan,
) -> Result<LogicalPlan> {
    let schema = Arc::clone(changes.schema());
    let exprs = schema.iter().enumerate().map(|(place, (qualifier, field))| {
        let column = Expr::from((qualifier, field));
        if place < FIRST_VALUE {
            return Ok(column);
        }
        let data_type = table.rows.schema().field_with_name(field.name())?.data_type();
        Ok(column.cast_to(data_type, &schema)?.alias(field.name()))
    });
    let exprs = exprs.collect::<Result<Vec<_>>>()?;
    let input = LogicalPlanBuilder::from(changes).project(exprs)?.build()?;
    let node = Arc::new(ChangeNode { kind, table: table.clone(), input });
    Ok(LogicalPlan::Extension(Extension { node }))
}

impl UserDefinedLogicalNodeCore for ChangeNode {
    fn name(&self) -> &'static str {
        "Change"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        static COUNT: LazyLock<DFSchemaRef> = LazyLock::new(|| {
            let count = Field::new(COUNT_COLUMN, DataType::UInt64, false);
            let schema = DFSchema::try_from(Schema::new(vec![count]));
            Arc::new(schema.expect("one column"))
        });
        &COUNT
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.kind)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match <[LogicalPlan; 1]>::try_from(inputs) {
            Ok([input]) => Ok(ChangeNode { input, ..self.clone() }),
            Err(inputs) => internal_err!("a change of {} plans", inputs.len()),
        }
    }
}

/// The column of the number of changed rows.
pub(crate) const COUNT_COLUMN: &str = "count";

/// Plans the change of a query.
pub(crate) struct Changes {
    /// The version that is changed.
    base: Option<Arc<Version>>,
}

impl Changes {
    /// For one logical plan, before any scan of it is planned: if the table is still at that version
    /// when all is written, every scan has read it.
    pub(crate) fn of(plan: &LogicalPlan) -> Result<Self> {
        let mut base = None;
        plan.apply(|node| {
            if let LogicalPlan::Extension(extension) = node
                && let Some(node) = extension.node.as_any().downcast_ref::<ChangeNode>()
            {
                base = Some(node.table.version());
                return Ok(TreeNodeRecursion::Stop);
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(Changes { base })
    }
}

#[async_trait]
impl ExtensionPlanner for Changes {
    async fn plan_extension(
        &self,
        _: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _: &[&LogicalPlan],
        inputs: &[Arc<dyn ExecutionPlan>],
        _: &dyn Session,
        _: &PhysicalPlanningContext,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<ChangeNode>() else { return Ok(None) };
        let ([input], Some(base)) = (inputs, &self.base) else {
            return internal_err!("a change of {} plans", inputs.len());
        };
        change(node.kind, &node.table, Arc::clone(base), Arc::clone(input)).map(Some)
    }
}

/// A table with one more column, the number of the row.
#[derive(Debug)]
pub(crate) struct Numbered {
    table: StoredTable,
    schema: SchemaRef,
}

impl Numbered {
    /// With a name for that column, which none of the table has.
    pub(crate) fn new(table: &StoredTable, number: &str) -> Self {
        let number = Arc::new(Field::new(number, DataType::UInt64, false));
        let fields = table.rows.schema().fields().iter().cloned();
        let schema = Arc::new(Schema::new(fields.chain([number]).collect::<Vec<_>>()));
        Numbered { table: table.clone(), schema }
    }
}

#[async_trait]
impl TableProvider for Numbered {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let scan = TableScan::new(self.table.version(), self.schema(), projection, limit)?;
        Ok(DataSourceExec::from_data_source(scan))
    }
}
