//! Kernels for x86-64.

use super::{BLOCK_BYTES, Kernel, LANES, PLANES, Planes, WORD_BYTES, by_words, whole};
use std::arch::x86_64::*;
use std::slice::ChunksExact;

pub(super) fn add(kernels: &mut Vec<(&'static str, Kernel)>) {
    if std::is_x86_feature_detected!("avx512f")
        && std::is_x86_feature_detected!("avx512vpopcntdq")
        && std::is_x86_feature_detected!("avx512vnni")
    {
        kernels.push(("AVX-512", avx512));
    }
    if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("popcnt") {
        kernels.push(("AVX2", avx2));
    }
    if std::is_x86_feature_detected!("popcnt") {
        kernels.push(("POPCNT", popcnt));
    }
}

#[target_feature(enable = "popcnt")]
fn popcnt(planes: &Planes, codes: &[u8], sums: &mut [i32]) {
    by_words(planes, codes, sums);
}

/// Several codes at once: they share the query's planes, and none waits for its own sum.
#[target_feature(enable = "avx512f,avx512vpopcntdq,avx512vnni")]
fn avx512(planes: &Planes, codes: &[u8], sums: &mut [i32]) {
    let mut codes = codes.chunks_exact(planes.code_bytes);
    let (eights, rest) = sums.as_chunks_mut();
    let (fours, ones) = rest.as_chunks_mut();
    for sums in eights {
        *sums = avx512_sums(avx512_counts(planes, next(&mut codes)));
    }
    for sums in fours {
        let counts: [_; 4] = avx512_counts(planes, next(&mut codes));
        *sums = counts.map(|counts| _mm512_reduce_add_epi32(counts));
    }
    for sum in ones {
        let [counts] = avx512_counts(planes, next(&mut codes));
        *sum = _mm512_reduce_add_epi32(counts);
    }
}

/// The next codes. There are as many as sums.
#[inline(always)]
fn next<'a, const N: usize>(codes: &mut ChunksExact<'a, u8>) -> [&'a [u8]; N] {
    std::array::from_fn(|_| codes.next().unwrap_or_default())
}

/// The sums of some codes, each in parts: the even lanes add up to it, the odd ones are zero.
#[inline]
#[target_feature(enable = "avx512f,avx512vpopcntdq,avx512vnni")]
fn avx512_counts<const N: usize>(planes: &Planes, codes: [&[u8]; N]) -> [__m512i; N] {
    let mut sums = [_mm512_setzero_si512(); N];
    for (number, block) in planes.blocks.iter().enumerate() {
        let shifts = avx512_load(&block.shifts);
        let planes_of_block = block.planes.map(|plane| avx512_load(&plane));
        // A count is a byte of its lane, so one byte of the weights is multiplied with it. The least is −64.
        let weights = [1, 2, 4, -8].map(|weight| _mm512_sllv_epi64(_mm512_set1_epi64(weight), shifts));
        let start = number * BLOCK_BYTES;
        let end = planes.code_bytes.min(start + BLOCK_BYTES);
        let mask = (u16::MAX >> (2 * LANES - (end - start) / WORD_BYTES)) as u8;
        for (sum, code) in sums.iter_mut().zip(codes) {
            let words = &code[start..end];
            // SAFETY: the mask has a bit for each whole word of the slice, and the load reads no other word.
            let words = unsafe { _mm512_maskz_loadu_epi64(mask, words.as_ptr().cast()) };
            for plane in 0..PLANES {
                let counts = _mm512_popcnt_epi64(_mm512_and_si512(words, planes_of_block[plane]));
                *sum = _mm512_dpbusd_epi32(*sum, counts, weights[plane]);
            }
        }
    }
    sums
}

#[inline]
#[target_feature(enable = "avx512f")]
fn avx512_load(words: &[u64; LANES]) -> __m512i {
    // SAFETY: the array has 64 bytes, and the load asks for no alignment.
    unsafe { _mm512_loadu_si512(words.as_ptr().cast()) }
}

/// Adds up the even lanes of each vector.
#[inline]
#[target_feature(enable = "avx512f")]
fn avx512_sums(parts: [__m512i; LANES]) -> [i32; LANES] {
    // Two codes in a vector, one in the even and one in the odd lanes.
    let pair = |code: usize| _mm512_or_si512(parts[code], _mm512_slli_epi64(parts[code + 1], 32));
    // Each quarter of the vector has four codes.
    let four = |code: usize| {
        let (left, right) = (pair(code), pair(code + 2));
        _mm512_add_epi32(
            _mm512_unpacklo_epi64(left, right),
            _mm512_unpackhi_epi64(left, right),
        )
    };
    let (left, right) = (four(0), four(4));
    // The first half has the first four codes twice, the second half the others.
    let halves = _mm512_add_epi32(
        _mm512_shuffle_i64x2(left, right, 0b01_00_01_00),
        _mm512_shuffle_i64x2(left, right, 0b11_10_11_10),
    );
    let quarters = _mm512_add_epi32(halves, _mm512_shuffle_i64x2(halves, halves, 0b10_11_00_01));
    let eight = _mm512_castsi512_si256(_mm512_shuffle_i64x2(quarters, quarters, 0b10_00_10_00));
    let mut sums = [0; LANES];
    // SAFETY: the array has 32 bytes, and the store asks for no alignment.
    unsafe { _mm256_storeu_si256(sums.as_mut_ptr().cast(), eight) };
    sums
}

/// How many words an AVX2 vector has.
const HALF: usize = LANES / 2;

/// Looks up the counts of four bits at a time (Muła, Kurz and Lemire, "Faster Population Counts Using AVX2 Instructions",
/// arXiv 1611.07612), already multiplied with the weight of their plane.
#[target_feature(enable = "avx2")]
fn avx2(planes: &Planes, codes: &[u8], sums: &mut [i32]) {
    for (code, sum) in codes.chunks_exact(planes.code_bytes).zip(sums) {
        let mut total = _mm256_setzero_si256();
        for (block, words) in planes.blocks.iter().zip(code.chunks(BLOCK_BYTES)) {
            let words = whole(words, &mut [0; BLOCK_BYTES]);
            for half in 0..2 {
                let of_half = |words: &[u64; LANES]| avx2_load(words, half);
                let counts = avx2_counts(
                    avx2_load_bytes(&words, half),
                    block.planes.each_ref().map(of_half),
                );
                total = _mm256_add_epi64(total, _mm256_sllv_epi64(counts, of_half(&block.shifts)));
            }
        }
        let mut lanes = [0i64; HALF];
        // SAFETY: the array has 32 bytes, and the store asks for no alignment.
        unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), total) };
        *sum = lanes.iter().sum::<i64>() as i32;
    }
}

/// The weighted count of each word.
#[inline]
#[target_feature(enable = "avx2")]
fn avx2_counts(words: __m256i, planes: [__m256i; PLANES]) -> __m256i {
    let four = _mm256_set1_epi8(0x0F);
    let low = _mm256_and_si256(words, four);
    let high = _mm256_and_si256(_mm256_srli_epi64(words, 4), four);
    let table = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
    let counts = |plane: __m256i, table: __m256i| {
        let low = _mm256_shuffle_epi8(table, _mm256_and_si256(low, plane));
        let high = _mm256_shuffle_epi8(table, _mm256_and_si256(high, _mm256_srli_epi64(plane, 4)));
        _mm256_add_epi8(low, high)
    };
    let double = |table: __m256i| _mm256_add_epi8(table, table);
    let (twice, fourfold) = (double(table), double(double(table)));
    // At most 8 · 7 in a byte.
    let positive = _mm256_add_epi8(
        _mm256_add_epi8(counts(planes[0], table), counts(planes[1], twice)),
        counts(planes[2], fourfold),
    );
    let negative = counts(planes[3], double(fourfold));
    let zero = _mm256_setzero_si256();
    _mm256_sub_epi64(_mm256_sad_epu8(positive, zero), _mm256_sad_epu8(negative, zero))
}

#[inline]
#[target_feature(enable = "avx2")]
fn avx2_load(words: &[u64; LANES], half: usize) -> __m256i {
    let words = &words[half * HALF..][..HALF];
    // SAFETY: the slice has 32 bytes, and the load asks for no alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn avx2_load_bytes(bytes: &[u8; BLOCK_BYTES], half: usize) -> __m256i {
    let bytes = &bytes[half * BLOCK_BYTES / 2..][..BLOCK_BYTES / 2];
    // SAFETY: the slice has 32 bytes, and the load asks for no alignment.
    unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) }
}
