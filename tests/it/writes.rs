//! `COPY`: to a folder for each value in little memory and with few open files, in order, and all or
//! nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use brimful::{ErrorKind, Knobs, Session};
use parquet::file::reader::{FileReader, SerializedFileReader};

use crate::support::{Place, assert_no_files, rows, run_all, send_signal, session, session_with};

/// Files below a folder, hidden ones too, sorted.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Rows of `values` values of `p`, with a text.
fn series(count: u64, values: u64) -> String {
    format!(
        "SELECT value AS id, value * 7919 % {values} AS p, md5(CAST(value AS VARCHAR)) AS word \
         FROM generate_series(1, {count})"
    )
}

/// Copies a query to a folder by the values of `p`; gives the number of rows that it says.
async fn copy(session: &Session, query: &str, to: &Path, kind: &str) -> brimful::Result<String> {
    let to = to.display();
    let sql = format!("COPY ({query}) TO '{to}/' STORED AS {kind} PARTITIONED BY (p)");
    Ok(rows(session, &sql).await?.concat())
}

/// Counts the open files of this process until it is dropped.
struct OpenFiles {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicUsize>,
}

impl OpenFiles {
    /// Only those below `folder`: other tests run in this process.
    fn watch(folder: PathBuf) -> Self {
        let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let watch = OpenFiles { stop: Arc::clone(&stop), most: Arc::clone(&most) };
        std::thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
                let open = open.filter_map(|entry| fs::read_link(entry.path()).ok());
                let open = open.filter(|path| path.starts_with(&folder)).count();
                most.fetch_max(open, Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(500));
            }
        });
        watch
    }
}

impl Drop for OpenFiles {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_thousand_values_in_little_memory() {
    let place = Place::new();
    let session = session_with(&place, Knobs::default(), |options| {
        options.threads(2).memory_limit_bytes(64 << 20)
    });
    let folder = place.path("out");
    let open = OpenFiles::watch(place.path(""));
    let query = series(300_000, 3000);
    assert_eq!(copy(&session, &query, &folder, "PARQUET").await.unwrap(), "300000");
    let most = open.most.load(Ordering::Relaxed);
    assert!((1..=8).contains(&most), "{most} files were open at once");
    drop(open);
    assert_eq!(place.names(), ["out"]);
    let files = files_below(&folder);
    assert_eq!(files.len(), 3000);
    assert!(files.iter().all(|file| file.extension() == Some("parquet".as_ref())));

    let summary = "count(*), sum(id), count(DISTINCT word), min(word), \
                   sum(id * CAST(p AS BIGINT)), count(DISTINCT p)";
    let read = format!("SELECT {summary} FROM '{}/'", folder.display());
    let expected = rows(&session, &format!("SELECT {summary} FROM ({query})")).await.unwrap();
    assert_eq!(rows(&session, &read).await.unwrap(), expected);
    assert_no_files("after the write", &place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_formats_wherever_the_rows_were() {
    let query = series(20_000, 50);
    for kind in ["CSV", "PARQUET", "JSON", "ARROW"] {
        for (threads, write_bytes, buckets) in [(1, 0, None), (4, 0, Some(1)), (2, 300_000, None)] {
            let what = format!("{kind}, {threads} threads, {write_bytes} bytes, {buckets:?}");
            let place = Place::new();
            let knobs = Knobs { write_bytes: Some(write_bytes), buckets, ..Knobs::default() };
            let session = session(&place, threads, knobs);
            let folder = place.path("out");
            assert_eq!(copy(&session, &query, &folder, kind).await.unwrap(), "20000", "{what}");
            assert!(session.spill_metrics().raw_bytes > 0, "{what}");
            assert_eq!(files_below(&folder).len(), 50, "{what}");
            let columns = "id, CAST(p AS BIGINT) AS p, word";
            let read = format!("SELECT {columns} FROM '{}/' ORDER BY id", folder.display());
            let expected = format!("SELECT {columns} FROM ({query}) ORDER BY id");
            let expected = rows(&session, &expected).await.unwrap();
            assert_eq!(rows(&session, &read).await.unwrap(), expected, "{what}");
            assert_no_files(&what, &place).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_value_that_most_rows_have() {
    let place = Place::new();
    let knobs = Knobs { write_bytes: Some(0), ..Knobs::default() };
    let session =
        session_with(&place, knobs, |options| options.threads(2).memory_limit_bytes(64 << 20));
    let folder = place.path("out");
    let query = "SELECT value AS id, CASE WHEN value % 1000 = 0 THEN value ELSE 0 END AS p, \
                 md5(CAST(value AS VARCHAR)) || md5(CAST(value + 1 AS VARCHAR)) AS word \
                 FROM generate_series(1, 400000)";
    assert_eq!(copy(&session, query, &folder, "PARQUET").await.unwrap(), "400000");
    let read = format!(
        "SELECT p, count(*), sum(id) FROM '{}/' GROUP BY p ORDER BY count(*) DESC, p LIMIT 2",
        folder.display()
    );
    let expected = ["0|399600|79920000000", "1000|1|1000"];
    assert_eq!(rows(&session, &read).await.unwrap(), expected);
    assert_no_files("after the write", &place).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn results_in_order_are_written_in_order() {
    let place = Place::new();
    let knobs = Knobs { write_bytes: Some(100_000), ..Knobs::default() };
    let session = session(&place, 4, knobs);
    let file = place.path("ordered.parquet");
    let query = format!("SELECT id FROM ({}) ORDER BY word", series(50_000, 10));
    let sql = format!("COPY ({query}) TO '{}'", file.display());
    assert_eq!(rows(&session, &sql).await.unwrap(), ["50000"]);
    run_all(&session, "SET threads = 1").await.unwrap();
    let read = format!("SELECT id FROM '{}'", file.display());
    let expected = rows(&session, &query).await.unwrap();
    assert_eq!(rows(&session, &read).await.unwrap(), expected);

    // In each folder as well, although the column is not among those that are written.
    run_all(&session, "SET threads = 4").await.unwrap();
    let query = format!("SELECT id, p FROM ({}) ORDER BY word", series(50_000, 3));
    let folder = place.path("folders");
    assert_eq!(copy(&session, &query, &folder, "CSV").await.unwrap(), "50000");
    for p in 0..3 {
        let [file] = &files_below(&folder.join(format!("p={p}")))[..] else {
            panic!("not one file for {p}")
        };
        let text = fs::read_to_string(file).unwrap();
        let sql = format!(
            "SELECT id FROM (SELECT id, p, word FROM ({})) WHERE p = {p} ORDER BY word",
            series(50_000, 3)
        );
        let expected = rows(&session, &sql).await.unwrap();
        assert!(text.lines().skip(1).eq(expected.iter().map(String::as_str)), "{p}");
    }
}

/// Fails at a row near the end.
const LATE: &str = "SELECT value AS id, value % 9 AS p, \
    CAST(CASE WHEN value = 190000 THEN 'x' ELSE '1' END AS INT) AS n FROM generate_series(1, 200000)";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_that_fails_leaves_what_was_there() {
    let place = Place::new();
    let session = session(&place, 2, Knobs::default());
    for name in ["f.csv", "f.parquet", "f.json", "f.arrow", "f.csv.gz"] {
        place.write(name, "old");
        let path = place.path(name);
        let sql = format!("COPY ({LATE}) TO '{}'", path.display());
        rows(&session, &sql).await.expect_err(name);
        assert_eq!(place.read(name), "old");
        // Where there was nothing, there is nothing, not even the folder.
        let sql = format!("COPY ({LATE}) TO '{}'", place.path("new/deep").join(name).display());
        rows(&session, &sql).await.expect_err(name);
        assert!(!place.path("new").exists(), "{name}");
    }
    assert_eq!(place.names(), ["f.arrow", "f.csv", "f.csv.gz", "f.json", "f.parquet"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_gets_all_files_or_none() {
    let place = Place::new();
    let folder = place.path("out");
    let faults = [
        Knobs::default(),
        Knobs { write_bytes: Some(0), fail_write: Some(3), ..Knobs::default() },
        Knobs { write_bytes: Some(0), alter_read: Some(2), ..Knobs::default() },
    ];
    let good = session(&place, 2, Knobs::default());
    for fault in faults {
        let query = if fault.write_bytes.is_some() { series(200_000, 9) } else { LATE.into() };
        let session = session(&place, 2, fault.clone());
        copy(&session, &query, &folder, "CSV").await.expect_err("a fault");
        assert!(!folder.exists() && place.names().is_empty(), "{fault:?}: {:?}", place.names());

        assert_eq!(copy(&good, &series(90, 9), &folder, "CSV").await.unwrap(), "90");
        let before = files_below(&folder);
        assert_eq!(before.len(), 9);
        let session = crate::support::session(&place, 2, fault.clone());
        copy(&session, &query, &folder, "CSV").await.expect_err("a fault");
        assert_eq!(files_below(&folder), before, "{fault:?}");
        // A copy that goes well adds to what is there.
        assert_eq!(copy(&good, &series(90, 10), &folder, "CSV").await.unwrap(), "90");
        assert_eq!(files_below(&folder).len(), 19);
        let count = format!("SELECT count(*), sum(id) FROM '{}/'", folder.display());
        assert_eq!(rows(&good, &count).await.unwrap(), ["180|8190"]);
        assert_no_files("after the copies", &place).await;
        fs::remove_dir_all(&folder).unwrap();
    }
}

/// All files and folders below a folder, by their paths there, sorted.
fn names_below(folder: &Path) -> Vec<String> {
    let mut names = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            names.push(path.strip_prefix(folder).unwrap().display().to_string());
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_in_the_way_leaves_no_empty_folders() {
    let place = Place::new();
    let session = session(&place, 2, Knobs::default());
    let folder = place.path("out");
    fs::create_dir_all(folder.join("p=3/q=1")).unwrap();
    place.write("out/p=7", "a file where a folder must be");
    let before = ["p=3", "p=3/q=1", "p=7"];
    let sql = format!(
        "COPY (SELECT value AS id, value % 9 AS p, value % 2 AS q FROM generate_series(1, 900)) \
         TO '{}/' STORED AS CSV PARTITIONED BY (p, q)",
        folder.display()
    );
    assert_eq!(rows(&session, &sql).await.unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(names_below(&folder), before);
    fs::remove_file(place.path("out/p=7")).unwrap();
    assert_eq!(rows(&session, &sql).await.unwrap(), ["900"]);
    assert_eq!(files_below(&folder).len(), 18);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_written_after_a_failure() {
    for read in [20, 60, 100, 140] {
        let place = Place::new();
        let knobs = Knobs { write_bytes: Some(0), alter_read: Some(read), ..Knobs::default() };
        let session = session(&place, 4, knobs);
        let failed = copy(&session, &series(400_000, 2000), &place.path("out"), "CSV").await;
        failed.expect_err("a fault while many files are written");
        for _ in 0..20 {
            assert!(place.names().is_empty(), "{read}: {:?}", place.names());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn places_that_cannot_be_written() {
    let place = Place::new();
    let session = session(&place, 1, Knobs::default());
    place.write("file", "old");
    let to_folder = copy(&session, "SELECT 1 AS id, 2 AS p", &place.path("file"), "CSV").await;
    assert_eq!(to_folder.unwrap_err().kind(), ErrorKind::Io);
    fs::create_dir(place.path("folder.csv")).unwrap();
    let below = place.path("file").join("out.csv");
    let sql = format!("COPY (SELECT 1 AS a) TO '{}'", below.display());
    assert_eq!(rows(&session, &sql).await.unwrap_err().kind(), ErrorKind::Io);
    assert_eq!(place.names(), ["file", "folder.csv"]);
    assert_eq!(place.read("file"), "old");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn row_groups_of_wide_rows_are_small() {
    let place = Place::new();
    let session = session_with(&place, Knobs::default(), |options| {
        options.threads(2).batch_rows(32).memory_limit_bytes(64 << 20)
    });
    let file = place.path("wide.parquet");
    // 40 MB, a hundredth of the rows that a row group has at most.
    let query = "SELECT value AS id, repeat(md5(CAST(value AS VARCHAR)), 2000) AS wide \
                 FROM generate_series(1, 640)";
    let sql = format!("COPY ({query}) TO '{}'", file.display());
    assert_eq!(rows(&session, &sql).await.unwrap(), ["640"]);
    let reader = SerializedFileReader::new(fs::File::open(&file).unwrap()).unwrap();
    assert!(reader.metadata().num_row_groups() >= 5, "{}", reader.metadata().num_row_groups());
    let read = format!("SELECT count(*), sum(length(wide)) FROM '{}'", file.display());
    assert_eq!(rows(&session, &read).await.unwrap(), ["640|40960000"]);
}

#[test]
fn a_signal_stops_a_copy_to_folders() {
    for (threads, pause) in [("1", 300), ("2", 900)] {
        let place = Place::new();
        let sql = "COPY (SELECT value AS id, value % 5 AS p FROM generate_series(1, 100000000000)) \
                   TO 'out/' STORED AS CSV PARTITIONED BY (p)";
        let arguments = ["query", "--threads", threads, "-c", sql];
        let mut command = place.command(&arguments);
        let child = command.env("BRIMFUL_TEST_KNOBS", "write_bytes=0").spawn().unwrap();
        crate::support::wait_until("a temporary file", || place.temporary_bytes() > 0);
        std::thread::sleep(Duration::from_millis(pause));
        send_signal(child.id(), "INT");
        place.finish(child).fails(130, &["interrupted"]);
        assert!(place.names().is_empty(), "{:?}", place.names());
    }
}
