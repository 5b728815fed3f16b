//! Functions of floats.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType};
use arrow::datatypes::{DataType, Float64Type, Int64Type, UInt64Type};
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result;

use crate::functions::inputs::Inputs;

/// A function of one float.
pub(super) fn unary(inputs: &Inputs, function: impl Fn(f64) -> f64) -> Result<ArrayRef> {
    let (array, _) = inputs.column(0);
    let floats = arrow::array::AsArray::as_primitive::<Float64Type>(array);
    let values = floats.unary::<_, Float64Type>(function);
    Ok(Arc::new(values))
}

/// A function of two floats.
pub(super) fn binary(inputs: &Inputs, function: impl Fn(f64, f64) -> f64) -> Result<ArrayRef> {
    let (left, right) = (inputs.values::<Float64Type>(0), inputs.values::<Float64Type>(1));
    inputs.numbers::<Float64Type>(|row| {
        Ok(left.get(row).zip(right.get(row)).map(|(left, right)| function(left, right)))
    })
}

/// Something that is so of a float or not.
pub(super) fn test(inputs: &Inputs, test: impl Fn(f64) -> bool) -> Result<ArrayRef> {
    let values = inputs.values::<Float64Type>(0);
    inputs.booleans(|row| Ok(values.get(row).map(&test)))
}

/// The next even number, away from 0.
pub(super) fn even(value: f64) -> f64 {
    let whole = if value < 0.0 { value.floor() } else { value.ceil() };
    if whole % 2.0 == 0.0 {
        whole
    } else if whole < 0.0 {
        whole - 1.0
    } else {
        whole + 1.0
    }
}

/// What is left of a division that is rounded down.
pub(super) fn floored_remainder(left: f64, right: f64) -> f64 {
    left - right * (left / right).floor()
}

/// `bround(value [, digits])`: halves to the even neighbour.
pub(super) fn bround(inputs: &Inputs) -> Result<ArrayRef> {
    let values = inputs.values::<Float64Type>(0);
    let digits = (inputs.len() > 1).then(|| inputs.values::<Int64Type>(1));
    inputs.numbers::<Float64Type>(|row| {
        let digits = match &digits {
            Some(digits) => digits.get(row),
            None => Some(0),
        };
        let (Some(value), Some(digits)) = (values.get(row), digits) else { return Ok(None) };
        if !value.is_finite() {
            return Ok(Some(value));
        }
        let digits = i32::try_from(digits.clamp(-400, 400)).unwrap_or_default();
        let scale = 10_f64.powi(digits.abs());
        let rounded = if digits < 0 {
            (value / scale).round_ties_even() * scale
        } else {
            (value * scale).round_ties_even() / scale
        };
        // So many digits are more than a float has, or all that it has.
        Ok(Some(if rounded.is_finite() {
            rounded
        } else if digits < 0 {
            0.0
        } else {
            value
        }))
    })
}

/// The type of `pmod`: without a sign if one of two integers has none, as nothing negative is left
/// then.
pub(super) fn pmod_type(types: &[DataType], _: &[Option<&ScalarValue>]) -> Result<DataType> {
    Ok(if types.contains(&DataType::UInt64) { DataType::UInt64 } else { types[0].clone() })
}

/// `pmod(a, b)`: the remainder, positive for a positive divisor.
pub(super) fn pmod(inputs: &Inputs) -> Result<ArrayRef> {
    match &inputs.returned {
        DataType::Int64 => remainders::<Int64Type>(inputs),
        DataType::UInt64 => remainders::<UInt64Type>(inputs),
        _ => binary(inputs, |left, right| {
            let rest = left % right;
            if rest < 0.0 { (rest + right) % right } else { rest }
        }),
    }
}

fn remainders<T: ArrowPrimitiveType>(inputs: &Inputs) -> Result<ArrayRef>
where
    T::Native: TryFrom<i128>,
{
    let (left, right) = (inputs.longs(0), inputs.longs(1));
    inputs.numbers::<T>(|row| {
        let (Some(left), Some(right)) = (left.get(row), right.get(row)) else { return Ok(None) };
        if right == 0 {
            return exec_err!("{}: {left} is divided by zero", inputs.name);
        }
        let rest = left % right;
        let rest = if rest < 0 { (rest + right) % right } else { rest };
        Ok(T::Native::try_from(rest).ok())
    })
}

/// `width_bucket(value, low, high, buckets)`: which of so many buckets of one width a value is in,
/// 0 below them and one more than there are above.
pub(super) fn width_bucket(inputs: &Inputs) -> Result<ArrayRef> {
    let bounds: Vec<_> = (0..3).map(|index| inputs.values::<Float64Type>(index)).collect();
    let counts = inputs.values::<Int64Type>(3);
    inputs.numbers::<Int64Type>(|row| {
        let numbers: Option<Vec<f64>> = bounds.iter().map(|bounds| bounds.get(row)).collect();
        let (Some(numbers), Some(count)) = (numbers, counts.get(row)) else { return Ok(None) };
        let [value, low, high] = numbers[..] else { return Ok(None) };
        if !(1..=i64::from(i32::MAX)).contains(&count) {
            return exec_err!("{}: {count} buckets; there must be 1 or more", inputs.name);
        }
        if low == high || !low.is_finite() || !high.is_finite() || value.is_nan() {
            return exec_err!(
                "{}: {value} between {low} and {high}; these must be finite and differ",
                inputs.name
            );
        }
        let share = (value - low) / (high - low);
        Ok(Some(if share < 0.0 {
            0
        } else if share >= 1.0 {
            count + 1
        } else {
            (share * count as f64) as i64 + 1
        }))
    })
}

/// `bit_count(integer)`: the ones among the bits of its type.
pub(super) fn bit_count(inputs: &Inputs) -> Result<ArrayRef> {
    let (array, _) = inputs.column(0);
    let bits = match array.data_type().primitive_width() {
        Some(bytes) => bytes * 8,
        None => return exec_err!("{}: integers have bits", inputs.name),
    };
    let mask = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
    let ones = |number: u64| i64::from((number & mask).count_ones());
    if let Some(numbers) = array.as_any().downcast_ref::<arrow::array::UInt64Array>() {
        return Ok(Arc::new(numbers.unary::<_, Int64Type>(ones)));
    }
    let numbers = arrow::compute::cast(array, &DataType::Int64)?;
    let numbers = arrow::array::AsArray::as_primitive::<Int64Type>(&numbers);
    Ok(Arc::new(numbers.unary::<_, Int64Type>(|number| ones(number.cast_unsigned()))))
}
