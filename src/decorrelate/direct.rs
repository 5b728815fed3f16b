//! Subqueries that filter rows of their own: whether one matches is a join, without a domain.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{Column, DFSchema};
use datafusion::error::Result;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, LogicalPlan, lit};

use super::domain::{Names, bound_to, named, projected};
use super::refs::{free, has, holds_subquery};

/// A subquery as rows and conditions for them.
pub(super) struct Direct {
    /// The columns that are read, by names of no table.
    pub(super) rows: LogicalPlan,
    /// Conditions over columns of the outer rows and of these.
    pub(super) conditions: Vec<Expr>,
    /// The first column of the subquery.
    pub(super) first: Expr,
}

impl Direct {
    /// A subquery of this form; `None` for others. It must refer to outer columns of the schema.
    pub(super) fn of(plan: &LogicalPlan, outer: &DFSchema, names: &Names) -> Result<Option<Self>> {
        let bound = |plan: &LogicalPlan| -> Result<bool> {
            Ok(free(plan)?.iter().any(|column| has(outer, column)))
        };
        let mut first = None;
        let mut rows = plan;
        if let LogicalPlan::Projection(projection) = plan {
            let expr = projection.expr[0].clone().unalias();
            if expr.contains_outer() || holds_subquery(&expr)? {
                return Ok(None);
            }
            first = Some(expr);
            rows = &projection.input;
        }
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
        let first =
            first.unwrap_or_else(|| Expr::Column(Column::from(rows.schema().qualified_field(0))));

        let mut read = Read { names, columns: Vec::new() };
        let first = read.renamed(first)?;
        let (outer_ones, own): (Vec<_>, Vec<_>) =
            conditions.into_iter().partition(Expr::contains_outer);
        let mut renamed = Vec::with_capacity(outer_ones.len());
        for condition in outer_ones {
            renamed.push(bound_to(outer, read.renamed(condition)?)?);
        }
        let mut rows = rows.clone();
        for condition in own {
            let filter = datafusion::logical_expr::Filter::try_new(condition, Arc::new(rows))?;
            rows = LogicalPlan::Filter(filter);
        }
        Ok(Some(Direct { rows: read.of(rows)?, conditions: renamed, first }))
    }
}

/// The columns of a plan that are read, with their new names.
struct Read<'a> {
    names: &'a Names,
    columns: Vec<(Column, String)>,
}

impl Read<'_> {
    fn renamed(&mut self, expr: Expr) -> Result<Expr> {
        let renamed = expr.transform(|expr| match expr {
            Expr::Column(column) => {
                let known = self.columns.iter().find(|(known, _)| *known == column);
                let name = match known {
                    Some((_, name)) => name.clone(),
                    None => {
                        let name = self.names.fresh();
                        self.columns.push((column, name.clone()));
                        name
                    }
                };
                Ok(Transformed::yes(named(&name)))
            }
            expr => Ok(Transformed::no(expr)),
        });
        renamed.data()
    }

    fn of(self, rows: LogicalPlan) -> Result<LogicalPlan> {
        let columns = self.columns.into_iter();
        let mut exprs: Vec<Expr> =
            columns.map(|(column, name)| Expr::Column(column).alias(name)).collect();
        if exprs.is_empty() {
            exprs.push(lit(true).alias(self.names.fresh()));
        }
        projected(rows, exprs)
    }
}
