//! Real files, published by others, with reference answers. They are not part of the project: the
//! variable `BRIMFUL_REAL_DATA` names their folder, and without it these tests do nothing.

use std::path::Path;
use std::time::Duration;

use arrow::array::RecordBatch;
use brimful::{CsvOptions, DataFrame, Error, ErrorKind, Session, SessionOptions};

use crate::support::{Place, assert_same, cells, is_near, real_data, real_files, row_cells};

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

/// Runs the query of the project with these variables and gives its rows.
fn run(query: &str, definitions: &[String]) -> Vec<Vec<String>> {
    let script = format!("queries/{query}.sql");
    let mut arguments = vec!["query", "--format", "csv", &script];
    arguments.extend(definitions.iter().flat_map(|definition| ["--define", definition]));
    cells(&Place::new().run_in_project(&arguments).ok())
}

/// The rows of the taxi query on some files.
fn by_payment(files: &Path) -> Vec<Vec<String>> {
    run("taxi_by_payment", &[format!("taxi={}", files.display())])
}

/// A reference answer in the columns and the order of the taxi query.
fn golden(data: &Path, name: &str) -> Vec<Vec<String>> {
    let mut rows = cells(&read(&data.join(format!("golden/taxi_{name}.csv"))));
    rows.sort_by_key(|row| (row[0].is_empty(), row[0].clone()));
    let columns = [0, 1, 4, 5];
    rows.iter().map(|row| columns.map(|column| row[column].clone()).to_vec()).collect()
}

/// A text without its last line.
fn without_last_line(text: &str) -> &str {
    &text[..=text.rfind('\n').unwrap()]
}

#[test]
fn taxi_means_of_january_2015() {
    let Some(data) = real_data() else { return };
    let folder = data.join("taxi/yellow_2015_2016_19col/bhuvankumar007");
    let rows = by_payment(&folder.join("yellow_tripdata_2015-01.csv"));
    let expected = [
        ("1", 1256.0, 17.1556449045, 3.04297770701),
        ("2", 733.0, 12.4828785812, 2.49813096862),
        ("3", 10.0, 9.2, 1.94),
    ];
    assert_eq!(rows.len(), expected.len());
    for (row, (payment, trips, total, distance)) in rows.iter().zip(expected) {
        assert_eq!(row[0], payment);
        for (value, expected) in row[1..].iter().zip([trips, total, distance]) {
            assert!(is_near(value.parse().unwrap(), expected), "{row:?}");
        }
    }
}

#[test]
fn taxi_files_give_the_reference_answers() {
    let Some(data) = real_data() else { return };
    let old = "taxi/yellow_2015_2016_19col";
    let mut sources = vec![
        ("bhuvankumar007_all4".to_string(), format!("{old}/bhuvankumar007/*.csv")),
        ("joshiaksh_uber_data".to_string(), format!("{old}/joshiaksh/uber_data.csv")),
        ("gx_2019".to_string(), "taxi/yellow_2019_18col/*_2019-*.csv".to_string()),
    ];
    for month in ["2015-01", "2016-01", "2016-02", "2016-03"] {
        let name = format!("yellow_tripdata_{month}");
        sources
            .push((format!("bhuvankumar007_{name}"), format!("{old}/bhuvankumar007/{name}.csv")));
    }
    let sample = "yellow_tripdata_2016-03";
    sources.push((format!("nick2002b_{sample}"), format!("{old}/nick2002b/{sample}.csv")));
    for month in 1..=12 {
        // January and February have CRLF at the end of every line but the last.
        let file = format!("yellow_tripdata_sample_2019-{month:02}.csv");
        sources.push((format!("gx_2019-{month:02}"), format!("taxi/yellow_2019_18col/{file}")));
        if month <= 2 {
            let source = format!("taxi/yellow_2019_18col_gedemo/{file}");
            sources.push((format!("gedemo_2019-{month:02}"), source));
        }
    }
    for (name, source) in &sources {
        assert_same(name, &by_payment(&data.join(source)), &golden(&data, name));
    }
    // One more, whose source is damaged, has a test of its own.
    let answers = data.join("golden").read_dir().unwrap();
    let names = answers.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(names.filter(|name| name.starts_with("taxi_")).count(), sources.len() + 1);
}

#[test]
fn a_cut_last_row_is_an_error_with_its_line() {
    let Some(data) = real_data() else { return };
    let source = data.join("taxi/yellow_2015_2016_19col/nileshmandal/uber_data.csv");
    let place = Place::new();
    let ran =
        place.query(&format!("SELECT count(*), max(total_amount) FROM '{}'", source.display()));
    ran.fails(3, &["uber_data.csv\" line 15243 has 12 fields, expected 19", "hint: "]);
    // Without that row it gives the reference answer.
    place.write("mended.csv", without_last_line(&read(&source)));
    let rows = by_payment(&place.path("mended.csv"));
    assert_same("nileshmandal", &rows, &golden(&data, "nileshmandal_uber_data"));
}

#[test]
fn trips_are_joined_with_their_zones() {
    let Some(data) = real_data() else { return };
    let zones = data.join("taxi/zones/taxi_zone_lookup.csv");
    let trips = data.join("taxi/yellow_2019_18col/yellow_tripdata_sample_2019-03.csv");
    let header = read(&zones).lines().next().unwrap().to_lowercase();
    assert!(header.contains("location"), "{header}");
    let files = [format!("trips={}", trips.display()), format!("zones={}", zones.display())];
    let ids = ["pickup_id=pickup_location_id", "dropoff_id=dropoff_location_id"];
    let definitions = [files.to_vec(), ids.map(str::to_string).to_vec()].concat();
    let rows = run("trips_by_borough", &definitions);
    assert_eq!(rows.len(), 10);
    assert_eq!(&rows[0][..2], ["Manhattan", "Manhattan"]);
}

#[test]
fn arcos_gives_the_reference_answer() {
    let Some(data) = real_data() else { return };
    let source = data.join("arcos/arcos-wv-mingo-54059-itemized.tsv");
    let arcos = [format!("arcos={}", source.display())];
    let mut golden = cells(&read(&data.join("golden/arcos_mingo-54059.csv")));
    golden.iter_mut().for_each(|row| row.truncate(5));
    assert_same("by county", &run("arcos_by_county", &arcos), &golden);
    assert_same("maximum", &run("arcos_maximum", &arcos), &[vec!["24000".to_string()]]);
}

#[test]
fn arcos_codes_keep_their_leading_zeros() {
    let Some(data) = real_data() else { return };
    let source = data.join("arcos/arcos-wv-mingo-54059-itemized.tsv");
    let sql = format!(
        "SELECT ndc_no, transaction_date, order_form_no, strength FROM '{}'",
        source.display()
    );
    let mut rows = cells(&Place::new().query(&sql).ok());
    rows.sort();
    let text = read(&source);
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap().split('\t').collect();
    let columns = ["NDC_NO", "TRANSACTION_DATE", "ORDER_FORM_NO", "STRENGTH"]
        .map(|name| header.iter().position(|column| *column == name).unwrap());
    let fields = lines.map(|line| line.split('\t').collect::<Vec<_>>());
    let mut expected: Vec<_> = fields.map(|fields| columns.map(|column| fields[column])).collect();
    expected.sort_unstable();
    assert_eq!(rows.len(), 37_154);
    assert!(rows.iter().zip(&expected).all(|(row, expected)| row == expected));
}

#[test]
fn a_mark_of_utf8_is_not_part_of_the_first_name() {
    let Some(data) = real_data() else { return };
    let source = data.join("arcos/docs/00_data/data_dictionary.csv");
    assert!(read(&source).starts_with('\u{feff}'));
    let sql = format!("SELECT count(ColumnName) AS n FROM '{}'", source.display());
    assert_eq!(Place::new().query(&sql).ok(), "n\n42\n");
}

#[test]
fn a_parquet_file_with_columns_of_type_null_opens() {
    let Some(data) = real_data() else { return };
    let source = data.join("taxi/parquet/2015-01.parquet");
    let sql =
        format!("SELECT count(*) AS n, count(airport_fee) AS fees FROM '{}'", source.display());
    assert_eq!(Place::new().query(&sql).ok(), "n,fees\n100,0\n");
    let all = Place::new().query(&format!("SELECT * FROM '{}'", source.display())).ok();
    assert_eq!(all.lines().count(), 101);
}

fn session() -> Session {
    Session::new(SessionOptions::new().threads(2)).unwrap()
}

/// Runs a query that must end in time, and gives its rows or an error that is not our fault.
async fn read_or_refuse(
    what: &Path,
    frame: impl Future<Output = brimful::Result<DataFrame>>,
) -> brimful::Result<Vec<RecordBatch>> {
    let work = async { frame.await?.collect().await };
    let result = tokio::time::timeout(Duration::from_secs(30), work).await;
    let result = result.unwrap_or_else(|_| panic!("{} hangs", what.display()));
    if let Err(error) = &result {
        let kinds = [ErrorKind::Input, ErrorKind::Io, ErrorKind::Query];
        assert!(kinds.contains(&error.kind()), "{}: {:?}", what.display(), error);
        let name = what.file_name().unwrap().to_str().unwrap();
        let is_json = name.ends_with(".json");
        assert!(
            is_json || error.to_string().contains(name),
            "{} is not named: {error}",
            what.display()
        );
    }
    result
}

/// What happens to the files of `csv_nasty` that have a known ending, when read without options:
///
/// - empty files, and files of blank lines: refused, "is empty"
/// - rows with more or fewer fields than the header or the first row (`bad-header-*-fields`,
///   `*short_rows*`, `test_empty_columns*`, `test_extra_header`, `bad_skip_lines`,
///   `iris_tiny_invalid_*`, `strange`, the compressed ones of polars, one of whose rows has a comma too
///   many): refused, with the line
/// - other compressions (`.br`, `.zl`, `.deflate`, `.lzma`) and spreadsheets: refused by the ending
/// - all others, among them NUL bytes, CR line ends, a mark of UTF-8, quoted newlines, unescaped
///   quotes inside of fields, and a header alone: read
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nasty_files_are_read_or_refused() {
    let Some(data) = real_data() else { return };
    let session = session();
    let (mut read, mut refused) = (0, 0);
    for path in real_files(&data.join("csv_nasty")) {
        let sql = format!("SELECT * FROM '{}'", path.display());
        match read_or_refuse(&path, session.sql(&sql)).await {
            Ok(_) => read += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(read >= 140 && refused >= 25, "{read} were read, {refused} refused");
}

/// Files cut after 1,024 bytes, of twelve years: most end in the middle of a row.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_files_are_read_or_refused() {
    let Some(data) = real_data() else { return };
    let session = session();
    let folder = data.join("taxi/tlc_1kb_stubs");
    for path in real_files(&folder) {
        let _ = read_or_refuse(&path, session.read_csv(&path, CsvOptions::new())).await;
    }
    // Columns changed over the years.
    let all = folder.join("yellow_*.csv");
    let result: Result<_, Error> = session.read_csv(&all, CsvOptions::new()).await;
    let error = match result {
        Ok(frame) => frame.collect().await.unwrap_err(),
        Err(error) => error,
    };
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");
}

/// What `sniff_csv` says of a file: delimiter, quote, escape, newline, skip, comment, header, encoding,
/// number of columns.
async fn sniffed(session: &Session, path: &Path) -> Vec<String> {
    let sql = format!(
        "SELECT delimiter, quote, escape, newline, skip, comment, header, encoding, \
         cardinality(columns) FROM sniff_csv('{}')",
        path.display()
    );
    let frame = session.sql(&sql).await.unwrap_or_else(|err| panic!("{}: {err}", path.display()));
    let batches = frame.collect().await.unwrap();
    let row = row_cells(&batches[0]).remove(0);
    row.into_iter().map(|cell| if cell == "NULL" { String::new() } else { cell }).collect()
}

/// The type that `sniff_csv` finds for each column.
async fn sniffed_types(session: &Session, path: &Path) -> Vec<(String, String)> {
    let sql = format!(
        "SELECT c['name'], c['type'] FROM (SELECT unnest(columns) AS c FROM sniff_csv('{}'))",
        path.display()
    );
    let batches = session.sql(&sql).await.unwrap().collect().await.unwrap();
    let pair = |cells: Vec<String>| (cells[0].clone(), cells[1].clone());
    batches.iter().flat_map(row_cells).map(pair).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forms_of_real_files_are_found() {
    let Some(data) = real_data() else { return };
    let session = session();
    let nasty = data.join("csv_nasty");
    let examples = nasty.join("csvkit-2.2.0/examples");
    let daft = nasty.join("daft/src/daft-csv/test");
    let rust = nasty.join("rust-csv/examples/data");
    for (path, expected) in [
        (
            examples.join("test_utf16_big.csv"),
            [",", "\"", "\"", "\\n", "0", "", "true", "utf-16-be", "3"],
        ),
        (
            examples.join("test_utf16_little.csv"),
            [",", "\"", "\"", "\\n", "0", "", "true", "utf-16", "3"],
        ),
        (
            examples.join("test_latin1.csv"),
            [",", "\"", "\"", "\\n", "0", "", "true", "windows-1252", "3"],
        ),
        (
            examples.join("mac_newlines.csv"),
            [",", "\"", "\"", "\\r", "0", "", "true", "utf-8", "3"],
        ),
        (examples.join("sniff_limit.csv"), [";", "\"", "\"", "\\n", "0", "", "true", "utf-8", "3"]),
        (
            daft.join("iris_tiny_single_quote.csv"),
            [",", "'", "'", "\\n", "0", "", "true", "utf-8", "5"],
        ),
        (
            daft.join("iris_tiny_escape.csv"),
            [",", "\"", "\\", "\\n", "0", "", "true", "utf-8", "5"],
        ),
        (
            daft.join("iris_tiny_comment.csv"),
            [",", "\"", "\"", "\\n", "0", "#", "true", "utf-8", "5"],
        ),
        (
            daft.join("iris_tiny_bar_delimiter.csv"),
            ["|", "\"", "\"", "\\n", "0", "", "true", "utf-8", "5"],
        ),
        (
            daft.join("iris_tiny_no_headers.csv"),
            [",", "\"", "\"", "\\n", "0", "", "false", "utf-8", "5"],
        ),
        (rust.join("smallpop-colon.csv"), [":", "\"", "\"", "\\n", "0", "", "true", "utf-8", "4"]),
        (rust.join("strange.csv"), [";", "\"", "\\", "\\n", "0", "#", "false", "utf-8", "2"]),
        (
            data.join("taxi/yellow_2019_18col/yellow_tripdata_sample_2019-01.csv"),
            [",", "\"", "\"", "\\r\\n", "0", "", "true", "utf-8", "18"],
        ),
        (
            data.join("arcos/arcos-wv-mingo-54059-itemized.tsv"),
            ["\\t", "\"", "\"", "\\n", "0", "", "true", "utf-8", "42"],
        ),
    ] {
        assert_eq!(sniffed(&session, &path).await, expected, "{}", path.display());
    }
    // Names of the JSON beside each file.
    for json in real_files(&nasty.join("csv-spectrum/json")) {
        let name = json.file_stem().unwrap().to_str().unwrap();
        if name == "location_coordinates" {
            continue;
        }
        let csv = nasty.join(format!("csv-spectrum/csvs/{name}.csv"));
        let bytes = std::fs::read(&json).unwrap();
        let rows: Vec<serde_json::Map<String, serde_json::Value>> =
            serde_json::from_slice(&bytes).unwrap();
        let mut found: Vec<String> =
            sniffed_types(&session, &csv).await.into_iter().map(|(name, _)| name).collect();
        found.sort();
        let mut expected: Vec<String> = rows[0].keys().cloned().collect();
        expected.sort();
        assert_eq!(found, expected, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn types_of_real_files_are_found() {
    let Some(data) = real_data() else { return };
    let session = session();
    let shipments =
        sniffed_types(&session, &data.join("arcos/arcos-wv-mingo-54059-itemized.tsv")).await;
    for (name, expected) in [
        ("NDC_NO", "VARCHAR"),
        ("TRANSACTION_DATE", "VARCHAR"),
        ("STRENGTH", "VARCHAR"),
        ("DOSAGE_UNIT", "DOUBLE"),
        ("TRANSACTION_ID", "BIGINT"),
    ] {
        let found = shipments.iter().find(|(column, _)| column == name);
        assert_eq!(found.map(|(_, found)| found.as_str()), Some(expected), "{name}");
    }
    // Twelve years of layouts, cut in the middle of a row: commas, no titles, names in the header,
    // and rows that are wider than the header in some years.
    let stubs = data.join("taxi/tlc_1kb_stubs");
    let mut count = 0;
    for path in real_files(&stubs) {
        let form = sniffed(&session, &path).await;
        let file = path.file_name().unwrap().to_str().unwrap();
        assert_eq!(
            [&form[0], &form[4], &form[5], &form[6], &form[7]],
            [",", "0", "", "true", "utf-8"],
            "{file}"
        );
        for (name, found) in sniffed_types(&session, &path).await {
            let lower = name.to_lowercase();
            if lower.contains("pickup_datetime") && form[8].parse::<usize>().unwrap() > 1 {
                assert!(found == "TIMESTAMP" || found == "VARCHAR", "{file}: {name} is {found}");
            }
        }
        count += 1;
    }
    assert!(count > 290, "{count}");
    let wide = sniffed(&session, &stubs.join("yellow_tripdata_2016-07.csv")).await;
    assert_eq!(wide[8], "19");
}
