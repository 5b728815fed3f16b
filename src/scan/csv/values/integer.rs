//! Integers.

use super::digits;

/// Decimal digits with an optional sign, within 64 bits.
#[inline]
pub(crate) fn parse_i64(field: &[u8]) -> Option<i64> {
    parse_int(field)
}

/// Decimal digits with an optional sign, within the range of `T`, which is one of `i8` to `i64`
/// and `u8` to `u64`. `-0` is 0 for unsigned types too.
#[inline]
pub(crate) fn parse_int<T: TryFrom<i64> + TryFrom<u64>>(field: &[u8]) -> Option<T> {
    // Whole columns are of one digit.
    if let [digit @ b'0'..=b'9'] = field {
        return T::try_from(u64::from(digit - b'0')).ok();
    }
    let (negative, digits) = split_sign(field);
    let magnitude = match digits::up_to_nineteen(digits) {
        Some(magnitude) => magnitude,
        None => many_digits(digits)?,
    };
    if !negative {
        return T::try_from(magnitude).ok();
    }
    if magnitude > i64::MIN.unsigned_abs() {
        return None;
    }
    T::try_from((magnitude as i64).wrapping_neg()).ok()
}

/// Whether the number is negative, and what follows the sign.
#[inline]
pub(super) fn split_sign(field: &[u8]) -> (bool, &[u8]) {
    match field {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    }
}

/// More than 19 digits: leading zeros, or one of the largest numbers of 64 bits without a sign.
#[cold]
fn many_digits(digits: &[u8]) -> Option<u64> {
    const MOST_DIGITS: usize = 20;
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    let rest = &digits[zeros..];
    if digits.len() < MOST_DIGITS || rest.len() > MOST_DIGITS {
        return None;
    }
    rest.iter().try_fold(0_u64, |value, byte| {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}
