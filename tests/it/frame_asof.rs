//! ASOF joins of the dataframe: random tables against plain loops, options, and tables that memory has
//! no room for.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray, UInt64Array,
};
use brimful::{
    AsofOptions, AsofStrategy, DataFrame, ErrorKind, Knobs, Session, SessionOptions, Tolerance, col,
};

use crate::support::{Place, Random, Setup, rows_and_spill, sorted_rows};

async fn frame(session: &Session, columns: Vec<(&str, ArrayRef)>) -> DataFrame {
    let columns = columns.into_iter().map(|(name, column)| (name, column, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let path = tempfile::NamedTempFile::with_suffix(".arrow").unwrap().into_temp_path();
    let mut writer = arrow::ipc::writer::FileWriter::try_new(
        std::fs::File::create(&path).unwrap(),
        &batch.schema(),
    )
    .unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    session.read_arrow(&path).await.unwrap().cache().await.unwrap()
}

fn integers(values: &[Option<i64>]) -> ArrayRef {
    Arc::new(Int64Array::from(values.to_vec()))
}

async fn rows(frame: DataFrame) -> Vec<String> {
    sorted_rows(&frame.collect().await.unwrap())
}

/// A row of a side: key, place, number of the row.
type Row = (Option<i64>, Option<i64>, i64);

/// The distances from a row to those it may match: of the nearest ones, all numbers.
fn nearest(
    row: &Row,
    right: &[Row],
    strategy: AsofStrategy,
    exact: bool,
    tolerance: Option<i64>,
) -> Vec<i64> {
    let (Some(key), Some(place)) = (row.0, row.1) else { return Vec::new() };
    let candidates = right.iter().filter_map(|(other_key, other, number)| {
        let distance = (*other)? - place;
        let is_wanted = match strategy {
            AsofStrategy::Backward => distance <= 0,
            AsofStrategy::Forward => distance >= 0,
            AsofStrategy::Nearest => true,
        };
        let fits = *other_key == Some(key)
            && is_wanted
            && (exact || distance != 0)
            && tolerance.is_none_or(|most| distance.abs() <= most);
        // Of two at the same distance, the one after it is nearer.
        fits.then_some(((distance.abs(), distance < 0), *number))
    });
    let candidates: Vec<_> = candidates.collect();
    let Some(least) = candidates.iter().map(|(distance, _)| *distance).min() else {
        return Vec::new();
    };
    candidates.iter().filter(|(distance, _)| *distance == least).map(|found| found.1).collect()
}

fn draw(random: &mut Random, rows: usize, keys: u32, places: u32) -> Vec<Row> {
    let mut value = |limit: u32| match random.below(10) {
        0 => None,
        _ => Some(i64::from(random.below(limit))),
    };
    (0..rows as i64).map(|number| (value(keys), value(places), number)).collect()
}

async fn side(session: &Session, rows: &[Row]) -> DataFrame {
    let column =
        |value: fn(&Row) -> Option<i64>| integers(&rows.iter().map(value).collect::<Vec<_>>());
    let columns = vec![
        ("k", column(|row| row.0)),
        ("t", column(|row| row.1)),
        ("id", column(|row| Some(row.2))),
    ];
    frame(session, columns).await
}

/// Checks a join of two random sides: each row of the left one is there once, with one of the rows
/// that it may match.
async fn check(session: &Session, left: &[Row], right: &[Row]) {
    let (l, r) = (side(session, left).await, side(session, right).await);
    for strategy in [AsofStrategy::Backward, AsofStrategy::Forward, AsofStrategy::Nearest] {
        for exact in [true, false] {
            for tolerance in [None, Some(0), Some(3)] {
                let mut options =
                    AsofOptions::on("t").by(["k"]).strategy(strategy).allow_exact_matches(exact);
                if let Some(most) = tolerance {
                    options = options.tolerance(most);
                }
                let joined = l.clone().join_asof(r.clone(), &options).unwrap();
                let pairs = joined.select([col("id"), col("id_right")]).unwrap();
                let mut seen = vec![0; left.len()];
                for row in rows(pairs).await {
                    let (id, found) = row.split_once('|').unwrap();
                    let id: usize = id.parse().unwrap();
                    seen[id] += 1;
                    let expected = nearest(&left[id], right, strategy, exact, tolerance);
                    let is_right = match found.parse::<i64>() {
                        Ok(found) => expected.contains(&found),
                        Err(_) => expected.is_empty(),
                    };
                    let what = format!("{strategy:?}, {exact}, {tolerance:?}");
                    assert!(is_right, "{what}: {:?} with {found}: {expected:?}", left[id]);
                }
                assert!(seen.iter().all(|times| *times == 1), "{strategy:?}: {seen:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_sides_against_plain_loops() {
    let mut random = Random::new(71);
    let place = Place::new();
    let on_disk = Knobs { sort_bytes: Some(0), ..Knobs::default() };
    let setups =
        [Setup::new(1, 7, on_disk), Setup::new(3, 64, Knobs::default()), Setup::reference()];
    for setup in setups {
        let session = setup.session(&place);
        for (left, right, keys, places) in
            [(200, 300, 5, 40), (300, 60, 1, 1000), (40, 500, 3, 5), (0, 50, 2, 9), (50, 0, 2, 9)]
        {
            let left = draw(&mut random, left, keys, places);
            let right = draw(&mut random, right, keys, places);
            check(&session, &left, &right).await;
        }
    }
}

fn session() -> Session {
    Session::new(SessionOptions::new().threads(2)).unwrap()
}

/// A join whose times are in other columns, as rows of the left number and the right one.
async fn joined(left: ArrayRef, right: ArrayRef, options: &AsofOptions) -> Vec<String> {
    let session = session();
    let number = |column: &ArrayRef| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(0..column.len() as i64))
    };
    let left = frame(&session, vec![("l", number(&left)), ("t", left)]).await;
    let right = frame(&session, vec![("r", number(&right)), ("t", right)]).await;
    let joined = left.join_asof(right, options).unwrap();
    rows(joined.select([col("l"), col("r")]).unwrap()).await
}

/// Stored from polars 2.1: `l.join_asof(r, on="t", strategy=…)` of the sorted values.
#[tokio::test]
async fn the_nearest_of_two_is_the_one_after() {
    let (left, right) = (
        integers(&[Some(5), Some(10), Some(15)]),
        integers(&[Some(3), Some(7), Some(12), Some(13)]),
    );
    let with = |strategy| AsofOptions::on("t").strategy(strategy);
    let nearest = joined(left.clone(), right.clone(), &with(AsofStrategy::Nearest)).await;
    assert_eq!(nearest, ["0|1", "1|2", "2|3"]);
    let forward = joined(left.clone(), right.clone(), &with(AsofStrategy::Forward)).await;
    assert_eq!(forward, ["0|1", "1|2", "2|NULL"]);
    let backward = joined(left, right, &with(AsofStrategy::Backward)).await;
    assert_eq!(backward, ["0|0", "1|1", "2|3"]);
}

#[tokio::test]
async fn tolerances_of_every_kind() {
    let near = |tolerance: Tolerance| AsofOptions::on("t").tolerance(tolerance);
    let dates = |days: &[i32]| Arc::new(Date32Array::from(days.to_vec())) as ArrayRef;
    let day = Duration::from_secs(24 * 3600);
    let found = joined(dates(&[10, 20]), dates(&[8, 17]), &near((day * 2).into())).await;
    assert_eq!(found, ["0|0", "1|NULL"]);
    let found = joined(dates(&[10, 20]), dates(&[8, 17]), &near((day * 3).into())).await;
    assert_eq!(found, ["0|0", "1|1"]);

    let times = |ms: &[i64]| Arc::new(TimestampMillisecondArray::from(ms.to_vec())) as ArrayRef;
    let within = near(Duration::from_millis(5).into());
    assert_eq!(joined(times(&[10, 26]), times(&[5, 20]), &within).await, ["0|0", "1|NULL"]);

    let floats = |values: &[f64]| Arc::new(Float64Array::from(values.to_vec())) as ArrayRef;
    let found = joined(floats(&[1.5, 3.0]), floats(&[1.0, 2.4]), &near(0.5.into())).await;
    assert_eq!(found, ["0|0", "1|NULL"]);

    let prices = |cents: &[i128]| {
        let array = Decimal128Array::from(cents.to_vec()).with_precision_and_scale(9, 2).unwrap();
        Arc::new(array) as ArrayRef
    };
    let found = joined(prices(&[130, 260]), prices(&[100, 200]), &near(0.3.into())).await;
    assert_eq!(found, ["0|0", "1|NULL"]);

    // Distances that 64 bits cannot hold.
    let far = [Some(i64::MAX)];
    assert_eq!(
        joined(integers(&far), integers(&[Some(i64::MIN)]), &near(5.into())).await,
        ["0|NULL"]
    );
    let unsigned = |values: &[u64]| Arc::new(UInt64Array::from(values.to_vec())) as ArrayRef;
    let found = joined(unsigned(&[u64::MAX]), unsigned(&[u64::MAX - 1]), &near(1.into())).await;
    assert_eq!(found, ["0|0"]);
}

fn kind(result: brimful::Result<DataFrame>) -> ErrorKind {
    result.unwrap_err().kind()
}

#[tokio::test]
async fn what_cannot_be_joined() {
    let session = session();
    let text: ArrayRef = Arc::new(StringArray::from(vec!["a"]));
    let times: ArrayRef = Arc::new(TimestampMillisecondArray::from(vec![1]));
    let columns = vec![("k", integers(&[Some(1)])), ("s", text), ("t", times)];
    let frame = frame(&session, columns).await;
    let join = |options: AsofOptions| frame.clone().join_asof(frame.clone(), &options);
    assert_eq!(kind(join(AsofOptions::on("nothing"))), ErrorKind::Query);
    assert_eq!(kind(join(AsofOptions::on("k").by(["nothing"]))), ErrorKind::Query);
    assert_eq!(kind(join(AsofOptions::on("k").left_right_by(["s"], [""; 0]))), ErrorKind::Query);
    assert_eq!(kind(join(AsofOptions::on("s").tolerance(1))), ErrorKind::Query);
    assert_eq!(kind(join(AsofOptions::on("t").tolerance(1))), ErrorKind::Query);
    assert_eq!(kind(join(AsofOptions::on("k").tolerance(-1))), ErrorKind::Query);
    assert_eq!(kind(join(AsofOptions::on("k").tolerance(f64::NAN))), ErrorKind::Query);
    let by_time = AsofOptions::on("k").tolerance(Duration::from_secs(1));
    assert_eq!(kind(join(by_time)), ErrorKind::Query);
    let nearest = AsofOptions::on("s").strategy(AsofStrategy::Nearest);
    assert_eq!(kind(join(nearest)), ErrorKind::Query);
    // Texts have an order, which is enough otherwise.
    assert_eq!(join(AsofOptions::on("s")).unwrap().count().await.unwrap(), 1);
}

#[tokio::test]
async fn names_of_the_result() {
    let session = session();
    let one = || integers(&[Some(1)]);
    let left = frame(&session, vec![("k", one()), ("t", one()), ("v", one())]).await;
    let right = frame(&session, vec![("j", one()), ("u", one()), ("v", one()), ("t", one())]).await;
    let names = |frame: DataFrame| {
        frame.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>()
    };
    let options = AsofOptions::left_right_on("T", "u").left_right_by(["K"], ["j"]);
    let joined = left.clone().join_asof(right.clone(), &options).unwrap();
    assert_eq!(names(joined), ["k", "t", "v", "u", "v_right", "t_right"]);
    let error =
        left.clone().join_asof(right.clone(), &AsofOptions::on("t").suffix("")).unwrap_err();
    assert_eq!(error.to_string(), "two columns would have the name \"v\"");
    let joined = left.join_asof(right, &AsofOptions::on("t").suffix("_r")).unwrap();
    assert_eq!(names(joined.clone()), ["k", "t", "v", "j", "u", "v_r"]);
    assert_eq!(rows(joined).await, ["1|1|1|1|1|1"]);
}

/// More rows than the memory limit has room for, of about 100 bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sides_that_memory_has_no_room_for() {
    const ROWS: i64 = 300_000;
    let place = Place::new();
    let setup = Setup::new(2, 1024, Knobs::default()).memory_limit_bytes(48 << 20);
    let session = setup.session(&place);
    let side = |factor: i64, name: &str| {
        format!(
            "(SELECT value * {factor} % {ROWS} AS t, value % 7 AS k, value AS {name}, \
             repeat(CAST(value * 999983 % 1000003 AS VARCHAR), 14) AS text \
             FROM generate_series(1, {ROWS}))"
        )
    };
    let sql = format!(
        "SELECT count(*), count(b), sum(a), sum(b), sum(length(l.text)), sum(length(r.text)) \
         FROM {} AS l ASOF LEFT JOIN {} AS r ON l.k = r.k AND l.t >= r.t",
        side(7_919, "a"),
        side(104_729, "b")
    );
    let (found, spilled_bytes) = rows_and_spill("ASOF", &session, &sql).await;
    assert!(spilled_bytes > 10 << 20, "{spilled_bytes} bytes were spilled");

    // The same by hand: both factors have no divisor in common with the number of rows, so that a
    // place is there once.
    let mut right = vec![(0, 0); ROWS as usize];
    for value in 1..=ROWS {
        right[(value * 104_729 % ROWS) as usize] = (value % 7, value);
    }
    let mut last = [None; 7];
    let mut left = vec![0; ROWS as usize];
    for value in 1..=ROWS {
        left[(value * 7_919 % ROWS) as usize] = value;
    }
    let length = |value: i64| 14 * (value * 999_983 % 1_000_003).to_string().len() as i64;
    let (mut matched, mut sums, mut lengths) = (0, [0, 0], [0, 0]);
    for (a, (key, value)) in left.into_iter().zip(right) {
        last[key as usize] = Some(value);
        sums[0] += a;
        lengths[0] += length(a);
        if let Some(b) = last[(a % 7) as usize] {
            matched += 1;
            sums[1] += b;
            lengths[1] += length(b);
        }
    }
    let expected =
        format!("{ROWS}|{matched}|{}|{}|{}|{}", sums[0], sums[1], lengths[0], lengths[1]);
    assert_eq!(found, [expected]);
}
