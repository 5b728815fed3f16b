//! Bytes → records of any width, for looking at samples. Nothing is an error here.

use crate::scan::csv::convert::field_text;
use crate::scan::csv::dialect::{Dialect, Newline};
use crate::scan::csv::structure::{self, Index};

/// Records of a sample.
#[derive(Default)]
pub(super) struct Split {
    data: Vec<u8>,
    /// Ends of fields in `data`.
    ends: Vec<usize>,
    /// Ends of records in `ends`.
    records: Vec<usize>,
    /// First byte of each record in the sample.
    starts: Vec<usize>,
    /// Bytes of the sample up to the end of the last record.
    pub(super) used: usize,
}

impl Split {
    /// Splits `bytes`, which begin at a record, into at most `limit` of them. Unless the bytes are
    /// the `whole` rest of a file, the last record is cut and left out.
    pub(super) fn new(bytes: &[u8], dialect: &Dialect, limit: usize, whole: bool) -> Self {
        let marks = dialect.marks();
        let mut split = Split::default();
        let (mut index, mut scratch) = (Index::default(), Vec::new());
        while split.records.len() < limit {
            let start = split.used + between_records(&bytes[split.used..], dialect.comment);
            if start == bytes.len() {
                break;
            }
            index.clear();
            let next = structure::find_one(bytes, start, whole, &marks, &mut index);
            let Some(next) = next else { break };
            let mut from = start;
            for end in index.ends.iter().map(|end| *end as usize) {
                let text = field_text(&bytes[from..end], marks.quote, marks.escape, &mut scratch);
                split.data.extend_from_slice(text);
                split.ends.push(split.data.len());
                from = end + 1;
            }
            split.records.push(split.ends.len());
            split.starts.push(start);
            split.used = next;
        }
        split
    }

    /// Records that were found.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// First byte of a record in the sample.
    pub(super) fn start(&self, record: usize) -> usize {
        self.starts[record]
    }

    /// Fields of a record.
    pub(super) fn width(&self, record: usize) -> usize {
        self.records[record] - self.first_field(record)
    }

    fn first_field(&self, record: usize) -> usize {
        if record == 0 { 0 } else { self.records[record - 1] }
    }

    /// The fields of a record.
    pub(super) fn record(&self, record: usize) -> impl ExactSizeIterator<Item = &[u8]> {
        (self.first_field(record)..self.records[record]).map(|field| {
            let start = if field == 0 { 0 } else { self.ends[field - 1] };
            &self.data[start..self.ends[field]]
        })
    }
}

/// Bytes of empty lines and of comments at the front.
fn between_records(bytes: &[u8], comment: Option<u8>) -> usize {
    let mut used = 0;
    loop {
        used += bytes[used..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        if comment.is_none() || bytes.get(used).copied() != comment {
            return used;
        }
        // The newline itself is taken above.
        used += memchr::memchr2(b'\n', b'\r', &bytes[used..]).unwrap_or(bytes.len() - used);
    }
}

/// The rest of a file's first bytes after so many lines, or nothing if there are no more.
pub(super) fn after_lines(bytes: &[u8], lines: usize, newline: Newline) -> &[u8] {
    let mut rest = bytes;
    for _ in 0..lines {
        match memchr::memchr(newline.byte(), rest) {
            Some(end) => rest = &rest[end + 1..],
            None => return &[],
        }
    }
    rest
}

/// Lines that end in these bytes.
pub(super) fn count_lines(bytes: &[u8], newline: Newline) -> usize {
    memchr::memchr_iter(newline.byte(), bytes).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_records() {
        let dialect = Dialect { comment: Some(b'#'), ..Default::default() };
        let text = b"# x\n\na,b\r\n\r\n#\n\"1\n\",2\n3";
        let split = Split::new(text, &dialect, usize::MAX, true);
        let starts: Vec<usize> = (0..split.len()).map(|record| split.start(record)).collect();
        assert_eq!(starts, [5, 14, 21]);
        let widths: Vec<usize> = (0..split.len()).map(|record| split.width(record)).collect();
        assert_eq!(widths, [2, 2, 1]);
        assert_eq!(split.record(1).next(), Some(&b"1\n"[..]));
        assert_eq!(split.used, text.len());
        // The last record may be cut.
        let cut = Split::new(text, &dialect, usize::MAX, false);
        assert_eq!((cut.len(), cut.used), (2, 21));
    }

    #[test]
    fn lines() {
        assert_eq!(after_lines(b"a\r\n\nb\n", 2, Newline::Lf), b"b\n");
        assert_eq!(after_lines(b"a\rb", 1, Newline::Cr), b"b");
        assert_eq!(after_lines(b"a\n", 2, Newline::Lf), b"");
        assert_eq!(count_lines(b"a\r\nb\n", Newline::Lf), 2);
    }
}
