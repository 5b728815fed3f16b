//! Numbers and fields as bytes, in the spellings of the files being imitated.
//!
//! Rows are built in one growing buffer: at hundreds of bytes a row and millions of rows,
//! `format!` and a `String` for each field would take most of the time.

/// Appends a whole number.
pub(super) fn push_number(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [0; 20];
    let mut start = digits.len();
    loop {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
}

/// Appends a whole number with zeros in front, at least `width` digits wide (at most 20).
pub(super) fn push_padded(out: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    while value > 0 {
        start -= 1;
        digits[start] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits[start.min(20 - width)..]);
}

/// Appends an amount in hundredths without needless zeros: `12`, `0.5`, `17.05`, `-3`.
pub(super) fn push_cents(out: &mut Vec<u8>, cents: i32) {
    if cents < 0 {
        out.push(b'-');
    }
    let cents = cents.unsigned_abs();
    push_number(out, u64::from(cents / 100));
    let rest = (cents % 100) as u8;
    if rest != 0 {
        out.extend_from_slice(&[b'.', b'0' + rest / 10]);
        if !rest.is_multiple_of(10) {
            out.push(b'0' + rest % 10);
        }
    }
}

/// Appends a distance in hundredths as the taxi commission does, with two decimals always and no
/// zero in front of the point: `.50`, `3.30`.
pub(super) fn push_miles(out: &mut Vec<u8>, hundredths: u32) {
    if hundredths >= 100 {
        push_number(out, u64::from(hundredths / 100));
    }
    let rest = (hundredths % 100) as u8;
    out.extend_from_slice(&[b'.', b'0' + rest / 10, b'0' + rest % 10]);
}

/// Appends the time of day as `19:05:39`.
pub(super) fn push_time(out: &mut Vec<u8>, seconds: u32) {
    let two = |value: u32| [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8];
    let ([h0, h1], [m0, m1]) = (two(seconds / 3600), two(seconds / 60 % 60));
    let [s0, s1] = two(seconds % 60);
    out.extend_from_slice(&[h0, h1, b':', m0, m1, b':', s0, s1]);
}

/// Appends a single-precision degree with all its 15 decimals, as the original does:
/// `-73.974784851074219`. Trailing zeros are left out and 0 is `0`.
///
/// Exact for magnitudes from 32 to 128, where the longitudes and latitudes of the city lie.
pub(super) fn push_degrees(out: &mut Vec<u8>, value: f32) {
    if value == 0.0 {
        out.push(b'0');
        return;
    }
    if value < 0.0 {
        out.push(b'-');
    }
    /// Below 128, a single-precision number is a multiple of this fraction of one.
    const UNITS_PER_DEGREE: u64 = 1 << 18;
    const FIVE_TO_15: u64 = 5_u64.pow(15);
    let units = (f64::from(value.abs()) * UNITS_PER_DEGREE as f64) as u64;
    push_number(out, units / UNITS_PER_DEGREE);
    // units * 10^15 / 2^18, where 2^15 is cancelled so that the product fits, rounded half up.
    let mut decimals = ((units % UNITS_PER_DEGREE) * FIVE_TO_15 + 4) / 8;
    if decimals == 0 {
        return;
    }
    let mut width = 15;
    while decimals.is_multiple_of(10) {
        decimals /= 10;
        width -= 1;
    }
    out.push(b'.');
    push_padded(out, decimals, width);
}

/// Appends a floating-point number in its shortest exact form with at least one decimal, as
/// Python and Pandas write it: `1500.0`, `1.2107999999999999`.
pub(super) fn push_float(out: &mut Vec<u8>, value: f64) {
    use std::io::Write;
    if value.fract() == 0.0 && (0.0..1e15).contains(&value) {
        push_number(out, value as u64);
        out.extend_from_slice(b".0");
    } else {
        write!(out, "{value}").expect("a Vec<u8> takes every write");
    }
}

/// Appends a text field, in quotes where `separator` or a quote occurs in it.
pub(super) fn push_field(out: &mut Vec<u8>, text: &str, separator: u8) {
    if text.bytes().any(|byte| byte == separator || matches!(byte, b'"' | b'\n' | b'\r')) {
        out.push(b'"');
        out.extend_from_slice(text.replace('"', "\"\"").as_bytes());
        out.push(b'"');
    } else {
        out.extend_from_slice(text.as_bytes());
    }
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
    fn numbers() {
        assert_eq!(text(|out| push_number(out, 0)), "0");
        assert_eq!(text(|out| push_number(out, u64::MAX)), u64::MAX.to_string());
        assert_eq!(text(|out| push_padded(out, 591, 11)), "00000000591");
        assert_eq!(text(|out| push_padded(out, 0, 2)), "00");
        assert_eq!(text(|out| push_padded(out, 1234, 2)), "1234");
    }

    #[test]
    fn amounts_and_distances() {
        let cents = |value| text(|out| push_cents(out, value));
        assert_eq!(
            [1200, 50, 1705, 0, -300, -30, 5].map(cents),
            ["12", "0.5", "17.05", "0", "-3", "-0.3", "0.05"]
        );
        let miles = |value| text(|out| push_miles(out, value));
        assert_eq!([50, 330, 0, 1205].map(miles), [".50", "3.30", ".00", "12.05"]);
        assert_eq!(text(|out| push_time(out, 19 * 3600 + 5 * 60 + 9)), "19:05:09");
    }

    #[test]
    fn degrees_have_every_decimal_of_the_single_precision() {
        for written in [
            "-73.993896484375",
            "40.750110626220703",
            "-73.974784851074219",
            "40.761848449707031",
            "40",
            "0",
        ] {
            let value: f32 = written.parse().unwrap();
            assert_eq!(text(|out| push_degrees(out, value)), written);
            assert_eq!(written.parse::<f64>().unwrap(), f64::from(value));
        }
    }

    #[test]
    fn floats_are_written_as_python_writes_them() {
        let float = |value| text(|out| push_float(out, value));
        assert_eq!(
            [1500.0, 0.5, 3.0269999999999997, 1.2107999999999999].map(float),
            ["1500.0", "0.5", "3.0269999999999997", "1.2107999999999999"]
        );
    }

    #[test]
    fn fields_are_quoted_where_needed() {
        let field = |value, separator| text(|out| push_field(out, value, separator));
        assert_eq!(field("Meridian Labs, Inc.", b','), "\"Meridian Labs, Inc.\"");
        assert_eq!(field("Meridian Labs, Inc.", b'\t'), "Meridian Labs, Inc.");
        assert_eq!(field("6\" pad", b','), "\"6\"\" pad\"");
    }
}
