//! The eight tables of TPC-H.
//!
//! The rows come from the `tpchgen` crate, which follows the benchmark's specification, so there
//! is no seed. Each table is divided into a number of parts that depends on the scale only; parts
//! are made in parallel and written in order, each as one row group of Parquet.

use std::fmt::{Display, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringViewBuilder,
};
use arrow::error::ArrowError;
use tpchgen::dates::TPCHDate;
use tpchgen::decimal::TPCHDecimal;
use tpchgen::generators::{
    CustomerGenerator, LineItemGenerator, NationGenerator, OrderGenerator, PartGenerator,
    PartSuppGenerator, RegionGenerator, SupplierGenerator,
};

use crate::error::{Error, Result};
use crate::generate::aside::Aside;
use crate::generate::parquet_file::{Encoded, ParquetFile};
use crate::generate::{Format, GeneratedFile, chunks};

/// Below this scale tables become so small that their keys no longer fit together.
const SMALLEST_SCALE: f64 = 0.001;

/// Above this scale the numbers of parts no longer fit the generator.
const LARGEST_SCALE: f64 = 100_000.0;

/// The precision and the scale of the money and quantity columns.
const DECIMAL_PRECISION: u8 = 15;
const DECIMAL_SCALE: i8 = 2;

/// The rows of a part and so of a row group, roughly: few enough for writers and readers to need
/// little memory.
const PART_ROW_COUNT: usize = 64_000;

/// A table of the benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    Region,
    Nation,
    Supplier,
    Part,
    PartSupp,
    Customer,
    Orders,
    LineItem,
}

const TABLES: [Table; 8] = [
    Table::Region,
    Table::Nation,
    Table::Supplier,
    Table::Part,
    Table::PartSupp,
    Table::Customer,
    Table::Orders,
    Table::LineItem,
];

/// A part of a table as it goes into the file.
enum Piece {
    Text { bytes: Vec<u8>, row_count: u64 },
    Group(Encoded),
}

/// Writes the tables of the given scale into `directory`, which is created when it is missing.
///
/// # Errors
///
/// A configuration error for a scale out of range; otherwise those of the files. No table is
/// replaced unless all are complete, and a directory that was created is removed again.
pub(super) fn generate(
    directory: &Path,
    scale: f64,
    format: Format,
    threads: usize,
) -> Result<Vec<GeneratedFile>> {
    if !(SMALLEST_SCALE..=LARGEST_SCALE).contains(&scale) {
        return Err(Error::config(format!("--scale {scale} is out of range"))
            .with_hint(format!("it goes from {SMALLEST_SCALE} to {LARGEST_SCALE}")));
    }
    let is_new = !directory.exists();
    std::fs::create_dir_all(directory).map_err(|err| Error::io("create", directory, err))?;
    let files = generate_into(directory, scale, format, threads);
    if files.is_err() && is_new {
        // It is empty then; if it is not, somebody else has put something there.
        let _ = std::fs::remove_dir(directory);
    }
    files
}

fn generate_into(
    directory: &Path,
    scale: f64,
    format: Format,
    threads: usize,
) -> Result<Vec<GeneratedFile>> {
    let mut complete = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        let name = format!("{}.{}", table.name(), format.extension());
        let mut file = Aside::create(&directory.join(name))?;
        let row_count = match format {
            Format::Parquet => write_parquet(table, scale, threads, &mut file)?,
            Format::Csv | Format::Tsv => {
                write_text(table, scale, format.separator(), threads, &mut file)?
            }
        };
        complete.push((file, row_count));
    }
    super::finish(complete)
}

fn write_parquet(table: Table, scale: f64, threads: usize, file: &mut Aside) -> Result<u64> {
    let mut parquet = ParquetFile::create(file, table.batch(0.0, 1, 1).map_err(defect)?.schema())?;
    let encoder = parquet.encoder();
    let make = |batch: &RecordBatch| encoder.encode(batch).map(Piece::Group);
    let mut row_count = 0;
    each_part(table, scale, threads, make, |piece| {
        if let Piece::Group(group) = piece {
            row_count += parquet.append(group)?;
        }
        Ok(())
    })?;
    parquet.finish()?;
    Ok(row_count)
}

fn write_text(
    table: Table,
    scale: f64,
    separator: u8,
    threads: usize,
    file: &mut Aside,
) -> Result<u64> {
    let schema = table.batch(0.0, 1, 1).map_err(defect)?.schema();
    let names: Vec<&[u8]> = schema.fields().iter().map(|field| field.name().as_bytes()).collect();
    let mut header = names.join(&separator);
    header.push(b'\n');
    file.append(&header)?;
    let make = |batch: &RecordBatch| {
        let mut bytes = Vec::new();
        arrow::csv::WriterBuilder::new()
            .with_header(false)
            .with_delimiter(separator)
            .build(&mut bytes)
            .write(batch)
            .map_err(defect)?;
        Ok(Piece::Text { bytes, row_count: batch.num_rows() as u64 })
    };
    let mut row_count = 0;
    each_part(table, scale, threads, make, |piece| {
        if let Piece::Text { bytes, row_count: more } = piece {
            file.append(&bytes)?;
            row_count += more;
        }
        Ok(())
    })?;
    Ok(row_count)
}

fn each_part(
    table: Table,
    scale: f64,
    threads: usize,
    make: impl Fn(&RecordBatch) -> Result<Piece> + Sync,
    take: impl FnMut(Piece) -> Result<()>,
) -> Result<()> {
    let part_count = table.part_count(scale);
    let make = |index: u64| {
        let batch = table.batch(scale, index as i32 + 1, part_count).map_err(defect)?;
        make(&batch)
    };
    chunks::in_order(threads, part_count as u64, make, take)
}

/// The data are our own, so an error while shaping them is a defect.
fn defect(err: ArrowError) -> Error {
    Error::internal(format!("could not shape a table: {err}"))
}

impl Table {
    fn name(self) -> &'static str {
        match self {
            Table::Region => "region",
            Table::Nation => "nation",
            Table::Supplier => "supplier",
            Table::Part => "part",
            Table::PartSupp => "partsupp",
            Table::Customer => "customer",
            Table::Orders => "orders",
            Table::LineItem => "lineitem",
        }
    }

    /// The parts the table is divided into.
    fn part_count(self, scale: f64) -> i32 {
        // The rows at scale 1 of what the generator divides, and the rows of the table for each of
        // those: lineitem is divided by orders, of four lines on average, partsupp by parts.
        let (base_count, rows_each) = match self {
            Table::Region | Table::Nation => return 1,
            Table::Supplier => (10_000.0, 1.0),
            Table::Part => (200_000.0, 1.0),
            Table::PartSupp => (200_000.0, 4.0),
            Table::Customer => (150_000.0, 1.0),
            Table::Orders => (1_500_000.0, 1.0),
            Table::LineItem => (1_500_000.0, 4.0),
        };
        (base_count * scale * rows_each / PART_ROW_COUNT as f64).ceil().max(1.0) as i32
    }

    /// One part of the table, counted from 1. At scale 0 there are no rows, only the columns,
    /// except for the two tables that do not scale.
    fn batch(self, scale: f64, part: i32, part_count: i32) -> Result<RecordBatch, ArrowError> {
        match self {
            Table::Region => region(),
            Table::Nation => nation(),
            Table::Supplier => supplier(SupplierGenerator::new(scale, part, part_count)),
            Table::Part => parts(PartGenerator::new(scale, part, part_count)),
            Table::PartSupp => partsupp(PartSuppGenerator::new(scale, part, part_count)),
            Table::Customer => customer(CustomerGenerator::new(scale, part, part_count)),
            Table::Orders => orders(OrderGenerator::new(scale, part, part_count)),
            Table::LineItem => lineitem(LineItemGenerator::new(scale, part, part_count)),
        }
    }
}

fn region() -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = RegionGenerator::default().iter().collect();
    table([
        ("r_regionkey", int64(rows.iter().map(|row| row.r_regionkey))),
        ("r_name", text(rows.iter().map(|row| row.r_name))),
        ("r_comment", text(rows.iter().map(|row| row.r_comment))),
    ])
}

fn nation() -> Result<RecordBatch, ArrowError> {
    let rows: Vec<_> = NationGenerator::default().iter().collect();
    table([
        ("n_nationkey", int64(rows.iter().map(|row| row.n_nationkey))),
        ("n_name", text(rows.iter().map(|row| row.n_name))),
        ("n_regionkey", int64(rows.iter().map(|row| row.n_regionkey))),
        ("n_comment", text(rows.iter().map(|row| row.n_comment))),
    ])
}

fn supplier(generator: SupplierGenerator) -> Result<RecordBatch, ArrowError> {
    let rows = collect(generator.iter());
    table([
        ("s_suppkey", int64(rows.iter().map(|row| row.s_suppkey))),
        ("s_name", display(rows.iter().map(|row| &row.s_name))),
        ("s_address", display(rows.iter().map(|row| &row.s_address))),
        ("s_nationkey", int64(rows.iter().map(|row| row.s_nationkey))),
        ("s_phone", display(rows.iter().map(|row| &row.s_phone))),
        ("s_acctbal", decimal(rows.iter().map(|row| row.s_acctbal))?),
        ("s_comment", text(rows.iter().map(|row| row.s_comment.as_str()))),
    ])
}

fn parts(generator: PartGenerator) -> Result<RecordBatch, ArrowError> {
    let rows = collect(generator.iter());
    table([
        ("p_partkey", int64(rows.iter().map(|row| row.p_partkey))),
        ("p_name", display(rows.iter().map(|row| &row.p_name))),
        ("p_mfgr", display(rows.iter().map(|row| &row.p_mfgr))),
        ("p_brand", display(rows.iter().map(|row| &row.p_brand))),
        ("p_type", text(rows.iter().map(|row| row.p_type))),
        ("p_size", int32(rows.iter().map(|row| row.p_size))),
        ("p_container", text(rows.iter().map(|row| row.p_container))),
        ("p_retailprice", decimal(rows.iter().map(|row| row.p_retailprice))?),
        ("p_comment", text(rows.iter().map(|row| row.p_comment))),
    ])
}

fn partsupp(generator: PartSuppGenerator) -> Result<RecordBatch, ArrowError> {
    let rows = collect(generator.iter());
    table([
        ("ps_partkey", int64(rows.iter().map(|row| row.ps_partkey))),
        ("ps_suppkey", int64(rows.iter().map(|row| row.ps_suppkey))),
        ("ps_availqty", int32(rows.iter().map(|row| row.ps_availqty))),
        ("ps_supplycost", decimal(rows.iter().map(|row| row.ps_supplycost))?),
        ("ps_comment", text(rows.iter().map(|row| row.ps_comment))),
    ])
}

fn customer(generator: CustomerGenerator) -> Result<RecordBatch, ArrowError> {
    let rows = collect(generator.iter());
    table([
        ("c_custkey", int64(rows.iter().map(|row| row.c_custkey))),
        ("c_name", display(rows.iter().map(|row| &row.c_name))),
        ("c_address", display(rows.iter().map(|row| &row.c_address))),
        ("c_nationkey", int64(rows.iter().map(|row| row.c_nationkey))),
        ("c_phone", display(rows.iter().map(|row| &row.c_phone))),
        ("c_acctbal", decimal(rows.iter().map(|row| row.c_acctbal))?),
        ("c_mktsegment", text(rows.iter().map(|row| row.c_mktsegment))),
        ("c_comment", text(rows.iter().map(|row| row.c_comment))),
    ])
}

fn orders(generator: OrderGenerator) -> Result<RecordBatch, ArrowError> {
    let rows = collect(generator.iter());
    table([
        ("o_orderkey", int64(rows.iter().map(|row| row.o_orderkey))),
        ("o_custkey", int64(rows.iter().map(|row| row.o_custkey))),
        ("o_orderstatus", text(rows.iter().map(|row| row.o_orderstatus.as_str()))),
        ("o_totalprice", decimal(rows.iter().map(|row| row.o_totalprice))?),
        ("o_orderdate", date(rows.iter().map(|row| row.o_orderdate))),
        ("o_orderpriority", text(rows.iter().map(|row| row.o_orderpriority))),
        ("o_clerk", display(rows.iter().map(|row| &row.o_clerk))),
        ("o_shippriority", int32(rows.iter().map(|row| row.o_shippriority))),
        ("o_comment", text(rows.iter().map(|row| row.o_comment))),
    ])
}

fn lineitem(generator: LineItemGenerator) -> Result<RecordBatch, ArrowError> {
    let rows = collect(generator.iter());
    // The specification has a decimal here, the generator a whole number.
    let quantity = rows.iter().map(|row| TPCHDecimal::new(row.l_quantity * 100));
    table([
        ("l_orderkey", int64(rows.iter().map(|row| row.l_orderkey))),
        ("l_partkey", int64(rows.iter().map(|row| row.l_partkey))),
        ("l_suppkey", int64(rows.iter().map(|row| row.l_suppkey))),
        ("l_linenumber", int32(rows.iter().map(|row| row.l_linenumber))),
        ("l_quantity", decimal(quantity)?),
        ("l_extendedprice", decimal(rows.iter().map(|row| row.l_extendedprice))?),
        ("l_discount", decimal(rows.iter().map(|row| row.l_discount))?),
        ("l_tax", decimal(rows.iter().map(|row| row.l_tax))?),
        ("l_returnflag", text(rows.iter().map(|row| row.l_returnflag))),
        ("l_linestatus", text(rows.iter().map(|row| row.l_linestatus))),
        ("l_shipdate", date(rows.iter().map(|row| row.l_shipdate))),
        ("l_commitdate", date(rows.iter().map(|row| row.l_commitdate))),
        ("l_receiptdate", date(rows.iter().map(|row| row.l_receiptdate))),
        ("l_shipinstruct", text(rows.iter().map(|row| row.l_shipinstruct))),
        ("l_shipmode", text(rows.iter().map(|row| row.l_shipmode))),
        ("l_comment", text(rows.iter().map(|row| row.l_comment))),
    ])
}

/// The rows of a part. Growing step by step would hold some of them twice.
fn collect<T>(rows: impl Iterator<Item = T>) -> Vec<T> {
    let mut collected = Vec::with_capacity(PART_ROW_COUNT + PART_ROW_COUNT / 32);
    collected.extend(rows);
    collected
}

fn table<const N: usize>(columns: [(&str, ArrayRef); N]) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, column)| (name, column, false)),
    )
}

fn int64(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn int32(values: impl Iterator<Item = i32>) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(values))
}

fn date(values: impl Iterator<Item = TPCHDate>) -> ArrayRef {
    Arc::new(Date32Array::from_iter_values(values.map(|value| value.to_unix_epoch())))
}

fn decimal(values: impl Iterator<Item = TPCHDecimal>) -> Result<ArrayRef, ArrowError> {
    let values = Decimal128Array::from_iter_values(values.map(|value| i128::from(value.0)));
    Ok(Arc::new(values.with_precision_and_scale(DECIMAL_PRECISION, DECIMAL_SCALE)?))
}

fn text<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    let mut column = StringViewBuilder::new();
    values.for_each(|value| column.append_value(value));
    Arc::new(column.finish())
}

/// Names, addresses and telephone numbers, which the generator gives as things to be formatted.
fn display(values: impl Iterator<Item = impl Display>) -> ArrayRef {
    let mut column = StringViewBuilder::new();
    let mut scratch = String::new();
    for value in values {
        scratch.clear();
        write!(scratch, "{value}").expect("a String takes every write");
        column.append_value(&scratch);
    }
    Arc::new(column.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    use arrow::datatypes::DataType;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    use crate::generate::rows::testing::read_parquet;

    const ROW_COUNTS: [u64; 8] = [5, 25, 100, 2_000, 8_000, 1_500, 15_000, 60_175];

    fn row_counts(files: &[GeneratedFile]) -> Vec<u64> {
        files.iter().map(|file| file.rows).collect()
    }

    #[test]
    fn the_tables_have_the_rows_of_the_specification() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tpch");
        let files = generate(&path, 0.01, Format::Parquet, 2).unwrap();
        assert_eq!(row_counts(&files), ROW_COUNTS);
        let lineitem = read_parquet(&path.join("lineitem.parquet"));
        assert_eq!(lineitem.num_rows(), 60_175);
        assert_eq!(lineitem.num_columns(), 16);
        assert_eq!(*lineitem.column(4).data_type(), DataType::Decimal128(15, 2));
        let first: Vec<String> = lineitem
            .columns()
            .iter()
            .map(|column| arrow::util::display::array_value_to_string(column, 0).unwrap())
            .collect();
        assert_eq!(first[..4], ["1", "1552", "93", "1"]);
        assert_eq!(first[4..8], ["17.00", "24710.35", "0.04", "0.02"]);
        assert_eq!(first[8..13], ["N", "O", "1996-03-13", "1996-02-12", "1996-03-22"]);
        assert_eq!(std::fs::read_dir(&path).unwrap().count(), 8);
    }

    #[test]
    fn the_threads_change_nothing_and_row_groups_stay_small() {
        let directory = tempfile::tempdir().unwrap();
        let (one, three) = (directory.path().join("one"), directory.path().join("three"));
        // Large enough for lineitem and orders to have several parts, the last one longer.
        generate(&one, 0.0701, Format::Parquet, 1).unwrap();
        generate(&three, 0.0701, Format::Parquet, 3).unwrap();
        for table in TABLES {
            let name = format!("{}.parquet", table.name());
            let bytes = std::fs::read(one.join(&name)).unwrap();
            assert!(bytes == std::fs::read(three.join(&name)).unwrap(), "{name}");
        }
        let file = std::fs::File::open(one.join("lineitem.parquet")).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let groups = reader.metadata().row_groups();
        assert_eq!(groups.len(), 7);
        assert!(groups.iter().all(|group| group.num_rows() <= 65_536));
    }

    #[test]
    fn text_has_a_header_and_quotes() {
        let directory = tempfile::tempdir().unwrap();
        let files = generate(directory.path(), 0.01, Format::Csv, 2).unwrap();
        assert_eq!(row_counts(&files), ROW_COUNTS);
        let orders = std::fs::read_to_string(directory.path().join("orders.csv")).unwrap();
        assert!(orders.starts_with("o_orderkey,o_custkey,o_orderstatus,o_totalprice,o_orderdate,"));
        assert!(orders.contains('"'));
        assert_eq!(orders.lines().count(), 15_001);
    }

    #[test]
    fn a_scale_out_of_range_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        for scale in [0.0, -1.0, f64::NAN, f64::INFINITY, 0.0001] {
            let path = directory.path().join("tpch");
            assert!(generate(&path, scale, Format::Csv, 1).is_err());
            assert!(!path.exists());
        }
    }
}
