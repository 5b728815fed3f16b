//! Blocks with NEON, which every 64-bit ARM processor has.

use std::arch::aarch64::{
    uint8x16_t, vandq_u8, vceqq_u8, vdupq_n_u8, vgetq_lane_u64, vld1q_u8, vmaxvq_u8, vorrq_u8,
    vpaddq_u8, vreinterpretq_u64_u8,
};
use std::arch::is_aarch64_feature_detected;

use super::blocks::{self, BLOCK, Bits, Vector};
use super::{Index, Marks, Piece, Skip, Stop};

/// Whether this processor has the instructions.
pub(super) fn is_available() -> bool {
    is_aarch64_feature_detected!("neon")
}

/// Appends the records that begin in the piece to `index`.
#[target_feature(enable = "neon")]
pub(super) fn find(piece: Piece, width: usize, marks: &Marks, index: &mut Index) -> Stop {
    // SAFETY: this function has the instructions.
    let vector = unsafe { Neon::new(marks) };
    blocks::find(vector, piece, width, marks, index)
}

/// The start of the first record at or after the limit.
#[target_feature(enable = "neon")]
pub(super) fn skip(piece: Piece, marks: &Marks) -> Skip {
    // SAFETY: this function has the instructions.
    let vector = unsafe { Neon::new(marks) };
    blocks::skip(vector, piece, marks)
}

/// Four registers a block. There is a value only where the instructions are available.
#[derive(Clone, Copy)]
struct Neon {
    delimiter: uint8x16_t,
    quote: uint8x16_t,
    /// All bits if there is a quote.
    quotes: u64,
    /// In each byte the bit that it gives to a word of eight.
    weights: uint8x16_t,
}

static WEIGHTS: [u8; 16] = [1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128];

impl Neon {
    /// # Safety
    /// The instructions are available as long as there is a value.
    #[inline(always)]
    unsafe fn new(marks: &Marks) -> Self {
        // SAFETY: the caller has the instructions.
        unsafe {
            Neon {
                delimiter: vdupq_n_u8(marks.delimiter),
                quote: vdupq_n_u8(marks.quote.unwrap_or_default()),
                quotes: if marks.quote.is_some() { !0 } else { 0 },
                weights: vld1q_u8(WEIGHTS.as_ptr()),
            }
        }
    }

    #[inline(always)]
    fn load(self, block: &[u8; BLOCK]) -> [uint8x16_t; 4] {
        // SAFETY: the instructions are available; four times 16 bytes are read from 64.
        [0, 16, 32, 48].map(|at| unsafe { vld1q_u8(block.as_ptr().add(at)) })
    }

    /// One bit for each byte, which is all ones or all zeros.
    #[inline(always)]
    fn word(self, quarters: [uint8x16_t; 4]) -> u64 {
        // SAFETY: the instructions are available.
        unsafe {
            let [a, b, c, d] = quarters.map(|quarter| vandq_u8(quarter, self.weights));
            // Three sums of neighbours make one byte of eight.
            let sums = vpaddq_u8(vpaddq_u8(a, b), vpaddq_u8(c, d));
            vgetq_lane_u64::<0>(vreinterpretq_u64_u8(vpaddq_u8(sums, sums)))
        }
    }
}

impl Vector for Neon {
    #[inline(always)]
    fn bits(self, block: &[u8; BLOCK]) -> Bits {
        let quarters = self.load(block);
        // SAFETY: the instructions are available.
        unsafe {
            let is = |byte| self.word(quarters.map(|quarter| vceqq_u8(quarter, byte)));
            let (newline, carriage_return) = (vdupq_n_u8(b'\n'), vdupq_n_u8(b'\r'));
            let line_ends = quarters.map(|quarter| {
                vorrq_u8(vceqq_u8(quarter, newline), vceqq_u8(quarter, carriage_return))
            });
            let [a, b, c, d] = quarters;
            let all = vorrq_u8(vorrq_u8(a, b), vorrq_u8(c, d));
            Bits {
                delimiters: is(self.delimiter),
                quotes: is(self.quote) & self.quotes,
                line_ends: self.word(line_ends),
                non_ascii: u64::from(vmaxvq_u8(all) >> 7),
            }
        }
    }

    #[inline(always)]
    fn equal(self, block: &[u8; BLOCK], byte: u8) -> u64 {
        // SAFETY: the instructions are available.
        let quarters =
            self.load(block).map(|quarter| unsafe { vceqq_u8(quarter, vdupq_n_u8(byte)) });
        self.word(quarters)
    }

    #[inline(always)]
    fn prefix_xor(self, bits: u64) -> u64 {
        [1, 2, 4, 8, 16, 32].into_iter().fold(bits, |bits, shift| bits ^ bits << shift)
    }

    #[inline(always)]
    unsafe fn write(self, bits: u64, base: u32, to: *mut u32) -> *mut u32 {
        // SAFETY: as the caller promises.
        unsafe { blocks::write_bits::<8>(bits, base, to) }
    }
}
