//! Functions that sort lists or find equal values in them.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, UInt32Array, UInt64Array};
use arrow::compute::{SortOptions, take};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{ScalarValue, exec_datafusion_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::{ReturnFieldArgs, ScalarUDF};

use super::super::define::{Call, field, gives_first, scalar};
use super::super::rows::comparable;
use super::{Lists, list_type, lists_of, takes_list};

pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    vec![
        scalar("list_sort", &["array_sort", "sort_array"], takes_order, gives_sorted, |call| {
            sort(call, options(call.name, &constants(call))?)
        }),
        scalar(
            "list_reverse_sort",
            &["array_reverse_sort"],
            takes_nulls_order,
            gives_sorted,
            |call| sort(call, reverse_options(call.name, &constants(call))?),
        ),
        scalar("list_grade_up", &["array_grade_up"], takes_order, gives_grades, grade_up),
        scalar("list_distinct", &[], takes_list, gives_first, |call| {
            let lists = Lists::new(&call.array(0)?);
            let (kept, lengths) = distinct(&lists)?;
            let values = take(&lists.values, &kept, None)?;
            lists_of(call.gives, values, lengths, lists.nulls)
        }),
        scalar("list_unique", &["array_unique"], takes_list, gives_count, |call| {
            let lists = Lists::new(&call.array(0)?);
            let (_, lengths) = distinct(&lists)?;
            let counts = lengths.into_iter().map(|length| length as u64).collect();
            Ok(Arc::new(UInt64Array::new(counts, lists.nulls)))
        }),
    ]
}

/// A list, and optionally the order of values and that of NULLs.
fn takes_order(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    takes_words(name, types, 2)
}

fn takes_nulls_order(name: &str, types: &[DataType]) -> Result<Vec<DataType>> {
    takes_words(name, types, 1)
}

fn takes_words(name: &str, types: &[DataType], most: usize) -> Result<Vec<DataType>> {
    let Some((list, words)) = types.split_first() else {
        return plan_err!("{name} takes a list");
    };
    if words.len() > most
        || !words.iter().all(|word| word.is_string() || *word == DataType::Boolean)
    {
        return plan_err!("{name} takes a list and at most {most} words for the order");
    }
    Ok(std::iter::once(list_type(name, list)?).chain(words.iter().cloned()).collect())
}

fn gives_sorted(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    require_constants(name, args)?;
    gives_first(name, args)
}

fn gives_grades(name: &str, args: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    require_constants(name, args)?;
    Ok(field(name, DataType::new_list(DataType::Int64, true)))
}

fn gives_count(name: &str, _: &ReturnFieldArgs<'_>) -> Result<FieldRef> {
    Ok(field(name, DataType::UInt64))
}

fn require_constants(name: &str, args: &ReturnFieldArgs<'_>) -> Result<()> {
    if args.scalar_arguments[1..].iter().any(Option::is_none) {
        return plan_err!("{name}: the order must be a constant, such as 'DESC'");
    }
    Ok(())
}

fn constants<'a>(call: &'a Call<'_>) -> Vec<&'a ScalarValue> {
    (1..call.args.len()).filter_map(|arg| call.constant(arg)).collect()
}

/// `[ASC | DESC [, NULLS FIRST | NULLS LAST]]`, or Spark's flag for ascending.
fn options(name: &str, words: &[&ScalarValue]) -> Result<SortOptions> {
    let mut options = SortOptions { descending: false, nulls_first: false };
    if let Some(word) = words.first() {
        options.descending = match word {
            ScalarValue::Boolean(Some(ascending)) => !ascending,
            word => match word.try_as_str().flatten().map(str::to_uppercase).as_deref() {
                Some("ASC") => false,
                Some("DESC") => true,
                _ => return plan_err!("{name}: the order must be 'ASC' or 'DESC', not {word}"),
            },
        };
    }
    if let Some(word) = words.get(1) {
        options.nulls_first = nulls_first(name, word)?;
    }
    Ok(options)
}

/// `[NULLS FIRST | NULLS LAST]` for a descending order.
fn reverse_options(name: &str, words: &[&ScalarValue]) -> Result<SortOptions> {
    let nulls_first = words.first().map(|word| nulls_first(name, word)).transpose()?;
    Ok(SortOptions { descending: true, nulls_first: nulls_first.unwrap_or(false) })
}

fn nulls_first(name: &str, word: &ScalarValue) -> Result<bool> {
    match word.try_as_str().flatten().map(str::to_uppercase).as_deref() {
        Some("NULLS FIRST") => Ok(true),
        Some("NULLS LAST") => Ok(false),
        _ => plan_err!("{name}: the order must be 'NULLS FIRST' or 'NULLS LAST', not {word}"),
    }
}

/// Numbers of the values, those of each list sorted.
fn sorted(lists: &Lists, options: SortOptions) -> Result<Vec<u32>> {
    let rows = comparable(&[&lists.values], options)?.swap_remove(0);
    let all = u32::try_from(lists.values.len())
        .map_err(|_| exec_datafusion_err!("too many elements to sort in one batch"))?;
    let all: Vec<u32> = (0..all).collect();
    let mut order = Vec::with_capacity(all.len());
    for row in 0..lists.len() {
        let start = order.len();
        order.extend_from_slice(&all[lists.range(row)]);
        order[start..].sort_by(|a, b| rows.row(*a as usize).cmp(&rows.row(*b as usize)));
    }
    Ok(order)
}

fn lengths(lists: &Lists) -> impl Iterator<Item = usize> {
    (0..lists.len()).map(|row| lists.range(row).len())
}

fn sort(call: &Call<'_>, options: SortOptions) -> Result<ArrayRef> {
    let lists = Lists::new(&call.array(0)?);
    let order = UInt32Array::from(sorted(&lists, options)?);
    let values = take(&lists.values, &order, None)?;
    lists_of(call.gives, values, lengths(&lists), lists.nulls.clone())
}

/// For each list the positions of its values in sorted order.
fn grade_up(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = Lists::new(&call.array(0)?);
    let order = sorted(&lists, options(call.name, &constants(call))?)?;
    let mut grades = Vec::with_capacity(order.len());
    for row in 0..lists.len() {
        let range = lists.range(row);
        let of_row = &order[grades.len()..grades.len() + range.len()];
        grades.extend(of_row.iter().map(|at| i64::from(*at) - range.start as i64 + 1));
    }
    let grades = Arc::new(Int64Array::from(grades));
    lists_of(call.gives, grades, lengths(&lists), lists.nulls.clone())
}

/// The first of equal values of each list without the NULLs, and how many there are.
fn distinct(lists: &Lists) -> Result<(UInt32Array, Vec<usize>)> {
    let rows = comparable(&[&lists.values], SortOptions::default())?.swap_remove(0);
    let nulls = lists.values.logical_nulls();
    let (mut kept, mut lengths, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    for row in 0..lists.len() {
        seen.clear();
        let before = kept.len();
        for at in lists.range(row) {
            let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(at));
            if !is_null && seen.insert(rows.row(at)) {
                kept.push(u32::try_from(at).map_err(|_| {
                    exec_datafusion_err!("too many elements to compare in one batch")
                })?);
            }
        }
        lengths.push(kept.len() - before);
    }
    Ok((kept.into(), lengths))
}
