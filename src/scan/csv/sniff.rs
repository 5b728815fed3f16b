//! Finds the dialect of a file and the types of its columns from samples.
//!
//! The front of the file settles delimiter, header and whether quoted fields hold newlines. Types
//! come from the front and from pieces spread over the whole file, so that a column which turns
//! from numbers to text in the middle is seen as text. A type is only taken when every sampled
//! value has it; numbers with leading zeros, which lose them as numbers, stay text.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use csv_core::ReadRecordResult;
use datafusion::datasource::file_format::file_compression_type::FileCompressionType;

use super::bytes::Sample;
use super::convert::{parse_bool, parse_date, parse_f64, parse_i64, parse_timestamp_us};
use super::dialect::Dialect;
use super::options::CsvOptions;
use crate::error::{Error, Result};

/// Delimiters that are tried, in the order of preference.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
/// Records that decide on the delimiter.
const DELIMITER_RECORDS: usize = 100;

/// Settles the dialect and the schema of a table from samples of (some of) its files.
///
/// # Errors
/// `Input` if the first file is empty or not UTF-8, or if the files have different columns.
pub(crate) fn sniff(
    samples: &[(String, Sample)],
    options: &CsvOptions,
    compression: FileCompressionType,
) -> Result<(Dialect, SchemaRef)> {
    let (path, first) =
        samples.first().ok_or_else(|| Error::internal("no sample of a CSV file"))?;
    check_encoding(path, &first.head)?;
    let mut dialect = Dialect {
        quote: options.quote.unwrap_or(b'"'),
        escape: options.escape,
        comment: options.comment,
        compression,
        ..Default::default()
    };
    if let Some(words) = &options.null_words {
        dialect.null_words = words.clone();
        dialect.null_words_in_text = true;
    }
    dialect.delimiter = options.delimiter.unwrap_or_else(|| find_delimiter(first, &dialect));

    let front = Split::new(&first.head, &dialect, usize::MAX, first.whole);
    let Some(first_record) = front.records().next() else {
        return Err(Error::input(format!("\"{path}\" is empty: it has no header and no rows")));
    };
    let first_record: Vec<&[u8]> = first_record.collect();
    dialect.header = options
        .header
        .unwrap_or_else(|| !first_record.iter().any(|field| Kind::of(field, &[]).is_typed()));
    let lone_cr = first.head.contains(&b'\r') && !first.head.contains(&b'\n');
    dialect.splittable = !compression.is_compressed()
        && !lone_cr
        && !options.newlines_in_values.unwrap_or(front.data.contains(&b'\n'));
    let record_count = front.records().count().max(1);
    dialect.mean_record_bytes = first.head.len() as f64 / record_count as f64;

    if let Some(schema) = &options.schema {
        return Ok((dialect, Arc::clone(schema)));
    }
    dialect.checks_names = true;
    let names = if dialect.header {
        column_names(&first_record)
    } else {
        (1..=first_record.len()).map(|number| format!("column_{number}")).collect()
    };
    let mut kinds = vec![Kind::Null; names.len()];
    for (other, sample) in samples {
        if other != path {
            check_encoding(other, &sample.head)?;
        }
        let split = Split::new(&sample.head, &dialect, usize::MAX, sample.whole);
        let mut records = split.records();
        if dialect.header
            && let Some(header) = records.next()
        {
            same_names(path, &names, other, &column_names(&header.collect::<Vec<_>>()))?;
        }
        widen(&mut kinds, records, &dialect);
        for piece in &sample.pieces {
            // The first line is the rest of a record and the last one the beginning of another.
            let Some(start) = memchr::memchr(b'\n', piece) else { continue };
            let split = Split::new(&piece[start + 1..], &dialect, usize::MAX, false);
            widen(&mut kinds, split.records(), &dialect);
        }
    }
    let fields: Vec<Field> = names
        .into_iter()
        .zip(kinds)
        .map(|(name, kind)| Field::new(name, kind.data_type(), true))
        .collect();
    Ok((dialect, Arc::new(Schema::new(fields))))
}

/// Widens the column types by the values of these records. Records of another width are left to
/// the scan, which reports them; here they may be no more than a piece cut in the wrong place.
fn widen<'a, R, F>(kinds: &mut [Kind], records: R, dialect: &Dialect)
where
    R: Iterator<Item = F>,
    F: ExactSizeIterator<Item = &'a [u8]>,
{
    for record in records {
        if record.len() == kinds.len() {
            for (kind, field) in kinds.iter_mut().zip(record) {
                *kind = kind.or(Kind::of(field, &dialect.null_words));
            }
        }
    }
}

fn check_encoding(path: &str, head: &[u8]) -> Result<()> {
    let utf16 = head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]);
    if !utf16 {
        return Ok(());
    }
    Err(Error::input(format!("\"{path}\" is UTF-16; Brimful reads UTF-8"))
        .with_hint(format!("convert it: iconv -f UTF-16 -t UTF-8 '{path}' > utf8.csv")))
}

/// The delimiter that splits most records into the same number of fields, more than one.
fn find_delimiter(sample: &Sample, dialect: &Dialect) -> u8 {
    let mut best = (0.0, DELIMITERS[0]);
    for delimiter in DELIMITERS {
        let tried = Dialect { delimiter, ..dialect.clone() };
        let split = Split::new(&sample.head, &tried, DELIMITER_RECORDS, sample.whole);
        let mut counts: HashMap<usize, usize> = HashMap::new();
        for record in split.records() {
            *counts.entry(record.len()).or_default() += 1;
        }
        let total: usize = counts.values().sum();
        let common = counts.into_iter().filter(|(width, _)| *width > 1).max_by_key(|(_, n)| *n);
        if let Some((width, count)) = common {
            // Agreement counts first; width only breaks ties (`1,5;2,5` is two fields, not three).
            let score = count as f64 / total as f64 + (width as f64).ln() * 1e-3;
            if score > best.0 {
                best = (score, delimiter);
            }
        }
    }
    best.1
}

/// Names as the header has them, without surrounding blanks; made up where empty, numbered where
/// they repeat.
pub(crate) fn column_names(header: &[&[u8]]) -> Vec<String> {
    let mut taken: HashSet<String> = HashSet::new();
    header
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let name = String::from_utf8_lossy(field).trim().to_string();
            let name = if name.is_empty() { format!("column_{}", index + 1) } else { name };
            let mut unique = name.clone();
            let mut number = 1;
            while !taken.insert(unique.clone()) {
                unique = format!("{name}_{number}");
                number += 1;
            }
            unique
        })
        .collect()
}

/// Checks that two files of a table have the same columns, whatever the case of their names.
///
/// # Errors
/// `Input` that names the first column that differs.
pub(crate) fn same_names(
    path: &str,
    names: &[String],
    other: &str,
    others: &[String],
) -> Result<()> {
    let hint = "read them one at a time, or create a table with its columns for each layout";
    if names.len() != others.len() {
        return Err(Error::input(format!(
            "\"{other}\" has {} columns, but \"{path}\" has {}",
            others.len(),
            names.len()
        ))
        .with_hint(hint));
    }
    match names.iter().zip(others).position(|(a, b)| !a.eq_ignore_ascii_case(b)) {
        None => Ok(()),
        Some(index) => Err(Error::input(format!(
            "column {} is called \"{}\" in \"{other}\", but \"{}\" in \"{path}\"",
            index + 1,
            others[index],
            names[index]
        ))
        .with_hint(hint)),
    }
}

/// Records of a sample, of any width.
struct Split {
    data: Vec<u8>,
    /// Ends of fields in `data`.
    ends: Vec<usize>,
    /// Ends of records in `ends`.
    records: Vec<usize>,
}

impl Split {
    /// Splits `bytes`, which begin at a record. Unless they are `whole`, the last record is cut
    /// and left out.
    fn new(bytes: &[u8], dialect: &Dialect, limit: usize, whole: bool) -> Self {
        let mut reader = dialect.reader();
        let (mut data, mut ends) = (vec![0; bytes.len() + 8], vec![0; bytes.len() + 8]);
        let mut split = Split { data: Vec::new(), ends: Vec::new(), records: Vec::new() };
        let (mut used, mut data_len, mut ends_len) = (0, 0, 0);
        while split.records.len() < limit {
            let start = (data_len, ends_len);
            let (result, read, written, ended) =
                reader.read_record(&bytes[used..], &mut data[data_len..], &mut ends[ends_len..]);
            used += read;
            data_len += written;
            ends_len += ended;
            match result {
                ReadRecordResult::Record => {
                    for end in &mut ends[start.1..ends_len] {
                        *end += start.0;
                    }
                    split.records.push(ends_len);
                }
                ReadRecordResult::InputEmpty if whole => {
                    // The end of the file ends its last record, which may have begun.
                    let (result, _, written, ended) =
                        reader.read_record(&[], &mut data[data_len..], &mut ends[ends_len..]);
                    if matches!(result, ReadRecordResult::Record) {
                        data_len += written;
                        ends_len += ended;
                        for end in &mut ends[start.1..ends_len] {
                            *end += start.0;
                        }
                        split.records.push(ends_len);
                    }
                    break;
                }
                _ => break,
            }
        }
        data.truncate(data_len);
        ends.truncate(ends_len);
        (split.data, split.ends) = (data, ends);
        split
    }

    fn records(&self) -> impl Iterator<Item = impl ExactSizeIterator<Item = &[u8]>> {
        (0..self.records.len()).map(|record| {
            let first = if record == 0 { 0 } else { self.records[record - 1] };
            (first..self.records[record]).map(|field| {
                let start = if field == 0 { 0 } else { self.ends[field - 1] };
                &self.data[start..self.ends[field]]
            })
        })
    }
}

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Null,
    Bool,
    Int,
    Float,
    Date,
    Timestamp,
    TimestampUtc,
    Text,
}

impl Kind {
    fn of(field: &[u8], null_words: &[String]) -> Self {
        /// Longer numbers are codes, or have more digits than a double keeps.
        const MAX_FLOAT_BYTES: usize = 40;
        if field.is_empty() || null_words.iter().any(|word| word.as_bytes() == field) {
            return Kind::Null;
        }
        match field[0] {
            b'0'..=b'9' | b'-' | b'.' => {
                let digits = field.strip_prefix(b"-").unwrap_or(field);
                let zero_first = digits.len() > 1 && digits[0] == b'0';
                let numeric =
                    |b: &u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+');
                if !zero_first && parse_i64(field).is_some() {
                    Kind::Int
                } else if field.len() <= MAX_FLOAT_BYTES
                    && field.iter().all(numeric)
                    && field.iter().any(|b| !b.is_ascii_digit() && *b != b'-')
                    && !(zero_first && digits[1] != b'.')
                    && parse_f64(field).is_some_and(f64::is_finite)
                {
                    Kind::Float
                } else if field.len() == 10 && parse_date(field).is_some() {
                    Kind::Date
                } else if field.len() >= 16 && parse_timestamp_us(field).is_some() {
                    let zoned = field[10..].iter().any(|b| matches!(b, b'Z' | b'z' | b'+' | b'-'));
                    if zoned { Kind::TimestampUtc } else { Kind::Timestamp }
                } else {
                    Kind::Text
                }
            }
            b't' | b'T' | b'f' | b'F' if parse_bool(field).is_some() => Kind::Bool,
            _ => Kind::Text,
        }
    }

    /// Whether a header field would not look like this.
    fn is_typed(self) -> bool {
        !matches!(self, Kind::Null | Kind::Text)
    }

    /// The kind that holds values of both.
    fn or(self, other: Kind) -> Kind {
        match (self, other) {
            (a, b) if a == b => a,
            (Kind::Null, kind) | (kind, Kind::Null) => kind,
            (Kind::Int | Kind::Float, Kind::Int | Kind::Float) => Kind::Float,
            (Kind::Date | Kind::Timestamp, Kind::Date | Kind::Timestamp) => Kind::Timestamp,
            _ => Kind::Text,
        }
    }

    fn data_type(self) -> DataType {
        match self {
            Kind::Bool => DataType::Boolean,
            Kind::Int => DataType::Int64,
            Kind::Float => DataType::Float64,
            Kind::Date => DataType::Date32,
            Kind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            Kind::TimestampUtc => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
            // A column in which nothing was seen may hold anything.
            Kind::Null | Kind::Text => DataType::Utf8View,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sniffed(text: &str) -> (Dialect, SchemaRef) {
        let sample = Sample { head: text.as_bytes().to_vec(), whole: true, pieces: vec![] };
        let samples = [("t.csv".to_string(), sample)];
        sniff(&samples, &CsvOptions::default(), FileCompressionType::UNCOMPRESSED).unwrap()
    }

    fn types(text: &str) -> Vec<DataType> {
        sniffed(text).1.fields().iter().map(|field| field.data_type().clone()).collect()
    }

    #[test]
    fn kinds_of_values() {
        let words = vec!["null".to_string()];
        for (value, kind) in [
            ("", Kind::Null),
            ("null", Kind::Null),
            ("-12", Kind::Int),
            ("0", Kind::Int),
            ("007", Kind::Text),
            ("0000", Kind::Text),
            (".50", Kind::Float),
            ("0.5", Kind::Float),
            ("1e3", Kind::Float),
            ("92233720368547758070", Kind::Text),
            ("2015-01-15", Kind::Date),
            ("2015-01-15 19:05:39", Kind::Timestamp),
            ("2015-01-15T19:05:39Z", Kind::TimestampUtc),
            ("3/1/16 0:07", Kind::Text),
            ("True", Kind::Bool),
            ("-", Kind::Text),
        ] {
            assert_eq!(Kind::of(value.as_bytes(), &words), kind, "{value:?}");
        }
    }

    #[test]
    fn types_hold_for_every_value() {
        let text = "a,b,c,d,e\n1,1,2015-01-01,00591,\n2,1.5,2015-01-01 00:00:00,12,\n";
        assert_eq!(
            types(text),
            [
                DataType::Int64,
                DataType::Float64,
                DataType::Timestamp(TimeUnit::Microsecond, None),
                DataType::Utf8View,
                DataType::Utf8View,
            ]
        );
    }

    #[test]
    fn delimiters_and_headers() {
        let (dialect, schema) = sniffed("a;b\n1,5;2,5\n2,5;3,5\n");
        assert_eq!(dialect.delimiter, b';');
        assert!(dialect.header);
        assert_eq!(schema.field(0).name(), "a");
        let (dialect, schema) = sniffed("1\t2\n3\t4\n");
        assert_eq!(dialect.delimiter, b'\t');
        assert!(!dialect.header);
        assert_eq!(schema.field(1).name(), "column_2");
    }

    #[test]
    fn names_are_made_unique() {
        let (_, schema) = sniffed(", a ,a\nx,y,z\n");
        let names: Vec<_> = schema.fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["column_1", "a", "a_1"]);
    }

    #[test]
    fn quoted_newlines_forbid_splitting() {
        assert!(sniffed("a,b\n1,\"x\"\n").0.splittable);
        assert!(!sniffed("a,b\n1,\"x\ny\"\n").0.splittable);
    }
}
