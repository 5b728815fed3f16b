//! The conditions of an ASOF join: any number of equalities and one inequality.

use datafusion::common::ScalarValue;
use datafusion::common::{DFSchema, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::planner::RelationPlannerContext;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan, LogicalPlanBuilder, Operator, when};
use datafusion::prelude::lit;
use datafusion::sql::sqlparser::ast::{Join, JoinConstraint, JoinOperator};

use crate::relations::asof::{Asof, AsofKind, AsofStrategy};

/// Plans a join whose left side is planned.
///
/// # Errors
/// If the condition has no inequality or several, or something else.
pub(super) fn plan(
    left: LogicalPlan,
    join: Join,
    context: &mut dyn RelationPlannerContext,
) -> Result<LogicalPlan> {
    let (kind, constraint) = match join.join_operator {
        JoinOperator::Join(on) | JoinOperator::Inner(on) => (AsofKind::Inner, on),
        JoinOperator::Left(on) | JoinOperator::LeftOuter(on) => (AsofKind::Left, on),
        JoinOperator::Semi(on) | JoinOperator::LeftSemi(on) => (AsofKind::Semi, on),
        JoinOperator::Anti(on) | JoinOperator::LeftAnti(on) => (AsofKind::Anti, on),
        _ => return plan_err!("ASOF joins are INNER, LEFT, SEMI or ANTI"),
    };
    let JoinConstraint::On(condition) = constraint else {
        return plan_err!("an ASOF join without ON");
    };
    let right = context.plan(join.relation)?;
    let schema = left.schema().join(right.schema())?;
    let condition = context.sql_to_expr(condition, &schema)?;
    let conditions = Conditions::of(condition, left.schema(), right.schema())?;

    let Some((order, strategy, exact)) = conditions.order else {
        return plan_err!(
            "an ASOF join needs an inequality between its sides, such as a.time >= b.time"
        );
    };
    let right = match conjunction(conditions.of_right) {
        Some(condition) => LogicalPlanBuilder::from(right).filter(condition)?.build()?,
        None => right,
    };
    let order = match conjunction(conditions.of_left) {
        // Rows for which it is not true match nothing, but an outer join has them.
        Some(condition) => (when(condition, order.0).otherwise(lit(ScalarValue::Null))?, order.1),
        None => order,
    };
    Asof { keys: conditions.keys, order, kind, strategy, exact, tolerance: None }.plan(left, right)
}

/// The parts of a condition.
#[derive(Default)]
struct Conditions {
    /// What has to be equal, of the left side and of the right one.
    keys: Vec<(Expr, Expr)>,
    order: Option<((Expr, Expr), AsofStrategy, bool)>,
    of_left: Vec<Expr>,
    of_right: Vec<Expr>,
}

impl Conditions {
    fn of(condition: Expr, left: &DFSchema, right: &DFSchema) -> Result<Self> {
        let is_of = |expr: &Expr, schema: &DFSchema| {
            expr.column_refs().into_iter().all(|column| schema.has_column(column))
        };
        let mut parts = Conditions::default();
        for part in split_conjunction_owned(condition) {
            if is_of(&part, right) {
                parts.of_right.push(part);
                continue;
            }
            if is_of(&part, left) {
                parts.of_left.push(part);
                continue;
            }
            let Expr::BinaryExpr(BinaryExpr { left: a, op, right: b }) = part else {
                return plan_err!("an ASOF join with the condition {part}");
            };
            let (a, op, b) = if is_of(&a, left) && is_of(&b, right) {
                (*a, op, *b)
            } else if is_of(&a, right) && is_of(&b, left) && op.swap().is_some() {
                (*b, op.swap().unwrap_or(op), *a)
            } else {
                return plan_err!("an ASOF join with the condition {a} {op} {b}");
            };
            let (strategy, exact) = match op {
                Operator::Eq => {
                    parts.keys.push((a, b));
                    continue;
                }
                Operator::GtEq => (AsofStrategy::Backward, true),
                Operator::Gt => (AsofStrategy::Backward, false),
                Operator::LtEq => (AsofStrategy::Forward, true),
                Operator::Lt => (AsofStrategy::Forward, false),
                op => return plan_err!("an ASOF join with the condition {a} {op} {b}"),
            };
            if parts.order.replace(((a, b), strategy, exact)).is_some() {
                return plan_err!("an ASOF join has one inequality between its sides, not several");
            }
        }
        Ok(parts)
    }
}
