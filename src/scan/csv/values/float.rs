//! Doubles and floats, rounded to the nearest.

use super::number::Number;

/// A decimal number, rounded to the nearest double, or `NaN`, `inf`, `infinity`: what
/// `str::parse` accepts, with its result. A number beyond all doubles is none.
#[inline]
pub(crate) fn parse_f64(field: &[u8]) -> Option<f64> {
    match Number::parse(field, b'.').and_then(f64_of) {
        Some(value) => Some(value),
        None => f64_of_text(field),
    }
}

/// Like [`parse_f64`], rounded to the nearest float in one step.
#[inline]
pub(crate) fn parse_f32(field: &[u8]) -> Option<f32> {
    match Number::parse(field, b'.').and_then(f32_of) {
        Some(value) => Some(value),
        None => f32_of_text(field),
    }
}

#[cold]
fn f64_of_text(field: &[u8]) -> Option<f64> {
    let value: f64 = str::from_utf8(field).ok()?.parse().ok()?;
    (value.is_finite() || !has_digit(field)).then_some(value)
}

#[cold]
fn f32_of_text(field: &[u8]) -> Option<f32> {
    let value: f32 = str::from_utf8(field).ok()?.parse().ok()?;
    (value.is_finite() || !has_digit(field)).then_some(value)
}

/// Words such as `inf` have none.
fn has_digit(field: &[u8]) -> bool {
    field.iter().any(u8::is_ascii_digit)
}

/// Powers of ten that are doubles.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

/// The nearest double, or `None` where finding it takes more than a few operations.
#[inline]
pub(super) fn f64_of(number: Number) -> Option<f64> {
    let Number { negative, mantissa, exponent } = number;
    let power = POWERS.get(exponent.unsigned_abs() as usize);
    let value = match power {
        // Both operands are exact, so the one operation rounds the true result (Clinger 1990).
        Some(power) if mantissa <= 1 << f64::MANTISSA_DIGITS => {
            let mantissa = mantissa as f64;
            if exponent < 0 { mantissa / power } else { mantissa * power }
        }
        _ if exponent == 0 => mantissa as f64,
        _ => {
            let (quotient, shift) = quotient(mantissa, exponent)?;
            // The conversion rounds and the power of two does not.
            quotient as f64 * f64::from_bits(((1023 - shift) as u64) << 52)
        }
    };
    Some(if negative { -value } else { value })
}

/// The nearest float, or `None` where finding it takes more than a few operations.
#[inline]
pub(super) fn f32_of(number: Number) -> Option<f32> {
    let Number { negative, mantissa, exponent } = number;
    let value = if exponent == 0 {
        mantissa as f32
    } else if mantissa == 0 {
        0.0
    } else {
        let (quotient, shift) = quotient(mantissa, exponent)?;
        // The smallest result is 1e-19, so neither factor nor product leaves the normal floats.
        quotient as f32 * f32::from_bits(((127 - shift) as u32) << 23)
    };
    Some(if negative { -value } else { value })
}

/// `mantissa` · 10^`exponent` as a quotient of at least 62 bits over 2^shift, cut off, with the
/// lowest bit set if anything was cut off. A float has its own bits, one that rounds and a few to
/// spare above that bit, so rounding the quotient is rounding the number.
///
/// `None` for exponents other than -19 to -1, and for a mantissa of 0.
#[inline]
fn quotient(mantissa: u64, exponent: i32) -> Option<(u64, i32)> {
    let divisor = DIVISORS.get(usize::try_from(-1 - i64::from(exponent)).ok()?)?;
    if mantissa == 0 {
        return None;
    }
    let zeros = mantissa.leading_zeros();
    // The upper word of the dividend is below 2^63 and the divisor is not.
    let dividend = u128::from(mantissa << zeros) << 63;
    let (quotient, remainder) = divisor.divide(dividend);
    Some((quotient | u64::from(remainder != 0), zeros as i32 + 63 - divisor.shift))
}

/// A power of ten, shifted up to have its highest bit set, with its inverse.
#[derive(Clone, Copy)]
struct Divisor {
    value: u64,
    /// `value` is the power times 2^`shift`.
    shift: i32,
    /// ⌊(2^128 − 1) / `value`⌋ − 2^64.
    inverse: u64,
}

/// 10^1 to 10^19.
const DIVISORS: [Divisor; 19] = {
    let mut divisors = [Divisor { value: 0, shift: 0, inverse: 0 }; 19];
    let mut exponent = 1;
    while exponent <= 19 {
        let power = 10_u64.pow(exponent as u32);
        let shift = power.leading_zeros();
        let value = power << shift;
        let inverse = (u128::MAX / value as u128 - (1 << 64)) as u64;
        divisors[exponent - 1] = Divisor { value, shift: shift as i32, inverse };
        exponent += 1;
    }
    divisors
};

impl Divisor {
    /// Quotient and remainder of a dividend whose upper word is below `value`, by two
    /// multiplications (Möller and Granlund, "Improved division by invariant integers", 2011).
    #[inline]
    fn divide(self, dividend: u128) -> (u64, u64) {
        let (upper, lower) = ((dividend >> 64) as u64, dividend as u64);
        let estimate = u128::from(self.inverse) * u128::from(upper) + dividend;
        let mut quotient = ((estimate >> 64) as u64).wrapping_add(1);
        let mut remainder = lower.wrapping_sub(quotient.wrapping_mul(self.value));
        if remainder > estimate as u64 {
            quotient = quotient.wrapping_sub(1);
            remainder = remainder.wrapping_add(self.value);
        }
        if remainder >= self.value {
            quotient = quotient.wrapping_add(1);
            remainder -= self.value;
        }
        (quotient, remainder)
    }
}
