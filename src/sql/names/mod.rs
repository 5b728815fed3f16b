//! Unquoted names match whatever their case; results keep the case of the file.
//!
//! DataFusion lowers unquoted names and then finds no `BUYER_STATE`. So, before it plans a
//! statement, every unquoted table and column name is replaced by the one it stands for, quoted.
//! The walk follows SQL's scopes: CTEs, the tables of each FROM, the aliases of each SELECT, the
//! scopes around a subquery. A name that matches several spellings is an error that names them. A
//! name that matches nothing is left for DataFusion to report, or to understand (some words that
//! look like names are not).
//!
//! Before that, calls such as `read_csv('a.csv')` become tables (`calls`). The walk also
//! - names expressions by their text (`avg(total_amount)`), as DataFusion's own names repeat the
//!   path of a file;
//! - gives a file that is read without an alias its stem as one (`'data/taxi.csv'` → `taxi`);
//! - refuses `TABLESAMPLE`, which DataFusion would silently ignore.

mod calls;
mod exact;
mod expr;
mod from;
mod lateral;
mod query;
mod tables;

use datafusion::execution::context::SessionState;
use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{
    AssignmentTarget, FromTable, Ident, ObjectName, ObjectNamePart, Statement as Sql, TableObject,
    Update,
};

use crate::error::{Error, Result};
use exact::{at, find, idents, keep_case, last_ident, same, set_exact};
use tables::{Column, Columns, Tables};

/// Makes every name of the statement exact.
///
/// # Errors
/// `Query` with a position for ambiguous names, unknown tables and `TABLESAMPLE`; `Query` or
/// `Config` for wrong calls of table functions; the errors of opening a file that is read as a table.
pub(crate) async fn resolve(state: &SessionState, statement: &mut Statement) -> Result<()> {
    calls::replace(state, statement)?;
    let tables = Tables::load(state, statement).await?;
    Resolver { tables, ctes: Vec::new(), scopes: Vec::new() }.statement(statement)
}

/// One relation of a FROM.
#[derive(Debug)]
struct Relation {
    /// What qualifies its columns.
    name: Option<String>,
    columns: Columns,
}

/// The names one SELECT can see.
#[derive(Debug, Default)]
struct Scope {
    relations: Vec<Relation>,
    aliases: Vec<String>,
}

struct Resolver {
    tables: Tables,
    /// CTEs in sight, innermost last, with their exact names.
    ctes: Vec<(String, Columns)>,
    /// Scopes in sight, innermost last.
    scopes: Vec<Scope>,
}

impl Resolver {
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
                self.within(Relation { name: None, columns }, |resolver| {
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
        match sql {
            Sql::Query(query) => self.query(query).map(drop),
            Sql::CreateView(view) => {
                self.new_table(&mut view.name);
                view.columns.iter_mut().for_each(|column| keep_case(&mut column.name));
                self.query(&mut view.query).map(drop)
            }
            Sql::CreateTable(create) => {
                self.new_table(&mut create.name);
                create.columns.iter_mut().for_each(|column| keep_case(&mut column.name));
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
            Sql::Delete(delete) => {
                let (FromTable::WithFromKeyword(from) | FromTable::WithoutKeyword(from)) =
                    &mut delete.from;
                self.scopes.push(Scope::default());
                let result = self.from(from).and_then(|()| self.exprs(&mut delete.selection));
                self.scopes.pop();
                result
            }
            Sql::Update(update) => {
                self.scopes.push(Scope::default());
                let result = self.update(update);
                self.scopes.pop();
                result
            }
            _ => Ok(()),
        }
    }

    fn update(&mut self, update: &mut Update) -> Result<()> {
        self.table_with_joins(&mut update.table)?;
        for assignment in &mut update.assignments {
            if let AssignmentTarget::ColumnName(name) = &mut assignment.target
                && let Some(ident) = last_ident(name)
            {
                self.ident(ident, false)?;
            }
            self.expr(&mut assignment.value)?;
        }
        self.exprs(&mut update.selection)
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
        self.scopes.push(Scope { relations: vec![relation], aliases: Vec::new() });
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
