//! The tables of docs/dataframe.md against the sources: every test it names is there, and so is
//! everything that it says we have.

use std::collections::HashMap;
use std::fs;

use crate::support::{files_below, project};

/// A row of a table: the heading above it, the method of others, ours, and the test.
#[derive(Debug)]
struct Row {
    heading: String,
    method: String,
    ours: String,
    test: String,
}

fn rows() -> Vec<Row> {
    let text = fs::read_to_string(project().join("docs/dataframe.md")).unwrap();
    let mut rows = Vec::new();
    let (mut heading, mut is_table) = (String::new(), false);
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("## ") {
            heading = title.to_string();
        }
        let cells: Vec<&str> =
            line.trim_matches('|').split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
        match cells.as_slice() {
            ["method", "ours", "test"] => is_table = true,
            [method, ours, test] if is_table && line.starts_with('|') => rows.push(Row {
                heading: heading.clone(),
                method: method.to_string(),
                ours: ours.to_string(),
                test: test.to_string(),
            }),
            _ => is_table &= line.starts_with('|'),
        }
    }
    rows
}

/// What is between backquotes.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn sources(folder: &str) -> HashMap<String, String> {
    files_below(&project().join(folder))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| (path.file_stem().unwrap().to_str().unwrap().to_string(), path))
        .fold(HashMap::new(), |mut all, (name, path)| {
            all.entry(name).or_default().push_str(&fs::read_to_string(path).unwrap());
            all
        })
}

#[test]
fn every_test_that_is_named_is_there() {
    let sources = sources("tests/it");
    for row in rows() {
        for test in quoted(&row.test) {
            let (module, name) = test.split_once("::").unwrap();
            let source = sources.get(module).map(String::as_str).unwrap_or_default();
            assert!(source.contains(&format!("fn {name}()")), "{test} of {row:?}");
        }
        let is_there = !quoted(&row.ours).is_empty();
        assert_eq!(is_there, !quoted(&row.test).is_empty(), "{row:?}");
        assert!(is_there || (row.ours.as_str(), row.test.as_str()) == ("–", "–"), "{row:?}");
    }
}

#[test]
fn everything_that_is_ours_is_there() {
    let text: String = ["src/frame", "src/functions", "src/serialize", "src/session", "src/udf"]
        .iter()
        .flat_map(|folder| sources(folder).into_values())
        .chain([fs::read_to_string(project().join("src/aggregates.rs")).unwrap()])
        .collect();
    for row in rows() {
        for name in quoted(&row.ours) {
            let name = last_called(name);
            let is_there = ["fn ", "struct ", "enum ", "trait ", "    "].iter().any(|kind| {
                ["(", "<", " {"].iter().any(|end| text.contains(&format!("{kind}{name}{end}")))
            }) || is_datafusions(&name);
            assert!(is_there, "{name} of {row:?}");
        }
    }
}

/// Of `col("a").over(["k"])` and `over(["k"])?` it is `over`.
fn last_called(example: &str) -> String {
    let mut depth = 0;
    let outside: String = example
        .chars()
        .filter(|char| {
            depth += usize::from(*char == '(');
            let is_outside = depth == 0;
            depth -= usize::from(*char == ')');
            is_outside
        })
        .collect();
    let outside = outside.replace(".await", "").replace('?', "");
    let last = outside.rsplit(['.', ':']).next().unwrap();
    last.split(' ').next().unwrap().to_string()
}

/// Functions of DataFusion that are ours by name only.
fn is_datafusions(name: &str) -> bool {
    brimful::functions::call(name, []).is_ok()
}

#[test]
fn no_row_is_lost() {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for row in rows() {
        *counts.entry(row.heading).or_default() += 1;
    }
    // Others may be added; these are the methods that the dataframes of others have.
    let least = [
        ("Construct, read, write", 21),
        ("Select", 11),
        ("Rows", 12),
        ("Groups", 27),
        ("Joins", 15),
        ("Missing values", 6),
        ("Inspect", 7),
    ];
    for (heading, count) in least {
        assert!(counts.get(heading).is_some_and(|there| *there >= count), "{heading}: {counts:?}");
    }
    let mut methods: Vec<(String, String)> =
        rows().into_iter().map(|row| (row.heading, row.method)).collect();
    let all = methods.len();
    methods.sort();
    methods.dedup();
    assert_eq!(methods.len(), all, "a row is there twice");
}
