//! The tables that a statement refers to, and their columns.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::{DataType, Fields};
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::common::{ResolvedTableReference, TableReference};
use datafusion::execution::context::SessionState;
use datafusion::sql::parser::{CopyToSource, Statement};
use datafusion::sql::sqlparser::ast::{Expr, Ident, ObjectName, Statement as Sql, visit_relations};
use datafusion::sql::unparser::expr_to_sql;

use super::exact::{idents, one_spelling};
use crate::error::Result;

/// A column as a name can refer to it.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    /// Type, to find the fields of structs; `None` when not known.
    pub(super) data_type: Option<DataType>,
}

/// Columns of a relation; `None` when they are only known to DataFusion.
pub(super) type Columns = Option<Vec<Column>>;

/// The tables a statement refers to, by their names as written.
pub(super) struct Tables {
    by_name: HashMap<Vec<String>, Table>,
    /// All tables there are, for suggestions.
    pub(super) all: Vec<String>,
}

#[derive(Clone)]
pub(super) struct Table {
    /// The table's exact name.
    pub(super) name: String,
    pub(super) columns: Vec<Column>,
    /// Values for columns that an INSERT gives none.
    pub(super) defaults: Vec<(String, Expr)>,
}

impl Tables {
    pub(super) async fn load(state: &SessionState, statement: &Statement) -> Result<Self> {
        let mut names: Vec<ObjectName> = Vec::new();
        relations(statement, &mut names);
        let options = &state.config_options().catalog;
        let (catalog, schema) = (&options.default_catalog, &options.default_schema);
        let all = state
            .catalog_list()
            .catalog(catalog)
            .and_then(|catalog| catalog.schema(schema))
            .map(|schema| schema.table_names())
            .unwrap_or_default();
        let mut by_name = HashMap::new();
        for name in names {
            let Some(parts) = idents(&name) else { continue };
            let key: Vec<String> = parts.iter().map(|part| part.value.clone()).collect();
            if by_name.contains_key(&key) {
                continue;
            }
            // Catalogs and schemas are lowered as DataFusion does.
            let lowered = |part: &Ident| match part.quote_style {
                Some(_) => part.value.clone(),
                None => part.value.to_lowercase(),
            };
            let reference = match parts.as_slice() {
                [table] => TableReference::bare(table.value.as_str()),
                [schema, table] => TableReference::partial(lowered(schema), table.value.as_str()),
                [catalog, schema, table] => {
                    TableReference::full(lowered(catalog), lowered(schema), table.value.as_str())
                }
                _ => continue,
            };
            let last = parts.last().expect("a name has parts");
            let resolved = reference.resolve(catalog, schema);
            let Some(provider) = schema_provider(state, &resolved) else { continue };
            let exact = if last.quote_style.is_some() {
                last.value.clone()
            } else {
                let found = provider.table_names();
                let same = found.into_iter().filter(|n| n.eq_ignore_ascii_case(&last.value));
                one_spelling(last, same)?.unwrap_or_else(|| last.value.to_lowercase())
            };
            if let Some(table) = provider.table(&exact).await? {
                let columns = columns_of(table.schema().fields());
                let defaults = defaults_of(table.as_ref(), &columns)?;
                let table = Table { name: exact, columns, defaults };
                // By its exact name too: parts of a statement may have been made exact before.
                let mut exact_key = key.clone();
                exact_key.pop();
                exact_key.push(table.name.clone());
                by_name.entry(exact_key).or_insert_with(|| table.clone());
                by_name.insert(key, table);
            }
        }
        Ok(Tables { by_name, all })
    }

    pub(super) fn get(&self, name: &ObjectName) -> Option<&Table> {
        let key: Vec<String> = idents(name)?.iter().map(|part| part.value.clone()).collect();
        self.by_name.get(&key)
    }
}

fn schema_provider(
    state: &SessionState,
    reference: &ResolvedTableReference,
) -> Option<Arc<dyn SchemaProvider>> {
    state
        .schema_for_ref(TableReference::full(
            reference.catalog.as_ref(),
            reference.schema.as_ref(),
            reference.table.as_ref(),
        ))
        .ok()
}

pub(super) fn columns_of(fields: &Fields) -> Vec<Column> {
    fields
        .iter()
        .map(|field| Column {
            name: field.name().clone(),
            data_type: Some(field.data_type().clone()),
        })
        .collect()
}

pub(super) fn names_of(columns: Vec<Column>) -> Vec<String> {
    columns.into_iter().map(|column| column.name).collect()
}

fn defaults_of(table: &dyn TableProvider, columns: &[Column]) -> Result<Vec<(String, Expr)>> {
    let defaults = columns.iter().filter_map(|column| {
        let value = table.get_column_default(&column.name)?;
        Some(expr_to_sql(value).map(|value| (column.name.clone(), value)))
    });
    Ok(defaults.collect::<Result<_, _>>()?)
}

/// Every name in a place where a table can stand.
fn relations(statement: &Statement, names: &mut Vec<ObjectName>) {
    let mut push = |name: &ObjectName| {
        names.push(name.clone());
        ControlFlow::<()>::Continue(())
    };
    match statement {
        Statement::Statement(sql) => {
            let _ = visit_relations(sql, &mut push);
            if let Sql::Drop { names: dropped, .. } = sql.as_ref() {
                names.extend(dropped.iter().cloned());
            }
            if let Sql::Truncate(truncate) = sql.as_ref() {
                names.extend(truncate.table_names.iter().map(|table| table.name.clone()));
            }
            if let Sql::CreateView(view) = sql.as_ref() {
                names.push(view.name.clone());
            }
        }
        Statement::CopyTo(copy) => match &copy.source {
            CopyToSource::Relation(name) => names.push(name.clone()),
            CopyToSource::Query(query) => {
                let _ = visit_relations(query, &mut push);
            }
        },
        Statement::Explain(explain) => relations(&explain.statement, names),
        Statement::CreateExternalTable(create) => names.push(create.name.clone()),
        Statement::Reset(_) => {}
    }
}
