//! Functions of the number of a row and of its group: `row_number`, `rank`, `dense_rank`,
//! `percent_rank`, `cume_dist` and `ntile`.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, UInt64Array};
use datafusion::common::internal_err;
use datafusion::error::Result;
use datafusion::functions_window::{cume_dist, ntile, rank, row_number};
use datafusion::physical_expr::window::{StandardWindowExpr, WindowExpr};
use datafusion::physical_plan::windows::WindowUDFExpr;

use super::frame::{GroupEnds, Part, Run};
use super::function::{literal, order_exprs};
use super::rows::Rows;

/// Functions of the number of a row and of its group.
pub(super) struct Number {
    kind: NumberKind,
    /// The ends of groups, where they matter.
    ends: Option<GroupEnds>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberKind {
    RowNumber,
    Rank,
    DenseRank,
    PercentRank,
    CumeDist,
    Ntile(u64),
}

impl NumberKind {
    /// The kind of an expression, if it is such a function.
    pub(super) fn of(expr: &Arc<dyn WindowExpr>) -> Option<Self> {
        let standard = expr.as_any().downcast_ref::<StandardWindowExpr>()?;
        NumberKind::of_function(standard.get_standard_func_expr().as_any().downcast_ref()?)
    }

    pub(super) fn of_function(function: &WindowUDFExpr) -> Option<Self> {
        let fun = function.fun();
        Some(match fun {
            _ if *fun == row_number::row_number_udwf() => NumberKind::RowNumber,
            _ if *fun == rank::rank_udwf() => NumberKind::Rank,
            _ if *fun == rank::dense_rank_udwf() => NumberKind::DenseRank,
            _ if *fun == rank::percent_rank_udwf() => NumberKind::PercentRank,
            _ if *fun == cume_dist::cume_dist_udwf() => NumberKind::CumeDist,
            _ if *fun == ntile::ntile_udwf() => {
                NumberKind::Ntile(u64::try_from(literal(function, 0)?).ok().filter(|n| *n > 0)?)
            }
            _ => return None,
        })
    }
}

impl NumberKind {
    /// Whether it depends on which rows are peers.
    pub(super) fn needs_peers(self) -> bool {
        !matches!(self, NumberKind::RowNumber | NumberKind::Ntile(_))
    }

    /// The results for partitions that are in memory, with the runs of their peers.
    pub(super) fn all(self, partitions: &[Range<usize>], peers: &[Range<usize>]) -> ArrayRef {
        let rows = partitions.last().map_or(0, |last| last.end);
        let by_row = |value: &dyn Fn(u64, u64) -> u64| -> ArrayRef {
            let mut values = Vec::with_capacity(rows);
            for partition in partitions {
                let all = partition.len() as u64;
                values.extend((0..all).map(|row| value(row, all)));
            }
            Arc::new(UInt64Array::from(values))
        };
        match self {
            NumberKind::RowNumber => by_row(&|row, _| row + 1),
            NumberKind::Ntile(tiles) => by_row(&|row, all| tile(row, all, tiles)),
            NumberKind::Rank => {
                Arc::new(UInt64Array::from(each_group(partitions, peers, |group| {
                    group.start as u64 + 1
                })))
            }
            NumberKind::DenseRank => {
                Arc::new(UInt64Array::from(each_group(partitions, peers, |group| {
                    group.number as u64 + 1
                })))
            }
            NumberKind::PercentRank => {
                Arc::new(Float64Array::from(each_group(partitions, peers, |group| {
                    group.start as f64 / (group.all as f64 - 1.0).max(1.0)
                })))
            }
            NumberKind::CumeDist => {
                Arc::new(Float64Array::from(each_group(partitions, peers, |group| {
                    group.end as f64 / group.all as f64
                })))
            }
        }
    }
}

/// Where a group is in its partition.
struct Group {
    number: usize,
    start: usize,
    end: usize,
    /// Rows of the partition.
    all: usize,
}

/// A value for each run of peers, repeated for its rows. No run is in two partitions.
fn each_group<T: Clone>(
    partitions: &[Range<usize>],
    peers: &[Range<usize>],
    value: impl Fn(Group) -> T,
) -> Vec<T> {
    let mut values = Vec::with_capacity(partitions.last().map_or(0, |last| last.end));
    let mut peers = peers.iter().peekable();
    for partition in partitions {
        let mut number = 0;
        while let Some(run) = peers.next_if(|run| run.start < partition.end) {
            let (start, end) = (run.start - partition.start, run.end - partition.start);
            let group = Group { number, start, end, all: partition.len() };
            values.resize(values.len() + run.len(), value(group));
            number += 1;
        }
    }
    values
}

impl Number {
    pub(super) fn new(kind: NumberKind, expr: &Arc<dyn WindowExpr>) -> Self {
        let ends =
            (kind == NumberKind::CumeDist).then(|| GroupEnds::new(order_exprs(expr.order_by())));
        Number { kind, ends }
    }

    pub(super) async fn column(&mut self, rows: &mut Rows, part: &Part) -> Result<ArrayRef> {
        let numbers = part.start as u64..(part.start + part.rows) as u64;
        Ok(match self.kind {
            NumberKind::RowNumber => {
                Arc::new(UInt64Array::from_iter_values(numbers.map(|number| number + 1)))
            }
            NumberKind::Rank => {
                Arc::new(UInt64Array::from(by_peers(part, |run| run.group_start as u64 + 1)))
            }
            NumberKind::DenseRank => {
                Arc::new(UInt64Array::from(by_peers(part, |run| run.group as u64 + 1)))
            }
            NumberKind::PercentRank => {
                let most = (rows.complete().await? as f64 - 1.0).max(1.0);
                Arc::new(Float64Array::from(by_peers(part, |run| run.group_start as f64 / most)))
            }
            NumberKind::CumeDist => {
                let all = rows.complete().await? as f64;
                let Some(groups) = &mut self.ends else {
                    return internal_err!("no ends of groups");
                };
                let mut values = Vec::with_capacity(part.rows);
                for run in &part.peers {
                    let end = groups.nth(rows, run.group + 1).await?;
                    values.resize(values.len() + run.rows.len(), end as f64 / all);
                }
                Arc::new(Float64Array::from(values))
            }
            NumberKind::Ntile(tiles) => {
                let all = rows.complete().await? as u64;
                Arc::new(UInt64Array::from_iter_values(numbers.map(|row| tile(row, all, tiles))))
            }
        })
    }

    /// The first row whose block it may still ask for.
    pub(super) fn needs(&self) -> usize {
        self.ends.as_ref().map_or(usize::MAX, GroupEnds::needs)
    }
}

/// A value for each run of peers, repeated for its rows.
fn by_peers<T: Clone>(part: &Part, value: impl Fn(&Run) -> T) -> Vec<T> {
    let mut values = Vec::with_capacity(part.rows);
    for run in &part.peers {
        values.resize(values.len() + run.rows.len(), value(run));
    }
    values
}

/// The tile of a row, of `tiles` into which `all` rows are divided: the first ones have a row more
/// where they cannot be equal.
fn tile(row: u64, all: u64, tiles: u64) -> u64 {
    let (small, large_tiles) = (all / tiles, all % tiles);
    let in_large = large_tiles * (small + 1);
    if row < in_large {
        row / (small + 1) + 1
    } else {
        large_tiles + (row - in_large) / small.max(1) + 1
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::{Float64Type, UInt64Type};

    use super::*;

    #[test]
    fn tiles_differ_by_a_row_at_most_and_the_first_are_larger() {
        let tiles = |all, tiles| (0..all).map(|row| tile(row, all, tiles)).collect::<Vec<_>>();
        assert_eq!(tiles(10, 4), [1, 1, 1, 2, 2, 2, 3, 3, 4, 4]);
        assert_eq!(tiles(3, 5), [1, 2, 3]);
        assert_eq!(tiles(4, 2), [1, 1, 2, 2]);
        assert_eq!(tiles(2, u64::MAX), [1, 2]);
    }

    #[test]
    fn numbers_of_several_partitions() {
        let (partitions, peers) = ([0..4, 4..5, 5..7], [0..1, 1..3, 3..4, 4..5, 5..7]);
        let whole = |kind: NumberKind| {
            kind.all(&partitions, &peers).as_primitive::<UInt64Type>().values().to_vec()
        };
        assert_eq!(whole(NumberKind::RowNumber), [1, 2, 3, 4, 1, 1, 2]);
        assert_eq!(whole(NumberKind::Rank), [1, 2, 2, 4, 1, 1, 1]);
        assert_eq!(whole(NumberKind::DenseRank), [1, 2, 2, 3, 1, 1, 1]);
        assert_eq!(whole(NumberKind::Ntile(2)), [1, 1, 2, 2, 1, 1, 2]);
        let part = |kind: NumberKind| {
            kind.all(&partitions, &peers).as_primitive::<Float64Type>().values().to_vec()
        };
        let third = 1.0 / 3.0;
        assert_eq!(part(NumberKind::PercentRank), [0.0, third, third, 1.0, 0.0, 0.0, 0.0]);
        assert_eq!(part(NumberKind::CumeDist), [0.25, 0.75, 0.75, 1.0, 1.0, 1.0, 1.0]);
    }
}
