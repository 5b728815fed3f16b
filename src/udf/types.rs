//! Plain Rust types as values of columns.

use std::fmt::Display;

use arrow::array::{
    Array, BooleanArray, Float32Array, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array,
    StringArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::DataType;
use datafusion::common::{ScalarValue, internal_err, plan_err};
use datafusion::error::Result;

/// A Rust type that is the type of a column: `bool`, integers, floats and `String`.
pub trait Value: Clone + Send + Sync + 'static {
    /// The type in SQL.
    #[doc(hidden)]
    const DATA_TYPE: DataType;

    /// The columns of this type.
    #[doc(hidden)]
    type Column: Array + FromIterator<Option<Self>> + 'static;

    /// A value that is not NULL.
    #[doc(hidden)]
    fn at(column: &Self::Column, row: usize) -> Self;
}

/// What a closure takes from a column: a [`Value`] or `&str`, for which NULL gives NULL and the
/// closure is not asked; or an `Option` of them, which is `None` for NULL.
pub trait Param {
    /// The same, borrowed from a column.
    #[doc(hidden)]
    type Item<'a>;

    #[doc(hidden)]
    const DATA_TYPE: DataType;

    #[doc(hidden)]
    type Column: Array + 'static;

    /// `None` for a NULL that the closure is not asked about.
    #[doc(hidden)]
    fn at(column: &Self::Column, row: usize) -> Option<Self::Item<'_>>;
}

/// What a closure gives: a [`Value`], an `Option` of one, where `None` is NULL, or a `Result` of
/// them, whose error ends the query.
pub trait Output {
    /// The type of the column.
    #[doc(hidden)]
    type Value: Value;

    /// The value, NULL or what went wrong.
    #[doc(hidden)]
    fn outcome(self) -> Result<Option<Self::Value>, String>;
}

impl<V: Value> Output for Option<V> {
    type Value = V;

    fn outcome(self) -> Result<Option<V>, String> {
        Ok(self)
    }
}

impl<O: Output, E: Display> Output for Result<O, E> {
    type Value = O::Value;

    fn outcome(self) -> Result<Option<O::Value>, String> {
        self.map_err(|error| error.to_string())?.outcome()
    }
}

/// The types that are values: each as it is, as parameter, optional parameter and result.
macro_rules! values {
    ($($value:ty, $column:ty, $data_type:ident, |$array:ident, $row:ident| $at:expr;)*) => {$(
        impl Value for $value {
            const DATA_TYPE: DataType = DataType::$data_type;
            type Column = $column;

            fn at($array: &$column, $row: usize) -> Self {
                $at
            }
        }

        impl Param for $value {
            type Item<'a> = $value;
            const DATA_TYPE: DataType = DataType::$data_type;
            type Column = $column;

            fn at(column: &$column, row: usize) -> Option<$value> {
                column.is_valid(row).then(|| <$value as Value>::at(column, row))
            }
        }

        impl Param for Option<$value> {
            type Item<'a> = Option<$value>;
            const DATA_TYPE: DataType = DataType::$data_type;
            type Column = $column;

            fn at(column: &$column, row: usize) -> Option<Option<$value>> {
                Some(<$value as Param>::at(column, row))
            }
        }

        impl Output for $value {
            type Value = $value;

            fn outcome(self) -> Result<Option<$value>, String> {
                Ok(Some(self))
            }
        }
    )*};
}

values! {
    bool, BooleanArray, Boolean, |array, row| array.value(row);
    i8, Int8Array, Int8, |array, row| array.value(row);
    i16, Int16Array, Int16, |array, row| array.value(row);
    i32, Int32Array, Int32, |array, row| array.value(row);
    i64, Int64Array, Int64, |array, row| array.value(row);
    u8, UInt8Array, UInt8, |array, row| array.value(row);
    u16, UInt16Array, UInt16, |array, row| array.value(row);
    u32, UInt32Array, UInt32, |array, row| array.value(row);
    u64, UInt64Array, UInt64, |array, row| array.value(row);
    f32, Float32Array, Float32, |array, row| array.value(row);
    f64, Float64Array, Float64, |array, row| array.value(row);
    String, StringArray, Utf8, |array, row| array.value(row).to_string();
}

impl Param for &str {
    type Item<'a> = &'a str;
    const DATA_TYPE: DataType = DataType::Utf8;
    type Column = StringArray;

    fn at(column: &StringArray, row: usize) -> Option<&str> {
        column.is_valid(row).then(|| column.value(row))
    }
}

impl Param for Option<&str> {
    type Item<'a> = Option<&'a str>;
    const DATA_TYPE: DataType = DataType::Utf8;
    type Column = StringArray;

    fn at(column: &StringArray, row: usize) -> Option<Option<&str>> {
        Some(column.is_valid(row).then(|| column.value(row)))
    }
}

/// The types that the arguments of a function are converted to: those it takes. Whole numbers are
/// taken for any number, and one that does not fit is an error of the query; other numbers are taken
/// for floats, and texts of every kind for texts. What is encoded is taken for its values.
///
/// # Errors
/// `Plan` if there are more or fewer arguments, or they are of other types.
pub(super) fn converted(
    name: &str,
    wanted: &[DataType],
    given: &[DataType],
) -> Result<Vec<DataType>> {
    let is_text = |data_type: &DataType| {
        matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
    };
    let fits = |(wanted, given): (&DataType, &DataType)| {
        let given = match given {
            DataType::Dictionary(_, values) => values.as_ref(),
            DataType::RunEndEncoded(_, values) => values.data_type(),
            other => other,
        };
        wanted == given
            || given.is_null()
            || (given.is_integer() && wanted.is_numeric())
            || (given.is_numeric() && wanted.is_floating())
            || (is_text(wanted) && is_text(given))
    };
    if wanted.len() != given.len() || !wanted.iter().zip(given).all(fits) {
        let list = |types: &[DataType]| {
            types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        return plan_err!("{name} takes ({}), not ({})", list(wanted), list(given));
    }
    Ok(wanted.to_vec())
}

/// A column as the type it has.
pub(super) fn typed<C: 'static>(column: &dyn Array) -> Result<&C> {
    match column.as_any().downcast_ref::<C>() {
        Some(column) => Ok(column),
        None => internal_err!("a function was given a column of {}", column.data_type()),
    }
}

/// A value as one of DataFusion's.
pub(super) fn scalar<V: Value>(value: Option<V>) -> Result<ScalarValue> {
    let column: V::Column = std::iter::once(value).collect();
    ScalarValue::try_from_array(&column, 0)
}
