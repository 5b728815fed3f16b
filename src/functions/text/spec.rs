//! How a value is written into a placeholder of `printf` and `format`: `%08.3f`, `{:>10,}`.

use datafusion::common::exec_err;
use datafusion::error::Result;

/// Where a value is in a wider field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
    Center,
}

/// What is in a placeholder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Spec {
    pub(super) fill: char,
    pub(super) align: Option<Align>,
    /// Before positive numbers.
    pub(super) sign: Option<char>,
    /// With `0x` and the like, and with the point and the zeros of `%g`.
    pub(super) alternate: bool,
    pub(super) zeros: bool,
    pub(super) width: usize,
    pub(super) precision: Option<usize>,
    /// Between groups of three digits.
    pub(super) group: Option<char>,
    /// The letter that says how, or `None` for the way of the type.
    pub(super) kind: Option<char>,
    /// Whether the bits of negative numbers are written in other bases.
    pub(super) of_bits: bool,
}

impl Default for Spec {
    fn default() -> Self {
        Spec {
            fill: ' ',
            align: None,
            sign: None,
            alternate: false,
            zeros: false,
            width: 0,
            precision: None,
            group: None,
            kind: None,
            of_bits: false,
        }
    }
}

/// The most digits that are asked for: far more than a float has.
const MOST_DIGITS: usize = 1000;

/// A value to write.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    Integer(i128),
    Float(f64),
    Boolean(bool),
    Text(&'a str),
}

impl Value<'_> {
    fn name(&self) -> &'static str {
        match self {
            Value::Integer(_) => "an integer",
            Value::Float(_) => "a float",
            Value::Boolean(_) => "a boolean",
            Value::Text(_) => "a text",
        }
    }
}

impl Spec {
    /// Writes a value.
    ///
    /// # Errors
    /// `Execution` if the letter is not for values of this type, or there are too many digits.
    pub(super) fn write(&self, value: &Value<'_>, function: &str, out: &mut String) -> Result<()> {
        match (value, self.kind) {
            (Value::Text(text), None | Some('s')) => self.pad_text(text, out),
            (Value::Boolean(value), None | Some('s')) => {
                self.pad_text(if *value { "true" } else { "false" }, out);
            }
            (Value::Boolean(value), _) => {
                return self.write(&Value::Integer((*value).into()), function, out);
            }
            (Value::Integer(number), None | Some('d' | 'i' | 'u' | 's')) => {
                self.pad_number(*number < 0, "", &number.unsigned_abs().to_string(), out);
            }
            (Value::Integer(number), Some('c')) => {
                let c = u32::try_from(*number).ok().and_then(char::from_u32);
                let Some(c) = c else {
                    return exec_err!("{function}: {number} is not the code of a character");
                };
                self.pad_text(c.encode_utf8(&mut [0; 4]), out);
            }
            (Value::Integer(number), Some(base @ ('x' | 'X' | 'o' | 'b' | 'B'))) => {
                self.write_in_base(*number, base, out);
            }
            (Value::Integer(number), Some('f' | 'F' | 'e' | 'E' | 'g' | 'G')) => {
                self.write_float(*number as f64, function, out)?;
            }
            (Value::Float(number), None | Some('f' | 'F' | 'e' | 'E' | 'g' | 'G' | 's')) => {
                self.write_float(*number, function, out)?;
            }
            (_, kind) => {
                let kind = kind.unwrap_or(' ');
                return exec_err!("{function}: '{kind}' does not write {}", value.name());
            }
        }
        Ok(())
    }

    fn write_in_base(&self, number: i128, base: char, out: &mut String) {
        let negative = number < 0 && !self.of_bits;
        let bits = if number < 0 && self.of_bits {
            // What 64 bits hold of it.
            number.cast_unsigned() & u128::from(u64::MAX)
        } else {
            number.unsigned_abs()
        };
        let (prefix, digits) = match base {
            'x' => ("0x", format!("{bits:x}")),
            'X' => ("0X", format!("{bits:X}")),
            'o' => ("0", format!("{bits:o}")),
            'B' => ("0B", format!("{bits:b}")),
            _ => ("0b", format!("{bits:b}")),
        };
        self.pad_number(negative, if self.alternate { prefix } else { "" }, &digits, out);
    }

    fn write_float(&self, number: f64, function: &str, out: &mut String) -> Result<()> {
        if let Some(digits) = self.precision.filter(|digits| *digits > MOST_DIGITS) {
            return exec_err!(
                "{function}: a number with {digits} digits; there can be up to {MOST_DIGITS}"
            );
        }
        let negative = number.is_sign_negative() && !number.is_nan();
        let positive = number.abs();
        let upper = self.kind.is_some_and(|kind| kind.is_ascii_uppercase());
        if !number.is_finite() {
            let name = if number.is_nan() { "nan" } else { "inf" };
            let name = if upper { name.to_uppercase() } else { name.to_string() };
            Spec { zeros: false, group: None, ..self.clone() }.pad_number(negative, "", &name, out);
            return Ok(());
        }
        let digits = match self.kind.map(|kind| kind.to_ascii_lowercase()) {
            Some('f') => format!("{positive:.*}", self.precision.unwrap_or(6)),
            Some('e') => exponential(positive, self.precision.unwrap_or(6)),
            Some('g') => self.general(positive, self.precision.unwrap_or(6).max(1)),
            _ => match self.precision {
                Some(precision) => self.general(positive, precision.max(1)),
                None => shortest(positive),
            },
        };
        let digits = if upper { digits.to_uppercase() } else { digits };
        self.pad_number(negative, "", &digits, out);
        Ok(())
    }

    /// With so many significant digits, in the shorter of the two ways.
    fn general(&self, number: f64, digits: usize) -> String {
        let exponential = exponential(number, digits - 1);
        let (mantissa, exponent) = exponential.split_once('e').unwrap_or((&exponential, "0"));
        let exponent: i64 = exponent.parse().unwrap_or(0);
        let most = i64::try_from(digits).unwrap_or(i64::MAX);
        if exponent < -4 || exponent >= most {
            let mantissa = self.without_zeros(mantissa);
            return format!("{mantissa}{}", exponent_text(exponent));
        }
        let places = usize::try_from(most - 1 - exponent).unwrap_or(0);
        self.without_zeros(&format!("{number:.places$}")).to_string()
    }

    fn without_zeros<'a>(&self, digits: &'a str) -> &'a str {
        if self.alternate || !digits.contains('.') {
            return digits;
        }
        digits.trim_end_matches('0').trim_end_matches('.')
    }

    fn pad_text(&self, text: &str, out: &mut String) {
        let cut = match self.precision {
            Some(most) => text.char_indices().nth(most).map_or(text, |(end, _)| &text[..end]),
            None => text,
        };
        self.pad(cut, Align::Left, out);
    }

    /// A number by its sign, what comes before its digits, and these.
    fn pad_number(&self, negative: bool, prefix: &str, digits: &str, out: &mut String) {
        let grouped = self.group.map(|mark| grouped(digits, mark));
        let digits = grouped.as_deref().unwrap_or(digits);
        let sign = if negative { Some('-') } else { self.sign };
        let mut text: String = sign.into_iter().collect();
        text.push_str(prefix);
        if self.zeros && self.align.is_none() {
            let missing = self.width.saturating_sub(text.len() + digits.len());
            text.extend(std::iter::repeat_n('0', missing));
        }
        text.push_str(digits);
        self.pad(&text, Align::Right, out);
    }

    fn pad(&self, text: &str, default: Align, out: &mut String) {
        let missing = self.width.saturating_sub(text.chars().count());
        let before = match self.align.unwrap_or(default) {
            Align::Left => 0,
            Align::Right => missing,
            Align::Center => missing / 2,
        };
        out.extend(std::iter::repeat_n(self.fill, before));
        out.push_str(text);
        out.extend(std::iter::repeat_n(self.fill, missing - before));
    }
}

/// `1.5e+04`.
fn exponential(number: f64, places: usize) -> String {
    let text = format!("{number:.places$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    format!("{mantissa}{}", exponent_text(exponent.parse().unwrap_or(0)))
}

fn exponent_text(exponent: i64) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("e{sign}{:02}", exponent.abs())
}

/// The fewest digits that are read back as the same number.
fn shortest(number: f64) -> String {
    let text = format!("{number:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        format!("{number:?}")
    } else {
        format!("{mantissa}{}", exponent_text(exponent))
    }
}

/// The digits before the point in groups of three.
fn grouped(digits: &str, mark: char) -> String {
    let whole = digits.bytes().take_while(u8::is_ascii_digit).count();
    let mut text = String::with_capacity(digits.len() * 2);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && i < whole && (whole - i).is_multiple_of(3) {
            text.push(mark);
        }
        text.push(c);
    }
    text
}
