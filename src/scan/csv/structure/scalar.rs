//! Fields and records byte by byte: the rules that every faster way must keep.

use super::{Index, Irregularity, Marks, Piece, Skip, Stop};

/// Appends the records that begin in the piece to `index`.
pub(super) fn find(piece: Piece, width: usize, marks: &Marks, index: &mut Index) -> Stop {
    let Piece { bytes, limit, at_end, .. } = piece;
    let mut at = piece.from;
    let stop = loop {
        at = after_line_ends(bytes, at);
        if at >= limit {
            break Stop::Done { next: at };
        }
        if Some(bytes[at]) == marks.comment {
            match line_end(bytes, at, at_end) {
                Some(end) => at = end,
                None => break Stop::More { from: at },
            }
            continue;
        }
        let known = index.ends.len();
        let Some(record) = record(bytes, at, at_end, marks, |end| index.ends.push(end as u32))
        else {
            index.ends.truncate(known);
            break Stop::More { from: at };
        };
        let fields = index.ends.len() - known;
        let wrong_count = (fields != width).then_some(Irregularity::Fields(fields));
        if let Some(why) = record.fault.or(wrong_count) {
            index.ends.truncate(known);
            let next = after_line_ends(bytes, record.end);
            break Stop::Irregular { from: at, why, next };
        }
        index.starts.push(at as u32);
        at = record.end;
    };
    let (Stop::Done { next: to } | Stop::More { from: to } | Stop::Irregular { from: to, .. }) =
        stop;
    let passed = &bytes[piece.from..to.max(piece.from)];
    index.has_quotes |= marks.quote.is_some_and(|quote| passed.contains(&quote));
    index.has_non_ascii |= !passed.is_ascii();
    stop
}

/// Appends the record that begins at `from`, with its faults.
pub(super) fn find_one(
    bytes: &[u8],
    from: usize,
    at_end: bool,
    marks: &Marks,
    index: &mut Index,
) -> Option<usize> {
    let known = index.ends.len();
    let Some(record) = record(bytes, from, at_end, marks, |end| index.ends.push(end as u32)) else {
        index.ends.truncate(known);
        return None;
    };
    let passed = &bytes[from..record.end];
    index.starts.push(from as u32);
    index.has_quotes |= marks.quote.is_some_and(|quote| passed.contains(&quote));
    index.has_non_ascii |= !passed.is_ascii();
    Some(after_line_ends(bytes, record.end))
}

/// The start of the first record at or after the limit.
pub(super) fn skip(piece: Piece, marks: &Marks) -> Skip {
    let Piece { bytes, limit, at_end, .. } = piece;
    let mut at = piece.from;
    loop {
        at = after_line_ends(bytes, at);
        if at >= limit {
            return Skip::Done { next: at };
        }
        let end = if Some(bytes[at]) == marks.comment {
            line_end(bytes, at, at_end)
        } else {
            record(bytes, at, at_end, marks, |_| {}).map(|record| record.end)
        };
        match end {
            Some(end) => at = end,
            None => return Skip::More { from: at },
        }
    }
}

/// A record that has ended.
struct Record {
    /// Where: at the first byte of the line end, or the end of the file.
    end: usize,
    /// The first fault of its quotes.
    fault: Option<Irregularity>,
}

/// Reads the record that begins at `at` and calls `on_end` with the end of each field; `None` when
/// the bytes end in it and are not all of the file.
fn record(
    bytes: &[u8],
    mut at: usize,
    at_end: bool,
    marks: &Marks,
    mut on_end: impl FnMut(usize),
) -> Option<Record> {
    let mut fault = None;
    loop {
        if at < bytes.len() && Some(bytes[at]) == marks.quote {
            match closing_quote(bytes, at + 1, marks) {
                Some(close) => {
                    at = close + 1;
                    if bytes.get(at).is_some_and(|byte| !marks.is_separator(*byte)) {
                        fault = fault.or(Some(Irregularity::TextAfterQuote));
                    }
                }
                None => {
                    at = bytes.len();
                    fault = fault.or(Some(Irregularity::OpenQuote));
                }
            }
        }
        while at < bytes.len() && !marks.is_separator(bytes[at]) {
            at += 1;
        }
        if at == bytes.len() && !at_end {
            return None;
        }
        on_end(at);
        if at == bytes.len() || Marks::is_line_end(bytes[at]) {
            return Some(Record { end: at, fault });
        }
        at += 1;
    }
}

/// Where the quoted field closes whose text goes on at `at`.
pub(super) fn closing_quote(bytes: &[u8], mut at: usize, marks: &Marks) -> Option<usize> {
    while let Some(byte) = bytes.get(at) {
        if Some(*byte) == marks.escape {
            at += 2;
        } else if Some(*byte) == marks.quote {
            let doubled = marks.escape.is_none() && bytes.get(at + 1) == Some(byte);
            if !doubled {
                return Some(at);
            }
            at += 2;
        } else {
            at += 1;
        }
    }
    None
}

/// The end of the line that goes on at `at`; `None` when it is not among the bytes, which are not
/// all of the file.
pub(super) fn line_end(bytes: &[u8], at: usize, at_end: bool) -> Option<usize> {
    let length = bytes[at..].iter().position(|byte| Marks::is_line_end(*byte));
    length.map(|length| at + length).or(at_end.then_some(bytes.len()))
}

/// The first byte from `at` on that ends no line.
pub(super) fn after_line_ends(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && Marks::is_line_end(bytes[at]) {
        at += 1;
    }
    at
}
