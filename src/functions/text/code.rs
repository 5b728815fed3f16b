//! Texts, bytes and numbers in other notations, and their hashes.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryViewBuilder};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, UInt32Type, UInt64Type};
use arrow::row::{RowConverter, SortField};
use datafusion::common::{exec_datafusion_err, exec_err};
use datafusion::error::Result;
use twox_hash::XxHash64;

use crate::functions::inputs::Inputs;
use crate::functions::rows::converted;

/// `hex(value)`: numbers in base 16, the bytes of texts in two digits each.
pub(super) fn hex(inputs: &Inputs) -> Result<ArrayRef> {
    notation(inputs, |bits| format!("{bits:X}"), |byte| format!("{byte:02X}"))
}

/// `bin(value)`: numbers in base 2, the bytes of texts in eight digits each.
pub(super) fn bin(inputs: &Inputs) -> Result<ArrayRef> {
    notation(inputs, |bits| format!("{bits:b}"), |byte| format!("{byte:08b}"))
}

fn notation(
    inputs: &Inputs,
    number: impl Fn(u64) -> String,
    byte: impl Fn(u8) -> String,
) -> Result<ArrayRef> {
    if inputs.data_type(0).is_integer() {
        let numbers = inputs.longs(0);
        return inputs.write(|row, out| {
            let value = numbers.get(row);
            if let Some(value) = value {
                // The 64 bits of either type.
                out.push_str(&number(value as u64));
            }
            Ok(value.is_some())
        });
    }
    let (array, constant) = inputs.column(0);
    let bytes = array.as_binary_view();
    inputs.write(|row, out| {
        let row = if constant { 0 } else { row };
        if bytes.is_null(row) {
            return Ok(false);
        }
        for value in bytes.value(row) {
            out.push_str(&byte(*value));
        }
        Ok(true)
    })
}

/// `unhex(text)`: the bytes of pairs of digits.
pub(super) fn unhex(inputs: &Inputs) -> Result<ArrayRef> {
    bytes_of_digits(inputs, 16, 2)
}

/// `unbin(text)`: the bytes of eight digits each.
pub(super) fn unbin(inputs: &Inputs) -> Result<ArrayRef> {
    bytes_of_digits(inputs, 2, 8)
}

fn bytes_of_digits(inputs: &Inputs, base: u32, places: usize) -> Result<ArrayRef> {
    let texts = inputs.texts(0);
    let mut builder = BinaryViewBuilder::new();
    for row in inputs.rows() {
        let Some(text) = texts.get(row) else {
            builder.append_null();
            continue;
        };
        // The first byte may have fewer digits.
        let digits: Option<Vec<u8>> = text
            .chars()
            .map(|c| c.to_digit(base).and_then(|digit| u8::try_from(digit).ok()))
            .collect();
        let Some(digits) = digits else {
            return exec_err!("{}: \"{text}\" is not of digits in base {base}", inputs.name);
        };
        let first = digits.len() % places;
        let (first, rest) = digits.split_at(first);
        let factor = u8::try_from(base).unwrap_or_default();
        let byte = |digits: &[u8]| digits.iter().fold(0_u8, |sum, digit| sum * factor + digit);
        let head = (!first.is_empty()).then(|| byte(first));
        let bytes: Vec<u8> = head.into_iter().chain(rest.chunks(places).map(byte)).collect();
        builder.append_value(bytes);
    }
    Ok(Arc::new(builder.finish()))
}

/// `url_encode(text)`: all but letters, digits and `-._~` as `%` and two digits.
pub(super) fn url_encode(inputs: &Inputs) -> Result<ArrayRef> {
    inputs.map_text(|text, out| {
        for byte in text.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                write!(out, "%{byte:02X}").expect("a string takes any text");
            }
        }
    })
}

/// `url_decode(text)`: `%` and two digits as the byte; others stay.
pub(super) fn url_decode(inputs: &Inputs) -> Result<ArrayRef> {
    let texts = inputs.texts(0);
    inputs.write(|row, out| {
        let Some(text) = texts.get(row) else { return Ok(false) };
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let [first, after @ ..] = rest {
            let digit = |index: usize| after.get(index).and_then(|d| char::from(*d).to_digit(16));
            if let (b'%', Some(high), Some(low)) = (first, digit(0), digit(1)) {
                bytes.extend(u8::try_from(high * 16 + low));
                rest = &after[2..];
            } else {
                bytes.push(*first);
                rest = after;
            }
        }
        let decoded = std::str::from_utf8(&bytes).map_err(|_| {
            exec_datafusion_err!("{}: \"{text}\" is not the code of a text", inputs.name)
        })?;
        out.push_str(decoded);
        Ok(true)
    })
}

/// `crc32(bytes)`.
pub(super) fn crc32(inputs: &Inputs) -> Result<ArrayRef> {
    let (array, constant) = inputs.column(0);
    let bytes = array.as_binary_view();
    inputs.numbers::<Int64Type>(|row| {
        let row = if constant { 0 } else { row };
        Ok(bytes.is_valid(row).then(|| crc32fast::hash(bytes.value(row)).into()))
    })
}

/// `hash(…)`: a number that is the same for the same values of the same types, also NULL.
pub(super) fn hash(inputs: &Inputs) -> Result<ArrayRef> {
    let mut columns = Vec::with_capacity(inputs.len());
    for index in 0..inputs.len() {
        columns.push(inputs.array(index)?);
    }
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = converted(&RowConverter::new(fields)?, &columns)?;
    inputs.numbers::<UInt64Type>(|row| Ok(Some(XxHash64::oneshot(0, rows.row(row).as_ref()))))
}

/// `xxhash64(…)`: Spark's: each value is hashed with what came before as the seed, the first with
/// 42; NULL changes nothing.
pub(super) fn xxhash64(inputs: &Inputs) -> Result<ArrayRef> {
    let mut columns = Vec::with_capacity(inputs.len());
    for index in 0..inputs.len() {
        let (array, constant) = inputs.column(index);
        columns.push((hashed(array, inputs.name)?, constant));
    }
    inputs.numbers::<Int64Type>(|row| {
        let seed = columns.iter().fold(42, |seed, (column, constant)| {
            column.hash(if *constant { 0 } else { row }, seed)
        });
        Ok(Some(seed.cast_signed()))
    })
}

/// A column in the form that is hashed.
enum Hashed {
    /// Four bytes.
    Short(arrow::array::PrimitiveArray<UInt32Type>),
    /// Eight bytes.
    Long(arrow::array::PrimitiveArray<UInt64Type>),
    Bytes(arrow::array::BinaryViewArray),
    Nothing,
}

fn hashed(array: &ArrayRef, function: &str) -> Result<Hashed> {
    let short = |array: &dyn Array| -> Result<Hashed> {
        let numbers = cast(array, &DataType::Int32)?;
        let numbers = numbers.as_primitive::<arrow::datatypes::Int32Type>();
        Ok(Hashed::Short(numbers.unary(i32::cast_unsigned)))
    };
    let long = |array: &dyn Array| -> Result<Hashed> {
        let numbers = cast(array, &DataType::Int64)?;
        Ok(Hashed::Long(numbers.as_primitive::<Int64Type>().unary(i64::cast_unsigned)))
    };
    match array.data_type() {
        DataType::Null => Ok(Hashed::Nothing),
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::UInt8
        | DataType::UInt16
        | DataType::Date32 => short(array),
        DataType::Int64 | DataType::UInt32 => long(array),
        DataType::Timestamp(_, zone) => {
            let micros = DataType::Timestamp(arrow::datatypes::TimeUnit::Microsecond, zone.clone());
            long(&cast(array, &micros)?)
        }
        DataType::Float32 => {
            let floats = array.as_primitive::<arrow::datatypes::Float32Type>();
            Ok(Hashed::Short(floats.unary(|float| (float + 0.0).to_bits())))
        }
        DataType::Float64 => {
            let floats = array.as_primitive::<arrow::datatypes::Float64Type>();
            Ok(Hashed::Long(floats.unary(|float| (float + 0.0).to_bits())))
        }
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView => {
            Ok(Hashed::Bytes(cast(array, &DataType::BinaryView)?.as_binary_view().clone()))
        }
        other => exec_err!(
            "{function}: no values of type {}; hash takes them",
            crate::output::sql_type_name(other)
        ),
    }
}

impl Hashed {
    fn hash(&self, row: usize, seed: u64) -> u64 {
        match self {
            Hashed::Short(numbers) if numbers.is_valid(row) => {
                XxHash64::oneshot(seed, &numbers.value(row).to_le_bytes())
            }
            Hashed::Long(numbers) if numbers.is_valid(row) => {
                XxHash64::oneshot(seed, &numbers.value(row).to_le_bytes())
            }
            Hashed::Bytes(bytes) if bytes.is_valid(row) => {
                XxHash64::oneshot(seed, bytes.value(row))
            }
            _ => seed,
        }
    }
}
