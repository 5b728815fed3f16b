//! The node of a logical plan.

use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{Column, DFSchema, DFSchemaRef, internal_err};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNodeCore};

use super::Rule;
use crate::error::Error;
use crate::serialize::WrittenNode;

/// Each row of the left plan with the row of the right one that the rule chooses.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct AsofNode {
    left: LogicalPlan,
    right: LogicalPlan,
    /// Columns of equal types, which have to be equal.
    pub(super) keys: Vec<(Column, Column)>,
    /// Columns of equal types, which have to be near.
    pub(super) order: (Column, Column),
    pub(super) rule: Rule,
    /// Whether rows of the left side without a match are in the result.
    pub(super) keeps_left: bool,
    schema: DFSchemaRef,
}

impl AsofNode {
    pub(super) fn new(
        left: LogicalPlan,
        right: LogicalPlan,
        keys: Vec<(Column, Column)>,
        order: (Column, Column),
        rule: Rule,
        keeps_left: bool,
    ) -> Result<Self> {
        let of_left =
            left.schema().iter().map(|(qualifier, field)| (qualifier.cloned(), Arc::clone(field)));
        let of_right = right.schema().iter().map(|(qualifier, field)| {
            let field = match keeps_left {
                true => Arc::new(field.as_ref().clone().with_nullable(true)),
                false => Arc::clone(field),
            };
            (qualifier.cloned(), field)
        });
        let metadata = left.schema().metadata().clone();
        let schema = DFSchema::new_with_metadata(of_left.chain(of_right).collect(), metadata)?;
        Ok(AsofNode { left, right, keys, order, rule, keeps_left, schema: Arc::new(schema) })
    }

    /// The node of these columns, the order last, and inputs.
    fn of(
        exprs: Vec<Expr>,
        inputs: Vec<LogicalPlan>,
        rule: Rule,
        keeps_left: bool,
    ) -> Result<Self> {
        let columns = exprs.into_iter().map(|expr| match expr {
            Expr::Column(column) => Ok(column),
            expr => internal_err!("an ASOF join on {expr}, which is no column"),
        });
        let columns: Vec<Column> = columns.collect::<Result<_>>()?;
        let mut on: Vec<(Column, Column)> =
            columns.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        let (Some(order), Ok([left, right])) = (on.pop(), <[LogicalPlan; 2]>::try_from(inputs))
        else {
            return internal_err!("an ASOF join has an order and two inputs");
        };
        AsofNode::new(left, right, on, order, rule, keeps_left)
    }

    /// The pairs of columns that are compared, the order last.
    fn on(&self) -> impl Iterator<Item = &(Column, Column)> {
        self.keys.iter().chain([&self.order])
    }
}

impl PartialOrd for AsofNode {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        // The schema follows from the rest.
        let parts =
            |node: &Self| (node.keys.clone(), node.order.clone(), node.rule, node.keeps_left);
        match (&self.left, &self.right).partial_cmp(&(&other.left, &other.right)) {
            Some(Ordering::Equal) => parts(self).partial_cmp(&parts(other)),
            order => order,
        }
    }
}

impl WrittenNode for AsofNode {
    const KIND: &'static str = "asof";

    fn state(&self) -> Option<String> {
        serde_json::to_string(&(self.rule, self.keeps_left)).ok()
    }

    fn read(state: &str, _: SchemaRef, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        let (rule, keeps_left) = serde_json::from_str(state).map_err(Error::damaged)?;
        AsofNode::of(exprs, inputs, rule, keeps_left)
    }
}

impl UserDefinedLogicalNodeCore for AsofNode {
    fn name(&self) -> &'static str {
        "AsofJoin"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.left, &self.right]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.on().flat_map(|(l, r)| [l, r]).cloned().map(Expr::Column).collect()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (l, r) = &self.order;
        let keys: Vec<String> = self.keys.iter().map(|(l, r)| format!("{l} = {r}")).collect();
        write!(f, "AsofJoin: {:?} {l} to {r}, keys=[{}]", self.rule.strategy, keys.join(", "))?;
        if !self.rule.exact {
            f.write_str(", not at the same place")?;
        }
        if self.keeps_left { f.write_str(", keeps left") } else { Ok(()) }
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        AsofNode::of(exprs, inputs, self.rule, self.keeps_left)
    }

    fn necessary_children_exprs(&self, output_columns: &[usize]) -> Option<Vec<Vec<usize>>> {
        let width = self.left.schema().fields().len();
        let (mut left, mut right) = (Vec::new(), Vec::new());
        for column in output_columns {
            if *column < width { left.push(*column) } else { right.push(column - width) }
        }
        for (l, r) in self.on() {
            left.push(self.left.schema().maybe_index_of_column(l)?);
            right.push(self.right.schema().maybe_index_of_column(r)?);
        }
        for side in [&mut left, &mut right] {
            side.sort_unstable();
            side.dedup();
        }
        Some(vec![left, right])
    }
}
