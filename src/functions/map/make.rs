//! Functions that make maps.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::{SortOptions, interleave};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::type_coercion::binary::type_union_resolution;
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::super::define::{Call, field, gives_first, scalar};
use super::super::list::{Lists, element_type, list_type};
use super::super::rows::comparable;
use super::{Maps, check_keys, key_and_value, map_type, maps_of};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        scalar("map_from_entries", &[], takes_entries, gives_map_of_entries, map_from_entries),
        scalar("map_concat", &[], takes_maps, gives_first, map_concat),
    ]
}

/// The types of the two fields of a list's structs.
fn entry_types(name: &str, list: &DataType) -> Result<(DataType, DataType)> {
    match element_type(list) {
        Some(DataType::Struct(fields)) if fields.len() == 2 => {
            Ok((fields[0].data_type().clone(), fields[1].data_type().clone()))
        }
        _ => plan_err!("{name} takes a list of structs of a key and a value, not {list}"),
    }
}

fn takes_entries(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let [list] = types else {
        return plan_err!("{name} takes one list, not {} arguments", types.len());
    };
    entry_types(name, list)?;
    Ok(vec![list_type(name, list)?])
}

fn gives_map_of_entries(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let (key, value) = entry_types(name, args.arg_fields[0].data_type())?;
    Ok(field(name, map_type(key, value)))
}

fn map_from_entries(call: &Call<'_>) -> Result<ArrayRef> {
    let entries = Lists::new(&call.array(0)?);
    let structs = entries.values.as_struct();
    if structs.null_count() > 0 {
        return exec_err!("{}: an entry is NULL", call.name);
    }
    check_keys(call.name, &entries, structs.column(0))?;
    let (keys, values) = (structs.column(0), structs.column(1));
    maps_of(call.gives, keys, values, entries.lengths(), entries.nulls.clone())
}

/// Maps of the type that holds the keys and values of all.
fn takes_maps(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let maps: Vec<&DataType> = types.iter().filter(|data_type| !data_type.is_null()).collect();
    let Some(first) = maps.first() else {
        return plan_err!("{name} takes maps");
    };
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    for map in &maps {
        let (key, value) = key_and_value(name, map)?;
        keys.push(key);
        values.push(value);
    }
    if maps.iter().all(|map| map == first) {
        return Ok(vec![(*first).clone(); types.len()]);
    }
    let (Some(key), Some(value)) = (type_union_resolution(&keys), type_union_resolution(&values))
    else {
        return plan_err!("{name}: the maps have keys or values of types that do not go together");
    };
    Ok(vec![map_type(key, value); types.len()])
}

/// The entries of all maps; of equal keys the last value, at the place of the first one. NULL only
/// if all maps are.
fn map_concat(call: &Call<'_>) -> Result<ArrayRef> {
    let maps = (0..call.args.len())
        .map(|arg| Ok(Maps::new(&call.array(arg)?)))
        .collect::<Result<Vec<_>>>()?;
    let keys: Vec<&ArrayRef> = maps.iter().map(|maps| &maps.keys).collect();
    let keys = comparable(&keys, SortOptions::default())?;
    let (mut picked, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    let mut places = HashMap::new();
    for row in 0..call.rows {
        places.clear();
        let before = picked.len();
        for (arg, maps) in maps.iter().enumerate() {
            for at in maps.entries.range(row) {
                let place = *places.entry(keys[arg].row(at)).or_insert(picked.len());
                if place == picked.len() {
                    picked.push((arg, at));
                } else {
                    picked[place] = (arg, at);
                }
            }
        }
        lengths.push(picked.len() - before);
        valid.push(!maps.iter().all(|maps| maps.entries.is_null(row)));
    }
    let picked_of = |column: fn(&Maps) -> &ArrayRef| {
        let columns: Vec<&dyn Array> = maps.iter().map(|maps| column(maps).as_ref()).collect();
        interleave(&columns, &picked)
    };
    let (keys, values) = (picked_of(|maps| &maps.keys)?, picked_of(|maps| &maps.values)?);
    maps_of(call.gives, &keys, &values, lengths, Some(valid.into()))
}
