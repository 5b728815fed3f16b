//! Whether the middle of a file is inside a quoted field.

use super::{Marks, scalar};

/// How far is read to tell.
const SAMPLE_BYTES: usize = 64 << 10;

/// Where the first record begins after a line end, as far as can be told.
pub(super) fn start(bytes: &[u8], marks: &Marks) -> Option<usize> {
    let last = fields(bytes, begins_inside(bytes, marks), marks)
        .find(|field| bytes.get(field.end).is_some_and(|byte| Marks::is_line_end(*byte)))?;
    let start = scalar::after_line_ends(bytes, last.end);
    (start < bytes.len()).then_some(start)
}

/// Whether the bytes begin inside quotes, as far as can be told.
///
/// They are read as if they began outside and as if they began inside. The wrong way soon takes
/// closing quotes for opening ones, and then text follows where a delimiter must. Where a field ends
/// both ways, they have become the same.
fn begins_inside(bytes: &[u8], marks: &Marks) -> bool {
    let sample = &bytes[..bytes.len().min(SAMPLE_BYTES)];
    if marks.quote.is_none_or(|quote| memchr::memchr(quote, sample).is_none()) {
        return false;
    }
    let mut ways = [false, true].map(|inside| fields(sample, inside, marks));
    // Of each way, where the last field ends, and the faults up to there.
    let mut ends = [None; 2];
    let mut faults = [0, 0];
    while ends[0].is_none() || ends[0] != ends[1] {
        let behind = usize::from(ends[1] < ends[0]);
        let Some(field) = ways[behind].next() else { break };
        ends[behind] = Some(field.end);
        faults[behind] += field.faults;
    }
    let [outside, inside] = faults;
    inside < outside
}

struct Field {
    /// The offset of the separator, or the length of the bytes.
    end: usize,
    /// Quotes in it that are not where quotes are expected.
    faults: usize,
}

/// The fields of `bytes`, the first of which may have begun before them, `inside` quotes or not.
fn fields(bytes: &[u8], inside: bool, marks: &Marks) -> impl Iterator<Item = Field> {
    let is_quote = |at: usize| bytes.get(at).is_some_and(|byte| Some(*byte) == marks.quote);
    let mut text = if inside { Some(0) } else { is_quote(0).then_some(1) };
    let mut at = 0;
    std::iter::from_fn(move || {
        if at > bytes.len() {
            return None;
        }
        let mut faults = 0;
        if let Some(text) = text {
            at = scalar::closing_quote(bytes, text, marks).map_or(bytes.len(), |close| close + 1);
            let after = bytes.get(at);
            faults += usize::from(after.is_some_and(|byte| !marks.is_separator(*byte)));
        }
        while at < bytes.len() && !marks.is_separator(bytes[at]) {
            faults += usize::from(is_quote(at));
            at += 1;
        }
        let end = at;
        at += 1;
        text = is_quote(at).then_some(at + 1);
        Some(Field { end, faults })
    })
}
