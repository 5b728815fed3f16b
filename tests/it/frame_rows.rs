//! The rows of a frame: the first, the last, the greatest, each once; and their order.

use brimful::{DataFrame, ErrorKind, Explain, Keep, Session, col, lit};

use crate::support::{
    Place, assert_query_error, frame_of, frame_values, in_line, in_line_sorted, plain_session,
    rising, spilling_session,
};

const SCORES: &str = "SELECT * FROM (VALUES ('a', 3), ('b', NULL), ('c', 1), ('d', 2), ('e', 5)) \
                      AS t(who, score)";

/// Five rows in the order of the letters.
async fn scores() -> DataFrame {
    frame_of(SCORES).await.sort_by(&["who"]).unwrap()
}

async fn who(frame: DataFrame) -> String {
    in_line(frame.select([col("who")]).unwrap()).await.replace(" | ", "")
}

#[tokio::test]
async fn first_and_last_rows() {
    let scores = scores().await;
    for (count, first, last) in [(0, "", ""), (2, "ab", "de"), (9, "abcde", "abcde")] {
        assert_eq!(who(scores.clone().head(count).unwrap()).await, first);
        assert_eq!(who(scores.clone().limit(count).unwrap()).await, first);
        assert_eq!(who(scores.clone().tail(count).unwrap()).await, last);
    }
    // Also of rows that have no order but that of the one batch they are in.
    let unsorted = plain_session().frame([("who", vec!["x", "y", "z"].into())]).unwrap();
    assert_eq!(who(unsorted.clone().tail(2).unwrap()).await, "yz");
    assert_eq!(who(unsorted.reverse().unwrap()).await, "zyx");
}

#[tokio::test]
async fn the_order_is_known_above_other_steps() {
    // Descending by a column that is renamed, filtered and no longer the first.
    let frame = scores().await.sort_by(&["-score"]).unwrap();
    let frame = frame.filter(col("score").is_not_null()).unwrap().rename([("score", "s")]).unwrap();
    let frame = frame.with_column("double", col("s") * lit(2)).unwrap();
    assert_eq!(who(frame.clone().tail(2).unwrap()).await, "dc");
    assert_eq!(who(frame.clone().reverse().unwrap()).await, "cdae");
    let numbered = frame.clone().with_row_index("row", 0).unwrap();
    assert_eq!(in_line_sorted(numbered).await, "0 e 5 10 | 1 a 3 6 | 2 d 2 4 | 3 c 1 2");
    // Without the column that decides.
    assert_eq!(who(frame.drop(["s", "double"]).unwrap().head(2).unwrap()).await, "ea");
}

#[tokio::test]
async fn slices_from_both_ends() {
    let scores = scores().await;
    let cases = [
        (0, Some(2), "ab"),
        (1, Some(2), "bc"),
        (3, None, "de"),
        (7, None, ""),
        (-2, None, "de"),
        (-3, Some(2), "cd"),
        // Polars has nothing there.
        (-9, Some(1), ""),
        (-7, Some(4), "ab"),
        (-7, None, "abcde"),
        (-2, Some(1), "d"),
        (-2, Some(9), "de"),
    ];
    for (offset, count, expected) in cases {
        assert_eq!(who(scores.clone().slice(offset, count).unwrap()).await, expected, "{offset}");
    }
    assert_eq!(who(scores.offset(4).unwrap()).await, "e");
    let unsorted = plain_session().frame([("who", vec!["x", "y", "z"].into())]).unwrap();
    assert_eq!(who(unsorted.clone().slice(-2, Some(1)).unwrap()).await, "y");
    assert_eq!(who(unsorted.slice(-5, Some(2)).unwrap()).await, "");
}

#[tokio::test]
async fn no_keys_are_no_order() {
    let falling = scores().await.sort_by(&["-who"]).unwrap();
    assert_eq!(who(falling.clone().sort_by(&[]).unwrap()).await, "edcba");
    assert_eq!(who(falling.clone().sort([]).unwrap().tail(2).unwrap()).await, "ba");
    for result in [falling.clone().top_k(1, &[]), falling.bottom_k(1, &[])] {
        assert_query_error(
            result,
            "no column says which rows are greatest or least",
            Some("name one, or use head for the first rows"),
        );
    }
}

#[tokio::test]
async fn one_row_of_each_key() {
    let rows = "SELECT * FROM (VALUES (1, 'a', 1), (2, 'a', 1), (3, NULL, 1), (4, 'b', 2), \
                (5, NULL, 1), (6, NULL, 2)) AS t(id, k, n)";
    let frame = frame_of(rows).await.sort_by(&["id"]).unwrap();
    let ids = |frame: DataFrame| async {
        in_line(frame.select([col("id")]).unwrap().sort_by(&["id"]).unwrap()).await
    };
    let unique = |subset: &[&str], keep| frame.clone().unique(subset, keep).unwrap();
    // pandas: drop_duplicates(["k"], keep = first, last and False).
    assert_eq!(ids(unique(&["k"], Keep::First)).await, "1 | 3 | 4");
    assert_eq!(ids(unique(&["k"], Keep::Last)).await, "2 | 4 | 6");
    assert_eq!(ids(unique(&["k"], Keep::None)).await, "4");
    assert_eq!(ids(unique(&["k", "n"], Keep::First)).await, "1 | 3 | 4 | 6");
    assert_eq!(ids(unique(&["K", "n"], Keep::None)).await, "4 | 6");
    assert_eq!(unique(&["k"], Keep::Any).count().await.unwrap(), 3);
    assert_eq!(unique(&[], Keep::First).count().await.unwrap(), 6);
    assert_eq!(unique(&["k"], Keep::Any).columns(), ["id", "k", "n"]);
    let pairs = frame.clone().drop("id").unwrap();
    assert_eq!(
        in_line_sorted(pairs.clone().unique([], Keep::Any).unwrap()).await,
        "- 1 | - 2 | a 1 | b 2"
    );
    assert_eq!(in_line_sorted(pairs.clone().unique([], Keep::None).unwrap()).await, "- 2 | b 2");
    assert_eq!(in_line_sorted(pairs.distinct().unwrap()).await, "- 1 | - 2 | a 1 | b 2");
    assert_query_error(
        frame.unique(["kk"], Keep::Any),
        "no column \"kk\"",
        Some("the columns are id, k, n"),
    );
}

#[tokio::test]
async fn greatest_and_least_rows() {
    let scores = scores().await;
    assert_eq!(who(scores.clone().top_k(2, &["score"]).unwrap()).await, "ea");
    assert_eq!(who(scores.clone().bottom_k(2, &["score"]).unwrap()).await, "cd");
    // NULL is neither.
    assert_eq!(who(scores.clone().top_k(5, &["SCORE"]).unwrap()).await, "eadcb");
    assert_eq!(who(scores.clone().bottom_k(5, &["score"]).unwrap()).await, "cdaeb");
    assert!(scores.top_k(1, &["scores"]).is_err());
}

#[tokio::test]
async fn rows_are_sorted_by_names() {
    let rows = "SELECT * FROM (VALUES (1, 'x'), (2, 'y'), (2, 'x'), (NULL, 'x')) AS t(n, \"T\")";
    let frame = frame_of(rows).await;
    assert_eq!(
        in_line(frame.clone().sort_by(&["-n", "t"]).unwrap()).await,
        "2 x | 2 y | 1 x | - x"
    );
    assert_eq!(
        in_line(frame.clone().sort_by(&["n", "-T"]).unwrap()).await,
        "1 x | 2 y | 2 x | - x"
    );
    let odd = frame.clone().rename([("n", "-n")]).unwrap();
    assert_eq!(in_line(odd.sort_by(&["-n", "T"]).unwrap()).await, "1 x | 2 x | 2 y | - x");
    assert_query_error(frame.sort_by(&["-m"]), "no column \"m\"", Some("the columns are n, T"));
}

#[tokio::test]
async fn rows_are_turned_round() {
    assert_eq!(who(scores().await.reverse().unwrap()).await, "edcba");
    let nulls_first = scores().await.sort([col("score").sort(true, true)]).unwrap();
    assert_eq!(who(nulls_first.reverse().unwrap()).await, "eadcb");
}

#[tokio::test]
async fn rows_that_are_said_to_be_sorted() {
    let session = plain_session();
    let values = vec![Some(4), Some(4), Some(2), None];
    let frame =
        session.frame([("n", values.into()), ("who", vec!["a", "b", "c", "d"].into())]).unwrap();
    let sorted = frame.clone().set_sorted(&["-N"]).unwrap();
    let again = sorted.clone().sort_by(&["-n"]).unwrap();
    let plan = again.clone().explain_as(Explain::Physical).await.unwrap();
    assert!(plan.contains("SetSortedExec") && !plan.contains("SortExec:"), "{plan}");
    assert_eq!(who(again).await, "abcd");
    assert_eq!(who(sorted.clone().reverse().unwrap().limit(1).unwrap()).await, "d");
    assert_eq!(in_line(sorted.clone().select([col("who")]).unwrap().limit(1).unwrap()).await, "a");
    for wrong in [&["n"][..], &["-n", "-who"]] {
        let error = frame.clone().set_sorted(wrong).unwrap().collect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Query);
        assert!(error.to_string().starts_with("the rows are not sorted by \"n\""), "{error}");
    }
    // A column that decides is read even if nothing else needs it.
    let only = frame.clone().set_sorted(&["n"]).unwrap().select([col("who")]).unwrap();
    assert!(only.collect().await.is_err());
    assert!(frame.set_sorted(&["m"]).is_err());
}

#[tokio::test]
async fn batches_are_compared_with_those_before() {
    let session = plain_session();
    let rows = |from, to| session.range(from, to, 1).unwrap();
    let frame = rows(0, 20_000).set_sorted(&["value"]).unwrap();
    assert_eq!(frame.count().await.unwrap(), 20_000);
    // 8192 rows are a batch: the second begins below the end of the first.
    let value = (col("value") * lit(7)) % lit(8192 * 7 + 1);
    let frame = rows(0, 20_000).select([value.alias("v")]).unwrap().set_sorted(&["v"]).unwrap();
    assert!(frame.collect().await.is_err());
}

/// 5000 rows; `k` has 1000 values of 5 rows each.
fn many(session: &Session) -> DataFrame {
    let rows = session.range(0, 5000, 1).unwrap();
    rows.select([col("value").alias("id"), (col("value") % lit(1000)).alias("k")]).unwrap()
}

#[tokio::test]
async fn all_of_it_goes_to_disk() {
    let place = Place::new();
    let session = spilling_session(&place);
    let sum = |frame: DataFrame| async {
        let sums = frame.agg([brimful::aggregates::len(), brimful::aggregates::sum(col("id"))]);
        in_line(sums.unwrap()).await
    };
    let rows = || many(&session).sort_by(&["-id"]).unwrap();
    // The first of 5 falling ids is the greatest: 4000 to 4999.
    assert_eq!(sum(rows().unique(["k"], Keep::First).unwrap()).await, "1000 4499500");
    assert_eq!(sum(rows().unique(["k"], Keep::Last).unwrap()).await, "1000 499500");
    assert_eq!(sum(rows().unique(["k"], Keep::None).unwrap()).await, "0 -");
    assert_eq!(sum(rows().tail(1000).unwrap()).await, "1000 499500");
    let last = frame_values(rows().tail(2).unwrap()).await;
    assert_eq!(last, [["1", "1"], ["0", "0"]]);
    // Any rows where there is no order.
    assert_eq!(many(&session).tail(1000).unwrap().count().await.unwrap(), 1000);
    let reversed = rows().reverse().unwrap().limit(1).unwrap();
    assert_eq!(in_line(reversed).await, "0 0");
    assert!(session.spill_metrics().written_bytes > 0);
    assert_eq!(in_line(rows().sort([rising("id")]).unwrap().limit(1).unwrap()).await, "0 0");
}
