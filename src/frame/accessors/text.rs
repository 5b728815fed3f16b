//! Functions of texts.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::functions::expr_fn as functions;
use datafusion::functions_nested::expr_fn::{array_element, string_to_array};
use datafusion::logical_expr::{Expr, cast, lit, try_cast, when};

use crate::error::Result;
use crate::functions::call;

/// Functions of texts; see [`crate::ExprMethods::str`]. Regular expressions have the syntax of
/// Rust's `regex`.
#[derive(Debug, Clone)]
pub struct Text(pub(in crate::frame) Expr);

impl Text {
    /// Whether a text is in it.
    pub fn contains(self, literal: &str) -> Expr {
        functions::contains(self.0, lit(literal))
    }

    /// Whether a regular expression matches somewhere.
    pub fn contains_regex(self, pattern: &str) -> Expr {
        functions::regexp_like(self.0, lit(pattern), None)
    }

    /// Whether it begins with a text.
    pub fn starts_with(self, prefix: &str) -> Expr {
        functions::starts_with(self.0, lit(prefix))
    }

    /// Whether it ends with a text.
    pub fn ends_with(self, suffix: &str) -> Expr {
        functions::ends_with(self.0, lit(suffix))
    }

    /// What a group of the first match has, 0 being all of it; NULL without a match.
    pub fn extract(self, pattern: &str, group: u32) -> Expr {
        let whole = lit(format!("({pattern})"));
        array_element(functions::regexp_match(self.0, whole, None), lit(i64::from(group) + 1))
    }

    /// All matches, as a list.
    ///
    /// # Errors
    /// `Query` if there is no such function.
    pub fn extract_all(self, pattern: &str) -> Result<Expr> {
        call("regexp_extract_all", [self.0, lit(pattern)])
    }

    /// The first match replaced; `${1}` is what its first group has.
    pub fn replace(self, pattern: &str, by: &str) -> Expr {
        functions::regexp_replace(self.0, lit(pattern), lit(by), None)
    }

    /// All matches replaced; `${1}` is what the first group has.
    pub fn replace_all(self, pattern: &str, by: &str) -> Expr {
        functions::regexp_replace(self.0, lit(pattern), lit(by), Some(lit("g")))
    }

    /// A text replaced wherever it is.
    pub fn replace_literal(self, from: &str, to: &str) -> Expr {
        functions::replace(self.0, lit(from), lit(to))
    }

    /// The parts between separators, as a list.
    pub fn split(self, separator: &str) -> Expr {
        string_to_array(self.0, lit(separator), lit(ScalarValue::Utf8(None)))
    }

    /// In lower case.
    pub fn to_lowercase(self) -> Expr {
        functions::lower(self.0)
    }

    /// In upper case.
    pub fn to_uppercase(self) -> Expr {
        functions::upper(self.0)
    }

    /// Each word with a capital first.
    pub fn to_titlecase(self) -> Expr {
        functions::initcap(self.0)
    }

    /// Without these characters at both ends; without blanks for `None`.
    pub fn strip_chars(self, chars: Option<&str>) -> Expr {
        functions::btrim(self.with(chars))
    }

    /// As [`Text::strip_chars`], at the start.
    pub fn strip_chars_start(self, chars: Option<&str>) -> Expr {
        functions::ltrim(self.with(chars))
    }

    /// As [`Text::strip_chars`], at the end.
    pub fn strip_chars_end(self, chars: Option<&str>) -> Expr {
        functions::rtrim(self.with(chars))
    }

    fn with(self, chars: Option<&str>) -> Vec<Expr> {
        vec![self.0, lit(chars.unwrap_or(" \t\n\r\u{b}\u{c}"))]
    }

    /// Without this at the start, once.
    ///
    /// # Errors
    /// Those of building the expression.
    pub fn strip_prefix(self, prefix: &str) -> Result<Expr> {
        let rest = functions::substr(self.0.clone(), lit(characters(prefix) + 1));
        let starts = functions::starts_with(self.0.clone(), lit(prefix));
        Ok(when(starts, rest).otherwise(self.0)?)
    }

    /// Without this at the end, once.
    ///
    /// # Errors
    /// Those of building the expression.
    pub fn strip_suffix(self, suffix: &str) -> Result<Expr> {
        let length = functions::character_length(self.0.clone());
        let left = cast(length, DataType::Int64) - lit(characters(suffix));
        let rest = functions::substring(self.0.clone(), lit(1_i64), left);
        let ends = functions::ends_with(self.0.clone(), lit(suffix));
        Ok(when(ends, rest).otherwise(self.0)?)
    }

    /// With a character before it until it has so many; longer ones stay.
    ///
    /// # Errors
    /// Those of building the expression.
    pub fn pad_start(self, length: u32, fill: char) -> Result<Expr> {
        let padded =
            functions::lpad(vec![self.0.clone(), lit(i64::from(length)), lit(fill.to_string())]);
        self.unless_long(length, padded)
    }

    /// With a character after it until it has so many; longer ones stay.
    ///
    /// # Errors
    /// Those of building the expression.
    pub fn pad_end(self, length: u32, fill: char) -> Result<Expr> {
        let padded =
            functions::rpad(vec![self.0.clone(), lit(i64::from(length)), lit(fill.to_string())]);
        self.unless_long(length, padded)
    }

    /// With zeros, after a sign if it has one, until it has so many characters.
    ///
    /// # Errors
    /// Those of building the expression.
    pub fn zfill(self, length: u32) -> Result<Expr> {
        let zeros =
            |text: Expr, length: i64| functions::lpad(vec![text, lit(length.max(0)), lit("0")]);
        let sign = functions::substring(self.0.clone(), lit(1_i64), lit(1_i64));
        let rest = functions::substr(self.0.clone(), lit(2_i64));
        let signed = functions::concat(vec![sign.clone(), zeros(rest, i64::from(length) - 1)]);
        let has_sign = sign.in_list(vec![lit("-"), lit("+")], false);
        let padded = when(has_sign, signed).otherwise(zeros(self.0.clone(), i64::from(length)))?;
        self.unless_long(length, padded)
    }

    fn unless_long(self, length: u32, padded: Expr) -> Result<Expr> {
        let has = cast(functions::character_length(self.0.clone()), DataType::Int64);
        Ok(when(has.gt_eq(lit(i64::from(length))), self.0).otherwise(padded)?)
    }

    /// How many characters it has.
    pub fn len_chars(self) -> Expr {
        cast(functions::character_length(self.0), DataType::Int64)
    }

    /// How many bytes it has.
    pub fn len_bytes(self) -> Expr {
        cast(functions::octet_length(self.0), DataType::Int64)
    }

    /// The characters from an offset, counted from 0, or from the end if negative.
    pub fn slice(self, offset: i64, length: Option<u32>) -> Expr {
        let text = if offset < 0 { functions::right(self.0, lit(-offset)) } else { self.0 };
        let start = lit(offset.max(0).saturating_add(1));
        match length {
            Some(length) => functions::substring(text, start, lit(i64::from(length))),
            None => functions::substr(text, start),
        }
    }

    /// The first characters; all but the last ones if negative.
    pub fn head(self, count: i64) -> Expr {
        functions::left(self.0, lit(count))
    }

    /// The last characters; all but the first ones if negative.
    pub fn tail(self, count: i64) -> Expr {
        functions::right(self.0, lit(count))
    }

    /// How often a regular expression matches.
    pub fn count_matches(self, pattern: &str) -> Expr {
        functions::regexp_count(self.0, lit(pattern), None, None)
    }

    /// A time, read with a format of `strftime`; an error where it is none.
    ///
    /// # Errors
    /// `Query` if there is no such function.
    pub fn to_datetime(self, format: &str) -> Result<Expr> {
        call("strptime", [self.0, lit(format)])
    }

    /// As [`Text::to_datetime`], with NULL where it is none.
    ///
    /// # Errors
    /// `Query` if there is no such function.
    pub fn to_datetime_or_null(self, format: &str) -> Result<Expr> {
        call("try_strptime", [self.0, lit(format)])
    }

    /// A date, read with a format of `strftime`; an error where it is none.
    pub fn to_date(self, format: &str) -> Expr {
        functions::to_date(vec![self.0, lit(format)])
    }

    /// As [`Text::to_date`], with NULL where it is none.
    ///
    /// # Errors
    /// `Query` if there is no such function.
    pub fn to_date_or_null(self, format: &str) -> Result<Expr> {
        Ok(cast(self.to_datetime_or_null(format)?, DataType::Date32))
    }

    /// A number; an error where it is none.
    pub fn to_number(self) -> Expr {
        cast(self.0, DataType::Float64)
    }

    /// A number, or NULL where it is none.
    pub fn to_number_or_null(self) -> Expr {
        try_cast(self.0, DataType::Float64)
    }

    /// A whole number; an error where it is none.
    pub fn to_integer(self) -> Expr {
        cast(self.0, DataType::Int64)
    }

    /// A whole number, or NULL where it is none.
    pub fn to_integer_or_null(self) -> Expr {
        try_cast(self.0, DataType::Int64)
    }

    /// What is at a path of a JSON text, as text.
    ///
    /// # Errors
    /// `Query` if there is no such function.
    pub fn json_path_match(self, path: &str) -> Result<Expr> {
        call("json_extract_string", [self.0, lit(path)])
    }

    /// How many characters must be changed, added or taken to make it another.
    pub fn levenshtein(self, other: Expr) -> Expr {
        cast(functions::levenshtein(self.0, other), DataType::Int64)
    }

    /// From the last character to the first.
    pub fn reverse(self) -> Expr {
        functions::reverse(self.0)
    }

    /// Where a text is first, counted in characters from 0; NULL where it is not.
    ///
    /// # Errors
    /// Those of building the expression.
    pub fn find(self, literal: &str) -> Result<Expr> {
        let place = cast(functions::strpos(self.0, lit(literal)), DataType::Int64);
        Ok(when(place.clone().gt(lit(0_i64)), place - lit(1_i64)).end()?)
    }
}

fn characters(text: &str) -> i64 {
    text.chars().count() as i64
}
