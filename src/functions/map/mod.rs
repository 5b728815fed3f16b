//! Functions on maps, and those that find values in maps as well as in lists.

mod lambda;
mod lookup;
mod make;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, MapArray, StructArray};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{HigherOrderUDF, ScalarUDF};

use super::list::Lists;
use super::rows::comparable;

/// The scalar functions of this folder.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    [lookup::functions(), make::functions()].concat()
}

/// The functions of this folder that take lambdas.
pub(super) fn lambda_functions() -> Vec<Arc<HigherOrderUDF>> {
    lambda::functions()
}

/// The types of a map's keys and values.
fn key_and_value(name: &str, data_type: &DataType) -> Result<(DataType, DataType)> {
    if let DataType::Map(entries, _) = data_type
        && let DataType::Struct(fields) = entries.data_type()
        && let [key, value] = fields.as_ref()
    {
        return Ok((key.data_type().clone(), value.data_type().clone()));
    }
    plan_err!("{name} takes a map, not {data_type}")
}

/// The type of maps of these keys and values.
fn map_type(key: DataType, value: DataType) -> DataType {
    let fields = vec![Field::new("key", key, false), Field::new("value", value, true)];
    let entries = Field::new("entries", DataType::Struct(fields.into()), false);
    DataType::Map(Arc::new(entries), false)
}

/// A map column taken apart.
struct Maps {
    entries: Lists,
    keys: ArrayRef,
    values: ArrayRef,
}

impl Maps {
    fn new(array: &ArrayRef) -> Self {
        let entries = Lists::of_map(array);
        let columns = entries.values.as_struct().columns();
        let (keys, values) = (Arc::clone(&columns[0]), Arc::clone(&columns[1]));
        Maps { entries, keys, values }
    }
}

/// Maps of entries that are given row by row.
fn maps_of(
    gives: &DataType,
    keys: &ArrayRef,
    values: &ArrayRef,
    lengths: impl IntoIterator<Item = usize>,
    nulls: Option<NullBuffer>,
) -> Result<ArrayRef> {
    let (key_type, value_type) = key_and_value("this function", gives)?;
    let columns =
        vec![arrow::compute::cast(keys, &key_type)?, arrow::compute::cast(values, &value_type)?];
    let DataType::Map(field, sorted) = gives else {
        return plan_err!("expected a map, not {gives}");
    };
    let DataType::Struct(fields) = field.data_type() else {
        return plan_err!("expected a map, not {gives}");
    };
    let entries = StructArray::try_new(fields.clone(), columns, None)?;
    let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
    Ok(Arc::new(MapArray::try_new(Arc::clone(field), offsets, entries, nulls, *sorted)?))
}

/// Fails if a key is NULL, or twice in a row's map.
fn check_keys(name: &str, entries: &Lists, keys: &ArrayRef) -> Result<()> {
    let rows = comparable(&[keys], SortOptions::default())?;
    let nulls = keys.logical_nulls();
    let mut seen = std::collections::HashSet::new();
    for row in 0..entries.len() {
        seen.clear();
        for at in entries.range(row) {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(at)) {
                return exec_err!("{name}: a key is NULL");
            }
            if !seen.insert(rows[0].row(at)) {
                let key = datafusion::common::ScalarValue::try_from_array(keys, at)?;
                return exec_err!("{name}: the key {key} is there twice");
            }
        }
    }
    Ok(())
}
