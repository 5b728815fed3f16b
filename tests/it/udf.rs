//! Functions of the program that embeds Brimful, by SQL and by the dataframe.

use arrow::util::display::{ArrayFormatter, FormatOptions};
use brimful::{DataFrame, Error, Session, SessionOptions, col, lit};

const T: &str = "CREATE TABLE t AS SELECT * FROM \
                 (VALUES (1, 'a', 1.5), (2, NULL, 2.5), (NULL, 'ccc', NULL), (4, 'dd', 8.0)) \
                 AS v(id, name, price)";

async fn session() -> Session {
    let session = Session::new(SessionOptions::new().threads(2)).unwrap();
    session.sql(T).await.unwrap();
    session
}

/// The values in one line: `1 x | 2 -`.
async fn line(frame: DataFrame) -> Result<String, Error> {
    let options = FormatOptions::default().with_null("-");
    let mut rows = Vec::new();
    for batch in frame.collect().await? {
        let formatter = |column| ArrayFormatter::try_new(column, &options).unwrap();
        let columns: Vec<_> = batch.columns().iter().map(|c| formatter(c.as_ref())).collect();
        let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect();
        rows.extend((0..batch.num_rows()).map(row));
    }
    let rows: Vec<Vec<String>> = rows;
    Ok(rows.iter().map(|row| row.join(" ")).collect::<Vec<_>>().join(" | "))
}

async fn query(session: &Session, sql: &str) -> Result<String, Error> {
    line(session.sql(sql).await?).await
}

#[tokio::test]
async fn closures_take_plain_values_and_leave_null_alone() {
    let session = session().await;
    session.register_scalar("plus_one", |x: i64| x + 1);
    session.register_scalar("shout", |text: &str| text.to_uppercase());
    session.register_scalar("times", |text: &str, n: i64| text.repeat(usize::try_from(n).unwrap()));
    session.register_scalar("is_big", |price: f64, limit: i32| price > f64::from(limit));
    let sql = "SELECT plus_one(id), shout(name), times(name, id), is_big(price, 2) \
               FROM t ORDER BY price NULLS FIRST";
    let rows = query(&session, sql).await.unwrap();
    assert_eq!(rows, "- CCC - - | 2 A a false | 3 - - true | 5 DD dddddddd true");
    let constant = query(&session, "SELECT plus_one(41), shout(NULL), PLUS_ONE(1)").await.unwrap();
    assert_eq!(constant, "42 - 2");
}

#[tokio::test]
async fn an_option_is_null_on_both_sides() {
    let session = session().await;
    session.register_scalar("or_zero", |x: Option<i64>| x.unwrap_or(0));
    session.register_scalar("length_of", |text: Option<&str>| text.map_or(-1, |t| t.len() as i64));
    session.register_scalar("even", |x: i64| (x % 2 == 0).then_some(x));
    session.register_scalar("all_four", |a: i64, b: Option<&str>, c: f64, d: bool| {
        format!("{a}{}{c}{d}", b.unwrap_or("?"))
    });
    let sql = "SELECT or_zero(id), length_of(name), even(id), all_four(id, name, price, id > 1) \
               FROM t ORDER BY or_zero(id)";
    let rows = query(&session, sql).await.unwrap();
    assert_eq!(rows, "0 3 - - | 1 1 - 1a1.5false | 2 -1 2 2?2.5true | 4 2 4 4dd8true");
}

#[tokio::test]
async fn the_dataframe_calls_them_too() {
    let session = session().await;
    session.register_scalar("plus_one", |x: i64| x + 1);
    let next = session.call("plus_one", [col("id")]).unwrap();
    let frame = session.table("t").await.unwrap();
    let frame = frame.filter(col("id").gt(lit(1))).unwrap().select([next.alias("n")]).unwrap();
    assert_eq!(line(frame.sort([col("n").sort(true, false)]).unwrap()).await.unwrap(), "3 | 5");
    let size = brimful::functions::call("formatReadableSize", [lit(1500)]).unwrap();
    let frame = session.table("t").await.unwrap().filter(col("id").eq(lit(1))).unwrap();
    let frame = frame.select([session.call("Plus_One", [col("id")]).unwrap(), size]).unwrap();
    assert_eq!(line(frame).await.unwrap(), "2 1.4 KiB");
    let error = session.call("plus_onne", [lit(1)]).unwrap_err();
    assert_eq!(error.to_string(), "no function \"plus_onne\"");
    assert_eq!(error.hint(), Some("did you mean \"plus_one\"?"));
}

#[tokio::test]
async fn failures_and_panics_end_the_query_with_the_name() {
    let session = session().await;
    session.register_scalar("strict", |x: i64| if x < 3 { Ok(x) } else { Err("too big") });
    session.register_scalar("careless", |x: i64| 10 / (x - 2));
    let error = query(&session, "SELECT strict(id) FROM t").await.unwrap_err().to_string();
    assert!(error.contains("function \"strict\": too big"), "{error}");
    assert_eq!(query(&session, "SELECT strict(id) FROM t WHERE id = 1").await.unwrap(), "1");
    let error = query(&session, "SELECT careless(id) FROM t").await.unwrap_err().to_string();
    assert!(error.contains("function \"careless\" panicked: attempt to divide by zero"), "{error}");
    let wrong = query(&session, "SELECT strict('x', 2)").await.unwrap_err().to_string();
    assert!(wrong.contains("strict"), "{wrong}");
}

#[tokio::test]
async fn aggregates_have_a_state_of_plain_values() {
    let session = session().await;
    session.register_aggregate(
        "mean_of_squares",
        || (0.0, 0_i64),
        |state: &mut (f64, i64), x: f64| *state = (state.0 + x * x, state.1 + 1),
        |state, other| *state = (state.0 + other.0, state.1 + other.1),
        |(sum, count)| (count > 0).then(|| sum / count as f64),
    );
    session.register_aggregate(
        "longest",
        String::new,
        |longest: &mut String, text: &str| {
            if text.len() > longest.len() {
                *longest = text.to_string();
            }
        },
        |longest, other| {
            if other.len() > longest.len() {
                *longest = other;
            }
        },
        |longest| longest,
    );
    let sql = "SELECT mean_of_squares(price), longest(name) FROM t";
    assert_eq!(query(&session, sql).await.unwrap(), "24.166666666666668 ccc");
    let empty = "SELECT mean_of_squares(price), longest(name) FROM t WHERE id > 9";
    assert_eq!(query(&session, empty).await.unwrap(), "- ");
    let groups = "SELECT n % 3 AS g, mean_of_squares(n) FROM generate_series(1, 60000) AS s(n) \
                  GROUP BY g ORDER BY g";
    let expected = "SELECT n % 3 AS g, sum(CAST(n AS DOUBLE) * n) / count(*) \
                    FROM generate_series(1, 60000) AS s(n) GROUP BY g ORDER BY g";
    let numbers = |line: &str| -> Vec<f64> {
        line.split([' ', '|']).filter(|text| !text.is_empty()).map(|n| n.parse().unwrap()).collect()
    };
    let (actual, expected) =
        (query(&session, groups).await.unwrap(), query(&session, expected).await.unwrap());
    assert_eq!(numbers(&actual).len(), 6);
    for (one, other) in numbers(&actual).into_iter().zip(numbers(&expected)) {
        assert!((one - other).abs() <= 1e-9 * other, "{actual}\n{expected}");
    }
}

#[tokio::test]
async fn windows_are_given_a_partition() {
    let session = session().await;
    session.register_window("halved_sum", |values: &[Option<i64>]| {
        let sum: i64 = values.iter().flatten().sum();
        values.iter().map(|value| value.map(|_| sum as f64 / 2.0)).collect()
    });
    session.register_window("too_few", |_: &[Option<i64>]| vec![1_i64]);
    let sql = "SELECT id, halved_sum(id) OVER (PARTITION BY id > 1 ORDER BY id) AS h \
               FROM t ORDER BY id";
    assert_eq!(query(&session, sql).await.unwrap(), "1 0.5 | 2 3.0 | 4 3.0 | - -");
    let error = query(&session, "SELECT too_few(id) OVER () FROM t").await.unwrap_err();
    assert!(
        error.to_string().contains("function \"too_few\": gave 1 values for 4 rows"),
        "{error}"
    );
}

#[tokio::test]
async fn tables_are_frames_by_their_arguments() {
    let session = session().await;
    let t = session.table("t").await.unwrap();
    let up_to = t.clone();
    session.register_table("up_to", move |id: i64| up_to.clone().filter(col("id").lt_eq(lit(id))));
    session.register_table("all_of_t", move || t.clone());
    let sql = "SELECT count(*), max(u.id) FROM up_to(2) AS u, all_of_t() AS a";
    assert_eq!(query(&session, sql).await.unwrap(), "8 2");
    let error = query(&session, "SELECT * FROM up_to(1, 2)").await.unwrap_err().to_string();
    assert!(error.contains("up_to() takes 1 arguments, not 2"), "{error}");
    let error = query(&session, "SELECT * FROM up_to('x')").await.unwrap_err().to_string();
    assert!(error.contains("'x'"), "{error}");
}

/// A sum, and a count of the rows with NULL too.
fn register_sums(session: &Session) {
    session.register_aggregate(
        "my_sum",
        || 0_i64,
        |sum: &mut i64, x: i64| *sum += x,
        |sum, other| *sum += other,
        |sum| sum,
    );
    session.register_aggregate(
        "rows_of",
        || 0_i64,
        |rows: &mut i64, _: Option<i64>| *rows += 1,
        |rows, other| *rows += other,
        |rows| rows,
    );
    session.register_aggregate(
        "joined",
        String::new,
        |texts: &mut String, text: &str| texts.push_str(text),
        |texts, other: String| texts.push_str(&other),
        |texts| texts,
    );
}

#[tokio::test]
async fn distinct_values_are_aggregated_once() {
    let session = session().await;
    register_sums(&session);
    let values = "(VALUES (1, 'a'), (1, 'b'), (2, 'a'), (NULL, 'a'), (NULL, 'b')) AS v(x, g)";
    let sql = format!(
        "SELECT my_sum(DISTINCT x), my_sum(x), count(*), rows_of(DISTINCT x), \
                       rows_of(x) FROM {values}"
    );
    assert_eq!(query(&session, &sql).await.unwrap(), "3 4 5 3 5");
    let sql = format!(
        "SELECT g, my_sum(DISTINCT x), rows_of(DISTINCT x), count(x) FROM {values} \
                       GROUP BY g ORDER BY g"
    );
    assert_eq!(query(&session, &sql).await.unwrap(), "a 3 3 2 | b 1 2 1");
    let sql = format!("SELECT DISTINCT my_sum(DISTINCT x) OVER () FROM {values}");
    assert_eq!(query(&session, &sql).await.unwrap(), "3");
    let sql = "SELECT n % 3 AS g, my_sum(DISTINCT n % 7), my_sum(n) \
               FROM generate_series(1, 60000) AS s(n) GROUP BY g ORDER BY g";
    assert_eq!(
        query(&session, sql).await.unwrap(),
        "0 21 600030000 | 1 21 599990000 | 2 21 600010000"
    );
}

#[tokio::test]
async fn frames_of_windows_give_up_their_first_rows() {
    let session = session().await;
    register_sums(&session);
    let values = "(VALUES (1, 5, 'a'), (2, NULL, 'b'), (3, 7, 'c'), (4, 7, 'd')) AS v(i, x, t)";
    let sql = format!(
        "SELECT my_sum(x) OVER w, rows_of(x) OVER w, joined(t) OVER w, \
         my_sum(DISTINCT x) OVER w, my_sum(x) OVER (ORDER BY i), \
         joined(t) OVER (ORDER BY i ROWS BETWEEN 1 FOLLOWING AND 2 FOLLOWING) \
         FROM {values} WINDOW w AS (ORDER BY i ROWS 1 PRECEDING) ORDER BY i"
    );
    let rows = "5 1 a 5 5 bc | 5 2 ab 5 5 cd | 7 2 bc 7 12 d | 14 2 cd 7 19 -";
    assert_eq!(query(&session, &sql).await.unwrap(), rows);
}

#[tokio::test]
async fn encoded_columns_are_taken_for_their_values() {
    let session = session().await;
    register_sums(&session);
    session.register_scalar("initial", |name: &str| name.chars().next().map(String::from));
    session.register_window("backwards", |names: &[Option<String>]| {
        names.iter().rev().cloned().collect()
    });
    let sql = "SELECT initial(d), backwards(d) OVER (ORDER BY d), joined(d) OVER () FROM \
               (SELECT arrow_cast(t, 'Dictionary(Int32, Utf8)') AS d FROM (VALUES ('Ann'), ('Bob')) \
               AS v(t)) ORDER BY 1";
    assert_eq!(query(&session, sql).await.unwrap(), "A Bob AnnBob | B Ann AnnBob");
}
