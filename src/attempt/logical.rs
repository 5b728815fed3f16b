//! The nodes of a logical plan.

use std::fmt;
use std::sync::Arc;

use datafusion::common::{DFSchemaRef, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};

/// The rows of `in_memory`, unless its budget is refused; then those of `bounded`, from the start.
/// Both have the same columns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub(crate) struct InMemoryFirst {
    in_memory: LogicalPlan,
    bounded: LogicalPlan,
}

impl InMemoryFirst {
    pub(crate) fn plan(in_memory: LogicalPlan, bounded: LogicalPlan) -> LogicalPlan {
        extension(InMemoryFirst { in_memory, bounded })
    }
}

impl UserDefinedLogicalNodeCore for InMemoryFirst {
    fn name(&self) -> &'static str {
        "InMemoryFirst"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.in_memory, &self.bounded]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.bounded.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", UserDefinedLogicalNodeCore::name(self))
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match <[LogicalPlan; 2]>::try_from(inputs) {
            Ok([in_memory, bounded]) => Ok(InMemoryFirst { in_memory, bounded }),
            Err(inputs) => internal_err!("an attempt of {} plans", inputs.len()),
        }
    }
}

/// The rows of the input, as long as memory is granted for what an operator above keeps of each.
/// Stands below an [`InMemoryFirst`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Hash)]
pub(crate) struct WithinBudget {
    input: LogicalPlan,
    pub(super) bytes_a_row: usize,
}

impl WithinBudget {
    pub(crate) fn plan(input: LogicalPlan, bytes_a_row: usize) -> LogicalPlan {
        extension(WithinBudget { input, bytes_a_row })
    }
}

impl UserDefinedLogicalNodeCore for WithinBudget {
    fn name(&self) -> &'static str {
        "WithinBudget"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        self.input.schema()
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WithinBudget: bytes_a_row={}", self.bytes_a_row)
    }

    fn with_exprs_and_inputs(&self, _: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match <[LogicalPlan; 1]>::try_from(inputs) {
            Ok([input]) => Ok(WithinBudget { input, bytes_a_row: self.bytes_a_row }),
            Err(inputs) => internal_err!("a budget for {} plans", inputs.len()),
        }
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        Some(vec![output_columns.to_vec()])
    }
}

fn extension(node: impl UserDefinedLogicalNode + 'static) -> LogicalPlan {
    LogicalPlan::Extension(Extension { node: Arc::new(node) })
}
