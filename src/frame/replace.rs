//! Values in the place of others.

use std::fmt;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::compute::kernels::cmp::not_distinct;
use arrow::compute::kernels::zip::zip;
use arrow::compute::{CastOptions, and_not, cast_with_options, or};
use arrow::datatypes::DataType;
use datafusion::common::plan_err;
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::type_coercion::binary::{comparison_coercion, type_union_coercion};
use serde::{Deserialize, Serialize};

use super::canonical::canonical;
use crate::functions::operation::{Operation, call};

/// The new value of the first pair whose old value this is, or the value itself.
pub(super) fn replaced(value: Expr, pairs: impl IntoIterator<Item = (Expr, Expr)>) -> Expr {
    let (old, new): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
    if old.is_empty() {
        return value;
    }
    call(Replace { pairs: old.len() }, [vec![value], old, new].concat())
}

/// Takes a value, the old ones and the new ones.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Replace {
    pairs: usize,
}

impl fmt::Display for Replace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("replace")
    }
}

impl Operation for Replace {
    const KIND: &'static str = "replace";

    fn takes(&self, types: &[DataType]) -> Vec<DataType> {
        let (olds, news) = types[1..].split_at(self.pairs);
        let common = |others: &[DataType], of: fn(&DataType, &DataType) -> Option<DataType>| {
            others.iter().try_fold(types[0].clone(), |common, other| of(&common, other))
        };
        let old = common(olds, comparison_coercion);
        let new = common(news, type_union_coercion);
        let (Some(old), Some(new)) = (old, new) else { return types.to_vec() };
        let rest = [vec![old; self.pairs], vec![new; self.pairs]].concat();
        [vec![types[0].clone()], rest].concat()
    }

    fn gives(&self, types: &[DataType]) -> Result<DataType> {
        let (olds, news) = types[1..].split_at(self.pairs);
        let differ = |types: &[DataType]| types.windows(2).any(|pair| pair[0] != pair[1]);
        if *types != self.takes(types) || differ(olds) || differ(news) {
            let others: Vec<String> = types[1..].iter().map(ToString::to_string).collect();
            return plan_err!(
                "values of {} cannot be replaced by pairs of {}",
                types[0],
                others.join(", ")
            );
        }
        Ok(news[0].clone())
    }

    fn compute(&self, columns: &[ArrayRef], gives: &DataType) -> Result<ArrayRef> {
        let strict = CastOptions { safe: false, ..CastOptions::default() };
        let (olds, news) = columns[1..].split_at(self.pairs);
        let value = canonical(&cast_with_options(&columns[0], olds[0].data_type(), &strict)?)?;
        let mut result = cast_with_options(&columns[0], gives, &strict)?;
        let mut done = BooleanArray::from(vec![false; value.len()]);
        for (old, new) in olds.iter().zip(news) {
            let found = not_distinct(&value, &canonical(old)?)?;
            result = zip(&and_not(&found, &done)?, new, &result)?;
            done = or(&done, &found)?;
        }
        Ok(result)
    }
}
