//! `brimful query`: scripts, results, formats, outputs, statistics, and what is said when the SQL
//! or a flag is wrong.

use std::fs::File;
use std::process::Stdio;

use arrow::ipc::reader::FileReader;
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::support::{Place, cells, project};

/// A result with a number, a text that CSV quotes, a NULL and a NaN.
const SMALL: &str = "SELECT * FROM (VALUES (1, 'x,y', 1.5), (2, NULL, 'NaN'::DOUBLE)) \
                     AS t(id, name, score)";

/// The same, as the library of Arrow shows it.
const SMALL_PRETTY: &str = "\
+----+------+-------+
| id | name | score |
+----+------+-------+
| 1  | x,y  | 1.5   |
| 2  |      | NaN   |
+----+------+-------+";

#[test]
fn every_query_runs_as_it_is() {
    let place = Place::new();
    let mut names = Vec::new();
    for entry in project().join("queries").read_dir().unwrap() {
        let path = entry.unwrap().path();
        let output = place.run_in_project(&[&"query".into(), &path]).ok();
        assert!(output.lines().count() > 2, "{}: {output}", path.display());
        names.push(path.file_stem().unwrap().to_str().unwrap().to_string());
    }
    names.sort();
    let expected =
        ["arcos_by_county", "arcos_maximum", "pi", "taxi_by_payment", "trips_by_borough"];
    assert_eq!(names, expected);
}

#[test]
fn pi_is_near() {
    let place = Place::new();
    let output = place.run_in_project(&["query", "queries/pi.sql", "--format", "csv"]).ok();
    let row = &cells(&output)[0];
    let pi: f64 = row[0].parse().unwrap();
    assert!((3.13..3.15).contains(&pi), "{pi}");
    assert_eq!(row[1], "10000000");
}

#[test]
fn each_result_in_turn() {
    let place = Place::new();
    place.write("two.sql", "CREATE TABLE t AS SELECT 7 AS a;\nSELECT a FROM t;\nSELECT 2 AS b");
    assert_eq!(place.run(&["query", "two.sql"]).ok(), "a\n-\n7\n\nb\n-\n2\n");
    let ran = place.run(&["query", "--format", "csv", "two.sql"]);
    assert_eq!(ran.ok(), "a\n7\n\nb\n2\n");
}

#[test]
fn results_before_an_error_are_kept() {
    let ran = Place::new().query("SELECT 1 AS a; SELECT b; SELECT 3 AS c");
    ran.fails(1, &["no column \"b\""]);
    assert_eq!(ran.text(), "a\n1\n");
}

#[test]
fn a_script_from_standard_input() {
    let place = Place::new();
    let ran = place.run_with_input(&["query", "-", "--format", "csv"], "SELECT 1 AS a;");
    assert_eq!(ran.ok(), "a\n1\n");
    let ran = place.run_with_input(&["query", "-"], "SELECT\n  b;");
    ran.fails(1, &["no column \"b\"", "at standard input:2:3"]);
}

#[test]
fn scripts_without_statements_give_nothing() {
    let place = Place::new();
    for text in ["", " \n\t\n", ";;", "-- only this\n/* and this */"] {
        place.write("empty.sql", text);
        assert_eq!(place.run(&["query", "empty.sql"]).ok(), "", "{text:?}");
        assert_eq!(place.run(&["query", "-c", text]).ok(), "", "{text:?}");
    }
}

#[test]
fn a_mark_of_utf8_before_a_script_is_skipped() {
    let place = Place::new();
    place.write("marked.sql", "\u{feff}SELECT 1 AS a");
    assert_eq!(place.run(&["query", "marked.sql"]).ok(), "a\n-\n1\n");
}

#[test]
fn weird_scripts_are_refused() {
    let place = Place::new();
    for text in ["/* open", "SELECT 'open", "SELECT \"open", "\0", "SELECT ((((", "❄", "${", "'"]
    {
        place.write("weird.sql", text);
        place.run(&["query", "weird.sql"]).fails(1, &["query error: "]);
    }
    place.write("weird.sql", b"SELECT '\xff'");
    place.run(&["query", "weird.sql"]).fails(3, &["weird.sql"]);
    let deep = format!("SELECT {}1{}", "(".repeat(20_000), ")".repeat(20_000));
    place.write("deep.sql", deep);
    place.run(&["query", "deep.sql"]).fails(1, &["query error: "]);
}

#[test]
fn variables_have_values_or_defaults() {
    let place = Place::new();
    let query = |definitions: &[&str], sql: &str| {
        let arguments = [&["query", "--format", "csv", "-c", sql], definitions].concat();
        place.run(&arguments)
    };
    let sql = "SELECT ${a} AS a, ${b:-5} AS b";
    assert_eq!(query(&["--define", "a=1"], sql).ok(), "a,b\n1,5\n");
    assert_eq!(query(&["-d", "a=1", "-d", "b=x'y"], "SELECT ${a} --${b}").code, Some(0));
    query(&[], sql).fails(1, &["the variable \"a\" has no value", "-c:1:8", "--define a="]);
    query(&["-d", "z=1"], "SELECT 1").fails(2, &["no variable \"z\""]);
    query(&["-d", "z"], "SELECT 1").fails(2, &["\"z\" is not NAME=VALUE"]);
}

#[test]
fn text_formats_to_the_letter() {
    let place = Place::new();
    let expected = [
        ("table", "id  name  score\n--  ----  -----\n 1  x,y     1.5\n 2  NULL    NaN\n"),
        ("csv", "id,name,score\n1,\"x,y\",1.5\n2,,NaN\n"),
        ("tsv", "id\tname\tscore\n1\tx,y\t1.5\n2\t\tNaN\n"),
        (
            "json",
            "[\n{\"id\":1,\"name\":\"x,y\",\"score\":1.5},\n\
             {\"id\":2,\"name\":null,\"score\":null}\n]\n",
        ),
        (
            "ndjson",
            "{\"id\":1,\"name\":\"x,y\",\"score\":1.5}\n\
             {\"id\":2,\"name\":null,\"score\":null}\n",
        ),
        (
            "markdown",
            "| id | name | score |\n| ---: | --- | ---: |\n| 1 | x,y | 1.5 |\n\
             | 2 | NULL | NaN |\n",
        ),
        (
            "vertical",
            "-[ 1 ]---\nid    | 1\nname  | x,y\nscore | 1.5\n-[ 2 ]---\nid    | 2\nname  | NULL\n\
             score | NaN\n",
        ),
    ];
    for (format, text) in expected {
        let ran = place.run(&["query", "--format", format, "-c", SMALL]);
        assert_eq!(ran.ok(), text, "{format}");
    }
}

#[test]
fn binary_formats_are_read_back() {
    let place = Place::new();
    for format in ["parquet", "arrow"] {
        let ran = place.run(&["query", "--format", format, "-c", SMALL]);
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        let name = format!("back.{format}");
        place.write(&name, ran.stdout);
        let batch = if format == "parquet" { parquet(&place, &name) } else { arrow(&place, &name) };
        assert_eq!(pretty_format_batches(&[batch]).unwrap().to_string(), SMALL_PRETTY, "{format}");
        let two = place.run(&["query", "--format", format, "-c", "SELECT 1; SELECT 2"]);
        two.fails(1, &["several results"]);
    }
}

/// The one batch of a Parquet file, read without Brimful.
fn parquet(place: &Place, name: &str) -> RecordBatch {
    let file = File::open(place.path(name)).unwrap();
    let mut reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    reader.next().unwrap().unwrap()
}

/// The one batch of an Arrow file, read without Brimful.
fn arrow(place: &Place, name: &str) -> RecordBatch {
    let file = File::open(place.path(name)).unwrap();
    FileReader::try_new(file, None).unwrap().next().unwrap().unwrap()
}

#[test]
fn a_column_of_one_number_and_nan_is_read_back() {
    let place = Place::new();
    for format in ["parquet", "arrow"] {
        let name = format!("back.{format}");
        place.run(&["query", "--output", &name, "-c", SMALL]).ok();
        // A file's statistics say nothing of NaN, so this column seems to hold 1.5 alone.
        let back = place.query(&format!("SELECT id, score FROM '{name}' ORDER BY id"));
        assert_eq!(back.ok(), "id,score\n1,1.5\n2,NaN\n", "{format}");
        let most = place.query(&format!("SELECT isnan(max(score)) AS nan FROM '{name}'"));
        assert_eq!(most.ok(), "nan\ntrue\n", "{format}");
    }
}

#[test]
fn an_empty_result_has_its_columns() {
    let place = Place::new();
    let expected = [("table", "a  b\n-  -\n"), ("csv", "a,b\n"), ("json", "[]\n"), ("ndjson", "")];
    for (format, text) in expected {
        let sql = "SELECT 1 AS a, 'x' AS b WHERE false";
        assert_eq!(place.run(&["query", "--format", format, "-c", sql]).ok(), text, "{format}");
    }
}

#[test]
fn nothing_decorative_without_a_terminal() {
    let place = Place::new();
    let sql = "SELECT value AS \"größe\", 'é❄' AS text FROM generate_series(1, 100)";
    let output = place.run(&["query", "-c", sql]).ok();
    assert!(
        output.chars().all(|c| c.is_ascii_graphic() || " \n".contains(c) || "öße❄é".contains(c))
    );
    assert_eq!(output.lines().count(), 102, "no row is left out");
    let ran = place.run(&["query", "-c", "SELECT nothing"]);
    assert!(!ran.stderr.contains('\u{1b}'), "{}", ran.stderr);
}

#[test]
fn an_output_is_replaced_when_all_went_well() {
    let place = Place::new();
    place.write("out.csv", "old\n");
    let write = |sql: &str| place.run(&["query", "--output", "out.csv", "-c", sql]);
    write("SELECT 1 AS a; SELECT no").fails(1, &["no column \"no\""]);
    assert_eq!(place.read("out.csv"), "old\n");
    // This one fails after rows were written.
    write("SELECT 10 / (90000 - value) FROM generate_series(1, 100000)").fails(1, &["zero"]);
    assert_eq!(place.read("out.csv"), "old\n");
    assert_eq!(write("SELECT 1 AS a").ok(), "");
    assert_eq!(place.read("out.csv"), "a\n1\n");
    assert_eq!(place.names(), ["out.csv"]);
}

#[test]
fn an_output_may_replace_what_is_read() {
    let place = Place::new();
    place.write("a.csv", "n\n3\n1\n2\n");
    let ran = place.run(&["query", "--output", "a.csv", "-c", "SELECT * FROM 'a.csv' ORDER BY n"]);
    assert_eq!(ran.ok(), "");
    assert_eq!(place.read("a.csv"), "n\n1\n2\n3\n");
}

#[test]
fn the_ending_of_the_output_gives_the_format() {
    let place = Place::new();
    for (name, text) in [("a.tsv", "a\tb\n1\t2\n"), ("a.jsonl", "{\"a\":1,\"b\":2}\n")] {
        place.run(&["query", "--output", name, "-c", "SELECT 1 AS a, 2 AS b"]).ok();
        assert_eq!(place.read(name), text);
    }
    place.run(&["query", "--output", "/dev/null", "-c", "SELECT 1"]).ok();
    let ran = place.run(&["query", "--output", "/dev/stdout", "-c", "SELECT 1 AS a"]);
    assert_eq!(ran.ok(), "a\n-\n1\n");
}

#[test]
fn outputs_that_cannot_be_written() {
    let place = Place::new();
    for name in ["no/out.csv", "folder/", "."] {
        let ran = place.run(&["query", "--output", name, "-c", "SELECT 1"]);
        ran.fails(5, &["I/O error: could not write", name]);
    }
    assert!(place.names().is_empty());
}

#[test]
fn statistics_have_their_keys() {
    let place = Place::new();
    let lines: String = (0..1000).map(|n| format!("{n},x\n")).collect();
    place.write("a.csv", format!("n,t\n{lines}"));
    let sql = "SELECT * FROM 'a.csv'; SELECT n FROM 'a.csv' WHERE n < 10";
    place.run(&["query", "--stats", "stats.json", "--output", "/dev/null", "-c", sql]).ok();
    let stats: serde_json::Value = serde_json::from_str(&place.read("stats.json")).unwrap();
    let mut keys: Vec<&String> = stats.as_object().unwrap().keys().collect();
    keys.sort();
    let expected = [
        "bytes_read",
        "elapsed_ms",
        "peak_rss_bytes",
        "rejected_rows",
        "rows",
        "spilled_bytes",
        "temporary_files",
        "temporary_raw_bytes",
        "temporary_write_ms",
        "temporary_written_bytes",
    ];
    assert_eq!(keys, expected);
    assert_eq!(stats["rows"], 1010);
    assert_eq!(stats["bytes_read"], 2 * place.size("a.csv"));
    assert_eq!(stats["spilled_bytes"], 0);
    assert!(stats["peak_rss_bytes"].as_u64().unwrap() > 1 << 20);
    assert!(stats["elapsed_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn statistics_are_written_after_an_error_too() {
    let place = Place::new();
    let ran = place.run(&["query", "--stats", "stats.json", "-c", "SELECT 1 AS a; SELECT no"]);
    ran.fails(1, &["no column"]);
    let stats: serde_json::Value = serde_json::from_str(&place.read("stats.json")).unwrap();
    assert_eq!(stats["rows"], 1);
}

#[test]
fn wrong_sql_is_shown_with_its_place() {
    let place = Place::new();
    place.write("wrong.sql", "SELECT 1;\n  SELCT 2;\n");
    let ran = place.run(&["query", "wrong.sql"]);
    ran.fails(1, &["query error: syntax error: ", "SELCT"]);
    let place_shown = "\n  at wrong.sql:2:3\n    |   SELCT 2;\n    |   ^\n";
    assert!(ran.stderr.ends_with(place_shown), "{}", ran.stderr);
    assert_eq!(ran.text(), "", "a script is parsed before it is run");
}

#[test]
fn an_unknown_column_is_suggested() {
    let place = Place::new();
    place.write("a.csv", "total_amount,tip\n1,2\n");
    place.write("sum.sql", "SELECT\n  sum(total_amuont)\nFROM 'a.csv'");
    let ran = place.run(&["query", "sum.sql"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.stderr,
        "query error: no column \"total_amuont\"\n  at sum.sql:2:7\n    |   sum(total_amuont)\n    \
         |       ^\n  hint: did you mean \"total_amount\"?\n"
    );
}

#[test]
fn missing_files_are_named() {
    let place = Place::new();
    place.run(&["query", "none.sql"]).fails(5, &["could not read \"none.sql\"", "no such file"]);
    place.query("SELECT * FROM 'none.csv'").fails(5, &["no such file", "none.csv", "hint: "]);
    place.query("SELECT * FROM 'none/*.csv'").fails(5, &["none/*.csv"]);
    place.query("SELECT * FROM none").fails(1, &["none"]);
}

#[test]
fn wrong_flags_have_their_code() {
    let place = Place::new();
    let wrong: [&[&str]; 9] = [
        &["query"],
        &["query", "a.sql", "-c", "SELECT 1"],
        &["query", "--format", "xls", "-c", "SELECT 1"],
        &["query", "--memory-limit", "lots", "-c", "SELECT 1"],
        &["query", "--memory-limit", "1MB", "-c", "SELECT 1"],
        &["query", "--threads", "0", "-c", "SELECT 1"],
        &["query", "--timeout", "soon", "-c", "SELECT 1"],
        &["query", "--nonsense", "-c", "SELECT 1"],
        &["nonsense"],
    ];
    for arguments in wrong {
        place.run(arguments).fails(2, &["error: "]);
    }
}

#[test]
fn help_and_version_go_to_standard_output() {
    let place = Place::new();
    let help = place.run(&["--help"]).ok();
    for word in ["query", "generate", "--memory-limit", "Exit codes:", "130"] {
        assert!(help.contains(word), "{word}: {help}");
    }
    assert_eq!(
        place.run(&["--version"]).ok(),
        concat!("brimful ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

#[test]
fn flags_come_from_the_environment_too() {
    let place = Place::new();
    let mut command = place.command(&["query", "-c", "SELECT 1 AS a"]);
    let child = command.env("BRIMFUL_FORMAT", "csv").stdout(Stdio::piped()).spawn().unwrap();
    assert_eq!(place.finish(child).ok(), "a\n1\n");
}
