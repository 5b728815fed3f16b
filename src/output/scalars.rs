//! Columns of scalar types, prepared to be written as text.

use arrow::array::timezone::Tz;
use arrow::array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType, IntervalYearMonthType,
    Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use chrono::{DateTime, Offset, TimeZone};

use super::cells::{Form, PushText};
use super::moments::{
    DAY_SECONDS, SECOND_NANOS, push_clock, push_date, push_duration, push_interval, push_offset,
    push_timestamp,
};
use super::numbers::{push_decimal, push_double, push_float, push_signed, push_unsigned};
use crate::error::Result;

/// Nanoseconds in a millisecond.
const MILLISECOND_NANOS: i64 = 1_000_000;

/// Prepares a column of a scalar type; `None` for other types.
pub(super) fn prepare<'a>(array: &'a dyn Array) -> Result<Option<(Form, PushText<'a>)>> {
    fn signed<'a, T: ArrowPrimitiveType<Native: Into<i64>>>(array: &'a dyn Array) -> PushText<'a> {
        primitive::<T>(array, |value, out| push_signed(value.into(), out))
    }
    fn unsigned<'a, T: ArrowPrimitiveType<Native: Into<u64>>>(
        array: &'a dyn Array,
    ) -> PushText<'a> {
        primitive::<T>(array, |value, out| push_unsigned(value.into(), out))
    }
    fn decimal<'a, T: ArrowPrimitiveType<Native: Into<i128>>>(
        array: &'a dyn Array,
        scale: i8,
    ) -> PushText<'a> {
        primitive::<T>(array, move |value, out| push_decimal(value.into(), scale, out))
    }

    Ok(Some(match array.data_type() {
        DataType::Null => (Form::Bare, boxed(|_, _| {})),
        DataType::Boolean => {
            let values = array.as_boolean();
            let push = move |row, out: &mut Vec<u8>| {
                let text: &[u8] = if values.value(row) { b"true" } else { b"false" };
                out.extend_from_slice(text);
            };
            (Form::Bare, boxed(push))
        }
        DataType::Int8 => (Form::Bare, signed::<Int8Type>(array)),
        DataType::Int16 => (Form::Bare, signed::<Int16Type>(array)),
        DataType::Int32 => (Form::Bare, signed::<Int32Type>(array)),
        DataType::Int64 => (Form::Bare, signed::<Int64Type>(array)),
        DataType::UInt8 => (Form::Bare, unsigned::<UInt8Type>(array)),
        DataType::UInt16 => (Form::Bare, unsigned::<UInt16Type>(array)),
        DataType::UInt32 => (Form::Bare, unsigned::<UInt32Type>(array)),
        DataType::UInt64 => (Form::Bare, unsigned::<UInt64Type>(array)),
        DataType::Float16 => {
            (Form::Float, primitive::<Float16Type>(array, |v, out| push_float(v.to_f32(), out)))
        }
        DataType::Float32 => (Form::Float, primitive::<Float32Type>(array, push_float)),
        DataType::Float64 => (Form::Float, primitive::<Float64Type>(array, push_double)),
        DataType::Decimal32(_, scale) => (Form::Bare, decimal::<Decimal32Type>(array, *scale)),
        DataType::Decimal64(_, scale) => (Form::Bare, decimal::<Decimal64Type>(array, *scale)),
        DataType::Decimal128(_, scale) => (Form::Bare, decimal::<Decimal128Type>(array, *scale)),
        DataType::Decimal256(_, _) => {
            let values = array.as_primitive::<Decimal256Type>();
            let push = move |row, out: &mut Vec<u8>| {
                out.extend_from_slice(values.value_as_string(row).as_bytes());
            };
            (Form::Bare, boxed(push))
        }
        DataType::Utf8 => {
            let values = array.as_string::<i32>();
            (Form::Text, boxed(|row, out| out.extend_from_slice(values.value(row).as_bytes())))
        }
        DataType::LargeUtf8 => {
            let values = array.as_string::<i64>();
            (Form::Text, boxed(|row, out| out.extend_from_slice(values.value(row).as_bytes())))
        }
        DataType::Utf8View => {
            let values = array.as_string_view();
            (Form::Text, boxed(|row, out| out.extend_from_slice(values.value(row).as_bytes())))
        }
        DataType::Binary => {
            let values = array.as_binary::<i32>();
            (Form::Word, boxed(|row, out| push_hex(values.value(row), out)))
        }
        DataType::LargeBinary => {
            let values = array.as_binary::<i64>();
            (Form::Word, boxed(|row, out| push_hex(values.value(row), out)))
        }
        DataType::BinaryView => {
            let values = array.as_binary_view();
            (Form::Word, boxed(|row, out| push_hex(values.value(row), out)))
        }
        DataType::FixedSizeBinary(_) => {
            let values = array.as_fixed_size_binary();
            (Form::Word, boxed(|row, out| push_hex(values.value(row), out)))
        }
        DataType::Date32
        | DataType::Date64
        | DataType::Time32(_)
        | DataType::Time64(_)
        | DataType::Timestamp(_, _)
        | DataType::Duration(_)
        | DataType::Interval(_) => (Form::Word, prepare_moments(array)?),
        _ => return Ok(None),
    }))
}

/// A column of a temporal type.
fn prepare_moments<'a>(array: &'a dyn Array) -> Result<PushText<'a>> {
    fn clock<'a, T: ArrowPrimitiveType<Native: Into<i64>>>(
        array: &'a dyn Array,
        nanos_each: i64,
    ) -> PushText<'a> {
        let per_second = SECOND_NANOS / nanos_each;
        primitive::<T>(array, move |value, out| {
            let value: i64 = value.into();
            let seconds = value.div_euclid(per_second).rem_euclid(DAY_SECONDS);
            let nanos = value.rem_euclid(per_second) * nanos_each;
            push_clock(seconds as u64, nanos as u64, out);
        })
    }
    fn duration<'a, T: ArrowPrimitiveType<Native = i64>>(
        array: &'a dyn Array,
        nanos_each: i64,
    ) -> PushText<'a> {
        primitive::<T>(array, move |value, out| push_duration(value, nanos_each, out))
    }

    Ok(match array.data_type() {
        DataType::Date32 => primitive::<Date32Type>(array, |v, out| push_date(i64::from(v), out)),
        DataType::Date64 => primitive::<Date64Type>(array, |value, out| {
            const DAY_MILLISECONDS: i64 = DAY_SECONDS * 1_000;
            if value % DAY_MILLISECONDS == 0 {
                push_date(value / DAY_MILLISECONDS, out);
            } else {
                push_timestamp::<1_000>(value, 0, out);
            }
        }),
        DataType::Time32(TimeUnit::Second) => clock::<Time32SecondType>(array, SECOND_NANOS),
        DataType::Time32(_) => clock::<Time32MillisecondType>(array, MILLISECOND_NANOS),
        DataType::Time64(TimeUnit::Microsecond) => clock::<Time64MicrosecondType>(array, 1_000),
        DataType::Time64(_) => clock::<Time64NanosecondType>(array, 1),
        DataType::Timestamp(unit, zone) => {
            let zone: Option<Tz> = zone.as_deref().map(str::parse).transpose()?;
            match unit {
                TimeUnit::Second => timestamps::<TimestampSecondType, 1>(array, zone),
                TimeUnit::Millisecond => timestamps::<TimestampMillisecondType, 1_000>(array, zone),
                TimeUnit::Microsecond => {
                    timestamps::<TimestampMicrosecondType, 1_000_000>(array, zone)
                }
                TimeUnit::Nanosecond => {
                    timestamps::<TimestampNanosecondType, 1_000_000_000>(array, zone)
                }
            }
        }
        DataType::Duration(TimeUnit::Second) => duration::<DurationSecondType>(array, SECOND_NANOS),
        DataType::Duration(TimeUnit::Millisecond) => {
            duration::<DurationMillisecondType>(array, MILLISECOND_NANOS)
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            duration::<DurationMicrosecondType>(array, 1_000)
        }
        DataType::Duration(_) => duration::<DurationNanosecondType>(array, 1),
        DataType::Interval(IntervalUnit::YearMonth) => {
            primitive::<IntervalYearMonthType>(array, |v, out| push_interval(v, 0, 0, out))
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            primitive::<IntervalDayTimeType>(array, |value, out| {
                let nanos = i64::from(value.milliseconds) * MILLISECOND_NANOS;
                push_interval(0, i64::from(value.days), nanos, out);
            })
        }
        _ => primitive::<IntervalMonthDayNanoType>(array, |value, out| {
            push_interval(value.months, i64::from(value.days), value.nanoseconds, out);
        }),
    })
}

/// Timestamps without a zone as they are, those with one in it and followed by the offset.
fn timestamps<'a, T: ArrowPrimitiveType<Native = i64>, const PER_SECOND: i64>(
    array: &'a dyn Array,
    zone: Option<Tz>,
) -> PushText<'a> {
    match zone {
        None => primitive::<T>(array, |value, out| push_timestamp::<PER_SECOND>(value, 0, out)),
        Some(zone) => primitive::<T>(array, move |value, out| {
            // Beyond the years chrono knows, there are no rules of any zone.
            let offset =
                DateTime::from_timestamp(value.div_euclid(PER_SECOND), 0).map_or(0, |at| {
                    i64::from(
                        zone.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc(),
                    )
                });
            push_timestamp::<PER_SECOND>(value, offset, out);
            push_offset(offset, out);
        }),
    }
}

fn boxed<'a>(push: impl Fn(usize, &mut Vec<u8>) + 'a) -> PushText<'a> {
    Box::new(push)
}

/// A column of a primitive type, each value given to a function.
fn primitive<'a, T: ArrowPrimitiveType>(
    array: &'a dyn Array,
    push: impl Fn(T::Native, &mut Vec<u8>) + 'a,
) -> PushText<'a> {
    let values: &'a [T::Native] = array.as_primitive::<T>().values();
    Box::new(move |row, out| push(values[row], out))
}

/// Appends bytes as lower-case hexadecimal digits.
fn push_hex(bytes: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)]);
        out.push(DIGITS[usize::from(byte & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{BinaryArray, Date32Array, Decimal128Array, TimestampMicrosecondArray};

    use super::super::test_support::{json, texts};

    #[test]
    fn scalars() {
        let decimals = Decimal128Array::from(vec![-1_234, 5]).with_precision_and_scale(9, 2);
        assert_eq!(json(&decimals.unwrap()), "-12.34 0.05");
        assert_eq!(texts(&BinaryArray::from_vec(vec![b"\x00\xff", b""])), ["00ff", ""]);
        assert_eq!(json(&Date32Array::from(vec![16_450])), "\"2015-01-15\"");
    }

    #[test]
    fn timestamps_with_a_zone_show_its_offset() {
        let at = TimestampMicrosecondArray::from(vec![1_421_348_739_500_000, i64::MAX]);
        assert_eq!(texts(&at)[0], "2015-01-15 19:05:39.5");
        let at = at.with_timezone("+05:30");
        assert_eq!(texts(&at)[0], "2015-01-16 00:35:39.5+05:30");
        assert_eq!(texts(&at)[1], "+294247-01-10 04:00:54.775807+00:00");
    }
}
