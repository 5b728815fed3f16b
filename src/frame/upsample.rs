//! Rows for the moments of a regular series that have none.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, UInt64Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef, TimeUnit};
use chrono::{DateTime, Months};
use datafusion::common::NullEquality;
use datafusion::functions_aggregate::min_max::{max, min};
use datafusion::logical_expr::{Extension, JoinType, LogicalPlan, LogicalPlanBuilder};
use serde::{Deserialize, Serialize};

use super::join::{LEFT, RIGHT, keys_of, of};
use super::map::{Function, MapNode, Pieces};
use super::names::{exact_names, free_name};
use super::period::{Period, TimeUnitName};
use super::resample::Grid;
use super::rolling::{nanoseconds, unit_of};
use super::window::columns;
use super::{DataFrame, Plan, col};
use crate::error::{Error, Result};
use crate::table::check_names;

/// Moments that are made at once.
const BATCH_ROWS: i64 = 8192;

impl DataFrame {
    /// Adds the moments that are missing: from the first `time` to the last, `every` so often, for
    /// each group of equal values of `by`. The other columns are NULL there. Rows at other moments
    /// are left out. The result is sorted by `by` and the time.
    ///
    /// ```
    /// # use brimful::{Session, SessionOptions, ExprMethods, col};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> brimful::Result<()> {
    /// # let session = Session::new(SessionOptions::new())?;
    /// let days = "SELECT * FROM (VALUES (DATE '2024-01-01', 5), (DATE '2024-01-03', 7)) t(day, x)";
    /// let filled = session.sql(days).await?.upsample("day", "1d", &[])?;
    /// assert_eq!(filled.count().await?, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Query` if there is no such column, or it is no time, or `every` is no length of time.
    pub fn upsample(self, time: &str, every: &str, by: &[&str]) -> Result<Self> {
        let every = Period::positive(every, "the distance of two moments")?;
        let time = self.exact_name(time)?;
        let by = exact_names(self.plan.schema(), by)?;
        let by: Vec<&str> = by.iter().map(String::as_str).collect();
        let data_type = self.schema().field_with_name(&time)?.data_type().clone();
        let unit = match (unit_of(&data_type), every.steps()) {
            (Some(unit), None) => unit,
            _ => {
                return Err(Error::query(format!(
                    "moments {every} apart do not fit the column \"{time}\" of {data_type}"
                )));
            }
        };
        let is_of_days = every.is_of_whole_days();
        let grid = Grid { data_type, every, is_of_days };
        let series = self.clone().series(&time, &grid, unit, &by)?;
        let all: Vec<String> =
            self.schema().fields().iter().map(|field| field.name().clone()).collect();
        let joined = series.join_moments(self, &time, &by)?;
        let order = by.iter().copied().chain([time.as_str()]);
        let order: Vec<_> = order.map(|name| col(name).sort(true, false)).collect();
        joined.select(all.iter().map(col))?.sort(order)
    }

    /// The moments of each group.
    fn series(self, time: &str, grid: &Grid, unit: TimeUnit, by: &[&str]) -> Result<Self> {
        let moment = grid.moment(col(time));
        let (from, to) =
            (free_name(self.plan.schema(), "from"), free_name(self.plan.schema(), "to"));
        let bounds = [min(moment.clone()).alias(&from), max(moment).alias(to)];
        let bounds = self.group_by(columns(by)).agg(bounds)?;
        let bounds = bounds.filter(col(&from).is_not_null())?;
        let schema = bounds.schema();
        let mut fields: Vec<_> = schema.fields().iter().take(by.len()).cloned().collect();
        // With a zone only where no clock times are counted.
        let moment = schema.field_with_name(&from)?.data_type().clone();
        fields.push(Arc::new(Field::new(time, moment, true)));
        let steps = Steps::new(grid.every, unit)?;
        let series = Arc::new(Schema::new(fields));
        check_names(&series)?;
        let (state, input) = bounds.plan.into_parts();
        let node = Arc::new(MapNode::upsample(input, steps, series)?);
        let series = Plan::new(state, LogicalPlan::Extension(Extension { node }));
        let series = DataFrame::new(bounds.session, series);
        let mut exprs = columns(by);
        exprs.push(grid.back(col(time)).alias(time));
        series.select(exprs)
    }

    /// The moments with the rows of a frame, where there are some.
    fn join_moments(self, rows: DataFrame, time: &str, by: &[&str]) -> Result<DataFrame> {
        let keys: Vec<&str> = by.iter().copied().chain([time]).collect();
        let names: Vec<String> =
            rows.schema().fields().iter().map(|field| field.name().clone()).collect();
        let (state, left) = self.plan.alias(LEFT)?.into_parts();
        let (_, right) = rows.plan.alias(RIGHT)?.into_parts();
        let joined = LogicalPlanBuilder::from(left).join_detailed(
            right,
            JoinType::Left,
            (keys_of(LEFT, &keys), keys_of(RIGHT, &keys)),
            None,
            NullEquality::NullEqualsNull,
        )?;
        let columns = names.iter().map(|name| {
            let side = if keys.contains(&name.as_str()) { LEFT } else { RIGHT };
            of(side, name).alias(name)
        });
        let plan = joined.project(columns)?.build()?;
        Ok(DataFrame::new(self.session, Plan::new(state, plan)))
    }
}

/// How moments follow each other: months, and so much of a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) struct Steps {
    months: i32,
    rest: i64,
    #[serde(with = "TimeUnitName")]
    unit: TimeUnit,
}

impl Steps {
    /// # Errors
    /// `Query` if they are not of whole units.
    pub(super) fn new(every: Period, unit: TimeUnit) -> Result<Self> {
        let (months, rest) = every.parts();
        let each = i128::from(nanoseconds(unit));
        match i64::try_from(rest / each) {
            Ok(whole) if rest % each == 0 => Ok(Steps { months, rest: whole, unit }),
            _ => Err(Error::query(format!("no column of this type has moments {every} apart"))
                .with_hint("cast it to timestamp(9)")),
        }
    }

    /// What makes the moments of a batch of bounds.
    pub(super) fn function(self, schema: SchemaRef) -> Function {
        Arc::new(move |batch: RecordBatch| {
            let moments = moments(&batch, self, Arc::clone(&schema))?;
            Ok(Box::new(moments) as Pieces)
        })
    }

    /// The moment of a number after another, or before if they go back.
    pub(super) fn moment(self, from: i64, number: i64) -> Option<i64> {
        let start = match self.months {
            0 => from,
            each => self.months_later(from, each.checked_mul(i32::try_from(number).ok()?)?)?,
        };
        start.checked_add(self.rest.checked_mul(number)?)
    }

    fn months_later(self, from: i64, months: i32) -> Option<i64> {
        let per_second = 1_000_000_000 / nanoseconds(self.unit);
        let (second, rest) = (from.div_euclid(per_second), from.rem_euclid(per_second));
        let start = DateTime::from_timestamp(second, 0)?;
        let count = Months::new(months.unsigned_abs());
        let moved = match months {
            ..0 => start.checked_sub_months(count)?,
            _ => start.checked_add_months(count)?,
        };
        moved.timestamp().checked_mul(per_second)?.checked_add(rest)
    }
}

/// The moments between the bounds of each row of a batch, with its other columns.
fn moments(
    batch: &RecordBatch,
    steps: Steps,
    schema: Arc<Schema>,
) -> Result<impl Iterator<Item = Result<RecordBatch>> + use<>> {
    let keys = batch.num_columns() - 2;
    let time = schema.field(keys).data_type().clone();
    let bound = |index: usize| -> Result<Int64Array> {
        let plain = cast(batch.column(index), &DataType::Int64)?;
        Ok(plain.as_primitive::<Int64Type>().clone())
    };
    let (from, to) = (bound(keys)?, bound(keys + 1)?);
    let columns: Vec<ArrayRef> = batch.columns()[..keys].to_vec();
    let (mut row, mut number) = (0, 0);
    Ok(std::iter::from_fn(move || {
        while row < from.len() {
            let (first, last) = (from.value(row), to.value(row));
            let mut values = Vec::new();
            while number < i64::MAX && (values.len() as i64) < BATCH_ROWS {
                match steps.moment(first, number) {
                    Some(moment) if moment <= last => values.push(moment),
                    _ => break,
                }
                number += 1;
            }
            if values.is_empty() {
                (row, number) = (row + 1, 0);
                continue;
            }
            return Some(piece(&columns, row, values, &time, &schema));
        }
        None
    }))
}

/// Moments with the columns of a row.
fn piece(
    columns: &[ArrayRef],
    row: usize,
    moments: Vec<i64>,
    time: &DataType,
    schema: &Arc<Schema>,
) -> Result<RecordBatch> {
    let rows = UInt64Array::from_value(row as u64, moments.len());
    let mut all = Vec::with_capacity(columns.len() + 1);
    for column in columns {
        all.push(take(column, &rows, None)?);
    }
    all.push(cast(&Int64Array::from(moments), time)?);
    Ok(RecordBatch::try_new(Arc::clone(schema), all)?)
}
