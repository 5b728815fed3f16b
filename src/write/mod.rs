//! What `COPY` and `INSERT` into a table of files write.
//!
//! - this module: [`WritesAside`], a file format whose writer is ours
//! - `sink`: [`FileWrite`](sink::FileWrite), which writes one file or a folder of them
//! - `partitions`: a folder for each value of some columns
//! - `aside`: files that are made in a hidden folder and get their names when all is well
//! - `csv`: the writer of CSV files
//!
//! Bytes are made by our writer of CSV files and by DataFusion's of other formats, with all of their
//! options. They are given one file at a time to make, in a place that nobody looks at.

mod aside;
pub(crate) mod csv;
mod partitions;
mod sink;

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::{GetExt, Statistics};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::{FileFormat, FileFormatFactory, FileMeta};
use datafusion::datasource::physical_plan::{FileScanConfig, FileSinkConfig, FileSource};
use datafusion::datasource::sink::DataSinkExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::execution::context::SessionState;
use datafusion::physical_expr::{LexOrdering, LexRequirement};
use datafusion::physical_plan::ExecutionPlan;
use object_store::{ObjectMeta, ObjectStore};

/// A format that is read as before and written by us.
#[derive(Debug)]
pub(crate) struct WritesAside(pub(crate) Arc<dyn FileFormat>);

/// Makes formats that are written by us, for `COPY`.
#[derive(Debug)]
pub(crate) struct WritesAsideFactory(pub(crate) Arc<dyn FileFormatFactory>);

impl FileFormatFactory for WritesAsideFactory {
    fn create(
        &self,
        state: &dyn Session,
        options: &HashMap<String, String>,
    ) -> Result<Arc<dyn FileFormat>> {
        Ok(Arc::new(WritesAside(self.0.create(state, options)?)))
    }

    fn default(&self) -> Arc<dyn FileFormat> {
        Arc::new(WritesAside(self.0.default()))
    }
}

impl GetExt for WritesAsideFactory {
    fn get_ext(&self) -> String {
        self.0.get_ext()
    }
}

#[async_trait]
impl FileFormat for WritesAside {
    fn get_ext(&self) -> String {
        self.0.get_ext()
    }

    fn get_ext_with_compression(&self, compression: &FileCompressionType) -> Result<String> {
        self.0.get_ext_with_compression(compression)
    }

    fn compression_type(&self) -> Option<FileCompressionType> {
        self.0.compression_type()
    }

    async fn infer_schema(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        objects: &[ObjectMeta],
    ) -> Result<SchemaRef> {
        self.0.infer_schema(state, store, objects).await
    }

    async fn infer_stats(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        table_schema: SchemaRef,
        object: &ObjectMeta,
    ) -> Result<Statistics> {
        self.0.infer_stats(state, store, table_schema, object).await
    }

    async fn infer_ordering(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        table_schema: SchemaRef,
        object: &ObjectMeta,
    ) -> Result<Option<LexOrdering>> {
        self.0.infer_ordering(state, store, table_schema, object).await
    }

    async fn infer_stats_and_ordering(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        table_schema: SchemaRef,
        object: &ObjectMeta,
    ) -> Result<FileMeta> {
        self.0.infer_stats_and_ordering(state, store, table_schema, object).await
    }

    async fn create_physical_plan(
        &self,
        state: &dyn Session,
        conf: FileScanConfig,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.0.create_physical_plan(state, conf).await
    }

    async fn create_writer_physical_plan(
        &self,
        input: Arc<dyn ExecutionPlan>,
        state: &dyn Session,
        conf: FileSinkConfig,
        order: Option<LexRequirement>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        // This finds out whether the format can be written so, and where.
        let theirs = self.0.create_writer_physical_plan(
            Arc::clone(&input),
            state,
            conf.clone(),
            order.clone(),
        );
        let theirs = theirs.await?;
        let is_local = conf.object_store_url.as_str() == "file:///";
        let Some(state) = state.as_any().downcast_ref::<SessionState>().filter(|_| is_local) else {
            return Ok(theirs);
        };
        let sink = sink::FileWrite::new(
            Arc::clone(&self.0),
            state.clone(),
            conf,
            order.clone(),
            input.as_ref(),
        )?;
        Ok(Arc::new(DataSinkExec::new(input, Arc::new(sink), order)))
    }

    fn file_source(&self, table_schema: TableSchema) -> Arc<dyn FileSource> {
        self.0.file_source(table_schema)
    }
}
