//! Names inside expressions.

use std::ops::ControlFlow;

use arrow::datatypes::DataType;
use datafusion::logical_expr::Volatility;
use datafusion::sql::sqlparser::ast::{
    Expr, Function, Ident, Query, VisitMut, VisitorMut, visit_expressions,
};

use super::exact::{at, find, find_in, one_spelling, same, set_exact};
use super::query::column_name;
use super::sugar;
use super::tables::{Column, columns_of};
use super::{Named, Relation, Resolver, Scope};
use crate::error::{Error, Result};

impl Resolver<'_> {
    pub(super) fn expr(&mut self, expr: &mut Expr) -> Result<()> {
        self.visit(expr)
    }

    pub(super) fn exprs<T: VisitMut>(&mut self, exprs: &mut T) -> Result<()> {
        self.visit(exprs)
    }

    pub(super) fn visit(&mut self, node: &mut impl VisitMut) -> Result<()> {
        match node.visit(&mut ExprVisitor { resolver: self, query_depth: 0 }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(err) => Err(err),
        }
    }

    /// Replaces an unquoted column name by the one it stands for. With `aliases_first`, names of
    /// the output come before those of the tables.
    pub(super) fn ident(&self, ident: &mut Ident, aliases_first: bool) -> Result<()> {
        if ident.quote_style.is_some() {
            return Ok(());
        }
        for scope in self.scopes.iter().rev() {
            let alias = |ident: &Ident| {
                let names = scope.aliases.iter().map(|alias| &alias.name);
                one_spelling(ident, names.filter(|name| same(ident, name)).cloned())
            };
            let mut found = if aliases_first { alias(ident)? } else { None };
            if found.is_none() {
                let columns = scope.relations.iter().filter_map(|r| r.columns.as_ref()).flatten();
                let names = columns.map(|c| c.name.clone()).filter(|name| same(ident, name));
                found = one_spelling(ident, names)?;
            }
            if found.is_none() {
                found = alias(ident)?;
            }
            if let Some(exact) = found {
                set_exact(ident, &exact);
                return Ok(());
            }
            if scope.relations.iter().any(|relation| relation.columns.is_none()) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// A name that is an expression of its own: that of a column, or what an alias or a key of
    /// USING stands for.
    pub(super) fn identifier(&self, expr: &mut Expr) -> Result<()> {
        let Expr::Identifier(ident) = expr else { return Ok(()) };
        if ident.quote_style.is_none()
            && let Some(number) = ident.value.strip_prefix('#')
            && let Ok(number) = number.parse()
        {
            *expr = self.column_number(number, ident)?;
            return Ok(());
        }
        for scope in self.scopes.iter().rev() {
            let mut keys = scope.merged.iter().filter(|key| same(ident, &key.name));
            if let Some(key) = keys.next() {
                if keys.next().is_some() {
                    let error = Error::query(format!("\"{}\" is ambiguous", ident.value));
                    return Err(at(error.with_hint("write its table before it"), ident.span));
                }
                *expr = key.expr.clone();
                return Ok(());
            }
            let columns = || scope.relations.iter().filter_map(|r| r.columns.as_ref()).flatten();
            if columns().any(|column| same(ident, &column.name)) {
                scope.check_alias(ident)?;
                break;
            }
            if scope.relations.iter().any(|relation| relation.columns.is_none()) {
                break;
            }
            if let Some(alias) = scope.aliases.iter().find(|alias| same(ident, &alias.name)) {
                if scope.aliases_stand {
                    self.check_repeatable(ident, &alias.expr)?;
                    *expr = Expr::Nested(Box::new(alias.expr.clone()));
                    return Ok(());
                }
                break;
            }
        }
        self.ident(ident, false)
    }

    /// An expression in two places is computed twice, so one that gives another value each time is
    /// refused.
    fn check_repeatable(&self, alias: &Ident, expr: &Expr) -> Result<()> {
        let flow = visit_expressions(expr, |expr| match expr {
            Expr::Function(function) if self.is_volatile(function) => {
                ControlFlow::Break(function.name.to_string())
            }
            _ => ControlFlow::Continue(()),
        });
        let ControlFlow::Break(function) = flow else { return Ok(()) };
        let error = Error::query(format!(
            "\"{}\" would be computed again, and gives another value each time",
            alias.value
        ));
        let hint = format!("name it in a subquery: FROM (SELECT {function}() AS r, …)");
        Err(at(error.with_hint(hint), alias.span))
    }

    /// `table.column`, `schema.table.column`, `column.field`, and longer ones.
    pub(super) fn compound(&self, parts: &mut [Ident]) -> Result<()> {
        for index in (0..parts.len() - 1).rev() {
            let Some(relation) = self.find_relation(&parts[index]) else { continue };
            if let Some(name) = &relation.name {
                set_exact(&mut parts[index], name);
            }
            let rest = &mut parts[index + 1..];
            if let Some(columns) = &relation.columns {
                let Some(exact) = find_in(columns, &rest[0])? else { return Ok(()) };
                let column = columns.iter().find(|column| column.name == exact);
                set_exact(&mut rest[0], &exact);
                return fields(column.and_then(|c| c.data_type.as_ref()), &mut rest[1..]);
            }
            return Ok(());
        }
        self.ident(&mut parts[0], false)?;
        let name = &parts[0].value;
        let columns = self.scopes.iter().rev().flat_map(|scope| &scope.relations);
        let column = columns
            .filter_map(|relation| relation.columns.as_ref())
            .flatten()
            .find(|column| column.name == *name);
        let data_type = column.and_then(|column| column.data_type.clone());
        fields(data_type.as_ref(), &mut parts[1..])
    }

    /// Whether a function computes one value of many rows.
    pub(super) fn is_aggregate(&self, function: &Function) -> bool {
        let name = function.name.to_string().to_lowercase();
        function.over.is_none() && self.state.aggregate_functions().contains_key(&name)
    }

    /// Whether a function gives another value each time.
    fn is_volatile(&self, function: &Function) -> bool {
        let name = function.name.to_string().to_lowercase();
        let found = self.state.scalar_functions().get(&name);
        found.is_some_and(|found| found.signature().volatility == Volatility::Volatile)
    }

    /// Whether a function computes a value of each row.
    fn is_scalar(&self, function: &Function) -> bool {
        let name = function.name.to_string().to_lowercase();
        self.state.scalar_functions().contains_key(&name)
            && !self.state.aggregate_functions().contains_key(&name)
    }

    pub(super) fn find_relation(&self, ident: &Ident) -> Option<&Relation> {
        self.scopes.iter().rev().find_map(|scope| {
            scope
                .relations
                .iter()
                .find(|relation| relation.name.as_ref().is_some_and(|name| same(ident, name)))
        })
    }

    pub(super) fn qualifier(&self, ident: &Ident) -> Option<String> {
        self.find_relation(ident).and_then(|relation| relation.name.clone())
    }
}

impl Scope {
    /// Refuses a name in an expression of ORDER BY that is a column and an alias of something else: the
    /// column comes first, and DataFusion would take the alias.
    fn check_alias(&self, ident: &Ident) -> Result<()> {
        let is_meant = |alias: &&Named| same(ident, &alias.name);
        let Some(alias) = self.aliases.iter().find(is_meant).filter(|_| self.columns_first) else {
            return Ok(());
        };
        for relation in &self.relations {
            let Some(column) = find(&relation.columns, ident)? else { continue };
            let is_same = column_name(&alias.expr) == Some(column.as_str());
            if !is_same && !relation.hidden.contains(&column) {
                let error = Error::query(format!("\"{}\" is a column and an alias", ident.value));
                return Err(at(error.with_hint("give the alias another name"), ident.span));
            }
        }
        Ok(())
    }
}

/// Makes the names of struct fields exact.
fn fields(data_type: Option<&DataType>, parts: &mut [Ident]) -> Result<()> {
    let (Some(DataType::Struct(fields)), Some((first, rest))) =
        (data_type, parts.split_first_mut())
    else {
        return Ok(());
    };
    let columns = columns_of(fields);
    if let Some(exact) = find_in(&columns, first)? {
        set_exact(first, &exact);
        let field = columns.iter().find(|column| column.name == exact);
        return self::fields(field.and_then(|f| f.data_type.as_ref()), rest);
    }
    Ok(())
}

/// Resolves the names inside an expression; subqueries go back to the resolver.
struct ExprVisitor<'a, 'b> {
    resolver: &'a mut Resolver<'b>,
    /// How many queries we are inside of: their expressions are resolved by the resolver.
    query_depth: usize,
}

impl ExprVisitor<'_, '_> {
    fn flow(result: Result<()>) -> ControlFlow<Error> {
        match result {
            Ok(()) => ControlFlow::Continue(()),
            Err(err) => ControlFlow::Break(err),
        }
    }
}

impl VisitorMut for ExprVisitor<'_, '_> {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        self.query_depth += 1;
        if self.query_depth > 1 {
            return ControlFlow::Continue(());
        }
        Self::flow(self.resolver.query(query).map(drop))
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Error> {
        self.query_depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if self.query_depth > 0 {
            return ControlFlow::Continue(());
        }
        sugar::remove(expr);
        if let Expr::Function(Function { over: Some(window), .. }) = expr
            && let Err(err) = self.resolver.window(window)
        {
            return ControlFlow::Break(err);
        }
        match expr {
            // DataFusion would forget the condition.
            Expr::Function(function)
                if function.filter.is_some() && self.resolver.is_scalar(function) =>
            {
                let error = format!("FILTER is for aggregates, and {} is none", function.name);
                ControlFlow::Break(Error::query(error))
            }
            Expr::Identifier(_) => Self::flow(self.resolver.identifier(expr)),
            Expr::CompoundIdentifier(parts) => Self::flow(self.resolver.compound(parts)),
            Expr::Lambda(lambda) => {
                // The parameters hide columns of the same name.
                let names = lambda.params.iter().map(|parameter| Column {
                    name: parameter.name.value.to_lowercase(),
                    data_type: None,
                });
                let columns = Some(names.collect());
                let relation = Relation { columns, ..Relation::default() };
                let relations = vec![relation];
                let scope = Scope { relations, is_lambda: true, ..Scope::default() };
                self.resolver.scopes.push(scope);
                ControlFlow::Continue(())
            }
            _ => ControlFlow::Continue(()),
        }
    }

    fn post_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if self.query_depth == 0 && matches!(expr, Expr::Lambda(_)) {
            self.resolver.scopes.pop();
        }
        ControlFlow::Continue(())
    }
}
