//! Subqueries as values: each becomes a column of the input of its node.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue};
use datafusion::error::Result;
use datafusion::functions_aggregate::expr_fn::{count, first_value};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprSchemable, Filter, JoinType, LogicalPlan, LogicalPlanBuilder,
    Subquery, binary_expr, lit, not, when,
};

use super::direct::Direct;
use super::domain::{Condition, Domain, Names, columns, named, projected, same_each_time};
use super::refs::{free, has, subquery_of};
use super::single_row::single_row;
use crate::rewrite::{gives_same_rows, is_volatile};

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
    /// The input of a node that has these expressions, whose subqueries are to be replaced, and these
    /// other inputs.
    pub(super) fn new(input: LogicalPlan, exprs: &[Expr], others: &[&LogicalPlan]) -> Result<Self> {
        let mut plans = vec![&input];
        plans.extend(others);
        for expr in exprs {
            expr.apply(|expr| {
                plans.extend(subquery_of(expr));
                Ok(TreeNodeRecursion::Continue)
            })?;
        }
        let names = Names::beside(plans)?;
        // It is read for the values, and again for the rows.
        let base = same_each_time(input)?;
        Ok(Input { plan: base.clone(), base, names, known: Vec::new() })
    }

    /// The expression with columns in place of all subqueries that `is_ours` wants.
    pub(super) fn replaced(
        &mut self,
        expr: Expr,
        is_ours: &dyn Fn(&Expr) -> Result<bool>,
    ) -> Result<Expr> {
        let replaced = expr.transform_up(|expr| {
            let is_random = match subquery_of(&expr) {
                Some(subquery) if is_ours(&expr)? => is_volatile(subquery)?,
                _ => return Ok(Transformed::no(expr)),
            };
            if let Some((_, value)) = self.known.iter().find(|(known, _)| *known == expr) {
                return Ok(Transformed::yes(value.clone()));
            }
            let value = self.value(&expr, false)?;
            if !is_random {
                self.known.push((expr, value.clone()));
            }
            Ok(Transformed::yes(value))
        });
        replaced.data()
    }

    /// What a subquery as a condition comes to, of which only TRUE counts.
    pub(super) fn condition(&mut self, expr: Expr) -> Result<Expr> {
        let operands = |operand| Ok(Transformed::yes(self.replaced(operand, &|_| Ok(true))?));
        let expr = expr.map_children(operands)?.data;
        self.value(&expr, true)
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
            // Where nothing reads the value, nothing looks for a second row; there is none even so.
            let (first, number) = (self.names.fresh(), self.names.fresh());
            let aggregates = vec![
                first_value(value, Vec::new()).alias(&first),
                count(lit(1_i64)).alias(&number),
            ];
            let one = Aggregate::try_new(Arc::new(rows), domain.keys(), aggregates)?;
            rows = LogicalPlan::Aggregate(one);
            value = single_row(named(&first), named(&number));
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
        if let Some(direct) = Direct::of(subquery, None, self.base.schema(), &self.names)? {
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
        let last = joined.schema.columns().pop().map(Expr::Column);
        exprs.extend(last.map(|column| column.alias(&mark)));
        self.plan = projected(LogicalPlan::Join(joined), exprs)?;
        Ok(named(&mark))
    }

    /// `x IN (subquery)`: NULL where there is no match, and a NULL might have been one.
    fn within(&mut self, within: &InSubquery, only_true: bool) -> Result<Expr> {
        let subquery = within.subquery.subquery.as_ref();
        let value = within.expr.as_ref().clone();
        let member = Expr::Column(Column::from(subquery.schema().qualified_field(0)));
        let may_be_null =
            value.nullable(self.plan.schema())? || subquery.schema().field(0).is_nullable();
        if only_true || !may_be_null {
            return self.matched(subquery, &value);
        }

        let domain = self.domain(subquery)?;
        let rows = same_each_time(domain.push(subquery)?)?;
        let (plan, is_match) = self.found(&domain, rows.clone(), &member, &value)?;
        let (all, known) = (self.names.fresh(), self.names.fresh());
        let counts = vec![count(lit(1_i64)).alias(&all), count(member).alias(&known)];
        let counted = Aggregate::try_new(Arc::new(rows), domain.keys(), counts)?;
        self.plan = joined(&plan, &domain, LogicalPlan::Aggregate(counted))?;
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
        let (rows, member) = match subquery {
            LogicalPlan::Projection(projection) => {
                (projection.input.as_ref(), projection.expr[0].clone().unalias())
            }
            rows => (rows, Expr::Column(Column::from(rows.schema().qualified_field(0)))),
        };
        if let Some(direct) = Direct::of(rows, Some(member), self.base.schema(), &self.names)? {
            let mut conditions = direct.conditions;
            conditions.extend(direct.member.map(|member| value.clone().eq(member)));
            return self.marked(direct.rows, conditions);
        }
        let domain = self.domain(subquery)?;
        let member = Expr::Column(Column::from(subquery.schema().qualified_field(0)));
        let (plan, is_match) = self.found(&domain, domain.push(subquery)?, &member, value)?;
        self.plan = plan;
        Ok(is_match)
    }

    /// Whether one of the rows for a domain has a member that equals a value, and the input with
    /// that.
    fn found(
        &self,
        domain: &Domain<'_>,
        rows: LogicalPlan,
        first: &Expr,
        value: &Expr,
    ) -> Result<(LogicalPlan, Expr)> {
        let (member, mark) = (self.names.fresh(), self.names.fresh());
        let mut exprs = domain.keys();
        exprs.push(first.clone().alias(&member));
        let members = projected(rows, exprs)?;
        let members = LogicalPlan::Distinct(Distinct::All(Arc::new(members)));
        let mut exprs: Vec<Expr> = columns(members.schema()).collect();
        exprs.push(lit(true).alias(&mark));
        let members = projected(members, exprs)?;
        let condition = Condition {
            equal: vec![(value.clone(), named(&member))],
            ..Condition::same(domain.pairs_with_outer())
        };
        let joined = condition.join(self.plan.clone(), members, JoinType::Left)?;
        let mut exprs: Vec<Expr> = columns(self.plan.schema()).collect();
        exprs.push(named(&mark));
        Ok((projected(LogicalPlan::Join(joined), exprs)?, named(&mark).is_not_null()))
    }

    /// `x < ANY (subquery)`: TRUE if that is so for one row, else NULL if it is unknown for one.
    /// `ALL` is the same for FALSE.
    fn compared(&mut self, comparison: &SetComparison) -> Result<Expr> {
        let subquery = comparison.subquery.subquery.as_ref();
        let member = Expr::Column(Column::from(subquery.schema().qualified_field(0)));
        let value = self.as_outer(comparison.expr.as_ref().clone())?;
        let holds = binary_expr(value, comparison.op, member);
        let decides = match comparison.quantifier {
            SetQuantifier::Any => holds.clone().is_true(),
            SetQuantifier::All => holds.clone().is_false(),
        };
        let is_open = holds.is_null();
        let [is_decided, is_open] = match gives_same_rows(subquery)? {
            true => [self.holds(subquery, decides)?, self.holds(subquery, is_open)?],
            false => self.hold(subquery, [decides, is_open])?,
        };
        let result = comparison.quantifier == SetQuantifier::Any;
        when(is_decided, lit(result))
            .when(is_open, lit(ScalarValue::Boolean(None)))
            .otherwise(lit(!result))
    }

    /// Whether a condition holds for a row of a subquery.
    fn holds(&mut self, subquery: &LogicalPlan, condition: Expr) -> Result<Expr> {
        let rows = Filter::try_new(condition, Arc::new(subquery.clone()))?;
        self.exists(&LogicalPlan::Filter(rows))
    }

    /// The same for two conditions, which see the same rows.
    fn hold(&mut self, subquery: &LogicalPlan, conditions: [Expr; 2]) -> Result<[Expr; 2]> {
        let any = conditions.map(|condition| (condition, self.names.fresh()));
        let ones = any
            .iter()
            .map(|(condition, name)| Ok(when(condition.clone(), lit(1_i64)).end()?.alias(name)));
        let subquery = projected(subquery.clone(), ones.collect::<Result<_>>()?)?;
        let any = any.map(|(_, name)| (count(named(&name)), self.names.fresh()));
        let domain = self.domain(&subquery)?;
        let rows = Arc::new(domain.push(&subquery)?);
        let counts = any.iter().map(|(count, name)| count.clone().alias(name));
        let found = Aggregate::try_new(rows, domain.keys(), counts.collect())?;
        self.plan = joined(&self.plan, &domain, LogicalPlan::Aggregate(found))?;
        Ok(any.map(|(_, name)| named(&name).gt(lit(0_i64)).is_true()))
    }

    /// The expression as it is written within a subquery. What stands for subqueries in it becomes
    /// a value of the input.
    fn as_outer(&mut self, expr: Expr) -> Result<Expr> {
        if !expr.column_refs().into_iter().all(|column| has(self.base.schema(), column)) {
            self.plan = same_each_time(self.plan.clone())?;
            self.base = self.plan.clone();
        }
        let schema = self.base.schema();
        let outer = expr.transform(|expr| match expr {
            Expr::Column(column) => {
                let (_, field) = schema.qualified_field_from_column(&column)?;
                Ok(Transformed::yes(Expr::OuterReferenceColumn(Arc::clone(field), column)))
            }
            expr => Ok(Transformed::no(expr)),
        });
        outer.data()
    }
}

/// The input with what a subquery gives for each of the values.
fn joined(input: &LogicalPlan, domain: &Domain<'_>, rows: LogicalPlan) -> Result<LogicalPlan> {
    let condition = Condition::same(domain.pairs_with_outer());
    Ok(LogicalPlan::Join(condition.join(input.clone(), rows, JoinType::Left)?))
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
