//! Sorts whose rows are kept in memory or written to temporary files: random tables in every order,
//! checked against a comparison of values made here and against DataFusion as it comes. Then what is
//! written in order, sorts that compete, failing disks, and sorts that are stopped.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::fs::File;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Float64Type, Int64Type, UInt64Type};
use brimful::{Knobs, Session};
use futures::TryStreamExt;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::support::{
    Draw, Dropped, Place, Random, Setup, assert_dropped_cleanly, assert_no_files_soon,
    assert_nothing_left_soon, assert_quota_is_kept, assert_read_fails, assert_write_fails,
    batches_and_spill, mixed_table, plain_batches, plain_datafusion, row_texts, rows_and_spill,
    write_table,
};

/// DataFusion's own top-k does sorts of fewer rows.
const MOST_TOP_ROWS: usize = 10_000;

/// Setups that each query of a property test runs under.
const SETUPS_A_QUERY: usize = 2;

// Values and their order.

/// A value as it is compared here.
#[derive(Debug, Clone)]
enum Value {
    Null,
    Whole(i128),
    Float(f64),
    Bytes(Vec<u8>),
    /// A list or a struct.
    Several(Vec<Value>),
}

/// The values of a column.
fn values(column: &ArrayRef) -> Vec<Value> {
    let to = |data_type: DataType| cast(column, &data_type).unwrap();
    let known: Vec<Value> = match column.data_type() {
        DataType::Boolean => column.as_boolean().iter().map(|b| whole(b.map(i128::from))).collect(),
        DataType::UInt64 => {
            column.as_primitive::<UInt64Type>().iter().map(|n| whole(n.map(i128::from))).collect()
        }
        DataType::Decimal128(_, _) => {
            column.as_primitive::<Decimal128Type>().iter().map(whole).collect()
        }
        DataType::Float32 | DataType::Float64 => {
            let column = to(DataType::Float64);
            let floats = column.as_primitive::<Float64Type>().values().iter();
            floats.map(|value| Value::Float(*value)).collect()
        }
        DataType::Binary | DataType::BinaryView => {
            let column = to(DataType::Binary);
            column.as_binary::<i32>().iter().map(bytes).collect()
        }
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Dictionary(_, _) => {
            let column = to(DataType::LargeUtf8);
            let texts = column.as_string::<i64>().iter();
            texts.map(|text| bytes(text.map(str::as_bytes))).collect()
        }
        DataType::List(_) => {
            let lists = column.as_list::<i32>();
            let elements = |row| values(&lists.value(row));
            (0..column.len()).map(|row| Value::Several(elements(row))).collect()
        }
        DataType::Struct(_) => {
            let fields: Vec<_> = column.as_struct().columns().iter().map(values).collect();
            let of_row = |row: usize| fields.iter().map(|field| field[row].clone()).collect();
            (0..column.len()).map(|row| Value::Several(of_row(row))).collect()
        }
        _ => {
            let column = to(DataType::Int64);
            column.as_primitive::<Int64Type>().iter().map(|n| whole(n.map(i128::from))).collect()
        }
    };
    let known = known.into_iter().enumerate();
    known.map(|(row, value)| if column.is_null(row) { Value::Null } else { value }).collect()
}

fn whole(value: Option<i128>) -> Value {
    value.map_or(Value::Null, Value::Whole)
}

fn bytes(value: Option<&[u8]>) -> Value {
    value.map_or(Value::Null, |value| Value::Bytes(value.to_vec()))
}

/// What a query is sorted by.
#[derive(Debug, Clone)]
struct Key {
    expression: String,
    descending: bool,
    /// Where it says so; otherwise they come where they would come if they were greater than all.
    nulls_first: Option<bool>,
}

impl Key {
    fn sql(&self) -> String {
        let direction = if self.descending { " DESC" } else { "" };
        let nulls = match self.nulls_first {
            None => "",
            Some(true) => " NULLS FIRST",
            Some(false) => " NULLS LAST",
        };
        format!("{}{direction}{nulls}", self.expression)
    }

    fn compare(&self, a: &Value, b: &Value) -> Ordering {
        let nulls_first = self.nulls_first.unwrap_or(self.descending);
        compare(a, b, self.descending, nulls_first)
    }
}

fn compare(a: &Value, b: &Value, descending: bool, nulls_first: bool) -> Ordering {
    let order = match (a, b) {
        (Value::Null, Value::Null) => return Ordering::Equal,
        (Value::Null, _) if nulls_first => return Ordering::Less,
        (Value::Null, _) => return Ordering::Greater,
        (_, Value::Null) if nulls_first => return Ordering::Greater,
        (_, Value::Null) => return Ordering::Less,
        (Value::Several(a), Value::Several(b)) => {
            // NULLs inside come where NULLs come, whatever the direction.
            let mut elements = a.iter().zip(b).map(|(a, b)| compare(a, b, descending, nulls_first));
            if let Some(order) = elements.find(|order| order.is_ne()) {
                return order;
            }
            a.len().cmp(&b.len())
        }
        (Value::Whole(a), Value::Whole(b)) => a.cmp(b),
        (Value::Float(a), Value::Float(b)) => a.total_cmp(b),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        _ => panic!("{a:?} and {b:?} are of different types"),
    };
    if descending { order.reverse() } else { order }
}

// Queries.

#[derive(Debug, Clone)]
struct Query {
    keys: Vec<Key>,
    limit: Option<usize>,
    offset: usize,
}

impl Query {
    fn by(keys: Vec<Key>) -> Query {
        Query { keys, limit: None, offset: 0 }
    }

    /// The keys, then all columns of `t`, in no order.
    fn unsorted_sql(&self) -> String {
        let mut sql = "SELECT ".to_string();
        for (number, key) in self.keys.iter().enumerate() {
            write!(sql, "{} AS k{number}, ", key.expression).unwrap();
        }
        sql + "t.* FROM t"
    }

    fn sql(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(Key::sql).collect();
        let mut sql = format!("{} ORDER BY {}", self.unsorted_sql(), keys.join(", "));
        if let Some(limit) = self.limit {
            write!(sql, " LIMIT {limit}").unwrap();
        }
        if self.offset > 0 {
            write!(sql, " OFFSET {}", self.offset).unwrap();
        }
        sql
    }

    fn compare(&self, a: &[Value], b: &[Value]) -> Ordering {
        let keys = self.keys.iter().zip(a.iter().zip(b));
        let mut orders = keys.map(|(key, (a, b))| key.compare(a, b));
        orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    /// The rows of a result.
    fn rows(&self, batches: &[RecordBatch]) -> Vec<Row> {
        let mut rows = Vec::new();
        for batch in batches {
            let keys: Vec<Vec<Value>> =
                batch.columns()[..self.keys.len()].iter().map(values).collect();
            let ids = batch.column_by_name("id").unwrap().as_primitive::<Int64Type>();
            for (row, text) in row_texts(batch).into_iter().enumerate() {
                let keys = keys.iter().map(|key| key[row].clone()).collect();
                rows.push(Row { id: ids.value(row), keys, text });
            }
        }
        rows
    }

    /// Checks that a result has the right rows of all, which are in order, each once. Which of
    /// several rows with equal keys come first is left open.
    fn check(&self, what: &str, result: &[RecordBatch], all: &[Row]) {
        let result = self.rows(result);
        let wanted = all.iter().skip(self.offset).take(self.limit.unwrap_or(usize::MAX));
        let wanted: Vec<&Row> = wanted.collect();
        assert_eq!(result.len(), wanted.len(), "{what}: number of rows");
        let texts: HashMap<i64, &str> = all.iter().map(|row| (row.id, row.text.as_str())).collect();
        let mut seen = HashSet::new();
        for (place, (row, wanted)) in result.iter().zip(wanted).enumerate() {
            let is_in_place = self.compare(&row.keys, &wanted.keys).is_eq();
            assert!(is_in_place, "{what}: row {place} is {:?} and not {:?}", row.keys, wanted.keys);
            assert!(seen.insert(row.id), "{what}: row {} comes again at {place}", row.id);
            assert_eq!(row.text, texts[&row.id], "{what}: row {place}");
        }
    }
}

/// A row of a result.
struct Row {
    id: i64,
    keys: Vec<Value>,
    text: String,
}

/// What may be sorted by: columns and expressions of them.
const EXPRESSIONS: [&str; 24] = [
    "i",
    "l",
    "u",
    "f",
    "e",
    "d",
    "o",
    "a",
    "m",
    "s",
    "p",
    "q",
    "c",
    "y",
    "n",
    "r",
    "i % 7",
    "length(s)",
    "-f",
    "coalesce(s, p)",
    "f > 0",
    "p || s",
    "CASE WHEN i > 0 THEN d ELSE NULL END",
    "date_trunc('month', m)",
];

/// In every order: as the words say, and as they do not.
fn key(expression: &str, number: u32) -> Key {
    let descending = number.is_multiple_of(2);
    let nulls_first = [Some(true), Some(false), None][number as usize / 2 % 3];
    Key { expression: expression.to_string(), descending, nulls_first }
}

/// Every expression by itself in every order.
fn queries_by_one_key() -> Vec<Query> {
    let mut queries = Vec::new();
    for expression in EXPRESSIONS {
        queries.extend((0..6).map(|number| Query::by(vec![key(expression, number)])));
    }
    queries
}

/// Two or three keys, of all rows or of some.
fn random_queries(random: &mut Random, count: usize) -> Vec<Query> {
    let mut queries = Vec::new();
    for _ in 0..count {
        let keys = 1 + random.below(3);
        let keys =
            (0..keys).map(|_| key(random.one_of::<&str>(&EXPRESSIONS), random.below(6))).collect();
        let limit = *random.one_of(&[None, None, Some(10), Some(400), Some(20_000)]);
        let offset = *random.one_of(&[0, 0, 7, 300]);
        queries.push(Query { keys, limit, offset });
    }
    queries
}

// Properties.

fn knobs(sort_bytes: u64, merge_runs: Option<usize>) -> Knobs {
    Knobs { sort_bytes: Some(sort_bytes), merge_runs, ..Knobs::default() }
}

/// What the sorts are forced to do.
fn setups() -> Vec<Setup> {
    vec![
        Setup::new(1, 8192, knobs(0, None)),
        Setup::new(2, 64, knobs(0, Some(2))).parquet(),
        Setup::new(4, 100, knobs(0, Some(3))),
        Setup::new(2, 8192, knobs(200_000, None)),
        Setup::new(1, 64, knobs(60_000, Some(2))).parquet(),
        Setup::new(4, 50, knobs(0, Some(16))).parquet(),
        Setup::new(2, 8192, Knobs::default()),
    ]
}

/// Runs the queries in some of the sessions that are forced to spill, each case beginning at another
/// of them.
async fn check(seed: u64, draw: Draw, queries: &[Query]) {
    let place = Place::new();
    let table = mixed_table(&mut Random::new(seed), draw);
    write_table(&place, "t", &table);
    let plain = plain_datafusion("t", &table);
    let setups = setups();
    let mut sessions = Vec::new();
    for setup in &setups {
        sessions.push(setup.open(&place, &["t"]).await);
    }
    for (index, query) in queries.iter().enumerate() {
        let mut all = query.rows(&plain_batches(&plain, &query.unsorted_sql()).await);
        all.sort_by(|a, b| query.compare(&a.keys, &b.keys));
        let sql = query.sql();
        // Its top-k loses rows where the keys have NULLs inside.
        if query.limit.is_none() {
            query.check(&format!("DataFusion, {sql}"), &plain_batches(&plain, &sql).await, &all);
        }
        for step in 0..SETUPS_A_QUERY {
            // 3 has no factor in common with the number of setups.
            let turn = (index + seed as usize + 3 * step) % setups.len();
            let what = format!("{seed}, {draw:?}, {:?}, {sql}", setups[turn]);
            let (batches, spilled_bytes) = batches_and_spill(&what, &sessions[turn], &sql).await;
            query.check(&what, &batches, &all);
            let is_ours = query.limit.is_none_or(|limit| limit + query.offset > MOST_TOP_ROWS);
            if is_ours && setups[turn].knobs.sort_bytes == Some(0) && draw.rows > 1000 {
                assert!(spilled_bytes > 0, "{what}: nothing was spilled");
            }
        }
    }
    assert_no_files_soon("all are read", &place).await;
    for (session, setup) in sessions.iter().zip(&setups) {
        let metrics = session.spill_metrics();
        let must_spill = setup.knobs.sort_bytes == Some(0) && draw.rows > 1000;
        assert!(metrics.written_bytes > 0 || !must_spill, "{setup:?}");
        assert_eq!(metrics.disk_bytes, 0, "{setup:?}");
    }
    drop(sessions);
    assert_nothing_left_soon("all are closed", &place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_of_every_type_in_every_order() {
    check(1, Draw { rows: 1100, keys: 400, nulls: 10 }, &queries_by_one_key()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_keys_limits_and_offsets() {
    let queries = random_queries(&mut Random::new(2), 80);
    check(2, Draw { rows: 1300, keys: 40, nulls: 15 }, &queries).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_by_values_with_nulls_inside() {
    let mut queries = Vec::new();
    for expression in ["n", "r"] {
        for number in 0..6 {
            let keys = vec![key(expression, number), key("i % 7", number / 2)];
            queries.push(Query { keys, limit: Some(400), offset: 0 });
        }
    }
    check(4, Draw { rows: 1300, keys: 40, nulls: 15 }, &queries).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_of_few_rows_and_of_equal_ones() {
    let mut random = Random::new(3);
    let draw = |rows, keys, nulls| Draw { rows, keys, nulls };
    let draws = [
        draw(0, 1, 0),
        draw(1, 40, 0),
        draw(2, 1, 0),
        draw(120, 30, 50),
        draw(1100, 1, 0),
        draw(1100, 1, 100),
        draw(1500, 2, 1),
    ];
    for (number, draw) in draws.into_iter().enumerate() {
        check(30 + number as u64, draw, &random_queries(&mut random, 16)).await;
    }
}

/// Sorts by the whole text, of 20 rows of which one is wider than a batch and wider than what a run
/// may hold.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_wider_than_a_megabyte() {
    const SQL: &str = "SELECT length(w) AS n, value FROM \
        (SELECT value, repeat(chr(97 + value % 3), CASE WHEN value = 7 THEN 3000000 ELSE 30 END) AS w \
         FROM generate_series(1, 20)) AS t ORDER BY w DESC, value";
    // 7 % 3 = 1: the longer of two texts of one letter is the greater.
    let mut expected: Vec<(u64, u64)> =
        (1..=20).map(|v| (if v == 7 { 3_000_000 } else { 30 }, v)).collect();
    expected.sort_by_key(|(length, value)| (u64::MAX - value % 3, u64::MAX - length, *value));
    let expected: Vec<String> = expected.iter().map(|(n, value)| format!("{n}|{value}")).collect();
    let place = Place::new();
    for (bytes, batch_rows) in [(0, 1), (0, 4), (100_000, 2), (100_000, 8192), (u64::MAX, 8)] {
        let session = Setup::new(1, batch_rows, knobs(bytes, Some(2))).session(&place);
        let what = format!("{bytes} bytes, batches of {batch_rows} rows");
        let (batches, spilled_bytes) = batches_and_spill(&what, &session, SQL).await;
        let rows: Vec<String> = batches.iter().flat_map(row_texts).collect();
        assert_eq!(rows, expected, "{what}");
        assert_eq!(spilled_bytes > 0, bytes < u64::MAX && batch_rows < 20, "{what}");
    }
    assert_no_files_soon("all are read", &place).await;
}

// Many rows.

/// A prime number. The multiples of another number modulo this are all different.
const PRIME: u64 = 400_009;

/// `n` rows, each with a key below [`PRIME`] that no other has, and a text.
fn shuffled(n: u64) -> String {
    format!(
        "(SELECT value AS v, value * 7919 % {PRIME} AS k, 'a text of row ' || value AS s \
         FROM generate_series(1, {n})) AS t"
    )
}

/// The values of [`shuffled`] rows in the order of their keys.
fn in_order(n: u64) -> Vec<String> {
    let mut values: Vec<u64> = (1..=n).collect();
    values.sort_by_key(|value| value * 7919 % PRIME);
    values.iter().map(u64::to_string).collect()
}

/// The rows as they come, and what was spilled.
async fn rows_as_they_come(what: &str, session: &Session, sql: &str) -> (Vec<String>, u64) {
    let (batches, spilled_bytes) = batches_and_spill(what, session, sql).await;
    (batches.iter().flat_map(row_texts).collect(), spilled_bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_of_many_rows() {
    const ROWS: u64 = 300_000;
    let place = Place::new();
    let expected = in_order(ROWS);
    let setups = [
        Setup::new(1, 8192, Knobs::default()),
        Setup::new(2, 8192, knobs(4 << 20, None)),
        Setup::new(2, 1000, knobs(1 << 20, Some(3))),
    ];
    for setup in setups {
        let session = setup.session(&place);
        // With 70,000, no rows can be dropped before they are written.
        for (limit, offset) in [(10, 0), (20_000, 0), (9_995, 10), (70_000, 5_000), (ROWS, 299_999)]
        {
            let from = format!("(SELECT v, k, s FROM {})", shuffled(ROWS));
            let sql = format!("SELECT v FROM {from} ORDER BY k, s LIMIT {limit} OFFSET {offset}");
            let what = format!("{setup:?}, {sql}");
            let (rows, spilled_bytes) = rows_as_they_come(&what, &session, &sql).await;
            let wanted = expected.iter().skip(offset as usize).take(limit as usize);
            assert!(rows.iter().eq(wanted), "{what}");
            if setup.knobs.sort_bytes == Some(1 << 20) && limit + offset > MOST_TOP_ROWS as u64 {
                assert!(spilled_bytes > 0, "{what}: nothing was spilled");
            }
        }
    }
    assert_no_files_soon("all are read", &place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sorts_keep_within_tight_limits() {
    const ROWS: u64 = 300_000;
    let place = Place::new();
    let expected = in_order(ROWS);
    for (threads, batch_rows) in [(1, 8192), (2, 1000), (4, 8192)] {
        let setup = Setup::new(threads, batch_rows, Knobs::default()).memory_limit_bytes(32 << 20);
        let session = setup.session(&place);
        let sql = format!("SELECT v FROM (SELECT k, v, s FROM {}) ORDER BY k, s", shuffled(ROWS));
        let (rows, spilled_bytes) = rows_as_they_come(&sql, &session, &sql).await;
        assert!(rows == expected, "{setup:?}");
        assert!(spilled_bytes > 0, "{setup:?}: nothing was spilled");
        assert_eq!(session.spill_metrics().disk_bytes, 0);
    }
    assert_no_files_soon("all are read", &place).await;
}

/// Windows that sort by themselves, each on top of the last: one begins to collect while the one
/// below gives its rows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sorts_that_compete_for_memory() {
    const ROWS: u64 = 300_000;
    let t = shuffled(ROWS);
    let windows = format!(
        "SELECT v, s, row_number() OVER (ORDER BY k) AS a, row_number() OVER (ORDER BY v DESC, s) AS b, \
         row_number() OVER (PARTITION BY v % 5 ORDER BY s, k) AS c, \
         lag(v) OVER (ORDER BY s, v) AS d FROM {t}"
    );
    let both = format!(
        "SELECT l.v FROM (SELECT v, s FROM {t} ORDER BY k LIMIT 150000) AS l \
         JOIN (SELECT v, s FROM {t} ORDER BY s DESC LIMIT 150000) AS r ON l.v = r.v AND l.s = r.s"
    );
    let union = format!(
        "SELECT v, s FROM (SELECT v, s FROM {t} ORDER BY k LIMIT 100000) UNION ALL \
         SELECT v, s FROM (SELECT v, s FROM {t} ORDER BY s, v LIMIT 120000) UNION ALL \
         SELECT v, s FROM (SELECT v, s FROM {t} ORDER BY v DESC LIMIT 140000)"
    );
    let sums = |sql: &str, columns: &[&str]| {
        let sums: Vec<String> =
            columns.iter().map(|c| format!("sum({c}), sum({c} * (v % 1013))")).collect();
        format!("SELECT count(*), {} FROM ({sql})", sums.join(", "))
    };
    let queries =
        [sums(&windows, &["a", "b", "c", "d"]), sums(&both, &["v"]), sums(&union, &["v"])];
    let empty = RecordBatch::new_empty(arrow::datatypes::Schema::empty().into());
    let plain = plain_datafusion("empty", &empty);
    let place = Place::new();
    for sql in queries {
        let expected = row_texts(&plain_batches(&plain, &sql).await[0]);
        for threads in [1, 2, 4] {
            let setup = Setup::new(threads, 8192, Knobs::default()).memory_limit_bytes(32 << 20);
            let what = format!("{setup:?}, {sql}");
            let session = setup.session(&place);
            let (rows, spilled_bytes) = rows_as_they_come(&what, &session, &sql).await;
            assert_eq!(rows, expected, "{what}");
            assert!(spilled_bytes > 0, "{what}: nothing was spilled");
        }
    }
    assert_no_files_soon("all are read", &place).await;
}

// Files that are written in order.

/// The numbers in the first column of a file, in the order of the file.
fn numbers_in_file(place: &Place, name: &str) -> Vec<String> {
    if name.ends_with(".csv") {
        return place.read(name).lines().skip(1).map(str::to_string).collect();
    }
    let file = File::open(place.path(name)).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    reader.flat_map(|batch| row_texts(&batch.unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_written_stays_in_order() {
    const ROWS: u64 = 200_000;
    let expected = in_order(ROWS);
    for (threads, bytes) in [(1, 1 << 20), (4, 300_000), (4, u64::MAX)] {
        let place = Place::new();
        // With so little memory a Parquet file has several row groups.
        let setup = Setup::new(threads, 8192, knobs(bytes, None)).memory_limit_bytes(64 << 20);
        let session = setup.session(&place);
        for name in ["sorted.parquet", "sorted.csv"] {
            let path = place.path(name);
            let query = format!("SELECT v FROM {} ORDER BY k", shuffled(ROWS));
            let sql = format!("COPY ({query}) TO '{}'", path.display());
            let what = format!("{setup:?}, {sql}");
            let (_, spilled_bytes) = batches_and_spill(&what, &session, &sql).await;
            assert!(numbers_in_file(&place, name) == expected, "{what}");
            assert_eq!(spilled_bytes > 0, bytes < u64::MAX, "{what}");
        }
    }
}

// Failures.

/// 30 runs where each batch of 1000 rows is one.
const SERIES_SORT: &str = "SELECT value AS v, 'text ' || value AS s \
    FROM generate_series(1, 30000) ORDER BY value % 1009 DESC, s";

fn failing_setup(threads: usize, fault: Knobs) -> Setup {
    let knobs = Knobs { sort_bytes: Some(0), merge_runs: Some(2), ..fault };
    Setup::new(threads, 1000, knobs)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_fails_is_an_error_that_names_the_place() {
    let place = Place::new();
    let session = failing_setup(1, Knobs::default()).session(&place);
    batches_and_spill("without a fault", &session, SERIES_SORT).await;
    // Rows are written as runs first, and again for each level of merges.
    let bytes = session.spill_metrics().raw_bytes;
    assert!(bytes >= 3 * 30_000 * 8, "{bytes} bytes");
    for (threads, writes) in [(1, 40), (2, 12)] {
        for write in 1..=writes {
            let fault = Knobs { fail_write: Some(write), ..Knobs::default() };
            assert_write_fails(&failing_setup(threads, fault), SERIES_SORT).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_block_that_was_altered_is_an_error_and_never_rows() {
    for (threads, reads) in [(1, 30), (2, 8)] {
        for read in 1..=reads {
            let fault = Knobs { alter_read: Some(read), ..Knobs::default() };
            assert_read_fails(&failing_setup(threads, fault), SERIES_SORT).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn temporary_files_of_sorts_have_a_limit() {
    for bytes in [1000, 100_000, 300_000] {
        let setup = failing_setup(2, Knobs::default()).max_temp_bytes(bytes);
        assert_quota_is_kept(&setup, SERIES_SORT).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sort_that_is_dropped_leaves_no_file() {
    const ENDLESS: &str = "SELECT value, value % 1009 AS k \
        FROM generate_series(1, 100000000000) ORDER BY k, value";
    for threads in [1, 2] {
        let place = Place::new();
        let runs = {
            let mut setup = failing_setup(threads, Knobs::default());
            setup.knobs.merge_runs = None;
            let session = setup.session(&place);
            batches_and_spill("all runs at once", &session, SERIES_SORT).await;
            session.spill_metrics().raw_bytes
        };
        let session = failing_setup(threads, Knobs::default()).session(&place);
        let collecting = |session: &Session| session.spill_metrics().raw_bytes > 0;
        let when =
            assert_dropped_cleanly("collecting", &place, &session, ENDLESS, collecting).await;
        assert_eq!(when, Dropped::InTime);
        let before = session.spill_metrics().raw_bytes;
        let merging = |session: &Session| session.spill_metrics().raw_bytes > before + runs;
        let when = assert_dropped_cleanly("merging", &place, &session, SERIES_SORT, merging).await;
        assert_eq!(when, Dropped::InTime);
        let never = |_: &Session| false;
        let when = assert_dropped_cleanly("giving", &place, &session, SERIES_SORT, never).await;
        assert_eq!(when, Dropped::WithRows);
        let (rows, _) = rows_and_spill("the next", &session, SERIES_SORT).await;
        assert_eq!(rows.len(), 30_000);
        drop(session);
        assert_nothing_left_soon("the session is closed", &place).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sort_that_is_dropped_gives_its_memory_back() {
    let place = Place::new();
    let setup = Setup::new(1, 8192, Knobs::default()).memory_limit_bytes(32 << 20);
    let session = setup.session(&place);
    // About half of what a sort may have.
    let sql = "SELECT value FROM generate_series(1, 150000) ORDER BY value * 7919 % 150001";
    for round in 0..5 {
        let mut stream = session.sql(sql).await.unwrap().stream().await.unwrap();
        assert!(stream.try_next().await.unwrap().is_some(), "round {round}");
        assert_eq!(stream.metrics().spilled_bytes, 0, "round {round}");
    }
}
