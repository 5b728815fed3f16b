//! Subqueries that filter rows of their own: whether one matches is a join, without a domain.

use std::sync::Arc;

use datafusion::common::{DFSchema, TableReference};
use datafusion::error::Result;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Filter, LogicalPlan};

use super::domain::{Names, Read, bound_to};
use super::refs::{free, has, holds_subquery};

/// A subquery as rows and conditions for them.
pub(super) struct Direct {
    /// The columns that are read, of a table whose name is ours.
    pub(super) rows: LogicalPlan,
    /// Conditions over columns of the outer rows and of these.
    pub(super) conditions: Vec<Expr>,
    /// The expression that was asked for.
    pub(super) member: Option<Expr>,
}

impl Direct {
    /// The rows of a subquery, and an expression over them, if they are of this form; else `None`.
    /// They must refer to outer columns of the schema.
    pub(super) fn of(
        plan: &LogicalPlan,
        member: Option<Expr>,
        outer: &DFSchema,
        names: &Names,
    ) -> Result<Option<Self>> {
        let bound = |plan: &LogicalPlan| -> Result<bool> {
            Ok(free(plan)?.iter().any(|column| has(outer, column)))
        };
        if let Some(expr) = &member
            && (expr.contains_outer() || holds_subquery(expr)?)
        {
            return Ok(None);
        }
        let mut rows = plan;
        let mut conditions = Vec::new();
        while let LogicalPlan::Filter(filter) = rows {
            if holds_subquery(&filter.predicate)? {
                return Ok(None);
            }
            conditions.extend(split_conjunction(&filter.predicate).into_iter().cloned());
            rows = &filter.input;
        }
        if conditions.is_empty() || bound(rows)? {
            return Ok(None);
        }

        // A mark is of the table of these columns; without one it would clash with others of its name.
        let mut read = Read::new(names, Some(TableReference::bare(names.fresh())));
        let member = member.map(|expr| read.renamed(expr)).transpose()?;
        let (outer_ones, own): (Vec<_>, Vec<_>) =
            conditions.into_iter().partition(Expr::contains_outer);
        let mut renamed = Vec::with_capacity(outer_ones.len());
        for condition in outer_ones {
            renamed.push(bound_to(outer, read.renamed(condition)?)?);
        }
        let mut rows = rows.clone();
        for condition in own {
            rows = LogicalPlan::Filter(Filter::try_new(condition, Arc::new(rows))?);
        }
        Ok(Some(Direct { rows: read.of(rows)?, conditions: renamed, member }))
    }
}
