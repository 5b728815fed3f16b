//! Merges two sides in order: row by row of the left side, with what has been passed on the right.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::{SortOptions, interleave, take};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};
use datafusion::error::Result;
use datafusion::execution::SendableRecordBatchStream;
use futures::TryStreamExt;

use super::distance::{Distance, Places};
use super::{AsofStrategy, Rule};
use crate::exchange::logical_bytes;

/// Most batches of the right side that rows of one output batch are taken from.
const MOST_SOURCES: usize = 8;

/// The same, in bytes.
const MOST_SOURCE_BYTES: usize = 8 << 20;

/// The columns of a side that are compared: the keys, then the order.
pub(super) type On = Vec<usize>;

/// How rows are ordered on both sides.
pub(super) fn sort_options(strategy: AsofStrategy) -> [SortOptions; 2] {
    let ascending = SortOptions { descending: false, nulls_first: true };
    // What comes first in the other direction comes last.
    let descending = strategy == AsofStrategy::Forward;
    [ascending, SortOptions { descending, nulls_first: true }]
}

/// Makes comparable rows of batches, of either side.
pub(super) struct Comparer {
    /// `None` without keys.
    keys: Option<RowConverter>,
    order: RowConverter,
    measures: bool,
}

impl Comparer {
    pub(super) fn new(schema: &SchemaRef, on: &On, rule: Rule) -> Result<Self> {
        let [of_keys, of_order] = sort_options(rule.strategy);
        let field = |column: &usize, options| {
            SortField::new_with_options(schema.field(*column).data_type().clone(), options)
        };
        let (order, keys) = on.split_last().expect("an order is compared");
        let keys: Vec<SortField> = keys.iter().map(|key| field(key, of_keys)).collect();
        Ok(Comparer {
            keys: if keys.is_empty() { None } else { Some(RowConverter::new(keys)?) },
            order: RowConverter::new(vec![field(order, of_order)])?,
            measures: rule.measures(),
        })
    }

    fn sorted(&self, batch: RecordBatch, on: &On) -> Result<Arc<Sorted>> {
        let columns: Vec<ArrayRef> =
            on.iter().map(|column| Arc::clone(batch.column(*column))).collect();
        let (order, keys) = columns.split_last().expect("an order is compared");
        let nulls = columns.iter().fold(None, |nulls, column| {
            NullBuffer::union(nulls.as_ref(), column.logical_nulls().as_ref())
        });
        Ok(Arc::new(Sorted {
            keys: self
                .keys
                .as_ref()
                .map(|converter| converter.convert_columns(keys))
                .transpose()?,
            order: self.order.convert_columns(std::slice::from_ref(order))?,
            places: if self.measures { Some(Places::of(order)?) } else { None },
            nulls,
            bytes: logical_bytes(&batch),
            batch,
        }))
    }
}

/// A batch in order.
struct Sorted {
    batch: RecordBatch,
    keys: Option<Rows>,
    order: Rows,
    /// Where distances matter.
    places: Option<Places>,
    /// Of all that is compared.
    nulls: Option<NullBuffer>,
    bytes: usize,
}

impl Sorted {
    fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    fn compare_keys(&self, row: usize, other: &Sorted, other_row: usize) -> Ordering {
        match (&self.keys, &other.keys) {
            (Some(keys), Some(others)) => keys.row(row).cmp(&others.row(other_row)),
            _ => Ordering::Equal,
        }
    }

    fn compare_order(&self, row: usize, other: &Sorted, other_row: usize) -> Ordering {
        self.order.row(row).cmp(&other.order.row(other_row))
    }
}

/// A row of the right side.
#[derive(Clone)]
struct Place {
    of: Arc<Sorted>,
    row: usize,
}

impl Place {
    fn has_keys_of(&self, left: &Sorted, row: usize) -> bool {
        self.of.compare_keys(self.row, left, row).is_eq()
    }

    fn is_at(&self, left: &Sorted, row: usize) -> bool {
        self.of.compare_order(self.row, left, row).is_eq()
    }

    fn distance(&self, left: &Sorted, row: usize) -> Option<Distance> {
        let (own, lefts) = (self.of.places.as_ref()?, left.places.as_ref()?);
        Some(lefts.distance(row, own, self.row))
    }
}

/// The right side up to a row.
struct Passed {
    stream: SendableRecordBatchStream,
    on: On,
    /// The batch of the row that comes next; `None` at the end.
    next: Option<Place>,
    /// The last row without NULLs.
    last: Option<Place>,
    /// The last row before it with the same keys and another place in the order; only where rows at the
    /// same place do not match.
    before: Option<Place>,
}

impl Passed {
    /// Reads the next batch that has rows.
    async fn read(&mut self, comparer: &Comparer) -> Result<()> {
        self.next = None;
        while let Some(batch) = self.stream.try_next().await? {
            if batch.num_rows() > 0 {
                self.next = Some(Place { of: comparer.sorted(batch, &self.on)?, row: 0 });
                break;
            }
        }
        Ok(())
    }

    /// Passes the rows of the batch that are not after a row of the left side. Whether it is at the
    /// end of the batch.
    fn pass(&mut self, left: &Sorted, row: usize, exact: bool) -> bool {
        let Some(next) = &mut self.next else { return false };
        while next.row < next.of.rows() {
            let order = next.of.compare_keys(next.row, left, row);
            if order.then_with(|| next.of.compare_order(next.row, left, row)).is_gt() {
                return false;
            }
            if !next.of.is_null(next.row) {
                if !exact && let Some(last) = &self.last {
                    if !last.has_keys_of(&next.of, next.row) {
                        self.before = None;
                    } else if !last.is_at(&next.of, next.row) {
                        self.before = self.last.clone();
                    }
                }
                match &mut self.last {
                    Some(last) if Arc::ptr_eq(&last.of, &next.of) => last.row = next.row,
                    last => *last = Some(next.clone()),
                }
            }
            next.row += 1;
        }
        true
    }
}

/// A merge that has begun.
pub(super) struct Merge {
    pub(super) rule: Rule,
    pub(super) keeps_left: bool,
    pub(super) schema: SchemaRef,
    comparer: Comparer,
    left: SendableRecordBatchStream,
    left_on: On,
    /// The batch of the left side, and the row that comes next.
    current: Option<Place>,
    right: Passed,
    has_begun: bool,
}

/// For rows of the left side, from one on, the row of the right side: the number of a batch, and of a
/// row in it. The first batch is one NULL row.
struct Matches {
    nulls: RecordBatch,
    sources: Vec<Arc<Sorted>>,
    rows: Vec<(usize, usize)>,
}

const NO_MATCH: (usize, usize) = (0, 0);

impl Matches {
    fn is_full(&self) -> bool {
        let bytes: usize = self.sources.iter().map(|source| source.bytes).sum();
        self.sources.len() >= MOST_SOURCES || bytes >= MOST_SOURCE_BYTES
    }

    fn push(&mut self, place: Option<&Place>) {
        let Some(place) = place else { return self.rows.push(NO_MATCH) };
        let known = self.sources.iter().rposition(|source| Arc::ptr_eq(source, &place.of));
        let source = known.unwrap_or_else(|| {
            self.sources.push(Arc::clone(&place.of));
            self.sources.len() - 1
        });
        self.rows.push((source + 1, place.row));
    }

    /// A column of the right side for these rows.
    fn column(&self, number: usize) -> Result<ArrayRef> {
        let columns = [&self.nulls].into_iter().chain(self.sources.iter().map(|s| &s.batch));
        let columns: Vec<&dyn Array> = columns.map(|batch| batch.column(number).as_ref()).collect();
        Ok(interleave(&columns, &self.rows)?)
    }
}

impl Merge {
    pub(super) fn new(
        sides: [(SendableRecordBatchStream, On); 2],
        rule: Rule,
        keeps_left: bool,
        schema: SchemaRef,
    ) -> Result<Self> {
        let [(left, left_on), (right, right_on)] = sides;
        let comparer = Comparer::new(&left.schema(), &left_on, rule)?;
        let right = Passed { stream: right, on: right_on, next: None, last: None, before: None };
        Ok(Merge {
            rule,
            keeps_left,
            schema,
            comparer,
            left,
            left_on,
            current: None,
            right,
            has_begun: false,
        })
    }

    /// The next rows of the result; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            tokio::task::consume_budget().await;
            let Some(Place { of: left, row: first }) = self.current.take() else {
                match self.left.try_next().await? {
                    None => return Ok(None),
                    Some(batch) if batch.num_rows() == 0 => {}
                    Some(batch) => {
                        let of = self.comparer.sorted(batch, &self.left_on)?;
                        self.current = Some(Place { of, row: 0 });
                    }
                }
                continue;
            };
            let matches = self.matches(&left, first).await?;
            let after = first + matches.rows.len();
            let batch = self.joined(&left, first, matches)?;
            if after < left.rows() {
                self.current = Some(Place { of: left, row: after });
            }
            if batch.num_rows() > 0 {
                return Ok(Some(batch));
            }
        }
    }

    /// Finds matches of rows from `first` on, as far as there is room.
    async fn matches(&mut self, left: &Sorted, first: usize) -> Result<Matches> {
        if !self.has_begun {
            self.right.read(&self.comparer).await?;
            self.has_begun = true;
        }
        let columns = self.right.stream.schema();
        let columns = columns.fields().iter().map(|field| new_null_array(field.data_type(), 1));
        let mut matches = Matches {
            nulls: RecordBatch::try_new_with_options(
                Arc::new(nullable(&self.right.stream.schema())),
                columns.collect(),
                &RecordBatchOptions::new().with_row_count(Some(1)),
            )?,
            sources: Vec::new(),
            rows: Vec::with_capacity(left.rows() - first),
        };
        for row in first..left.rows() {
            if matches.is_full() {
                break;
            }
            if left.is_null(row) {
                matches.push(None);
                continue;
            }
            while self.right.pass(left, row, self.rule.exact) {
                self.right.read(&self.comparer).await?;
            }
            matches.push(self.chosen(left, row));
        }
        Ok(matches)
    }

    /// The match of a row, once all rows that are not after it are passed.
    fn chosen(&self, left: &Sorted, row: usize) -> Option<&Place> {
        let candidate = |place: &Place| place.has_keys_of(left, row);
        let mut passed = self.right.last.as_ref().filter(|last| candidate(last));
        if !self.rule.exact && passed.is_some_and(|last| last.is_at(left, row)) {
            passed = self.right.before.as_ref();
        }
        let ahead = match self.rule.strategy {
            AsofStrategy::Nearest => self.right.next.as_ref().filter(|next| candidate(next)),
            AsofStrategy::Backward | AsofStrategy::Forward => None,
        };
        let nearest = match (passed, ahead) {
            (Some(passed), Some(ahead)) => {
                let is_nearer = passed.distance(left, row) < ahead.distance(left, row);
                Some(if is_nearer { passed } else { ahead })
            }
            (passed, ahead) => passed.or(ahead),
        };
        match self.rule.reach {
            None => nearest,
            Some(reach) => nearest.filter(|place| {
                place.distance(left, row).is_some_and(|distance| distance.is_within(reach))
            }),
        }
    }

    fn joined(&self, left: &Sorted, first: usize, mut matches: Matches) -> Result<RecordBatch> {
        let lefts = left.batch.slice(first, matches.rows.len());
        let mut columns = lefts.columns().to_vec();
        if !self.keeps_left && matches.rows.contains(&NO_MATCH) {
            let matched = matches.rows.iter().enumerate().filter(|(_, found)| **found != NO_MATCH);
            let matched = UInt32Array::from_iter_values(matched.map(|(row, _)| row as u32));
            columns = columns
                .iter()
                .map(|column| Ok(take(column, &matched, None)?))
                .collect::<Result<_>>()?;
            matches.rows.retain(|found| *found != NO_MATCH);
        }
        for number in 0..self.right.stream.schema().fields().len() {
            columns.push(matches.column(number)?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(matches.rows.len()));
        Ok(RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?)
    }
}

/// A schema whose columns may be NULL.
fn nullable(schema: &SchemaRef) -> arrow::datatypes::Schema {
    let fields = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
    arrow::datatypes::Schema::new(fields.collect::<Vec<_>>())
}
