//! The tables of a FROM, which make the scope of its SELECT.

use datafusion::sql::sqlparser::ast::{
    Function, Ident, ObjectName, TableAlias, TableFactor, TableWithJoins,
};

use super::exact::{idents, keep_case};
use super::lateral;
use super::tables::{Column, Columns};
use super::using::Sides;
use super::{Relation, Resolver, Scope};
use crate::error::Result;
use crate::scan::TableCall;
use crate::scan::looks_like_path;
use crate::sql::relations;
use crate::sql::summarize::{DESCRIPTION_COLUMNS, SUMMARY_COLUMNS};

impl Resolver<'_> {
    pub(super) fn from(&mut self, from: &mut Vec<TableWithJoins>) -> Result<()> {
        let sample = relations::take_sample(from);
        from.iter_mut().try_for_each(|table| self.table_with_joins(table))?;
        if let Some(sample) = sample {
            relations::put_sample(from, sample);
        }
        Ok(())
    }

    pub(super) fn table_with_joins(&mut self, table: &mut TableWithJoins) -> Result<()> {
        let start = self.scope().relations.len();
        self.relation(&mut table.relation)?;
        for join in &mut table.joins {
            let middle = self.scope().relations.len();
            self.relation(&mut join.relation)?;
            self.join(join, Sides { start, middle, end: self.scope().relations.len() })?;
        }
        Self::fold_asof(table);
        Ok(())
    }

    pub(super) fn relation(&mut self, factor: &mut TableFactor) -> Result<()> {
        lateral::unnest_call(factor)?;
        match factor {
            TableFactor::Table { name, alias, args, .. } => {
                if let Some(args) = args {
                    for arg in &mut args.args {
                        self.visit(arg)?;
                    }
                    let columns = function_columns(name);
                    return self.add_relation(None, columns, alias);
                }
                let columns = self.table(name)?;
                let written = idents(name)
                    .and_then(|parts| parts.last().map(|part| part.value.clone()))
                    .unwrap_or_default();
                if alias.is_none() && name.0.len() == 1 {
                    *alias = match TableCall::parse(&written) {
                        Some(call) => self.stem_alias(call.alias()),
                        None if looks_like_path(&written) => self.stem_alias(&written),
                        None => None,
                    };
                }
                self.add_relation(Some(written), columns, alias)
            }
            TableFactor::Derived { subquery, alias, .. } => {
                let columns = self.query(subquery)?;
                self.add_relation(None, columns, alias)
            }
            TableFactor::NestedJoin { table_with_joins, alias } => match alias {
                None => self.table_with_joins(table_with_joins),
                Some(_) => {
                    self.scopes.push(Scope::default());
                    let result = self.table_with_joins(table_with_joins);
                    let inner = self.scopes.pop().expect("pushed above");
                    result?;
                    let columns: Option<Vec<Vec<Column>>> =
                        inner.relations.into_iter().map(|relation| relation.columns).collect();
                    self.add_relation(None, columns.map(|c| c.concat()), alias)
                }
            },
            TableFactor::UNNEST { alias, array_exprs, .. } => {
                for expr in array_exprs {
                    self.expr(expr)?;
                }
                self.add_relation(None, None, alias)
            }
            TableFactor::Function { args, alias, .. } => {
                for arg in args {
                    self.visit(arg)?;
                }
                self.add_relation(None, None, alias)
            }
            TableFactor::TableFunction { expr, alias } => {
                self.expr(expr)?;
                self.add_relation(None, None, alias)
            }
            TableFactor::Pivot { table, alias, .. } | TableFactor::Unpivot { table, alias, .. } => {
                let columns = self.columns_of_factor(table.as_ref().clone())?;
                let columns: Option<Vec<String>> =
                    columns.map(|columns| columns.into_iter().map(|c| c.name).collect());
                let (alias, columns) = (alias.take(), columns.as_deref());
                let subquery = match factor {
                    TableFactor::Pivot { .. } => {
                        let is_aggregate = |function: &Function| self.is_aggregate(function);
                        relations::pivot::as_query(factor.clone(), columns, &is_aggregate)?
                    }
                    _ => relations::unpivot::as_query(factor.clone(), columns)?,
                };
                let subquery = Box::new(subquery);
                *factor = TableFactor::Derived { lateral: false, subquery, alias, sample: None };
                self.relation(factor)
            }
            _ => {
                self.scope_mut().relations.push(Relation::default());
                Ok(())
            }
        }
    }

    /// The columns of a relation that is not one of the scope.
    fn columns_of_factor(&mut self, mut factor: TableFactor) -> Result<Columns> {
        self.scopes.push(Scope::default());
        let result = self.relation(&mut factor);
        let inner = self.scopes.pop().expect("pushed above");
        result?;
        let columns: Option<Vec<Vec<Column>>> =
            inner.relations.into_iter().map(|relation| relation.columns).collect();
        Ok(columns.map(|columns| columns.concat()))
    }

    /// The stem of a file as its alias, unless a relation beside it has that name.
    pub(super) fn stem_alias(&self, path: &str) -> Option<TableAlias> {
        let file = path.trim_end_matches('/').rsplit('/').next()?;
        let stem = file.split('.').next()?;
        let plain = stem.chars().all(|c| c.is_alphanumeric() || c == '_');
        let taken =
            self.scope().relations.iter().any(|relation| {
                relation.name.as_deref().is_some_and(|n| n.eq_ignore_ascii_case(stem))
            });
        if stem.is_empty() || !plain || taken {
            return None;
        }
        Some(TableAlias {
            explicit: true,
            name: Ident::with_quote('"', stem),
            columns: Vec::new(),
            at: None,
        })
    }

    pub(super) fn add_relation(
        &mut self,
        name: Option<String>,
        columns: Columns,
        alias: &mut Option<TableAlias>,
    ) -> Result<()> {
        let relation = match alias {
            None => Relation { name, columns, ..Relation::default() },
            Some(alias) => {
                keep_case(&mut alias.name);
                let name = Some(alias.name.value.clone());
                let columns = match (alias_columns(alias), columns) {
                    // Fewer aliases than columns rename the first ones.
                    (Some(aliases), Some(columns)) => {
                        let rest = columns.into_iter().skip(aliases.len());
                        Some(aliases.iter().cloned().chain(rest).collect())
                    }
                    (aliases, columns) => aliases.or(columns),
                };
                Relation { name, columns, ..Relation::default() }
            }
        };
        self.scope_mut().relations.push(relation);
        Ok(())
    }
}

/// The columns of a table function whose columns are always the same.
fn function_columns(name: &ObjectName) -> Columns {
    let names: &[&str] = match name.to_string().to_lowercase().as_str() {
        "generate_series" | "range" => &["value"],
        "summarize" => &SUMMARY_COLUMNS,
        "describe" => &DESCRIPTION_COLUMNS,
        _ => return None,
    };
    let column = |name: &&str| Column { name: (*name).to_string(), data_type: None };
    Some(names.iter().map(column).collect())
}

pub(super) fn alias_columns(alias: &mut TableAlias) -> Columns {
    if alias.columns.is_empty() {
        return None;
    }
    alias.columns.iter_mut().for_each(|column| keep_case(&mut column.name));
    let column = |name: &Ident| Column { name: name.value.clone(), data_type: None };
    Some(alias.columns.iter().map(|alias| column(&alias.name)).collect())
}
