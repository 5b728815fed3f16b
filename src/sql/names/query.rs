//! Queries: CTEs, set operations, SELECT and what it gives.

use datafusion::sql::sqlparser::ast::{
    Distinct, ExcludeSelectItem, Expr, GroupByExpr, Ident, OrderBy, OrderByExpr, OrderByKind,
    Query, RenameSelectItem, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr,
    SetOperator, SetQuantifier, WildcardAdditionalOptions,
};

use super::copies;
use super::cte::name_if_random;
use super::exact::{find_in, keep_case, last_ident, same, set_exact, unused};
use super::from::alias_columns;
use super::limit;
use super::tables::{Column, Columns};
use super::{Merged, Named, Relation, Resolver, Scope};
use crate::error::{Error, Result};
use crate::sql::dialect::{derived, number, select, taken};

impl Resolver<'_> {
    pub(super) fn query(&mut self, query: &mut Query) -> Result<Columns> {
        let outer_ctes = self.ctes.len();
        let result = self.query_inner(query);
        self.ctes.truncate(outer_ctes);
        result
    }

    pub(super) fn query_inner(&mut self, query: &mut Query) -> Result<Columns> {
        if let Some(with) = &mut query.with {
            for cte in &mut with.cte_tables {
                keep_case(&mut cte.alias.name);
                let name = cte.alias.name.value.clone();
                let aliases = alias_columns(&mut cte.alias);
                if with.recursive {
                    // The first part of the union, which does not refer to the CTE, names it.
                    let columns = match (&aliases, cte.query.body.as_mut()) {
                        (None, SetExpr::SetOperation { left, .. }) => self.set_expr(left)?,
                        _ => aliases.clone(),
                    };
                    self.ctes.push((name.clone(), columns));
                }
                let columns = self.query(&mut cte.query)?;
                if with.recursive {
                    self.ctes.pop();
                }
                // A recursion needs the union itself.
                let is_recursion = with.recursive
                    && matches!(cte.query.body.as_ref(), SetExpr::SetOperation { .. });
                if !is_recursion {
                    name_if_random(self.state, &mut cte.query)?;
                }
                self.ctes.push((name, aliases.or(columns)));
            }
        }
        let bound = limit::take(query)?;
        if let SetExpr::Select(select) = query.body.as_mut() {
            let columns = self.select(select, query.order_by.as_mut())?;
            if let Some(bound) = bound {
                bound.apply(select, query.order_by.as_ref(), &columns)?;
            }
            return Ok(columns);
        }
        let columns = self.set_expr(&mut query.body)?;
        if let Some(order_by) = &mut query.order_by {
            let output = Relation { columns: columns.clone(), ..Relation::default() };
            self.within(output, |resolver| resolver.order_by(order_by, &columns))?;
        }
        Ok(columns)
    }

    pub(super) fn set_expr(&mut self, body: &mut SetExpr) -> Result<Columns> {
        match body {
            SetExpr::Select(select) => self.select(select, None),
            SetExpr::Query(query) => self.query(query),
            SetExpr::SetOperation { left, right, op, set_quantifier } => {
                let columns = self.set_expr(left)?;
                let more = self.set_expr(right)?;
                let keeps_all =
                    matches!(set_quantifier, SetQuantifier::All | SetQuantifier::AllByName);
                if keeps_all && *op != SetOperator::Union {
                    if *set_quantifier == SetQuantifier::AllByName {
                        return Err(Error::query(format!("{op} ALL BY NAME is not supported")));
                    }
                    let Some(columns) = columns else {
                        return Err(Error::query(format!(
                            "{op} ALL needs columns that are known here"
                        ))
                        .with_hint("name the columns of both sides"));
                    };
                    // Sides of another width are refused by DataFusion.
                    copies::numbered(left, columns.len())?;
                    copies::numbered(right, more.map_or(columns.len(), |more| more.len()))?;
                    *set_quantifier = SetQuantifier::None;
                    copies::named(body, &columns)?;
                    return Ok(Some(columns));
                }
                let is_by_name = matches!(
                    set_quantifier,
                    SetQuantifier::ByName
                        | SetQuantifier::AllByName
                        | SetQuantifier::DistinctByName
                );
                match (columns, more) {
                    (columns, _) if !is_by_name => Ok(columns),
                    (Some(columns), Some(more)) => by_name(columns, more, right).map(Some),
                    _ => Ok(None),
                }
            }
            SetExpr::Values(values) => {
                let width = values.rows.first().map_or(0, |row| row.content.len());
                for row in &mut values.rows {
                    for expr in &mut row.content {
                        self.expr(expr)?;
                    }
                }
                let name = |number| Column { name: format!("column{number}"), data_type: None };
                Ok(Some((1..=width).map(name).collect()))
            }
            _ => Ok(None),
        }
    }

    pub(super) fn select(
        &mut self,
        select: &mut Select,
        order_by: Option<&mut OrderBy>,
    ) -> Result<Columns> {
        self.scopes.push(Scope::default());
        let result = self.select_inner(select, order_by);
        self.scopes.pop();
        result
    }

    pub(super) fn select_inner(
        &mut self,
        select: &mut Select,
        order_by: Option<&mut OrderBy>,
    ) -> Result<Columns> {
        self.from(&mut select.from)?;
        self.windows(&mut select.named_window)?;
        self.scope_mut().aliases_stand = true;
        self.expand(&mut select.projection)?;
        let columns = self.projection(&mut select.projection)?;
        if let Some(Distinct::On(exprs)) = &mut select.distinct {
            self.exprs(exprs)?;
        }
        self.exprs(&mut select.prewhere)?;
        if let Some(condition) = &mut select.selection {
            self.all_of_columns(condition)?;
            self.expr(condition)?;
        }
        if let GroupByExpr::Expressions(exprs, _) = &mut select.group_by {
            self.group_by(exprs)?;
        }
        // From here on DataFusion knows the aliases.
        self.scope_mut().aliases_stand = false;
        self.exprs(&mut select.having)?;
        self.exprs(&mut select.qualify)?;
        if let Some(order_by) = order_by {
            self.order_by(order_by, &columns)?;
        }
        Ok(columns)
    }

    /// The keys of a GROUP BY. An alias that is a key of its own is left to DataFusion, to which a
    /// number in its place would be the number of a column.
    fn group_by(&mut self, keys: &mut [Expr]) -> Result<()> {
        for key in keys {
            match key {
                Expr::Tuple(none) if none.is_empty() => {
                    *key = Expr::GroupingSets(vec![Vec::new()]);
                }
                Expr::Identifier(ident) if !self.is_merged(ident) => self.ident(ident, false)?,
                key => self.expr(key)?,
            }
        }
        Ok(())
    }

    pub(super) fn order_by(&mut self, order_by: &mut OrderBy, output: &Columns) -> Result<()> {
        if let (OrderByKind::All(options), Some(columns)) = (&order_by.kind, output) {
            let key = |place: usize| OrderByExpr {
                expr: number(place),
                options: *options,
                with_fill: None,
            };
            order_by.kind = OrderByKind::Expressions((1..=columns.len()).map(key).collect());
        }
        let OrderByKind::Expressions(exprs) = &mut order_by.kind else { return Ok(()) };
        for order in exprs {
            match &mut order.expr {
                // The number of an output column.
                Expr::Identifier(ident)
                    if ident.quote_style.is_none()
                        && ident.value.strip_prefix('#').is_some_and(is_number) =>
                {
                    order.expr = number(&ident.value[1..]);
                }
                // An output column comes before one of the tables, as SQL has it.
                Expr::Identifier(ident) if !self.is_merged(ident) || self.is_alias(ident) => {
                    self.ident(ident, true)?;
                }
                // Inside of an expression it is the other way round.
                expr => {
                    self.scope_mut().columns_first = true;
                    self.expr(expr)?;
                    self.scope_mut().columns_first = false;
                }
            }
        }
        Ok(())
    }

    fn is_merged(&self, ident: &Ident) -> bool {
        self.scope().merged.iter().any(|key| same(ident, &key.name))
    }

    fn is_alias(&self, ident: &Ident) -> bool {
        self.scope().aliases.iter().any(|alias| same(ident, &alias.name))
    }

    pub(super) fn projection(&mut self, items: &mut [SelectItem]) -> Result<Columns> {
        let mut output: Columns = Some(Vec::new());
        let mut plain: Vec<Expr> = Vec::new();
        let mut wildcards = false;
        let named = self.named(items);
        for item in items.iter_mut() {
            wildcards |=
                matches!(item, SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..));
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let text = crate::exclude::as_written(&expr.to_string());
                    self.expr(expr)?;
                    let repeated = plain.contains(expr)
                        || (wildcards && is_column(expr))
                        || column_name(expr).is_some_and(|name| is_in(&named, name));
                    plain.push(expr.clone());
                    let is_field = match expr {
                        Expr::CompoundIdentifier(parts) => {
                            let table = parts.iter().nth_back(1);
                            table.and_then(|table| self.find_relation(table)).is_none()
                        }
                        _ => false,
                    };
                    let name = match expr {
                        // A column that is there twice needs a second name, a field its own.
                        expr if is_field || (repeated && is_column(expr)) => {
                            let name = column_name(expr).unwrap_or_default().to_string();
                            let taken = output.iter().flatten().chain(&named).cloned().collect();
                            let name = unused_name(&Some(taken), name);
                            if is_field {
                                let named = Named { name: name.clone(), expr: expr.clone() };
                                self.scope_mut().aliases.push(named);
                            }
                            *item = aliased(expr, &name);
                            name
                        }
                        expr if is_column(expr) => {
                            column_name(expr).unwrap_or_default().to_string()
                        }
                        // These make columns of their own names.
                        Expr::Function(function)
                            if function.name.to_string().eq_ignore_ascii_case("unnest") =>
                        {
                            output = None;
                            continue;
                        }
                        _ => {
                            let name = unused_name(&output, text);
                            *item = aliased(expr, &name);
                            name
                        }
                    };
                    push(&mut output, name);
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    self.expr(expr)?;
                    keep_case(alias);
                    let name = alias.value.clone();
                    let named = Named { name: name.clone(), expr: expr.clone() };
                    self.scope_mut().aliases.push(named);
                    push(&mut output, name);
                }
                SelectItem::ExprWithAliases { .. } => output = None,
                SelectItem::Wildcard(options) => {
                    let columns = self.all_columns(None);
                    self.wildcard(options)?;
                    append(&mut output, columns);
                }
                SelectItem::QualifiedWildcard(kind, options) => {
                    let mut qualifier = None;
                    if let SelectItemQualifiedWildcardKind::ObjectName(name) = kind
                        && let Some(ident) = last_ident(name)
                        && let Some(exact) = self.qualifier(ident)
                    {
                        set_exact(ident, &exact);
                        qualifier = Some(exact);
                    }
                    let columns = match qualifier {
                        Some(name) => self.all_columns(Some(&name)),
                        None => None,
                    };
                    self.wildcard(options)?;
                    append(&mut output, columns);
                }
            }
        }
        Ok(output)
    }

    /// The names that expressions of the output have: a column of a table cannot keep one of them.
    fn named(&self, items: &[SelectItem]) -> Vec<Column> {
        let names = items.iter().filter_map(|item| match item {
            SelectItem::ExprWithAlias { expr, alias }
                if column_name(expr) != Some(&alias.value) =>
            {
                Some(alias.value.clone())
            }
            SelectItem::UnnamedExpr(Expr::Identifier(ident)) => {
                let mut keys = self.scope().merged.iter().filter(|key| same(ident, &key.name));
                let is_computed = |key: &&Merged| !is_column(&key.expr);
                keys.find(is_computed).map(|key| key.name.clone())
            }
            _ => None,
        });
        names.map(|name| Column { name, data_type: None }).collect()
    }

    /// `* EXCLUDE (…) REPLACE (…) RENAME (…)`
    pub(super) fn wildcard(&mut self, options: &mut WildcardAdditionalOptions) -> Result<()> {
        match &mut options.opt_exclude {
            Some(ExcludeSelectItem::Single(name)) => {
                if let Some(ident) = last_ident(name) {
                    self.ident(ident, false)?;
                }
            }
            Some(ExcludeSelectItem::Multiple(names)) => {
                for name in names {
                    if let Some(ident) = last_ident(name) {
                        self.ident(ident, false)?;
                    }
                }
            }
            None => {}
        }
        if let Some(except) = &mut options.opt_except {
            self.ident(&mut except.first_element, false)?;
            for ident in &mut except.additional_elements {
                self.ident(ident, false)?;
            }
        }
        if let Some(replace) = &mut options.opt_replace {
            for item in &mut replace.items {
                self.expr(&mut item.expr)?;
                self.ident(&mut item.column_name, false)?;
            }
        }
        match &mut options.opt_rename {
            Some(RenameSelectItem::Single(item)) => self.ident(&mut item.ident, false),
            Some(RenameSelectItem::Multiple(items)) => {
                items.iter_mut().try_for_each(|item| self.ident(&mut item.ident, false))
            }
            None => Ok(()),
        }
    }

    pub(super) fn all_columns(&self, qualifier: Option<&str>) -> Columns {
        let mut all = Vec::new();
        for relation in &self.scope().relations {
            if qualifier.is_none() {
                let shown = |column: &Column| !relation.hidden.contains(&column.name);
                all.extend(relation.columns.clone()?.into_iter().filter(shown));
            } else if relation.name.as_deref() == qualifier {
                all.extend(relation.columns.clone()?);
            }
        }
        Some(all)
    }
}

fn push(output: &mut Columns, name: String) {
    if let Some(columns) = output {
        columns.push(Column { name, data_type: None });
    }
}

fn append(output: &mut Columns, more: Columns) {
    match (output.as_mut(), more) {
        (Some(columns), Some(more)) => columns.extend(more),
        _ => *output = None,
    }
}

/// The columns of a union by name: those of the first part, then what the second has more. Columns
/// of the second part that are spelled in another way are renamed, as DataFusion compares exactly.
fn by_name(
    mut columns: Vec<Column>,
    more: Vec<Column>,
    second: &mut SetExpr,
) -> Result<Vec<Column>> {
    let known = columns.len();
    let mut items = Vec::new();
    let mut renames = false;
    for column in more {
        let first = &columns[..known];
        let spelled = match is_in(first, &column.name) {
            true => None,
            false => find_in(first, &Ident::new(&column.name))?,
        };
        let expr = Expr::Identifier(Ident::with_quote('"', &column.name));
        match spelled {
            Some(name) => {
                renames = true;
                items.push(SelectItem::ExprWithAlias { expr, alias: Ident::with_quote('"', name) });
            }
            None => {
                items.push(SelectItem::UnnamedExpr(expr));
                if !is_in(&columns, &column.name) {
                    columns.push(column);
                }
            }
        }
    }
    if renames {
        let inner = taken(second)?;
        *second = *select(items, Some(derived(inner, "renamed")))?.body;
    }
    Ok(columns)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

/// The name of an expression that is nothing but a column.
pub(super) fn column_name(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Identifier(ident) => Some(&ident.value),
        Expr::CompoundIdentifier(parts) => parts.last().map(|last| last.value.as_str()),
        _ => None,
    }
}

fn is_in(columns: &[Column], name: &str) -> bool {
    columns.iter().any(|column| column.name == name)
}

/// The expression with a name for its column.
fn aliased(expr: &mut Expr, name: &str) -> SelectItem {
    let alias = Ident::with_quote('"', name);
    let expr = std::mem::replace(expr, Expr::Identifier(alias.clone()));
    SelectItem::ExprWithAlias { expr, alias }
}

fn unused_name(output: &Columns, name: String) -> String {
    match output {
        Some(columns) => unused(name, |name| is_in(columns, name)),
        None => name,
    }
}
