//! Functions of texts.

use arrow::datatypes::DataType;
use datafusion::functions::expr_fn as functions;
use datafusion::logical_expr::{Expr, cast, lit, try_cast};

use super::edit::Edit;
use super::nested::Json;
use crate::error::Result;
use crate::functions::call as sql_call;
use crate::functions::operation::call;

/// Functions of texts; see [`crate::ExprMethods::str`].
///
/// A `pattern` is a regular expression, with the syntax of Rust's `regex`. What is searched for as
/// it is has a method of its own, with `literal` in its name.
#[derive(Debug, Clone)]
pub struct Text(pub(in crate::frame) Expr);

impl Text {
    /// Whether a regular expression matches somewhere.
    pub fn contains(self, pattern: &str) -> Expr {
        functions::regexp_like(self.0, lit(pattern), None)
    }

    /// Whether a text is in it.
    pub fn contains_literal(self, literal: &str) -> Expr {
        functions::contains(self.0, lit(literal))
    }

    /// Whether it begins with a text.
    pub fn starts_with(self, prefix: &str) -> Expr {
        functions::starts_with(self.0, lit(prefix))
    }

    /// Whether it ends with a text.
    pub fn ends_with(self, suffix: &str) -> Expr {
        functions::ends_with(self.0, lit(suffix))
    }

    /// What a group of the first match has, 0 being all of it; NULL without a match, or where the
    /// group had no part in it.
    pub fn extract(self, pattern: &str, group: u32) -> Expr {
        self.edited(Edit::Extract(pattern.to_string(), group))
    }

    /// All matches, as a list.
    ///
    /// # Errors
    /// `Query` if there is no such function.
    pub fn extract_all(self, pattern: &str) -> Result<Expr> {
        sql_call("regexp_extract_all", [self.0, lit(pattern)])
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
    pub fn replace_all_literal(self, from: &str, to: &str) -> Expr {
        functions::replace(self.0, lit(from), lit(to))
    }

    /// The parts between separators, as a list; all characters for an empty one.
    pub fn split(self, separator: &str) -> Expr {
        self.edited(Edit::Split(separator.to_string()))
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
    pub fn strip_prefix(self, prefix: &str) -> Expr {
        self.edited(Edit::StripPrefix(prefix.to_string()))
    }

    /// Without this at the end, once.
    pub fn strip_suffix(self, suffix: &str) -> Expr {
        self.edited(Edit::StripSuffix(suffix.to_string()))
    }

    /// With a character before it until it has so many; longer ones stay.
    pub fn pad_start(self, length: u32, fill: char) -> Expr {
        self.edited(Edit::PadStart(length, fill))
    }

    /// With a character after it until it has so many; longer ones stay.
    pub fn pad_end(self, length: u32, fill: char) -> Expr {
        self.edited(Edit::PadEnd(length, fill))
    }

    /// With zeros, after a sign if it has one, until it has so many characters.
    pub fn zfill(self, length: u32) -> Expr {
        self.edited(Edit::ZeroFill(length))
    }

    fn edited(self, edit: Edit) -> Expr {
        call(edit, vec![self.0])
    }

    /// How many characters it has.
    pub fn len_chars(self) -> Expr {
        cast(functions::character_length(self.0), DataType::Int64)
    }

    /// How many bytes it has.
    pub fn len_bytes(self) -> Expr {
        cast(functions::octet_length(self.0), DataType::Int64)
    }

    /// The characters from an offset, counted from 0, or from the end if negative. An offset before
    /// the start takes from the length what is not there.
    pub fn slice(self, offset: i64, length: Option<u32>) -> Expr {
        self.edited(Edit::Slice(offset, length))
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
        sql_call("strptime", [self.0, lit(format)])
    }

    /// As [`Text::to_datetime`], with NULL where it is none.
    ///
    /// # Errors
    /// `Query` if there is no such function.
    pub fn to_datetime_or_null(self, format: &str) -> Result<Expr> {
        sql_call("try_strptime", [self.0, lit(format)])
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

    /// What is at a path of a JSON text, as [`Json::extract_string`](super::Json::extract_string).
    ///
    /// # Errors
    /// `Query` if there is no such function.
    pub fn json_path_match(self, path: &str) -> Result<Expr> {
        Json(self.0).extract_string(path)
    }

    /// How many characters must be changed, added or taken to make it another.
    pub fn levenshtein(self, other: Expr) -> Expr {
        cast(functions::levenshtein(self.0, other), DataType::Int64)
    }

    /// From the last character to the first.
    pub fn reverse(self) -> Expr {
        functions::reverse(self.0)
    }

    /// Where a regular expression matches first, counted in characters from 0; NULL where it does not.
    pub fn find(self, pattern: &str) -> Expr {
        self.edited(Edit::Find(pattern.to_string()))
    }

    /// Where a text is first, counted as [`Text::find`] does.
    pub fn find_literal(self, literal: &str) -> Expr {
        self.edited(Edit::Find(regex::escape(literal)))
    }
}
