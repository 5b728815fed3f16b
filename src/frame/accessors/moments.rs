//! Times and dates changed by the calendar or by their zone, whatever their unit.

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, TimeUnit};
use chrono::{Datelike, Days, Months, NaiveDate, Weekday};
use datafusion::common::{exec_datafusion_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// Which working day a day of a weekend counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Roll {
    /// The Monday after it.
    #[default]
    Forward,
    /// The Friday before it.
    Backward,
}

/// What is changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Change {
    ReplaceZone(Option<Arc<str>>),
    ConvertZone(Arc<str>),
    MonthStart,
    MonthEnd,
    BusinessDays(i32, Roll),
    Epoch(TimeUnit),
}

pub(super) fn changed(expr: Expr, change: Change) -> Expr {
    let signature = Signature::any(1, Volatility::Immutable);
    ScalarUDF::from(Changed { change, signature }).call(vec![expr])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Changed {
    change: Change,
    signature: Signature,
}

impl ScalarUDFImpl for Changed {
    fn name(&self) -> &str {
        match self.change {
            Change::ReplaceZone(_) => "replace_time_zone",
            Change::ConvertZone(_) => "convert_time_zone",
            Change::MonthStart => "month_start",
            Change::MonthEnd => "month_end",
            Change::BusinessDays(..) => "add_business_days",
            Change::Epoch(_) => "timestamp",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match (types, &self.change) {
            ([DataType::Timestamp(unit, _)], Change::ReplaceZone(zone)) => {
                Ok(DataType::Timestamp(*unit, zone.clone()))
            }
            ([DataType::Timestamp(unit, _)], Change::ConvertZone(zone)) => {
                Ok(DataType::Timestamp(*unit, Some(Arc::clone(zone))))
            }
            ([DataType::Timestamp(..) | DataType::Date32], Change::Epoch(_)) => Ok(DataType::Int64),
            ([DataType::Timestamp(..) | DataType::Date32], _)
                if !matches!(self.change, Change::ReplaceZone(_) | Change::ConvertZone(_)) =>
            {
                Ok(types[0].clone())
            }
            _ => plan_err!("{} is for times, not for {}", self.name(), types[0]),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let to = args.return_field.data_type().clone();
        let values = ColumnarValue::values_to_arrays(&args.args)?.swap_remove(0);
        let changed = match &self.change {
            Change::ReplaceZone(_) => cast(&local(&values)?, &to)?,
            Change::ConvertZone(_) => converted(&values, &to)?,
            Change::MonthStart => on_days(&values, |day| day.with_day(1))?,
            Change::MonthEnd => on_days(&values, |day| {
                day.with_day(1)?.checked_add_months(Months::new(1))?.pred_opt()
            })?,
            Change::Epoch(unit) => since_epoch(&values, *unit)?,
            Change::BusinessDays(days, roll) => {
                on_days(&values, |day| business_day(day, *days, *roll))?
            }
        };
        Ok(ColumnarValue::Array(changed))
    }
}

/// Times as the clocks of their zone show them.
fn local(values: &ArrayRef) -> Result<ArrayRef> {
    let DataType::Timestamp(unit, Some(zone)) = values.data_type() else {
        return Ok(Arc::clone(values));
    };
    let zone: arrow::array::timezone::Tz = zone.parse()?;
    let per_second = per_day(*unit) / 86_400;
    let moments = cast(values, &DataType::Int64)?;
    let shown = moments.as_primitive::<Int64Type>().try_unary(|moment| {
        let seconds = moment.div_euclid(per_second);
        let utc = chrono::DateTime::from_timestamp(seconds, 0);
        let utc = utc.ok_or_else(|| exec_datafusion_err!("{moment} is beyond all dates"))?;
        let offset = chrono::Offset::fix(&chrono::TimeZone::offset_from_utc_datetime(
            &zone,
            &utc.naive_utc(),
        ));
        Ok::<_, datafusion::error::DataFusionError>(
            moment + i64::from(offset.local_minus_utc()) * per_second,
        )
    })?;
    let shown: Int64Array = shown;
    Ok(cast(&shown, &DataType::Timestamp(*unit, None))?)
}

/// The same moments under another zone.
fn converted(values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let moments = cast(values, &DataType::Int64)?;
    Ok(cast(&moments, to)?)
}

/// Values of a unit in a day.
fn per_day(unit: TimeUnit) -> i64 {
    let per_second = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    86_400 * per_second
}

/// Times since 1970 in a unit, rounded down.
fn since_epoch(values: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef> {
    let (numbers, in_a_day) = match values.data_type() {
        DataType::Timestamp(unit, _) => (cast(values, &DataType::Int64)?, per_day(*unit)),
        _ => (cast(&cast(values, &DataType::Int32)?, &DataType::Int64)?, 1),
    };
    let wanted = per_day(unit);
    let numbers = numbers.as_primitive::<Int64Type>();
    if in_a_day >= wanted {
        let divisor = in_a_day / wanted;
        let rounded: Int64Array = numbers.unary(|number| number.div_euclid(divisor));
        return Ok(Arc::new(rounded));
    }
    let factor = wanted / in_a_day;
    let finer: Int64Array = numbers.try_unary(|number| {
        number.checked_mul(factor).ok_or_else(|| {
            exec_datafusion_err!("the time {number} is out of range of 64 bits in another unit")
        })
    })?;
    Ok(Arc::new(finer))
}

/// Times and dates with another day.
fn on_days(values: &ArrayRef, change: impl Fn(NaiveDate) -> Option<NaiveDate>) -> Result<ArrayRef> {
    let (shown, in_a_day) = match values.data_type() {
        DataType::Timestamp(unit, _) => (local(values)?, per_day(*unit)),
        _ => (cast(values, &DataType::Int32)?, 1),
    };
    let plain = shown.data_type().clone();
    let numbers = cast(&shown, &DataType::Int64)?;
    let moved: Int64Array = numbers.as_primitive::<Int64Type>().try_unary(|number| {
        let beyond = || exec_datafusion_err!("{number} is beyond all dates");
        let day = number.div_euclid(in_a_day);
        let date =
            i32::try_from(day).ok().and_then(NaiveDate::from_epoch_days).ok_or_else(beyond)?;
        let date = change(date).ok_or_else(beyond)?;
        let moved = i64::from(date.to_epoch_days()) * in_a_day + number.rem_euclid(in_a_day);
        Ok::<_, datafusion::error::DataFusionError>(moved)
    })?;
    Ok(cast(&cast(&moved, &plain)?, values.data_type())?)
}

/// The working day that comes so many after one.
fn business_day(day: NaiveDate, days: i32, roll: Roll) -> Option<NaiveDate> {
    let start = match (day.weekday(), roll) {
        (Weekday::Sat, Roll::Forward) => day.checked_add_days(Days::new(2))?,
        (Weekday::Sun, Roll::Forward) => day.checked_add_days(Days::new(1))?,
        (Weekday::Sat, Roll::Backward) => day.checked_sub_days(Days::new(1))?,
        (Weekday::Sun, Roll::Backward) => day.checked_sub_days(Days::new(2))?,
        _ => day,
    };
    let place = i64::from(start.weekday().num_days_from_monday()) + i64::from(days);
    let moved = i64::from(days) + 2 * place.div_euclid(5);
    start.checked_add_signed(chrono::TimeDelta::try_days(moved)?)
}
