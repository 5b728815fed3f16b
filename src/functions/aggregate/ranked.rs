//! The functions that keep the first rows of a group in some order.

use std::sync::{Arc, LazyLock};

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, GroupsAccumulator, Signature, Volatility,
};

use super::args::{how_many, list_of, literal, plain_type};
use super::best::{BestAccumulator, BestGroups, Given, RankedColumn, Ranking};
use super::counted::CountsAccumulator;
use super::counts::Counts;
use super::result::{Made, map_type};

/// What is ranked by what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Ranked {
    /// `x` by the largest or smallest `y`; of equal `y` the smallest `x`.
    By { descending: bool, nulls: bool },
    /// The `n` largest or smallest values.
    Values { descending: bool },
    /// All values, each once where they are distinct.
    All,
    /// All values with their numbers.
    Histogram,
}

/// A function that keeps the first rows.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RankedFunction {
    name: &'static str,
    aliases: Vec<String>,
    ranked: Ranked,
    signature: Signature,
}

fn udaf(name: &'static str, aliases: &[&str], ranked: Ranked) -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::from(RankedFunction {
        name,
        aliases: aliases.iter().map(ToString::to_string).collect(),
        ranked,
        signature: Signature::user_defined(Volatility::Immutable),
    }))
}

static ARG_MAX: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| {
    let ranked = Ranked::By { descending: true, nulls: false };
    udaf("arg_max", &["argmax", "max_by"], ranked)
});

static ARG_MIN: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| {
    let ranked = Ranked::By { descending: false, nulls: false };
    udaf("arg_min", &["argmin", "min_by"], ranked)
});

static ARG_MAX_NULL: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| {
    udaf("arg_max_null", &["max_by_null"], Ranked::By { descending: true, nulls: true })
});

static ARG_MIN_NULL: LazyLock<Arc<AggregateUDF>> = LazyLock::new(|| {
    udaf("arg_min_null", &["min_by_null"], Ranked::By { descending: false, nulls: true })
});

static MAX_N: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| udaf("max_n", &[], Ranked::Values { descending: true }));

static MIN_N: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| udaf("min_n", &[], Ranked::Values { descending: false }));

static ALL_VALUES: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| udaf("all_values", &[], Ranked::All));

static HISTOGRAM_OF_COUNTS: LazyLock<Arc<AggregateUDF>> =
    LazyLock::new(|| udaf("histogram_of_counts", &[], Ranked::Histogram));

/// The functions for everybody.
pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let all = [&ARG_MAX, &ARG_MIN, &ARG_MAX_NULL, &ARG_MIN_NULL, &MAX_N, &MIN_N];
    all.map(|function| Arc::clone(function)).to_vec()
}

/// `arg_max(x, y [, n])`: `x` where `y` is the largest, of several the smallest `x`.
pub(super) fn arg_max_udaf() -> Arc<AggregateUDF> {
    Arc::clone(&ARG_MAX)
}

/// `max_n(x, n)`: a list of the largest values.
pub(super) fn max_n_udaf() -> Arc<AggregateUDF> {
    Arc::clone(&MAX_N)
}

/// `min_n(x, n)`: a list of the smallest values.
pub(super) fn min_n_udaf() -> Arc<AggregateUDF> {
    Arc::clone(&MIN_N)
}

/// `all_values(x)`: a list of all values in order but NULL. Only rewritten plans have it.
pub(super) fn all_values_udaf() -> Arc<AggregateUDF> {
    Arc::clone(&ALL_VALUES)
}

/// `histogram_of_counts(x, n)`: a map from distinct values to numbers. Only rewritten plans have it.
pub(super) fn histogram_of_counts_udaf() -> Arc<AggregateUDF> {
    Arc::clone(&HISTOGRAM_OF_COUNTS)
}

impl RankedFunction {
    /// The columns to rank by, and how many of them must not be NULL.
    fn columns(&self, types: &[DataType]) -> (Vec<RankedColumn>, usize) {
        let column = |place: usize, descending| {
            (place, types[place].clone(), SortOptions { descending, nulls_first: false })
        };
        match self.ranked {
            Ranked::By { descending, nulls } => {
                let columns = vec![column(1, descending), column(0, false)];
                (columns, if nulls { 1 } else { 2 })
            }
            Ranked::Values { descending } => (vec![column(0, descending)], 1),
            Ranked::All => (vec![column(0, false)], 1),
            Ranked::Histogram => (vec![column(0, false), column(1, false)], 1),
        }
    }

    fn given(&self, arguments: usize) -> Given {
        match self.ranked {
            Ranked::By { .. } if arguments == 2 => Given::One,
            Ranked::By { .. } | Ranked::Values { .. } | Ranked::All => Given::List,
            Ranked::Histogram => Given::Map,
        }
    }

    /// How many rows of a group are kept.
    fn most(&self, args: &AccumulatorArgs<'_>) -> Result<usize> {
        match (self.ranked, args.exprs) {
            (Ranked::By { .. }, [_, _]) => Ok(1),
            (Ranked::By { .. }, [_, _, n]) | (Ranked::Values { .. }, [_, n]) => {
                how_many(self.name, literal(n))
            }
            (Ranked::All | Ranked::Histogram, _) => Ok(usize::MAX),
            _ => internal_err!("{} of {} arguments", self.name, args.exprs.len()),
        }
    }

    fn ranking(&self, args: &AccumulatorArgs<'_>) -> Result<Ranking> {
        let (columns, required) = self.columns(&types(args.expr_fields));
        let given = self.given(args.exprs.len());
        Ranking::new(columns, required, self.most(args)?, given, args.return_type().clone())
    }

    /// One that rows can leave, or that ignores repeated rows: it keeps all.
    fn counting(&self, args: &AccumulatorArgs<'_>) -> Result<CountsAccumulator> {
        let made = match self.given(args.exprs.len()) {
            Given::One => Made::First,
            Given::List => Made::Firsts(self.most(args)?),
            Given::Map => return internal_err!("a histogram of counts keeps what it is given"),
        };
        let (columns, required) = self.columns(&types(args.expr_fields));
        let places = columns.iter().map(|(place, ..)| *place).collect();
        let columns = columns.into_iter().map(|(_, data_type, options)| (data_type, options));
        let counts = Counts::new(columns.collect(), required)?.distinct(args.is_distinct);
        Ok(CountsAccumulator::new(counts, places, made, args.return_type().clone()))
    }
}

fn types(fields: &[FieldRef]) -> Vec<DataType> {
    fields.iter().map(|field| field.data_type().clone()).collect()
}

impl AggregateUDFImpl for RankedFunction {
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
        let is_count = |n: &DataType| n.is_integer() || n.is_null();
        Ok(match (self.ranked, types) {
            (Ranked::By { .. } | Ranked::Histogram, [x, y]) => vec![plain_type(x), plain_type(y)],
            (Ranked::By { .. }, [x, y, n]) if is_count(n) => {
                vec![plain_type(x), plain_type(y), DataType::Int64]
            }
            (Ranked::Values { .. }, [x, n]) if is_count(n) => vec![plain_type(x), DataType::Int64],
            (Ranked::All, [x]) => vec![plain_type(x)],
            (Ranked::By { .. }, _) => {
                return plan_err!("{0} is called as {0}(x, y) or {0}(x, y, n)", self.name);
            }
            _ => return plan_err!("{0} is called as {0}(x, n)", self.name),
        })
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let value = types[0].clone();
        Ok(match self.given(types.len()) {
            Given::One => value,
            Given::List => list_of(value),
            Given::Map => map_type(&value),
        })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let (columns, _) = self.columns(&types(args.input_fields));
        if args.is_distinct {
            let field = |(_, data_type, _): RankedColumn| Arc::new(Field::new("", data_type, true));
            let columns: Vec<_> = columns.into_iter().map(field).collect();
            return Ok(Counts::state_fields(args.name, &columns));
        }
        let one = self.given(args.input_fields.len()) == Given::One;
        let field = |(at, (_, data_type, _)): (usize, RankedColumn)| {
            let data_type = if one { data_type } else { list_of(data_type) };
            let name = format_state_name(args.name, &format!("rank{at}"));
            Arc::new(Field::new(name, data_type, true))
        };
        Ok(columns.into_iter().enumerate().map(field).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        if args.is_distinct {
            return Ok(Box::new(self.counting(&args)?));
        }
        Ok(Box::new(BestAccumulator::new(self.ranking(&args)?)))
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(self.counting(&args)?))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(BestGroups::new(self.ranking(&args)?)))
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}
