//! Fields and records 64 bytes at a time.
//!
//! A block of 64 bytes becomes words of 64 bits, lowest bit first: where its delimiters, its quotes
//! and its line ends are. From then on the work is arithmetic on words. What lies between an odd and
//! an even quote is inside quotes, which the exclusive or of all bits up to each one tells at once.
//! That is only true while every quote is where the rules want it, so this is looked at too: an
//! opening quote elsewhere than at the start of a field is text and is taken out, and where text
//! follows a closing quote, the record is left to [`scalar`].
//!
//! The offsets of the bits left are written one after the other, and what begins a record likewise.
//! Only when some blocks are done are the two compared: `width` fields must end between the starts
//! of two neighbouring records. This keeps branches that depend on the data out of the loop.

use super::{Index, Marks, Piece, Skip, Stop, scalar};

/// Bytes that are looked at together.
pub(super) const BLOCK: usize = 64;
/// Blocks after which the records found are checked: few at first, as there may be an irregular
/// record soon, and few enough in the end that the offsets are still in the nearest cache.
const FIRST_BATCH: usize = 4;
const LAST_BATCH: usize = 64;
/// How many offsets may be written past those that are meant.
const SLACK: usize = BLOCK;

/// Bits of a block, the lowest for its first byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bits {
    /// Where delimiters are.
    pub(super) delimiters: u64,
    /// Where quotes are.
    pub(super) quotes: u64,
    /// Where `\n` and `\r` are.
    pub(super) line_ends: u64,
    /// Not zero when some byte is not ASCII.
    pub(super) non_ascii: u64,
}

/// What a processor can do with 64 bytes at once. A value is a proof that it can.
pub(super) trait Vector: Copy {
    /// The bits of a block.
    fn bits(self, block: &[u8; BLOCK]) -> Bits;

    /// Where `byte` is in a block.
    fn equal(self, block: &[u8; BLOCK], byte: u8) -> u64;

    /// Each bit the exclusive or of those up to it.
    fn prefix_xor(self, bits: u64) -> u64;

    /// Writes `base` plus the position of each bit to `to`, in order, and gives where the next one
    /// goes.
    ///
    /// # Safety
    /// There is room for as many offsets as there are bits, and `SLACK` more.
    unsafe fn write(self, bits: u64, base: u32, to: *mut u32) -> *mut u32;

    /// The same for bits that are few, most often.
    ///
    /// # Safety
    /// There is room for as many offsets as there are bits, and `SLACK` more.
    #[inline(always)]
    unsafe fn write_few(self, bits: u64, base: u32, to: *mut u32) -> *mut u32 {
        // SAFETY: as the caller promises.
        unsafe { write_bits::<2>(bits, base, to) }
    }
}

/// What one block tells the next: zero or one, `inside` all bits or none.
#[derive(Debug, Clone, Copy)]
struct Carry {
    /// The last byte is in a quoted field that has not been closed.
    inside: u64,
    /// The last byte is the escape byte and makes the next one text.
    escape: u64,
    /// The last byte is a closing quote.
    close: u64,
    /// The last byte is a delimiter or line end.
    separator: u64,
    /// The last byte is a line end.
    line_end: u64,
}

impl Carry {
    /// Before the first byte of a record.
    const RECORD: Carry = Carry { inside: 0, escape: 0, close: 0, separator: 1, line_end: 1 };
    /// In a field without quotes.
    const TEXT: Carry = Carry { inside: 0, escape: 0, close: 0, separator: 0, line_end: 0 };
}

/// The structure of a block.
#[derive(Debug, Clone, Copy)]
struct Structure {
    /// Where fields end.
    ends: u64,
    /// Where records begin, or comments.
    starts: u64,
    /// The lowest bit: where a comment begins or text follows a closing quote. From there on, all
    /// bits are meaningless.
    odd: u64,
}

/// The lowest bit that is set, alone.
#[inline(always)]
fn lowest(bits: u64) -> u64 {
    bits & bits.wrapping_neg()
}

/// A vector unit with the bytes it looks for.
#[derive(Clone, Copy)]
struct Reader<'a, V> {
    vector: V,
    marks: &'a Marks,
}

impl<V: Vector> Reader<'_, V> {
    #[inline(always)]
    fn structure(&self, block: &[u8; BLOCK], bits: Bits, carry: &mut Carry) -> Structure {
        let mut structure = if bits.quotes | carry.inside | carry.close == 0 {
            let after_line_ends = bits.line_ends << 1 | carry.line_end;
            carry.line_end = bits.line_ends >> 63;
            carry.separator = (bits.delimiters | bits.line_ends) >> 63;
            Structure {
                ends: bits.delimiters | (bits.line_ends & !after_line_ends),
                starts: after_line_ends & !bits.line_ends,
                odd: 0,
            }
        } else {
            self.quoted(block, bits, carry)
        };
        if let Some(comment) = self.marks.comment
            && structure.starts != 0
        {
            structure.odd |= structure.starts & self.vector.equal(block, comment);
        }
        if structure.odd != 0 {
            let first = lowest(structure.odd);
            structure.ends &= first - 1;
            structure.starts &= first | (first - 1);
        }
        structure
    }

    /// The structure of a block with quotes in it or before it.
    #[inline(always)]
    fn quoted(&self, block: &[u8; BLOCK], bits: Bits, carry: &mut Carry) -> Structure {
        let mut quotes = bits.quotes;
        let mut escape = 0;
        if let Some(byte) = self.marks.escape {
            let escaped;
            (escaped, escape) = after_odd_runs(self.vector.equal(block, byte), carry.escape);
            // Outside quotes the byte escapes nothing, but a quote after it is text there too.
            quotes &= !escaped;
        }
        let doubles = if self.marks.escape.is_none() { !0 } else { 0 };
        let (mut inside, mut closes, mut delimiters, mut line_ends, mut odd);
        loop {
            inside = self.vector.prefix_xor(quotes) ^ carry.inside;
            delimiters = bits.delimiters & !inside;
            line_ends = bits.line_ends & !inside;
            closes = quotes & !inside;
            let after_close = closes << 1 | carry.close;
            let after_separator = (delimiters | line_ends) << 1 | carry.separator;
            odd = after_close & !(delimiters | line_ends | (quotes & doubles));
            let stray = quotes & inside & !(after_separator | (after_close & doubles));
            let first = lowest(stray);
            if stray == 0 || odd & (first - 1) != 0 {
                break;
            }
            quotes &= !first;
        }
        let after_line_ends = line_ends << 1 | carry.line_end;
        *carry = Carry {
            inside: (inside as i64 >> 63) as u64,
            escape: escape & (inside >> 63),
            close: closes >> 63,
            separator: (delimiters | line_ends) >> 63,
            line_end: line_ends >> 63,
        };
        Structure {
            ends: delimiters | (line_ends & !after_line_ends),
            starts: after_line_ends & !line_ends,
            odd,
        }
    }
}

/// The bits after runs of odd length, and whether such a run goes up to the last bit. With `carry`
/// such a run ends before the first bit, which then belongs to no run.
#[inline(always)]
fn after_odd_runs(bits: u64, carry: u64) -> (u64, u64) {
    const EVEN: u64 = 0x5555_5555_5555_5555;
    let bits = bits & !carry;
    let first = bits & !(bits << 1);
    // Adding a run's first bit clears the run and sets the bit after it.
    let (even, _) = bits.overflowing_add(first & EVEN);
    let (odd, overflow) = bits.overflowing_add(first & !EVEN);
    ((even & !EVEN | odd & EVEN) & !bits | carry, u64::from(overflow))
}

/// [`Vector::write`] bit by bit, `STEP` of them at a time whether there are so many or not: a branch
/// for each would often be guessed wrong.
///
/// # Safety
/// There is room for as many offsets as there are bits, and `SLACK` more.
#[inline(always)]
pub(super) unsafe fn write_bits<const STEP: usize>(bits: u64, base: u32, to: *mut u32) -> *mut u32 {
    const { assert!(STEP <= SLACK) };
    let count = bits.count_ones() as usize;
    let mut rest = bits;
    let mut written = 0;
    loop {
        for step in 0..STEP {
            // SAFETY: fewer than STEP offsets are written past those there is room for.
            unsafe { to.add(written + step).write(base.wrapping_add(rest.trailing_zeros())) };
            rest &= rest.wrapping_sub(1);
        }
        written += STEP;
        if written >= count {
            break;
        }
    }
    // SAFETY: there is room.
    unsafe { to.add(count) }
}

/// The last bytes of a piece, made up to a block with a byte that is text.
fn padded(rest: &[u8], marks: &Marks) -> [u8; BLOCK] {
    let roles = [Some(marks.delimiter), marks.quote, marks.escape, marks.comment];
    let text = (b'0'..).find(|byte| !roles.contains(&Some(*byte))).expect("four roles only");
    let mut block = [text; BLOCK];
    block[..rest.len()].copy_from_slice(rest);
    block
}

/// What the blocks of a piece have come to.
enum Outcome {
    Stop(Stop),
    /// The record or comment that begins here is to be read byte by byte.
    Odd(usize),
}

/// Appends the records that begin in the piece to `index`.
#[inline(always)]
pub(super) fn find<V: Vector>(
    vector: V,
    piece: Piece,
    width: usize,
    marks: &Marks,
    index: &mut Index,
) -> Stop {
    let reader = Reader { vector, marks };
    let mut from = piece.from;
    loop {
        match reader.records(Piece { from, ..piece }, width, index) {
            Outcome::Stop(stop) => return stop,
            Outcome::Odd(at) => {
                let odd = Piece { from: at, limit: at + 1, ..piece };
                match scalar::find(odd, width, marks, index) {
                    Stop::Done { next } => from = next,
                    stop => return stop,
                }
            }
        }
    }
}

impl<V: Vector> Reader<'_, V> {
    #[inline(always)]
    fn records(&self, piece: Piece, width: usize, index: &mut Index) -> Outcome {
        let Piece { bytes, from, limit, at_end } = piece;
        let (first_start, first_end) = (index.starts.len(), index.ends.len());
        let mut carry = Carry::RECORD;
        let mut at = from;
        let mut batch = FIRST_BATCH;
        let mut checked = 0;
        loop {
            let wanted = limit.saturating_sub(at).div_ceil(BLOCK).clamp(1, batch);
            batch = (batch * 2).min(LAST_BATCH);
            let (blocks, _) = bytes[at..bytes.len().min(at + wanted * BLOCK)].as_chunks();
            let tail;
            let is_tail = blocks.is_empty();
            let blocks = if is_tail {
                tail = [padded(&bytes[at..], self.marks)];
                &tail
            } else {
                blocks
            };
            let is_odd = self.batch(blocks, at as u32, &mut carry, index);
            at += blocks.len() * BLOCK;

            let starts = &index.starts[first_start..];
            // The last record has not ended as far as is known.
            let Some((last, _)) = starts.split_last() else { continue };
            let is_past = *last as usize >= limit;
            let ended = if is_past {
                checked + starts[checked..].partition_point(|start| (*start as usize) < limit)
            } else {
                starts.len() - 1
            };
            checked = first_irregular(&index.ends[first_end..], starts, checked, ended, width);
            let is_regular = checked == ended;
            if is_regular && !(is_past || is_odd || is_tail) {
                continue;
            }
            let start = starts[checked] as usize;
            index.starts.truncate(first_start + checked);
            index.ends.truncate(first_end + checked * width);
            return if is_regular && is_past {
                Outcome::Stop(Stop::Done { next: start })
            } else if is_regular && !is_odd && !at_end {
                Outcome::Stop(Stop::More { from: start })
            } else {
                Outcome::Odd(start)
            };
        }
    }

    /// Appends the ends and starts of some blocks, the first of which is at the offset `base`, up to
    /// where something odd is, and gives whether there is.
    #[inline(always)]
    fn batch(
        &self,
        blocks: &[[u8; BLOCK]],
        base: u32,
        carry: &mut Carry,
        index: &mut Index,
    ) -> bool {
        let Index { ends, starts, .. } = index;
        ends.reserve(blocks.len() * BLOCK + SLACK);
        // A line end precedes every start.
        starts.reserve(blocks.len() * BLOCK / 2 + SLACK);
        let mut next_end = ends.spare_capacity_mut().as_mut_ptr().cast::<u32>();
        let mut next_start = starts.spare_capacity_mut().as_mut_ptr().cast::<u32>();
        let (mut quotes, mut non_ascii) = (0, 0);
        let mut is_odd = false;
        let mut base = base;
        for block in blocks {
            let bits = self.vector.bits(block);
            quotes |= bits.quotes;
            non_ascii |= bits.non_ascii;
            let structure = self.structure(block, bits, carry);
            // SAFETY: room for all bits of all blocks, of every other one for the starts, has been
            // reserved, and for SLACK more.
            unsafe {
                next_end = self.vector.write(structure.ends, base, next_end);
                next_start = self.vector.write_few(structure.starts, base, next_start);
            }
            if structure.odd != 0 {
                is_odd = true;
                break;
            }
            base = base.wrapping_add(BLOCK as u32);
        }
        // SAFETY: both pointers came from the end of their vectors, and everything between has been
        // written.
        unsafe {
            ends.set_len(next_end.offset_from_unsigned(ends.as_ptr()));
            starts.set_len(next_start.offset_from_unsigned(starts.as_ptr()));
        }
        index.has_quotes |= quotes != 0;
        index.has_non_ascii |= non_ascii != 0;
        is_odd
    }
}

/// The first of the records `from..to` that has not `width` fields; `to` when all have. The record
/// `to` has a start.
#[inline(always)]
fn first_irregular(ends: &[u32], starts: &[u32], from: usize, to: usize, width: usize) -> usize {
    let mut end = from * width;
    for record in from..to {
        end += width;
        let next = starts[record + 1];
        let is_regular = end <= ends.len()
            && ends[end - 1] < next
            && ends.get(end).is_none_or(|end| *end >= next);
        if !is_regular {
            return record;
        }
    }
    to
}

/// The start of the first record at or after the limit.
#[inline(always)]
pub(super) fn skip<V: Vector>(vector: V, piece: Piece, marks: &Marks) -> Skip {
    let Piece { bytes, limit, at_end, .. } = piece;
    let reader = Reader { vector, marks };
    let mut carry = Carry::RECORD;
    let mut at = piece.from;
    let mut last_start = at;
    loop {
        let (whole, rest) = bytes[at..].as_chunks();
        let tail = [padded(rest, marks)];
        let mut odd = None;
        for block in whole.iter().chain(&tail) {
            let structure = reader.structure(block, vector.bits(block), &mut carry);
            if structure.starts != 0 {
                if at + BLOCK > limit {
                    let wanted = structure.starts & (!0 << limit.saturating_sub(at));
                    if wanted != 0 {
                        return Skip::Done { next: at + wanted.trailing_zeros() as usize };
                    }
                }
                last_start = at + 63 - structure.starts.leading_zeros() as usize;
            }
            if structure.odd != 0 {
                odd = Some(at + structure.odd.trailing_zeros() as usize);
                break;
            }
            at += BLOCK;
        }
        // What is odd is a comment where a line starts, and else text after a quote.
        match odd {
            None if at_end => return Skip::Done { next: bytes.len() },
            None => return Skip::More { from: last_start },
            Some(comment) if comment == last_start => {
                match scalar::line_end(bytes, comment, at_end) {
                    Some(end) => at = end,
                    None => return Skip::More { from: comment },
                }
            }
            Some(text) => at = text,
        }
        carry = Carry::TEXT;
    }
}
