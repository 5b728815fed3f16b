//! Names of columns: what is meant by one, and what to say when no column has it.

use std::collections::HashSet;

use arrow::datatypes::FieldRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, TableReference};
use datafusion::logical_expr::Expr;

use crate::error::{Error, Result};

pub(super) fn names(schema: &DFSchema) -> Vec<String> {
    schema.fields().iter().map(|field| field.name().clone()).collect()
}

pub(super) fn exact_names(schema: &DFSchema, wanted: &[&str]) -> Result<Vec<String>> {
    wanted.iter().map(|name| Ok(exact_column(schema, name)?.name)).collect()
}

/// The column that a name stands for.
///
/// # Errors
/// `Query` if it stands for none, or for several.
pub(super) fn exact_column(schema: &DFSchema, name: &str) -> Result<Column> {
    find_column(schema, name)?.ok_or_else(|| no_column(schema, name))
}

/// The place of the column that a name stands for.
///
/// # Errors
/// `Query` if it stands for none, or for several.
pub(super) fn place_of(schema: &DFSchema, name: &str) -> Result<usize> {
    Ok(schema.index_of_column(&exact_column(schema, name)?)?)
}

pub(super) fn no_column(schema: &DFSchema, name: &str) -> Error {
    let error = Error::query(format!("no column \"{name}\""));
    match crate::error::column_hint(name, &names(schema)) {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

/// Replaces every column name in an expression by the one it stands for.
pub(super) fn exact_columns(schema: &DFSchema, expr: Expr) -> Result<Expr> {
    let replaced = expr.transform_up(|expr| {
        let Expr::Column(column) = &expr else { return Ok(Transformed::no(expr)) };
        if column.relation.is_some() {
            return Ok(Transformed::no(expr));
        }
        Ok(Transformed::yes(Expr::Column(exact_column(schema, &column.name)?)))
    })?;
    Ok(replaced.data)
}

/// The column a name stands for: exactly, by case, or as `table.column`.
///
/// # Errors
/// `Query` if it stands for several.
pub(super) fn find_column(schema: &DFSchema, name: &str) -> Result<Option<Column>> {
    if let Some(column) = find_column_named(schema, name)? {
        return Ok(Some(column));
    }
    let all = || schema.iter().map(Column::from);
    let Some((table, column)) = name.split_once('.') else { return Ok(None) };
    Ok(all().find(|candidate| {
        candidate.relation.as_ref().is_some_and(|r| r.table().eq_ignore_ascii_case(table))
            && candidate.name.eq_ignore_ascii_case(column)
    }))
}

/// The column that has a name: exactly, or by case.
///
/// # Errors
/// `Query` if several have.
pub(super) fn find_column_named(schema: &DFSchema, name: &str) -> Result<Option<Column>> {
    let all = || schema.iter().map(Column::from);
    let exact: Vec<Column> = all().filter(|column| column.name == name).collect();
    let found = if exact.is_empty() {
        all().filter(|column| column.name.eq_ignore_ascii_case(name)).collect()
    } else {
        exact
    };
    match found.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(one.clone())),
        several => {
            let list: Vec<String> =
                several.iter().map(|column| format!("\"{}\"", column.flat_name())).collect();
            Err(Error::query(format!("\"{name}\" is ambiguous: {}", list.join(" or "))))
        }
    }
}

/// Every column, with its name.
pub(super) fn columns(schema: &DFSchema) -> Vec<(String, Expr)> {
    schema.iter().map(|(table, field)| (field.name().clone(), column(table, field))).collect()
}

fn column(table: Option<&TableReference>, field: &FieldRef) -> Expr {
    Expr::Column(Column::from((table, field)))
}

/// The columns of these names, as expressions.
pub(super) fn columns_of(schema: &DFSchema, wanted: &[&str]) -> Result<Vec<Expr>> {
    wanted.iter().map(|name| Ok(Expr::Column(exact_column(schema, name)?))).collect()
}

/// An expression in the place of a column, by the name of that.
pub(super) fn in_place_of(column: &Expr, expr: Expr) -> Expr {
    match column {
        Expr::Column(column) => expr.alias_qualified(column.relation.clone(), &column.name),
        _ => expr,
    }
}

/// The name of what is computed of groups, if it was given none: that of the first column in it, and
/// of a choice the one of its first value; `len` for a number of rows.
pub(super) fn output_name(expr: &Expr) -> String {
    first_name(expr).unwrap_or_else(|| match expr {
        Expr::AggregateFunction(count) if count.func.name() == "count" => "len".to_string(),
        expr => expr.schema_name().to_string(),
    })
}

fn first_name(expr: &Expr) -> Option<String> {
    let among = |exprs: &[Expr]| exprs.iter().find_map(first_name);
    match expr {
        Expr::Alias(alias) => Some(alias.name.clone()),
        Expr::Column(column) => Some(column.name.clone()),
        Expr::AggregateFunction(aggregate) => among(&aggregate.params.args),
        Expr::WindowFunction(window) => among(&window.params.args),
        Expr::Case(case) => case.when_then_expr.iter().find_map(|(_, value)| first_name(value)),
        expr => {
            let mut name = None;
            let looked = expr.apply_children(|child| {
                name = first_name(child);
                Ok(if name.is_some() {
                    TreeNodeRecursion::Stop
                } else {
                    TreeNodeRecursion::Continue
                })
            });
            looked.ok().and(name)
        }
    }
}

/// The expressions with the names of their texts, in which no table is named.
pub(super) fn named_as_written(expr: Expr) -> Expr {
    match expr {
        named @ (Expr::Column(_) | Expr::Alias(_)) => named,
        expr => {
            let name = expr.schema_name().to_string();
            expr.alias(name)
        }
    }
}

/// A name that no column has, for one that is there only between two steps.
pub(super) fn free_name(schema: &DFSchema, wish: &str) -> String {
    free_of(&names(schema), wish)
}

/// A name that is none of these whatever their case, for a column that is there only between two
/// steps.
pub(super) fn free_of(names: &[String], wish: &str) -> String {
    let mut name = format!("__{wish}");
    while names.iter().any(|taken| taken.eq_ignore_ascii_case(&name)) {
        name.push('_');
    }
    name
}

/// The expressions under names that differ from each other and from those that are `taken`: casts
/// and parameters of functions are not in the names that DataFusion makes.
pub(super) fn distinctly_named(mut taken: Vec<String>, exprs: Vec<Expr>) -> Vec<Expr> {
    let named = exprs.into_iter().map(|expr| {
        let name = expr.schema_name().to_string();
        if !taken.contains(&name) {
            taken.push(name);
            return expr;
        }
        let name = free_of(&taken, "value");
        taken.push(name.clone());
        expr.alias(name)
    });
    named.collect()
}

/// What an expression has become, under the name it had.
pub(super) fn under_its_name(changed: Transformed<Expr>, name: &str) -> Expr {
    match changed.data {
        expr if !changed.transformed => expr,
        alias @ Expr::Alias(_) => alias,
        expr => expr.alias(name),
    }
}

/// Says which name is there twice.
///
/// # Errors
/// `Query` if one is.
pub(super) fn check_distinct<'a>(names: impl IntoIterator<Item = &'a String>) -> Result<()> {
    let mut seen = HashSet::new();
    match names.into_iter().find(|name| !seen.insert(*name)) {
        None => Ok(()),
        Some(name) => Err(Error::query(format!("two columns would have the name \"{name}\""))
            .with_hint("rename one of them")),
    }
}
