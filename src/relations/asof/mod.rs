//! ASOF joins: each row of the left side with the one row of the right side that has equal keys and
//! is nearest in an order, most often time.
//!
//! - this module: what is wanted, as a logical plan
//! - `logical`: the node of a logical plan
//! - `exec`: the node of a physical plan, and from one to the other
//! - `merge`: both sides in order, merged batch by batch
//! - `distance`: how far apart two values are
//!
//! Both sides are hashed by their keys and sorted, by operators that spill; the merge holds a batch of
//! the left side and a few of the right one. Without keys there is one partition.
//!
//! Rows with a NULL among the compared values match nothing. Of several right rows at the same place
//! in the order, any one is taken.

mod distance;
mod exec;
mod logical;
mod merge;

use datafusion::common::{Column, ExprSchema, plan_datafusion_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, lit};
use serde::{Deserialize, Serialize};

use super::extension;
pub use distance::Tolerance;
use distance::{Reach, Unit};
pub(crate) use exec::AsofPlanner;
pub(crate) use logical::AsofNode;

/// Which row of the right side a row matches.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
pub enum AsofStrategy {
    /// The last one that is not after it.
    #[default]
    Backward,
    /// The first one that is not before it.
    Forward,
    /// The nearest one, before or after it; of two that are equally near, the one after.
    Nearest,
}

/// Which rows of the left side there are in the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AsofKind {
    /// Those that match, with the match.
    Inner,
    /// All, with the match or NULLs.
    Left,
    /// Those that match, alone.
    Semi,
    /// Those that do not match.
    Anti,
}

/// The conditions of an ASOF join: expressions of the left side and of the right one.
#[derive(Debug)]
pub(crate) struct Asof {
    /// What has to be equal.
    pub(crate) keys: Vec<(Expr, Expr)>,
    /// What has to be near.
    pub(crate) order: (Expr, Expr),
    pub(crate) kind: AsofKind,
    pub(crate) strategy: AsofStrategy,
    /// Whether rows at the same place match.
    pub(crate) exact: bool,
    /// Rows that are further apart do not match.
    pub(crate) tolerance: Option<Tolerance>,
}

/// The rule by which a right row is chosen among those of equal keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Hash, Serialize, Deserialize)]
struct Rule {
    strategy: AsofStrategy,
    exact: bool,
    reach: Option<Reach>,
}

impl Rule {
    /// Whether distances matter.
    fn measures(self) -> bool {
        self.strategy == AsofStrategy::Nearest || self.reach.is_some()
    }
}

impl Asof {
    /// The join of two plans: the columns of the left one, then those of the right one.
    ///
    /// # Errors
    /// If values cannot be compared, or have no distance where one is needed.
    pub(crate) fn plan(self, left: LogicalPlan, right: LogicalPlan) -> Result<LogicalPlan> {
        let columns = |plan: &LogicalPlan| {
            plan.schema().columns().into_iter().map(Expr::Column).collect::<Vec<_>>()
        };
        let (left_columns, right_columns) = (columns(&left), columns(&right));
        let mut output = left_columns.clone();
        if matches!(self.kind, AsofKind::Inner | AsofKind::Left) {
            output.extend(right_columns.clone());
        }

        let mut sides = [Side::new(left, "left"), Side::new(right, "right")];
        let mut on = Vec::new();
        for (l, r) in self.keys.into_iter().chain([self.order]) {
            on.push(compared(&mut sides, l, r)?);
        }
        let order = on.pop().expect("the order was put in");
        let [left, mut right] = sides;
        let data_type = left.data_type(&order.0)?;
        let reach = match self.tolerance {
            Some(tolerance) => Some(tolerance.reach(&data_type)?),
            None => None,
        };
        if self.strategy == AsofStrategy::Nearest && Unit::of(&data_type).is_none() {
            return plan_err!("values of type {data_type} have no distance, so none is nearest");
        }
        let rule = Rule { strategy: self.strategy, exact: self.exact, reach };
        let keeps_left = matches!(self.kind, AsofKind::Left | AsofKind::Anti);
        let marker = match self.kind {
            AsofKind::Anti => Some(right.column(lit(true))),
            _ => None,
        };
        let is_changed = left.is_changed() || right.is_changed() || self.kind == AsofKind::Semi;
        let node = AsofNode::new(left.plan()?, right.plan()?, on, order, rule, keeps_left)?;
        let mut joined = LogicalPlanBuilder::from(extension(node));
        if let Some(marker) = marker {
            joined = joined.filter(Expr::Column(marker).is_null())?;
        }
        if is_changed {
            joined = joined.project(output)?;
        }
        joined.build()
    }
}

/// The columns of both sides that hold two values to be compared, of the same type.
fn compared(sides: &mut [Side; 2], l: Expr, r: Expr) -> Result<(Column, Column)> {
    let [left, right] = sides;
    let (left_type, right_type) =
        (l.get_type(left.input.schema())?, r.get_type(right.input.schema())?);
    let common = comparison_coercion(&left_type, &right_type).ok_or_else(|| {
        plan_datafusion_err!("{l} of type {left_type} cannot be compared to {r} of {right_type}")
    })?;
    let l = l.cast_to(&common, left.input.schema())?;
    let r = r.cast_to(&common, right.input.schema())?;
    Ok((left.column(l), right.column(r)))
}

/// A side of a join, and columns that were added to it.
struct Side {
    input: LogicalPlan,
    name: &'static str,
    added: Vec<Expr>,
}

impl Side {
    fn new(input: LogicalPlan, name: &'static str) -> Self {
        Side { input, name, added: Vec::new() }
    }

    fn is_changed(&self) -> bool {
        !self.added.is_empty()
    }

    /// The column of an expression; one is added if it is none yet.
    fn column(&mut self, expr: Expr) -> Column {
        if let Expr::Column(column) = expr {
            return column;
        }
        let name = format!("__asof_{}_{}", self.name, self.added.len());
        self.added.push(expr.alias(&name));
        Column::new_unqualified(name)
    }

    fn data_type(&self, column: &Column) -> Result<arrow::datatypes::DataType> {
        match self.input.schema().data_type(column) {
            Ok(data_type) => Ok(data_type.clone()),
            Err(_) => {
                let added = self.added.iter().find(|expr| expr.qualified_name().1 == column.name);
                let added = added.ok_or_else(|| plan_datafusion_err!("no column {column}"))?;
                added.get_type(self.input.schema())
            }
        }
    }

    fn plan(self) -> Result<LogicalPlan> {
        if self.added.is_empty() {
            return Ok(self.input);
        }
        let columns = self.input.schema().columns().into_iter().map(Expr::Column);
        let all: Vec<Expr> = columns.chain(self.added).collect();
        LogicalPlanBuilder::from(self.input).project(all)?.build()
    }
}
