//! Real files that are hard to read, published by others: the ones with which they test their own
//! readers, and public records with all that went wrong in them. The variable `BRIMFUL_REAL_DATA`
//! names their folder, and without it these tests do nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::slice;
use std::time::Duration;

use arrow::array::{Array, AsArray, RecordBatch, StringViewArray};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use brimful::{CsvOptions, DataFrame, ErrorKind, Knobs, Session};
use serde_json::Value;

use crate::support::{
    Place, assert_rows, cells, real_data, real_files, rows, session, sorted_rows,
};

/// Reading one of the files takes no longer than this.
const LONGEST: Duration = Duration::from_secs(30);

/// Files of more bytes are left out where each is read many times.
const MANY_TIMES_BYTES: u64 = 64 << 10;

/// Words that are NULL in columns that are not text.
const NULL_WORDS: [&str; 8] = ["null", "NULL", "Null", "NA", "N/A", "n/a", "\\N", "-"];

const ARCOS: &str = "arcos/arcos-wv-mingo-54059-itemized.tsv";

fn file_name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn file_stem(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

fn text_of(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

/// A session that gives the rows of a file in their order.
fn in_order(place: &Place) -> Session {
    session(place, 1, Knobs::default())
}

/// The rows of a frame as one batch.
async fn collected(frame: DataFrame) -> brimful::Result<RecordBatch> {
    let schema = frame.schema();
    let batches = frame.collect().await?;
    let schema = batches.first().map_or(schema, RecordBatch::schema);
    Ok(concat_batches(&schema, &batches).unwrap())
}

/// The rows of a CSV file, which must end in time.
async fn read(session: &Session, path: &Path, options: CsvOptions) -> brimful::Result<RecordBatch> {
    let reading = Box::pin(async { collected(session.read_csv(path, options).await?).await });
    let result = tokio::time::timeout(LONGEST, reading).await;
    result.unwrap_or_else(|_| panic!("{} hangs", path.display()))
}

/// The rows of a CSV file whose columns are all text.
async fn read_text(
    session: &Session,
    path: &Path,
    options: CsvOptions,
) -> brimful::Result<RecordBatch> {
    read(session, path, options.all_text(true)).await
}

fn names(table: &RecordBatch) -> Vec<String> {
    table.schema().fields().iter().map(|field| field.name().clone()).collect()
}

fn text_columns(table: &RecordBatch) -> Vec<&StringViewArray> {
    table.columns().iter().map(|column| column.as_string_view()).collect()
}

/// The fields of columns that are text; NULL is empty.
fn fields(table: &RecordBatch) -> Vec<Vec<String>> {
    let columns = text_columns(table);
    let field = |column: &StringViewArray, row: usize| match column.is_valid(row) {
        true => column.value(row).to_string(),
        false => String::new(),
    };
    let fields = |row| columns.iter().map(|&column| field(column, row)).collect();
    (0..table.num_rows()).map(fields).collect()
}

#[track_caller]
fn assert_refused(what: &str, result: brimful::Result<RecordBatch>, fault: &str) {
    match result {
        Ok(table) => panic!("{what} has {} rows", table.num_rows()),
        Err(error) => assert!(error.to_string().contains(fault), "{what}: {error}"),
    }
}

// Files with their rows as JSON.

/// The rows in a JSON file: an array of them, or one.
fn json_rows(path: &Path) -> Vec<Value> {
    match serde_json::from_slice::<Value>(&std::fs::read(path).unwrap()).unwrap() {
        Value::Array(rows) => rows,
        row => vec![row],
    }
}

fn json_text(value: &Value) -> String {
    value.as_str().unwrap().to_string()
}

/// A row as its fields by name.
fn json_object(row: &Value) -> BTreeMap<String, String> {
    let fields = row.as_object().unwrap();
    fields.iter().map(|(name, value)| (name.clone(), json_text(value))).collect()
}

fn json_array(row: &Value) -> Vec<String> {
    row.as_array().unwrap().iter().map(json_text).collect()
}

/// Each row as its fields by name.
fn objects(table: &RecordBatch) -> Vec<BTreeMap<String, String>> {
    let names = names(table);
    let object = |row: Vec<String>| names.iter().cloned().zip(row).collect();
    fields(table).into_iter().map(object).collect()
}

#[tokio::test]
async fn each_field_of_csv_spectrum_is_that_of_its_json() {
    let Some(data) = real_data() else { return };
    let folder = data.join("csv_nasty/csv-spectrum");
    let place = Place::new();
    let session = in_order(&place);
    let csvs = real_files(&folder.join("csvs"));
    assert_eq!(csvs.len(), 12);
    for csv in csvs {
        let name = file_stem(&csv);
        let json = json_rows(&folder.join(format!("json/{name}.json")));
        let mut expected: Vec<_> = json.iter().map(json_object).collect();
        match name {
            // This copy of the CSV has lost the CRs that its JSON has.
            "newlines_crlf" => {
                let values = expected.iter_mut().flat_map(BTreeMap::values_mut);
                values.for_each(|value| *value = value.replace("\r\n", "\n"));
            }
            // The two have different numbers.
            "location_coordinates" => {
                let number = expected[0].get_mut("Contact Phone Number").unwrap();
                assert_eq!(*number, "1234567890");
                *number = "2095257564".to_string();
            }
            _ => {}
        }
        let table = read_text(&session, &csv, CsvOptions::new()).await.unwrap();
        assert_eq!(objects(&table), expected, "{name}");
    }
}

#[tokio::test]
async fn each_field_of_csv_test_data_is_that_of_its_json() {
    let Some(data) = real_data() else { return };
    let folder = data.join("csv_nasty/csv-test-data");
    let place = Place::new();
    let session = in_order(&place);
    let jsons = real_files(&folder.join("json"));
    assert_eq!(jsons.len(), 18);
    for json in jsons {
        let name = file_stem(&json);
        let csv = folder.join(format!("csv/{name}.csv"));
        let mut expected = json_rows(&json);
        let has_header = name.starts_with("header-");
        let result = read_text(&session, &csv, CsvOptions::new().header(has_header)).await;
        match name {
            "all-empty" => {
                assert_refused(name, result, "is empty: it has no header and no rows");
                continue;
            }
            // A blank line is no row, not even where there is one column.
            "empty-one-column" => assert_eq!(json_array(&expected.pop().unwrap()), [""]),
            _ => {}
        }
        let table = result.unwrap();
        if has_header {
            let expected: Vec<_> = expected.iter().map(json_object).collect();
            assert_eq!(objects(&table), expected, "{name}");
            assert_eq!(names(&table), ["foo", "bar", "baz"], "{name}");
        } else {
            let expected: Vec<_> = expected.iter().map(json_array).collect();
            assert_eq!(fields(&table), expected, "{name}");
        }
    }
}

#[tokio::test]
async fn bad_files_of_csv_test_data_say_where_they_are_bad() {
    let Some(data) = real_data() else { return };
    let folder = data.join("csv_nasty/csv-test-data/csv");
    let place = Place::new();
    let session = in_order(&place);
    let columns = ["foo", "bar", "baz"];
    let faults = [
        ("bad-header-less-fields", "line 2 has 2 fields, expected 3"),
        ("bad-header-more-fields", "line 2 has 4 fields, expected 3"),
        ("bad-header-no-header", "is empty: it has no header and no rows"),
        ("bad-header-wrong-header", "no column \"foo\""),
        ("bad-missing-quote", "line 2 begins a quoted field that is never closed"),
        (
            "bad-quotes-with-unescaped-quote",
            "line 2 has text between the closing quote and the end of a field",
        ),
    ];
    for (name, fault) in faults {
        let csv = folder.join(format!("{name}.csv"));
        let options = CsvOptions::new().header(name.starts_with("bad-header-"));
        let options = match name {
            "bad-header-wrong-header" => options.use_columns(columns),
            _ => options,
        };
        assert_refused(name, read_text(&session, &csv, options).await, fault);
    }
    // Quotes inside of a field that does not begin with one are characters like others.
    let quoted = folder.join("bad-unescaped-quote.csv");
    let table = read_text(&session, &quoted, CsvOptions::new().header(true)).await.unwrap();
    assert_eq!(names(&table), columns);
    assert_eq!(fields(&table), [["1", "This \"quotes\" must be escaped", "3"]]);

    let files = real_files(&folder);
    let bad = files.iter().filter(|path| file_name(path).starts_with("bad-"));
    assert_eq!(bad.count(), faults.len() + 1);
}

// Files without.

/// What a file is when it is opened by its name.
#[derive(Debug, Clone, Copy)]
enum Found {
    /// Rows, columns, and the [`fingerprint`] of what is in them.
    Read(usize, usize, u32),
    /// The error says this.
    Refused(&'static str),
}

use Found::{Read, Refused};

/// A folder, its files, and what they are.
type Folder = (&'static str, &'static [(&'static str, Found)]);

/// All CSV files that have no JSON beside them. The numbers come from another reader: Python's `csv`,
/// told the delimiter, the quotes and the encoding, without blank lines, names without blanks around
/// them and `column_N` where there is none.
const NASTY: [Folder; 13] = [
    (
        "csvkit-2.2.0/examples",
        &[
            ("bad.csv", Refused("line 2 has 4 fields, expected 3")),
            ("bad_skip_lines.csv", Refused("line 5 has 4 fields, expected 3")),
            ("blanks.csv", Read(1, 6, 0x3ef04d1c)),
            ("blanks_converted.csv", Read(1, 6, 0x92f6bba0)),
            ("date_like_number.csv", Read(1, 1, 0x474503cf)),
            ("dummy.csv", Read(1, 3, 0xc413820f)),
            ("dummy.csv.bz2", Read(1, 3, 0xc413820f)),
            ("dummy.csv.gz", Read(1, 3, 0xc413820f)),
            ("dummy.tsv", Read(1, 3, 0xc413820f)),
            ("dummy2.csv", Read(1, 3, 0xc413820f)),
            ("dummy3.csv", Read(2, 3, 0xc0ecdd18)),
            ("dummy_col_shuffled.csv", Read(1, 3, 0x8045432f)),
            ("dummy_col_shuffled_ragged.csv", Read(1, 4, 0x2d054305)),
            ("empty.csv", Refused("is empty: it has no header and no rows")),
            ("foo1.csv", Read(2, 3, 0x831abf97)),
            ("foo2.csv", Read(2, 3, 0x56e03654)),
            ("iris.csv", Read(150, 5, 0x244ff42b)),
            ("irismeta.csv", Read(3, 3, 0xf0b02555)),
            ("join_a.csv", Read(3, 3, 0xff625bc0)),
            ("join_a_short.csv", Refused("line 2 has 2 fields, expected 3")),
            ("join_b.csv", Read(3, 3, 0xd06f6032)),
            ("join_no_header_row.csv", Read(3, 3, 0x9ace4649)),
            ("join_short.csv", Read(2, 5, 0xb5a69639)),
            ("mac_newlines.csv", Read(2, 3, 0x6630a609)),
            ("no_header_row.csv", Read(1, 3, 0x4eaa3a7a)),
            ("no_header_row2.csv", Read(1, 3, 0xed03bb4b)),
            ("no_header_row3.csv", Read(2, 3, 0x9522210a)),
            ("null_byte.csv", Read(1, 3, 0x95fe74b4)),
            ("optional_quote_characters.csv", Read(1, 3, 0xc413820f)),
            ("sheetsxls_converted.csv", Read(5, 9, 0x150af967)),
            ("sheetsxlsx_converted.csv", Read(5, 9, 0xfe78b77c)),
            ("sniff_limit.csv", Read(1, 3, 0xc413820f)),
            ("sort_ints_nulls.csv", Read(3, 3, 0x6c4b8e8a)),
            ("test_date_format.csv", Read(2, 1, 0xdf23cd11)),
            ("test_date_format_converted.csv", Read(2, 1, 0x3edf4b6d)),
            ("test_empty_columns.csv", Refused("line 3 has 4 fields, expected 5")),
            ("test_empty_columns_long_row.csv", Refused("line 2 has 4 fields, expected 3")),
            ("test_empty_columns_short_row.csv", Refused("line 2 has 2 fields, expected 3")),
            ("test_extra_header.csv", Refused("line 2 has 3 fields, expected 4")),
            ("test_geo.csv", Read(17, 12, 0xba0ae7a7)),
            ("test_geojson.csv", Read(3, 7, 0x907c6a6f)),
            ("test_header_newline.csv", Read(1, 3, 0x8e57d421)),
            ("test_ignore_case.csv", Read(5, 3, 0x8dc76deb)),
            ("test_join_short_rows.csv", Refused("line 2 has 2 fields, expected 3")),
            ("test_latin1.csv", Read(2, 3, 0xe8733eda)),
            ("test_literal_order.csv", Read(3, 2, 0xcdf38714)),
            ("test_locale.csv", Read(1, 3, 0x21506223)),
            ("test_locale_converted.csv", Read(1, 3, 0x48d34379)),
            ("test_no_leading_zeroes.csv", Read(1, 3, 0xc39d86c1)),
            ("test_numeric_date_format.csv", Read(2, 1, 0xec4dd5a5)),
            ("test_precision.csv", Read(1, 1, 0x55eba514)),
            ("test_skip_lines.csv", Read(1, 3, 0xc413820f)),
            ("test_utf16_big.csv", Read(2, 3, 0xa2c2b329)),
            ("test_utf16_little.csv", Read(2, 3, 0xa2c2b329)),
            ("test_utf8.csv", Read(2, 3, 0x7ed0a2a5)),
            ("test_utf8_bom.csv", Read(2, 3, 0x7ed0a2a5)),
            ("testdbf_converted.csv", Read(8, 12, 0xa8e11b19)),
            ("testfixed_converted.csv", Read(4, 8, 0x89af34e1)),
            ("testfixed_schema.csv", Read(8, 3, 0x1b3e51c9)),
            ("testfixed_schema_no_inference.csv", Read(3, 3, 0x4a830352)),
            ("testjson_converted.csv", Read(5, 7, 0xe142c135)),
            ("testjson_multiline_converted.csv", Read(2, 3, 0xa93cae60)),
            ("testjson_nested_converted.csv", Read(2, 7, 0x97573bad)),
            ("testxls_converted.csv", Read(5, 8, 0xf8a4a13e)),
            ("testxls_unicode_converted.csv", Read(1, 3, 0xe4675359)),
            ("testxlsx_converted.csv", Read(5, 8, 0x8370a10e)),
            ("testxlsx_noinference_converted.csv", Read(5, 8, 0xebca10f8)),
            ("testxlsx_unicode_converted.csv", Read(1, 3, 0xc413820f)),
        ],
    ),
    (
        "csvkit-2.2.0/examples/realdata",
        &[
            ("Datagov_FY10_EDU_recp_by_State.csv", Read(55, 9, 0x20042f02)),
            ("FY09_EDU_Recipients_by_State.csv", Read(53, 10, 0xfd3cb0ed)),
            ("README.csv", Read(3, 4, 0x5ec8e999)),
            ("acs2012_5yr_population.csv", Read(93, 4, 0xe4a12867)),
            ("event-notification-rpt-lastmonth.txt", Read(72, 72, 0x6cb6edb0)),
            ("ks_1033_data.csv", Read(1575, 14, 0x42defe10)),
        ],
    ),
    (
        "csvkit-2.2.0/examples/realdata/census_2000",
        &[
            ("census2000_geo_schema.csv", Read(83, 3, 0xf7e72396)),
            ("determination.csv", Read(1555, 21, 0x7c62a249)),
            ("determination_schema.csv", Read(21, 6, 0x431b98f5)),
        ],
    ),
    (
        "csvkit-2.2.0/examples/realdata/census_2010",
        &[
            ("census2010_geo_schema.csv", Read(101, 3, 0xba0951a4)),
            ("ilgeo2010_excerpt.csv", Read(1000, 101, 0x3af38d22)),
        ],
    ),
    (
        "daft/src/daft-csv/test",
        &[
            ("iris_tiny.csv", Read(20, 5, 0x98e69a4f)),
            ("iris_tiny.csv.br", Refused("is not known by its extension")),
            ("iris_tiny.csv.bz2", Read(20, 5, 0x98e69a4f)),
            ("iris_tiny.csv.deflate", Refused("is not known by its extension")),
            ("iris_tiny.csv.gz", Read(20, 5, 0x98e69a4f)),
            ("iris_tiny.csv.lzma", Refused("is not known by its extension")),
            ("iris_tiny.csv.xz", Read(20, 5, 0x98e69a4f)),
            ("iris_tiny.csv.zl", Refused("is not known by its extension")),
            ("iris_tiny.csv.zst", Read(20, 5, 0x98e69a4f)),
            ("iris_tiny_all_null_column.csv", Read(6, 5, 0x09d3ff18)),
            ("iris_tiny_bar_delimiter.csv", Read(20, 5, 0x98e69a4f)),
            ("iris_tiny_comment.csv", Read(19, 5, 0xc5ab889d)),
            ("iris_tiny_conflicting_dtypes.csv", Read(2, 5, 0xfa165a8d)),
            (
                "iris_tiny_double_quote.csv",
                Refused("line 10 has text between the closing quote and the end of a field"),
            ),
            ("iris_tiny_empty_lines.csv", Read(3, 5, 0x656e33f8)),
            ("iris_tiny_escape.csv", Read(20, 5, 0xb0137ead)),
            (
                "iris_tiny_invalid_header_cols_mismatch.csv",
                Refused("line 2 has 4 fields, expected 5"),
            ),
            (
                "iris_tiny_invalid_no_header_variable_num_cols.csv",
                Refused("line 2 has 5 fields, expected 4"),
            ),
            ("iris_tiny_no_headers.csv", Read(20, 5, 0x5724ce61)),
            ("iris_tiny_nulls.csv", Read(6, 5, 0xb5141dec)),
            ("iris_tiny_single_quote.csv", Read(20, 5, 0x98e69a4f)),
        ],
    ),
    (
        "daft/tests/assets",
        &[("mvp.csv", Read(100, 2, 0x2965ede6)), ("sampled-tpch.csv", Read(100, 16, 0x2f4bd91c))],
    ),
    ("daft/tests/cookbook/assets", &[("311-service-requests.24.csv", Read(24, 52, 0xcdee4c66))]),
    (
        "polars/docs/assets/data",
        &[
            ("apple_stock.csv", Read(100, 2, 0xe8b62f2d)),
            ("iris.csv", Read(150, 5, 0x2bfa0c7d)),
            ("monopoly_props_groups.csv", Read(29, 2, 0x4a2e3f00)),
            ("monopoly_props_prices.csv", Read(29, 2, 0x7ac7f8a2)),
            ("pokemon.csv", Read(163, 13, 0x6414491d)),
            ("reddit.csv", Read(99, 6, 0xd20604ab)),
        ],
    ),
    (
        "polars/examples/datasets",
        &[
            ("foods1.csv", Read(27, 4, 0x3726da21)),
            ("foods2.csv", Read(27, 4, 0x761876da)),
            ("foods3.csv", Read(27, 4, 0x5352e60a)),
            ("foods4.csv", Read(27, 4, 0x07bbb146)),
            ("foods5.csv", Read(27, 4, 0x77c991fd)),
            ("null_nutriscore.csv", Read(27, 6, 0xdb18c432)),
        ],
    ),
    (
        "polars/py-polars/tests/unit/io/files",
        &[
            ("empty.csv", Refused("is empty: it has no header and no rows")),
            ("foods1.csv", Read(27, 4, 0x3726da21)),
            ("foods2.csv", Read(27, 4, 0x761876da)),
            ("foods3.csv", Read(27, 4, 0x5352e60a)),
            ("foods4.csv", Read(27, 4, 0x07bbb146)),
            ("foods5.csv", Read(27, 4, 0x77c991fd)),
            ("gzipped.csv.gz", Refused("line 4 has 4 fields, expected 3")),
            ("only_header.csv", Read(0, 2, 0x507e8a24)),
            ("small.csv", Read(4, 3, 0xcdefab17)),
            ("zstd_compressed.csv.zst", Refused("line 4 has 4 fields, expected 3")),
        ],
    ),
    (
        "polars/py-polars/tests/unit/io/files/graph-data",
        &[("follows.csv", Read(4, 3, 0x28212187)), ("user.csv", Read(4, 2, 0xaa235f45))],
    ),
    (
        "rust-csv/examples/data",
        &[
            ("smallpop-colon.csv", Read(10, 4, 0x70a3ab0a)),
            ("smallpop-no-headers.csv", Read(10, 4, 0x21efa7ae)),
            ("smallpop.csv", Read(10, 4, 0x70a3ab0a)),
            ("strange.csv", Refused("line 4 has 1 field, expected 2")),
            ("uspop-latin1.csv", Read(100, 5, 0x1d5ae04f)),
            ("uspop-null.csv", Read(100, 5, 0x194aefd9)),
            ("uspop.csv", Read(100, 5, 0x5c00e072)),
        ],
    ),
    (
        "rust-csv/examples/data/bench",
        &[
            ("game.csv", Read(100000, 6, 0x5bd84d6a)),
            ("gtfs-mbta-stop-times.csv", Read(9999, 9, 0x78036b44)),
            ("nfl.csv", Read(9999, 13, 0xd84f601e)),
            ("worldcitiespop.csv", Read(20000, 7, 0x290ffc80)),
        ],
    ),
];

/// FNV-1a of names and fields, with a byte 1f after each of them and 1e after each row.
fn fingerprint(table: &RecordBatch) -> u32 {
    let mut hash: u32 = 0x811c_9dc5;
    let mut add = |byte: u8| hash = (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    for row in [names(table)].into_iter().chain(fields(table)) {
        for field in row {
            field.bytes().for_each(&mut add);
            add(0x1f);
        }
        add(0x1e);
    }
    hash
}

/// Checks that the values of columns, of the types that were found, are those of their text.
#[track_caller]
fn assert_values(what: &str, typed: &RecordBatch, text: &RecordBatch) {
    assert_eq!((typed.num_rows(), names(typed)), (text.num_rows(), names(text)), "{what}");
    for ((name, column), text) in names(typed).iter().zip(typed.columns()).zip(text_columns(text)) {
        for row in 0..column.len() {
            let written = text.is_valid(row).then(|| text.value(row));
            let same = match written {
                Some(written) if column.is_valid(row) => is_value(column.as_ref(), row, written),
                Some(written) => *column.data_type() != DataType::Utf8View && is_null(written),
                None => column.is_null(row),
            };
            assert!(same, "{what}: \"{name}\" in row {row} is written {written:?}");
        }
    }
}

/// Whether a text is NULL in columns that are not text, as an empty one in quotes is.
fn is_null(written: &str) -> bool {
    written.is_empty() || NULL_WORDS.contains(&written)
}

/// Whether a value is what the text says.
fn is_value(column: &dyn Array, row: usize, written: &str) -> bool {
    match column.data_type() {
        DataType::Utf8View => column.as_string_view().value(row) == written,
        DataType::Boolean => {
            written.eq_ignore_ascii_case(&column.as_boolean().value(row).to_string())
        }
        DataType::Int64 => {
            written.trim().parse::<i64>() == Ok(column.as_primitive::<Int64Type>().value(row))
        }
        // The nearest number there is.
        DataType::Float64 => {
            written.trim().parse::<f64>() == Ok(column.as_primitive::<Float64Type>().value(row))
        }
        // Dates in the form of the standard, perhaps without their time.
        _ if !written.contains('/') => {
            let options = FormatOptions::default();
            let value = ArrayFormatter::try_new(column, &options).unwrap().value(row).to_string();
            value.starts_with(&written.replace(' ', "T"))
        }
        _ => true,
    }
}

#[tokio::test]
async fn nasty_files_have_the_fields_that_others_find() {
    let Some(data) = real_data() else { return };
    let place = Place::new();
    let session = in_order(&place);
    for (folder, entries) in NASTY {
        for &(name, found) in entries {
            let what = format!("{folder}/{name}");
            let path = data.join("csv_nasty").join(&what);
            match found {
                Read(row_count, column_count, hash) => {
                    let table = read_text(&session, &path, CsvOptions::new()).await;
                    let table = table.unwrap_or_else(|err| panic!("{what}: {err}"));
                    let shape = (table.num_rows(), table.num_columns());
                    assert_eq!(shape, (row_count, column_count), "{what}");
                    assert_eq!(fingerprint(&table), hash, "{what}");
                    let typed = read(&session, &path, CsvOptions::new()).await;
                    let typed = typed.unwrap_or_else(|err| panic!("{what}: {err}"));
                    assert_values(&what, &typed, &table);
                }
                Refused(fault) => {
                    let sql = format!("SELECT * FROM '{}'", path.display());
                    let result = async { collected(session.sql(&sql).await?).await }.await;
                    if let Err(error) = &result {
                        assert!(error.to_string().contains(name), "{what}: {error}");
                    }
                    assert_refused(&what, result, fault);
                }
            }
        }
    }
}

#[test]
fn no_nasty_file_is_left_out() {
    let Some(data) = real_data() else { return };
    let nasty = data.join("csv_nasty");
    let mut known = BTreeSet::new();
    for (folder, entries) in NASTY {
        known.extend(entries.iter().map(|(name, _)| nasty.join(folder).join(name)));
    }
    let with_json = ["csv-spectrum", "csv-test-data"].map(|folder| nasty.join(folder));
    for path in real_files(&nasty) {
        let name = file_name(&path);
        let is_csv = name.contains(".csv") || name.contains(".tsv");
        if is_csv && !with_json.iter().any(|folder| path.starts_with(folder)) {
            assert!(known.contains(&path), "{} is not in the table", path.display());
        }
    }
    for path in &known {
        assert!(path.is_file(), "there is no {}", path.display());
    }
}

#[tokio::test]
async fn compressed_files_are_those_they_were_made_of() {
    let Some(data) = real_data() else { return };
    let nasty = data.join("csv_nasty");
    let place = Place::new();
    let session = in_order(&place);
    let mut compared = 0;
    for path in real_files(&nasty) {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        let plain = path.with_extension("");
        if !["gz", "bz2", "xz", "zst"].contains(&ending) || !plain.is_file() {
            continue;
        }
        let actual = read(&session, &path, CsvOptions::new()).await.unwrap();
        let expected = read(&session, &plain, CsvOptions::new()).await.unwrap();
        assert_eq!(actual, expected, "{}", path.display());
        compared += 1;
    }
    assert_eq!(compared, 6);
    // These have no plain one: the same text twice, a row of which has a field too many.
    let folder = nasty.join("polars/py-polars/tests/unit/io/files");
    for name in ["gzipped.csv.gz", "zstd_compressed.csv.zst"] {
        let options = CsvOptions::new().ignore_errors(true);
        let table = read_text(&session, &folder.join(name), options).await.unwrap();
        assert_eq!(fields(&table), [["1", "a", "1.0"], ["3", "c", "3.0"]], "{name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nasty_files_are_the_same_however_they_are_cut() {
    let Some(data) = real_data() else { return };
    let place = Place::new();
    let whole = in_order(&place);
    let cuts = [(40, 1), (65, 3)].map(|(piece, threads)| {
        let knobs = Knobs { csv_piece_bytes: Some(piece), ..Knobs::default() };
        (piece, session(&place, threads, knobs))
    });
    let taken_as_it_is =
        CsvOptions::new().header(false).null_padding(true).ignore_errors(true).strict(false);
    for path in real_files(&data.join("csv_nasty")) {
        if path.metadata().unwrap().len() > MANY_TIMES_BYTES {
            continue;
        }
        for options in [CsvOptions::new(), taken_as_it_is.clone()] {
            let expected = read_text(&whole, &path, options.clone()).await;
            for (piece, session) in &cuts {
                let what = format!("{} in pieces of {piece}", path.display());
                let actual = read_text(session, &path, options.clone()).await;
                match (&actual, &expected) {
                    (Ok(actual), Ok(expected)) => {
                        assert_eq!(names(actual), names(expected), "{what}");
                        let [actual, expected] =
                            [actual, expected].map(|table| sorted_rows(slice::from_ref(table)));
                        assert_rows(&what, &actual, &expected);
                    }
                    (Err(actual), Err(expected)) => {
                        assert_eq!(actual.kind(), expected.kind(), "{what}: {actual}");
                    }
                    (Ok(_), Err(expected)) => panic!("{what} has no error: {expected}"),
                    (Err(actual), Ok(_)) => panic!("{what}: {actual}"),
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_options_make_a_nasty_file_a_defect() {
    let Some(data) = real_data() else { return };
    let place = Place::new();
    let session = session(&place, 2, Knobs::default());
    let choices = [
        CsvOptions::new().sample_rows(1),
        CsvOptions::new().quote(None::<u8>).delimiter(b';').skip_lines(1),
        CsvOptions::new().quote(b'\'').escape(b'\\').comment(b'#').header(true),
        CsvOptions::new().encoding("utf-8").unwrap().null_padding(true),
        CsvOptions::new().encoding("utf-16").unwrap().ignore_errors(true),
        CsvOptions::new().compression("gzip").unwrap(),
        CsvOptions::new().compression("bzip2").unwrap(),
        CsvOptions::new().compression("xz").unwrap(),
        CsvOptions::new().compression("zstd").unwrap(),
    ];
    let allowed = [ErrorKind::Input, ErrorKind::Io, ErrorKind::Query, ErrorKind::Config];
    for path in real_files(&data.join("csv_nasty")) {
        if path.metadata().unwrap().len() > MANY_TIMES_BYTES {
            continue;
        }
        for options in &choices {
            if let Err(error) = read(&session, &path, options.clone()).await {
                let what = format!("{} with {options:?}", path.display());
                assert!(allowed.contains(&error.kind()), "{what}: {:?} {error}", error.kind());
            }
        }
    }
}

// Shipments.

/// The lines of a text that are not blank, each as its fields, which may be inside of quotes but
/// hold neither these nor delimiters.
fn split_lines(text: &str, delimiter: char) -> impl Iterator<Item = Vec<&str>> {
    let lines = text.lines().map(|line| line.trim_end_matches('\r'));
    lines
        .filter(|line| !line.is_empty())
        .map(move |line| line.split(delimiter).map(|field| field.trim_matches('"')).collect())
}

/// Checks that columns of text hold these fields, row by row. Fields that are `null` are NULL, as
/// are those that a row lacks at its end; whether they were quoted is not looked at.
#[track_caller]
fn assert_fields<'a>(
    what: &str,
    table: &RecordBatch,
    expected: impl IntoIterator<Item = Vec<&'a str>>,
    null: &str,
) {
    let columns = text_columns(table);
    let mut row = 0;
    for fields in expected {
        assert!(row < table.num_rows(), "{what}: row {row} is missing");
        assert!(fields.len() <= columns.len(), "{what}: row {row} is cut");
        for (place, column) in columns.iter().enumerate() {
            let field = fields.get(place).copied().filter(|field| *field != null);
            let value = column.is_valid(row).then(|| column.value(row));
            let value = value.filter(|value| *value != null);
            assert_eq!(value, field, "{what}: column {place} of row {row}");
        }
        row += 1;
    }
    assert_eq!(row, table.num_rows(), "{what}: rows");
}

/// Rows that are not NULL.
fn count_given(table: &RecordBatch, column: &str) -> usize {
    let column = table.column_by_name(column).unwrap();
    column.len() - column.null_count()
}

#[tokio::test]
async fn arcos_null_is_a_word_until_it_is_named() {
    let Some(data) = real_data() else { return };
    let source = data.join(ARCOS);
    let text = text_of(&source);
    let place = Place::new();
    let session = in_order(&place);

    let words = read_text(&session, &source, CsvOptions::new()).await.unwrap();
    assert_fields("words", &words, split_lines(&text, '\t').skip(1), "");
    assert_eq!(count_given(&words, "UNIT"), 37_154);

    let options = CsvOptions::new().null_words(["null"]);
    let nulls = read_text(&session, &source, options.clone()).await.unwrap();
    assert_fields("NULL", &nulls, split_lines(&text, '\t').skip(1), "null");

    // A column of nothing but NULL, and values that come late, whatever is looked at before.
    for options in [options.clone(), options.sample_rows(1)] {
        let typed = read(&session, &source, options).await.unwrap();
        assert_values("typed", &typed, &nulls);
        for (column, count) in [
            ("UNIT", 0),
            ("CORRECTION_NO", 0),
            ("ACTION_INDICATOR", 5),
            ("STRENGTH", 3266),
            ("ORDER_FORM_NO", 6602),
            ("TRANSACTION_DATE", 37_154),
        ] {
            assert_eq!(count_given(&typed, column), count, "{column}");
        }
    }
}

#[tokio::test]
async fn arcos_dates_with_their_format_are_dates() {
    let Some(data) = real_data() else { return };
    let source = data.join(ARCOS);
    let text = text_of(&source);
    let mut lines = split_lines(&text, '\t');
    let header = lines.next().unwrap();
    let place = header.iter().position(|name| *name == "TRANSACTION_DATE").unwrap();
    let date = |digits: &str| format!("{}-{}-{}", &digits[4..], &digits[..2], &digits[2..4]);
    let expected: Vec<String> = lines.map(|fields| date(fields[place])).collect();
    let sql = format!(
        "SELECT transaction_date FROM \
         read_csv('{}', dateformat = {{'TRANSACTION_DATE': '%m%d%Y'}})",
        source.display()
    );
    let place = Place::new();
    let dates = rows(&in_order(&place), &sql).await.unwrap();
    assert_eq!(dates.len(), expected.len());
    assert!(dates == expected);
}

/// A number without zeros at the end of its fraction.
fn without_zeros(number: &str) -> &str {
    match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => number,
    }
}

/// Checks that rows of a query have the fields of a reference answer, numbers to the last digit.
#[track_caller]
fn assert_exact(what: &str, actual: &[String], expected: &[Vec<String>]) {
    let exact = |field: &str| match field {
        "NULL" => String::new(),
        field => without_zeros(field).to_string(),
    };
    let actual: Vec<Vec<String>> =
        actual.iter().map(|row| row.split('|').map(exact).collect()).collect();
    let expected: Vec<Vec<String>> =
        expected.iter().map(|row| row.iter().map(|field| exact(field)).collect()).collect();
    assert_eq!(actual, expected, "{what}");
}

#[tokio::test]
async fn arcos_sums_of_decimals_are_exact() {
    let Some(data) = real_data() else { return };
    let sql = format!(
        "SELECT right(transaction_date, 4), buyer_state, buyer_county, count(*), \
         sum(calc_base_wt_in_gm * mme_conversion_factor), sum(dosage_unit), max(dosage_unit) \
         FROM read_csv('{}', types = {{'CALC_BASE_WT_IN_GM': 'DECIMAL(22, 17)', \
         'MME_Conversion_Factor': 'DECIMAL(4, 2)', 'DOSAGE_UNIT': 'DECIMAL(12, 1)'}}) \
         GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
        data.join(ARCOS).display()
    );
    let place = Place::new();
    let actual = rows(&in_order(&place), &sql).await.unwrap();
    let expected = cells(&text_of(&data.join("golden/arcos_mingo-54059.csv")));
    assert_eq!(expected.len(), 7);
    assert_exact("by county", &actual, &expected);
}

// Trips.

#[tokio::test]
async fn taxi_sums_of_decimals_are_exact() {
    let Some(data) = real_data() else { return };
    let place = Place::new();
    let session = in_order(&place);
    let old = "taxi/yellow_2015_2016_19col";
    for (golden, source) in [
        (
            "bhuvankumar007_yellow_tripdata_2015-01",
            format!("{old}/bhuvankumar007/yellow_tripdata_2015-01.csv"),
        ),
        ("bhuvankumar007_all4", format!("{old}/bhuvankumar007/*.csv")),
        ("nick2002b_yellow_tripdata_2016-03", format!("{old}/nick2002b/*.csv")),
        ("joshiaksh_uber_data", format!("{old}/joshiaksh/uber_data.csv")),
        ("gx_2019", "taxi/yellow_2019_18col/*_2019-*.csv".to_string()),
    ] {
        let sql = format!(
            "SELECT payment_type, count(*), sum(total_amount), sum(trip_distance) FROM \
             read_csv('{}', types = {{'total_amount': 'DECIMAL(12, 2)', \
             'trip_distance': 'DECIMAL(12, 2)'}}) GROUP BY 1 ORDER BY 1 NULLS FIRST",
            data.join(source).display()
        );
        let actual = rows(&session, &sql).await.unwrap();
        let mut expected = cells(&text_of(&data.join(format!("golden/taxi_{golden}.csv"))));
        expected.iter_mut().for_each(|row| row.truncate(4));
        assert_exact(golden, &actual, &expected);
    }
}

#[tokio::test]
async fn trips_have_the_values_of_their_text() {
    let Some(data) = real_data() else { return };
    let place = Place::new();
    let session = in_order(&place);
    // Lines that end with CRLF, all but the last of the first two files.
    let mixed = ["01", "02"].map(|month| {
        let path =
            data.join(format!("taxi/yellow_2019_18col/yellow_tripdata_sample_2019-{month}.csv"));
        let text = text_of(&path);
        assert_eq!(text.matches("\r\n").count(), 10_000, "{month}");
        assert!(text.ends_with('\n') && !text.ends_with("\r\n"), "{month}");
        path
    });
    let mut paths = real_files(&data.join("taxi/yellow_2019_18col_gedemo"));
    paths.extend(mixed);
    // Coordinates of 18 digits.
    paths.extend(real_files(&data.join("taxi/yellow_2015_2016_19col/bhuvankumar007")));
    for path in &paths {
        let what = path.display().to_string();
        let text = read_text(&session, path, CsvOptions::new()).await.unwrap();
        assert_fields(&what, &text, split_lines(&text_of(path), ',').skip(1), "");
        let typed = read(&session, path, CsvOptions::new()).await.unwrap();
        assert_values(&what, &typed, &text);
    }
    assert_eq!(paths.len(), 8);
}

#[tokio::test]
async fn a_column_without_a_name_is_a_column() {
    let Some(data) = real_data() else { return };
    let path = data.join("taxi/yellow_2015_2016_19col/nick2002b/yellow_tripdata_2016-03.csv");
    let text = text_of(&path);
    assert!(text.starts_with(",VendorID,"));
    let place = Place::new();
    let session = in_order(&place);
    let table = read_text(&session, &path, CsvOptions::new()).await.unwrap();
    assert_eq!(names(&table)[..2], ["column_1", "VendorID"]);
    assert_fields("index", &table, split_lines(&text, ',').skip(1), "");
    let sql = format!("SELECT count(DISTINCT column_1) FROM '{}'", path.display());
    assert_eq!(rows(&session, &sql).await.unwrap(), ["24422"]);
}

#[tokio::test]
async fn dates_that_could_be_read_two_ways_are_text_until_their_format_is_named() {
    let Some(data) = real_data() else { return };
    // March 1 and 10, or January 3 and October 3.
    let path = data.join("taxi/yellow_2015_2016_19col/joshiaksh/uber_data.csv");
    let place = Place::new();
    let session = in_order(&place);
    let sql = format!("SELECT tpep_pickup_datetime FROM '{}' LIMIT 1", path.display());
    assert_eq!(rows(&session, &sql).await.unwrap(), ["3/1/16 0:00"]);
    let sql = format!(
        "SELECT min(tpep_pickup_datetime), max(tpep_dropoff_datetime), count(*) FROM \
         read_csv('{}', timestampformat = '%m/%d/%y %H:%M')",
        path.display()
    );
    let expected = ["2016-03-01T00:00:00|2016-03-11T08:00:00|10999"];
    assert_eq!(rows(&session, &sql).await.unwrap(), expected);
}

/// Files of trips that were cut after 1,024 bytes.
const STUBS: &str = "taxi/tlc_1kb_stubs";

/// Fields of the widest row but the last one, which may be cut.
fn width(rows: &[Vec<&str>]) -> usize {
    rows[..rows.len() - 1].iter().map(Vec::len).max().unwrap()
}

#[tokio::test]
async fn cut_files_lose_no_field_and_say_which_row_is_cut() {
    let Some(data) = real_data() else { return };
    let place = Place::new();
    let session = in_order(&place);
    let (mut whole, mut short, mut open, mut with_blank_line) = (0, 0, 0, 0);
    for path in real_files(&data.join(STUBS)) {
        let what = file_name(&path);
        let text = text_of(&path);
        let lines: Vec<_> = split_lines(&text, ',').collect();
        let (width, last) = (width(&lines), lines.last().unwrap().len());
        let last_line = text.lines().count();
        if text.lines().nth(1).unwrap().trim().is_empty() {
            with_blank_line += 1;
        }
        let result = read_text(&session, &path, CsvOptions::new()).await;
        let table = if text.matches('"').count() % 2 == 1 {
            open += 1;
            let fault = format!("line {last_line} begins a quoted field that is never closed");
            assert_refused(what, result, &fault);
            continue;
        } else if last < width {
            short += 1;
            let fields = if last == 1 { "field" } else { "fields" };
            let fault = format!("line {last_line} has {last} {fields}, expected {width}");
            assert_refused(what, result, &fault);
            read_text(&session, &path, CsvOptions::new().null_padding(true)).await
        } else {
            whole += 1;
            result
        };
        let table = table.unwrap_or_else(|err| panic!("{what}: {err}"));
        assert_eq!(table.num_columns(), width, "{what}");
        assert_fields(what, &table, lines[1..].iter().cloned(), "");
        // Names have no blanks around them, and the columns behind the last one have numbers.
        let given = lines[0].iter().map(|name| name.trim().to_string());
        let numbered = (lines[0].len() + 1..=width).map(|number| format!("column_{number}"));
        assert_eq!(names(&table), given.chain(numbered).collect::<Vec<_>>(), "{what}");
    }
    assert_eq!((whole, short, open), (20, 269, 14));
    // Most years of the yellow cabs, and the first ones of the green.
    assert_eq!(with_blank_line, 149);
}

#[tokio::test]
async fn names_in_the_header_of_some_years() {
    let Some(data) = real_data() else { return };
    let place = Place::new();
    let session = in_order(&place);
    for (file, written, column_count, columns) in [
        // A blank before each name.
        ("yellow_tripdata_2014-01", "vendor_id, pickup_datetime,", 18, "pickup_datetime"),
        ("yellow_tripdata_2014-12", "vendor_id, pickup_datetime,", 18, "total_amount"),
        // A blank behind the last, and two more fields than names.
        ("green_tripdata_2013-08", ",Trip_type \n", 22, "trip_type, column_21, column_22"),
        // Two more fields than names.
        ("green_tripdata_2016-07", ",trip_type\n", 21, "trip_type, column_20, column_21"),
        ("yellow_tripdata_2016-07", ",total_amount\r\n", 19, "total_amount, column_18, column_19"),
        ("yellow_tripdata_2016-12", ",total_amount\r\n", 19, "total_amount, column_18, column_19"),
    ] {
        let path = data.join(STUBS).join(format!("{file}.csv"));
        assert!(text_of(&path).contains(written), "{file}");
        let options = CsvOptions::new().ignore_errors(true);
        let table = read(&session, &path, options).await.unwrap();
        assert_eq!(table.num_columns(), column_count, "{file}");
        let sql =
            format!("SELECT {columns} FROM read_csv('{}', ignore_errors = true)", path.display());
        assert_eq!(rows(&session, &sql).await.unwrap().len(), table.num_rows(), "{file}");
    }
    let path = data.join(STUBS).join("yellow_tripdata_2016-07.csv");
    let sql = format!(
        "SELECT total_amount, column_18, column_19 FROM read_csv('{}', ignore_errors = true) \
         LIMIT 2",
        path.display()
    );
    assert_eq!(rows(&session, &sql).await.unwrap(), ["9.0|NULL|NULL", "8.16|NULL|NULL"]);
}

/// Values that are not empty in the columns of all files that match by name, whatever its case.
/// Rows that are cut are counted `with_cut`, or left out.
fn given_by_name(paths: &[PathBuf], with_cut: bool) -> (usize, BTreeMap<String, usize>) {
    let (mut row_count, mut given) = (0, BTreeMap::new());
    for path in paths {
        let text = text_of(path);
        let lines: Vec<_> = split_lines(&text, ',').collect();
        let width = width(&lines);
        let name = |place: usize| match lines[0].get(place) {
            Some(name) => name.trim().to_lowercase(),
            None => format!("column_{}", place + 1),
        };
        for place in 0..width {
            given.entry(name(place)).or_insert(0);
        }
        for fields in lines[1..].iter().filter(|fields| with_cut || fields.len() == width) {
            row_count += 1;
            for (place, _) in fields.iter().enumerate().filter(|(_, field)| !field.is_empty()) {
                *given.entry(name(place)).or_default() += 1;
            }
        }
    }
    (row_count, given)
}

#[tokio::test]
async fn twelve_years_of_columns_are_united_by_name() {
    let Some(data) = real_data() else { return };
    let place = Place::new();
    let session = in_order(&place);
    let all = data.join(STUBS).join("yellow_*.csv");
    let mut paths = real_files(&data.join(STUBS));
    paths.retain(|path| file_name(path).starts_with("yellow_"));
    assert_eq!(paths.len(), 138);

    let options = CsvOptions::new().union_by_name(true);
    for (options, with_cut, expected_rows) in [
        (options.clone().ignore_errors(true), false, 753),
        (options.clone().null_padding(true), true, 877),
    ] {
        let (row_count, expected) = given_by_name(&paths, with_cut);
        assert_eq!((row_count, expected.len()), (expected_rows, 41));
        for options in [options.clone(), options.all_text(true)] {
            let rejected = session.rejected_rows();
            let table = read(&session, &all, options).await.unwrap();
            assert_eq!(table.num_rows(), row_count);
            let given = names(&table).into_iter().map(|name| {
                let count = count_given(&table, &name);
                (name.to_lowercase(), count)
            });
            assert_eq!(given.collect::<BTreeMap<_, _>>(), expected);
            let cut = if with_cut { 0 } else { 124 };
            assert_eq!(session.rejected_rows() - rejected, cut);
        }
    }
    // A row that is cut is an error as ever, whichever file is read first.
    assert_refused("all", read(&session, &all, options).await, ", expected 1");
    // Each file is there.
    let sql = format!(
        "SELECT count(DISTINCT filename), sum(trip_distance) FROM read_csv('{}', \
         union_by_name = true, ignore_errors = true, filename = true, \
         types = {{'trip_distance': 'DECIMAL(20, 17)'}})",
        all.display()
    );
    assert_eq!(rows(&session, &sql).await.unwrap(), ["138|2210.61999999999999603"]);
}
