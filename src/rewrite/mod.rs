//! Aggregates that would keep every value of a group in memory, as plans of operators that spill.
//!
//! - this module: [`BoundedAggregates`], the rule, which divides the aggregates of a node among
//!   branches and puts the branches together
//! - `functions`: what is known of DataFusion's aggregate functions
//! - `branch`: the input of a branch, and the aggregates that ride on a pass made for others
//! - `distinct`: aggregates of distinct values
//! - `quantile`: medians and percentiles
//! - `repeatable`: whether a plan gives the same rows each time
//!
//! docs/spilling.md draws the plans.

mod branch;
mod distinct;
mod functions;
mod quantile;
mod repeatable;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::common::alias::AliasGenerator;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, ScalarValue};
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, LogicalPlan, Projection, Union, cast,
};
use datafusion::optimizer::optimizer::ApplyOrder;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use branch::{Branch, Input};
use functions::{Kind, Quantile, Wanted, pick};

/// What the names of all columns begin with that exist only inside a rewritten plan. No name of a
/// user reaches these places, so they need not differ from one.
const RESULT: &str = "__bounded_result";
const KEY: &str = "__bounded_key";
const COLUMN: &str = "__bounded_column";
/// The values among which a median was found. An aggregate of them is finished already.
const SELECTED: &str = "__bounded_selected";

/// Rewrites aggregates of distinct values, medians and percentiles.
///
/// Each set of distinct values and each quantile's argument gets a *branch*: a plan from the input
/// to one row for each group. A single branch takes the other aggregates along. Several branches
/// read the input once each and meet in an aggregate over their union.
///
/// Left alone: GROUPING SETS, volatile expressions, and several branches over an input that may
/// give other rows the next time.
#[derive(Debug)]
pub(crate) struct BoundedAggregates;

impl OptimizerRule for BoundedAggregates {
    fn name(&self) -> &'static str {
        "bounded_aggregates"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        let rewritten = match Shares::of(aggregate)? {
            Some(shares) => Rewrite::new(aggregate, config.alias_generator()).plan(shares)?,
            None => return Ok(Transformed::no(plan)),
        };
        Ok(Transformed::yes(rewritten))
    }
}

/// Which branch computes which aggregates.
#[derive(Default)]
struct Shares {
    distinct: Vec<DistinctShare>,
    quantiles: Vec<QuantileShare>,
    plain: Vec<Wanted>,
}

/// Aggregates of the same distinct values.
struct DistinctShare {
    values: Vec<Expr>,
    wanted: Vec<Wanted>,
}

/// Quantiles of the same values.
struct QuantileShare {
    value: Expr,
    distinct: bool,
    wanted: Vec<(Wanted, Quantile)>,
}

impl Shares {
    /// How to divide the aggregates of a node; `None` if it should stay as it is.
    fn of(aggregate: &Aggregate) -> Result<Option<Self>> {
        let groups = &aggregate.group_expr;
        let exprs = || groups.iter().chain(&aggregate.aggr_expr);
        if groups.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)))
            || exprs().any(Expr::is_volatile)
        {
            return Ok(None);
        }
        let mut shares = Shares::default();
        for (index, expr) in aggregate.aggr_expr.iter().enumerate() {
            let Expr::AggregateFunction(function) = expr.clone().unalias() else {
                return Ok(None);
            };
            let data_type = aggregate.schema.field(groups.len() + index).data_type().clone();
            shares.add(Wanted { index, function, data_type }, aggregate)?;
        }
        let several = shares.branches() > 1;
        let wanted = !shares.distinct.is_empty() || !shares.quantiles.is_empty();
        let possible = !several || repeatable::is_repeatable(aggregate)?;
        Ok((wanted && possible).then_some(shares))
    }

    fn add(&mut self, mut wanted: Wanted, aggregate: &Aggregate) -> Result<()> {
        match wanted.kind(aggregate.input.schema())? {
            Kind::Distinct(values) => {
                match self.distinct.iter_mut().find(|share| share.values == values) {
                    Some(share) => share.wanted.push(wanted),
                    None => self.distinct.push(DistinctShare { values, wanted: vec![wanted] }),
                }
            }
            Kind::Quantile(value, quantile) if has_few_groups(aggregate) => {
                let distinct = wanted.function.params.distinct;
                let same =
                    |share: &&mut QuantileShare| share.value == value && share.distinct == distinct;
                let wanted = (wanted, quantile);
                match self.quantiles.iter_mut().find(same) {
                    Some(share) => share.wanted.push(wanted),
                    None => {
                        let wanted = vec![wanted];
                        self.quantiles.push(QuantileShare { value, distinct, wanted });
                    }
                }
            }
            Kind::Quantile(..) | Kind::Plain => {
                wanted.forget_distinct();
                self.plain.push(wanted);
            }
        }
        Ok(())
    }

    fn branches(&self) -> usize {
        let plain = !self.plain.is_empty() && self.host().is_none();
        self.distinct.len() + self.quantiles.len() + usize::from(plain)
    }

    /// The branch whose pass the plain aggregates share; `None` if they need one of their own.
    fn host(&self) -> Option<Host> {
        let all = |test: fn(&Wanted) -> bool| self.plain.iter().all(test);
        if !all(Wanted::is_small) {
            return None;
        }
        if !self.distinct.is_empty() && all(Wanted::is_mergeable) {
            return Some(Host::Distinct);
        }
        match self.quantiles.iter().position(|share| !share.distinct) {
            Some(place) => Some(Host::Quantile(place)),
            None if !self.distinct.is_empty() => Some(Host::DistinctWithTotals),
            None => None,
        }
    }
}

/// Where the plain aggregates are computed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Host {
    /// With the first set of distinct values: in parts for each value, merged for each group.
    Distinct,
    /// With the first set of distinct values, whose pass also makes a row for each whole group.
    DistinctWithTotals,
    /// With these quantiles, whose pass makes a row for each whole group anyway.
    Quantile(usize),
}

/// Whether finding quantiles by a sort of all values is likely the better way. With several keys
/// there are likely many groups, and the values of each fit in memory.
fn has_few_groups(aggregate: &Aggregate) -> bool {
    aggregate.group_expr.len() <= 1
}

/// What the branches of a rewritten aggregate share.
struct Rewrite<'a> {
    aggregate: &'a Aggregate,
    names: &'a AliasGenerator,
    /// Names of the group keys in all branches.
    keys: Vec<String>,
    /// Names of the results, in the order of the aggregates, in all branches.
    results: Vec<String>,
}

impl<'a> Rewrite<'a> {
    fn new(aggregate: &'a Aggregate, names: &'a Arc<AliasGenerator>) -> Self {
        Rewrite {
            aggregate,
            names,
            keys: aggregate.group_expr.iter().map(|_| names.next(KEY)).collect(),
            results: aggregate.aggr_expr.iter().map(|_| names.next(RESULT)).collect(),
        }
    }

    fn plan(&self, shares: Shares) -> Result<LogicalPlan> {
        let host = shares.host();
        let riders = |of: Host| if host == Some(of) { shares.plain.as_slice() } else { &[] };
        let mut branches = Vec::with_capacity(shares.branches());
        for (place, share) in shares.distinct.iter().enumerate() {
            branches.push(match place {
                0 if host == Some(Host::DistinctWithTotals) => {
                    distinct::with_totals(self, share, &shares.plain)?
                }
                0 => distinct::merged(self, share, riders(Host::Distinct))?,
                _ => distinct::merged(self, share, &[])?,
            });
        }
        for (place, share) in shares.quantiles.iter().enumerate() {
            branches.push(quantile::branch(self, share, riders(Host::Quantile(place)))?);
        }
        if host.is_none() && !shares.plain.is_empty() {
            branches.push(self.plain(&shares.plain)?);
        }
        let together = self.together(branches)?;
        self.renamed(together)
    }

    /// The input of a branch, with the group keys.
    fn input(&self) -> Input<'a> {
        let mut input = Input::new(&self.aggregate.input, self.names);
        for (expr, name) in self.aggregate.group_expr.iter().zip(&self.keys) {
            input.add(expr, name.clone());
        }
        input
    }

    /// The columns of the group keys.
    fn key_columns(&self) -> Vec<Expr> {
        self.keys.iter().map(column).collect()
    }

    fn result_name(&self, wanted: &Wanted) -> String {
        self.results[wanted.index].clone()
    }

    /// A branch that computes aggregates as they are.
    fn plain(&self, wanted: &[Wanted]) -> Result<Branch> {
        let functions =
            wanted.iter().map(|wanted| Expr::AggregateFunction(wanted.function.clone()));
        let plan = aggregated(
            self.aggregate.input.as_ref().clone(),
            self.aggregate.group_expr.clone(),
            functions.collect(),
        )?;
        let mut columns = plan.schema().columns().into_iter().map(Expr::Column);
        let mut exprs = Vec::with_capacity(columns.len());
        for (name, expr) in self.keys.iter().zip(columns.by_ref()) {
            exprs.push(expr.alias(name));
        }
        for (wanted, expr) in wanted.iter().zip(columns) {
            exprs.push(expr.alias(&self.results[wanted.index]));
        }
        let results = wanted.iter().map(|wanted| wanted.index).collect();
        Ok(Branch { plan: projected(plan, exprs)?, results })
    }

    /// One row for each group, with the results of all branches. Every branch has a row for every
    /// group.
    fn together(&self, mut branches: Vec<Branch>) -> Result<LogicalPlan> {
        if branches.len() == 1 {
            return Ok(branches.swap_remove(0).plan);
        }
        let first = self.keys.len();
        let types: Vec<_> = (0..self.results.len())
            .map(|index| self.aggregate.schema.field(first + index).data_type().clone())
            .collect();
        let mut inputs = Vec::with_capacity(branches.len());
        for branch in branches {
            let mut exprs = self.key_columns();
            for (index, name) in self.results.iter().enumerate() {
                exprs.push(if branch.results.contains(&index) {
                    let result = column(name);
                    let same = result.get_type(branch.plan.schema())? == types[index];
                    if same { result } else { cast(result, types[index].clone()).alias(name) }
                } else {
                    Expr::Literal(ScalarValue::try_from(&types[index])?, None).alias(name)
                });
            }
            inputs.push(Arc::new(projected(branch.plan, exprs)?));
        }
        let union = LogicalPlan::Union(Union::try_new(inputs)?);
        let picked = self.results.iter().zip(&types);
        let picked = picked.map(|(name, data_type)| pick(column(name), data_type).alias(name));
        aggregated(union, self.key_columns(), picked.collect())
    }

    /// The columns of the aggregate that was rewritten: the same names, types and nullability.
    fn renamed(&self, plan: LogicalPlan) -> Result<LogicalPlan> {
        let names = self.keys.iter().chain(&self.results);
        let exprs = names.zip(self.aggregate.schema.iter()).map(|(name, (qualifier, field))| {
            let mut expr = column(name);
            if expr.get_type(plan.schema())? != *field.data_type() {
                expr = cast(expr, field.data_type().clone());
            }
            if !field.is_nullable() && expr.nullable(plan.schema())? {
                let never_used = ScalarValue::new_default(field.data_type())?;
                expr = coalesce(vec![expr, Expr::Literal(never_used, None)]);
            }
            Ok(expr.alias_qualified(qualifier.cloned(), field.name()))
        });
        let exprs = exprs.collect::<Result<_>>()?;
        projected(plan, exprs)
    }
}

/// A column of a plan of ours.
fn column(name: impl Into<String>) -> Expr {
    Expr::Column(Column::from_name(name))
}

fn projected(plan: LogicalPlan, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}

fn aggregated(plan: LogicalPlan, groups: Vec<Expr>, aggregates: Vec<Expr>) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(plan), groups, aggregates)?))
}
