//! The CSV scan on random files: whatever is in the fields, however the file is cut into pieces and
//! whoever reads them, the rows are those that were written.

use std::fmt::Write;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema};
use brimful::{CsvOptions, ErrorKind, Knobs, Session};

use crate::support::{Place, Random, row_cells, rows, session, session_with};

/// What fields are made of: everything that means something in a CSV file, and what does not.
const PARTS: [&str; 14] =
    ["a", "bc", "7", ",", "\"", "\"\"", "\n", "\r\n", "\r", " ", "é", "日本", "#", "\\"];

/// A file and the rows in it.
struct Written {
    text: String,
    rows: Vec<Vec<String>>,
}

/// Writes random rows. `clean` fields hold no delimiters, quotes or line ends.
fn written(random: &mut Random, row_count: u32, clean: bool, line_end: &str) -> Written {
    let width = 2 + random.below(4) as usize;
    let longest = *random.one_of(&[3, 8, 60]);
    let mut written = Written { text: String::new(), rows: Vec::new() };
    for row in 0..row_count {
        let fields: Vec<String> = (0..width)
            .map(|column| {
                let length = random.below(longest);
                let mut field: String = (0..length).map(|_| *random.one_of(&PARTS)).collect();
                if clean {
                    field.retain(|c| !matches!(c, ',' | '"' | '\n' | '\r'));
                }
                // A first column that tells the rows apart.
                if column == 0 { format!("{row}{field}") } else { field }
            })
            .collect();
        for (column, field) in fields.iter().enumerate() {
            let must = field.contains([',', '"', '\n', '\r']);
            let separator = if column == 0 { "" } else { "," };
            match must || (!clean && random.below(8) == 0) {
                true => write!(written.text, "{separator}\"{}\"", field.replace('"', "\"\"")),
                false => write!(written.text, "{separator}{field}"),
            }
            .unwrap();
        }
        written.text.push_str(line_end);
        if random.below(20) == 0 {
            written.text.push_str(line_end);
        }
        written.rows.push(fields);
    }
    if random.below(3) == 0 {
        written.text.truncate(written.text.trim_end_matches(['\r', '\n']).len());
    }
    written
}

/// Options under which every field is text.
fn as_text(width: usize) -> CsvOptions {
    let field = |number| Field::new(format!("c{number}"), DataType::Utf8View, true);
    let schema = Schema::new((0..width).map(field).collect::<Vec<_>>());
    CsvOptions::new().delimiter(b',').quote(b'"').header(false).schema(Arc::new(schema))
}

async fn open(session: &Session, place: &Place, name: &str, width: usize) {
    let frame = session.read_csv(place.path(name), as_text(width)).await.unwrap();
    session.register("t", frame).unwrap();
}

/// The rows of a query, with empty texts for NULL.
async fn texts(session: &Session, sql: &str) -> Vec<Vec<String>> {
    let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
    let cells = batches.iter().flat_map(row_cells);
    let text = |cell: String| if cell == "NULL" { String::new() } else { cell };
    cells.map(|row| row.into_iter().map(text).collect()).collect()
}

fn sorted(mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn rows_are_those_written() {
    let place = Place::new();
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let line_end = *random.one_of(&["\n", "\n", "\r\n", "\r"]);
        let row_count = *random.one_of(&[0, 1, 7, 200]);
        let clean = random.below(4) == 0;
        let file = written(&mut random, row_count, clean, line_end);
        if file.rows.is_empty() {
            continue;
        }
        let name = format!("{seed}.csv");
        place.write(&name, &file.text);
        let width = file.rows[0].len();
        for threads in [1, 2, 4] {
            let piece = *random.one_of(&[1, 7, 40, 63, 64, 65, 500, 100_000]);
            let knobs = Knobs { csv_piece_bytes: Some(piece), ..Knobs::default() };
            let batch_rows = *random.one_of(&[1, 3, 8192]);
            let session = session_with(&place, knobs, |options| {
                options.threads(threads).batch_rows(batch_rows)
            });
            open(&session, &place, &name, width).await;
            let what = format!("seed {seed}, {threads} threads, pieces of {piece}");

            let read = texts(&session, "SELECT * FROM t").await;
            match threads {
                1 => assert_eq!(read, file.rows, "{what}"),
                _ => assert_eq!(sorted(read), sorted(file.rows.clone()), "{what}"),
            }
            let count = rows(&session, "SELECT count(*) FROM t").await.unwrap();
            assert_eq!(count, [file.rows.len().to_string()], "{what}");

            let some = texts(&session, "SELECT c0 FROM t WHERE c1 >= 'a'").await;
            let passing = file.rows.iter().filter(|row| row[1].as_str() >= "a");
            let expected = passing.map(|row| vec![row[0].clone()]).collect();
            assert_eq!(sorted(some), sorted(expected), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_field_may_be_longer_than_many_pieces() {
    let place = Place::new();
    let long = "line\nof, text \"\"\n".repeat(2000);
    let text = format!("1,a\n2,\"{long}\"\n3,\"b\n\"\n");
    place.write("long.csv", text);
    for piece in [10, 1000, 20_000] {
        let knobs = Knobs { csv_piece_bytes: Some(piece), ..Knobs::default() };
        let session = session(&place, 4, knobs);
        open(&session, &place, "long.csv", 2).await;
        let lengths = rows(&session, "SELECT c0, length(c1) FROM t ORDER BY c0").await.unwrap();
        let length = long.replace("\"\"", "\"").len();
        assert_eq!(lengths, ["1|1".to_string(), format!("2|{length}"), "3|2".to_string()]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_comes_before_the_records_may_be_cut_anywhere() {
    let place = Place::new();
    place.write("mark.csv", "\u{feff}1,a\n2,b\n");
    place.write("titles.csv", "\u{feff}title\r\n\r\n1,a\r\n2,b\r\n");
    // Within a line that `\n` ends, `\r` is as good as any other byte.
    place.write("returns.csv", "title\rof one line\n1,a\n2,b\n");
    place.write("newlines.csv", "title\nof one line\r1,a\r2,b\r");
    for piece in [1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 1000] {
        for (name, lines) in
            [("mark.csv", 0), ("titles.csv", 2), ("returns.csv", 1), ("newlines.csv", 1)]
        {
            let knobs = Knobs { csv_piece_bytes: Some(piece), ..Knobs::default() };
            let session = session(&place, 4, knobs);
            let options = as_text(2).skip_lines(lines);
            let frame = session.read_csv(place.path(name), options).await.unwrap();
            session.register("t", frame).unwrap();
            let read = texts(&session, "SELECT * FROM t ORDER BY c0").await;
            assert_eq!(read, [["1", "a"], ["2", "b"]], "{name} in pieces of {piece}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn comments_may_be_longer_than_records() {
    let place = Place::new();
    let comment = "x".repeat(100_000);
    place.write("t.csv", format!("1,a\n#{comment}\n2,b\n#{comment}"));
    for piece in [10, 1000, 50_000] {
        let knobs = Knobs { csv_piece_bytes: Some(piece), ..Knobs::default() };
        let session = session(&place, 4, knobs);
        let options = as_text(2).comment(b'#').max_record_bytes(10);
        let frame = session.read_csv(place.path("t.csv"), options).await.unwrap();
        session.register("t", frame).unwrap();
        let read = texts(&session, "SELECT * FROM t ORDER BY c0").await;
        assert_eq!(read, [["1", "a"], ["2", "b"]], "in pieces of {piece}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn records_have_the_length_allowed_wherever_the_file_is_cut() {
    let place = Place::new();
    let mut text = String::new();
    for number in 1000..2000 {
        // Cut within the quotes, the lines inside look like records of other lengths.
        writeln!(text, "{number},\"a\nb,c,{}\n\"", "long".repeat(5)).unwrap();
    }
    place.write("t.csv", text);
    let length = "1000,\"a\nb,c,\n\"".len() + 20;
    for piece in [10, 50, 1000, 1_000_000] {
        let knobs = Knobs { csv_piece_bytes: Some(piece), ..Knobs::default() };
        let session = session(&place, 4, knobs);
        let options = as_text(2).max_record_bytes(length);
        let frame = session.read_csv(place.path("t.csv"), options).await.unwrap();
        session.register("t", frame).unwrap();
        assert_eq!(rows(&session, "SELECT count(c1) FROM t").await.unwrap(), ["1000"]);

        let options = as_text(2).max_record_bytes(length - 1);
        let frame = session.read_csv(place.path("t.csv"), options).await.unwrap();
        session.register("short", frame).unwrap();
        let error = rows(&session, "SELECT count(c1) FROM short").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        let message = format!("begins a record of more than {} bytes", length - 1);
        assert!(error.to_string().contains(&message), "pieces of {piece}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn errors_have_their_line_wherever_the_file_is_cut() {
    let place = Place::new();
    let mut text = String::new();
    for number in 0..1000 {
        writeln!(text, "{number},\"two\nlines\"").unwrap();
    }
    let faults = [
        ("1,2,3\n", "line 2001 has 3 fields, expected 2"),
        ("1\n", "line 2001 has 1 field, expected 2"),
        ("1,\"a\"b\n", "line 2001 has text between"),
        ("1,\"a\n", "line 2001 begins a quoted field that is never closed"),
    ];
    for (fault, message) in faults {
        place.write("t.csv", format!("{text}{fault}"));
        for piece in [50, 1000, 1_000_000] {
            let knobs = Knobs { csv_piece_bytes: Some(piece), ..Knobs::default() };
            let session = session(&place, 4, knobs);
            open(&session, &place, "t.csv", 2).await;
            let error = rows(&session, "SELECT count(c1) FROM t").await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Input);
            assert!(error.to_string().contains(message), "pieces of {piece}: {error}");
        }
    }
}
