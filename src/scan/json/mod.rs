//! JSON files: one array of objects, or one object after another.
//!
//! ```text
//! here   ── how objects follow one another, and which columns they have
//! source ── objects → record batches
//! array  ── the elements of an array → objects that follow one another
//! ```
//!
//! An object may span lines. Columns are found however the lines are; only files with an object a
//! line are cut into parts.

mod array;
mod source;

use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::reader::infer_json_schema_from_iterator;
use async_trait::async_trait;
use bytes::{Buf, Bytes};
use datafusion::catalog::Session;
use datafusion::common::Statistics;
use datafusion::common::runtime::SpawnedTask;
use datafusion::datasource::file_format::FileFormat;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;
use datafusion::datasource::file_format::json::JsonFormat;
use datafusion::datasource::physical_plan::{FileScanConfig, FileSinkConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::physical_expr::LexRequirement;
use datafusion::physical_plan::ExecutionPlan;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::{GetResultPayload, ObjectMeta, ObjectStore};
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use source::JsonSource;
use tokio::runtime::Handle;

use super::store::FileStore;
use crate::error::Error;
use crate::scan::csv::BYTE_ORDER_MARK;

/// Objects, of all files together, from which columns and their types are taken.
const SAMPLED_OBJECTS: usize = 1000;
/// Files that are looked at to find whether objects span lines, and bytes at the front of each.
const SAMPLED_FILES: usize = 8;
const HEAD_BYTES: u64 = 64 << 10;
/// Bytes of other files, to find whether they are arrays.
const FIRST_BYTES: u64 = 4 << 10;

/// How the objects of a file follow one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Layout {
    /// In one array.
    Array,
    /// On a line each.
    Lines,
    /// In any other way.
    Objects,
}

/// JSON files of one layout; DataFusion writes them.
#[derive(Debug)]
pub(crate) struct JsonFiles {
    store: FileStore,
    format: JsonFormat,
    compression: FileCompressionType,
    layout: Layout,
}

impl JsonFiles {
    /// The format of these files. `array` is what the user says: whether they are arrays.
    ///
    /// # Errors
    /// `Io` if a file cannot be read; `Input` if some are arrays and others are not.
    pub(super) async fn open(
        store: &FileStore,
        objects: &[ObjectMeta],
        compression: FileCompressionType,
        array: Option<bool>,
    ) -> Result<Self> {
        let mut layouts: Vec<(String, Layout)> = Vec::new();
        let step = objects.len().div_ceil(SAMPLED_FILES).max(1);
        let filled = objects.iter().filter(|object| object.size > 0);
        for (place, object) in filled.enumerate() {
            let path = store.shown(&object.location);
            let count = if place % step == 0 { HEAD_BYTES } else { FIRST_BYTES };
            let read_head = move |reader: Text| {
                let mut head = Vec::new();
                reader.take(count).read_to_end(&mut head).map(|_| head)
            };
            let most = (!compression.is_compressed()).then_some(count);
            let head = read(store, object, compression, most, read_head).await?;
            let head = head.map_err(|err| Error::io("read", &path, err))?;
            let whole = (head.len() as u64) < count;
            let layout = match layout_of(&head, whole) {
                Layout::Objects if count == FIRST_BYTES && !whole => Layout::Lines,
                layout => layout,
            };
            layouts.push((path, layout));
        }
        let is_array = |layout: &Layout| *layout == Layout::Array;
        let array = array.unwrap_or(layouts.first().is_some_and(|(_, layout)| is_array(layout)));
        if let Some((path, _)) = layouts.iter().find(|(_, layout)| is_array(layout) != array) {
            let error = Error::input(match array {
                true => format!("\"{path}\" is not a JSON array, as was expected"),
                false => format!("\"{path}\" is a JSON array, which was not expected"),
            });
            let hint = "read files that are arrays, and files that have one object after another, \
                        one kind at a time";
            return Err(error.with_hint(hint).into());
        }
        let layout = match array {
            true => Layout::Array,
            false if layouts.iter().all(|(_, layout)| *layout == Layout::Lines) => Layout::Lines,
            false => Layout::Objects,
        };
        Ok(JsonFiles::new(store, compression, layout))
    }

    /// The format of files whose layout is known.
    pub(super) fn new(store: &FileStore, compression: FileCompressionType, layout: Layout) -> Self {
        let format = JsonFormat::default()
            .with_file_compression_type(compression)
            .with_newline_delimited(layout != Layout::Array);
        JsonFiles { store: store.clone(), format, compression, layout }
    }

    pub(super) fn compression(&self) -> FileCompressionType {
        self.compression
    }

    pub(super) fn layout(&self) -> Layout {
        self.layout
    }
}

/// A file's text without a byte order mark.
type Text = Box<dyn BufRead + Send>;

/// Gives a file's text to `take`, or no more than that of its first bytes.
async fn read<T: Send + 'static>(
    store: &FileStore,
    object: &ObjectMeta,
    compression: FileCompressionType,
    most_bytes: Option<u64>,
    take: impl FnOnce(Text) -> T + Send + 'static,
) -> Result<T> {
    let text = move |bytes| text_of(bytes, compression);
    let marked = most_bytes.map(|most| most + BYTE_ORDER_MARK.len() as u64);
    let range = marked.map(|most| 0..most.min(object.size));
    match store.get(object, range).await?.payload {
        GetResultPayload::File(file, _) => Ok(take(text(Box::new(file))?)),
        GetResultPayload::Stream(chunks) => {
            let bytes = Chunks { chunks, runtime: Handle::current(), chunk: Bytes::new() };
            let task = SpawnedTask::spawn_blocking(move || Ok(take(text(Box::new(bytes))?)));
            let lost = |err| DataFusionError::ExecutionJoin(Box::new(err));
            task.join_unwind().await.map_err(lost)?
        }
    }
}

/// The text of a file.
fn text_of(bytes: Box<dyn Read + Send>, compression: FileCompressionType) -> Result<Text> {
    let mut reader = BufReader::new(compression.convert_read(bytes)?);
    if reader.fill_buf()?.starts_with(BYTE_ORDER_MARK) {
        reader.consume(BYTE_ORDER_MARK.len());
    }
    Ok(Box::new(reader))
}

/// A stream of an object store for readers that block: they run on a thread of their own.
struct Chunks {
    chunks: BoxStream<'static, object_store::Result<Bytes>>,
    runtime: Handle,
    /// What is left of the last one.
    chunk: Bytes,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        while self.chunk.is_empty() {
            match self.runtime.block_on(self.chunks.next()) {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        let count = self.chunk.len().min(buffer.len());
        self.chunk.copy_to_slice(&mut buffer[..count]);
        Ok(count)
    }
}

/// The layout of a file that begins with these bytes, or that they are the `whole` of.
fn layout_of(head: &[u8], whole: bool) -> Layout {
    if head.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[') {
        return Layout::Array;
    }
    let lines = match memchr::memrchr(b'\n', head) {
        _ if whole => head,
        Some(last) => &head[..last],
        None => return Layout::Objects,
    };
    let is_object = |line: &[u8]| serde_json::from_slice::<IgnoredAny>(line).is_ok();
    let mut lines = lines.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    if lines.all(is_object) { Layout::Lines } else { Layout::Objects }
}

/// The first `limit` values of an array, or of values that follow one another.
fn first_values(
    reader: impl BufRead,
    layout: Layout,
    limit: usize,
) -> serde_json::Result<Vec<Value>> {
    let mut deserializer = serde_json::Deserializer::from_reader(reader);
    if layout != Layout::Array {
        return deserializer.into_iter().take(limit).collect();
    }
    let mut values = Vec::new();
    let visitor = Elements { values: &mut values, limit };
    let read = deserializer.deserialize_seq(visitor).and_then(|()| deserializer.end());
    match read {
        // There may be more of the array.
        Err(_) if values.len() == limit => Ok(values),
        read => read.map(|()| values),
    }
}

/// Takes the first elements of an array and leaves the others unread.
struct Elements<'a> {
    values: &'a mut Vec<Value>,
    limit: usize,
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> std::result::Result<(), A::Error> {
        while self.values.len() < self.limit
            && let Some(value) = elements.next_element()?
        {
            self.values.push(value);
        }
        Ok(())
    }
}

/// What is wrong with a file whose values are not all objects.
fn no_object(path: &str, place: usize, value: &Value) -> Error {
    const SHOWN_CHARS: usize = 60;
    let text = value.to_string();
    let mut shown: String = text.chars().take(SHOWN_CHARS).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    Error::input(format!("\"{path}\": value {place} is {shown}, but rows are JSON objects"))
}

#[async_trait]
impl FileFormat for JsonFiles {
    fn get_ext(&self) -> String {
        self.format.get_ext()
    }

    fn get_ext_with_compression(&self, compression: &FileCompressionType) -> Result<String> {
        self.format.get_ext_with_compression(compression)
    }

    fn compression_type(&self) -> Option<FileCompressionType> {
        self.format.compression_type()
    }

    async fn infer_schema(
        &self,
        _state: &dyn Session,
        _store: &Arc<dyn ObjectStore>,
        objects: &[ObjectMeta],
    ) -> Result<SchemaRef> {
        let mut all = Vec::new();
        for object in objects {
            let left = SAMPLED_OBJECTS - all.len();
            if left == 0 {
                break;
            }
            let path = self.store.shown(&object.location);
            let layout = self.layout;
            let first = move |reader: Text| first_values(reader, layout, left);
            let values = read(&self.store, object, self.compression, None, first).await?;
            let values = values.map_err(|err| match err.is_io() {
                true => Error::io("read", &path, err.into()),
                false => Error::input(format!("\"{path}\": not valid JSON: {err}")),
            })?;
            if let Some(place) = values.iter().position(|value| !value.is_object()) {
                return Err(no_object(&path, place + 1, &values[place]).into());
            }
            all.extend(values);
        }
        let schema = infer_json_schema_from_iterator(all.iter().map(Ok::<_, ArrowError>))?;
        Ok(Arc::new(schema))
    }

    async fn infer_stats(
        &self,
        state: &dyn Session,
        store: &Arc<dyn ObjectStore>,
        table_schema: SchemaRef,
        object: &ObjectMeta,
    ) -> Result<Statistics> {
        self.format.infer_stats(state, store, table_schema, object).await
    }

    async fn create_physical_plan(
        &self,
        state: &dyn Session,
        conf: FileScanConfig,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.format.create_physical_plan(state, conf).await
    }

    async fn create_writer_physical_plan(
        &self,
        input: Arc<dyn ExecutionPlan>,
        state: &dyn Session,
        conf: FileSinkConfig,
        order_requirements: Option<LexRequirement>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.format.create_writer_physical_plan(input, state, conf, order_requirements).await
    }

    fn file_source(&self, table_schema: TableSchema) -> Arc<dyn FileSource> {
        Arc::new(JsonSource::new(table_schema, self.store.clone(), self.layout, self.compression))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;

    use super::*;
    use crate::session::{Session, SessionOptions};

    #[test]
    fn layouts() {
        for (text, layout) in [
            ("{\"a\": 1}\n\n{\"a\": 2}\r\n", Layout::Lines),
            ("{\"a\": 1}", Layout::Lines),
            ("{\"a\": 1} {\"a\": 2}\n", Layout::Objects),
            ("{\n\"a\": {\"b\": 1}\n}\n", Layout::Objects),
            (" \n[\n{\"a\": 1}\n]\n", Layout::Array),
            ("", Layout::Lines),
        ] {
            assert_eq!(layout_of(text.as_bytes(), true), layout, "{text:?}");
        }
        // The last line is cut.
        assert_eq!(layout_of(b"{\"a\": 1}\n{\"a\"", false), Layout::Lines);
        assert_eq!(layout_of(b"{\"a\": 1", false), Layout::Objects);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn large_files_are_not_cut_within_objects() {
        const OBJECTS: i64 = 100_000;
        let blanks = " ".repeat(88);
        let object = |id: i64| format!("{{\"id\": {id},\n\"in\":\n{{\"id\": -1}}\n{blanks}\n}}");
        let objects: Vec<String> = (0..OBJECTS).map(object).collect();
        let array = format!("[\n{}\n]\n", objects.join(",\n"));
        let folder = tempfile::tempdir().unwrap();
        let session = Session::new(SessionOptions::new().threads(4)).unwrap();
        for (name, text) in [("objects.json", objects.join("\n")), ("array.json", array)] {
            // DataFusion cuts files from 10 MiB on.
            assert!(text.len() > 10 << 20);
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            let sql = format!("SELECT count(*), sum(id) FROM '{}'", path.display());
            let batches = session.sql(&sql).await.unwrap().collect().await.unwrap();
            let number = |column| batches[0].column(column).as_primitive::<Int64Type>().value(0);
            assert_eq!((number(0), number(1)), (OBJECTS, OBJECTS * (OBJECTS - 1) / 2), "{name}");
        }
    }

    #[test]
    fn first_values_of_arrays_and_objects() {
        let values = |text: &str, layout, limit| {
            first_values(text.as_bytes(), layout, limit).map(|values| values.len())
        };
        let array = "[\n{\"a\":\n1},\n{\"a\": 2}\n]\n";
        let objects = "{\"a\":\n1}{\"a\": 2}\n";
        for (limit, expected) in [(1, 1), (2, 2), (9, 2)] {
            assert_eq!(values(array, Layout::Array, limit).unwrap(), expected);
            assert_eq!(values(objects, Layout::Objects, limit).unwrap(), expected);
        }
        assert_eq!(values("[]", Layout::Array, 9).unwrap(), 0);
        assert_eq!(values("", Layout::Lines, 9).unwrap(), 0);
        assert!(values("[{}] [{}]", Layout::Array, 9).is_err());
        assert!(values("[{\"a\": 1},", Layout::Array, 9).is_err());
        assert!(values("{\"a\"", Layout::Objects, 9).is_err());
    }
}
