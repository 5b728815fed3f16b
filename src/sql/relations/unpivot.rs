//! UNPIVOT as a query that unnests a list of the names and a list of the values of each row.

use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, ExprWithAlias, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, NullInclusion, ObjectNamePart, Query, SelectItem, SetExpr,
    TableFactor, Value,
};

use super::pivot::listed;
use crate::error::{Error, Result};
use crate::sql::dialect::{and, call, select};
use crate::sql::names::{is_same, mentions, unused};

/// The query that an unpivot stands for, of a table with these columns, if they are known.
///
/// # Errors
/// `Query` for unpivots that make no sense.
pub(crate) fn as_query(unpivot: TableFactor, columns: Option<&[String]>) -> Result<Query> {
    let TableFactor::Unpivot { table, value, name, columns: wanted, null_inclusion, .. } = unpivot
    else {
        return Err(Error::internal("an unpivot became another relation"));
    };
    let Some(columns) = columns else {
        return Err(Error::query("the columns of what is unpivoted are not known")
            .with_hint("unpivot a subquery that names them: SELECT a, b FROM …"));
    };
    let value_names = listed(value)
        .into_iter()
        .map(|value| match value {
            Expr::Identifier(ident) => Ok(ident.value),
            other => Err(Error::query(format!("{other} is no name for a column"))),
        })
        .collect::<Result<Vec<_>>>()?;
    let rows = rows(wanted, columns, value_names.len())?;
    let kept: Vec<&String> = columns
        .iter()
        .filter(|name| !rows.iter().flat_map(|row| &row.values).any(|expr| mentions(expr, name)))
        .collect();

    let mut taken: Vec<String> = kept.iter().map(|name| (*name).clone()).collect();
    let mut own = |name: String| {
        let name = unused(name, |name| taken.iter().any(|taken| taken == name));
        taken.push(name.clone());
        Ident::with_quote('"', name)
    };
    let name = own(name.value);
    let value_names: Vec<Ident> = value_names.into_iter().map(own).collect();

    let ident = |name: &String| Expr::Identifier(Ident::with_quote('"', name));
    let mut items: Vec<SelectItem> =
        kept.iter().map(|name| SelectItem::UnnamedExpr(ident(name))).collect();
    let mut outer = items.clone();
    let names = rows
        .iter()
        .map(|row| Expr::Value(Value::SingleQuotedString(row.name.clone()).with_empty_span()));
    items.push(unnested(names.collect(), name.clone()));
    for (number, alias) in value_names.iter().enumerate() {
        let values = rows.iter().map(|row| row.values[number].clone());
        items.push(unnested(values.collect(), alias.clone()));
    }
    let names = [name].into_iter().chain(value_names.clone());
    outer.extend(names.map(|name| SelectItem::UnnamedExpr(Expr::Identifier(name))));

    let unnested = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(select(items, Some(*table))?),
        alias: None,
        sample: None,
    };
    let mut query = select(outer, Some(unnested))?;
    if !matches!(null_inclusion, Some(NullInclusion::IncludeNulls))
        && let SetExpr::Select(select) = query.body.as_mut()
    {
        select.selection = value_names.into_iter().fold(None, |condition, name| {
            let is_there = Expr::IsNotNull(Box::new(Expr::Identifier(name)));
            Some(and(condition, is_there))
        });
    }
    Ok(query)
}

/// What each row of the table becomes.
struct Row {
    name: String,
    values: Vec<Expr>,
}

fn rows(wanted: Vec<ExprWithAlias>, columns: &[String], width: usize) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for ExprWithAlias { expr, alias } in wanted {
        if let Expr::Function(function) = &expr
            && function.name.to_string().eq_ignore_ascii_case("columns")
        {
            for name in all_columns(function, columns)? {
                let column = Expr::Identifier(Ident::with_quote('"', &name));
                rows.push(Row { name, values: vec![column] });
            }
            continue;
        }
        let values = listed(expr);
        let names: Vec<String> = values.iter().map(name_of).collect();
        let name = alias.map_or_else(|| names.join("_"), |alias| alias.value);
        rows.push(Row { name, values });
    }
    if rows.is_empty() {
        return Err(Error::query("UNPIVOT without columns"));
    }
    // The spelling of the table's column, where it is one.
    for row in &mut rows {
        if let [Expr::Identifier(ident)] = row.values.as_slice()
            && ident.value == row.name
            && let Some(exact) = columns.iter().find(|name| is_same(ident, name))
        {
            row.name.clone_from(exact);
        }
    }
    match rows.iter().find(|row| row.values.len() != width) {
        None => Ok(rows),
        Some(row) => Err(Error::query(format!(
            "UNPIVOT of {} columns at once into {width} columns of values",
            row.values.len()
        ))),
    }
}

fn name_of(expr: &Expr) -> String {
    match expr {
        Expr::Identifier(ident) => ident.value.clone(),
        Expr::CompoundIdentifier(parts) => {
            parts.last().map_or_else(String::new, |part| part.value.clone())
        }
        other => other.to_string(),
    }
}

/// The columns of `COLUMNS(*)` and `COLUMNS(* EXCLUDE (…))`.
fn all_columns(function: &Function, columns: &[String]) -> Result<Vec<String>> {
    let unsupported = || {
        Error::query(format!("{function} is not supported in UNPIVOT"))
            .with_hint("write the columns, * or * EXCLUDE (…)")
    };
    let FunctionArguments::List(list) = &function.args else { return Err(unsupported()) };
    let [FunctionArg::Unnamed(arg)] = list.args.as_slice() else { return Err(unsupported()) };
    let excluded: Vec<&Ident> = match arg {
        FunctionArgExpr::Wildcard => Vec::new(),
        FunctionArgExpr::WildcardWithOptions(options) => {
            let names = match &options.opt_exclude {
                Some(ExcludeSelectItem::Single(name)) => vec![name],
                Some(ExcludeSelectItem::Multiple(names)) => names.iter().collect(),
                None => return Err(unsupported()),
            };
            names
                .into_iter()
                .filter_map(|name| name.0.last().and_then(ObjectNamePart::as_ident))
                .collect()
        }
        _ => return Err(unsupported()),
    };
    let is_excluded = |name: &&String| excluded.iter().any(|ident| is_same(ident, name));
    Ok(columns.iter().filter(|name| !is_excluded(name)).cloned().collect())
}

/// `unnest(make_array(…)) AS alias`
fn unnested(values: Vec<Expr>, alias: Ident) -> SelectItem {
    let expr = call("unnest", vec![call("make_array", values)]);
    SelectItem::ExprWithAlias { expr, alias }
}
