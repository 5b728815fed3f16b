//! The top of a file: comments, lines that are no part of the table, the header; and how wide the
//! table is.

use std::collections::{HashMap, HashSet};

use super::kind::{DOUBTFUL_NULL_WORDS, Kind};
use super::split::{Split, after_lines, count_lines};
use crate::scan::csv::dialect::{Dialect, USUAL_NULL_WORDS};
use crate::scan::csv::options::CsvOptions;
use crate::scan::csv::values::NumberStyle;

/// Records that are looked at.
const RECORDS: usize = 1000;
/// The most records that can be skipped at the top.
const TOP_RECORDS: usize = 20;

/// What the top of a file is.
#[derive(Debug, Default)]
pub(super) struct Top {
    /// Names in the header, if there is one; may be fewer than `width`.
    pub(super) header: Option<Vec<Vec<u8>>>,
    /// Columns of the table; 0 if there is neither a header nor a row.
    pub(super) width: usize,
}

/// Settles comment, lines to skip and header of a dialect, whose delimiter and quote are known.
pub(super) fn find_top(
    head: &[u8],
    whole: bool,
    options: &CsvOptions,
    dialect: &mut Dialect,
) -> Top {
    dialect.comment = options.comment.flatten();
    dialect.skip_lines = options.skip_lines.unwrap_or(0);
    let rest = after_lines(head, dialect.skip_lines, dialect.newline);
    let records = Split::new(rest, dialect, RECORDS, whole);
    let top = if options.comment.is_none() {
        find_comment(rest, &records, dialect)
    } else {
        Hash::Nothing
    };
    match top {
        Hash::Nothing => {}
        Hash::Comments => dialect.comment = Some(b'#'),
        Hash::Skip(record) if options.skip_lines.is_none() => {
            dialect.skip_lines = count_lines(&rest[..records.start(record)], dialect.newline);
        }
        // The user has counted the lines to skip, without these.
        Hash::Skip(record) => {
            let rows = (record..records.len()).any(|row| begins_with_hash(rest, &records, row));
            dialect.comment = (!rows).then_some(b'#');
        }
    }
    let rest = after_lines(head, dialect.skip_lines, dialect.newline);
    let mut records = Split::new(rest, dialect, RECORDS, whole);
    if options.skip_lines.is_none() && dialect.skip_lines == 0 {
        let first = first_record(&records, options.header);
        if first > 0 {
            dialect.skip_lines = count_lines(&rest[..records.start(first)], dialect.newline);
            let rest = after_lines(head, dialect.skip_lines, dialect.newline);
            records = Split::new(rest, dialect, RECORDS, whole);
        }
    }
    if records.len() == 0 {
        return Top::default();
    }
    dialect.header = options.header.unwrap_or_else(|| is_header(&records));
    let width = width(&records, dialect.header, options.null_padding);
    let header = dialect.header.then(|| records.record(0).map(<[u8]>::to_vec).collect());
    Top { header, width }
}

/// What lines that begin with `#` are.
#[derive(Debug, PartialEq, Eq)]
enum Hash {
    /// Rows or a header like others, or there are none.
    Nothing,
    /// Comments, wherever they are.
    Comments,
    /// Those before this record are comments. There are no others, or they may be rows.
    Skip(usize),
}

fn begins_with_hash(text: &[u8], records: &Split, record: usize) -> bool {
    text.get(records.start(record)) == Some(&b'#')
}

/// Lines below the header are comments only if all that begin with `#` look like it: whoever takes
/// a row for a comment loses it.
fn find_comment(text: &[u8], records: &Split, dialect: &Dialect) -> Hash {
    if dialect.delimiter == b'#' || dialect.quote == Some(b'#') {
        return Hash::Nothing;
    }
    let hash = |record: &usize| begins_with_hash(text, records, *record);
    let others: Vec<usize> = (0..records.len()).filter(|record| !hash(record)).collect();
    let Some(first_other) = others.first().copied() else { return Hash::Nothing };
    let width = common_width(records, others.iter().copied()).unwrap_or(1);
    let blank = |record: usize| text.get(records.start(record) + 1) == Some(&b' ');
    let is_comment = |record: usize| {
        records.width(record) != width && (records.width(record) == 1 || blank(record))
    };
    let mut later = (first_other..records.len()).filter(hash).peekable();
    let comments_below = later.peek().is_some() && later.all(is_comment);
    // `#id,name` may be the header. `# a, b` is none, nor is what stands above another header.
    let is_header = |record: usize| {
        let row = records.record(first_other);
        let above_header = !row_has_values(row) && columns_have_values(records, first_other + 1);
        width > 1 && records.width(record) == width && !blank(record) && !above_header
    };
    match first_other.checked_sub(1) {
        Some(0) if is_header(0) => Hash::Nothing,
        Some(last) if is_header(last) => Hash::Skip(last),
        _ if comments_below => Hash::Comments,
        Some(_) => Hash::Skip(first_other),
        None => Hash::Nothing,
    }
}

/// The width that most records have, of several the first one's or else the largest.
fn common_width(records: &Split, among: impl Iterator<Item = usize>) -> Option<usize> {
    let mut counts: HashMap<usize, usize> = HashMap::new();
    let mut first = None;
    for record in among {
        let width = records.width(record);
        first = first.or(Some(width));
        *counts.entry(width).or_default() += 1;
    }
    let rank = |(width, count): &(usize, usize)| (*count, first == Some(*width), *width);
    counts.into_iter().max_by_key(rank).map(|(width, _)| width)
}

fn kind_of(field: &[u8]) -> Kind {
    Kind::of(field.trim_ascii(), &[], NumberStyle::default())
}

/// Whether a row has a number, a date or the like.
fn row_has_values<'a>(mut row: impl Iterator<Item = &'a [u8]>) -> bool {
    row.any(|field| kind_of(field).is_typed())
}

fn columns_have_values(records: &Split, from: usize) -> bool {
    (from..records.len()).any(|record| row_has_values(records.record(record)))
}

/// The first record that is not a title or the like, and so the header or a row. `header` is what the
/// user says.
fn first_record(records: &Split, header: Option<bool>) -> usize {
    let Some(width) = common_width(records, 0..records.len()) else { return 0 };
    if width < 2 {
        return 0;
    }
    let filled = |record: usize| records.record(record).filter(|field| !field.is_empty()).count();
    // A title may have been given the width of the table: `,,,` or `Title,,,`.
    let is_title =
        |record: usize| records.width(record) < width || (filled(record) <= 1 && width >= 3);
    if !is_title(0) {
        return 0;
    }
    let top = records.len().min(TOP_RECORDS);
    let Some(first) = (1..top).find(|record| !is_title(*record)) else { return 0 };
    let wide = (first..records.len()).filter(|record| records.width(*record) == width).count();
    // Most of what follows must be the table.
    if wide < 2 || wide * 2 <= records.len() - first {
        return 0;
    }
    let narrow_titles = (0..first).all(|record| records.width(record) < width);
    let names = names_only(records, first) && columns_have_values(records, first + 1);
    // A row that is too short has values. Above a header there are no rows.
    let has_values = (0..first).any(|record| row_has_values(records.record(record)));
    if has_values && (!names || header == Some(false)) {
        return 0;
    }
    if narrow_titles {
        // Names of all columns but the last ones are a header, unless another follows.
        let short = records.width(0);
        let is_header = first == 1 && short * 2 > width && names_only(records, 0) && !names;
        if is_header { 0 } else { first }
    } else if names {
        first
    } else {
        0
    }
}

/// Whether a record has only distinct texts.
fn names_only(records: &Split, record: usize) -> bool {
    let mut seen = HashSet::new();
    let mut fields = records.record(record);
    let width = fields.len();
    // The delimiter may end each line.
    fields.all(|field| {
        let last = seen.len() + 1 == width;
        (last || !field.is_empty()) && !kind_of(field).is_typed() && seen.insert(field.to_vec())
    })
}

/// Whether the first record holds names: it does unless it has a number, a date or the like. Numbers
/// are names, too, if they are years above other numbers, or beside a text that is nothing else.
fn is_header(records: &Split) -> bool {
    let kinds: Vec<Kind> = records.record(0).map(kind_of).collect();
    !kinds.iter().any(|kind| kind.is_typed())
        || are_years(records, &kinds)
        || has_text_above_values(records, &kinds)
}

/// Whether a first record of these kinds has ascending or evenly spaced years in all columns but
/// those of text, and some value below them is another number.
fn are_years(records: &Split, kinds: &[Kind]) -> bool {
    let year = |field: &[u8]| {
        let text = str::from_utf8(field.trim_ascii()).ok()?;
        text.parse::<i64>().ok().filter(|year| (1500..=2500).contains(year))
    };
    let typed: Vec<usize> = (0..kinds.len()).filter(|column| kinds[*column].is_typed()).collect();
    let first: Vec<&[u8]> = records.record(0).collect();
    let years: Option<Vec<i64>> = typed.iter().map(|column| year(first[*column])).collect();
    let Some(years) = years.filter(|years| years.len() >= 2 && typed.len() < kinds.len()) else {
        return false;
    };
    let step = years[1] - years[0];
    let even = step != 0 && years.windows(2).all(|pair| pair[1] - pair[0] == step);
    let ascending = years.windows(2).all(|pair| pair[0] < pair[1]);
    let others = (1..records.len())
        .flat_map(|row| records.record(row).enumerate())
        .filter(|(column, field)| typed.contains(column) && !field.is_empty())
        .any(|(_, field)| kind_of(field).is_typed() && year(field).is_none());
    (even || ascending) && others
}

/// Whether a first record of these kinds could be names, all different, texts and whole numbers, and
/// one of its texts stands above nothing but numbers, or dates and the like.
fn has_text_above_values(records: &Split, kinds: &[Kind]) -> bool {
    /// With fewer, the text may as well be what is wrong.
    const LEAST_VALUES: usize = 2;
    let mut seen = HashSet::new();
    let mut names = records.record(0).zip(kinds).map(|(field, kind)| {
        let could_be = match kind {
            Kind::Text => !is_null_word(field.trim_ascii()),
            kind => *kind == Kind::Int,
        };
        could_be && seen.insert(field.to_vec())
    });
    if !names.all(|could_be| could_be) {
        return false;
    }
    let mut values = vec![0; kinds.len()];
    let mut texts = vec![0; kinds.len()];
    for row in 1..records.len() {
        for (column, field) in records.record(row).enumerate().take(kinds.len()) {
            let field = field.trim_ascii();
            match kind_of(field) {
                Kind::Null => {}
                Kind::Text if is_null_word(field) => {}
                Kind::Text => texts[column] += 1,
                _ => values[column] += 1,
            }
        }
    }
    (0..kinds.len()).any(|column| {
        kinds[column] == Kind::Text && values[column] >= LEAST_VALUES && texts[column] == 0
    })
}

/// Whether a field may mean NULL.
fn is_null_word(field: &[u8]) -> bool {
    let mut usual = USUAL_NULL_WORDS.iter().map(|word| word.as_bytes());
    DOUBTFUL_NULL_WORDS.contains(&field) || usual.any(|word| word == field)
}

/// Columns of the table: as many as the header has names, or as most rows have fields if these are
/// more.
fn width(records: &Split, header: bool, null_padding: bool) -> usize {
    let first = records.width(0);
    let rows = usize::from(header)..records.len();
    if null_padding {
        return rows.map(|row| records.width(row)).max().unwrap_or(0).max(first);
    }
    let count = |width: usize| rows.clone().filter(|row| records.width(*row) == width).count();
    match common_width(records, rows.clone()) {
        // One row of another width is a mistake rather than the rule.
        Some(wide) if header && wide > first => {
            let agree = count(wide);
            if agree >= 2 && agree * 2 > rows.len() { wide } else { first }
        }
        Some(common) if !header && count(common) * 2 > rows.len() => common,
        _ => first,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> (Option<char>, usize, Option<Vec<String>>, usize) {
        let mut dialect = Dialect::default();
        let top = find_top(text.as_bytes(), true, &CsvOptions::default(), &mut dialect);
        let names = top
            .header
            .map(|names| names.into_iter().map(|name| String::from_utf8(name).unwrap()).collect());
        (dialect.comment.map(char::from), dialect.skip_lines, names, top.width)
    }

    #[test]
    fn what_the_user_says_of_the_top() {
        let top = |text: &str, options: CsvOptions| {
            let mut dialect = Dialect::default();
            let top = find_top(text.as_bytes(), true, &options, &mut dialect);
            (dialect.comment.map(char::from), dialect.skip_lines, top.width)
        };
        // Without a header, there is nothing that values could stand above.
        let text = "1,Baker\nCole,Rome,Italy\nDiaz,Oslo,5\nEvans,Bern,6\n";
        assert_eq!(top(text, CsvOptions::new()), (None, 1, 3));
        assert_eq!(top(text, CsvOptions::new().header(false)), (None, 0, 3));
        // Comments below the lines that are skipped.
        let text = "title\n# x\na,b\n1,2\n3,4\n";
        assert_eq!(top(text, CsvOptions::new().skip_lines(1)), (Some('#'), 1, 2));
        let text = "title\n# x\na,b\n1,2\n#3,4\n";
        assert_eq!(top(text, CsvOptions::new().skip_lines(1)), (None, 1, 2));
    }

    #[test]
    fn tops() {
        for (text, comment, skip, header, width) in [
            ("a,b\n1,2\n", None, 0, Some("a,b"), 2),
            ("1,2\n3,4\n", None, 0, None, 2),
            // Comments.
            ("# x\n# y, z\na,b\n1,2\n3,4\n", None, 2, Some("a,b"), 2),
            ("# x\na,b\n1,2\n# y\n3,4\n", Some('#'), 0, Some("a,b"), 2),
            ("# x\na,b\n1,2\n#y\n# z, z, z\n3,4\n", Some('#'), 0, Some("a,b"), 2),
            ("a,b\n1,2\n#3;4\n5,6\n", Some('#'), 0, Some("a,b"), 2),
            // Rows, with fields too many or too few, or with as many as others.
            ("# x\na,b\n1,2\n#3,4\n", None, 1, Some("a,b"), 2),
            ("# x\na,b\n1,2\n# y\n#3,4\n", None, 1, Some("a,b"), 2),
            ("# x\na,b\n1,2\n# y\n#3,4,5\n6,7\n", None, 1, Some("a,b"), 2),
            ("a,b,c\nx,1,2\n#y,3\nz,4,5\n", None, 0, Some("a,b,c"), 3),
            ("a,b,c\nx,1,2\n#y, jr,3,4\nz,4,5\n", None, 0, Some("a,b,c"), 3),
            ("#,a\n1,x\n2,y\n", None, 0, Some("#,a"), 2),
            ("## v1\n## v2\n#a,b\n1,2\n3,4\n", None, 2, Some("#a,b"), 2),
            ("tag,n\n#x,1\n#y,2\n", None, 0, Some("tag,n"), 2),
            ("#x\n#y\n", None, 0, Some("#x"), 1),
            // Titles.
            ("Report\nof 2020, final\n\na,b,c\n1,2,3\n4,5,6\n", None, 3, Some("a,b,c"), 3),
            (",,\nA title,,\na,b,c\n1,2,3\n4,5,6\n", None, 2, Some("a,b,c"), 3),
            ("title\n1,2,3\n4,5,6\n7,8,9\n", None, 1, None, 3),
            ("Printed,2020-01-31\nid,name,n\n1,x,2\n2,y,3\n", None, 1, Some("id,name,n"), 3),
            // Rows that are too short are none.
            ("5,3,1,.2\n4.9,3.0,1.4,0.2,s\n4.7,3.2,1.3,0.2,s\n", None, 0, None, 5),
            ("1,Baker,37\n2,Cole,Rome,74\n3,Diaz,Oslo,111\n", None, 0, None, 4),
            ("title\n2020\n1,2,3\n4,5,6\n7,8,9\n", None, 0, Some("title"), 3),
            // A row with little in it is no title.
            ("x,,\n1,2,3\n4,5,6\n", None, 0, Some("x,,"), 3),
            // Names that are missing, and a row that is too long.
            ("a,b,c\n1,2,3,4\n5,6,7,8\n9,10\n", None, 0, Some("a,b,c"), 4),
            ("a,b,c\n1,2,3,4\n", None, 0, Some("a,b,c"), 3),
            ("a,b\n1,2,\n3,4,\n", None, 0, Some("a,b"), 3),
            ("a,b,c,d\n1,2,3\n", None, 0, Some("a,b,c,d"), 4),
            ("a,b,c\n1,2,3\n,x\n1,2\n", None, 0, Some("a,b,c"), 3),
            ("1,2,3\n4,5\n6,7\n8,9\n", None, 0, None, 2),
            // Years.
            ("land,2019,2020\nx,1.5,2\n", None, 0, Some("land,2019,2020"), 3),
            ("x,2019,2020\ny,2021,2022\n", None, 0, None, 3),
            ("x,1990,2000,2015\ny,1,2,3\n", None, 0, Some("x,1990,2000,2015"), 4),
            ("x,1990,2015,2000\ny,1,2,3\n", None, 0, None, 4),
            // Numbers beside a text above numbers.
            ("id,1,2\n5,6,7\n8,9,10\n", None, 0, Some("id,1,2"), 3),
            ("id,1,2\n5,6,7\n,-,8\n9,1,1\n", None, 0, Some("id,1,2"), 3),
            ("id,1,2\n5,6,7\n", None, 0, None, 3),
            ("id,1,2\n5,6,7\nx,9,10\n", None, 0, None, 3),
            ("id,1,1\n5,6,7\n8,9,10\n", None, 0, None, 3),
            ("id,1.5,2\n5,6,7\n8,9,10\n", None, 0, None, 3),
            ("NA,1,2\n5,6,7\n8,9,10\n", None, 0, None, 3),
            ("x,1,2\ny,6,7\nz,9,10\n", None, 0, None, 3),
            ("\n\n", None, 0, None, 0),
        ] {
            let (found_comment, found_skip, found_header, found_width) = found(text);
            let found = (found_comment, found_skip, found_header.map(|h| h.join(",")), found_width);
            assert_eq!(found, (comment, skip, header.map(str::to_string), width), "{text:?}");
        }
    }
}
