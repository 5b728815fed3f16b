//! Eight decimal digits at a time, in the bytes of a word.
//!
//! A word holds text in the order of memory: its lowest byte is the first character and so the
//! most significant digit. Zero bytes below the text are leading zeros and zero bytes above it are
//! trailing ones, which is how shorter texts are parsed by the same three multiplications.

/// The character `0` in every byte: text `^ ZEROS` is digits.
pub(super) const ZEROS: u64 = 0x3030_3030_3030_3030;

/// The highest bit of every byte.
pub(super) const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

/// A byte above 9 has its highest bit set once this is added, or had it before.
const ABOVE_NINE: u64 = 0x7676_7676_7676_7676;

/// Up to eight bytes as a word, with zeros above them; of a longer slice, the first eight.
#[inline]
pub(super) fn load(bytes: &[u8]) -> u64 {
    if let Some(eight) = bytes.first_chunk::<8>() {
        return u64::from_le_bytes(*eight);
    }
    // Two reads that overlap agree on the bytes they share.
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        let last = u64::from(u32::from_le_bytes(*last)) << (8 * (bytes.len() - 4));
        return u64::from(u32::from_le_bytes(*first)) | last;
    }
    match bytes {
        [] => 0,
        // The same, with three.
        [first, ..] => {
            let (middle, last) = (bytes.len() / 2, bytes.len() - 1);
            u64::from(*first)
                | u64::from(bytes[middle]) << (8 * middle)
                | u64::from(bytes[last]) << (8 * last)
        }
    }
}

/// How many of the eight characters of `text` are digits before the first that is not.
#[inline]
pub(super) fn leading(text: u64) -> usize {
    let digits = text ^ ZEROS;
    // A sum may carry into the next byte, but only out of one that is no digit either.
    let others = (digits.wrapping_add(ABOVE_NINE) | digits) & HIGH_BITS;
    (others.trailing_zeros() / 8) as usize
}

/// The number that eight digits (not characters) are; `None` if a byte is above 9.
#[inline]
pub(super) fn eight(digits: u64) -> Option<u64> {
    if (digits.wrapping_add(ABOVE_NINE) | digits) & HIGH_BITS != 0 {
        return None;
    }
    // Neighbours become numbers below 100, in every second byte; then two products put together
    // the four of them, each at its power of hundred, in the upper half.
    const PAIRS: u64 = 0x0000_00ff_0000_00ff;
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let first_and_third = (pairs & PAIRS).wrapping_mul(100 | (1_000_000 << 32));
    let second_and_fourth = ((pairs >> 16) & PAIRS).wrapping_mul(1 | (10_000 << 32));
    Some(first_and_third.wrapping_add(second_and_fourth) >> 32)
}

/// The number that 1 to 19 characters are; `None` if one is not a digit or their count is another.
#[inline]
pub(super) fn up_to_nineteen(text: &[u8]) -> Option<u64> {
    const E8: u64 = 100_000_000;
    let count = text.len();
    match count {
        1..=8 => eight((load(text) ^ ZEROS) << (8 * (8 - count))),
        9..=16 => {
            let head = eight((load(text) ^ ZEROS) << (8 * (16 - count)))?;
            Some(head * E8 + last_eight(text)?)
        }
        17..=19 => {
            let (front, _) = text.split_at(count - 8);
            let head = eight((load(front) ^ ZEROS) << (8 * (24 - count)))?;
            Some((head * E8 + last_eight(front)?) * E8 + last_eight(text)?)
        }
        _ => None,
    }
}

#[inline]
fn last_eight(text: &[u8]) -> Option<u64> {
    eight(u64::from_le_bytes(*text.last_chunk::<8>()?) ^ ZEROS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_count_of_digits() {
        let text = b"9876543210987654321";
        for count in 1..=19 {
            let digits = &text[..count];
            let expected: u64 = str::from_utf8(digits).unwrap().parse().unwrap();
            assert_eq!(up_to_nineteen(digits), Some(expected));
        }
        assert_eq!(up_to_nineteen(b""), None);
        assert_eq!(up_to_nineteen(b"98765432109876543210"), None);
    }

    #[test]
    fn every_byte_at_every_place() {
        for count in 1..=19 {
            for place in 0..count {
                for byte in 0..=u8::MAX {
                    let mut text = vec![b'7'; count];
                    text[place] = byte;
                    let number = str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
                    // std takes a plus sign.
                    let expected = number.filter(|_| byte != b'+');
                    assert_eq!(up_to_nineteen(&text), expected, "{text:?}");
                }
            }
        }
    }

    #[test]
    fn leading_digits() {
        for place in 0..8 {
            for byte in 0..=u8::MAX {
                let mut text = *b"01928374";
                text[place] = byte;
                let expected = if byte.is_ascii_digit() { 8 } else { place };
                assert_eq!(leading(u64::from_le_bytes(text)), expected, "{text:?}");
            }
        }
    }

    #[test]
    fn loads_end_with_the_text() {
        let text = *b"abcdefghij";
        for count in 0..=8 {
            let mut word = [0; 8];
            word[..count].copy_from_slice(&text[..count]);
            assert_eq!(load(&text[..count]), u64::from_le_bytes(word));
        }
        assert_eq!(load(&text), u64::from_le_bytes(*b"abcdefgh"));
    }
}
