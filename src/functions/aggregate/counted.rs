//! The functions whose result depends on how often each value is there.
//!
//! As they are, they keep every distinct value of a group. [`crate::rewrite`] makes plans of them
//! that count the values in an aggregation of its own, which spills, and aggregate the counts by the
//! functions of [`over_counts`].

use std::sync::{Arc, LazyLock};

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{ScalarValue, internal_err, plan_err};
use datafusion::error::Result;
use datafusion::functions_aggregate::percentile_cont::percentile_cont_udaf;
use datafusion::functions_nested::make_array::make_array;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::function::{
    AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs,
};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Expr, GroupsAccumulator, Signature, Volatility,
    cast, lit, when,
};

use super::super::list::element_type;
use super::args::{fractions, how_many, list_of, literal, plain_type};
use super::bins;
use super::counts::Counts;
use super::numbers::entropy_of_counts_udaf;
use super::ranked::{all_values_udaf, arg_max_udaf, histogram_of_counts_udaf};
use super::result::{Fraction, Made, Positions, map_type};
use super::values;

/// What is made of the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Mode,
    MostFrequent,
    Histogram,
    /// How many values are in each of some bins.
    Bins,
    Set,
    Entropy,
    /// The values at one position, or at several.
    Discrete,
    /// Percentiles between values, at several positions.
    Continuous,
    Deviation,
}

/// A function of counts.
#[derive(Debug, PartialEq, Eq, Hash)]
struct CountedFunction {
    name: &'static str,
    aliases: Vec<String>,
    kind: Kind,
    signature: Signature,
}

fn udaf(name: &'static str, aliases: &[&str], kind: Kind) -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(CountedFunction {
        name,
        aliases: aliases.iter().map(ToString::to_string).collect(),
        kind,
        signature: Signature::user_defined(Volatility::Immutable),
    }))
}

static FUNCTIONS: LazyLock<Vec<Arc<AggregateUDF>>> = LazyLock::new(|| {
    vec![
        udaf("mode", &[], Kind::Mode),
        udaf("approx_top_k", &[], Kind::MostFrequent),
        udaf("histogram", &[], Kind::Histogram),
        udaf("collect_set", &[], Kind::Set),
        udaf("entropy", &[], Kind::Entropy),
        udaf("quantile_disc", &["quantile", "percentile_disc"], Kind::Discrete),
        udaf("mad", &[], Kind::Deviation),
    ]
});

static BINS: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| udaf("histogram_bins", &[], Kind::Bins));

static PERCENTILES: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| udaf("percentiles_cont", &[], Kind::Continuous));

/// All of this file.
pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    FUNCTIONS.iter().chain([&*PERCENTILES, &*BINS]).map(Arc::clone).collect()
}

/// `histogram_bins(x, list)`: how many values are in each bin.
pub(super) fn bins_udaf() -> Arc<AggregateUDF> {
    Arc::clone(&BINS)
}

/// `percentiles_cont(x, list)`: the interpolated percentiles of several fractions.
pub(super) fn percentiles_udaf() -> Arc<AggregateUDF> {
    Arc::clone(&PERCENTILES)
}

/// Whether an aggregate can be computed from the counts of its values.
pub(crate) fn is_of_counts(function: &AggregateUDF) -> bool {
    kind(function).is_some_and(|kind| match kind {
        Kind::Mode | Kind::MostFrequent | Kind::Histogram | Kind::Set | Kind::Entropy => true,
        Kind::Bins | Kind::Discrete | Kind::Continuous | Kind::Deviation => false,
    })
}

/// The same aggregate of rows that are distinct values with their counts.
///
/// A row without a value makes no difference. Where repeated values count once, pass their counts
/// as they are; they are not looked at.
///
/// # Errors
/// `Internal` unless [`is_of_counts`].
pub(crate) fn over_counts(function: &AggregateFunction, value: Expr, count: Expr) -> Result<Expr> {
    let params = &function.params;
    let count = if params.distinct { lit(1_i64) } else { count };
    let (made, args) = match kind(&function.func) {
        Some(Kind::Mode) => (arg_max_udaf(), vec![value, count]),
        Some(Kind::MostFrequent) => {
            (arg_max_udaf(), [vec![value, count], params.args[1..].to_vec()].concat())
        }
        Some(Kind::Histogram) => (histogram_of_counts_udaf(), vec![value, count]),
        Some(Kind::Set) => (all_values_udaf(), vec![value]),
        Some(Kind::Entropy) => {
            let count = when(value.is_not_null(), cast(count, DataType::Float64)).end()?;
            (entropy_of_counts_udaf(), vec![count])
        }
        _ => return internal_err!("{} of counts", function.func.name()),
    };
    let made = AggregateFunction::new_udf(made, args, false, None, Vec::new(), None);
    Ok(Expr::AggregateFunction(made))
}

/// The position that an aggregate takes its value from, if it takes just one.
pub(crate) fn position(function: &AggregateFunction) -> Option<Fraction> {
    let params = &function.params;
    let (Kind::Discrete, [_, Expr::Literal(part @ ScalarValue::Float64(_), _)]) =
        (kind(&function.func)?, params.args.as_slice())
    else {
        return None;
    };
    let descending = params.order_by.first().is_some_and(|sort| !sort.asc);
    let (found, _) = fractions("quantile", Some(part.clone()), descending).ok()?;
    found.first().copied()
}

/// Whether a function is the median of the distances from the median.
pub(crate) fn is_deviation(function: &AggregateUDF) -> bool {
    kind(function) == Some(Kind::Deviation)
}

/// What a function of this file is.
fn kind(function: &AggregateUDF) -> Option<Kind> {
    let inner: &dyn std::any::Any = function.inner().as_ref();
    inner.downcast_ref::<CountedFunction>().map(|function| function.kind)
}

impl CountedFunction {
    fn made(&self, args: &AccumulatorArgs<'_>) -> Result<Made> {
        let second = || args.exprs.get(1).and_then(literal);
        Ok(match self.kind {
            Kind::Mode => Made::Mode,
            Kind::MostFrequent => Made::MostFrequent(how_many(self.name, second())?),
            Kind::Histogram => Made::Histogram,
            Kind::Bins => {
                Made::Bins(bins::ends(second().as_ref(), args.expr_fields[0].data_type())?)
            }
            Kind::Set => Made::Values,
            Kind::Entropy => Made::Entropy,
            Kind::Deviation => Made::Deviation,
            Kind::Discrete | Kind::Continuous => {
                let descending = args.order_bys.first().is_some_and(|sort| sort.options.descending);
                let (fractions, list) = fractions(self.name, second(), descending)?;
                let interpolated = self.kind == Kind::Continuous;
                Made::Quantiles(Positions { fractions, list, interpolated })
            }
        })
    }

    /// The accumulator that counts values.
    fn counting(&self, args: &AccumulatorArgs<'_>) -> Result<CountsAccumulator> {
        let value: FieldRef =
            Arc::new(Field::new("", args.expr_fields[0].data_type().clone(), true));
        let counts = Counts::of_fields(&[value])?.distinct(args.is_distinct);
        let result = args.return_type().clone();
        Ok(CountsAccumulator::new(counts, vec![0], self.made(args)?, result))
    }

    /// The only position that is wanted of all values.
    fn only_position(&self, args: &AccumulatorArgs<'_>) -> Option<Fraction> {
        if self.kind != Kind::Discrete || args.is_distinct {
            return None;
        }
        match self.made(args) {
            Ok(Made::Quantiles(positions)) if !positions.list => {
                positions.fractions.first().copied()
            }
            _ => None,
        }
    }

    fn usage(&self) -> &'static str {
        match self.kind {
            Kind::MostFrequent => "(x, k) with an integer k",
            Kind::Discrete => "(x, fraction) or (x, [fraction, …])",
            Kind::Continuous => "(x, [fraction, …]) with numbers x",
            Kind::Bins => "(x, [end, …]) with numbers x",
            Kind::Deviation => "(x) with numbers x",
            Kind::Mode | Kind::Histogram | Kind::Set | Kind::Entropy => "(x)",
        }
    }
}

impl AggregateUDFImpl for CountedFunction {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if let (Kind::Bins, [x, ends]) = (self.kind, types)
            && let Some(value) = bins::value_type(&plain_type(x))
            && let Some(end) = element_type(ends)
        {
            let end = bins::end_type(&value, &end);
            return Ok(vec![value, list_of(end)]);
        }
        let is_number = |x: &DataType| x.is_numeric() || x.is_null();
        let fractions = |parts: &DataType| match parts {
            DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(_, _) => {
                list_of(DataType::Float64)
            }
            _ => DataType::Float64,
        };
        Ok(match (self.kind, types) {
            (Kind::Mode | Kind::Histogram | Kind::Set | Kind::Entropy, [x]) => vec![plain_type(x)],
            (Kind::MostFrequent, [x, k]) if k.is_integer() || k.is_null() => {
                vec![plain_type(x), DataType::Int64]
            }
            (Kind::Discrete, [x, parts]) => vec![plain_type(x), fractions(parts)],
            (Kind::Continuous, [x, parts]) if is_number(x) && fractions(parts).is_nested() => {
                vec![DataType::Float64, fractions(parts)]
            }
            (Kind::Deviation, [x]) if is_number(x) => vec![DataType::Float64],
            _ => return plan_err!("{0} is called as {0}{1}", self.name, self.usage()),
        })
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let value = types[0].clone();
        Ok(match self.kind {
            Kind::Mode | Kind::Deviation => value,
            Kind::Discrete if !types[1].is_nested() => value,
            Kind::MostFrequent | Kind::Set | Kind::Discrete | Kind::Continuous => list_of(value),
            Kind::Histogram | Kind::Bins => map_type(&value),
            Kind::Entropy => DataType::Float64,
        })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(Counts::state_fields(args.name, &args.input_fields[..1]))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let data_type = args.expr_fields[0].data_type();
        let kept = self.only_position(&args);
        match kept.and_then(|fraction| values::accumulator(data_type, fraction)) {
            Some(accumulator) => Ok(accumulator),
            None => Ok(Box::new(self.counting(&args)?)),
        }
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(self.counting(&args)?))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        self.create_groups_accumulator(args).is_ok()
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        let data_type = args.expr_fields[0].data_type();
        let kept = self.only_position(&args);
        match kept.and_then(|fraction| values::groups_accumulator(data_type, fraction)) {
            Some(accumulator) => Ok(accumulator),
            None => internal_err!("{} has no accumulator for groups", self.name),
        }
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        let single = match self.kind {
            Kind::Discrete => None,
            Kind::Continuous => Some(percentile_cont_udaf()),
            Kind::Bins => {
                return Some(Box::new(|function, context| bins::as_counts(&function, context)));
            }
            _ => return None,
        };
        Some(Box::new(move |function, _| one_by_one(function, single.clone())))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn supports_within_group_clause(&self) -> bool {
        matches!(self.kind, Kind::Mode | Kind::Discrete)
    }
}

/// The quantiles of a list as a list of quantiles, which can be found by their positions.
fn one_by_one(function: AggregateFunction, single: Option<Arc<AggregateUDF>>) -> Result<Expr> {
    let params = &function.params;
    let [value, Expr::Literal(list @ ScalarValue::List(_), _)] = params.args.as_slice() else {
        return Ok(Expr::AggregateFunction(function));
    };
    let descending = params.order_by.first().is_some_and(|sort| !sort.asc);
    let (parts, _) = fractions(function.func.name(), Some(list.clone()), descending)?;
    let quantiles = parts.into_iter().map(|Fraction { part, descending }| {
        let mut one = function.clone();
        let part = match (descending, single.is_some()) {
            (false, _) => part,
            (true, true) => 1.0 - part,
            // The largest value is the first from one end and the last from the other.
            (true, false) if part == 0.0 => 1.0,
            (true, false) => -part,
        };
        one.params.order_by.clear();
        one.params.args = vec![value.clone(), lit(part)];
        if let Some(single) = &single {
            one.func = Arc::clone(single);
        }
        Expr::AggregateFunction(one)
    });
    let quantiles: Vec<_> = quantiles.collect();
    match quantiles.first().cloned() {
        // Without a value there is no quantile, and no list.
        Some(first) => when(first.is_not_null(), make_array(quantiles)).end(),
        None => Ok(Expr::AggregateFunction(function)),
    }
}

/// One group.
#[derive(Debug)]
pub(super) struct CountsAccumulator {
    counts: Counts,
    /// The places of the counted columns among the arguments.
    places: Vec<usize>,
    made: Made,
    result: DataType,
    /// Whether the result has been asked for.
    evaluated: bool,
}

impl CountsAccumulator {
    pub(super) fn new(counts: Counts, places: Vec<usize>, made: Made, result: DataType) -> Self {
        CountsAccumulator { counts, places, made, result, evaluated: false }
    }

    fn columns(&self, values: &[ArrayRef]) -> Vec<ArrayRef> {
        self.places.iter().map(|place| Arc::clone(&values[*place])).collect()
    }
}

impl Accumulator for CountsAccumulator {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let columns = self.columns(values);
        self.counts.add(&columns)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        // Who asks again will ask more often.
        if self.evaluated
            && let Some(order) = self.made.order()
        {
            self.counts.keep(order);
        }
        self.evaluated = true;
        let value = self.made.of(&self.counts, &self.result)?;
        if value.data_type() != self.result {
            return internal_err!("a {} where {} is meant", value.data_type(), self.result);
        }
        Ok(value)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.counts.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.counts.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.counts.merge(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let columns = self.columns(values);
        self.counts.remove(&columns)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }
}
