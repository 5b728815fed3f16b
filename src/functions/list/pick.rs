//! Functions that pick values of lists by position, and make lists of numbers.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, UInt32Array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::super::define::{Call, field, scalar};
use super::super::inputs::check_size;
use super::{Lists, element_type, list_type, lists_of};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        scalar("list_select", &["array_select"], takes_positions, gives_picked, |call| {
            pick(call, |call, chosen, range| {
                let chosen = chosen.as_primitive::<Int64Type>();
                (range.map(|at| Ok(required(call, chosen, at)?.value(at)))).collect()
            })
        }),
        scalar("list_where", &["array_where"], takes_flags, gives_picked, |call| {
            pick(call, |call, chosen, range| {
                let (flags, start) = (chosen.as_boolean(), range.start);
                let mut positions = Vec::new();
                for at in range {
                    if required(call, flags, at)?.value(at) {
                        positions.push((at - start) as i64 + 1);
                    }
                }
                Ok(positions)
            })
        }),
        scalar("sequence", &[], takes_numbers, gives_numbers, sequence),
    ]
}

fn takes_two(name: &str, types: &[DataType], second: DataType) -> Result<Vec<DataType>> {
    match types {
        [list, chosen] => {
            list_type(name, chosen)?;
            Ok(vec![list_type(name, list)?, DataType::new_list(second, true)])
        }
        _ => plan_err!("{name} takes two lists, not {} arguments", types.len()),
    }
}

fn takes_positions(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    takes_two(name, types, DataType::Int64)
}

fn takes_flags(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    takes_two(name, types, DataType::Boolean)
}

/// A list of the same elements, of which any may be NULL.
fn gives_picked(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    let element = element_type(args.arg_fields[0].data_type()).unwrap_or(DataType::Null);
    Ok(field(name, DataType::new_list(element, true)))
}

/// The array, unless its value is NULL.
fn required<'a, A: Array>(call: &Call<'_>, array: &'a A, at: usize) -> Result<&'a A> {
    if array.is_null(at) {
        return exec_err!("{}: the second list has a NULL", call.name);
    }
    Ok(array)
}

/// For each row the values at the positions that `choose` finds in the second list, counted from
/// 1; NULL where there is no value.
fn pick(
    call: &Call<'_>,
    choose: impl Fn(&Call<'_>, &ArrayRef, std::ops::Range<usize>) -> Result<Vec<i64>>,
) -> Result<ArrayRef> {
    let lists = Lists::new(&call.array(0)?);
    let chosen = Lists::new(&call.array(1)?);
    let (mut picked, mut lengths, mut valid) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..lists.len() {
        let is_valid = !lists.is_null(row) && !chosen.is_null(row);
        valid.push(is_valid);
        let positions = match is_valid {
            true => choose(call, &chosen.values, chosen.range(row))?,
            false => Vec::new(),
        };
        lengths.push(positions.len());
        let range = lists.range(row);
        picked.extend(positions.into_iter().map(|position| {
            let at = usize::try_from(position.checked_sub(1)?).ok()?;
            if at < range.len() { u32::try_from(range.start + at).ok() } else { None }
        }));
    }
    let values = take(&lists.values, &UInt32Array::from(picked), None)?;
    lists_of(call.gives, values, lengths, Some(valid.into()))
}

fn takes_numbers(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let all = types.iter().all(|data_type| data_type.is_integer() || data_type.is_null());
    if !all || !(2..=3).contains(&types.len()) {
        return plan_err!(
            "{name} takes whole numbers: first, last and maybe a step; generate_series takes dates"
        );
    }
    Ok(vec![DataType::Int64; types.len()])
}

fn gives_numbers(name: &str, _: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    Ok(field(name, DataType::new_list(DataType::Int64, true)))
}

/// From the first number to the last one, up or down.
fn sequence(call: &Call<'_>) -> Result<ArrayRef> {
    let arrays = (0..call.args.len()).map(|arg| call.array(arg)).collect::<Result<Vec<_>>>()?;
    let arrays: Vec<&Int64Array> = arrays.iter().map(|array| array.as_primitive()).collect();
    let is_valid = |row: usize| arrays.iter().all(|array| array.is_valid(row));
    let valid: NullBuffer = (0..call.rows).map(is_valid).collect();
    let steps = |row: usize| match arrays.get(2) {
        Some(steps) => steps.value(row),
        None if arrays[0].value(row) <= arrays[1].value(row) => 1,
        None => -1,
    };
    let (mut lengths, mut total) = (vec![0; call.rows], 0_usize);
    for row in valid.valid_indices() {
        let (first, last, step) = (arrays[0].value(row), arrays[1].value(row), steps(row));
        if first != last && (step == 0 || (step > 0) != (first < last)) {
            return exec_err!("{}: no steps of {step} lead from {first} to {last}", call.name);
        }
        let after = if step == 0 { 0 } else { last.abs_diff(first) / step.unsigned_abs() };
        lengths[row] = usize::try_from(after).unwrap_or(usize::MAX).saturating_add(1);
        total = total.saturating_add(lengths[row]);
        check_size(call.name, total.saturating_mul(size_of::<i64>()))?;
    }
    let mut values = Vec::with_capacity(total);
    for row in valid.valid_indices() {
        let next = |at: &i64| at.checked_add(steps(row));
        let numbers = std::iter::successors(Some(arrays[0].value(row)), next);
        values.extend(numbers.take(lengths[row]));
    }
    lists_of(call.gives, Arc::new(Int64Array::from(values)), lengths, Some(valid))
}
