//! One value of each list.

use arrow::array::{ArrayRef, AsArray, UInt32Array};
use arrow::compute::take;
use arrow::datatypes::Int64Type;
use datafusion::error::Result;

use super::super::define::Call;
use super::Lists;

/// The value at a position of each list, counted from 1, or from the end if it is negative. NULL
/// if there is none.
pub(in super::super) fn element_at(call: &Call<'_>) -> Result<ArrayRef> {
    let lists = Lists::new(&call.array(0)?);
    let positions = call.array(1)?;
    let picked = positions.as_primitive::<Int64Type>().iter().enumerate().map(|(row, position)| {
        let range = lists.range(row);
        let length = range.len() as i64;
        let at = match position? {
            0 => return None,
            position if position < 0 => length.checked_add(position)?,
            position => position - 1,
        };
        if !(0..length).contains(&at) {
            return None;
        }
        u32::try_from(range.start + usize::try_from(at).ok()?).ok()
    });
    Ok(take(&lists.values, &picked.collect::<UInt32Array>(), None)?)
}
