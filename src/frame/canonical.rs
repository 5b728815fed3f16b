//! Values so that equal ones are equal byte by byte: texts of one type, one zero and one NaN.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, ListArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Field, FieldRef, Float32Type, Float64Type};
use datafusion::error::Result;
use serde::{Deserialize, Serialize};

use super::DataFrame;
use super::names::columns;
use crate::functions::operation::{Operation, call};

/// The type that values of a type are compared in.
pub(super) fn canonical_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8View,
        DataType::Dictionary(_, values) => canonical_type(values),
        DataType::List(item) | DataType::LargeList(item) => {
            DataType::List(Arc::new(Field::new_list_field(canonical_type(item.data_type()), true)))
        }
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(canonical_field).collect()),
        other => other.clone(),
    }
}

fn canonical_field(field: &FieldRef) -> FieldRef {
    Arc::new(Field::new(field.name(), canonical_type(field.data_type()), true))
}

/// Equal values in the same bytes.
pub(super) fn canonical(values: &ArrayRef) -> Result<ArrayRef> {
    plain_floats(&cast(values, &canonical_type(values.data_type()))?)
}

fn plain_floats(values: &ArrayRef) -> Result<ArrayRef> {
    Ok(match values.data_type() {
        DataType::Float32 => floats::<Float32Type>(values, |x| x.is_nan(), f32::NAN),
        DataType::Float64 => floats::<Float64Type>(values, |x| x.is_nan(), f64::NAN),
        DataType::List(item) => {
            let lists = values.as_list::<i32>();
            let plain = plain_floats(lists.values())?;
            let (offsets, nulls) = (lists.offsets().clone(), lists.nulls().cloned());
            Arc::new(ListArray::try_new(Arc::clone(item), offsets, plain, nulls)?)
        }
        DataType::Struct(fields) if !fields.is_empty() => {
            let structs = values.as_struct();
            let plain = structs.columns().iter().map(plain_floats).collect::<Result<Vec<_>>>()?;
            Arc::new(StructArray::try_new(fields.clone(), plain, structs.nulls().cloned())?)
        }
        _ => Arc::clone(values),
    })
}

fn floats<T: ArrowPrimitiveType>(
    values: &ArrayRef,
    is_nan: fn(T::Native) -> bool,
    nan: T::Native,
) -> ArrayRef
where
    T::Native: std::ops::Add<Output = T::Native>,
{
    // The sum of both zeros is the one without a sign.
    let plain = |x: T::Native| if is_nan(x) { nan } else { x + T::Native::default() };
    Arc::new(values.as_primitive::<T>().unary::<_, T>(plain))
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Canonical;

impl fmt::Display for Canonical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("canonical")
    }
}

impl Operation for Canonical {
    const KIND: &'static str = "canonical";

    fn gives(&self, types: &[DataType]) -> Result<DataType> {
        Ok(canonical_type(&types[0]))
    }

    fn compute(&self, columns: &[ArrayRef], _: &DataType) -> Result<ArrayRef> {
        canonical(&columns[0])
    }
}

impl DataFrame {
    /// The same rows, with equal values in the same bytes.
    pub(super) fn canonical(&self) -> crate::Result<Self> {
        let all = columns(self.plan.schema()).into_iter();
        self.project(all.map(|(name, column)| call(Canonical, vec![column]).alias(name)))
    }
}
