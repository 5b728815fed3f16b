//! The embedded dataframe: every method on small tables, and the headline workloads against SQL.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use brimful::aggregates::{avg, count, max, sum};
use brimful::functions::{cast, right};
use brimful::{CsvOptions, DataFrame, Error, ErrorKind, Join, Session, SessionOptions, col, lit};
use datafusion::functions_aggregate::count::count_all;
use futures::TryStreamExt;

use crate::support::{Place, assert_same, project};

fn session() -> Session {
    Session::new(SessionOptions::new().threads(2)).unwrap()
}

/// A table of one statement.
async fn rows_of(sql: &str) -> DataFrame {
    session().sql(sql).await.unwrap()
}

/// The values as text, `-` for NULL.
async fn values(frame: DataFrame) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("-");
    let mut rows = Vec::new();
    for batch in frame.collect().await.unwrap() {
        let formatter = |column| ArrayFormatter::try_new(column, &options).unwrap();
        let columns: Vec<_> = batch.columns().iter().map(|c| formatter(c.as_ref())).collect();
        let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect();
        rows.extend((0..batch.num_rows()).map(row));
    }
    rows
}

/// The values in one line: `1 x | 2 y`.
async fn line(frame: DataFrame) -> String {
    values(frame).await.iter().map(|row| row.join(" ")).collect::<Vec<_>>().join(" | ")
}

fn names(frame: &DataFrame) -> Vec<String> {
    frame.schema().fields().iter().map(|field| field.name().clone()).collect()
}

fn up(name: &str) -> brimful::SortExpr {
    col(name).sort(true, false)
}

const PEOPLE: &str = "SELECT * FROM (VALUES (1, 'Ann', 30), (2, 'Bob', NULL), (3, 'Cid', 30)) \
                      AS t(\"Id\", name, age)";

const PETS: &str = "SELECT * FROM (VALUES (1, 'cat'), (1, 'dog'), (4, 'eel')) AS t(id, name)";

#[tokio::test]
async fn select_filter_sort_and_limit() {
    let people = rows_of(PEOPLE).await;
    let frame = people.clone().select([col("NAME"), (col("id") * lit(2)).alias("double")]).unwrap();
    assert_eq!(names(&frame), ["name", "double"]);
    let frame = frame.filter(col("double").gt(lit(2))).unwrap();
    let frame = frame.sort([col("double").sort(false, false)]).unwrap();
    assert_eq!(line(frame.clone()).await, "Cid 6 | Bob 4");
    assert_eq!(line(frame.limit(1).unwrap()).await, "Cid 6");
    let nulls_first = people.clone().sort([col("age").sort(true, true), up("id")]).unwrap();
    assert_eq!(line(nulls_first).await, "2 Bob - | 1 Ann 30 | 3 Cid 30");
    assert_eq!(people.limit(0).unwrap().count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_column_is_added_or_replaced() {
    let people = rows_of(PEOPLE).await.sort([up("id")]).unwrap();
    let added = people.clone().with_column("next", col("id") + lit(1)).unwrap();
    assert_eq!(names(&added), ["Id", "name", "age", "next"]);
    let replaced = added.with_column("ID", col("next") * lit(10)).unwrap();
    assert_eq!(names(&replaced), ["Id", "name", "age", "next"]);
    assert_eq!(line(replaced).await, "20 Ann 30 2 | 30 Bob - 3 | 40 Cid 30 4");
}

#[tokio::test]
async fn groups_and_one_group() {
    let people = rows_of(PEOPLE).await;
    let grouped = people.clone().group_by([col("Age")]);
    let frame = grouped.agg([count(col("name")).alias("n"), max(col("ID")).alias("last")]).unwrap();
    assert_eq!(names(&frame), ["age", "n", "last"]);
    assert_eq!(line(frame.sort([up("age")]).unwrap()).await, "30 2 3 | - 1 2");
    let all = people.group_by([]).agg([sum(col("age")).alias("ages")]).unwrap();
    assert_eq!(line(all).await, "60");
}

#[tokio::test]
async fn joins_keep_the_rows_of_their_kind() {
    let people = rows_of(PEOPLE).await.select([col("id"), col("name")]).unwrap();
    let pets = rows_of(PETS).await;
    let expected = [
        (Join::Inner, "1 Ann cat | 1 Ann dog"),
        (Join::Left, "1 Ann cat | 1 Ann dog | 2 Bob - | 3 Cid -"),
        (Join::Right, "1 Ann cat | 1 Ann dog | 4 - eel"),
        (Join::Full, "1 Ann cat | 1 Ann dog | 2 Bob - | 3 Cid - | 4 - eel"),
        (Join::Semi, "1 Ann"),
        (Join::Anti, "2 Bob | 3 Cid"),
    ];
    for (how, rows) in expected {
        let frame = people.clone().join(pets.clone(), &["id"], how).unwrap();
        let two_sides = !matches!(how, Join::Semi | Join::Anti);
        let columns = if two_sides { vec!["Id", "name", "name_right"] } else { vec!["Id", "name"] };
        assert_eq!(names(&frame), columns, "{how:?}");
        let last = if two_sides { "name_right" } else { "name" };
        let frame = frame.sort([up("id"), up(last)]).unwrap();
        assert_eq!(line(frame).await, rows, "{how:?}");
    }
}

#[tokio::test]
async fn joins_on_other_names_and_of_a_table_with_itself() {
    let people = rows_of(PEOPLE).await.select([col("id"), col("name")]).unwrap();
    let owners = rows_of("SELECT 3 AS owner, 'fox' AS pet UNION ALL SELECT 9, 'gnu'").await;
    let frame = people.clone().join_on(owners, &["ID"], &["Owner"], Join::Full).unwrap();
    assert_eq!(names(&frame), ["Id", "name", "pet"]);
    let frame = frame.filter(col("pet").is_not_null()).unwrap().sort([up("id")]).unwrap();
    assert_eq!(line(frame).await, "3 Cid fox | 9 - gnu");
    let twice = people.clone().join(people.clone(), &["id", "name"], Join::Inner).unwrap();
    assert_eq!(names(&twice), ["Id", "name"]);
    assert_eq!(twice.count().await.unwrap(), 3);
    let twice = people.clone().join(people.clone(), &["id"], Join::Inner).unwrap();
    assert_eq!(names(&twice), ["Id", "name", "name_right"]);
    for (left, right) in [(vec!["id"], vec![]), (vec![], vec![])] {
        let error = people.clone().join_on(people.clone(), &left, &right, Join::Inner).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Query);
    }
}

#[tokio::test]
async fn keys_that_are_null_do_not_match() {
    let left = rows_of("SELECT NULL::BIGINT AS k, 1 AS a UNION ALL SELECT 5, 2").await;
    let right = rows_of("SELECT NULL::BIGINT AS k, 3 AS b UNION ALL SELECT 5, 4").await;
    let full = left.join(right, &["k"], Join::Full).unwrap().sort([up("k"), up("a")]).unwrap();
    assert_eq!(line(full).await, "5 2 4 | - 1 - | - - 3");
}

#[tokio::test]
async fn distinct_and_union() {
    let pets = rows_of(PETS).await;
    let ids = pets.clone().select([col("id")]).unwrap();
    let both = ids.clone().union(ids.clone()).unwrap();
    assert_eq!(both.clone().count().await.unwrap(), 6);
    assert_eq!(line(both.distinct().unwrap().sort([up("id")]).unwrap()).await, "1 | 4");
    assert_eq!(ids.union(pets).unwrap_err().kind(), ErrorKind::Query);
}

#[tokio::test]
async fn every_format_is_written_and_read_back() {
    let place = Place::new();
    let session = session();
    let sql = "SELECT value AS n, 'a,\"' || value AS t, value / 4.0 AS x, \
               CASE WHEN value % 3 > 0 THEN value END AS sometimes, \
               to_timestamp(value * 86400) AS at FROM generate_series(1, 1000)";
    let frame = session.sql(sql).await.unwrap();
    let expected = values(frame.clone().sort([up("n")]).unwrap()).await;
    for ending in ["csv", "parquet", "json", "arrow"] {
        let path = place.path(&format!("a.{ending}"));
        let frame = frame.clone();
        let metrics = match ending {
            "csv" => frame.write_csv(&path).await,
            "parquet" => frame.write_parquet(&path).await,
            "json" => frame.write_json(&path).await,
            _ => frame.write_arrow(&path).await,
        };
        assert_eq!(metrics.unwrap().rows, 1000, "{ending}");
        let back = match ending {
            "csv" => session.read_csv(&path, CsvOptions::new()).await,
            "parquet" => session.read_parquet(&path).await,
            "json" => session.read_json(&path).await,
            _ => session.read_arrow(&path).await,
        };
        let columns = ["n", "t", "x", "sometimes", "at"].map(col);
        let back = back.unwrap().select(columns).unwrap().sort([up("n")]).unwrap();
        let back = values(back).await;
        assert_same(ending, &loose(back), &loose(expected.clone()));
    }
    assert_eq!(place.names(), ["a.arrow", "a.csv", "a.json", "a.parquet"]);
}

/// Without the difference between a time as text and as a time.
fn loose(rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let plain = |value: String| value.replace('T', " ").trim_end_matches('Z').to_string();
    rows.into_iter().map(|row| row.into_iter().map(plain).collect()).collect()
}

#[tokio::test]
async fn a_failed_write_keeps_the_old_file() {
    let place = Place::new();
    place.write("a.csv", "old");
    let frame = rows_of("SELECT 1 / (value - 50000) FROM generate_series(1, 60000)").await;
    let error = frame.write_csv(place.path("a.csv")).await.unwrap_err();
    assert_eq!((error.kind(), place.read("a.csv").as_str()), (ErrorKind::Query, "old"));
    assert_eq!(place.names(), ["a.csv"]);
}

#[tokio::test]
async fn csv_options_are_kept() {
    let place = Place::new();
    place.write("a.txt", "1|'x|y'|none\n# no row\n2|z|5\n");
    let options = CsvOptions::new().delimiter(b'|').quote(b'\'').comment(b'#').header(false);
    let frame =
        session().read_csv(place.path("a.txt"), options.null_words(["none"])).await.unwrap();
    assert_eq!(line(frame).await, "1 x|y - | 2 z 5");
    assert_eq!(CsvOptions::new().compression("rar").unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn globs_and_folders_are_one_table() {
    let place = Place::new();
    for n in 1..=3 {
        std::fs::create_dir_all(place.path(&format!("folder/n={n}"))).unwrap();
        place.write(&format!("folder/n={n}/a.csv"), format!("x\n{}\n", n * 10));
    }
    let session = session();
    let all = session.read_csv(place.path("folder"), CsvOptions::new()).await.unwrap();
    assert_eq!(line(all.sort([up("n")]).unwrap()).await, "10 1 | 20 2 | 30 3");
    let glob = session.read_csv(place.path("folder/*/a.csv"), CsvOptions::new()).await.unwrap();
    assert_eq!(glob.count().await.unwrap(), 3);
}

#[tokio::test]
async fn a_dropped_stream_leaves_no_temporary_file() {
    let place = Place::new();
    let options = SessionOptions::new().threads(2).memory_limit_bytes(128 << 20);
    let session = Session::new(options.temp_dirs([place.temporary()])).unwrap();
    let sql = "SELECT value, repeat('x', 40) AS pad FROM generate_series(1, 2000000) \
               ORDER BY (value * 7919) % 1000003";
    let mut stream = session.sql(sql).await.unwrap().stream().await.unwrap();
    assert!(stream.try_next().await.unwrap().is_some());
    assert!(stream.metrics().spilled_bytes > 0);
    assert!(place.temporary_bytes() > 0);
    drop(stream);
    let gone = || place.temporary_bytes() == 0;
    for _ in 0..1000 {
        if !gone() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }
    assert!(gone(), "files are left");
    drop(session);
    assert_eq!(place.temporary().read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn a_stream_counts_what_it_gives() {
    let place = Place::new();
    place.write("a.csv", "n\n1\n2\n3\n");
    let frame = session().read_csv(place.path("a.csv"), CsvOptions::new()).await.unwrap();
    let mut stream = frame.stream().await.unwrap();
    assert_eq!(stream.schema().field(0).name(), "n");
    while stream.try_next().await.unwrap().is_some() {}
    assert_eq!((stream.metrics().rows, stream.metrics().bytes_read), (3, 8));
}

#[tokio::test]
async fn plans_are_explained() {
    let place = Place::new();
    place.write("a.csv", "n\n1\n2\n3\n");
    let frame = session().read_csv(place.path("a.csv"), CsvOptions::new()).await.unwrap();
    let frame = frame.filter(col("n").gt(lit(1))).unwrap();
    let plan = frame.clone().explain(false).await.unwrap();
    assert!(plan.contains("logical plan") && plan.contains("physical plan"), "{plan}");
    let plan = frame.explain(true).await.unwrap();
    assert!(plan.contains("output_rows=2"), "{plan}");
}

#[tokio::test]
async fn tables_of_a_session() {
    let session = session();
    let column: ArrayRef = Arc::new(Int64Array::from(vec![1, 2]));
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["a", "b"]));
    let batch = RecordBatch::try_from_iter([("n", column), ("t", texts)]).unwrap();
    let frame = session.sql("SELECT 1 AS one").await.unwrap();
    session.register("Mine", frame).unwrap();
    session.sql("CREATE VIEW seen AS SELECT 2 AS two").await.unwrap();
    assert_eq!(session.table_names(), ["Mine", "seen"]);
    assert_eq!(line(session.table("Mine").await.unwrap()).await, "1");
    assert_eq!(line(session.sql("SELECT one + two FROM mine, seen").await.unwrap()).await, "3");
    assert_eq!(session.table("none").await.unwrap_err().kind(), ErrorKind::Query);
    assert_eq!(batch.num_rows(), 2);
}

#[tokio::test]
async fn names_match_whatever_their_case_when_one_is_meant() {
    let frame = rows_of("SELECT 1 AS \"Total\", 2 AS \"total_x\"").await;
    for name in ["Total", "total", "TOTAL"] {
        assert_eq!(line(frame.clone().select([col(name)]).unwrap()).await, "1", "{name}");
    }
    let frame = rows_of("SELECT 1 AS \"Aa\", 2 AS \"AA\"").await;
    assert_eq!(line(frame.clone().select([col("AA")]).unwrap()).await, "2");
    let error = frame.select([col("aa")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Query);
    assert!(error.to_string().contains("\"aa\" is ambiguous: "), "{error}");
}

#[tokio::test]
async fn unknown_names_are_suggested() {
    let frame = rows_of(PEOPLE).await;
    let errors: [Error; 5] = [
        frame.clone().select([col("nmae")]).unwrap_err(),
        frame.clone().filter(col("nmae").is_null()).unwrap_err(),
        frame.clone().with_column("x", col("nmae")).unwrap_err(),
        frame.clone().sort([up("nmae")]).unwrap_err(),
        frame.clone().join(frame.clone(), &["nmae"], Join::Inner).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Query);
        assert_eq!(error.to_string(), "no column \"nmae\"");
        assert_eq!(error.hint(), Some("did you mean \"name\"?"));
    }
    let error = frame.group_by([col("zzz")]).agg([count(col("id"))]).unwrap_err();
    assert_eq!(error.hint(), Some("the columns are Id, name, age"));
}

#[tokio::test]
async fn errors_have_their_kind() {
    let place = Place::new();
    place.write("bad.csv", "a,b\n1\n");
    place.write("bad.parquet", "nonsense, and not short");
    let session = session();
    let kind = |error: Error| error.kind();
    let options = CsvOptions::new;
    let missing = session.read_csv(place.path("none.csv"), options()).await.unwrap_err();
    assert_eq!(kind(missing), ErrorKind::Io);
    let bad = session.read_csv(place.path("bad.csv"), options()).await;
    let bad = match bad {
        Ok(frame) => frame.collect().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(kind(bad), ErrorKind::Input);
    let bad = session.read_parquet(place.path("bad.parquet")).await.unwrap_err();
    assert_eq!(kind(bad), ErrorKind::Input);
    assert_eq!(kind(session.sql("SELCT 1").await.unwrap_err()), ErrorKind::Query);
    assert_eq!(kind(session.sql("SELECT 1; SELECT 2").await.unwrap_err()), ErrorKind::Query);
    assert_eq!(kind(session.sql("").await.unwrap_err()), ErrorKind::Query);
    assert_eq!(kind(session.sql("SET threads = 0").await.unwrap_err()), ErrorKind::Config);
    for options in [SessionOptions::new().threads(0), SessionOptions::new().memory_limit_bytes(1)] {
        assert_eq!(kind(Session::new(options).unwrap_err()), ErrorKind::Config);
    }
    let folders = SessionOptions::new().temp_dirs([place.path("none")]);
    assert_eq!(kind(Session::new(folders).unwrap_err()), ErrorKind::Io);
    let full =
        SessionOptions::new().threads(2).memory_limit_bytes(128 << 20).max_temp_bytes(1 << 20);
    let sort = "SELECT value, repeat('x', 40) FROM generate_series(1, 2000000) ORDER BY 1 DESC, 2";
    let frame = Session::new(full).unwrap().sql(sort).await.unwrap();
    assert_eq!(kind(frame.collect().await.unwrap_err()), ErrorKind::Resources);
}

#[tokio::test]
async fn the_taxi_workload_is_the_same_in_sql_and_as_a_dataframe() {
    let path = project().join("testdata/taxi.csv");
    let session = session();
    let trips = session.read_csv(&path, CsvOptions::new()).await.unwrap();
    let frame = trips
        .group_by([col("payment_type")])
        .agg([
            count_all().alias("trips"),
            avg(col("total_amount")).alias("mean_total_amount"),
            avg(col("trip_distance")).alias("mean_trip_distance"),
        ])
        .unwrap()
        .sort([up("payment_type")])
        .unwrap();
    let sql = include_str!("../../queries/taxi_by_payment.sql")
        .replace("${taxi:-testdata/taxi.csv}", path.to_str().unwrap());
    let by_sql = session.sql(&sql).await.unwrap();
    assert_eq!(frame.schema(), by_sql.schema());
    assert_same("taxi", &values(frame).await, &values(by_sql).await);
}

#[tokio::test]
async fn the_arcos_workload_is_the_same_in_sql_and_as_a_dataframe() {
    let path = project().join("testdata/arcos.csv");
    let session = session();
    let shipments = session.read_csv(&path, CsvOptions::new()).await.unwrap();
    let text = cast(col("transaction_date"), arrow::datatypes::DataType::Utf8);
    let year = cast(right(text, lit(4)), arrow::datatypes::DataType::Int32);
    let frame = shipments
        .clone()
        .with_column("year", year)
        .unwrap()
        .group_by([col("year"), col("buyer_state"), col("buyer_county")])
        .agg([
            count_all().alias("shipments"),
            sum(col("calc_base_wt_in_gm") * col("mme_conversion_factor")).alias("mme_gm"),
        ])
        .unwrap()
        .sort([up("year"), up("buyer_state"), up("buyer_county")])
        .unwrap();
    let script = |text: &str| text.replace("${arcos:-testdata/arcos.csv}", path.to_str().unwrap());
    let sql = script(include_str!("../../queries/arcos_by_county.sql"));
    let by_sql = session.sql(&sql).await.unwrap();
    assert_eq!(names(&frame), names(&by_sql));
    assert_same("arcos", &values(frame).await, &values(by_sql).await);

    let largest = shipments
        .filter(col("measure").eq(lit("TAB")))
        .unwrap()
        .group_by([])
        .agg([max(col("dosage_unit")).alias("max_dosage_unit")])
        .unwrap();
    let by_sql = script(include_str!("../../queries/arcos_maximum.sql"));
    assert_eq!(line(largest).await, line(session.sql(&by_sql).await.unwrap()).await);
}
