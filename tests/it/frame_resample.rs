//! Windows of time, and moments that are missing. What Polars 2.1 gives is in the comments.

use brimful::aggregates::{count, sum};
use brimful::frame::DynamicGroups;
use brimful::{Closed, DataFrame, ErrorKind, Label, col};

use crate::support::series::{frame_of, line};

/// `df`, not sorted.
const TIMES: &str = "SELECT CAST(t AS TIMESTAMP(6)) AS t, x FROM (VALUES \
    ('2024-01-01T04:00:00', 4), ('2024-01-01T00:30:00', 1), ('2024-01-01T01:00:00', 2), \
    ('2024-01-01T05:59:00', 5), ('2024-01-01T01:20:00', 3)) AS t(t, x)";

async fn hours(groups: brimful::Result<DynamicGroups>) -> String {
    let frame = groups.unwrap().agg([sum(col("x")).alias("s")]).unwrap();
    line(frame).await.replace("2024-01-01T", "").replace("2023-12-31T", "-").replace(":00 ", " ")
}

async fn times() -> DataFrame {
    frame_of(TIMES).await
}

#[tokio::test]
async fn windows_of_an_hour() {
    let hourly = || async { times().await.group_by_dynamic("t", "1h").unwrap() };
    // df.group_by_dynamic("t", every="1h").agg(pl.col("x").sum()), and with the options
    assert_eq!(hours(Ok(hourly().await)).await, "00:00 1 | 01:00 5 | 04:00 4 | 05:00 5");
    let right = hourly().await.closed(Closed::Right);
    assert_eq!(hours(Ok(right)).await, "00:00 3 | 01:00 3 | 03:00 4 | 05:00 5");
    let both = hourly().await.closed(Closed::Both);
    assert_eq!(hours(Ok(both)).await, "00:00 3 | 01:00 5 | 03:00 4 | 04:00 4 | 05:00 5");
    let none = hourly().await.closed(Closed::None);
    assert_eq!(hours(Ok(none)).await, "00:00 1 | 01:00 3 | 05:00 5");
    let label = hourly().await.label(Label::Right);
    assert_eq!(hours(Ok(label)).await, "01:00 1 | 02:00 5 | 05:00 4 | 06:00 5");
    let label = hourly().await.label(Label::Datapoint);
    assert_eq!(hours(Ok(label)).await, "00:30 1 | 01:00 5 | 04:00 4 | 05:59 5");
    assert_eq!(hours(hourly().await.offset("-45m")).await, "00:15 3 | 01:15 3 | 03:15 4 | 05:15 5");
    let two = times().await.resample("T", "2h").unwrap().offset("30m");
    assert_eq!(hours(two).await, "00:30 6 | 02:30 4 | 04:30 5");
}

#[tokio::test]
async fn windows_longer_and_shorter_than_their_distance() {
    let hourly = |period: &'static str| async move {
        times().await.group_by_dynamic("t", "1h").unwrap().period(period).unwrap()
    };
    // period="2h", closed="right", offset="1h", period="30m"
    let expected = "00:00 6 | 01:00 5 | 03:00 4 | 04:00 9 | 05:00 5";
    assert_eq!(hours(Ok(hourly("2h").await)).await, expected);
    assert_eq!(hours(hourly("2h").await.offset("1h")).await, expected);
    let right = hourly("2h").await.closed(Closed::Right);
    let expected = "00:00 6 | 01:00 3 | 02:00 4 | 03:00 4 | 04:00 5 | 05:00 5";
    assert_eq!(hours(Ok(right)).await, expected);
    assert_eq!(hours(Ok(hourly("30m").await)).await, "01:00 5 | 04:00 4");
}

#[tokio::test]
async fn windows_that_begin_at_the_first_row() {
    // T = [01:00, 02:00, 02:30]
    let sql = "SELECT CAST(t AS TIMESTAMP(6)) AS t, x FROM (VALUES ('2024-01-01T01:00:00', 1), \
               ('2024-01-01T02:00:00', 2), ('2024-01-01T02:30:00', 3)) AS t(t, x)";
    let hourly = || async { frame_of(sql).await.group_by_dynamic("t", "1h").unwrap() };
    let right = hourly().await.closed(Closed::Right);
    assert_eq!(hours(Ok(right)).await, "00:00 1 | 01:00 2 | 02:00 3");
    assert_eq!(hours(Ok(hourly().await.closed(Closed::Both))).await, "01:00 3 | 02:00 5");
    assert_eq!(hours(Ok(hourly().await.closed(Closed::None))).await, "02:00 3");
    let long = hourly().await.period("2h").unwrap();
    let right = long.clone().closed(Closed::Right);
    assert_eq!(hours(Ok(right)).await, "00:00 3 | 01:00 5 | 02:00 3");
    assert_eq!(hours(Ok(long.closed(Closed::Both))).await, "01:00 6 | 02:00 5");
    // period="3h", offset="-2h"
    let before = hourly().await.period("3h").unwrap().offset("-2h");
    assert_eq!(hours(before).await, "-23:00 1 | 00:00 6 | 01:00 6 | 02:00 5");
}

async fn days(sql: &str, every: &str) -> String {
    let groups = frame_of(sql).await.group_by_dynamic("t", every).unwrap();
    line(groups.agg([sum(col("x")).alias("s")]).unwrap()).await
}

#[tokio::test]
async fn windows_of_the_calendar() {
    let near = "SELECT CAST(t AS DATE) AS t, x FROM (VALUES ('2024-01-10', 1), ('2024-01-20', 2), \
                ('2024-02-03', 3)) AS t(t, x)";
    // every="2w", "3d"
    assert_eq!(days(near, "2w").await, "2024-01-08 3 | 2024-01-22 3");
    assert_eq!(days(near, "3d").await, "2024-01-09 1 | 2024-01-18 2 | 2024-02-02 3");
    let far = "SELECT CAST(t AS DATE) AS t, x FROM (VALUES ('2024-01-10', 1), ('2024-05-20', 2), \
               ('2025-02-03', 3)) AS t(t, x)";
    // every="1q", "2y", "7mo"
    assert_eq!(days(far, "1q").await, "2024-01-01 1 | 2024-04-01 2 | 2025-01-01 3");
    assert_eq!(days(far, "2y").await, "2024-01-01 6");
    assert_eq!(days(far, "7mo").await, "2023-09-01 1 | 2024-04-01 2 | 2024-11-01 3");
}

#[tokio::test]
async fn days_of_a_zone_begin_at_its_midnight() {
    let sql = "SELECT arrow_cast(CAST(t AS TIMESTAMP), 'Timestamp(Nanosecond, Some(\"UTC\"))') AS u, \
               arrow_cast(arrow_cast(CAST(t AS TIMESTAMP), 'Timestamp(Nanosecond, Some(\"UTC\"))'), \
               'Timestamp(Nanosecond, Some(\"Europe/Berlin\"))') AS t, x \
               FROM (VALUES ('2024-03-30T23:30:00', 1), ('2024-03-31T21:30:00', 2), \
               ('2024-03-31T22:30:00', 3)) AS t(t, x)";
    let of = |time: &'static str| async move {
        let groups = frame_of(sql).await.group_by_dynamic(time, "1d").unwrap();
        line(groups.agg([sum(col("x")).alias("s")]).unwrap()).await
    };
    assert_eq!(of("u").await, "2024-03-30T00:00:00Z 1 | 2024-03-31T00:00:00Z 5");
    // The day on which clocks went forward: 23 hours.
    assert_eq!(of("t").await, "2024-03-31T00:00:00+01:00 3 | 2024-04-01T00:00:00+02:00 3");
}

#[tokio::test]
async fn hours_of_a_zone_and_days_without_midnight() {
    let of = |zone: &'static str, times: [&'static str; 2], every: &'static str| async move {
        let sql = format!(
            "SELECT arrow_cast(arrow_cast(CAST(t AS TIMESTAMP(6)), \
             'Timestamp(Microsecond, Some(\"UTC\"))'), \
             'Timestamp(Microsecond, Some(\"{zone}\"))') AS t, 1 AS x \
             FROM (VALUES ('{}:00'), ('{}:00')) AS t(t)",
            times[0], times[1]
        );
        days(&sql, every).await
    };
    // group_by_dynamic("t", every="6h"), every="1h", every="1d"
    assert_eq!(
        of("America/New_York", ["2024-01-15T02:00", "2024-01-15T06:00"], "6h").await,
        "2024-01-14T18:00:00-05:00 1 | 2024-01-15T00:00:00-05:00 1"
    );
    let kolkata = ["2024-01-15T02:00", "2024-01-15T02:20"];
    assert_eq!(of("Asia/Kolkata", kolkata, "1h").await, "2024-01-15T07:00:00+05:30 2");
    let sao_paulo = ["2018-11-04T12:00", "2018-11-05T12:00"];
    assert_eq!(
        of("America/Sao_Paulo", sao_paulo, "1d").await,
        "2018-11-04T01:00:00-02:00 1 | 2018-11-05T00:00:00-02:00 1"
    );
}

#[tokio::test]
async fn windows_over_a_change_of_the_clocks() {
    let sql = "SELECT arrow_cast(arrow_cast(CAST('2024-03-31T04:30:00' AS TIMESTAMP(6)), \
               'Timestamp(Microsecond, Some(\"UTC\"))'), \
               'Timestamp(Microsecond, Some(\"Europe/Berlin\"))') AS t, 1 AS x UNION ALL \
               SELECT arrow_cast(arrow_cast(CAST('2024-03-30T22:00:00' AS TIMESTAMP(6)), \
               'Timestamp(Microsecond, Some(\"UTC\"))'), \
               'Timestamp(Microsecond, Some(\"Europe/Berlin\"))'), 2";
    let groups = frame_of(sql).await.group_by_dynamic("t", "6h").unwrap().period("12h").unwrap();
    let found = line(groups.agg([sum(col("x")).alias("s")]).unwrap()).await;
    // Six hours before 06:00 it was 23:00, and the window begins at midnight. The clocks show that
    // the window of 18:00 ends at 06:00.
    let expected = "2024-03-30T18:00:00+01:00 2 | 2024-03-31T00:00:00+01:00 1 | \
                    2024-03-31T06:00:00+02:00 1";
    assert_eq!(found, expected);
}

#[tokio::test]
async fn far_times_are_in_windows() {
    let sql = "SELECT CAST(t AS TIMESTAMP(6)) AS t, x FROM (VALUES ('9999-12-31', 1), \
               ('9999-12-30', 2), ('1066-10-14', 3)) AS t(t, x)";
    assert_eq!(days(sql, "1mo").await, "1066-10-01T00:00:00 3 | 9999-12-01T00:00:00 3");
}

#[tokio::test]
async fn windows_of_whole_numbers_and_groups() {
    let sql = "SELECT * FROM (VALUES (9, 5), (1, 1), (2, 2), (11, 6), (4, 3), (5, 4)) AS g(t, x)";
    let of = |groups: DynamicGroups| groups.agg([sum(col("x")).alias("s")]).unwrap();
    let every = || async { frame_of(sql).await.group_by_dynamic("t", "3i").unwrap() };
    // g.group_by_dynamic("t", every="3i"), closed="right", period="5i"
    assert_eq!(line(of(every().await)).await, "0 3 | 3 7 | 9 11");
    let right = every().await.closed(Closed::Right);
    assert_eq!(line(of(right)).await, "0 3 | 3 7 | 6 5 | 9 6");
    let long = every().await.period("5i").unwrap();
    assert_eq!(line(of(long)).await, "0 6 | 3 7 | 6 5 | 9 11");
    let sql =
        "SELECT * FROM (VALUES ('b', 5, 2), ('a', 1, 1), ('b', 6, 3), (NULL, 1, 4)) g(k, t, x)";
    let groups = frame_of(sql).await.group_by_dynamic("t", "1i").unwrap().period("2i").unwrap();
    let groups = groups.by(&["k"]).unwrap();
    // Each group begins with its own first row.
    assert_eq!(line(of(groups)).await, "a 1 1 | b 5 5 | b 6 3 | - 1 4");
}

#[tokio::test]
async fn rows_without_a_time_and_empty_frames() {
    let sql =
        "SELECT CAST(t AS TIMESTAMP) AS t, x FROM (VALUES (NULL, 1), ('2024-01-01', 2)) t(t, x)";
    let of = |frame: DataFrame| {
        let groups = frame.group_by_dynamic("t", "1d").unwrap();
        groups.agg([count(col("x")).alias("n")]).unwrap()
    };
    assert_eq!(line(of(frame_of(sql).await)).await, "2024-01-01T00:00:00 1");
    assert_eq!(line(of(frame_of(sql).await.limit(0).unwrap())).await, "");
}

#[tokio::test]
async fn windows_that_cannot_be() {
    let refused = |groups: brimful::Result<DynamicGroups>| groups.unwrap_err().kind();
    assert_eq!(refused(times().await.group_by_dynamic("t", "3i")), ErrorKind::Query);
    assert_eq!(refused(times().await.group_by_dynamic("x", "1h")), ErrorKind::Query);
    assert_eq!(refused(times().await.group_by_dynamic("t", "1mo1d")), ErrorKind::Query);
    assert_eq!(refused(times().await.group_by_dynamic("t", "0h")), ErrorKind::Query);
    assert_eq!(refused(times().await.group_by_dynamic("y", "1h")), ErrorKind::Query);
    let groups = times().await.group_by_dynamic("t", "1h").unwrap();
    assert_eq!(refused(groups.clone().period("2i")), ErrorKind::Query);
    assert_eq!(refused(groups.clone().by(&["y"])), ErrorKind::Query);
    let long = groups.clone().period("100y").unwrap().agg([sum(col("x"))]);
    assert!(long.unwrap_err().to_string().contains("each row would be in"));
    let twice = groups.agg([sum(col("x")).alias("t")]).unwrap_err();
    assert!(twice.to_string().contains("two columns \"t\""), "{twice}");
}

#[tokio::test]
async fn missing_moments_are_added() {
    let sql = "SELECT CAST(t AS TIMESTAMP(6)) AS t, k, x FROM (VALUES ('2024-01-04', 'b', 4), \
               ('2024-01-01', 'a', 1), ('2024-01-03', 'a', 2), ('2024-01-01', 'b', 3), \
               ('2024-01-02T01:00:00', 'b', 9), ('2024-01-05', NULL, 7)) AS u(t, k, x)";
    let filled = frame_of(sql).await.upsample("T", "1d", &["K"]).unwrap();
    // u.upsample("t", every="1d", group_by="k", maintain_order=True)
    let expected = "01 a 1 | 02 a - | 03 a 2 | 01 b 3 | 02 b - | 03 b - | 04 b 4 | 05 - 7";
    let found = line(filled).await.replace("2024-01-", "").replace("T00:00:00", "");
    assert_eq!(found, expected);
    let sql =
        "SELECT CAST(t AS DATE) AS t, x FROM (VALUES ('2024-01-31', 1), ('2024-03-31', 2)) m(t, x)";
    // m.upsample("t", every="1mo")
    let filled = frame_of(sql).await.upsample("t", "1mo", &[]).unwrap();
    assert_eq!(line(filled).await, "2024-01-31 1 | 2024-02-29 - | 2024-03-31 2");
    let empty = frame_of(sql).await.limit(0).unwrap().upsample("t", "1mo", &[]).unwrap();
    assert_eq!(line(empty).await, "");
}

#[tokio::test]
async fn many_moments_are_not_held_at_once() {
    let sql = "SELECT CAST(t AS TIMESTAMP(0)) AS t, 1 AS x FROM (VALUES ('2024-01-01'), ('2024-01-03')) m(t)";
    let filled = frame_of(sql).await.upsample("t", "1s", &[]).unwrap();
    let counts = filled.group_by([]).agg([count(col("t")).alias("n"), sum(col("x")).alias("s")]);
    assert_eq!(line(counts.unwrap()).await, "172801 2");
    let error = frame_of(sql).await.upsample("t", "1ms", &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Query);
    let error = frame_of("SELECT 1 AS t").await.upsample("t", "1h", &[]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Query);
}

#[tokio::test]
async fn columns_of_any_name_are_left_alone() {
    let sql = "SELECT CAST('2024-01-01T00:30:00' AS TIMESTAMP(6)) AS t, 1 AS __start, 2 AS \"__MOMENT\", \
               3 AS __bin, 4 AS __first, 5 AS __back";
    let all = || {
        ["__start", "__MOMENT", "__bin", "__first", "__back"].map(|name| sum(col(name)).alias(name))
    };
    let groups = || async { frame_of(sql).await.group_by_dynamic("t", "1h").unwrap() };
    let expected = "2024-01-01T00:00:00 1 2 3 4 5";
    assert_eq!(line(groups().await.agg(all()).unwrap()).await, expected);
    let twice = groups().await.period("2h").unwrap().label(Label::Datapoint);
    let expected = "2024-01-01T00:30:00 1 2 3 4 5";
    assert_eq!(line(twice.agg(all()).unwrap()).await, expected);
    let sql = "SELECT * FROM (VALUES (TIMESTAMP '2024-01-01', 1, 2), (TIMESTAMP '2024-01-03', 1, 2)) \
               AS t(t, __from, __to)";
    let frame = frame_of(sql).await.upsample("t", "1d", &["__from", "__to"]).unwrap();
    let expected = "2024-01-01T00:00:00 1 2 | 2024-01-02T00:00:00 1 2 | 2024-01-03T00:00:00 1 2";
    assert_eq!(line(frame).await, expected);
}
