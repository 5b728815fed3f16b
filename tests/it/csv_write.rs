//! CSV files that are written and read back: every type, nasty texts, any options.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, LargeStringArray,
    RecordBatch, StringArray, StringViewArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt8Array,
    UInt16Array, UInt32Array, UInt64Array,
};
use arrow::compute::concat_batches;
use arrow::datatypes::i256;
use brimful::{CsvOptions, Knobs, Session, col};

use crate::support::{Place, Random, rows, run_all, session, session_with, write_table};

/// The options of a file, as they are written and as it is read.
#[derive(Debug)]
struct Dialect {
    delimiter: u8,
    quote: Option<u8>,
    escape: Option<u8>,
    comment: Option<u8>,
    header: bool,
    null_text: &'static str,
    quotes: &'static str,
    forced: bool,
    decimal_comma: bool,
    date_format: Option<&'static str>,
    timestamp_format: Option<&'static str>,
    newline: &'static str,
    ending: &'static str,
}

impl Dialect {
    fn new(random: &mut Random) -> Dialect {
        let delimiter = *random.one_of(b",,,;\t|: -.1x");
        let quote = *random.one_of(&[Some(b'"'), Some(b'"'), Some(b'\''), Some(b'`'), None]);
        let escape = *random.one_of(&[None, None, Some(b'\\'), Some(b'^')]);
        let comment = *random.one_of(&[None, None, Some(b'#'), Some(b'!')]);
        let null_text = *random.one_of(&["", "", "NULL", "NA", r"\N", "?"]);
        let quotes = match quote {
            Some(_) => *random.one_of(&["necessary", "necessary", "non_numeric", "always"]),
            None => *random.one_of(&["necessary", "never"]),
        };
        Dialect {
            delimiter,
            quote,
            escape: escape.filter(|_| quote.is_some()),
            comment,
            header: random.below(4) > 0,
            null_text,
            quotes,
            forced: quote.is_some() && random.below(6) == 0,
            decimal_comma: random.below(4) == 0,
            date_format: *random.one_of(&[
                None,
                None,
                Some("%d.%m.%Y"),
                Some("%Y%m%d"),
                Some("%b %e, %Y"),
                Some("%-m/%-d/%Y"),
                Some("%Y-%j"),
            ]),
            timestamp_format: *random.one_of(&[
                None,
                None,
                Some("%d.%m.%Y %H:%M:%S.%f"),
                Some("%FT%T.%f%z"),
                Some("%-m/%-d/%Y %I:%M:%S.%f %p"),
                Some("%D %R:%S.%f %Z"),
            ]),
            newline: random.one_of::<&str>(&["\n", "\n", "\r\n", "\r"]),
            ending: random
                .one_of::<&str>(&["csv", "csv", "csv", "csv.gz", "csv.zst", "csv.bz2", "csv.xz"]),
        }
    }

    /// The options of a `COPY`.
    fn sql(&self) -> String {
        let byte = |byte: Option<u8>| byte.map(char::from).map(String::from).unwrap_or_default();
        let mut options = vec![
            ("delimiter", byte(Some(self.delimiter))),
            ("quote", byte(self.quote)),
            ("escape", byte(self.escape)),
            ("comment", byte(self.comment)),
            ("header", self.header.to_string()),
            ("nullstr", self.null_text.to_string()),
            ("quote_style", self.quotes.to_string()),
            ("newline", self.newline.to_string()),
        ];
        if self.decimal_comma {
            options.push(("decimal_separator", ",".to_string()));
        }
        if self.forced {
            options.push(("force_quote", "['id']".to_string()));
        }
        if let Some(format) = self.date_format {
            options.push(("dateformat", format.to_string()));
        }
        if let Some(format) = self.timestamp_format {
            options.push(("timestampformat", format.to_string()));
        }
        let options = options.iter().map(|(name, value)| {
            let value = value.replace('\'', "''");
            format!("{name} '{value}'")
        });
        options.collect::<Vec<_>>().join(", ")
    }

    fn read(&self, table: &RecordBatch) -> CsvOptions {
        let mut options = CsvOptions::new()
            .schema(table.schema())
            .delimiter(self.delimiter)
            .quote(self.quote)
            .escape(self.escape)
            .comment(self.comment)
            .header(self.header)
            .skip_lines(0)
            .decimal_separator(if self.decimal_comma { b',' } else { b'.' })
            .encoding("utf-8")
            .unwrap();
        if !self.null_text.is_empty() {
            options = options.null_words([self.null_text]);
        }
        if let Some(format) = self.date_format {
            options = options.date_format(format);
        }
        if let Some(format) = self.timestamp_format {
            options = options.timestamp_format(format);
        }
        options
    }

    /// Whether a text of this kind cannot be told apart from others without quotes.
    fn is_bare(&self) -> bool {
        self.quote.is_none()
    }

    /// Whether the parts go together.
    fn is_valid(&self) -> bool {
        let marks = [Some(self.delimiter), self.quote, self.escape, self.comment];
        let distinct = (0..marks.len())
            .all(|index| marks[index].is_none() || !marks[index + 1..].contains(&marks[index]));
        // Without quotes, no value may hold the delimiter.
        let tame = !self.is_bare() || matches!(self.delimiter, b';' | b'\t' | b'|');
        distinct && tame && !self.null_text.bytes().any(|byte| marks.contains(&Some(byte)))
    }
}

/// What texts are made of.
const PARTS: [&str; 30] = [
    "",
    " ",
    ",",
    ";",
    "\t",
    "|",
    ":",
    "\"",
    "\"\"",
    "'",
    "`",
    "\\",
    "^",
    "\n",
    "\r",
    "\r\n",
    "#",
    "!",
    "NULL",
    "NA",
    "a",
    "é",
    "日本",
    "\u{feff}",
    "\0",
    "0",
    "-1.5",
    "true",
    "x, \"y\"\n",
    "longer than what fits into a view",
];

fn text(random: &mut Random, dialect: &Dialect) -> String {
    if dialect.is_bare() {
        let plain = ["a", "b c", "é", "0", "longer than what fits into a view"];
        return (*random.one_of(&plain)).to_string();
    }
    let parts = random.below(5);
    let mut text = String::new();
    for _ in 0..parts {
        text.push_str(random.one_of::<&str>(&PARTS));
    }
    text
}

/// Any number, often a special one.
fn number(random: &mut Random) -> i64 {
    const SPECIAL: [i64; 8] = [0, 1, -1, i64::MIN, i64::MAX, 1 << 31, 1 << 53, 99];
    match random.below(3) {
        0 => *random.one_of(&SPECIAL),
        1 => i64::from(random.below(2_000)) - 1_000,
        _ => ((i64::from(random.below(u32::MAX)) << 31) * (i64::from(random.below(3)) - 1)) | 5,
    }
}

fn float(random: &mut Random) -> f64 {
    const SPECIAL: [f64; 8] =
        [0.0, -0.0, f64::NAN, f64::INFINITY, -f64::INFINITY, 1e300, 1e-7, 0.1];
    match random.below(2) {
        0 => *random.one_of(&SPECIAL),
        _ => number(random) as f64 / 1_000.0,
    }
}

/// Microseconds of the years 1970 to 2068, which have a meaning in every format.
fn micros(random: &mut Random) -> i64 {
    number(random).rem_euclid(3_000_000_000_000_000)
}

/// A random column; `None` where a value is NULL one time in six.
fn column(random: &mut Random, rows: usize, dialect: &Dialect) -> ArrayRef {
    fn draw<T>(
        random: &mut Random,
        rows: usize,
        mut value: impl FnMut(&mut Random) -> T,
    ) -> Vec<Option<T>> {
        (0..rows).map(|_| (random.below(6) > 0).then(|| value(random))).collect()
    }
    macro_rules! numbers {
        ($array:ty, $native:ty) => {
            Arc::new(<$array>::from(draw(random, rows, |random| number(random) as $native)))
        };
    }
    let day = |random: &mut Random| (number(random).rem_euclid(2_900_000) - 700_000) as i32;
    match random.below(26) {
        0 => Arc::new(BooleanArray::from(draw(random, rows, |random| random.below(2) == 0))),
        1 => numbers!(Int8Array, i8),
        2 => numbers!(Int16Array, i16),
        3 => numbers!(Int32Array, i32),
        4 => numbers!(Int64Array, i64),
        5 => numbers!(UInt8Array, u8),
        6 => numbers!(UInt16Array, u16),
        7 => numbers!(UInt32Array, u32),
        8 => numbers!(UInt64Array, u64),
        9 => Arc::new(Float32Array::from(draw(random, rows, |random| float(random) as f32))),
        10 => Arc::new(Float64Array::from(draw(random, rows, float))),
        11 => {
            let values = draw(random, rows, |random| i128::from(number(random) / 100_000));
            Arc::new(Decimal128Array::from(values).with_precision_and_scale(15, 2).unwrap())
        }
        12 => {
            let values = draw(random, rows, |random| i128::from(number(random)) << 60);
            Arc::new(Decimal128Array::from(values).with_precision_and_scale(38, 10).unwrap())
        }
        13 => {
            let values = draw(random, rows, |random| i256::from_i128(i128::from(number(random))));
            Arc::new(Decimal256Array::from(values).with_precision_and_scale(50, 20).unwrap())
        }
        14 | 15 => Arc::new(Date32Array::from(draw(random, rows, day))),
        16 => Arc::new(Time64MicrosecondArray::from(draw(random, rows, |random| {
            micros(random) % 86_400_000_000
        }))),
        17 => Arc::new(TimestampSecondArray::from(draw(random, rows, |random| {
            micros(random) / 1_000_000
        }))),
        18 => Arc::new(TimestampMillisecondArray::from(draw(random, rows, |random| {
            micros(random) / 1_000
        }))),
        19 => Arc::new(TimestampMicrosecondArray::from(draw(random, rows, micros))),
        20 => Arc::new(TimestampNanosecondArray::from(draw(random, rows, |random| {
            micros(random) * 1_000
        }))),
        21 => {
            let values = TimestampMicrosecondArray::from(draw(random, rows, micros));
            Arc::new(values.with_timezone("+00:00"))
        }
        24 => {
            let bytes = draw(random, rows, |random| text(random, dialect).into_bytes());
            Arc::new(bytes.into_iter().collect::<BinaryArray>())
        }
        22 => Arc::new(StringArray::from(draw(random, rows, |random| text(random, dialect)))),
        23 => Arc::new(LargeStringArray::from(draw(random, rows, |random| text(random, dialect)))),
        _ => Arc::new(StringViewArray::from(draw(random, rows, |random| text(random, dialect)))),
    }
}

/// A table of some random columns and, among them, the number of the row as `id`.
fn table(random: &mut Random, dialect: &Dialect) -> RecordBatch {
    let rows = match random.below(8) {
        0 => 1,
        1 => 2_000,
        _ => 1 + random.below(150) as usize,
    };
    let width = 2 + random.below(6) as usize;
    let place = random.below(width as u32) as usize;
    let columns = (0..width).map(|index| {
        let (name, column) = if index == place {
            let ids = Int64Array::from_iter_values(0..rows as i64);
            ("id".to_string(), Arc::new(ids) as ArrayRef)
        } else {
            let name = if dialect.is_bare() { String::new() } else { text(random, dialect) };
            (format!("{name}c{index}"), column(random, rows, dialect))
        };
        (name, column, true)
    });
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// Copies the table `t.arrow` to a file.
async fn copy(session: &Session, place: &Place, file: &str, options: &str) -> brimful::Result<()> {
    let (from, to) = (place.path("t.arrow"), place.path(file));
    let sql = format!(
        "COPY (SELECT * FROM '{}' ORDER BY id) TO '{}' STORED AS CSV OPTIONS ({options})",
        from.display(),
        to.display()
    );
    rows(session, &sql).await.map(drop)
}

/// The rows of a CSV file in the order of their numbers.
async fn read(session: &Session, place: &Place, file: &str, options: CsvOptions) -> RecordBatch {
    let frame = session.read_csv(place.path(file), options).await.unwrap();
    let batches = frame.sort([col("id").sort(true, false)]).unwrap().collect().await.unwrap();
    concat_batches(&batches[0].schema(), &batches).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn csv_round_trip() {
    let place = Place::new();
    let session =
        session_with(&place, Knobs::default(), |options| options.threads(2).batch_rows(64));
    let mut random = Random::new(20);
    let mut tables = 0;
    while tables < 300 {
        let dialect = Dialect::new(&mut random);
        if !dialect.is_valid() {
            continue;
        }
        tables += 1;
        let table = table(&mut random, &dialect);
        write_table(&place, "t", &table);
        let file = format!("t.{}", dialect.ending);
        let what = format!("{tables}: {dialect:?}");
        copy(&session, &place, &file, &dialect.sql()).await.expect(&what);
        let back = read(&session, &place, &file, dialect.read(&table)).await;
        assert_eq!(back.num_rows(), table.num_rows(), "{what}");
        for (index, field) in table.schema().fields().iter().enumerate() {
            let mut differences = String::new();
            let (written, back) = (table.column(index), back.column(index));
            for row in 0..table.num_rows() {
                let (written, back) = (written.slice(row, 1), back.slice(row, 1));
                if *written != *back && differences.len() < 1_000 {
                    writeln!(differences, "row {row}: {back:?} for {written:?}").unwrap();
                }
            }
            assert!(differences.is_empty(), "{what}\ncolumn {index} {field:?}\n{differences}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_that_would_need_quotes() {
    let place = Place::new();
    let session = session(&place, 2, Knobs::default());
    place.write("out.csv", "old");
    let sql = format!(
        "COPY (SELECT value AS id, CASE value WHEN 90000 THEN 'a,b' ELSE 'a' END AS word \
         FROM generate_series(1, 100000)) TO '{}' OPTIONS (quote_style 'never')",
        place.path("out.csv").display()
    );
    let error = rows(&session, &sql).await.unwrap_err().to_string();
    assert_eq!(error, "the value 'a,b' of column \"word\" cannot be written without quotes");
    assert_eq!(place.read("out.csv"), "old");
    let unknown = sql.replace("quote_style 'never'", "force_quote 'wrod'");
    let error = rows(&session, &unknown).await.unwrap_err();
    assert_eq!(error.to_string(), "force_quote: no column \"wrod\"");
    assert_eq!(error.hint(), Some("did you mean \"word\"?"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inserted_rows_are_written_like_the_others() {
    let place = Place::new();
    let session = session(&place, 2, Knobs::default());
    std::fs::create_dir_all(place.path("days/p=1")).unwrap();
    let first = "first line\nsecond line\nday|word|x\n31.12.2015|'a|b'|1,5\n30.11.2015|-|-\n";
    place.write("days/p=1/first.csv", first);
    let sql = format!(
        "CREATE EXTERNAL TABLE days (day DATE, word VARCHAR, x DOUBLE, p INT) STORED AS CSV \
         PARTITIONED BY (p) LOCATION '{}/' OPTIONS (delim '|', quote '''', skip 2, header true, \
         nullstr '-', dateformat '%d.%m.%Y', decimal_separator ',', quote_style 'non_numeric'); \
         INSERT INTO days VALUES (DATE '2020-02-29', 'it''s', 0.25, 1), (NULL, NULL, NULL, 1)",
        place.path("days").display()
    );
    run_all(&session, &sql).await.unwrap();
    let sql = "SELECT day, word, x FROM days ORDER BY day NULLS LAST, word NULLS FIRST";
    let expected =
        ["2015-11-30|NULL|NULL", "2015-12-31|a|b|1.5", "2020-02-29|it's|0.25", "NULL|NULL|NULL"];
    assert_eq!(rows(&session, sql).await.unwrap(), expected);
    let mut texts: Vec<String> = std::fs::read_dir(place.path("days/p=1"))
        .unwrap()
        .map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap())
        .filter(|text| text != first)
        .collect();
    assert_eq!(texts.pop().unwrap(), "\n\n'day'|'word'|'x'\n'29.02.2020'|'it''s'|0,25\n||\n");
    assert!(texts.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_a_copy() {
    let place = Place::new();
    let session = session(&place, 2, Knobs::default());
    for (name, query, options, text) in [
        ("empty.csv", "SELECT 1 AS a, 'x' AS b WHERE false", "", "a,b\n"),
        ("bare.csv", "SELECT 1 AS a WHERE false", "header false", ""),
        ("null.csv", "SELECT CAST(NULL AS INT) AS a", "", "a\n\"\"\n"),
        ("null.tsv", "SELECT NULL AS a, '' AS b, ' ' AS c", "", "a\tb\tc\n\t\"\"\t\" \"\n"),
        (
            "all.csv",
            "SELECT 1 AS a, 'x \"y\"' AS b, [1, 2] AS c",
            "force_quote '*', escape '\\', newline '\\r\\n'",
            "a,b,c\r\n\"1\",\"x \\\"y\\\"\",\"[1,2]\"\r\n",
        ),
    ] {
        let path = place.path(name);
        let sql = format!("COPY ({query}) TO '{}' OPTIONS ({options})", path.display());
        let sql = if options.is_empty() { sql.replace(" OPTIONS ()", "") } else { sql };
        rows(&session, &sql).await.expect(name);
        assert_eq!(place.read(name), text, "{name}");
    }
    let sql = format!(
        "COPY (SELECT 1 AS n, 'x' AS word) TO '{}/' STORED AS CSV PARTITIONED BY (word) \
         OPTIONS (execution.keep_partition_by_columns true, force_quote 'word')",
        place.path("kept").display()
    );
    rows(&session, &sql).await.unwrap();
    let read = format!("SELECT n, word FROM '{}/word=x/*.csv'", place.path("kept").display());
    assert_eq!(rows(&session, &read).await.unwrap(), ["1|x"]);
}
