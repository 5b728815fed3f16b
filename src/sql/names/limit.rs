//! Bounds that DataFusion does not know: `FETCH FIRST`, `TOP`, `LIMIT 10%` and `WITH TIES`.
//!
//! A part of the rows and ties become conditions on windows, which hold rows of any number.

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, DataType, Distinct, ExactNumberInfo, ExcludeSelectItem, Expr, Fetch,
    FunctionArg, FunctionArgExpr, FunctionArguments, Ident, LimitClause, ObjectName, Offset,
    OrderBy, OrderByExpr, OrderByKind, Query, Select, SelectItem, SetExpr, TopQuantity, Value,
    WildcardAdditionalOptions,
};

use super::exact::same;
use super::tables::Columns;
use crate::error::{Error, Result};
use crate::sql::dialect::{and, binary, call, derived, number, over, select, taken};
use crate::sql::tokens::LIMIT_PERCENT;

/// A bound that is a condition on windows.
#[derive(Debug)]
pub(super) struct Bound {
    kind: Kind,
    count: Expr,
    offset: Option<Expr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A part of the rows, in percent.
    Percent,
    /// Rows, and those that are equal to the last.
    Ties,
}

/// Takes a bound of ours out of a query; one that DataFusion knows becomes its LIMIT. A query whose
/// rows are not those of one SELECT becomes one from it.
pub(super) fn take(query: &mut Query) -> Result<Option<Bound>> {
    if let SetExpr::Select(select) = query.body.as_mut()
        && let Some(top) = select.top.take()
    {
        let quantity = match top.quantity {
            Some(TopQuantity::Expr(expr)) => Some(expr),
            Some(TopQuantity::Constant(count)) => Some(number(count)),
            None => None,
        };
        query.fetch = Some(Fetch { with_ties: top.with_ties, percent: top.percent, quantity });
    }
    let (kind, count) = match query.fetch.take() {
        Some(fetch) => {
            if !matches!(
                query.limit_clause,
                None | Some(LimitClause::LimitOffset { limit: None, .. })
            ) {
                return Err(Error::query("LIMIT and FETCH say the same; give one of them"));
            }
            let count = fetch.quantity.unwrap_or_else(|| number(1));
            match (fetch.with_ties, fetch.percent) {
                (true, true) => {
                    return Err(Error::query("PERCENT and WITH TIES together are not supported"));
                }
                (true, false) => (Kind::Ties, count),
                (false, true) => (Kind::Percent, count),
                (false, false) => {
                    let offset = offset_of(query.limit_clause.take());
                    query.limit_clause = Some(LimitClause::LimitOffset {
                        limit: Some(count),
                        offset,
                        limit_by: Vec::new(),
                    });
                    return Ok(None);
                }
            }
        }
        None => match percent_of(query.limit_clause.as_ref()) {
            Some(percent) => (Kind::Percent, percent),
            None => return Ok(None),
        },
    };
    let offset = offset_of(query.limit_clause.take()).map(|offset| offset.value);
    if kind == Kind::Ties && query.order_by.is_none() {
        return Err(Error::query("WITH TIES needs an ORDER BY, which says what rows are equal"));
    }
    let plain = match query.body.as_ref() {
        SetExpr::Select(select) => {
            select.qualify.is_none()
                && !matches!(select.distinct, Some(Distinct::Distinct | Distinct::On(_)))
        }
        _ => false,
    };
    if !plain {
        wrap(query)?;
    }
    Ok(Some(Bound { kind, count, offset }))
}

/// What `tokens` has made of `LIMIT 10%`.
fn percent_of(clause: Option<&LimitClause>) -> Option<Expr> {
    let Some(LimitClause::LimitOffset { limit: Some(Expr::Function(function)), .. }) = clause
    else {
        return None;
    };
    match &function.args {
        FunctionArguments::List(list) if function.name.to_string() == LIMIT_PERCENT => {
            match list.args.as_slice() {
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(percent))] => Some(percent.clone()),
                _ => None,
            }
        }
        _ => None,
    }
}

fn offset_of(clause: Option<LimitClause>) -> Option<Offset> {
    match clause {
        Some(LimitClause::LimitOffset { offset, .. }) => offset,
        _ => None,
    }
}

/// Makes a query the table of another one, which keeps its CTEs and its order.
fn wrap(query: &mut Query) -> Result<()> {
    let mut inner = taken(&mut query.body)?;
    let mut all = WildcardAdditionalOptions::default();
    if let SetExpr::Select(select) = inner.body.as_mut() {
        // The order says which row of each key there is.
        if matches!(select.distinct, Some(Distinct::On(_))) {
            inner.order_by.clone_from(&query.order_by);
        }
        let hidden = hidden_keys(select, query.order_by.as_mut());
        all.opt_exclude = (!hidden.is_empty()).then_some(ExcludeSelectItem::Multiple(hidden));
    }
    query.body = select(vec![SelectItem::Wildcard(all)], Some(derived(inner, "limited")))?.body;
    Ok(())
}

/// Makes columns of the keys of an ORDER BY that are not in the result of its SELECT, and gives their
/// names: from outside nothing else is seen.
fn hidden_keys(select: &mut Select, order_by: Option<&mut OrderBy>) -> Vec<ObjectName> {
    let Some(OrderByKind::Expressions(keys)) = order_by.map(|order_by| &mut order_by.kind) else {
        return Vec::new();
    };
    let is_distinct = matches!(select.distinct, Some(Distinct::Distinct));
    let mut hidden = Vec::new();
    for OrderByExpr { expr: key, .. } in keys {
        if is_of_result(key, select) {
            continue;
        }
        if is_distinct {
            // All keys are in the result, if only by another name.
            if let Expr::CompoundIdentifier(parts) = key
                && let Some(column) = parts.pop()
            {
                *key = Expr::Identifier(column);
            }
            continue;
        }
        let alias = Ident::with_quote('"', format!("__order_{}", hidden.len() + 1));
        let expr = std::mem::replace(key, Expr::Identifier(alias.clone()));
        select.projection.push(SelectItem::ExprWithAlias { expr, alias: alias.clone() });
        hidden.push(ObjectName::from(vec![alias]));
    }
    hidden
}

/// Whether a key is the number of a column, or its alias.
fn is_of_result(key: &Expr, select: &Select) -> bool {
    match key {
        Expr::Value(_) => true,
        Expr::Identifier(ident) => {
            ident.value.starts_with('#')
                || select.projection.iter().any(|item| match item {
                    SelectItem::ExprWithAlias { alias: name, .. }
                    | SelectItem::UnnamedExpr(Expr::Named { name, .. }) => same(ident, &name.value),
                    _ => false,
                })
        }
        _ => false,
    }
}

impl Bound {
    /// Adds the bound to a SELECT whose names are exact.
    pub(super) fn apply(
        self,
        select: &mut Select,
        order_by: Option<&OrderBy>,
        output: &Columns,
    ) -> Result<()> {
        let order = match order_by.map(|order_by| &order_by.kind) {
            None => Vec::new(),
            Some(OrderByKind::Expressions(exprs)) => exprs
                .iter()
                .map(|order| {
                    let expr = stands_for(&order.expr, select, output)?;
                    Ok(OrderByExpr { expr, ..order.clone() })
                })
                .collect::<Result<_>>()?,
            Some(OrderByKind::All(_)) => {
                return Err(Error::query("ORDER BY ALL needs columns that are known here")
                    .with_hint("name the columns to order by"));
            }
        };
        let number_of_row = over(call("row_number", Vec::new()), Vec::new(), order.clone());
        let last = match self.kind {
            Kind::Ties => self.count,
            Kind::Percent => {
                let count = over(call("count", vec![number(1)]), Vec::new(), Vec::new());
                let shares = binary(double(count), BinaryOperator::Multiply, nested(self.count));
                binary(shares, BinaryOperator::Divide, number("100.0"))
            }
        };
        let last = match &self.offset {
            Some(offset) => binary(nested(last), BinaryOperator::Plus, nested(offset.clone())),
            None => last,
        };
        let place = match self.kind {
            Kind::Ties => over(call("rank", Vec::new()), Vec::new(), order),
            Kind::Percent => number_of_row.clone(),
        };
        let mut condition = binary(place, BinaryOperator::LtEq, nested(last));
        if let Some(offset) = self.offset {
            let after = binary(number_of_row, BinaryOperator::Gt, nested(offset));
            condition = and(Some(condition), after);
        }
        select.qualify = Some(condition);
        Ok(())
    }
}

/// What a key of ORDER BY stands for: an alias or a number is an expression of the output.
fn stands_for(key: &Expr, select: &Select, output: &Columns) -> Result<Expr> {
    if let Expr::Identifier(ident) = key {
        let alias = select.projection.iter().find_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias } if alias.value == ident.value => Some(expr),
            _ => None,
        });
        return Ok(alias.unwrap_or(key).clone());
    }
    let Expr::Value(value) = key else { return Ok(key.clone()) };
    let Value::Number(text, _) = &value.value else { return Ok(key.clone()) };
    let Some(place) = text.parse::<usize>().ok().and_then(|number| number.checked_sub(1)) else {
        return Ok(key.clone());
    };
    let wildcard = |item: &SelectItem| {
        matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..))
    };
    if select.projection.iter().any(wildcard) {
        let name = output.as_ref().and_then(|columns| columns.get(place));
        return name
            .map(|column| Expr::Identifier(Ident::with_quote('"', &column.name)))
            .ok_or_else(|| Error::query(format!("ORDER BY {text}: there is no such column")));
    }
    match select.projection.get(place) {
        Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) => {
            Ok(expr.clone())
        }
        _ => Err(Error::query(format!("ORDER BY {text}: there is no such column"))),
    }
}

fn nested(expr: Expr) -> Expr {
    Expr::Nested(Box::new(expr))
}

fn double(expr: Expr) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expr),
        data_type: DataType::Double(ExactNumberInfo::None),
        array: false,
        format: None,
    }
}
