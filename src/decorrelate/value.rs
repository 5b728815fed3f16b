//! Subqueries as values: each becomes a column of the input of its node.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue};
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprSchemable, Filter, JoinType, LogicalPlan, LogicalPlanBuilder,
    Subquery, binary_expr, lit, not, when,
};

use super::direct::Direct;
use super::domain::{Condition, Domain, Names, columns, named, projected};
use super::refs::{free, has, subquery_of};
use super::single_row::single_row;
use crate::rewrite::gives_same_rows;
use crate::share::run_once;

/// The input of a node, with columns for the subqueries in the node's expressions.
pub(super) struct Input {
    /// What the node had, from which outer values are taken.
    base: LogicalPlan,
    /// The same with what was added.
    pub(super) plan: LogicalPlan,
    names: Names,
    /// Subqueries that have been seen, and what stands for them.
    known: Vec<(Expr, Expr)>,
}

impl Input {
    /// The input of a node that has these expressions, whose subqueries are to be replaced.
    pub(super) fn new(input: LogicalPlan, exprs: &[Expr]) -> Result<Self> {
        let mut plans = vec![&input];
        for expr in exprs {
            expr.apply(|expr| {
                plans.extend(subquery_of(expr));
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        let names = Names::beside(plans)?;
        // It is read for the values, and again for the rows.
        let base = if gives_same_rows(&input)? { input } else { run_once(input) };
        Ok(Input { plan: base.clone(), base, names, known: Vec::new() })
    }

    /// The expression with columns in place of all subqueries that `is_ours` wants.
    pub(super) fn replaced(
        &mut self,
        expr: Expr,
        is_ours: &dyn Fn(&Expr) -> Result<bool>,
    ) -> Result<Expr> {
        let replaced = expr.transform_up(|expr| {
            if subquery_of(&expr).is_none() || !is_ours(&expr)? {
                return Ok(Transformed::no(expr));
            }
            if let Some((_, value)) = self.known.iter().find(|(known, _)| *known == expr) {
                return Ok(Transformed::yes(value.clone()));
            }
            let value = self.value(&expr, false)?;
            self.known.push((expr, value.clone()));
            Ok(Transformed::yes(value))
        });
        replaced.data()
    }

    /// What a subquery as a condition comes to, of which only TRUE counts.
    pub(super) fn condition(&mut self, expr: &Expr) -> Result<Expr> {
        self.value(expr, true)
    }

    fn value(&mut self, expr: &Expr, only_true: bool) -> Result<Expr> {
        match expr {
            Expr::ScalarSubquery(subquery) => self.scalar(&subquery.subquery),
            Expr::Exists(Exists { subquery, negated }) => {
                let exists = self.exists(&subquery.subquery)?;
                Ok(if *negated { not(exists) } else { exists })
            }
            Expr::InSubquery(within) => {
                let value = self.within(within, only_true && !within.negated)?;
                Ok(if within.negated { not(value) } else { value })
            }
            Expr::SetComparison(comparison) => self.compared(comparison),
            other => Ok(other.clone()),
        }
    }

    /// The outer values of a subquery.
    fn domain(&self, subquery: &LogicalPlan) -> Result<Domain<'_>> {
        let mut bound = free(subquery)?;
        bound.retain(|column| has(self.base.schema(), column));
        Domain::distinct(&self.base, bound, &self.names)
    }

    /// The one value of a subquery; NULL if it has no row.
    fn scalar(&mut self, subquery: &LogicalPlan) -> Result<Expr> {
        let name = self.names.fresh();
        if is_one_row(subquery) {
            let value = self.of_each_row(subquery, &name)?;
            self.plan = value;
            return Ok(named(&name));
        }
        let domain = self.domain(subquery)?;
        let mut rows = domain.push(subquery)?;
        let mut value = Expr::Column(Column::from(subquery.schema().qualified_field(0)));
        if !gives_one_row(subquery) {
            let (numbered, number) = domain.numbered(rows, Vec::new())?;
            rows = numbered;
            value = single_row(value, number);
        }
        let mut exprs = domain.keys();
        exprs.push(value.alias(&name));
        let rows = projected(rows, exprs)?;
        self.plan = joined(&self.plan, &domain, rows)?;
        Ok(named(&name))
    }

    /// A subquery without a table, which is no more than its expressions.
    fn of_each_row(&self, subquery: &LogicalPlan, name: &str) -> Result<LogicalPlan> {
        let all = self.plan.schema().columns();
        let domain = Domain::every_row(&self.plan, all, &self.names)?;
        let rows = domain.push(subquery)?;
        let mut exprs: Vec<Expr> = self
            .plan
            .schema()
            .columns()
            .into_iter()
            .zip(domain.key_names())
            .map(|(column, key)| named(key).alias_qualified(column.relation, column.name))
            .collect();
        let value = Expr::Column(Column::from(subquery.schema().qualified_field(0)));
        exprs.push(value.alias(name));
        projected(rows, exprs)
    }

    /// Whether a subquery has a row.
    fn exists(&mut self, subquery: &LogicalPlan) -> Result<Expr> {
        let subquery = without_columns(subquery);
        if let Some(direct) = Direct::of(subquery, self.base.schema(), &self.names)? {
            return self.marked(direct.rows, direct.conditions);
        }
        let domain = self.domain(subquery)?;
        let rows = domain.push(subquery)?;
        let one = if domain.is_empty() {
            LogicalPlanBuilder::from(rows).limit(0, Some(1))?.build()?
        } else {
            LogicalPlan::Distinct(Distinct::All(Arc::new(projected(rows, domain.keys())?)))
        };
        let mark = self.names.fresh();
        let mut exprs = domain.keys();
        exprs.push(lit(true).alias(&mark));
        self.plan = joined(&self.plan, &domain, projected(one, exprs)?)?;
        Ok(named(&mark).is_not_null())
    }

    /// Whether rows beside the input match.
    fn marked(&mut self, rows: LogicalPlan, conditions: Vec<Expr>) -> Result<Expr> {
        let mark = self.names.fresh();
        let mut exprs: Vec<Expr> = columns(self.plan.schema()).collect();
        let condition = Condition {
            filter: conjunction(conditions).or_else(|| Some(lit(true))),
            ..Condition::same(Vec::new())
        };
        let joined = condition.join(self.plan.clone(), rows, JoinType::LeftMark)?;
        let last = joined.schema().columns().pop().map(Expr::Column);
        exprs.extend(last.map(|column| column.alias(&mark)));
        self.plan = projected(joined, exprs)?;
        Ok(named(&mark))
    }

    /// `x IN (subquery)`: NULL where there is no match, and a NULL might have been one.
    fn within(&mut self, within: &InSubquery, only_true: bool) -> Result<Expr> {
        let subquery = within.subquery.subquery.as_ref();
        let value = within.expr.as_ref().clone();
        let is_match = self.matched(subquery, &value)?;
        let member = Expr::Column(Column::from(subquery.schema().qualified_field(0)));
        let may_be_null =
            value.nullable(self.plan.schema())? || subquery.schema().field(0).is_nullable();
        if only_true || !may_be_null {
            return Ok(is_match);
        }

        let domain = self.domain(subquery)?;
        let (all, known) = (self.names.fresh(), self.names.fresh());
        let counts = vec![count(lit(1_i64)).alias(&all), count(member).alias(&known)];
        let rows = Arc::new(domain.push(subquery)?);
        let counted = Aggregate::try_new(rows, domain.keys(), counts)?;
        self.plan = joined(&self.plan, &domain, LogicalPlan::Aggregate(counted))?;
        let is_empty = named(&all).is_null().or(named(&all).eq(lit(0_i64)));
        let is_open = value.is_null().or(named(&known).lt(named(&all)));
        let unknown = lit(ScalarValue::Boolean(None));
        when(is_match, lit(true))
            .when(is_empty, lit(false))
            .when(is_open, unknown)
            .otherwise(lit(false))
    }

    /// Whether a row of a subquery equals a value.
    fn matched(&mut self, subquery: &LogicalPlan, value: &Expr) -> Result<Expr> {
        if let Some(direct) = Direct::of(subquery, self.base.schema(), &self.names)? {
            let mut conditions = direct.conditions;
            conditions.push(value.clone().eq(direct.first));
            return self.marked(direct.rows, conditions);
        }
        let domain = self.domain(subquery)?;
        let (member, mark) = (self.names.fresh(), self.names.fresh());
        let first = Expr::Column(Column::from(subquery.schema().qualified_field(0)));
        let mut exprs = domain.keys();
        exprs.push(first.alias(&member));
        let members = projected(domain.push(subquery)?, exprs)?;
        let members = LogicalPlan::Distinct(Distinct::All(Arc::new(members)));
        let mut exprs: Vec<Expr> = columns(members.schema()).collect();
        exprs.push(lit(true).alias(&mark));
        let members = projected(members, exprs)?;
        let condition = Condition {
            equal: vec![(value.clone(), named(&member))],
            ..Condition::same(domain.pairs_with_outer())
        };
        self.plan = condition.join(self.plan.clone(), members, JoinType::Left)?;
        Ok(named(&mark).is_not_null())
    }

    /// `x < ANY (subquery)`: TRUE if that is so for one row, else NULL if it is unknown for one.
    /// `ALL` is the same for FALSE.
    fn compared(&mut self, comparison: &SetComparison) -> Result<Expr> {
        let subquery = comparison.subquery.subquery.as_ref();
        let member = Expr::Column(Column::from(subquery.schema().qualified_field(0)));
        let value = as_outer(comparison.expr.as_ref().clone(), &self.plan)?;
        let holds = binary_expr(value, comparison.op, member);
        let decides = match comparison.quantifier {
            SetQuantifier::Any => holds.clone().is_true(),
            SetQuantifier::All => holds.clone().is_false(),
        };
        let mut exists = |condition: Expr| {
            let rows = Filter::try_new(condition, Arc::new(subquery.clone()))?;
            self.exists(&LogicalPlan::Filter(rows))
        };
        let (is_decided, is_open) = (exists(decides)?, exists(holds.is_null())?);
        let result = comparison.quantifier == SetQuantifier::Any;
        when(is_decided, lit(result))
            .when(is_open, lit(ScalarValue::Boolean(None)))
            .otherwise(lit(!result))
    }
}

/// The input with what a subquery gives for each of the values.
fn joined(input: &LogicalPlan, domain: &Domain<'_>, rows: LogicalPlan) -> Result<LogicalPlan> {
    Condition::same(domain.pairs_with_outer()).join(input.clone(), rows, JoinType::Left)
}

/// The expression as it is written within a subquery.
fn as_outer(expr: Expr, input: &LogicalPlan) -> Result<Expr> {
    let outer = expr.transform(|expr| match expr {
        Expr::Column(column) => {
            let (_, field) = input.schema().qualified_field_from_column(&column)?;
            Ok(Transformed::yes(Expr::OuterReferenceColumn(Arc::clone(field), column)))
        }
        expr => Ok(Transformed::no(expr)),
    });
    outer.data()
}

/// The plan below what changes neither whether there are rows nor which outer rows they are for.
fn without_columns(plan: &LogicalPlan) -> &LogicalPlan {
    match plan {
        LogicalPlan::Projection(projection) => without_columns(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => without_columns(&alias.input),
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => without_columns(&sort.input),
        LogicalPlan::Distinct(Distinct::All(input)) => without_columns(input),
        LogicalPlan::Subquery(Subquery { subquery, .. }) => without_columns(subquery),
        other => other,
    }
}

/// Whether a plan is expressions over no table.
fn is_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => is_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => is_one_row(&alias.input),
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        _ => false,
    }
}

/// Whether a plan never gives a second row.
fn gives_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::Projection(projection) => gives_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => gives_one_row(&alias.input),
        LogicalPlan::Filter(filter) => gives_one_row(&filter.input),
        _ => plan.max_rows().is_some_and(|rows| rows <= 1),
    }
}
