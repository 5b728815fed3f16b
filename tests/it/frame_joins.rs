//! Joins with options, joins on conditions, and frames put together.

use brimful::{
    Concat, DataFrame, ErrorKind, Join, JoinOptions, Session, Validate, col, concat, lit,
};

use crate::support::{
    Place, assert_query_error, frame_of, in_line, in_line_sorted, plain_session, spilling_session,
};

const LEFT: &str = "SELECT * FROM (VALUES (1, 'a'), (2, 'b'), (NULL, 'c')) AS t(id, v)";
const RIGHT: &str = "SELECT * FROM (VALUES (2, 'x'), (3, 'y'), (NULL, 'z')) AS t(id, v)";

async fn sides() -> (DataFrame, DataFrame) {
    (frame_of(LEFT).await, frame_of(RIGHT).await)
}

async fn joined(options: JoinOptions) -> DataFrame {
    let (left, right) = sides().await;
    left.join_with(right, options).unwrap()
}

fn on_id() -> JoinOptions {
    JoinOptions::on(["id"])
}

#[tokio::test]
async fn the_suffix_is_chosen() {
    let frame = joined(on_id().suffix("_2")).await;
    assert_eq!(frame.columns(), ["id", "v", "v_2"]);
    assert_eq!(in_line(frame).await, "2 b x");
    let (left, right) = sides().await;
    let left = left.with_column("v_right", lit(0)).unwrap();
    assert_query_error(
        left.join(right, &["id"], Join::Inner),
        "two columns would have the name \"v_right\"",
        Some("rename one of them"),
    );
}

#[tokio::test]
async fn keys_are_one_column_or_two() {
    let frame = joined(on_id().how(Join::Full)).await;
    assert_eq!(in_line_sorted(frame).await, "- - z | - c - | 1 a - | 2 b x | 3 - y");
    let frame = joined(on_id().how(Join::Full).coalesce(false)).await;
    assert_eq!(frame.columns(), ["id", "v", "id_right", "v_right"]);
    assert_eq!(in_line_sorted(frame).await, "- - - z | - - 3 y | - c - - | 1 a - - | 2 b 2 x");
    let (left, right) = sides().await;
    let right = right.rename([("id", "key")]).unwrap();
    let options = JoinOptions::on_pairs([("ID", "Key")]).how(Join::Left);
    let one = left.clone().join_with(right.clone(), options.clone()).unwrap();
    assert_eq!(one.columns(), ["id", "v", "v_right"]);
    let two = left.join_with(right, options.coalesce(false)).unwrap();
    assert_eq!(two.columns(), ["id", "v", "key", "v_right"]);
    assert_eq!(in_line_sorted(two).await, "- c - - | 1 a - - | 2 b 2 x");
}

#[tokio::test]
async fn nulls_equal_nothing_or_each_other() {
    assert_eq!(in_line_sorted(joined(on_id()).await).await, "2 b x");
    assert_eq!(in_line_sorted(joined(on_id().nulls_equal(true)).await).await, "- c z | 2 b x");
    let anti = joined(on_id().how(Join::Anti).nulls_equal(true)).await;
    assert_eq!(in_line_sorted(anti).await, "1 a");
    let full = joined(on_id().how(Join::Full).nulls_equal(true)).await;
    assert_eq!(in_line_sorted(full).await, "- c z | 1 a - | 2 b x | 3 - y");
}

#[tokio::test]
async fn the_indicator_says_where_a_row_comes_from() {
    let frame = joined(on_id().how(Join::Full).indicator("_merge")).await;
    assert_eq!(frame.columns(), ["id", "v", "v_right", "_merge"]);
    assert_eq!(
        in_line_sorted(frame.clone()).await,
        "- - z right_only | - c - left_only | 1 a - left_only | 2 b x both | 3 - y right_only"
    );
    let left = joined(on_id().how(Join::Left).indicator("from")).await;
    assert_eq!(in_line_sorted(left).await, "- c - left_only | 1 a - left_only | 2 b x both");
    let both = frame.filter(col("_merge").eq(lit("both"))).unwrap();
    assert_eq!(in_line(both).await, "2 b x both");
    let (left, right) = sides().await;
    let error = left.join_with(right, on_id().how(Join::Semi).indicator("from")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Query);
}

#[tokio::test]
async fn a_key_that_is_there_twice_is_named() {
    let one = frame_of("SELECT * FROM (VALUES (1, 'a'), (2, 'b')) AS t(id, v)").await;
    let two = frame_of("SELECT * FROM (VALUES (1, 'x'), (2, 'y'), (2, 'z')) AS t(id, w)").await;
    let join = |left: &DataFrame, right: &DataFrame, validate| {
        left.clone().join_with(right.clone(), on_id().how(Join::Left).validate(validate)).unwrap()
    };
    for validate in [Validate::ManyToMany, Validate::OneToMany] {
        assert_eq!(in_line_sorted(join(&one, &two, validate)).await, "1 a x | 2 b y | 2 b z");
    }
    assert_eq!(
        in_line_sorted(join(&two, &one, Validate::ManyToOne)).await,
        "1 x a | 2 y b | 2 z b"
    );
    assert_eq!(in_line_sorted(join(&one, &one, Validate::OneToOne)).await, "1 a a | 2 b b");
    let fails = [
        (join(&one, &two, Validate::OneToOne), "right"),
        (join(&one, &two, Validate::ManyToOne), "right"),
        (join(&two, &one, Validate::OneToOne), "left"),
        (join(&two, &one, Validate::OneToMany), "left"),
    ];
    for (frame, side) in fails {
        let error = frame.collect().await.unwrap_err();
        let expected = format!("\"id\" = 2 is there 2 times on the {side} side of the join");
        assert_eq!((error.kind(), error.to_string()), (ErrorKind::Query, expected));
    }
}

#[tokio::test]
async fn a_key_of_several_columns_is_checked_as_one() {
    let rows = "SELECT * FROM (VALUES (1, 'a'), (1, 'b'), (NULL, 'c'), (NULL, 'c')) AS t(n, k)";
    let frame = frame_of(rows).await;
    let join = |options: JoinOptions| frame.clone().join_with(frame.clone(), options).unwrap();
    let checked = || JoinOptions::on(["n", "k"]).validate(Validate::OneToOne);
    assert_eq!(in_line_sorted(join(checked())).await, "1 a | 1 b");
    // The NULLs matter only where they match.
    let error = join(checked().nulls_equal(true)).collect().await.unwrap_err();
    let message = error.to_string();
    assert!(message.starts_with("\"n\" = NULL, \"k\" = c is there 2 times on the "), "{message}");
}

#[tokio::test]
async fn every_row_with_every_row() {
    let (left, right) = sides().await;
    let frame = left.limit(2).unwrap().cross_join(right.limit(2).unwrap()).unwrap();
    assert_eq!(frame.columns(), ["id", "v", "id_right", "v_right"]);
    assert_eq!(in_line_sorted(frame).await, "1 a 2 x | 1 a 3 y | 2 b 2 x | 2 b 3 y");
}

#[tokio::test]
async fn joins_on_conditions() {
    let session = plain_session();
    let spans = session
        .frame([
            ("name", vec!["a", "b"].into()),
            ("from", vec![0, 5].into()),
            ("to", vec![6, 9].into()),
        ])
        .unwrap();
    let events =
        session.frame([("at", vec![1, 5, 7, 9].into()), ("name", vec!["p", "q", "r", "s"].into())]);
    let events = events.unwrap();
    let inside = [col("from").lt_eq(col("at")), col("at").lt(col("to"))];
    let frame = spans.clone().join_where(events.clone(), inside).unwrap();
    assert_eq!(frame.columns(), ["name", "from", "to", "at", "name_right"]);
    let frame = frame.select([col("name"), col("name_right")]).unwrap();
    assert_eq!(in_line_sorted(frame).await, "a p | a q | b q | b r");
    assert_query_error(
        spans.clone().join_where(events.clone(), [col("from").lt(col("att"))]),
        "no column \"att\"",
        Some("the columns are name, from, to, at, name_right"),
    );
    assert!(spans.join_where(events, []).is_err());
}

#[tokio::test]
async fn rows_below_each_other() {
    let one = frame_of("SELECT 1::BIGINT AS a, 'x' AS b").await;
    let turned = frame_of("SELECT 'y' AS \"B\", 2::BIGINT AS a").await;
    let wide = frame_of("SELECT 2.5::DOUBLE AS a, 'z' AS b").await;
    let more = frame_of("SELECT 3::BIGINT AS a, 'z' AS b, true AS c").await;
    let all = concat([one.clone(), turned, one.clone()], Concat::Vertical).unwrap();
    assert_eq!(all.columns(), ["a", "b"]);
    assert_eq!(in_line_sorted(all).await, "1 x | 1 x | 2 y");
    assert_query_error(
        concat([one.clone(), wide.clone()], Concat::Vertical),
        "the column \"a\" is Int64 in one frame and Float64 in another",
        Some("cast one of them, or use VerticalRelaxed for a common type"),
    );
    let literal =
        plain_session().frame([("a", vec![4_i64].into()), ("b", vec!["v"].into())]).unwrap();
    let texts = concat([literal.clone(), one.clone()], Concat::Vertical).unwrap();
    assert_ne!(literal.dtypes(), one.dtypes());
    assert_eq!(in_line_sorted(texts).await, "1 x | 4 v");
    let relaxed = concat([one.clone(), wide], Concat::VerticalRelaxed).unwrap();
    assert_eq!(in_line_sorted(relaxed).await, "1.0 x | 2.5 z");
    for (first, second) in [(&one, &more), (&more, &one)] {
        let result = concat([first.clone(), second.clone()], Concat::VerticalRelaxed);
        assert_eq!(result.unwrap_err().to_string(), "no column \"c\"");
    }
    let diagonal = concat([one.clone(), more.clone()], Concat::Diagonal).unwrap();
    assert_eq!(diagonal.columns(), ["a", "b", "c"]);
    assert_eq!(in_line_sorted(diagonal).await, "1 x - | 3 z true");
    assert_eq!(in_line_sorted(one.union_by_name(more).unwrap()).await, "1 x - | 3 z true");
    assert!(concat([], Concat::Vertical).is_err());
}

#[tokio::test]
async fn columns_side_by_side() {
    let session = plain_session();
    let one = session.frame([("a", vec![1, 2, 3].into())]).unwrap();
    let two =
        session.frame([("b", vec!["x", "y"].into()), ("c", vec![true, false].into())]).unwrap();
    let frame = concat([one.clone(), two.clone()], Concat::Horizontal).unwrap();
    assert_eq!(frame.columns(), ["a", "b", "c"]);
    assert_eq!(in_line(frame).await, "1 x true | 2 y false | 3 - -");
    let frame = concat([two, one.clone()], Concat::Horizontal).unwrap();
    assert_eq!(in_line(frame).await, "x true 1 | y false 2 | - - 3");
    assert!(concat([one.clone(), one], Concat::Horizontal).is_err());
}

#[tokio::test]
async fn rows_as_sets_and_bags() {
    let session = plain_session();
    let frame = |values: Vec<Option<i32>>| session.frame([("v", values.into())]).unwrap();
    let one = frame(vec![Some(1), Some(1), Some(1), Some(2), None, None]);
    let two = frame(vec![Some(1), Some(1), Some(3), None]).rename([("v", "other")]).unwrap();
    let sides = || (one.clone(), two.clone());
    let ((a, b), (c, d), (e, f), (g, h)) = (sides(), sides(), sides(), sides());
    // DuckDB: INTERSECT, INTERSECT ALL, EXCEPT and EXCEPT ALL of the same rows.
    assert_eq!(in_line_sorted(a.intersect(b).unwrap()).await, "- | 1");
    assert_eq!(in_line_sorted(c.intersect_all(d).unwrap()).await, "- | 1 | 1");
    assert_eq!(in_line_sorted(e.except(f).unwrap()).await, "2");
    assert_eq!(in_line_sorted(g.except_all(h).unwrap()).await, "- | 1 | 2");
    let wide = one.clone().with_column("w", lit(1)).unwrap();
    assert_query_error(
        one.intersect(wide),
        "the frames have different numbers of columns: 1 and 2",
        None,
    );
}

#[tokio::test]
async fn values_are_patched() {
    let own = frame_of(
        "SELECT * FROM (VALUES (1, 'a', 10), (2, NULL, 20), (3, 'c', NULL)) AS t(id, t, n)",
    )
    .await;
    let new = frame_of("SELECT * FROM (VALUES (2, 'B', NULL, 1), (3, 'C', 33, 2), (4, 'D', 44, 3)) AS t(id, t, n, x)").await;
    // pandas: combine_first of frames indexed by id.
    let filled = own.clone().combine_first(new.clone(), &["id"]).unwrap();
    assert_eq!(filled.columns(), ["id", "t", "n", "x"]);
    assert_eq!(in_line_sorted(filled).await, "1 a 10 - | 2 B 20 1 | 3 c 33 2 | 4 D 44 3");
    // Polars: update, which skips NULLs.
    let updated = own.clone().update(new.clone(), &["id"], Join::Left).unwrap();
    assert_eq!(updated.columns(), ["id", "t", "n"]);
    assert_eq!(in_line_sorted(updated).await, "1 a 10 | 2 B 20 | 3 C 33");
    let full = own.clone().update(new.clone(), &["id"], Join::Full).unwrap();
    assert_eq!(in_line_sorted(full).await, "1 a 10 | 2 B 20 | 3 C 33 | 4 D 44");
    assert_eq!(own.update(new, &["id"], Join::Anti).unwrap_err().kind(), ErrorKind::Query);
}

#[tokio::test]
async fn sorted_rows_are_merged() {
    let session = plain_session();
    let one =
        session.frame([("k", vec![1, 4, 7].into()), ("s", vec!["a", "b", "c"].into())]).unwrap();
    let two = session.frame([("s", vec!["d", "e"].into()), ("k", vec![2, 9].into())]).unwrap();
    let frame =
        one.sort_by(&["k"]).unwrap().merge_sorted(two.sort_by(&["k"]).unwrap(), "K").unwrap();
    assert_eq!(in_line(frame).await, "1 a | 2 d | 4 b | 7 c | 9 e");
}

/// 3000 rows with keys from `first` on.
fn many(session: &Session, first: i64) -> DataFrame {
    let rows = session.range(first, first + 3000, 1).unwrap();
    rows.select([col("value").alias("id"), (col("value") * lit(2)).alias("v")]).unwrap()
}

#[tokio::test]
async fn joins_on_disk() {
    let place = Place::new();
    let session = spilling_session(&place);
    let checked = || on_id().how(Join::Full).validate(Validate::OneToOne).indicator("from");
    let frame = many(&session, 0).join_with(many(&session, 1000), checked()).unwrap();
    let sizes = frame.value_counts(&["from"]).unwrap();
    assert_eq!(in_line(sizes).await, "both 2000 | left_only 1000 | right_only 1000");
    let one = many(&session, 1000).filter(col("id").eq(lit(3999))).unwrap();
    let twice = many(&session, 1000).union(one).unwrap();
    let frame = many(&session, 0).join_with(twice, checked()).unwrap();
    let message = frame.collect().await.unwrap_err().to_string();
    assert_eq!(message, "\"id\" = 3999 is there 2 times on the right side of the join");
    let common = many(&session, 0).intersect_all(many(&session, 2500)).unwrap();
    assert_eq!(common.count().await.unwrap(), 500);
    let rows = || many(&session, 0).sort_by(&["id"]).unwrap();
    let others = rows().rename([("id", "i"), ("v", "w")]).unwrap();
    let side_by_side = concat([rows(), others], Concat::Horizontal);
    let off = side_by_side.unwrap().filter(col("id").not_eq(col("i"))).unwrap();
    assert_eq!(off.count().await.unwrap(), 0);
    assert!(session.spill_metrics().written_bytes > 0);
}
