//! Adds up a query's numbers over codes.
//!
//! Both are bit planes. With a query's numbers `v = v₀ + 2 v₁ + 4 v₂ − 8 v₃` and a code's numbers `c = c₀ + 2 c₁ + …`, the sum
//! `Σ v·c` is `Σᵢⱼ ± 2^(i+j) · popcount(cᵢ & vⱼ)`. All kernels give this sum exactly.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

use std::sync::LazyLock;

/// How many planes a query has.
pub(super) const PLANES: usize = 4;
/// How many words of a code are compared at once.
const LANES: usize = 8;
const WORD_BYTES: usize = size_of::<u64>();
const BLOCK_BYTES: usize = LANES * WORD_BYTES;

/// What eight words of each code are compared with. Behind the end of a code the planes are zero.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
struct Block {
    planes: [[u64; LANES]; PLANES],
    /// Which plane of the code a word belongs to.
    shifts: [u64; LANES],
}

/// A query's planes, repeated for each plane of a code.
#[derive(Debug)]
pub(super) struct Planes {
    blocks: Vec<Block>,
    /// How many bytes a code has.
    code_bytes: usize,
}

/// Writes the sum of each code. There are as many codes as sums.
///
/// # Safety
///
/// The processor must have the kernel's instructions.
type Kernel = unsafe fn(&Planes, &[u8], &mut [i32]);

/// The kernels whose instructions the processor has, by their names, the fastest first. A kernel is in this list only behind a
/// test of each feature that its `target_feature` names.
fn kernels() -> Vec<(&'static str, Kernel)> {
    let mut kernels: Vec<(&'static str, Kernel)> = Vec::new();
    #[cfg(target_arch = "x86_64")]
    x86_64::add(&mut kernels);
    #[cfg(target_arch = "aarch64")]
    aarch64::add(&mut kernels);
    kernels.push(("words", by_words));
    kernels
}

static FASTEST: LazyLock<Kernel> = LazyLock::new(|| kernels()[0].1);

impl Planes {
    /// Of a query's levels, as bit planes, for codes with so many bits a number. Level 8 is zero.
    pub(super) fn new(levels: &[u64], bits: u32) -> Planes {
        let words = levels.len() / PLANES;
        let code_words = words * bits as usize;
        let mut blocks = vec![Block::default(); code_words.div_ceil(LANES)];
        for word in 0..code_words {
            let (block, lane) = (&mut blocks[word / LANES], word % LANES);
            block.shifts[lane] = (word / words) as u64;
            for (plane, bits) in block.planes.iter_mut().enumerate() {
                bits[lane] = levels[plane * words + word % words];
            }
            // In two's complement a level that is less by 8 has the other highest bit.
            block.planes[PLANES - 1][lane] ^= u64::MAX;
        }
        Planes {
            blocks,
            code_bytes: code_words * WORD_BYTES,
        }
    }

    /// The sum of each code. `codes` holds as many codes as there are sums.
    #[inline]
    pub(super) fn sums(&self, codes: &[u8], sums: &mut [i32]) {
        debug_assert_eq!(codes.len(), sums.len() * self.code_bytes);
        // SAFETY: the list has only kernels whose instructions the processor has.
        unsafe { FASTEST(self, codes, sums) }
    }
}

/// The kernel for any processor, and for one with an instruction that counts bits where it is compiled for that.
#[inline(always)]
fn by_words(planes: &Planes, codes: &[u8], sums: &mut [i32]) {
    for (code, sum) in codes.chunks_exact(planes.code_bytes).zip(sums) {
        *sum = 0;
        for (block, words) in planes.blocks.iter().zip(code.chunks(BLOCK_BYTES)) {
            for (lane, word) in words.as_chunks().0.iter().enumerate() {
                let word = u64::from_le_bytes(*word);
                let count = |plane: usize| (word & block.planes[plane][lane]).count_ones() as i32;
                *sum += (count(0) + 2 * count(1) + 4 * count(2) - 8 * count(3)) << block.shifts[lane];
            }
        }
    }
}

/// The bytes of a block, with zeros behind the end of a code.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline(always)]
fn whole(bytes: &[u8], spare: &mut [u8; BLOCK_BYTES]) -> [u8; BLOCK_BYTES] {
    match bytes.first_chunk() {
        Some(whole) => *whole,
        None => {
            spare[..bytes.len()].copy_from_slice(bytes);
            *spare
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The sum by its definition, number by number.
    fn expected(levels: &[u64], code: &[u64], bits: usize) -> i32 {
        let words = levels.len() / PLANES;
        let number = |planes: &[u64], count: usize, place: usize| {
            (0..count).fold(0, |number, plane| {
                number | (planes[plane * words + place / 64] >> (place % 64) & 1) << plane
            }) as i32
        };
        (0..words * 64)
            .map(|place| (number(levels, PLANES, place) - 8) * number(code, bits, place))
            .sum()
    }

    fn check(words: usize, bits: usize, levels: &[u64], codes: &[u64], offset: usize) {
        let planes = Planes::new(levels, bits as u32);
        // At any address: a page begins where its row does.
        let mut bytes = vec![0; offset];
        bytes.extend(codes.iter().flat_map(|word| word.to_le_bytes()));
        let expected: Vec<i32> = codes
            .chunks_exact(words * bits)
            .map(|code| expected(levels, code, bits))
            .collect();
        for (name, kernel) in kernels() {
            let mut sums = vec![i32::MIN; expected.len()];
            // SAFETY: the list has only kernels whose instructions the processor has.
            unsafe { kernel(&planes, &bytes[offset..], &mut sums) };
            assert_eq!(sums, expected, "{name}: {words} words, {bits} bits");
        }
    }

    #[test]
    fn the_largest_sums_fit() {
        for bits in [1, 2, 4] {
            for level in [0, u64::MAX] {
                check(250, bits, &vec![level; 1000], &vec![u64::MAX; 250 * bits * 9], 1);
            }
        }
    }

    proptest! {
        #[test]
        fn every_kernel_gives_the_sum_of_products(
            (words, bits, levels, codes) in (1usize..30, prop::sample::select(vec![1usize, 2, 4]), 0usize..20)
                .prop_flat_map(|(words, bits, count)| (
                    Just(words),
                    Just(bits),
                    prop::collection::vec(any::<u64>(), words * PLANES),
                    prop::collection::vec(any::<u64>(), words * bits * count),
                )),
            offset in 0usize..8,
        ) {
            check(words, bits, &levels, &codes, offset);
        }
    }
}
