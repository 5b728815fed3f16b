//! Values as text: the one conversion that all text formats share.
//!
//! [`Cells`] is made once for each column of a batch. What depends on the type is decided then, so
//! that writing a value is one indirect call and no matching. Nested values are JSON text.

use std::borrow::Cow;
use std::fmt;

use arrow::array::{Array, RecordBatch};
use arrow::buffer::NullBuffer;

use super::{nested, scalars};
use crate::error::Result;
use crate::functions::compact;

/// Appends the text of the value in a row that is not null.
pub(super) type PushText<'a> = Box<dyn Fn(usize, &mut Vec<u8>) + 'a>;

/// What the text of a column's values looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A number or a boolean, the same in JSON.
    Bare,
    /// A number, or `NaN` or `inf`, which JSON does not have.
    Float,
    /// Letters, digits, blanks, signs and colons, such as a date.
    Word,
    /// Any text.
    Text,
    /// JSON already.
    Nested,
}

impl Form {
    /// Whether texts of the form are free of quotes, delimiters and line ends.
    pub(super) fn is_tame(self) -> bool {
        matches!(self, Form::Bare | Form::Float | Form::Word)
    }
}

/// The values of one column of a batch.
pub(super) struct Cells<'a> {
    nulls: Option<NullBuffer>,
    form: Form,
    push: PushText<'a>,
}

impl<'a> Cells<'a> {
    /// Prepares a column.
    pub(super) fn new(array: &'a dyn Array) -> Result<Self> {
        let (form, push) = match scalars::prepare(array)? {
            Some(prepared) => prepared,
            None => nested::prepare(array)?,
        };
        let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        Ok(Cells { nulls, form, push })
    }

    /// The values of a column of which another has made texts.
    pub(super) fn of_texts(array: &'a dyn Array, push: PushText<'a>) -> Self {
        let nulls = array.logical_nulls().filter(|nulls| nulls.null_count() > 0);
        Cells { nulls, form: Form::Text, push }
    }

    /// The same values, with each text changed from where it starts in the bytes.
    pub(super) fn edited(self, edit: impl Fn(usize, &mut Vec<u8>) + 'a) -> Self {
        let Cells { nulls, form, push } = self;
        let push = move |row, out: &mut Vec<u8>| {
            let start = out.len();
            push(row, out);
            edit(start, out);
        };
        Cells { nulls, form, push: Box::new(push) }
    }

    /// The same values as texts that are JSON. What is not JSON stays a text.
    pub(super) fn of_json(self) -> Self {
        let cells = self.edited(|start, out| {
            let text = into_text(out.split_off(start));
            match compact(&text) {
                Some(json) => out.extend_from_slice(json.as_bytes()),
                None => push_json_string(&text, out),
            }
        });
        Cells { form: Form::Nested, ..cells }
    }

    /// What the values look like.
    pub(super) fn form(&self) -> Form {
        self.form
    }

    /// Prepares all columns of a batch.
    pub(super) fn of_batch(batch: &'a RecordBatch) -> Result<Vec<Self>> {
        batch.columns().iter().map(|column| Cells::new(column.as_ref())).collect()
    }

    /// Whether the value is NULL; then it must not be pushed as text.
    #[inline]
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Whether the text of every value is free of quotes, delimiters and line ends.
    #[inline]
    pub(super) fn is_tame(&self) -> bool {
        self.form.is_tame()
    }

    /// Appends the text of a value that is not NULL.
    #[inline]
    pub(super) fn push_text(&self, row: usize, out: &mut Vec<u8>) {
        (self.push)(row, out);
    }

    /// Appends the value as JSON, NULL as `null`.
    pub(super) fn push_json(&self, row: usize, out: &mut Vec<u8>) {
        if self.is_null(row) {
            out.extend_from_slice(b"null");
            return;
        }
        let start = out.len();
        match self.form {
            Form::Bare | Form::Nested => self.push_text(row, out),
            Form::Float => {
                self.push_text(row, out);
                if !out.last().is_some_and(u8::is_ascii_digit) {
                    out.truncate(start);
                    out.extend_from_slice(b"null");
                }
            }
            Form::Word => {
                out.push(b'"');
                self.push_text(row, out);
                out.push(b'"');
            }
            Form::Text => {
                out.push(b'"');
                self.push_text(row, out);
                let text = &out[start + 1..];
                if text
                    .iter()
                    .fold(false, |found, &b| found | (b < b' ') | (b == b'"') | (b == b'\\'))
                {
                    let text = String::from_utf8_lossy(text).into_owned();
                    out.truncate(start);
                    push_json_string(&text, out);
                } else {
                    out.push(b'"');
                }
            }
        }
    }

    /// The text of a value for people, on one line: control characters, among them line ends, are
    /// shown as `\n` and the like.
    pub(super) fn display(&self, row: usize, null_text: &str) -> String {
        if self.is_null(row) {
            return null_text.to_string();
        }
        let mut out = Vec::new();
        self.push_text(row, &mut out);
        let text = into_text(out);
        match printable(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(changed) => changed,
        }
    }
}

/// Everything pushed comes from strings and ASCII, so nothing is lost.
pub(super) fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|err| String::from_utf8_lossy(err.as_bytes()).into_owned())
}

/// The text with control characters written as escapes, so that it can neither break a line nor
/// command a terminal.
pub(super) fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if c.is_control() {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Appends a JSON string.
pub(super) fn push_json_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("writing to a Vec does not fail");
}

impl fmt::Debug for Cells<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cells").field("nulls", &self.nulls).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Float64Array, StringArray};

    use super::super::test_support::{json, texts};

    #[test]
    fn what_json_lacks_is_null() {
        let floats = Float64Array::from(vec![Some(1.5), Some(f64::NAN), Some(f64::INFINITY), None]);
        assert_eq!(texts(&floats), ["1.5", "NaN", "inf", "-"]);
        assert_eq!(json(&floats), "1.5 null null null");
    }

    #[test]
    fn controls_are_escaped() {
        let text = StringArray::from(vec!["plain é", "\"q\"\n\u{1b}\\"]);
        assert_eq!(texts(&text), ["plain é", "\"q\"\\n\\u{1b}\\"]);
        assert_eq!(json(&text), r#""plain é" "\"q\"\n\u001b\\""#);
    }
}
