//! Rows in an order that follows every change, for results that are asked for again and again, as
//! those of a window's frames are.

use std::cmp::Reverse;
use std::collections::BTreeSet;

/// What rows are ordered by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The most frequent first, of several the smallest.
    Count,
    /// Themselves.
    Value,
}

/// Rows with how often each is there.
pub(super) enum Index {
    ByCount(BTreeSet<(Reverse<u64>, Box<[u8]>)>),
    ByValue(Blocks),
}

impl Index {
    pub(super) fn new(order: Order) -> Self {
        match order {
            Order::Count => Index::ByCount(BTreeSet::new()),
            Order::Value => Index::ByValue(Blocks::default()),
        }
    }

    /// A row is there more often than before, or less.
    pub(super) fn change(&mut self, row: &[u8], before: u64, after: u64) {
        match self {
            Index::ByCount(rows) => {
                if before > 0 {
                    rows.remove(&(Reverse(before), row.into()));
                }
                if after > 0 {
                    rows.insert((Reverse(after), row.into()));
                }
            }
            Index::ByValue(blocks) => blocks.change(row, before, after),
        }
    }
}

/// How many rows a block has at most: moving those of one, and passing the others, take about as
/// long for a million rows.
const MOST_ROWS: usize = 1024;

/// Sorted rows in blocks, of which none is empty.
#[derive(Default)]
pub(super) struct Blocks(Vec<Block>);

#[derive(Default)]
struct Block {
    rows: Vec<(Box<[u8]>, u64)>,
    /// The sum of the counts.
    total: u64,
}

impl Blocks {
    fn change(&mut self, row: &[u8], before: u64, after: u64) {
        if self.0.is_empty() {
            self.0.push(Block::default());
        }
        let is_before =
            |block: &Block| block.rows.first().is_some_and(|(first, _)| **first <= *row);
        let place = self.0.partition_point(is_before).saturating_sub(1);
        let block = &mut self.0[place];
        match block.rows.binary_search_by(|(known, _)| known.as_ref().cmp(row)) {
            Ok(at) if after == 0 => drop(block.rows.remove(at)),
            Ok(at) => block.rows[at].1 = after,
            Err(_) if after == 0 => {}
            Err(at) => block.rows.insert(at, (row.into(), after)),
        }
        block.total = block.total + after - before;
        if block.rows.is_empty() {
            self.0.remove(place);
        } else if block.rows.len() > MOST_ROWS {
            let rows = block.rows.split_off(MOST_ROWS / 2);
            let total = rows.iter().map(|(_, count)| count).sum();
            block.total -= total;
            self.0.insert(place + 1, Block { rows, total });
        }
    }

    /// How many rows there are, each as often as it is there.
    pub(super) fn total(&self) -> u64 {
        self.0.iter().map(|block| block.total).sum()
    }

    /// The row at a place.
    pub(super) fn at(&self, mut place: u64) -> Option<&[u8]> {
        for block in &self.0 {
            if place < block.total {
                return at(&block.rows, place).map(AsRef::as_ref);
            }
            place -= block.total;
        }
        None
    }
}

/// The value at a place among some in order, of which each is there so often.
pub(super) fn at<T>(values: &[(T, u64)], place: u64) -> Option<&T> {
    let mut end = 0;
    let found = values.iter().find(|(_, count)| {
        end += count;
        end > place
    });
    found.map(|(value, _)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_where_a_sorted_list_has_them() {
        let (mut blocks, mut counts) = (Blocks::default(), vec![0_u64; 5000]);
        // Numbers that come and go, in an order that is none.
        let mut number = 1_usize;
        for step in 0..20_000_u64 {
            number = number * 7 % 5003;
            let row = number % counts.len();
            let before = counts[row];
            counts[row] = if step % 3 == 2 { 0 } else { before + 1 + step % 2 };
            blocks.change(&row.to_be_bytes(), before, counts[row]);
        }
        let rows = counts.iter().enumerate();
        let all: Vec<usize> =
            rows.flat_map(|(row, count)| std::iter::repeat_n(row, *count as usize)).collect();
        assert_eq!(blocks.total(), all.len() as u64);
        assert!(blocks.0.len() > 1);
        for place in (0..all.len()).step_by(97) {
            assert_eq!(blocks.at(place as u64), Some(&all[place].to_be_bytes()[..]), "{place}");
        }
        assert_eq!(blocks.at(all.len() as u64), None);
        for (row, count) in counts.iter().enumerate() {
            blocks.change(&row.to_be_bytes(), *count, 0);
        }
        assert!(blocks.0.is_empty());
    }
}
