//! Groups of rows: aggregates by name and in expressions, groups of several sets, rows of groups.

use brimful::aggregates::{
    all, any, any_value, approx_median, approx_n_unique, approx_quantile, bit_and, corr, count,
    count_distinct, cov, cov_pop, first_by, grouping, last_by, len, list, max, mean, median, min,
    n_unique, quantile, std, std_pop, string_agg, sum, var, var_pop,
};
use brimful::{DataFrame, Expr, ExprFunctionExt, Session, col, lit, when};

use crate::support::{
    Place, assert_query_error, frame_of, in_line, in_line_sorted, rising, spilling_session,
};

/// Two groups and one of NULL keys.
const SALES: &str = "SELECT * FROM (VALUES ('x', 1, 1.0::DOUBLE, 'a'), ('x', 2, 2.0, 'b'), \
                     ('x', 4, NULL, 'a'), ('y', 3, 8.0, NULL), (NULL, 5, 2.0, 'c')) \
                     AS t(shop, day, paid, item)";

async fn sales() -> DataFrame {
    frame_of(SALES).await
}

fn by_shop(frame: DataFrame) -> brimful::GroupBy {
    frame.group_by([col("shop")])
}

/// Each under a name of its own.
fn each_named<const N: usize>(exprs: [Expr; N]) -> impl Iterator<Item = Expr> {
    exprs.into_iter().enumerate().map(|(place, expr)| expr.alias(place.to_string()))
}

async fn sorted(frame: brimful::Result<DataFrame>) -> String {
    in_line(frame.unwrap().sort([rising("shop")]).unwrap()).await
}

#[tokio::test]
async fn aggregates_have_names() {
    let frame = by_shop(sales().await).agg([sum(col("paid")).alias("total"), len().alias("n")]);
    assert_eq!(frame.as_ref().unwrap().columns(), ["shop", "total", "n"]);
    assert_eq!(sorted(frame).await, "x 3.0 3 | y 8.0 1 | - 2.0 1");
}

#[tokio::test]
async fn aggregates_without_an_alias_have_the_name_of_a_column() {
    let names = |frame: brimful::Result<DataFrame>| frame.unwrap().columns();
    let of_many = by_shop(sales().await).agg([
        mean(col("Paid")),
        n_unique(col("item")),
        quantile(col("day") + lit(1), 0.5).alias("late"),
        len(),
    ]);
    assert_eq!(names(of_many), ["shop", "paid", "item", "late", "len"]);
    let part = by_shop(sales().await).agg([lit(100.0) * sum(col("paid")) / sum(col("day"))]);
    assert_eq!(names(part), ["shop", "paid"]);
    let choice = when(sum(col("day")).gt(lit(3))).then(max(col("item"))).otherwise(lit("?"));
    assert_eq!(names(by_shop(sales().await).agg([choice])), ["shop", "item"]);
    assert_query_error(
        by_shop(sales().await).agg([min(col("day")), max(col("day"))]),
        "two columns would have the name \"day\"",
        Some("rename one of them"),
    );
    // The names of files and tables are in no name.
    let frame = sales().await.select([col("day") + lit(1), col("paid")]).unwrap();
    assert_eq!(frame.columns(), ["day + Int32(1)", "paid"]);
}

#[tokio::test]
async fn aggregates_are_parts_of_expressions() {
    let share = (sum(col("paid")) / mean(col("day")) + lit(1.0)).alias("share");
    let double = (sum(col("paid")) * lit(2.0)).alias("double");
    let frame = by_shop(sales().await).agg([share, double, sum(col("day"))]);
    // x: 3 / (7 / 3) + 1, y: 8 / 3 + 1, NULL: 2 / 5 + 1.
    let rounded =
        frame.unwrap().with_column("share", brimful::functions::round(vec![col("share"), lit(3)]));
    assert_eq!(sorted(rounded).await, "x 2.286 6.0 7 | y 3.667 16.0 3 | - 1.4 4.0 5");
    // The key of a group may be in the expression, and be one itself.
    let odd = sales().await.group_by([(col("day") % lit(2)).alias("odd")]);
    let frame = odd.agg([(sum(col("day")) + (col("day") % lit(2))).alias("s")]).unwrap();
    assert_eq!(in_line_sorted(frame).await, "0 6 | 1 10");
    assert_query_error(
        by_shop(sales().await).agg([(sum(col("day")) + col("day")).alias("s")]),
        "\"day\" is neither a key nor aggregated",
        Some("group by it, or take first, min or list of it"),
    );
    assert_query_error(
        by_shop(sales().await).agg([col("day")]),
        "day is no aggregate",
        Some("say which of the values: sum, first, list …"),
    );
}

#[tokio::test]
async fn every_column_is_aggregated() {
    let frame = sales().await;
    let groups = || by_shop(frame.clone());
    assert_eq!(groups().sum().unwrap().columns(), ["shop", "day", "paid"]);
    assert_eq!(sorted(groups().sum()).await, "x 7 3.0 | y 3 8.0 | - 5 2.0");
    assert_eq!(sorted(groups().mean()).await, "x 2.3333333333333335 1.5 | y 3.0 8.0 | - 5.0 2.0");
    assert_eq!(sorted(groups().median()).await, "x 2.0 1.5 | y 3.0 8.0 | - 5.0 2.0");
    assert_eq!(sorted(groups().quantile(1.0)).await, "x 4.0 2.0 | y 3.0 8.0 | - 5.0 2.0");
    assert_eq!(sorted(groups().min()).await, "x 1 1.0 a | y 3 8.0 - | - 5 2.0 c");
    assert_eq!(sorted(groups().max()).await, "x 4 2.0 b | y 3 8.0 - | - 5 2.0 c");
    assert_eq!(sorted(groups().count()).await, "x 3 2 3 | y 1 1 0 | - 1 1 1");
    assert_eq!(sorted(groups().len()).await, "x 3 | y 1 | - 1");
    // NULL is a value of its own.
    assert_eq!(sorted(groups().n_unique()).await, "x 3 3 2 | y 1 1 1 | - 1 1 1");
    assert_eq!(sorted(groups().var()).await, "x 2.333333333333333 0.5 | y - - | - - -");
    let std = groups().std().unwrap().drop("day");
    assert_eq!(sorted(std).await, "x 0.7071067811865476 | y - | - -");
    // A frame of one batch has an order.
    let firsts = groups().first().unwrap();
    assert_eq!(firsts.columns(), ["shop", "day", "paid", "item"]);
    assert_eq!(firsts.count().await.unwrap(), 3);
}

#[tokio::test]
async fn a_frame_is_one_group() {
    let frame = sales().await.select([col("day"), col("paid")]).unwrap();
    assert_eq!(in_line(frame.clone().sum().unwrap()).await, "15 13.0");
    assert_eq!(in_line(frame.clone().mean().unwrap()).await, "3.0 3.25");
    assert_eq!(in_line(frame.clone().min().unwrap()).await, "1 1.0");
    assert_eq!(in_line(frame.clone().max().unwrap()).await, "5 8.0");
    assert_eq!(in_line(frame.clone().median().unwrap()).await, "3.0 2.0");
    assert_eq!(in_line(frame.clone().n_unique().unwrap()).await, "5 4");
    let some = frame.clone().agg([len(), (max(col("day")) - min(col("day"))).alias("d")]).unwrap();
    assert_eq!(in_line(some).await, "5 4");
    let none = frame.filter(lit(false)).unwrap();
    assert_eq!(in_line(none.clone().sum().unwrap()).await, "- -");
    assert_eq!(in_line(none.clone().n_unique().unwrap()).await, "0 0");
    assert_eq!(in_line(none.group_by([col("day")]).sum().unwrap()).await, "");
}

#[tokio::test]
async fn deviations_of_samples_and_populations() {
    // numpy: std and var of [1, 2, 4] with ddof = 1 and 0.
    let frame = frame_of("SELECT unnest([1.0, 2.0, 4.0, NULL]) AS v").await;
    let rounded = |expr| brimful::functions::round(vec![expr, lit(6)]);
    let [one, two, three, four] =
        [std(col("v")), std_pop(col("v")), var(col("v")), var_pop(col("v"))];
    let frame = frame.agg(each_named([one, two, three, four].map(rounded))).unwrap();
    assert_eq!(in_line(frame).await, "1.527525 1.247219 2.333333 1.555556");
}

#[tokio::test]
async fn quantiles_are_exact_or_nearly() {
    let frame = frame_of("SELECT value AS v FROM range(0, 1001)").await;
    let exact = [median(col("v")), quantile(col("v"), 0.25), quantile(col("v"), 0.9995)];
    let names = ["m", "q", "r"];
    let exact = exact.into_iter().zip(names).map(|(expr, name)| expr.alias(name));
    assert_eq!(in_line(frame.clone().agg(exact).unwrap()).await, "500.0 250.0 999.5");
    let about = [approx_median(col("v")), approx_quantile(col("v"), 0.25)];
    let about = about.into_iter().zip(names).map(|(expr, name)| expr.alias(name));
    let near = frame
        .agg(about)
        .unwrap()
        .filter(col("m").between(lit(490), lit(510)).and(col("q").between(lit(240), lit(260))));
    assert_eq!(near.unwrap().count().await.unwrap(), 1);
}

#[tokio::test]
async fn different_values_are_counted() {
    let frame =
        frame_of("SELECT CASE WHEN value > 2 THEN value % 100 END AS v FROM range(0, 1000)").await;
    let counts = [n_unique(col("v")), count_distinct(col("v")), count(col("v"))];
    let counts = counts.into_iter().zip(["u", "d", "c"]).map(|(expr, name)| expr.alias(name));
    assert_eq!(in_line(frame.clone().agg(counts).unwrap()).await, "101 100 997");
    let about = frame.agg([approx_n_unique(col("v")).alias("n")]).unwrap();
    let near = about.filter(col("n").between(lit(95), lit(105))).unwrap();
    assert_eq!(near.count().await.unwrap(), 1);
}

#[tokio::test]
async fn values_of_one_row() {
    let frame = sales().await;
    let falling = || [col("day").sort(false, false)];
    let frame = by_shop(frame).agg([
        first_by(col("item"), falling()).alias("newest"),
        last_by(col("item"), falling()).alias("oldest"),
        first_by(col("paid"), falling()).alias("may be null"),
        any_value(col("shop")).alias("any"),
    ]);
    assert_eq!(sorted(frame).await, "x a a - x | y - - 8.0 y | - c c 2.0 -");
}

#[tokio::test]
async fn pairs_of_columns() {
    // numpy: corrcoef and cov, with bias for the population.
    let frame =
        frame_of("SELECT * FROM (VALUES (1.0, 2.0), (2.0, 4.0), (3.0, 9.0)) AS t(a, b)").await;
    let rounded = |expr| brimful::functions::round(vec![expr, lit(6)]);
    let (a, b) = (|| col("a"), || col("b"));
    let frame = frame
        .agg(each_named([corr(a(), b()), cov(a(), b()), cov_pop(a(), b())].map(rounded)))
        .unwrap();
    assert_eq!(in_line(frame).await, "0.970725 3.5 2.333333");
}

#[tokio::test]
async fn values_become_one() {
    let by_day = || vec![col("day").sort(true, false)];
    let frame = by_shop(sales().await).agg([
        list(col("item")).order_by(by_day()).build().unwrap().alias("list"),
        string_agg(col("item"), lit("+")).order_by(by_day()).build().unwrap().alias("text"),
    ]);
    assert_eq!(sorted(frame).await, "x [a, b, a] a+b+a | y [-] - | - [c] c");
}

#[tokio::test]
async fn conditions_are_true_for_some_or_all() {
    let frame = by_shop(sales().await).agg([
        any(col("paid").gt(lit(1.5))).alias("any"),
        all(col("paid").gt(lit(1.5))).alias("all"),
        bit_and(col("day")).alias("bits"),
    ]);
    assert_eq!(sorted(frame).await, "x true false 0 | y true true 3 | - true true 5");
}

#[tokio::test]
async fn an_aggregate_may_have_a_filter() {
    let late = sum(col("day")).filter(col("day").gt(lit(1))).build().unwrap().alias("late");
    assert_eq!(sorted(by_shop(sales().await).agg([late])).await, "x 6 | y 3 | - 5");
}

#[tokio::test]
async fn values_are_counted_most_frequent_first() {
    let frame = sales().await.value_counts(&["ITEM"]).unwrap();
    assert_eq!(frame.columns(), ["item", "count"]);
    assert_eq!(in_line(frame).await, "a 2 | b 1 | c 1 | - 1");
    let pairs = sales().await.value_counts(&["shop", "item"]).unwrap().limit(2).unwrap();
    assert_eq!(in_line(pairs).await, "x a 2 | x b 1");
}

#[tokio::test]
async fn the_first_rows_of_each_group() {
    let frame = sales().await;
    let two = by_shop(frame.clone()).head(2, [rising("day")]).unwrap();
    assert_eq!(two.columns(), ["shop", "day", "paid", "item"]);
    assert_eq!(in_line_sorted(two).await, "- 5 2.0 c | x 1 1.0 a | x 2 2.0 b | y 3 8.0 -");
    let top = by_shop(frame.clone()).top_k(1, &["paid"]).unwrap();
    assert_eq!(in_line_sorted(top).await, "- 5 2.0 c | x 2 2.0 b | y 3 8.0 -");
    assert_query_error(
        frame.rollup([col("shop")]).top_k(1, &["paid"]),
        "a row is in several groups of a rollup or a cube",
        Some("use group_by"),
    );
}

#[tokio::test]
async fn aggregates_are_given_to_the_rows() {
    let share = (col("paid") / sum(col("paid"))).alias("share");
    let frame = by_shop(sales().await).transform([share, max(col("day")).alias("day")]).unwrap();
    assert_eq!(frame.columns(), ["shop", "day", "paid", "item", "share"]);
    let frame = frame.drop("item").unwrap().sort_by(&["shop", "paid"]).unwrap();
    assert_eq!(
        in_line(frame).await,
        "x 4 1.0 0.3333333333333333 | x 4 2.0 0.6666666666666666 | x 4 - - | y 3 8.0 1.0 | - 5 2.0 1.0"
    );
    let large = by_shop(sales().await).filter(len().gt(lit(1))).unwrap();
    assert_eq!(in_line_sorted(large.select([col("day")]).unwrap()).await, "1 | 2 | 4");
}

#[tokio::test]
async fn groups_of_several_sets() {
    let rows = "SELECT * FROM (VALUES ('a', 1, 10), ('a', 2, 20), ('b', 1, 30)) AS t(k, m, v)";
    let frame = frame_of(rows).await;
    let keys = || [col("k"), col("m")];
    let total = || [sum(col("v")).alias("v")];
    let rollup = frame.clone().rollup(keys()).agg(total()).unwrap();
    assert_eq!(rollup.columns(), ["k", "m", "v"]);
    // DuckDB: GROUP BY ROLLUP (k, m) and so on.
    assert_eq!(in_line_sorted(rollup).await, "- - 60 | a - 30 | a 1 10 | a 2 20 | b - 30 | b 1 30");
    let cube = frame.clone().cube(keys()).agg(total()).unwrap();
    assert_eq!(
        in_line_sorted(cube).await,
        "- - 60 | - 1 40 | - 2 20 | a - 30 | a 1 10 | a 2 20 | b - 30 | b 1 30"
    );
    let sets = frame.clone().grouping_sets([vec![col("k")], vec![col("m")], vec![]]).agg(total());
    assert_eq!(in_line_sorted(sets.unwrap()).await, "- - 60 | - 1 40 | - 2 20 | a - 30 | b - 30");
    let marked = frame.rollup([col("k")]).agg([grouping(col("k")).alias("g"), len().alias("n")]);
    assert_eq!(in_line_sorted(marked.unwrap()).await, "- 1 3 | a 0 2 | b 0 1");
}

#[tokio::test]
async fn wrong_names_are_suggested() {
    for result in [
        sales().await.group_by([col("shp")]).sum(),
        by_shop(sales().await).agg([sum(col("shp"))]),
        sales().await.value_counts(&["shp"]),
        by_shop(sales().await).top_k(1, &["shp"]),
        by_shop(sales().await).transform([sum(col("shp")).alias("s")]),
    ] {
        assert_query_error(result, "no column \"shp\"", Some("did you mean \"shop\"?"));
    }
}

#[tokio::test]
async fn groups_on_disk() {
    let place = Place::new();
    let session: Session = spilling_session(&place);
    let rows = session.range(0, 4000, 1).unwrap();
    let frame = rows.with_column("k", col("value") % lit(500)).unwrap();
    let groups = || frame.clone().group_by([col("k")]);
    // The greatest of each of 500 groups: 3500 to 3999.
    let top = groups().top_k(1, &["value"]).unwrap();
    let sums = |frame: DataFrame| frame.agg([len(), sum(col("value"))]).unwrap();
    assert_eq!(in_line(sums(top)).await, "500 1874750");
    let above = groups().transform([mean(col("value")).alias("mean")]).unwrap();
    let above = above.filter(col("value").gt(col("mean"))).unwrap();
    assert_eq!(above.count().await.unwrap(), 2000);
    let uniques = groups().n_unique().unwrap().agg([sum(col("value"))]).unwrap();
    assert_eq!(in_line(uniques).await, "4000");
    assert!(session.spill_metrics().written_bytes > 0);
}
