//! Functions that call a lambda for each entry of a map, with its key and its value.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::compute::{filter, take_arrays};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::{
    HigherOrderFunctionArgs, HigherOrderUDF, LambdaParametersProgress, ValueOrLambda,
};

use super::super::define::field;
use super::super::lambda::{Arguments, Computes, Definition, Gives, fits_all, lambda_of, value_of};
use super::super::list::{flags, kept_lengths, require_condition, rows_of};
use super::{Maps, check_keys, key_and_value, map_type, maps_of};

pub(super) fn functions() -> Vec<Arc<HigherOrderUDF>> {
    let of_each = |name, aliases, gives: Gives, computes: Computes| {
        Definition { name, aliases, takes, parameters, fits: fits_all, gives, computes }.build()
    };
    vec![
        of_each("map_filter", &[], gives_filtered, keep),
        of_each("transform_keys", &["map_transform_keys"], gives_new_keys, new_keys),
        of_each("transform_values", &["map_transform_values"], gives_new_values, new_values),
    ]
}

fn takes(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [map] => key_and_value(name, map).map(|_| types.to_vec()),
        _ => plan_err!("{name} takes a map and a lambda, such as (k, v) -> v > 1"),
    }
}

fn parameters(name: &str, args: &Arguments) -> Result<LambdaParametersProgress> {
    match args {
        [ValueOrLambda::Value(map), ValueOrLambda::Lambda(_)] => {
            let (key, value) = key_and_value(name, map.data_type())?;
            let entry = vec![field("key", key), field("value", value)];
            Ok(LambdaParametersProgress::Complete(vec![entry]))
        }
        _ => plan_err!("{name} takes a map and a lambda, such as (k, v) -> v > 1"),
    }
}

type Fields<'a> = &'a [ValueOrLambda<FieldRef, FieldRef>];

fn map_and_lambda<'a>(name: &str, args: Fields<'a>) -> Result<(&'a FieldRef, &'a FieldRef)> {
    match args {
        [ValueOrLambda::Value(map), ValueOrLambda::Lambda(lambda)] => Ok((map, lambda)),
        _ => plan_err!("{name} takes a map and a lambda, such as (k, v) -> v > 1"),
    }
}

fn gives_filtered(name: &str, args: Fields<'_>) -> Result<FieldRef> {
    let (map, lambda) = map_and_lambda(name, args)?;
    require_condition(name, lambda)?;
    Ok(field(name, map.data_type().clone()))
}

fn gives_new_keys(name: &str, args: Fields<'_>) -> Result<FieldRef> {
    let (map, lambda) = map_and_lambda(name, args)?;
    let (_, value) = key_and_value(name, map.data_type())?;
    Ok(field(name, map_type(lambda.data_type().clone(), value)))
}

fn gives_new_values(name: &str, args: Fields<'_>) -> Result<FieldRef> {
    let (map, lambda) = map_and_lambda(name, args)?;
    let (key, _) = key_and_value(name, map.data_type())?;
    Ok(field(name, map_type(key, lambda.data_type().clone())))
}

/// What the lambda gives for each entry.
fn each(args: &HigherOrderFunctionArgs, maps: &Maps) -> Result<ArrayRef> {
    let result = lambda_of(args, 1)?.evaluate(
        &[&|| Ok(Arc::clone(&maps.keys)), &|| Ok(Arc::clone(&maps.values))],
        |captured| Ok(take_arrays(captured, &rows_of(&maps.entries)?, None)?),
    )?;
    result.into_array(maps.keys.len())
}

fn keep(_: &str, args: &HigherOrderFunctionArgs) -> Result<ArrayRef> {
    let maps = Maps::new(&value_of(args, 0)?);
    let flags = flags(&each(args, &maps)?)?;
    let (keys, values) = (filter(&maps.keys, &flags)?, filter(&maps.values, &flags)?);
    let lengths: Vec<_> = kept_lengths(&maps.entries, &flags).collect();
    maps_of(args.return_type(), &keys, &values, lengths, maps.entries.nulls)
}

fn new_keys(name: &str, args: &HigherOrderFunctionArgs) -> Result<ArrayRef> {
    let maps = Maps::new(&value_of(args, 0)?);
    let keys = each(args, &maps)?;
    check_keys(name, &maps.entries, &keys)?;
    let lengths = maps.entries.lengths();
    maps_of(args.return_type(), &keys, &maps.values, lengths, maps.entries.nulls)
}

fn new_values(_: &str, args: &HigherOrderFunctionArgs) -> Result<ArrayRef> {
    let maps = Maps::new(&value_of(args, 0)?);
    let values = each(args, &maps)?;
    let lengths = maps.entries.lengths();
    maps_of(args.return_type(), &maps.keys, &values, lengths, maps.entries.nulls)
}
