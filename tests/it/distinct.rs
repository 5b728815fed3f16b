//! Aggregates of distinct values, medians and percentiles: random queries over random tables give
//! what DataFusion's accumulators give, whether the values fit in memory or not.

use std::fmt::Write as _;
use std::fs::File;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
    Float64Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Int8Type};
use arrow::ipc::writer::FileWriter;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use brimful::{Knobs, Session, SessionOptions};
use datafusion::prelude::{SessionConfig, SessionContext};
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::{Place, is_near};

/// Random choices that repeat.
struct Random(ChaCha8Rng);

impl Random {
    fn new(seed: u64) -> Self {
        Random(ChaCha8Rng::seed_from_u64(seed))
    }

    fn below(&mut self, limit: u32) -> u32 {
        self.0.next_u32() % limit
    }

    fn one_in(&mut self, chances: u32) -> bool {
        self.below(chances) == 0
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len() as u32) as usize]
    }

    /// Numbers below `limit`, the low ones more often, and NULLs.
    fn numbers(&mut self, rows: usize, limit: u32) -> Vec<Option<u32>> {
        let number = |_| {
            let skewed = if self.one_in(3) { self.below(limit / 8 + 1) } else { self.below(limit) };
            (!self.one_in(9)).then_some(skewed)
        };
        (0..rows).map(number).collect()
    }
}

fn each<T>(numbers: &[Option<u32>], value: impl Fn(u32) -> T) -> Vec<Option<T>> {
    numbers.iter().map(|number| number.map(&value)).collect()
}

/// A table with keys (`g`, `h`, `k`, `z`) and values of many types. Not all functions of DataFusion
/// agree on whether -0.0 is distinct from 0.0; only `z` has both.
fn table(random: &mut Random, rows: usize) -> RecordBatch {
    let mut number = |limit| random.numbers(rows, limit);
    let float = |number: u32| if number == 3 { f64::NAN } else { f64::from(number) / 8.0 - 3.0 };
    let zeros = |number: u32| [-0.0, 0.0, 1.5, f64::NAN, f64::INFINITY][number as usize];
    let decimals = each(&number(80), |number| i128::from(number) * 25 - 100);
    let dictionary: DictionaryArray<Int8Type> = each(&number(40), |number| format!("d{number}"))
        .iter()
        .map(|text| text.as_deref())
        .collect();
    let always: Vec<_> = number(4).into_iter().map(|number| number.unwrap_or(9) as i32).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("k", Arc::new(Int32Array::from(always))),
        ("g", Arc::new(Int64Array::from(each(&number(4), i64::from)))),
        ("h", Arc::new(StringArray::from(each(&number(3), |number| format!("h{number}"))))),
        ("z", Arc::new(Float64Array::from(each(&number(5), zeros)))),
        ("i", Arc::new(Int64Array::from(each(&number(60), |number| i64::from(number) - 20)))),
        ("n", Arc::new(Int16Array::from(each(&number(9), |number| number as i16)))),
        ("x", Arc::new(Float64Array::from(each(&number(90), float)))),
        ("r", Arc::new(Float32Array::from(each(&number(50), |number| number as f32 / 4.0)))),
        ("d", Arc::new(Decimal128Array::from(decimals).with_precision_and_scale(12, 2).unwrap())),
        ("s", Arc::new(StringArray::from(each(&number(30), |number| format!("s{number}"))))),
        (
            "v",
            Arc::new(StringViewArray::from(each(&number(30), |number| {
                format!("longer than a view can hold {number}")
            }))),
        ),
        ("c", Arc::new(dictionary)),
        ("t", Arc::new(Date32Array::from(each(&number(40), |number| number as i32 * 31)))),
        ("m", Arc::new(TimestampMicrosecondArray::from(each(&number(40), i64::from)))),
        ("b", Arc::new(BooleanArray::from(each(&number(2), |number| number == 0)))),
    ];
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, name != "k")),
    )
    .unwrap()
}

const ANY: [&str; 11] = ["i", "n", "x", "r", "d", "s", "v", "c", "t", "m", "b"];
const SUMMED: [&str; 5] = ["i", "n", "x", "r", "d"];
const ORDERED: [&str; 7] = ["i", "n", "d", "s", "v", "t", "m"];
const MIDDLED: [&str; 6] = ["i", "n", "x", "r", "d", "z"];

/// A random aggregate.
fn aggregate(random: &mut Random) -> String {
    let mut text = match random.below(15) {
        0..=2 => format!("count(DISTINCT {})", random.of(&ANY)),
        3 => format!("sum(DISTINCT {})", random.of(&SUMMED)),
        4 => format!("avg(DISTINCT {})", random.of(&SUMMED)),
        5 => format!("{}({})", random.of(&["sum", "avg", "count"]), random.of(&SUMMED)),
        6 => "count(*)".to_string(),
        7 => {
            let distinct = random.of(&["", "DISTINCT "]);
            format!("{}({distinct}{})", random.of(&["min", "max"]), random.of(&ORDERED))
        }
        8 => random
            .of(&[
                "bool_and(b)",
                "bool_or(DISTINCT b)",
                "bit_xor(i)",
                "bit_and(n)",
                "stddev(i)",
                "corr(i, n)",
                "approx_distinct(i)",
            ])
            .to_string(),
        9 => "array_agg(DISTINCT n ORDER BY n)".to_string(),
        10 | 11 => format!("median({})", random.of(&MIDDLED)),
        12 => format!("median(DISTINCT {})", random.of(&SUMMED)),
        _ => {
            let fraction = random.of(&["0", "0.1", "0.25", "0.333", "0.5", "0.77", "0.999", "1"]);
            // The first and the last are DataFusion's `min` and `max`, which may give any NaN.
            let column = if fraction.len() == 1 { "d" } else { random.of(&MIDDLED) };
            let direction = random.of(&["", " DESC"]);
            format!("percentile_cont({fraction}) WITHIN GROUP (ORDER BY {column}{direction})")
        }
    };
    if random.one_in(4) {
        let condition = random.of(&["n > 4", "b", "i < 0", "x > 2.5 OR s = 's1'", "i > 1000"]);
        let _ = write!(text, " FILTER (WHERE {condition})");
    }
    text
}

/// A random query over `t`.
fn query(random: &mut Random) -> String {
    let mut aggregates: Vec<String> = Vec::new();
    for _ in 0..=random.below(4) {
        let aggregate = aggregate(random);
        if !aggregates.contains(&aggregate) {
            aggregates.push(aggregate);
        }
    }
    let keys = random.of(&["", "", "g", "h", "k", "z", "b", "g, h", "k, z", "i % 3", "g, n + 1"]);
    let mut from = random.of(&[
        "t",
        "t",
        "(SELECT * FROM t WHERE i > 0)",
        "(SELECT * FROM t WHERE i > 1000)",
        "(SELECT * FROM t UNION ALL SELECT * FROM t WHERE n < 3)",
        "(SELECT DISTINCT * FROM t)",
    ]);
    if aggregates.iter().any(|text| text.contains("corr") || text.contains("stddev")) {
        from = "t";
    }
    let mut sql = String::from("SELECT ");
    if !keys.is_empty() {
        let _ = write!(sql, "{keys}, ");
    }
    let _ = write!(sql, "{} FROM {from} AS t", aggregates.join(", "));
    if !keys.is_empty() {
        let _ = write!(sql, " GROUP BY {keys}");
    }
    if random.one_in(4) {
        let having = random.of(&[
            "count(DISTINCT i) > 3",
            "sum(DISTINCT i) = sum(DISTINCT n)",
            "median(i) >= 2",
            "count(*) > 5 AND median(d) < 100",
        ]);
        let _ = write!(sql, " HAVING {having}");
    }
    sql
}

/// Rows as text, sorted.
fn rows(batches: &[RecordBatch]) -> Vec<Vec<String>> {
    let Some(first) = batches.first() else { return Vec::new() };
    let batch = concat_batches(&first.schema(), batches).unwrap();
    let options = FormatOptions::default().with_null("NULL");
    let columns = batch.columns().iter();
    let formatters: Vec<_> =
        columns.map(|column| ArrayFormatter::try_new(column, &options).unwrap()).collect();
    let text = |row: usize| {
        let cell = |formatter: &ArrayFormatter<'_>| match formatter.value(row).to_string().as_str()
        {
            "-0.0" => "0.0".to_string(),
            other => other.to_string(),
        };
        formatters.iter().map(cell).collect()
    };
    let mut rows: Vec<Vec<String>> = (0..batch.num_rows()).map(text).collect();
    // By the first digits: the last ones of a float may differ.
    rows.sort_by_key(|row| {
        row.iter().map(|cell| cell.chars().take(7).collect()).collect::<Vec<String>>()
    });
    rows
}

fn is_same(actual: &str, expected: &str) -> bool {
    match (actual.parse::<f64>(), expected.parse::<f64>()) {
        (Ok(actual), Ok(expected)) if actual.is_finite() => {
            is_near(actual, expected) || (actual - expected).abs() < 1e-9
        }
        _ => actual == expected,
    }
}

/// What is wrong with an answer, if something is.
fn difference(actual: &[Vec<String>], expected: &[Vec<String>]) -> Option<String> {
    let same = actual.len() == expected.len()
        && actual.iter().zip(expected).all(|(actual, expected)| {
            actual.iter().zip(expected).all(|(actual, expected)| is_same(actual, expected))
        });
    (!same).then(|| format!("is\n{actual:?}\nand should be\n{expected:?}"))
}

async fn answer(session: &Session, sql: &str) -> Vec<RecordBatch> {
    let frame = session.sql(sql).await.unwrap_or_else(|err| panic!("{sql}: {err}"));
    frame.collect().await.unwrap_or_else(|err| panic!("{sql}: {err}"))
}

/// A session with a table of a file, which gives up attempts to keep values in memory if told so.
async fn session(place: &Place, attempt_bytes: Option<u64>, threads: usize) -> Session {
    let knobs = Knobs { attempt_bytes, reserved_only: true, ..Knobs::default() };
    let options = SessionOptions::new().temp_dirs([place.temporary()]).threads(threads);
    let mut options = options.memory_limit_bytes(512 << 20).batch_rows(64);
    options.knobs = knobs;
    let session = Session::new(options).unwrap();
    let frame = session.read_arrow(place.path("t.arrow")).await.unwrap();
    session.register("t", frame).unwrap();
    session
}

fn write_table(place: &Place, batch: &RecordBatch) {
    let file = File::create(place.path("t.arrow")).unwrap();
    let mut writer = FileWriter::try_new(file, &batch.schema()).unwrap();
    for start in (0..batch.num_rows()).step_by(100) {
        writer.write(&batch.slice(start, 100.min(batch.num_rows() - start))).unwrap();
    }
    writer.finish().unwrap();
}

/// Random queries of a seed, in all setups.
async fn compare(seed: u64, queries: usize, table_rows: usize) {
    let mut random = Random::new(seed);
    let batch = table(&mut random, table_rows);
    let place = Place::new();
    write_table(&place, &batch);
    let plain = SessionContext::new_with_config(SessionConfig::new().with_target_partitions(2));
    // It would make other plans, of which some change the type of a sum.
    plain.remove_optimizer_rule("single_distinct_aggregation_to_group_by");
    plain.register_batch("t", batch).unwrap();
    let setups = [
        ("in memory", session(&place, None, 2).await),
        ("given up", session(&place, Some(0), 2).await),
        ("given up halfway, one thread", session(&place, Some(3000), 1).await),
    ];
    let mut wrong = Vec::new();
    for _ in 0..queries {
        let sql = query(&mut random);
        let expected = match plain.sql(&sql).await {
            Ok(frame) => frame.collect().await,
            Err(err) => Err(err),
        };
        let expected = expected.unwrap_or_else(|err| panic!("DataFusion, {sql}: {err}"));
        for (setup, session) in &setups {
            let what = format!("seed {seed}, {setup}: {sql}");
            let actual = answer(session, &sql).await;
            wrong.extend(difference(&rows(&actual), &rows(&expected)).map(|is| what.clone() + &is));
            if let (Some(actual), Some(expected)) = (types(&actual), types(&expected))
                && actual != expected
            {
                wrong.push(format!("{what} has the types {actual:?}, not {expected:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n\n"));
}

fn types(batches: &[RecordBatch]) -> Option<Vec<DataType>> {
    let schema = batches.first()?.schema();
    Some(schema.fields().iter().map(|field| field.data_type().clone()).collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn random_queries_give_what_accumulators_give() {
    for seed in 0..6 {
        compare(seed, 60, 700).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn so_they_do_on_few_rows_and_on_none() {
    for (seed, rows) in [(100, 0), (101, 1), (102, 2), (103, 5), (104, 12)] {
        compare(seed, 40, rows).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_values_than_memory() {
    let place = Place::new();
    let mut options = SessionOptions::new().temp_dirs([place.temporary()]).threads(2);
    options.knobs = Knobs { reserved_only: true, ..Knobs::default() };
    let session = Session::new(options.memory_limit_bytes(48 << 20)).unwrap();
    let sql = "SELECT value % 2 AS g, median(value), count(DISTINCT value),
        count(DISTINCT value % 1000), percentile_cont(0.25) WITHIN GROUP (ORDER BY value), count(*)
        FROM generate_series(1, 2000000) GROUP BY value % 2";
    let rows = rows(&answer(&session, sql).await);
    let expected = [
        ["0", "1000001.0", "1000000", "500", "500001.5", "1000000"],
        ["1", "1000000.0", "1000000", "500", "500000.5", "1000000"],
    ];
    assert_eq!(difference(&rows, &expected.map(|row| row.map(str::to_string).to_vec())), None);
    assert!(session.spill_metrics().written_bytes > 0, "{:?}", session.spill_metrics());
}
