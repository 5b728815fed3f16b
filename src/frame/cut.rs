//! Numbers in intervals: by given breaks, by quantiles, and how many there are in each.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::compute::cast as cast_array;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::functions_aggregate::expr_fn::{count, max, min};
use datafusion::functions_aggregate::percentile_cont::percentile_cont;
use datafusion::logical_expr::{Expr, cast, lit, when};

use super::names::exact_names;
use super::{DataFrame, col};
use crate::error::{Error, Result};

/// More bins than this are a mistake.
const MOST_BINS: usize = 1_000;

/// The interval that a number is in, of those between `breaks`, as text such as `(2, 5]`, or of
/// `labels`, one more than breaks. The upper end belongs to an interval, or with `left_closed` the
/// lower one. NULL for NULL.
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
            labels.iter().map(ToString::to_string).collect()
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
    let value = cast(value.clone(), DataType::Float64);
    let mut case = when(value.clone().is_null(), lit(datafusion::common::ScalarValue::Utf8(None)));
    for (end, label) in breaks.iter().zip(&labels) {
        let end = lit(*end);
        let is_below = if left_closed { value.clone().lt(end) } else { value.clone().lt_eq(end) };
        case = case.when(is_below, lit(label.clone()));
    }
    let last = labels.last().cloned().unwrap_or_default();
    Ok(case.otherwise(lit(last))?)
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
        let column = exact_names(self.plan.schema(), &[column])?.remove(0);
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
        let column = exact_names(self.plan.schema(), &[column])?.remove(0);
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
        const BIN: &str = "__bin";
        let mut case =
            when(value.clone().is_null(), lit(datafusion::common::ScalarValue::Int64(None)));
        for (bin, end) in ends.iter().enumerate() {
            case = case.when(value.clone().lt_eq(lit(*end)), lit(bin as i64));
        }
        let bin = case.end()?.alias(BIN);
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
