//! Aggregates that would keep every value of a group in memory, as plans of operators that spill.
//!
//! - this module: [`BoundedAggregates`], the rule, which divides the aggregates of a node among
//!   branches and puts the branches together
//! - `functions`: what is known of DataFusion's aggregate functions
//! - `branch`: the input of a branch, and the aggregates that ride on a pass made for others
//! - `distinct`: aggregates of distinct values
//! - `deviation`: medians of distances from the median
//! - `quantile`: medians and percentiles
//! - `repeatable`: whether a plan gives the same rows each time
//!
//! docs/spilling.md draws the plans.

mod branch;
mod deviation;
mod distinct;
mod functions;
mod quantile;
mod repeatable;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::datatypes::DataType;
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

use crate::attempt::{InMemoryFirst, WithinBudget};
use branch::{Branch, Input};
use functions::{Kind, Quantile, Wanted, pick};
pub(crate) use repeatable::{gives_same_rows, is_volatile, reads_work_table};

/// What the names of all columns begin with that exist only inside a rewritten plan. The names of
/// aggregates say that they have been rewritten.
const OURS: &str = "__bounded";
const KEY: &str = "__bounded_key";
const RESULT: &str = "__bounded_result";
const COLUMN: &str = "__bounded_column";

/// Rewrites aggregates of distinct values, medians and percentiles.
///
/// Each set of distinct values and each quantile's argument gets a *branch*: a plan from the input
/// to one row for each group. A single branch takes the other aggregates along. Several branches
/// read the input once each and meet in an aggregate over their union.
///
/// Left alone: GROUPING SETS, volatile expressions, several branches over an input that may give
/// other rows the next time, and what is inside of a recursion.
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
            Some(shares) => Rewrite::new(aggregate, config.alias_generator()).plan(&shares)?,
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
    deviations: Vec<DeviationShare>,
    plain: Vec<Wanted>,
}

/// Aggregates of the same distinct values.
struct DistinctShare {
    values: Vec<Expr>,
    wanted: Vec<Wanted>,
    /// Those that need to know how often the values are there, too.
    counted: Vec<Wanted>,
}

/// Quantiles of the same values.
struct QuantileShare {
    value: Expr,
    distinct: bool,
    wanted: Vec<(Wanted, Quantile)>,
}

/// The same aggregate of the distances from the median, as often as it is wanted.
struct DeviationShare {
    value: Expr,
    distinct: bool,
    wanted: Vec<Wanted>,
}

/// The share that is the same as an empty one, which is put there if there is none.
fn share_like<T>(shares: &mut Vec<T>, empty: T, is_same: impl Fn(&T, &T) -> bool) -> &mut T {
    let place = shares.iter().position(|share| is_same(share, &empty));
    let place = place.unwrap_or_else(|| {
        shares.push(empty);
        shares.len() - 1
    });
    &mut shares[place]
}

impl QuantileShare {
    /// Whether accumulators keep the values as they are, and nothing besides.
    fn is_compact(&self) -> bool {
        self.wanted.iter().all(|(wanted, quantile)| match quantile {
            Quantile::Median | Quantile::Fraction(_) => true,
            Quantile::Discrete(_) => !self.distinct && wanted.data_type.is_primitive(),
        })
    }
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
            if matches!(expr, Expr::Alias(alias) if alias.name.starts_with(OURS)) {
                return Ok(None);
            }
            let Expr::AggregateFunction(function) = expr.clone().unalias() else {
                return Ok(None);
            };
            let data_type = aggregate.schema.field(groups.len() + index).data_type().clone();
            shares.add(Wanted { index, function, data_type }, aggregate)?;
        }
        let several = shares.passes() > 1;
        if shares.is_plain() || several && !repeatable::is_repeatable(aggregate)? {
            return Ok(None);
        }
        // An attempt at quantiles has its input twice.
        let possible = shares.quantiles.is_empty() || !reads_work_table(&aggregate.input)?;
        Ok(possible.then_some(shares))
    }

    fn add(&mut self, mut wanted: Wanted, aggregate: &Aggregate) -> Result<()> {
        match wanted.kind(aggregate.input.schema())? {
            Kind::Distinct(values) => self.distinct_share(values).wanted.push(wanted),
            Kind::Counted(value) => self.distinct_share(vec![value]).counted.push(wanted),
            Kind::Quantile(value, quantile) => {
                let distinct = wanted.function.params.distinct;
                let empty = QuantileShare { value, distinct, wanted: Vec::new() };
                let share = share_like(&mut self.quantiles, empty, |one, other| {
                    one.value == other.value && one.distinct == other.distinct
                });
                share.wanted.push((wanted, quantile));
            }
            Kind::Deviation(value) => {
                let distinct = wanted.function.params.distinct;
                let empty = DeviationShare { value, distinct, wanted: Vec::new() };
                let share = share_like(&mut self.deviations, empty, |one, other| {
                    one.value == other.value && one.distinct == other.distinct
                });
                share.wanted.push(wanted);
            }
            Kind::Plain => {
                wanted.forget_distinct();
                self.plain.push(wanted);
            }
        }
        Ok(())
    }

    fn distinct_share(&mut self, values: Vec<Expr>) -> &mut DistinctShare {
        let empty = DistinctShare { values, wanted: Vec::new(), counted: Vec::new() };
        share_like(&mut self.distinct, empty, |one, other| one.values == other.values)
    }

    /// What accumulators keep of a row, in bytes.
    fn collected_bytes_a_row(&self) -> usize {
        let of = |share: &QuantileShare| {
            // They grow by doubling, are copied when parts of a group meet, and sets hold more.
            let copies = if share.distinct { 8 } else { 3 };
            let bytes = |(wanted, _): &(Wanted, Quantile)| {
                copies * wanted.data_type.primitive_width().unwrap_or(size_of::<i128>())
            };
            share.wanted.iter().map(bytes).sum::<usize>()
        };
        self.quantiles.iter().map(of).sum()
    }

    /// How often the input is read.
    fn passes(&self) -> usize {
        let plain = !self.plain.is_empty() && self.host().is_none();
        let twice = 2 * self.deviations.len();
        self.distinct.len() + self.quantiles.len() + twice + usize::from(plain)
    }

    /// Whether all aggregates are plain.
    fn is_plain(&self) -> bool {
        self.distinct.is_empty() && self.quantiles.is_empty() && self.deviations.is_empty()
    }

    /// The branch whose pass the plain aggregates share; `None` if they need one of their own.
    fn host(&self) -> Option<Host> {
        let all = |test: fn(&Wanted) -> bool| self.plain.iter().all(test);
        let alone = self.distinct.is_empty() && self.quantiles.is_empty();
        if alone || !all(Wanted::is_small) {
            return None;
        }
        if !self.quantiles.is_empty() {
            let place = self.quantiles.iter().position(|share| !share.distinct);
            return place.map(Host::Quantile);
        }
        Some(if all(Wanted::is_mergeable) { Host::Distinct } else { Host::DistinctWithTotals })
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

    fn plan(&self, shares: &Shares) -> Result<LogicalPlan> {
        let host = shares.host();
        let mut branches = Vec::with_capacity(shares.distinct.len() + 1);
        for (place, share) in shares.distinct.iter().enumerate() {
            branches.push(match (place, host) {
                (0, Some(Host::Distinct)) => distinct::merged(self, share, &shares.plain)?,
                (0, Some(Host::DistinctWithTotals)) => {
                    distinct::with_totals(self, share, &shares.plain)?
                }
                _ => distinct::merged(self, share, &[])?,
            });
        }
        for share in &shares.deviations {
            branches.push(deviation::branch(self, share)?);
        }
        if !shares.quantiles.is_empty() {
            branches.push(self.quantiles(shares)?);
        } else if host.is_none() && !shares.plain.is_empty() {
            branches.push(self.plain(self.aggregate.input.as_ref().clone(), &shares.plain)?);
        }
        self.renamed(self.together(branches)?.plan)
    }

    /// The quantiles and plain aggregates, from values in memory if they fit.
    fn quantiles(&self, shares: &Shares) -> Result<Branch> {
        let bounded = self.bounded_quantiles(shares)?;
        if !shares.quantiles.iter().all(QuantileShare::is_compact) {
            return Ok(bounded);
        }
        let input = self.aggregate.input.as_ref().clone();
        let quantiles = shares.quantiles.iter().flat_map(|share| &share.wanted);
        let wanted = quantiles.map(|(wanted, _)| wanted).chain(&shares.plain);
        let budgeted = WithinBudget::plan(input, shares.collected_bytes_a_row());
        let in_memory = self.plain(budgeted, wanted)?;
        Ok(Branch {
            plan: InMemoryFirst::plan(in_memory.plan, bounded.plan),
            results: bounded.results,
        })
    }

    fn bounded_quantiles(&self, shares: &Shares) -> Result<Branch> {
        let host = shares.host();
        let mut branches = Vec::with_capacity(shares.quantiles.len() + 1);
        for (place, share) in shares.quantiles.iter().enumerate() {
            let hosts = host == Some(Host::Quantile(place));
            let riders = if hosts { shares.plain.as_slice() } else { &[] };
            branches.push(quantile::branch(self, share, riders)?);
        }
        if host.is_none() && !shares.plain.is_empty() {
            let input = self.aggregate.input.as_ref().clone();
            branches.push(self.plain(input, &shares.plain)?);
        }
        self.together(branches)
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

    /// A branch that computes aggregates of an input as they are.
    fn plain<'w>(
        &self,
        input: LogicalPlan,
        wanted: impl IntoIterator<Item = &'w Wanted>,
    ) -> Result<Branch> {
        let mut results = Vec::new();
        let mut aggregates = Vec::new();
        for wanted in wanted {
            let function = Expr::AggregateFunction(wanted.function.clone());
            aggregates.push(function.alias(self.result_name(wanted)));
            results.push(wanted.index);
        }
        let groups = self.aggregate.group_expr.clone();
        let plan = aggregated(input, groups, aggregates)?;
        let columns = plan.schema().columns();
        let keys = self.keys.iter().zip(columns).map(|(name, key)| Expr::Column(key).alias(name));
        results.sort_unstable();
        let exprs = keys.chain(self.result_columns(&results)).collect();
        Ok(Branch { plan: projected(plan, exprs)?, results })
    }

    fn result_columns(&self, results: &[usize]) -> impl Iterator<Item = Expr> {
        results.iter().map(|index| column(&self.results[*index]))
    }

    fn result_type(&self, index: usize) -> &DataType {
        self.aggregate.schema.field(self.keys.len() + index).data_type()
    }

    /// One row for each group, with the results of all branches in the order of the aggregates.
    /// Every branch has a row for every group.
    fn together(&self, branches: Vec<Branch>) -> Result<Branch> {
        let mut results: Vec<_> =
            branches.iter().flat_map(|branch| &branch.results).copied().collect();
        results.sort_unstable();
        let several = branches.len() > 1;
        let mut plans = Vec::with_capacity(branches.len());
        for branch in branches {
            let mut exprs = self.key_columns();
            for index in &results {
                exprs.push(self.result_or_null(&branch, *index)?);
            }
            plans.push(projected(branch.plan, exprs)?);
        }
        if !several {
            return Ok(Branch { plan: plans.swap_remove(0), results });
        }
        let union = Union::try_new(plans.into_iter().map(Arc::new).collect())?;
        let picked = results.iter().map(|index| {
            let name = &self.results[*index];
            pick(column(name), self.result_type(*index)).alias(name)
        });
        let picked = picked.collect();
        let plan = aggregated(LogicalPlan::Union(union), self.key_columns(), picked)?;
        Ok(Branch { plan, results })
    }

    fn result_or_null(&self, branch: &Branch, index: usize) -> Result<Expr> {
        let (name, data_type) = (&self.results[index], self.result_type(index));
        if !branch.results.contains(&index) {
            let null = ScalarValue::try_from(data_type)?;
            return Ok(Expr::Literal(null, None).alias(name));
        }
        let result = column(name);
        let same = result.get_type(branch.plan.schema())? == *data_type;
        Ok(if same { result } else { cast(result, data_type.clone()).alias(name) })
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
