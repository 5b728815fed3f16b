//! How far apart two values of an order are, and how far they may be.

use std::time::Duration;

use arrow::array::{ArrayRef, AsArray, PrimitiveArray};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Decimal128Type, Float64Type, Int64Type, TimeUnit, UInt64Type,
};
use datafusion::common::plan_err;
use datafusion::error::Result;
use serde::{Deserialize, Serialize};

/// How far apart rows that match may be at most, the distance itself included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// For an order of numbers.
    Whole(i64),
    /// For an order of numbers.
    Real(f64),
    /// For an order of dates, times or timestamps.
    Time(Duration),
}

impl From<i64> for Tolerance {
    fn from(distance: i64) -> Self {
        Tolerance::Whole(distance)
    }
}

impl From<i32> for Tolerance {
    fn from(distance: i32) -> Self {
        Tolerance::Whole(distance.into())
    }
}

impl From<f64> for Tolerance {
    fn from(distance: f64) -> Self {
        Tolerance::Real(distance)
    }
}

impl From<Duration> for Tolerance {
    fn from(distance: Duration) -> Self {
        Tolerance::Time(distance)
    }
}

/// What a step of 1 between the stored values of a type is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Unit {
    /// A part of 1: one of 10 to this power.
    Number {
        scale: i8,
    },
    Real,
    Nanoseconds(i128),
}

impl Unit {
    /// `None` for types without distances.
    pub(super) fn of(data_type: &DataType) -> Option<Unit> {
        Some(match data_type {
            data_type if data_type.is_integer() => Unit::Number { scale: 0 },
            DataType::Decimal32(_, scale)
            | DataType::Decimal64(_, scale)
            | DataType::Decimal128(_, scale) => Unit::Number { scale: *scale },
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Unit::Real,
            DataType::Date32 => Unit::Nanoseconds(86_400_000_000_000),
            DataType::Date64 => Unit::Nanoseconds(1_000_000),
            DataType::Time32(unit)
            | DataType::Time64(unit)
            | DataType::Duration(unit)
            | DataType::Timestamp(unit, _) => Unit::Nanoseconds(match unit {
                TimeUnit::Second => 1_000_000_000,
                TimeUnit::Millisecond => 1_000_000,
                TimeUnit::Microsecond => 1_000,
                TimeUnit::Nanosecond => 1,
            }),
            _ => return None,
        })
    }
}

/// A tolerance in the unit of a type: whole steps, or the bits of a float.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Hash, Serialize, Deserialize)]
pub(super) enum Reach {
    Whole(i128),
    RealBits(u64),
}

impl Tolerance {
    /// The tolerance for values of a type.
    ///
    /// # Errors
    /// If it does not fit the type, or is negative.
    pub(super) fn reach(self, data_type: &DataType) -> Result<Reach> {
        let is_negative = match self {
            Tolerance::Whole(distance) => distance < 0,
            // Also for what is not a number.
            Tolerance::Real(distance) => distance.is_nan() || distance < 0.0,
            Tolerance::Time(_) => false,
        };
        if is_negative {
            return plan_err!("a tolerance of {self:?}, which is not 0 or more");
        }
        match (Unit::of(data_type), self) {
            (Some(Unit::Number { scale }), Tolerance::Whole(distance)) => {
                let power = 10_i128.checked_pow(scale.unsigned_abs().into()).unwrap_or(i128::MAX);
                let distance = i128::from(distance);
                Ok(Reach::Whole(match scale {
                    0.. => distance.saturating_mul(power),
                    _ => distance / power,
                }))
            }
            (Some(Unit::Number { scale }), Tolerance::Real(distance)) => {
                // Distances are whole steps, so what is beyond the last step does not count. The
                // conversion saturates.
                let steps = distance * 10_f64.powi(scale.into());
                // 0.3 at a scale of 1 is 3 steps, although the product may be a little less.
                let nearest = steps.round();
                let is_whole = (steps - nearest).abs() <= nearest.abs() * f64::EPSILON;
                Ok(Reach::Whole(if is_whole { nearest } else { steps.floor() } as i128))
            }
            (Some(Unit::Real), Tolerance::Whole(distance)) => {
                Ok(Reach::RealBits((distance as f64).to_bits()))
            }
            (Some(Unit::Real), Tolerance::Real(distance)) => {
                Ok(Reach::RealBits(distance.to_bits()))
            }
            (Some(Unit::Nanoseconds(unit)), Tolerance::Time(distance)) => {
                Ok(Reach::Whole(distance.as_nanos().cast_signed() / unit))
            }
            (Some(Unit::Nanoseconds(_)), _) => {
                plan_err!("the tolerance between values of type {data_type} has to be a duration")
            }
            (Some(_), Tolerance::Time(_)) => {
                plan_err!("the tolerance between values of type {data_type} has to be a number")
            }
            (None, _) => {
                plan_err!("values of type {data_type} have no distance, so there is no tolerance")
            }
        }
    }
}

/// The values of an order as numbers that distances can be taken of. Those of NULLs mean nothing.
#[derive(Debug)]
pub(super) enum Places {
    Whole(Vec<i128>),
    Real(Vec<f64>),
}

/// The distance of two values.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub(super) enum Distance {
    Whole(u128),
    Real(f64),
}

impl Places {
    /// # Errors
    /// If the type has no distances.
    pub(super) fn of(values: &ArrayRef) -> Result<Places> {
        fn whole<T: ArrowPrimitiveType>(values: &PrimitiveArray<T>) -> Places
        where
            T::Native: Into<i128>,
        {
            Places::Whole(values.values().iter().map(|value| (*value).into()).collect())
        }
        Ok(match Unit::of(values.data_type()) {
            Some(Unit::Real) => {
                let values = cast(values, &DataType::Float64)?;
                Places::Real(values.as_primitive::<Float64Type>().values().to_vec())
            }
            Some(Unit::Number { .. }) => match values.data_type() {
                DataType::UInt64 => whole(values.as_primitive::<UInt64Type>()),
                DataType::Decimal128(..) => whole(values.as_primitive::<Decimal128Type>()),
                DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
                    let values = cast(values, &DataType::Decimal128(*precision, *scale))?;
                    whole(values.as_primitive::<Decimal128Type>())
                }
                _ => whole(cast(values, &DataType::Int64)?.as_primitive::<Int64Type>()),
            },
            Some(Unit::Nanoseconds(_)) => {
                // Those of 32 bits become integers of 32 bits before they get wider.
                let narrow = match values.data_type().primitive_width() {
                    Some(4) => cast(values, &DataType::Int32)?,
                    _ => values.clone(),
                };
                whole(cast(&narrow, &DataType::Int64)?.as_primitive::<Int64Type>())
            }
            None => return plan_err!("values of type {} have no distance", values.data_type()),
        })
    }

    /// How far a value is from one of another batch.
    pub(super) fn distance(&self, row: usize, other: &Places, other_row: usize) -> Distance {
        match (self, other) {
            (Places::Whole(a), Places::Whole(b)) => Distance::Whole(a[row].abs_diff(b[other_row])),
            (Places::Real(a), Places::Real(b)) => Distance::Real((a[row] - b[other_row]).abs()),
            // Both sides have one type.
            _ => Distance::Real(f64::NAN),
        }
    }
}

impl Distance {
    pub(super) fn is_within(self, reach: Reach) -> bool {
        match (self, reach) {
            (Distance::Whole(distance), Reach::Whole(most)) => {
                u128::try_from(most).is_ok_and(|most| distance <= most)
            }
            (Distance::Real(distance), Reach::RealBits(most)) => distance <= f64::from_bits(most),
            _ => false,
        }
    }
}
