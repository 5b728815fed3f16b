//! The examples of docs/sql.md: each must run, on the tables the page names.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use brimful::Knobs;

use crate::support::{Place, frame_values, run_all, session};

/// The tables that the examples of a section are about.
fn tables(section: &str) -> &'static str {
    match section {
        "Tables and joins" => {
            "CREATE TABLE trades AS SELECT * FROM (VALUES
                ('A', TIMESTAMP '2024-01-02 09:00:00', 1.5),
                ('B', TIMESTAMP '2024-01-02 09:00:05', 2.5),
                ('A', TIMESTAMP '2024-01-02 09:00:09', 1.75)) AS v(symbol, t, price);
            CREATE TABLE quotes AS SELECT * FROM (VALUES
                ('A', TIMESTAMP '2024-01-02 08:59:59', 1.25),
                ('B', TIMESTAMP '2024-01-02 09:00:06', 2.25),
                ('A', TIMESTAMP '2024-01-02 09:00:09', 1.5)) AS v(symbol, t, bid);
            CREATE TABLE sales AS SELECT * FROM (VALUES
                ('Rome', 2020, 5), ('Oslo', 2020, 7), ('Rome', 2021, 9)) AS v(city, year, amount);"
        }
        "Subqueries" | "Window frames" => {
            "CREATE TABLE t AS SELECT * FROM (VALUES (1, 10), (2, 20), (3, NULL)) AS v(id, amount);
            CREATE TABLE u AS SELECT * FROM (VALUES (1, 'one'), (3, 'three')) AS v(id, name);"
        }
        _ => {
            "CREATE TABLE t(a1 INT, a2 INT, b VARCHAR);
            INSERT INTO t VALUES (1, 10, 'x'), (2, 20, 'y'), (3, NULL, 'x');
            CREATE TABLE v(a1 INT, p VARCHAR);
            INSERT INTO v VALUES (1, 'p'), (9, 'q');"
        }
    }
}

/// The examples of a page: what is between backticks in the second cell of each row.
fn examples(page: &str) -> Vec<String> {
    let rows = page.lines().filter(|line| line.starts_with('|'));
    let cells = rows.filter_map(|row| {
        // A bar inside an example is written `\|`.
        let row = row.replace("\\|", "\u{0}");
        let cell = row.split('|').nth(2)?.trim().replace('\u{0}', "|");
        Some(cell.strip_prefix('`')?.strip_suffix('`')?.to_string())
    });
    cells.collect()
}

#[tokio::test]
async fn every_example_runs() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sql.md");
    let page = fs::read_to_string(page).unwrap();
    let place = Place::new();
    let (mut count, mut wrong) = (0, Vec::new());
    for section in page.split("\n## ").skip(1) {
        let title = section.lines().next().unwrap();
        for example in examples(section) {
            let session = session(&place, 2, Knobs::default());
            run_all(&session, tables(title)).await.unwrap();
            if let Err(error) = run_all(&session, &example).await {
                wrong.push(format!("{example}: {error}"));
            }
            count += 1;
        }
    }
    assert!(count > 90, "only {count} examples were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The names of functions in the first two cells of each row of a page.
fn names(page: &str) -> Vec<String> {
    // Functions that take lambdas are in no catalog; they have a script.
    let rows = page.lines().filter(|line| line.starts_with('|') && !line.contains("->"));
    let cells = rows.flat_map(|row| row.split('|').skip(1).take(2));
    let quoted = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    // Not operators, nor members such as `s.name`.
    let is_name = |text: &str| {
        text.starts_with(char::is_alphabetic)
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    let before_arguments = |text: &str| text.split('(').next().unwrap_or_default().to_lowercase();
    quoted.map(before_arguments).filter(|name| is_name(name)).collect()
}

#[tokio::test]
async fn every_function_of_the_page_is_there() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/functions.md");
    let names = names(&fs::read_to_string(page).unwrap());
    assert!(names.len() > 350, "only {} names were found", names.len());
    let session = session(&Place::new(), 2, Knobs::default());
    let known =
        session.sql("SELECT DISTINCT routine_name FROM information_schema.routines").await.unwrap();
    let known: HashSet<String> = frame_values(known).await.concat().into_iter().collect();
    assert!(known.len() > 700, "only {} functions are there", known.len());
    let missing: Vec<_> = names.iter().filter(|name| !known.contains(*name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn a_row_without_an_example_has_none() {
    let page =
        "| clause | example | notes |\n|---|---|---|\n| a | `SELECT 'x\\|y'` | |\n| b | none | |";
    assert_eq!(examples(page), ["SELECT 'x|y'"]);
}
