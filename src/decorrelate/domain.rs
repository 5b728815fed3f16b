//! The outer values that a subquery is computed for, and joins on them.

use std::cell::Cell;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{
    Column, DFSchema, JoinConstraint, NullEquality, TableReference, not_impl_err,
};
use datafusion::error::Result;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Distinct, Expr, ExprSchemable, Join, JoinType, LogicalPlan, Projection, lit,
};

use super::refs::{free, has};
use crate::keys::apart;
use crate::rewrite::{gives_same_rows, reads_work_table};
use crate::share::run_once;

/// What the names of all columns begin with that exist only between an operator and its subqueries.
const OURS: &str = "__outer_";

/// Names that no column of some plans has.
pub(super) struct Names(Cell<usize>);

impl Names {
    /// Names for columns between these plans. Equal plans get equal names, so that what is there
    /// twice can still be found and run once.
    pub(super) fn beside<'a>(plans: impl IntoIterator<Item = &'a LogicalPlan>) -> Result<Self> {
        let mut last = 0;
        for plan in plans {
            plan.apply_with_subqueries(|node| {
                for field in node.schema().fields() {
                    let number = field.name().strip_prefix(OURS).and_then(|n| n.parse().ok());
                    last = last.max(number.unwrap_or(0));
                }
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        Ok(Names(Cell::new(last)))
    }

    pub(super) fn fresh(&self) -> String {
        self.0.set(self.0.get() + 1);
        format!("{OURS}{}", self.0.get())
    }
}

/// The plan, of which two copies give the same rows.
pub(super) fn same_each_time(plan: LogicalPlan) -> Result<LogicalPlan> {
    // What is run once would be that of the first round in a recursion.
    let is_same = gives_same_rows(&plan)? || reads_work_table(&plan)?;
    Ok(if is_same { plan } else { run_once(plan) })
}

/// Columns that expressions read, with names of ours.
pub(super) struct Read<'a> {
    names: &'a Names,
    table: Option<TableReference>,
    /// Columns as they are, and as they are called.
    pub(super) columns: Vec<(Column, Column)>,
}

impl<'a> Read<'a> {
    /// Columns whose new names belong to a table, or to none.
    pub(super) fn new(names: &'a Names, table: Option<TableReference>) -> Self {
        Read { names, table, columns: Vec::new() }
    }

    /// The expression by the new names.
    pub(super) fn renamed(&mut self, expr: Expr) -> Result<Expr> {
        let renamed = expr.transform(|expr| match expr {
            Expr::Column(column) => Ok(Transformed::yes(Expr::Column(self.name_of(column)))),
            expr => Ok(Transformed::no(expr)),
        });
        renamed.data()
    }

    fn name_of(&mut self, column: Column) -> Column {
        if let Some((_, name)) = self.columns.iter().find(|(known, _)| *known == column) {
            return name.clone();
        }
        let name = self.new_name();
        self.columns.push((column, name.clone()));
        name
    }

    fn new_name(&self) -> Column {
        Column::new(self.table.clone(), self.names.fresh())
    }

    /// The rows with these columns; with one that says nothing, if there are none.
    pub(super) fn of(self, rows: LogicalPlan) -> Result<LogicalPlan> {
        let columns = self.columns.iter().cloned();
        let mut exprs: Vec<Expr> =
            columns.map(|(column, name)| aliased(Expr::Column(column), name)).collect();
        if exprs.is_empty() {
            exprs.push(aliased(lit(true), self.new_name()));
        }
        projected(rows, exprs)
    }
}

/// The expression as a column.
fn aliased(expr: Expr, name: Column) -> Expr {
    expr.alias_qualified(name.relation, name.name)
}

/// Rows of outer values. A subquery is computed for all of them at once: its operators are given
/// these columns beside their own, and keep apart what belongs to different values.
pub(super) struct Domain<'a> {
    pub(super) rows: LogicalPlan,
    /// Outer columns, and their names here.
    columns: Vec<(Column, String)>,
    pub(super) names: &'a Names,
}

impl<'a> Domain<'a> {
    /// Each combination of the values that these columns of a plan have, once.
    ///
    /// # Errors
    /// `NotImplemented` within a recursion, whose rows can be read in one place only.
    pub(super) fn distinct(
        outer: &LogicalPlan,
        columns: Vec<Column>,
        names: &'a Names,
    ) -> Result<Self> {
        if !columns.is_empty() && reads_work_table(outer)? {
            return not_impl_err!(
                "a subquery about each row of a recursive CTE inside of the CTE itself; \
                 write what it looks up as a join"
            );
        }
        let mut domain = Domain::every_row(outer, columns, names)?;
        domain.rows = apart(LogicalPlan::Distinct(Distinct::All(Arc::new(domain.rows))))?;
        Ok(domain)
    }

    /// These columns of every row of a plan.
    pub(super) fn every_row(
        outer: &LogicalPlan,
        columns: Vec<Column>,
        names: &'a Names,
    ) -> Result<Self> {
        let columns: Vec<_> = columns.into_iter().map(|column| (column, names.fresh())).collect();
        let exprs = columns.iter().map(|(column, name)| Expr::Column(column.clone()).alias(name));
        let rows = projected(outer.clone(), exprs.collect())?;
        Ok(Domain { rows, columns, names })
    }

    /// The same values under other names, for the second side of a join.
    pub(super) fn renamed(&self) -> Result<Self> {
        let rename = |(column, _): &(Column, String)| (column.clone(), self.names.fresh());
        let columns: Vec<_> = self.columns.iter().map(rename).collect();
        let pairs = self.columns.iter().zip(&columns);
        let exprs = pairs.map(|((_, old), (_, new))| named(old).alias(new)).collect();
        Ok(Domain { rows: projected(self.rows.clone(), exprs)?, columns, names: self.names })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// Our columns.
    pub(super) fn keys(&self) -> Vec<Expr> {
        self.columns.iter().map(|(_, name)| named(name)).collect()
    }

    pub(super) fn key_names(&self) -> impl Iterator<Item = &String> {
        self.columns.iter().map(|(_, name)| name)
    }

    /// The outer columns, each with ours.
    pub(super) fn pairs_with_outer(&self) -> Vec<(Expr, Expr)> {
        let pair = |(column, name): &(Column, String)| (Expr::Column(column.clone()), named(name));
        self.columns.iter().map(pair).collect()
    }

    /// Whether a plan refers to one of the outer columns.
    pub(super) fn is_used_by(&self, plan: &LogicalPlan) -> Result<bool> {
        Ok(free(plan)?.iter().any(|column| self.key_of(column).is_some()))
    }

    fn key_of(&self, column: &Column) -> Option<Expr> {
        let found = self.columns.iter().find(|(outer, _)| outer == column);
        found.map(|(_, name)| named(name))
    }

    /// The expression with our columns in place of references to outer ones.
    pub(super) fn bind(&self, expr: Expr) -> Result<Expr> {
        let bound = expr.transform(|expr| {
            Ok(match &expr {
                Expr::OuterReferenceColumn(_, column) => match self.key_of(column) {
                    Some(key) => Transformed::yes(key),
                    None => Transformed::no(expr),
                },
                _ => Transformed::no(expr),
            })
        });
        bound.data()
    }
}

/// The expression with the columns themselves in place of references to them.
pub(super) fn bound_to(schema: &DFSchema, expr: Expr) -> Result<Expr> {
    let bound = expr.transform(|expr| {
        Ok(match expr {
            Expr::OuterReferenceColumn(_, column) if has(schema, &column) => {
                Transformed::yes(Expr::Column(column))
            }
            expr => Transformed::no(expr),
        })
    });
    bound.data()
}

/// A column of this name that belongs to no table.
pub(super) fn named(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

pub(super) fn projected(plan: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}

/// The columns of a schema, as expressions.
pub(super) fn columns(schema: &DFSchema) -> impl Iterator<Item = Expr> {
    schema.columns().into_iter().map(Expr::Column)
}

/// The plan with the columns of this schema and no others.
pub(super) fn restored(plan: LogicalPlan, schema: &DFSchema) -> Result<LogicalPlan> {
    if plan.schema().fields().len() == schema.fields().len() {
        return Ok(plan);
    }
    projected(plan, columns(schema).collect())
}

/// How two plans are joined.
pub(super) struct Condition {
    /// Pairs whose NULLs are equal.
    pub(super) same: Vec<(Expr, Expr)>,
    pub(super) equal: Vec<(Expr, Expr)>,
    /// Whether NULLs are equal in the other pairs too.
    pub(super) nulls: NullEquality,
    pub(super) filter: Option<Expr>,
}

impl Condition {
    /// The values of a domain, and no more.
    pub(super) fn same(pairs: Vec<(Expr, Expr)>) -> Self {
        let nulls = NullEquality::NullEqualsNothing;
        Condition { same: pairs, equal: Vec::new(), nulls, filter: None }
    }

    /// The join. All pairs are keys: where NULLs are equal in some only, conditions keep the others
    /// from NULL.
    pub(super) fn join(
        self,
        left: LogicalPlan,
        right: LogicalPlan,
        join_type: JoinType,
    ) -> Result<Join> {
        let Condition { same, equal, mut nulls, filter } = self;
        let mut filters: Vec<Expr> = filter.into_iter().collect();
        let strict = nulls == NullEquality::NullEqualsNothing;
        if strict && may_be_null(&same, left.schema(), right.schema())? {
            nulls = NullEquality::NullEqualsNull;
            filters.extend(equal.iter().map(|(left, _)| left.clone().is_not_null()));
        }
        let on = same.into_iter().chain(equal).collect();
        Join::try_new(
            Arc::new(left),
            Arc::new(right),
            on,
            conjunction(filters),
            join_type,
            JoinConstraint::On,
            nulls,
            false,
        )
    }
}

fn may_be_null(pairs: &[(Expr, Expr)], left: &DFSchema, right: &DFSchema) -> Result<bool> {
    for (one, other) in pairs {
        if one.nullable(left)? || other.nullable(right)? {
            return Ok(true);
        }
    }
    Ok(false)
}
