//! Numbers in intervals: by given breaks, by quantiles, and how many there are in each.

use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast as cast_array;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::functions_aggregate::expr_fn::{count, max, min};
use datafusion::functions_aggregate::percentile_cont::percentile_cont;
use datafusion::functions_nested::expr_fn::{array_element, make_array};
use datafusion::logical_expr::{Expr, cast, lit};
use serde::{Deserialize, Serialize};

use super::{DataFrame, col};
use crate::error::{Error, Result};
use crate::functions::operation::{Operation, call};

/// More bins than this are a mistake.
const MOST_BINS: usize = 1_000;

/// The interval that a number is in, of those between `breaks`, as text such as `(2, 5]`, or of
/// `labels`, one more than breaks. The upper end belongs to an interval, or with `left_closed` the
/// lower one. NULL for NULL and NaN.
pub(super) fn cut(
    value: &Expr,
    breaks: &[f64],
    labels: Option<&[&str]>,
    left_closed: bool,
) -> Result<Expr> {
    if breaks.is_empty() || breaks.iter().any(|number| number.is_nan()) {
        return Err(Error::query("cut needs breaks that are numbers"));
    }
    if breaks.windows(2).any(|pair| pair[0] >= pair[1]) {
        return Err(Error::query("the breaks of cut must ascend, each above the one before"));
    }
    let labels = match labels {
        Some(labels) if labels.len() == breaks.len() + 1 => {
            labels.iter().map(ToString::to_string).collect::<Vec<_>>()
        }
        Some(labels) => {
            return Err(Error::query(format!(
                "{} breaks make {} intervals, and there are {} labels",
                breaks.len(),
                breaks.len() + 1,
                labels.len()
            )));
        }
        None => intervals(breaks, left_closed),
    };
    let interval = Interval::of(breaks, left_closed);
    let labels = make_array(labels.into_iter().map(lit).collect());
    Ok(array_element(labels, call(interval, vec![value.clone()]) + lit(1_i64)))
}

/// The number of the interval between breaks that a number is in; NULL for NaN.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Interval {
    /// The bits of the numbers, which unlike these are equal or not.
    breaks: Vec<u64>,
    left_closed: bool,
}

impl Interval {
    fn of(breaks: &[f64], left_closed: bool) -> Self {
        Interval { breaks: breaks.iter().map(|end| end.to_bits()).collect(), left_closed }
    }

    fn ends(&self) -> Vec<f64> {
        self.breaks.iter().copied().map(f64::from_bits).collect()
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "interval({}; {:?})", intervals(&[], self.left_closed)[0], self.ends())
    }
}

impl Operation for Interval {
    const KIND: &'static str = "interval";

    fn takes(&self, _: &[DataType]) -> Vec<DataType> {
        vec![DataType::Float64]
    }

    fn gives(&self, _: &[DataType]) -> datafusion::error::Result<DataType> {
        Ok(DataType::Int64)
    }

    fn compute(&self, columns: &[ArrayRef], _: &DataType) -> datafusion::error::Result<ArrayRef> {
        let ends = self.ends();
        let number = |x: f64| {
            let is_before = |end: &f64| if self.left_closed { *end <= x } else { *end < x };
            (!x.is_nan()).then(|| ends.partition_point(is_before) as i64)
        };
        let numbers = columns[0].as_primitive::<Float64Type>().iter();
        Ok(Arc::new(numbers.map(|x| number(x?)).collect::<Int64Array>()))
    }
}

/// The intervals between breaks as text.
fn intervals(breaks: &[f64], left_closed: bool) -> Vec<String> {
    let (open, close) = if left_closed { ('[', ')') } else { ('(', ']') };
    let text = |number: Option<&f64>, beyond: &str| {
        number.map_or_else(|| beyond.to_string(), f64::to_string)
    };
    (0..=breaks.len())
        .map(|number| {
            let start = number.checked_sub(1).and_then(|before| breaks.get(before));
            format!("{open}{}, {}{close}", text(start, "-inf"), text(breaks.get(number), "inf"))
        })
        .collect()
}

impl DataFrame {
    /// Adds a column with the interval that a number is in, of those between quantiles of all
    /// numbers of `column`, as [`crate::ExprMethods::cut`] does with breaks. The quantiles are
    /// computed now.
    ///
    /// # Errors
    /// Those of computing the quantiles; `Query` if they are not between 0 and 1, or two are the
    /// same number.
    pub async fn qcut(
        self,
        column: &str,
        quantiles: &[f64],
        labels: Option<&[&str]>,
        name: &str,
    ) -> Result<Self> {
        let column = self.exact_name(column)?;
        let value = || cast(col(&column), DataType::Float64);
        let aggregates = quantiles.iter().enumerate().map(|(number, quantile)| {
            let quantile = super::rolling::quantile(*quantile)?;
            let order = value().sort(true, false);
            Ok(percentile_cont(order, quantile).alias(format!("q{number}")))
        });
        let aggregates = aggregates.collect::<Result<Vec<_>>>()?;
        let found = self.clone().group_by([]).agg(aggregates)?.collect().await?;
        let breaks = first_row(&found)?;
        if breaks.len() != quantiles.len() {
            return Err(Error::query(format!("\"{column}\" has no numbers to take quantiles of")));
        }
        let cut = cut(&col(&column), &breaks, labels, false)?;
        self.with_column(name, cut)
    }

    /// How many numbers of a column are in each of so many bins of equal width, from the least to
    /// the greatest number: a frame of `breakpoint`, the upper end of the bin, `category`, the bin
    /// as text, and `count`. It is computed now.
    ///
    /// # Errors
    /// Those of running the query; `Query` if there is no bin, or the numbers are not finite.
    pub async fn hist(self, column: &str, bins: usize) -> Result<Self> {
        if bins == 0 || bins > MOST_BINS {
            return Err(Error::query(format!("a histogram has from 1 to {MOST_BINS} bins")));
        }
        let column = self.exact_name(column)?;
        let value = cast(col(&column), DataType::Float64);
        let bounds = [min(value.clone()).alias("least"), max(value.clone()).alias("most")];
        let found = self.clone().group_by([]).agg(bounds)?.collect().await?;
        let (least, most) = match first_row(&found)?[..] {
            [least, most] if least.is_finite() && most.is_finite() => (least, most),
            [] => (0.0, 1.0),
            _ => return Err(Error::query(format!("\"{column}\" has numbers that are not finite"))),
        };
        // All numbers are the same: one unit around them.
        let (least, most) = if least < most { (least, most) } else { (least - 0.5, most + 0.5) };
        let width = (most - least) / bins as f64;
        let ends: Vec<f64> = (1..=bins)
            .map(|bin| if bin == bins { most } else { least + width * bin as f64 })
            .collect();
        let counts = self.counts(value, &ends).await?;
        let starts = std::iter::once(least).chain(ends.iter().copied());
        let names = starts.zip(&ends).enumerate().map(|(bin, (start, end))| {
            let open = if bin == 0 { '[' } else { '(' };
            format!("{open}{start:?}, {end:?}]")
        });
        let batch = RecordBatch::try_from_iter([
            ("breakpoint", Arc::new(Float64Array::from(ends.clone())) as ArrayRef),
            ("category", Arc::new(StringArray::from_iter_values(names))),
            ("count", Arc::new(Int64Array::from(counts))),
        ])?;
        let plan = self.session.context().read_batch(batch)?;
        Ok(self.with(plan))
    }

    /// How many numbers there are up to each of these ends, and after the one before.
    async fn counts(&self, value: Expr, ends: &[f64]) -> Result<Vec<i64>> {
        const BIN: &str = "bin";
        let bin = call(Interval::of(ends, false), vec![value]).alias(BIN);
        let grouped = self.clone().select([bin])?.filter(col(BIN).is_not_null())?;
        let grouped = grouped.group_by([col(BIN)]).agg([count(lit(1_i64)).alias("count")])?;
        let mut counts = vec![0; ends.len()];
        for batch in grouped.collect().await? {
            let column = |index: usize| cast_array(batch.column(index), &DataType::Int64);
            let (bins, numbers) = (column(0)?, column(1)?);
            let rows =
                bins.as_primitive::<Int64Type>().iter().zip(numbers.as_primitive::<Int64Type>());
            for (bin, number) in rows {
                if let (Some(bin), Some(number)) = (bin, number)
                    && let Some(count) =
                        usize::try_from(bin).ok().and_then(|bin| counts.get_mut(bin))
                {
                    *count = number;
                }
            }
        }
        Ok(counts)
    }
}

/// The numbers of the first row; those that are NULL are left out.
fn first_row(batches: &[RecordBatch]) -> Result<Vec<f64>> {
    let Some(batch) = batches.iter().find(|batch| batch.num_rows() > 0) else {
        return Ok(Vec::new());
    };
    let mut numbers = Vec::new();
    for column in batch.columns() {
        let column = cast_array(column, &DataType::Float64)?;
        numbers.extend(column.as_primitive::<Float64Type>().iter().next().flatten());
    }
    Ok(numbers)
}
