//! Blocks with AVX2.

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    __m256i, _mm_clmulepi64_si128, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_loadl_epi64,
    _mm_set1_epi8, _mm256_add_epi32, _mm256_cmpeq_epi8, _mm256_cvtepu8_epi32, _mm256_loadu_si256,
    _mm256_movemask_epi8, _mm256_or_si256, _mm256_set1_epi8, _mm256_set1_epi32,
    _mm256_storeu_si256,
};

use super::blocks::{self, BLOCK, Bits, Vector};
use super::{Index, Marks, Piece, Skip, Stop};

/// Whether this processor has the instructions.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("pclmulqdq")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}

/// Appends the records that begin in the piece to `index`.
#[target_feature(enable = "avx2,pclmulqdq,bmi1,lzcnt,popcnt")]
pub(super) fn find(piece: Piece, width: usize, marks: &Marks, index: &mut Index) -> Stop {
    // SAFETY: this function has the instructions.
    let vector = unsafe { Avx2::new(marks) };
    blocks::find(vector, piece, width, marks, index)
}

/// The start of the first record at or after the limit.
#[target_feature(enable = "avx2,pclmulqdq,bmi1,lzcnt,popcnt")]
pub(super) fn skip(piece: Piece, marks: &Marks) -> Skip {
    // SAFETY: this function has the instructions.
    let vector = unsafe { Avx2::new(marks) };
    blocks::skip(vector, piece, marks)
}

/// Two registers a block. There is a value only where the instructions are available.
#[derive(Clone, Copy)]
struct Avx2 {
    delimiter: __m256i,
    quote: __m256i,
    /// All bits if there is a quote.
    quotes: u64,
}

impl Avx2 {
    /// # Safety
    /// The instructions are available as long as there is a value.
    #[inline(always)]
    unsafe fn new(marks: &Marks) -> Self {
        // SAFETY: the caller has the instructions.
        unsafe {
            Avx2 {
                delimiter: _mm256_set1_epi8(marks.delimiter as i8),
                quote: _mm256_set1_epi8(marks.quote.unwrap_or_default() as i8),
                quotes: if marks.quote.is_some() { !0 } else { 0 },
            }
        }
    }

    #[inline(always)]
    fn load(self, block: &[u8; BLOCK]) -> [__m256i; 2] {
        let halves = block.as_ptr().cast::<__m256i>();
        // SAFETY: the instructions are available; twice 32 bytes are read from 64.
        unsafe { [_mm256_loadu_si256(halves), _mm256_loadu_si256(halves.add(1))] }
    }

    /// The highest bit of each byte.
    #[inline(always)]
    fn high_bits(self, halves: [__m256i; 2]) -> u64 {
        // SAFETY: the instructions are available.
        let [low, high] = halves.map(|half| unsafe { _mm256_movemask_epi8(half) } as u32);
        u64::from(low) | u64::from(high) << 32
    }
}

impl Vector for Avx2 {
    #[inline(always)]
    fn bits(self, block: &[u8; BLOCK]) -> Bits {
        let halves = self.load(block);
        // SAFETY: the instructions are available.
        unsafe {
            let is = |byte| self.high_bits(halves.map(|half| _mm256_cmpeq_epi8(half, byte)));
            let newline = _mm256_set1_epi8(b'\n' as i8);
            let carriage_return = _mm256_set1_epi8(b'\r' as i8);
            let line_ends = halves.map(|half| {
                let is_newline = _mm256_cmpeq_epi8(half, newline);
                _mm256_or_si256(is_newline, _mm256_cmpeq_epi8(half, carriage_return))
            });
            Bits {
                delimiters: is(self.delimiter),
                quotes: is(self.quote) & self.quotes,
                line_ends: self.high_bits(line_ends),
                non_ascii: self.high_bits(halves),
            }
        }
    }

    #[inline(always)]
    fn equal(self, block: &[u8; BLOCK], byte: u8) -> u64 {
        // SAFETY: the instructions are available.
        self.high_bits(
            self.load(block)
                .map(|half| unsafe { _mm256_cmpeq_epi8(half, _mm256_set1_epi8(byte as i8)) }),
        )
    }

    #[inline(always)]
    fn prefix_xor(self, bits: u64) -> u64 {
        // SAFETY: the instructions are available.
        unsafe {
            // A product without carries by all ones adds up, without carries, all lower bits.
            let ones = _mm_set1_epi8(-1);
            let product = _mm_clmulepi64_si128::<0>(_mm_cvtsi64_si128(bits as i64), ones);
            _mm_cvtsi128_si64(product) as u64
        }
    }

    #[inline(always)]
    unsafe fn write(self, bits: u64, base: u32, to: *mut u32) -> *mut u32 {
        let mut to = to;
        let mut base = base;
        // A loop over the bits would often guess its end wrong; this takes as long for any bits.
        for byte in bits.to_le_bytes() {
            // SAFETY: the instructions are available, and the caller gives room for SLACK offsets
            // more than there are bits, of which eight at a time are written.
            unsafe {
                let positions = _mm_loadl_epi64(POSITIONS[byte as usize].as_ptr().cast());
                let positions = _mm256_cvtepu8_epi32(positions);
                let offsets = _mm256_add_epi32(positions, _mm256_set1_epi32(base as i32));
                _mm256_storeu_si256(to.cast(), offsets);
                to = to.add(byte.count_ones() as usize);
            }
            base = base.wrapping_add(8);
        }
        to
    }
}

/// For each byte the positions of its bits.
static POSITIONS: [[u8; 8]; 256] = {
    let mut positions = [[0; 8]; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut rest, mut count) = (byte, 0);
        while rest != 0 {
            positions[byte][count] = rest.trailing_zeros() as u8;
            rest &= rest - 1;
            count += 1;
        }
        byte += 1;
    }
    positions
};
