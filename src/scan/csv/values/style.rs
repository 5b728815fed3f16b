//! Numbers as people write them: with a decimal comma, with thousands set apart.

use arrow::datatypes::i256;

use super::decimal::{marked_decimal128, marked_decimal256, parse_decimal128, parse_decimal256};
use super::float::{f64_of, parse_f64};
use super::integer::{parse_int, split_sign};
use super::number::Number;

/// How the numbers of a column are written.
///
/// With `thousands`, the digits before the decimal mark may be in groups of three, of which the
/// first may be shorter, with that byte between them; a number without groups is a number too.
/// With more than 128 bytes besides the separators, only a number of the usual style is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NumberStyle {
    /// The decimal mark, `.` or `,`.
    pub(crate) decimal: u8,
    /// What is between groups of digits, another byte than the decimal mark.
    pub(crate) thousands: Option<u8>,
}

impl Default for NumberStyle {
    fn default() -> Self {
        NumberStyle { decimal: b'.', thousands: None }
    }
}

/// Like [`parse_f64`], for numbers of this style.
#[inline]
pub(crate) fn parse_f64_styled(field: &[u8], style: &NumberStyle) -> Option<f64> {
    if *style == NumberStyle::default() {
        return parse_f64(field);
    }
    match Number::parse(field, style.decimal).and_then(f64_of) {
        Some(value) => Some(value),
        None => Plain::new(field, style)?.parse(parse_f64),
    }
}

/// Like [`parse_i64`](super::integer::parse_i64), for numbers of this style.
#[inline]
pub(crate) fn parse_i64_styled(field: &[u8], style: &NumberStyle) -> Option<i64> {
    parse_int_styled(field, style)
}

/// Like [`parse_int`], for numbers of this style.
#[inline]
pub(crate) fn parse_int_styled<T: TryFrom<i64> + TryFrom<u64>>(
    field: &[u8],
    style: &NumberStyle,
) -> Option<T> {
    match (parse_int(field), style.thousands) {
        (None, Some(_)) => Plain::new(field, style)?.parse(parse_int),
        (value, _) => value,
    }
}

/// Like [`parse_decimal128`], for numbers of this style.
#[inline]
pub(crate) fn parse_decimal128_styled(
    field: &[u8],
    precision: u8,
    scale: i8,
    style: &NumberStyle,
) -> Option<i128> {
    match (marked_decimal128(field, style.decimal, precision, scale), style.thousands) {
        (None, Some(_)) => {
            Plain::new(field, style)?.parse(|text| parse_decimal128(text, precision, scale))
        }
        (value, _) => value,
    }
}

/// Like [`parse_decimal256`], for numbers of this style.
pub(crate) fn parse_decimal256_styled(
    field: &[u8],
    precision: u8,
    scale: i8,
    style: &NumberStyle,
) -> Option<i256> {
    match (marked_decimal256(field, style.decimal, precision, scale), style.thousands) {
        (None, Some(_)) => {
            Plain::new(field, style)?.parse(|text| parse_decimal256(text, precision, scale))
        }
        (value, _) => value,
    }
}

/// The longest field that is rewritten; no number of more digits is written in groups.
const MAX_BYTES: usize = 128;

/// A number rewritten to the usual style.
struct Plain {
    bytes: [u8; MAX_BYTES],
    len: usize,
}

impl Plain {
    /// `None` if the field is too long, is not grouped by three, or has a separator or, with
    /// another decimal mark, a point behind its digits.
    #[cold]
    fn new(field: &[u8], style: &NumberStyle) -> Option<Plain> {
        let mut plain = Plain { bytes: [0; MAX_BYTES], len: 0 };
        let (_, digits) = split_sign(field);
        plain.push(&field[..field.len() - digits.len()])?;
        let is_end = |byte: &u8| !byte.is_ascii_digit() && Some(*byte) != style.thousands;
        let end = digits.iter().position(is_end).unwrap_or(digits.len());
        let (integer, rest) = digits.split_at(end);
        plain.push_groups(integer, style.thousands)?;
        let rest = match rest {
            [mark, rest @ ..] if *mark == style.decimal => {
                plain.push(b".")?;
                rest
            }
            rest => rest,
        };
        if rest.iter().any(|byte| *byte == b'.' || Some(*byte) == style.thousands) {
            return None;
        }
        plain.push(rest)?;
        Some(plain)
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        let end = self.len + bytes.len();
        self.bytes.get_mut(self.len..end)?.copy_from_slice(bytes);
        self.len = end;
        Some(())
    }

    /// The digits before the decimal mark, without what is between their groups.
    fn push_groups(&mut self, integer: &[u8], thousands: Option<u8>) -> Option<()> {
        const GROUP_DIGITS: usize = 3;
        let mut groups = integer.split(|byte| Some(*byte) == thousands);
        let first = groups.next().unwrap_or_default();
        self.push(first)?;
        let mut is_grouped = false;
        for group in groups {
            if group.len() != GROUP_DIGITS {
                return None;
            }
            is_grouped = true;
            self.push(group)?;
        }
        (!is_grouped || (1..=GROUP_DIGITS).contains(&first.len())).then_some(())
    }

    fn parse<T>(&self, parse: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
        parse(&self.bytes[..self.len])
    }
}

#[cfg(test)]
mod tests {
    use crate::scan::csv::values::{
        NumberStyle, parse_decimal128, parse_decimal128_styled, parse_decimal256,
        parse_decimal256_styled, parse_f64, parse_f64_styled, parse_i64, parse_i64_styled,
        parse_int_styled,
    };

    const GERMAN: NumberStyle = NumberStyle { decimal: b',', thousands: Some(b'.') };
    const FRENCH: NumberStyle = NumberStyle { decimal: b',', thousands: Some(b' ') };
    const COMMA: NumberStyle = NumberStyle { decimal: b',', thousands: None };
    const ENGLISH: NumberStyle = NumberStyle { decimal: b'.', thousands: Some(b',') };

    #[test]
    fn numbers_of_styles() {
        for (style, text, usual) in [
            (GERMAN, "1.234.567,89", "1234567.89"),
            (GERMAN, "-1.234,5e2", "-1234.5e2"),
            (GERMAN, "1234,5", "1234.5"),
            (GERMAN, "+12,", "12."),
            (GERMAN, ",5", ".5"),
            (GERMAN, "123.456", "123456"),
            (GERMAN, "1.000.000.000.000.000.000", "1000000000000000000"),
            (FRENCH, "12 345,678", "12345.678"),
            (COMMA, "0,30000000000000004", "0.30000000000000004"),
            (COMMA, "123456789012345678,5", "123456789012345678.5"),
            (COMMA, "12345678901234567890123,5", "12345678901234567890123.5"),
            (ENGLISH, "1,234,567.89", "1234567.89"),
            (ENGLISH, "0,001", "0001"),
        ] {
            let (text, usual) = (text.as_bytes(), usual.as_bytes());
            assert!(parse_f64(usual).is_some(), "{usual:?}");
            assert_eq!(parse_f64_styled(text, &style), parse_f64(usual), "{text:?}");
            assert_eq!(parse_i64_styled(text, &style), parse_i64(usual), "{text:?}");
            assert_eq!(
                parse_decimal128_styled(text, 38, 3, &style),
                parse_decimal128(usual, 38, 3),
                "{text:?}"
            );
            assert_eq!(
                parse_decimal256_styled(text, 50, 3, &style),
                parse_decimal256(usual, 50, 3),
                "{text:?}"
            );
        }
        let largest = b"18.446.744.073.709.551.615";
        assert_eq!(parse_int_styled(largest, &GERMAN), Some(u64::MAX));
        assert_eq!(parse_int_styled::<i64>(largest, &GERMAN), None);
        assert_eq!(parse_f64_styled(b"inf", &GERMAN), Some(f64::INFINITY));
        assert_eq!(parse_decimal128_styled(b"1.234,56", 5, 2, &GERMAN), None);
    }

    #[test]
    fn numbers_of_other_styles() {
        for (style, text) in [
            (GERMAN, "1.23"),
            (GERMAN, "1.2345"),
            (GERMAN, "1234.567"),
            (GERMAN, ".123"),
            (GERMAN, "1..234"),
            (GERMAN, "1.234."),
            (GERMAN, "1,234.567"),
            (GERMAN, "1,5,5"),
            (GERMAN, "1.5"),
            (GERMAN, "-"),
            (GERMAN, "."),
            (GERMAN, ","),
            (GERMAN, ""),
            (GERMAN, "1.234e1.000"),
            (COMMA, "1.5"),
            (COMMA, "1.500"),
            (COMMA, "1 000"),
            (COMMA, "1,5.5"),
            (FRENCH, " 123"),
            (FRENCH, "1 23"),
            (ENGLISH, "1,23"),
            (ENGLISH, "1,5"),
            (ENGLISH, "1.234,5"),
            (ENGLISH, "1.234,567"),
            (ENGLISH, ",123"),
        ] {
            assert_eq!(parse_f64_styled(text.as_bytes(), &style), None, "{text:?}");
            assert_eq!(parse_i64_styled(text.as_bytes(), &style), None, "{text:?}");
            assert_eq!(parse_decimal128_styled(text.as_bytes(), 38, 3, &style), None, "{text:?}");
            assert_eq!(parse_decimal256_styled(text.as_bytes(), 50, 3, &style), None, "{text:?}");
        }
        let long = "1.".to_string() + &"000.".repeat(45) + "000";
        assert_eq!(parse_f64_styled(long.as_bytes(), &GERMAN), None);
        assert_eq!(parse_f64_styled(b"1\xff000", &GERMAN), None);
    }

    #[test]
    fn the_usual_style_changes_nothing() {
        let usual = NumberStyle::default();
        for text in ["1.5", "-73.993896484375", "1e5", "NaN", "1,5", "1,000", "", "x"] {
            let field = text.as_bytes();
            let bits = |value: Option<f64>| value.map(f64::to_bits);
            assert_eq!(bits(parse_f64_styled(field, &usual)), bits(parse_f64(field)), "{text:?}");
            assert_eq!(parse_i64_styled(field, &usual), parse_i64(field), "{text:?}");
            assert_eq!(
                parse_decimal128_styled(field, 9, 2, &usual),
                parse_decimal128(field, 9, 2),
                "{text:?}"
            );
        }
    }
}
