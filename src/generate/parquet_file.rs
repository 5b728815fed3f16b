//! Parquet files whose row groups are encoded in parallel.
//!
//! Encoding and compressing take most of the time, and a row group can be encoded without the
//! others. So each thread turns a whole batch into the bytes of a row group, and the file merely
//! receives them in order. The result depends on how rows are divided into batches, which is
//! fixed, and not on the threads.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory, compute_leaves};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use crate::error::{Error, Result};
use crate::generate::aside::Aside;

/// A Parquet file being written.
pub(super) struct ParquetFile<'a> {
    writer: SerializedFileWriter<&'a mut Aside>,
    encoder: Arc<Encoder>,
}

/// Turns batches into row groups; shared by the threads.
pub(super) struct Encoder {
    factory: ArrowRowGroupWriterFactory,
    schema: SchemaRef,
    path: std::path::PathBuf,
}

/// The bytes of one row group.
pub(super) struct Encoded {
    columns: Vec<ArrowColumnChunk>,
    row_count: u64,
}

impl<'a> ParquetFile<'a> {
    /// Begins a file with the given columns, compressed with zstd at its fastest level: half the
    /// size of snappy's result at nearly the same speed of reading.
    ///
    /// # Errors
    ///
    /// An I/O error when the file cannot be written.
    pub(super) fn create(file: &'a mut Aside, schema: SchemaRef) -> Result<ParquetFile<'a>> {
        let path = file.target().to_path_buf();
        let level = ZstdLevel::try_new(1).map_err(|err| write_error(&path, err))?;
        let properties =
            WriterProperties::builder().set_compression(Compression::ZSTD(level)).build();
        let (writer, factory) = ArrowWriter::try_new(file, schema.clone(), Some(properties))
            .and_then(ArrowWriter::into_serialized_writer)
            .map_err(|err| write_error(&path, err))?;
        Ok(ParquetFile { writer, encoder: Arc::new(Encoder { factory, schema, path }) })
    }

    /// What encodes the batches of this file.
    pub(super) fn encoder(&self) -> Arc<Encoder> {
        self.encoder.clone()
    }

    /// Appends a row group and returns its number of rows.
    ///
    /// # Errors
    ///
    /// An I/O error when the file cannot be written.
    pub(super) fn append(&mut self, group: Encoded) -> Result<u64> {
        let append = || {
            let mut writer = self.writer.next_row_group()?;
            for column in group.columns {
                column.append_to_row_group(&mut writer)?;
            }
            writer.close()
        };
        append().map_err(|err| write_error(&self.encoder.path, err))?;
        Ok(group.row_count)
    }

    /// Writes the footer.
    ///
    /// # Errors
    ///
    /// An I/O error when the file cannot be written.
    pub(super) fn finish(self) -> Result<()> {
        self.writer.close().map_err(|err| write_error(&self.encoder.path, err))?;
        Ok(())
    }
}

impl Encoder {
    /// Encodes a batch as one row group.
    ///
    /// # Errors
    ///
    /// An internal error when the batch does not have the file's columns.
    pub(super) fn encode(&self, batch: &RecordBatch) -> Result<Encoded> {
        let encode = || {
            // The number of the row group matters to encryption only.
            let mut writers = self.factory.create_column_writers(0)?.into_iter();
            let mut columns = Vec::with_capacity(batch.num_columns());
            for (field, array) in self.schema.fields().iter().zip(batch.columns()) {
                for leaf in compute_leaves(field, array)? {
                    let mut writer = writers
                        .next()
                        .ok_or_else(|| ParquetError::General("more leaves than writers".into()))?;
                    writer.write(&leaf)?;
                    columns.push(writer.close()?);
                }
            }
            Ok(columns)
        };
        let columns = encode().map_err(|err| write_error(&self.path, err))?;
        Ok(Encoded { columns, row_count: batch.num_rows() as u64 })
    }
}

/// An error of the operating system inside `err`, told with its file; any other is a defect, as
/// the data are our own.
fn write_error(path: &std::path::Path, err: ParquetError) -> Error {
    let inner = match err {
        ParquetError::External(inner) => inner,
        other => return Error::internal(format!("could not encode Parquet: {other}")),
    };
    match inner.downcast::<std::io::Error>() {
        Ok(io) => Error::io("write", path, *io),
        Err(other) => Error::internal(format!("could not encode Parquet: {other}")),
    }
}
