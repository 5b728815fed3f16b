//! Moments in time zones.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::DataType;
use datafusion::common::{ScalarValue, exec_err};
use datafusion::error::Result;

use super::moment::{Clock, Moments, from_utc, moments, of_counts, out_of_range, to_utc, zone};
use crate::functions::inputs::{Inputs, Last};
use crate::functions::scalar::micros;

/// The type of `timezone`: with a zone for a timestamp without, and the other way round.
pub(super) fn turned(types: &[DataType], _: &[Option<&ScalarValue>]) -> Result<DataType> {
    Ok(match &types[1] {
        DataType::Timestamp(unit, None) => DataType::Timestamp(*unit, Some(Arc::from("+00:00"))),
        DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, None),
        _ => micros(),
    })
}

/// `timezone(zone, moment)`: a timestamp without a zone is a local time of the zone, and becomes
/// the moment; one with a zone becomes the local time of the other.
pub(super) fn timezone(inputs: &Inputs) -> Result<ArrayRef> {
    let (zones, values) = (inputs.texts(0), Moments::new(inputs, 1)?);
    let local = values.clock().zone().is_none();
    let clock = Clock::new(&inputs.returned)?;
    let mut known = Last::new();
    let counts = inputs
        .rows()
        .map(|row| {
            let (Some(name), Some(count)) = (zones.get(row), values.count(row)) else {
                return Ok(None);
            };
            let zone = *known.get(name, |name| zone(name, inputs.name))?;
            let Some(utc) = values.clock().utc(count) else {
                return exec_err!("{}: {count} is out of range", inputs.name);
            };
            let turned = if local { to_utc(utc, zone) } else { from_utc(utc, zone) };
            let count = clock.count_of_utc(turned);
            count.map(Some).ok_or_else(|| out_of_range(inputs.name, &turned.to_string()))
        })
        .collect::<Result<Int64Array>>()?;
    of_counts(counts, &inputs.returned)
}

/// `from_utc_timestamp(moment, zone)`: the local time of what is UTC.
pub(super) fn from_utc_timestamp(inputs: &Inputs) -> Result<ArrayRef> {
    converted(inputs, 0, None, Some(1))
}

/// `to_utc_timestamp(moment, zone)`: the UTC of what is a local time.
pub(super) fn to_utc_timestamp(inputs: &Inputs) -> Result<ArrayRef> {
    converted(inputs, 0, Some(1), None)
}

/// `convert_timezone(from, to, moment)`: the local time of one zone as that of another; from UTC
/// if there is only one zone.
pub(super) fn convert_timezone(inputs: &Inputs) -> Result<ArrayRef> {
    match inputs.len() {
        2 => converted(inputs, 1, None, Some(0)),
        _ => converted(inputs, 2, Some(0), Some(1)),
    }
}

/// The type of a function on local times: they have no zone.
pub(super) fn local(types: &[DataType], _: &[Option<&ScalarValue>]) -> Result<DataType> {
    let moment = types.iter().find_map(|data_type| match data_type {
        DataType::Timestamp(unit, _) => Some(DataType::Timestamp(*unit, None)),
        _ => None,
    });
    Ok(moment.unwrap_or_else(micros))
}

fn converted(
    inputs: &Inputs,
    moment: usize,
    from: Option<usize>,
    to: Option<usize>,
) -> Result<ArrayRef> {
    let values = Moments::new(inputs, moment)?;
    let names = |index: Option<usize>| index.map(|index| inputs.texts(index));
    let (from_names, to_names) = (names(from), names(to));
    let (mut known_from, mut known_to) = (Last::new(), Last::new());
    moments(inputs, |row| {
        let Some(mut value) = values.get(row) else { return Ok(None) };
        if let Some(names) = &from_names {
            let Some(name) = names.get(row) else { return Ok(None) };
            value = to_utc(value, *known_from.get(name, |name| zone(name, inputs.name))?);
        }
        if let Some(names) = &to_names {
            let Some(name) = names.get(row) else { return Ok(None) };
            value = from_utc(value, *known_to.get(name, |name| zone(name, inputs.name))?);
        }
        Ok(Some(value))
    })
}
