//! Where fields and records end: `csv_core`'s state machine over a stream of bytes.

use csv_core::ReadRecordResult;

use super::dialect::Dialect;

/// No record may be longer: a quote that is never closed would otherwise take the rest of the file
/// into memory.
pub(crate) const MAX_RECORD_BYTES: usize = 64 << 20;

/// What is wrong with the record being read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RecordError {
    /// It has this many fields, not as many as the table.
    FieldCount(usize),
    /// It is longer than [`MAX_RECORD_BYTES`].
    TooLong,
    /// The file ended inside a quoted field.
    OpenQuote,
}

/// Unescaped records, appended one after another: the fields' bytes and where each ends.
pub(crate) struct Records {
    reader: csv_core::Reader,
    field_count: usize,
    /// Bytes of all fields.
    data: Vec<u8>,
    data_len: usize,
    /// End of each field: within its record for the open record, in `data` for finished ones.
    ends: Vec<usize>,
    ends_len: usize,
    record_count: usize,
    /// Start of the open record in `data`.
    record_start: usize,
    /// Fields of the open record that have ended.
    open_fields: usize,
    in_record: bool,
}

impl Records {
    /// Reads records of `field_count` fields.
    pub(crate) fn new(dialect: &Dialect, field_count: usize) -> Self {
        Records {
            reader: dialect.reader(),
            field_count,
            data: vec![0; 64 << 10],
            data_len: 0,
            ends: vec![0; 1024.max(field_count + 1)],
            ends_len: 0,
            record_count: 0,
            record_start: 0,
            open_fields: 0,
            in_record: false,
        }
    }

    /// Finished records.
    pub(crate) fn len(&self) -> usize {
        self.record_count
    }

    /// Whether a record has begun and not ended.
    pub(crate) fn in_record(&self) -> bool {
        self.in_record
    }

    /// Forgets the finished records. Must not be called inside a record.
    pub(crate) fn clear(&mut self) {
        debug_assert!(!self.in_record);
        (self.data_len, self.ends_len, self.record_count, self.record_start) = (0, 0, 0, 0);
    }

    /// The field of a finished record.
    pub(crate) fn field(&self, record: usize, column: usize) -> &[u8] {
        let index = record * self.field_count + column;
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.data[start..self.ends[index]]
    }

    /// Reads at most one record from `input`, which is empty at the end of the file. Gives the
    /// bytes used and whether a record was finished.
    pub(crate) fn read(&mut self, input: &[u8]) -> Result<(usize, bool), RecordError> {
        if input.is_empty() && self.in_record {
            return Ok((0, self.end_record()?));
        }
        let mut used = 0;
        loop {
            let (result, read, written, ended) = self.reader.read_record(
                &input[used..],
                &mut self.data[self.data_len..],
                &mut self.ends[self.ends_len..],
            );
            used += read;
            self.in_record |= read > 0;
            self.data_len += written;
            self.ends_len += ended;
            self.open_fields += ended;
            match result {
                ReadRecordResult::InputEmpty => {
                    if self.data_len - self.record_start > MAX_RECORD_BYTES {
                        return Err(RecordError::TooLong);
                    }
                    return Ok((used, false));
                }
                ReadRecordResult::OutputFull => {
                    if self.data_len - self.record_start > MAX_RECORD_BYTES {
                        return Err(RecordError::TooLong);
                    }
                    self.data.resize(self.data.len() * 2, 0);
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::Record => {
                    self.in_record = false;
                    self.finish_record()?;
                    return Ok((used, true));
                }
                ReadRecordResult::End => {
                    self.in_record = false;
                    return Ok((used, false));
                }
            }
        }
    }

    /// csv_core counts a field's end from the start of its record; ours are from the start of
    /// `data`.
    fn finish_record(&mut self) -> Result<(), RecordError> {
        let field_count = std::mem::take(&mut self.open_fields);
        if field_count != self.field_count {
            return Err(RecordError::FieldCount(field_count));
        }
        for end in &mut self.ends[self.ends_len - field_count..self.ends_len] {
            *end += self.record_start;
        }
        self.record_start = self.data_len;
        self.record_count += 1;
        Ok(())
    }

    /// Ends the record that the end of the file has cut off. Gives whether there was one.
    ///
    /// A file without a last newline is read as if it had one. csv_core itself would end a quoted
    /// field at the end of the file, too.
    fn end_record(&mut self) -> Result<bool, RecordError> {
        let (_, done) = self.read(b"\n")?;
        if done {
            return Ok(true);
        }
        // The newline ended no record: it was that of a comment, after which a record can begin,
        // or stands inside quotes.
        let (mut output, mut ends) = ([0; 8], [0; 8]);
        let (result, ..) = self.reader.read_record(b"x\n", &mut output, &mut ends);
        if matches!(result, ReadRecordResult::Record) {
            self.in_record = false;
            return Ok(false);
        }
        Err(RecordError::OpenQuote)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All records of `text`, fed in pieces of `step` bytes.
    fn read_all(
        text: &str,
        field_count: usize,
        step: usize,
    ) -> Result<Vec<Vec<String>>, RecordError> {
        let mut records = Records::new(&Dialect::default(), field_count);
        for piece in text.as_bytes().chunks(step) {
            let mut piece = piece;
            while !piece.is_empty() {
                let (used, _) = records.read(piece)?;
                piece = &piece[used..];
            }
        }
        while records.read(b"")?.1 {}
        Ok((0..records.len())
            .map(|record| {
                (0..field_count)
                    .map(|column| {
                        String::from_utf8(records.field(record, column).to_vec()).unwrap()
                    })
                    .collect()
            })
            .collect())
    }

    #[test]
    fn quotes_newlines_and_line_endings() {
        let text = "a,b\r\n\"x, \"\"y\"\"\",\"two\nlines\"\n\n,last";
        let expected = [["a", "b"], ["x, \"y\"", "two\nlines"], ["", "last"]];
        for step in 1..text.len() {
            assert_eq!(read_all(text, 2, step).unwrap(), expected, "in pieces of {step}");
        }
    }

    #[test]
    fn ragged_and_open_records_are_errors() {
        assert_eq!(read_all("a,b\n1\n", 2, 100), Err(RecordError::FieldCount(1)));
        assert_eq!(read_all("a,b\n1,2,3\n", 2, 100), Err(RecordError::FieldCount(3)));
        assert_eq!(read_all("a,b\n1,\"2", 2, 100), Err(RecordError::OpenQuote));
        assert_eq!(read_all("a,b\n1,\"2\"", 2, 100).unwrap().len(), 2);
    }

    #[test]
    fn a_comment_may_end_the_file() {
        let dialect = Dialect { comment: Some(b'#'), ..Default::default() };
        let mut records = Records::new(&dialect, 1);
        assert_eq!(records.read(b"a\n# b"), Ok((2, true)));
        assert_eq!(records.read(b"# b"), Ok((3, false)));
        assert_eq!(records.read(b""), Ok((0, false)));
        assert_eq!(records.len(), 1);
    }
}
