//! The columns of a frame: selected by name, type and pattern, renamed, cast, added.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, StringArray};
use arrow::datatypes::{DataType, Int64Type};
use brimful::aggregates::sum;
use brimful::selectors::{
    all, boolean, contains, ends_with, except, float, integer, matches, nested, numeric, of_type,
    starts_with, temporal, text,
};
use brimful::{DataFrame, ErrorKind, ExprMethods, Selector, ValueExpr, apply, col, lit, when};

use crate::support::{assert_query_error, frame_of, in_line, plain_session, rising};

/// One column of each kind.
const KINDS: &str = "SELECT 1::BIGINT AS id, 2::INT AS n_small, 1.5::DOUBLE AS x, \
                     1.25::DECIMAL(5, 2) AS price, 'a' AS n_text, true AS ok, \
                     DATE '2024-01-02' AS day, [1, 2] AS list";

const PEOPLE: &str = "SELECT * FROM (VALUES (1, 'Ann', 30), (2, 'Bob', NULL), (3, 'Cid', 40)) \
                      AS t(id, \"Name\", age)";

fn names(frame: &DataFrame) -> Vec<String> {
    frame.columns()
}

#[tokio::test]
async fn selectors_find_columns_by_type_and_name() {
    let frame = frame_of(KINDS).await;
    let cases: [(Selector, &[&str]); 18] = [
        (numeric(), &["id", "n_small", "x", "price"]),
        (integer(), &["id", "n_small"]),
        (float(), &["x"]),
        (text(), &["n_text"]),
        (boolean(), &["ok"]),
        (temporal(), &["day"]),
        (nested(), &["list"]),
        (of_type(DataType::Int32), &["n_small"]),
        (of_type(DataType::Int8), &[]),
        (starts_with("n_"), &["n_small", "n_text"]),
        (ends_with("text"), &["n_text"]),
        (contains("i"), &["id", "price", "list"]),
        (numeric() - "id", &["n_small", "x", "price"]),
        (numeric() & starts_with("n_"), &["n_small"]),
        (float() | text(), &["x", "n_text"]),
        (!numeric(), &["n_text", "ok", "day", "list"]),
        (except(["id", "ok"]), &["n_small", "x", "price", "n_text", "day", "list"]),
        (["X", "id"].into(), &["x", "id"]),
    ];
    for (selector, expected) in cases {
        let shown = format!("{selector:?}");
        let kept = frame.clone().select_columns(selector.clone()).unwrap();
        assert_eq!(names(&kept), expected, "{shown}");
        let left = frame.clone().drop(selector).unwrap();
        assert_eq!(left.width(), frame.width() - expected.len(), "{shown}");
    }
    assert_eq!(names(&frame.clone().select_columns(all()).unwrap()), names(&frame));
    assert_query_error(
        frame.select_columns(numeric() - "prize"),
        "no column \"prize\"",
        Some("did you mean \"price\"?"),
    );
}

#[tokio::test]
async fn columns_are_selected_by_regular_expressions() {
    let frame = frame_of(KINDS).await;
    assert_eq!(
        names(&frame.clone().select_columns(matches("^n_|^i")).unwrap()),
        ["id", "n_small", "n_text"]
    );
    assert_eq!(names(&frame.clone().select_columns(matches("i.e$")).unwrap()), ["price"]);
    assert_query_error(frame.select_columns(matches("(")), "\"(\" is no regular expression", None);
}

#[tokio::test]
async fn columns_are_dropped() {
    let people = frame_of(PEOPLE).await;
    let left = people.clone().drop(["name", "ID"]).unwrap();
    assert_eq!(
        (names(&left), in_line(left).await),
        (vec!["age".to_string()], "30 | - | 40".into())
    );
    assert_query_error(people.drop("agee"), "no column \"agee\"", Some("did you mean \"age\"?"));
}

#[tokio::test]
async fn columns_are_renamed() {
    let people = frame_of(PEOPLE).await;
    let renamed = people.clone().rename([("NAME", "first name"), ("age", "id2")]).unwrap();
    assert_eq!(names(&renamed), ["id", "first name", "id2"]);
    assert_eq!(in_line(renamed.limit(1).unwrap()).await, "1 Ann 30");
    let swapped = people.clone().rename([("id", "age"), ("age", "id")]).unwrap();
    assert_eq!(names(&swapped), ["age", "Name", "id"]);
    assert_eq!(in_line(swapped.limit(1).unwrap()).await, "1 Ann 30");
    let upper = people.clone().rename_with(str::to_uppercase).unwrap();
    assert_eq!(names(&upper), ["ID", "NAME", "AGE"]);
    assert_query_error(
        people.clone().rename([("id", "age")]),
        "two columns would have the name \"age\"",
        Some("rename one of them"),
    );
    assert_query_error(
        people.rename([("ages", "x")]),
        "no column \"ages\"",
        Some("did you mean \"age\"?"),
    );
}

#[tokio::test]
async fn columns_are_cast() {
    let frame =
        frame_of("SELECT 1::BIGINT AS a, 2::BIGINT AS b, '7' AS t UNION ALL SELECT 3, 4, 'x'")
            .await;
    let cast = frame.clone().cast(numeric(), DataType::Float64).unwrap();
    let text_type = frame.dtypes()[2].clone();
    assert_eq!(cast.dtypes(), [DataType::Float64, DataType::Float64, text_type]);
    let tried = frame.clone().try_cast("t", DataType::Int64).unwrap().sort([rising("a")]).unwrap();
    assert_eq!(in_line(tried).await, "1 2 7 | 3 4 -");
    let strict = frame.clone().cast("t", DataType::Int64).unwrap();
    assert!(strict.collect().await.is_err());
    assert_query_error(
        frame.cast("c", DataType::Int64),
        "no column \"c\"",
        Some("the columns are a, b, t"),
    );
}

#[tokio::test]
async fn columns_are_added_at_once() {
    let frame = frame_of("SELECT 1::BIGINT AS a, 10::BIGINT AS b").await;
    // Each sees the columns as they were.
    let added = frame
        .clone()
        .with_columns([(col("a") + lit(1)).alias("A"), (col("a") + col("b")).alias("c"), col("b")])
        .unwrap();
    assert_eq!(names(&added), ["a", "b", "c"]);
    assert_eq!(in_line(added).await, "2 10 11");
    assert_query_error(
        frame.with_columns([lit(1).alias("x"), lit(2).alias("x")]),
        "two columns would have the name \"x\"",
        Some("rename one of them"),
    );
}

#[tokio::test]
async fn a_new_name_is_taken_as_it_is() {
    let frame = frame_of("SELECT * FROM (VALUES (7)) AS t(x)").await;
    let added = frame.clone().with_column("t.x", lit(1)).unwrap();
    assert_eq!(names(&added), ["x", "t.x"]);
    assert_eq!(in_line(added).await, "7 1");
    // A column may be named with its table.
    assert_eq!(names(&frame.with_columns([col("T.X")]).unwrap()), ["x"]);
}

#[tokio::test]
async fn a_step_of_ones_own_is_a_function() {
    fn adults(frame: DataFrame, age: i64) -> brimful::Result<DataFrame> {
        frame.filter(col("age").gt_eq(lit(age)))
    }
    let people = frame_of(PEOPLE).await;
    let frame = people.pipe(|frame| adults(frame, 35)).unwrap();
    assert_eq!(in_line(frame).await, "3 Cid 40");
}

#[tokio::test]
async fn rows_are_counted_in_a_first_column() {
    let people = frame_of(PEOPLE).await;
    let frame = people.clone().sort_by(&["-id"]).unwrap().with_row_index("row", 10).unwrap();
    assert_eq!(names(&frame), ["row", "id", "Name", "age"]);
    assert_eq!(frame.dtypes()[0], DataType::Int64);
    assert_eq!(
        in_line(frame.sort([rising("row")]).unwrap()).await,
        "10 3 Cid 40 | 11 2 Bob - | 12 1 Ann 30"
    );
    let empty = people.clone().filter(lit(false)).unwrap().with_row_index("row", 0).unwrap();
    assert_eq!(in_line(empty).await, "");
    assert_query_error(
        people.with_row_index("id", 0),
        "two columns would have the name \"id\"",
        Some("rename one of them"),
    );
}

#[tokio::test]
async fn columns_are_put_first() {
    let people = frame_of(PEOPLE).await;
    let frame = people.clone().reorder(&["age", "NAME"]).unwrap();
    assert_eq!(names(&frame), ["age", "Name", "id"]);
    assert_eq!(in_line(frame.limit(1).unwrap()).await, "30 Ann 1");
    assert!(people.clone().reorder(&["age", "AGE"]).is_err());
    assert_query_error(
        people.reorder(&["x"]),
        "no column \"x\"",
        Some("the columns are id, Name, age"),
    );
}

#[tokio::test]
async fn a_function_of_the_program_makes_a_column() {
    let people = frame_of(PEOPLE).await.sort_by(&["id"]).unwrap();
    let initials = apply([col("name"), col("age")], DataType::Utf8, |columns| {
        let names = arrow::compute::cast(&columns[0], &DataType::Utf8)?;
        let ages = columns[1].as_primitive::<Int64Type>();
        let texts = names.as_string::<i32>().iter().enumerate().map(|(row, name)| {
            let initial = &name?[..1];
            Some(if ages.is_null(row) { initial.to_string() } else { format!("{initial}!") })
        });
        Ok(Arc::new(texts.collect::<StringArray>()) as ArrayRef)
    });
    let frame = people.clone().select([initials.alias("initial")]).unwrap();
    assert_eq!(in_line(frame).await, "A! | B | C!");
    let one = |_: &[ArrayRef]| Ok(Arc::new(Int64Array::from(vec![1])) as ArrayRef);
    let short = people.clone().select([apply([col("id")], DataType::Int64, one)]).unwrap();
    let error = short.collect().await.unwrap_err();
    assert!(error.to_string().contains("a function gave 1 values for 3 rows"), "{error}");
    let wrong = apply([col("id")], DataType::Utf8, |columns| Ok(Arc::clone(&columns[0])));
    let error = people.clone().select([wrong]).unwrap().collect().await.unwrap_err();
    assert!(error.to_string().contains("Int64 where Utf8 was said"), "{error}");
    let panics = apply([col("id")], DataType::Int64, |_| panic!("no such thing"));
    let error = people.clone().select([panics]).unwrap().collect().await.unwrap_err();
    assert_eq!(error.to_string(), "apply panicked: no such thing");
    let failing =
        apply([col("id")], DataType::Int64, |_| Err(brimful::Error::input("no such day")));
    let error = people.select([failing]).unwrap().collect().await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Input, "no such day"));
}

#[tokio::test]
async fn the_first_true_condition_decides() {
    let people = frame_of(PEOPLE).await.sort_by(&["id"]).unwrap();
    let group = when(col("age").gt(lit(35)))
        .then(lit("old"))
        .when(col("age").gt(lit(20)))
        .then(lit("young"))
        .otherwise(lit("?"));
    let some = when(col("age").gt(lit(35))).then(lit("old")).end();
    let frame = people.clone().select([group.alias("a"), some.alias("b")]).unwrap();
    assert_eq!(in_line(frame).await, "young - | ? - | old old");
    let old = || col("age").gt(lit(35));
    let frame = people
        .select([col("id").keep_where(old()).alias("a"), col("id").mask(old(), lit(0)).alias("b")])
        .unwrap();
    assert_eq!(in_line(frame).await, "- 1 | - 2 | 3 0");
}

#[tokio::test]
async fn values_are_tested() {
    let people = frame_of(PEOPLE).await.sort_by(&["id"]).unwrap();
    let frame = people
        .clone()
        .select([
            col("age").is_in([30_i64, 31]).alias("in"),
            col("age").is_between(lit(30), lit(39)).alias("between"),
            col("age").eq_missing(lit(30)).alias("eq"),
            col("age").ne_missing(lit(30)).alias("ne"),
        ])
        .unwrap();
    assert_eq!(
        in_line(frame).await,
        "true true true false | - - false true | false false false true"
    );
    let names = people.filter(col("name").is_in(["Ann", "Cid", "Dan"])).unwrap();
    assert_eq!(in_line(names.agg([sum(col("id"))]).unwrap()).await, "4");
}

#[tokio::test]
async fn names_of_two_tables_are_told_apart() {
    let session = plain_session();
    for (name, values) in [("one", vec![1, 2]), ("two", vec![2, 3])] {
        session.register(name, session.frame([("id", values.into())]).unwrap()).unwrap();
    }
    let both = "SELECT * FROM one LEFT JOIN two ON one.id = two.id ORDER BY one.id";
    let both = session.sql(both).await.unwrap();
    assert_eq!(in_line(both.clone().drop("two.id").unwrap()).await, "1 | 2");
    assert_eq!(in_line(both.clone().drop("one.id").unwrap()).await, "- | 2");
    assert_eq!(in_line(both.clone().select_columns(["two.id"]).unwrap()).await, "- | 2");
    assert_eq!(in_line(both.clone().select_columns(all() - "two.id").unwrap()).await, "1 | 2");
    assert_eq!(in_line(both.clone().drop_nulls("two.id").unwrap()).await, "2 2");
    let filled = both.clone().fill_null_in("two.id", 0).unwrap();
    assert_eq!(in_line(filled.clone()).await, "1 0 | 2 2");
    // It is still known by the name of its table.
    assert_eq!(in_line(filled.drop("two.id").unwrap()).await, "1 | 2");
    let renamed = both.clone().rename([("two.id", "other")]).unwrap();
    assert_eq!(names(&renamed), ["id", "other"]);
    assert_eq!(in_line(renamed.drop("other").unwrap()).await, "1 | 2");
    let texts = both.cast("two.id", DataType::Float64).unwrap();
    assert_eq!(in_line(texts).await, "1 - | 2 2.0");
}

#[tokio::test]
async fn a_value_is_computed_once() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&calls);
    let slow = || {
        let calls = Arc::clone(&counted);
        apply([col("x")], DataType::Float64, move |columns| {
            calls.fetch_add(columns[0].len(), Ordering::Relaxed);
            Ok(Arc::clone(&columns[0]))
        })
    };
    let frame = plain_session().frame([("x", vec![1.0, f64::NAN, 3.0].into())]).unwrap();
    let cases = [
        (slow().fill_nan(lit(0.0)), "1.0 | 0.0 | 3.0"),
        (slow().replace([(lit(1.0), lit(2.0)), (lit(3.0), lit(1.0))]), "2.0 | NaN | 1.0"),
        (slow().cut(&[1.0, 2.0], Some(&["a", "b", "c"]), false).unwrap(), "a | - | c"),
    ];
    for (expr, expected) in cases {
        calls.store(0, Ordering::Relaxed);
        assert_eq!(in_line(frame.clone().select([expr]).unwrap()).await, expected);
        assert_eq!(calls.load(Ordering::Relaxed), 3, "{expected}");
    }
}
