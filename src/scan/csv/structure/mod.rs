//! Where the fields and records of CSV bytes end.
//!
//! ```text
//! scalar  ── byte by byte: the rules, as code
//! blocks  ── the same 64 bytes at a time: one bit a byte, for delimiters, quotes and line ends
//!   avx512, avx2, neon ── how a processor makes those bits and turns them into offsets
//! guess   ── whether the middle of a file is inside a quoted field
//! ```
//!
//! The rules. `\n` and `\r` outside quotes end a record, and a run of them (`\r\n`, empty lines)
//! ends only one. A field whose first byte is the quote runs to the closing quote, after which a
//! delimiter, a line end or the end of the file must come; inside, a doubled quote is text or, with
//! an escape byte, the byte after it. A quote anywhere else is text. A line that begins with the
//! comment byte is no record.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod blocks;
mod guess;
#[cfg(target_arch = "aarch64")]
mod neon;
mod scalar;
#[cfg(test)]
mod tests;

/// The bytes that give a file its structure. They differ from each other and from `\n` and `\r`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Marks {
    /// Byte between fields.
    pub(crate) delimiter: u8,
    /// Byte around fields.
    pub(crate) quote: Option<u8>,
    /// Byte inside quotes that makes the next one text; `None`: quotes are doubled.
    pub(crate) escape: Option<u8>,
    /// Lines beginning with it are skipped.
    pub(crate) comment: Option<u8>,
}

impl Marks {
    /// Whether `byte` ends a record where it stands outside quotes.
    #[inline(always)]
    fn is_line_end(byte: u8) -> bool {
        byte == b'\n' || byte == b'\r'
    }

    /// Whether `byte` ends a field where it stands outside quotes.
    #[inline(always)]
    fn is_separator(&self, byte: u8) -> bool {
        byte == self.delimiter || Marks::is_line_end(byte)
    }

    /// Whether no byte has two roles. Only then is the order in which roles are tried irrelevant.
    fn are_distinct(&self) -> bool {
        let roles = [Some(self.delimiter), self.quote, self.escape, self.comment];
        roles.iter().enumerate().all(|(index, role)| {
            role.is_none_or(|byte| {
                !Marks::is_line_end(byte) && !roles[index + 1..].contains(&Some(byte))
            })
        })
    }
}

/// Where the fields of the records of some bytes end.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// As many entries a record as it has fields: the offset of the byte that ends the field, which
    /// is a delimiter, for the last field the first byte of the line end (the `\r` of `\r\n`), or
    /// the length of the bytes.
    pub(crate) ends: Vec<u32>,
    /// One entry a record: the offset of its first byte.
    pub(crate) starts: Vec<u32>,
    /// Whether there may be a quote in the records. Never false when there is one.
    pub(crate) has_quotes: bool,
    /// Whether there may be bytes in the records that are not ASCII. Never false when there are.
    pub(crate) has_non_ascii: bool,
}

impl Index {
    /// Forgets all records and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.ends.clear();
        self.starts.clear();
        self.has_quotes = false;
        self.has_non_ascii = false;
    }
}

/// Why [`find`] has come to a stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stop {
    /// Every record that begins before the limit is in the index. The first one that begins at or
    /// after it begins at `next`, or has not begun when `next` is the length of the bytes.
    Done { next: usize },
    /// The bytes, which are not all of the file, end in the record (or comment) that begins here.
    More { from: usize },
    /// The record that begins at `from` is in the index as little as what follows it, which begins
    /// at `next`.
    Irregular { from: usize, why: Irregularity, next: usize },
}

/// What is wrong with a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Irregularity {
    /// It has this number of fields.
    Fields(usize),
    /// A quoted field is not closed before the file ends.
    OpenQuote,
    /// Text comes between a closing quote and the end of the field.
    TextAfterQuote,
}

/// What [`skip`] has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Skip {
    /// The first record that begins at or after the limit begins at `next`, or has not begun when
    /// `next` is the length of the bytes.
    Done { next: usize },
    /// The bytes, which are not all of the file, end in the record (or comment) that begins here.
    More { from: usize },
}

/// The part of some bytes in which records are looked for.
#[derive(Debug, Clone, Copy)]
struct Piece<'a> {
    bytes: &'a [u8],
    /// Where a record begins.
    from: usize,
    /// Records that begin here or later are not wanted. At most the length of the bytes.
    limit: usize,
    /// Whether the file ends where the bytes end.
    at_end: bool,
}

/// Appends to `index` the records of `width` fields that begin in `bytes[from..limit]`.
///
/// `bytes` has less than 4 GiB, and a record begins at `from`. `at_end` says that the file ends
/// where `bytes` end, so that the last record needs no line end.
pub(crate) fn find(
    bytes: &[u8],
    from: usize,
    limit: usize,
    at_end: bool,
    width: usize,
    marks: &Marks,
    index: &mut Index,
) -> Stop {
    let limit = limit.min(bytes.len());
    Backend::best(marks).find(Piece { bytes, from, limit, at_end }, width, marks, index)
}

/// Appends the record that begins at `from`, however many fields it has and whatever is wrong with
/// its quotes, and gives where the next one begins; `None` when the bytes, which are not all of the
/// file, end in it.
pub(crate) fn find_one(
    bytes: &[u8],
    from: usize,
    at_end: bool,
    marks: &Marks,
    index: &mut Index,
) -> Option<usize> {
    scalar::find_one(bytes, from, at_end, marks, index)
}

/// Finds the first record that begins at or after `limit`, given that one begins at `from`. What
/// would be irregular to [`find`] is passed over, as if its caller went on at `next`.
pub(crate) fn skip(bytes: &[u8], from: usize, limit: usize, at_end: bool, marks: &Marks) -> Skip {
    let limit = limit.min(bytes.len());
    Backend::best(marks).skip(Piece { bytes, from, limit, at_end }, marks)
}

/// Where the quoted field closes whose text goes on at `at`.
pub(crate) fn closing_quote(bytes: &[u8], at: usize, marks: &Marks) -> Option<usize> {
    scalar::closing_quote(bytes, at, marks)
}

/// A good guess at where the first record begins whose first byte, and the line end before it, are
/// in `bytes`, which are from the middle of a file and may begin inside quotes. `None` when none
/// seems to. To learn of a record that begins at an offset, pass the byte before it too.
pub(crate) fn guess_start(bytes: &[u8], marks: &Marks) -> Option<usize> {
    guess::start(bytes, marks)
}

/// The instructions that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Backend {
    Scalar,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    #[cfg(target_arch = "aarch64")]
    Neon,
}

impl Backend {
    /// Every one there is for this architecture, the fastest first.
    const ALL: &[Backend] = &[
        #[cfg(target_arch = "x86_64")]
        Backend::Avx512,
        #[cfg(target_arch = "x86_64")]
        Backend::Avx2,
        #[cfg(target_arch = "aarch64")]
        Backend::Neon,
        Backend::Scalar,
    ];

    /// The fastest this processor has.
    fn best(marks: &Marks) -> Backend {
        if !marks.are_distinct() {
            return Backend::Scalar;
        }
        Backend::ALL.iter().copied().find(|it| it.is_available()).unwrap_or(Backend::Scalar)
    }

    /// Whether this processor has the instructions.
    fn is_available(self) -> bool {
        match self {
            Backend::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Backend::Avx2 => avx2::is_available(),
            #[cfg(target_arch = "x86_64")]
            Backend::Avx512 => avx512::is_available(),
            #[cfg(target_arch = "aarch64")]
            Backend::Neon => neon::is_available(),
        }
    }

    /// [`find`] with these instructions, which must be available.
    fn find(self, piece: Piece, width: usize, marks: &Marks, index: &mut Index) -> Stop {
        debug_assert!(piece.bytes.len() < u32::MAX as usize && width > 0);
        assert!(self.is_available());
        match self {
            Backend::Scalar => scalar::find(piece, width, marks, index),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the instructions are available.
            Backend::Avx2 => unsafe { avx2::find(piece, width, marks, index) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the instructions are available.
            Backend::Avx512 => unsafe { avx512::find(piece, width, marks, index) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: the instructions are available.
            Backend::Neon => unsafe { neon::find(piece, width, marks, index) },
        }
    }

    /// [`skip`] with these instructions, which must be available.
    fn skip(self, piece: Piece, marks: &Marks) -> Skip {
        assert!(self.is_available());
        match self {
            Backend::Scalar => scalar::skip(piece, marks),
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the instructions are available.
            Backend::Avx2 => unsafe { avx2::skip(piece, marks) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: the instructions are available.
            Backend::Avx512 => unsafe { avx512::skip(piece, marks) },
            #[cfg(target_arch = "aarch64")]
            // SAFETY: the instructions are available.
            Backend::Neon => unsafe { neon::skip(piece, marks) },
        }
    }
}
