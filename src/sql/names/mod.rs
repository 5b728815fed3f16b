//! Unquoted names match whatever their case; results keep the case of the file.
//!
//! DataFusion lowers unquoted names and then finds no `BUYER_STATE`. So, before it plans a
//! statement, every unquoted table and column name is replaced by the one it stands for, quoted.
//! The walk follows SQL's scopes: CTEs, the tables of each FROM, the aliases of each SELECT, the
//! scopes around a subquery. A name that matches several spellings is an error that names them. A
//! name that matches nothing is left for DataFusion to report, or to understand (some words that
//! look like names are not).
//!
//! A statement that changes rows becomes a query for what changes ([`super::change`]), so its names are
//! those of a query.
//!
//! Before that, calls such as `read_csv('a.csv')` become tables (`calls`). The walk also
//! - names expressions by their text (`avg(total_amount)`), as DataFusion's own names repeat the
//!   path of a file;
//! - gives a file that is read without an alias its stem as one (`'data/taxi.csv'` → `taxi`);
//! - gives the relations that DataFusion does not plan the forms that [`super::relations`] knows;
//! - says operators and calls that DataFusion does not know by those it does (`sugar`);
//! - puts expressions in the place of aliases where SQL lets them be used (`expr`), and columns in
//!   the place of `COLUMNS(…)` (`columns`);
//! - names CTEs whose references would not see the same rows (`cte`);
//! - makes `LIMIT 10%` and `WITH TIES` conditions on row numbers (`limit`), and the keys of
//!   `FULL JOIN … USING` values of either side (`using`);
//! - numbers the copies of rows for `INTERSECT ALL` and `EXCEPT ALL` (`copies`);
//! - puts windows in the place of their names (`windows`).

mod asof;
mod calls;
mod columns;
mod copies;
mod cte;
mod exact;
mod expr;
mod from;
mod lateral;
mod limit;
mod query;
mod sugar;
mod tables;
mod using;
mod windows;

use std::ops::Range;

use datafusion::execution::context::SessionState;
use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{
    ColumnDef, CreateTable, Expr, Function, Ident, Insert, ObjectName, ObjectNamePart, Query,
    Statement as Sql, TableConstraint, TableObject, WindowType,
};

use super::change::{Change, Source};
use crate::error::{Error, Result};
pub(crate) use calls::visit_queries;
pub(crate) use exact::{at, idents, mentions, one_spelling, same as is_same, unused};
use exact::{find, find_in, keep_case, last_ident, same, set_exact};
pub(crate) use sugar::unchain;
use tables::{Column, Columns, Tables, names_of};

/// Makes every name of the statement exact.
///
/// # Errors
/// `Query` with a position for ambiguous names and unknown tables; `Query` or
/// `Config` for wrong calls of table functions; the errors of opening a file that is read as a table.
pub(crate) async fn resolve(state: &SessionState, statement: &mut Statement) -> Result<()> {
    calls::replace(state, statement)?;
    super::relations::find_values(state, statement).await?;
    let tables = Tables::load(state, statement).await?;
    Resolver { state, tables, ctes: Vec::new(), scopes: Vec::new() }.statement(statement)
}

/// One relation of a FROM.
#[derive(Debug, Default)]
struct Relation {
    /// What qualifies its columns.
    name: Option<String>,
    columns: Columns,
    /// Columns that `*` does not give again: keys of USING.
    hidden: Vec<String>,
}

/// The names one SELECT can see.
#[derive(Debug, Default)]
struct Scope {
    relations: Vec<Relation>,
    /// Names of the output so far, and what they stand for.
    aliases: Vec<Named>,
    /// Keys of USING that are a value of either side.
    merged: Vec<Merged>,
    /// The windows of the WINDOW clause, each without the names of others.
    windows: Vec<(Ident, WindowType)>,
    /// Whether an alias stands for its expression where we are, as DataFusion does not see to it.
    aliases_stand: bool,
    /// Whether a column comes before an alias of its name where we are, as DataFusion does not see
    /// to it.
    columns_first: bool,
    /// Whether the names are parameters of a function, which is inside of another scope.
    is_lambda: bool,
}

/// A name and the expression it stands for.
#[derive(Debug, Clone)]
struct Named {
    name: String,
    expr: Expr,
}

/// A key of USING and the value it has.
#[derive(Debug, Clone)]
struct Merged {
    name: String,
    expr: Expr,
    /// The places of the relations that were joined by it.
    of: Range<usize>,
}

struct Resolver<'a> {
    state: &'a SessionState,
    tables: Tables,
    /// CTEs in sight, innermost last, with their exact names.
    ctes: Vec<(String, Columns)>,
    /// Scopes in sight, innermost last.
    scopes: Vec<Scope>,
}

impl Resolver<'_> {
    fn statement(&mut self, statement: &mut Statement) -> Result<()> {
        match statement {
            Statement::Statement(sql) => self.sql(sql),
            Statement::Explain(explain) => self.statement(&mut explain.statement),
            Statement::CopyTo(copy) => {
                let columns = match &mut copy.source {
                    CopyToSource::Relation(name) => self.table(name)?,
                    CopyToSource::Query(query) => self.query(query)?,
                };
                for name in &mut copy.partitioned_by {
                    let ident = Ident::new(name.clone());
                    if let Some(exact) = find(&columns, &ident)? {
                        *name = exact;
                    }
                }
                super::copy::complete(copy);
                Ok(())
            }
            Statement::CreateExternalTable(create) => {
                self.new_table(&mut create.name);
                let mut columns = Vec::new();
                for column in &mut create.columns {
                    keep_case(&mut column.name);
                    columns.push(Column { name: column.name.value.clone(), data_type: None });
                }
                let columns = (!columns.is_empty()).then_some(columns);
                for name in &mut create.table_partition_cols {
                    if let Some(exact) = find(&columns, &Ident::new(name.clone()))? {
                        *name = exact;
                    }
                }
                self.within(Relation { columns, ..Relation::default() }, |resolver| {
                    for order in create.order_exprs.iter_mut().flatten() {
                        resolver.expr(&mut order.expr)?;
                    }
                    Ok(())
                })
            }
            Statement::Reset(_) => Ok(()),
        }
    }

    fn sql(&mut self, sql: &mut Sql) -> Result<()> {
        if let Some(change) = Change::take(sql)? {
            *sql = Sql::Query(Box::new(self.change(change)?));
            return Ok(());
        }
        match sql {
            Sql::Query(query) => self.query(query).map(drop),
            Sql::CreateView(view) => {
                view.temporary = false;
                self.new_table(&mut view.name);
                view.columns.iter_mut().for_each(|column| keep_case(&mut column.name));
                self.query(&mut view.query).map(drop)
            }
            Sql::CreateTable(create) => {
                // Tables are those of the session in any case.
                create.temporary = false;
                self.new_table(&mut create.name);
                create.columns.iter_mut().for_each(|column| keep_case(&mut column.name));
                exact_keys(create)?;
                match &mut create.query {
                    Some(query) => self.query(query).map(drop),
                    None => Ok(()),
                }
            }
            Sql::Drop { names, .. } => {
                names.iter_mut().for_each(|name| self.new_table(name));
                Ok(())
            }
            Sql::ExplainTable { table_name, .. } => self.table(table_name).map(drop),
            Sql::Explain { statement, .. } => self.sql(statement),
            Sql::Insert(insert) => {
                if let TableObject::TableName(name) = &mut insert.table {
                    let columns = self.table(name)?;
                    if is_by_name(insert) {
                        return self.insert_by_name(insert);
                    }
                    for column in &mut insert.columns {
                        if let Some(ident) = last_ident(column)
                            && let Some(exact) = find(&columns, ident)?
                        {
                            set_exact(ident, &exact);
                        }
                    }
                }
                match &mut insert.source {
                    Some(query) => self.query(query).map(drop),
                    None => Ok(()),
                }
            }
            Sql::Prepare { statement, .. } => self.sql(statement),
            _ => Ok(()),
        }
    }

    /// `INSERT INTO t BY NAME SELECT …`: the columns of the query say where they go.
    fn insert_by_name(&mut self, insert: &mut Insert) -> Result<()> {
        let columns = match &mut insert.source {
            Some(query) => self.query(query)?,
            None => None,
        };
        let TableObject::TableName(name) = &mut insert.table else { return Ok(()) };
        let targets = self.table(name)?;
        let Some(columns) = columns else {
            return Err(Error::query("INSERT BY NAME needs a query whose columns have names")
                .with_hint("list the columns: INSERT INTO t (a, b) SELECT …"));
        };
        insert.columns.clear();
        for column in columns {
            let mut ident = Ident::new(column.name);
            match find(&targets, &ident)? {
                Some(exact) => set_exact(&mut ident, &exact),
                None => keep_case(&mut ident),
            }
            insert.columns.push(ObjectName::from(vec![ident]));
        }
        Ok(())
    }

    /// The query that carries out a change of a table.
    fn change(&mut self, mut change: Change) -> Result<Query> {
        let name = change.table()?;
        let defaults = self.tables.get(name).map(|table| table.defaults.clone());
        let columns = self.table(name)?.map(names_of);
        let source = match change.source()? {
            Some(mut query) => {
                let columns = self.query(&mut query)?;
                Some(Source::of(&query, columns.map(names_of)))
            }
            None => None,
        };
        let is_aggregate = |function: &Function| self.is_aggregate(function);
        let (columns, defaults) = (columns.unwrap_or_default(), defaults.unwrap_or_default());
        let mut query = change.query(columns, defaults, source, &is_aggregate)?;
        self.query(&mut query)?;
        Ok(query)
    }

    /// A name that a statement creates or drops: that of an existing table if it is the same but
    /// for its case, else as written.
    fn new_table(&mut self, name: &mut ObjectName) {
        let existing = self.tables.get(name).map(|table| table.name.clone());
        if let Some(ident) = last_ident(name) {
            match existing {
                Some(exact) => set_exact(ident, &exact),
                None => keep_case(ident),
            }
        }
    }

    /// A table that must exist.
    fn table(&mut self, name: &mut ObjectName) -> Result<Columns> {
        if let [ObjectNamePart::Identifier(ident)] = name.0.as_mut_slice() {
            let cte = self.ctes.iter().rev().find(|(cte, _)| same(ident, cte));
            if let Some((exact, columns)) = cte {
                set_exact(ident, exact);
                return Ok(columns.clone());
            }
        }
        if let Some(table) = self.tables.get(name) {
            let (exact, columns) = (table.name.clone(), table.columns.clone());
            if let Some(ident) = last_ident(name) {
                set_exact(ident, &exact);
            }
            return Ok(Some(columns));
        }
        let Some(ident) = idents(name).and_then(|parts| parts.last().copied()) else {
            return Ok(None);
        };
        let error = Error::query(format!("no table \"{}\"", ident.value));
        let error = match crate::error::nearest(&ident.value, &self.tables.all) {
            Some(near) => error.with_hint(format!("did you mean \"{near}\"?")),
            None => error.with_hint(
                "a file is read as a table when its path is quoted: FROM 'folder/file.csv'",
            ),
        };
        Err(at(error, ident.span))
    }

    /// Runs `body` in a scope of one relation.
    fn within(
        &mut self,
        relation: Relation,
        body: impl FnOnce(&mut Self) -> Result<()>,
    ) -> Result<()> {
        self.scopes.push(Scope { relations: vec![relation], ..Scope::default() });
        let result = body(self);
        self.scopes.pop();
        result
    }

    fn scope(&self) -> &Scope {
        self.scopes.last().expect("names are looked up inside a SELECT")
    }

    fn scope_mut(&mut self) -> &mut Scope {
        self.scopes.last_mut().expect("names are looked up inside a SELECT")
    }
}

/// `PRIMARY KEY (a, b)` and `UNIQUE (a)`: their columns are those of the statement.
fn exact_keys(create: &mut CreateTable) -> Result<()> {
    let name = |column: &ColumnDef| Column { name: column.name.value.clone(), data_type: None };
    let columns: Vec<Column> = create.columns.iter().map(name).collect();
    for constraint in &mut create.constraints {
        let keys = match constraint {
            TableConstraint::PrimaryKey(key) => &mut key.columns,
            TableConstraint::Unique(key) => &mut key.columns,
            _ => continue,
        };
        for key in keys {
            if let Expr::Identifier(ident) = &mut key.column.expr
                && let Some(exact) = find_in(&columns, ident)?
            {
                set_exact(ident, &exact);
            }
        }
    }
    Ok(())
}

/// Whether the columns of an INSERT are to be those of its query, which `tokens` has marked.
fn is_by_name(insert: &Insert) -> bool {
    matches!(insert.columns.as_slice(), [ObjectName(parts)]
        if matches!(parts.as_slice(), [ObjectNamePart::Identifier(ident)]
            if ident.quote_style.is_some() && ident.value == super::tokens::BY_NAME))
}
