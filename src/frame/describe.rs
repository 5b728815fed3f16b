//! A summary of every column of a frame, computed in one pass.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{Column, UnnestOptions, plan_err};
use datafusion::error::Result;
use datafusion::functions::math::expr_fn::round;
use datafusion::functions_aggregate::count::count_all;
use datafusion::functions_aggregate::expr_fn::{
    approx_distinct, approx_percentile_cont, avg, count, max, min, stddev,
};
use datafusion::functions_nested::expr_fn::make_array;
use datafusion::logical_expr::{
    Expr, LogicalPlan, LogicalPlanBuilder, cast, ident, lit, try_cast, when,
};
use datafusion::scalar::ScalarValue;

use super::DataFrame;
use crate::error;

/// The columns of a summary.
pub(crate) const SUMMARY_COLUMNS: [&str; 12] = [
    "column_name",
    "column_type",
    "min",
    "max",
    "approx_unique",
    "avg",
    "std",
    "q25",
    "q50",
    "q75",
    "count",
    "null_percentage",
];

impl DataFrame {
    /// A row for each column: its name and type, least and greatest value, about how many values
    /// differ, mean, standard deviation, about the quartiles, the number of rows, and the
    /// percentage of NULLs. Values are texts, as the columns have different types.
    ///
    /// The rows are read once. Counts of different values and quartiles are estimates, which hold
    /// little memory however many rows there are.
    ///
    /// # Errors
    /// `Query` if there are no columns.
    pub fn describe(self) -> error::Result<Self> {
        let (state, plan) = self.plan.clone().into_parts();
        let plan = summary(plan)?;
        Ok(self.with(datafusion::dataframe::DataFrame::new(state, plan)))
    }
}

/// The plan of a summary: one aggregation of everything, and its row turned into one a column.
///
/// # Errors
/// `Plan` if there are no columns.
pub(crate) fn summary(input: LogicalPlan) -> Result<LogicalPlan> {
    let schema = input.schema().clone();
    if schema.fields().is_empty() {
        return plan_err!("there are no columns to describe");
    }
    let mut aggregates = vec![count_all().alias(ROWS)];
    let mut lists: Vec<Vec<Expr>> = vec![Vec::new(); SUMMARY_COLUMNS.len()];
    for (number, column) in schema.columns().into_iter().enumerate() {
        let data_type = schema.field(number).data_type().clone();
        let name = column.name.clone();
        let expr = Expr::Column(column);
        let mut numbered = Numbered { number, next: 0, aggregates: &mut aggregates };
        let row = row(&name, &data_type, &expr, &mut numbered);
        lists.iter_mut().zip(row).for_each(|(list, value)| list.push(value));
    }
    let lists = lists.into_iter().zip(SUMMARY_COLUMNS);
    let columns = SUMMARY_COLUMNS.iter().map(|name| Column::new_unqualified(*name)).collect();
    LogicalPlanBuilder::from(input)
        .aggregate(Vec::<Expr>::new(), aggregates)?
        .project(lists.map(|(list, name)| make_array(list).alias(name)))?
        .unnest_columns_with_options(columns, UnnestOptions::default())?
        .build()
}

/// What the number of rows is called between the aggregation and the list.
const ROWS: &str = "rows";

/// Aggregates of one column, with names that no other has.
struct Numbered<'a> {
    number: usize,
    next: usize,
    aggregates: &'a mut Vec<Expr>,
}

impl Numbered<'_> {
    /// Adds an aggregate and gives its result.
    fn add(&mut self, aggregate: Expr) -> Expr {
        let name = format!("{}_{}", self.number, self.next);
        self.next += 1;
        self.aggregates.push(aggregate.alias(&name));
        ident(name)
    }
}

/// What a value is to a summary.
enum Kind {
    /// Has a mean and quartiles.
    Number { whole: bool },
    /// Has a mean and quartiles as a number of these units.
    Moment { units: DataType, mean: DataType, units_a_mean: i64 },
    /// Can be compared.
    Ordered,
    /// Can only be counted.
    Nested,
}

fn kind(data_type: &DataType) -> Kind {
    match data_type {
        data_type if data_type.is_integer() => Kind::Number { whole: true },
        data_type if data_type.is_numeric() => Kind::Number { whole: false },
        DataType::Date32 => Kind::Moment {
            units: DataType::Int32,
            mean: DataType::Timestamp(TimeUnit::Second, None),
            units_a_mean: 86_400,
        },
        DataType::Timestamp(..) => {
            Kind::Moment { units: DataType::Int64, mean: data_type.clone(), units_a_mean: 1 }
        }
        DataType::Time32(_) => {
            Kind::Moment { units: DataType::Int32, mean: data_type.clone(), units_a_mean: 1 }
        }
        DataType::Time64(_) => {
            Kind::Moment { units: DataType::Int64, mean: data_type.clone(), units_a_mean: 1 }
        }
        data_type if data_type.is_nested() => Kind::Nested,
        DataType::Null => Kind::Nested,
        _ => Kind::Ordered,
    }
}

/// The values of a column's row.
fn row(name: &str, data_type: &DataType, expr: &Expr, results: &mut Numbered<'_>) -> [Expr; 12] {
    let kind = kind(data_type);
    let nothing = || lit(ScalarValue::Utf8(None));
    let (least, greatest) = match kind {
        Kind::Nested => (nothing(), nothing()),
        _ => {
            let least = results.add(min(expr.clone()));
            let greatest = results.add(max(expr.clone()));
            (text(least), text(greatest))
        }
    };
    let unique = match data_type {
        // Of these there are no estimates.
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            results.add(approx_distinct(text(expr.clone())))
        }
        DataType::Null => lit(0_i64),
        _ => results.add(approx_distinct(expr.clone())),
    };
    let present = results.add(count(expr.clone()));
    let (mean, deviation, quartiles) = match kind {
        Kind::Number { whole } => {
            let value = cast(expr.clone(), DataType::Float64);
            let mean = text(results.add(avg(value.clone())));
            let deviation = text(results.add(stddev(value.clone())));
            let quartile = |part: Expr| match (whole, data_type) {
                (true, _) => text(cast(round(vec![part]), DataType::Int64)),
                (false, DataType::Decimal128(..) | DataType::Decimal256(..)) => {
                    text(cast(part, data_type.clone()))
                }
                (false, _) => text(part),
            };
            (mean, deviation, quartiles(&value, results).map(quartile))
        }
        Kind::Moment { units, mean, units_a_mean } => {
            let value = cast(cast(expr.clone(), units.clone()), DataType::Float64);
            let middle = results.add(avg(value.clone())) * lit(units_a_mean as f64);
            let middle_units = if units_a_mean == 1 { units.clone() } else { DataType::Int64 };
            let middle = text(cast(cast(round(vec![middle]), middle_units), mean));
            let quartile =
                |part| text(cast(cast(round(vec![part]), units.clone()), data_type.clone()));
            (middle, nothing(), quartiles(&value, results).map(quartile))
        }
        Kind::Ordered | Kind::Nested => (nothing(), nothing(), [nothing(), nothing(), nothing()]),
    };
    let [first, second, third] = quartiles;
    let rows = ident(ROWS);
    let percent = DataType::Decimal128(9, 2);
    let missing = cast(rows.clone() - present, DataType::Float64) * lit(100.0)
        / cast(rows.clone(), DataType::Float64);
    let missing =
        when(rows.clone().gt(lit(0_i64)), cast(round(vec![missing, lit(2_i64)]), percent))
            .end()
            .expect("a condition and its value");
    [
        lit(name),
        lit(data_type.to_string()),
        least,
        greatest,
        cast(unique, DataType::Int64),
        mean,
        deviation,
        first,
        second,
        third,
        rows,
        missing,
    ]
}

fn quartiles(value: &Expr, results: &mut Numbered<'_>) -> [Expr; 3] {
    [0.25, 0.5, 0.75].map(|part| {
        let order = value.clone().sort(true, false);
        results.add(approx_percentile_cont(order, lit(part), None))
    })
}

/// As a text; bytes that are none are NULL.
fn text(expr: Expr) -> Expr {
    try_cast(expr, DataType::Utf8)
}
