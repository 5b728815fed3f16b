//! What is done with texts, each read once.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Int64Array, ListBuilder, StringViewArray, StringViewBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion::common::plan_err;
use datafusion::error::Result;
use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::frame::selectors::is_text;
use crate::functions::operation::Operation;

/// What is made of a text.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::frame) enum Edit {
    StripPrefix(String),
    StripSuffix(String),
    PadStart(u32, char),
    PadEnd(u32, char),
    ZeroFill(u32),
    /// From an offset, of a length.
    Slice(i64, Option<u32>),
    /// A group of a pattern.
    Extract(String, u32),
    /// The place of a pattern.
    Find(String),
    Split(String),
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Edit::StripPrefix(prefix) => write!(f, "strip_prefix({prefix:?})"),
            Edit::StripSuffix(suffix) => write!(f, "strip_suffix({suffix:?})"),
            Edit::PadStart(length, fill) => write!(f, "pad_start({length}, {fill:?})"),
            Edit::PadEnd(length, fill) => write!(f, "pad_end({length}, {fill:?})"),
            Edit::ZeroFill(length) => write!(f, "zfill({length})"),
            Edit::Slice(offset, None) => write!(f, "slice({offset})"),
            Edit::Slice(offset, Some(length)) => write!(f, "slice({offset}, {length})"),
            Edit::Extract(pattern, group) => write!(f, "extract({pattern:?}, {group})"),
            Edit::Find(pattern) => write!(f, "find({pattern:?})"),
            Edit::Split(separator) => write!(f, "split({separator:?})"),
        }
    }
}

impl Operation for Edit {
    const KIND: &'static str = "edit";

    fn takes(&self, types: &[DataType]) -> Vec<DataType> {
        let one = |of: &DataType| if is_text(of) || of.is_null() { TEXT } else { of.clone() };
        types.iter().map(one).collect()
    }

    fn gives(&self, types: &[DataType]) -> Result<DataType> {
        if types[0] != TEXT {
            return plan_err!("{self} is for texts, not for {}", types[0]);
        }
        Ok(match self {
            Edit::Extract(pattern, _) => {
                compiled(pattern)?;
                TEXT
            }
            Edit::Find(pattern) => {
                compiled(pattern)?;
                DataType::Int64
            }
            Edit::Split(_) => DataType::List(Arc::new(Field::new_list_field(TEXT, true))),
            _ => TEXT,
        })
    }

    fn compute(&self, columns: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
        let texts = cast(&columns[0], &TEXT)?;
        let texts = texts.as_string_view();
        Ok(match self {
            Edit::StripPrefix(prefix) => each(texts, |text| {
                Some(Cow::from(text.strip_prefix(prefix.as_str()).unwrap_or(text)))
            }),
            Edit::StripSuffix(suffix) => each(texts, |text| {
                Some(Cow::from(text.strip_suffix(suffix.as_str()).unwrap_or(text)))
            }),
            Edit::PadStart(length, fill) => {
                each(texts, |text| Some(Cow::from(padding(text, *length, *fill) + text)))
            }
            Edit::PadEnd(length, fill) => each(texts, |text| {
                Some(Cow::from(text.to_string() + &padding(text, *length, *fill)))
            }),
            Edit::ZeroFill(length) => each(texts, |text| {
                let signs = usize::from(text.starts_with(['-', '+']));
                let (sign, number) = text.split_at(signs);
                Some(Cow::from(format!("{sign}{}{number}", padding(text, *length, '0'))))
            }),
            Edit::Slice(offset, length) => {
                each(texts, |text| Some(Cow::from(slice(text, *offset, *length))))
            }
            Edit::Extract(pattern, group) => {
                let pattern = compiled(pattern)?;
                each(texts, |text| {
                    let found = pattern.captures(text)?.get(*group as usize)?;
                    Some(Cow::from(found.as_str()))
                })
            }
            Edit::Find(pattern) => {
                let pattern = compiled(pattern)?;
                let place = |text: &str| {
                    let found = pattern.find(text)?;
                    Some(text[..found.start()].chars().count() as i64)
                };
                Arc::new(texts.iter().map(|text| place(text?)).collect::<Int64Array>())
            }
            Edit::Split(separator) => split(texts, separator),
        })
    }
}

const TEXT: DataType = DataType::Utf8View;

fn each<'a>(
    texts: &'a StringViewArray,
    edit: impl Fn(&'a str) -> Option<Cow<'a, str>>,
) -> ArrayRef {
    Arc::new(texts.iter().map(|text| edit(text?)).collect::<StringViewArray>())
}

fn compiled(pattern: &str) -> Result<Regex> {
    Ok(Regex::new(pattern).map_err(|err| {
        Error::query(format!("\"{pattern}\" is no regular expression")).with_source(err)
    })?)
}

/// What a text lacks to be so long.
fn padding(text: &str, length: u32, fill: char) -> String {
    let lacks = (length as usize).saturating_sub(text.chars().count());
    std::iter::repeat_n(fill, lacks).collect()
}

/// The characters from an offset, counted from the end if negative; those before the first one count
/// as characters that are not there.
fn slice(text: &str, offset: i64, length: Option<u32>) -> &str {
    let count = text.chars().count() as i128;
    let start = i128::from(offset) + if offset < 0 { count } else { 0 };
    let end = length.map_or(count, |length| start + i128::from(length));
    let byte = |place: i128| {
        let place = usize::try_from(place.max(0)).unwrap_or(usize::MAX);
        text.char_indices().nth(place).map_or(text.len(), |(byte, _)| byte)
    };
    text.get(byte(start)..byte(end)).unwrap_or_default()
}

fn split(texts: &StringViewArray, separator: &str) -> ArrayRef {
    let mut lists = ListBuilder::new(StringViewBuilder::new());
    for text in texts {
        let Some(text) = text else {
            lists.append_null();
            continue;
        };
        if separator.is_empty() {
            let mut buffer = [0; 4];
            text.chars().for_each(|c| lists.values().append_value(c.encode_utf8(&mut buffer)));
        } else {
            text.split(separator).for_each(|part| lists.values().append_value(part));
        }
        lists.append(true);
    }
    Arc::new(lists.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_count_what_is_before_the_start() {
        // As Polars has them.
        let cases = [(0, Some(2), "éb"), (1, None, "bc"), (-2, Some(1), "b"), (-10, Some(3), "")];
        for (offset, length, expected) in cases {
            assert_eq!(slice("ébc", offset, length), expected, "{offset} {length:?}");
        }
        assert_eq!(slice("ébc", -4, Some(2)), "é");
        assert_eq!(slice("ébc", 3, None), "");
        assert_eq!(slice("ébc", i64::MIN, None), "ébc");
    }
}
