//! Columns by type or by name: `frame.select_columns(selectors::numeric() - "id")`.
//!
//! A selector is made of these functions, of names, and of the operators `|` (either), `&` (both),
//! `-` (but not) and `!` (the others). Whatever takes a selector takes a name or an array of names
//! too; a name must be there, a selector may find nothing.

use std::ops::{BitAnd, BitOr, Not, Sub};

use arrow::array::StringArray;
use arrow::compute::kernels::regexp::regexp_is_match_scalar;
use arrow::datatypes::{DataType, Field};
use datafusion::common::DFSchema;

use super::names::{names, place_of};
use crate::error::{Error, Result};

/// Which columns are meant.
#[derive(Debug, Clone)]
pub struct Selector(Rule);

#[derive(Debug, Clone)]
enum Rule {
    Names(Vec<String>),
    Types(fn(&DataType) -> bool),
    Type(DataType),
    Name(NameTest, String),
    Matches(String),
    Either(Box<Rule>, Box<Rule>),
    Both(Box<Rule>, Box<Rule>),
    Others(Box<Rule>),
}

type NameTest = fn(&str, &str) -> bool;

/// All columns.
pub fn all() -> Selector {
    Selector(Rule::Types(|_| true))
}

/// Integers, floats and decimals.
pub fn numeric() -> Selector {
    Selector(Rule::Types(DataType::is_numeric))
}

/// Integers.
pub fn integer() -> Selector {
    Selector(Rule::Types(DataType::is_integer))
}

/// Floats.
pub fn float() -> Selector {
    Selector(Rule::Types(DataType::is_floating))
}

/// Texts.
pub fn text() -> Selector {
    Selector(Rule::Types(is_text))
}

/// Dates, times, timestamps, durations and intervals.
pub fn temporal() -> Selector {
    Selector(Rule::Types(DataType::is_temporal))
}

/// Booleans.
pub fn boolean() -> Selector {
    Selector(Rule::Types(|data_type| *data_type == DataType::Boolean))
}

/// Lists, structs and maps.
pub fn nested() -> Selector {
    Selector(Rule::Types(DataType::is_nested))
}

/// Columns of exactly this type.
pub fn of_type(data_type: DataType) -> Selector {
    Selector(Rule::Type(data_type))
}

/// Columns in whose name the regular expression is found.
pub fn matches(pattern: impl Into<String>) -> Selector {
    Selector(Rule::Matches(pattern.into()))
}

/// Columns whose name begins so.
pub fn starts_with(prefix: impl Into<String>) -> Selector {
    Selector(Rule::Name(|name, prefix| name.starts_with(prefix), prefix.into()))
}

/// Columns whose name ends so.
pub fn ends_with(suffix: impl Into<String>) -> Selector {
    Selector(Rule::Name(|name, suffix| name.ends_with(suffix), suffix.into()))
}

/// Columns in whose name this is.
pub fn contains(part: impl Into<String>) -> Selector {
    Selector(Rule::Name(|name, part| name.contains(part), part.into()))
}

/// All columns but these.
pub fn except(these: impl Into<Selector>) -> Selector {
    let these: Selector = these.into();
    !these
}

pub(super) fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, values) => values.is_string(),
        data_type => data_type.is_string(),
    }
}

impl Selector {
    /// The places of the columns, in the order that is asked for.
    ///
    /// # Errors
    /// `Query` if a name is not there, or the regular expression is none.
    pub(super) fn places(&self, schema: &DFSchema) -> Result<Vec<usize>> {
        if let Rule::Names(wanted) = &self.0 {
            return places_of(schema, wanted);
        }
        let chosen = self.0.chosen(schema)?;
        Ok((0..chosen.len()).filter(|place| chosen[*place]).collect())
    }

    /// The names of the columns, in the order of [`Selector::places`].
    ///
    /// # Errors
    /// As for that.
    pub(super) fn names(&self, schema: &DFSchema) -> Result<Vec<String>> {
        let places = self.places(schema)?.into_iter();
        Ok(places.map(|place| schema.field(place).name().clone()).collect())
    }

    /// Whether columns are named, and not only selected.
    pub(super) fn is_of_names(&self) -> bool {
        matches!(self.0, Rule::Names(_))
    }

    /// Another one in the place of a list of no names.
    pub(super) fn or_if_empty(self, other: Selector) -> Selector {
        match &self.0 {
            Rule::Names(names) if names.is_empty() => other,
            _ => self,
        }
    }
}

impl Rule {
    /// Whether it is so, for each column.
    fn chosen(&self, schema: &DFSchema) -> Result<Vec<bool>> {
        let each = |test: &dyn Fn(&Field) -> bool| -> Vec<bool> {
            schema.fields().iter().map(|field| test(field)).collect()
        };
        Ok(match self {
            Rule::Names(wanted) => {
                let places = places_of(schema, wanted)?;
                (0..schema.fields().len()).map(|place| places.contains(&place)).collect()
            }
            Rule::Types(test) => each(&|field| test(field.data_type())),
            Rule::Type(data_type) => each(&|field| field.data_type() == data_type),
            Rule::Name(test, text) => each(&|field| test(field.name(), text)),
            Rule::Matches(pattern) => matching(&names(schema), pattern)?,
            Rule::Either(one, other) => {
                pairs(one.chosen(schema)?, other.chosen(schema)?, |one, other| one || other)
            }
            Rule::Both(one, other) => {
                pairs(one.chosen(schema)?, other.chosen(schema)?, |one, other| one && other)
            }
            Rule::Others(rule) => rule.chosen(schema)?.into_iter().map(|yes| !yes).collect(),
        })
    }
}

fn places_of(schema: &DFSchema, names: &[String]) -> Result<Vec<usize>> {
    names.iter().map(|name| place_of(schema, name)).collect()
}

fn pairs(one: Vec<bool>, other: Vec<bool>, both: fn(bool, bool) -> bool) -> Vec<bool> {
    one.into_iter().zip(other).map(|(one, other)| both(one, other)).collect()
}

fn matching(names: &[String], pattern: &str) -> Result<Vec<bool>> {
    let names = StringArray::from_iter_values(names);
    let found = regexp_is_match_scalar(&names, pattern, None).map_err(|err| {
        Error::query(format!("\"{pattern}\" is no regular expression")).with_source(err)
    })?;
    Ok(found.values().iter().collect())
}

impl From<&str> for Selector {
    fn from(name: &str) -> Self {
        Selector(Rule::Names(vec![name.to_string()]))
    }
}

impl From<&[&str]> for Selector {
    fn from(names: &[&str]) -> Self {
        Selector(Rule::Names(names.iter().map(ToString::to_string).collect()))
    }
}

impl<const N: usize> From<[&str; N]> for Selector {
    fn from(names: [&str; N]) -> Self {
        names.as_slice().into()
    }
}

impl<const N: usize> From<&[&str; N]> for Selector {
    fn from(names: &[&str; N]) -> Self {
        names.as_slice().into()
    }
}

impl From<&[String]> for Selector {
    fn from(names: &[String]) -> Self {
        Selector(Rule::Names(names.to_vec()))
    }
}

impl From<Vec<String>> for Selector {
    fn from(names: Vec<String>) -> Self {
        Selector(Rule::Names(names))
    }
}

impl<T: Into<Selector>> BitOr<T> for Selector {
    type Output = Selector;

    fn bitor(self, other: T) -> Selector {
        let other: Selector = other.into();
        Selector(Rule::Either(Box::new(self.0), Box::new(other.0)))
    }
}

impl<T: Into<Selector>> BitAnd<T> for Selector {
    type Output = Selector;

    fn bitand(self, other: T) -> Selector {
        let other: Selector = other.into();
        Selector(Rule::Both(Box::new(self.0), Box::new(other.0)))
    }
}

impl<T: Into<Selector>> Sub<T> for Selector {
    type Output = Selector;

    fn sub(self, other: T) -> Selector {
        let other: Selector = other.into();
        self & !other
    }
}

impl Not for Selector {
    type Output = Selector;

    fn not(self) -> Selector {
        Selector(Rule::Others(Box::new(self.0)))
    }
}
