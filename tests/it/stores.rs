//! Files of object stores, read by URL: the same rows as those of the same files on disk.

use std::fmt;
use std::fs;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use brimful::{ErrorKind, Knobs, Session};
use bytes::Bytes;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::support::{Place, assert_no_files, files_below, rows, run_all, session, session_with};

/// So small that every file of more than a few rows is read in many pieces.
const PIECE_BYTES: usize = 512;

fn small_pieces() -> Knobs {
    Knobs { csv_piece_bytes: Some(PIECE_BYTES), ..Knobs::default() }
}

fn register(session: &Session, url: &str, store: &Arc<impl ObjectStore>) {
    session.register_object_store(&url.parse().unwrap(), Arc::clone(store) as _);
}

/// A store with the files of a place, by their paths in it.
async fn store_of(place: &Place) -> Arc<InMemory> {
    let store = InMemory::new();
    for path in files_below(&place.path("")) {
        let key = path.strip_prefix(place.path("")).unwrap().to_str().unwrap();
        store.put(&Path::parse(key).unwrap(), fs::read(&path).unwrap().into()).await.unwrap();
    }
    Arc::new(store)
}

/// Files of all formats and compressions, in folders with columns and without.
async fn write_files(session: &Session, place: &Place) {
    let rows = "SELECT value AS id, 'word ' || value || CASE WHEN value % 50 = 0 THEN '\n\"a\",b' \
                ELSE '' END AS word, value / 4.0 AS price FROM generate_series(1, 3000)";
    let parts = "SELECT value AS n, 2019 + value % 2 AS year, CASE WHEN value % 3 = 0 THEN NULL \
                 ELSE 'a/b ' || (value % 3) END AS kind FROM generate_series(1, 40)";
    let base = place.path("").display().to_string();
    let base = base.trim_end_matches('/');
    for name in ["csv", "csv.gz", "csv.zst", "csv.bz2", "csv.xz", "tsv", "json", "json.gz"] {
        run_all(session, &format!("COPY ({rows}) TO '{base}/plain/rows.{name}'")).await.unwrap();
    }
    for name in ["parquet", "arrow"] {
        run_all(session, &format!("COPY ({rows}) TO '{base}/plain/rows.{name}'")).await.unwrap();
    }
    for kind in ["CSV", "PARQUET", "JSON", "ARROW"] {
        let sql = format!(
            "COPY ({parts}) TO '{base}/parts_{kind}/' STORED AS {kind} PARTITIONED BY (year, kind)"
        );
        run_all(session, &sql).await.unwrap();
    }
    for folder in ["several", "several/deeper", "several/_hidden"] {
        fs::create_dir_all(place.path(folder)).unwrap();
    }
    place.write("several/a.csv", "id,word\n1,x\n2,y\n");
    place.write("several/b.csv", "word,day\nz,2020-02-29\n");
    place.write("several/_c.csv", "id,word\n8,hidden\n");
    place.write("several/_hidden/d.csv", "id,word\n9,hidden\n");
    place.write("several/deeper/e.csv", "id,word\n3,w\n");
    let utf16: Vec<u8> = "id,t\r\n1,größe\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    place.write("utf16.csv", utf16);
    place.write("array.json", "[\n{\"a\": 1,\n \"b\": \"x\"},\n{\"a\": 2, \"b\": null}]\n");
    place.write("spread.json", "{\"a\":\n1}\n{\"a\":\n2.5}\n");
    place.write("100%25.csv", "a\n1\n");
}

/// Queries over files below `@`.
const QUERIES: &[&str] = &[
    "SELECT * FROM '@/plain/rows.csv'",
    "SELECT count(*), sum(id), min(word), max(price) FROM '@/plain/rows.csv' WHERE id % 7 = 0",
    "SELECT * FROM '@/plain/rows.tsv'",
    "SELECT * FROM '@/plain/rows.csv.gz'",
    "SELECT * FROM '@/plain/rows.csv.zst'",
    "SELECT * FROM '@/plain/rows.csv.bz2'",
    "SELECT * FROM '@/plain/rows.csv.xz'",
    "SELECT * FROM '@/plain/rows.json'",
    "SELECT * FROM '@/plain/rows.json.gz'",
    "SELECT * FROM '@/plain/rows.parquet'",
    "SELECT * FROM '@/plain/rows.arrow'",
    "SELECT * FROM '@/parts_CSV/'",
    "SELECT * FROM '@/parts_PARQUET'",
    "SELECT * FROM '@/parts_JSON/' WHERE year = '2019'",
    "SELECT * FROM '@/parts_ARROW/' WHERE kind IS NULL",
    "SELECT * FROM '@/parts_CSV/year=2019/kind=a%2Fb 1/*.csv'",
    "SELECT * FROM read_csv('@/parts_CSV/*/*/*.csv', hive_partitioning = true)",
    "SELECT * FROM read_csv('@/parts_CSV/**/*.csv', hive_partitioning = true, filename = true)",
    "SELECT * FROM read_parquet('@/parts_PARQUET/year=20[12]9/*/??*.parquet', filename = 'f')",
    "SELECT * FROM read_csv('@/several/', union_by_name = true, filename = true)",
    "SELECT * FROM read_csv(['@/several/b.csv', '@/several/a.csv'], union_by_name = true)",
    "SELECT * FROM '@/several/deeper/'",
    "SELECT * FROM read_csv('@/several/*.csv', union_by_name = true)",
    "SELECT * FROM '@/several/_c.csv'",
    "SELECT * FROM '@/utf16.csv'",
    "SELECT * FROM '@/array.json'",
    "SELECT * FROM '@/spread.json'",
    "SELECT * FROM read_json(['@/array.json'], columns = {'b': 'VARCHAR'})",
    "SELECT * FROM '@/100%25.csv'",
    "SELECT delimiter, header, columns FROM sniff_csv('@/plain/rows.csv')",
    "SELECT a.id, b.price FROM '@/plain/rows.csv' a JOIN '@/plain/rows.parquet' b ON a.id = b.id",
    "SELECT * FROM external WHERE year = 2020",
    "SELECT * FROM options",
];

const TABLES: &str = "CREATE EXTERNAL TABLE external (n BIGINT, year INT, kind VARCHAR) STORED AS CSV \
                      PARTITIONED BY (year, kind) LOCATION '@/parts_CSV/'; \
                      CREATE EXTERNAL TABLE options STORED AS CSV LOCATION '@/several/a.csv' \
                      OPTIONS (skip 1, header false)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_rows_as_from_disk() {
    let place = Place::new();
    write_files(&session(&place, 2, Knobs::default()), &place).await;
    let store = store_of(&place).await;
    let local = place.path("").display().to_string();
    for threads in [1, 3] {
        for knobs in [Knobs::default(), small_pieces()] {
            let mut answers = Vec::new();
            for base in [local.trim_end_matches('/'), "mem://bucket"] {
                let session = session(&place, threads, knobs.clone());
                register(&session, "mem://bucket", &store);
                run_all(&session, &TABLES.replace('@', base)).await.unwrap();
                let mut answers_here = Vec::new();
                for query in QUERIES {
                    let found = rows(&session, &query.replace('@', base)).await;
                    let mut found = found.unwrap_or_else(|err| panic!("{base}: {query}: {err}"));
                    assert!(!found.is_empty(), "{base}: {query}");
                    found.iter_mut().for_each(|row| *row = row.replace(base, "@"));
                    found.sort();
                    answers_here.push(found);
                }
                assert_no_files(base, &place).await;
                answers.push(answers_here);
            }
            for (query, (disk, store)) in QUERIES.iter().zip(answers[0].iter().zip(&answers[1])) {
                assert_eq!(disk, store, "{query} with {threads} threads");
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_there_or_cannot_be_read() {
    let place = Place::new();
    place.write("a.csv", "id\n1\n");
    place.write("bad.csv", "id,word\n1,x\n2\n");
    place.write("notes.txt", "id\n1\n");
    place.write("cut.csv.gz", "this is not gzip");
    let store = store_of(&place).await;
    let session = session(&place, 2, Knobs::default());
    register(&session, "mem://bucket", &store);
    register(&session, "mem://other", &store);
    for (from, kind, message) in [
        ("'mem://bucket/b.csv'", ErrorKind::Io, "no such file: 'mem://bucket/b.csv'"),
        ("'mem://bucket/x/*.csv'", ErrorKind::Io, "no file matches 'mem://bucket/x/*.csv'"),
        ("'mem://bucket/x/'", ErrorKind::Io, "no such file: 'mem://bucket/x/'"),
        ("'mem://bucket/notes.txt'", ErrorKind::Query, "the format of 'mem://bucket/notes.txt'"),
        ("'s3://bucket/a.csv'", ErrorKind::Query, "no store is registered for s3://bucket"),
        ("'mem://third/a.csv'", ErrorKind::Query, "no store is registered for mem://third"),
        ("'mem://bucket/bad.csv'", ErrorKind::Input, "\"mem://bucket/bad.csv\" line 3 has 1 field"),
        ("'mem://bucket/cut.csv.gz'", ErrorKind::Input, "\"mem://bucket/cut.csv.gz\""),
        (
            "read_csv(['mem://bucket/a.csv', 'mem://other/a.csv'])",
            ErrorKind::Query,
            "'mem://bucket/a.csv' and 'mem://other/a.csv' are in different stores",
        ),
    ] {
        let error = rows(&session, &format!("SELECT * FROM {from}")).await.unwrap_err();
        assert!(error.to_string().contains(message), "{from}: {error}");
        assert_eq!(error.kind(), kind, "{from}: {error}");
    }
    // Left out, and named.
    let rejecting = "SELECT * FROM read_csv('mem://bucket/bad.csv', store_rejects = true)";
    assert_eq!(rows(&session, rejecting).await.unwrap(), ["1|x"]);
    let rejected = rows(&session, "SELECT file, line FROM reject_errors").await.unwrap();
    assert_eq!(rejected, ["mem://bucket/bad.csv|3"]);
}

#[tokio::test]
async fn a_table_sees_new_files_and_changed_ones() {
    let place = Place::new();
    place.write("a.csv", "id\n1\n");
    let store = store_of(&place).await;
    let session = session(&place, 2, Knobs::default());
    register(&session, "mem://bucket", &store);
    let create = "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'mem://bucket/*.csv'; \
                  CREATE VIEW v AS SELECT * FROM 'mem://bucket/'";
    run_all(&session, create).await.unwrap();
    store.put(&Path::from("a.csv"), "id\n11\n12\n".into()).await.unwrap();
    store.put(&Path::from("b.csv"), "id\n2\n".into()).await.unwrap();
    for table in ["t", "v"] {
        let found = rows(&session, &format!("SELECT id FROM {table} ORDER BY id")).await.unwrap();
        assert_eq!(found, ["2", "11", "12"]);
    }
}

#[tokio::test]
async fn a_file_that_is_replaced_while_it_is_read_is_an_error() {
    let place = Place::new();
    let lines =
        |first: u32| -> String { (first..first + 20_000).map(|n| format!("{n}\n")).collect() };
    place.write("a.csv", format!("id\n{}", lines(100_000)));
    let store = store_of(&place).await;
    let session = session(&place, 1, small_pieces());
    register(&session, "mem://bucket", &store);
    let frame = session.sql("SELECT * FROM 'mem://bucket/a.csv'").await.unwrap();
    let mut stream = frame.stream().await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some());
    let replaced = format!("id\n{}", lines(200_000));
    store.put(&Path::from("a.csv"), replaced.into()).await.unwrap();
    let error = stream.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Io);
    let message = "\"mem://bucket/a.csv\" has changed while it was read";
    assert!(error.to_string().contains(message), "{error}");
}

#[tokio::test]
async fn copies_of_compressed_files_are_counted() {
    let place = Place::new();
    let writer = session(&place, 2, Knobs::default());
    let file = place.path("a.csv.gz");
    let rows_of_file = "SELECT md5(CAST(value AS VARCHAR)) AS t FROM generate_series(1, 20000)";
    run_all(&writer, &format!("COPY ({rows_of_file}) TO '{}'", file.display())).await.unwrap();
    let size = place.size("a.csv.gz");
    let store = store_of(&place).await;
    let count = "SELECT count(*) FROM 'mem://bucket/a.csv.gz'";
    let roomy = session(&place, 2, Knobs::default());
    register(&roomy, "mem://bucket", &store);
    assert_eq!(rows(&roomy, count).await.unwrap(), ["20000"]);
    let metrics = roomy.spill_metrics();
    assert!(metrics.written_bytes >= size, "{metrics:?}");
    assert_no_files("a query of a copy", &place).await;
    assert_eq!(roomy.spill_metrics().disk_bytes, 0);
    let tight = session_with(&place, Knobs::default(), |options| options.max_temp_bytes(size / 2));
    register(&tight, "mem://bucket", &store);
    assert_eq!(rows(&tight, count).await.unwrap_err().kind(), ErrorKind::Resources);
    assert_no_files("a copy without room", &place).await;
}

/// A store that counts what it is asked for.
#[derive(Debug)]
struct Counted {
    inner: Arc<InMemory>,
    heads: AtomicUsize,
    lists: AtomicUsize,
    whole: AtomicUsize,
    most_bytes: AtomicUsize,
}

impl Counted {
    fn taken(&self) -> [usize; 4] {
        [&self.heads, &self.lists, &self.whole, &self.most_bytes]
            .map(|count| count.swap(0, Ordering::Relaxed))
    }
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

#[async_trait]
impl ObjectStore for Counted {
    async fn put_opts(
        &self,
        to: &Path,
        bytes: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.inner.put_opts(to, bytes, options).await
    }

    async fn put_multipart_opts(
        &self,
        to: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(to, options).await
    }

    async fn get_opts(&self, from: &Path, options: GetOptions) -> Result<GetResult> {
        let (is_head, is_whole) = (options.head, options.range.is_none());
        let result = self.inner.get_opts(from, options).await?;
        let bytes = (result.range.end - result.range.start) as usize;
        match (is_head, is_whole) {
            (true, _) => self.heads.fetch_add(1, Ordering::Relaxed),
            (false, true) => self.whole.fetch_add(1, Ordering::Relaxed),
            (false, false) => self.most_bytes.fetch_max(bytes, Ordering::Relaxed),
        };
        Ok(result)
    }

    async fn get_ranges(&self, from: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(from, ranges).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.lists.fetch_add(1, Ordering::Relaxed);
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[tokio::test]
async fn files_are_read_in_ranges_and_listed_once() {
    let place = Place::new();
    let lines: String = (0..100_000).map(|n| format!("{n},{}\n", n % 7)).collect();
    for name in ["a.csv", "b.csv", "c.csv"] {
        place.write(name, format!("id,day\n{lines}"));
    }
    let store = Arc::new(Counted {
        inner: store_of(&place).await,
        heads: AtomicUsize::new(0),
        lists: AtomicUsize::new(0),
        whole: AtomicUsize::new(0),
        most_bytes: AtomicUsize::new(0),
    });
    let knobs = Knobs { csv_piece_bytes: Some(64 << 10), ..Knobs::default() };
    let session = session(&place, 2, knobs);
    register(&session, "mem://bucket", &store);
    let frame = session.sql("SELECT count(*), sum(day) FROM 'mem://bucket/*.csv'").await.unwrap();
    let [_, lists, whole, _] = store.taken();
    assert_eq!((lists, whole), (1, 0), "to open the table");
    let batches = frame.collect().await.unwrap();
    assert_eq!(batches[0].num_rows(), 1);
    let [heads, lists, whole, most_bytes] = store.taken();
    assert_eq!((heads, lists, whole), (0, 1, 0), "to read it");
    assert!(most_bytes <= 3 * (64 << 10), "{most_bytes}");
}
