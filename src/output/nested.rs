//! Columns that have other columns inside: nested values become JSON text, encoded ones
//! (dictionaries, runs) the text of what they encode.

use std::io::Write;
use std::ops::Range;

use arrow::array::types::{Int16Type, Int32Type, Int64Type, RunEndIndexType};
use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field};
use arrow::error::ArrowError;
use arrow::util::display::{ArrayFormatter, FormatOptions};

use super::cells::{Cells, Form, PushText, into_text, push_json_string};
use crate::error::Result;
use crate::functions::is_json;

/// How arrow formats what is not formatted here.
const TEXT_OPTIONS: FormatOptions<'static> = FormatOptions::new();

/// Prepares a column of a nested or encoded type.
pub(super) fn prepare<'a>(array: &'a dyn Array) -> Result<(Form, PushText<'a>)> {
    Ok(match array.data_type() {
        DataType::Dictionary(_, _) => {
            let dictionary = array.as_any_dictionary();
            let values = Cells::new(dictionary.values().as_ref())?;
            let keys = if dictionary.values().is_empty() {
                Vec::new()
            } else {
                dictionary.normalized_keys()
            };
            (values.form(), boxed(move |row, out| values.push_text(keys[row], out)))
        }
        DataType::RunEndEncoded(ends, _) => match ends.data_type() {
            DataType::Int16 => prepare_runs::<Int16Type>(array)?,
            DataType::Int32 => prepare_runs::<Int32Type>(array)?,
            _ => prepare_runs::<Int64Type>(array)?,
        },
        DataType::List(item) => {
            let list = array.as_list::<i32>();
            let offsets = list.value_offsets();
            prepare_list(item, list.values(), |row| {
                offsets[row] as usize..offsets[row + 1] as usize
            })?
        }
        DataType::LargeList(item) => {
            let list = array.as_list::<i64>();
            let offsets = list.value_offsets();
            prepare_list(item, list.values(), |row| {
                offsets[row] as usize..offsets[row + 1] as usize
            })?
        }
        DataType::FixedSizeList(item, size) => {
            let size = usize::try_from(*size).unwrap_or(0);
            let values = array.as_fixed_size_list().values();
            prepare_list(item, values, move |row| row * size..(row + 1) * size)?
        }
        DataType::ListView(item) => {
            let list = array.as_list_view::<i32>();
            let (offsets, sizes) = (list.value_offsets(), list.value_sizes());
            prepare_list(item, list.values(), |row| {
                offsets[row] as usize..(offsets[row] + sizes[row]) as usize
            })?
        }
        DataType::LargeListView(item) => {
            let list = array.as_list_view::<i64>();
            let (offsets, sizes) = (list.value_offsets(), list.value_sizes());
            prepare_list(item, list.values(), |row| {
                offsets[row] as usize..(offsets[row] + sizes[row]) as usize
            })?
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let mut members = Vec::with_capacity(columns.len());
            for (field, column) in fields.iter().zip(columns) {
                let mut key = Vec::new();
                push_json_string(field.name(), &mut key);
                members.push((key, cells_of(field, column.as_ref())?));
            }
            let push = move |row, out: &mut Vec<u8>| {
                out.push(b'{');
                for (index, (key, cells)) in members.iter().enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(key);
                    out.push(b':');
                    cells.push_json(row, out);
                }
                out.push(b'}');
            };
            (Form::Nested, boxed(push))
        }
        DataType::Map(_, _) => prepare_map(array)?,
        // Unions are rare: arrow's own text will do.
        DataType::Union(_, _) => {
            let formatter = ArrayFormatter::try_new(array, &TEXT_OPTIONS)?;
            let push = move |row, out: &mut Vec<u8>| {
                // With these options a value that cannot be shown becomes a text that says so.
                write!(out, "{}", formatter.value(row)).expect("writing to a Vec does not fail");
            };
            (Form::Text, boxed(push))
        }
        other => {
            let message = format!("no text form for {other}");
            return Err(ArrowError::NotYetImplemented(message).into());
        }
    })
}

fn boxed<'a>(push: impl Fn(usize, &mut Vec<u8>) + 'a) -> PushText<'a> {
    Box::new(push)
}

fn prepare_runs<'a, R: RunEndIndexType>(array: &'a dyn Array) -> Result<(Form, PushText<'a>)> {
    let runs = array.as_run::<R>();
    let values = Cells::new(runs.values().as_ref())?;
    Ok((values.form(), boxed(move |row, out| values.push_text(runs.get_physical_index(row), out))))
}

/// The values inside of others. Texts that are JSON are put in as they are.
fn cells_of<'a>(field: &Field, values: &'a dyn Array) -> Result<Cells<'a>> {
    let cells = Cells::new(values)?;
    Ok(if cells.form() == Form::Text && is_json(field) { cells.of_json() } else { cells })
}

fn prepare_list<'a>(
    item: &Field,
    elements: &'a dyn Array,
    bounds: impl Fn(usize) -> Range<usize> + 'a,
) -> Result<(Form, PushText<'a>)> {
    let elements = cells_of(item, elements)?;
    let push = move |row, out: &mut Vec<u8>| {
        out.push(b'[');
        for (index, element) in bounds(row).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            elements.push_json(element, out);
        }
        out.push(b']');
    };
    Ok((Form::Nested, boxed(push)))
}

fn prepare_map<'a>(array: &'a dyn Array) -> Result<(Form, PushText<'a>)> {
    let map = array.as_map();
    let offsets = map.value_offsets();
    let keys = Cells::new(map.keys().as_ref())?;
    let values = match map.entries().fields().last() {
        Some(field) => cells_of(field, map.values().as_ref())?,
        None => Cells::new(map.values().as_ref())?,
    };
    let push = move |row: usize, out: &mut Vec<u8>| {
        out.push(b'{');
        for (index, entry) in (offsets[row] as usize..offsets[row + 1] as usize).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            // The keys of an object are strings, whatever the keys of the map are.
            let mut key = Vec::new();
            keys.push_text(entry, &mut key);
            push_json_string(&into_text(key), out);
            out.push(b':');
            values.push_json(entry, out);
        }
        out.push(b'}');
    };
    Ok((Form::Nested, boxed(push)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, DictionaryArray, Int32Array, Int32RunArray, Int64Builder, ListArray, MapBuilder,
        StringArray, StringBuilder, StructArray,
    };
    use arrow::datatypes::Int8Type;

    use super::super::test_support::{json, texts};
    use super::*;

    #[test]
    fn encoded_columns_are_looked_through() {
        let dictionary: DictionaryArray<Int8Type> =
            [Some("a"), None, Some("b"), Some("a")].into_iter().collect();
        assert_eq!(texts(&dictionary), ["a", "-", "b", "a"]);
        assert_eq!(texts(&dictionary.slice(2, 2)), ["b", "a"]);
        let nothing: DictionaryArray<Int8Type> = [None::<&str>, None].into_iter().collect();
        assert_eq!(texts(&nothing), ["-", "-"]);
        let runs = Int32RunArray::try_new(
            &Int32Array::from(vec![2, 3]),
            &Int32Array::from(vec![Some(7), None]),
        )
        .unwrap();
        assert_eq!(texts(&runs), ["7", "7", "-"]);
        assert_eq!(json(&runs.slice(1, 2)), "7 null");
    }

    #[test]
    fn nested_values_are_json() {
        let list = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
            Some(vec![Some(1), None]),
            None,
            Some(vec![]),
        ]);
        assert_eq!(texts(&list), ["[1,null]", "-", "[]"]);
        assert_eq!(json(&list.slice(1, 2)), "null []");
        let names: ArrayRef = Arc::new(StringArray::from(vec![Some("x \"y\""), None]));
        let ages: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
        let person = StructArray::from(vec![
            (Arc::new(Field::new("name", DataType::Utf8, true)), names),
            (Arc::new(Field::new("age", DataType::Int32, false)), ages),
        ]);
        assert_eq!(texts(&person), [r#"{"name":"x \"y\"","age":1}"#, r#"{"name":null,"age":2}"#]);
        let mut map = MapBuilder::new(None, StringBuilder::new(), Int64Builder::new());
        map.keys().append_value("k");
        map.values().append_value(5);
        map.append(true).unwrap();
        map.append(false).unwrap();
        assert_eq!(texts(&map.finish()), [r#"{"k":5}"#, "-"]);
    }
}
