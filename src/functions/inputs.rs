//! The arguments of a scalar function in a batch.
//!
//! They come in few types: texts are `Utf8View`, integers `Int64` or `UInt64`, floats `Float64`; `Arg` says what
//! is made of which. A constant stays one value, which every row gets.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, StringViewArray,
    StringViewBuilder,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, UInt64Type};
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;

use crate::error::{Error, ErrorKind};

/// An argument: a value for each row, or one for all.
struct Column {
    array: ArrayRef,
    constant: bool,
}

impl Column {
    fn new(value: &ColumnarValue) -> Result<Self> {
        let (array, constant) = match value {
            ColumnarValue::Array(array) => (Arc::clone(array), false),
            ColumnarValue::Scalar(scalar) => (scalar.to_array()?, true),
        };
        let array = match array.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 => cast(&array, &DataType::Utf8View)?,
            _ => array,
        };
        Ok(Column { array, constant })
    }
}

/// The arguments of a batch.
pub(super) struct Inputs {
    /// The function.
    pub(super) name: &'static str,
    columns: Vec<Column>,
    rows: usize,
    /// The type of the result.
    pub(super) returned: DataType,
}

impl Inputs {
    /// The arguments of a function.
    pub(super) fn new(
        name: &'static str,
        args: &[ColumnarValue],
        rows: usize,
        returned: DataType,
    ) -> Result<Self> {
        let columns = args.iter().map(Column::new).collect::<Result<_>>()?;
        Ok(Inputs { name, columns, rows, returned })
    }

    /// The rows of the result.
    pub(super) fn rows(&self) -> std::ops::Range<usize> {
        0..self.rows
    }

    /// How many arguments there are.
    pub(super) fn len(&self) -> usize {
        self.columns.len()
    }

    /// The type of an argument; that of all texts is `Utf8View`.
    pub(super) fn data_type(&self, index: usize) -> &DataType {
        self.columns[index].array.data_type()
    }

    /// The values of an argument, and whether it is one for all rows.
    pub(super) fn column(&self, index: usize) -> (&ArrayRef, bool) {
        let column = &self.columns[index];
        (&column.array, column.constant)
    }

    /// The values of an argument for all rows.
    pub(super) fn array(&self, index: usize) -> Result<ArrayRef> {
        let column = &self.columns[index];
        if !column.constant {
            return Ok(Arc::clone(&column.array));
        }
        ScalarValue::try_from_array(&column.array, 0)?.to_array_of_size(self.rows)
    }

    /// The values of a `Arg::Text`.
    pub(super) fn texts(&self, index: usize) -> Texts<'_> {
        let (array, constant) = self.column(index);
        Texts { array: array.as_string_view(), constant }
    }

    /// The values of an argument of this type.
    pub(super) fn values<T: ArrowPrimitiveType>(&self, index: usize) -> Values<'_, T> {
        let (array, constant) = self.column(index);
        Values { array: array.as_primitive(), constant }
    }

    /// The values of a `Arg::Long`.
    pub(super) fn longs(&self, index: usize) -> Longs<'_> {
        match self.data_type(index) {
            DataType::UInt64 => Longs::Unsigned(self.values(index)),
            _ => Longs::Signed(self.values(index)),
        }
    }

    /// The values of a `Arg::Boolean`.
    pub(super) fn booleans_of(&self, index: usize) -> Booleans<'_> {
        let (array, constant) = self.column(index);
        Booleans { array: array.as_boolean(), constant }
    }

    /// The value of an argument that must be a constant, or `None` for NULL.
    pub(super) fn constant_text(&self, index: usize, what: &str) -> Result<Option<&str>> {
        let texts = self.texts(index);
        if !texts.constant {
            return exec_err!("{}: the {what} must be a constant", self.name);
        }
        Ok(texts.get(0))
    }

    /// Texts made row by row; `write` says whether there is one, or NULL.
    pub(super) fn write(
        &self,
        mut write: impl FnMut(usize, &mut String) -> Result<bool>,
    ) -> Result<ArrayRef> {
        let mut builder = StringViewBuilder::with_capacity(self.rows);
        let mut text = String::new();
        let mut bytes = 0;
        for row in self.rows() {
            text.clear();
            if write(row, &mut text)? {
                bytes += text.len();
                check_size(self.name, bytes)?;
                builder.append_value(&text);
            } else {
                builder.append_null();
            }
        }
        Ok(Arc::new(builder.finish()))
    }

    /// Numbers made row by row.
    pub(super) fn numbers<T: ArrowPrimitiveType>(
        &self,
        make: impl FnMut(usize) -> Result<Option<T::Native>>,
    ) -> Result<ArrayRef> {
        let values = self.rows().map(make).collect::<Result<PrimitiveArray<T>>>()?;
        Ok(Arc::new(values))
    }

    /// Booleans made row by row.
    pub(super) fn booleans(
        &self,
        make: impl FnMut(usize) -> Result<Option<bool>>,
    ) -> Result<ArrayRef> {
        let values = self.rows().map(make).collect::<Result<Vec<_>>>()?;
        Ok(Arc::new(BooleanArray::from(values)))
    }

    /// Texts made of the first argument, a text.
    pub(super) fn map_text(&self, mut map: impl FnMut(&str, &mut String)) -> Result<ArrayRef> {
        let texts = self.texts(0);
        self.write(|row, out| {
            let text = texts.get(row);
            if let Some(text) = text {
                map(text, out);
            }
            Ok(text.is_some())
        })
    }
}

/// The most bytes of a batch that a function makes: its arguments can ask for any number of them.
const MOST_BYTES: usize = 1 << 30;

/// Refuses to make more.
///
/// # Errors
/// `Resources` above [`MOST_BYTES`].
pub(super) fn check_size(function: &str, bytes: usize) -> Result<()> {
    if bytes <= MOST_BYTES {
        return Ok(());
    }
    let message = format!("{function}: the values of a batch have more than {MOST_BYTES} bytes");
    let error = Error::new(ErrorKind::Resources, message)
        .with_hint("ask for fewer or shorter values, or make batches of fewer rows");
    Err(DataFusionError::External(Box::new(error)))
}

/// The texts of an argument.
#[derive(Clone, Copy)]
pub(super) struct Texts<'a> {
    array: &'a StringViewArray,
    constant: bool,
}

impl<'a> Texts<'a> {
    /// The text of a row.
    pub(super) fn get(&self, row: usize) -> Option<&'a str> {
        let row = if self.constant { 0 } else { row };
        self.array.is_valid(row).then(|| self.array.value(row))
    }
}

/// The numbers of an argument.
#[derive(Clone, Copy)]
pub(super) struct Values<'a, T: ArrowPrimitiveType> {
    array: &'a PrimitiveArray<T>,
    constant: bool,
}

impl<T: ArrowPrimitiveType> Values<'_, T> {
    /// The number of a row.
    pub(super) fn get(&self, row: usize) -> Option<T::Native> {
        let row = if self.constant { 0 } else { row };
        self.array.is_valid(row).then(|| self.array.value(row))
    }
}

/// The integers of an argument, with or without a sign.
pub(super) enum Longs<'a> {
    Signed(Values<'a, Int64Type>),
    Unsigned(Values<'a, UInt64Type>),
}

impl Longs<'_> {
    /// The number of a row.
    pub(super) fn get(&self, row: usize) -> Option<i128> {
        match self {
            Longs::Signed(numbers) => numbers.get(row).map(i128::from),
            Longs::Unsigned(numbers) => numbers.get(row).map(i128::from),
        }
    }
}

/// The booleans of an argument.
#[derive(Clone, Copy)]
pub(super) struct Booleans<'a> {
    array: &'a BooleanArray,
    constant: bool,
}

impl Booleans<'_> {
    /// The boolean of a row.
    pub(super) fn get(&self, row: usize) -> Option<bool> {
        let row = if self.constant { 0 } else { row };
        self.array.is_valid(row).then(|| self.array.value(row))
    }
}

/// What was made of the last key, for arguments that are mostly the same: formats and patterns.
pub(super) struct Last<T> {
    made: Option<(String, T)>,
}

impl<T> Last<T> {
    pub(super) fn new() -> Self {
        Last { made: None }
    }

    /// What is made of a key.
    ///
    /// # Errors
    /// Those of `make`.
    pub(super) fn get(&mut self, key: &str, make: impl FnOnce(&str) -> Result<T>) -> Result<&T> {
        let made = match self.made.take() {
            Some(made) if made.0 == key => made,
            _ => (key.to_string(), make(key)?),
        };
        Ok(&self.made.insert(made).1)
    }
}
