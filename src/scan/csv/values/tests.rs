//! The parsers against those of std and arrow, over random and broken texts.

use std::fmt::Debug;
use std::str::FromStr;

use arrow::array::timezone::Tz;
use arrow::array::types::Decimal128Type;
use arrow::compute::kernels::cast_utils::{
    Parser, parse_decimal, string_to_datetime, string_to_time_nanoseconds,
};
use arrow::datatypes::{Date32Type, TimeUnit, i256};
use chrono::Utc;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

pub(super) fn parse_timestamp_us(field: &[u8]) -> Option<i64> {
    parse_timestamp(field, TimeUnit::Microsecond)
}

/// Random texts.
struct Texts(ChaCha8Rng);

impl Texts {
    fn new(seed: u64) -> Texts {
        Texts(ChaCha8Rng::seed_from_u64(seed))
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.0.next_u64() % limit as u64) as usize
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Up to 30 characters that values are made of, and a few that they are not.
    fn soup(&mut self) -> Vec<u8> {
        let len = self.below(31);
        (0..len)
            .map(|_| self.pick(b"0123456789012345678900..-+eE :TZ/,nafiNItyz\0\xc3\xff"))
            .collect()
    }

    /// The text with a byte or two changed, left out or put in.
    fn broken(&mut self, text: &str) -> Vec<u8> {
        let mut text = text.as_bytes().to_vec();
        for _ in 0..=self.below(2) {
            let place = self.below(text.len() + 1);
            let byte = if self.below(4) == 0 {
                self.0.next_u32() as u8
            } else {
                self.pick(b"0123456789.-+eE :TZ/,")
            };
            match self.below(3) {
                0 => text.insert(place, byte),
                1 if place < text.len() => text[place] = byte,
                _ if place < text.len() => drop(text.remove(place)),
                _ => {}
            }
        }
        text
    }

    fn digits(&mut self, max: usize) -> String {
        let len = self.below(max + 1);
        (0..len).map(|_| self.pick(b"0123456789") as char).collect()
    }

    /// A decimal number or something close to one.
    fn decimal(&mut self) -> String {
        let max = self.pick(&[2, 5, 8, 12, 20, 40]);
        let mut text = format!("{}{}", self.pick(&["", "-", "+"]), self.digits(max));
        if self.below(4) > 0 {
            let max = self.pick(&[2, 8, 15, 18, 40]);
            text = format!("{text}.{}", self.digits(max));
        }
        if self.below(5) == 0 {
            let sign = self.pick(&["", "-", "+"]);
            let max = self.pick(&[1, 2, 3]);
            text = format!("{text}{}{sign}{}", self.pick(&["e", "E"]), self.digits(max));
        }
        text
    }

    /// A date that may be wrong by a little.
    fn date(&mut self) -> String {
        let year = self.pick(&[0, 1, 4, 100, 400, 1600, 1677, 1900, 1969, 1970, 2000, 2262, 9999])
            + self.below(5);
        let (month, day) = (self.below(14), self.below(33));
        match self.below(8) {
            0 => format!("{year:04}-{month}-{day}"),
            1 => format!("{year:04}{month:02}{day:02}"),
            _ => format!("{year:04}-{month:02}-{day:02}"),
        }
    }

    fn time(&mut self) -> String {
        let (hour, minute, second) = (self.below(25), self.below(61), self.below(62));
        let fraction = self.digits(14);
        match self.below(4) {
            0 => format!("{hour:02}:{minute:02}:{second:02}"),
            1 => format!("{hour:02}{minute:02}{second:02}"),
            _ => format!("{hour:02}:{minute:02}:{second:02}.{fraction}"),
        }
    }

    fn timestamp(&mut self) -> String {
        let between = self.pick(&[" ", "T", "t", "_"]);
        let zone = self.pick(&["", "", "Z", "z", "+02:00", "-0330", " +05", "+24:00"]);
        format!("{}{between}{}{zone}", self.date(), self.time())
    }
}

/// Calls `check` with many texts: those of `text`, broken ones of them, and soup.
fn for_texts(seed: u64, text: impl Fn(&mut Texts) -> String, mut check: impl FnMut(&[u8])) {
    const ROUNDS: usize = 60_000;
    let mut texts = Texts::new(seed);
    for _ in 0..ROUNDS {
        let text = text(&mut texts);
        check(text.as_bytes());
        check(&texts.broken(&text));
        check(&texts.soup());
    }
}

fn shown(field: &[u8]) -> String {
    String::from_utf8_lossy(field).into_owned()
}

/// What std makes of an integer, which is this project's grammar but for the `-0` of types without
/// a sign.
fn std_int<T: FromStr>(field: &[u8]) -> Option<T> {
    str::from_utf8(field).ok()?.parse().ok()
}

#[test]
fn integers_like_std() {
    fn check<T>(field: &[u8])
    where
        T: TryFrom<i64> + TryFrom<u64> + TryFrom<i128> + PartialEq + Debug,
    {
        let expected = std_int::<i128>(field).and_then(|value| T::try_from(value).ok());
        assert_eq!(parse_int::<T>(field), expected, "{:?}", shown(field));
    }
    let text = |texts: &mut Texts| {
        let max = texts.pick(&[3, 5, 10, 20, 24]);
        format!("{}{}", texts.pick(&["", "-", "+"]), texts.digits(max))
    };
    for_texts(1, text, |field| {
        check::<i64>(field);
        check::<u64>(field);
        check::<i32>(field);
        check::<u32>(field);
        check::<i16>(field);
        check::<u16>(field);
        check::<i8>(field);
        check::<u8>(field);
        assert_eq!(parse_i64(field), std_int(field), "{:?}", shown(field));
    });
}

#[test]
fn integers_at_their_ends() {
    for (text, value) in [
        ("9223372036854775807", Some(i64::MAX)),
        ("-9223372036854775808", Some(i64::MIN)),
        ("9223372036854775808", None),
        ("-9223372036854775809", None),
        ("18446744073709551616", None),
        ("99999999999999999999", None),
        ("0000000000000000000000000000000000009", Some(9)),
        ("-0000000000000000000000", Some(0)),
        ("+7", Some(7)),
        ("-0", Some(0)),
        ("", None),
        ("-", None),
        ("+-1", None),
        ("1.0", None),
        (" 1", None),
        ("1 ", None),
        ("0x1", None),
        ("1\0", None),
        ("\u{0661}", None),
    ] {
        assert_eq!(parse_i64(text.as_bytes()), value, "{text:?}");
    }
    assert_eq!(parse_int::<u64>(b"18446744073709551615"), Some(u64::MAX));
    assert_eq!(parse_int::<u64>(b"18446744073709551616"), None);
    assert_eq!(parse_int::<u64>(b"-1"), None);
    assert_eq!(parse_int::<u8>(b"255"), Some(255));
    assert_eq!(parse_int::<u8>(b"256"), None);
    assert_eq!(parse_int::<i8>(b"-128"), Some(-128));
    assert_eq!(parse_int::<i8>(b"128"), None);
    assert_eq!(parse_i64(b"12\xff"), None);
}

#[test]
fn booleans() {
    for (text, value) in [
        ("true", Some(true)),
        ("TRUE", Some(true)),
        ("False", Some(false)),
        ("t", None),
        ("1", None),
        ("", None),
        ("true ", None),
    ] {
        assert_eq!(parse_bool(text.as_bytes()), value, "{text:?}");
    }
}

/// Both floats have the bits that std gives; all NaNs are one. Only words are infinite.
fn check_floats(field: &[u8]) {
    let text = str::from_utf8(field).ok();
    let is_word = !field.iter().any(u8::is_ascii_digit);
    let double: Option<f64> = text.and_then(|text| text.parse().ok());
    let double = double.filter(|value| is_word || !value.is_infinite());
    let float: Option<f32> = text.and_then(|text| text.parse().ok());
    let float = float.filter(|value| is_word || !value.is_infinite());
    let bits = |value: Option<f64>| value.map(|v| if v.is_nan() { 1 } else { v.to_bits() });
    assert_eq!(bits(parse_f64(field)), bits(double), "{:?}", shown(field));
    let bits = |value: Option<f32>| value.map(|v| if v.is_nan() { 1 } else { v.to_bits() });
    assert_eq!(bits(parse_f32(field)), bits(float), "{:?} as f32", shown(field));
}

#[test]
fn floats_like_std() {
    for_texts(2, Texts::decimal, check_floats);
}

#[test]
fn written_floats_come_back() {
    let mut texts = Texts::new(3);
    for _ in 0..60_000 {
        let value = f64::from_bits(texts.0.next_u64());
        check_floats(value.to_string().as_bytes());
        check_floats(format!("{value:e}").as_bytes());
        let value = f32::from_bits(texts.0.next_u32());
        check_floats(value.to_string().as_bytes());
        // Longitudes and the like, with all the digits of a double.
        let value = texts.below(360_000_000_000) as f64 / 1e9 / 1.1 - 180.0;
        check_floats(value.to_string().as_bytes());
    }
}

/// Numbers in the middle between two floats, and next to it, where a lost digit shows.
#[test]
fn ties_go_to_even() {
    let mut texts = Texts::new(4);
    for _ in 0..30_000 {
        // Up to 19 digits: a double with some fraction bits, and the half of its last bit.
        let fraction_bits = 1 + texts.below(7) as u32;
        let odd = (texts.0.next_u64() >> 10) | 1 << 53 | 1;
        let tie = u128::from(odd >> fraction_bits.min(6));
        let scaled = tie * 5_u128.pow(fraction_bits);
        for near in [-1_i128, 0, 1] {
            let text = (scaled as i128 + near).to_string();
            let point = text.len() - fraction_bits as usize;
            check_floats(format!("{}.{}", &text[..point], &text[point..]).as_bytes());
        }
        // A float's tie has few digits: 25 bits with one of fraction.
        let odd = (texts.0.next_u32() >> 7) | 1 << 24 | 1;
        let text = format!("{}.5", odd >> 1);
        check_floats(text.as_bytes());
        check_floats(format!("{text}000000001").as_bytes());
    }
}

#[test]
fn floats_at_their_ends() {
    for text in [
        "0",
        "-0",
        "0.0",
        "-.0",
        "+0e9",
        "0e999999999999",
        ".50",
        "5.",
        "-5.",
        "+.5",
        "1e3",
        "1E+03",
        "1e-3",
        "1.e5",
        "9007199254740991",
        "9007199254740992",
        "9007199254740993",
        "900719925474099.3",
        "90071992547409.93",
        "9007199254740993e1",
        "9007199254740993e22",
        "9007199254740992e23",
        "9007199254740993e-22",
        "18446744073709551615",
        "18446744073709551616",
        "9999999999999999999",
        "999999999999999999.9",
        "4.9e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.2250738585072014e-308",
        "2.2250738585072011e-308",
        "1.7976931348623157e308",
        "1.7976931348623159e308",
        "1e309",
        "-1e400",
        "1e-400",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        "3.4028235e38",
        "3.4028236e38",
        "1.1754944e-38",
        "1e-45",
        "7e-46",
        "16777217",
        "16777217.0",
        "16777219.0",
        "0.1",
        "0.3",
        "1.2107999999999999",
        "40.747051239013672",
        "-73.993896484375",
        "0.30000000000000004",
        "0.000000000000000001",
        "0.0000000000000000001",
        "0.00000000000000000001",
        "0000000000000000000000.5",
        "NaN",
        "nan",
        "-NaN",
        "inf",
        "-INF",
        "+Infinity",
        "infinity",
        "infinit",
        "in",
        "",
        "-",
        "+",
        ".",
        "-.",
        "e5",
        ".e5",
        "1e",
        "1e+",
        "1e5.0",
        "1..2",
        "1.2.3",
        "1,5",
        "1_0",
        "0x10",
        " 1",
        "1 ",
        "1\0",
        "\0",
        "--1",
        "+-1",
        "12345678.",
        ".12345678",
        "1234567.8",
        "123456789012345.",
        ".123456789012345",
        "1234567890123456.",
        ".1234567890123456",
    ] {
        check_floats(text.as_bytes());
    }
    check_floats(b"1.\xff5");
    assert_eq!(parse_f64(b".50"), Some(0.5));
    assert_eq!(parse_f64(b"1,5"), None);
    assert!(parse_f64(b"-0").unwrap().is_sign_negative());
}

/// Decimals by moving the point within the text, and rounding.
fn moved_point(text: &str, precision: usize, scale: i64) -> Option<String> {
    let (sign, number) = match text.as_bytes().first()? {
        b'-' => ("-", &text[1..]),
        b'+' => ("", &text[1..]),
        _ => ("", text),
    };
    let (number, exponent) = match number.split_once(['e', 'E']) {
        Some((number, exponent)) => {
            let digits = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            let valid = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let exponent: i128 = valid.then(|| exponent.parse().ok())??;
            (number, exponent.clamp(-10_000, 10_000) as i64)
        }
        None => (number, 0),
    };
    let (integer, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut digits = integer.to_string() + fraction;
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let len = integer.len() as i64 + exponent + scale;
    let next = usize::try_from(len).ok().and_then(|len| digits.as_bytes().get(len).copied());
    let len = usize::try_from(len).unwrap_or(0);
    digits.truncate(len);
    digits.extend(std::iter::repeat_n('0', len.saturating_sub(digits.len()).min(2000)));
    if next.is_some_and(|digit| digit >= b'5') {
        let kept = digits.trim_end_matches('9').len();
        let nines = digits.len() - kept;
        digits.truncate(kept);
        let last = digits.pop().unwrap_or('0');
        digits.push(char::from(last as u8 + 1));
        digits.extend(std::iter::repeat_n('0', nines));
    }
    let digits = digits.trim_start_matches('0');
    match digits.len() {
        0 => Some("0".to_string()),
        len if len > precision => None,
        _ => Some(format!("{sign}{digits}")),
    }
}

#[test]
fn decimals_have_all_digits() {
    let mut texts = Texts::new(5);
    for_texts(6, Texts::decimal, |field| {
        let text = str::from_utf8(field).unwrap_or("?");
        let (precision, scale) =
            texts.pick(&[(38, 0), (38, 10), (38, 38), (18, 4), (10, 2), (5, -2)]);
        let expected = moved_point(text, usize::from(precision), i64::from(scale));
        let value = parse_decimal128(field, precision, scale).map(|value| value.to_string());
        assert_eq!(value, expected, "{:?} as decimal({precision}, {scale})", shown(field));

        let (precision, scale) = texts.pick(&[(76, 0), (76, 38), (76, 70), (40, 5), (20, 3)]);
        let expected = moved_point(text, usize::from(precision), i64::from(scale));
        let value = parse_decimal256(field, precision, scale).map(|value: i256| value.to_string());
        assert_eq!(value, expected, "{:?} as decimal({precision}, {scale})", shown(field));
    });
}

/// Without an exponent, where arrow is exact: it takes a sign or an `e` alone as 0 and counts the
/// digits of a number with an exponent differently. It cuts digits beyond the scale.
#[test]
fn decimals_like_arrow() {
    let mut texts = Texts::new(7);
    for_texts(8, Texts::decimal, |field| {
        let (precision, scale) = texts.pick(&[(38, 0), (38, 10), (38, 38), (18, 4), (10, 2)]);
        let text = str::from_utf8(field).unwrap_or("?");
        let cut = text.split_once('.').is_some_and(|(_, digits)| digits.len() > scale as usize);
        if text.contains(['e', 'E']) || matches!(text, "-." | "+.") || cut {
            return;
        }
        let expected = parse_decimal::<Decimal128Type>(text, precision, scale).ok();
        let value = parse_decimal128(field, precision, scale);
        assert_eq!(value, expected, "{text:?} as decimal({precision}, {scale})");
    });
}

#[test]
fn decimals_at_their_ends() {
    for (text, precision, scale, value) in [
        ("12.34", 10, 2, Some(1234)),
        ("-12.34", 10, 4, Some(-123_400)),
        ("1.999", 10, 2, Some(200)),
        ("-1.999", 10, 2, Some(-200)),
        ("1.5", 10, 0, Some(2)),
        ("-0.5", 10, 0, Some(-1)),
        ("0.05", 10, 0, Some(0)),
        ("9999999999999999999e-19", 10, 0, Some(1)),
        ("4999999999999999999e-19", 10, 0, Some(0)),
        ("1234567890123456789012345.675", 38, 2, Some(123_456_789_012_345_678_901_234_568)),
        ("9.995", 3, 2, None),
        ("99999999.99", 10, 2, Some(9_999_999_999)),
        ("100000000.00", 10, 2, None),
        ("12345", 5, -2, Some(123)),
        ("12350", 5, -2, Some(124)),
        ("1.5e3", 10, 2, Some(150_000)),
        ("150e-2", 10, 2, Some(150)),
        ("1e8", 10, 2, None),
        ("1e-300", 10, 2, Some(0)),
        ("0e99999999999999999999", 10, 2, Some(0)),
        ("1e99999999999999999999", 10, 2, None),
        ("99999999999999999999999999999999999999", 38, 0, Some(10_i128.pow(38) - 1)),
        ("-99999999999999999999999999999999999999", 38, 0, Some(1 - 10_i128.pow(38))),
        ("100000000000000000000000000000000000000", 38, 0, None),
        ("999999999999999999999999999999999999999999999999", 38, 0, None),
        ("0.00000000000000000000000000000000000001", 38, 38, Some(1)),
        ("1", 38, 38, None),
        ("1", 39, 0, None),
        ("", 10, 2, None),
        ("-", 10, 2, None),
        (".", 10, 2, None),
        ("-.", 10, 2, None),
        ("e5", 10, 2, None),
        ("1e", 10, 2, None),
        ("1e5-3", 10, 2, None),
        ("NaN", 10, 2, None),
        ("1,5", 10, 2, None),
    ] {
        let parsed = parse_decimal128(text.as_bytes(), precision, scale);
        assert_eq!(parsed, value, "{text:?} as decimal({precision}, {scale})");
    }
    let many_zeros = "0".repeat(400) + "." + &"0".repeat(400) + "1e401";
    assert_eq!(parse_decimal128(many_zeros.as_bytes(), 3, 1), Some(10));
    assert_eq!(parse_decimal256(b"1e76", 76, 0), None);
    assert_eq!(
        parse_decimal256(b"1e75", 76, 0),
        i256::from_string(&format!("1{}", "0".repeat(75)))
    );
}

#[test]
fn bytes_of_hexadecimal_digits() {
    let mut bytes = Vec::new();
    for (text, expected) in
        [("", Some(&[][..])), ("00fF", Some(&[0, 255])), ("0", None), ("0g", None), ("00 1", None)]
    {
        let parsed = parse_hex(text.as_bytes(), &mut bytes).then_some(&bytes[..]);
        assert_eq!(parsed, expected, "{text:?}");
    }
}

#[test]
fn timestamps_in_a_zone() {
    let zurich: Tz = "Europe/Zurich".parse().unwrap();
    let micros = TimeUnit::Microsecond;
    let format = DateFormat::new("%d.%m.%Y %H:%M").unwrap();
    for (text, utc) in [
        ("2020-07-01 12:00:00", Some("2020-07-01 10:00:00")),
        ("2020-01-01T12:00:00.5", Some("2020-01-01 11:00:00.5")),
        ("2020-07-01", Some("2020-06-30 22:00:00")),
        ("2020-07-01 12:00:00Z", Some("2020-07-01 12:00:00")),
        ("2020-07-01 12:00:00+05:00", Some("2020-07-01 07:00:00")),
        // The hour that is not there, and one that is there twice.
        ("2020-03-29 02:30:00", None),
        ("2020-10-25 02:30:00", None),
        ("01.07.2020 12:00", Some("2020-07-01 10:00:00")),
        ("29.03.2020 02:30", None),
    ] {
        let text = text.as_bytes();
        let parsed = match text[2] {
            b'.' => format.parse_timestamp_in(text, micros, &zurich),
            _ => parse_timestamp_in(text, micros, &zurich),
        };
        let utc = utc.map(|utc| parse_timestamp_us(utc.as_bytes()).unwrap());
        assert_eq!(parsed, utc, "{:?}", shown(text));
    }
    let zoned = DateFormat::new("%F %T%z").unwrap();
    let parsed = zoned.parse_timestamp_in(b"2020-07-01 12:00:00+0500", micros, &zurich);
    assert_eq!(parsed, parse_timestamp_us(b"2020-07-01 07:00:00"));
}

#[test]
fn dates_like_arrow() {
    for_texts(9, Texts::date, |field| {
        let text = str::from_utf8(field).unwrap_or("?");
        // Arrow does not look at what follows a short date.
        let ends = text.len() > 10 || text.ends_with(|last: char| last.is_ascii_digit());
        let expected = Date32Type::parse(text).filter(|_| ends);
        assert_eq!(parse_date(field), expected, "{:?}", shown(field));
    });
}

#[test]
fn every_day_of_the_calendar() {
    let mut days = parse_date(b"0000-01-01").unwrap();
    assert_eq!(days, -719_528);
    for year in 0..=9999 {
        for month in 1..=12 {
            let last = match month {
                2 if (year % 4 == 0 && year % 100 != 0) || year % 400 == 0 => 29,
                2 => 28,
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            for day in [1, last] {
                let text = format!("{year:04}-{month:02}-{day:02}");
                assert_eq!(parse_date(text.as_bytes()), Some(days + day - 1), "{text}");
            }
            for day in [0, last + 1] {
                let text = format!("{year:04}-{month:02}-{day:02}");
                assert_eq!(parse_date(text.as_bytes()), None, "{text}");
            }
            days += last;
        }
    }
    assert_eq!(days, 2_932_897);
}

#[test]
fn timestamps_like_arrow() {
    for_texts(10, Texts::timestamp, |field| {
        let text = str::from_utf8(field).unwrap_or("?");
        let expected = string_to_datetime(&Utc, text).ok();
        let micros = expected.map(|time| time.timestamp_micros());
        assert_eq!(parse_timestamp_us(field), micros, "{:?}", shown(field));
        assert_eq!(parse_timestamp(field, TimeUnit::Microsecond), micros);
        let millis = expected.map(|time| time.timestamp_millis());
        assert_eq!(parse_timestamp(field, TimeUnit::Millisecond), millis);
        let seconds = millis.map(|millis| millis.div_euclid(1000));
        assert_eq!(parse_timestamp(field, TimeUnit::Second), seconds);
        let nanos = expected.and_then(|time| time.timestamp_nanos_opt());
        assert_eq!(parse_timestamp(field, TimeUnit::Nanosecond), nanos, "{:?}", shown(field));
    });
}

#[test]
fn timestamps_at_their_ends() {
    for (text, value) in [
        ("1970-01-01 00:00:01.5", Some(1_500_000)),
        ("1970-01-01T00:00:00.000001", Some(1)),
        ("1970-01-01T00:00:00.0000019Z", Some(1)),
        ("1970-01-01T00:00:00.123456789z", Some(123_456)),
        ("1969-12-31 23:59:59.9999999", Some(-1)),
        ("1970-01-01T01:00:00+01:00", Some(0)),
        ("1970-01-01", Some(0)),
        ("1970-01-01 23:59:60", Some(86_400_000_000)),
        ("1970-01-01 24:00:00", None),
        ("1970-01-01 00:60:00", None),
        ("1970-01-01 00:00:61", None),
        ("1970-01-01 00:00:00.", None),
        ("1970-01-01 00:00:00.1 ", None),
        ("9999-12-31 23:59:59.999999", Some(253_402_300_799_999_999)),
        ("0000-01-01 00:00:00", Some(-62_167_219_200_000_000)),
        ("2000-02-29 00:00:00", Some(951_782_400_000_000)),
        ("1900-02-29 00:00:00", None),
        ("2015-13-01 00:00:00", None),
        ("2015-00-10 00:00:00", None),
        ("3/1/16 0:07", None),
        ("1970-01-01\0 00:00:00", None),
        ("", None),
    ] {
        assert_eq!(parse_timestamp_us(text.as_bytes()), value, "{text:?}");
    }
    let nanos = |text: &str| parse_timestamp(text.as_bytes(), TimeUnit::Nanosecond);
    assert_eq!(nanos("2262-04-11 23:47:16.854775807"), Some(i64::MAX));
    assert_eq!(nanos("2262-04-11 23:47:16.854775808"), None);
    assert_eq!(nanos("1677-09-21 00:12:43.145224192"), Some(i64::MIN));
    assert_eq!(nanos("1677-09-21 00:12:43.145224191"), None);
}

/// Every text that the exact parsers take has the lenient parsers' value, and says no more.
#[test]
fn exact_moments_are_moments() {
    let is_zoned = |field: &[u8]| field.iter().skip(10).any(|b| b"Zz+-".contains(b));
    for_texts(12, Texts::timestamp, |field| {
        for unit in [TimeUnit::Second, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
            let plain = parse_exact_timestamp::<false>(field, unit);
            let zoned = parse_exact_timestamp::<true>(field, unit);
            let exact = plain.or(zoned);
            assert!(plain.is_none() || zoned.is_none(), "{:?}", shown(field));
            assert!(exact.is_none() || exact == parse_timestamp(field, unit), "{:?}", shown(field));
            assert_eq!(zoned.is_some(), exact.is_some() && is_zoned(field), "{:?}", shown(field));
        }
    });
    for_texts(13, Texts::date, |field| {
        let exact = parse_exact_date(field);
        assert!(exact.is_none() || exact == parse_date(field), "{:?}", shown(field));
        assert!(exact.is_none() || field.len() == 10, "{:?}", shown(field));
    });
    for_texts(14, Texts::time, |field| {
        let exact = parse_exact_time_us(field);
        assert!(exact.is_none() || exact == parse_time_us(field), "{:?}", shown(field));
    });
}

#[test]
fn exact_moments_lose_nothing() {
    const DAY: i64 = 86_400_000_000;
    for (text, plain, zoned) in [
        ("1970-01-02 00:00:00", Some(DAY), None),
        ("1970-01-02T00:00:00.5", Some(DAY + 500_000), None),
        ("1970-01-02 00:00:00.000001000", Some(DAY + 1), None),
        ("1970-01-02 00:00:00.00000100000000", Some(DAY + 1), None),
        ("1970-01-02 00:00:00.0000010000000001", None, None),
        ("1970-01-02 00:00:00.000001001", None, None),
        ("1970-01-02 00:00:00.0000001", None, None),
        ("1970-01-02 000000", Some(DAY), None),
        ("1970-01-02", Some(DAY), None),
        ("1970-01-02 00:00:00Z", None, Some(DAY)),
        ("1970-01-02 01:00:00+01:00", None, Some(DAY)),
        ("1970-01-02 01:00:00.25 +01:00", None, Some(DAY + 250_000)),
        ("1970-01-02 01:00:00.0000001+01:00", None, None),
        // A name of a zone, in columns of which the sample had such names only.
        ("1970-01-02 00:00:00 UTC", Some(DAY), Some(DAY)),
        ("1970-01-01 19:00:00 America/New_York", None, Some(DAY)),
        ("1970-01-02 24:00:00", None, None),
        ("19700102", None, None),
        ("", None, None),
    ] {
        let (field, unit) = (text.as_bytes(), TimeUnit::Microsecond);
        assert_eq!(parse_exact_timestamp::<false>(field, unit), plain, "{text:?}");
        assert_eq!(parse_exact_timestamp::<true>(field, unit), zoned, "{text:?}");
    }
    let nanos = |text: &str| parse_exact_timestamp::<false>(text.as_bytes(), TimeUnit::Nanosecond);
    assert_eq!(nanos("1970-01-01 00:00:00.123456789"), Some(123_456_789));
    assert_eq!(nanos("1970-01-01 00:00:00.1234567891"), None);

    assert_eq!(parse_exact_date(b"1970-01-02"), Some(1));
    for text in ["19700102", "1970-1-2", "1970-01-02 00:00:00", "1970-01-02 ", "+1970-01-2", ""] {
        assert_eq!(parse_exact_date(text.as_bytes()), None, "{text:?}");
    }
    assert_eq!(parse_exact_time_us(b"00:00:01.500000000"), Some(1_500_000));
    for text in ["0:00:01", "00:01", "00:00:60", "00:00:01.0000001", "12:00:00 AM", "24:00:00", ""]
    {
        assert_eq!(parse_exact_time_us(text.as_bytes()), None, "{text:?}");
    }
}

#[test]
fn times_like_arrow() {
    for_texts(11, Texts::time, |field| {
        let text = str::from_utf8(field).unwrap_or("?");
        let day = 86_400_000_000_000;
        let nanos = string_to_time_nanoseconds(text).ok().filter(|nanos| *nanos < day);
        assert_eq!(parse_time_us(field), nanos.map(|nanos| nanos / 1000), "{:?}", shown(field));
    });
    assert_eq!(parse_time_us(b"23:59:59.999999"), Some(86_399_999_999));
    assert_eq!(parse_time_us(b"24:00:00"), None);
    assert_eq!(parse_time_us(b"23:59:60"), None);
    assert_eq!(parse_time_us(b"6:30 pm"), Some(66_600_000_000));
}
