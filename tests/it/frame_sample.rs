//! Samples: how many rows, which ones, and that a seed always gives the same. Of the tests of chance,
//! those with a seed always come out alike; for the others the bounds are so wide that none in a
//! million runs is beyond them.

use std::collections::HashSet;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use brimful::{DataFrame, ErrorKind, Knobs, Session, SessionOptions, col};

use crate::support::{Place, Setup, rows};

const ROWS: i64 = 20_000;

fn session() -> Session {
    Session::new(SessionOptions::new().threads(3)).unwrap()
}

async fn numbers(session: &Session) -> DataFrame {
    let sql = format!("SELECT value AS i, value % 4 AS g FROM generate_series(1, {ROWS})");
    session.sql(&sql).await.unwrap()
}

async fn values(frame: DataFrame) -> Vec<i64> {
    let batches = frame.select([col("i")]).unwrap().collect().await.unwrap();
    let values =
        |column: &dyn arrow::array::Array| column.as_primitive::<Int64Type>().values().to_vec();
    let mut all: Vec<i64> = batches.iter().flat_map(|batch| values(batch.column(0))).collect();
    all.sort_unstable();
    all
}

fn setups() -> [Setup; 3] {
    let on_disk = Knobs { sort_bytes: Some(0), window_bytes: Some(0), ..Knobs::default() };
    [
        Setup::new(1, 8192, Knobs::default()),
        Setup::new(4, 100, Knobs::default()),
        Setup::new(2, 512, on_disk),
    ]
}

/// About half of a fraction of the numbers should be in the lower half.
fn assert_spread(sample: &[i64], fraction: f64) {
    let expected = ROWS as f64 * fraction;
    // Five standard deviations.
    let most = 5.0 * (ROWS as f64 * fraction * (1.0 - fraction)).sqrt();
    assert!((sample.len() as f64 - expected).abs() <= most, "{} rows", sample.len());
    let low = sample.iter().filter(|value| **value <= ROWS / 2).count() as f64;
    assert!((low - expected / 2.0).abs() <= most, "{low} in the lower half");
    assert_eq!(sample.iter().collect::<HashSet<_>>().len(), sample.len(), "rows are there once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fractions_with_and_without_a_seed() {
    let place = Place::new();
    let mut seeded = Vec::new();
    for setup in setups() {
        let session = setup.session(&place);
        let frame = numbers(&session).await;
        for fraction in [0.02, 0.5] {
            let sample = frame.clone().sample_fraction(fraction, None).unwrap();
            let first = values(sample.clone()).await;
            assert_spread(&first, fraction);
            assert_ne!(first, values(sample).await, "another one each time");
        }
        let sample = |seed| frame.clone().sample_fraction(0.1, Some(seed)).unwrap();
        let other = values(sample(8)).await;
        assert_spread(&other, 0.1);
        let first = values(sample(7)).await;
        assert_spread(&first, 0.1);
        assert_ne!(first, other);
        seeded.push(first);
        assert_eq!(values(frame.clone().sample_fraction(0.0, None).unwrap()).await.len(), 0);
        let all = values(frame.clone().sample_fraction(1.0, Some(1)).unwrap()).await;
        assert_eq!(all.len(), ROWS as usize);
    }
    assert!(seeded.iter().all(|sample| *sample == seeded[0]), "whatever the session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rows_that_are_alike_are_drawn_one_by_one() {
    let session = session();
    let sql = format!("SELECT 1 AS i FROM generate_series(1, {ROWS})");
    let frame = session.sql(&sql).await.unwrap();
    let sample = frame.sample_fraction(0.25, Some(3)).unwrap().count().await.unwrap();
    assert!((4_700..5_300).contains(&sample), "{sample} rows");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_of_rows_are_exact() {
    let place = Place::new();
    let mut seeded = Vec::new();
    for setup in setups() {
        let session = setup.session(&place);
        let frame = numbers(&session).await;
        for wanted in [0, 1, 500, 15_000, 50_000] {
            for seed in [None, Some(5)] {
                let sample = values(frame.clone().sample_n(wanted, seed).unwrap()).await;
                assert_eq!(sample.len(), wanted.min(ROWS as usize));
                assert_eq!(sample.iter().collect::<HashSet<_>>().len(), sample.len());
                if wanted == 15_000 {
                    assert_spread(&sample, 0.75);
                }
            }
        }
        seeded.push(values(frame.sample_n(500, Some(11)).unwrap()).await);
    }
    assert!(seeded.iter().all(|sample| *sample == seeded[0]), "whatever the session");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strata_have_fractions_of_their_own() {
    let session = session();
    for seed in [None, Some(2)] {
        let frame = numbers(&session).await;
        let sample = frame.sample_by("G", [(0_i64, 1.0), (1, 0.0), (2, 0.5)], seed).unwrap();
        let of = |group: i64| {
            let sample = sample.clone();
            async move {
                let group = col("g").eq(brimful::lit(group));
                sample.filter(group).unwrap().count().await.unwrap()
            }
        };
        assert_eq!(of(0).await, 5_000);
        assert_eq!(of(1).await, 0);
        let half = of(2).await;
        assert!((2_300..2_700).contains(&half), "{half} of 5000");
        assert_eq!(of(3).await, 0, "values that are not named are left out");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn splits_share_out_all_rows() {
    let place = Place::new();
    let mut first = None;
    for setup in setups() {
        let session = setup.session(&place);
        let splits = numbers(&session).await.random_split(&[3.0, 1.0, 0.0], Some(9)).unwrap();
        let mut parts = Vec::new();
        for split in splits {
            parts.push(values(split).await);
        }
        assert_spread(&parts[0], 0.75);
        assert_spread(&parts[1], 0.25);
        assert!(parts[2].is_empty());
        let mut all = parts.concat();
        all.sort_unstable();
        assert_eq!(all, (1..=ROWS).collect::<Vec<_>>());
        assert_eq!(*first.get_or_insert(parts.clone()), parts);
    }
    let session = session();
    let splits = numbers(&session).await.random_split(&[1.0; 3], None).unwrap();
    let mut all = Vec::new();
    for split in splits {
        all.extend(values(split).await);
    }
    all.sort_unstable();
    assert_eq!(all, (1..=ROWS).collect::<Vec<_>>(), "without a seed too");
}

#[tokio::test]
async fn wrong_amounts() {
    let session = session();
    let frame = numbers(&session).await;
    let kind = |result: brimful::Result<DataFrame>| result.unwrap_err().kind();
    for fraction in [-0.1, 1.1, f64::NAN] {
        assert_eq!(kind(frame.clone().sample_fraction(fraction, None)), ErrorKind::Query);
        let by = frame.clone().sample_by("g", [(1_i64, fraction)], None);
        assert_eq!(kind(by), ErrorKind::Query);
    }
    for weights in [&[][..], &[0.0], &[-1.0, 2.0], &[f64::NAN], &[f64::INFINITY]] {
        let split = frame.clone().random_split(weights, None);
        assert_eq!(split.unwrap_err().kind(), ErrorKind::Query);
    }
    assert_eq!(kind(frame.sample_by("nothing", [(1_i64, 0.5)], None)), ErrorKind::Query);
}

/// Samples of SQL are the same plans; a sample of a query is one of its tables, before WHERE.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn samples_in_sql() {
    let session = session();
    session.register("r", numbers(&session).await).unwrap();
    let count = |sql: &'static str| {
        let session = session.clone();
        async move { rows(&session, sql).await.unwrap()[0].parse::<i64>().unwrap() }
    };
    for sql in [
        "SELECT count(*) FROM r TABLESAMPLE 10%",
        "SELECT count(*) FROM r TABLESAMPLE 10 PERCENT (bernoulli)",
        "SELECT count(*) FROM r AS s TABLESAMPLE bernoulli(10%) REPEATABLE (4)",
        "SELECT count(*) FROM r TABLESAMPLE SYSTEM (10 PERCENT)",
        "SELECT count(*) FROM r USING SAMPLE 10 PERCENT (system, 7)",
    ] {
        let found = count(sql).await;
        assert!((1_780..2_220).contains(&found), "{sql}: {found}");
    }
    // A hundred numbers of twenty thousand, of which half are above.
    let found = count("SELECT count(*) FROM r WHERE i > 10000 USING SAMPLE 100 ROWS").await;
    assert!((20..80).contains(&found), "{found}");
}
