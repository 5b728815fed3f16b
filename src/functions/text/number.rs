//! Numbers as text for people, and text of people as numbers.

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;

use crate::functions::inputs::Inputs;

/// `bar(value, min, max [, width])`: a bar whose length is where the value is between the others.
pub(super) fn bar(inputs: &Inputs) -> Result<ArrayRef> {
    const WIDEST: f64 = 1000.0;
    /// An eighth of a block and more.
    const PARTS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let values: Vec<_> = (0..inputs.len()).map(|i| inputs.values::<Float64Type>(i)).collect();
    inputs.write(|row, out| {
        let numbers: Option<Vec<f64>> = values.iter().map(|values| values.get(row)).collect();
        let (value, min, max, width) = match numbers.as_deref() {
            None => return Ok(false),
            Some([value, min, max]) => (*value, *min, *max, 80.0),
            Some([value, min, max, width]) => (*value, *min, *max, width.floor()),
            Some(_) => return exec_err!("{} takes 3 or 4 numbers", inputs.name),
        };
        if !(1.0..=WIDEST).contains(&width) {
            return exec_err!("{}: the width {width} is not between 1 and {WIDEST}", inputs.name);
        }
        if max <= min || [value, min, max].iter().any(|number| number.is_nan()) {
            return exec_err!("{}: the maximum {max} is not above the minimum {min}", inputs.name);
        }
        let share = ((value - min) / (max - min)).clamp(0.0, 1.0);
        let eighths = (share * width * 8.0) as usize;
        let part = PARTS[eighths % 8];
        let used = eighths / 8 + usize::from(!part.is_empty());
        out.push_str(&"█".repeat(eighths / 8));
        out.push_str(part);
        out.push_str(&" ".repeat((width as usize).saturating_sub(used)));
        Ok(true)
    })
}

/// `format_bytes(number)`: in units of 1024 bytes.
pub(super) fn format_bytes(inputs: &Inputs) -> Result<ArrayRef> {
    sizes(inputs, 1024, &["KiB", "MiB", "GiB", "TiB", "PiB"])
}

/// `formatreadabledecimalsize(number)`: in units of 1000 bytes.
pub(super) fn format_bytes_decimal(inputs: &Inputs) -> Result<ArrayRef> {
    sizes(inputs, 1000, &["kB", "MB", "GB", "TB", "PB"])
}

fn sizes(inputs: &Inputs, step: u64, units: &[&str]) -> Result<ArrayRef> {
    let numbers = inputs.values::<Int64Type>(0);
    inputs.write(|row, out| {
        let Some(number) = numbers.get(row) else { return Ok(false) };
        let bytes = number.unsigned_abs();
        if number < 0 {
            out.push('-');
        }
        let mut tenths = u128::from(bytes) * 10;
        let mut unit = None;
        for name in units {
            if tenths < u128::from(step) * 10 {
                break;
            }
            tenths /= u128::from(step);
            unit = Some(name);
        }
        // One digit, cut off as the bytes below it are.
        match unit {
            None => out.push_str(&format!("{bytes} byte{}", if bytes == 1 { "" } else { "s" })),
            Some(unit) => out.push_str(&format!("{}.{} {unit}", tenths / 10, tenths % 10)),
        }
        Ok(true)
    })
}

/// `to_numeric(text)`: the number a text means, or NULL. Blanks around it, commas between groups of
/// three digits, a percent sign (a hundredth) and parentheses (a negative number) are accepted.
pub(super) fn to_numeric(inputs: &Inputs) -> Result<ArrayRef> {
    if *inputs.data_type(0) == DataType::Float64 {
        return inputs.array(0);
    }
    let texts = inputs.texts(0);
    inputs.numbers::<Float64Type>(|row| Ok(texts.get(row).and_then(parsed)))
}

fn parsed(text: &str) -> Option<f64> {
    let (text, outside) = without_percent(text.trim());
    let Some(inner) = text.strip_prefix('(').and_then(|text| text.strip_suffix(')')) else {
        return number(text).map(|number| of_hundredths(number, outside));
    };
    let (inner, inside) = without_percent(inner.trim());
    // The parentheses are the sign.
    let is_unsigned = inner.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    if !is_unsigned || (inside && outside) {
        return None;
    }
    number(inner).map(|number| -of_hundredths(number, inside || outside))
}

/// The text before a percent sign, and whether there is one.
fn without_percent(text: &str) -> (&str, bool) {
    text.strip_suffix('%').map_or((text, false), |text| (text.trim_end(), true))
}

fn of_hundredths(number: f64, hundredths: bool) -> f64 {
    if hundredths { number / 100.0 } else { number }
}

/// The number of a text without blanks around it: digits, perhaps with commas.
fn number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    // Words such as `inf` and `nan` are no numbers of people.
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if !text.contains(',') {
        return text.parse().ok();
    }
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let mut groups = whole.split(',');
    let first = groups.next()?;
    let digits = |group: &str| group.bytes().all(|byte| byte.is_ascii_digit());
    let grouped = (1..=3).contains(&first.len())
        && digits(first)
        && groups.all(|group| group.len() == 3 && digits(group))
        && !fraction.contains(',');
    grouped.then(|| text.replace(',', "").parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_people_are_numbers() {
        let numbers = [
            ("12", 12.0),
            (" -1,234.5 ", -1234.5),
            ("1,234,567", 1_234_567.0),
            ("12%", 0.12),
            ("(3.5)", -3.5),
            ("(50%)", -0.5),
            (".5", 0.5),
            ("1e3", 1000.0),
            ("+7", 7.0),
            ("12 %", 0.12),
            ("(3)%", -0.03),
        ];
        for (text, number) in numbers {
            assert_eq!(parsed(text), Some(number), "{text}");
        }
        for text in [
            "", "abc", "1,23", "1234,567", "12,345,6", "1.5,000", "inf", "nan", "(-5)", "%", "--1",
            "1 2", "50%%", "(50%)%", "((5))",
        ] {
            assert_eq!(parsed(text), None, "{text}");
        }
        let many = "%".repeat(1 << 20);
        assert_eq!(parsed(&format!("1{many}")), None);
    }
}
