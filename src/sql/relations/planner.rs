//! Plans relations that DataFusion does not plan, or not as they are meant.
//!
//! The resolution of names has put them into forms that mean nothing else: a join that is GLOBAL is
//! an ASOF join, or if it is a cross join, a sample of what is on its left side.

use std::cell::Cell;

use datafusion::error::Result;
use datafusion::logical_expr::planner::{
    PlannedRelation, RelationPlanner, RelationPlannerContext, RelationPlanning,
};
use datafusion::sql::sqlparser::ast::{
    Join, JoinConstraint, JoinOperator, TableFactor, TableSampleKind, TableWithJoins,
};

use super::{asof, sample};
use crate::keys;

thread_local! {
    /// Whether the next relation of this thread is one that we have left to DataFusion.
    static IS_DELEGATED: Cell<bool> = const { Cell::new(false) };
}

/// The planner of all relations of ours.
#[derive(Debug)]
pub(crate) struct Relations;

impl RelationPlanner for Relations {
    fn plan_relation(
        &self,
        mut relation: TableFactor,
        context: &mut dyn RelationPlannerContext,
    ) -> Result<RelationPlanning> {
        if let TableFactor::Table { sample, .. } | TableFactor::Derived { sample, .. } =
            &mut relation
            && let Some(written) = sample.take()
        {
            let plan = context.plan(relation)?;
            return planned(sample::of(&written)?.plan(plan)?);
        }
        if IS_DELEGATED.replace(false) {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        if matches!(relation, TableFactor::Table { .. } | TableFactor::Derived { .. }) {
            IS_DELEGATED.set(true);
            let plan = context.plan(relation);
            IS_DELEGATED.set(false);
            return planned(keys::relation(plan?)?);
        }
        let TableFactor::NestedJoin { table_with_joins, alias: None } = relation else {
            return Ok(RelationPlanning::Original(Box::new(relation)));
        };
        if !table_with_joins.joins.last().is_some_and(|join| join.global) {
            let relation = TableFactor::NestedJoin { table_with_joins, alias: None };
            return Ok(RelationPlanning::Original(Box::new(relation)));
        }
        let TableWithJoins { relation, mut joins } = *table_with_joins;
        let last = joins.pop().expect("there is a last join");
        let left = match joins.is_empty() {
            true => context.plan(relation)?,
            false => context.plan(nested(TableWithJoins { relation, joins }))?,
        };
        match sample_of(&last) {
            Some(written) => planned(sample::of(written)?.plan(left)?),
            None => planned(asof::plan(left, last, context)?),
        }
    }
}

fn planned(plan: datafusion::logical_expr::LogicalPlan) -> Result<RelationPlanning> {
    Ok(RelationPlanning::Planned(Box::new(PlannedRelation::new(plan, None))))
}

/// Relations in brackets.
fn nested(tables: TableWithJoins) -> TableFactor {
    TableFactor::NestedJoin { table_with_joins: Box::new(tables), alias: None }
}

/// The sample that a join stands for.
fn sample_of(join: &Join) -> Option<&TableSampleKind> {
    match (&join.join_operator, &join.relation) {
        (JoinOperator::CrossJoin(_), TableFactor::Table { sample, .. }) if join.global => {
            sample.as_ref()
        }
        _ => None,
    }
}

/// Takes the join that marks a sample off a FROM.
pub(crate) fn take_sample(from: &mut [TableWithJoins]) -> Option<Join> {
    let joins = &mut from.last_mut()?.joins;
    joins.pop_if(|join| sample_of(join).is_some())
}

/// Puts it around all tables of the FROM.
pub(crate) fn put_sample(from: &mut Vec<TableWithJoins>, sample: Join) {
    let mut tables = std::mem::take(from).into_iter();
    let Some(first) = tables.next() else { return };
    let joins = tables
        .map(|table| Join {
            relation: nested(table),
            global: false,
            join_operator: JoinOperator::CrossJoin(JoinConstraint::None),
        })
        .chain([sample]);
    let sampled = TableWithJoins { relation: nested(first), joins: joins.collect() };
    from.push(TableWithJoins { relation: nested(sampled), joins: Vec::new() });
}

/// Puts ASOF joins and what is before them into brackets, which are planned as a relation.
pub(crate) fn fold_asof(tables: TableWithJoins) -> TableWithJoins {
    let TableWithJoins { mut relation, joins } = tables;
    let mut open = Vec::new();
    for join in joins {
        let is_asof = join.global;
        open.push(join);
        if is_asof {
            relation = nested(TableWithJoins { relation, joins: std::mem::take(&mut open) });
        }
    }
    TableWithJoins { relation, joins: open }
}
