//! The columns of a batch as bytes: integers as narrow as their values allow, texts one after the other.
//!
//! Integers of all kinds (numbers, decimals, dates, times) lie in a small range within a block, mostly:
//! they are written as differences from the smallest (frame of reference; J. Goldstein, R. Ramakrishnan,
//! U. Shaft, ICDE 1998), of 0, 1, 2, 4 or 8 bytes. This takes a fraction of the time of a compressor,
//! and leaves it little to gain. Texts are for the compressor, without their views, which are made
//! again from their lengths. Columns of other types are an Arrow IPC stream.
//!
//! ```text
//! plain: rows u64 │ IPC bytes u64 │ columns
//!   in the stream   0 u8
//!   integers        1 u8 │ nulls │ base i64 │ width u8 │ differences
//!   texts           2 u8 │ nulls │ short bytes u64 │ long bytes u64 │ width u8 │ lengths
//!   nulls           0 u8, or 1 u8 │ a bit for each row
//! rest:  IPC stream │ for each column of texts, those within views │ those that are longer
//! ```

use std::sync::Arc;

use arrow::array::{
    Array, ArrayData, ArrayRef, AsArray, BinaryViewArray, RecordBatch, RecordBatchOptions,
    StringViewArray, make_array, make_view,
};
use arrow::buffer::{BooleanBuffer, Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowNativeType, DataType, IntervalUnit, SchemaRef};
use arrow::error::ArrowError;
use arrow::ipc::MetadataVersion;
use arrow::ipc::reader::StreamDecoder;
use arrow::ipc::writer::{IpcWriteOptions, StreamWriter};

use crate::error::Result;

/// Arrow buffers begin at multiples of this in a stream, so that decoding need not copy them.
const ALIGNMENT: usize = 64;

/// The longest text that is in its view.
const MOST_SHORT: usize = 12;

const IN_STREAM: u8 = 0;
const INTEGERS: u8 = 1;
const TEXTS: u8 = 2;

/// A batch as bytes.
#[derive(Debug, Default)]
pub(super) struct Packed {
    /// What would hardly get smaller.
    pub(super) plain: Vec<u8>,
    /// What a compressor is for.
    pub(super) rest: Vec<u8>,
}

/// How a column is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    InStream,
    /// With the bytes of a value.
    Integers(usize),
    Texts,
}

impl Form {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Utf8View | DataType::BinaryView => Form::Texts,
            DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt16
            | DataType::UInt32
            | DataType::UInt64
            | DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Timestamp(..)
            | DataType::Duration(_)
            | DataType::Interval(IntervalUnit::YearMonth)
            | DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..) => {
                data_type.primitive_width().map_or(Form::InStream, Form::Integers)
            }
            _ => Form::InStream,
        }
    }
}

/// The bytes of a batch.
///
/// # Errors
/// If a column cannot be written as Arrow IPC.
pub(super) fn pack(batch: &RecordBatch) -> Result<Packed> {
    let mut streamed = Vec::new();
    let mut columns = Packed::default();
    for (index, column) in batch.columns().iter().enumerate() {
        let is_packed = match Form::of(column.data_type()) {
            Form::InStream => false,
            Form::Integers(width) => columns.add_integers(column, width),
            Form::Texts => columns.add_texts(column),
        };
        if !is_packed {
            columns.plain.push(IN_STREAM);
            streamed.push(index);
        }
    }
    let mut rest = Vec::new();
    if !streamed.is_empty() {
        let batch = batch.project(&streamed)?;
        rest.reserve(batch.get_array_memory_size() + 4096 + columns.rest.len());
        let options = IpcWriteOptions::try_new(ALIGNMENT, false, MetadataVersion::V5)?;
        let mut writer = StreamWriter::try_new_with_options(rest, &batch.schema(), options)?;
        writer.write(&batch)?;
        rest = writer.into_inner()?;
    }
    let mut plain = Vec::with_capacity(16 + columns.plain.len());
    plain.extend((batch.num_rows() as u64).to_le_bytes());
    plain.extend((rest.len() as u64).to_le_bytes());
    plain.append(&mut columns.plain);
    if rest.is_empty() {
        rest = columns.rest;
    } else {
        rest.append(&mut columns.rest);
    }
    Ok(Packed { plain, rest })
}

impl Packed {
    /// Adds integers of so many bytes; `false` if they are in no range of 64 bits.
    fn add_integers(&mut self, column: &ArrayRef, width: usize) -> bool {
        let data = column.to_data();
        let rows = data.offset()..data.offset() + data.len();
        let buffer = &data.buffers()[0];
        // A difference that does not fit wraps around, and is right as one without a sign.
        match width {
            2 => {
                let values = &buffer.typed_data::<i16>()[rows];
                self.add_differences(column, values, |a, b| a.wrapping_sub(b) as u16);
            }
            4 => {
                let values = &buffer.typed_data::<i32>()[rows];
                self.add_differences(column, values, |a, b| a.wrapping_sub(b) as u32);
            }
            8 => {
                let values = &buffer.typed_data::<i64>()[rows];
                self.add_differences(column, values, |a, b| a.wrapping_sub(b) as u64);
            }
            _ => match within_64_bits(&buffer.typed_data::<i128>()[rows]) {
                Some(values) => {
                    self.add_differences(column, &values, |a, b| a.wrapping_sub(b) as u64);
                }
                None => return false,
            },
        }
        true
    }

    /// Adds the values of a column as differences from the least of them.
    fn add_differences<T, U>(
        &mut self,
        column: &ArrayRef,
        values: &[T],
        difference: impl Fn(T, T) -> U,
    ) where
        T: Copy + Ord + Default + Into<i64>,
        U: Into<u64>,
    {
        self.add_nulls(INTEGERS, column);
        let least = values.iter().copied().min().unwrap_or_default();
        let most = values.iter().copied().max().unwrap_or_default();
        let base: i64 = least.into();
        self.plain.extend(base.to_le_bytes());
        let range = difference(most, least).into();
        self.add_narrow(range, values.len(), |row| difference(values[row], least).into());
    }

    /// Adds numbers, none of which is greater than `most`, and before them how wide they are.
    fn add_narrow(&mut self, most: u64, rows: usize, number: impl Fn(usize) -> u64) {
        macro_rules! narrow {
            ($type:ty) => {{
                const WIDTH: usize = size_of::<$type>();
                self.plain.push(WIDTH as u8);
                let start = self.plain.len();
                self.plain.resize(start + rows * WIDTH, 0);
                let places = self.plain[start..].chunks_exact_mut(WIDTH);
                for (row, place) in places.enumerate() {
                    place.copy_from_slice(&(number(row) as $type).to_le_bytes());
                }
            }};
        }
        match most {
            0 => self.plain.push(0),
            1..=0xff => narrow!(u8),
            0x100..=0xffff => narrow!(u16),
            0x1_0000..=0xffff_ffff => narrow!(u32),
            _ => narrow!(u64),
        }
    }

    fn add_nulls(&mut self, form: u8, column: &ArrayRef) {
        self.plain.push(form);
        match column.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => self.plain.push(0),
            Some(nulls) => {
                self.plain.push(1);
                let bits = nulls.inner().sliced();
                self.plain.extend(&bits.as_slice()[..column.len().div_ceil(8)]);
            }
        }
    }

    /// Adds texts; `false` if there are more than can be referred to.
    fn add_texts(&mut self, column: &ArrayRef) -> bool {
        let (views, buffers) = match column.data_type() {
            DataType::Utf8View => {
                let texts = column.as_string_view();
                (texts.views(), texts.data_buffers())
            }
            _ => {
                let texts = column.as_binary_view();
                (texts.views(), texts.data_buffers())
            }
        };
        let nulls = column.nulls().filter(|nulls| nulls.null_count() > 0);
        let length = |row: usize| match nulls {
            Some(nulls) if nulls.is_null(row) => 0,
            _ => views[row] as u32 as usize,
        };
        let (mut short, mut long, mut longest) = (0, 0, 0);
        for row in 0..views.len() {
            let length = length(row);
            *(if length > MOST_SHORT { &mut long } else { &mut short }) += length;
            longest = longest.max(length);
        }
        if u32::try_from(long).is_err() {
            return false;
        }
        self.add_nulls(TEXTS, column);
        self.plain.extend((short as u64).to_le_bytes());
        self.plain.extend((long as u64).to_le_bytes());
        self.add_narrow(longest as u64, views.len(), |row| length(row) as u64);
        let start = self.rest.len();
        self.rest.resize(start + short + long, 0);
        let (mut shorts, mut longs) = self.rest[start..].split_at_mut(short);
        for (row, view) in views.iter().enumerate() {
            let length = length(row);
            if length > MOST_SHORT {
                let (buffer, offset) = ((view >> 64) as u32 as usize, (view >> 96) as usize);
                let (place, others) = longs.split_at_mut(length);
                place.copy_from_slice(&buffers[buffer][offset..offset + length]);
                longs = others;
            } else {
                let (place, others) = shorts.split_at_mut(length);
                place.copy_from_slice(&view.to_le_bytes()[4..4 + length]);
                shorts = others;
            }
        }
        true
    }
}

/// The same numbers in 64 bits, if they all fit.
fn within_64_bits(values: &[i128]) -> Option<Vec<i64>> {
    // Without an early end, so that many are looked at together.
    let beyond =
        values.iter().fold(0, |beyond, value| beyond | ((value >> 64) ^ (value >> 63)) as i64);
    (beyond == 0).then(|| values.iter().map(|value| *value as i64).collect())
}

/// The batch that was packed; `None` if the bytes are not of one of this schema.
///
/// # Errors
/// Those of reading Arrow IPC.
///
/// # Safety
/// The bytes must be those that [`pack`] made of a valid batch of these types.
pub(super) unsafe fn unpack(
    plain: &[u8],
    rest: &Buffer,
    schema: &SchemaRef,
) -> Result<Option<RecordBatch>> {
    let mut bytes = Bytes(plain);
    let Some((rows, stream_bytes)) = bytes.lengths() else { return Ok(None) };
    if stream_bytes > rest.len() {
        return Ok(None);
    }
    // SAFETY: the caller says so.
    let streamed = unsafe { streamed(rest.slice_with_length(0, stream_bytes))? };
    let mut streamed = streamed.iter().flat_map(|batch| batch.columns().iter().cloned());
    let mut texts = rest.slice(stream_bytes);
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let column = match bytes.byte() {
            Some(IN_STREAM) => streamed.next(),
            Some(INTEGERS) => bytes.integers(field.data_type(), rows)?,
            // SAFETY: the caller says so.
            Some(TEXTS) => unsafe { bytes.texts(field.data_type(), rows, &mut texts) },
            _ => None,
        };
        let Some(column) = column else { return Ok(None) };
        columns.push(column);
    }
    // The field names and metadata of the plan, which are not always those of the batch.
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(Some(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?))
}

/// The batch of an Arrow IPC stream; `None` if there are no bytes.
///
/// # Safety
/// The stream must be one of a valid batch.
unsafe fn streamed(mut bytes: Buffer) -> Result<Option<RecordBatch>> {
    // SAFETY: the caller says so.
    let mut decoder = unsafe { StreamDecoder::new().with_skip_validation(true) };
    while !bytes.is_empty() {
        if let Some(batch) = decoder.decode(&mut bytes)? {
            return Ok(Some(batch));
        }
    }
    Ok(None)
}

/// Bytes that are read from their start.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, others) = self.0.split_at_checked(count)?;
        self.0 = others;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn word(&mut self) -> Option<u64> {
        Some(u64::from_le_bytes(self.take(8)?.try_into().ok()?))
    }

    fn lengths(&mut self) -> Option<(usize, usize)> {
        Some((usize::try_from(self.word()?).ok()?, usize::try_from(self.word()?).ok()?))
    }

    fn nulls(&mut self, rows: usize) -> Option<Option<NullBuffer>> {
        match self.byte()? {
            0 => Some(None),
            _ => {
                let bits = Buffer::from_slice_ref(self.take(rows.div_ceil(8))?);
                Some(Some(NullBuffer::new(BooleanBuffer::new(bits, 0, rows))))
            }
        }
    }

    /// Numbers that were made narrow, each changed by `wide`.
    fn narrow<T: ArrowNativeType>(
        &mut self,
        rows: usize,
        wide: impl Fn(u64) -> T,
    ) -> Option<Vec<T>> {
        macro_rules! narrow {
            ($type:ty) => {{
                const WIDTH: usize = size_of::<$type>();
                let numbers = self.take(rows.checked_mul(WIDTH)?)?.chunks_exact(WIDTH);
                let number = |bytes: &[u8]| {
                    let mut number = [0; WIDTH];
                    number.copy_from_slice(bytes);
                    u64::from(<$type>::from_le_bytes(number))
                };
                numbers.map(|bytes| wide(number(bytes))).collect()
            }};
        }
        Some(match self.byte()? {
            0 => vec![wide(0); rows],
            1 => narrow!(u8),
            2 => narrow!(u16),
            4 => narrow!(u32),
            8 => narrow!(u64),
            _ => return None,
        })
    }

    fn integers(
        &mut self,
        data_type: &DataType,
        rows: usize,
    ) -> std::result::Result<Option<ArrayRef>, ArrowError> {
        let Some((nulls, values)) = self.nulls_and_integers(data_type, rows) else {
            return Ok(None);
        };
        let data = ArrayData::builder(data_type.clone()).len(rows).add_buffer(values).nulls(nulls);
        Ok(Some(make_array(data.build()?)))
    }

    fn nulls_and_integers(
        &mut self,
        data_type: &DataType,
        rows: usize,
    ) -> Option<(Option<NullBuffer>, Buffer)> {
        let nulls = self.nulls(rows)?;
        let base = self.word()? as i64;
        // As when the difference was made, a sum that does not fit wraps around.
        macro_rules! integers {
            ($type:ty) => {
                Buffer::from_vec(
                    self.narrow(rows, |difference| (base as $type).wrapping_add(difference as _))?,
                )
            };
        }
        let values = match Form::of(data_type) {
            Form::Integers(2) => integers!(i16),
            Form::Integers(4) => integers!(i32),
            Form::Integers(8) => integers!(i64),
            Form::Integers(16) => Buffer::from_vec(
                self.narrow(rows, |difference| i128::from(base.wrapping_add(difference as i64)))?,
            ),
            _ => return None,
        };
        Some((nulls, values))
    }

    /// Texts, which are taken from the front of `rest`.
    ///
    /// # Safety
    /// They must be texts of this type.
    unsafe fn texts(
        &mut self,
        data_type: &DataType,
        rows: usize,
        rest: &mut Buffer,
    ) -> Option<ArrayRef> {
        let nulls = self.nulls(rows)?;
        let (short, long) = self.lengths()?;
        let lengths = self.narrow(rows, |length| length as u32)?;
        if short.checked_add(long)? > rest.len() {
            return None;
        }
        let longs = rest.slice_with_length(short, long);
        let mut short_texts = Bytes(&rest[..short]);
        let mut views = Vec::with_capacity(rows);
        let mut offset = 0;
        for length in lengths {
            let length = length as usize;
            views.push(if length > MOST_SHORT {
                let text = longs.get(offset..offset + length)?;
                offset += length;
                make_view(text, 0, (offset - length) as u32)
            } else {
                make_view(short_texts.take(length)?, 0, 0)
            });
        }
        let buffers = if long > 0 { vec![longs] } else { Vec::new() };
        *rest = rest.slice(short + long);
        let views = ScalarBuffer::from(views);
        Some(match data_type {
            // SAFETY: the views were made of texts as they are, and those of long ones say where in the
            // one buffer they are; that they are UTF-8, the caller says.
            DataType::Utf8View => unsafe {
                Arc::new(StringViewArray::new_unchecked(views, buffers, nulls))
            },
            // SAFETY: as above, and any bytes will do.
            DataType::BinaryView => unsafe {
                Arc::new(BinaryViewArray::new_unchecked(views, buffers, nulls))
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        Date32Array, Decimal128Array, Float64Array, Int16Array, Int32Array, Int64Array,
        TimestampMicrosecondArray, UInt64Array,
    };

    use super::*;

    fn round_trip(columns: Vec<ArrayRef>) -> Packed {
        let columns = columns.into_iter().enumerate();
        let columns = columns.map(|(number, column)| (format!("c{number}"), column, true));
        let whole = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
        for start in [0, 1, 9] {
            let start = start.min(whole.num_rows());
            let batch = whole.slice(start, whole.num_rows() - start);
            let Packed { plain, rest } = pack(&batch).unwrap();
            // SAFETY: they were just packed.
            let found = unsafe { unpack(&plain, &Buffer::from_vec(rest), &batch.schema()) };
            assert_eq!(found.unwrap().unwrap(), batch);
        }
        pack(&whole).unwrap()
    }

    #[test]
    fn integers_are_as_narrow_as_their_range() {
        let mut sizes = Vec::new();
        for range in [1, 0x100, 0x101, 0x1_0001, 1 << 40] {
            let values = (0..1000).map(|row| 5_000_000_000 + row * (range - 1) / 999);
            let packed = round_trip(vec![Arc::new(Int64Array::from_iter_values(values))]);
            assert!(packed.rest.is_empty());
            sizes.push(packed.plain.len());
        }
        let overhead = sizes[0];
        assert_eq!(sizes, [0, 1, 2, 4, 8].map(|width| overhead + width * 1000));
    }

    #[test]
    fn integers_of_every_type_and_range() {
        let wide = [i64::MIN, i64::MAX, 0, -1, 1, 7, 7, 7, 7, 7, 7];
        let decimals = wide.map(i128::from);
        let wider = [i128::MIN, i128::MAX, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        let decimal = |values: [i128; 11]| -> ArrayRef {
            let values = Decimal128Array::from_iter_values(values);
            Arc::new(values.with_precision_and_scale(38, 3).unwrap())
        };
        let some = |row: usize| (!row.is_multiple_of(3)).then_some(row as i64 - 4);
        round_trip(vec![
            Arc::new(Int64Array::from(wide.to_vec())),
            Arc::new(UInt64Array::from_iter_values([0, u64::MAX, 1, 2, 3, 4, 5, 6, 7, 8, 9])),
            decimal(decimals),
            decimal(wider),
            Arc::new(Int16Array::from_iter_values((0..11).map(|row| (row * 5957 - 32768) as i16))),
            Arc::new(Int32Array::from_iter((0..11).map(|row| some(row).map(|n| n as i32)))),
            Arc::new(Date32Array::from_iter((0..11).map(|row| some(row).map(|n| n as i32 * 999)))),
            Arc::new(TimestampMicrosecondArray::from_iter((0..11).map(some)).with_timezone("UTC")),
            Arc::new(Float64Array::from_iter((0..11).map(|row| some(row).map(|n| n as f64 / 3.0)))),
            Arc::new(Int64Array::new_null(11)),
        ]);
        round_trip(vec![Arc::new(Int64Array::from(Vec::<i64>::new()))]);
    }

    #[test]
    fn texts_short_long_empty_and_missing() {
        let text = |row: usize| match row % 5 {
            0 => None,
            1 => Some(String::new()),
            2 => Some("twelve bytes".to_string()),
            3 => Some(format!("more than twelve bytes, {row}")),
            _ => Some("é".repeat(row * 40)),
        };
        let texts = StringViewArray::from_iter((0..60).map(text));
        let bytes =
            BinaryViewArray::from_iter((0..60).map(|row| text(row).map(String::into_bytes)));
        let short = StringViewArray::from_iter_values((0..60).map(|row| row.to_string()));
        let packed = round_trip(vec![
            Arc::new(texts.clone()),
            Arc::new(short.clone()),
            Arc::new(bytes),
            Arc::new(StringViewArray::new_null(60)),
        ]);
        let all: usize = texts.iter().flatten().map(str::len).sum();
        let digits: usize = short.iter().flatten().map(str::len).sum();
        assert_eq!(packed.rest.len(), 2 * all + digits);
    }

    #[test]
    fn a_batch_without_columns_has_rows() {
        let options = RecordBatchOptions::new().with_row_count(Some(7));
        let schema = Arc::new(arrow::datatypes::Schema::empty());
        let batch = RecordBatch::try_new_with_options(schema, vec![], &options).unwrap();
        let Packed { plain, rest } = pack(&batch).unwrap();
        // SAFETY: they were just packed.
        let found = unsafe { unpack(&plain, &Buffer::from_vec(rest), &batch.schema()) };
        assert_eq!(found.unwrap().unwrap().num_rows(), 7);
    }

    #[test]
    fn bytes_that_are_cut_are_no_batch() {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..100));
        let batch = RecordBatch::try_from_iter([("n", column)]).unwrap();
        let Packed { plain, rest } = pack(&batch).unwrap();
        let rest = Buffer::from_vec(rest);
        for length in 0..plain.len() {
            // SAFETY: a part of what was packed is refused before it is used.
            let found = unsafe { unpack(&plain[..length], &rest, &batch.schema()) };
            assert!(found.unwrap().is_none(), "{length}");
        }
    }
}
