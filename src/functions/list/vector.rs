//! Lists as vectors of numbers: products, angles and distances.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, FieldRef, Float64Type};
use datafusion::common::{exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::super::define::{Call, field, scalar};
use super::{Lists, element_type};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        scalar(
            "list_inner_product",
            &["list_dot_product", "array_inner_product", "array_dot_product"],
            takes,
            gives,
            |call| of_pairs(call, inner_product),
        ),
        scalar(
            "list_negative_inner_product",
            &[
                "list_negative_dot_product",
                "array_negative_inner_product",
                "array_negative_dot_product",
            ],
            takes,
            gives,
            |call| of_pairs(call, |a, b| -inner_product(a, b)),
        ),
        scalar(
            "list_cosine_similarity",
            &["array_cosine_similarity", "cosine_similarity"],
            takes,
            gives,
            |call| of_pairs(call, cosine),
        ),
        scalar("list_cosine_distance", &["array_cosine_distance"], takes, gives, |call| {
            of_pairs(call, |a, b| 1.0 - cosine(a, b))
        }),
        scalar("list_distance", &["array_distance"], takes, gives, |call| {
            of_pairs(call, |a, b| {
                a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
            })
        }),
    ]
}

fn inner_product(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let lengths = (inner_product(a, a) * inner_product(b, b)).sqrt();
    (inner_product(a, b) / lengths).clamp(-1.0, 1.0)
}

fn takes(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    let numbers = |data_type: &DataType| {
        element_type(data_type).is_some_and(|element| element.is_numeric() || element.is_null())
    };
    match types {
        [a, b] if numbers(a) && numbers(b) => {
            Ok(vec![DataType::new_list(DataType::Float64, true); 2])
        }
        _ => plan_err!("{name} takes two lists of numbers"),
    }
}

fn gives(name: &str, _: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    Ok(field(name, DataType::Float64))
}

fn of_pairs(call: &Call<'_>, compute: impl Fn(&[f64], &[f64]) -> f64) -> Result<ArrayRef> {
    let (left, right) = (Lists::new(&call.array(0)?), Lists::new(&call.array(1)?));
    let left_values = left.values.as_primitive::<Float64Type>();
    let right_values = right.values.as_primitive::<Float64Type>();
    let results = (0..left.len()).map(|row| {
        if left.is_null(row) || right.is_null(row) {
            return Ok(None);
        }
        let (a, b) = (left.range(row), right.range(row));
        if a.len() != b.len() {
            let (a, b) = (a.len(), b.len());
            return exec_err!("{}: lists of different lengths, {a} and {b}", call.name);
        }
        for (values, range) in [(left_values, &a), (right_values, &b)] {
            if values.slice(range.start, range.len()).null_count() > 0 {
                return exec_err!("{}: a list has a NULL", call.name);
            }
        }
        Ok(Some(compute(&left_values.values()[a], &right_values.values()[b])))
    });
    Ok(Arc::new(results.collect::<Result<Float64Array>>()?))
}
