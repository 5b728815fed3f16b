//! What of a table fits a terminal: which columns are shown, and how wide each is.
//!
//! Numbers and dates are never cut short while there is a choice. Texts are cut as little as needed,
//! the widest first; when even that is not enough, columns in the middle are left out.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Texts are not cut below this many terminal columns as long as columns can be left out instead.
const LEAST_TEXT_WIDTH: usize = 12;

/// What a column takes besides its content: a blank on either side and a border.
const COLUMN_EXTRA: usize = 3;

/// The border on the other side of the table.
const TABLE_EXTRA: usize = 1;

/// Stands for what was cut or left out.
pub(super) const ELLIPSIS: &str = "…";

/// The header of a column.
#[derive(Debug, Clone)]
pub(super) struct Heading {
    pub(super) name: String,
    pub(super) type_name: String,
    /// Aligned on the right.
    pub(super) numeric: bool,
    /// Not to be cut short.
    pub(super) whole: bool,
}

/// How wide a column would be.
struct Wish {
    heading: usize,
    content: usize,
    whole: bool,
}

impl Wish {
    /// The width when what can be cut is cut at `cap`.
    fn capped(&self, cap: usize) -> usize {
        let content = if self.whole { self.content } else { self.content.min(cap) };
        content.max(self.heading.min(cap)).max(1)
    }
}

/// The shown columns of a table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Index and content width of each shown column.
    pub(super) shown: Vec<(usize, usize)>,
    /// How many of the shown columns precede the ones left out, if any are.
    pub(super) gap: Option<usize>,
}

impl Layout {
    /// Fits columns with these headings and rows into a terminal.
    pub(super) fn fit<'a>(
        headings: &[Heading],
        rows: impl Iterator<Item = &'a Vec<String>>,
        terminal_width: usize,
    ) -> Self {
        let mut wishes: Vec<Wish> = headings
            .iter()
            .map(|heading| Wish {
                heading: heading.name.width().max(heading.type_name.width()),
                content: 1,
                whole: heading.whole,
            })
            .collect();
        for row in rows {
            for (wish, cell) in wishes.iter_mut().zip(row) {
                wish.content = wish.content.max(cell.width());
            }
        }
        let space = terminal_width.saturating_sub(TABLE_EXTRA);
        let all: Vec<usize> = (0..wishes.len()).collect();
        if let Some(cap) = best_cap(&wishes, &all, space) {
            return Layout { shown: widths(&wishes, &all, cap), gap: None };
        }
        if all.len() == 1 {
            let width = space.saturating_sub(COLUMN_EXTRA).max(1);
            return Layout { shown: vec![(0, width)], gap: None };
        }

        // Take columns from both ends until the next one does not fit.
        let space = space.saturating_sub(1 + COLUMN_EXTRA);
        let (mut front, mut back) = (Vec::new(), Vec::new());
        let mut taken = 0;
        while front.len() + back.len() + 1 < all.len() {
            let from_front = front.len() <= back.len();
            let next = if from_front { front.len() } else { all.len() - 1 - back.len() };
            taken += wishes[next].capped(LEAST_TEXT_WIDTH) + COLUMN_EXTRA;
            if taken > space && !front.is_empty() {
                break;
            }
            if from_front { front.push(next) } else { back.push(next) }
        }
        let gap = front.len();
        let shown: Vec<usize> = front.into_iter().chain(back.into_iter().rev()).collect();
        let shown = match best_cap(&wishes, &shown, space) {
            Some(cap) => widths(&wishes, &shown, cap),
            // A single column, and it is too wide.
            None => vec![(shown[0], space.saturating_sub(COLUMN_EXTRA).max(1))],
        };
        Layout { shown, gap: Some(gap) }
    }

    /// The cells of a row that are shown, with `filler` for the columns left out.
    pub(super) fn pick<T>(
        &self,
        mut cell: impl FnMut(usize, usize) -> T,
        filler: impl FnOnce() -> T,
    ) -> Vec<T> {
        let mut cells: Vec<T> =
            self.shown.iter().map(|&(index, width)| cell(index, width)).collect();
        if let Some(gap) = self.gap {
            cells.insert(gap, filler());
        }
        cells
    }
}

/// The largest cap at which the columns fit, unless that would cut texts too short.
fn best_cap(wishes: &[Wish], columns: &[usize], space: usize) -> Option<usize> {
    let taken = |cap: usize| -> usize {
        columns.iter().map(|&index| wishes[index].capped(cap) + COLUMN_EXTRA).sum()
    };
    (LEAST_TEXT_WIDTH..=space.max(LEAST_TEXT_WIDTH)).rev().find(|&cap| taken(cap) <= space)
}

fn widths(wishes: &[Wish], columns: &[usize], cap: usize) -> Vec<(usize, usize)> {
    columns.iter().map(|&index| (index, wishes[index].capped(cap))).collect()
}

/// The text, cut with an ellipsis where it is wider than `width` terminal columns.
pub(super) fn cut(text: &str, width: usize) -> String {
    // A byte is never wider than a column, which settles most cells.
    if text.len() <= width || text.width() <= width {
        return text.to_string();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used + 1 > width {
            break;
        }
        kept.push(c);
    }
    kept.push_str(ELLIPSIS);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headings(columns: &[(&str, bool)]) -> Vec<Heading> {
        columns
            .iter()
            .map(|(name, numeric)| Heading {
                name: (*name).to_string(),
                type_name: String::new(),
                numeric: *numeric,
                whole: *numeric,
            })
            .collect()
    }

    fn fit(columns: &[(&str, bool)], row: &[&str], terminal_width: usize) -> Layout {
        let row: Vec<String> = row.iter().map(|cell| (*cell).to_string()).collect();
        Layout::fit(&headings(columns), [row].iter(), terminal_width)
    }

    #[test]
    fn texts_are_cut_before_columns_are_left_out() {
        let columns = [("number", true), ("text", false)];
        let long = "x".repeat(100);
        let row = ["1234567890123456", long.as_str()];
        let full = Layout { shown: vec![(0, 16), (1, 100)], gap: None };
        assert_eq!(fit(&columns, &row, 123), full);
        // 1 + (16 + 3) + (37 + 3) = 60.
        assert_eq!(fit(&columns, &row, 60), Layout { shown: vec![(0, 16), (1, 37)], gap: None });
    }

    #[test]
    fn columns_in_the_middle_are_left_out() {
        let columns = [("a", true), ("b", true), ("c", true), ("d", true), ("e", true)];
        let row = ["1111", "2222", "3333", "4444", "5555"];
        assert_eq!(fit(&columns, &row, 36).gap, None);
        let layout = fit(&columns, &row, 35);
        assert_eq!(layout, Layout { shown: vec![(0, 4), (1, 4), (3, 4), (4, 4)], gap: Some(2) });
        assert_eq!(
            layout.pick(|index, _| row[index], || ELLIPSIS),
            ["1111", "2222", "…", "4444", "5555"]
        );
        assert_eq!(fit(&columns, &row, 30).shown, [(0, 4), (1, 4), (4, 4)]);
        // However narrow it is, there is one column.
        assert_eq!(fit(&columns, &row, 3), Layout { shown: vec![(0, 1)], gap: Some(1) });
        assert_eq!(fit(&columns[..1], &row[..1], 3), Layout { shown: vec![(0, 1)], gap: None });
        assert_eq!(fit(&[], &[], 80), Layout { shown: vec![], gap: None });
    }

    #[test]
    fn cutting_counts_terminal_columns() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abcde…");
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("é", 1), "é");
    }
}
