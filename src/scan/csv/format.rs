//! CSV as a DataFusion file format: makes the source of a scan, and the sink of a `COPY` or `INSERT`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{GetExt, Statistics, internal_err, not_impl_err};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::{FileFormat, FileFormatFactory};
use datafusion::datasource::physical_plan::{FileScanConfig, FileSinkConfig, FileSource};
use datafusion::datasource::sink::DataSinkExec;
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::logical_expr::dml::InsertOp;
use datafusion::physical_expr::LexRequirement;
use datafusion::physical_plan::ExecutionPlan;
use object_store::{ObjectMeta, ObjectStore};

use super::dialect::Dialect;
use super::options::CsvOptions;
use super::source::CsvSource;
use crate::write::csv::{CsvSink, CsvWriteOptions};

/// CSV files of one dialect.
#[derive(Debug)]
pub(crate) struct CsvFormat {
    dialect: Arc<Dialect>,
    options: CsvOptions,
    /// How files are written by a `COPY`; `None`: so that they are read like those of the table.
    copied: Option<CsvWriteOptions>,
}

impl CsvFormat {
    /// A format for reading files of this dialect; rows inserted into them are written likewise.
    pub(crate) fn new(dialect: Dialect, options: CsvOptions) -> Self {
        CsvFormat { dialect: Arc::new(dialect), options, copied: None }
    }

    pub(crate) fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    pub(crate) fn options(&self) -> &CsvOptions {
        &self.options
    }
}

#[async_trait]
impl FileFormat for CsvFormat {
    fn get_ext(&self) -> String {
        "csv".to_string()
    }

    fn get_ext_with_compression(&self, compression: &FileCompressionType) -> Result<String> {
        Ok(format!("csv{}", compression.get_ext()))
    }

    fn compression_type(&self) -> Option<FileCompressionType> {
        Some(self.dialect.compression)
    }

    async fn infer_schema(
        &self,
        _state: &dyn Session,
        _store: &Arc<dyn ObjectStore>,
        _objects: &[ObjectMeta],
    ) -> Result<SchemaRef> {
        // They are found together with the dialect that makes the format.
        internal_err!("columns of CSV files are found when their table is opened")
    }

    async fn infer_stats(
        &self,
        _state: &dyn Session,
        _store: &Arc<dyn ObjectStore>,
        table_schema: SchemaRef,
        object: &ObjectMeta,
    ) -> Result<Statistics> {
        let mut statistics = Statistics::new_unknown(&table_schema);
        if self.dialect.mean_record_bytes > 0.0 && !self.dialect.compression.is_compressed() {
            let rows = object.size as f64 / self.dialect.mean_record_bytes;
            statistics.num_rows = Precision::Inexact(rows.round() as usize);
            statistics.total_byte_size = Precision::Inexact(object.size as usize);
        }
        Ok(statistics)
    }

    async fn create_physical_plan(
        &self,
        _state: &dyn Session,
        conf: FileScanConfig,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(DataSourceExec::from_data_source(conf))
    }

    async fn create_writer_physical_plan(
        &self,
        input: Arc<dyn ExecutionPlan>,
        _state: &dyn Session,
        conf: FileSinkConfig,
        order_requirements: Option<LexRequirement>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        if conf.insert_op != InsertOp::Append {
            return not_impl_err!("rows can only be added to CSV files, not replaced");
        }
        let options = match &self.copied {
            Some(options) => options.clone(),
            None => self.options.written.clone().like(&self.dialect)?,
        };
        let sink = CsvSink::try_new(conf, options)?;
        Ok(Arc::new(DataSinkExec::new(input, Arc::new(sink), order_requirements)))
    }

    fn file_source(&self, table_schema: TableSchema) -> Arc<dyn FileSource> {
        Arc::new(CsvSource::new(table_schema, Arc::clone(&self.dialect)))
    }
}

/// Makes the CSV format for `STORED AS CSV` and `COPY … TO`; `tsv` differs in its delimiter.
#[derive(Debug)]
pub(crate) struct CsvFormatFactory {
    extension: &'static str,
    delimiter: u8,
}

impl CsvFormatFactory {
    /// Comma-separated, extension `csv`.
    pub(crate) fn csv() -> Self {
        CsvFormatFactory { extension: "csv", delimiter: b',' }
    }

    /// Tab-separated, extension `tsv`.
    pub(crate) fn tsv() -> Self {
        CsvFormatFactory { extension: "tsv", delimiter: b'\t' }
    }
}

impl FileFormatFactory for CsvFormatFactory {
    fn create(
        &self,
        _state: &dyn Session,
        format_options: &HashMap<String, String>,
    ) -> Result<Arc<dyn FileFormat>> {
        let written = CsvWriteOptions::from_sql(format_options, self.delimiter)?;
        let dialect = Dialect {
            delimiter: written.style.delimiter,
            compression: written.compression,
            ..Default::default()
        };
        let options = CsvOptions::default();
        Ok(Arc::new(CsvFormat { dialect: Arc::new(dialect), options, copied: Some(written) }))
    }

    fn default(&self) -> Arc<dyn FileFormat> {
        let dialect = Dialect { delimiter: self.delimiter, ..Default::default() };
        Arc::new(CsvFormat::new(dialect, CsvOptions::default()))
    }
}

impl GetExt for CsvFormatFactory {
    fn get_ext(&self) -> String {
        self.extension.to_string()
    }
}
