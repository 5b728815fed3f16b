//! Objects → record batches, by arrow's reader.
//!
//! That reader takes `1.5` for an integer and cuts it. So whole numbers are read as texts here, and
//! become integers where they are some: a value is what is in the file, or an error.

use std::fs::File;
use std::io::ErrorKind::InvalidData;
use std::io::{Read, Seek};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, StringViewArray, make_array};
use arrow::compute::kernels::cast_utils::Parser;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Field, FieldRef, Int8Type, Int16Type, Int32Type, Int64Type,
    Schema, SchemaRef, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use bytes::Buf;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonDecoder;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{
    FileOpenFuture, FileOpener, FileScanConfig, FileSource,
};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{PhysicalExpr, apply_expression_roots};
use datafusion_datasource::boundary_stream::AlignedBoundaryStream;
use datafusion_datasource::decoder::{DecoderDeserializer, deserialize_stream};
use datafusion_datasource::projection::{ProjectionOpener, SplitProjection};
use futures::{StreamExt, TryStreamExt, stream};
use object_store::{GetResultPayload, ObjectMeta, ObjectStore};

use super::array::Elements;
use super::{Layout, text_of};
use crate::error::Error;
use crate::scan::csv::BYTE_ORDER_MARK;
use crate::scan::store::FileStore;
use crate::scan::types::type_name;
use crate::spill::RawFile;

/// The files of a JSON table, and the wanted columns.
#[derive(Debug, Clone)]
pub(super) struct JsonSource {
    store: FileStore,
    layout: Layout,
    compression: FileCompressionType,
    table_schema: TableSchema,
    projection: SplitProjection,
    batch_size: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl JsonSource {
    pub(super) fn new(
        table_schema: TableSchema,
        store: FileStore,
        layout: Layout,
        compression: FileCompressionType,
    ) -> Self {
        JsonSource {
            store,
            layout,
            compression,
            projection: SplitProjection::unprojected(&table_schema),
            table_schema,
            batch_size: 8192,
            metrics: ExecutionPlanMetricsSet::new(),
        }
    }
}

impl FileSource for JsonSource {
    fn create_file_opener(
        &self,
        objects: Arc<dyn ObjectStore>,
        _config: &FileScanConfig,
        _partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let file_schema = self.table_schema.file_schema();
        let schema = Arc::new(file_schema.project(&self.projection.file_indices)?);
        let opener = JsonOpener {
            objects,
            store: self.store.clone(),
            layout: self.layout,
            compression: self.compression,
            reading: Arc::new(Schema::new(schema.fields().iter().map(as_read).collect::<Vec<_>>())),
            schema,
            batch_size: self.batch_size,
        };
        ProjectionOpener::try_new(self.projection.clone(), Arc::new(opener), file_schema)
    }

    fn table_schema(&self) -> &TableSchema {
        &self.table_schema
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        Arc::new(JsonSource { batch_size, ..self.clone() })
    }

    fn try_pushdown_projection(
        &self,
        projection: &ProjectionExprs,
    ) -> Result<Option<Arc<dyn FileSource>>> {
        let merged = self.projection.source.try_merge(projection)?;
        let projection = SplitProjection::new(self.table_schema.file_schema(), &merged);
        Ok(Some(Arc::new(JsonSource { projection, ..self.clone() })))
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        Some(&self.projection.source)
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        &self.metrics
    }

    fn file_type(&self) -> &str {
        "json"
    }

    fn supports_repartitioning(&self) -> bool {
        self.layout == Layout::Lines
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        apply_expression_roots(self.projection.source.iter(), f)
    }
}

/// Opens files, or parts of files of an object a line.
struct JsonOpener {
    objects: Arc<dyn ObjectStore>,
    store: FileStore,
    layout: Layout,
    compression: FileCompressionType,
    /// Columns as they are read, and as they are to be.
    reading: SchemaRef,
    schema: SchemaRef,
    batch_size: usize,
}

impl FileOpener for JsonOpener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let (objects, store) = (Arc::clone(&self.objects), self.store.clone());
        let (layout, compression) = (self.layout, self.compression);
        let schema = Arc::clone(&self.schema);
        // A number where there are texts is the text that it is written as.
        let builder = ReaderBuilder::new(Arc::clone(&self.reading))
            .with_batch_size(self.batch_size)
            .with_coerce_primitive(true);
        Ok(Box::pin(async move {
            let object = &file.object_meta;
            let path = store.shown(&object.location);
            let batches = match &file.range {
                Some(range) => {
                    let (start, end) = (range.start.max(0) as u64, range.end.max(0) as u64);
                    let (location, size) = (object.location.clone(), object.size);
                    let lines =
                        AlignedBoundaryStream::new(objects, location, start, end, size, b'\n');
                    let mut at_start = start == 0;
                    let lines = lines.await?.map_err(DataFusionError::from);
                    let lines = lines.map_ok(move |mut bytes| {
                        if std::mem::take(&mut at_start) && bytes.starts_with(BYTE_ORDER_MARK) {
                            bytes.advance(BYTE_ORDER_MARK.len());
                        }
                        bytes
                    });
                    let lines = lines.boxed().fuse();
                    let decoder = JsonDecoder::new(builder.build_decoder()?);
                    deserialize_stream(lines, DecoderDeserializer::new(decoder))
                }
                None => {
                    let text = text_of(opened(&store, object).await?, compression)?;
                    match layout {
                        Layout::Array => stream::iter(builder.build(Elements::new(text))?).boxed(),
                        Layout::Lines | Layout::Objects => {
                            stream::iter(builder.build(text)?).boxed()
                        }
                    }
                }
            };
            let batches = batches.map(move |batch| {
                let batch = batch.map_err(|err| unreadable(&path, err))?;
                Ok(with_integers(&batch, &schema, &path)?)
            });
            Ok(batches.boxed())
        }))
    }
}

/// A file from front to end. One that is elsewhere is copied first: the reader cannot wait for it.
async fn opened(store: &FileStore, object: &ObjectMeta) -> Result<Box<dyn Read + Send>> {
    if store.is_local()
        && let GetResultPayload::File(file, _) = store.get(object, None).await?.payload
    {
        return Ok(Box::new(file));
    }
    let copy = store.download(object).await?;
    let mut file = copy.reader()?;
    file.rewind()?;
    Ok(Box::new(Copied { file, _copy: copy }))
}

/// A copy of a file, which is removed when it was read.
struct Copied {
    file: File,
    _copy: RawFile,
}

impl Read for Copied {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.file.read(buffer)
    }
}

/// A file that is no JSON is the user's to mend.
fn unreadable(path: &str, err: ArrowError) -> DataFusionError {
    match err {
        ArrowError::JsonError(why) => Error::input(format!("\"{path}\": {why}")).into(),
        ArrowError::IoError(_, err) if err.kind() == InvalidData => {
            Error::input(format!("\"{path}\": {err}")).into()
        }
        ArrowError::IoError(_, err) => Error::io("read", path, err).into(),
        err => err.into(),
    }
}

/// A field as it is read: texts where integers are wanted.
fn as_read(field: &FieldRef) -> FieldRef {
    let data_type = match field.data_type() {
        integer if integer.is_integer() => DataType::Utf8View,
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(as_read).collect()),
        DataType::List(item) => DataType::List(as_read(item)),
        DataType::LargeList(item) => DataType::LargeList(as_read(item)),
        DataType::FixedSizeList(item, length) => DataType::FixedSizeList(as_read(item), *length),
        DataType::Map(entries, sorted) => DataType::Map(as_read(entries), *sorted),
        _ => return Arc::clone(field),
    };
    Arc::new(Field::clone(field).with_data_type(data_type))
}

/// The batch that was read, as one of this schema.
fn with_integers(
    batch: &RecordBatch,
    schema: &SchemaRef,
    path: &str,
) -> crate::Result<RecordBatch> {
    let columns = batch.columns().iter().zip(schema.fields()).map(|(array, field)| {
        converted(array, field.data_type()).map_err(|value| {
            let (name, is) = (field.name(), type_name(field.data_type()));
            let what = format!("\"{path}\": column \"{name}\" is {is}, but has the value {value}");
            Error::input(what).with_hint(
                "with columns, read_json takes the types of all columns: DOUBLE keeps fractions",
            )
        })
    });
    let columns = columns.collect::<crate::Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// An array with the integers that its texts are.
///
/// # Errors
/// The first text that is none of the type.
fn converted(array: &ArrayRef, to: &DataType) -> std::result::Result<ArrayRef, String> {
    fn integers<T: ArrowPrimitiveType + Parser>(
        texts: &StringViewArray,
    ) -> std::result::Result<ArrayRef, String> {
        let values = texts.iter().map(|text| {
            text.map(|text| T::parse(whole(text)).ok_or_else(|| text.to_string())).transpose()
        });
        Ok(Arc::new(values.collect::<std::result::Result<PrimitiveArray<T>, String>>()?))
    }
    if array.data_type() == to {
        return Ok(Arc::clone(array));
    }
    if to.is_integer() {
        let texts = array.as_string_view();
        return match to {
            DataType::Int8 => integers::<Int8Type>(texts),
            DataType::Int16 => integers::<Int16Type>(texts),
            DataType::Int32 => integers::<Int32Type>(texts),
            DataType::Int64 => integers::<Int64Type>(texts),
            DataType::UInt8 => integers::<UInt8Type>(texts),
            DataType::UInt16 => integers::<UInt16Type>(texts),
            DataType::UInt32 => integers::<UInt32Type>(texts),
            _ => integers::<UInt64Type>(texts),
        };
    }
    let types: Vec<&DataType> = match to {
        DataType::Struct(fields) => fields.iter().map(|field| field.data_type()).collect(),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::FixedSizeList(item, _)
        | DataType::Map(item, _) => vec![item.data_type()],
        _ => Vec::new(),
    };
    let data = array.to_data();
    let mut children = Vec::with_capacity(types.len());
    for (child, data_type) in data.child_data().iter().zip(types) {
        children.push(converted(&make_array(child.clone()), data_type)?.to_data());
    }
    let data = data.into_builder().data_type(to.clone()).child_data(children).build();
    Ok(make_array(data.expect("the same lengths and NULLs")))
}

/// `5.0` without its fraction of zeros.
fn whole(text: &str) -> &str {
    match text.split_once('.') {
        Some((whole, zeros)) if !zeros.is_empty() && zeros.bytes().all(|byte| byte == b'0') => {
            whole
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use arrow::util::display::array_value_to_string;

    use super::*;

    fn read_as(text: &str, data_type: DataType) -> crate::Result<Vec<String>> {
        let schema = Arc::new(Schema::new(vec![Field::new("v", data_type, true)]));
        let reading: Vec<FieldRef> = schema.fields().iter().map(as_read).collect();
        let reader = ReaderBuilder::new(Arc::new(Schema::new(reading)))
            .with_coerce_primitive(true)
            .build(text.as_bytes())?;
        let mut shown = Vec::new();
        for batch in reader {
            let batch = with_integers(&batch?, &schema, "t.json")?;
            assert_eq!(batch.schema(), schema);
            let texts =
                (0..batch.num_rows()).map(|row| array_value_to_string(batch.column(0), row));
            shown.extend(texts.collect::<std::result::Result<Vec<_>, _>>()?);
        }
        Ok(shown)
    }

    #[test]
    fn integers_are_those_of_the_file() {
        let list = |item: &FieldRef| DataType::List(Arc::clone(item));
        let item: FieldRef = Arc::new(Field::new("item", DataType::Int64, true));
        let pair = DataType::Struct(vec![Field::new("a", DataType::Int32, true)].into());
        for (text, data_type, expected) in [
            ("{\"v\":-7}{}{\"v\":5.0}{\"v\":\"8\"}", DataType::Int64, &["-7", "", "5", "8"][..]),
            ("{\"v\":18446744073709551615}", DataType::UInt64, &["18446744073709551615"]),
            ("{\"v\":[1,null]}{\"v\":[]}{}", list(&item), &["[1, ]", "[]", ""]),
            ("{\"v\":{\"a\":1}}{\"v\":{}}{}", pair.clone(), &["{a: 1}", "{a: }", ""]),
        ] {
            assert_eq!(read_as(text, data_type).unwrap(), expected, "{text}");
        }
        for (text, data_type, value) in [
            ("{\"v\":1}{\"v\":1.5}", DataType::Int64, "1.5"),
            ("{\"v\":4503599627370497.25}", DataType::Int64, "4503599627370497.25"),
            ("{\"v\":9223372036854775808}", DataType::Int64, "9223372036854775808"),
            ("{\"v\":-1}", DataType::UInt8, "-1"),
            ("{\"v\":[1,2.5]}", list(&item), "2.5"),
            ("{\"v\":{\"a\":0.1}}", pair, "0.1"),
        ] {
            let error = read_as(text, data_type).unwrap_err().to_string();
            assert!(error.ends_with(&format!("has the value {value}")), "{text}: {error}");
        }
    }
}
