//! Files that are damaged or dirty: exit code 3, and a message that says which file and where.

use crate::support::Place;

/// Enough rows that the last ones are far behind what is looked at to find the types.
fn long_csv(last: &str) -> String {
    let lines: String = (0..400_000).map(|n| format!("{n},{}\n", n * 2)).collect();
    format!("a,b\n{lines}{last}\n")
}

#[test]
fn a_bad_row_is_named() {
    let place = Place::new();
    place.write("short.csv", "a,b\n1,2\n3\n4,5\n");
    let parts = ["input error: \"short.csv\" line 3 has 1 field, expected 2"];
    place.query("SELECT sum(a) FROM 'short.csv'").fails(3, &parts);
    place.write("long.csv", "a,b\n1,2\n3,4,5\n");
    let parts = ["input error: \"long.csv\" line 3 has 3 fields, expected 2"];
    place.query("SELECT sum(a) FROM 'long.csv'").fails(3, &parts);
    // A row that is only counted is looked at as well.
    place.query("SELECT count(*) FROM 'long.csv'").fails(3, &parts);
}

#[test]
fn a_bad_row_late_in_a_file_has_its_line() {
    let place = Place::new();
    place.write("late.csv", long_csv("1,2,3"));
    let parts = ["\"late.csv\" line 400002 has 3 fields, expected 2"];
    place.query("SELECT sum(a) FROM 'late.csv'").fails(3, &parts);
}

#[test]
fn a_value_of_another_type_late_in_a_file_is_named() {
    let place = Place::new();
    // The samples look at the end of the file too, so the odd value stands before it.
    let odd = long_csv("400000,oops");
    let rest: String = (0..400_000).map(|n| format!("{n},1\n")).collect();
    place.write("late.csv", format!("{odd}{rest}"));
    let ran = place.query("SELECT sum(b) FROM 'late.csv'");
    let line = "\"late.csv\" line 400002: column \"b\" is an integer, but the value is \"oops\"";
    ran.fails(3, &[line, "hint: ", "VARCHAR", "nullstr = 'oops'"]);
    // A column that is not asked for is not converted.
    assert_eq!(place.query("SELECT count(*) AS n FROM 'late.csv'").ok(), "n\n800001\n");
    let as_text = "CREATE EXTERNAL TABLE t (a BIGINT, b VARCHAR) STORED AS CSV \
                   LOCATION 'late.csv'; SELECT a FROM t WHERE b = 'oops'";
    assert_eq!(place.query(as_text).ok(), "a\n400000\n");
}

#[test]
fn a_cut_off_gzip_file_is_named() {
    let place = Place::new();
    place.write("a.csv", long_csv("1,2"));
    let status = place.in_place("gzip").arg("a.csv").status();
    if !status.is_ok_and(|status| status.success()) {
        return eprintln!("skipped: there is no gzip command");
    }
    let query = "SELECT count(*) AS n FROM 'a.csv.gz'";
    assert_eq!(place.query(query).ok(), "n\n400001\n");
    let whole = std::fs::read(place.path("a.csv.gz")).unwrap();
    for length in [whole.len() / 2, whole.len() - 3, 100] {
        place.write("a.csv.gz", &whole[..length]);
        place.query(query).fails(3, &["input error: ", "a.csv.gz"]);
    }
    place.write("a.csv.gz", "this is not gzip");
    place.query(query).fails(3, &["input error: ", "a.csv.gz"]);
}

#[test]
fn damaged_parquet_arrow_and_json_files_are_named() {
    let place = Place::new();
    for name in ["a.parquet", "a.arrow", "a.json"] {
        let rows = "SELECT value AS n, repeat('x', 9) AS t FROM generate_series(1, 5000)";
        place.run(&["query", "--output", name, "-c", rows]).ok();
        let whole = std::fs::read(place.path(name)).unwrap();
        place.write(name, &whole[..whole.len() / 2]);
        place.query(&format!("SELECT max(n) FROM '{name}'")).fails(3, &["input error: ", name]);
        place.write(name, "nonsense nonsense nonsense");
        place.query(&format!("SELECT max(n) FROM '{name}'")).fails(3, &["input error: ", name]);
    }
}

#[test]
fn a_failed_copy_keeps_the_old_file() {
    let place = Place::new();
    place.write("late.csv", long_csv("oops,1"));
    place.write("copy.csv", "old\n");
    let ran = place.query("COPY (SELECT a + 1 AS a FROM 'late.csv') TO 'copy.csv'");
    assert_ne!(ran.code, Some(0));
    assert_eq!(place.read("copy.csv"), "old\n");
    assert_eq!(place.names(), ["copy.csv", "late.csv"]);
}

#[test]
fn text_that_is_not_utf8_is_named() {
    let place = Place::new();
    place.write("latin.csv", b"a,b\n1,caf\xe9\n");
    let parts = ["\"latin.csv\" line 2: column \"b\" is not UTF-8", "hint: "];
    place.query("SELECT * FROM read_csv('latin.csv', encoding = 'utf-8')").fails(3, &parts);
    assert!(place.query("SELECT * FROM 'latin.csv'").ok().contains("café"));
    place.write("wide.csv", b"\xff\xfea\0,\0b\0\n\0\x31\0,\0\xe9\0\n\0");
    assert!(place.query("SELECT * FROM 'wide.csv'").ok().contains('é'));
    place.write("empty.csv", "");
    place.query("SELECT * FROM 'empty.csv'").fails(3, &["\"empty.csv\" is empty"]);
}

#[test]
fn a_quote_that_is_never_closed_is_an_error() {
    let place = Place::new();
    place.write("open.csv", "a,b\n1,\"two\n3,4\n");
    place.query("SELECT * FROM 'open.csv'").fails(3, &["\"open.csv\"", "2"]);
}

#[test]
fn names_of_folders_as_other_programs_write_them() {
    let place = Place::new();
    for (folder, n) in [("s/size=<5", 1), ("s/size=~[a]", 2), ("s/size=100%", 3)] {
        std::fs::create_dir_all(place.path(folder)).unwrap();
        place.write(&format!("{folder}/a.csv"), format!("n\n{n}\n"));
    }
    for (size, n) in [("<5", 1), ("~[a]", 2), ("100%", 3)] {
        let query = format!("SELECT n FROM 's/' WHERE size = '{size}'");
        assert_eq!(place.query(&query).ok(), format!("n\n{n}\n"), "{size}");
    }
}

#[cfg(unix)]
#[test]
fn folders_behind_links_are_read_once() {
    let place = Place::new();
    for folder in ["t/2024", "elsewhere", "years"] {
        std::fs::create_dir_all(place.path(folder)).unwrap();
    }
    place.write("t/2024/a.csv", "n\n1\n");
    place.write("elsewhere/data", "n\n2\n");
    let link = |to: &str, name: &str| std::os::unix::fs::symlink(to, place.path(name)).unwrap();
    link("2024", "t/latest");
    link(".", "t/again");
    assert_eq!(place.query("SELECT count(*) AS n FROM 't/'").ok(), "n\n1\n");
    assert_eq!(place.query("SELECT count(*) AS n FROM 't/*/*.csv'").ok(), "n\n1\n");
    // A link's own name tells the format and the columns.
    link("../elsewhere", "years/year=2019");
    link("data", "elsewhere/b.csv");
    assert_eq!(place.query("SELECT n, year FROM 'years/'").ok(), "n,year\n2,2019\n");
}
