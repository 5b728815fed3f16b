//! The examples of docs/sql.md: each must run, on the tables the page names.

use std::fs;
use std::path::Path;

use brimful::Knobs;

use crate::support::{Place, run_all, session};

/// The tables of all sections.
const TABLES: &str = "
    CREATE TABLE t(a1 INT, a2 INT, b VARCHAR);
    INSERT INTO t VALUES (1, 10, 'x'), (2, 20, 'y'), (3, NULL, 'x');
    CREATE TABLE v(a1 INT, p VARCHAR);
    INSERT INTO v VALUES (1, 'p'), (9, 'q');
";

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
    let examples = examples(&fs::read_to_string(page).unwrap());
    assert!(examples.len() > 60, "only {} examples were found", examples.len());
    let place = Place::new();
    for example in examples {
        let session = session(&place, 2, Knobs::default());
        run_all(&session, TABLES).await.unwrap();
        if let Err(error) = run_all(&session, &example).await {
            panic!("{example}: {error}");
        }
    }
}

#[test]
fn a_row_without_an_example_has_none() {
    let page =
        "| clause | example | notes |\n|---|---|---|\n| a | `SELECT 'x\\|y'` | |\n| b | none | |";
    assert_eq!(examples(page), ["SELECT 'x|y'"]);
}
