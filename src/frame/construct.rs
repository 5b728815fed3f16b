//! Frames of values, batches and ranges, and of files with options.

use std::fmt;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, BooleanArray, Date32Array, PrimitiveArray, RecordBatch, RecordBatchOptions,
    StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{
    DataType, Date32Type, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Schema, TimeUnit, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use chrono::{NaiveDate, NaiveDateTime};
use datafusion::catalog::TableFunctionArgs;
use datafusion::common::{ScalarValue, exec_datafusion_err};
use datafusion::datasource::MemTable;
use datafusion::logical_expr::Expr;
use datafusion::prelude::cast;
use serde::{Deserialize, Serialize};

use super::names::check_distinct;
use super::period::Period;
use super::upsample::Steps;
use super::{DataFrame, col};
use crate::error::{Error, Result};
use crate::functions::operation::{Operation, call};
use crate::scan::files::{FileKind, FileTable};
use crate::scan::options::{FileOptions, parse_compression};
use crate::session::Session;

/// The values of a column, made of a vector: of numbers, booleans, texts, dates or times, or of
/// options of them, or of an Arrow array.
#[derive(Debug, Clone)]
pub struct Values(ArrayRef);

impl From<ArrayRef> for Values {
    fn from(array: ArrayRef) -> Self {
        Values(array)
    }
}

/// Vectors of a type and of options of it, and how an iterator of options becomes an array.
macro_rules! values_from {
    ($($of:ty => $array:expr;)+) => {
        $(impl From<Vec<Option<$of>>> for Values {
            fn from(values: Vec<Option<$of>>) -> Self {
                let make: fn(Vec<Option<$of>>) -> ArrayRef = $array;
                Values(make(values))
            }
        }

        impl From<Vec<$of>> for Values {
            fn from(values: Vec<$of>) -> Self {
                values.into_iter().map(Some).collect::<Vec<_>>().into()
            }
        })+
    };
}

values_from! {
    i8 => |values| Arc::new(PrimitiveArray::<Int8Type>::from(values));
    i16 => |values| Arc::new(PrimitiveArray::<Int16Type>::from(values));
    i32 => |values| Arc::new(PrimitiveArray::<Int32Type>::from(values));
    i64 => |values| Arc::new(PrimitiveArray::<Int64Type>::from(values));
    u8 => |values| Arc::new(PrimitiveArray::<UInt8Type>::from(values));
    u16 => |values| Arc::new(PrimitiveArray::<UInt16Type>::from(values));
    u32 => |values| Arc::new(PrimitiveArray::<UInt32Type>::from(values));
    u64 => |values| Arc::new(PrimitiveArray::<UInt64Type>::from(values));
    f32 => |values| Arc::new(PrimitiveArray::<Float32Type>::from(values));
    f64 => |values| Arc::new(PrimitiveArray::<Float64Type>::from(values));
    bool => |values| Arc::new(BooleanArray::from(values));
    &str => |values| Arc::new(StringViewArray::from_iter(values));
    String => |values| Arc::new(StringViewArray::from_iter(values));
    NaiveDate => |values| {
        let days = values.into_iter().map(|day| day.map(Date32Type::from_naive_date));
        Arc::new(Date32Array::from_iter(days))
    };
    NaiveDateTime => |values| {
        let times = values.into_iter().map(|time| time.map(|t| t.and_utc().timestamp_micros()));
        Arc::new(TimestampMicrosecondArray::from_iter(times))
    };
}

/// A day or a time of a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// A day.
    Day(NaiveDate),
    /// A time of a day.
    Time(NaiveDateTime),
}

impl From<NaiveDate> for Moment {
    fn from(day: NaiveDate) -> Self {
        Moment::Day(day)
    }
}

impl From<NaiveDateTime> for Moment {
    fn from(time: NaiveDateTime) -> Self {
        Moment::Time(time)
    }
}

impl Moment {
    /// In microseconds since 1970.
    fn microseconds(self) -> i64 {
        let time = match self {
            Moment::Day(day) => day.and_time(chrono::NaiveTime::MIN),
            Moment::Time(time) => time,
        };
        time.and_utc().timestamp_micros()
    }
}

/// The moment of each number, from 0, of a regular series.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Series {
    start: i64,
    steps: Steps,
}

impl Series {
    /// How many moments there are up to the end.
    fn count(&self, end: i64) -> i64 {
        let is_falling = self.steps.moment(self.start, 1).is_some_and(|next| next < self.start);
        let is_within = |number: i64| {
            let moment = self.steps.moment(self.start, number);
            moment.is_some_and(|moment| if is_falling { moment >= end } else { moment <= end })
        };
        if !is_within(0) {
            return 0;
        }
        let mut beyond = 1;
        while is_within(beyond) {
            beyond *= 2;
        }
        let mut within = beyond / 2;
        while beyond - within > 1 {
            let middle = within.midpoint(beyond);
            if is_within(middle) {
                within = middle;
            } else {
                beyond = middle;
            }
        }
        beyond
    }
}

impl fmt::Display for Series {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "date_range({}, {:?})", self.start, self.steps)
    }
}

impl Operation for Series {
    const KIND: &'static str = "series";

    fn gives(&self, _: &[DataType]) -> datafusion::error::Result<DataType> {
        Ok(DataType::Timestamp(TimeUnit::Microsecond, None))
    }

    fn compute(&self, columns: &[ArrayRef], _: &DataType) -> datafusion::error::Result<ArrayRef> {
        let numbers = columns[0].as_primitive::<Int64Type>();
        let moments = numbers.try_unary(|number| {
            let moment = self.steps.moment(self.start, number);
            moment.ok_or_else(|| exec_datafusion_err!("{number} steps lead beyond all dates"))
        });
        let moments: TimestampMicrosecondArray = moments?;
        Ok(Arc::new(moments))
    }
}

/// How files of any format are read and put together.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    kind: Option<FileKind>,
    files: FileOptions,
    json_array: Option<bool>,
}

impl ReadOptions {
    /// Files of the format that their extension says.
    pub fn new() -> Self {
        ReadOptions::default()
    }

    /// Parquet files.
    pub fn parquet() -> Self {
        ReadOptions { kind: Some(FileKind::Parquet), ..Self::default() }
    }

    /// JSON files: an object a line, or one array of objects.
    pub fn json() -> Self {
        ReadOptions { kind: Some(FileKind::Json), ..Self::default() }
    }

    /// Arrow IPC files.
    pub fn arrow() -> Self {
        ReadOptions { kind: Some(FileKind::Arrow), ..Self::default() }
    }

    /// Whether columns of several files are matched by their names, a missing one being NULL.
    pub fn union_by_name(mut self, yes: bool) -> Self {
        self.files.union_by_name = yes;
        self
    }

    /// Adds a column of this name that holds the path of the file.
    pub fn filename(mut self, column: impl Into<String>) -> Self {
        self.files.filename = Some(column.into());
        self
    }

    /// Whether `name=value/` in a path makes a column; below a folder that is read it does anyway.
    pub fn hive_partitioning(mut self, yes: bool) -> Self {
        self.files.hive_partitioning = Some(yes);
        self
    }

    /// The compression of text files: gzip, zstd, bzip2, xz, uncompressed, or auto for what the
    /// extension says.
    ///
    /// # Errors
    /// `Config` for another name.
    pub fn compression(mut self, name: &str) -> Result<Self> {
        self.files.compression = parse_compression(name)?;
        Ok(self)
    }

    /// Whether JSON files are one array; the first byte says so otherwise.
    pub fn json_array(mut self, yes: bool) -> Self {
        self.json_array = Some(yes);
        self
    }
}

impl Session {
    /// A frame of columns with their names: `session.frame([("n", vec![1, 2].into()), ("t",
    /// vec![Some("a"), None].into())])`.
    ///
    /// # Errors
    /// `Query` if the columns differ in length or two have the same name.
    pub fn frame<'a>(
        &self,
        columns: impl IntoIterator<Item = (&'a str, Values)>,
    ) -> Result<DataFrame> {
        let columns: Vec<(&str, Values)> = columns.into_iter().collect();
        let names: Vec<String> = columns.iter().map(|(name, _)| (*name).to_string()).collect();
        check_distinct(&names)?;
        let rows = columns.first().map_or(0, |(_, values)| values.0.len());
        if let Some((name, values)) = columns.iter().find(|(_, values)| values.0.len() != rows) {
            return Err(Error::query(format!(
                "the column \"{name}\" has {} values and \"{}\" has {rows}",
                values.0.len(),
                names[0]
            )));
        }
        let fields = columns
            .iter()
            .map(|(name, values)| Field::new(*name, values.0.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let arrays = columns.into_iter().map(|(_, values)| values.0).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        self.read_batches([RecordBatch::try_new_with_options(schema, arrays, &options)?])
    }

    /// A frame of the rows of Arrow batches, which all have the columns of the first.
    ///
    /// # Errors
    /// `Query` if there is no batch, or they differ in their columns.
    pub fn read_batches(
        &self,
        batches: impl IntoIterator<Item = RecordBatch>,
    ) -> Result<DataFrame> {
        let batches: Vec<RecordBatch> = batches.into_iter().collect();
        let Some(first) = batches.first() else {
            return Err(Error::query("no batch says what the columns are")
                .with_hint("give an empty one: RecordBatch::new_empty(schema)"));
        };
        let table = MemTable::try_new(first.schema(), vec![batches])?;
        Ok(DataFrame::new(self.clone(), self.context().read_table(Arc::new(table))?))
    }

    /// The integers from `start` to before `end`, every `step`-th of them, as the column `value`.
    ///
    /// # Errors
    /// `Query` if the step is 0.
    pub fn range(&self, start: i64, end: i64, step: i64) -> Result<DataFrame> {
        if step == 0 {
            return Err(Error::query("the step of a range must not be 0"));
        }
        self.series("range", [start, end, step].map(|bound| ScalarValue::Int64(Some(bound))))
    }

    /// The moments from `start` to `end`, both included, as the column `value`: days if both are days
    /// and the interval is of days, weeks, months or years, else times. The interval is a [`Period`],
    /// such as `1d`, `15m` or `1mo`, or as in SQL, such as `15 minutes`; moments fall with a negative
    /// one. Months are counted from the start: from January 31 on, `1mo` gives the last days.
    ///
    /// # Errors
    /// `Query` if the interval cannot be read, is 0, or of parts of microseconds.
    pub fn date_range(
        &self,
        start: impl Into<Moment>,
        end: impl Into<Moment>,
        interval: &str,
    ) -> Result<DataFrame> {
        let (start, end) = (start.into(), end.into());
        let every = Period::of_interval(interval)?;
        let steps = Steps::new(every, TimeUnit::Microsecond)?;
        let series = Series { start: start.microseconds(), steps };
        let bounds = [0, series.count(end.microseconds()), 1];
        let numbers = self.series("range", bounds.map(|bound| ScalarValue::Int64(Some(bound))))?;
        let moment = call(series, vec![col("value")]);
        let is_of_days =
            every.is_of_whole_days() && matches!((start, end), (Moment::Day(_), Moment::Day(_)));
        let moment = if is_of_days { cast(moment, DataType::Date32) } else { moment };
        numbers.select([moment.alias("value")])
    }

    /// What a table function gives.
    fn series(&self, function: &str, arguments: [ScalarValue; 3]) -> Result<DataFrame> {
        let arguments = arguments.map(|argument| Expr::Literal(argument, None));
        let state = self.state();
        let arguments = TableFunctionArgs::new(&arguments, &state);
        let function = self.context().table_function(function)?;
        let table = function.create_table_provider_with_args(arguments)?;
        Ok(DataFrame::new(self.clone(), self.context().read_table(table)?))
    }

    /// Reads files, globs or folders of any format; CSV files are sniffed. For options of CSV there
    /// is [`Session::read_csv`].
    ///
    /// # Errors
    /// As for [`Session::read_csv`].
    pub async fn read(
        &self,
        paths: impl IntoIterator<Item = impl Into<String>>,
        options: ReadOptions,
    ) -> Result<DataFrame> {
        let locations: Vec<String> = paths.into_iter().map(Into::into).collect();
        let ReadOptions { kind, files, json_array } = options;
        let table = FileTable { locations, kind, files, json_array, ..FileTable::default() };
        self.read_files(table).await
    }
}
