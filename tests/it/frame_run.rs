//! How frames are run: functions of Rust, kept rows, several at once, stopping, pictures.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::kernels::aggregate::sum as sum_of;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use brimful::aggregates::{count, sum};
use brimful::frame::PlanFormat;
use brimful::{
    AsofOptions, CancelHandle, CsvOptions, DataFrame, Error, ErrorKind, Ewm, Expr, ExprMethods,
    Knobs, Roll, Session, SessionOptions, Storage, apply, col, collect_all, lit,
};
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use futures::{StreamExt, TryStreamExt};

use crate::support::series::{frame_of, line, small_session};
use crate::support::{Place, Setup};

fn columns(names: &[&str]) -> SchemaRef {
    let fields = names.iter().map(|name| Field::new(*name, DataType::Int64, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn up(name: &str) -> brimful::SortExpr {
    col(name).sort(true, false)
}

/// One row of whole numbers.
fn row(schema: &SchemaRef, values: &[i64]) -> RecordBatch {
    let columns = values.iter().map(|value| Arc::new(Int64Array::from(vec![*value])) as _);
    RecordBatch::try_new(Arc::clone(schema), columns.collect()).unwrap()
}

#[tokio::test]
async fn batches_are_mapped() {
    let schema = columns(&["twice"]);
    let given = Arc::clone(&schema);
    let map = move |batch: RecordBatch| {
        let values = batch.column(0).as_primitive::<Int64Type>();
        let twice: Int64Array = values.iter().map(|value| value.map(|value| value * 2)).collect();
        RecordBatch::try_new(Arc::clone(&given), vec![Arc::new(twice)])
    };
    let frame = small_session().sql("SELECT value FROM generate_series(1, 5)").await.unwrap();
    let mapped = frame.clone().map_batches(map.clone(), Arc::clone(&schema)).unwrap();
    // It goes on as any frame.
    let mapped = mapped.filter(col("twice").gt(lit(2))).unwrap().sort([up("twice")]).unwrap();
    assert_eq!(line(mapped.clone()).await, "4 | 6 | 8 | 10");
    assert!(mapped.explain(false).await.unwrap().contains("map_batches"));
    let empty = frame.limit(0).unwrap().map_batches(map, schema).unwrap();
    assert_eq!(line(empty).await, "");
}

#[tokio::test]
async fn what_a_function_does_wrong_is_said() {
    let frame = || async { small_session().sql("SELECT 1 AS x").await.unwrap() };
    let schema = || columns(&["y"]);
    let fails = |_: RecordBatch| Err::<RecordBatch, _>("the moon is full");
    let error = frame().await.map_batches(fails, schema()).unwrap().collect().await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Query, "the moon is full"));
    let ours = |_: RecordBatch| Err::<RecordBatch, _>(Error::input("a bad row"));
    let error = frame().await.map_batches(ours, schema()).unwrap().collect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    let panics = |batch: RecordBatch| -> Result<RecordBatch, Error> {
        assert!(batch.num_rows() == 0, "rows came");
        Ok(batch)
    };
    let error = frame().await.map_batches(panics, schema()).unwrap().collect().await.unwrap_err();
    assert_eq!(error.to_string(), "map_batches panicked: rows came");
    let other = |batch: RecordBatch| Ok::<_, Error>(batch);
    let text = Arc::new(Schema::new(vec![Field::new("y", DataType::Utf8, true)]));
    let error = frame().await.map_batches(other, text).unwrap().collect().await.unwrap_err();
    assert!(error.to_string().starts_with("map_batches gave columns of (Int64)"), "{error}");
    let twice = columns(&["y", "y"]);
    assert_eq!(frame().await.map_batches(other, twice).unwrap_err().kind(), ErrorKind::Query);
}

/// The key, the number of rows and their sum.
fn summed(frame: DataFrame) -> DataFrame {
    let schema = columns(&["k", "n", "s"]);
    let given = Arc::clone(&schema);
    let map = move |group: RecordBatch| {
        let key = group.column(0).as_primitive::<Int64Type>();
        let key = if key.is_null(0) { -1 } else { key.value(0) };
        let sum = sum_of(group.column(1).as_primitive::<Int64Type>()).unwrap_or(0);
        Ok::<_, Error>(row(&given, &[key, group.num_rows() as i64, sum]))
    };
    frame.map_groups(&["K"], map, schema).unwrap()
}

#[tokio::test]
async fn groups_are_mapped_one_by_one() {
    let sql = "SELECT * FROM (VALUES (2, 1), (1, 2), (NULL, 3), (2, 4), (1, 5), (2, 6)) AS t(k, x)";
    let frame = frame_of(sql).await;
    assert_eq!(line(summed(frame.clone())).await, "1 2 7 | 2 3 11 | -1 1 3");
    assert_eq!(line(summed(frame.clone().limit(0).unwrap())).await, "");
    let schema = columns(&["n"]);
    let given = Arc::clone(&schema);
    let size = move |group: RecordBatch| Ok::<_, Error>(row(&given, &[group.num_rows() as i64]));
    let all = frame.clone().map_groups(&[], size.clone(), Arc::clone(&schema)).unwrap();
    assert_eq!(line(all).await, "6");
    assert_eq!(frame.map_groups(&["z"], size, schema).unwrap_err().kind(), ErrorKind::Query);
}

#[tokio::test]
async fn groups_of_more_rows_than_memory_has_room_for() {
    let place = Place::new();
    let knobs = Knobs { sort_bytes: Some(1 << 16), ..Knobs::default() };
    let session = Setup::new(2, 1024, knobs).session(&place);
    let sql = "SELECT value % 1000 AS k, value AS x FROM generate_series(0, 99999)";
    let frame = summed(session.sql(sql).await.unwrap());
    // Each group has 100 numbers, k and the next ones a thousand apart.
    let right = col("n").eq(lit(100)).and(col("s").eq(col("k") * lit(100) + lit(4_950_000)));
    assert_eq!(frame.filter(right).unwrap().count().await.unwrap(), 1000);
    assert!(session.spill_metrics().written_bytes > 0);
}

#[tokio::test]
async fn a_group_that_is_too_big_is_an_error() {
    let place = Place::new();
    let setup = Setup::reference().memory_limit_bytes(64 << 20);
    let session = setup.session(&place);
    let sql = "SELECT 1 AS k, value AS x, repeat('x', 100) AS p FROM generate_series(1, 1000000)";
    let error = summed(session.sql(sql).await.unwrap()).collect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Resources);
    assert!(error.to_string().contains("a group of map_groups does not fit"), "{error}");
}

/// A column that counts how often its values are computed.
fn counted(times: &Arc<AtomicUsize>) -> Expr {
    let times = Arc::clone(times);
    let function = move |args: &[ColumnarValue]| {
        times.fetch_add(
            match &args[0] {
                ColumnarValue::Array(values) => values.len(),
                ColumnarValue::Scalar(_) => 1,
            },
            Ordering::Relaxed,
        );
        Ok(args[0].clone())
    };
    let int = DataType::Int64;
    let name = "counted";
    create_udf(name, vec![int.clone()], int, Volatility::Immutable, Arc::new(function))
        .call(vec![col("value")])
}

async fn sums(session: &Session, times: &Arc<AtomicUsize>) -> DataFrame {
    let frame = session.sql("SELECT value FROM generate_series(1, 1000)").await.unwrap();
    let frame = frame.select([counted(times).alias("x")]).unwrap();
    frame.group_by([(col("x") % lit(3)).alias("k")]).agg([sum(col("x")).alias("s")]).unwrap()
}

#[tokio::test]
async fn what_frames_have_in_common_runs_once() {
    let (session, times) = (small_session(), Arc::default());
    let sums = sums(&session, &times).await;
    let sorted = sums.clone().sort([col("k").sort(false, false)]).unwrap();
    let total = sums.clone().group_by([]).agg([sum(col("s")).alias("t")]).unwrap();
    let all = collect_all([sorted.clone(), total.clone()]).await.unwrap();
    assert_eq!(times.load(Ordering::Relaxed), 1000);
    let values = |batches: &[RecordBatch], column: usize| -> Vec<i64> {
        let values = batches.iter().map(|batch| batch.column(column).as_primitive::<Int64Type>());
        values.flat_map(|values| values.values().to_vec()).collect()
    };
    assert_eq!(values(&all[0], 0), [2, 1, 0]);
    assert_eq!(values(&all[0], 1), [166_500, 167_167, 166_833]);
    assert_eq!(values(&all[1], 0), [500_500]);
    // One by one they run it once each.
    sorted.collect().await.unwrap();
    total.collect().await.unwrap();
    assert_eq!(times.load(Ordering::Relaxed), 3000);
    assert!(collect_all([]).await.unwrap().is_empty());
    let other = small_session().sql("SELECT 1").await.unwrap();
    assert_eq!(collect_all([sums, other]).await.unwrap_err().kind(), ErrorKind::Query);
}

#[tokio::test]
async fn errors_of_one_of_several_frames() {
    let session = small_session();
    let good = session.sql("SELECT 1 AS x").await.unwrap();
    let bad = session.sql("SELECT 1 / (value - 1) FROM generate_series(1, 3)").await.unwrap();
    assert_eq!(collect_all([good, bad]).await.unwrap_err().kind(), ErrorKind::Query);
}

#[tokio::test]
async fn rows_are_kept_in_any_place() {
    for storage in [Storage::Memory, Storage::Disk, Storage::Both] {
        let (session, times) = (small_session(), Arc::default());
        let sorted = sums(&session, &times).await.sort([up("k")]).unwrap();
        let kept = sorted.persist(storage).await.unwrap();
        assert_eq!(times.load(Ordering::Relaxed), 1000, "{storage:?}");
        assert_eq!(session.spill_metrics().disk_bytes > 0, storage == Storage::Disk);
        for _ in 0..2 {
            assert_eq!(line(kept.clone()).await, "0 166833 | 1 167167 | 2 166500");
        }
        assert_eq!(times.load(Ordering::Relaxed), 1000, "{storage:?}");
        let above = kept.select([col("s")]).unwrap();
        assert!(above.is_persisted().unwrap());
        let again = above.unpersist().unwrap();
        assert!(!again.is_persisted().unwrap());
        assert_eq!(session.spill_metrics().disk_bytes, 0, "{storage:?}");
        assert_eq!(line(again.sort([up("s")]).unwrap()).await, "166500 | 166833 | 167167");
        assert_eq!(times.load(Ordering::Relaxed), 2000, "{storage:?}");
    }
}

#[tokio::test]
async fn a_cached_frame_can_be_computed_again() {
    let (session, times) = (small_session(), Arc::default());
    let cached = sums(&session, &times).await.cache().await.unwrap();
    assert!(cached.is_persisted().unwrap());
    assert!(!cached.unpersist().unwrap().is_persisted().unwrap());
}

#[tokio::test]
async fn memory_that_has_no_room_for_the_rows() {
    let place = Place::new();
    let session = Setup::reference().memory_limit_bytes(64 << 20).session(&place);
    let sql = "SELECT value, repeat('x', 100) AS p FROM generate_series(1, 1000000)";
    let frame = session.sql(sql).await.unwrap();
    let error = frame.clone().persist(Storage::Memory).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Resources);
    assert!(error.to_string().starts_with("the rows to keep in memory need more"), "{error}");
    let kept = frame.persist(Storage::Both).await.unwrap();
    assert_eq!(kept.count().await.unwrap(), 1_000_000);
}

/// Writes a file of the same length without changing its time: what reads it again finds the new
/// content, what does not cannot tell.
fn replace_unnoticed(place: &Place, name: &str, content: &str) {
    let time = std::fs::metadata(place.path(name)).unwrap().modified().unwrap();
    place.write(name, content);
    let file = std::fs::File::options().write(true).open(place.path(name)).unwrap();
    file.set_modified(time).unwrap();
}

#[tokio::test]
async fn checkpoints_are_taken_up_again() {
    let place = Place::new();
    let run = |sql: &'static str| {
        let (input, path) = (place.path("in.csv"), place.path("a.arrow"));
        async move {
            // A new session each time, as after a crash.
            let session = Session::new(SessionOptions::new().threads(2)).unwrap();
            let frame = session.read_csv(input, CsvOptions::new()).await.unwrap();
            session.register("t", frame).unwrap();
            let kept = session.sql(sql).await.unwrap().checkpoint(&path).await.unwrap();
            line(kept.sort([up("k")]).unwrap()).await
        }
    };
    const ALL: &str = "SELECT k, x FROM t";
    place.write("in.csv", "k,x\n1,10\n2,20\n");
    assert_eq!(run(ALL).await, "1 10 | 2 20");
    replace_unnoticed(&place, "in.csv", "k,x\n1,11\n2,21\n");
    assert_eq!(run(ALL).await, "1 10 | 2 20");
    // Another query.
    assert_eq!(run("SELECT k, x FROM t WHERE k > 1").await, "2 21");
    // Other content.
    place.write("in.csv", "k,x\n1,10\n2,20\n3,30\n");
    assert_eq!(run(ALL).await, "1 10 | 2 20 | 3 30");
    // A file that was cut, and one that is something else.
    replace_unnoticed(&place, "in.csv", "k,x\n1,11\n2,21\n3,31\n");
    let bytes = std::fs::read(place.path("a.arrow")).unwrap();
    std::fs::write(place.path("a.arrow"), &bytes[..bytes.len() - 9]).unwrap();
    assert_eq!(run(ALL).await, "1 11 | 2 21 | 3 31");
    replace_unnoticed(&place, "in.csv", "k,x\n1,12\n2,22\n3,32\n");
    place.write("a.arrow", "no");
    assert_eq!(run(ALL).await, "1 12 | 2 22 | 3 32");
    assert_eq!(place.names(), ["a.arrow", "in.csv"]);
}

#[tokio::test]
async fn checkpoints_of_what_was_said_in_another_way_are_made_anew() {
    let place = Place::new();
    place.write("in.csv", "k,x,d\n1,4,2024-01-01\n2,0,2024-01-01\n3,-,2024-01-01\n");
    place.write("right.csv", "k,y\n1,10\n4,40\n");
    let session = small_session();
    let read = |options: CsvOptions| {
        let (session, input) = (session.clone(), place.path("in.csv"));
        async move { session.read_csv(input, options).await.unwrap().drop("d").unwrap() }
    };
    let usual = || CsvOptions::new().null_words(["-"]);
    let kept = |frame: DataFrame| {
        let path = place.path("a.arrow");
        async move { line(frame.checkpoint(path).await.unwrap().sort([up("k")]).unwrap()).await }
    };
    let frame = read(usual()).await;
    for (alpha, expected) in [(1.0, "1 4.0 | 2 0.0 | 3 -"), (0.5, "1 4.0 | 2 2.0 | 3 -")] {
        let ewm = Ewm::alpha(alpha).unwrap().adjust(false);
        let mean = col("x").ewm_mean(ewm).ordered(&["k"]).alias("m");
        assert_eq!(kept(frame.clone().select([col("k"), mean]).unwrap()).await, expected);
    }
    for days in [1, 2] {
        let later = col("d").dt().add_business_days(days, Roll::Forward).alias("d");
        let frame = session.read_csv(place.path("in.csv"), usual()).await.unwrap().limit(1);
        let frame = frame.unwrap().select([col("k"), later]).unwrap();
        assert_eq!(kept(frame).await, format!("1 2024-01-0{}", days + 1));
    }
    for (tolerance, expected) in [(9, "1 10 | 2 10 | 3 10"), (1, "1 10 | 2 10 | 3 -")] {
        let right = session.read_csv(place.path("right.csv"), usual()).await.unwrap();
        let options = AsofOptions::on("k").tolerance(tolerance);
        let joined = frame.clone().join_asof(right, &options).unwrap();
        assert_eq!(kept(joined.select([col("k"), col("y")]).unwrap()).await, expected);
    }
    // Files that are read in another way, which has the same columns.
    assert_eq!(kept(frame).await, "1 4 | 2 0 | 3 -");
    let other = read(usual().null_words(["-", "0"])).await;
    assert_eq!(kept(other).await, "1 4 | 2 - | 3 -");
    // Functions of the program, which are the same by name alone.
    for (factor, expected) in [(2_i64, "2 8 | 4 0 | 6 -"), (3, "3 12 | 6 0 | 9 -")] {
        let session = small_session();
        session.register_scalar("times", move |x: i64| x * factor);
        let frame = session.read_csv(place.path("in.csv"), usual()).await.unwrap();
        session.register("t", frame).unwrap();
        let sql = "SELECT times(k) AS k, times(x) AS x FROM t";
        assert_eq!(kept(session.sql(sql).await.unwrap()).await, expected);
    }
    for factor in [2_i64, 3] {
        let function = move |args: &[ColumnarValue]| match &args[0] {
            ColumnarValue::Array(values) => {
                let values = values.as_primitive::<Int64Type>();
                Ok(ColumnarValue::Array(Arc::new(values.unary::<_, Int64Type>(|x| x * factor))))
            }
            scalar => Ok(scalar.clone()),
        };
        let int = DataType::Int64;
        let function =
            create_udf("times", vec![int.clone()], int, Volatility::Immutable, Arc::new(function));
        let frame = read(usual()).await.select([function.call(vec![col("k")]).alias("k")]).unwrap();
        let expected = format!("{factor} | {} | {}", 2 * factor, 3 * factor);
        assert_eq!(kept(frame).await, expected);
    }
    for factor in [2_i64, 3] {
        let applied = apply([col("k")], DataType::Int64, move |columns| {
            let values = columns[0].as_primitive::<Int64Type>();
            Ok(Arc::new(values.unary::<_, Int64Type>(|x| x * factor)) as ArrayRef)
        });
        let frame = read(usual()).await.select([applied.alias("k")]).unwrap();
        let expected = format!("{factor} | {} | {}", 2 * factor, 3 * factor);
        assert_eq!(kept(frame).await, expected);
    }
}

#[tokio::test]
async fn checkpoints_of_rows_of_the_session_are_made_anew() {
    let place = Place::new();
    let (session, times) = (small_session(), Arc::default());
    let kept = sums(&session, &times).await.persist(Storage::Both).await.unwrap();
    let path = place.path("a.arrow");
    let first = kept.clone().sort([up("k")]).unwrap().checkpoint(&path).await.unwrap();
    assert_eq!(line(first).await, "0 166833 | 1 167167 | 2 166500");
    let fewer = kept.filter(col("k").lt(lit(1))).unwrap().persist(Storage::Both).await.unwrap();
    let second = fewer.sort([up("k")]).unwrap().checkpoint(&path).await.unwrap();
    assert_eq!(line(second).await, "0 166833");
}

#[tokio::test]
async fn a_failed_checkpoint_leaves_the_one_before() {
    let place = Place::new();
    place.write("a.arrow", "old");
    let frame = frame_of("SELECT 1 / (value - 2) AS x FROM generate_series(1, 3)").await;
    let error = frame.checkpoint(place.path("a.arrow")).await.unwrap_err();
    assert_eq!((error.kind(), place.read("a.arrow").as_str()), (ErrorKind::Query, "old"));
    assert_eq!(place.names(), ["a.arrow"]);
}

/// More rows than anybody waits for.
const ENDLESS: &str = "SELECT value FROM generate_series(1, 1000000000000)";

#[tokio::test(flavor = "multi_thread")]
async fn a_query_is_cancelled_from_elsewhere() {
    let frame = small_session().sql(ENDLESS).await.unwrap();
    let cancel = CancelHandle::new();
    let mut stream = frame.clone().stream_until(&cancel, None).await.unwrap();
    assert_eq!(stream.schema().fields().len(), 1);
    stream.next().await.unwrap().unwrap();
    assert!(stream.metrics().rows > 0);
    let handle = cancel.clone();
    let canceller = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        handle.cancel();
    });
    let error = loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(error)) => break error,
            None => panic!("it ended"),
        }
    };
    canceller.join().unwrap();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert!(stream.next().await.is_none());
    assert!(stream.metrics().rows > 0 && cancel.is_cancelled());
    let error = frame.stream_until(&cancel, None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_has_a_time() {
    let frame = small_session().sql(ENDLESS).await.unwrap();
    let frame = frame.group_by([]).agg([count(col("value"))]).unwrap();
    let cancel = CancelHandle::new();
    let time = Some(Duration::from_millis(50));
    let stream = frame.stream_until(&cancel, time).await.unwrap();
    drop(cancel);
    let error = stream.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    let frame = frame_of("SELECT 1 AS x").await;
    let stream = frame.stream_until(&CancelHandle::new(), Some(Duration::from_secs(60))).await;
    assert_eq!(stream.unwrap().try_collect::<Vec<_>>().await.unwrap().len(), 1);
}

#[tokio::test]
async fn plans_are_drawn() {
    let sql = "SELECT k, count(*) FROM (VALUES ('<a> & \"b\"'), ('\\')) AS t(k) \
               WHERE k <> '<a> & \"c\"' GROUP BY k ORDER BY k";
    let frame = frame_of(sql).await;
    let dot = frame.clone().visualize(PlanFormat::Graphviz).await.unwrap();
    assert!(dot.starts_with("digraph plan {") && dot.ends_with("}\n"), "{dot}");
    assert!(dot.contains("subgraph cluster_1") && dot.contains(" -> n0"), "{dot}");
    assert_eq!(dot.matches('{').count(), dot.matches('}').count(), "{dot}");
    let svg = frame.clone().visualize(PlanFormat::Svg).await.unwrap();
    assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"), "{svg}");
    assert!(svg.contains("&lt;a&gt; &amp; "), "{svg}");
    assert!(!svg.contains("<a>"), "{svg}");
    assert_eq!(svg.matches("<rect ").count(), svg.matches("<title>").count() + 1, "{svg}");
    let mermaid = frame.clone().visualize(PlanFormat::Mermaid).await.unwrap();
    assert!(mermaid.starts_with("flowchart BT\n"), "{mermaid}");
    assert!(mermaid.contains("subgraph stage2 [\"stage 2\"]"), "{mermaid}");
    assert!(mermaid.lines().all(|line| line.matches('"').count() % 2 == 0), "{mermaid}");
    assert!(!mermaid.contains("<a>"), "{mermaid}");
    let html = frame.visualize(PlanFormat::Html).await.unwrap();
    assert!(html.starts_with("<!DOCTYPE html>") && html.contains(&svg), "{html}");
    assert_eq!(html.matches("<tr").count(), svg.matches("<title>").count() + 1, "{html}");
}

#[tokio::test]
async fn plans_are_data() {
    let sql = "SELECT k % 3 AS r, count(*) AS n FROM range(1000) AS t(k) GROUP BY r ORDER BY r";
    let frame = frame_of(sql).await;
    let planned: serde_json::Value =
        serde_json::from_str(&frame.clone().visualize(PlanFormat::Json).await.unwrap()).unwrap();
    assert!(planned["metrics"].as_object().unwrap().is_empty(), "{planned}");
    let ran: serde_json::Value =
        serde_json::from_str(&frame.clone().profile(PlanFormat::Json).await.unwrap()).unwrap();
    assert_eq!(ran["name"], planned["name"]);
    assert_eq!(ran["metrics"]["output_rows"], 3, "{ran}");
    let mut leaf = &ran;
    let mut operators = 1;
    while let Some(below) = leaf["children"].get(0) {
        leaf = below;
        operators += 1;
    }
    assert_eq!(leaf["metrics"]["output_rows"], 1000, "{ran}");
    assert!(leaf["stage"].as_u64() > ran["stage"].as_u64(), "{ran}");
    let yaml = frame.profile(PlanFormat::Yaml).await.unwrap();
    assert_eq!(yaml.matches("name: ").count(), operators, "{yaml}");
    assert!(yaml.contains("\"output_rows\": 1000\n"), "{yaml}");
}

#[tokio::test]
async fn plans_of_sql_are_in_every_format() {
    let session = Session::new(SessionOptions::new().threads(2)).unwrap();
    let text = async |sql: &str| session.sql(sql).await?.plan_text().await;
    for (explain, beginning) in [
        ("EXPLAIN (FORMAT json)", "{\n"),
        ("EXPLAIN (FORMAT 'JSON', ANALYZE)", "{\n"),
        ("EXPLAIN (FORMAT json, ANALYZE false)", "{\n"),
        ("EXPLAIN (ANALYZE, FORMAT yaml)", "name: "),
        ("EXPLAIN ANALYZE FORMAT mermaid", "flowchart BT\n"),
        ("EXPLAIN FORMAT graphviz", "digraph plan {"),
        ("explain (format html)", "<!DOCTYPE html>"),
        ("EXPLAIN (FORMAT svg)", "<svg "),
        ("EXPLAIN (FORMAT text)", "logical plan:\n"),
        ("EXPLAIN (FORMAT tree)", "physical plan:\n"),
        ("EXPLAIN ANALYZE", "Plan with Metrics:\n"),
        ("EXPLAIN", "logical plan:\n"),
    ] {
        let plan = text(&format!("{explain} SELECT 1 AS x")).await.unwrap();
        assert!(plan.starts_with(beginning), "{explain}: {plan}");
        let has_run = plan.contains("output_rows");
        assert!(!has_run || explain.contains("ANALYZE"), "{explain}: {plan}");
    }
    let error = text("EXPLAIN (FORMAT xml) SELECT 1").await.unwrap_err();
    assert_eq!(error.to_string(), "\"xml\" is no format of plans");
    assert!(error.hint().unwrap().contains("mermaid"), "{error:?}");
    let error = text("EXPLAIN (FORMAT html) CREATE TABLE t AS SELECT 1 AS x").await.unwrap_err();
    assert!(error.to_string().starts_with("only queries can be explained"), "{error}");
    assert!(session.sql("FROM t").await.is_err(), "the table was not made");
}

#[tokio::test]
async fn bars_are_drawn() {
    let frame =
        frame_of("SELECT * FROM (VALUES ('a', 4), ('bcd', 1), ('e', NULL), ('f', -2)) t(k, x)");
    let frame = frame.await.sort([up("k")]).unwrap();
    let chart = frame.clone().bar("K", "x", 2).await.unwrap();
    assert_eq!(chart, "a   ██ 4\nbcd ▌ 1\ne\nf    -2\n");
    assert_eq!(frame.clone().limit(0).unwrap().bar("k", "x", 2).await.unwrap(), "");
    assert_eq!(frame.bar("x", "k", 2).await.unwrap_err().kind(), ErrorKind::Query);
    let many = frame_of("SELECT value FROM generate_series(1, 1001)").await;
    assert_eq!(many.bar("value", "value", 2).await.unwrap_err().kind(), ErrorKind::Query);
}
