//! A fixed random rotation in `O(D log D)`: rounds of random signs and Walsh–Hadamard transforms.
//!
//! One number of a vector may hold nearly all of its length. A rotated vector's numbers are near a normal distribution, and
//! the error of its code has a random direction. Any rotation keeps inner products, so it need not be secret.

/// One round spreads a single number over all. The second one spreads what the first would gather.
const ROUNDS: usize = 2;
/// A round transforms the first numbers, then the last ones, and mixes both ends.
const STEPS: usize = 3;
const SEED: u64 = 0x6d61_7472_6963_6521;

/// A rotation of vectors of one length.
#[derive(Debug)]
pub(super) struct Rotation {
    /// A bit for each number: whether a step negates it.
    signs: [[Vec<u64>; STEPS]; ROUNDS],
    /// The largest power of two that is no larger than the length.
    power: usize,
}

impl Rotation {
    /// `length` is a positive multiple of 64.
    pub(super) fn new(length: usize) -> Rotation {
        let mut state = SEED;
        let mut signs = || (0..length / super::WORD).map(|_| split_mix(&mut state)).collect();
        Rotation {
            signs: std::array::from_fn(|_| std::array::from_fn(|_| signs())),
            power: 1 << length.ilog2(),
        }
    }

    /// The length of `vector` is the rotation's.
    pub(super) fn apply(&self, vector: &mut [f32]) {
        let last = vector.len() - self.power;
        for [before_first, before_last, before_both] in &self.signs {
            negate(vector, before_first);
            transform(&mut vector[..self.power]);
            negate(vector, before_last);
            transform(&mut vector[last..]);
            negate(vector, before_both);
            // The first and the last numbers may have few in common.
            let (left, right) = vector.split_at_mut(vector.len() / 2);
            butterfly(left, right, std::f32::consts::FRAC_1_SQRT_2);
        }
    }
}

/// The generator SplitMix64 (Steele, Lea and Flood, 2014).
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

fn negate(vector: &mut [f32], signs: &[u64]) {
    for (numbers, signs) in vector.chunks_mut(super::WORD).zip(signs) {
        for (eight, signs) in numbers.as_chunks_mut::<8>().0.iter_mut().zip(signs.to_le_bytes()) {
            // Comparisons, because not every processor shifts several numbers by different distances at once.
            for (place, number) in eight.iter_mut().enumerate() {
                let sign = if signs & 1 << place != 0 { 1 << 31 } else { 0 };
                *number = f32::from_bits(number.to_bits() ^ sign);
            }
        }
    }
}

/// The Walsh–Hadamard transform of norm 1. The length is a power of two, and at least 8.
fn transform(vector: &mut [f32]) {
    // Eight numbers stay in registers.
    for eight in vector.as_chunks_mut::<8>().0 {
        [1, 2, 4].into_iter().for_each(|half| step(eight, half));
    }
    let mut half = 8;
    while half < vector.len() {
        step(vector, half);
        half *= 2;
    }
    let scale = 1.0 / (vector.len() as f32).sqrt();
    vector.iter_mut().for_each(|number| *number *= scale);
}

/// Replaces the numbers whose places differ by `half`.
#[inline(always)]
fn step(vector: &mut [f32], half: usize) {
    for pair in vector.chunks_exact_mut(2 * half) {
        let (left, right) = pair.split_at_mut(half);
        butterfly(left, right, 1.0);
    }
}

/// Replaces two numbers by their sum and their difference.
fn butterfly(left: &mut [f32], right: &mut [f32], scale: f32) {
    for (left, right) in left.iter_mut().zip(right) {
        (*left, *right) = ((*left + *right) * scale, (*left - *right) * scale);
    }
}

#[cfg(test)]
mod tests {
    use super::super::dot;
    use super::*;

    /// Of every length up to 64 words, and of the longest.
    fn rotations() -> impl Iterator<Item = (usize, Rotation)> {
        (64..=4096)
            .step_by(64)
            .chain([16_000])
            .map(|length| (length, Rotation::new(length)))
    }

    #[test]
    fn inner_products_stay() {
        for (length, rotation) in rotations() {
            let mut left: Vec<f32> = (0..length).map(|place| (place as f32 * 0.7).sin()).collect();
            let mut right: Vec<f32> = (0..length)
                .map(|place| (place as f32 * 0.3).cos() + 0.5)
                .collect();
            let norm = (dot(&left, &left) * dot(&right, &right)).sqrt();
            let before = dot(&left, &right);
            rotation.apply(&mut left);
            rotation.apply(&mut right);
            assert!((dot(&left, &right) - before).abs() < 1e-6 * norm, "{length}");
        }
    }

    #[test]
    fn a_single_number_is_spread_over_all() {
        for (length, rotation) in rotations() {
            for place in [0, length / 3, length / 2, length - 1] {
                let mut vector = vec![0.0; length];
                vector[place] = 1.0;
                rotation.apply(&mut vector);
                let largest = vector
                    .iter()
                    .fold(0f32, |largest, number| largest.max(number.abs()));
                // Hardly one of a million random numbers has more.
                assert!(
                    largest < 5.5 / (length as f32).sqrt(),
                    "{length} {place} {largest}"
                );
                let half = dot(&vector[..length / 2], &vector[..length / 2]);
                // Of random numbers this differs from a half by a standard deviation of √(1 / 2 length).
                assert!(
                    (half - 0.5).abs() < 5.0 / (2.0 * length as f64).sqrt(),
                    "{length} {place} {half}"
                );
            }
        }
    }
}
