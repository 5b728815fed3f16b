//! Parquet and Arrow IPC files. Both want distinct column names; an Arrow file also wants one
//! dictionary for the whole file, so dictionaries are resolved there.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::CompressionType;
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

use super::ResultWriter;
use super::types::unique_names;
use crate::error::{Error, Result};

/// A row group of a Parquet file has at most this many rows.
const ROW_GROUP_ROWS: usize = 128 * 1024;

/// A row group is closed early when its encoded pages, held in memory, have this many bytes.
const ROW_GROUP_BYTES: usize = 64 * 1024 * 1024;

/// Higher levels take much longer for little.
const ZSTD_LEVEL: i32 = 1;

type Sink<'a> = Box<dyn Write + Send + 'a>;

/// Writes a Parquet file.
pub(super) struct ParquetWriter<'a> {
    schema: SchemaRef,
    writer: parquet::arrow::ArrowWriter<Sink<'a>>,
}

impl<'a> ParquetWriter<'a> {
    pub(super) fn try_new(schema: &Schema, sink: Sink<'a>) -> Result<Self> {
        let schema = file_schema(schema, DataType::clone);
        let level = ZstdLevel::try_new(ZSTD_LEVEL).map_err(parquet_error)?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(level))
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .build();
        let schema_given = SchemaRef::clone(&schema);
        let writer = parquet::arrow::ArrowWriter::try_new(sink, schema_given, Some(properties))
            .map_err(parquet_error)?;
        Ok(ParquetWriter { schema, writer })
    }
}

impl ResultWriter for ParquetWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let batch = conform(batch, &self.schema)?;
        self.writer.write(&batch).map_err(parquet_error)?;
        if self.writer.in_progress_size() > ROW_GROUP_BYTES {
            self.writer.flush().map_err(parquet_error)?;
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.writer.finish().map_err(parquet_error)?;
        Ok(self.writer.inner_mut().flush()?)
    }
}

/// Writes an Arrow IPC file.
pub(super) struct ArrowWriter<'a> {
    schema: SchemaRef,
    writer: FileWriter<Sink<'a>>,
}

impl<'a> ArrowWriter<'a> {
    pub(super) fn try_new(schema: &Schema, sink: Sink<'a>) -> Result<Self> {
        let schema = file_schema(schema, without_dictionaries);
        let options = IpcWriteOptions::default()
            .try_with_compression(Some(CompressionType::LZ4_FRAME))
            .map_err(arrow_error)?;
        let writer =
            FileWriter::try_new_with_options(sink, &schema, options).map_err(arrow_error)?;
        Ok(ArrowWriter { schema, writer })
    }
}

impl ResultWriter for ArrowWriter<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = conform(batch, &self.schema)?;
        self.writer.write(&batch).map_err(arrow_error)
    }

    fn finish(&mut self) -> Result<()> {
        self.writer.finish().map_err(arrow_error)?;
        Ok(self.writer.get_mut().flush()?)
    }
}

/// The schema of the file: distinct names, and types that the format can hold.
fn file_schema(schema: &Schema, file_type: impl Fn(&DataType) -> DataType) -> SchemaRef {
    let names = unique_names(schema);
    let fields = schema.fields().iter().zip(names).map(|(field, name)| {
        let data_type = file_type(field.data_type());
        field.as_ref().clone().with_name(name).with_data_type(data_type)
    });
    let fields: Vec<Field> = fields.collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

/// The type with every dictionary replaced by what it encodes.
fn without_dictionaries(data_type: &DataType) -> DataType {
    let plain = |field: &FieldRef| -> FieldRef {
        let data_type = without_dictionaries(field.data_type());
        Arc::new(field.as_ref().clone().with_data_type(data_type))
    };
    match data_type {
        DataType::Dictionary(_, values) => without_dictionaries(values),
        DataType::List(field) => DataType::List(plain(field)),
        DataType::LargeList(field) => DataType::LargeList(plain(field)),
        DataType::FixedSizeList(field, size) => DataType::FixedSizeList(plain(field), *size),
        DataType::Map(field, sorted) => DataType::Map(plain(field), *sorted),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(plain).collect()),
        other => other.clone(),
    }
}

/// The batch with the schema of the file.
fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(column, field)| {
        let column = if column.data_type() == field.data_type() {
            ArrayRef::clone(column)
        } else {
            cast(column, field.data_type())?
        };
        Ok(compacted(column))
    });
    let columns = columns.collect::<Result<Vec<ArrayRef>, ArrowError>>()?;
    // Without columns, the number of rows is all there is.
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let schema = SchemaRef::clone(schema);
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

/// Views of a few values can hold on to large buffers, which would be written whole.
fn compacted(column: ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        _ => column,
    }
}

/// An error of the Parquet library while writing: our sink's own error if it is one.
fn parquet_error(err: ParquetError) -> Error {
    match err {
        ParquetError::External(_) => Error::from(err),
        other => unwritable("Parquet", &other.to_string()),
    }
}

/// An error of the Arrow library while writing: our sink's own error if it is one.
fn arrow_error(err: ArrowError) -> Error {
    match err {
        ArrowError::ExternalError(_) | ArrowError::IoError(_, _) => Error::from(err),
        other => unwritable("Arrow", &other.to_string()),
    }
}

fn unwritable(format: &str, message: &str) -> Error {
    Error::query(format!("the result cannot be written as {format}: {message}"))
        .with_hint("CAST the column to VARCHAR")
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor};

    use arrow::array::{DictionaryArray, Int32Array, IntervalMonthDayNanoArray};
    use arrow::datatypes::{Int8Type, IntervalMonthDayNano};
    use arrow::ipc::reader::FileReader;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use super::super::test_support::{awkward, counted, written};
    use super::super::{Format, Style, result_writer};
    use super::*;

    fn read_arrow(bytes: Vec<u8>) -> Vec<RecordBatch> {
        let reader = FileReader::try_new(Cursor::new(bytes), None).unwrap();
        reader.map(Result::unwrap).collect()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let style = Style::default();
        assert_eq!(read_arrow(written(Format::Arrow, &[awkward()], &style)), [awkward()]);
        let bytes = written(Format::Parquet, &[awkward(), awkward()], &style);
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
        let batches: Vec<RecordBatch> = reader.build().unwrap().map(Result::unwrap).collect();
        assert_eq!(batches[0].slice(0, 3), awkward());
        assert_eq!(batches[0].slice(3, 3), awkward());
    }

    #[test]
    fn row_groups_are_bounded() {
        let bytes = written(
            Format::Parquet,
            &[counted(0, 100_000), counted(0, 100_000)],
            &Style::default(),
        );
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
        let rows: Vec<i64> =
            reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
        assert_eq!(rows, [131_072, 68_928]);
    }

    #[test]
    fn equal_names_and_changing_dictionaries_are_no_trouble() {
        let field = |data_type: &DataType| Field::new("a", data_type.clone(), true);
        let dictionary: DictionaryArray<Int8Type> = ["x", "y"].into_iter().collect();
        let other: DictionaryArray<Int8Type> = ["z", "y"].into_iter().collect();
        let fields = vec![field(&DataType::Int32), field(dictionary.data_type())];
        let schema = Arc::new(Schema::new(fields));
        let batch = |texts: DictionaryArray<Int8Type>| {
            let numbers: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
            RecordBatch::try_new(Arc::clone(&schema), vec![numbers, Arc::new(texts)]).unwrap()
        };
        let batches = [batch(dictionary), batch(other)];
        let read = read_arrow(written(Format::Arrow, &batches, &Style::default()));
        assert_eq!(read[1].schema().field(1).name(), "a_1");
        assert_eq!(read[1].column(1).as_string::<i32>().value(0), "z");
        assert!(!written(Format::Parquet, &batches, &Style::default()).is_empty());
    }

    #[test]
    fn empty_results_are_files() {
        let empty = [counted(0, 0)];
        let bytes = written(Format::Parquet, &empty, &Style::default());
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes)).unwrap();
        assert_eq!(reader.metadata().file_metadata().num_rows(), 0);
        assert!(read_arrow(written(Format::Arrow, &empty, &Style::default())).is_empty());
    }

    #[test]
    fn a_type_without_a_form_is_named_before_anything_is_written() {
        let interval = IntervalMonthDayNanoArray::from(vec![IntervalMonthDayNano::new(1, 2, 3)]);
        let batch = RecordBatch::try_from_iter([("i", Arc::new(interval) as ArrayRef)]).unwrap();
        let style = Style::default();
        let sink = Box::new(io::sink());
        let outcome = result_writer(Format::Parquet, batch.schema(), sink, &style)
            .and_then(|mut writer| writer.write(&batch));
        let message = outcome.unwrap_err().to_string();
        assert!(message.starts_with("the result cannot be written as Parquet"), "{message}");
    }
}
