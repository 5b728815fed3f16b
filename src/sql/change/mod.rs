//! DELETE, UPDATE and MERGE as queries for what changes.
//!
//! - this module: which statements are changes, and what DELETE and UPDATE stand for
//! - `assign`: the columns of SET and their values
//! - `merge`: MERGE, parsed and as a query
//! - `planner`: the query as a logical plan, with the change on top
//!
//! `UPDATE t SET a = o.x FROM o WHERE t.id = o.id` changes what
//! `SELECT t.number, false, o.x AS a FROM t, o WHERE t.id = o.id` gives: the number of the row, whether
//! it is taken out, and new values. So a change may hold whatever a query may.

mod assign;
mod merge;
mod planner;

use datafusion::sql::sqlparser::ast::{
    Expr, FromTable, Function, FunctionArg, FunctionArgExpr, Ident, ObjectName, Query, SelectItem,
    SetExpr, Statement as Sql, TableFactor, TableFunctionArgs, TableIndexHintType, TableIndexHints,
    TableIndexType, TableWithJoins, UpdateTableFromKind, Value, WildcardAdditionalOptions, With,
};
use datafusion::sql::sqlparser::tokenizer::Span;

use super::dialect::select;
use super::names::at;
use crate::error::{Error, Result};
use crate::table::{COUNT_COLUMN, ChangeKind};
use assign::{Assigned, assigned};
use merge::Merge;
pub(crate) use merge::parse_merge;
pub(crate) use planner::ChangePlanner;

/// What calls stand for that carry out a change: `change of a table('Update', 'name', (query))`.
const CALL: &str = "change of a table";

/// A change of a table.
pub(crate) struct Change {
    with: Option<With>,
    target: TableFactor,
    what: What,
}

enum What {
    Delete { using: Vec<TableWithJoins>, selection: Option<Expr> },
    Update { assigned: Vec<Assigned>, from: Vec<TableWithJoins>, selection: Option<Expr> },
    Merge(Box<Merge>),
}

/// The table that a change is made to.
pub(crate) struct Target {
    pub(crate) columns: Vec<String>,
    /// Values for columns that get none.
    pub(crate) defaults: Vec<(String, Expr)>,
    /// What qualifies its columns.
    qualifier: String,
    /// The column of the number of the row.
    number: String,
}

/// Where the rows of a MERGE come from, as far as it is known.
pub(crate) struct Source {
    name: Option<String>,
    columns: Option<Vec<String>>,
}

impl Source {
    /// That of the query of [`Change::source`], whose names are exact.
    pub(crate) fn of(query: &Query, columns: Option<Vec<String>>) -> Self {
        let relation = match query.body.as_ref() {
            SetExpr::Select(select) => select.from.first().map(|table| &table.relation),
            _ => None,
        };
        let name = match relation {
            Some(
                TableFactor::Table { alias: Some(alias), .. }
                | TableFactor::Derived { alias: Some(alias), .. },
            ) => Some(&alias.name),
            Some(TableFactor::Table { name, .. }) => name.0.last().and_then(|part| part.as_ident()),
            _ => None,
        };
        Source { name: name.map(|name| name.value.clone()), columns }
    }
}

impl Change {
    /// Takes the change out of a statement that is one.
    ///
    /// # Errors
    /// `Query` for clauses that are not supported.
    pub(crate) fn take(sql: &mut Sql) -> Result<Option<Self>> {
        if let Sql::Query(query) = sql {
            let (SetExpr::Delete(inner) | SetExpr::Update(inner) | SetExpr::Merge(inner)) =
                query.body.as_mut()
            else {
                return Ok(None);
            };
            let change = Change::take(inner)?;
            return Ok(change.map(|change| Change { with: query.with.take(), ..change }));
        }
        let (target, what) = match sql {
            Sql::Delete(delete) => {
                refuse("RETURNING", delete.returning.is_some() || delete.output.is_some())?;
                refuse("ORDER BY in DELETE", !delete.order_by.is_empty())?;
                refuse("LIMIT in DELETE", delete.limit.is_some())?;
                refuse("DELETE of several tables", !delete.tables.is_empty())?;
                let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) =
                    &mut delete.from;
                let target = only_table(std::mem::take(from), "DELETE FROM t USING other WHERE …")?;
                let using = delete.using.take().unwrap_or_default();
                (target, What::Delete { using, selection: delete.selection.take() })
            }
            Sql::Update(update) => {
                refuse("RETURNING", update.returning.is_some() || update.output.is_some())?;
                refuse("ORDER BY in UPDATE", !update.order_by.is_empty())?;
                refuse("LIMIT in UPDATE", update.limit.is_some())?;
                refuse("UPDATE OR", update.or.is_some())?;
                let tables = vec![update.table.clone()];
                let target = only_table(tables, "UPDATE t SET … FROM other WHERE …")?;
                let from = match update.from.take() {
                    Some(
                        UpdateTableFromKind::AfterSet(from) | UpdateTableFromKind::BeforeSet(from),
                    ) => from,
                    None => Vec::new(),
                };
                let assigned = assigned(std::mem::take(&mut update.assignments))?;
                (target, What::Update { assigned, from, selection: update.selection.take() })
            }
            Sql::Merge(merge) => {
                refuse("RETURNING", merge.output.is_some())?;
                let (target, merge) = Merge::of(merge.clone())?;
                (target, What::Merge(Box::new(merge)))
            }
            Sql::Truncate(truncate) => {
                let [table] = truncate.table_names.as_slice() else { return Ok(None) };
                let has_options = table.only
                    || truncate.if_exists
                    || truncate.partitions.is_some()
                    || truncate.identity.is_some()
                    || truncate.cascade.is_some()
                    || truncate.on_cluster.is_some();
                if has_options {
                    return Ok(None);
                }
                let what = What::Delete { using: Vec::new(), selection: None };
                (named(table.name.clone()), what)
            }
            _ => return Ok(None),
        };
        Ok(Some(Change { with: None, target, what }))
    }

    /// The name of the table.
    ///
    /// # Errors
    /// `Query` if it has none.
    pub(crate) fn table(&mut self) -> Result<&mut ObjectName> {
        match &mut self.target {
            TableFactor::Table { name, args: None, .. } => Ok(name),
            _ => Err(Error::query("only a table that has a name can be changed")),
        }
    }

    /// The query for all that a MERGE has in its source, if its columns have to be known.
    ///
    /// # Errors
    /// `Internal` if there is no such query.
    pub(crate) fn source(&self) -> Result<Option<Query>> {
        let What::Merge(merge) = &self.what else { return Ok(None) };
        let Some(source) = merge.wanted_source() else { return Ok(None) };
        let all = SelectItem::Wildcard(WildcardAdditionalOptions::default());
        let mut query = select(vec![all], Some(source.clone()))?;
        query.with = self.with.clone();
        Ok(Some(query))
    }

    /// The query that carries out the change. `is_aggregate` says which functions are of many rows.
    ///
    /// # Errors
    /// `Query` with a position for columns that are not there or set twice, and wrong numbers of
    /// values.
    pub(crate) fn query(
        mut self,
        columns: Vec<String>,
        defaults: Vec<(String, Expr)>,
        source: Option<Source>,
        is_aggregate: &dyn Fn(&Function) -> bool,
    ) -> Result<Query> {
        let name = self.table()?.clone();
        let number = unused("number of the row", &columns);
        let TableFactor::Table { alias, index_hints, .. } = &mut self.target else {
            return Err(Error::internal("a table without a name"));
        };
        let last = name.0.last().and_then(|part| part.as_ident());
        let qualifier = alias.as_ref().map(|alias| &alias.name).or(last);
        let qualifier = qualifier.map(|ident| ident.value.clone()).unwrap_or_default();
        // `planner` gives the table this column.
        index_hints.push(TableIndexHints {
            hint_type: TableIndexHintType::Use,
            index_type: TableIndexType::Index,
            for_clause: None,
            index_names: vec![quoted(&number)],
        });
        let target = Target { columns, defaults, qualifier, number };
        let with = self.with;
        let table = TableWithJoins { relation: self.target, joins: Vec::new() };
        let (kind, changes) = match self.what {
            What::Delete { using, selection } => {
                let items = vec![target.number_item(), item(boolean(true), "out")];
                let from = std::iter::once(table).chain(using).collect();
                (ChangeKind::Delete, query(items, from, selection)?)
            }
            What::Update { assigned, from, selection } => {
                let mut items = vec![target.number_item(), item(boolean(false), "out")];
                for (column, value) in target.values(assigned, is_aggregate)? {
                    items.push(item(value, &column));
                }
                let from = std::iter::once(table).chain(from).collect();
                (ChangeKind::Update, query(items, from, selection)?)
            }
            What::Merge(merge) => {
                (ChangeKind::Merge, merge.query(table, &target, source, is_aggregate)?)
            }
        };
        let mut call = named(ObjectName::from(vec![quoted(CALL)]));
        if let TableFactor::Table { args, .. } = &mut call {
            let values = [text(&kind.to_string()), text(&name.to_string()), subquery(changes)];
            let values = values.map(|value| FunctionArg::Unnamed(FunctionArgExpr::Expr(value)));
            *args = Some(TableFunctionArgs { args: values.to_vec(), settings: None });
        }
        let count = SelectItem::UnnamedExpr(Expr::Identifier(quoted(COUNT_COLUMN)));
        let mut changing = select(vec![count], Some(call))?;
        changing.with = with;
        Ok(changing)
    }
}

impl Target {
    fn column(&self, name: &str) -> Expr {
        Expr::CompoundIdentifier(vec![quoted(&self.qualifier), quoted(name)])
    }

    fn number_item(&self) -> SelectItem {
        item(self.column(&self.number), &self.number)
    }
}

fn refuse(what: &str, is_there: bool) -> Result<()> {
    if !is_there {
        return Ok(());
    }
    let error = Error::query(format!("not supported: {what}"));
    Err(match what {
        "RETURNING" => error.with_hint("query the table before or after the change"),
        _ => error.with_hint("say with WHERE which rows are meant; a subquery may have a LIMIT"),
    })
}

/// The one table of a FROM; `instead` is what to write for several.
fn only_table(mut from: Vec<TableWithJoins>, instead: &str) -> Result<TableFactor> {
    match (from.pop(), from.is_empty()) {
        (Some(table), true) if table.joins.is_empty() => Ok(table.relation),
        _ => Err(Error::query("a statement changes one table, not a join")
            .with_hint(format!("name the other tables after it: {instead}"))),
    }
}

fn query(items: Vec<SelectItem>, from: Vec<TableWithJoins>, filter: Option<Expr>) -> Result<Query> {
    let mut query = select(items, None)?;
    if let SetExpr::Select(select) = query.body.as_mut() {
        select.from = from;
        select.selection = filter;
    }
    Ok(query)
}

fn named(name: ObjectName) -> TableFactor {
    TableFactor::Table {
        name,
        alias: None,
        args: None,
        with_hints: Vec::new(),
        version: None,
        with_ordinality: false,
        partitions: Vec::new(),
        json_path: None,
        sample: None,
        index_hints: Vec::new(),
    }
}

fn quoted(name: &str) -> Ident {
    Ident::with_quote('"', name)
}

fn item(expr: Expr, alias: &str) -> SelectItem {
    SelectItem::ExprWithAlias { expr, alias: quoted(alias) }
}

fn value(value: Value) -> Expr {
    Expr::Value(value.with_span(Span::empty()))
}

fn boolean(is_true: bool) -> Expr {
    value(Value::Boolean(is_true))
}

fn text(text: &str) -> Expr {
    value(Value::SingleQuotedString(text.to_string()))
}

fn subquery(query: Query) -> Expr {
    Expr::Subquery(Box::new(query))
}

/// The error with the place of a name.
fn at_name(error: Error, name: &ObjectName) -> Error {
    match name.0.last().and_then(|part| part.as_ident()) {
        Some(ident) => at(error, ident.span),
        None => error,
    }
}

/// A name that is none of these, and that nobody writes by accident.
fn unused(name: &str, names: &[String]) -> String {
    let mut unused = name.to_string();
    while names.contains(&unused) {
        unused.push('_');
    }
    unused
}
