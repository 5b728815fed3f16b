//! Queries that are stopped: by a signal, a deadline, or a reader that has seen enough. Nothing is
//! left behind, and the output is as it was.

use std::io::{BufRead, BufReader, Read};
use std::process::Child;
use std::time::{Duration, Instant};

use crate::support::{Place, send_signal, wait_until};

/// Sorts for hours, and spills all the time.
const ENDLESS_SORT: &str = "SELECT value, repeat('x', 40) AS pad \
                            FROM generate_series(1, 100000000000) ORDER BY (value * 7919) % 1000003";

/// Gives rows for hours.
const ENDLESS_ROWS: &str = "SELECT value FROM generate_series(1, 100000000000)";

/// Reads for hours, and gives nothing.
const ENDLESS_COUNT: &str = "SELECT count(*) FROM generate_series(1, 1000000000000)";

/// Users are promised 2 s; the rest is for a busy machine on which other tests run.
const SOON: Duration = Duration::from_secs(5);

/// Sends a signal, and checks that the command ends soon with the code of an interruption.
#[track_caller]
fn assert_stops(place: &Place, child: Child, signal: &str) {
    let sent = Instant::now();
    send_signal(child.id(), signal);
    place.finish(child).fails(130, &["interrupted"]);
    assert!(sent.elapsed() < SOON, "{signal:?} took {:?}", sent.elapsed());
}

#[test]
fn signals_stop_a_query_that_spills() {
    for signal in ["INT", "TERM", "HUP"] {
        let place = Place::new();
        place.write("out.csv", "old\n");
        let flags = ["query", "--memory-limit", "128MB", "--output", "out.csv"];
        let arguments = [flags.as_slice(), &["-c", ENDLESS_SORT]].concat();
        let child = place.command(&arguments).spawn().unwrap();
        wait_until("a temporary file", || place.temporary_bytes() > 0);
        assert_stops(&place, child, signal);
        assert_eq!(place.read("out.csv"), "old\n");
        assert_eq!(place.names(), ["out.csv"]);
    }
}

#[test]
fn a_signal_stops_a_query_that_writes_a_file() {
    let place = Place::new();
    let child = place.command(&["query", "--output", "out.csv", "-c", ENDLESS_ROWS]).spawn();
    let written = |name: &String| name.starts_with(".out.csv.") && place.size(name) > 1 << 20;
    wait_until("rows in the file", || place.names().iter().any(written));
    assert_stops(&place, child.unwrap(), "INT");
    assert!(place.names().is_empty());
}

#[test]
fn a_signal_stops_a_copy() {
    for name in ["copy.csv", "copy.parquet"] {
        let place = Place::new();
        place.write(name, "old\n");
        let sql = format!("COPY ({ENDLESS_ROWS}) TO '{name}'");
        let child = place.command(&["query", "-c", &sql]).spawn().unwrap();
        // Nothing to see from outside tells that it runs.
        std::thread::sleep(Duration::from_millis(300));
        assert_stops(&place, child, "INT");
        assert_eq!((place.names(), place.read(name)), (vec![name.to_string()], "old\n".into()));
    }
}

#[test]
fn a_signal_stops_a_query_whose_reader_waits() {
    let place = Place::new();
    let mut child =
        place.command(&["query", "--format", "csv", "-c", ENDLESS_ROWS]).spawn().unwrap();
    let mut output = child.stdout.take().unwrap();
    output.read_exact(&mut [0; 6]).unwrap();
    // Long enough for the pipe to fill.
    std::thread::sleep(Duration::from_millis(300));
    assert_stops(&place, child, "INT");
}

#[test]
fn a_deadline_stops_a_query() {
    let place = Place::new();
    place.write("out.csv", "old\n");
    for sql in [ENDLESS_SORT, ENDLESS_COUNT, ENDLESS_ROWS] {
        let started = Instant::now();
        let flags = ["query", "--timeout", "300ms", "--memory-limit", "128MB"];
        let ran = place.run(&[flags.as_slice(), &["--output", "out.csv", "-c", sql]].concat());
        ran.fails(124, &["timeout: the query ran longer than 0.3 s", "hint: ", "--timeout"]);
        assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
        assert_eq!(place.read("out.csv"), "old\n");
    }
    assert_eq!(place.names(), ["out.csv"]);
}

#[test]
fn a_query_in_time_is_not_stopped() {
    let ran = Place::new().run(&["query", "--timeout", "1h", "-c", "SELECT 1 AS a"]);
    assert_eq!(ran.ok(), "a\n-\n1\n");
}

#[test]
fn a_reader_that_has_seen_enough_ends_it_quietly() {
    for (format, first) in [("csv", "value\n"), ("table", "value\n"), ("ndjson", "{\"value\":1}\n")]
    {
        let place = Place::new();
        let arguments = ["query", "--threads", "1", "--format", format, "-c", ENDLESS_ROWS];
        let mut child = place.command(&arguments).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        drop(output);
        assert_eq!(line.trim_start(), first, "{format}");
        assert_eq!(place.finish(child).ok(), "", "{format}");
    }
}
