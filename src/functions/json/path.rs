//! Paths into JSON: `$.a[0].*`, `/a/0`, or the name of a member.

use std::borrow::Cow;

use super::reader::{Kind, Malformed, Reader, document, kind, unescaped};

/// One step from a value to values inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// The member of this name.
    Key(String),
    /// The element, from 0; from the end if negative.
    Index(i64),
    /// The member of this name, or the element if it is a number.
    Pointed(String),
    /// All members.
    Members,
    /// All elements.
    Elements,
    /// Members and elements.
    Children,
    /// The value and all that is inside it, level by level.
    Descendants,
}

/// A way into a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    steps: Vec<Step>,
}

impl Path {
    /// The element at an index.
    pub(super) fn index(index: i64) -> Self {
        Path { steps: vec![Step::Index(index)] }
    }

    /// Reads a path; what cannot be read is the error.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let steps = if let Some(rest) = text.strip_prefix('$') {
            parse_steps(rest)?
        } else if let Some(rest) = text.strip_prefix('/') {
            rest.split('/')
                .map(|part| Step::Pointed(part.replace("~1", "/").replace("~0", "~")))
                .collect()
        } else if text.is_empty() {
            Vec::new()
        } else {
            vec![Step::Key(text.to_string())]
        };
        Ok(Path { steps })
    }

    /// Whether the path may lead to several values.
    pub(super) fn is_many(&self) -> bool {
        self.steps.iter().any(|step| {
            matches!(step, Step::Members | Step::Elements | Step::Children | Step::Descendants)
        })
    }

    /// The one value the path leads to. The whole text is checked.
    pub(super) fn find<'a>(&self, text: &'a str) -> Result<Option<&'a str>, Malformed> {
        let mut reader = Reader::new(text);
        let mut found = None;
        descend(&mut reader, &self.steps, &mut found)?;
        reader.end()?;
        Ok(found)
    }

    /// All values the path leads to, level by level.
    pub(super) fn find_all<'a>(&self, text: &'a str) -> Result<Vec<&'a str>, Malformed> {
        let mut values = vec![document(text)?];
        for step in &self.steps {
            if *step == Step::Descendants {
                let mut next = 0;
                while let Some(&value) = values.get(next) {
                    values.extend(children(value)?);
                    next += 1;
                }
                continue;
            }
            let mut inside = Vec::new();
            for value in values {
                match (step, kind(value)) {
                    (Step::Members, Kind::Object)
                    | (Step::Elements, Kind::Array)
                    | (Step::Children, _) => inside.extend(children(value)?),
                    (Step::Members | Step::Elements, _) => {}
                    _ => descend(
                        &mut Reader::new(value),
                        std::slice::from_ref(step),
                        &mut OneMore(&mut inside),
                    )?,
                }
            }
            values = inside;
        }
        Ok(values)
    }
}

/// Takes the value that is found.
trait Found<'a> {
    fn take(&mut self, value: &'a str);
}

impl<'a> Found<'a> for Option<&'a str> {
    fn take(&mut self, value: &'a str) {
        *self = Some(value);
    }
}

struct OneMore<'v, 'a>(&'v mut Vec<&'a str>);

impl<'a> Found<'a> for OneMore<'_, 'a> {
    fn take(&mut self, value: &'a str) {
        self.0.push(value);
    }
}

/// Passes a value, and takes the one that the steps lead to. Of equal keys the first counts.
fn descend<'a, F: Found<'a>>(
    reader: &mut Reader<'a>,
    steps: &[Step],
    found: &mut F,
) -> Result<(), Malformed> {
    let Some((step, rest)) = steps.split_first() else {
        found.take(reader.value()?);
        return Ok(());
    };
    match (step, reader.kind()) {
        (Step::Key(key) | Step::Pointed(key), Kind::Object) => {
            let mut seen = false;
            reader.members(|reader, raw| {
                if !seen && unescaped(raw) == key.as_str() {
                    seen = true;
                    descend(reader, rest, found)
                } else {
                    reader.value().map(drop)
                }
            })
        }
        (Step::Index(index), Kind::Array) => descend_at(reader, *index, rest, found),
        (Step::Pointed(part), Kind::Array) if is_array_index(part) => {
            descend_at(reader, part.parse().unwrap_or(i64::MAX), rest, found)
        }
        _ => reader.value().map(drop),
    }
}

fn is_array_index(part: &str) -> bool {
    part.bytes().all(|byte| byte.is_ascii_digit())
        && !part.is_empty()
        && (part == "0" || !part.starts_with('0'))
}

fn descend_at<'a, F: Found<'a>>(
    reader: &mut Reader<'a>,
    index: i64,
    rest: &[Step],
    found: &mut F,
) -> Result<(), Malformed> {
    let wanted = if index < 0 {
        let mut count = 0;
        reader.clone().elements(|reader| {
            count += 1;
            reader.value().map(drop)
        })?;
        index + count
    } else {
        index
    };
    let mut next = 0;
    reader.elements(|reader| {
        next += 1;
        if next - 1 == wanted { descend(reader, rest, found) } else { reader.value().map(drop) }
    })
}

/// The values right inside a value.
fn children(value: &str) -> Result<Vec<&str>, Malformed> {
    let mut inside = Vec::new();
    let mut reader = Reader::new(value);
    match kind(value) {
        Kind::Object => reader.members(|reader, _| {
            inside.push(reader.value()?);
            Ok(())
        })?,
        Kind::Array => reader.elements(|reader| {
            inside.push(reader.value()?);
            Ok(())
        })?,
        _ => {}
    }
    Ok(inside)
}

/// The steps after `$`.
fn parse_steps(text: &str) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let parsed = if let Some(after) = rest.strip_prefix("..") {
            steps.push(Step::Descendants);
            if after.starts_with('[') {
                parse_bracket(after)
            } else if let Some(after) = after.strip_prefix('*') {
                Some((Step::Children, after))
            } else {
                parse_key(after)
            }
        } else if let Some(after) = rest.strip_prefix(".*") {
            Some((Step::Members, after))
        } else if let Some(after) = rest.strip_prefix('.') {
            parse_key(after)
        } else {
            parse_bracket(rest)
        };
        let (step, after) = parsed.ok_or_else(|| rest.to_string())?;
        steps.push(step);
        rest = after;
    }
    Ok(steps)
}

/// A name up to the next dot or bracket, or in double quotes.
fn parse_key(text: &str) -> Option<(Step, &str)> {
    if let Some(quoted) = text.strip_prefix('"') {
        let (key, after) = quoted.split_once('"')?;
        return Some((Step::Key(key.to_string()), after));
    }
    let end = text.find(['.', '[']).unwrap_or(text.len());
    let (key, after) = text.split_at(end);
    (!key.is_empty()).then(|| (Step::Key(key.to_string()), after))
}

/// `[0]`, `[-1]`, `[#-1]`, `[*]`, `["name"]` or `['name']`.
fn parse_bracket(text: &str) -> Option<(Step, &str)> {
    let inside = text.strip_prefix('[')?;
    for quote in ['"', '\''] {
        if let Some(quoted) = inside.strip_prefix(quote) {
            let (key, after) = quoted.split_once(quote)?;
            return Some((Step::Key(key.to_string()), after.strip_prefix(']')?));
        }
    }
    let (inside, after) = inside.split_once(']')?;
    if inside == "*" {
        return Some((Step::Elements, after));
    }
    let number = match inside.strip_prefix('#') {
        Some(number) if number.starts_with('-') => number,
        Some(_) => return None,
        None => inside,
    };
    if number.starts_with('+') {
        return None;
    }
    Some((Step::Index(number.parse().ok()?), after))
}

/// The keys of an object, none of another value.
pub(super) fn keys(value: &str) -> Result<Vec<Cow<'_, str>>, Malformed> {
    let mut keys = Vec::new();
    if kind(value) == Kind::Object {
        Reader::new(value).members(|reader, raw| {
            keys.push(unescaped(raw));
            reader.value().map(drop)
        })?;
    }
    Ok(keys)
}

/// How many elements an array has, 0 for another value.
pub(super) fn array_length(value: &str) -> Result<u64, Malformed> {
    let mut count = 0;
    if kind(value) == Kind::Array {
        Reader::new(value).elements(|reader| {
            count += 1;
            reader.value().map(drop)
        })?;
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read() {
        let steps = Path::parse(r#"$.a."b.c"[0][#-2]["d"].e f"#).unwrap().steps;
        let key = |key: &str| Step::Key(key.to_string());
        assert_eq!(
            steps,
            [key("a"), key("b.c"), Step::Index(0), Step::Index(-2), key("d"), key("e f")]
        );
        assert!(Path::parse("$..a").unwrap().is_many());
        assert!(!Path::parse("*").unwrap().is_many());
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        for (path, rest) in [
            ("$.", "."),
            ("$.a.", "."),
            ("$.a[", "["),
            ("$a", "a"),
            ("$[1:2]", "[1:2]"),
            ("$[#1]", "[#1]"),
            ("$.a[x].b", "[x].b"),
            ("$[\"a]", "[\"a]"),
        ] {
            assert_eq!(Path::parse(path), Err(rest.to_string()), "{path}");
        }
    }
}
