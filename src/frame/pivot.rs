//! Rows into columns, and columns into rows.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, UInt32Array};
use arrow::compute::{CastOptions, cast_with_options, concat, take};
use arrow::datatypes::DataType;
use datafusion::common::{Column, NullHandling, ScalarValue, UnnestOptions};
use datafusion::functions_nested::expr_fn::make_array;
use datafusion::logical_expr::type_coercion::binary::type_union_coercion;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, cast as cast_expr, lit};
use futures::TryStreamExt;

use super::names::{exact_names, names};
use super::{DataFrame, Selector};
use crate::error::{Error, Result};
use crate::relations::pivot::{
    MOST_COLUMNS, column_name, equals, filtered, name_of, too_many, values,
};

/// Most rows of a frame that is transposed: each becomes a column.
const MOST_TRANSPOSED_ROWS: usize = MOST_COLUMNS;

impl DataFrame {
    /// A row for each combination of values of `index`, and a column for each value of `on`, with the
    /// aggregate of the rows that have both: `pivot("year", &["city"], [sum(col("amount"))])`.
    ///
    /// Runs a query for the values of `on`, in order without NULL; [`DataFrame::pivot_values`] is
    /// told them. The columns have the names of the values; with several aggregates, or one with an
    /// alias, the name of the aggregate is behind it, after a `_`.
    ///
    /// # Errors
    /// `Query` for columns that are not there, expressions that are no aggregates, and more than
    /// 10,000 columns; the errors of running the query.
    pub async fn pivot(
        self,
        on: &str,
        index: &[&str],
        aggregates: impl IntoIterator<Item = Expr>,
    ) -> Result<Self> {
        let values = self.distinct_values(on).await?;
        self.pivot_values(on, index, aggregates, values)
    }

    /// As [`DataFrame::pivot`], with columns for these values, which may be
    /// [`ScalarValue::Null`] for the rows where `on` is NULL.
    ///
    /// # Errors
    /// As for [`DataFrame::pivot`]; nothing is run.
    pub fn pivot_values<V: Into<ScalarValue>>(
        self,
        on: &str,
        index: &[&str],
        aggregates: impl IntoIterator<Item = Expr>,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Self> {
        let index = exact_names(self.plan.schema(), index)?;
        let on = self.exact(super::col(on))?;
        let aggregates = aggregates.into_iter().map(|expr| {
            let name = match &expr {
                Expr::Alias(alias) => (true, alias.name.clone()),
                expr => (false, expr.schema_name().to_string()),
            };
            Ok((name, self.exact(expr)?))
        });
        let aggregates = aggregates.collect::<Result<Vec<_>>>()?;
        let mut columns = Vec::new();
        for value in values {
            let value = value.into();
            let text = name_of(&value)?;
            for ((is_given, name), aggregate) in &aggregates {
                let name = (*is_given || aggregates.len() > 1).then_some(name.as_str());
                let expr = filtered(aggregate, equals(on.clone(), &value))?;
                columns.push(expr.alias(column_name(&[&text], name)));
            }
            if columns.len() > MOST_COLUMNS {
                return Err(too_many());
            }
        }
        let keys = index.iter().map(|name| self.exact(super::col(name)));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        Ok(self.with(self.plan.clone().aggregate(keys, columns)?))
    }

    /// How many rows there are of each combination of values: a row for each value of `rows`, a
    /// column for each one of `columns`, in order.
    ///
    /// # Errors
    /// As for [`DataFrame::pivot`].
    pub async fn crosstab(self, rows: &str, columns: &str) -> Result<Self> {
        let by = super::col(rows).sort(true, false);
        self.pivot(columns, &[rows], [crate::aggregates::count(lit(1))]).await?.sort([by])
    }

    /// A row for each of the columns `on`, or if there are none each column that is not in `index`:
    /// the columns of `index`, the name of the column as `variable`, and what is in it as `value`, also
    /// where that is NULL.
    ///
    /// # Errors
    /// `Query` for columns that are not there, or whose types have no common one.
    pub fn unpivot(
        self,
        on: impl Into<Selector>,
        index: impl Into<Selector>,
        variable: &str,
        value: &str,
    ) -> Result<Self> {
        let schema = self.plan.schema();
        let index: Selector = index.into();
        let on = on.into().or_if_empty(!index.clone()).names(schema)?;
        let index = index.names(schema)?;
        if on.is_empty() {
            return Err(Error::query("no columns are left to unpivot"));
        }
        let common = common_type(on.iter().map(|name| {
            let field = schema.field_with_unqualified_name(name);
            field.map(|field| field.data_type().clone())
        }))?;
        let column = |name: &String| self.exact(super::col(name));
        let mut columns: Vec<Expr> = index.iter().map(column).collect::<Result<_>>()?;
        let values = on.iter().map(|name| Ok(cast_expr(column(name)?, common.clone())));
        let values = values.collect::<Result<Vec<_>>>()?;
        columns
            .push(make_array(on.iter().map(|name| lit(name.as_str())).collect()).alias(variable));
        columns.push(make_array(values).alias(value));
        let lists = self.project(columns)?;
        lists.unnested([variable, value], UnnestOptions::default())
    }

    /// Replaces each of these columns by one for each of its values, in order: 1 where it has the
    /// value, else 0; `column_value` is its name. NULL has no column.
    ///
    /// # Errors
    /// `Query` for columns that are not there and more than 10,000 new ones; the errors of finding the
    /// values.
    pub async fn to_dummies(self, columns: impl Into<Selector>) -> Result<Self> {
        let replaced = columns.into().names(self.plan.schema())?;
        let mut exprs = Vec::new();
        for name in names(self.plan.schema()) {
            let column = self.exact(super::col(&name))?;
            if !replaced.contains(&name) {
                exprs.push(column);
                continue;
            }
            for value in self.distinct_values(&name).await? {
                let has_value = equals(column.clone(), &value).is_true();
                let dummy = cast_expr(has_value, DataType::UInt8);
                exprs.push(dummy.alias(column_name(&[&name, &name_of(&value)?], None)));
            }
            if exprs.len() > MOST_COLUMNS {
                return Err(too_many());
            }
        }
        Ok(self.with(self.plan.clone().select(exprs)?))
    }

    /// A row for each element of the lists in these columns, which are taken side by side; NULLs fill
    /// up the shorter ones. A list that is empty or NULL gives one row with NULL.
    ///
    /// # Errors
    /// `Query` for columns that are not there or are no lists.
    pub fn explode(self, columns: impl Into<Selector>) -> Result<Self> {
        let schema = self.plan.schema();
        let columns = columns.into().names(schema)?;
        for name in &columns {
            let data_type = schema.field_with_unqualified_name(name)?.data_type();
            if !data_type.is_list() && !data_type.is_null() {
                return Err(Error::query(format!(
                    "\"{name}\" is of type {data_type}, and no list"
                )));
            }
        }
        let options = UnnestOptions::new().with_null_handling(NullHandling::PreserveAndExpandEmpty);
        self.unnested(columns, options)
    }

    /// A row for each element of the lists in these columns, whose names are exact.
    fn unnested(
        &self,
        columns: impl IntoIterator<Item = impl Into<String>>,
        options: UnnestOptions,
    ) -> Result<Self> {
        let columns = columns.into_iter().map(Column::new_unqualified).collect();
        let plan = LogicalPlanBuilder::from(self.logical());
        Ok(self.planned(plan.unnest_columns_with_options(columns, options)?.build()?))
    }

    /// The columns as rows and the rows as columns, `column_0` and so on. With `header`, a first column
    /// of that name has the names of the old columns.
    ///
    /// All rows must fit in memory.
    ///
    /// # Errors
    /// `Query` for more than 10,000 rows, or columns whose types have no common one; the errors of
    /// running the query.
    pub async fn transpose(self, header: Option<&str>) -> Result<Self> {
        let schema = self.schema();
        let common =
            common_type(schema.fields().iter().map(|field| Ok(field.data_type().clone())))?;
        let limited = self.clone().limit(MOST_TRANSPOSED_ROWS + 1)?;
        let batches: Vec<RecordBatch> = limited.stream().await?.try_collect().await?;
        let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if rows > MOST_TRANSPOSED_ROWS {
            return Err(Error::query(format!(
                "a frame of more than {MOST_TRANSPOSED_ROWS} rows cannot be transposed"
            ))
            .with_hint("aggregate or limit it before"));
        }
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let mut pieces = Vec::new();
        for number in 0..schema.fields().len() {
            for batch in &batches {
                pieces.push(cast_with_options(batch.column(number), &common, &strict)?);
            }
        }
        let old_columns = schema.fields().len();
        let pieces: Vec<_> = pieces.iter().map(|piece| piece.as_ref()).collect();
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        if let Some(header) = header {
            let names = schema.fields().iter().map(|field| field.name().as_str());
            columns.push((header.to_string(), Arc::new(StringArray::from_iter_values(names))));
        }
        if rows > 0 {
            let all = concat(&pieces)?;
            for row in 0..rows {
                let places = (0..old_columns).map(|column| (column * rows + row) as u32);
                let places = UInt32Array::from_iter_values(places);
                columns.push((format!("column_{row}"), take(&all, &places, None)?));
            }
        }
        if columns.is_empty() {
            return Ok(self.with(self.session.context().read_empty()?));
        }
        let nullable = columns.into_iter().map(|(name, column)| (name, column, true));
        let batch = RecordBatch::try_from_iter_with_nullable(nullable)?;
        Ok(self.with(self.session.context().read_batch(batch)?))
    }

    /// The values of a column, in order without NULL.
    async fn distinct_values(&self, column: &str) -> Result<Vec<ScalarValue>> {
        let column = self.exact(super::col(column))?;
        let plan = self.plan.clone().filter(column.clone().is_not_null())?;
        let plan = plan.select([column.clone().alias("value")])?.distinct()?;
        let plan = plan.sort(vec![super::col("value").sort(true, false)])?;
        let plan = plan.limit(0, Some(MOST_COLUMNS + 1))?;
        let mut found = Vec::new();
        for batch in plan.collect().await? {
            found.extend(values(batch.column(0))?);
        }
        if found.len() > MOST_COLUMNS {
            return Err(too_many());
        }
        Ok(found)
    }
}

/// A type for all values.
fn common_type(
    types: impl IntoIterator<Item = datafusion::error::Result<DataType>>,
) -> Result<DataType> {
    let mut common: Option<DataType> = None;
    for data_type in types {
        let data_type = data_type?;
        common = Some(match common {
            None => data_type,
            Some(before) => type_union_coercion(&before, &data_type).ok_or_else(|| {
                Error::query(format!(
                    "columns of types {before} and {data_type} have no common one"
                ))
                .with_hint("cast them before")
            })?,
        });
    }
    Ok(common.unwrap_or(DataType::Null))
}
