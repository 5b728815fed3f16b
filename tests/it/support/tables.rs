//! Random tables, and rows as texts.

use std::fmt::Write as _;
use std::fs::File;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, DictionaryArray,
    Float32Array, Float64Array, Int32Array, Int64Array, LargeStringArray, ListArray, RecordBatch,
    StringArray, StringViewArray, StructArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::datatypes::{DataType, Field, Fields, Int32Type};
use arrow::ipc::writer::FileWriter;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::ArrowWriter;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::Place;

/// Rows in a batch of the files.
const BATCH_ROWS: usize = 100;

/// Random choices that repeat.
pub(crate) struct Random(ChaCha8Rng);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(ChaCha8Rng::seed_from_u64(seed))
    }

    pub(crate) fn below(&mut self, limit: u32) -> u32 {
        self.0.next_u32() % limit
    }

    pub(crate) fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u32) as usize]
    }

    /// One or more of the choices, at most so many, each once.
    pub(crate) fn some_of<T: Clone + PartialEq>(&mut self, choices: &[T], most: u32) -> Vec<T> {
        let mut some: Vec<T> = Vec::new();
        for _ in 0..=self.below(most) {
            let one = self.one_of(choices);
            if !some.contains(one) {
                some.push(one.clone());
            }
        }
        some
    }

    /// Numbers below `keys`, of which so many of a hundred are missing.
    fn numbers(&mut self, draw: Draw) -> Vec<Option<u32>> {
        let mut number = || (self.below(100) >= draw.nulls).then(|| self.below(draw.keys));
        (0..draw.rows).map(|_| number()).collect()
    }
}

/// How the values of a table are drawn.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Draw {
    pub(crate) rows: usize,
    /// How many different values a column has at most.
    pub(crate) keys: u32,
    /// How many of a hundred values are NULL.
    pub(crate) nulls: u32,
}

/// A table of columns of many types, each of the values that stand for random numbers, and the
/// number of the row as `id`.
pub(crate) fn mixed_table(random: &mut Random, draw: Draw) -> RecordBatch {
    let ids: ArrayRef = Arc::new(Int64Array::from_iter_values(0..draw.rows as i64));
    let mut columns = vec![("id", ids, false)];
    for (name, column) in MIXED_COLUMNS {
        columns.push((*name, column(&random.numbers(draw)), true));
    }
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

type MakeColumn = fn(&[Option<u32>]) -> ArrayRef;

/// The columns of a [`mixed_table`] and how they are made.
const MIXED_COLUMNS: &[(&str, MakeColumn)] = &[
    ("i", |numbers| Arc::new(Int32Array::from(each(numbers, int32)))),
    ("l", |numbers| Arc::new(Int64Array::from(each(numbers, int64)))),
    ("u", |numbers| Arc::new(UInt64Array::from(each(numbers, |n| u64::MAX / (u64::from(n) + 1))))),
    ("f", |numbers| Arc::new(Float64Array::from(each(numbers, float64)))),
    ("e", |numbers| Arc::new(Float32Array::from(each(numbers, |n| float64(n) as f32)))),
    ("d", |numbers| {
        let array = Decimal128Array::from(each(numbers, |n| i128::from(int32(n) % 100_000)));
        Arc::new(array.with_precision_and_scale(15, 2).unwrap())
    }),
    ("o", |numbers| Arc::new(BooleanArray::from(each(numbers, |n| n % 2 == 0)))),
    ("a", |numbers| Arc::new(Date32Array::from(each(numbers, |n| int32(n) % 50_000)))),
    ("m", |numbers| {
        let value = |n| i64::from(int32(n)) * 1_000_003;
        Arc::new(TimestampMicrosecondArray::from(each(numbers, value)))
    }),
    ("s", |numbers| Arc::new(StringViewArray::from(each(numbers, text_of_any_length)))),
    ("p", |numbers| Arc::new(StringArray::from(each(numbers, text_with_long_prefix)))),
    ("q", |numbers| Arc::new(LargeStringArray::from(each(numbers, text_of_odd_characters)))),
    ("c", |numbers| {
        let texts = each(numbers, text_of_any_length);
        let texts = texts.iter().map(Option::as_deref);
        Arc::new(texts.collect::<DictionaryArray<Int32Type>>())
    }),
    ("y", |numbers| {
        let values =
            each(numbers, |n| [0, 255, n as u8, (n >> 8) as u8][..n as usize % 5 % 4].to_vec());
        Arc::new(values.iter().map(Option::as_deref).collect::<BinaryArray>())
    }),
    ("n", |numbers| {
        let element = |n: u32, i: u32| (n + i % 3 != 4).then(|| int32(n / 3) / 2 + i as i32);
        let list = |n: u32| (0..n % 4).map(|i| element(n, i)).collect::<Vec<_>>();
        Arc::new(ListArray::from_iter_primitive::<Int32Type, _, _>(each(numbers, list)))
    }),
    ("r", |numbers| {
        let fields = Fields::from(vec![
            Field::new("x", DataType::Int32, true),
            Field::new("y", DataType::Utf8, true),
        ]);
        let x = numbers.iter().map(|n| n.filter(|n| n % 5 != 0).map(|n| int32(n / 8)));
        let y = numbers.iter().map(|n| n.filter(|n| n % 7 != 0).map(text_of_any_length));
        let x: ArrayRef = Arc::new(x.collect::<Int32Array>());
        let y: ArrayRef = Arc::new(y.collect::<StringArray>());
        let is_valid: Vec<bool> = numbers.iter().map(Option::is_some).collect();
        Arc::new(StructArray::new(fields, vec![x, y], Some(is_valid.into())))
    }),
];

/// The least and the greatest, and others on both sides of 0 in no order.
fn int32(number: u32) -> i32 {
    match number {
        0 => i32::MIN,
        1 => i32::MAX,
        _ => (number * 7919 % 20_011) as i32 - 10_000,
    }
}

fn int64(number: u32) -> i64 {
    match number {
        0 => i64::MIN,
        1 => i64::MAX,
        _ => i64::from(int32(number)) * 10_000_000_019,
    }
}

fn float64(number: u32) -> f64 {
    match number {
        0 => f64::NAN,
        1 => -0.0,
        2 => 0.0,
        3 => f64::INFINITY,
        4 => f64::NEG_INFINITY,
        _ => f64::from(int32(number)) / 8.0,
    }
}

pub(crate) fn each<T>(numbers: &[Option<u32>], value: impl Fn(u32) -> T) -> Vec<Option<T>> {
    numbers.iter().map(|number| number.map(&value)).collect()
}

pub(crate) fn text_of_any_length(number: u32) -> String {
    match number {
        0 => String::new(),
        _ if number.is_multiple_of(2) => format!("{number}"),
        _ => format!("{number} is longer than what fits into a view"),
    }
}

/// All alike for longer than any prefix that is kept of a key, some as short as that.
fn text_with_long_prefix(number: u32) -> String {
    let mut text = "what all of them begin with, ".repeat(1 + number as usize % 3);
    if !number.is_multiple_of(4) {
        write!(text, "{number}").unwrap();
    }
    text
}

/// With zeros, letters of several bytes, and parts of each other.
fn text_of_odd_characters(number: u32) -> String {
    let parts = ["", "\0", "a", "a\0", "ä", "zzz", "𝄞", "\u{7f}"];
    format!("{}{}", parts[number as usize % 8], parts[number as usize / 8 % 8].repeat(3))
}

/// Writes a table as an Arrow file, of which a scan knows nothing before it reads it, and as a
/// Parquet file, of which it knows the size and the ranges.
pub(crate) fn write_table(place: &Place, name: &str, table: &RecordBatch) {
    let schema = table.schema();
    let create = |ending: &str| File::create(place.path(&format!("{name}.{ending}"))).unwrap();
    let mut arrow = FileWriter::try_new(create("arrow"), &schema).unwrap();
    let mut parquet = ArrowWriter::try_new(create("parquet"), schema, None).unwrap();
    for offset in (0..table.num_rows()).step_by(BATCH_ROWS) {
        let part = table.slice(offset, BATCH_ROWS.min(table.num_rows() - offset));
        arrow.write(&part).unwrap();
        parquet.write(&part).unwrap();
    }
    arrow.finish().unwrap();
    parquet.close().unwrap();
}

/// Each row as the texts of its values.
pub(crate) fn row_cells(batch: &RecordBatch) -> Vec<Vec<String>> {
    let options = FormatOptions::default().with_null("NULL");
    let formatter = |column| ArrayFormatter::try_new(column, &options).unwrap();
    let columns: Vec<_> = batch.columns().iter().map(|c| formatter(c.as_ref())).collect();
    let row = |row| columns.iter().map(|column| column.value(row).to_string()).collect();
    (0..batch.num_rows()).map(row).collect()
}

/// Each row as a text.
pub(crate) fn row_texts(batch: &RecordBatch) -> Vec<String> {
    row_cells(batch).iter().map(|cells| cells.join("|")).collect()
}

/// The rows of all batches as texts, sorted.
pub(crate) fn sorted_rows(batches: &[RecordBatch]) -> Vec<String> {
    let mut rows: Vec<String> = batches.iter().flat_map(row_texts).collect();
    rows.sort_unstable();
    rows
}
