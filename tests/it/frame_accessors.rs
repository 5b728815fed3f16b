//! Functions of times, texts and lists. What Polars 2.1 gives is in the comments as the call.

use brimful::{ErrorKind, Expr, ExprMethods, Roll, col};

use crate::support::assert_query_error;
use crate::support::series::{frame_of, line};

/// `t`, in order of `i`.
const TIMES: &str = "SELECT i, CAST(t AS TIMESTAMP(6)) AS t FROM (VALUES \
    (1, '2024-02-29T13:14:15.123456'), (2, '1969-12-31T23:59:59.999999'), \
    (3, '2023-01-01T00:00:00'), (4, NULL)) AS v(i, t)";

/// `x`, in order of `i`.
const TEXTS: &str = "SELECT * FROM (VALUES (1, '  Ab cd-1ab '), (2, 'éa'), (3, NULL), \
    (4, '-42'), (5, '+7'), (6, '')) AS v(i, x)";

/// `l`, in order of `i`.
const LISTS: &str = "SELECT 1 AS i, [3, 1, NULL, 1] AS l UNION ALL \
    SELECT 2, arrow_cast([], 'List(Int64)') UNION ALL SELECT 3, NULL UNION ALL SELECT 4, [5]";

async fn of(sql: &str, expr: brimful::Result<Expr>) -> String {
    let frame = frame_of(sql).await.sort([col("i").sort(true, false)]).unwrap();
    line(frame.select([expr.unwrap().alias("y")]).unwrap()).await
}

async fn all(sql: &str, cases: impl IntoIterator<Item = (brimful::Result<Expr>, &str)>) {
    for (expr, expected) in cases {
        let expr = expr.unwrap();
        assert_eq!(of(sql, Ok(expr.clone())).await, expected, "{expr}");
    }
}

#[tokio::test]
async fn parts_of_times() {
    let t = || col("t").dt();
    let cases = [
        (t().year(), "2024 | 1969 | 2023 | -"),
        (t().quarter(), "1 | 4 | 1 | -"),
        (t().month(), "2 | 12 | 1 | -"),
        (t().week(), "9 | 1 | 52 | -"),
        (t().day(), "29 | 31 | 1 | -"),
        (t().ordinal_day(), "60 | 365 | 1 | -"),
        (t().weekday(), "4 | 3 | 7 | -"),
        (t().hour(), "13 | 23 | 0 | -"),
        (t().minute(), "14 | 59 | 0 | -"),
        (t().second(), "15 | 59 | 0 | -"),
        (t().millisecond(), "123 | 999 | 0 | -"),
        (t().microsecond(), "123456 | 999999 | 0 | -"),
        (t().nanosecond(), "123456000 | 999999000 | 0 | -"),
        (t().is_leap_year(), "true | false | false | -"),
        (t().day_name(), "Thursday | Wednesday | Sunday | -"),
        (t().month_name(), "February | December | January | -"),
        (
            t().strftime("%d/%m/%Y %H:%M"),
            "29/02/2024 13:14 | 31/12/1969 23:59 | 01/01/2023 00:00 | -",
        ),
        (t().epoch(), "1709212455 | -1 | 1672531200 | -"),
        (
            t().timestamp(arrow::datatypes::TimeUnit::Millisecond),
            "1709212455123 | -1 | 1672531200000 | -",
        ),
        (
            t().month_start(),
            "2024-02-01T13:14:15.123456 | 1969-12-01T23:59:59.999999 | 2023-01-01T00:00:00 | -",
        ),
        (
            t().month_end(),
            "2024-02-29T13:14:15.123456 | 1969-12-31T23:59:59.999999 | 2023-01-31T00:00:00 | -",
        ),
    ];
    all(TIMES, cases.map(|(expr, expected)| (Ok(expr), expected))).await;
}

#[tokio::test]
async fn times_are_rounded() {
    let t = || col("t").dt();
    // t.dt.truncate(every)
    let floors = [
        ("1h", "2024-02-29T13:00:00 | 1969-12-31T23:00:00 | 2023-01-01T00:00:00 | -"),
        ("15m", "2024-02-29T13:00:00 | 1969-12-31T23:45:00 | 2023-01-01T00:00:00 | -"),
        ("1d", "2024-02-29T00:00:00 | 1969-12-31T00:00:00 | 2023-01-01T00:00:00 | -"),
        ("1w", "2024-02-26T00:00:00 | 1969-12-29T00:00:00 | 2022-12-26T00:00:00 | -"),
        ("1mo", "2024-02-01T00:00:00 | 1969-12-01T00:00:00 | 2023-01-01T00:00:00 | -"),
        ("1q", "2024-01-01T00:00:00 | 1969-10-01T00:00:00 | 2023-01-01T00:00:00 | -"),
        ("1y", "2024-01-01T00:00:00 | 1969-01-01T00:00:00 | 2023-01-01T00:00:00 | -"),
    ];
    all(TIMES, floors.map(|(every, expected)| (t().truncate(every), expected))).await;
    // t.dt.round(every)
    let rounded = [
        ("1h", "2024-02-29T13:00:00 | 1970-01-01T00:00:00 | 2023-01-01T00:00:00 | -"),
        ("15m", "2024-02-29T13:15:00 | 1970-01-01T00:00:00 | 2023-01-01T00:00:00 | -"),
        ("1d", "2024-03-01T00:00:00 | 1970-01-01T00:00:00 | 2023-01-01T00:00:00 | -"),
    ];
    all(TIMES, rounded.map(|(every, expected)| (t().round(every), expected))).await;
    // The next start, by definition.
    let ceiled = [
        ("1h", "2024-02-29T14:00:00 | 1970-01-01T00:00:00 | 2023-01-01T00:00:00 | -"),
        ("1mo", "2024-03-01T00:00:00 | 1970-01-01T00:00:00 | 2023-01-01T00:00:00 | -"),
    ];
    all(TIMES, ceiled.map(|(every, expected)| (t().ceil(every), expected))).await;
    for wrong in [t().truncate("3i"), t().floor("1mo1d"), t().round("1mo"), t().ceil("x")] {
        assert_eq!(wrong.unwrap_err().kind(), ErrorKind::Query);
    }
}

/// Moments of UTC, in order of `i`, shown by the clocks of a zone.
fn moments(zone: &str, times: &[&str]) -> String {
    let rows: Vec<String> =
        times.iter().enumerate().map(|(i, time)| format!("({i}, '{time}:00')")).collect();
    format!(
        "SELECT i, arrow_cast(arrow_cast(CAST(t AS TIMESTAMP(6)), \
         'Timestamp(Microsecond, Some(\"UTC\"))'), 'Timestamp(Microsecond, Some(\"{zone}\"))') AS t \
         FROM (VALUES {}) AS v(i, t)",
        rows.join(", ")
    )
}

#[tokio::test]
async fn periods_start_as_the_clocks_of_a_zone_show() {
    let truncated = |zone: &'static str, time: &'static str, every: &'static str| async move {
        of(&moments(zone, &[time]), col("t").dt().truncate(every)).await
    };
    // t.dt.truncate(every); 2024-10-27 02:00 is there twice in Berlin, 2024-03-31 02:00 never.
    let cases = [
        ("America/New_York", "2024-01-15T02:00", "1d", "2024-01-14T00:00:00-05:00"),
        ("America/New_York", "2024-01-15T02:00", "6h", "2024-01-14T18:00:00-05:00"),
        ("America/New_York", "2024-01-15T02:00", "1mo", "2024-01-01T00:00:00-05:00"),
        ("Asia/Kolkata", "2024-01-15T02:00", "1h", "2024-01-15T07:00:00+05:30"),
        ("Europe/Berlin", "2024-10-27T00:30", "1h", "2024-10-27T02:00:00+02:00"),
        ("Europe/Berlin", "2024-10-27T01:30", "1h", "2024-10-27T02:00:00+01:00"),
        ("Europe/Berlin", "2024-10-27T02:30", "2h", "2024-10-27T02:00:00+01:00"),
        ("Europe/Berlin", "2024-03-31T01:30", "2h", "2024-03-31T03:00:00+02:00"),
        ("Europe/Berlin", "2024-03-31T01:30", "1d", "2024-03-31T00:00:00+01:00"),
        // Its clocks go forward at midnight.
        ("America/Sao_Paulo", "2018-11-04T12:00", "1d", "2018-11-04T01:00:00-02:00"),
    ];
    for (zone, time, every, expected) in cases {
        assert_eq!(truncated(zone, time, every).await, expected, "{zone} {time} {every}");
    }
    let new_york = moments("America/New_York", &["2024-01-15T02:00", "2024-01-14T05:00"]);
    let ceil = of(&new_york, col("t").dt().ceil("1d")).await;
    assert_eq!(ceil, "2024-01-15T00:00:00-05:00 | 2024-01-14T00:00:00-05:00");
    // t.dt.round("1h"), t.dt.round("2h")
    let berlin = moments("Europe/Berlin", &["2024-10-27T00:30", "2024-10-27T02:30"]);
    let hours = of(&berlin, col("t").dt().round("1h")).await;
    assert_eq!(hours, "2024-10-27T02:00:00+01:00 | 2024-10-27T04:00:00+01:00");
}

#[tokio::test]
async fn far_times_and_dates_have_starts() {
    let sql = "SELECT i, CAST(t AS TIMESTAMP(6)) AS t, CAST(t AS DATE) AS d FROM (VALUES \
               (1, '9999-12-31'), (2, '1066-10-14'), (3, NULL)) AS v(i, t)";
    let months = of(sql, col("t").dt().truncate("1mo")).await;
    assert_eq!(months, "9999-12-01T00:00:00 | 1066-10-01T00:00:00 | -");
    // A date stays one.
    assert_eq!(of(sql, col("d").dt().truncate("1y")).await, "9999-01-01 | 1066-01-01 | -");
    assert_eq!(of(sql, col("d").dt().truncate("1h")).await, "9999-12-31 | 1066-10-14 | -");
    assert_eq!(of(sql, col("d").dt().ceil("1mo")).await, "+10000-01-01 | 1066-11-01 | -");
}

#[tokio::test]
async fn times_that_clocks_show_twice_or_never() {
    let of_time = |time: &str| format!("SELECT 1 AS i, CAST('{time}:00' AS TIMESTAMP(6)) AS t");
    let t = || col("t").dt();
    let cases = [("2024-10-27T02:30", "twice"), ("2024-03-31T02:30", "never")];
    for (time, how_often) in cases {
        let frame = frame_of(&of_time(time)).await;
        let frame = frame.select([t().replace_time_zone(Some("Europe/Berlin"))]).unwrap();
        let shown = time.replace('T', " ");
        assert_query_error(
            frame.collect().await,
            &format!("clocks in Europe/Berlin show {shown}:00 {how_often}"),
            Some("replace_time_zone_or_null gives NULL for such times"),
        );
        let or_null = t().replace_time_zone_or_null(Some("Europe/Berlin"));
        assert_eq!(of(&of_time(time), Ok(or_null)).await, "-");
    }
    // s.dt.month_end() is an error too.
    let march = moments("Europe/Berlin", &["2024-03-15T01:30"]);
    let ends = frame_of(&march).await.select([t().month_end()]).unwrap();
    let error = ends.collect().await.unwrap_err();
    assert_eq!(error.to_string(), "clocks in Europe/Berlin show 2024-03-31 02:30:00 never");
}

#[tokio::test]
async fn times_are_moved() {
    let t = || col("t").dt();
    // t.dt.offset_by(by)
    let moved = [
        (
            "1mo",
            "2024-03-29T13:14:15.123456 | 1970-01-31T23:59:59.999999 | 2023-02-01T00:00:00 | -",
        ),
        (
            "-1mo",
            "2024-01-29T13:14:15.123456 | 1969-11-30T23:59:59.999999 | 2022-12-01T00:00:00 | -",
        ),
        (
            "1d12h",
            "2024-03-02T01:14:15.123456 | 1970-01-02T11:59:59.999999 | 2023-01-02T12:00:00 | -",
        ),
        ("1y", "2025-02-28T13:14:15.123456 | 1970-12-31T23:59:59.999999 | 2024-01-01T00:00:00 | -"),
    ];
    all(TIMES, moved.map(|(by, expected)| (t().offset_by(by), expected))).await;
    assert_eq!(t().offset_by("2i").unwrap_err().kind(), ErrorKind::Query);
}

#[tokio::test]
async fn times_of_zones() {
    let t = || col("t").dt();
    // t.dt.replace_time_zone("Europe/Berlin")
    let berlin = "2024-02-29T13:14:15.123456+01:00 | 1969-12-31T23:59:59.999999+01:00 | \
                  2023-01-01T00:00:00+01:00 | -";
    assert_eq!(of(TIMES, Ok(t().replace_time_zone(Some("Europe/Berlin")))).await, berlin);
    // t.dt.replace_time_zone("UTC").dt.convert_time_zone("America/New_York")
    let york = "2024-02-29T08:14:15.123456-05:00 | 1969-12-31T18:59:59.999999-05:00 | \
                2022-12-31T19:00:00-05:00 | -";
    let converted = t().replace_time_zone(Some("UTC")).dt().convert_time_zone("America/New_York");
    assert_eq!(of(TIMES, Ok(converted.clone())).await, york);
    let plain = "2024-02-29T08:14:15.123456 | 1969-12-31T18:59:59.999999 | 2022-12-31T19:00:00 | -";
    assert_eq!(of(TIMES, Ok(converted.dt().replace_time_zone(None))).await, plain);
    let frame = frame_of(TIMES).await;
    let error = frame.select([col("i").dt().convert_time_zone("UTC")]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Query);
}

#[tokio::test]
async fn business_days() {
    let sql = "SELECT i, CAST(t AS DATE) AS t FROM (VALUES (1, '2024-02-29'), (2, '2024-03-01'), \
               (3, '2024-03-02'), (4, '2024-03-03')) AS v(i, t)";
    // dd.dt.add_business_days(n, roll="forward"), roll="backward"
    let expected = [
        (0, "02-29 | 03-01 | 03-04 | 03-04", "02-29 | 03-01 | 03-01 | 03-01"),
        (1, "03-01 | 03-04 | 03-05 | 03-05", "03-01 | 03-04 | 03-04 | 03-04"),
        (3, "03-05 | 03-06 | 03-07 | 03-07", "03-05 | 03-06 | 03-06 | 03-06"),
        (5, "03-07 | 03-08 | 03-11 | 03-11", "03-07 | 03-08 | 03-08 | 03-08"),
        (-1, "02-28 | 02-29 | 03-01 | 03-01", "02-28 | 02-29 | 02-29 | 02-29"),
        (-6, "02-21 | 02-22 | 02-23 | 02-23", "02-21 | 02-22 | 02-22 | 02-22"),
    ];
    for (days, forward, backward) in expected {
        for (roll, expected) in [(Roll::Forward, forward), (Roll::Backward, backward)] {
            let found = of(sql, Ok(col("t").dt().add_business_days(days, roll))).await;
            assert_eq!(found.replace("2024-", ""), expected, "{days} {roll:?}");
        }
    }
}

#[tokio::test]
async fn durations() {
    let sql = "SELECT i, CAST(a AS TIMESTAMP(3)) - CAST(b AS TIMESTAMP(3)) AS d FROM (VALUES \
               (1, '2024-01-02T05:07:09.030', '2024-01-01T00:00:00'), \
               (2, '2024-01-01T00:00:00', '2024-01-02T06:00:00'), (3, NULL, '2024-01-01')) v(i, a, b)";
    let d = || col("d").dt();
    let cases = [
        (d().total_days(), "1 | -1 | -"),
        (d().total_hours(), "29 | -30 | -"),
        (d().total_minutes(), "1747 | -1800 | -"),
        (d().total_seconds(), "104829 | -108000 | -"),
        (d().total_milliseconds(), "104829030 | -108000000 | -"),
        (d().total_microseconds(), "104829030000 | -108000000000 | -"),
    ];
    all(sql, cases.map(|(expr, expected)| (Ok(expr), expected))).await;
}

#[tokio::test]
async fn texts_are_searched() {
    let x = || col("x").str();
    let cases = [
        (Ok(x().contains_literal("d-1")), "true | false | - | false | false | false"),
        (Ok(x().contains("[0-9]")), "true | false | - | true | true | false"),
        (Ok(x().starts_with("é")), "false | true | - | false | false | false"),
        (Ok(x().ends_with("b ")), "true | false | - | false | false | false"),
        (Ok(x().extract(r"([a-z]+)-(\d)", 2)), "1 | - | - | - | - | -"),
        (Ok(x().extract(r"([a-z]+)-(\d)", 0)), "cd-1 | - | - | - | - | -"),
        (Ok(x().count_matches("[ab]")), "3 | 1 | - | 0 | 0 | 0"),
        (Ok(x().find("[bé]")), "3 | 0 | - | - | - | -"),
        (Ok(x().find_literal("+")), "- | - | - | - | 0 | -"),
        (Ok(x().levenshtein(brimful::lit("éb"))), "11 | 1 | - | 3 | 2 | 2"),
    ];
    all(TEXTS, cases).await;
}

#[tokio::test]
async fn groups_of_a_pattern_keep_their_numbers() {
    let sql = "SELECT * FROM (VALUES (1, 'b'), (2, 'ab'), (3, 'c'), (4, NULL)) AS v(i, x)";
    // pl.Series(["b", "ab", "c", None]).str.extract("(a)?(b)", group)
    for (group, expected) in [(0, "b | ab | - | -"), (1, "- | a | - | -"), (2, "b | b | - | -")] {
        assert_eq!(of(sql, Ok(col("x").str().extract("(a)?(b)", group))).await, expected);
    }
    assert_eq!(of(sql, Ok(col("x").str().extract("(a)?(b)", 3))).await, "- | - | - | -");
    let wrong = frame_of(sql).await.select([col("x").str().extract("(", 1)]).unwrap_err();
    assert_eq!(wrong.to_string(), "\"(\" is no regular expression");
}

#[tokio::test]
async fn texts_are_changed() {
    let x = || col("x").str();
    let cases = [
        (Ok(x().replace("a", "_")), "  Ab cd-1_b  | é_ | - | -42 | +7 | "),
        (Ok(x().replace_all("([ab])", "<${1}>")), "  A<b> cd-1<a><b>  | é<a> | - | -42 | +7 | "),
        (Ok(x().replace_all_literal("-", "+")), "  Ab cd+1ab  | éa | - | +42 | +7 | "),
        (Ok(x().to_lowercase()), "  ab cd-1ab  | éa | - | -42 | +7 | "),
        (Ok(x().to_uppercase()), "  AB CD-1AB  | ÉA | - | -42 | +7 | "),
        (Ok(x().strip_chars(None)), "Ab cd-1ab | éa | - | -42 | +7 | "),
        (Ok(x().strip_chars(Some(" b"))), "Ab cd-1a | éa | - | -42 | +7 | "),
        (Ok(x().strip_chars_start(None)), "Ab cd-1ab  | éa | - | -42 | +7 | "),
        (Ok(x().strip_chars_end(None)), "  Ab cd-1ab | éa | - | -42 | +7 | "),
        (Ok(x().strip_prefix("  A")), "b cd-1ab  | éa | - | -42 | +7 | "),
        (Ok(x().strip_suffix("b ")), "  Ab cd-1a | éa | - | -42 | +7 | "),
        (Ok(x().pad_start(4, '*')), "  Ab cd-1ab  | **éa | - | *-42 | **+7 | ****"),
        (Ok(x().pad_end(4, '*')), "  Ab cd-1ab  | éa** | - | -42* | +7** | ****"),
        (Ok(x().zfill(4)), "  Ab cd-1ab  | 00éa | - | -042 | +007 | 0000"),
        (Ok(x().reverse()), " ba1-dc bA   | aé | - | 24- | 7+ | "),
    ];
    all(TEXTS, cases).await;
}

#[tokio::test]
async fn texts_are_measured_and_cut() {
    let x = || col("x").str();
    let cases = [
        (x().len_chars(), "12 | 2 | - | 3 | 2 | 0"),
        (x().len_bytes(), "12 | 3 | - | 3 | 2 | 0"),
        (x().slice(1, Some(2)), " A | a | - | 42 | 7 | "),
        (x().slice(-3, Some(2)), "ab | é | - | -4 | + | "),
        (x().slice(-3, None), "ab  | éa | - | -42 | +7 | "),
        (x().slice(-4, Some(2)), "1a |  | - | - |  | "),
        (x().slice(i64::MIN, Some(9)), " |  | - |  |  | "),
        (x().head(2), "   | éa | - | -4 | +7 | "),
        (x().head(-2), "  Ab cd-1a |  | - | - |  | "),
        (x().tail(2), "b  | éa | - | 42 | +7 | "),
        (x().tail(-1), " Ab cd-1ab  | a | - | 42 | 7 | "),
        (x().split(" "), "[, , Ab, cd-1ab, ] | [éa] | - | [-42] | [+7] | []"),
        (x().split("x").list().len(), "1 | 1 | - | 1 | 1 | 1"),
        (x().split("").list().len(), "12 | 2 | - | 3 | 2 | 0"),
    ];
    all(TEXTS, cases.map(|(expr, expected)| (Ok(expr), expected))).await;
}

#[tokio::test]
async fn texts_become_other_values() {
    let sql = "SELECT * FROM (VALUES (1, '1.5'), (2, 'x'), (3, NULL), (4, '7')) AS v(i, x)";
    let x = || col("x").str();
    assert_eq!(of(sql, Ok(x().to_number_or_null())).await, "1.5 | - | - | 7.0");
    assert_eq!(of(sql, Ok(x().to_integer_or_null())).await, "- | - | - | 7");
    for strict in [x().to_number(), x().to_integer()] {
        let frame = frame_of(sql).await.select([strict]).unwrap();
        assert_eq!(frame.collect().await.unwrap_err().kind(), ErrorKind::Query);
    }
    let sql = "SELECT * FROM (VALUES (1, '03/02/2024'), (2, NULL)) AS v(i, x)";
    assert_eq!(of(sql, Ok(x().to_date("%d/%m/%Y"))).await, "2024-02-03 | -");
}

#[tokio::test]
async fn lists() {
    let l = || col("l").list();
    let cases = [
        (l().sum(), "5.0 | - | - | 5.0"),
        (l().len(), "4 | 0 | - | 1"),
        (l().get(0), "3 | - | - | 5"),
        (l().get(-1), "1 | - | - | 5"),
        (l().first(), "3 | - | - | 5"),
        (l().last(), "1 | - | - | 5"),
        (l().min(), "1 | - | - | 5"),
        (l().max(), "3 | - | - | 5"),
        (l().contains(brimful::lit(1_i64)), "true | false | - | false"),
        (l().join("+"), "3+1+1 |  | - | 5"),
        (l().sort(false), "[-, 1, 1, 3] | [] | - | [5]"),
        (l().sort(true), "[-, 3, 1, 1] | [] | - | [5]"),
        (l().reverse(), "[1, -, 1, 3] | [] | - | [5]"),
    ];
    all(LISTS, cases.map(|(expr, expected)| (Ok(expr), expected))).await;
    let mean = of(LISTS, Ok(l().mean())).await;
    assert!(mean.starts_with("1.666666666666666") && mean.ends_with(" | - | - | 5.0"), "{mean}");
    let nested = "SELECT 1 AS i, [[1, 2], [3]] AS l";
    assert_eq!(of(nested, Ok(l().len())).await, "2");
    let unique = of(LISTS, Ok(l().unique().list().len())).await;
    assert_eq!(unique, "3 | 0 | - | 1");
}
