//! Blocks with AVX-512, of the kind that server and desktop processors have had since 2019.

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{
    __m512i, _mm_clmulepi64_si128, _mm_cvtsi64_si128, _mm_cvtsi128_si64, _mm_set1_epi8,
    _mm512_add_epi32, _mm512_castsi512_si128, _mm512_cmpeq_epi8_mask, _mm512_cvtepu8_epi32,
    _mm512_extracti32x4_epi32, _mm512_loadu_si512, _mm512_maskz_compress_epi8, _mm512_movepi8_mask,
    _mm512_set1_epi8, _mm512_set1_epi32, _mm512_storeu_si512,
};

use super::blocks::{self, BLOCK, Bits, Vector};
use super::{Index, Marks, Piece, Skip, Stop};

/// Whether this processor has the instructions.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi2")
        && is_x86_feature_detected!("pclmulqdq")
        && is_x86_feature_detected!("bmi1")
        && is_x86_feature_detected!("lzcnt")
        && is_x86_feature_detected!("popcnt")
}

/// Appends the records that begin in the piece to `index`.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,pclmulqdq,bmi1,lzcnt,popcnt")]
pub(super) fn find(piece: Piece, width: usize, marks: &Marks, index: &mut Index) -> Stop {
    // SAFETY: this function has the instructions.
    let vector = unsafe { Avx512::new(marks) };
    blocks::find(vector, piece, width, marks, index)
}

/// The start of the first record at or after the limit.
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi2,pclmulqdq,bmi1,lzcnt,popcnt")]
pub(super) fn skip(piece: Piece, marks: &Marks) -> Skip {
    // SAFETY: this function has the instructions.
    let vector = unsafe { Avx512::new(marks) };
    blocks::skip(vector, piece, marks)
}

/// One register a block. There is a value only where the instructions are available.
#[derive(Clone, Copy)]
struct Avx512 {
    delimiter: __m512i,
    quote: __m512i,
    /// All bits if there is a quote.
    quotes: u64,
    positions: __m512i,
}

/// The numbers from 0 on.
static POSITIONS: [u8; BLOCK] = {
    let mut positions = [0; BLOCK];
    let mut at = 0;
    while at < BLOCK {
        positions[at] = at as u8;
        at += 1;
    }
    positions
};

impl Avx512 {
    /// # Safety
    /// The instructions are available as long as there is a value.
    #[inline(always)]
    unsafe fn new(marks: &Marks) -> Self {
        // SAFETY: the caller has the instructions.
        unsafe {
            Avx512 {
                delimiter: _mm512_set1_epi8(marks.delimiter as i8),
                quote: _mm512_set1_epi8(marks.quote.unwrap_or_default() as i8),
                quotes: if marks.quote.is_some() { !0 } else { 0 },
                positions: _mm512_loadu_si512(POSITIONS.as_ptr().cast()),
            }
        }
    }
}

impl Vector for Avx512 {
    #[inline(always)]
    fn bits(self, block: &[u8; BLOCK]) -> Bits {
        // SAFETY: the instructions are available; 64 bytes are read from 64.
        unsafe {
            let bytes = _mm512_loadu_si512(block.as_ptr().cast());
            let is = |byte| _mm512_cmpeq_epi8_mask(bytes, byte);
            Bits {
                delimiters: is(self.delimiter),
                quotes: is(self.quote) & self.quotes,
                line_ends: is(_mm512_set1_epi8(b'\n' as i8)) | is(_mm512_set1_epi8(b'\r' as i8)),
                non_ascii: _mm512_movepi8_mask(bytes),
            }
        }
    }

    #[inline(always)]
    fn equal(self, block: &[u8; BLOCK], byte: u8) -> u64 {
        // SAFETY: the instructions are available; 64 bytes are read from 64.
        unsafe {
            let bytes = _mm512_loadu_si512(block.as_ptr().cast());
            _mm512_cmpeq_epi8_mask(bytes, _mm512_set1_epi8(byte as i8))
        }
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
        let count = bits.count_ones() as usize;
        // SAFETY: the instructions are available, and the caller gives room for SLACK offsets more
        // than there are bits, of which 16 at a time are written.
        unsafe {
            let base = _mm512_set1_epi32(base as i32);
            let positions = _mm512_maskz_compress_epi8(bits, self.positions);
            let offsets = |four| _mm512_add_epi32(base, _mm512_cvtepu8_epi32(four));
            let store = |at: usize, offsets| _mm512_storeu_si512(to.add(at).cast(), offsets);
            store(0, offsets(_mm512_castsi512_si128(positions)));
            if count > 16 {
                store(16, offsets(_mm512_extracti32x4_epi32::<1>(positions)));
                if count > 32 {
                    store(32, offsets(_mm512_extracti32x4_epi32::<2>(positions)));
                    store(48, offsets(_mm512_extracti32x4_epi32::<3>(positions)));
                }
            }
            to.add(count)
        }
    }
}
