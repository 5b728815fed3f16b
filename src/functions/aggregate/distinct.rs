//! DISTINCT for aggregates that have no way of their own to ignore repeated rows.

use std::fmt;

use arrow::array::ArrayRef;
use arrow::compute::SortOptions;
use arrow::datatypes::FieldRef;
use datafusion::common::ScalarValue;
use datafusion::error::Result;
use datafusion::logical_expr::Accumulator;

use super::counts::Counts;

/// An aggregate of rows that are all there.
pub(crate) trait Whole: fmt::Debug + Send + Sync + 'static {
    fn whole(&self, values: &[ArrayRef]) -> Result<ScalarValue>;
}

/// Keeps each row once, and has them aggregated for each result.
#[derive(Debug)]
pub(crate) struct DistinctAccumulator<W> {
    rows: Counts,
    aggregate: W,
}

impl<W: Whole> DistinctAccumulator<W> {
    /// Of rows of these columns; those with a NULL are dropped.
    pub(super) fn new(fields: &[FieldRef], aggregate: W) -> Result<Self> {
        Ok(DistinctAccumulator { rows: Counts::of_fields(fields)?, aggregate })
    }

    /// Of rows of these columns, those with a NULL too.
    pub(crate) fn with_nulls(fields: &[FieldRef], aggregate: W) -> Result<Self> {
        let columns = fields.iter();
        let columns = columns.map(|field| (field.data_type().clone(), SortOptions::default()));
        Ok(DistinctAccumulator { rows: Counts::new(columns.collect(), 0)?, aggregate })
    }
}

impl<W: Whole> Accumulator for DistinctAccumulator<W> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.rows.add(values)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let (columns, _) = self.rows.sorted()?;
        self.aggregate.whole(&columns)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.rows.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.rows.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.rows.merge(states)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.rows.remove(values)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }
}
