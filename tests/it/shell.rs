//! The shell: statements through a pipe, and as a person types them on a terminal.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::{Place, wait_until};

#[test]
fn statements_and_commands_through_a_pipe() {
    let place = Place::new();
    let input = "CREATE VIEW v AS SELECT 1 AS a, 'x' AS b;\n.tables\n.schema v\n.mode\n.mode csv\n\
                 SELECT *\n  -- with a ; in it\n  FROM v; SELECT 2 AS c;\n.quit\nSELECT nothing;\n";
    let output = place.run_with_input::<&str>(&[], input).ok();
    assert_eq!(output, "v\na  bigint\nb  varchar\ntable\na,b\n1,x\nc\n2\n");
}

#[test]
fn the_last_statement_needs_no_semicolon() {
    let place = Place::new();
    assert_eq!(place.run_with_input(&["--format", "csv"], "SELECT 1 AS a").ok(), "a\n1\n");
    assert_eq!(place.run_with_input::<&str>(&[], "").ok(), "");
    assert_eq!(place.run_with_input::<&str>(&[], "-- nothing\n\n;").ok(), "");
}

#[test]
fn the_first_error_ends_a_pipe() {
    let place = Place::new();
    place.write("bad.csv", "a,b\n1\n");
    let cases = [
        ("SELECT 1 AS a;\nSELECT no;\nSELECT 3;", 1, "no column \"no\""),
        ("SELECT 1 AS a;\nSELECT * FROM 'bad.csv';\nSELECT 3;", 3, "\"bad.csv\" line 2"),
        ("SELECT 1 AS a;\n.nonsense\nSELECT 3;", 1, "no command .nonsense"),
        ("SELECT 1 AS a;\n.read none.sql\nSELECT 3;", 5, "could not read \"none.sql\""),
    ];
    for (input, code, message) in cases {
        let ran = place.run_with_input(&["--format", "csv"], input);
        ran.fails(code, &[message]);
        assert_eq!(ran.text(), "a\n1\n", "{input}");
    }
}

#[test]
fn errors_through_a_pipe_have_their_place() {
    let place = Place::new();
    let ran = place.run_with_input::<&str>(&[], "SELECT 1;\n\nSELECT\n  no;");
    ran.fails(1, &["at standard input:4:3\n", "|   no;\n", "|   ^\n"]);
}

#[test]
fn a_file_is_read_by_the_shell() {
    let place = Place::new();
    place.write("good.sql", "SELECT 1 AS a;\nSELECT 2 AS b;");
    let ran = place.run_with_input(&["--format", "csv"], ".read good.sql\nSELECT 3 AS c;");
    assert_eq!(ran.ok(), "a\n1\nb\n2\nc\n3\n");
    place.write("bad.sql", "SELECT 1 AS a;\nSELECT no;\n");
    let ran = place.run_with_input(&["--format", "csv"], ".read bad.sql\nSELECT 3 AS c;");
    ran.fails(1, &["no column \"no\"", "at bad.sql:2:8"]);
    assert_eq!(ran.text(), "a\n1\n");
}

#[test]
fn settings_and_the_timer() {
    let place = Place::new();
    let input =
        ".mode csv\nSET threads = 3;\nSHOW threads;\n.timer on\nSELECT 1 AS a;\n.timer off\n";
    let ran = place.run_with_input::<&str>(&[], input);
    assert_eq!((ran.code, ran.text()), (Some(0), "name,value\nthreads,3\na\n1\n"));
    assert!(ran.stderr.ends_with(" s\n") && ran.stderr.lines().count() == 1, "{}", ran.stderr);
    let help = place.run_with_input::<&str>(&[], ".help").ok();
    assert!(
        [".mode", ".quit", ".read", ".schema"].iter().all(|word| help.contains(word)),
        "{help}"
    );
}

/// The shell on a terminal, which the command `script` makes.
struct Terminal {
    child: Child,
    keys: ChildStdin,
    screen: Arc<Mutex<Vec<u8>>>,
    /// Bytes of the screen that were seen.
    seen: usize,
}

impl Terminal {
    /// `None` where there is no such command.
    fn open(place: &Place) -> Option<Terminal> {
        // `exec`, or Ctrl-C would also reach the shell that `script` starts, which ends with 130.
        let command = format!("exec '{}' --threads 2", env!("CARGO_BIN_EXE_brimful"));
        let mut script = place.in_place("script");
        script.args(["-qefc", &command, "/dev/null"]).env("TERM", "xterm").stdin(Stdio::piped());
        let version = place.in_place("script").arg("--version").output();
        if !version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).contains("util-linux")) {
            eprintln!("skipped: there is no command `script` of util-linux to make a terminal");
            return None;
        }
        let mut child = script.spawn().unwrap();
        let (keys, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let screen = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&screen);
        thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = output.read(&mut bytes) {
                written.lock().unwrap().extend_from_slice(&bytes[..length]);
            }
        });
        let mut terminal = Terminal { child, keys, screen, seen: 0 };
        terminal.sees("brimful> ");
        Some(terminal)
    }

    fn types(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits for a text on the screen, after what was seen before.
    fn sees(&mut self, text: &str) {
        let (screen, seen) = (Arc::clone(&self.screen), self.seen);
        let mut end = None;
        wait_until(&format!("{text:?} on the screen"), || {
            let screen = screen.lock().unwrap();
            let found = screen[seen..].windows(text.len()).position(|at| at == text.as_bytes());
            end = found.map(|start| seen + start + text.len());
            end.is_some()
        });
        self.seen = end.unwrap();
    }

    fn all(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().unwrap()).into_owned()
    }
}

/// What the key Ctrl-C sends.
const CTRL_C: &str = "\u{3}";

/// What the key Ctrl-D sends.
const CTRL_D: &str = "\u{4}";

#[test]
fn on_a_terminal() {
    let place = Place::new();
    let Some(mut terminal) = Terminal::open(&place) else { return };
    // A statement of several lines runs at its semicolon.
    terminal.types("SELECT 41 + 1\r");
    terminal.types("AS answer;\r");
    terminal.sees("answer");
    terminal.sees("42");
    terminal.sees("1 row");
    terminal.sees("brimful> ");
    // An error is shown and the shell goes on.
    terminal.types("SELECT no;\r");
    terminal.sees("no column \"no\"");
    terminal.sees("brimful> ");
    // Ctrl-C forgets the line, not the shell.
    terminal.types("SELECT garbage");
    terminal.sees("garbage");
    terminal.types(CTRL_C);
    terminal.sees("brimful> ");
    // Ctrl-C stops the query, not the shell.
    terminal.types("SELECT count(*) FROM generate_series(1, 1000000000000);\r");
    terminal.sees("1000000000000);");
    // When the line is sent the editor puts the terminal back as it was.
    terminal.sees("\u{1b}[?2004l");
    thread::sleep(std::time::Duration::from_millis(200));
    terminal.types(CTRL_C);
    terminal.sees("interrupted");
    terminal.sees("brimful> ");
    terminal.types("SELECT 43 AS still;\r");
    terminal.sees("still");
    terminal.sees("brimful> ");
    terminal.types(CTRL_D);
    let screen = Arc::clone(&terminal.screen);
    let Terminal { child, keys, .. } = terminal;
    let ran = place.finish(child);
    drop(keys);
    let screen = String::from_utf8_lossy(&screen.lock().unwrap()).into_owned();
    assert_eq!(ran.code, Some(0), "{screen}");
    let history = place.read("../state/brimful/history");
    assert!(history.contains("SELECT 43 AS still;"), "{history}");
    assert!(history.contains("41 + 1"), "{history}");
    assert!(!history.contains("garbage"), "{history}");
}

#[test]
fn a_terminal_shows_a_boxed_table_and_leaves_with_quit() {
    let place = Place::new();
    let Some(mut terminal) = Terminal::open(&place) else { return };
    terminal.types("SELECT value FROM generate_series(1, 1000);\r");
    terminal.sees("1,000 rows");
    assert!(terminal.all().contains('│'), "{}", terminal.all());
    terminal.sees("brimful> ");
    terminal.types(".quit\r");
    assert_eq!(place.finish(terminal.child).code, Some(0));
}

#[test]
fn a_file_that_reads_itself_is_an_error() {
    let place = Place::new();
    place.write("loop.sql", "SELECT 1 AS a;\n.read loop.sql\n");
    let ran = place.run_with_input(&["--format", "csv"], ".read loop.sql");
    ran.fails(1, &["\"loop.sql\" is read by a file that it reads itself"]);
}

#[test]
fn flags_of_scripts_are_refused() {
    let place = Place::new();
    place.run_with_input(&["--output", "a.csv"], "SELECT 1;").fails(2, &["--output is for"]);
    place.run_with_input(&["--stats", "a.json"], "SELECT 1;").fails(2, &["--stats is for"]);
    assert!(place.names().is_empty());
}
