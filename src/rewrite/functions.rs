//! What is known of the aggregate functions of DataFusion, and of ours.

use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::error::Result;
use datafusion::functions_aggregate::any_value::any_value_udaf;
use datafusion::functions_aggregate::average::avg_udaf;
use datafusion::functions_aggregate::bit_and_or_xor::{bit_and_udaf, bit_or_udaf, bit_xor_udaf};
use datafusion::functions_aggregate::bool_and_or::{bool_and_udaf, bool_or_udaf};
use datafusion::functions_aggregate::correlation::corr_udaf;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::covariance::{covar_pop_udaf, covar_samp_udaf};
use datafusion::functions_aggregate::median::median_udaf;
use datafusion::functions_aggregate::min_max::{max_udaf, min_udaf};
use datafusion::functions_aggregate::percentile_cont::percentile_cont_udaf;
use datafusion::functions_aggregate::stddev::{stddev_pop_udaf, stddev_udaf};
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::functions_aggregate::variance::{var_pop_udaf, var_samp_udaf};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::{AggregateUDF, Expr, ExprSchemable, cast, when};

use crate::functions::aggregate::{self as ours, Fraction};

type Function = fn() -> Arc<AggregateUDF>;

/// A value counts once for these, however often it comes.
const IDEMPOTENT: [Function; 6] =
    [min_udaf, max_udaf, bool_and_udaf, bool_or_udaf, bit_and_udaf, bit_or_udaf];

/// These can be computed from distinct values, in any order, without the NULLs among them.
const OF_DISTINCT: [Function; 4] = [count_udaf, sum_udaf, avg_udaf, bit_xor_udaf];

/// Applied to what they made of parts, these make the same of the whole.
const SELF_MERGING: [Function; 8] = [
    sum_udaf,
    min_udaf,
    max_udaf,
    bool_and_udaf,
    bool_or_udaf,
    bit_and_udaf,
    bit_or_udaf,
    bit_xor_udaf,
];

/// These keep a few bytes for a group, and give NULL for an empty one, but for `count`, which is
/// never NULL.
const SMALL: [Function; 17] = [
    count_udaf,
    avg_udaf,
    sum_udaf,
    min_udaf,
    max_udaf,
    bool_and_udaf,
    bool_or_udaf,
    bit_and_udaf,
    bit_or_udaf,
    bit_xor_udaf,
    var_samp_udaf,
    var_pop_udaf,
    stddev_udaf,
    stddev_pop_udaf,
    covar_samp_udaf,
    covar_pop_udaf,
    corr_udaf,
];

/// Whether a function is one of DataFusion's own, and not another of the same name.
fn is_one_of(function: &AggregateUDF, known: &[Function]) -> bool {
    known.iter().any(|known| *function == *known())
}

/// Whether an aggregate gives the same for the same rows in another order, but for the rounding of
/// floats.
pub(super) fn is_repeatable(function: &AggregateFunction) -> bool {
    let quantiles: [Function; 2] = [median_udaf, percentile_cont_udaf];
    let function = &function.func;
    is_one_of(function, &SMALL)
        || is_one_of(function, &quantiles)
        || ours::is_small(function)
        || ours::is_of_counts(function)
        || ours::is_deviation(function)
}

/// Whether the result of a repeatable aggregate may be rounded in another way the next time.
pub(super) fn may_round(function: &AggregateFunction) -> bool {
    let exact: [Function; 2] = [count_udaf, bit_xor_udaf];
    !is_one_of(&function.func, &IDEMPOTENT) && !is_one_of(&function.func, &exact)
}

/// An aggregate of the query.
pub(super) struct Wanted {
    /// Its place among the aggregates of its node.
    pub(super) index: usize,
    pub(super) function: AggregateFunction,
    /// The type of its result.
    pub(super) data_type: DataType,
}

/// How an aggregate can be computed.
pub(super) enum Kind {
    /// Row by row.
    Plain,
    /// From the distinct values of these expressions.
    Distinct(Vec<Expr>),
    /// From the distinct values of this expression, and how often each is there.
    Counted(Expr),
    /// From the distances of the values of this expression from their median.
    Deviation(Expr),
    /// From one or two of the values of this expression, by their positions.
    Quantile(Expr, Quantile),
}

/// A position among sorted values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Quantile {
    Median,
    /// A percentile of this fraction, between 0 and 1.
    Fraction(f64),
    /// The first value that has so many at or before it.
    Discrete(Fraction),
}

impl Wanted {
    fn is_one_of(&self, known: &[Function]) -> bool {
        is_one_of(&self.function.func, known)
    }

    /// How to compute the aggregate over rows of this schema.
    pub(super) fn kind(&self, schema: &DFSchema) -> Result<Kind> {
        let params = &self.function.params;
        if params.null_treatment.is_some() || params.args.is_empty() {
            return Ok(Kind::Plain);
        }
        if let Some(quantile) = self.quantile() {
            let value = &params.args[0];
            let data_type = value.get_type(schema)?;
            let possible = match quantile {
                Quantile::Discrete(_) => can_group(&data_type),
                Quantile::Median | Quantile::Fraction(_) => data_type.is_numeric(),
            };
            return Ok(if possible {
                Kind::Quantile(filtered(value, params, schema)?, quantile)
            } else {
                Kind::Plain
            });
        }
        if ours::is_deviation(&self.function.func) {
            return Ok(Kind::Deviation(filtered(&params.args[0], params, schema)?));
        }
        if ours::is_of_counts(&self.function.func) {
            let value = &params.args[0];
            return Ok(if can_group(&value.get_type(schema)?) {
                Kind::Counted(filtered(value, params, schema)?)
            } else {
                Kind::Plain
            });
        }
        let literal = params.args.iter().all(|arg| matches!(arg, Expr::Literal(..)));
        let function = &self.function.func;
        let of_distinct = self.is_one_of(&OF_DISTINCT) || ours::is_of_distinct(function);
        if !params.distinct || literal || !of_distinct {
            return Ok(Kind::Plain);
        }
        let mut values = Vec::with_capacity(params.args.len());
        for arg in &params.args {
            let data_type = arg.get_type(schema)?;
            let arg = match data_type {
                // Few keys of a narrow type may count many values.
                DataType::Dictionary(_, value) if self.is_one_of(&[count_udaf]) => {
                    cast(arg.clone(), *value)
                }
                _ => arg.clone(),
            };
            if !can_group(&arg.get_type(schema)?) {
                return Ok(Kind::Plain);
            }
            values.push(filtered(&arg, params, schema)?);
        }
        Ok(Kind::Distinct(values))
    }

    fn quantile(&self) -> Option<Quantile> {
        if self.is_one_of(&[median_udaf]) {
            return Some(Quantile::Median);
        }
        if let Some(fraction) = ours::position(&self.function) {
            return Some(Quantile::Discrete(fraction));
        }
        if !self.is_one_of(&[percentile_cont_udaf]) {
            return None;
        }
        let fraction = match self.function.params.args.get(1)? {
            Expr::Literal(ScalarValue::Float64(Some(fraction)), _) => *fraction,
            Expr::Literal(ScalarValue::Float32(Some(fraction)), _) => f64::from(*fraction),
            _ => return None,
        };
        // DataFusion has a message for others.
        if !(0.0..=1.0).contains(&fraction) {
            return None;
        }
        let descending = self.function.params.order_by.first().is_some_and(|sort| !sort.asc);
        Some(Quantile::Fraction(if descending { 1.0 - fraction } else { fraction }))
    }

    /// Drops DISTINCT and ORDER BY where they make no difference.
    pub(super) fn forget_distinct(&mut self) {
        if self.is_one_of(&IDEMPOTENT) {
            self.function.params.distinct = false;
        }
        if self.is_one_of(&SMALL) || ours::is_small(&self.function.func) {
            self.function.params.order_by.clear();
        }
    }

    /// Whether the aggregate keeps a few bytes for a group.
    pub(super) fn is_small(&self) -> bool {
        let params = &self.function.params;
        let small = self.is_one_of(&SMALL) || ours::is_small(&self.function.func);
        small && !params.distinct && params.null_treatment.is_none()
    }

    /// Whether plans can merge what the aggregate made of parts of a group; see
    /// [`Rider`](super::branch::Rider).
    pub(super) fn is_mergeable(&self) -> bool {
        // Averages of decimals and durations are rounded in ways of their own.
        let average = self.is_one_of(&[avg_udaf]) && self.data_type == DataType::Float64;
        self.is_count() || self.is_self_merging() || average
    }

    pub(super) fn is_count(&self) -> bool {
        self.is_one_of(&[count_udaf])
    }

    pub(super) fn is_self_merging(&self) -> bool {
        self.is_one_of(&SELF_MERGING)
    }
}

/// An expression that is NULL where the filter of an aggregate drops the row.
fn filtered(expr: &Expr, params: &AggregateFunctionParams, schema: &DFSchema) -> Result<Expr> {
    let Some(filter) = &params.filter else { return Ok(expr.clone()) };
    let null = ScalarValue::try_from(&expr.get_type(schema)?)?;
    when(filter.as_ref().clone(), expr.clone()).otherwise(Expr::Literal(null, None))
}

/// Whether rows can be grouped by values of a type.
fn can_group(data_type: &DataType) -> bool {
    RowConverter::supports_fields(&[SortField::new(data_type.clone())])
}

/// An aggregate that gives the only value of a group that is not NULL.
pub(super) fn pick(value: Expr, data_type: &DataType) -> Expr {
    // `min` and `max` of an infinite float are finite, and `any_value` keeps an accumulator for
    // each group.
    let function = match data_type {
        DataType::Float64 => sum_udaf(),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => min_udaf(),
        DataType::Interval(_) => any_value_udaf(),
        other if other.is_integer() || other.is_decimal() || other.is_temporal() => min_udaf(),
        _ => any_value_udaf(),
    };
    called(function, vec![value], None)
}

/// A call of an aggregate function.
pub(super) fn called(function: Arc<AggregateUDF>, args: Vec<Expr>, filter: Option<Expr>) -> Expr {
    let filter = filter.map(Box::new);
    Expr::AggregateFunction(AggregateFunction::new_udf(
        function,
        args,
        false,
        filter,
        Vec::new(),
        None,
    ))
}
