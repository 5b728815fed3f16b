//! What branches are made of: the columns they read, and aggregates that ride on their passes.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::alias::AliasGenerator;
use datafusion::error::Result;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan, cast, when};

use super::functions::{Wanted, called, pick};
use super::{COLUMN, Rewrite, aggregated, column, projected};

/// A plan that gives one row for each group: the keys and some results, under the names that all
/// branches share.
pub(super) struct Branch {
    pub(super) plan: LogicalPlan,
    /// The places of its results among the aggregates of the node, in their order in the plan.
    pub(super) results: Vec<usize>,
}

impl Branch {
    /// The branch that aggregates the rows of a plan, which has the group keys.
    pub(super) fn of(rewrite: &Rewrite<'_>, plan: LogicalPlan, above: Vec<Above>) -> Result<Self> {
        let mut aggregates = Vec::with_capacity(above.len());
        let mut exprs = rewrite.key_columns();
        let mut results = Vec::with_capacity(above.len());
        for one in above {
            aggregates.extend(one.aggregates);
            exprs.push(one.result.alias(&rewrite.results[one.index]));
            results.push(one.index);
        }
        let plan = aggregated(plan, rewrite.key_columns(), aggregates)?;
        Ok(Branch { plan: projected(plan, exprs)?, results })
    }
}

/// What a branch reads of the input: each expression once, under a name of its own.
pub(super) struct Input<'a> {
    plan: &'a Arc<LogicalPlan>,
    names: &'a AliasGenerator,
    exprs: Vec<(Expr, String)>,
}

impl<'a> Input<'a> {
    pub(super) fn new(plan: &'a Arc<LogicalPlan>, names: &'a AliasGenerator) -> Self {
        Input { plan, names, exprs: Vec::new() }
    }

    /// Reads an expression under this name.
    pub(super) fn add(&mut self, expr: &Expr, name: String) {
        self.exprs.push((expr.clone().unalias(), name));
    }

    /// A column of its own for an expression.
    pub(super) fn own_column(&mut self, expr: &Expr) -> Expr {
        let name = self.names.next(COLUMN);
        self.add(expr, name.clone());
        column(name)
    }

    /// What stands for an expression above the input: a column, or the literal that it is.
    pub(super) fn column(&mut self, expr: &Expr) -> Expr {
        if matches!(expr, Expr::Literal(..)) {
            return expr.clone();
        }
        match self.exprs.iter().find(|(known, _)| known == expr) {
            Some((_, name)) => column(name),
            None => self.own_column(expr),
        }
    }

    pub(super) fn plan(self) -> Result<LogicalPlan> {
        let exprs = self.exprs.into_iter().map(|(expr, name)| expr.alias(name)).collect();
        projected(self.plan.as_ref().clone(), exprs)
    }

    /// The same aggregate over the columns of the input.
    fn over_columns(&mut self, function: &AggregateFunction) -> AggregateFunction {
        let AggregateFunctionParams { args, filter, .. } = &function.params;
        let args = args.iter().map(|arg| self.column(arg)).collect();
        let filter = filter.as_ref().map(|filter| Box::new(self.column(filter)));
        AggregateFunction::new_udf(
            Arc::clone(&function.func),
            args,
            false,
            filter,
            Vec::new(),
            None,
        )
    }
}

/// The last step of a branch for one result.
pub(super) struct Above {
    /// Aggregates for whole groups, named.
    pub(super) aggregates: Vec<Expr>,
    /// The result, from those.
    pub(super) result: Expr,
    /// The place of the result among the aggregates of the node.
    pub(super) index: usize,
}

/// An aggregate that rides on a pass made for others: computed below for smaller parts than groups,
/// and brought together above.
pub(super) struct Rider {
    /// Aggregates of the parts, named.
    pub(super) below: Vec<Expr>,
    /// Aggregates of those.
    pub(super) above: Above,
}

impl Rider {
    /// An aggregate that is computed for each part and merged.
    pub(super) fn merged(rewrite: &Rewrite<'_>, wanted: &Wanted, input: &mut Input<'_>) -> Self {
        let function = input.over_columns(&wanted.function);
        if wanted.is_self_merging() {
            let merge = Arc::clone(&function.func);
            return Rider::of_one(rewrite, wanted, function, |part| {
                called(merge, vec![part], None)
            });
        }
        if wanted.is_count() {
            let sum = |part| called(sum_udaf(), vec![part], None);
            return Rider::of_one(rewrite, wanted, function, sum);
        }
        // An average of floats.
        let names = || (rewrite.names.next(COLUMN), rewrite.names.next(COLUMN));
        let ((sum, sums), (count, counts)) = (names(), names());
        let part = |of, name: &str| {
            let part = AggregateFunction { func: of, params: function.params.clone() };
            Expr::AggregateFunction(part).alias(name)
        };
        let total =
            |part: &str, name: &str| called(sum_udaf(), vec![column(part)], None).alias(name);
        let below = vec![part(sum_udaf(), &sum), part(count_udaf(), &count)];
        let above = vec![total(&sum, &sums), total(&count, &counts)];
        let result = column(sums) / cast(column(counts), DataType::Float64);
        Rider { below, above: Above { aggregates: above, result, index: wanted.index } }
    }

    /// An aggregate of which only the values for whole groups are used. The parts are NULL; see
    /// [`Rider::of_whole_groups`].
    pub(super) fn picked(rewrite: &Rewrite<'_>, wanted: &Wanted, input: &mut Input<'_>) -> Self {
        let function = input.over_columns(&wanted.function);
        Rider::of_one(rewrite, wanted, function, |part| pick(part, &wanted.data_type))
    }

    fn of_one(
        rewrite: &Rewrite<'_>,
        wanted: &Wanted,
        below: AggregateFunction,
        above: impl FnOnce(Expr) -> Expr,
    ) -> Self {
        let (part, name) = (rewrite.names.next(COLUMN), rewrite.names.next(COLUMN));
        let below = vec![Expr::AggregateFunction(below).alias(&part)];
        let aggregates = vec![above(column(part)).alias(&name)];
        Rider { below, above: Above { aggregates, result: column(name), index: wanted.index } }
    }

    /// The columns of the aggregates below, NULL in all rows but those of whole groups.
    pub(super) fn of_whole_groups(&self) -> Result<Vec<Expr>> {
        let names = self.below.iter().map(|expr| expr.schema_name().to_string());
        names
            .map(|name| {
                let whole = when(is_whole_group(), column(&name)).end()?;
                Ok(whole.alias(name))
            })
            .collect()
    }
}

/// The groups of a pass that makes rows for each value in a group and one for the whole group.
pub(super) fn values_and_whole_groups(rewrite: &Rewrite<'_>, values: &[Expr]) -> Expr {
    let keys = rewrite.key_columns();
    let each = keys.iter().chain(values).cloned().collect();
    Expr::GroupingSet(datafusion::logical_expr::GroupingSet::GroupingSets(vec![each, keys]))
}

/// Whether a row of such a pass stands for a whole group.
pub(super) fn is_whole_group() -> Expr {
    // The bits of the values, which come last, are set where the values are left out.
    let grouping = Expr::Column(Aggregate::INTERNAL_GROUPING_ID.into());
    cast(grouping, DataType::UInt64).gt(datafusion::logical_expr::lit(0_u64))
}
