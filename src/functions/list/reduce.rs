//! `list_reduce(list, (result, x) -> …[, initial])`, and Spark's `aggregate(list, initial,
//! (result, x) -> …[, result -> …])`.
//!
//! The lambda is called once for all rows' first values, once for their second ones, and so on.

use std::cmp::Reverse;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array, UInt32Array, new_null_array};
use arrow::compute::{CastOptions, cast_with_options, concat, nullif, take, take_arrays};
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

/// The digits behind the point of a decimal.
fn scale(data_type: &DataType) -> i8 {
    match data_type {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => *scale,
        _ => 0,
    }
}

/// The type in which results are kept of which a lambda makes the type `merged`. Those of decimals
/// have more digits with each step. If they have more behind the point too, as products have, they
/// are kept with those of the first result and of the elements.
fn kept(first: &DataType, element: &DataType, merged: &DataType) -> DataType {
    let (first, element) = (scale(first), scale(element));
    let wanted = if scale(merged) > first { first.saturating_add(element) } else { first };
    let of_most = |most: u8| {
        // What the lambda makes of the result must have room too.
        let room = i8::try_from(most).unwrap_or(i8::MAX).saturating_sub(element);
        wanted.min(room).max(first)
    };
    match merged {
        DataType::Decimal256(..) => {
            DataType::Decimal256(DECIMAL256_MAX_PRECISION, of_most(DECIMAL256_MAX_PRECISION))
        }
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) => {
            DataType::Decimal128(DECIMAL128_MAX_PRECISION, of_most(DECIMAL128_MAX_PRECISION))
        }
        other => other.clone(),
    }
}

/// The type of the first result: that of the initial value, or of the first element.
fn first_type(list: &DataType, initial: Option<&DataType>) -> DataType {
    match initial.filter(|initial| !initial.is_null()) {
        Some(initial) => initial.clone(),
        None => super::element_type(list).unwrap_or(DataType::Null),
    }
}

/// Values cast, or an error for those that do not fit.
fn cast(name: &str, values: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    let strict = CastOptions { safe: false, ..CastOptions::default() };
    cast_with_options(values, to, &strict).map_err(|error| exec_datafusion_err!("{name}: {error}"))
}

/// The result so far, the value and its position. The type of the result is first that of the
/// initial or first value, then the one that the lambda makes of it.
fn parameters(name: &str, args: &Arguments) -> Result<LambdaParametersProgress> {
    let places = Places::new(name, args)?;
    let ValueOrLambda::Value(list) = &args[0] else {
        return plan_err!("{name} takes a list first");
    };
    let list = list.data_type();
    let initial = match places.initial.map(|at| &args[at]) {
        Some(ValueOrLambda::Value(initial)) => Some(initial.data_type()),
        _ => None,
    };
    let first = first_type(list, initial);
    let element = super::element_type(list).unwrap_or(DataType::Null);
    let with_result = |merged: &DataType| -> Result<(FieldRef, Vec<FieldRef>)> {
        let result = field("result", kept(&first, &element, merged));
        let elements = element_fields(name, list)?;
        Ok((Arc::clone(&result), std::iter::once(result).chain(elements).collect()))
    };
    if let ValueOrLambda::Lambda(Some(merged)) = &args[places.merge] {
        let (result, parameters) = with_result(merged.data_type())?;
        let finish = places.finish.map(|_| vec![result]);
        return Ok(LambdaParametersProgress::Complete(
            std::iter::once(parameters).chain(finish).collect(),
        ));
    }
    let mut all = vec![Some(with_result(&first)?.1)];
    if places.finish.is_some() {
        all.push(None);
    }
    Ok(LambdaParametersProgress::Partial(all))
}

/// The initial value is cast to the type of the result. For a decimal, that follows from the type it
/// has, so it must keep this.
fn fits(args: &[ValueOrLambda<DataType, DataType>]) -> Option<Vec<DataType>> {
    let places = Places::new("", args).ok()?;
    let (ValueOrLambda::Value(list), ValueOrLambda::Lambda(merged)) =
        (&args[0], &args[places.merge])
    else {
        return None;
    };
    if merged.is_decimal() {
        return None;
    }
    places.initial.map(|_| vec![list.clone(), merged.clone()])
}

fn gives(name: &str, args: &[ValueOrLambda<FieldRef, FieldRef>]) -> Result<FieldRef> {
    let places = Places::new(name, args)?;
    let data_type = match places.finish.map(|at| &args[at]) {
        Some(ValueOrLambda::Value(last) | ValueOrLambda::Lambda(last)) => last.data_type().clone(),
        None => result_type(name, &places, args)?,
    };
    Ok(field(name, data_type))
}

/// The type of the results before the last lambda.
fn result_type(
    name: &str,
    places: &Places,
    args: &[ValueOrLambda<FieldRef, FieldRef>],
) -> Result<DataType> {
    let (ValueOrLambda::Value(list), ValueOrLambda::Lambda(merged)) =
        (&args[0], &args[places.merge])
    else {
        return plan_err!("{name} takes a list and a lambda");
    };
    let initial = match places.initial.map(|at| &args[at]) {
        Some(ValueOrLambda::Value(initial)) => Some(initial.data_type()),
        _ => None,
    };
    let list = list.data_type();
    let element = super::element_type(list).unwrap_or(DataType::Null);
    Ok(kept(&first_type(list, initial), &element, merged.data_type()))
}

fn computes(name: &str, args: &HigherOrderFunctionArgs) -> Result<ArrayRef> {
    let places = Places::new(name, &args.args)?;
    let result_type = result_type(name, &places, &args.arg_fields)?;
    let lists = Lists::new(&value_of(args, 0)?);
    let initial = match places.initial {
        Some(at) => Some(cast(name, &value_of(args, at)?, &result_type)?),
        None => None,
    };
    let merge = lambda_of(args, places.merge)?;
    let mut results = reduced(name, &lists, merge, initial, &result_type)?;
    if let Some(at) = places.finish {
        let result = lambda_of(args, at)?
            .evaluate(&[&|| Ok(Arc::clone(&results))], |captured| Ok(captured.to_vec()))?;
        results = result.into_array(lists.len())?;
    }
    let results = cast(name, &results, args.return_type())?;
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
            cast(name, &take(&lists.values, &first.collect::<UInt32Array>(), None)?, result_type)?
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
        results = cast(name, &merged.into_array(active)?, result_type)?;
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
