//! Functions on lists.
//!
//! All kinds of list are cast to the one with 32-bit offsets first, and each function works on
//! the values of all rows at once where it can.

mod aggregate;
mod element;
mod lambda;
mod order;
mod pick;
mod reduce;
mod vector;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::{HigherOrderUDF, ScalarUDF};

pub(super) use element::element_at;
pub(super) use lambda::{flags, kept_lengths, require_condition, rows_of};

/// The scalar functions of this folder.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [aggregate::functions(), order::functions(), pick::functions(), vector::functions()].concat()
}

/// The functions of this folder that take lambdas.
pub(super) fn lambda_functions() -> Vec<Arc<HigherOrderUDF>> {
    [lambda::functions(), reduce::functions()].concat()
}

/// The type of the elements, if the type is a list or that of a bare NULL.
pub(super) fn element_type(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => Some(item.data_type().clone()),
        DataType::Null => Some(DataType::Null),
        _ => None,
    }
}

/// The list type that functions work on, for any kind of list.
pub(super) fn list_type(name: &str, data_type: &DataType) -> Result<DataType> {
    match data_type {
        DataType::List(_) => Ok(data_type.clone()),
        _ => match element_type(data_type) {
            Some(element) => Ok(DataType::new_list(element, true)),
            None => plan_err!("{name} takes a list, not {data_type}"),
        },
    }
}

/// One list.
fn takes_list(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [list] => Ok(vec![list_type(name, list)?]),
        _ => plan_err!("{name} takes one list, not {} arguments", types.len()),
    }
}

/// The rows of a list column: all of their values, and which of them belong to which row.
pub(super) struct Lists {
    /// The values from the first one of the first row to the last one of the last.
    pub(super) values: ArrayRef,
    /// Where rows end in `values`, after a leading 0.
    offsets: Vec<usize>,
    /// Which rows are not NULL.
    pub(super) nulls: Option<NullBuffer>,
}

impl Lists {
    /// Takes a list column apart.
    pub(super) fn new(array: &ArrayRef) -> Self {
        let lists: &ListArray = array.as_list();
        let ends = lists.value_offsets();
        let (first, last) = (index(ends[0]), index(ends[lists.len()]));
        Lists {
            values: lists.values().slice(first, last - first),
            offsets: ends.iter().map(|end| index(*end) - first).collect(),
            nulls: lists.nulls().cloned(),
        }
    }

    /// Takes a map column apart, as lists of its entries.
    pub(super) fn of_map(array: &ArrayRef) -> Self {
        let maps = array.as_map();
        let ends = maps.value_offsets();
        let (first, last) = (index(ends[0]), index(ends[maps.len()]));
        Lists {
            values: Arc::new(maps.entries().slice(first, last - first)),
            offsets: ends.iter().map(|end| index(*end) - first).collect(),
            nulls: maps.nulls().cloned(),
        }
    }

    /// How many rows there are.
    pub(super) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Whether a row is NULL.
    pub(super) fn is_null(&self, row: usize) -> bool {
        self.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row))
    }

    /// Where the values of a row are; nowhere if it is NULL.
    pub(super) fn range(&self, row: usize) -> Range<usize> {
        let start = self.offsets[row];
        if self.is_null(row) { start..start } else { start..self.offsets[row + 1] }
    }
}

impl Lists {
    /// How many values each row has, also those of rows that are NULL.
    pub(super) fn lengths(&self) -> Vec<usize> {
        self.offsets.windows(2).map(|ends| ends[1] - ends[0]).collect()
    }
}

/// An offset, which arrow keeps signed and is never negative.
fn index(offset: i32) -> usize {
    usize::try_from(offset).unwrap_or_default()
}

/// Lists of values that are given row by row.
pub(super) fn lists_of(
    gives: &DataType,
    values: ArrayRef,
    lengths: impl IntoIterator<Item = usize>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let DataType::List(item) = gives else {
        return plan_err!("expected a list, not {gives}");
    };
    let values = if values.data_type() == item.data_type() {
        values
    } else {
        arrow::compute::cast(&values, item.data_type())?
    };
    let offsets = arrow::buffer::OffsetBuffer::<i32>::from_lengths(lengths);
    Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets, values, nulls)?))
}
