//! Data sets of one table: blocks of rows, written as text or as Parquet.
//!
//! Rows come in blocks of a fixed size. A block depends on the seed and its own number only, so
//! blocks can be made in any order, and a longer file begins with the rows of a shorter one.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;

use crate::error::{Error, Result};
use crate::generate::aside::Aside;
use crate::generate::chunks;
use crate::generate::parquet_file::{self, ParquetFile};

/// The rows of a block: 7 MB of text at the widest, so that a few per thread are cheap.
pub(super) const BLOCK_ROW_COUNT: u64 = 16_384;

/// The blocks of a row group, 65,536 rows.
const BLOCKS_PER_ROW_GROUP_COUNT: u64 = 4;

/// A table whose rows follow from their position.
pub(super) trait Rows: Sync {
    /// One row's values.
    type Row: Send;

    /// The columns, as they are in Parquet; the text has the same names.
    fn schema(&self) -> SchemaRef;

    /// Appends the first `count` rows of a block to `rows`.
    fn block(&self, block: u64, count: usize, rows: &mut Vec<Self::Row>);

    /// Appends a row's line with its newline.
    fn push_line(&self, row: &Self::Row, out: &mut Vec<u8>);

    /// The same values as columns.
    ///
    /// # Errors
    ///
    /// None, unless the columns do not match the schema.
    fn batch(&self, rows: &[Self::Row]) -> Result<RecordBatch, ArrowError>;
}

/// Writes a header and the first `row_count` rows of `source` as lines.
///
/// # Errors
///
/// Those of the file.
pub(super) fn write_text<R: Rows>(
    source: &R,
    row_count: u64,
    separator: u8,
    threads: usize,
    file: &mut Aside,
) -> Result<()> {
    let schema = source.schema();
    let names: Vec<&[u8]> = schema.fields().iter().map(|field| field.name().as_bytes()).collect();
    let mut header = names.join(&separator);
    header.push(b'\n');
    file.append(&header)?;
    let make = |block| {
        let rows = rows_of(source, row_count, block, 1);
        let mut lines = Vec::new();
        for (done, row) in rows.iter().enumerate() {
            source.push_line(row, &mut lines);
            // The first lines tell how long the others will be; growing step by step would copy
            // megabytes.
            if done == 63 {
                lines.reserve(lines.len() * (rows.len() / 60));
            }
        }
        Ok(lines)
    };
    let block_count = row_count.div_ceil(BLOCK_ROW_COUNT);
    chunks::in_order(threads, block_count, make, |lines: Vec<u8>| file.append(&lines))
}

/// Writes the first `row_count` rows of `source` as Parquet.
///
/// # Errors
///
/// Those of the file.
pub(super) fn write_parquet<R: Rows>(
    source: &R,
    row_count: u64,
    threads: usize,
    file: &mut Aside,
) -> Result<()> {
    let mut parquet = ParquetFile::create(file, source.schema())?;
    let encoder = parquet.encoder();
    let make = |group| {
        let first = group * BLOCKS_PER_ROW_GROUP_COUNT;
        let rows = rows_of(source, row_count, first, BLOCKS_PER_ROW_GROUP_COUNT);
        let batch = source.batch(&rows).map_err(|err| Error::internal(err.to_string()))?;
        encoder.encode(&batch)
    };
    let group_count = row_count.div_ceil(BLOCK_ROW_COUNT * BLOCKS_PER_ROW_GROUP_COUNT);
    let append = |group: parquet_file::Encoded| parquet.append(group).map(|_rows| ());
    chunks::in_order(threads, group_count, make, append)?;
    parquet.finish()
}

/// The rows of `block_count` blocks from `first` on, as far as the table goes.
fn rows_of<R: Rows>(source: &R, row_count: u64, first: u64, block_count: u64) -> Vec<R::Row> {
    let mut rows = Vec::with_capacity((block_count * BLOCK_ROW_COUNT) as usize);
    for block in first..first + block_count {
        let left = row_count.saturating_sub(block * BLOCK_ROW_COUNT);
        if left == 0 {
            break;
        }
        source.block(block, left.min(BLOCK_ROW_COUNT) as usize, &mut rows);
    }
    rows
}

/// What the tests of the data sets share.
#[cfg(test)]
pub(super) mod testing {
    use super::*;

    use std::path::Path;

    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    /// The text of a data set.
    pub(in crate::generate) fn text<R: Rows>(source: &R, row_count: u64, threads: usize) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.csv");
        let mut file = Aside::create(&path).unwrap();
        write_text(source, row_count, b',', threads, &mut file).unwrap();
        file.finish().unwrap();
        std::fs::read_to_string(path).unwrap()
    }

    /// The Parquet file of a data set, as bytes and as one batch.
    pub(in crate::generate) fn parquet<R: Rows>(
        source: &R,
        row_count: u64,
        threads: usize,
    ) -> (Vec<u8>, RecordBatch) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("rows.parquet");
        let mut file = Aside::create(&path).unwrap();
        write_parquet(source, row_count, threads, &mut file).unwrap();
        file.finish().unwrap();
        (std::fs::read(&path).unwrap(), read_parquet(&path))
    }

    /// All rows of a Parquet file.
    pub(in crate::generate) fn read_parquet(path: &Path) -> RecordBatch {
        let file = std::fs::File::open(path).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
        let schema = reader.schema().clone();
        let batches: Vec<_> = reader.build().unwrap().map(|batch| batch.unwrap()).collect();
        arrow::compute::concat_batches(&schema, &batches).unwrap()
    }

    /// Checks what every data set promises: the number of threads changes nothing, and fewer rows
    /// are the beginning of more.
    pub(in crate::generate) fn check_repeats<R: Rows>(source: &R) {
        let all = text(source, 40_000, 1);
        assert!(all == text(source, 40_000, 3), "the text depends on the threads");
        assert!(all.starts_with(&text(source, 1_000, 2)), "1,000 rows are not a prefix");
        assert!(all.starts_with(&text(source, 20_000, 2)), "20,000 rows are not a prefix");
        assert_eq!(all.lines().count(), 40_001);
        assert_eq!(text(source, 0, 2).lines().count(), 1);
        let (bytes, batch) = parquet(source, 70_000, 1);
        assert!(bytes == parquet(source, 70_000, 3).0, "the Parquet depends on the threads");
        assert_eq!(batch.num_rows(), 70_000);
    }
}
