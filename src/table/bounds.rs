//! What is known of the rows of a table without reading them.

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};
use datafusion::error::Result;
use datafusion::functions_aggregate::min_max::{MaxAccumulator, MinAccumulator};
use datafusion::logical_expr::Accumulator;

use crate::exchange::column_bytes;

/// Exact counts, sizes, and for types where they are cheap to find, minimum and maximum.
#[derive(Debug, Clone)]
pub(crate) struct Bounds {
    pub(crate) rows: usize,
    columns: Vec<Column>,
}

#[derive(Debug, Clone)]
struct Column {
    nulls: usize,
    bytes: usize,
    /// Minimum and maximum; `None` if there are no values or they are not looked at.
    range: Option<(ScalarValue, ScalarValue)>,
}

/// Whether minimum and maximum are kept for a type. Texts would cost too much; of floats, NaN has no
/// place among them.
fn is_ranged(data_type: &DataType) -> bool {
    data_type.is_integer()
        || data_type.is_decimal()
        || matches!(data_type, DataType::Date32 | DataType::Date64 | DataType::Timestamp(..))
}

/// Minimum and maximum of a column that has values.
fn range(column: &ArrayRef) -> Result<(ScalarValue, ScalarValue)> {
    let mut min = MinAccumulator::try_new(column.data_type())?;
    let mut max = MaxAccumulator::try_new(column.data_type())?;
    min.update_batch(std::slice::from_ref(column))?;
    max.update_batch(std::slice::from_ref(column))?;
    Ok((min.evaluate()?, max.evaluate()?))
}

impl Bounds {
    pub(crate) fn of_no_rows(schema: &SchemaRef) -> Self {
        let column = Column { nulls: 0, bytes: 0, range: None };
        Bounds { rows: 0, columns: vec![column; schema.fields().len()] }
    }

    /// Adds the rows of a batch.
    pub(super) fn add(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut columns = Vec::with_capacity(batch.num_columns());
        for column in batch.columns() {
            let range = if is_ranged(column.data_type()) && column.null_count() < column.len() {
                Some(range(column)?)
            } else {
                None
            };
            let nulls = column.logical_nulls().map_or(0, |nulls| nulls.null_count());
            columns.push(Column { nulls, bytes: column_bytes(column), range });
        }
        self.merge(&Bounds { rows: batch.num_rows(), columns });
        Ok(())
    }

    /// Adds the rows of others.
    pub(crate) fn merge(&mut self, other: &Bounds) {
        self.rows += other.rows;
        for (column, other) in self.columns.iter_mut().zip(&other.columns) {
            column.nulls += other.nulls;
            column.bytes += other.bytes;
            column.range = match (column.range.take(), other.range.clone()) {
                (Some((min, max)), Some((other_min, other_max))) => {
                    let min = if other_min < min { other_min } else { min };
                    Some((min, if other_max > max { other_max } else { max }))
                }
                (one, other) => one.or(other),
            };
        }
    }

    pub(super) fn column_count(&self) -> usize {
        self.columns.len()
    }

    /// The same for DataFusion, of these columns. One after the last is the number of the row.
    pub(super) fn statistics(&self, projection: &[usize]) -> Statistics {
        let number = Column { nulls: 0, bytes: self.rows * size_of::<u64>(), range: None };
        let columns = || projection.iter().map(|index| self.columns.get(*index).unwrap_or(&number));
        let column_statistics = columns().map(|column| {
            let mut statistics = ColumnStatistics::new_unknown()
                .with_null_count(Precision::Exact(column.nulls))
                .with_byte_size(Precision::Exact(column.bytes));
            if let Some((min, max)) = &column.range {
                statistics.min_value = Precision::Exact(min.clone());
                statistics.max_value = Precision::Exact(max.clone());
            }
            statistics
        });
        Statistics {
            num_rows: Precision::Exact(self.rows),
            total_byte_size: Precision::Exact(columns().map(|column| column.bytes).sum()),
            column_statistics: column_statistics.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Float64Array, Int64Array};

    use super::*;

    fn batch(numbers: &[Option<i64>]) -> RecordBatch {
        let integers: ArrayRef = Arc::new(Int64Array::from(numbers.to_vec()));
        let floats: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN; numbers.len()]));
        RecordBatch::try_from_iter_with_nullable([("i", integers, true), ("f", floats, true)])
            .unwrap()
    }

    #[test]
    fn bounds_are_those_of_all_rows() {
        let mut bounds = Bounds::of_no_rows(&batch(&[]).schema());
        assert_eq!(bounds.statistics(&[0]).column_statistics[0].min_value, Precision::Absent);
        for numbers in [&[None, None][..], &[Some(3), None, Some(-7)], &[Some(9)], &[]] {
            bounds.add(&batch(numbers)).unwrap();
        }
        let statistics = bounds.statistics(&[1, 0]);
        assert_eq!(statistics.num_rows, Precision::Exact(6));
        let [floats, integers] = statistics.column_statistics.as_slice() else { panic!() };
        assert_eq!(floats.max_value, Precision::Absent);
        assert_eq!(integers.null_count, Precision::Exact(3));
        assert_eq!(integers.min_value, Precision::Exact(ScalarValue::Int64(Some(-7))));
        assert_eq!(integers.max_value, Precision::Exact(ScalarValue::Int64(Some(9))));
    }
}
