//! CSV as a DataFusion file format: makes the source of a scan, and the sink of a `COPY`.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::stats::Precision;
use datafusion::common::{GetExt, Statistics};
use datafusion::datasource::file_format::csv::{
    CsvFormat as CsvSinkFormat, CsvFormatFactory as CsvSinkFactory,
};
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::{FileFormat, FileFormatFactory};
use datafusion::datasource::physical_plan::{FileScanConfig, FileSinkConfig, FileSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::Result;
use datafusion::physical_expr::LexRequirement;
use datafusion::physical_plan::ExecutionPlan;
use object_store::{ObjectMeta, ObjectStore};

use super::dialect::Dialect;
use super::options::CsvOptions;
use super::sniff::sniff_files;
use super::source::CsvSource;

/// CSV files of one dialect, and DataFusion's writer.
#[derive(Debug)]
pub(crate) struct CsvFormat {
    dialect: Arc<Dialect>,
    options: CsvOptions,
    sink: Arc<dyn FileFormat>,
}

impl CsvFormat {
    /// A format for reading files of this dialect; rows inserted into them are written likewise.
    pub(crate) fn new(dialect: Dialect, options: CsvOptions) -> Self {
        let sink = CsvSinkFormat::default()
            .with_delimiter(dialect.delimiter)
            .with_quote(dialect.quote.unwrap_or(b'"'))
            .with_escape(dialect.escape)
            .with_has_header(dialect.header)
            .with_file_compression_type(dialect.compression);
        CsvFormat { dialect: Arc::new(dialect), options, sink: Arc::new(sink) }
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
        store: &Arc<dyn ObjectStore>,
        objects: &[ObjectMeta],
    ) -> Result<SchemaRef> {
        let sniffed = sniff_files(store, objects, &self.options, self.dialect.compression).await?;
        Ok(sniffed.schema)
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
        state: &dyn Session,
        conf: FileSinkConfig,
        order_requirements: Option<LexRequirement>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.sink.create_writer_physical_plan(input, state, conf, order_requirements).await
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
        state: &dyn Session,
        format_options: &HashMap<String, String>,
    ) -> Result<Arc<dyn FileFormat>> {
        let options = CsvOptions::from_sql(format_options)?;
        // The writer takes DataFusion's names for its options.
        let mut sink_options: HashMap<String, String> = HashMap::new();
        for (key, value) in format_options {
            let name = key.to_lowercase();
            let name = name.strip_prefix("format.").unwrap_or(&name);
            let name = match name {
                "delim" | "sep" => "delimiter",
                "header" => "has_header",
                "nullstr" => "null_value",
                other => other,
            };
            sink_options.insert(format!("format.{name}"), value.clone());
        }
        sink_options
            .entry("format.delimiter".to_string())
            .or_insert_with(|| char::from(self.delimiter).to_string());
        let sink = CsvSinkFactory::new().create(state, &sink_options)?;
        let dialect = Dialect {
            delimiter: options.delimiter.unwrap_or(self.delimiter),
            compression: options.files.compression.unwrap_or(FileCompressionType::UNCOMPRESSED),
            ..Default::default()
        };
        Ok(Arc::new(CsvFormat { dialect: Arc::new(dialect), options, sink }))
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
