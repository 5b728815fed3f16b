//! Decimals of a fixed precision and scale.

use arrow::datatypes::{ArrowNativeTypeOp, Decimal256Type, DecimalType, i256};

use super::digits;
use super::number::{Digits, Number};

/// The most digits of a decimal of 128 bits.
const MAX_PRECISION_128: u8 = 38;

/// A decimal number × 10^`scale`, rounded where it has more digits, halves away from zero, as a cast
/// does. `None` if the result has more than `precision` digits.
///
/// Unlike in arrow's `parse_decimal`, a sign, a point or an `e` without a digit is no number.
#[inline]
pub(crate) fn parse_decimal128(field: &[u8], precision: u8, scale: i8) -> Option<i128> {
    marked_decimal128(field, b'.', precision, scale)
}

/// Like [`parse_decimal128`], for up to 76 digits.
pub(crate) fn parse_decimal256(field: &[u8], precision: u8, scale: i8) -> Option<i256> {
    marked_decimal256(field, b'.', precision, scale)
}

/// The same, with a fraction that begins with `mark`.
pub(super) fn marked_decimal256(field: &[u8], mark: u8, precision: u8, scale: i8) -> Option<i256> {
    match marked_decimal128(field, mark, precision.min(MAX_PRECISION_128), scale) {
        Some(value) => Some(i256::from_i128(value)),
        None => {
            let limit = Decimal256Type::MAX_FOR_EACH_PRECISION.get(usize::from(precision))?;
            any_decimal(field, mark, scale, *limit)
        }
    }
}

/// A decimal whose fraction begins with `mark`.
#[inline]
pub(super) fn marked_decimal128(field: &[u8], mark: u8, precision: u8, scale: i8) -> Option<i128> {
    let limit = *POWERS.get(usize::from(precision))?;
    let Some(Number { negative, mantissa, exponent }) = Number::parse(field, mark) else {
        return any_decimal(field, mark, scale, limit as i128 - 1);
    };
    let shift = exponent + i32::from(scale);
    let power = POWERS.get(shift.unsigned_abs() as usize);
    let magnitude = match (power, shift < 0) {
        _ if shift == 0 => u128::from(mantissa),
        (Some(power), false) => u128::from(mantissa).checked_mul(*power)?,
        (None, false) if mantissa != 0 => return None,
        // A mantissa has no more digits than u64's largest power of ten has zeros.
        (Some(power), true) => u128::from(u64::try_from(*power).map_or(0, |power| {
            let rest = mantissa % power;
            mantissa / power + u64::from(rest >= power - rest)
        })),
        (None, _) => 0,
    };
    if magnitude >= limit {
        return None;
    }
    Some(if negative { -(magnitude as i128) } else { magnitude as i128 })
}

/// 10^0 to 10^38.
const POWERS: [u128; 39] = {
    let mut powers = [1; 39];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

/// A decimal of any number of digits and any exponent, at most `limit`.
#[cold]
fn any_decimal<T: ArrowNativeTypeOp>(field: &[u8], mark: u8, scale: i8, limit: T) -> Option<T> {
    /// Digits whose number, and the power of ten above it, fits a `usize`.
    const CHUNK_DIGITS: usize = usize::MAX.ilog10() as usize;
    let number = Digits::parse(field, mark)?;
    // The digits that count, leading zeros included; fewer than none if all are too small.
    let wanted = number.integer.len() as i64 + number.exponent + i64::from(scale);
    let (integer, fraction) = (number.integer, number.fraction);
    let next = usize::try_from(wanted).ok().and_then(|place| {
        integer.get(place).or_else(|| fraction.get(place.checked_sub(integer.len())?))
    });
    let wanted = usize::try_from(wanted).unwrap_or(0);
    let integer = &integer[..wanted.min(integer.len())];
    let fraction = &fraction[..(wanted - integer.len()).min(fraction.len())];
    let mut value = T::ZERO;
    for chunk in integer.chunks(CHUNK_DIGITS).chain(fraction.chunks(CHUNK_DIGITS)) {
        let power = T::usize_as(10_usize.pow(chunk.len() as u32));
        let digits = T::usize_as(digits::up_to_nineteen(chunk)? as usize);
        value = value.mul_checked(power).ok()?.add_checked(digits).ok()?;
    }
    if value != T::ZERO {
        // Zeros that the text does not write; too many of them overflow.
        let zeros = wanted - integer.len() - fraction.len();
        let power = T::usize_as(10).pow_checked(u32::try_from(zeros).ok()?).ok()?;
        value = value.mul_checked(power).ok()?;
    }
    if next.is_some_and(|digit| *digit >= b'5') {
        value = value.add_checked(T::ONE).ok()?;
    }
    if value.is_gt(limit) {
        return None;
    }
    Some(if number.negative { value.neg_wrapping() } else { value })
}
