//! Parts of texts, and texts put into a form.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, ListBuilder, StringViewBuilder};
use arrow::compute::{cast, kernels::length::length};
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::exec_err;
use datafusion::error::Result;
use icu_normalizer::{ComposingNormalizerBorrowed, DecomposingNormalizerBorrowed};
use regex::Regex;
use unicode_segmentation::UnicodeSegmentation;

use crate::functions::inputs::Inputs;

/// `string_split(text, separator)`: characters, if the separator is empty; all of it, if that is
/// NULL.
pub(super) fn split(inputs: &Inputs) -> Result<ArrayRef> {
    let (texts, separators) = (inputs.texts(0), inputs.texts(1));
    let mut lists = ListBuilder::new(StringViewBuilder::new());
    let mut buffer = [0; 4];
    for row in inputs.rows() {
        let Some(text) = texts.get(row) else {
            lists.append_null();
            continue;
        };
        match separators.get(row) {
            Some("") if !text.is_empty() => {
                for c in text.chars() {
                    lists.values().append_value(c.encode_utf8(&mut buffer));
                }
            }
            Some(separator) if !separator.is_empty() => {
                text.split(separator).for_each(|part| lists.values().append_value(part));
            }
            _ => lists.values().append_value(text),
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

/// `unicode(text)`: the code of its first character, -1 for an empty text.
pub(super) fn unicode(inputs: &Inputs) -> Result<ArrayRef> {
    let texts = inputs.texts(0);
    inputs.numbers::<Int64Type>(|row| {
        let first = texts.get(row).map(|text| text.chars().next());
        Ok(first.map(|first| first.map_or(-1, |c| i64::from(u32::from(c)))))
    })
}

/// `len(value)`: the characters of a text, the values of a list, the bytes of a blob.
pub(super) fn len(inputs: &Inputs) -> Result<ArrayRef> {
    let (array, constant) = inputs.column(0);
    let lengths = match array.data_type() {
        DataType::Utf8View => {
            let texts = inputs.texts(0);
            return inputs.numbers::<Int64Type>(|row| {
                let count = texts.get(row).map(|text| text.chars().count());
                Ok(count.and_then(|count| i64::try_from(count).ok()))
            });
        }
        DataType::Map(_, _) => {
            let entries = array.as_map();
            return inputs.numbers::<Int64Type>(|row| {
                let row = if constant { 0 } else { row };
                let count = entries.is_valid(row).then(|| entries.value_length(row));
                Ok(count.map(i64::from))
            });
        }
        DataType::BinaryView => length(&cast(array, &DataType::LargeBinary)?)?,
        DataType::Null
        | DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(_, _)
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::FixedSizeBinary(_) => length_or_null(array)?,
        other => {
            return exec_err!(
                "{}: {} has no length; texts, lists, maps and blobs have",
                inputs.name,
                crate::output::sql_type_name(other)
            );
        }
    };
    Ok(cast(&lengths, &DataType::Int64)?)
}

fn length_or_null(array: &ArrayRef) -> Result<ArrayRef> {
    Ok(match array.data_type() {
        DataType::Null => arrow::array::new_null_array(&DataType::Int64, array.len()),
        _ => length(array)?,
    })
}

/// `length_grapheme(text)`: what people see as characters.
pub(super) fn length_grapheme(inputs: &Inputs) -> Result<ArrayRef> {
    let texts = inputs.texts(0);
    inputs.numbers::<Int64Type>(|row| {
        let count = texts.get(row).map(|text| text.graphemes(true).count());
        Ok(count.and_then(|count| i64::try_from(count).ok()))
    })
}

/// A part of a text in what people see as characters, from one up to another.
fn graphemes(
    inputs: &Inputs,
    range: impl Fn(usize, &[Option<i64>]) -> Option<(usize, usize)>,
) -> Result<ArrayRef> {
    let texts = inputs.texts(0);
    let numbers: Vec<_> = (1..inputs.len()).map(|i| inputs.values::<Int64Type>(i)).collect();
    inputs.write(|row, out| {
        let Some(text) = texts.get(row) else { return Ok(false) };
        let graphemes: Vec<&str> = text.graphemes(true).collect();
        let numbers: Vec<_> = numbers.iter().map(|numbers| numbers.get(row)).collect();
        let Some((begin, end)) = range(graphemes.len(), &numbers) else { return Ok(false) };
        let end = end.min(graphemes.len());
        graphemes.get(begin..end).into_iter().flatten().for_each(|grapheme| out.push_str(grapheme));
        Ok(true)
    })
}

/// What a number leaves of a length: a negative one leaves out as many.
fn kept(length: usize, number: i64) -> usize {
    let count = usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX);
    if number < 0 { length.saturating_sub(count) } else { count.min(length) }
}

/// `left_grapheme(text, number)`.
pub(super) fn left_grapheme(inputs: &Inputs) -> Result<ArrayRef> {
    graphemes(inputs, |length, numbers| Some((0, kept(length, numbers[0]?))))
}

/// `right_grapheme(text, number)`.
pub(super) fn right_grapheme(inputs: &Inputs) -> Result<ArrayRef> {
    graphemes(inputs, |length, numbers| Some((length - kept(length, numbers[0]?), length)))
}

/// `substring_grapheme(text, start [, length])`: a negative start counts from the end.
pub(super) fn substring_grapheme(inputs: &Inputs) -> Result<ArrayRef> {
    graphemes(inputs, |length, numbers| {
        let all = i64::try_from(length).ok()?;
        let start = match numbers[0]? {
            start @ ..0 => all.saturating_add(start),
            start => start - 1,
        };
        let count = match numbers.get(1) {
            Some(count) => (*count)?,
            None => i64::MAX,
        };
        // A negative length ends where the part would begin.
        let end = start.saturating_add(count);
        let (begin, end) = if count < 0 { (end, start) } else { (start, end) };
        let index = |place: i64| usize::try_from(place.clamp(0, all)).ok();
        Some((index(begin)?, index(end)?))
    })
}

/// `zfill(text, width)`: zeros before it, after its sign.
pub(super) fn zfill(inputs: &Inputs) -> Result<ArrayRef> {
    let (texts, widths) = (inputs.texts(0), inputs.values::<Int64Type>(1));
    inputs.write(|row, out| {
        let (Some(text), Some(width)) = (texts.get(row), widths.get(row)) else {
            return Ok(false);
        };
        let missing = missing(text, width, inputs.name)?;
        let signed = text.starts_with(['+', '-']);
        let (sign, digits) = text.split_at(usize::from(signed));
        out.push_str(sign);
        out.push_str(&"0".repeat(missing));
        out.push_str(digits);
        Ok(true)
    })
}

/// How many characters a text is too short for a width.
fn missing(text: &str, width: i64, function: &str) -> Result<usize> {
    /// More is a mistake, and would fill memory.
    const WIDEST: usize = 1_000_000;
    let width = usize::try_from(width.max(0)).unwrap_or(usize::MAX);
    if width > WIDEST {
        return exec_err!("{function}: the width {width} is above {WIDEST}");
    }
    Ok(width.saturating_sub(text.chars().count()))
}

/// `center(text, width [, fill])`: as much on both sides; one more on the right.
pub(super) fn center(inputs: &Inputs) -> Result<ArrayRef> {
    let (texts, widths) = (inputs.texts(0), inputs.values::<Int64Type>(1));
    let fills = (inputs.len() > 2).then(|| inputs.texts(2));
    inputs.write(|row, out| {
        let fill = match &fills {
            Some(fills) => fills.get(row),
            None => Some(" "),
        };
        let (Some(text), Some(width), Some(fill)) = (texts.get(row), widths.get(row), fill) else {
            return Ok(false);
        };
        let mut chars = fill.chars();
        let (Some(fill), None) = (chars.next(), chars.next()) else {
            return exec_err!("{}: \"{fill}\" is not one character", inputs.name);
        };
        let missing = missing(text, width, inputs.name)?;
        out.extend(std::iter::repeat_n(fill, missing / 2));
        out.push_str(text);
        out.extend(std::iter::repeat_n(fill, missing - missing / 2));
        Ok(true)
    })
}

/// `locate(part, text [, from])`: where the part is first, counted from 1; 0 if nowhere.
pub(super) fn locate(inputs: &Inputs) -> Result<ArrayRef> {
    let (parts, texts) = (inputs.texts(0), inputs.texts(1));
    let starts = (inputs.len() > 2).then(|| inputs.values::<Int64Type>(2));
    inputs.numbers::<Int64Type>(|row| {
        let start = match &starts {
            Some(starts) => starts.get(row),
            None => Some(1),
        };
        let (Some(part), Some(text), Some(start)) = (parts.get(row), texts.get(row), start) else {
            return Ok(None);
        };
        Ok(Some(located(part, text, start)))
    })
}

fn located(part: &str, text: &str, start: i64) -> i64 {
    let Some(skipped) = start.checked_sub(1).and_then(|start| usize::try_from(start).ok()) else {
        return 0;
    };
    let ends = text.char_indices().map(|(begin, _)| begin).chain([text.len()]);
    let Some(begin) = ends.into_iter().nth(skipped) else { return 0 };
    text[begin..].find(part).map_or(0, |found| {
        let before = text[..begin + found].chars().count();
        i64::try_from(before).map_or(0, |before| before + 1)
    })
}

/// `mask(text [, upper [, lower [, digit [, other]]]])`: each character as the one of its kind,
/// `X`, `x` and `n` if not said; NULL for those that stay.
pub(super) fn mask(inputs: &Inputs) -> Result<ArrayRef> {
    let texts = inputs.texts(0);
    let mut masks = [Some('X'), Some('x'), Some('n'), None];
    for index in 1..inputs.len() {
        let text = inputs.constant_text(index, "mask")?;
        let mut chars = text.into_iter().flat_map(str::chars);
        masks[index - 1] = match (text, chars.next(), chars.next()) {
            (None, ..) => None,
            (Some(_), Some(c), None) => Some(c),
            (Some(text), ..) => {
                return exec_err!("{}: \"{text}\" is not one character", inputs.name);
            }
        };
    }
    inputs.write(|row, out| {
        let text = texts.get(row);
        out.extend(text.into_iter().flat_map(str::chars).map(|c| {
            let kind = match c {
                c if c.is_uppercase() => 0,
                c if c.is_lowercase() => 1,
                c if c.is_ascii_digit() => 2,
                _ => 3,
            };
            masks[kind].unwrap_or(c)
        }));
        Ok(text.is_some())
    })
}

/// Characters that are put on those before them.
static MARKS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\p{M}+").expect("a category of characters"));

/// `strip_accents(text)`: letters without the marks that can be taken off.
pub(super) fn strip_accents(inputs: &Inputs) -> Result<ArrayRef> {
    let decomposing = DecomposingNormalizerBorrowed::new_nfd();
    let composing = ComposingNormalizerBorrowed::new_nfc();
    inputs.map_text(|text, out| {
        if text.is_ascii() {
            out.push_str(text);
            return;
        }
        let decomposed = decomposing.normalize(text);
        // What has no marks, such as a syllable of Hangul, is put together again.
        out.push_str(&composing.normalize(&MARKS.replace_all(&decomposed, "")));
    })
}
