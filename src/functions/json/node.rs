//! A JSON value as a tree, for functions that compare or change values. Scalars stay the text
//! they are; members keep their order.

use std::borrow::Cow;

use super::extract::type_name;
use super::reader::{Kind, Malformed, Reader, minified, push_string, unescaped};

/// A value and what is inside it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node<'a> {
    /// Null, a boolean or a number.
    Bare(Cow<'a, str>),
    /// What a string means.
    Text(Cow<'a, str>),
    Array(Vec<Node<'a>>),
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// The tree of a text.
    pub(super) fn parse(text: &'a str) -> Result<Self, Malformed> {
        let mut reader = Reader::new(text);
        let node = Self::read(&mut reader)?;
        reader.end()?;
        Ok(node)
    }

    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(match reader.kind() {
            Kind::Object => {
                let mut members = Vec::new();
                reader.members(|reader, raw| {
                    members.push((unescaped(raw), Self::read(reader)?));
                    Ok(())
                })?;
                Node::Object(members)
            }
            Kind::Array => {
                let mut elements = Vec::new();
                reader.elements(|reader| {
                    elements.push(Self::read(reader)?);
                    Ok(())
                })?;
                Node::Array(elements)
            }
            Kind::Text => {
                let value = reader.value()?;
                Node::Text(unescaped(&value[1..value.len() - 1]))
            }
            Kind::Null | Kind::Boolean | Kind::Number => Node::Bare(minified(reader.value()?)),
        })
    }

    fn is_null(&self) -> bool {
        matches!(self, Node::Bare(text) if text == "null")
    }

    /// Appends the value as JSON; `indent` is the blanks of its line if it gets several lines.
    pub(super) fn write(&self, indent: Option<usize>, out: &mut String) {
        match self {
            Node::Bare(text) => out.push_str(text),
            Node::Text(text) => push_string(text, out),
            Node::Array(elements) => write_inside(elements, ['[', ']'], indent, out, Node::write),
            Node::Object(members) => {
                write_inside(members, ['{', '}'], indent, out, |(key, value), indent, out| {
                    push_string(key, out);
                    out.push_str(if indent.is_some() { ": " } else { ":" });
                    value.write(indent, out);
                });
            }
        }
    }

    /// RFC 7396: members of the patch replace members, its nulls remove them.
    pub(super) fn patched(self, patch: Node<'a>) -> Node<'a> {
        let Node::Object(changes) = patch else {
            return patch;
        };
        let mut members = match self {
            Node::Object(members) => members,
            _ => Vec::new(),
        };
        for (key, change) in changes {
            let at = members.iter().position(|(name, _)| *name == key);
            match at {
                Some(at) if change.is_null() => drop(members.remove(at)),
                Some(at) => {
                    let old = std::mem::replace(&mut members[at].1, Node::Array(Vec::new()));
                    members[at].1 = old.patched(change);
                }
                None if change.is_null() => {}
                None => members.push((key, Node::Object(Vec::new()).patched(change))),
            }
        }
        Node::Object(members)
    }

    /// Without the members that are null, at any depth.
    pub(super) fn without_nulls(self) -> Node<'a> {
        match self {
            Node::Object(members) => Node::Object(
                (members.into_iter().filter(|(_, value)| !value.is_null()))
                    .map(|(key, value)| (key, value.without_nulls()))
                    .collect(),
            ),
            Node::Array(elements) => {
                Node::Array(elements.into_iter().map(Node::without_nulls).collect())
            }
            other => other,
        }
    }

    /// Whether the other value is somewhere inside, or is part of a value inside.
    pub(super) fn contains(&self, other: &Node<'_>) -> bool {
        self.covers(other)
            || match self {
                Node::Array(elements) => elements.iter().any(|inside| inside.contains(other)),
                Node::Object(members) => members.iter().any(|(_, inside)| inside.contains(other)),
                Node::Bare(_) | Node::Text(_) => false,
            }
    }

    /// Whether each part of the other value has its match at the same place.
    fn covers(&self, other: &Node<'_>) -> bool {
        match (self, other) {
            (Node::Object(members), Node::Object(wanted)) => wanted.iter().all(|(key, wanted)| {
                members.iter().any(|(name, value)| name == key && value.covers(wanted))
            }),
            (Node::Array(elements), Node::Array(wanted)) => {
                wanted.iter().all(|wanted| elements.iter().any(|element| element.covers(wanted)))
            }
            (Node::Bare(text), Node::Bare(wanted)) | (Node::Text(text), Node::Text(wanted)) => {
                text == wanted
            }
            _ => false,
        }
    }

    /// The types of the value's parts, as JSON.
    pub(super) fn structure(&self) -> Structure<'_> {
        match self {
            Node::Bare(text) => Structure::Scalar(type_name(text)),
            Node::Text(_) => Structure::Scalar("VARCHAR"),
            Node::Array(elements) => Structure::Array(Box::new(
                elements
                    .iter()
                    .map(Node::structure)
                    .fold(Structure::Scalar("NULL"), Structure::merged),
            )),
            Node::Object(members) if members.is_empty() => Structure::Scalar("JSON"),
            Node::Object(members) => Structure::Object(
                members.iter().map(|(key, value)| (key.as_ref(), value.structure())).collect(),
            ),
        }
    }
}

/// Writes what is between brackets.
fn write_inside<T>(
    items: &[T],
    [open, close]: [char; 2],
    indent: Option<usize>,
    out: &mut String,
    write: impl Fn(&T, Option<usize>, &mut String),
) {
    let deeper = indent.map(|indent| indent + 4);
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        start_line(deeper, out);
        write(item, deeper, out);
    }
    if !items.is_empty() {
        start_line(indent, out);
    }
    out.push(close);
}

fn start_line(indent: Option<usize>, out: &mut String) {
    if let Some(indent) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', indent));
    }
}

/// The types of a value's parts.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Structure<'a> {
    Scalar(&'static str),
    Array(Box<Structure<'a>>),
    Object(Vec<(&'a str, Structure<'a>)>),
}

impl<'a> Structure<'a> {
    /// What both can be read as.
    fn merged(self, other: Structure<'a>) -> Structure<'a> {
        match (self, other) {
            (one, other) if one == other => one,
            (Structure::Scalar("NULL"), known) | (known, Structure::Scalar("NULL")) => known,
            (Structure::Array(one), Structure::Array(other)) => {
                Structure::Array(Box::new(one.merged(*other)))
            }
            (Structure::Object(mut members), Structure::Object(others)) => {
                for (key, other) in others {
                    match members.iter_mut().find(|(name, _)| *name == key) {
                        Some((_, known)) => *known = known.clone().merged(other),
                        None => members.push((key, other)),
                    }
                }
                Structure::Object(members)
            }
            (Structure::Scalar(one), Structure::Scalar(other)) => match (rank(one), rank(other)) {
                (Some(one_rank), Some(rank)) if one_rank == 3 || rank == 3 => {
                    Structure::Scalar("DOUBLE")
                }
                (Some(_), Some(_)) => Structure::Scalar("HUGEINT"),
                _ => Structure::Scalar("JSON"),
            },
            _ => Structure::Scalar("JSON"),
        }
    }

    /// Appends the types as JSON.
    pub(super) fn write(&self, out: &mut String) {
        match self {
            Structure::Scalar(name) => push_string(name, out),
            Structure::Array(inside) => {
                out.push('[');
                inside.write(out);
                out.push(']');
            }
            Structure::Object(members) => {
                write_inside(members, ['{', '}'], None, out, |(key, value), _, out| {
                    push_string(key, out);
                    out.push(':');
                    value.write(out);
                });
            }
        }
    }
}

/// The order of types of numbers.
fn rank(name: &str) -> Option<u8> {
    ["UBIGINT", "BIGINT", "HUGEINT", "DOUBLE"]
        .iter()
        .position(|known| *known == name)
        .map(|at| u8::try_from(at).unwrap_or(u8::MAX))
}
