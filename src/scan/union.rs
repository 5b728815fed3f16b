//! CSV files with different columns as one table: columns of the same name are one, with a type
//! that holds the values of all files; what a file lacks is NULL.
//!
//! Files of the same layout are read by one scan, with the types of the whole table.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::common::ScalarValue;
use datafusion::datasource::{ViewTable, provider_as_source};
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, ident, lit};

use super::csv::{Dialect, Sniffed};
use crate::error::{Error, Result};

/// Files of one layout.
pub(super) struct Layout {
    pub(super) dialect: Dialect,
    /// Columns of these files, in their order, with the types of the whole table.
    pub(super) schema: SchemaRef,
    /// Which of the table's files have it.
    pub(super) files: Vec<usize>,
}

/// Groups files by their layout; gives the columns of the whole table, too.
pub(super) fn layouts(sniffed: Vec<Sniffed>) -> (Vec<Layout>, Schema) {
    let mut columns: Vec<(String, Option<DataType>)> = Vec::new();
    for file in &sniffed {
        for (field, unseen) in file.schema.fields().iter().zip(&file.unseen) {
            // A column in which nothing was seen goes with any type.
            let found = (!unseen).then(|| field.data_type().clone());
            match columns.iter_mut().find(|(name, _)| same(name, field.name())) {
                Some((_, known)) => *known = widened(known.take(), found),
                None => columns.push((field.name().clone(), found)),
            }
        }
    }
    let fields: Vec<Field> = columns
        .into_iter()
        .map(|(name, found)| Field::new(name, found.unwrap_or(DataType::Utf8View), true))
        .collect();
    let whole = Schema::new(fields);
    let mut layouts: Vec<Layout> = Vec::new();
    for (index, file) in sniffed.into_iter().enumerate() {
        let known = |name: &str| whole.fields().iter().find(|field| same(field.name(), name));
        let fields: Vec<_> = file
            .schema
            .fields()
            .iter()
            .filter_map(|field| known(field.name()).map(Arc::clone))
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let alike = layouts
            .iter_mut()
            .find(|layout| layout.schema == schema && layout.dialect.reads_like(&file.dialect));
        match alike {
            Some(layout) => layout.files.push(index),
            None => layouts.push(Layout { dialect: file.dialect, schema, files: vec![index] }),
        }
    }
    (layouts, whole)
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b)
}

/// The type that holds values of both.
fn widened(a: Option<DataType>, b: Option<DataType>) -> Option<DataType> {
    let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
    match (a, b) {
        (None, known) | (known, None) => known,
        (Some(a), Some(b)) => Some(match (&a, &b) {
            _ if a == b => a,
            (DataType::Int64, DataType::Float64) | (DataType::Float64, DataType::Int64) => {
                DataType::Float64
            }
            (DataType::Date32, other) | (other, DataType::Date32) if *other == micros => micros,
            _ => DataType::Utf8View,
        }),
    }
}

/// One table of the tables of all layouts, with the columns of `whole` and then those that every
/// table has besides (`extra`).
///
/// # Errors
/// `Internal` if DataFusion refuses the plan.
pub(super) fn union(
    tables: Vec<Arc<dyn TableProvider>>,
    whole: &Schema,
    extra: &[String],
) -> Result<Arc<dyn TableProvider>> {
    let mut union: Option<LogicalPlanBuilder> = None;
    for table in tables {
        let schema = table.schema();
        let mut columns: Vec<Expr> = Vec::with_capacity(whole.fields().len() + extra.len());
        for field in whole.fields() {
            let name = field.name().as_str();
            columns.push(match schema.index_of(name) {
                Ok(_) => ident(name),
                Err(_) => lit(ScalarValue::try_from(field.data_type())?).alias(name),
            });
        }
        columns.extend(extra.iter().map(|name| ident(name.as_str())));
        let plan =
            LogicalPlanBuilder::scan("files", provider_as_source(table), None)?.project(columns)?;
        union = Some(match union {
            None => plan,
            Some(before) => before.union(plan.build()?)?,
        });
    }
    let union = union.ok_or_else(|| Error::internal("a union of no tables"))?;
    Ok(Arc::new(ViewTable::new(union.build()?, None)))
}

/// Some columns of a table, in this order.
///
/// # Errors
/// `Config` if one of them is not there.
pub(super) fn only_columns(
    table: Arc<dyn TableProvider>,
    names: &[String],
) -> Result<Arc<dyn TableProvider>> {
    let schema = table.schema();
    let known: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let mut columns: Vec<Expr> = Vec::with_capacity(names.len());
    for name in names {
        let place = super::csv::column_place("usecols", name, &known)?;
        columns.push(ident(known[place].as_str()));
    }
    let plan = LogicalPlanBuilder::scan("files", provider_as_source(table), None)?
        .project(columns)?
        .build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sniffed(columns: &[(&str, DataType)]) -> Sniffed {
        let field =
            |(name, data_type): &(&str, DataType)| Field::new(*name, data_type.clone(), true);
        Sniffed {
            dialect: Dialect::default(),
            schema: Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>())),
            unseen: columns.iter().map(|(name, _)| name.starts_with("none")).collect(),
            line_end: "\\n",
        }
    }

    #[test]
    fn types_are_widened_and_layouts_shared() {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let files = vec![
            sniffed(&[("id", DataType::Int64), ("none", DataType::Utf8View)]),
            sniffed(&[("ID", DataType::Float64), ("none", DataType::Utf8View)]),
            sniffed(&[("day", DataType::Date32), ("id", DataType::Int64)]),
            sniffed(&[("day", micros.clone()), ("flag", DataType::Boolean)]),
            sniffed(&[("flag", DataType::Int64)]),
        ];
        let (layouts, whole) = layouts(files);
        let columns: Vec<_> =
            whole.fields().iter().map(|f| (f.name().as_str(), f.data_type().clone())).collect();
        assert_eq!(
            columns,
            [
                ("id", DataType::Float64),
                ("none", DataType::Utf8View),
                ("day", micros),
                ("flag", DataType::Utf8View),
            ]
        );
        let files: Vec<_> = layouts.iter().map(|layout| layout.files.clone()).collect();
        assert_eq!(files, [vec![0, 1], vec![2], vec![3], vec![4]]);
        assert_eq!(layouts[0].schema.field(0).data_type(), &DataType::Float64);
    }

    #[test]
    fn a_column_without_values_has_the_type_of_others() {
        assert_eq!(widened(None, Some(DataType::Int64)), Some(DataType::Int64));
        assert_eq!(widened(None, None), None);
    }
}
