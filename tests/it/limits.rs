//! Memory and disk: what a query may use, and what is said when it is too little.

use std::process::Command;

use crate::support::{Place, wait_until};

/// A sort of about 120 MB, which spills under a limit of 128 MB.
const SORT: &str = "SELECT value, (value * 7919) % 1000003 AS k, repeat('x', 40) AS pad \
                    FROM generate_series(1, 2000000) ORDER BY k, value";

/// The flags of a run that spills. Two threads, so that the shares do not depend on the machine.
const TIGHT: [&str; 5] = ["query", "--threads", "2", "--memory-limit", "128MB"];

/// What `--stats` says of a run.
fn stats(place: &Place) -> serde_json::Value {
    serde_json::from_str(&place.read("stats.json")).unwrap()
}

#[test]
fn a_sort_spills_and_gives_all_rows_in_order() {
    let place = Place::new();
    let flags = ["--stats", "stats.json", "--output", "out.csv", "-c", SORT];
    place.run(&[TIGHT.as_slice(), &flags].concat()).ok();
    let text = place.read("out.csv");
    let key = |line: &str| -> (u64, u64) {
        let mut fields = line.split(',').map(|field| field.parse().unwrap_or_default());
        let (value, key) = (fields.next().unwrap(), fields.next().unwrap());
        (key, value)
    };
    assert!(text.lines().skip(1).is_sorted_by_key(key));
    assert_eq!(text.lines().count(), 2_000_001);
    assert_eq!(stats(&place)["rows"], 2_000_000);
    assert!(stats(&place)["spilled_bytes"].as_u64().unwrap() > 1 << 20);
}

#[test]
fn rows_stream_through_in_constant_memory() {
    /// The limit, and as much again for what it does not count: the program itself (some 60 MB of
    /// touched code and tables in a debug build), the buffers of a reader for each core, and what
    /// the allocator keeps. The file is larger than both.
    const MOST_BYTES: u64 = 2 * 128_000_000;
    let place = Place::new();
    let made = place.run(&["generate", "arcos", "--rows", "600k", "--output", "a.csv"]);
    assert_eq!(made.code, Some(0), "{}", made.stderr);
    assert!(place.size("a.csv") > MOST_BYTES);
    let to_null = ["--stats", "stats.json", "--format", "csv", "--output", "/dev/null"];
    let arguments = [TIGHT.as_slice(), &to_null, &["-c", "SELECT * FROM 'a.csv'"]].concat();
    place.run(&arguments).ok();
    assert_eq!(stats(&place)["rows"], 600_000);
    assert_eq!(stats(&place)["bytes_read"], place.size("a.csv"));
    let peak = stats(&place)["peak_rss_bytes"].as_u64().unwrap();
    assert!(peak < MOST_BYTES, "{peak} bytes");
}

/// A join whose build side takes about 400 MB, and the sum of its matches.
const JOIN: &str = "SELECT count(*), sum(a), sum(length(p)) FROM \
                    (SELECT value AS a, repeat('x', 100) AS p FROM generate_series(1, 3000000)) \
                    JOIN (SELECT value * 2 AS b, repeat('y', 100) AS q \
                          FROM generate_series(1, 3000000)) ON a = b WHERE p <> q";

#[test]
fn a_join_larger_than_memory_keeps_the_process_within_the_limit() {
    let place = Place::new();
    let to_csv = ["--stats", "stats.json", "--format", "csv"];
    for limit in ["256MB", "400MB"] {
        let limited = ["query", "--threads", "2", "--memory-limit", limit];
        let ran = place.run(&[limited.as_slice(), &to_csv, &["-c", JOIN]].concat());
        let rows = ran.ok();
        // 1,500,000 even numbers up to 3,000,000.
        assert_eq!(rows.lines().last(), Some("1500000,2250001500000,150000000"), "{limit}");
        let peak = stats(&place)["peak_rss_bytes"].as_u64().unwrap();
        let most = limit.trim_end_matches("MB").parse::<u64>().unwrap() * 1_000_000;
        assert!(peak <= most, "{peak} bytes with {limit}");
        assert!(stats(&place)["spilled_bytes"].as_u64().unwrap() > 1 << 20);
    }
}

#[test]
fn temporary_files_are_compressed_as_asked() {
    let place = Place::new();
    let mut written = Vec::new();
    for codec in ["none", "lz4", "zstd"] {
        let flags = ["--spill-compression", codec, "--stats", "stats.json", "--format", "csv"];
        let limited = ["query", "--threads", "2", "--memory-limit", "256MB"];
        let ran = place.run(&[limited.as_slice(), &flags, &["-c", JOIN]].concat());
        assert!(ran.ok().ends_with("1500000,2250001500000,150000000\n"), "{codec}");
        let bytes = |name: &str| stats(&place)[name].as_u64().unwrap();
        assert!(bytes("temporary_files") > 0);
        written.push(bytes("temporary_written_bytes") * 100 / bytes("temporary_raw_bytes"));
    }
    assert!(written[0] >= 100 && written[1] < 50 && written[2] < written[1], "{written:?} %");
}

#[test]
fn folders_of_killed_processes_are_removed_by_the_next() {
    let place = Place::new();
    let endless = SORT.replace("2000000", "200000000000");
    let arguments = [TIGHT.as_slice(), &["-c", &endless]].concat();
    let mut child = place.command(&arguments).spawn().unwrap();
    wait_until("a temporary file", || place.temporary_bytes() > 0);
    let folders = || std::fs::read_dir(place.temporary()).unwrap().count();
    assert_eq!(folders(), 1);
    // A session beside it leaves it alone.
    let beside = place.command(&["query", "-c", "SELECT 1"]).output().unwrap();
    assert!(beside.status.success());
    assert_eq!(folders(), 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(folders(), 1, "a process that is killed cannot clean up");
    place.run(&["query", "-c", "SELECT 1"]).ok();
}

#[test]
fn an_aggregate_that_does_not_fit_says_what_to_do() {
    let place = Place::new();
    let sql = "SELECT array_length(array_agg(repeat('x', 100) || value)) \
               FROM generate_series(1, 3000000)";
    let ran = place.run(&["query", "--threads", "2", "--memory-limit", "64MB", "-c", sql]);
    ran.fails(4, &["out of resources: ", "memory", "hint: raise --memory-limit"]);
}

#[test]
fn temporary_files_have_a_limit() {
    let place = Place::new();
    place.write("out.csv", "old\n");
    let flags = ["--max-temp-size", "5MB", "--output", "out.csv", "-c", SORT];
    let ran = place.run(&[TIGHT.as_slice(), &flags].concat());
    ran.fails(4, &["out of resources: ", "temporary disk space", "hint: raise --max-temp-size"]);
    assert_eq!(place.read("out.csv"), "old\n");
}

/// Runs a shell script in which `$disk` is a file system of 4 MB and `$brimful` the command; what
/// is left there is shown. `None` where the system does not allow it.
fn with_small_disk(place: &Place, script: &str) -> Option<crate::support::Ran> {
    let user_and_mounts = ["-r", "-m", "sh", "-c"];
    let mount = "mount -t tmpfs -o size=4m tmpfs \"$disk\"";
    let shell = |script: String| {
        let mut command = place.in_place("unshare");
        command.args(user_and_mounts).arg(script).env("disk", place.path("disk"));
        command.env("brimful", env!("CARGO_BIN_EXE_brimful")).env("sql", SORT);
        command
    };
    std::fs::create_dir(place.path("disk")).unwrap();
    let works = |mut command: Command| command.output().is_ok_and(|out| out.status.success());
    if !works(shell(mount.to_string())) {
        eprintln!("skipped: a small file system cannot be mounted here");
        return None;
    }
    let script = format!("{mount} && {script}; code=$?; ls -A \"$disk\"; exit $code");
    Some(place.finish(shell(script).spawn().unwrap()))
}

#[test]
fn a_full_disk_for_temporary_files() {
    let place = Place::new();
    let script = "\"$brimful\" query --threads 2 --memory-limit 128MB --temp-dir \"$disk\" \
                  --output out.csv -c \"$sql\"";
    let Some(ran) = with_small_disk(&place, script) else { return };
    ran.fails(4, &["out of resources: ", "disk is full", "hint: ", "--temp-dir"]);
    assert_eq!(ran.text(), "", "nothing is left on the disk");
    assert_eq!(place.names(), ["disk"]);
}

#[test]
fn a_full_disk_for_the_output() {
    let place = Place::new();
    let script = "echo old >\"$disk/out.csv\"; \"$brimful\" query --output \"$disk/out.csv\" -c \
                  \"SELECT repeat('x', 100) FROM generate_series(1, 100000)\"";
    let Some(ran) = with_small_disk(&place, script) else { return };
    ran.fails(4, &["out of resources: ", "out.csv", "the disk is full"]);
    assert_eq!(ran.text(), "out.csv\n");
    let place = Place::new();
    let script = "echo old >\"$disk/out.csv\"; \"$brimful\" query -c \"COPY (SELECT repeat('x', \
                  100) FROM generate_series(1, 100000)) TO '$disk/out.csv'\"; code=$?; cat \
                  \"$disk/out.csv\" | head -c 10; exit $code";
    let Some(ran) = with_small_disk(&place, script) else { return };
    ran.fails(4, &["out of resources: ", "out.csv", "the disk is full"]);
}

#[test]
fn a_full_device_on_standard_output() {
    let Ok(full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
        return eprintln!("skipped: there is no /dev/full");
    };
    let place = Place::new();
    let child = place.command(&["query", "-c", "SELECT 1"]).stdout(full).spawn().unwrap();
    place.finish(child).fails(4, &["out of resources: ", "the disk is full"]);
}

#[test]
fn a_folder_for_temporary_files_that_cannot_be_used() {
    let place = Place::new();
    place.write("file", "");
    for folder in ["none", "file", "/proc"] {
        let ran = place.run(&["query", "--temp-dir", folder, "-c", "SELECT 1"]);
        ran.fails(5, &["the folder for temporary files", folder, "hint: ", "--temp-dir"]);
    }
    // Each of several must be usable.
    let both = format!("{}:none", place.temporary().display());
    place.run(&["query", "--temp-dir", &both, "-c", "SELECT 1"]).fails(5, &["\"none\""]);
}

#[test]
fn a_record_that_memory_has_no_room_for() {
    let place = Place::new();
    let long = "x".repeat(100 << 20);
    place.write("long.csv", format!("id,note\n1,\"{long}\"\n"));
    let sql = "SELECT max(length(note)) FROM read_csv('long.csv', max_line_size = 1000000000)";
    let few = ["query", "--memory-limit", "64MB", "-c", sql];
    place.run(&few).fails(4, &["long.csv\" line 2 begins a record that needs", "memory limit"]);
    let many = ["query", "--memory-limit", "1GB", "--format", "csv", "-c", sql];
    assert!(place.run(&many).ok().contains("104857600"));
}
