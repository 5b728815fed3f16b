//! `brimful generate`: the same bytes with any number of threads, in sizes and formats that are
//! read back, and files that are kept or replaced.

use std::fs;

use crate::support::Place;

/// Generates into the folder, and checks that it went well.
#[track_caller]
fn generate(place: &Place, line: &str) -> String {
    let words = ["generate"].into_iter().chain(line.split(' '));
    let ran = place.run(&words.collect::<Vec<_>>());
    assert_eq!((ran.code, ran.text()), (Some(0), ""), "{}", ran.stderr);
    ran.stderr
}

#[test]
fn threads_do_not_change_the_bytes() {
    let place = Place::new();
    for dataset in ["taxi", "taxi --layout 2019", "arcos"] {
        for ending in ["csv", "tsv", "parquet"] {
            for threads in [1, 2, 7] {
                let output = format!("{threads}.{ending}");
                generate(
                    &place,
                    &format!("{dataset} --rows 30k --threads {threads} --output {output}"),
                );
            }
            let bytes = |threads: u8| fs::read(place.path(&format!("{threads}.{ending}"))).unwrap();
            assert!(bytes(1) == bytes(2) && bytes(1) == bytes(7), "{dataset} {ending}");
        }
    }
}

#[test]
fn seeds_change_the_rows_and_a_longer_file_begins_with_a_shorter_one() {
    let place = Place::new();
    generate(&place, "taxi --rows 1000 --output a.csv");
    generate(&place, "taxi --rows 1000 --seed 42 --output same.csv");
    generate(&place, "taxi --rows 1000 --seed 43 --output other.csv");
    generate(&place, "taxi --rows 2k --output longer.csv");
    assert_eq!(place.read("a.csv"), place.read("same.csv"));
    assert_ne!(place.read("a.csv"), place.read("other.csv"));
    assert!(place.read("longer.csv").starts_with(&place.read("a.csv")));
}

#[test]
fn rows_and_columns_are_those_asked_for() {
    let place = Place::new();
    for (dataset, columns) in [("taxi", 19), ("taxi --layout 2019", 18), ("arcos", 42)] {
        for (ending, rows) in [("csv", 1234), ("tsv", 1), ("parquet", 1234), ("csv", 0)] {
            let name = format!("a.{ending}");
            let said = generate(&place, &format!("{dataset} --rows {rows} --output {name}"));
            assert_eq!(said, format!("{name}: {rows} rows, {} bytes\n", place.size(&name)));
            let count = place.query(&format!("SELECT count(*) AS n FROM '{name}'")).ok();
            assert_eq!(count, format!("n\n{rows}\n"), "{dataset} {ending}");
            let header = place.query(&format!("SELECT * FROM '{name}' LIMIT 0")).ok();
            assert_eq!(header.trim().split(',').count(), columns, "{dataset} {ending}");
        }
    }
}

#[test]
fn formats_hold_the_same_values() {
    let place = Place::new();
    let sql = |name: &str| {
        format!(
            "SELECT count(*), sum(total_amount), max(tip_amount), min(tpep_pickup_datetime), \
             count(DISTINCT payment_type) FROM '{name}'"
        )
    };
    let mut answers = ["csv", "tsv", "parquet"].map(|ending| {
        generate(&place, &format!("taxi --rows 5k --output a.{ending}"));
        let answer = place.query(&sql(&format!("a.{ending}"))).ok();
        answer.lines().nth(1).unwrap().replace('T', " ")
    });
    answers.sort();
    let first: Vec<&str> = answers[0].split(',').collect();
    let last: Vec<&str> = answers[2].split(',').collect();
    let sum = |answer: &[&str]| answer[1].parse::<f64>().unwrap();
    assert!(crate::support::is_near(sum(&first), sum(&last)), "{answers:?}");
    assert_eq!((first[0], &first[2..]), (last[0], &last[2..]));
}

#[test]
fn tpch_has_the_rows_of_the_specification() {
    let place = Place::new();
    generate(&place, "tpch --scale 0.01 --output tpch");
    generate(&place, "tpch --scale 0.01 --threads 1 --format csv --output text");
    let tables = [
        ("region", 5),
        ("nation", 25),
        ("supplier", 100),
        ("part", 2000),
        ("partsupp", 8000),
        ("customer", 1500),
        ("orders", 15_000),
        ("lineitem", 60_175),
    ];
    for (table, rows) in tables {
        for name in [format!("tpch/{table}.parquet"), format!("text/{table}.csv")] {
            let count = place.query(&format!("SELECT count(*) AS n FROM '{name}'"));
            assert_eq!(count.ok(), format!("n\n{rows}\n"), "{name}");
        }
    }
}

#[test]
fn a_file_is_replaced_and_a_folder_is_not() {
    let place = Place::new();
    place.write("a.csv", "old");
    generate(&place, "arcos --rows 1 --output a.csv");
    assert_eq!(place.read("a.csv").lines().count(), 2);
    fs::create_dir(place.path("folder")).unwrap();
    place.run(&["generate", "arcos", "--output", "folder"]).fails(5, &["\"folder\""]);
    place.run(&["generate", "arcos", "--output", "no/a.csv"]).fails(5, &["no/a.csv"]);
    assert_eq!(place.names(), ["a.csv", "folder"]);
}

#[test]
fn options_of_another_data_set_are_refused() {
    let place = Place::new();
    place.write("a.csv", "old");
    let wrong: [(&[&str], &str); 5] = [
        (&["arcos", "--scale", "1"], "--scale does not apply to arcos"),
        (&["tpch", "--rows", "1"], "--rows does not apply to tpch"),
        (&["taxi", "--rows", "many"], "invalid value 'many'"),
        (&["taxi", "--layout", "1999"], "invalid value '1999'"),
        (&["nonsense"], "invalid value 'nonsense'"),
    ];
    for (words, message) in wrong {
        let arguments = [&["generate"], words, &["--output", "a.csv"]].concat();
        place.run(&arguments).fails(2, &[message]);
    }
    assert_eq!((place.names(), place.read("a.csv")), (vec!["a.csv".to_string()], "old".into()));
}
