//! Columns that have one value a file: its path, and what `name=value/` in its path says.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{ColumnStatistics, DFSchema, ScalarValue, Statistics};
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use object_store::path::Path;

use super::null_names::NULL_NAME;
use crate::error::Error;

/// A table of files with such columns after those of the files.
#[derive(Debug)]
pub(super) struct FileColumns {
    /// The files without these columns.
    files: Arc<dyn TableProvider>,
    format: Arc<dyn FileFormat>,
    columns: Vec<FieldRef>,
    /// Values of the columns by file.
    values: HashMap<Path, Vec<ScalarValue>>,
    schema: SchemaRef,
}

impl FileColumns {
    /// Adds columns to a listing of files.
    ///
    /// # Errors
    /// `Query` if the files have a column of the same name.
    pub(super) fn new(
        files: Arc<dyn TableProvider>,
        format: Arc<dyn FileFormat>,
        columns: Vec<Field>,
        values: HashMap<Path, Vec<ScalarValue>>,
    ) -> Result<Self, Error> {
        let columns: Vec<FieldRef> = columns.into_iter().map(Arc::new).collect();
        let mut fields: Vec<FieldRef> = files.schema().fields().to_vec();
        for column in &columns {
            let name = column.name();
            if fields.iter().any(|field| field.name() == name) {
                let error = format!("the files have a column \"{name}\" already");
                return Err(Error::query(error).with_hint(
                    "give the other one another name: filename = 'path'; or leave the columns of \
                     paths out: hive_partitioning = false",
                ));
            }
            fields.push(Arc::clone(column));
        }
        let schema = Arc::new(Schema::new(fields));
        Ok(FileColumns { files, format, columns, values, schema })
    }

    /// Which files can have rows that pass the filters. What cannot be told without the rows is no
    /// reason to leave one out.
    fn kept(&self, state: &dyn Session, filters: &[Expr]) -> Result<HashMap<&Path, bool>> {
        let paths: Vec<&Path> = self.values.keys().collect();
        let mut kept = vec![true; paths.len()];
        let schema = Arc::new(Schema::new(self.columns.clone()));
        let arrays: Result<Vec<ArrayRef>> = (0..self.columns.len())
            .map(|column| {
                let values = paths.iter().map(|path| self.values[*path][column].clone());
                ScalarValue::iter_to_array(values)
            })
            .collect();
        if paths.is_empty() {
            return Ok(HashMap::new());
        }
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays?)?;
        let df_schema = DFSchema::try_from(schema)?;
        for filter in filters {
            let ours = filter.column_refs().iter().all(|column| df_schema.has_column(column));
            if !ours || filter.is_volatile() {
                continue;
            }
            let Ok(expr) = state.create_physical_expr(filter.clone(), &df_schema) else { continue };
            let Ok(passes) = expr.evaluate(&batch).and_then(|v| v.into_array(batch.num_rows()))
            else {
                continue;
            };
            if let Some(passes) = passes.as_boolean_opt() {
                for (file, kept) in kept.iter_mut().enumerate() {
                    *kept &= passes.is_valid(file) && passes.value(file);
                }
            }
        }
        Ok(paths.into_iter().zip(kept).collect())
    }

    fn with_values(&self, mut file: PartitionedFile) -> Result<PartitionedFile> {
        let location = &file.object_meta.location;
        let values = self.values.get(location).ok_or_else(|| {
            Error::internal(format!("\"/{location}\" was not there when the table was opened"))
        })?;
        file.partition_values.extend(values.iter().cloned());
        Ok(match file.statistics.take() {
            Some(statistics) => file.with_statistics(statistics),
            None => file,
        })
    }
}

#[async_trait]
impl TableProvider for FileColumns {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let of_files = self.files.schema();
        let on_files = |filter: &&Expr| {
            filter.column_refs().iter().all(|column| of_files.index_of(column.name()).is_ok())
        };
        let inner: Vec<Expr> = filters.iter().filter(on_files).cloned().collect();
        let file_limit = limit.filter(|_| filters.is_empty());
        let scan = self.files.scan(state, None, &inner, file_limit).await?;
        let config = scan
            .downcast_ref::<DataSourceExec>()
            .and_then(|scan| scan.data_source().downcast_ref::<FileScanConfig>());
        let Some(config) = config else {
            // No file has rows.
            let schema = match projection {
                Some(columns) => Arc::new(self.schema.project(columns)?),
                None => Arc::clone(&self.schema),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        };
        let kept = self.kept(state, filters)?;
        let mut groups = Vec::with_capacity(config.file_groups.len());
        for group in &config.file_groups {
            let files = group.files().iter();
            let files: Vec<PartitionedFile> = files
                .filter(|file| kept.get(&file.object_meta.location).copied().unwrap_or(true))
                .map(|file| self.with_values(file.clone()))
                .collect::<Result<_>>()?;
            if !files.is_empty() {
                groups.push(FileGroup::new(files));
            }
        }
        if groups.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema.project(columns)?),
                None => Arc::clone(&self.schema),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let all = groups.iter().map(FileGroup::len).sum::<usize>() == self.values.len();
        let statistics = config.statistics();
        let mut column_statistics = statistics.column_statistics.clone();
        column_statistics.extend(self.columns.iter().map(|_| ColumnStatistics::new_unknown()));
        let statistics = Statistics { column_statistics, ..statistics };
        let statistics = if all { statistics } else { statistics.to_inexact() };
        let schema = TableSchema::builder(Arc::clone(config.file_schema()))
            .with_table_partition_cols(self.columns.clone())
            .build();
        let config = FileScanConfigBuilder::new(
            config.object_store_url.clone(),
            self.format.file_source(schema),
        )
        .with_file_groups(groups)
        .with_statistics(statistics)
        .with_projection_indices(projection.cloned())?
        .with_limit(limit)
        .with_output_ordering(config.output_ordering.clone())
        .with_expr_adapter(config.expr_adapter_factory.clone())
        .build();
        self.format.create_physical_plan(state, config).await
    }
}

/// The `name=value` parts of a file's path; a value is `None` where the path says NULL.
pub(super) fn path_values(path: &std::path::Path) -> Vec<(String, Option<String>)> {
    let folders = path.parent().into_iter().flat_map(std::path::Path::components);
    folders
        .filter_map(|part| {
            let (name, value) = part.as_os_str().to_str()?.split_once('=')?;
            let value = (value != NULL_NAME).then(|| value.to_string());
            Some((name.to_string(), value))
        })
        .collect()
}

/// A value of a path as a value of its column.
///
/// # Errors
/// `Input` if it is not of this type.
pub(super) fn path_value(
    path: &std::path::Path,
    name: &str,
    value: Option<String>,
    data_type: &DataType,
) -> Result<ScalarValue, Error> {
    match value {
        None => Ok(ScalarValue::try_from(data_type)?),
        Some(text) => ScalarValue::try_from_string(text.clone(), data_type).map_err(|_| {
            Error::input(format!(
                "\"{}\": the path says {name}={text}, which is not of type {data_type}",
                path.display()
            ))
        }),
    }
}
