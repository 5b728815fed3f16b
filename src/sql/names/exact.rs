//! Identifiers: what they can stand for, and making them exact.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, ObjectNamePart, visit_expressions};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::tables::{Column, Columns};
use crate::error::{Error, Position, Result};

pub(crate) fn idents(name: &ObjectName) -> Option<Vec<&Ident>> {
    name.0.iter().map(ObjectNamePart::as_ident).collect()
}

pub(super) fn last_ident(name: &mut ObjectName) -> Option<&mut Ident> {
    match name.0.last_mut() {
        Some(ObjectNamePart::Identifier(ident)) => Some(ident),
        _ => None,
    }
}

/// Makes an identifier stand for exactly this name.
pub(super) fn set_exact(ident: &mut Ident, name: &str) {
    ident.value = name.to_string();
    ident.quote_style = Some('"');
}

/// Keeps the case of a name that is introduced here.
pub(super) fn keep_case(ident: &mut Ident) {
    ident.quote_style = ident.quote_style.or(Some('"'));
}

fn position(span: Span) -> Position {
    Position { line: span.start.line, column: span.start.column }
}

pub(crate) fn at(error: Error, span: Span) -> Error {
    if span.start.line == 0 { error } else { error.with_position(position(span)) }
}

/// `count(*)`, then `count(*)_1`, …: DataFusion wants the names of expressions to differ.
pub(crate) fn unused(name: String, is_taken: impl Fn(&str) -> bool) -> String {
    let mut unused = name.clone();
    let mut number = 1;
    while is_taken(&unused) {
        unused = format!("{name}_{number}");
        number += 1;
    }
    unused
}

/// The one spelling among matches.
///
/// # Errors
/// `Query` that names the spellings if there are several.
pub(crate) fn one_spelling(
    ident: &Ident,
    matches: impl Iterator<Item = String>,
) -> Result<Option<String>> {
    let spellings: BTreeSet<String> = matches.collect();
    if spellings.len() < 2 {
        return Ok(spellings.into_iter().next());
    }
    let list: Vec<String> = spellings.iter().map(|name| format!("\"{name}\"")).collect();
    let error = Error::query(format!("\"{}\" is ambiguous: {}", ident.value, list.join(" or ")))
        .with_hint("put the one that is meant in double quotes");
    Err(at(error, ident.span))
}

/// Whether an identifier can stand for a name.
pub(crate) fn same(ident: &Ident, name: &str) -> bool {
    match ident.quote_style {
        Some(_) => ident.value == name,
        None => ident.value.to_lowercase() == name.to_lowercase(),
    }
}

/// Whether a column of this name may be meant anywhere in an expression.
pub(crate) fn mentions(expr: &Expr, name: &str) -> bool {
    let found = visit_expressions(expr, |expr| {
        let ident = match expr {
            Expr::Identifier(ident) => Some(ident),
            Expr::CompoundIdentifier(parts) => parts.last(),
            _ => None,
        };
        match ident {
            Some(ident) if same(ident, name) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    found.is_break()
}

pub(super) fn find(columns: &Columns, ident: &Ident) -> Result<Option<String>> {
    columns.as_ref().map_or(Ok(None), |columns| find_in(columns, ident))
}

pub(super) fn find_in(columns: &[Column], ident: &Ident) -> Result<Option<String>> {
    let matches = columns.iter().map(|column| &column.name).filter(|name| same(ident, name));
    one_spelling(ident, matches.cloned())
}
