//! Exponentially weighted values, against Polars 2.1 and pandas 3.1.

use brimful::{ErrorKind, Ewm, ExprMethods, Knobs, col};

use crate::support::series::{assert_close, line, numbers, series, two_series};
use crate::support::{Place, Setup};

/// `s = pl.Series([1.0, None, 3.0, 4.0, 8.0, 6.0])`
const VALUES: [Option<f64>; 6] = [Some(1.0), None, Some(3.0), Some(4.0), Some(8.0), Some(6.0)];

fn up(name: &str) -> brimful::SortExpr {
    col(name).sort(true, false)
}

/// What the mean, the variance and the biased deviation are, with a NULL in the second row.
async fn check(what: &str, ewm: Ewm, mean: [f64; 5], var: [f64; 5], std: [f64; 5]) {
    let with_null = |values: [f64; 5]| -> Vec<Option<f64>> {
        let values = values.map(|x| (!x.is_nan()).then_some(x));
        [&values[..1], &[None], &values[1..]].concat()
    };
    let exprs = [
        (col("x").ewm_mean(ewm), with_null(mean)),
        (col("x").ewm_var(ewm), with_null(var)),
        (col("x").ewm_std(ewm.bias(true)), with_null(std)),
    ];
    for (expr, expected) in exprs {
        let alone = expr.clone().ordered(&["i"]).alias("r");
        let frame = series(&VALUES).await.select([col("i"), alone]).unwrap();
        assert_close(what, &numbers(frame.sort([up("i")]).unwrap()).await, &expected);
        let grouped = expr.over(&["k"]).ordered(&["i"]).alias("r");
        let frame = two_series(&VALUES).await.select([col("k"), col("i"), grouped]).unwrap();
        let twice = [expected.clone(), expected].concat();
        assert_close(what, &numbers(frame.sort([up("k"), up("i")]).unwrap()).await, &twice);
    }
}

const N: f64 = f64::NAN;

#[tokio::test]
async fn weights_that_are_adjusted() {
    // s.ewm_mean(alpha=.5), s.ewm_var(alpha=.5), s.ewm_std(alpha=.5, bias=True), and as span=3
    let mean = [1.0, 2.6, 3.4615384615384617, 5.9655172413793105, 5.983606557377049];
    let var = [N, 2.0, 1.3636363636363635, 9.031746031746032, 4.057627118644067];
    let std = [0.0, 0.8, 0.8426500884694863, 2.3265003853011033, 1.6042137472426317];
    check("alpha", Ewm::alpha(0.5).unwrap(), mean, var, std).await;
    check("span", Ewm::span(3.0).unwrap(), mean, var, std).await;
    // min_samples=3
    let from_third = |values: [f64; 5]| [N, N, values[2], values[3], values[4]];
    let ewm = Ewm::alpha(0.5).unwrap().min_periods(3);
    check("least", ewm, from_third(mean), from_third(var), from_third(std)).await;
    // half_life=2
    let mean = [1.0, 2.333333333333333, 3.14213562373095, 5.119202478726631, 5.4409624184230845];
    let var = [N, 1.9999999999999998, 1.8651239283050913, 9.114651601527365, 5.67069800793857];
    let std = [0.0, 0.9428090415820634, 1.0730192634433102, 2.5255319841431643, 2.0562482951707373];
    check("half-life", Ewm::half_life(2.0).unwrap(), mean, var, std).await;
}

#[tokio::test]
async fn weights_that_are_not_adjusted() {
    // com=2, adjust=False
    let mean = [1.0, 1.857142857142857, 2.571428571428571, 4.3809523809523805, 4.92063492063492];
    let var = [N, 1.9999999999999998, 2.5273972602739727, 10.375170532060027, 7.365889001593972];
    let std = [0.0, 0.9897433186107869, 1.2936264483053452, 2.76846511499974, 2.385815140070595];
    check("com", Ewm::com(2.0).unwrap().adjust(false), mean, var, std).await;
    // alpha=.5, adjust=False
    let mean = [1.0, 2.333333333333333, 3.1666666666666665, 5.583333333333334, 5.791666666666667];
    let var = [N, 2.0, 1.8636363636363638, 9.819148936170214, 4.897905759162304];
    let std = [0.0, 0.9428090415820634, 1.0671873729054748, 2.531742921827219, 1.8022940628235142];
    check("alpha", Ewm::alpha(0.5).unwrap().adjust(false), mean, var, std).await;
}

#[tokio::test]
async fn nulls_that_are_no_step() {
    // alpha=.5, ignore_nulls=True
    let mean = [1.0, 2.333333333333333, 3.2857142857142856, 5.8, 5.903225806451613];
    let var = [N, 2.0, 1.8571428571428577, 9.685714285714287, 4.5354838709677425];
    let std = [0.0, 0.9428090415820634, 1.0301575072754257, 2.4549270186029295, 1.7105901398145618];
    let ewm = Ewm::alpha(0.5).unwrap().ignore_nulls(true);
    check("adjusted", ewm, mean, var, std).await;
    // alpha=.5, adjust=False, ignore_nulls=True
    let mean = [1.0, 2.0, 3.0, 5.5, 5.75];
    let var = [N, 2.0, 2.4000000000000004, 10.666666666666666, 5.364705882352941];
    let std = [0.0, 1.0, 1.224744871391589, 2.6457513110645907, 1.8874586088176875];
    check("not adjusted", ewm.adjust(false), mean, var, std).await;
}

#[tokio::test]
async fn parameters_out_of_range() {
    for ewm in [
        Ewm::alpha(0.0),
        Ewm::alpha(1.1),
        Ewm::alpha(f64::NAN),
        Ewm::span(0.5),
        Ewm::half_life(0.0),
        Ewm::com(-1.0),
    ] {
        assert_eq!(ewm.unwrap_err().kind(), ErrorKind::Query);
    }
}

#[tokio::test]
async fn nothing_and_nulls() {
    let mean = |frame: brimful::DataFrame| {
        let mean = col("x").ewm_mean(Ewm::alpha(0.5).unwrap()).ordered(&["i"]);
        frame.select([mean.alias("m")]).unwrap()
    };
    let frame = series(&[None, None, Some(2.0)]).await;
    assert_eq!(line(mean(frame.clone().limit(0).unwrap())).await, "");
    let found = numbers(mean(frame)).await;
    assert_eq!(found.iter().flatten().copied().collect::<Vec<_>>(), [2.0]);
}

#[tokio::test]
async fn one_long_series_in_little_memory() {
    let place = Place::new();
    let knobs = Knobs { window_bytes: Some(0), sort_bytes: Some(1 << 16), ..Knobs::default() };
    let session = Setup::new(2, 1024, knobs).session(&place);
    let frame = session.sql("SELECT 100001 - value AS i FROM generate_series(1, 100000)").await;
    let ewm = Ewm::alpha(0.5).unwrap().adjust(false);
    let mean = col("i").ewm_mean(ewm).ordered(&["i"]).alias("m");
    let frame = frame.unwrap().select([col("i"), mean]).unwrap();
    // m(1) = 1 and m(i) = (m(i - 1) + i) / 2 are i - 1 + 2^(1 - i).
    let off = col("m") - col("i") + brimful::lit(1.0);
    let wrong = off.clone().lt(brimful::lit(0.0)).or(off.gt(brimful::lit(1e-9)));
    let wrong = wrong.and(col("i").gt(brimful::lit(40)));
    assert_eq!(frame.filter(wrong).unwrap().count().await.unwrap(), 0);
    assert!(session.spill_metrics().written_bytes > 0);
}
