//! Fields of one column → an arrow array.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryViewBuilder, BooleanArray, BooleanBufferBuilder, GenericBinaryBuilder,
    LargeStringBuilder, NullBufferBuilder, OffsetSizeTrait, PrimitiveArray, StringBuilder,
    StringViewArray, make_view, new_null_array, timezone::Tz,
};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::compute::cast_with_options;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Decimal256Type, Float32Type,
    Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Time64MicrosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};

use super::dialect::Dialect;
use super::structure::Index;
use super::values::{self, DateFormat, NumberStyle};
use crate::error::{Error, Result};

/// How the values of a table's columns are read; compiled once a scan.
#[derive(Debug)]
pub(crate) struct Rules {
    quote: Option<u8>,
    escape: Option<u8>,
    null_words: Vec<Vec<u8>>,
    /// Whether the words mean NULL whatever else they could be, or only where a value would be
    /// wrong.
    null_words_first: bool,
    /// Whether they mean it where they are quoted, too.
    quoted_nulls: bool,
    /// Whether an empty text is NULL although it is quoted.
    empty_is_null: bool,
    numbers: NumberStyle,
    /// The formats of dates and timestamps, by column of the file, where they are not ISO 8601.
    formats: Vec<Option<DateFormat>>,
    /// The time zones, by column of the file, of timestamps that have one other than UTC.
    zones: Vec<Option<Tz>>,
    /// Of each column of the file, whether its type was found in samples; none beyond the end was.
    found: Vec<bool>,
}

impl Rules {
    /// The rules of a dialect for these columns of a file.
    ///
    /// # Errors
    /// `Config` if a format of dates or timestamps, or a time zone, is not valid.
    pub(crate) fn new(dialect: &Dialect, types: &[&DataType]) -> Result<Self> {
        let mut formats = Vec::with_capacity(types.len());
        let mut zones = Vec::with_capacity(types.len());
        for (column, data_type) in types.iter().enumerate() {
            let format = dialect.format_of(column, data_type).map(DateFormat::new).transpose();
            formats.push(format.map_err(Error::config)?);
            zones.push(match data_type {
                DataType::Timestamp(_, Some(zone))
                    if !matches!(zone.as_ref(), "UTC" | "+00:00") =>
                {
                    let unknown = |_| Error::config(format!("no time zone \"{zone}\""));
                    Some(zone.parse().map_err(unknown)?)
                }
                _ => None,
            });
        }
        Ok(Rules {
            quote: dialect.quote,
            escape: dialect.marks().escape,
            null_words: dialect.null_words.iter().map(|word| word.as_bytes().to_vec()).collect(),
            null_words_first: dialect.null_words_in_text,
            quoted_nulls: dialect.quoted_nulls,
            empty_is_null: dialect.null_words.iter().any(String::is_empty),
            numbers: NumberStyle { decimal: dialect.decimal, thousands: dialect.thousands },
            formats,
            zones,
            found: dialect.found.clone(),
        })
    }

    /// Whether the type of a column was found in samples, so that its values must not say more than
    /// the type holds.
    pub(crate) fn is_found(&self, column: usize) -> bool {
        self.found.get(column).copied().unwrap_or(false)
    }

    /// The format of a column of dates or timestamps; `None`: ISO 8601.
    pub(crate) fn format(&self, column: usize) -> Option<&DateFormat> {
        self.formats.get(column)?.as_ref()
    }

    /// The time zone of a column of timestamps; `None`: UTC, or none at all.
    fn zone(&self, column: usize) -> Option<&Tz> {
        self.zones.get(column)?.as_ref()
    }

    /// How numbers are written.
    pub(crate) fn numbers(&self) -> &NumberStyle {
        &self.numbers
    }

    fn is_null_word(&self, field: &[u8]) -> bool {
        self.null_words.iter().any(|word| word == field)
    }

    /// Whether a field is NULL whatever else its text could be. So it stands in the file.
    fn is_null(&self, raw: &[u8], text: &[u8]) -> bool {
        let word = if self.quoted_nulls { text } else { raw };
        self.is_null_word(word) || self.empty_is_null && text.is_empty()
    }
}

/// How many records ahead fields are asked for: about as long as memory takes to answer.
const RECORDS_AHEAD: usize = 12;

/// Records this long or longer are asked for ahead; nearer ones the processor foresees by itself.
const FAR_BYTES: usize = 256;

/// The fields of records that were found in some bytes.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) index: &'a Index,
    pub(crate) width: usize,
    pub(crate) rules: &'a Rules,
}

impl<'a> Fields<'a> {
    /// A field as it stands in the file, with its quotes. One that was padded is empty.
    #[inline]
    pub(crate) fn raw(&self, record: usize, column: usize) -> &'a [u8] {
        let last = record * self.width + column;
        let start = match column {
            0 => self.index.starts[record] as usize,
            _ => self.index.ends[last - 1] as usize + 1,
        };
        let end = self.index.ends[last] as usize;
        &self.bytes[start.min(end)..end]
    }

    /// Asks for the beginning of a field to be brought near, as it will be converted soon.
    ///
    /// The fields of a column lie a record apart, so the processor does not foresee where the next
    /// one is, and most of the time of a conversion went into waiting for it.
    #[inline]
    fn prefetch(&self, record: usize, column: usize) {
        let start = match column {
            0 => self.index.starts.get(record),
            _ => self.index.ends.get(record * self.width + column - 1),
        };
        #[cfg(target_arch = "x86_64")]
        if let Some(byte) = start.and_then(|start| self.bytes.get(*start as usize)) {
            use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
            // SAFETY: every x86-64 processor has the instruction, and nothing is read: it is a hint
            // for an address, that of a byte of the piece.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(byte).cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = start;
    }

    /// The text of a field; `scratch` holds it where it is not as it stands in the file.
    #[inline]
    pub(crate) fn text<'s>(
        &self,
        record: usize,
        column: usize,
        scratch: &'s mut Vec<u8>,
    ) -> &'s [u8]
    where
        'a: 's,
    {
        self.text_of(self.raw(record, column), scratch)
    }

    /// The text of a field that stands so in the file.
    #[inline]
    fn text_of<'s>(&self, raw: &'a [u8], scratch: &'s mut Vec<u8>) -> &'s [u8]
    where
        'a: 's,
    {
        match self.index.has_quotes {
            true => field_text(raw, self.rules.quote, self.rules.escape, scratch),
            false => raw,
        }
    }
}

/// The text of a field that stands so in the file.
#[inline]
pub(crate) fn field_text<'s>(
    raw: &'s [u8],
    quote: Option<u8>,
    escape: Option<u8>,
    scratch: &'s mut Vec<u8>,
) -> &'s [u8] {
    match (quote, raw) {
        (Some(quote), [first, rest @ ..]) if *first == quote => {
            unquoted(rest, quote, escape, scratch)
        }
        _ => raw,
    }
}

/// The text of a quoted field, of which `rest` is what follows the opening quote.
fn unquoted<'s>(
    rest: &'s [u8],
    quote: u8,
    escape: Option<u8>,
    scratch: &'s mut Vec<u8>,
) -> &'s [u8] {
    if let [text @ .., last] = rest
        && *last == quote
        && memchr::memchr2(quote, escape.unwrap_or(quote), text).is_none()
    {
        return text;
    }
    scratch.clear();
    let mut bytes = rest.iter().copied();
    while let Some(byte) = bytes.next() {
        if Some(byte) == escape {
            scratch.extend(bytes.next());
        } else if byte == quote {
            match (escape, bytes.next()) {
                (None, Some(next)) if next == quote => scratch.push(quote),
                // The closing quote; what a lenient reader finds after it is taken as it stands.
                (_, next) => {
                    scratch.extend(next);
                    scratch.extend(bytes);
                    break;
                }
            }
        } else {
            scratch.push(byte);
        }
    }
    scratch
}

/// The array of a column, and the records whose values are not of its type.
pub(crate) struct Converted {
    pub(crate) array: ArrayRef,
    /// Records in ascending order; they are NULL in the array.
    pub(crate) bad: Vec<usize>,
}

/// Converts one column of these records.
///
/// An empty field is NULL and so, as the rules say, is a null word. In quotes, both are texts in a
/// column of text; in another one, the word is NULL if it is no value of the type. Types without a
/// parser of their own go through text and arrow's cast. A column whose type was found in samples
/// has only values of which nothing is lost; one whose type was given takes what can be converted.
pub(crate) fn column<R>(fields: Fields<'_>, records: R, column: usize, to: &DataType) -> Converted
where
    R: ExactSizeIterator<Item = usize> + Clone,
{
    let reader = Column { fields, column, records };
    let numbers = fields.rules.numbers();
    let plain = numbers.decimal == b'.' && numbers.thousands.is_none();
    let format = fields.rules.format(column);
    let zone = fields.rules.zone(column);
    let found = fields.rules.is_found(column);
    macro_rules! integer {
        ($type:ty) => {
            match plain {
                true => reader.primitive::<$type>(values::parse_int),
                false => {
                    reader.primitive::<$type>(|field| values::parse_int_styled(field, numbers))
                }
            }
        };
    }
    macro_rules! timestamp {
        ($type:ty, $unit:expr, $zone:expr) => {
            match (format, zone, $zone) {
                (Some(format), Some(zone), _) => {
                    reader.primitive::<$type>(|field| format.parse_timestamp_in(field, $unit, zone))
                }
                (None, Some(zone), _) => reader
                    .primitive::<$type>(|field| values::parse_timestamp_in(field, $unit, zone)),
                (Some(format), ..) if found => {
                    reader.primitive::<$type>(|field| format.parse_exact_timestamp(field, $unit))
                }
                (Some(format), ..) => {
                    reader.primitive::<$type>(|field| format.parse_timestamp(field, $unit))
                }
                (None, _, None) if found => reader.primitive::<$type>(|field| {
                    values::parse_exact_timestamp::<false>(field, $unit)
                }),
                (None, _, Some(_)) if found => reader.primitive::<$type>(|field| {
                    values::parse_exact_timestamp::<true>(field, $unit)
                }),
                (None, ..) => {
                    reader.primitive::<$type>(|field| values::parse_timestamp(field, $unit))
                }
            }
            .with_type(DataType::Timestamp($unit, $zone.clone()))
        };
    }
    match to {
        DataType::Null => reader.nulls(),
        DataType::Boolean => reader.booleans(),
        DataType::Int8 => integer!(Int8Type),
        DataType::Int16 => integer!(Int16Type),
        DataType::Int32 => integer!(Int32Type),
        DataType::Int64 if found => match plain {
            true => reader.primitive::<Int64Type>(values::parse_exact_i64),
            false => reader
                .primitive::<Int64Type>(|field| values::parse_exact_i64_styled(field, numbers)),
        },
        DataType::Int64 => integer!(Int64Type),
        DataType::UInt8 => integer!(UInt8Type),
        DataType::UInt16 => integer!(UInt16Type),
        DataType::UInt32 => integer!(UInt32Type),
        DataType::UInt64 => integer!(UInt64Type),
        DataType::Float32 => reader.primitive::<Float32Type>(|field| match plain {
            true => values::parse_f32(field),
            false => {
                let double = values::parse_f64_styled(field, numbers)?;
                let float = double as f32;
                (float.is_infinite() == double.is_infinite()).then_some(float)
            }
        }),
        DataType::Float64 if found => match plain {
            true => reader.primitive::<Float64Type>(values::parse_exact_f64),
            false => reader
                .primitive::<Float64Type>(|field| values::parse_exact_f64_styled(field, numbers)),
        },
        DataType::Float64 => match plain {
            true => reader.primitive::<Float64Type>(values::parse_f64),
            false => {
                reader.primitive::<Float64Type>(|field| values::parse_f64_styled(field, numbers))
            }
        },
        DataType::Decimal128(precision, scale) => reader
            .primitive::<Decimal128Type>(|field| {
                values::parse_decimal128_styled(field, *precision, *scale, numbers)
            })
            .with_type(to.clone()),
        DataType::Decimal256(precision, scale) => reader
            .primitive::<Decimal256Type>(|field| {
                values::parse_decimal256_styled(field, *precision, *scale, numbers)
            })
            .with_type(to.clone()),
        DataType::Date32 => match format {
            None if found => reader.primitive::<Date32Type>(values::parse_exact_date),
            None => reader.primitive::<Date32Type>(values::parse_date),
            Some(format) => reader.primitive::<Date32Type>(|field| format.parse_date(field)),
        },
        DataType::Time64(TimeUnit::Microsecond) if found => {
            reader.primitive::<Time64MicrosecondType>(values::parse_exact_time_us)
        }
        DataType::Time64(TimeUnit::Microsecond) => {
            reader.primitive::<Time64MicrosecondType>(values::parse_time_us)
        }
        DataType::Timestamp(unit, zone) => match unit {
            TimeUnit::Second => timestamp!(TimestampSecondType, TimeUnit::Second, zone),
            TimeUnit::Millisecond => {
                timestamp!(TimestampMillisecondType, TimeUnit::Millisecond, zone)
            }
            TimeUnit::Microsecond => {
                timestamp!(TimestampMicrosecondType, TimeUnit::Microsecond, zone)
            }
            TimeUnit::Nanosecond => timestamp!(TimestampNanosecondType, TimeUnit::Nanosecond, zone),
        },
        DataType::Utf8View => reader.views(),
        DataType::Utf8 => {
            let mut builder = StringBuilder::new();
            let bad = reader.texts::<true>(|text| builder.append_option(text));
            Converted { array: Arc::new(builder.finish()), bad }
        }
        DataType::LargeUtf8 => {
            let mut builder = LargeStringBuilder::new();
            let bad = reader.texts::<true>(|text| builder.append_option(text));
            Converted { array: Arc::new(builder.finish()), bad }
        }
        DataType::Binary => reader.bytes(GenericBinaryBuilder::<i32>::new()),
        DataType::LargeBinary => reader.bytes(GenericBinaryBuilder::<i64>::new()),
        DataType::BinaryView => reader.bytes(BinaryViewBuilder::new()),
        other => reader.by_cast(other),
    }
}

impl Converted {
    /// The same values as another type of the same representation.
    fn with_type(self, data_type: DataType) -> Self {
        let data = self.array.to_data().into_builder().data_type(data_type);
        let data = data.build().expect("types of one representation");
        Converted { array: arrow::array::make_array(data), bad: self.bad }
    }
}

/// A builder of one of the arrays of bytes.
trait BytesBuilder {
    fn append(&mut self, bytes: Option<&[u8]>);
    fn finished(&mut self) -> ArrayRef;
}

impl<T: OffsetSizeTrait> BytesBuilder for GenericBinaryBuilder<T> {
    fn append(&mut self, bytes: Option<&[u8]>) {
        self.append_option(bytes);
    }

    fn finished(&mut self) -> ArrayRef {
        Arc::new(self.finish())
    }
}

impl BytesBuilder for BinaryViewBuilder {
    fn append(&mut self, bytes: Option<&[u8]>) {
        self.append_option(bytes);
    }

    fn finished(&mut self) -> ArrayRef {
        Arc::new(self.finish())
    }
}

struct Column<'a, R> {
    fields: Fields<'a>,
    column: usize,
    records: R,
}

impl<R: ExactSizeIterator<Item = usize> + Clone> Column<'_, R> {
    /// Calls `value` with the text of each field that is not NULL, `null` for the others.
    /// `QUOTED` says that an empty field is not NULL if it is quoted.
    ///
    /// `value` says whether the field has the column's type. Gives the records where it has not,
    /// for which `null` has been called as well.
    #[inline]
    fn each<S, const QUOTED: bool>(
        &self,
        state: &mut S,
        mut value: impl FnMut(&mut S, &[u8]) -> bool,
        mut null: impl FnMut(&mut S),
    ) -> Vec<usize> {
        let rules = self.fields.rules;
        let mut scratch = Vec::new();
        let mut bad = Vec::new();
        let far = self.fields.bytes.len() / FAR_BYTES >= self.records.len();
        let ahead = if far { RECORDS_AHEAD } else { usize::MAX };
        let mut soon = self.records.clone().skip(ahead);
        for record in self.records.clone() {
            if let Some(soon) = soon.next() {
                self.fields.prefetch(soon, self.column);
            }
            let raw = self.fields.raw(record, self.column);
            let field = self.fields.text_of(raw, &mut scratch);
            let is_empty = if QUOTED { raw.is_empty() } else { field.is_empty() };
            if is_empty || (rules.null_words_first && rules.is_null(raw, field)) {
                null(state);
            } else if !value(state, field) {
                null(state);
                if !rules.is_null_word(field) {
                    bad.push(record);
                }
            }
        }
        bad
    }

    fn nulls(&self) -> Converted {
        let bad = self.each::<_, false>(&mut (), |_, _| false, |_| {});
        Converted { array: new_null_array(&DataType::Null, self.records.len()), bad }
    }

    fn booleans(&self) -> Converted {
        let count = self.records.len();
        let mut state = (BooleanBufferBuilder::new(count), NullBufferBuilder::new(count));
        let bad = self.each::<_, false>(
            &mut state,
            |(bits, nulls), field| match values::parse_bool(field) {
                Some(value) => {
                    bits.append(value);
                    nulls.append_non_null();
                    true
                }
                None => false,
            },
            |(bits, nulls)| {
                bits.append(false);
                nulls.append_null();
            },
        );
        let (mut bits, mut nulls) = state;
        Converted { array: Arc::new(BooleanArray::new(bits.finish(), nulls.finish())), bad }
    }

    #[inline]
    fn primitive<T: ArrowPrimitiveType>(
        &self,
        parse: impl Fn(&[u8]) -> Option<T::Native>,
    ) -> Converted {
        let count = self.records.len();
        let mut state = (Vec::<T::Native>::with_capacity(count), NullBufferBuilder::new(count));
        let bad = self.each::<_, false>(
            &mut state,
            |(values, nulls), field| match parse(field) {
                Some(value) => {
                    values.push(value);
                    nulls.append_non_null();
                    true
                }
                None => false,
            },
            |(values, nulls)| {
                values.push(T::Native::default());
                nulls.append_null();
            },
        );
        let (values, mut nulls) = state;
        let array = PrimitiveArray::<T>::new(ScalarBuffer::from(values), nulls.finish());
        Converted { array: Arc::new(array), bad }
    }

    /// Calls `append` with every text, `None` where it is NULL or not UTF-8.
    fn texts<const QUOTED: bool>(&self, mut append: impl FnMut(Option<&str>)) -> Vec<usize> {
        self.each::<_, QUOTED>(
            &mut append,
            |append, field| match std::str::from_utf8(field) {
                Ok(text) => {
                    append(Some(text));
                    true
                }
                Err(_) => false,
            },
            |append| append(None),
        )
    }

    /// Bytes from their hexadecimal digits.
    fn bytes(&self, mut builder: impl BytesBuilder) -> Converted {
        let mut bytes = Vec::new();
        let bad = self.each::<_, true>(
            &mut builder,
            |builder, field| {
                let is_hex = values::parse_hex(field, &mut bytes);
                if is_hex {
                    builder.append(Some(&bytes));
                }
                is_hex
            },
            |builder| builder.append(None),
        );
        Converted { array: builder.finished(), bad }
    }

    /// Texts of up to twelve bytes in their views, longer ones in one buffer of the array.
    fn views(&self) -> Converted {
        let count = self.records.len();
        let ascii = !self.fields.index.has_non_ascii;
        let mut state =
            (Vec::<u128>::with_capacity(count), Vec::<u8>::new(), NullBufferBuilder::new(count));
        let bad = self.each::<_, true>(
            &mut state,
            |(views, long, nulls), field| {
                if !ascii && std::str::from_utf8(field).is_err() {
                    return false;
                }
                // Records of a piece are shorter than 4 GiB together.
                views.push(make_view(field, 0, long.len() as u32));
                if field.len() > 12 {
                    long.extend_from_slice(field);
                }
                nulls.append_non_null();
                true
            },
            |(views, _, nulls)| {
                views.push(0);
                nulls.append_null();
            },
        );
        let (views, long, mut nulls) = state;
        let buffers = if long.is_empty() { vec![] } else { vec![Buffer::from_vec(long)] };
        // SAFETY: every view was made of a text that is UTF-8, as all bytes are ASCII or by the
        // check above, and those of more than twelve bytes point to their copy in buffer 0.
        let array = unsafe {
            StringViewArray::new_unchecked(ScalarBuffer::from(views), buffers, nulls.finish())
        };
        Converted { array: Arc::new(array), bad }
    }

    fn by_cast(&self, to: &DataType) -> Converted {
        let mut builder = StringBuilder::new();
        let mut bad = self.texts::<false>(|text| builder.append_option(text));
        let texts: ArrayRef = Arc::new(builder.finish());
        let options = arrow::compute::CastOptions { safe: true, ..Default::default() };
        let array = cast_with_options(&texts, to, &options)
            .unwrap_or_else(|_| new_null_array(to, texts.len()));
        // A cast that cannot convert a value gives NULL.
        let mut scratch = Vec::new();
        for (row, record) in self.records.clone().enumerate() {
            let lost = array.is_null(row) && texts.is_valid(row);
            if lost
                && !self.fields.rules.is_null_word(self.fields.text(
                    record,
                    self.column,
                    &mut scratch,
                ))
            {
                bad.push(record);
            }
        }
        bad.sort_unstable();
        Converted { array, bad }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;

    use super::*;
    use crate::scan::csv::structure::{self, Stop};

    /// The one column of these lines, shown as text, with `!` for bad values and `NULL`.
    fn column_of(lines: &str, dialect: &Dialect, to: &DataType) -> Vec<String> {
        let rules = Rules::new(dialect, &[to]).expect("the formats are valid");
        let bytes = lines.as_bytes();
        let mut index = Index::default();
        let stop = structure::find(bytes, 0, bytes.len(), true, 1, &dialect.marks(), &mut index);
        assert_eq!(stop, Stop::Done { next: bytes.len() });
        let fields = Fields { bytes, index: &index, width: 1, rules: &rules };
        let Converted { array, bad } = column(fields, 0..index.starts.len(), 0, to);
        assert_eq!(array.data_type(), to);
        let texts = arrow::compute::cast(&array, &DataType::Utf8).expect("all types have a text");
        let texts = texts.as_string::<i32>();
        let shown = texts.iter().enumerate().map(|(row, text)| match text {
            _ if bad.contains(&row) => {
                assert!(text.is_none(), "a bad value is NULL");
                "!".to_string()
            }
            text => text.unwrap_or("NULL").to_string(),
        });
        shown.collect()
    }

    #[test]
    fn quoted_nothing_is_an_empty_text() {
        let lines = "\"\"\n \nx\n\"a\"\"\"\n";
        let usual = Dialect::default();
        for to in [DataType::Utf8View, DataType::Utf8, DataType::LargeUtf8] {
            assert_eq!(column_of(lines, &usual, &to), ["", " ", "x", "a\""], "{to}");
        }
        let words = |words: &[&str]| Dialect {
            null_words: words.iter().map(ToString::to_string).collect(),
            null_words_in_text: true,
            ..Dialect::default()
        };
        let text = DataType::Utf8View;
        assert_eq!(column_of(lines, &words(&[""]), &text), ["NULL", " ", "x", "a\""]);
        assert_eq!(column_of(lines, &words(&["x"]), &text), ["", " ", "NULL", "a\""]);
        let unquoted = Dialect { quote: None, ..Dialect::default() };
        assert_eq!(column_of("\"\"\n", &unquoted, &text), ["\"\""]);
        for to in [DataType::Int64, DataType::Boolean, DataType::Date32, DataType::Date64] {
            assert_eq!(column_of("\"\"\n", &usual, &to), ["NULL"], "{to}");
        }
    }

    #[test]
    fn quoted_words_are_values() {
        let lines = "NA\n\"NA\"\n\"7\"\n\"\"\n";
        let words = Dialect {
            null_words: vec!["NA".to_string(), "7".to_string()],
            null_words_in_text: true,
            ..Dialect::default()
        };
        let quoted = Dialect { quoted_nulls: true, ..words.clone() };
        for (to, values) in [
            (DataType::Utf8View, ["NULL", "NA", "7", ""]),
            (DataType::Utf8, ["NULL", "NA", "7", ""]),
            // A word that is no value of the type can only mean NULL.
            (DataType::Int64, ["NULL", "NULL", "7", "NULL"]),
        ] {
            assert_eq!(column_of(lines, &words, &to), values, "{to}");
        }
        assert_eq!(column_of(lines, &quoted, &DataType::Utf8View), ["NULL", "NULL", "NULL", ""]);
        assert_eq!(column_of(lines, &quoted, &DataType::Int64), ["NULL"; 4]);
    }

    #[test]
    fn bytes_are_hexadecimal_digits() {
        let lines = "00ff\n\"\"\n\n0\nxx\n\"NA\"\n";
        for to in [DataType::Binary, DataType::LargeBinary, DataType::BinaryView] {
            let dialect = Dialect::default();
            let rules = Rules::new(&dialect, &[&to]).expect("there are no formats");
            let mut index = Index::default();
            let bytes = lines.as_bytes();
            structure::find(bytes, 0, bytes.len(), true, 1, &dialect.marks(), &mut index);
            let fields = Fields { bytes, index: &index, width: 1, rules: &rules };
            let Converted { array, bad } = column(fields, 0..index.starts.len(), 0, &to);
            assert_eq!((array.data_type(), &bad), (&to, &vec![2, 3]));
            let array = arrow::compute::cast(&array, &DataType::Binary).expect("all are bytes");
            let values: Vec<_> = array.as_binary::<i32>().iter().collect();
            assert_eq!(values, [Some(&[0, 255][..]), Some(&[]), None, None, None], "{to}");
        }
    }

    #[test]
    fn padded_fields_are_null() {
        let dialect = Dialect::default();
        let rules = Rules::new(&dialect, &[&DataType::Utf8; 3]).expect("there are no formats");
        let bytes = b"x,,\"\"\n";
        // As of `x` alone, and of the three fields there are.
        for (ends, texts) in
            [([1, 1, 1], [Some("x"), None, None]), ([1, 2, 5], [Some("x"), None, Some("")])]
        {
            let index = Index {
                ends: ends.to_vec(),
                starts: vec![0],
                has_quotes: true,
                has_non_ascii: false,
            };
            let fields = Fields { bytes, index: &index, width: 3, rules: &rules };
            for (place, text) in texts.into_iter().enumerate() {
                let array = column(fields, 0..1, place, &DataType::Utf8).array;
                let found = array.as_string::<i32>().iter().next().flatten();
                assert_eq!(found, text, "{ends:?}, field {place}");
            }
        }
    }

    #[test]
    fn found_types_take_nothing_that_would_be_lost() {
        let micros = DataType::Timestamp(TimeUnit::Microsecond, None);
        let nanos = DataType::Timestamp(TimeUnit::Nanosecond, None);
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()));
        let given = Dialect::default();
        let found = Dialect { found: vec![true], ..Dialect::default() };
        for (lines, to, as_given, as_found) in [
            ("7\n07\n-07\n+7\n-0\nNA\n", DataType::Int64, "7 7 -7 7 0 NULL", "7 ! ! ! 0 NULL"),
            (
                "0.5\n07.5\n+1.5\n1e400\ninf\n",
                DataType::Float64,
                "0.5 7.5 1.5 ! inf",
                "0.5 ! ! ! inf",
            ),
            (
                "9007199254740993\n9007199254740992\n12345678901234567.89\n",
                DataType::Float64,
                "9007199254740992.0 9007199254740992.0 1.2345678901234568e16",
                "! 9007199254740992.0 !",
            ),
            ("1e39\n1e38\n", DataType::Float32, "! 1e38", "! 1e38"),
            (
                "2015-01-02\n20150102\n2015-01-02 23:30:00\n",
                DataType::Date32,
                "2015-01-02 2015-01-02 2015-01-02",
                "2015-01-02 ! !",
            ),
            (
                "2015-01-02\n2015-01-02 01:00:00Z\n2015-01-02T01:00:00+02:00\n",
                micros.clone(),
                "2015-01-02T00:00:00 2015-01-02T01:00:00 2015-01-01T23:00:00",
                "2015-01-02T00:00:00 ! !",
            ),
            (
                "2015-01-02 01:00:00.123456000\n2015-01-02 01:00:00.123456789\n",
                micros.clone(),
                "2015-01-02T01:00:00.123456 2015-01-02T01:00:00.123456",
                "2015-01-02T01:00:00.123456 !",
            ),
            (
                "2015-01-02 01:00:00.123456789\n",
                nanos.clone(),
                "2015-01-02T01:00:00.123456789",
                "2015-01-02T01:00:00.123456789",
            ),
            (
                "2015-01-02T01:00:00+02:00\n2015-01-02 01:00:00\n2015-01-02\n",
                utc,
                "2015-01-01T23:00:00Z 2015-01-02T01:00:00Z 2015-01-02T00:00:00Z",
                "2015-01-01T23:00:00Z ! !",
            ),
            (
                "01:02:03.5\n1:02\n01:02:03.1234567\n",
                DataType::Time64(TimeUnit::Microsecond),
                "01:02:03.500 01:02:00 01:02:03.123456",
                "01:02:03.500 ! !",
            ),
        ] {
            let read = |dialect| column_of(lines, dialect, &to).join(" ");
            assert_eq!(read(&given), as_given, "{lines:?} given as {to}");
            assert_eq!(read(&found), as_found, "{lines:?} found to be {to}");
        }

        // The clock of a zone.
        let zurich = DataType::Timestamp(TimeUnit::Second, Some("Europe/Zurich".into()));
        let lines = "2020-07-01 12:00:00\n2020-07-01 12:00:00Z\n2020-03-29 02:30:00\n";
        let clock = ["2020-07-01T12:00:00+02:00", "2020-07-01T14:00:00+02:00", "!"];
        assert_eq!(column_of(lines, &given, &zurich), clock);
        let dots = Dialect { formats: vec![Some("%d.%m.%Y".to_string())], ..given.clone() };
        assert_eq!(column_of("1.7.2020\n", &dots, &zurich), ["2020-07-01T00:00:00+02:00"]);
        let nowhere = DataType::Timestamp(TimeUnit::Second, Some("Nowhere".into()));
        assert!(Rules::new(&given, &[&nowhere]).is_err());

        let formatted = Dialect { formats: vec![Some("%d.%m.%Y %T.%f".to_string())], ..given };
        let found = Dialect { found: vec![true], ..formatted.clone() };
        let lines = "2.1.2015 01:00:00.123456789\n2.1.2015 01:00:00.5\n";
        let read = |dialect, to| column_of(lines, dialect, to).join(" ");
        let exact = "2015-01-02T01:00:00.123456789 2015-01-02T01:00:00.500";
        assert_eq!(read(&formatted, &nanos), exact);
        assert_eq!(read(&found, &nanos), exact);
        assert_eq!(read(&formatted, &micros), "2015-01-02T01:00:00.123456 2015-01-02T01:00:00.500");
        assert_eq!(read(&found, &micros), "! 2015-01-02T01:00:00.500");

        // With commas before fractions and points between thousands.
        let german =
            Dialect { delimiter: b';', decimal: b',', thousands: Some(b'.'), ..Dialect::default() };
        let found = Dialect { found: vec![true], ..german.clone() };
        let lines = "1.234\n0.012\n012\n";
        assert_eq!(column_of(lines, &german, &DataType::Int64), ["1234", "12", "12"]);
        assert_eq!(column_of(lines, &found, &DataType::Int64), ["1234", "!", "!"]);
        assert_eq!(column_of("1e39\n1,5\n", &german, &DataType::Float32), ["!", "1.5"]);
        let decimals = "1.234\n1.234,5675\n1.5\n";
        for to in [DataType::Decimal128(38, 3), DataType::Decimal256(40, 3)] {
            assert_eq!(column_of(decimals, &german, &to), ["1234.000", "1234.568", "!"], "{to}");
        }
        assert_eq!(column_of("1.234\n", &german, &DataType::UInt64), ["1234"]);
    }
}
