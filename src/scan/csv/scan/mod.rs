//! One reader: a file, or the records that begin in one part of it → record batches.

mod faults;
mod predicate;

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray};
use arrow::compute::filter;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::physical_plan::metrics::Count;
use object_store::ObjectMeta;

use super::convert::{self, Converted, Fields, Rules};
use super::cuts::FileCuts;
use super::dialect::{Dialect, MAX_RECORD_BYTES, PIECE_BYTES};
use super::encoding::BYTE_ORDER_MARK;
use super::input::{Input, Piece};
use super::sniff::{header_names, same_names};
use super::structure::{self, Index, Irregularity, Marks, Skip, Stop};
use crate::scan::store::FileStore;
use faults::irregular_message;
pub(crate) use predicate::Predicate;

/// How much is read beyond a piece, for the end of its last record.
const BEYOND_BYTES: usize = 16 << 10;

/// What all readers of a partition have in common.
pub(crate) struct Reading {
    pub(crate) store: FileStore,
    pub(crate) dialect: Arc<Dialect>,
    pub(crate) marks: Marks,
    pub(crate) rules: Rules,
    pub(crate) file_schema: SchemaRef,
    /// Indices of the wanted columns in `file_schema`.
    pub(crate) columns: Vec<usize>,
    /// Schema of the wanted columns.
    pub(crate) schema: SchemaRef,
    pub(crate) predicate: Option<Predicate>,
    pub(crate) batch_size: usize,
    /// Threads that decompress one file.
    pub(crate) decode_threads: usize,
    pub(crate) bytes_scanned: Count,
    pub(crate) rows_filtered: Count,
    pub(crate) rows_rejected: Count,
}

/// The reading of one file, or of the records that begin in one part of it.
pub(crate) struct Scan {
    reading: Arc<Reading>,
    meta: ObjectMeta,
    cuts: Arc<FileCuts>,
    input: Input,
    /// Records that begin in this range of bytes are ours.
    part: Range<u64>,
    /// Whether it is certain that a record begins where ours are said to begin.
    certain: bool,
    /// Where our first record is said to begin.
    guess: u64,
    /// Where the next piece begins, which is at a record.
    position: u64,
    /// No piece follows.
    finished: bool,
    piece: Piece,
    /// The records of the piece.
    index: Index,
    /// The first of them that is not in a batch yet.
    next_record: usize,
    /// What a piece takes that is longer than usual.
    memory: Option<MemoryReservation>,
}

/// What became of some records.
enum Outcome {
    /// Their rows, as far as they are wanted.
    Batch(RecordBatch),
    /// Values that are not of their column's type: the first such column, and the records. The
    /// rows of the others are there if such records are to be left out.
    BadValues(Vec<(usize, usize)>, Option<RecordBatch>),
}

/// Records of a piece, in ascending order.
enum Records {
    All(Range<usize>),
    Some(Vec<usize>),
}

impl Scan {
    /// Opens a file and stands at the first record that is ours.
    pub(crate) async fn open(
        reading: Arc<Reading>,
        cuts: Arc<FileCuts>,
        file: PartitionedFile,
    ) -> Result<Self> {
        let part = match &file.range {
            Some(range) => range.start.max(0) as u64..range.end.max(0) as u64,
            None => 0..u64::MAX,
        };
        let meta = file.object_meta;
        let mut input =
            Input::open(&reading.store, &meta, &reading.dialect, &cuts, reading.decode_threads)
                .await?;
        input.read_ahead(part.end.saturating_add(BEYOND_BYTES as u64), &reading.dialect);
        let pool = reading.dialect.memory.as_ref();
        let memory = pool.map(|pool| MemoryConsumer::new("long CSV records").register(pool));
        let mut scan = Scan {
            memory,
            certain: part.start == 0,
            position: part.start,
            guess: part.start,
            part,
            reading,
            meta,
            cuts,
            input,
            finished: false,
            piece: Piece::default(),
            index: Index::default(),
            next_record: 0,
        };
        match scan.certain {
            true => scan.read_header().await?,
            false => scan.guess_start().await?,
        }
        Ok(scan)
    }

    /// The next rows; `None` when there are no more.
    pub(crate) async fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let records = self.next_record..self.index.starts.len();
            if records.is_empty() {
                if self.finished {
                    match self.is_certain().await? {
                        true => return Ok(None),
                        false => continue,
                    }
                }
                self.next_piece().await?;
                // A filter may leave nothing of many pieces.
                tokio::task::consume_budget().await;
                continue;
            }
            let records = records.start..records.end.min(records.start + self.reading.batch_size);
            let outcome = self.convert(records.clone());
            if !self.is_certain().await? {
                continue;
            }
            self.next_record = records.end;
            let batch = match outcome? {
                Outcome::Batch(batch) => batch,
                Outcome::BadValues(bad, Some(batch)) => {
                    for (record, column) in bad {
                        self.reject_value(record, column);
                    }
                    batch
                }
                Outcome::BadValues(bad, None) => {
                    let (record, column) = bad[0];
                    return Err(self.bad_value(record, column).await);
                }
            };
            if batch.num_rows() > 0 {
                return Ok(Some(batch));
            }
        }
    }

    /// Moves past the names at the beginning of the file and checks them.
    async fn read_header(&mut self) -> Result<()> {
        self.position = self.after_preamble().await?;
        if self.reading.dialect.header
            && let Some((names, next)) = self.read_names().await?
        {
            self.position = next;
            if self.reading.dialect.checks_names {
                self.check_names(&names)?;
            }
        }
        self.reading.bytes_scanned.add(self.position as usize);
        Ok(())
    }

    fn check_names(&self, names: &[Vec<u8>]) -> Result<()> {
        let fields = self.reading.file_schema.fields();
        let columns: Vec<String> = fields.iter().map(|field| field.name().clone()).collect();
        let names: Vec<&[u8]> = names.iter().map(Vec::as_slice).collect();
        let names = header_names(&names, columns.len());
        Ok(same_names("the table", &columns, &self.path(), &names)?)
    }

    /// The fields of the first record, at `position`, and where the next one begins; `None` if
    /// there is none.
    async fn read_names(&mut self) -> Result<Option<(Vec<Vec<u8>>, u64)>> {
        let marks = self.reading.marks;
        loop {
            self.load(self.piece_bytes()).await?;
            let from = (self.position - self.piece.base) as usize;
            let (bytes, at_end) = (&self.piece.bytes, self.piece.at_end);
            let mut index = Index::default();
            // A record begins below the limit unless there is none; it does not have to be the
            // first line, as comments and empty lines are none.
            let first =
                match structure::find(bytes, from, bytes.len(), at_end, 1, &marks, &mut index) {
                    _ if !index.starts.is_empty() => index.starts[0] as usize,
                    Stop::Irregular { from, .. } => from,
                    Stop::Done { .. } if at_end => return Ok(None),
                    Stop::More { from } => from,
                    Stop::Done { next } => next,
                };
            if let Some((record, next)) = self.one_record(first) {
                if self.longer_than_allowed(&record, record.ends.len()).is_some() {
                    return Err(self.too_long(self.piece.base + first as u64).await);
                }
                return Ok(Some((self.texts(&record), self.piece.base + next as u64)));
            }
            self.lengthen(first).await?;
        }
    }

    /// The record at this offset of the piece, and where the next one begins; `None` if the piece
    /// does not hold all of it.
    fn one_record(&self, from: usize) -> Option<(Index, usize)> {
        let Piece { bytes, at_end, .. } = &self.piece;
        let mut record = Index::default();
        let next = structure::find_one(bytes, from, *at_end, &self.reading.marks, &mut record)?;
        Some((record, next))
    }

    /// The fields of the one record of an index.
    fn texts(&self, record: &Index) -> Vec<Vec<u8>> {
        let (bytes, width) = (self.piece.bytes.as_slice(), record.ends.len());
        let fields = Fields { bytes, index: record, width, rules: &self.reading.rules };
        let mut scratch = Vec::new();
        (0..width).map(|field| fields.text(0, field, &mut scratch).to_vec()).collect()
    }

    /// Where the first line that is read begins: after a byte order mark and skipped lines.
    async fn after_preamble(&mut self) -> Result<u64> {
        let newline = self.reading.dialect.newline.byte();
        let count = self.piece_bytes().max(BYTE_ORDER_MARK.len());
        let mut piece = std::mem::take(&mut self.piece);
        self.input.load(&mut piece, 0, count).await?;
        let is_marked = piece.bytes.starts_with(BYTE_ORDER_MARK);
        let mut start = if is_marked { BYTE_ORDER_MARK.len() as u64 } else { 0 };
        let mut left = self.reading.dialect.skip_lines;
        while left > 0 {
            self.input.load(&mut piece, start, count).await?;
            if piece.bytes.is_empty() {
                break;
            }
            let ends = memchr::memchr_iter(newline, &piece.bytes).take(left);
            let (ended, last) = ends.fold((0, None), |(count, _), end| (count + 1, Some(end)));
            left -= ended;
            start = match last {
                Some(end) if left == 0 => start + end as u64 + 1,
                _ => piece.end(),
            };
            tokio::task::consume_budget().await;
        }
        self.piece = piece;
        Ok(start)
    }

    /// Where the first record of the file begins that is no header, whatever part is ours.
    async fn first_record(&mut self) -> Result<u64> {
        let (piece, position) = (std::mem::take(&mut self.piece), self.position);
        self.position = self.after_preamble().await?;
        let mut first = self.position;
        if self.reading.dialect.header
            && let Some((_, next)) = self.read_names().await?
        {
            first = next;
        }
        (self.piece, self.position) = (piece, position);
        Ok(first)
    }

    /// Takes the likeliest place for the beginning of our first record.
    async fn guess_start(&mut self) -> Result<()> {
        // A record that begins at the cut follows a line end before it.
        self.position = self.part.start - 1;
        // All that the first piece needs: to add to it would move what is there.
        let count = (self.part.end - self.position).min(self.piece_bytes() as u64 + 1) as usize;
        self.load(count + BEYOND_BYTES).await?;
        match structure::guess_start(&self.piece.bytes, &self.reading.marks) {
            Some(offset) => self.position += offset as u64,
            None => {
                self.position = self.true_start(self.part.start).await?;
                self.certain = true;
            }
        }
        self.guess = self.position;
        Ok(())
    }

    /// Makes sure that our first record is one. `false` if it was not: then reading begins anew
    /// where it does begin, and what was made of the piece is void.
    async fn is_certain(&mut self) -> Result<bool> {
        if self.certain {
            return Ok(true);
        }
        let start = self.true_start(self.part.start).await?;
        self.certain = true;
        if start == self.guess {
            self.note_end();
            return Ok(true);
        }
        self.index.clear();
        self.next_record = 0;
        self.position = start;
        self.finished = start >= self.part.end;
        self.note_end();
        Ok(false)
    }

    /// Tells the reader of the next part where its records begin, once that is certain.
    fn note_end(&self) {
        if self.finished && self.certain {
            self.cuts.know(self.part.end, self.position);
        }
    }

    /// Where the first record at or after a cut begins: as another reader has found, or by looking
    /// at everything from the last known place on.
    async fn true_start(&mut self, cut: u64) -> Result<u64> {
        if let Some(start) = self.cuts.start(cut) {
            return Ok(start);
        }
        let mut position = match self.cuts.last_before(cut) {
            Some((_, start)) => start,
            None => self.first_record().await?,
        };
        let mut piece = Piece::default();
        let mut count = self.piece_bytes();
        while position < cut {
            self.input.load(&mut piece, position, count).await?;
            let limit = (cut - position).min(piece.bytes.len() as u64) as usize;
            let Piece { bytes, at_end, .. } = &piece;
            match structure::skip(bytes, 0, limit, *at_end, &self.reading.marks) {
                Skip::Done { next } => {
                    position += next as u64;
                    if *at_end && next == bytes.len() {
                        break;
                    }
                    count = self.piece_bytes();
                }
                Skip::More { from: 0 } if self.is_too_long(bytes) => {
                    return Err(self.too_long(position).await);
                }
                Skip::More { from: 0 } => {
                    count = (2 * count).min(self.most_open_bytes(bytes)).max(count);
                    let needed = self.piece.bytes.capacity() + growing(bytes.len(), count);
                    self.make_room(needed, position).await?;
                }
                Skip::More { from } => position += from as u64,
            }
        }
        self.cuts.know(cut, position);
        Ok(position)
    }

    /// Makes the piece hold at least `count` bytes from `position` on, or all there are.
    async fn load(&mut self, count: usize) -> Result<()> {
        let wanted = self.position + count as u64;
        let from = match self.piece.base <= self.position && wanted <= self.piece.end() {
            true => self.piece.base,
            false => self.position,
        };
        let count = (wanted - from) as usize;
        self.input.load(&mut self.piece, from, count).await
    }

    /// Adds to the piece, whose last record begins at `from` and is not all there.
    async fn lengthen(&mut self, from: usize) -> Result<()> {
        let held = self.piece.bytes.len();
        if self.is_too_long(&self.piece.bytes[from..]) {
            return Err(self.too_long(self.piece.base + from as u64).await);
        }
        let open = held - from;
        let most = self.most_open_bytes(&self.piece.bytes[from..]);
        let more = open.min(most.saturating_sub(open)).max(BEYOND_BYTES);
        let base = self.piece.base;
        let count = held + more;
        self.make_room(growing(held, count), base + from as u64).await?;
        self.input.load(&mut self.piece, base, count).await
    }

    /// How much has to be seen of a record that begins so to know that it is too long.
    fn most_open_bytes(&self, bytes: &[u8]) -> usize {
        self.most_bytes(bytes).saturating_add(BEYOND_BYTES)
    }

    /// Takes memory for a piece that has become longer than usual because of the record at `offset`.
    ///
    /// # Errors
    /// `Resources` if there is none.
    async fn make_room(&self, count: usize, offset: u64) -> Result<()> {
        let Some(memory) = &self.memory else { return Ok(()) };
        // Up to here it is within what every reader is expected to take.
        if count <= 2 * PIECE_BYTES {
            return Ok(());
        }
        match memory.try_resize(count) {
            Ok(()) => Ok(()),
            Err(err) => Err(self.no_room(count, offset, err).await),
        }
    }

    /// Finds the records of the next piece.
    async fn next_piece(&mut self) -> Result<()> {
        self.index.clear();
        self.next_record = 0;
        if self.position >= self.part.end {
            self.finished = true;
            self.note_end();
            return Ok(());
        }
        let first = self.position;
        let limit = self.part.end.min(first.saturating_add(self.piece_bytes() as u64));
        self.load((limit - first) as usize + BEYOND_BYTES).await?;
        let width = self.reading.file_schema.fields().len();
        let mut from = (first - self.piece.base) as usize;
        loop {
            let Piece { bytes, at_end, base } = &self.piece;
            let below = (limit - base).min(bytes.len() as u64) as usize;
            let marks = &self.reading.marks;
            match structure::find(bytes, from, below, *at_end, width, marks, &mut self.index) {
                Stop::Done { next } => {
                    self.position = self.piece.base + next as u64;
                    break;
                }
                // What there is becomes rows first; the next piece begins with this record.
                Stop::More { from } if !self.index.starts.is_empty() => {
                    self.position = self.piece.base + from as u64;
                    break;
                }
                Stop::More { from: open } => {
                    if self.is_too_long(&bytes[open..]) && !self.is_certain().await? {
                        return Ok(());
                    }
                    self.lengthen(open).await?;
                    from = open;
                }
                Stop::Irregular { from: record, why, next } => {
                    if !self.is_certain().await? {
                        return Ok(());
                    }
                    self.irregular(record..next, why).await?;
                    from = next;
                }
            }
        }
        if let Some(start) = self.longer_than_allowed(&self.index, width) {
            if !self.is_certain().await? {
                return Ok(());
            }
            return Err(self.too_long(self.piece.base + u64::from(start)).await);
        }
        self.reading.bytes_scanned.add((self.position - first) as usize);
        let at_end = self.piece.at_end && self.position == self.piece.end();
        self.finished = self.position >= self.part.end || at_end;
        if !self.certain && self.cuts.start(self.part.start) == Some(self.guess) {
            self.certain = true;
        }
        self.note_end();
        Ok(())
    }

    /// Takes in, leaves out or reports a record that is not like the others.
    async fn irregular(&mut self, record: Range<usize>, why: Irregularity) -> Result<()> {
        let Reading { dialect, marks, file_schema, .. } = &*self.reading;
        let width = file_schema.fields().len();
        let Piece { bytes, at_end, .. } = &self.piece;
        let mut found = Index::default();
        structure::find_one(bytes, record.start, *at_end, marks, &mut found);
        let count = found.ends.len();
        // Of a record with several faults, one that cannot be forgiven.
        let why = match why {
            Irregularity::TextAfterQuote | Irregularity::OpenQuote if dialect.strict => why,
            _ => Irregularity::Fields(count),
        };
        if why == Irregularity::Fields(count)
            && (count == width || (dialect.null_padding && count < width))
        {
            append_padded(&mut self.index, &found, width);
            return Ok(());
        }
        if !dialect.ignore_errors {
            return Err(self.bad_record(record.start, why).await);
        }
        let offset = self.piece.base + record.start as u64;
        let message = irregular_message(why, width);
        self.reject(offset, None, &self.piece.bytes[record], message);
        Ok(())
    }

    /// Converts the wanted columns of those of these records that are wanted.
    fn convert(&self, records: Range<usize>) -> Result<Outcome> {
        let reading = &*self.reading;
        let fields = Fields {
            bytes: &self.piece.bytes,
            index: &self.index,
            width: reading.file_schema.fields().len(),
            rules: &reading.rules,
        };
        let mut records = Records::All(records);
        let mut bad = Vec::new();
        if reading.dialect.ignore_errors {
            // Which rows there are must not depend on the columns that are asked for.
            for column in 0..fields.width {
                let converted = self.column(fields, &records, column);
                bad.extend(converted.bad.into_iter().map(|record| (record, column)));
            }
            bad.sort_unstable();
            bad.dedup_by_key(|(record, _)| *record);
            records = records.without(&bad);
        }
        let mut known: Vec<ArrayRef> = Vec::new();
        let tested = reading.predicate.as_ref().map_or(&[][..], Predicate::columns);
        if let Some(predicate) = &reading.predicate {
            for (column, stage) in tested.iter().zip(predicate.stages()?) {
                let converted = self.column(fields, &records, *column);
                if !converted.bad.is_empty() {
                    return Ok(bad_values(converted, *column));
                }
                known.push(converted.array);
                let Some(stage) = stage else { continue };
                let passing = predicate.passing(&stage, &known, records.len())?;
                let count = passing.true_count();
                // Before the last stage, leaving out a few rows costs more than it saves.
                let is_last = known.len() == tested.len();
                if count == records.len() || (!is_last && count > records.len() / 2) {
                    continue;
                }
                reading.rows_filtered.add(records.len() - count);
                for array in &mut known {
                    *array = filter(array, &passing)?;
                }
                records = records.filtered(&passing);
            }
        }
        let mut arrays = Vec::with_capacity(reading.columns.len());
        for column in &reading.columns {
            if let Some(place) = tested.iter().position(|tested| tested == column) {
                arrays.push(Arc::clone(&known[place]));
                continue;
            }
            let converted = self.column(fields, &records, *column);
            if !converted.bad.is_empty() {
                return Ok(bad_values(converted, *column));
            }
            arrays.push(converted.array);
        }
        let batch = batch(&reading.schema, arrays, records.len())?;
        Ok(match bad.is_empty() {
            true => Outcome::Batch(batch),
            false => Outcome::BadValues(bad, Some(batch)),
        })
    }

    fn column(&self, fields: Fields<'_>, records: &Records, column: usize) -> Converted {
        let to = self.reading.file_schema.field(column).data_type();
        match records {
            Records::All(range) => convert::column(fields, range.clone(), column, to),
            Records::Some(list) => convert::column(fields, list.iter().copied(), column, to),
        }
    }

    /// How long a record may be that begins so. What seems to be one may be a comment.
    fn most_bytes(&self, bytes: &[u8]) -> usize {
        let most = self.reading.dialect.max_record_bytes;
        let is_comment = self.reading.marks.comment.is_some_and(|byte| bytes.starts_with(&[byte]));
        if is_comment { most.max(MAX_RECORD_BYTES) } else { most }
    }

    /// Whether a record of which there is more than these bytes is longer than allowed.
    fn is_too_long(&self, bytes: &[u8]) -> bool {
        bytes.len() > self.most_bytes(bytes)
    }

    /// Where the first of these records of the piece begins that is longer than allowed, without
    /// its line end.
    fn longer_than_allowed(&self, records: &Index, width: usize) -> Option<u32> {
        let most = self.reading.dialect.max_record_bytes;
        if self.piece.bytes.len() <= most {
            return None;
        }
        let last_ends = records.ends.iter().skip(width - 1).step_by(width);
        let mut records = records.starts.iter().zip(last_ends);
        records.find(|(start, end)| (*end - *start) as usize > most).map(|(start, _)| *start)
    }

    fn piece_bytes(&self) -> usize {
        self.reading.dialect.piece_bytes
    }

    fn path(&self) -> String {
        self.reading.store.shown(&self.meta.location)
    }
}

impl Records {
    fn len(&self) -> usize {
        match self {
            Records::All(range) => range.len(),
            Records::Some(list) => list.len(),
        }
    }

    fn at(&self, row: usize) -> usize {
        match self {
            Records::All(range) => range.start + row,
            Records::Some(list) => list[row],
        }
    }

    /// Those whose row is set.
    fn filtered(&self, rows: &BooleanArray) -> Records {
        Records::Some(rows.values().set_indices().map(|row| self.at(row)).collect())
    }

    /// All but these, which are in ascending order.
    fn without(self, bad: &[(usize, usize)]) -> Records {
        if bad.is_empty() {
            return self;
        }
        let mut bad = bad.iter().map(|(record, _)| *record).peekable();
        let rows = 0..self.len();
        let kept = rows.map(|row| self.at(row)).filter(|record| bad.next_if_eq(record).is_none());
        Records::Some(kept.collect())
    }
}

/// The memory that bytes take while they grow: where they cannot in their place, the old ones are
/// there until they have been copied; and the allocator may not have given back yet what those before
/// were in, which is about as much.
fn growing(held: usize, count: usize) -> usize {
    2 * held + count
}

/// Appends the one record of `short`, whose missing fields are empty.
fn append_padded(index: &mut Index, short: &Index, width: usize) {
    index.starts.extend(&short.starts);
    index.ends.extend(&short.ends);
    let last = short.ends.last().copied().unwrap_or_default();
    index.ends.extend(std::iter::repeat_n(last, width - short.ends.len()));
    index.has_quotes |= short.has_quotes;
    index.has_non_ascii |= short.has_non_ascii;
}

fn batch(schema: &SchemaRef, arrays: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), arrays, &options)?)
}

fn bad_values(converted: Converted, column: usize) -> Outcome {
    let bad = converted.bad.into_iter().map(|record| (record, column)).collect();
    Outcome::BadValues(bad, None)
}
