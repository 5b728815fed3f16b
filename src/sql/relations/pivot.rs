//! PIVOT as a query with an aggregate for each value: `sum(x) FILTER (WHERE year = 2020) AS "2020"`.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, ExprWithAlias, Function, GroupByExpr, Ident, PivotValueSource, Query,
    SelectItem, SetExpr, TableFactor, UnaryOperator, Value, visit_expressions_mut,
};

use super::pivot_values::{inside, text_of_typed};
use crate::error::{Error, Result};
use crate::relations::pivot::{MOST_COLUMNS, column_name, too_many};
use crate::sql::dialect::{and, binary, select};
use crate::sql::names::mentions;

/// What is pivoted, and the values it has columns for.
struct Axis {
    columns: Vec<Expr>,
    /// A value of each column, and a name.
    values: Vec<(Vec<Expr>, String)>,
}

/// The query that a pivot stands for, of a table with these columns, if they are known.
/// `is_aggregate` says which functions are computed for each combination.
///
/// # Errors
/// `Query` for pivots that make no sense or too many columns.
pub(crate) fn as_query(
    pivot: TableFactor,
    columns: Option<&[String]>,
    is_aggregate: &dyn Fn(&Function) -> bool,
) -> Result<Query> {
    let TableFactor::Pivot {
        table,
        aggregate_functions,
        value_column,
        value_source,
        default_on_null,
        ..
    } = pivot
    else {
        return Err(Error::internal("a pivot became another relation"));
    };
    let groups = match default_on_null {
        // Only ours are in brackets once more.
        Some(groups @ (Expr::Tuple(_) | Expr::Nested(_))) => listed(groups),
        Some(_) => return Err(Error::query("PIVOT with DEFAULT ON NULL is not supported")),
        None => remaining(columns, &value_column, &aggregate_functions)?,
    };
    let axes = axes(value_column, value_source)?;
    let count: usize = axes.iter().map(|axis| axis.values.len()).product();
    if count.saturating_mul(aggregate_functions.len()) > MOST_COLUMNS {
        return Err(too_many());
    }
    let mut items: Vec<SelectItem> = groups.iter().cloned().map(SelectItem::UnnamedExpr).collect();
    for number in 0..count {
        let (condition, names) = combination(&axes, number);
        for aggregate in &aggregate_functions {
            let expr = filtered(&aggregate.expr, condition.as_ref(), is_aggregate)?;
            items.push(item(aggregate, expr, &names, aggregate_functions.len() > 1));
        }
    }
    if items.is_empty() {
        return Err(Error::query("a pivot without columns: there are no values")
            .with_hint("name the values that are wanted: PIVOT … ON column IN (…)"));
    }
    let mut query = select(items, Some(*table))?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.group_by = GroupByExpr::Expressions(groups, Vec::new());
    }
    Ok(query)
}

/// `a, b` of `(a, b)`, `(a)` or `a`
pub(crate) fn listed(expr: Expr) -> Vec<Expr> {
    match expr {
        Expr::Tuple(exprs) => exprs,
        Expr::Nested(expr) => listed(*expr),
        expr => vec![expr],
    }
}

/// The columns that a pivot does not mention, which it groups by.
fn remaining(
    columns: Option<&[String]>,
    pivoted: &[Expr],
    aggregates: &[ExprWithAlias],
) -> Result<Vec<Expr>> {
    let Some(columns) = columns else {
        return Err(Error::query("the columns of what is pivoted are not known")
            .with_hint("say by which the pivot groups: PIVOT … GROUP BY"));
    };
    let exprs = || pivoted.iter().chain(aggregates.iter().map(|aggregate| &aggregate.expr));
    let rest = columns.iter().filter(|name| !exprs().any(|expr| mentions(expr, name)));
    Ok(rest.map(|name| Expr::Identifier(Ident::with_quote('"', name))).collect())
}

fn axes(columns: Vec<Expr>, source: PivotValueSource) -> Result<Vec<Axis>> {
    match source {
        PivotValueSource::List(values) => {
            let values = values
                .into_iter()
                .map(|ExprWithAlias { expr, alias }| {
                    let parts = if columns.len() == 1 { vec![expr] } else { listed(expr) };
                    if parts.len() != columns.len() {
                        return Err(Error::query(format!(
                            "a pivot of {} columns with values of {}",
                            columns.len(),
                            parts.len()
                        )));
                    }
                    let names: Vec<String> = parts.iter().map(text).collect();
                    let name = alias.map_or_else(|| names.join("_"), |alias| alias.value);
                    Ok((parts, name))
                })
                .collect::<Result<_>>()?;
            Ok(vec![Axis { columns, values }])
        }
        PivotValueSource::Any(_) => columns
            .into_iter()
            .map(|column| match inside(column) {
                Expr::InList { expr, list, negated: false } => {
                    let values = list.into_iter().map(|value| {
                        let name = text(&value);
                        (vec![value], name)
                    });
                    Ok(Axis { columns: vec![*expr], values: values.collect() })
                }
                column => Err(Error::internal(format!("no values were found for {column}"))),
            })
            .collect(),
        PivotValueSource::Subquery(_) => {
            Err(Error::query("PIVOT with IN (SELECT …) is not supported")
                .with_hint("IN (ANY) makes a column for each value there is"))
        }
    }
}

/// The condition and the names of one combination of values; the values of the last axis change
/// first.
fn combination(axes: &[Axis], mut number: usize) -> (Option<Expr>, Vec<String>) {
    let mut chosen = Vec::new();
    for axis in axes.iter().rev() {
        chosen.push((axis, &axis.values[number % axis.values.len()]));
        number /= axis.values.len();
    }
    chosen.reverse();
    let mut condition = None;
    let mut names = Vec::new();
    for (axis, (values, name)) in chosen {
        names.push(name.clone());
        for (column, value) in axis.columns.iter().zip(values) {
            condition = Some(and(condition, equals(column, value)));
        }
    }
    (condition, names)
}

fn equals(column: &Expr, value: &Expr) -> Expr {
    let column = Expr::Nested(Box::new(column.clone()));
    match value {
        Expr::Value(found) if found.value == Value::Null => Expr::IsNull(Box::new(column)),
        value => binary(column, BinaryOperator::Eq, value.clone()),
    }
}

/// An expression whose aggregates are those of the rows of one combination: of `round(avg(x))` it is
/// `avg(x)` that is given the condition.
///
/// # Errors
/// `Query` if there is no aggregate in it.
fn filtered(
    expr: &Expr,
    condition: Option<&Expr>,
    is_aggregate: &dyn Fn(&Function) -> bool,
) -> Result<Expr> {
    let mut filtered = expr.clone();
    let mut count = 0;
    let _: ControlFlow<()> = visit_expressions_mut(&mut filtered, |expr| {
        if let Expr::Function(function) = expr
            && is_aggregate(function)
        {
            count += 1;
            if let Some(condition) = condition {
                let filter = function.filter.take().map(Expr::Nested);
                function.filter = Some(Box::new(and(filter, condition.clone())));
            }
        }
        ControlFlow::Continue(())
    });
    if count == 0 {
        return Err(Error::query(format!("{expr} is no aggregate, as a pivot needs")));
    }
    Ok(filtered)
}

/// A column of the pivot.
fn item(aggregate: &ExprWithAlias, expr: Expr, names: &[String], are_several: bool) -> SelectItem {
    let written = aggregate.expr.to_string();
    let of_aggregate = match &aggregate.alias {
        Some(alias) => Some(alias.value.as_str()),
        None => are_several.then_some(written.as_str()),
    };
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let alias = Ident::with_quote('"', column_name(&names, of_aggregate));
    SelectItem::ExprWithAlias { expr, alias }
}

/// A literal as it is named.
fn text(value: &Expr) -> String {
    match value {
        Expr::Value(value) => match &value.value {
            Value::Null => "NULL".to_string(),
            Value::Number(number, _) => number.to_string(),
            Value::Boolean(truth) => truth.to_string(),
            value => value.clone().into_string().unwrap_or_else(|| value.to_string()),
        },
        Expr::TypedString(typed) => text(&Expr::Value(typed.value.clone())),
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => format!("-{}", text(expr)),
        Expr::Nested(expr) | Expr::Cast { expr, .. } => text(expr),
        value => text_of_typed(value).unwrap_or_else(|| value.to_string()),
    }
}
