//! `list_reduce(list, (result, x) -> …[, initial])`, and Spark's `aggregate(list, initial,
//! (result, x) -> …[, result -> …])`.
//!
//! The lambda is called once for all rows' first values, once for their second ones, and so on.

use std::cmp::Reverse;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, UInt32Array, new_null_array};
use arrow::compute::{cast, concat, nullif, take, take_arrays};
use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, FieldRef};
use datafusion::common::{exec_datafusion_err, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    HigherOrderFunctionArgs, HigherOrderUDF, LambdaArgument, LambdaParametersProgress,
    ValueOrLambda,
};

use super::super::define::field;
use super::super::lambda::{Arguments, Definition, lambda_of, value_of};
use super::lambda::element_fields;
use super::{Lists, list_type};

pub(super) fn functions() -> Vec<Arc<HigherOrderUDF>> {
    let definition = Definition {
        name: "list_reduce",
        aliases: &["array_reduce", "reduce", "aggregate", "list_fold"],
        takes,
        parameters,
        fits,
        gives,
        computes,
    };
    vec![definition.build()]
}

/// Where the arguments are that may be in different places.
struct Places {
    merge: usize,
    initial: Option<usize>,
    finish: Option<usize>,
}

impl Places {
    fn new<V, L>(name: &str, args: &[ValueOrLambda<V, L>]) -> Result<Self> {
        use ValueOrLambda::{Lambda, Value};
        let (merge, initial, finish) = match args {
            [Value(_), Lambda(_)] => (1, None, None),
            [Value(_), Lambda(_), Value(_)] => (1, Some(2), None),
            [Value(_), Value(_), Lambda(_)] => (2, Some(1), None),
            [Value(_), Value(_), Lambda(_), Lambda(_)] => (2, Some(1), Some(3)),
            _ => {
                return plan_err!(
                    "{name} takes a list, a lambda such as (a, x) -> a + x, and maybe an initial \
                     value"
                );
            }
        };
        Ok(Places { merge, initial, finish })
    }
}

fn takes(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    match types {
        [list] => Ok(vec![list_type(name, list)?]),
        [list, initial] => Ok(vec![list_type(name, list)?, initial.clone()]),
        _ => plan_err!("{name} takes a list, a lambda and maybe an initial value"),
    }
}

/// The type in which results are kept: sums of decimals get more digits with each step.
fn kept(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Decimal128(_, scale) => DataType::Decimal128(DECIMAL128_MAX_PRECISION, *scale),
        DataType::Decimal256(_, scale) => DataType::Decimal256(DECIMAL256_MAX_PRECISION, *scale),
        other => other.clone(),
    }
}

/// The result so far, the value and its position. The type of the result is first that of the
/// initial or first value, then the one that the lambda makes of it.
fn parameters(name: &str, args: &Arguments) -> Result<LambdaParametersProgress> {
    let places = Places::new(name, args)?;
    let ValueOrLambda::Value(list) = &args[0] else {
        return plan_err!("{name} takes a list first");
    };
    let with_result = |result: &DataType| -> Result<Vec<FieldRef>> {
        let elements = element_fields(name, list.data_type())?;
        Ok(std::iter::once(field("result", kept(result))).chain(elements).collect())
    };
    if let ValueOrLambda::Lambda(Some(merged)) = &args[places.merge] {
        let mut all = vec![with_result(merged.data_type())?];
        if places.finish.is_some() {
            all.push(vec![field("result", kept(merged.data_type()))]);
        }
        return Ok(LambdaParametersProgress::Complete(all));
    }
    let first = match places.initial.map(|at| &args[at]) {
        Some(ValueOrLambda::Value(initial)) if !initial.data_type().is_null() => {
            initial.data_type().clone()
        }
        _ => super::element_type(list.data_type()).unwrap_or(DataType::Null),
    };
    let mut all = vec![Some(with_result(&first)?)];
    if places.finish.is_some() {
        all.push(None);
    }
    Ok(LambdaParametersProgress::Partial(all))
}

/// The initial value is cast to the type of the result.
fn fits(args: &[ValueOrLambda<DataType, DataType>]) -> Option<Vec<DataType>> {
    let places = Places::new("", args).ok()?;
    let (ValueOrLambda::Value(list), ValueOrLambda::Lambda(merged)) =
        (&args[0], &args[places.merge])
    else {
        return None;
    };
    places.initial.map(|_| vec![list.clone(), kept(merged)])
}

fn gives(name: &str, args: &[ValueOrLambda<FieldRef, FieldRef>]) -> Result<FieldRef> {
    let places = Places::new(name, args)?;
    let (ValueOrLambda::Value(last) | ValueOrLambda::Lambda(last)) =
        &args[places.finish.unwrap_or(places.merge)];
    let data_type = match places.finish {
        Some(_) => last.data_type().clone(),
        None => kept(last.data_type()),
    };
    Ok(field(name, data_type))
}

fn computes(name: &str, args: &HigherOrderFunctionArgs) -> Result<ArrayRef> {
    let places = Places::new(name, &args.args)?;
    let ValueOrLambda::Lambda(merged) = &args.arg_fields[places.merge] else {
        return plan_err!("{name} takes a lambda");
    };
    let result_type = kept(merged.data_type());
    let lists = Lists::new(&value_of(args, 0)?);
    let initial = match places.initial {
        Some(at) => Some(cast(&value_of(args, at)?, &result_type)?),
        None => None,
    };
    let merge = lambda_of(args, places.merge)?;
    let mut results = reduced(name, &lists, merge, initial, &result_type)?;
    if let Some(at) = places.finish {
        let result = lambda_of(args, at)?
            .evaluate(&[&|| Ok(Arc::clone(&results))], |captured| Ok(captured.to_vec()))?;
        results = result.into_array(lists.len())?;
    }
    let results = cast(&results, args.return_type())?;
    match &lists.nulls {
        None => Ok(results),
        Some(nulls) => Ok(nullif(&results, &BooleanArray::from(!nulls.inner()))?),
    }
}

/// The result of each row.
fn reduced(
    name: &str,
    lists: &Lists,
    merge: &LambdaArgument,
    initial: Option<ArrayRef>,
    result_type: &DataType,
) -> Result<ArrayRef> {
    // The longest lists come first, so that those that still go on are always the first ones.
    let mut order: Vec<usize> = (0..lists.len()).collect();
    order.sort_by_key(|row| Reverse(lists.range(*row).len()));
    let length = |place: usize| order.get(place).map_or(0, |row| lists.range(*row).len());

    let mut results = match &initial {
        Some(initial) => take(initial, &numbers(order.iter().copied())?, None)?,
        None => {
            let rows = 0..lists.len();
            if rows.into_iter().any(|row| !lists.is_null(row) && lists.range(row).is_empty()) {
                return exec_err!(
                    "{name}: an empty list has no first value; give an initial value"
                );
            }
            let first = order.iter().map(|row| {
                let range = lists.range(*row);
                u32::try_from(range.start).ok().filter(|_| !range.is_empty())
            });
            cast(&take(&lists.values, &first.collect::<UInt32Array>(), None)?, result_type)?
        }
    };
    let mut finished = Vec::new();
    let mut active = order.len();
    for position in usize::from(initial.is_none())..length(0) {
        let still = order[..active].partition_point(|row| lists.range(*row).len() > position);
        finished.push(results.slice(still, active - still));
        active = still;
        let so_far = results.slice(0, active);
        let rows = &order[..active];
        let elements = numbers(rows.iter().map(|row| lists.range(*row).start + position))?;
        let elements = take(&lists.values, &elements, None)?;
        let merged = merge.evaluate(
            &[&|| Ok(Arc::clone(&so_far)), &|| Ok(Arc::clone(&elements)), &|| {
                Ok(Arc::new(Int64Array::from_value(position as i64 + 1, active)) as ArrayRef)
            }],
            |captured| Ok(take_arrays(captured, &numbers(rows.iter().copied())?, None)?),
        )?;
        results = cast(&merged.into_array(active)?, result_type)?;
    }
    finished.push(results);
    finished.reverse();
    if lists.len() == 0 {
        return Ok(new_null_array(result_type, 0));
    }
    let parts: Vec<&dyn Array> = finished.iter().map(AsRef::as_ref).collect();
    let mut back = vec![0; order.len()];
    for (place, row) in order.iter().enumerate() {
        back[*row] = place;
    }
    Ok(take(&concat(&parts)?, &numbers(back.into_iter())?, None)?)
}

fn numbers(places: impl Iterator<Item = usize>) -> Result<UInt32Array> {
    let numbers = places.map(|place| {
        u32::try_from(place).map_err(|_| exec_datafusion_err!("too many elements in one batch"))
    });
    Ok(numbers.collect::<Result<Vec<_>>>()?.into())
}
