//! Calls in FROM that refer to the tables before them, as UNNEST of a list.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, Ident, ObjectName, TableAlias, TableAliasColumnDef,
    TableFactor, visit_expressions,
};

use crate::error::{Error, Result};
use crate::sql::dialect::call;

/// Table functions that are functions for lists too, and the name of their column.
const SERIES: [(&str, &str); 2] = [("generate_series", "value"), ("range", "value")];

/// Makes UNNEST of `LATERAL unnest(list)`, and of a series whose bounds are columns.
///
/// # Errors
/// `Query` for a sample of such a series.
pub(super) fn unnest_call(factor: &mut TableFactor) -> Result<()> {
    let unnested = match factor {
        TableFactor::Function { name, args, alias, .. } if is_named(name, "unnest") => {
            values(args).map(|values| (values, alias.take()))
        }
        TableFactor::Function { name, args, alias, .. } => {
            series(name, args).map(|(list, of)| (vec![list], Some(named(alias.take(), of))))
        }
        TableFactor::Table { name, args: Some(call), alias, sample, .. }
            if has_column(&call.args) =>
        {
            let series = series(name, &call.args);
            if series.is_some() && sample.is_some() {
                return Err(Error::query(format!(
                    "a sample of {name} for each row is not supported"
                ))
                .with_hint(
                    "sample the query that it is in: FROM (SELECT …) AS s TABLESAMPLE 10%",
                ));
            }
            series.map(|(list, of)| (vec![list], Some(named(alias.take(), of))))
        }
        _ => None,
    };
    if let Some((array_exprs, alias)) = unnested {
        *factor = TableFactor::UNNEST {
            alias,
            array_exprs,
            with_offset: false,
            with_offset_alias: None,
            with_ordinality: false,
        };
    }
    Ok(())
}

/// The list of a series, and the names of its table and its column.
fn series(name: &ObjectName, args: &[FunctionArg]) -> Option<(Expr, (&'static str, &'static str))> {
    let of = SERIES.into_iter().find(|(function, _)| is_named(name, function))?;
    Some((call(of.0, values(args)?), of))
}

/// The alias with the name of the table, and with that of the column, where they are not given.
fn named(alias: Option<TableAlias>, (table, column): (&str, &str)) -> TableAlias {
    let mut alias = alias.unwrap_or_else(|| TableAlias {
        explicit: true,
        name: Ident::with_quote('"', table),
        columns: Vec::new(),
        at: None,
    });
    if alias.columns.is_empty() {
        alias.columns.push(TableAliasColumnDef::from_name(column));
    }
    alias
}

fn is_named(name: &ObjectName, wanted: &str) -> bool {
    name.to_string().eq_ignore_ascii_case(wanted)
}

fn values(args: &[FunctionArg]) -> Option<Vec<Expr>> {
    let value = |arg: &FunctionArg| match arg {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    args.iter().map(value).collect()
}

fn has_column(args: &[FunctionArg]) -> bool {
    let is_column = |expr: &Expr| match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    args.iter().any(|arg| visit_expressions(arg, is_column).is_break())
}
