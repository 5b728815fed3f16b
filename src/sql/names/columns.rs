//! `COLUMNS(…)`, and wildcards that DataFusion cannot expand: as many expressions as columns.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::common::DFSchema;
use datafusion::sql::sqlparser::ast::{
    ExcludeSelectItem, Expr, ExprWithAlias, Function, FunctionArg, FunctionArgExpr,
    FunctionArguments, Ident, ObjectName, Query, RenameSelectItem, SelectItem,
    SelectItemQualifiedWildcardKind, Value, VisitMut, VisitorMut, WildcardAdditionalOptions,
    visit_expressions_mut,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::exact::{at, idents, last_ident, one_spelling, same, unused};
use super::sugar;
use super::tables::Column;
use super::using::qualified;
use super::{Relation, Resolver, Scope};
use crate::error::{Error, Result, column_hint};
use crate::sql::dialect::{and, call, text};
use crate::sql::macros::substitute;
use crate::sql::tokens::UNPACK_COLUMNS;

/// A column that was chosen: what it is, and its name in the result.
#[derive(Debug, Clone)]
struct Chosen {
    expr: Expr,
    name: String,
}

impl Resolver<'_> {
    /// Puts columns in the place of `COLUMNS(…)` and of wildcards.
    pub(super) fn expand(&mut self, items: &mut Vec<SelectItem>) -> Result<()> {
        let mut output: Vec<SelectItem> = Vec::with_capacity(items.len());
        for item in std::mem::take(items) {
            match item {
                SelectItem::UnnamedExpr(Expr::Named { expr, name }) => {
                    output.push(SelectItem::ExprWithAlias { expr: *expr, alias: name });
                }
                SelectItem::Wildcard(options) if self.is_ours(None, &options) => {
                    let chosen = self.star(None, &options)?;
                    push_columns(&mut output, chosen);
                }
                SelectItem::QualifiedWildcard(
                    SelectItemQualifiedWildcardKind::ObjectName(name),
                    options,
                ) if self.is_ours(Some(&name), &options) => {
                    let chosen = self.star(Some(&name), &options)?;
                    push_columns(&mut output, chosen);
                }
                SelectItem::UnnamedExpr(expr) => match self.columns_in(&expr)? {
                    None => output.push(SelectItem::UnnamedExpr(expr)),
                    Some(chosen) => push_columns(&mut output, filled(&expr, &chosen)),
                },
                SelectItem::ExprWithAlias { expr, alias } => match self.columns_in(&expr)? {
                    None => output.push(SelectItem::ExprWithAlias { expr, alias }),
                    Some(chosen) => {
                        let names = self.renamed(&expr, &alias, &chosen)?;
                        let columns = filled(&expr, &chosen).into_iter().zip(names);
                        let columns = columns.map(|(column, name)| Chosen { name, ..column });
                        push_columns(&mut output, columns.collect());
                    }
                },
                other => output.push(other),
            }
        }
        *items = output;
        Ok(())
    }

    /// Whether a wildcard is ours to expand. DataFusion does not know all of its clauses, and of the
    /// keys of USING it gives the one whose table comes first by name, which may be NULL in an outer
    /// join, or at another place. It has to do where columns are not known.
    fn is_ours(&self, table: Option<&ObjectName>, options: &WildcardAdditionalOptions) -> bool {
        let scope = self.scope();
        let hides = |relation: &Relation| !relation.hidden.is_empty();
        let is_known = |relation: &Relation| relation.columns.is_some();
        options.opt_rename.is_some()
            || options.opt_ilike.is_some()
            || (table.is_none() && !scope.merged.is_empty())
            || (scope.relations.iter().all(is_known)
                && (options.opt_exclude.is_some()
                    || options.opt_except.is_some()
                    || options.opt_replace.is_some()
                    || scope.relations.iter().any(hides)))
    }

    /// A condition on `COLUMNS(…)` holds if it does for every column.
    pub(super) fn all_of_columns(&mut self, condition: &mut Expr) -> Result<()> {
        let Some(chosen) = self.columns_in(condition)? else { return Ok(()) };
        let each = filled(condition, &chosen).into_iter().map(|column| column.expr);
        let all = each.map(|expr| Expr::Nested(Box::new(expr)));
        let all = all.fold(None, |before, condition| Some(and(before, condition)));
        *condition = all.expect("no columns are an error");
        Ok(())
    }

    /// The column of a number, as `#1` names it.
    pub(super) fn column_number(&self, number: usize, ident: &Ident) -> Result<Expr> {
        let scope = self.scopes.iter().rev().find(|scope| !scope.is_lambda);
        let columns = scope.map_or(Ok(Vec::new()), |scope| visible(scope, None))?;
        let found = number.checked_sub(1).and_then(|place| columns.get(place));
        found.map(|column| column.expr.clone()).ok_or_else(|| {
            let error = Error::query(format!("there is no column {}", ident.value));
            at(error.with_hint(format!("there are {}", columns.len())), ident.span)
        })
    }

    /// `* EXCLUDE (…) REPLACE (…) RENAME (…)`
    fn star(
        &mut self,
        table: Option<&ObjectName>,
        options: &WildcardAdditionalOptions,
    ) -> Result<Vec<Chosen>> {
        let mut chosen = visible(self.scope(), table)?;
        let mut excluded: Vec<Ident> = Vec::new();
        match options.opt_exclude.clone() {
            Some(ExcludeSelectItem::Single(mut name)) => {
                excluded.extend(last_ident(&mut name).cloned());
            }
            Some(ExcludeSelectItem::Multiple(names)) => {
                excluded.extend(names.into_iter().filter_map(|mut n| last_ident(&mut n).cloned()));
            }
            None => {}
        }
        if let Some(except) = &options.opt_except {
            excluded.push(except.first_element.clone());
            excluded.extend(except.additional_elements.iter().cloned());
        }
        for ident in &excluded {
            check_there(&chosen, ident, "EXCLUDE")?;
        }
        chosen.retain(|column| !excluded.iter().any(|ident| same(ident, &column.name)));
        if let Some(ilike) = &options.opt_ilike {
            let name = Expr::Identifier(Ident::new(NAME));
            let pattern = Box::new(text(&ilike.pattern));
            let like = Expr::ILike {
                negated: false,
                any: false,
                expr: Box::new(name),
                pattern,
                escape_char: None,
            };
            self.keep(&mut chosen, like)?;
        }
        for item in options.opt_replace.iter().flat_map(|replace| &replace.items) {
            check_there(&chosen, &item.column_name, "REPLACE")?;
            for column in &mut chosen {
                if same(&item.column_name, &column.name) {
                    column.expr = item.expr.clone();
                }
            }
        }
        let renames = match &options.opt_rename {
            Some(RenameSelectItem::Single(item)) => std::slice::from_ref(item),
            Some(RenameSelectItem::Multiple(items)) => items.as_slice(),
            None => &[],
        };
        for rename in renames {
            check_there(&chosen, &rename.ident, "RENAME")?;
            for column in &mut chosen {
                if same(&rename.ident, &column.name) {
                    column.name.clone_from(&rename.alias.value);
                }
            }
        }
        Ok(chosen)
    }

    /// The columns of the `COLUMNS(…)` in an expression, if there is one.
    fn columns_in(&mut self, expr: &Expr) -> Result<Option<Vec<Chosen>>> {
        let calls = calls_in(expr);
        let Some(first) = calls.first() else { return Ok(None) };
        if calls.iter().any(|call| call.args != first.args) {
            return Err(Error::query("all COLUMNS of an expression must be the same")
                .with_hint("choose one set of columns"));
        }
        let FunctionArguments::List(list) = &first.args else { return Ok(None) };
        let [argument] = list.args.as_slice() else {
            return Err(Error::query("COLUMNS takes one argument")
                .with_hint("a regular expression, a list of names, * or lambda name: condition"));
        };
        let mut chosen = visible(self.scope(), None)?;
        match argument {
            FunctionArg::Unnamed(FunctionArgExpr::Wildcard) => {}
            FunctionArg::Unnamed(FunctionArgExpr::WildcardWithOptions(options)) => {
                chosen = self.star(None, options)?;
            }
            FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(table)) => {
                chosen = visible(self.scope(), Some(table))?;
            }
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Array(list))) => {
                let ident = |name: &Expr| {
                    let name = literal(name).unwrap_or_default();
                    match chosen.iter().any(|column| column.name == name) {
                        true => Ident::with_quote('"', name),
                        false => Ident::new(name),
                    }
                };
                let names: Vec<Ident> = list.elem.iter().map(ident).collect();
                for name in &names {
                    check_there(&chosen, name, "COLUMNS")?;
                }
                chosen.retain(|column| names.iter().any(|name| same(name, &column.name)));
            }
            FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Lambda(lambda))) => {
                let [param] = &*lambda.params else {
                    return Err(Error::query("the function in COLUMNS takes one name"));
                };
                let mut condition = lambda.body.as_ref().clone();
                let _: ControlFlow<()> = visit_expressions_mut(&mut condition, |expr| {
                    sugar::unchain(expr);
                    ControlFlow::Continue(())
                });
                let param = param.name.clone();
                let name = Expr::Identifier(Ident::new(NAME));
                substitute(&mut condition, &[(param, name)]);
                self.keep(&mut chosen, condition)?;
            }
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => {
                let Some(regex) = literal(expr) else {
                    return Err(Error::query(format!("COLUMNS({expr}) is not understood"))
                        .with_hint("it takes a regular expression, a list of names, *, or lambda name: condition"));
                };
                let name = Expr::Identifier(Ident::new(NAME));
                self.keep(&mut chosen, call("regexp_like", vec![name, text(regex)]))?;
            }
            other => return Err(Error::query(format!("COLUMNS({other}) is not understood"))),
        }
        if chosen.is_empty() {
            let error = Error::query(format!("no column matches {first}"));
            let name = first.name.0.first().and_then(|part| part.as_ident());
            return Err(at(error, name.map_or(Span::empty(), |ident| ident.span)));
        }
        Ok(Some(chosen))
    }

    /// Keeps the columns whose name meets a condition.
    fn keep(&mut self, chosen: &mut Vec<Chosen>, condition: Expr) -> Result<()> {
        let names = chosen.iter().map(|column| column.name.as_str()).collect();
        let kept = cast(&self.of_names(names, condition)?, &DataType::Boolean)?;
        let mut kept = kept.as_boolean().iter();
        chosen.retain(|_| kept.next().flatten().unwrap_or(false));
        Ok(())
    }

    /// The names for `COLUMNS('a(.*)') AS 'b\1'`: the alias, with the groups of the match.
    fn renamed(&mut self, expr: &Expr, alias: &Ident, chosen: &[Chosen]) -> Result<Vec<String>> {
        let calls = calls_in(expr);
        let regex = calls.first().and_then(|call| match &call.args {
            FunctionArguments::List(list) => match list.args.as_slice() {
                [FunctionArg::Unnamed(FunctionArgExpr::Expr(expr))] => literal(expr),
                _ => None,
            },
            _ => None,
        });
        let Some(regex) = regex.filter(|_| alias.value.contains('\\')) else {
            return Ok(vec![alias.value.clone(); chosen.len()]);
        };
        let name = Expr::Identifier(Ident::new(NAME));
        // What is around the match is no part of the name.
        let whole = text(format!("^.*?(?:{regex}).*$"));
        let replaced = call("regexp_replace", vec![name, whole, text(&alias.value)]);
        let names = chosen.iter().map(|column| column.name.as_str()).collect();
        let values = cast(&self.of_names(names, replaced)?, &DataType::Utf8)?;
        Ok(values.as_string::<i32>().iter().map(|v| v.unwrap_or_default().to_string()).collect())
    }

    /// An expression of names, computed for each of them.
    fn of_names(&mut self, names: Vec<&str>, mut expr: Expr) -> Result<ArrayRef> {
        let columns = Some(vec![Column { name: NAME.to_string(), data_type: None }]);
        self.within(Relation { columns, ..Relation::default() }, |inside| inside.expr(&mut expr))?;
        let schema = Arc::new(Schema::new(vec![Field::new(NAME, DataType::Utf8, false)]));
        let rows = names.len();
        let batch = RecordBatch::try_new(
            Arc::clone(&schema),
            vec![Arc::new(StringArray::from(names)) as ArrayRef],
        )?;
        let schema = DFSchema::try_from(schema)?;
        let expr = ExprWithAlias { expr, alias: None };
        let logical = self.state.create_logical_expr_from_sql_expr(expr, &schema)?;
        let physical = self.state.create_physical_expr(logical, &schema)?;
        Ok(physical.evaluate(&batch)?.into_array(rows)?)
    }
}

/// The columns that a wildcard gives.
fn visible(scope: &Scope, table: Option<&ObjectName>) -> Result<Vec<Chosen>> {
    let table = match table {
        None => None,
        Some(name) => idents(name).and_then(|parts| parts.last().copied()),
    };
    let mut all: Vec<Chosen> = Vec::new();
    for (place, relation) in scope.relations.iter().enumerate() {
        if let Some(table) = table
            && !relation.name.as_ref().is_some_and(|name| same(table, name))
        {
            continue;
        }
        let Some(columns) = &relation.columns else {
            return Err(Error::query("the columns of a table function are not known here")
                .with_hint("name them: FROM f() AS t(a, b)"));
        };
        for Column { name, .. } in columns {
            if table.is_none() && relation.hidden.contains(name) {
                continue;
            }
            let mut merged = scope.merged.iter();
            let merged = merged.find(|key| key.name == *name && key.of.contains(&place));
            let expr = match (merged, &relation.name) {
                (Some(key), _) if table.is_none() => key.expr.clone(),
                (_, Some(table)) => qualified(table, name),
                (_, None) => Expr::Identifier(Ident::with_quote('"', name)),
            };
            all.push(Chosen { expr, name: name.clone() });
        }
    }
    Ok(all)
}

/// What a name is called in conditions on it.
const NAME: &str = "name";

/// Adds columns, with names that no other has: DataFusion wants the names of expressions to differ.
fn push_columns(output: &mut Vec<SelectItem>, columns: Vec<Chosen>) {
    let mut taken: HashSet<String> = output
        .iter()
        .filter_map(|item| match item {
            SelectItem::ExprWithAlias { alias, .. } => Some(alias.value.clone()),
            _ => None,
        })
        .collect();
    for Chosen { expr, name } in columns {
        let plain = match &expr {
            Expr::CompoundIdentifier(parts) => parts.last().is_some_and(|part| part.value == name),
            Expr::Identifier(ident) => ident.value == name,
            _ => false,
        };
        output.push(if plain {
            SelectItem::UnnamedExpr(expr)
        } else {
            let name = unused(name, |name| taken.contains(name));
            taken.insert(name.clone());
            SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', name) }
        });
    }
}

fn check_there(columns: &[Chosen], ident: &Ident, clause: &str) -> Result<()> {
    let names: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let meant = names.iter().filter(|name| same(ident, name)).cloned();
    if one_spelling(ident, meant)?.is_some() {
        return Ok(());
    }
    let error = Error::query(format!("{clause}: no column \"{}\"", ident.value));
    let error = match column_hint(&ident.value, &names) {
        Some(hint) => error.with_hint(hint),
        None => error,
    };
    Err(at(error, ident.span))
}

fn literal(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text.clone()),
            _ => None,
        },
        _ => None,
    }
}

/// The expression once for each column, with the column in the place of `COLUMNS(…)`.
fn filled(expr: &Expr, columns: &[Chosen]) -> Vec<Chosen> {
    if calls_in(expr).iter().all(|call| is_named(call, UNPACK_COLUMNS)) {
        let mut all = expr.clone();
        let _ = all.visit(&mut Fill { columns });
        let name = all.to_string();
        return vec![Chosen { expr: all, name }];
    }
    let each = columns.iter().map(|column| {
        let mut one = expr.clone();
        let _ = one.visit(&mut Fill { columns: std::slice::from_ref(column) });
        Chosen { expr: one, name: column.name.clone() }
    });
    each.collect()
}

/// Puts columns in the place of `COLUMNS(…)`: one for a call, all of them for one that is unpacked.
struct Fill<'a> {
    columns: &'a [Chosen],
}

impl VisitorMut for Fill<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        let Expr::Function(function) = expr else { return ControlFlow::Continue(()) };
        if is_named(function, "columns") {
            *expr = self.columns[0].expr.clone();
            return ControlFlow::Continue(());
        }
        if let FunctionArguments::List(list) = &mut function.args {
            let mut args = Vec::with_capacity(list.args.len());
            for arg in std::mem::take(&mut list.args) {
                match arg {
                    FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Function(inner)))
                        if is_named(&inner, UNPACK_COLUMNS) =>
                    {
                        let exprs = self.columns.iter().map(|column| column.expr.clone());
                        args.extend(exprs.map(FunctionArgExpr::Expr).map(FunctionArg::Unnamed));
                    }
                    other => args.push(other),
                }
            }
            list.args = args;
        }
        ControlFlow::Continue(())
    }
}

/// The calls of `COLUMNS` in an expression, but for those of its subqueries.
fn calls_in(expr: &Expr) -> Vec<Function> {
    struct Find {
        depth: usize,
        found: Vec<Function>,
    }
    impl VisitorMut for Find {
        type Break = ();

        fn pre_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
            self.depth += 1;
            ControlFlow::Continue(())
        }

        fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<()> {
            self.depth -= 1;
            ControlFlow::Continue(())
        }

        fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
            if self.depth == 0
                && let Expr::Function(function) = expr
                && (is_named(function, "columns") || is_named(function, UNPACK_COLUMNS))
            {
                self.found.push(function.clone());
            }
            ControlFlow::Continue(())
        }
    }
    let mut find = Find { depth: 0, found: Vec::new() };
    let _ = expr.clone().visit(&mut find);
    find.found
}

fn is_named(function: &Function, name: &str) -> bool {
    matches!(idents(&function.name).as_deref(), Some([ident]) if ident.value.eq_ignore_ascii_case(name))
}
