//! Sizes of batches, and batches that hold no more than their rows.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ByteView, GenericByteViewArray, RecordBatch, RecordBatchOptions,
    UInt32Array,
};
use arrow::compute::take_record_batch;
use arrow::datatypes::{BinaryViewType, ByteViewType, DataType, SchemaRef, StringViewType};
use datafusion::error::Result;

/// Bytes that the rows of a batch need in memory. Buffers that it shares with others, or of which it
/// uses a part, count by that part.
pub(crate) fn logical_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(column_bytes).sum()
}

/// Bytes that the rows of a column need in memory.
pub(crate) fn column_bytes(column: &ArrayRef) -> usize {
    let nulls = if column.nulls().is_some() { column.len().div_ceil(8) } else { 0 };
    match column.data_type() {
        DataType::Utf8View => {
            size_of::<u128>() * column.len() + nulls + long_bytes(column.as_string_view())
        }
        DataType::BinaryView => {
            size_of::<u128>() * column.len() + nulls + long_bytes(column.as_binary_view())
        }
        data_type => match data_type.primitive_width() {
            Some(width) => width * column.len() + nulls,
            None => column
                .to_data()
                .get_slice_memory_size()
                .unwrap_or_else(|_| column.get_array_memory_size()),
        },
    }
}

/// Bytes of the values that are too long to be stored in their views.
fn long_bytes<T: ByteViewType + ?Sized>(column: &GenericByteViewArray<T>) -> usize {
    const LONGEST_INLINE: u32 = 12;
    let long = |view: &u128| {
        let length = ByteView::from(*view).length;
        if length > LONGEST_INLINE { length as usize } else { 0 }
    };
    column.views().iter().map(long).sum()
}

/// The same rows, without the bytes of other rows that strings may hold on to.
pub(crate) fn compacted(batch: RecordBatch) -> RecordBatch {
    if !batch.columns().iter().any(is_sparse) {
        return batch;
    }
    let columns = batch.columns().iter().map(compacted_column).collect();
    with_columns(batch.schema(), columns, batch.num_rows())
}

/// A batch of columns whose types and lengths are known to fit.
fn with_columns(schema: SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns, &options)
        .expect("columns of the same types and lengths as before")
}

/// Whether a column of strings holds on to far more bytes than its rows need.
fn is_sparse(column: &ArrayRef) -> bool {
    fn sparse<T: ByteViewType + ?Sized>(column: &GenericByteViewArray<T>) -> bool {
        let held: usize = column.data_buffers().iter().map(|buffer| buffer.len()).sum();
        held > 4096 && held > 2 * long_bytes(column)
    }
    match column.data_type() {
        DataType::Utf8View => sparse::<StringViewType>(column.as_string_view()),
        DataType::BinaryView => sparse::<BinaryViewType>(column.as_binary_view()),
        _ => false,
    }
}

fn compacted_column(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View if is_sparse(column) => Arc::new(column.as_string_view().gc()),
        DataType::BinaryView if is_sparse(column) => Arc::new(column.as_binary_view().gc()),
        _ => Arc::clone(column),
    }
}

/// The same rows in buffers of their own.
///
/// # Errors
/// If the strings of a column are too many for its offsets.
pub(crate) fn owned(batch: &RecordBatch) -> Result<RecordBatch> {
    let all = UInt32Array::from_iter_values(0..batch.num_rows() as u32);
    Ok(compacted(take_record_batch(batch, &all)?))
}

/// One batch of the rows of all, column by column, so that no more than one column is there twice.
///
/// # Errors
/// If the strings of a column are too many for its offsets.
pub(crate) fn concat(schema: &SchemaRef, batches: Vec<RecordBatch>) -> Result<RecordBatch> {
    if batches.len() == 1 {
        return Ok(batches.into_iter().next().expect("a batch"));
    }
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let mut parts: Vec<std::vec::IntoIter<ArrayRef>> =
        batches.into_iter().map(|batch| batch.into_parts().1.into_iter()).collect();
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let column: Vec<ArrayRef> = parts.iter_mut().filter_map(Iterator::next).collect();
        let column: Vec<&dyn Array> = column.iter().map(AsRef::as_ref).collect();
        columns.push(if column.is_empty() {
            arrow::array::new_empty_array(field.data_type())
        } else {
            arrow::compute::concat(&column)?
        });
    }
    Ok(with_columns(SchemaRef::clone(schema), columns, rows))
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int64Array, StringViewArray};

    use super::*;

    fn batch(rows: i64) -> RecordBatch {
        let text = (0..rows).map(|i| Some(format!("a text of some length, number {i:06}")));
        RecordBatch::try_from_iter([
            ("n", Arc::new(Int64Array::from_iter_values(0..rows)) as ArrayRef),
            ("s", Arc::new(StringViewArray::from_iter(text)) as ArrayRef),
        ])
        .unwrap()
    }

    #[test]
    fn a_slice_counts_by_its_rows_and_lets_go_of_the_others() {
        let whole = batch(1000);
        let bytes = logical_bytes(&whole);
        assert_eq!(bytes, 1000 * (8 + 16 + 36));
        let slice = whole.slice(10, 50);
        assert_eq!(logical_bytes(&slice), bytes / 20);
        let compact = compacted(slice.clone());
        assert_eq!(compact, slice);
        let held = compact.column(1).as_string_view().data_buffers().iter().map(|b| b.len());
        assert_eq!(held.sum::<usize>(), 50 * 36);
    }

    #[test]
    fn concat_keeps_rows_in_order() {
        let whole = batch(100);
        let parts = vec![whole.slice(0, 30), whole.slice(30, 0), whole.slice(30, 70)];
        assert_eq!(concat(&whole.schema(), parts).unwrap(), whole);
        assert_eq!(concat(&whole.schema(), vec![]).unwrap(), whole.slice(0, 0));
    }
}
