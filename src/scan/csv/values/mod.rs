//! Single CSV values from their bytes.
//!
//! All parsers take the bytes of one field, of any kind, and return `None` if they are not a value
//! of the type or one out of its range. None of them allocates or panics. Nothing is trimmed.
//! Common forms are parsed eight bytes at a time, with the results of std's and arrow's parsers, to
//! which the rarer forms of floats and times go.
//!
//! Those called exact are for columns whose type was found in samples: they take what the samples
//! are taken for, and no text that says more than its value would.

mod decimal;
mod digits;
mod exact;
mod float;
mod format;
mod integer;
mod number;
mod style;
mod time;

#[cfg(test)]
pub(crate) use decimal::{parse_decimal128, parse_decimal256};
pub(crate) use exact::{
    EXACT_INTEGERS, parse_exact_f64, parse_exact_f64_styled, parse_exact_i64,
    parse_exact_i64_styled,
};
pub(crate) use float::{parse_f32, parse_f64};
pub(crate) use format::DateFormat;
#[cfg(test)]
pub(crate) use integer::parse_i64;
pub(crate) use integer::parse_int;
pub(crate) use style::{
    NumberStyle, parse_decimal128_styled, parse_decimal256_styled, parse_f64_styled,
    parse_i64_styled, parse_int_styled,
};
pub(crate) use time::{
    parse_date, parse_exact_date, parse_exact_time_us, parse_exact_timestamp, parse_time_us,
    parse_timestamp, parse_timestamp_in,
};

/// `true` or `false` in any case.
#[inline]
pub(crate) fn parse_bool(field: &[u8]) -> Option<bool> {
    if field.eq_ignore_ascii_case(b"true") {
        Some(true)
    } else if field.eq_ignore_ascii_case(b"false") {
        Some(false)
    } else {
        None
    }
}

/// Hexadecimal digits, two a byte, as the bytes; `false` if they are none.
pub(crate) fn parse_hex(field: &[u8], bytes: &mut Vec<u8>) -> bool {
    let (pairs, rest) = field.as_chunks::<2>();
    bytes.clear();
    bytes.extend(pairs.iter().map_while(|[high, low]| {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        Some((digit(*high)? * 16 + digit(*low)?) as u8)
    }));
    rest.is_empty() && bytes.len() == pairs.len()
}

#[cfg(test)]
mod tests;
