//! The columns that a change sets, and their values.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    Assignment, AssignmentTarget, Expr, Function, Ident, ObjectName, Query, TableAlias,
    TableAliasColumnDef, TableFactor, Value, Visit, Visitor,
};

use super::{Target, at_name, quoted, select, subquery, value};
use crate::error::{Error, Result};
use crate::sql::names::{at, is_same, one_spelling};
use crate::sql::relations::pivot::listed;

/// A column as it is named, and its value.
pub(super) struct Assigned {
    pub(super) column: ObjectName,
    pub(super) value: Expr,
}

/// What each column is set to, also by `(a, b) = (1, 2)` and `(a, b) = (SELECT …)`.
///
/// # Errors
/// `Query` for a wrong number of values.
pub(super) fn assigned(assignments: Vec<Assignment>) -> Result<Vec<Assigned>> {
    let mut all = Vec::new();
    for Assignment { target, value } in assignments {
        let columns = match target {
            AssignmentTarget::ColumnName(column) => {
                all.push(Assigned { column, value });
                continue;
            }
            AssignmentTarget::Tuple(columns) => columns,
        };
        let values = match value {
            Expr::Subquery(query) => columns_of(*query, columns.len())?,
            value => listed(value),
        };
        check_count(columns.len(), values.len())?;
        let pairs = columns.into_iter().zip(values);
        all.extend(pairs.map(|(column, value)| Assigned { column, value }));
    }
    Ok(all)
}

pub(super) fn check_count(columns: usize, values: usize) -> Result<()> {
    if columns == values {
        return Ok(());
    }
    Err(Error::query(format!("{columns} columns are set to {values} values")))
}

/// Each column of a query for one row, as a value of its own.
fn columns_of(query: Query, count: usize) -> Result<Vec<Expr>> {
    let names: Vec<String> = (1..=count).map(|number| format!("column{number}")).collect();
    let columns = || names.iter().map(TableAliasColumnDef::from_name).collect();
    let values = names.iter().map(|name| {
        let alias =
            TableAlias { explicit: true, name: quoted("values"), columns: columns(), at: None };
        let table = TableFactor::Derived {
            lateral: false,
            subquery: Box::new(query.clone()),
            alias: Some(alias),
            sample: None,
        };
        let column = super::item(Expr::Identifier(quoted(name)), name);
        Ok(subquery(select(vec![column], Some(table))?))
    });
    values.collect()
}

impl Target {
    /// The exact name of a column.
    ///
    /// # Errors
    /// `Query` with a position if there is none.
    pub(super) fn find(&self, name: &ObjectName) -> Result<String> {
        let parts: Option<Vec<&Ident>> = name.0.iter().map(|part| part.as_ident()).collect();
        let ident = match parts.as_deref() {
            Some([column]) => *column,
            Some([table, column]) if is_same(table, &self.qualifier) => *column,
            Some([first, ..]) => {
                let error = Error::query(format!("{name} is no column of the table")).with_hint(
                    "set the whole column; struct_update makes a struct with other fields",
                );
                return Err(at(error, first.span));
            }
            _ => return Err(Error::query(format!("{name} is no column"))),
        };
        let found = self.columns.iter().filter(|column| is_same(ident, column));
        if let Some(column) = one_spelling(ident, found.cloned())? {
            return Ok(column);
        }
        let error =
            Error::query(format!("no column \"{}\" in \"{}\"", ident.value, self.qualifier));
        let error = match crate::error::nearest(&ident.value, &self.columns) {
            Some(near) => error.with_hint(format!("did you mean \"{near}\"?")),
            None => error,
        };
        Err(at(error, ident.span))
    }

    /// The exact names of columns and their values.
    ///
    /// # Errors
    /// `Query` for a column that is not there or is set twice, and for aggregates.
    pub(super) fn values(
        &self,
        assigned: Vec<Assigned>,
        is_aggregate: &dyn Fn(&Function) -> bool,
    ) -> Result<Vec<(String, Expr)>> {
        let mut values: Vec<(String, Expr)> = Vec::with_capacity(assigned.len());
        for Assigned { column: written, value } in assigned {
            let column = self.find(&written)?;
            if values.iter().any(|(other, _)| *other == column) {
                let error = Error::query(format!("column \"{column}\" is set twice"));
                return Err(at_name(error, &written));
            }
            check_no_aggregate(&value, is_aggregate)?;
            let value = self.or_default(&column, value);
            values.push((column, value));
        }
        Ok(values)
    }

    /// The value, or what `DEFAULT` stands for.
    pub(super) fn or_default(&self, column: &str, value: Expr) -> Expr {
        match &value {
            Expr::Identifier(ident)
                if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default") =>
            {
                self.default(column)
            }
            _ => value,
        }
    }

    pub(super) fn default(&self, column: &str) -> Expr {
        let default = self.defaults.iter().find(|(name, _)| name == column);
        default.map_or_else(|| value(Value::Null), |(_, value)| value.clone())
    }
}

/// A row is changed by its own values; those of many rows are those of a subquery.
pub(super) fn check_no_aggregate(
    expr: &Expr,
    is_aggregate: &dyn Fn(&Function) -> bool,
) -> Result<()> {
    match expr.visit(&mut Aggregates { is_aggregate, depth: 0 }) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Aggregates<'a> {
    is_aggregate: &'a dyn Fn(&Function) -> bool,
    /// How many queries are around.
    depth: usize,
}

impl Visitor for Aggregates<'_> {
    type Break = Error;

    fn pre_visit_query(&mut self, _: &Query) -> ControlFlow<Error> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<Error> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        match expr {
            Expr::Function(function) if self.depth == 0 && (self.is_aggregate)(function) => {
                let name = &function.name;
                let error =
                    Error::query(format!("{name} is of many rows, and a change of each row"))
                        .with_hint(format!("put it into a subquery: (SELECT {name}(…) FROM …)"));
                ControlFlow::Break(at_name(error, name))
            }
            _ => ControlFlow::Continue(()),
        }
    }
}
