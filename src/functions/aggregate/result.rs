//! Results that are made of how often each value is there.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, MapArray, StructArray, UInt64Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::{concat, take};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type};
use datafusion::common::{ScalarValue, exec_err, internal_err};
use datafusion::error::Result;

use super::bins;
use super::counts::{Counts, Places, list_of_all};
use super::index::{Order, at};

/// DataFusion cuts the weight of the upper of two values to this fraction, so its percentiles do.
const WEIGHT_STEPS: f64 = 1_000_000.0;

/// What is made of the rows of a group, of which each is there so often.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Made {
    /// The most frequent value, of several the smallest.
    Mode,
    /// So many of the most frequent values, the most frequent first.
    MostFrequent(usize),
    /// The values in order with their numbers.
    Histogram,
    /// How many values are in bins that end with these.
    Bins(Vec<ScalarValue>),
    /// The values in order.
    Values,
    /// The entropy in bits.
    Entropy,
    /// The values at some positions.
    Quantiles(Positions),
    /// The median of the distances from the median.
    Deviation,
    /// The last column of the first row.
    First,
    /// The last column of the first rows, so many.
    Firsts(usize),
}

impl Made {
    /// The order of rows in which the result is found soon.
    pub(super) fn order(&self) -> Option<Order> {
        match self {
            Made::Mode | Made::MostFrequent(_) => Some(Order::Count),
            Made::Quantiles(_) | Made::First => Some(Order::Value),
            Made::Histogram
            | Made::Bins(_)
            | Made::Values
            | Made::Entropy
            | Made::Deviation
            | Made::Firsts(_) => None,
        }
    }

    /// The result, of this type.
    pub(super) fn of(&self, counts: &Counts, data_type: &DataType) -> Result<ScalarValue> {
        if matches!(self, Made::Entropy) {
            return Ok(entropy(counts.iter().map(|(_, count)| count)).into());
        }
        if counts.is_empty() {
            return ScalarValue::try_from(data_type);
        }
        match self {
            Made::Mode => value(counts, counts.most_frequent(1).first().copied()),
            Made::MostFrequent(n) => values(counts, counts.most_frequent(*n)),
            Made::Histogram => {
                let (mut columns, numbers) = counts.sorted()?;
                map(columns.swap_remove(0), numbers)
            }
            Made::Bins(ends) => bins::of_counts(counts, ends),
            Made::Values => values(counts, counts.sorted_rows().into_iter().map(|(row, _)| row)),
            Made::Entropy => internal_err!("of an entropy, all counts matter"),
            Made::Quantiles(positions) => positions.of(counts),
            Made::Deviation => {
                let distances = distances_from_median(counts)?;
                Ok(ScalarValue::Float64(median(&distances)))
            }
            Made::First => value(counts, counts.first()),
            Made::Firsts(n) => {
                let rows = counts.sorted_rows().into_iter();
                let repeated = rows.flat_map(|(row, count)| {
                    std::iter::repeat_n(row, usize::try_from(count).unwrap_or(usize::MAX))
                });
                values(counts, repeated.take(*n))
            }
        }
    }
}

/// The last column of a row.
fn value(counts: &Counts, row: Option<&[u8]>) -> Result<ScalarValue> {
    match counts.columns(row)?.last() {
        Some(column) => ScalarValue::try_from_array(column, 0),
        None => internal_err!("rows of no column"),
    }
}

/// The last column of some rows, as a list.
fn values<'a>(counts: &'a Counts, rows: impl IntoIterator<Item = &'a [u8]>) -> Result<ScalarValue> {
    match counts.columns(rows)?.pop() {
        Some(column) => Ok(list_of_all(column)),
        None => internal_err!("rows of no column"),
    }
}

/// The fields of a map from values to numbers.
fn entry_fields(key: &DataType) -> Fields {
    Fields::from(vec![
        Field::new("key", key.clone(), false),
        Field::new("value", DataType::UInt64, true),
    ])
}

/// The type of a map from values to numbers.
pub(super) fn map_type(key: &DataType) -> DataType {
    let entries = Field::new("entries", DataType::Struct(entry_fields(key)), false);
    DataType::Map(Arc::new(entries), false)
}

/// A map from these values to these numbers.
pub(super) fn map(keys: ArrayRef, numbers: Vec<u64>) -> Result<ScalarValue> {
    let fields = entry_fields(keys.data_type());
    let offsets = OffsetBuffer::from_lengths([keys.len()]);
    let entries: FieldRef =
        Arc::new(Field::new("entries", DataType::Struct(fields.clone()), false));
    let columns: Vec<ArrayRef> = vec![keys, Arc::new(UInt64Array::from(numbers))];
    let entries_array = StructArray::try_new(fields, columns, None)?;
    Ok(ScalarValue::Map(Arc::new(MapArray::try_new(entries, offsets, entries_array, None, false)?)))
}

/// The entropy in bits of values that are there so often; that of none is 0.
pub(super) fn entropy(counts: impl IntoIterator<Item = u64>) -> f64 {
    let mut sums = EntropySums::default();
    counts.into_iter().for_each(|count| sums.add_count(count as f64));
    sums.entropy()
}

/// What an entropy is made of.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct EntropySums {
    pub(super) total: f64,
    /// The sum of n log₂ n.
    pub(super) logarithms: f64,
}

impl EntropySums {
    pub(super) fn add_count(&mut self, count: f64) {
        if count > 0.0 {
            self.total += count;
            self.logarithms += count * count.log2();
        }
    }

    pub(super) fn entropy(&self) -> f64 {
        if self.total == 0.0 {
            return 0.0;
        }
        // Rounding must not make it negative.
        (self.total.log2() - self.logarithms / self.total).max(0.0)
    }
}

/// Where the wanted values are among the sorted ones.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Positions {
    pub(super) fractions: Vec<Fraction>,
    /// Whether the result is a list.
    pub(super) list: bool,
    /// Whether a position may be between two values.
    pub(super) interpolated: bool,
}

/// A part of the values, from the smallest or from the largest on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Fraction {
    /// Between 0 and 1.
    pub(crate) part: f64,
    pub(crate) descending: bool,
}

impl Fraction {
    /// From a number between -1 and 1; a negative one counts from the largest.
    pub(super) fn new(part: f64, descending: bool) -> Option<Self> {
        let descending = descending != (part < 0.0);
        let part = part.abs();
        (part <= 1.0).then_some(Fraction { part, descending })
    }

    /// The place of the first value that has at least this part of all at or before it.
    pub(super) fn discrete(self, total: u64) -> u64 {
        let all = total as f64;
        let from_begin = (all - (all - self.part * all).floor()).max(1.0) as u64 - 1;
        let place = from_begin.min(total - 1);
        if self.descending { total - 1 - place } else { place }
    }

    /// A place that may be between two values.
    fn continuous(self, total: u64) -> f64 {
        let part = if self.descending { 1.0 - self.part } else { self.part };
        part * (total - 1) as f64
    }
}

impl Positions {
    fn of(&self, counts: &Counts) -> Result<ScalarValue> {
        let rows = counts.places();
        let total = rows.total();
        let parts = self.fractions.iter().map(|fraction| {
            if self.interpolated {
                interpolated(counts, &rows, fraction.continuous(total))
            } else {
                Ok(counts.columns([rows.at(fraction.discrete(total))])?.swap_remove(0))
            }
        });
        let parts = parts.collect::<Result<Vec<_>>>()?;
        if self.list {
            let refs: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
            if refs.is_empty() {
                return Ok(list_of_all(counts.columns([])?.swap_remove(0)));
            }
            return Ok(list_of_all(concat(&refs)?));
        }
        match parts.first() {
            Some(part) => ScalarValue::try_from_array(part, 0),
            None => internal_err!("a quantile of no fraction"),
        }
    }
}

/// Between the rows at the places below and above.
fn interpolated(counts: &Counts, rows: &Places<'_>, place: f64) -> Result<ArrayRef> {
    let (below, above) = (place.floor(), place.ceil());
    let ends = [rows.at(below as u64), rows.at(above as u64)];
    let ends = counts.columns(ends)?.swap_remove(0);
    let numbers = ends.as_primitive::<Float64Type>();
    let (lower, upper) = (numbers.value(0), numbers.value(1));
    // Of two infinities, the distance is no number.
    if lower == upper {
        return Ok(take(&ends, &UInt64Array::from(vec![0]), None)?);
    }
    let weight = ((place - below) * WEIGHT_STEPS).floor() / WEIGHT_STEPS;
    ScalarValue::from(lower + (upper - lower) * weight).to_array()
}

/// The distances of numbers from their median, with how often each is there, in order.
fn distances_from_median(counts: &Counts) -> Result<Vec<(f64, u64)>> {
    let (columns, times) = counts.sorted()?;
    let Some(numbers) = columns.first().and_then(|column| column.as_primitive_opt::<Float64Type>())
    else {
        return exec_err!("distances of what is no number");
    };
    let sorted: Vec<_> = numbers.values().iter().copied().zip(times).collect();
    let Some(middle) = median(&sorted) else { return Ok(Vec::new()) };
    let mut distances: Vec<_> =
        sorted.into_iter().map(|(number, count)| ((number - middle).abs(), count)).collect();
    distances.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
    Ok(distances)
}

/// The median of sorted numbers, each of which is there so often.
fn median(numbers: &[(f64, u64)]) -> Option<f64> {
    let total: u64 = numbers.iter().map(|(_, count)| count).sum();
    let (lower, upper) = (*at(numbers, total.checked_sub(1)? / 2)?, *at(numbers, total / 2)?);
    // Of two infinities, the mean is the same.
    Some(if lower == upper { lower } else { lower + (upper - lower) / 2.0 })
}
