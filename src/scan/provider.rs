//! Files as a table of DataFusion.
//!
//! Files are listed here and nowhere else, so that those which are read are those which were found,
//! and again for each scan, so that it sees them as they are then.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, FieldRef, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{
    ColumnStatistics, DFSchema, ScalarValue, SchemaExt, Statistics, TableReference,
};
use datafusion::datasource::file_format::{FileFormat, FileMeta};
use datafusion::datasource::listing::{ListingTableUrl, PartitionedFile};
use datafusion::datasource::physical_plan::{
    FileGroup, FileOutputMode, FileScanConfigBuilder, FileSinkConfig,
};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::execution::cache::cache_manager::CachedFileMetadata;
use datafusion::execution::cache::{SchemaFingerprint, TableScopedPath};
use datafusion::logical_expr::dml::InsertOp;
use datafusion::logical_expr::{Expr, SortExpr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::expressions::{Column, TryCastExpr};
use datafusion::physical_expr::{LexOrdering, PhysicalExpr, create_lex_ordering};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::projection::{ProjectionExec, ProjectionExpr};
use datafusion_datasource::compute_all_files_statistics;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::ObjectMeta;
use url::Url;

use super::file_columns::FileColumns;
use super::files::{FileKind, FileKindName};
use super::found::{Found, FoundFile};
use super::store::FileStore;
use crate::error::Error;

/// Which files a table has.
#[derive(Debug)]
pub(super) enum Files {
    /// Those that are at these locations when it is read, all of one kind.
    At { locations: Vec<String>, given: Option<FileKind>, kind: FileKindName },
    /// These, as they are when they are read.
    These(Vec<FoundFile>),
}

/// A table of files of one format, with columns of their paths after those of the files.
#[derive(Debug)]
pub(super) struct FilesTable {
    pub(super) files: Files,
    pub(super) store: FileStore,
    /// The folder that rows may be added to.
    folder: Option<Url>,
    pub(super) format: Arc<dyn FileFormat>,
    file_schema: SchemaRef,
    pub(super) columns: FileColumns,
    schema: SchemaRef,
    /// Orders that the user says each file has.
    pub(super) order: Vec<Vec<SortExpr>>,
    /// Tells statistics of these columns from those of others in the session's cache.
    fingerprint: Arc<SchemaFingerprint>,
}

impl FilesTable {
    /// A table of such files.
    ///
    /// # Errors
    /// `Query` if the files have a column of the same name as their paths.
    pub(super) fn new(
        found: &Found,
        files: Files,
        format: Arc<dyn FileFormat>,
        file_schema: SchemaRef,
        columns: FileColumns,
        order: Vec<Vec<SortExpr>>,
    ) -> Result<Self, Error> {
        let mut fields: Vec<FieldRef> = file_schema.fields().to_vec();
        for column in columns.fields() {
            let name = column.name();
            if fields.iter().any(|field| field.name() == name) {
                let error = format!("the files have a column \"{name}\" already");
                return Err(Error::query(error).with_hint(
                    "give the other one another name: filename = 'path'; or leave the columns of \
                     paths out: hive_partitioning = false",
                ));
            }
            fields.push(column);
        }
        let schema = Schema::new_with_metadata(fields, file_schema.metadata().clone());
        Ok(FilesTable {
            files,
            store: found.store.clone(),
            folder: found.folder.clone(),
            format,
            columns,
            schema: Arc::new(schema),
            order,
            fingerprint: Arc::new(SchemaFingerprint::from_schema(&file_schema)),
            file_schema,
        })
    }

    /// The files as they are now.
    async fn found(&self, state: &dyn Session) -> Result<Vec<FoundFile>, Error> {
        match &self.files {
            Files::At { locations, given, kind } => {
                let found = Found::at(state, locations).await?;
                let shown = locations.join("', '");
                match found.kind(*given, &shown)?.reads_like(kind) {
                    true => Ok(found.files),
                    false => Err(Error::query(format!(
                        "the files of '{shown}' have another format than when the table was made"
                    ))),
                }
            }
            Files::These(files) => {
                let locations = files.iter().map(|file| file.meta.location.clone()).collect();
                let metas = self.store.heads(locations).await?;
                let mut files = files.clone();
                for (file, meta) in files.iter_mut().zip(metas) {
                    file.meta = meta;
                }
                Ok(files)
            }
        }
    }

    /// The files that can have rows which pass the filters.
    fn kept(
        &self,
        state: &dyn Session,
        filters: &[Expr],
        files: Vec<FoundFile>,
    ) -> Result<Vec<PartitionedFile>> {
        let mut values = Vec::with_capacity(files.len());
        for file in &files {
            values.push(self.columns.values(&self.store, file)?);
        }
        let passes = self.passes(state, filters, &values)?;
        let files = files.into_iter().zip(values).zip(passes).filter(|(_, passes)| *passes);
        let files = files.map(|((file, values), _)| {
            let mut file = PartitionedFile::from(file.meta);
            file.partition_values = values;
            file
        });
        Ok(files.collect())
    }

    /// Of each file, whether its values may pass the filters. What cannot be told without the rows is
    /// no reason to leave one out.
    fn passes(
        &self,
        state: &dyn Session,
        filters: &[Expr],
        values: &[Vec<ScalarValue>],
    ) -> Result<Vec<bool>> {
        let mut passes = vec![true; values.len()];
        let fields = self.columns.fields();
        if fields.is_empty() || values.is_empty() {
            return Ok(passes);
        }
        let arrays: Result<Vec<ArrayRef>> = (0..fields.len())
            .map(|column| {
                ScalarValue::iter_to_array(values.iter().map(|values| values[column].clone()))
            })
            .collect();
        let schema = Arc::new(Schema::new(fields));
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays?)?;
        let df_schema = DFSchema::try_from(schema)?;
        for filter in filters {
            let ours = filter.column_refs().iter().all(|column| df_schema.has_column(column));
            if !ours || filter.is_volatile() {
                continue;
            }
            let Ok(expr) = state.create_physical_expr(filter.clone(), &df_schema) else { continue };
            let Ok(result) = expr.evaluate(&batch).and_then(|v| v.into_array(batch.num_rows()))
            else {
                continue;
            };
            if let Some(result) = result.as_boolean_opt() {
                for (file, passes) in passes.iter_mut().enumerate() {
                    *passes &= result.is_valid(file) && result.value(file);
                }
            }
        }
        Ok(passes)
    }

    /// The files with what is known of their rows, and whether all of them are needed for `limit`
    /// rows.
    async fn with_statistics(
        &self,
        state: &dyn Session,
        files: Vec<PartitionedFile>,
        limit: Option<usize>,
    ) -> Result<(Vec<PartitionedFile>, bool)> {
        let count = files.len();
        let at_once = state.config_options().execution.meta_fetch_concurrency.get();
        let mut known = stream::iter(files)
            .map(|mut file| async move {
                let known = self.statistics(state, &file.object_meta).await?;
                file.statistics = Some(Arc::new(of_all_columns(known.statistics, &file)));
                file.ordering = known.ordering;
                Ok::<_, datafusion::error::DataFusionError>(file)
            })
            .buffered(at_once);
        let mut files = Vec::with_capacity(count);
        let mut rows = Precision::Exact(0);
        while let Some(file) = known.try_next().await? {
            if let Some(statistics) = &file.statistics {
                rows = rows.add(&statistics.num_rows);
            }
            files.push(file);
            if let (Some(limit), Precision::Exact(rows)) = (limit, &rows)
                && *rows > limit
            {
                break;
            }
        }
        let all = files.len() == count;
        Ok((files, all))
    }

    /// What the format knows of a file, which is remembered for as long as the file stays the same.
    async fn statistics(&self, state: &dyn Session, meta: &ObjectMeta) -> Result<FileMeta> {
        let schema = Arc::clone(&self.file_schema);
        if !state.config().collect_statistics() {
            return Ok(FileMeta::new(Statistics::new_unknown(&schema)));
        }
        let cache = state.runtime_env().cache_manager.get_file_statistic_cache();
        // Stores may have files of the same name.
        let table = TableReference::bare(self.store.url().as_str());
        let key = TableScopedPath { table: Some(table), path: meta.location.clone() };
        if let Some(cached) = cache.as_ref().and_then(|cache| cache.get(&key))
            && cached.is_valid_for(meta, &self.fingerprint)
        {
            let statistics = cached.statistics.as_ref().clone();
            return Ok(FileMeta::new(statistics).with_ordering(cached.ordering));
        }
        let store = self.store.objects();
        let known = self.format.infer_stats_and_ordering(state, store, schema, meta).await?;
        if let Some(cache) = cache {
            let statistics = Arc::new(known.statistics.clone());
            let (meta, fingerprint) = (meta.clone(), Arc::clone(&self.fingerprint));
            let ordering = known.ordering.clone();
            cache.put(&key, CachedFileMetadata::new(meta, fingerprint, statistics, ordering));
        }
        Ok(known)
    }

    /// The orders that all files have.
    fn orders(&self, state: &dyn Session, files: &[PartitionedFile]) -> Result<Vec<LexOrdering>> {
        if !self.order.is_empty() {
            return create_lex_ordering(&self.schema, &self.order, state.execution_props());
        }
        let mut common = files.first().and_then(|file| file.ordering.clone());
        for file in files.iter().skip(1) {
            common = common.zip(file.ordering.as_ref()).and_then(|(common, other)| {
                let alike = common.iter().zip(other.iter()).take_while(|(a, b)| a == b);
                LexOrdering::new(alike.map(|(a, _)| a.clone()).collect::<Vec<_>>())
            });
        }
        Ok(common.into_iter().collect())
    }
}

/// Statistics of a file with those of the columns of its path, which have one value.
fn of_all_columns(mut statistics: Statistics, file: &PartitionedFile) -> Statistics {
    let rows = statistics.num_rows;
    // A file without rows has no value.
    let has_rows = matches!(rows, Precision::Exact(1..));
    let known = |value: &ScalarValue| match (value.is_null(), has_rows) {
        (true, _) => Precision::Absent,
        (false, true) => Precision::Exact(value.clone()),
        (false, false) => Precision::Inexact(value.clone()),
    };
    statistics.column_statistics.extend(file.partition_values.iter().map(|value| {
        ColumnStatistics {
            null_count: if value.is_null() { rows } else { Precision::Exact(0) },
            min_value: known(value),
            max_value: known(value),
            distinct_count: Precision::Inexact(1),
            ..ColumnStatistics::new_unknown()
        }
    }));
    statistics
}

/// The rows of a scan of which some have NULL in these columns. To DataFusion, a value of a file's path
/// makes a column that is never NULL, unless it is itself, so batches of several files would not be of
/// one schema.
fn maybe_null(
    plan: Arc<dyn ExecutionPlan>,
    columns: &[FieldRef],
) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = plan.schema();
    if !schema.fields().iter().any(|field| columns.contains(field)) {
        return Ok(plan);
    }
    let exprs = schema.fields().iter().enumerate().map(|(place, field)| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(field.name(), place));
        let expr: Arc<dyn PhysicalExpr> = match field.is_nullable() && columns.contains(field) {
            // This changes nothing but that the result may be NULL.
            true => Arc::new(TryCastExpr::new(column, field.data_type().clone())),
            false => column,
        };
        ProjectionExpr { expr, alias: field.name().clone() }
    });
    Ok(Arc::new(ProjectionExec::try_new(exprs, plan)?))
}

#[async_trait]
impl TableProvider for FilesTable {
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
        let files = self.kept(state, filters, self.found(state).await?)?;
        let enough = limit.filter(|_| filters.is_empty());
        let (files, all) = self.with_statistics(state, files, enough).await?;
        if files.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.schema.project(columns)?),
                None => Arc::clone(&self.schema),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let orders = self.orders(state, &files)?;
        let has_nulls =
            files.iter().any(|file| file.partition_values.iter().any(ScalarValue::is_null));
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let (groups, statistics) = compute_all_files_statistics(
            groups,
            Arc::clone(&self.schema),
            state.config().collect_statistics(),
            !all,
        )?;
        let schema = TableSchema::builder(Arc::clone(&self.file_schema))
            .with_table_partition_cols(self.columns.fields())
            .build();
        let source = self.format.file_source(schema);
        let config = FileScanConfigBuilder::new(self.store.url().clone(), source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .with_output_ordering(orders)
            .build();
        let plan = self.format.create_physical_plan(state, config).await?;
        match has_nulls {
            true => maybe_null(plan, &self.columns.fields()),
            false => Ok(plan),
        }
    }

    async fn insert_into(
        &self,
        state: &dyn Session,
        input: Arc<dyn ExecutionPlan>,
        insert_op: InsertOp,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.schema.logically_equivalent_names_and_types(&input.schema())?;
        let (Some(folder), Some(columns)) = (&self.folder, self.columns.only_in_path()) else {
            let error =
                Error::query("rows can only be added to a folder with name=value in its paths");
            return Err(error
                .with_hint(
                    "write more files with COPY, or create the table with PARTITIONED BY and the \
                     folder as its LOCATION",
                )
                .into());
        };
        let columns: Vec<(String, DataType)> =
            columns.iter().map(|field| (field.name().clone(), field.data_type().clone())).collect();
        let config = FileSinkConfig {
            original_url: String::default(),
            object_store_url: self.store.url().clone(),
            table_paths: vec![ListingTableUrl::try_new(folder.clone(), None)?],
            file_group: FileGroup::default(),
            output_schema: self.schema(),
            table_partition_cols: columns,
            insert_op,
            keep_partition_by_columns: state.config_options().execution.keep_partition_by_columns,
            file_extension: self.format.get_ext(),
            file_output_mode: FileOutputMode::Automatic,
        };
        let orders = create_lex_ordering(&self.schema, &self.order, state.execution_props())?;
        let order = orders.into_iter().next().map(Into::into);
        self.format.create_writer_physical_plan(input, state, config, order).await
    }
}
