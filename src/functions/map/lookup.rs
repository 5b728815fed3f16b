//! Functions that look something up in maps.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::{DataType, FieldRef};
use arrow::row::Rows;
use datafusion::common::{internal_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::type_coercion::binary::comparison_coercion;
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::super::define::{Call, field, gives_flag, scalar};
use super::super::list::{element_at, element_type, list_type, lists_of};
use super::super::rows::comparable_pair;
use super::{Maps, key_and_value};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        scalar("map_contains", &["map_contains_key"], takes_key, gives_flag, |call| {
            contains(call, |maps| &maps.keys)
        }),
        scalar("map_contains_value", &[], takes_value, gives_flag, |call| {
            contains(call, |maps| &maps.values)
        }),
        scalar("map_contains_entry", &[], takes_entry, gives_flag, contains_entry),
        scalar("map_extract_value", &[], takes_key, gives_value, found_value),
        scalar("try_element_at", &[], takes_key_or_position, gives_found, found_value),
        scalar("element_at", &[], takes_key_or_position, gives_found_or_list, found_or_list),
    ]
}

/// A map, and values to compare with those of the types that `others` takes of its keys and
/// values.
fn takes_and(
    name: &str,
    types: &[DataType],
    others: fn(DataType, DataType) -> Vec<DataType>,
) -> Result<Vec<DataType>> {
    let Some((map, given)) = types.split_first() else {
        return plan_err!("{name} takes a map");
    };
    if map.is_null() {
        return Ok(types.to_vec());
    }
    let (key, value) = key_and_value(name, map)?;
    let known = others(key, value);
    if given.len() != known.len() {
        return plan_err!("{name} takes {} arguments, not {}", known.len() + 1, types.len());
    }
    let wanted = known.into_iter().zip(given).map(|(known, given)| wanted(name, known, given));
    std::iter::once(Ok(map.clone())).chain(wanted).collect()
}

/// The type of a value that is looked for among others: its own, if they can be compared, so that
/// it is not cut to theirs. Texts are read as one of theirs.
fn wanted(name: &str, known: DataType, given: &DataType) -> Result<DataType> {
    if given.is_null() || given.is_string() {
        return Ok(known);
    }
    match comparison_coercion(&known, given) {
        Some(_) => Ok(given.clone()),
        None => plan_err!("{name}: no value of type {given} is among those of type {known}"),
    }
}

fn takes_key(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    takes_and(name, types, |key, _| vec![key])
}

fn takes_value(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    takes_and(name, types, |_, value| vec![value])
}

fn takes_entry(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    takes_and(name, types, |key, value| vec![key, value])
}

fn takes_key_or_position(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [DataType::Map(_, _) | DataType::Null, ..] => takes_key(name, types),
        [list, position] if position.is_integer() || position.is_null() => {
            Ok(vec![list_type(name, list)?, DataType::Int64])
        }
        _ => plan_err!("{name} takes a map and a key, or a list and a position"),
    }
}

fn gives_value(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let map = args.arg_fields[0].data_type();
    if map.is_null() {
        return Ok(field(name, DataType::Null));
    }
    Ok(field(name, key_and_value(name, map)?.1))
}

fn gives_found(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    match element_type(args.arg_fields[0].data_type()) {
        Some(element) => Ok(field(name, element)),
        None => gives_value(name, args),
    }
}

fn gives_found_or_list(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let value = gives_found(name, args)?;
    Ok(match args.arg_fields[0].data_type() {
        DataType::Map(_, _) => field(name, DataType::new_list(value.data_type().clone(), true)),
        _ => value,
    })
}

/// The result if the first argument is a bare NULL.
fn nulls_of_null(call: &Call<'_>) -> Result<Option<ArrayRef>> {
    let is_null = call.fields[0].data_type().is_null();
    Ok(is_null.then(|| new_null_array(call.gives, call.rows)))
}

/// For each row the first entry where `column` has the wanted value.
fn places(maps: &Maps, column: &ArrayRef, wanted: &ArrayRef) -> Result<Vec<Option<u32>>> {
    let [known, rows] = comparable_rows(column, wanted)?;
    let nulls = wanted.logical_nulls();
    Ok((0..maps.entries.len())
        .map(|row| {
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                return None;
            }
            let found = maps.entries.range(row).find(|at| known.row(*at) == rows.row(row));
            found.and_then(|at| u32::try_from(at).ok())
        })
        .collect())
}

/// Both as rows of one type.
fn comparable_rows(known: &ArrayRef, wanted: &ArrayRef) -> Result<[Rows; 2]> {
    match comparable_pair(known, wanted)? {
        Some(pair) => Ok(pair),
        None => internal_err!("{} among {}", wanted.data_type(), known.data_type()),
    }
}

fn contains(call: &Call<'_>, column: fn(&Maps) -> &ArrayRef) -> Result<ArrayRef> {
    if let Some(nulls) = nulls_of_null(call)? {
        return Ok(nulls);
    }
    let maps = Maps::new(&call.array(0)?);
    let wanted = call.array(1)?;
    let nulls = wanted.logical_nulls();
    let found = places(&maps, column(&maps), &wanted)?;
    let flags = found.into_iter().enumerate().map(|(row, found)| {
        let known = !nulls.as_ref().is_some_and(|nulls| nulls.is_null(row));
        (known && !maps.entries.is_null(row)).then_some(found.is_some())
    });
    Ok(Arc::new(flags.collect::<BooleanArray>()))
}

fn contains_entry(call: &Call<'_>) -> Result<ArrayRef> {
    if let Some(nulls) = nulls_of_null(call)? {
        return Ok(nulls);
    }
    let maps = Maps::new(&call.array(0)?);
    let (key, value) = (call.array(1)?, call.array(2)?);
    let found = places(&maps, &maps.keys, &key)?;
    let [values, wanted] = comparable_rows(&maps.values, &value)?;
    let flags = found.into_iter().enumerate().map(|(row, found)| {
        let known = key.is_valid(row) && value.is_valid(row) && !maps.entries.is_null(row);
        let same = found.is_some_and(|at| values.row(at as usize) == wanted.row(row));
        known.then_some(same)
    });
    Ok(Arc::new(flags.collect::<BooleanArray>()))
}

/// The value of a key or at a position.
fn found_value(call: &Call<'_>) -> Result<ArrayRef> {
    if let Some(nulls) = nulls_of_null(call)? {
        return Ok(nulls);
    }
    if !matches!(call.fields[0].data_type(), DataType::Map(_, _)) {
        return element_at(call);
    }
    let maps = Maps::new(&call.array(0)?);
    let found = places(&maps, &maps.keys, &call.array(1)?)?;
    Ok(take(&maps.values, &UInt32Array::from(found), None)?)
}

/// The value at a position, or a list with the value of a key or nothing.
fn found_or_list(call: &Call<'_>) -> Result<ArrayRef> {
    if !matches!(call.fields[0].data_type(), DataType::Map(_, _)) {
        return found_value(call);
    }
    let maps = Maps::new(&call.array(0)?);
    let found = places(&maps, &maps.keys, &call.array(1)?)?;
    let lengths: Vec<usize> = found.iter().map(|found| usize::from(found.is_some())).collect();
    let found: UInt32Array = found.into_iter().flatten().collect::<Vec<_>>().into();
    let values = take(&maps.values, &found, None)?;
    lists_of(call.gives, values, lengths, maps.entries.nulls)
}
