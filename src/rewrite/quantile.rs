//! Medians and percentiles: a sort of the values, of which one or two are kept by their positions.
//!
//! One pass groups by keys and values, with how many rows have a value, and makes a row with the
//! number of all values for each whole group. In the order of the values, the row of the whole group
//! first, running windows give each value its range of positions. Then all other rows are dropped.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::functions::core::expr_fn::greatest;
use datafusion::functions::math::expr_fn::{ceil, floor};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::median::median_udaf;
use datafusion::functions_aggregate::min_max::max_udaf;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::expr::{WindowFunction, WindowFunctionParams};
use datafusion::logical_expr::{
    AggregateUDF, Expr, Filter, LogicalPlan, Window, WindowFrame, WindowFrameBound,
    WindowFrameUnits, WindowFunctionDefinition, cast, lit, when,
};

use crate::functions::aggregate::Fraction;

use super::branch::{Above, Branch, Rider, is_whole_group, values_and_whole_groups};
use super::functions::{Quantile, Wanted, called, pick};
use super::{COLUMN, QuantileShare, Rewrite, aggregated, column, projected};

/// DataFusion cuts the weight of the upper of two values to this fraction.
const WEIGHT_STEPS: f64 = 1_000_000.0;

/// Columns of the rows of a branch, by name.
struct Names {
    value: String,
    /// Whether the row stands for a whole group.
    whole: String,
    /// How many values of the group a row stands for; for the whole group, all of them.
    count: String,
    /// All values of the group.
    total: String,
    /// The positions of a value, counted from 0.
    begin: String,
    end: String,
}

impl Names {
    fn new(rewrite: &Rewrite<'_>) -> Self {
        let next = || rewrite.names.next(COLUMN);
        Names {
            value: next(),
            whole: next(),
            count: next(),
            total: next(),
            begin: next(),
            end: next(),
        }
    }
}

/// The branch of these quantiles. The riders come from the rows of whole groups.
pub(super) fn branch(
    rewrite: &Rewrite<'_>,
    share: &QuantileShare,
    riders: &[Wanted],
) -> Result<Branch> {
    let names = Names::new(rewrite);
    let mut input = rewrite.input();
    input.add(&share.value, names.value.clone());
    let riders = riders.iter().map(|wanted| Rider::picked(rewrite, wanted, &mut input));
    let riders: Vec<_> = riders.collect();
    let mut plan = input.plan()?;
    if share.distinct {
        let groups = rewrite.key_columns().into_iter().chain([column(&names.value)]).collect();
        plan = aggregated(plan, groups, Vec::new())?;
    }
    let plan = counted(rewrite, &names, &riders, plan)?;
    let plan = selected(rewrite, share, &names, &riders, plan)?;
    let quantiles = share.wanted.iter().map(|(wanted, quantile)| {
        let name = rewrite.result_name(wanted);
        match quantile {
            Quantile::Median => median(&names, name, wanted.index),
            Quantile::Fraction(fraction) => percentile(rewrite, &names, *fraction, wanted),
            Quantile::Discrete(fraction) => discrete(&names, name, *fraction, wanted),
        }
    });
    let mut above = quantiles.collect::<Result<Vec<_>>>()?;
    above.extend(riders.into_iter().map(|rider| rider.above));
    Branch::of(rewrite, plan, above)
}

/// Each value with the number of its rows, and each whole group with the number of its values.
fn counted(
    rewrite: &Rewrite<'_>,
    names: &Names,
    riders: &[Rider],
    plan: LogicalPlan,
) -> Result<LogicalPlan> {
    let value = column(&names.value);
    let groups = vec![values_and_whole_groups(rewrite, std::slice::from_ref(&value))];
    let mut aggregates = vec![called(count_udaf(), vec![value.clone()], None).alias(&names.count)];
    aggregates.extend(riders.iter().flat_map(|rider| rider.below.clone()));
    let plan = aggregated(plan, groups, aggregates)?;
    let mut exprs = rewrite.key_columns();
    exprs.extend([value, column(&names.count), is_whole_group().alias(&names.whole)]);
    for rider in riders {
        exprs.extend(rider.of_whole_groups()?);
    }
    projected(plan, exprs)
}

/// The rows of whole groups and of the values at one of the positions.
fn selected(
    rewrite: &Rewrite<'_>,
    share: &QuantileShare,
    names: &Names,
    riders: &[Rider],
    plan: LogicalPlan,
) -> Result<LogicalPlan> {
    let running = rewrite.names.next(COLUMN);
    let count = column(&names.count);
    let windows = vec![
        // The first row has the number for the whole group, the largest of all.
        running_window(rewrite, names, max_udaf(), &count).alias(&names.total),
        running_window(rewrite, names, sum_udaf(), &count).alias(&running),
    ];
    let plan = LogicalPlan::Window(Window::try_new(windows, Arc::new(plan))?);
    let total = column(&names.total);
    let end = column(running) - total.clone();
    let mut exprs = rewrite.key_columns();
    exprs.extend([column(&names.value), column(&names.whole), total]);
    exprs.push((end.clone() - count).alias(&names.begin));
    exprs.push(end.alias(&names.end));
    let below = riders.iter().flat_map(|rider| &rider.below);
    exprs.extend(below.map(|expr| column(expr.schema_name().to_string())));
    let plan = projected(plan, exprs)?;
    let wanted = share.wanted.iter().map(|(_, quantile)| at(names, *quantile));
    let predicate = wanted.fold(column(&names.whole), Expr::or);
    Ok(LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(plan))?))
}

/// An aggregate of all rows of the group so far.
fn running_window(
    rewrite: &Rewrite<'_>,
    names: &Names,
    function: Arc<AggregateUDF>,
    value: &Expr,
) -> Expr {
    Expr::from(WindowFunction {
        fun: WindowFunctionDefinition::AggregateUDF(function),
        params: WindowFunctionParams {
            args: vec![value.clone()],
            partition_by: rewrite.key_columns(),
            order_by: vec![
                column(&names.whole).sort(false, false),
                column(&names.value).sort(true, false),
            ],
            window_frame: WindowFrame::new_bounds(
                WindowFrameUnits::Rows,
                WindowFrameBound::Preceding(ScalarValue::UInt64(None)),
                WindowFrameBound::CurrentRow,
            ),
            filter: None,
            null_treatment: None,
            distinct: false,
        },
    })
}

/// Whether a value is at one of the positions of a quantile.
fn at(names: &Names, quantile: Quantile) -> Expr {
    let [lower, upper] = match quantile {
        Quantile::Median => {
            let total = column(&names.total);
            [(total.clone() - lit(1_i64)) / lit(2_i64), total / lit(2_i64)]
        }
        Quantile::Fraction(fraction) => {
            let position = position(column(&names.total), fraction);
            [floor(position.clone()), ceil(position)].map(|end| cast(end, DataType::Int64))
        }
        Quantile::Discrete(fraction) => {
            let place = discrete_place(column(&names.total), fraction);
            [place.clone(), place]
        }
    };
    let begin = column(&names.begin).lt_eq(upper);
    begin.and(column(&names.end).gt(lower))
}

/// Where a percentile is among the values of a group, counted from 0, with a fraction if it is
/// between two.
fn position(total: Expr, fraction: f64) -> Expr {
    lit(fraction) * cast(total - lit(1_i64), DataType::Float64)
}

/// Where the first value is that has a part of all at or before it, counted from 0.
fn discrete_place(total: Expr, Fraction { part, descending }: Fraction) -> Expr {
    let all = cast(total.clone(), DataType::Float64);
    let after = cast(floor(all.clone() - lit(part) * all), DataType::Int64);
    // The part may be 0, but not the number of values.
    let before = greatest(vec![total.clone() - after - lit(1_i64), lit(0_i64)]);
    if descending { total - lit(1_i64) - before } else { before }
}

/// The value at a place.
fn discrete(names: &Names, name: String, fraction: Fraction, wanted: &Wanted) -> Result<Above> {
    let here = at(names, Quantile::Discrete(fraction));
    let value = when(here, column(&names.value)).end()?;
    let aggregates = vec![pick(value, &wanted.data_type).alias(&name)];
    Ok(Above { aggregates, result: column(name), index: wanted.index })
}

/// DataFusion's median, which knows the rounding of each type, of the one or two values.
fn median(names: &Names, name: String, index: usize) -> Result<Above> {
    let in_the_middle = at(names, Quantile::Median);
    let median = called(median_udaf(), vec![column(&names.value)], Some(in_the_middle));
    Ok(Above { aggregates: vec![median.alias(&name)], result: column(name), index })
}

/// The value at a position, or the interpolation of its neighbours as DataFusion does it.
fn percentile(
    rewrite: &Rewrite<'_>,
    names: &Names,
    fraction: f64,
    wanted: &Wanted,
) -> Result<Above> {
    let float = |expr| cast(expr, DataType::Float64);
    let next = || rewrite.names.next(COLUMN);
    let (lower, upper, total) = (next(), next(), next());
    let place = position(column(&names.total), fraction);
    let value_at = |place: Expr, name: &str| {
        let place = cast(place, DataType::Int64);
        let here = column(&names.begin).lt_eq(place.clone()).and(column(&names.end).gt(place));
        let value = when(here, column(&names.value)).end()?;
        Ok::<_, datafusion::error::DataFusionError>(pick(value, &wanted.data_type).alias(name))
    };
    let aggregates = vec![
        value_at(floor(place.clone()), &lower)?,
        value_at(ceil(place), &upper)?,
        called(max_udaf(), vec![column(&names.total)], None).alias(&total),
    ];
    let (lower, upper) = (column(lower), column(upper));
    let place = position(column(total), fraction);
    let weight = floor((place.clone() - floor(place.clone())) * lit(WEIGHT_STEPS));
    let weight = weight / lit(WEIGHT_STEPS);
    let between = float(lower.clone()) + (float(upper) - float(lower.clone())) * weight;
    let between = cast(between, wanted.data_type.clone());
    let result = when(floor(place.clone()).eq(ceil(place)), lower).otherwise(between)?;
    Ok(Above { aggregates, result, index: wanted.index })
}
