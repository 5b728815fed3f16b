//! Samples of rows.
//!
//! Every row gets a random number between 0 and 1; a sample are the rows with numbers in a range, or
//! those with the least ones.
//!
//! Without a seed the numbers are drawn as the rows come. With one, they follow from what is in a row
//! and which copy it is of the rows that are like it, so that the sample has the same rows whatever
//! the number of threads and the order in which they read. That reads all columns, and needs to find
//! the copies.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, UInt64Array};
use arrow::datatypes::{DataType, UInt64Type};
use datafusion::common::hash_utils::{QualityRandomState, create_hashes};
use datafusion::common::{Column, plan_err};
use datafusion::error::Result;
use datafusion::functions::expr_fn::random;
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_window::expr_fn::row_number;
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, LogicalPlan, LogicalPlanBuilder, ScalarUDF, WindowFunctionDefinition,
    cast, lit,
};
use serde::{Deserialize, Serialize};

use crate::functions::operation::{Operation, Written, call};

/// How much of the rows a sample has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Amount {
    /// So many, or all if there are fewer.
    Rows(usize),
    /// Each row with this probability.
    Fraction(f64),
    /// So many that they are this fraction of all rows, rounded down.
    ExactFraction(f64),
}

/// A sample that is wanted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sample {
    pub(crate) amount: Amount,
    pub(crate) seed: Option<u64>,
}

/// The random number of a row.
const NUMBER: &str = "__random";

/// A hash of a row.
const HASH: &str = "__hash";

/// Which of the rows of the same hash it is.
const COPY: &str = "__copy";

fn column(name: &str) -> Expr {
    Expr::Column(Column::new_unqualified(name))
}

/// The columns of a plan.
fn columns(plan: &LogicalPlan) -> Vec<Expr> {
    plan.schema().columns().into_iter().map(Expr::Column).collect()
}

impl Sample {
    /// The rows of the sample.
    ///
    /// # Errors
    /// Those of building a plan.
    pub(crate) fn plan(self, input: LogicalPlan) -> Result<LogicalPlan> {
        match self.amount {
            Amount::Fraction(fraction) => within(input, self.seed, lit(0.0), lit(fraction)),
            Amount::Rows(rows) => {
                let all = columns(&input);
                LogicalPlanBuilder::from(numbered(input, self.seed)?)
                    .sort([column(NUMBER).sort(true, false)])?
                    .limit(0, Some(rows))?
                    .project(all)?
                    .build()
            }
            Amount::ExactFraction(fraction) => {
                const PLACE: &str = "__place";
                const ROWS: &str = "__rows";
                // Products of fractions are a little less than they should be.
                const ROUNDING: f64 = 1e-6;
                let all = columns(&input);
                let place =
                    row_number().order_by(vec![column(NUMBER).sort(true, false)]).build()?;
                let count = WindowFunctionDefinition::AggregateUDF(count_udaf());
                let count = Expr::from(WindowFunction::new(count, vec![lit(1)]));
                let wanted = cast(column(ROWS), DataType::Float64) * lit(fraction) + lit(ROUNDING);
                LogicalPlanBuilder::from(numbered(input, self.seed)?)
                    .window([place.alias(PLACE)])?
                    .window([count.alias(ROWS)])?
                    .filter(cast(column(PLACE), DataType::Float64).lt_eq(wanted))?
                    .project(all)?
                    .build()
            }
        }
    }
}

/// The rows whose random numbers are at least `low` and below `high`. Plans of the same rows and with
/// the same seed number them alike.
///
/// # Errors
/// Those of building a plan.
pub(crate) fn within(
    input: LogicalPlan,
    seed: Option<u64>,
    low: Expr,
    high: Expr,
) -> Result<LogicalPlan> {
    let all = columns(&input);
    LogicalPlanBuilder::from(numbered(input, seed)?)
        .filter(column(NUMBER).gt_eq(low).and(column(NUMBER).lt(high)))?
        .project(all)?
        .build()
}

/// A seed for samples that have to fit together.
pub(crate) fn any_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id())
}

/// The columns of a plan and a random number of each row.
fn numbered(input: LogicalPlan, seed: Option<u64>) -> Result<LogicalPlan> {
    let all = columns(&input);
    let plan = LogicalPlanBuilder::from(input);
    let with = |expr: Expr| all.iter().cloned().chain([expr]);
    let Some(seed) = seed else {
        return plan.project(with(random().alias(NUMBER)))?.build();
    };
    let hash = call(RowHash, all.clone());
    let copy = row_number().partition_by(vec![column(HASH)]).build()?;
    let number = call(Uniform, vec![column(HASH), column(COPY), lit(seed)]);
    plan.project(with(hash.alias(HASH)))?
        .window([copy.alias(COPY)])?
        .project(with(number.alias(NUMBER)))?
        .build()
}

/// A hash of all arguments.
#[derive(Debug, Serialize, Deserialize)]
struct RowHash;

impl fmt::Display for RowHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("__row_hash")
    }
}

impl Operation for RowHash {
    const KIND: &'static str = "row_hash";

    fn gives(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::UInt64)
    }

    fn compute(&self, columns: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
        let mut hashes = vec![0; columns.first().map_or(0, |column| column.len())];
        create_hashes(columns, &QualityRandomState::with_seed(0), &mut hashes)?;
        Ok(Arc::new(UInt64Array::from(hashes)))
    }
}

/// A number between 0 and 1, without 1, that follows from a hash, a copy and a seed.
#[derive(Debug, Serialize, Deserialize)]
struct Uniform;

impl fmt::Display for Uniform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("__uniform")
    }
}

/// Mixes the bits of a number (the finalizer of SplitMix64).
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// A float between 0 and 1 from the upper bits of a number: as many as it has digits.
fn fraction(number: u64) -> f64 {
    (number >> (u64::BITS - f64::MANTISSA_DIGITS)) as f64 / (1_u64 << f64::MANTISSA_DIGITS) as f64
}

impl Operation for Uniform {
    const KIND: &'static str = "uniform";

    fn takes(&self, types: &[DataType]) -> Vec<DataType> {
        vec![DataType::UInt64; types.len()]
    }

    fn gives(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [_, _, _] => Ok(DataType::Float64),
            _ => plan_err!("{self} takes a hash, a copy and a seed"),
        }
    }

    fn compute(&self, columns: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
        let [hashes, copies, seeds] =
            [0, 1, 2].map(|column: usize| columns[column].as_primitive::<UInt64Type>().values());
        let numbers = hashes.iter().zip(copies).zip(seeds).map(|((hash, copy), seed)| {
            let seeded = mixed(hash ^ mixed(*seed));
            fraction(mixed(seeded.wrapping_add(*copy)))
        });
        Ok(Arc::new(Float64Array::from_iter_values(numbers)))
    }
}

/// The function of a sample that is written so.
pub(crate) fn operation(written: Written<'_>) -> Option<crate::Result<ScalarUDF>> {
    written.read::<RowHash>().or_else(|| written.read::<Uniform>())
}
