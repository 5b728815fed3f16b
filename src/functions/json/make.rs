//! JSON made of values, by the rules of JSON output.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StringViewBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field};
use datafusion::common::{exec_datafusion_err, exec_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ScalarUDF;

use super::super::define::{Call, scalar, takes_any};
use super::reader::{document, minified};
use super::{gives_json, has_json_items, is_json, is_text, json_field, malformed};
use crate::output::JsonValues;

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        scalar("to_json", &["json_quote"], takes_one, gives_json, to_json),
        scalar("row_to_json", &[], takes_struct, gives_json, to_json),
        scalar("array_to_json", &["list_to_json"], takes_list, gives_json, to_json),
        scalar("json_array", &["json_build_array"], takes_any, gives_json, json_array),
        scalar("json_object", &["json_build_object"], takes_members, gives_json, json_object),
    ]
}

fn takes_one(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [_] => Ok(types.to_vec()),
        _ => plan_err!("{name} takes one value, not {}", types.len()),
    }
}

fn takes_struct(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [DataType::Struct(_) | DataType::Null] => Ok(types.to_vec()),
        _ => plan_err!("{name} takes one struct; to_json makes JSON of any value"),
    }
}

fn takes_list(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [data_type] if data_type.is_list() || data_type.is_null() => Ok(types.to_vec()),
        _ => plan_err!("{name} takes one list; to_json makes JSON of any value"),
    }
}

/// Texts and values in turn.
fn takes_members(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    if !types.len().is_multiple_of(2) {
        return plan_err!("{name} takes keys and values in turn, so an even number of arguments");
    }
    let mut taken = types.to_vec();
    for key in taken.iter_mut().step_by(2) {
        if !is_text(key) || key.is_null() {
            return plan_err!("{name}: the keys must be text, not {key}");
        }
        *key = DataType::Utf8View;
    }
    Ok(taken)
}

/// The values of an argument as JSON.
enum Values<'a> {
    /// Any values.
    Any(JsonValues<'a>),
    /// Texts that are JSON.
    Json(&'a dyn Array),
}

impl<'a> Values<'a> {
    fn new(call: &Call<'_>, index: usize, array: &'a ArrayRef) -> Result<Self> {
        let is_json = is_json(&call.fields[index]);
        Ok(if is_json && *array.data_type() == DataType::Utf8View {
            Values::Json(array.as_ref())
        } else {
            Values::Any(JsonValues::new(array.as_ref()).map_err(external)?)
        })
    }

    fn push(&self, call: &Call<'_>, row: usize, out: &mut Vec<u8>) -> Result<()> {
        match self {
            Values::Any(values) => values.push(row, out),
            Values::Json(texts) if texts.is_null(row) => out.extend_from_slice(b"null"),
            Values::Json(texts) => {
                let text = texts.as_string_view().value(row);
                let value = document(text).map_err(|error| malformed(call, text, &error))?;
                out.extend_from_slice(minified(value).as_bytes());
            }
        }
        Ok(())
    }
}

/// An argument whose type says what in it is JSON.
fn argument(call: &Call<'_>, index: usize) -> Result<ArrayRef> {
    let array = call.array(index)?;
    match array.as_list_opt::<i32>() {
        Some(lists) if has_json_items(&call.fields[index]) => {
            let (_, offsets, values, nulls) = lists.clone().into_parts();
            let values = cast(&values, &DataType::Utf8View)?;
            let item = json_field(Field::LIST_FIELD_DEFAULT_NAME);
            Ok(Arc::new(ListArray::try_new(item, offsets, values, nulls)?))
        }
        _ => Ok(array),
    }
}

fn external(error: crate::error::Error) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// Appends what was written in a row.
fn append(written: &[u8], texts: &mut StringViewBuilder) -> Result<()> {
    let text = std::str::from_utf8(written)
        .map_err(|error| exec_datafusion_err!("JSON that is not UTF-8: {error}"))?;
    texts.append_value(text);
    Ok(())
}

fn to_json(call: &Call<'_>) -> Result<ArrayRef> {
    let array = argument(call, 0)?;
    let values = Values::new(call, 0, &array)?;
    let nulls = array.logical_nulls();
    let (mut texts, mut out) = (StringViewBuilder::with_capacity(call.rows), Vec::new());
    for row in 0..call.rows {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            texts.append_null();
            continue;
        }
        out.clear();
        values.push(call, row, &mut out)?;
        append(&out, &mut texts)?;
    }
    Ok(Arc::new(texts.finish()))
}

fn json_array(call: &Call<'_>) -> Result<ArrayRef> {
    let arrays = (0..call.args.len()).map(|arg| argument(call, arg)).collect::<Result<Vec<_>>>()?;
    let columns = (arrays.iter().enumerate())
        .map(|(index, array)| Values::new(call, index, array))
        .collect::<Result<Vec<_>>>()?;
    let (mut texts, mut out) = (StringViewBuilder::with_capacity(call.rows), Vec::new());
    for row in 0..call.rows {
        out.clear();
        out.push(b'[');
        for (index, values) in columns.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            values.push(call, row, &mut out)?;
        }
        out.push(b']');
        append(&out, &mut texts)?;
    }
    Ok(Arc::new(texts.finish()))
}

fn json_object(call: &Call<'_>) -> Result<ArrayRef> {
    let arrays = (0..call.args.len()).map(|arg| argument(call, arg)).collect::<Result<Vec<_>>>()?;
    let columns = (arrays.chunks_exact(2).enumerate())
        .map(|(index, pair)| {
            let keys = JsonValues::new(pair[0].as_ref()).map_err(external)?;
            Ok((&pair[0], keys, Values::new(call, 2 * index + 1, &pair[1])?))
        })
        .collect::<Result<Vec<_>>>()?;
    let (mut texts, mut out) = (StringViewBuilder::with_capacity(call.rows), Vec::new());
    for row in 0..call.rows {
        out.clear();
        out.push(b'{');
        for (index, (key, keys, values)) in columns.iter().enumerate() {
            if key.is_null(row) {
                return exec_err!("{}: a key is NULL", call.name);
            }
            if index > 0 {
                out.push(b',');
            }
            keys.push(row, &mut out);
            out.push(b':');
            values.push(call, row, &mut out)?;
        }
        out.push(b'}');
        append(&out, &mut texts)?;
    }
    Ok(Arc::new(texts.finish()))
}
