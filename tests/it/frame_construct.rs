//! Frames of values, batches, ranges and files; files of frames.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, TimeUnit};
use brimful::{CsvOptions, DataFrame, ErrorKind, IfExists, ReadOptions, WriteOptions, col, lit};
use chrono::{NaiveDate, NaiveDateTime};
use datafusion::logical_expr::{Volatility, create_udaf, create_udf};

use crate::support::{
    Place, assert_query_error, files_below, in_line, in_line_sorted, plain_session,
};

fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

fn time(text: &str) -> NaiveDateTime {
    text.parse().unwrap()
}

#[tokio::test]
async fn values_of_a_program() {
    let frame = plain_session()
        .frame([
            ("n", vec![1, 2].into()),
            ("some", vec![Some(1.5), None].into()),
            ("text", vec![Some("a"), None].into()),
            ("owned", vec!["x".to_string(), "y".to_string()].into()),
            ("ok", vec![true, false].into()),
            ("day", vec![day("2024-02-29"), day("1969-12-31")].into()),
            ("at", vec![Some(time("2024-01-02T03:04:05")), None].into()),
            ("big", vec![u64::MAX, 0].into()),
        ])
        .unwrap();
    assert_eq!(
        frame.dtypes(),
        [
            DataType::Int32,
            DataType::Float64,
            DataType::Utf8View,
            DataType::Utf8View,
            DataType::Boolean,
            DataType::Date32,
            DataType::Timestamp(TimeUnit::Microsecond, None),
            DataType::UInt64,
        ]
    );
    assert_eq!(
        in_line(frame).await,
        "1 1.5 a x true 2024-02-29 2024-01-02T03:04:05 18446744073709551615 | \
         2 - - y false 1969-12-31 - 0"
    );
    assert_query_error(
        plain_session().frame([("a", vec![1, 2].into()), ("b", vec![1].into())]),
        "the column \"b\" has 1 values and \"a\" has 2",
        None,
    );
    assert!(plain_session().frame([("a", vec![1].into()), ("a", vec![2].into())]).is_err());
}

#[tokio::test]
async fn batches_of_arrow() {
    let batch = |values: Vec<i64>| {
        let column: ArrayRef = Arc::new(Int64Array::from(values));
        RecordBatch::try_from_iter([("n", column)]).unwrap()
    };
    let session = plain_session();
    let frame = session.read_batches([batch(vec![1, 2]), batch(vec![3])]).unwrap();
    assert_eq!(in_line_sorted(frame.clone()).await, "1 | 2 | 3");
    let sum: i64 = frame.collect().await.unwrap().iter().map(|batch| batch.num_rows() as i64).sum();
    assert_eq!(sum, 3);
    assert_eq!(session.read_batches([]).unwrap_err().kind(), ErrorKind::Query);
    let other: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let other = RecordBatch::try_from_iter([("m", other)]).unwrap();
    assert!(session.read_batches([batch(vec![1]), other]).is_err());
}

#[tokio::test]
async fn ranges_of_integers() {
    let session = plain_session();
    assert_eq!(in_line(session.range(0, 10, 4).unwrap()).await, "0 | 4 | 8");
    assert_eq!(in_line(session.range(3, 0, -1).unwrap()).await, "3 | 2 | 1");
    assert_eq!(in_line(session.range(3, 3, 1).unwrap()).await, "");
    assert_eq!(session.range(0, 1, 0).unwrap_err().kind(), ErrorKind::Query);
}

#[tokio::test]
async fn ranges_of_days_and_times() {
    let session = plain_session();
    // pandas: date_range with freq D, MS and 6h.
    let days = session.date_range(day("2024-02-28"), day("2024-03-01"), "1 day").unwrap();
    assert_eq!(days.dtypes(), [DataType::Date32]);
    assert_eq!(in_line(days).await, "2024-02-28 | 2024-02-29 | 2024-03-01");
    let months = session.date_range(day("2023-11-01"), day("2024-01-31"), "1mo").unwrap();
    assert_eq!(in_line(months).await, "2023-11-01 | 2023-12-01 | 2024-01-01");
    let hours = session.date_range(day("2024-01-01"), time("2024-01-01T12:00:00"), "6h").unwrap();
    assert_eq!(
        in_line(hours).await,
        "2024-01-01T00:00:00 | 2024-01-01T06:00:00 | 2024-01-01T12:00:00"
    );
    // pl.date_range(date(2024, 1, 31), date(2024, 5, 30), "1mo")
    let ends = session.date_range(day("2024-01-31"), day("2024-05-30"), "1mo").unwrap();
    assert_eq!(in_line(ends).await, "2024-01-31 | 2024-02-29 | 2024-03-31 | 2024-04-30");
    let back = session.date_range(day("2024-03-31"), day("2024-01-01"), "-1mo").unwrap();
    assert_eq!(in_line(back).await, "2024-03-31 | 2024-02-29 | 2024-01-31");
    let far = session.date_range(day("9998-12-31"), day("9999-12-31"), "1q").unwrap();
    assert_eq!(far.clone().count().await.unwrap(), 5);
    assert_eq!(in_line(far.tail(1).unwrap()).await, "9999-12-31");
    let none = session.date_range(day("2024-01-03"), day("2024-01-02"), "1d").unwrap();
    assert_eq!(none.count().await.unwrap(), 0);
    let times = session.date_range(time("2024-01-01T00:00:00"), day("2024-01-02"), "1d").unwrap();
    let microseconds = DataType::Timestamp(TimeUnit::Microsecond, None);
    assert_eq!(times.dtypes(), [microseconds]);
    let back = session.date_range(day("2024-01-03"), day("2024-01-02"), "-1 day").unwrap();
    assert_eq!(in_line(back).await, "2024-01-03 | 2024-01-02");
    for interval in ["0 days", "often", "", "3i", "1ns"] {
        let result = session.date_range(day("2024-01-01"), day("2024-01-02"), interval);
        assert_eq!(result.unwrap_err().kind(), ErrorKind::Query, "{interval}");
    }
}

#[tokio::test]
async fn a_frame_of_a_statement() {
    let session = plain_session();
    session.register("mine", session.range(0, 3, 1).unwrap()).unwrap();
    let frame = session.sql("SELECT sum(value) AS s FROM mine").await.unwrap();
    assert_eq!(in_line(frame).await, "3");
}

#[tokio::test]
async fn functions_of_a_program_are_known_to_sql() {
    use datafusion::functions_aggregate::sum::sum_udaf;
    use datafusion::logical_expr::ColumnarValue;
    let session = plain_session();
    let twice = create_udf(
        "twice",
        vec![DataType::Int64],
        DataType::Int64,
        Volatility::Immutable,
        Arc::new(|arguments: &[ColumnarValue]| {
            let values = arguments[0].to_array(1)?;
            let sums = arrow::compute::kernels::numeric::add(&values, &values)?;
            Ok(ColumnarValue::Array(sums))
        }),
    );
    session.register_udf(twice.clone());
    let total = create_udaf(
        "total",
        vec![DataType::Int64],
        Arc::new(DataType::Int64),
        Volatility::Immutable,
        Arc::new(|arguments| sum_udaf().accumulator(arguments)),
        Arc::new(vec![DataType::Int64]),
    );
    session.register_udaf(total.clone());
    let frame = session.sql("SELECT total(twice(value)) AS t FROM range(0, 4)").await.unwrap();
    assert_eq!(in_line(frame).await, "12");
    let rows = session.range(0, 4, 1).unwrap();
    let frame = rows.agg([total.call(vec![twice.call(vec![col("value")])]).alias("t")]).unwrap();
    assert_eq!(in_line(frame).await, "12");
}

/// Ten rows: `n`, and `k` with three values.
fn ten() -> DataFrame {
    let rows = plain_session().range(0, 10, 1).unwrap();
    rows.select([col("value").alias("n"), (col("value") % lit(3)).alias("k")]).unwrap()
}

async fn sum_of(frame: DataFrame) -> String {
    in_line(
        frame
            .select([col("n")])
            .unwrap()
            .agg([brimful::aggregates::len(), brimful::aggregates::sum(col("n"))])
            .unwrap(),
    )
    .await
}

#[tokio::test]
async fn files_of_every_format_with_options() {
    let place = Place::new();
    let session = plain_session();
    let names = ["a.csv", "a.csv.gz", "a.tsv", "a.parquet", "a.json", "a.ndjson.zst", "a.arrow"];
    for name in names {
        let path = place.path(name);
        let metrics = ten().write(&path, WriteOptions::new()).await.unwrap();
        assert_eq!(metrics.rows, 10, "{name}");
        let back = session.read([path.to_string_lossy()], ReadOptions::new()).await.unwrap();
        assert_eq!(sum_of(back).await, "10 45", "{name}");
    }
    assert_eq!(place.names().len(), names.len());
    assert!(place.read("a.tsv").starts_with("n\tk\n0\t0\n"));
    ten()
        .write(place.path("b"), WriteOptions::csv().single_file(true).option("delimiter", ";"))
        .await
        .unwrap();
    assert!(place.read("b").starts_with("n;k\n0;0\n"));
    ten().write(place.path("c.bin"), WriteOptions::json().compression("gzip")).await.unwrap();
    let options = ReadOptions::json().compression("gzip").unwrap();
    let back = session.read([place.path("c.bin").to_string_lossy()], options).await.unwrap();
    assert_eq!(sum_of(back).await, "10 45");
    for (name, options) in [
        ("d", WriteOptions::new()),
        ("d.csv", WriteOptions::new().option("delimiterr", ";")),
        ("d.csv", WriteOptions::new().compression("rar")),
    ] {
        let error = ten().write(place.path(name), options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    }
    assert!(!place.names().iter().any(|name| name.starts_with('d') || name.starts_with('.')));
}

#[tokio::test]
async fn a_folder_for_each_value() {
    let place = Place::new();
    let folder = place.path("out");
    let by_k = || WriteOptions::parquet().partition_by(["K"]).compression("zstd(3)");
    ten().write(&folder, by_k()).await.unwrap();
    let mut folders: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    assert_eq!(folders, ["k=0", "k=1", "k=2"]);
    let session = plain_session();
    let read = |options| session.read([folder.to_string_lossy()], options);
    let back = read(ReadOptions::parquet()).await.unwrap();
    assert_eq!(back.columns(), ["n", "k"]);
    let ones = back.filter(col("k").eq(lit(1))).unwrap();
    assert_eq!(sum_of(ones).await, "3 12");
    let named = read(ReadOptions::parquet().filename("file")).await.unwrap();
    let files = named.select([col("file")]).unwrap().distinct().unwrap();
    assert_eq!(files.count().await.unwrap(), 3);
    let plain = read(ReadOptions::parquet().hive_partitioning(false)).await.unwrap();
    assert_eq!(plain.columns(), ["n"]);
    assert_query_error(
        ten().write(place.path("other"), WriteOptions::csv().partition_by(["kk"])).await,
        "no column \"kk\"",
        Some("the columns are n, k"),
    );
}

#[tokio::test]
async fn what_is_there_is_added_to_replaced_or_kept() {
    let place = Place::new();
    let session = plain_session();
    let folder = place.path("out");
    let rows = || async {
        let back = session.read([folder.to_string_lossy()], ReadOptions::new()).await;
        sum_of(back.unwrap()).await
    };
    let write = |what| ten().write(folder.clone(), WriteOptions::csv().if_exists(what));
    write(IfExists::Fail).await.unwrap();
    assert_eq!(rows().await, "10 45");
    write(IfExists::Append).await.unwrap();
    assert_eq!(rows().await, "20 90");
    assert_eq!(write(IfExists::Fail).await.unwrap_err().kind(), ErrorKind::Io);
    let unsaid = ten().write(&folder, WriteOptions::csv()).await.unwrap_err();
    assert_eq!(unsaid.kind(), ErrorKind::Io);
    assert!(unsaid.hint().is_some_and(|hint| hint.contains("if_exists")), "{unsaid}");
    assert_eq!(rows().await, "20 90");
    // The rows that are written come from what they replace.
    let twenty = session.read([folder.to_string_lossy()], ReadOptions::new()).await.unwrap();
    let options = WriteOptions::csv().if_exists(IfExists::Replace);
    let five = twenty.filter(col("n").lt(lit(5))).unwrap();
    five.write(&folder, options.clone()).await.unwrap();
    assert_eq!(rows().await, "10 20");
    // A write that fails leaves all as it was.
    let bad = ten().with_column("n", lit(1) / (col("n") - lit(5))).unwrap();
    assert!(bad.write(&folder, options).await.is_err());
    assert_eq!(rows().await, "10 20");
    assert_eq!(place.names(), ["out"]);
    assert!(files_below(&folder).iter().all(|path| path.extension().is_some_and(|e| e == "csv")));

    let file = place.path("a.csv");
    ten().write(&file, WriteOptions::new()).await.unwrap();
    ten()
        .limit(0)
        .unwrap()
        .write(&file, WriteOptions::new().if_exists(IfExists::Replace))
        .await
        .unwrap();
    assert_eq!(place.read("a.csv"), "n,k\n");
    let kept = ten().write(&file, WriteOptions::new().if_exists(IfExists::Fail)).await;
    assert_eq!(kept.unwrap_err().kind(), ErrorKind::Io);
    let added = ten().write(&file, WriteOptions::new().if_exists(IfExists::Append)).await;
    assert_eq!(added.unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn files_with_other_columns_are_one_frame() {
    let place = Place::new();
    place.write("a.json", "{\"n\": 1}\n");
    place.write("b.json", "{\"n\": 2, \"t\": \"x\"}\n");
    place.write("d.json", "[{\"n\": 4}]");
    place.write("c.csv", "n\n3\n");
    let session = plain_session();
    let paths = ["a.json", "b.json"].map(|name| place.path(name).to_string_lossy().into_owned());
    let options = ReadOptions::json().union_by_name(true);
    let frame = session.read(paths, options).await.unwrap();
    assert_eq!(in_line_sorted(frame).await, "1 - | 2 x");
    let array = ReadOptions::json().json_array(true);
    let frame = session.read([place.path("d.json").to_string_lossy()], array).await.unwrap();
    assert_eq!(in_line(frame).await, "4");
    let csv = session.read_csv(place.path("c.csv"), CsvOptions::new()).await.unwrap();
    assert_eq!(in_line(csv).await, "3");
    assert_eq!(ReadOptions::new().compression("rar").unwrap_err().kind(), ErrorKind::Config);
}
