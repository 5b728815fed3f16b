//! Numbers of columns whose type was found in samples: a text that says more than its number, such
//! as the code `07072`, is none.

use std::io::Write;

use super::float::parse_f64;
use super::integer::parse_i64;
use super::style::{NumberStyle, parse_f64_styled, parse_i64_styled};

/// Like [`parse_i64`], without a plus sign or zeros before another digit.
#[inline]
pub(crate) fn parse_exact_i64(field: &[u8]) -> Option<i64> {
    // Whole columns are of one digit, of which many are zero.
    if field.len() > 1 && loses_front(field, None) {
        return None;
    }
    parse_i64(field)
}

/// Like [`parse_exact_i64`], for numbers of this style.
#[inline]
pub(crate) fn parse_exact_i64_styled(field: &[u8], style: &NumberStyle) -> Option<i64> {
    if loses_front(field, style.thousands) {
        return None;
    }
    parse_i64_styled(field, style)
}

/// Like [`parse_f64`], without a plus sign or zeros before another digit. A number without an
/// exponent has no more digits before its fraction than the double keeps.
#[inline]
pub(crate) fn parse_exact_f64(field: &[u8]) -> Option<f64> {
    let value = parse_f64(field)?;
    if loses_front(field, None) || (value.abs() >= LARGE && !keeps_digits(field, value, &USUAL)) {
        return None;
    }
    Some(value)
}

/// Like [`parse_exact_f64`], for numbers of this style.
#[inline]
pub(crate) fn parse_exact_f64_styled(field: &[u8], style: &NumberStyle) -> Option<f64> {
    let value = parse_f64_styled(field, style)?;
    let loses_front = loses_front(field, style.thousands);
    if loses_front || (value.abs() >= LARGE && !keeps_digits(field, value, style)) {
        return None;
    }
    Some(value)
}

const USUAL: NumberStyle = NumberStyle { decimal: b'.', thousands: None };

/// Below it, there is a double for every integer.
pub(crate) const EXACT_INTEGERS: u64 = 1 << f64::MANTISSA_DIGITS;
const LARGE: f64 = EXACT_INTEGERS as f64;

/// Whether the number that a text is would be written without its first character: a plus sign, or
/// a zero before another digit.
#[inline]
fn loses_front(field: &[u8], thousands: Option<u8>) -> bool {
    match field {
        // Most numbers; signs and marks come before the digits.
        [b'1'..=u8::MAX, ..] => false,
        [b'-', digits @ ..] | digits => match digits {
            [b'+', ..] => true,
            [b'0', next, ..] => next.is_ascii_digit() || Some(*next) == thousands,
            _ => false,
        },
    }
}

/// Whether a double that is no fraction would be written with the digits of the text that it was
/// read from. What has an exponent is rounded as a matter of course.
#[cold]
fn keeps_digits(field: &[u8], value: f64, style: &NumberStyle) -> bool {
    /// What the largest double has.
    const MAX_DIGITS: usize = 309;
    let digits = field.strip_prefix(b"-").unwrap_or(field);
    let point = digits.iter().position(|byte| *byte == style.decimal).unwrap_or(digits.len());
    let (integer, fraction) = digits.split_at(point);
    let fraction = fraction.get(1..).unwrap_or_default();
    let is_separator = |byte: &u8| Some(*byte) == style.thousands;
    if !integer.iter().all(|byte| byte.is_ascii_digit() || is_separator(byte))
        || !fraction.iter().all(u8::is_ascii_digit)
    {
        return true;
    }
    let mut written = [0; MAX_DIGITS];
    let mut rest = &mut written[..];
    let fits = write!(rest, "{}", value.abs()).is_ok();
    let left = rest.len();
    let integer = integer.iter().filter(|byte| !is_separator(byte));
    fits && fraction.iter().all(|byte| *byte == b'0') && integer.eq(&written[..MAX_DIGITS - left])
}

#[cfg(test)]
mod tests {
    use super::*;

    const GERMAN: NumberStyle = NumberStyle { decimal: b',', thousands: Some(b'.') };

    #[test]
    fn integers_lose_nothing() {
        for (text, value) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("7", Some(7)),
            ("-70", Some(-70)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("07", None),
            ("-07", None),
            ("00", None),
            ("+7", None),
            ("07072", None),
            ("1x", None),
            ("", None),
        ] {
            assert_eq!(parse_exact_i64(text.as_bytes()), value, "{text:?}");
            assert_eq!(parse_exact_i64_styled(text.as_bytes(), &USUAL), value, "{text:?}");
        }
        for (text, value) in
            [("1.234", Some(1234)), ("0.001", None), ("-012", None), ("0", Some(0))]
        {
            assert_eq!(parse_exact_i64_styled(text.as_bytes(), &GERMAN), value, "{text:?}");
        }
    }

    #[test]
    fn doubles_lose_no_digits_before_the_fraction() {
        for text in [
            "0",
            "-0",
            "0.5",
            "-0.5",
            ".5",
            "-.5",
            "0e5",
            "1e3",
            "1.7976931348623157e308",
            "12345678901234567890e2",
            "0.30000000000000004",
            "4503599627370495.5",
            "9007199254740992",
            "9007199254740992.000",
            "10000000000000000",
            "-100000000000000000000",
            "123456789012345670000",
            "NaN",
            "inf",
            "-Infinity",
        ] {
            let bits = |value: Option<f64>| value.map(f64::to_bits);
            let field = text.as_bytes();
            let lenient = parse_f64(field);
            assert!(lenient.is_some(), "{text:?}");
            assert_eq!(bits(parse_exact_f64(field)), bits(lenient), "{text:?}");
            assert_eq!(bits(parse_exact_f64_styled(field, &USUAL)), bits(lenient), "{text:?}");
        }
        for text in [
            "07.5",
            "-07.5",
            "00.5",
            "007",
            "+1.5",
            "9007199254740993",
            "9007199254740991.5",
            "9007199254740992.5",
            "-12345678901234567.89",
            "12345678901234567890",
            "1e400",
            "x",
        ] {
            assert_eq!(parse_exact_f64(text.as_bytes()), None, "{text:?}");
            assert_eq!(parse_exact_f64_styled(text.as_bytes(), &USUAL), None, "{text:?}");
        }
        assert_eq!(parse_exact_f64_styled(b"12.345,5", &GERMAN), Some(12345.5));
        assert_eq!(parse_exact_f64_styled(b"10.000.000.000.000.000,0", &GERMAN), Some(1e16));
        assert_eq!(parse_exact_f64_styled(b"10.000.000.000.000.001", &GERMAN), None);
        assert_eq!(parse_exact_f64_styled(b"0.001,5", &GERMAN), None);
    }

    #[test]
    fn doubles_come_back_as_they_are_written() {
        for exponent in -300..=308 {
            for mantissa in [1.0, 1.5, 9.87654321, 1.2345678901234567] {
                let text = format!("{}", -mantissa * 10_f64.powi(exponent));
                assert!(parse_exact_f64(text.as_bytes()).is_some(), "{text}");
            }
        }
    }
}
