//! Decimal numbers as a mantissa and a power of ten, before they become doubles or decimals.

use super::digits::{self, HIGH_BITS, ZEROS};
use super::integer::split_sign;

/// ± `mantissa` · 10^`exponent`, with all digits of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Number {
    pub(super) negative: bool,
    pub(super) mantissa: u64,
    pub(super) exponent: i32,
}

/// The most digits whose number always fits a mantissa.
const MANTISSA_DIGITS: usize = 19;

impl Number {
    /// A number with an optional sign, fraction and exponent, at least one digit before the
    /// exponent, and `mark` where the fraction begins.
    ///
    /// `None` says that the text is not such a number, or that it has more than 19 digits without
    /// the leading zeros, or more than four digits of exponent: then [`Digits`] tells.
    // Returned through memory, a number costs as much again as its digits.
    #[inline(always)]
    pub(super) fn parse(field: &[u8], mark: u8) -> Option<Number> {
        let (negative, text) = split_sign(field);
        let short = match text.len() {
            0..=8 => up_to_eight(text, mark),
            9..=16 => up_to_sixteen(text, mark),
            _ => None,
        };
        let (mantissa, exponent) = match short {
            Some((mantissa, fraction_digits)) => (mantissa, -(fraction_digits as i32)),
            None => longer(text, mark)?,
        };
        Some(Number { negative, mantissa, exponent })
    }
}

// The common numbers have no exponent. Their characters are put at the end of a word, as digits
// and with zeros before them, and the gap of the mark is closed by moving what is before it up by
// one byte. Each function gives the mantissa and how many of its digits are behind the mark.

/// At most eight characters.
#[inline]
fn up_to_eight(text: &[u8], mark: u8) -> Option<(u64, u32)> {
    // Shifting a word by all of its bits is not defined.
    let padding = 8 * (8 - text.len() as u32);
    let word = (digits::load(text) ^ ZEROS).checked_shl(padding)?;
    let marks = word ^ u64::from_le_bytes([mark ^ b'0'; 8]);
    // The lowest set bit is in the first byte that is the mark.
    let found = marks.wrapping_sub(HIGH_BITS >> 7) & !marks & HIGH_BITS;
    let has_mark = u32::from(found != 0);
    if text.len() as u32 == has_mark {
        return None;
    }
    // All bits if there is no mark.
    let through_mark = found ^ found.wrapping_sub(1);
    let before = (word & (through_mark >> (8 * has_mark))) << (8 * has_mark);
    let mantissa = digits::eight(before | word & !through_mark)?;
    Some((mantissa, through_mark.leading_zeros() / 8))
}

/// 9 to 16 characters.
#[inline]
fn up_to_sixteen(text: &[u8], mark: u8) -> Option<(u64, u32)> {
    let first = u64::from_le_bytes(*text.first_chunk::<8>()?) ^ ZEROS;
    let last = u64::from_le_bytes(*text.last_chunk::<8>()?) ^ ZEROS;
    // The shift drops the bytes that both have.
    let first = first << (8 * (16 - text.len()));
    sixteen(u128::from(first) | u128::from(last) << 64, mark)
}

/// 17 to 20 characters, of which the mark is one of the first 16.
#[inline]
fn up_to_twenty(text: &[u8], mark: u8) -> Option<(u64, u32)> {
    const POWERS: [u64; 5] = [1, 10, 100, 1_000, 10_000];
    let (front, back) = text.split_first_chunk::<16>()?;
    let zeros = u128::from(ZEROS) << 64 | u128::from(ZEROS);
    let (front, fraction_digits) = sixteen(u128::from_le_bytes(*front) ^ zeros, mark)?;
    let last = u64::from_le_bytes(*text.last_chunk::<8>()?) ^ ZEROS;
    let mantissa = front.checked_mul(*POWERS.get(back.len())?)?;
    let back_digits = digits::eight(last & u64::MAX.checked_shl(8 * (8 - back.len() as u32))?)?;
    // Without a mark there is no fraction, and possibly more than a mantissa holds.
    if fraction_digits == 0 && text[15] != mark {
        return None;
    }
    Some((mantissa + back_digits, fraction_digits + back.len() as u32))
}

/// 16 bytes that are digits but for the mark.
#[inline]
fn sixteen(word: u128, mark: u8) -> Option<(u64, u32)> {
    const HIGH: u128 = (HIGH_BITS as u128) << 64 | HIGH_BITS as u128;
    let marks = word ^ u128::from_le_bytes([mark ^ b'0'; 16]);
    let found = marks.wrapping_sub(HIGH >> 7) & !marks & HIGH;
    let through_mark = found ^ found.wrapping_sub(1);
    let word =
        if found == 0 { word } else { (word & (through_mark >> 8)) << 8 | word & !through_mark };
    let mantissa = digits::eight(word as u64)? * 100_000_000 + digits::eight((word >> 64) as u64)?;
    Some((mantissa, through_mark.leading_zeros() / 8))
}

/// Any text: mantissa and exponent.
#[inline(never)]
fn longer(text: &[u8], mark: u8) -> Option<(u64, i32)> {
    if let 17..=20 = text.len()
        && let Some((mantissa, fraction_digits)) = up_to_twenty(text, mark)
    {
        return Some((mantissa, -(fraction_digits as i32)));
    }
    let (integer, fraction, rest) = split_parts(text, mark);
    if integer.is_empty() && fraction.is_empty() {
        return None;
    }
    let exponent = if rest.is_empty() { 0 } else { exponent(rest)? };
    let integer = without_leading_zeros(integer);
    let significant = if integer.is_empty() { without_leading_zeros(fraction) } else { fraction };
    if integer.len() + significant.len() > MANTISSA_DIGITS {
        return None;
    }
    let mantissa = match (integer, significant) {
        ([], []) => 0,
        ([], digits) | (digits, []) => digits::up_to_nineteen(digits)?,
        (integer, fraction) => {
            let integer = digits::up_to_nineteen(integer)?;
            integer * 10_u64.pow(fraction.len() as u32) + digits::up_to_nineteen(fraction)?
        }
    };
    let fraction_digits = i32::try_from(fraction.len()).ok()?;
    Some((mantissa, exponent - fraction_digits))
}

/// The digits of a number of any length, for what does not fit a [`Number`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Digits<'a> {
    pub(super) negative: bool,
    pub(super) integer: &'a [u8],
    pub(super) fraction: &'a [u8],
    /// The power of ten that the number is multiplied by; ends far outside of any type's range.
    pub(super) exponent: i64,
}

impl<'a> Digits<'a> {
    /// Accepts what [`Number::parse`] does, without its limits.
    pub(super) fn parse(field: &'a [u8], mark: u8) -> Option<Self> {
        const MAX_EXPONENT: i64 = 1 << 48;
        let (negative, text) = split_sign(field);
        let (integer, fraction, rest) = split_parts(text, mark);
        if integer.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut exponent = 0_i64;
        if !rest.is_empty() {
            let (negative, digits) = exponent_digits(rest)?;
            for byte in digits {
                let digit = byte.wrapping_sub(b'0');
                if digit > 9 {
                    return None;
                }
                exponent = (exponent * 10 + i64::from(digit)).min(MAX_EXPONENT);
            }
            if negative {
                exponent = -exponent;
            }
        }
        Some(Digits { negative, integer, fraction, exponent })
    }
}

/// The digits before the mark, those behind it, and what follows.
#[inline]
fn split_parts(text: &[u8], mark: u8) -> (&[u8], &[u8], &[u8]) {
    let (integer, rest) = text.split_at(digit_count(text));
    match rest {
        [first, rest @ ..] if *first == mark => {
            let (fraction, rest) = rest.split_at(digit_count(rest));
            (integer, fraction, rest)
        }
        rest => (integer, &[], rest),
    }
}

/// The value of an exponent of at most four digits, from its `e` on.
fn exponent(text: &[u8]) -> Option<i32> {
    let (negative, digits) = exponent_digits(text)?;
    if digits.len() > 4 {
        return None;
    }
    let value = digits::up_to_nineteen(digits)? as i32;
    Some(if negative { -value } else { value })
}

/// Whether the exponent is negative, and its digits, of which there is at least one byte.
fn exponent_digits(text: &[u8]) -> Option<(bool, &[u8])> {
    let [b'e' | b'E', exponent @ ..] = text else { return None };
    let (negative, digits) = split_sign(exponent);
    (!digits.is_empty()).then_some((negative, digits))
}

/// How many digits the text begins with.
#[inline]
fn digit_count(text: &[u8]) -> usize {
    let mut count = 0;
    while let Some(chunk) = text[count..].first_chunk::<8>() {
        let digits = digits::leading(u64::from_le_bytes(*chunk));
        count += digits;
        if digits < 8 {
            return count;
        }
    }
    // Zero bytes are no digits, so a load that is padded with them ends where the text does.
    count + digits::leading(digits::load(&text[count..]))
}

fn without_leading_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
    &digits[zeros..]
}
