//! Adds up a query's numbers over codes.
//!
//! Both are bit planes. With a query's numbers `v = v₀ + 2 v₁ + 4 v₂ − 8 v₃` and a code's numbers `c = c₀ + 2 c₁ + …`, the sum
//! `Σ v·c` is `Σᵢⱼ ± 2^(i+j) · popcount(cᵢ & vⱼ)`.

/// How many planes a query has.
pub(super) const PLANES: usize = 4;
/// How many words of a code are compared at once.
const LANES: usize = 8;
const WORD_BYTES: usize = size_of::<u64>();

/// What some words of each code are compared with.
#[derive(Debug, Clone, Copy, Default)]
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

    /// The sum for each code. `codes` has as many codes as `sums`.
    pub(super) fn sums(&self, codes: &[u8], sums: &mut [i32]) {
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("popcnt") {
            // SAFETY: the processor has the instruction.
            return unsafe { self.sums_by_popcnt(codes, sums) };
        }
        self.sums_by_words(codes, sums);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "popcnt")]
    fn sums_by_popcnt(&self, codes: &[u8], sums: &mut [i32]) {
        self.sums_by_words(codes, sums);
    }

    #[inline(always)]
    fn sums_by_words(&self, codes: &[u8], sums: &mut [i32]) {
        for (code, sum) in codes.chunks_exact(self.code_bytes).zip(sums) {
            *sum = 0;
            for (block, words) in self.blocks.iter().zip(code.chunks(LANES * WORD_BYTES)) {
                for (lane, word) in words.as_chunks().0.iter().enumerate() {
                    let word = u64::from_le_bytes(*word);
                    let count = |plane: usize| (word & block.planes[plane][lane]).count_ones() as i32;
                    *sum += (count(0) + 2 * count(1) + 4 * count(2) - 8 * count(3)) << block.shifts[lane];
                }
            }
        }
    }
}
