//! Functions that call a lambda for each value of a list, with the value and its position.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, UInt32Array};
use arrow::compute::{filter, take_arrays};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{exec_datafusion_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{
    HigherOrderFunctionArgs, HigherOrderUDF, LambdaArgument, LambdaParametersProgress,
    ValueOrLambda,
};

use super::super::define::field;
use super::super::lambda::{Arguments, Computes, Definition, Gives, fits_all, lambda_of, value_of};
use super::{Lists, element_type, lists_of, takes_list};

pub(super) fn functions() -> Vec<Arc<HigherOrderUDF>> {
    let of_each = |name, aliases, gives: Gives, computes: Computes| {
        let takes = takes_list;
        Definition { name, aliases, takes, parameters, fits: fits_all, gives, computes }.build()
    };
    vec![
        of_each(
            "list_transform",
            &["array_transform", "list_apply", "array_apply", "apply", "transform"],
            gives_transformed,
            transform,
        ),
        of_each("list_filter", &["array_filter", "filter"], gives_filtered, keep),
        of_each("list_any_match", &["array_any_match", "any_match"], gives_flag, |_, args| {
            matches(args, |flags| flags.any)
        }),
        of_each(
            "list_all_match",
            &["array_all_match", "all_match", "forall"],
            gives_flag,
            |_, args| matches(args, |flags| flags.all),
        ),
        of_each("list_none_match", &["array_none_match", "none_match"], gives_flag, |_, args| {
            matches(args, |flags| flags.any.map(|any| !any))
        }),
    ]
}

/// The field of a list's elements, and that of their positions.
pub(super) fn element_fields(name: &str, list: &DataType) -> Result<Vec<FieldRef>> {
    match element_type(list) {
        Some(element) => Ok(vec![
            field("element", element),
            Arc::new(Field::new("position", DataType::Int64, true)),
        ]),
        None => plan_err!("{name} takes a list, not {list}"),
    }
}

/// The element and its position.
fn parameters(name: &str, args: &Arguments) -> Result<LambdaParametersProgress> {
    match args {
        [ValueOrLambda::Value(list), ValueOrLambda::Lambda(_)] => {
            Ok(LambdaParametersProgress::Complete(vec![element_fields(name, list.data_type())?]))
        }
        _ => plan_err!("{name} takes a list and a lambda, such as x -> x > 1"),
    }
}

/// Whether the lambda gives what a condition may be.
pub(in super::super) fn require_condition(name: &str, lambda: &Field) -> Result<()> {
    match lambda.data_type() {
        DataType::Boolean | DataType::Null => Ok(()),
        other => plan_err!("{name}: the lambda must give a BOOLEAN, not {other}"),
    }
}

type Fields<'a> = &'a [ValueOrLambda<FieldRef, FieldRef>];

fn list_and_lambda<'a>(name: &str, args: Fields<'a>) -> Result<(&'a FieldRef, &'a FieldRef)> {
    match args {
        [ValueOrLambda::Value(list), ValueOrLambda::Lambda(lambda)] => Ok((list, lambda)),
        _ => plan_err!("{name} takes a list and a lambda, such as x -> x > 1"),
    }
}

fn gives_transformed(name: &str, args: Fields<'_>) -> Result<FieldRef> {
    let (_, lambda) = list_and_lambda(name, args)?;
    Ok(field(name, DataType::new_list(lambda.data_type().clone(), true)))
}

fn gives_filtered(name: &str, args: Fields<'_>) -> Result<FieldRef> {
    let (list, lambda) = list_and_lambda(name, args)?;
    require_condition(name, lambda)?;
    Ok(field(name, list.data_type().clone()))
}

fn gives_flag(name: &str, args: Fields<'_>) -> Result<FieldRef> {
    let (_, lambda) = list_and_lambda(name, args)?;
    require_condition(name, lambda)?;
    Ok(field(name, DataType::Boolean))
}

/// For each value of the lists the number of its row.
pub(in super::super) fn rows_of(lists: &Lists) -> Result<UInt32Array> {
    let mut rows = Vec::with_capacity(lists.values.len());
    for row in 0..lists.len() {
        let number =
            u32::try_from(row).map_err(|_| exec_datafusion_err!("too many rows in one batch"))?;
        rows.resize(lists.offsets[row + 1], number);
    }
    Ok(rows.into())
}

/// The positions of the values in their lists, from 1.
fn positions(lists: &Lists) -> ArrayRef {
    let positions = lists.offsets.windows(2).flat_map(|ends| 1..=(ends[1] - ends[0]) as i64);
    Arc::new(Int64Array::from_iter_values(positions))
}

/// What the lambda gives for each value.
fn each(lists: &Lists, lambda: &LambdaArgument) -> Result<ArrayRef> {
    let result = lambda
        .evaluate(&[&|| Ok(Arc::clone(&lists.values)), &|| Ok(positions(lists))], |captured| {
            Ok(take_arrays(captured, &rows_of(lists)?, None)?)
        })?;
    result.into_array(lists.values.len())
}

/// The condition for each value.
pub(in super::super) fn flags(condition: &ArrayRef) -> Result<BooleanArray> {
    Ok(arrow::compute::cast(condition, &DataType::Boolean)?.as_boolean().clone())
}

fn transform(_: &str, args: &HigherOrderFunctionArgs) -> Result<ArrayRef> {
    let lists = Lists::new(&value_of(args, 0)?);
    let values = each(&lists, lambda_of(args, 1)?)?;
    lists_of(args.return_type(), values, lists.lengths(), lists.nulls)
}

fn keep(_: &str, args: &HigherOrderFunctionArgs) -> Result<ArrayRef> {
    let lists = Lists::new(&value_of(args, 0)?);
    let flags = flags(&each(&lists, lambda_of(args, 1)?)?)?;
    let kept = filter(&lists.values, &flags)?;
    let lengths: Vec<_> = kept_lengths(&lists, &flags).collect();
    lists_of(args.return_type(), kept, lengths, lists.nulls)
}

/// How many values of each row are kept.
pub(in super::super) fn kept_lengths(
    lists: &Lists,
    flags: &BooleanArray,
) -> impl Iterator<Item = usize> {
    lists.offsets.windows(2).map(|ends| flags.slice(ends[0], ends[1] - ends[0]).true_count())
}

/// What is known of the conditions of a list.
struct Flags {
    any: Option<bool>,
    all: Option<bool>,
}

fn matches(
    args: &HigherOrderFunctionArgs,
    result: impl Fn(&Flags) -> Option<bool>,
) -> Result<ArrayRef> {
    let lists = Lists::new(&value_of(args, 0)?);
    let flags = flags(&each(&lists, lambda_of(args, 1)?)?)?;
    let results = (0..lists.len()).map(|row| {
        if lists.is_null(row) {
            return None;
        }
        let range = lists.range(row);
        let flags = flags.slice(range.start, range.len());
        let unknown = flags.null_count() > 0;
        let (any, all) = (flags.true_count() > 0, flags.false_count() == 0);
        result(&Flags {
            any: (any || !unknown).then_some(any),
            all: (!all || !unknown).then_some(all),
        })
    });
    Ok(Arc::new(results.collect::<BooleanArray>()))
}
