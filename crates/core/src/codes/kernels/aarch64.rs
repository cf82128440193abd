//! Kernels for AArch64.

use super::{BLOCK_BYTES, Kernel, LANES, Planes, whole};
use std::arch::aarch64::*;

pub(super) fn add(kernels: &mut Vec<(&'static str, Kernel)>) {
    if std::arch::is_aarch64_feature_detected!("neon") {
        kernels.push(("NEON", neon));
    }
}

/// How many words a vector has.
const PART: usize = 2;

#[target_feature(enable = "neon")]
fn neon(planes: &Planes, codes: &[u8], sums: &mut [i32]) {
    for (code, sum) in codes.chunks_exact(planes.code_bytes).zip(sums) {
        let mut total = vdupq_n_s64(0);
        for (block, words) in planes.blocks.iter().zip(code.chunks(BLOCK_BYTES)) {
            let words = whole(words, &mut [0; BLOCK_BYTES]);
            for part in 0..LANES / PART {
                let word_bytes = load_bytes(&words, part);
                let counts = |plane: usize| vcntq_u8(vandq_u8(word_bytes, load(&block.planes[plane], part)));
                // At most 8 · 7 and 8 · 8 in a byte.
                let positive = vaddq_u8(
                    vaddq_u8(counts(0), vshlq_n_u8::<1>(counts(1))),
                    vshlq_n_u8::<2>(counts(2)),
                );
                let negative = vshlq_n_u8::<3>(counts(3));
                let wide =
                    |bytes: uint8x16_t| vreinterpretq_s64_u64(vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(bytes))));
                let sum = vsubq_s64(wide(positive), wide(negative));
                let shifts = vreinterpretq_s64_u8(load(&block.shifts, part));
                total = vaddq_s64(total, vshlq_s64(sum, shifts));
            }
        }
        *sum = vaddvq_s64(total) as i32;
    }
}

#[inline]
#[target_feature(enable = "neon")]
fn load(words: &[u64; LANES], part: usize) -> uint8x16_t {
    let words = &words[part * PART..][..PART];
    // SAFETY: the slice has 16 bytes, and the load asks for no alignment of bytes.
    unsafe { vld1q_u8(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "neon")]
fn load_bytes(bytes: &[u8; BLOCK_BYTES], part: usize) -> uint8x16_t {
    let bytes = &bytes[part * BLOCK_BYTES / 4..][..BLOCK_BYTES / 4];
    // SAFETY: the slice has 16 bytes.
    unsafe { vld1q_u8(bytes.as_ptr()) }
}
