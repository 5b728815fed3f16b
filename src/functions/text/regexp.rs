//! Functions of regular expressions, as the `regex` crate has them.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListBuilder, StringViewBuilder};
use arrow::datatypes::Int64Type;
use datafusion::common::{exec_datafusion_err, exec_err};
use datafusion::error::Result;
use regex::{Regex, RegexBuilder};

use crate::functions::inputs::{Inputs, Last, Texts};

/// The patterns of an argument, and how they are meant.
struct Patterns<'a> {
    function: &'static str,
    texts: Texts<'a>,
    /// `None` for NULL.
    options: Option<&'a str>,
    /// Put around a pattern.
    anchored: bool,
    compiled: Last<Regex>,
}

impl<'a> Patterns<'a> {
    /// Of the second argument, and the options of another.
    fn new(inputs: &'a Inputs, options: usize) -> Result<Self> {
        let given = inputs.len() > options;
        let options = if given { inputs.constant_text(options, "options")? } else { Some("") };
        let (function, texts) = (inputs.name, inputs.texts(1));
        Ok(Patterns { function, texts, options, anchored: false, compiled: Last::new() })
    }

    /// The pattern of a row, or `None` for NULL.
    fn get(&mut self, row: usize) -> Result<Option<&Regex>> {
        let (Some(pattern), Some(options)) = (self.texts.get(row), self.options) else {
            return Ok(None);
        };
        let (function, anchored) = (self.function, self.anchored);
        self.compiled
            .get(pattern, |pattern| compile(pattern, options, anchored, function))
            .map(Some)
    }
}

fn compile(pattern: &str, options: &str, anchored: bool, function: &str) -> Result<Regex> {
    let literal = options.contains('l');
    let mut source = if literal { regex::escape(pattern) } else { pattern.to_string() };
    if anchored {
        source = format!(r"\A(?:{source})\z");
    }
    let mut builder = RegexBuilder::new(&source);
    for option in options.chars() {
        match option {
            'i' => builder.case_insensitive(true),
            'c' => builder.case_insensitive(false),
            's' => builder.dot_matches_new_line(true),
            'm' | 'n' | 'p' => builder.multi_line(true),
            'x' => builder.ignore_whitespace(true),
            'l' | 'g' => &mut builder,
            other => {
                return exec_err!(
                    "{function}: no option '{other}'; options are i, c, s, m, x, l and g"
                );
            }
        };
    }
    builder.build().map_err(|error| {
        let reason = error.to_string();
        let reason = reason.lines().last().unwrap_or_default().trim_start_matches("error: ");
        exec_datafusion_err!("{function}: the pattern \"{pattern}\" is wrong: {reason}")
    })
}

/// A group by its number.
fn group(number: i64, function: &str) -> Result<usize> {
    match usize::try_from(number) {
        Ok(number) => Ok(number),
        Err(_) => exec_err!("{function}: the group {number} is below 0"),
    }
}

/// `regexp_extract(text, pattern [, group [, options]])`: what the first match has in the group,
/// the whole without one; empty if there is none.
pub(super) fn extract(inputs: &Inputs) -> Result<ArrayRef> {
    let texts = inputs.texts(0);
    let mut patterns = Patterns::new(inputs, 3)?;
    let groups = (inputs.len() > 2).then(|| inputs.values::<Int64Type>(2));
    inputs.write(|row, out| {
        let number = match &groups {
            Some(groups) => groups.get(row),
            None => Some(0),
        };
        let (Some(text), Some(number)) = (texts.get(row), number) else { return Ok(false) };
        let Some(pattern) = patterns.get(row)? else { return Ok(false) };
        let number = group(number, inputs.name)?;
        let found = if number == 0 {
            pattern.find(text)
        } else {
            pattern.captures(text).and_then(|captures| captures.get(number))
        };
        out.push_str(found.map_or("", |found| found.as_str()));
        Ok(true)
    })
}

/// `regexp_extract_all(text, pattern [, group [, options]])`: what every match has in the group.
pub(super) fn extract_all(inputs: &Inputs) -> Result<ArrayRef> {
    let texts = inputs.texts(0);
    let mut patterns = Patterns::new(inputs, 3)?;
    let groups = (inputs.len() > 2).then(|| inputs.values::<Int64Type>(2));
    let mut lists = ListBuilder::new(StringViewBuilder::new());
    for row in inputs.rows() {
        let number = match &groups {
            Some(groups) => groups.get(row),
            None => Some(0),
        };
        let (Some(text), Some(number)) = (texts.get(row), number) else {
            lists.append_null();
            continue;
        };
        let Some(pattern) = patterns.get(row)? else {
            lists.append_null();
            continue;
        };
        let number = group(number, inputs.name)?;
        for captures in pattern.captures_iter(text) {
            // A group that had no part in the match is an empty text.
            lists.values().append_value(captures.get(number).map_or("", |found| found.as_str()));
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

/// `regexp_full_match(text, pattern [, options])`: whether all of the text is a match.
pub(super) fn full_match(inputs: &Inputs) -> Result<ArrayRef> {
    let texts = inputs.texts(0);
    let mut patterns = Patterns::new(inputs, 2)?;
    patterns.anchored = true;
    inputs.booleans(|row| {
        let Some(text) = texts.get(row) else { return Ok(None) };
        Ok(patterns.get(row)?.map(|pattern| pattern.is_match(text)))
    })
}

/// `regexp_split_to_array(text, pattern [, options])`: what is between the matches.
pub(super) fn split(inputs: &Inputs) -> Result<ArrayRef> {
    let texts = inputs.texts(0);
    let mut patterns = Patterns::new(inputs, 2)?;
    let mut lists = ListBuilder::new(StringViewBuilder::new());
    for row in inputs.rows() {
        let (Some(text), Some(pattern)) = (texts.get(row), patterns.get(row)?) else {
            lists.append_null();
            continue;
        };
        let mut begin = 0;
        for found in pattern.find_iter(text) {
            // Nothing is between the ends and an empty match there.
            if found.is_empty() && (found.start() == 0 || found.end() == text.len()) {
                continue;
            }
            lists.values().append_value(&text[begin..found.start()]);
            begin = found.end();
        }
        lists.values().append_value(&text[begin..]);
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

/// `regexp_escape(text)`: a pattern that matches just this text.
pub(super) fn escape(inputs: &Inputs) -> Result<ArrayRef> {
    inputs.map_text(|text, out| {
        for c in text.chars() {
            if c.is_ascii() && !c.is_ascii_alphanumeric() && c != '_' {
                out.push('\\');
            }
            out.push(c);
        }
    })
}
