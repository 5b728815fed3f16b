//! Delimiter, quote and escape.
//!
//! Each delimiter is tried with the quote and escape that fit it best. The better of two splits has
//! more records of the same width and more fields that look like one value: a number, a date, a
//! word; a field that holds other delimiters or stray quotes looks like a bad split. This is the
//! idea of CleverCSV (van den Burg, Nazábal and Sutton, "Wrangling messy CSV files by detecting row
//! and type patterns", 2019) with simpler measures.

use std::collections::HashMap;

use super::kind::{COMMA, Kind};
use super::split::Split;
use crate::scan::csv::dialect::Dialect;
use crate::scan::csv::options::CsvOptions;
use crate::scan::csv::structure::{Marks, closing_quote};
use crate::scan::csv::values::NumberStyle;

/// Delimiters that are tried, in the order of preference.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
/// Delimiters that are common inside of values, too: they must split every record alike.
const RARE_DELIMITERS: [u8; 3] = [b':', b'~', b' '];
/// Records, and bytes, that decide; more bytes if two lines have more.
const RECORDS: usize = 500;
const BYTES: usize = 64 << 10;

/// Settles delimiter, quote and escape of a dialect from the front of a file.
pub(super) fn find_form(head: &[u8], whole: bool, options: &CsvOptions, dialect: &mut Dialect) {
    let two_lines = memchr::memchr_iter(dialect.newline.byte(), head).nth(1);
    let bytes = two_lines.map_or(head.len(), |end| BYTES.max(end + 1).min(head.len()));
    let whole = whole && head.len() == bytes;
    let head = &head[..bytes];
    let tried: Vec<u8> = match options.delimiter {
        Some(delimiter) => vec![delimiter],
        None => DELIMITERS.iter().chain(&RARE_DELIMITERS).copied().collect(),
    };
    let mut best: Option<(f64, Dialect)> = None;
    for delimiter in tried {
        let mut form = Dialect { delimiter, ..dialect.clone() };
        let quoted = find_quote(head, options, &mut form);
        let split = Split::new(head, &form, RECORDS, whole);
        let common = options.delimiter.is_some() || DELIMITERS.contains(&delimiter);
        let mut score = score(head, &split, delimiter, quoted, common);
        if form.quote.is_none() {
            // Quotes that mean nothing may as well be those of another delimiter.
            score *= 0.9;
        }
        // The first of equals stays.
        if best.as_ref().is_none_or(|(best, _)| score > *best) {
            best = Some((score, form));
        }
    }
    if let Some((_, form)) = best {
        (dialect.delimiter, dialect.quote, dialect.escape) =
            (form.delimiter, form.quote, form.escape);
    }
}

/// How good a split is, of which so many fields are `quoted`: from 0, for one column, to about 1.
fn score(head: &[u8], split: &Split, delimiter: u8, quoted: usize, common: bool) -> f64 {
    let is_comment = |record: usize| head.get(split.start(record)) == Some(&b'#');
    // A header alone may begin with it.
    let all_comments = (0..split.len()).all(is_comment);
    let rows: Vec<usize> = (0..split.len()).filter(|r| all_comments || !is_comment(*r)).collect();
    let mut counts: HashMap<usize, usize> = HashMap::new();
    for row in &rows {
        *counts.entry(split.width(*row)).or_default() += 1;
    }
    let most = counts.into_iter().filter(|(width, _)| *width > 1).max_by_key(|(w, n)| (*n, *w));
    let Some((width, count)) = most else { return 0.0 };
    let agreement = count as f64 / rows.len() as f64;
    let (mut fields, mut clean, mut typed) = (0_usize, 0_usize, 0_usize);
    for row in rows.iter().filter(|row| split.width(**row) == width) {
        for field in split.record(*row) {
            fields += 1;
            match look(field, delimiter) {
                Look::Value => (clean, typed) = (clean + 1, typed + 1),
                Look::Words => clean += 1,
                Look::BadSplit => {}
            }
        }
    }
    if !common {
        // Every record but the first, which may be a title, has to agree, and values must not have
        // been whole before.
        let enough = rows.len() >= 2 && count == rows.len();
        let values = |row: &&usize| matches!(look(line(head, split, **row), 0), Look::Value);
        let was_whole = rows.iter().skip(1).filter(values).count() * 10 >= rows.len() * 9 - 9;
        // Words have blanks between them.
        let is_words = delimiter == b' ' && typed * 4 < fields;
        if !enough || was_whole || is_words {
            return 0.0;
        }
    }
    // Quoted fields may hold anything.
    let clean = (clean + quoted).min(fields) as f64 / fields.max(1) as f64;
    let rank = if common { 1.0 } else { 0.5 };
    // Agreement counts first; width only breaks ties.
    rank * (agreement * (0.4 + 0.6 * clean) + (width as f64).ln() * 1e-3)
}

/// The line that a record begins on.
fn line<'a>(head: &'a [u8], split: &Split, record: usize) -> &'a [u8] {
    let rest = &head[split.start(record)..];
    &rest[..memchr::memchr2(b'\r', b'\n', rest).unwrap_or(rest.len())]
}

/// What a field looks like to somebody who wonders whether it was split in the right places.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    /// Nothing, or one number, date, time, truth or address.
    Value,
    /// Text that nobody would have split otherwise.
    Words,
    /// Text with what could have been delimiters, or half of something quoted.
    BadSplit,
}

fn look(field: &[u8], delimiter: u8) -> Look {
    let trimmed = field.trim_ascii();
    let kind = Kind::of(trimmed, &[], NumberStyle::default());
    let is_number = |field: &[u8]| matches!(Kind::of(field, &[], COMMA), Kind::Float);
    if kind != Kind::Text || (delimiter != b',' && is_number(trimmed)) || is_address(trimmed) {
        return Look::Value;
    }
    // Quotes inside of a word are an apostrophe or inches.
    let quotes = |byte: &u8| matches!(byte, b'"' | b'\'');
    let cut = trimmed.first().is_some_and(quotes) != trimmed.last().is_some_and(quotes);
    let others = trimmed.iter().filter(|byte| DELIMITERS.contains(byte)).count();
    // A comma before a blank is punctuation.
    let punctuation = memchr::memmem::find_iter(trimmed, b", ").count()
        + memchr::memmem::find_iter(trimmed, b"; ").count();
    if cut || others > punctuation { Look::BadSplit } else { Look::Words }
}

fn is_address(field: &[u8]) -> bool {
    memchr::memmem::find(field, b"://").is_some_and(|at| {
        field[..at].iter().all(u8::is_ascii_alphanumeric) && !field.contains(&b' ')
    })
}

/// Settles quote and escape for a delimiter. Gives the number of fields that are well quoted.
fn find_quote(head: &[u8], options: &CsvOptions, form: &mut Dialect) -> usize {
    let quotes: Vec<Option<u8>> = match options.quote {
        Some(quote) => vec![quote],
        None => vec![Some(b'"'), Some(b'\'')],
    };
    let escapes: Vec<Option<u8>> = match options.escape {
        // The quote itself means that quotes are doubled.
        Some(escape) => vec![escape.filter(|escape| Some(*escape) != options.quote.flatten())],
        None => vec![None, Some(b'\\')],
    };
    let mut best: Option<(Quoting, Option<u8>, Option<u8>)> = None;
    for quote in quotes {
        for escape in &escapes {
            let escape = escape.filter(|escape| quote != Some(*escape));
            let found = match quote {
                Some(quote) => Quoting::of(head, form.delimiter, quote, escape),
                None => Quoting::default(),
            };
            let better = match &best {
                None => true,
                // Single quotes are apostrophes unless nothing else quotes and all are in pairs.
                Some((before, before_quote, _)) if *before_quote != quote => {
                    before.fields == 0 && found.fields > 0 && found.faults == 0
                }
                Some((before, ..)) => found.faults < before.faults && found.fields > 0,
            };
            if better {
                best = Some((found, quote, escape));
            }
        }
    }
    let Some((quoting, quote, escape)) = best else { return 0 };
    // Most fields that begin with a quote do not end with one: it means nothing.
    let meaningless = quoting.fields >= 2 && quoting.faults * 2 > quoting.fields;
    form.quote = quote.filter(|_| options.quote.is_some() || !meaningless);
    form.escape = escape;
    if form.quote.is_some() { quoting.fields - quoting.faults } else { 0 }
}

/// How well a quote and an escape fit.
#[derive(Debug, Default, PartialEq, Eq)]
struct Quoting {
    /// Fields that begin with the quote.
    fields: usize,
    /// Those of them that are followed by something other than a delimiter or a newline, or never
    /// end.
    faults: usize,
}

impl Quoting {
    fn of(text: &[u8], delimiter: u8, quote: u8, escape: Option<u8>) -> Self {
        let marks = Marks { delimiter, quote: Some(quote), escape, comment: None };
        let mut found = Quoting::default();
        let ends_field = |byte: u8| byte == delimiter || byte == b'\n' || byte == b'\r';
        let (mut at, mut at_start) = (0, true);
        while at < text.len() {
            if !at_start || text[at] != quote {
                at_start = ends_field(text[at]);
                at += 1;
                continue;
            }
            match closing_quote(text, at + 1, &marks) {
                Some(end) if text.get(end + 1).is_none_or(|next| ends_field(*next)) => {
                    found.fields += 1;
                    at = end + 1;
                }
                Some(end) => {
                    found.fields += 1;
                    found.faults += 1;
                    // Read on within the line; what follows is anybody's guess.
                    let line = memchr::memchr2(b'\n', b'\r', &text[at..]).map_or(end, |n| at + n);
                    at = (end + 1).min(line);
                }
                None => {
                    // One that the end of the sample cuts is no fault, unless it is much longer
                    // than quoted fields are.
                    const LONG: usize = 16 << 10;
                    if text.len() - at > LONG || found.faults > 0 {
                        found.fields += 1;
                        found.faults += 1;
                    }
                    at += 1;
                }
            }
            at_start = false;
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> (char, Option<char>, Option<char>) {
        let mut dialect = Dialect::default();
        find_form(text.as_bytes(), true, &CsvOptions::default(), &mut dialect);
        let shown = |byte: Option<u8>| byte.map(char::from);
        (char::from(dialect.delimiter), shown(dialect.quote), shown(dialect.escape))
    }

    #[test]
    fn delimiters() {
        for (text, expected) in [
            ("a,b\n1,2\n", ','),
            ("a;b\n1,5;2,5\n2,5;3,5\n", ';'),
            ("1,5;2,5\n2,5;3,5\n", ';'),
            ("a\tb\nx, y\tz\nu, v\tw\n", '\t'),
            ("a|b\n2015-01-01 00:00:00|1,2,3\n2015-01-01 00:00:01|3,4,5\n", '|'),
            ("city:pop\nA B:1\nC:2\n", ':'),
            ("x y\n1 2\n3 4\n", ' '),
            ("a~b\n1~x y\n2~z\n", '~'),
            // One column.
            ("when\n2015-01-01 10:00:00\n2015-01-02 11:00:00\n", ','),
            ("name\nAda Lovelace\nAlan Turing\n", ','),
            ("time\n10:00:00\n11:00:00\n", ','),
            ("link\nhttp://a.b\nhttp://c.d\n", ','),
            ("word\nx\n", ','),
            // Titles, comments and a ragged end.
            ("A title\nof two lines\na;b;c\n1;2;3\n4;5;6\n", ';'),
            ("# a, b, c\n# d, e, f\n1;2\n3;4\n5;6\n", ';'),
            ("a,b,c\n1,2,3\n4,5,6\n7,8", ','),
            ("\"a;b\",\"c;d\"\n\"e;f\",\"g;h\"\n", ','),
        ] {
            assert_eq!(form(text).0, expected, "{text:?}");
        }
    }

    #[test]
    fn quotes_and_escapes() {
        for (text, quote, escape) in [
            ("a,b\n1,2\n", Some('"'), None),
            ("a,b\n\"x, \"\"y\"\"\",2\n", Some('"'), None),
            ("a,b\n'x, y',2\n'z',3\n", Some('\''), None),
            ("a,b\n\"x, \\\"y\\\" z\",2\n", Some('"'), Some('\\')),
            ("\"\\\"H\\\" J\";1\n\"B \\\"H\\\" M\";2\n", Some('"'), Some('\\')),
            ("1,'a,b'\n2,'it\\'s'\n", Some('\''), Some('\\')),
            // Backslashes that escape nothing.
            ("a,b\n\"C:\\dir\\\",1\n\"D:\\\",2\n", Some('"'), None),
            ("a,b\n\"{\"\"k\"\": \"\"v\\\"\"w\"\"}\",2\n", Some('"'), None),
            // Apostrophes, and quotes that mean nothing.
            ("a,b\n'twas,1\n'tis,2\n", Some('"'), None),
            ("a\tb\n\"x\t1\n\"y\t2\nz\t3\n", None, None),
            // One mistake does not make it so.
            ("a,b\n1,x\n2,\"y\n3,z\n", Some('"'), None),
            ("a,b\n1,\"He, \" it\"\n", Some('"'), None),
        ] {
            let (_, found_quote, found_escape) = form(text);
            assert_eq!((found_quote, found_escape), (quote, escape), "{text:?}");
        }
    }
}
