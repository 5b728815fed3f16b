//! Fields of one column → an arrow array.

use std::str;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int64Builder,
    LargeStringBuilder, StringBuilder, StringViewBuilder, TimestampMicrosecondBuilder,
    new_null_array,
};
use arrow::compute::cast_with_options;
use arrow::compute::kernels::cast_utils::{Parser, parse_decimal, string_to_datetime};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, TimeUnit};
use chrono::Utc;

use super::dialect::Dialect;
use super::records::Records;

/// A value that is not of its column's type.
#[derive(Debug)]
pub(crate) struct BadValue {
    /// Its record among the finished ones.
    pub(crate) record: usize,
    /// Its text, as far as it can be shown.
    pub(crate) value: String,
    /// Whether the trouble is that it is not UTF-8.
    pub(crate) not_utf8: bool,
}

/// Converts one column of the finished records.
///
/// An empty field and, where the dialect says so, a null word is NULL. Types without a parser of
/// their own go through text and arrow's cast.
pub(crate) fn column(
    records: &Records,
    column: usize,
    data_type: &DataType,
    dialect: &Dialect,
) -> Result<ArrayRef, BadValue> {
    let count = records.len();
    // Each arm: for every record, NULL or the parsed value or an error.
    macro_rules! build {
        ($builder:expr, $parse:expr) => {{
            let mut builder = $builder;
            for record in 0..count {
                let field = records.field(record, column);
                if field.is_empty() {
                    builder.append_null();
                } else if let Some(value) = $parse(field) {
                    builder.append_value(value);
                } else if is_null_word(field, dialect) {
                    builder.append_null();
                } else {
                    return Err(bad_value(record, field));
                }
            }
            Ok(Arc::new(builder.finish()))
        }};
    }
    macro_rules! build_text {
        ($builder:expr) => {{
            let mut builder = $builder;
            for record in 0..count {
                let field = records.field(record, column);
                if field.is_empty() || (dialect.null_words_in_text && is_null_word(field, dialect))
                {
                    builder.append_null();
                } else {
                    match str::from_utf8(field) {
                        Ok(text) => builder.append_value(text),
                        Err(_) => return Err(bad_value(record, field)),
                    }
                }
            }
            Ok(Arc::new(builder.finish()))
        }};
    }
    match data_type {
        DataType::Null => Ok(new_null_array(&DataType::Null, count)),
        DataType::Boolean => build!(BooleanBuilder::with_capacity(count), parse_bool),
        DataType::Int64 => build!(Int64Builder::with_capacity(count), parse_i64),
        DataType::Float64 => build!(Float64Builder::with_capacity(count), parse_f64),
        DataType::Date32 => build!(Date32Builder::with_capacity(count), parse_date),
        DataType::Timestamp(TimeUnit::Microsecond, zone) => build!(
            TimestampMicrosecondBuilder::with_capacity(count).with_timezone_opt(zone.clone()),
            parse_timestamp_us
        ),
        DataType::Decimal128(precision, scale) => build!(
            Decimal128Builder::with_capacity(count).with_data_type(data_type.clone()),
            |field| {
                let text = str::from_utf8(field).ok()?;
                parse_decimal::<Decimal128Type>(text, *precision, *scale).ok()
            }
        ),
        DataType::Utf8View => build_text!(StringViewBuilder::with_capacity(count)),
        DataType::Utf8 => build_text!(StringBuilder::new()),
        DataType::LargeUtf8 => build_text!(LargeStringBuilder::new()),
        other => {
            let text: ArrayRef = self::column(
                records,
                column,
                &DataType::Utf8View,
                &Dialect { null_words_in_text: true, ..dialect.clone() },
            )?;
            let options = arrow::compute::CastOptions { safe: true, ..Default::default() };
            let cast = cast_with_options(&text, other, &options)
                .unwrap_or_else(|_| new_null_array(other, count));
            // A cast that cannot convert a value gives NULL; find the first that was not one.
            match (0..count).find(|record| cast.is_null(*record) && text.is_valid(*record)) {
                Some(record) => Err(bad_value(record, records.field(record, column))),
                None => Ok(cast),
            }
        }
    }
}

fn is_null_word(field: &[u8], dialect: &Dialect) -> bool {
    dialect.null_words.iter().any(|word| word.as_bytes() == field)
}

fn bad_value(record: usize, field: &[u8]) -> BadValue {
    const SHOWN_CHARS: usize = 60;
    let text = String::from_utf8_lossy(field);
    let mut value: String = text.chars().take(SHOWN_CHARS).collect();
    if value.len() < text.len() {
        value.push('…');
    }
    BadValue { record, value, not_utf8: str::from_utf8(field).is_err() }
}

/// `true` or `false` in any case.
pub(crate) fn parse_bool(field: &[u8]) -> Option<bool> {
    if field.eq_ignore_ascii_case(b"true") {
        Some(true)
    } else if field.eq_ignore_ascii_case(b"false") {
        Some(false)
    } else {
        None
    }
}

/// Decimal digits with an optional sign, within 64 bits.
pub(crate) fn parse_i64(field: &[u8]) -> Option<i64> {
    let (negative, digits) = match field {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: i64 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        let digit = i64::from(digit);
        value = value.checked_mul(10)?;
        value = if negative { value.checked_sub(digit)? } else { value.checked_add(digit)? };
    }
    Some(value)
}

/// A decimal number, rounded to the nearest double, or `NaN`, `inf`, `infinity`.
pub(crate) fn parse_f64(field: &[u8]) -> Option<f64> {
    str::from_utf8(field).ok()?.parse().ok()
}

/// `YYYY-MM-DD`; days since 1970-01-01.
pub(crate) fn parse_date(field: &[u8]) -> Option<i32> {
    Date32Type::parse(str::from_utf8(field).ok()?)
}

/// `YYYY-MM-DD HH:MM:SS[.fraction][zone]`; microseconds since 1970-01-01, in UTC when a zone is
/// given.
pub(crate) fn parse_timestamp_us(field: &[u8]) -> Option<i64> {
    let text = str::from_utf8(field).ok()?;
    string_to_datetime(&Utc, text).ok().map(|time| time.timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_at_their_ends() {
        assert_eq!(parse_i64(b"9223372036854775807"), Some(i64::MAX));
        assert_eq!(parse_i64(b"-9223372036854775808"), Some(i64::MIN));
        assert_eq!(parse_i64(b"9223372036854775808"), None);
        assert_eq!(parse_i64(b"+7"), Some(7));
        for bad in [&b""[..], b"-", b"1.0", b" 1", b"1 ", b"0x1"] {
            assert_eq!(parse_i64(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn numbers_as_the_taxi_files_write_them() {
        assert_eq!(parse_f64(b".50"), Some(0.5));
        assert_eq!(parse_f64(b"-73.993896484375"), Some(-73.993896484375));
        assert_eq!(parse_f64(b"1.2107999999999999"), Some(1.2107999999999999));
        assert_eq!(parse_f64(b"1,5"), None);
    }

    #[test]
    fn dates_and_timestamps() {
        assert_eq!(parse_date(b"1970-01-02"), Some(1));
        assert_eq!(parse_timestamp_us(b"1970-01-01 00:00:01.5"), Some(1_500_000));
        assert_eq!(parse_timestamp_us(b"1970-01-01T01:00:00+01:00"), Some(0));
        assert_eq!(parse_timestamp_us(b"3/1/16 0:07"), None);
    }
}
