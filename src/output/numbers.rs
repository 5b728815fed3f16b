//! Numbers as text, appended to a byte buffer. The formatting machinery of the standard library
//! would take most of the time of writing a CSV file, so the common cases are done by hand.

use std::io::Write;

/// The two digits of every number below 100.
const PAIRS: &[u8; 200] = b"0001020304050607080910111213141516171819\
    2021222324252627282930313233343536373839\
    4041424344454647484950515253545556575859\
    6061626364656667686970717273747576777879\
    8081828384858687888990919293949596979899";

/// The most digits a `u64` has.
const U64_DIGITS: usize = 20;

/// The largest power of ten in a `u64` has this exponent.
const U64_POWER: u32 = 19;

/// Floats of whole value below this are written as integers; all of them are exact.
const WHOLE_LIMIT: f64 = 1e15;

/// Appends the two digits of a number below 100.
#[inline]
pub(super) fn push_pair(value: u64, out: &mut Vec<u8>) {
    let at = (value as usize % 100) * 2;
    out.extend_from_slice(&PAIRS[at..at + 2]);
}

/// Appends an unsigned integer.
#[inline]
pub(super) fn push_unsigned(mut value: u64, out: &mut Vec<u8>) {
    let mut digits = [0_u8; U64_DIGITS];
    let mut start = U64_DIGITS;
    while value >= 100 {
        let at = (value % 100) as usize * 2;
        value /= 100;
        start -= 2;
        digits[start..start + 2].copy_from_slice(&PAIRS[at..at + 2]);
    }
    let at = value as usize * 2;
    start -= 1;
    digits[start] = PAIRS[at + 1];
    if value >= 10 {
        start -= 1;
        digits[start] = PAIRS[at];
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends a signed integer.
#[inline]
pub(super) fn push_signed(value: i64, out: &mut Vec<u8>) {
    if value < 0 {
        out.push(b'-');
    }
    push_unsigned(value.unsigned_abs(), out);
}

/// Appends the integer with zeros in front up to `width` digits.
pub(super) fn push_padded(value: u64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    push_unsigned(value, out);
    let missing = width.saturating_sub(out.len() - start);
    if missing > 0 {
        out.resize(out.len() + missing, b'0');
        out[start..].rotate_right(missing);
    }
}

/// Appends `unscaled · 10^-scale` with exactly `scale` digits after the point.
pub(super) fn push_decimal(unscaled: i128, scale: i8, out: &mut Vec<u8>) {
    if unscaled < 0 {
        out.push(b'-');
    }
    let magnitude = unscaled.unsigned_abs();
    let places = usize::from(scale.unsigned_abs());
    match u64::try_from(magnitude) {
        Ok(small) if scale > 0 && places as u32 <= U64_POWER => {
            let unit = 10_u64.pow(places as u32);
            push_unsigned(small / unit, out);
            out.push(b'.');
            push_padded(small % unit, places, out);
        }
        Ok(small) if scale == 0 => push_unsigned(small, out),
        _ => {
            let mut digits = magnitude.to_string();
            if scale <= 0 {
                if magnitude != 0 {
                    digits.push_str(&"0".repeat(places));
                }
            } else {
                if digits.len() <= places {
                    digits.insert_str(0, &"0".repeat(places + 1 - digits.len()));
                }
                digits.insert(digits.len() - places, '.');
            }
            out.extend_from_slice(digits.as_bytes());
        }
    }
}

/// Appends the shortest text that reads back as the same `f64`.
#[inline]
pub(super) fn push_double(value: f64, out: &mut Vec<u8>) {
    if value.abs() < WHOLE_LIMIT && value.trunc() == value && (value != 0.0 || 1.0 / value > 0.0) {
        push_signed(value as i64, out);
        out.extend_from_slice(b".0");
    } else if value.is_finite() {
        serde_json::to_writer(out, &value).expect("writing to a Vec does not fail");
    } else {
        push_non_finite(value, out);
    }
}

/// Appends the shortest text that reads back as the same `f32`.
pub(super) fn push_float(value: f32, out: &mut Vec<u8>) {
    if value.is_finite() {
        serde_json::to_writer(out, &value).expect("writing to a Vec does not fail");
    } else {
        push_non_finite(f64::from(value), out);
    }
}

fn push_non_finite(value: f64, out: &mut Vec<u8>) {
    write!(out, "{value}").expect("writing to a Vec does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(push: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn integers() {
        for value in [0, 7, 10, 99, 100, 101, 12_345, -1, -100, i64::MAX, i64::MIN] {
            assert_eq!(text(|out| push_signed(value, out)), value.to_string());
        }
        assert_eq!(text(|out| push_unsigned(u64::MAX, out)), u64::MAX.to_string());
        assert_eq!(text(|out| push_padded(42, 5, out)), "00042");
        assert_eq!(text(|out| push_padded(123_456, 5, out)), "123456");
    }

    #[test]
    fn decimals() {
        assert_eq!(text(|out| push_decimal(-5, 2, out)), "-0.05");
        assert_eq!(text(|out| push_decimal(123_456, 2, out)), "1234.56");
        assert_eq!(text(|out| push_decimal(0, 2, out)), "0.00");
        assert_eq!(text(|out| push_decimal(12, 0, out)), "12");
        assert_eq!(text(|out| push_decimal(12, -3, out)), "12000");
        assert_eq!(text(|out| push_decimal(5, 25, out)), "0.0000000000000000000000005");
        assert_eq!(
            text(|out| push_decimal(10_i128.pow(37) + 1, 10, out)),
            "1000000000000000000000000000.0000000001"
        );
    }

    #[test]
    fn floats_read_back() {
        for value in [0.1, 1.0, -0.0, 0.0, 1e15, 1e300, -1.5e-7, 123_456.789, f64::MIN_POSITIVE] {
            let written = text(|out| push_double(value, out));
            assert_eq!(written.parse::<f64>().unwrap().to_bits(), value.to_bits(), "{written}");
        }
        assert_eq!(text(|out| push_double(12.0, out)), "12.0");
        assert_eq!(text(|out| push_double(-0.0, out)), "-0.0");
        assert_eq!(text(|out| push_float(0.1, out)), "0.1");
        assert_eq!(text(|out| push_double(f64::NAN, out)), "NaN");
        assert_eq!(text(|out| push_float(f32::NEG_INFINITY, out)), "-inf");
    }
}
