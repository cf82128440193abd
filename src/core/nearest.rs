//! The nearest of many bit codes, which are the signs of a vector's numbers, by Hamming distance.

use std::collections::{BinaryHeap, HashSet};

/// What a code belongs to: the 16 bytes of a UUID.
pub(crate) type Id = [u8; 16];

/// Keeps the nearest of the codes that it is offered.
pub(crate) struct Nearest {
    query: Vec<u8>,
    count: usize,
    /// The only ids that are wanted, if not all are.
    among: Option<HashSet<Id>>,
    /// The farthest of them first.
    kept: BinaryHeap<(u32, Id)>,
    /// How far a code may be to be among them.
    farthest: u32,
}

impl Nearest {
    /// For the `count` nearest to the code of `query`.
    pub(crate) fn new(query: &[f32], count: usize, among: Option<HashSet<Id>>) -> Self {
        Nearest {
            query: code_of(query),
            count,
            among,
            kept: BinaryHeap::new(),
            farthest: u32::MAX,
        }
    }

    /// Keeps a code if it is among the nearest so far. Whose it is, and whether it is `valid`, is only asked then: most
    /// are far.
    #[inline]
    pub(crate) fn offer(&mut self, code: &[u8], id: impl FnOnce() -> Id, valid: impl FnOnce() -> bool) {
        let distance = distance(&self.query, code);
        if distance <= self.farthest {
            self.offer_near((distance, id()), valid);
        }
    }

    fn offer_near(&mut self, near: (u32, Id), valid: impl FnOnce() -> bool) {
        let full = self.kept.len() == self.count;
        if full && self.kept.peek().is_none_or(|farthest| near >= *farthest) {
            return;
        }
        if self.among.as_ref().is_some_and(|among| !among.contains(&near.1)) || !valid() {
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
    pub(crate) fn into_ids(self) -> impl Iterator<Item = Id> {
        self.kept.into_sorted_vec().into_iter().map(|(_, id)| id)
    }
}

/// A bit for each number, the first in the highest place of the first byte: 1 if it is above zero. As pgvector's
/// `binary_quantize` has it.
fn code_of(numbers: &[f32]) -> Vec<u8> {
    let byte = |eight: &[f32]| {
        let bits = eight.iter().enumerate();
        bits.fold(0, |byte, (place, &number)| {
            byte | u8::from(number > 0.0) << (7 - place)
        })
    };
    numbers.chunks(8).map(byte).collect()
}

/// How many bits of two codes differ.
#[inline]
fn distance(a: &[u8], b: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("popcnt") {
        // SAFETY: the processor has the instruction.
        return unsafe { distance_by_popcnt(a, b) };
    }
    differing_bits(a, b)
}

/// Without it, counting bits takes several times as long, and all processors of the last decade have it.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "popcnt")]
fn distance_by_popcnt(a: &[u8], b: &[u8]) -> u32 {
    differing_bits(a, b)
}

#[inline(always)]
fn differing_bits(a: &[u8], b: &[u8]) -> u32 {
    let ((a, a_rest), (b, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let words = a
        .iter()
        .zip(b)
        .map(|(a, b)| (u64::from_ne_bytes(*a) ^ u64::from_ne_bytes(*b)).count_ones());
    let rest = a_rest.iter().zip(b_rest).map(|(a, b)| (a ^ b).count_ones());
    words.sum::<u32>() + rest.sum::<u32>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_code_is_the_signs() {
        assert_eq!(
            code_of(&[1.0, -1.0, 0.0, 0.5, -0.0, 2.0, 3.0, -4.0, 1.0]),
            [0b1001_0110, 0b1000_0000]
        );
        assert_eq!(code_of(&[]), [0u8; 0]);
    }

    #[test]
    fn what_is_not_valid_or_not_wanted_takes_no_place() {
        let ids = |among| {
            let mut nearest = Nearest::new(&[1.0; 8], 2, among);
            for (number, code) in [0xFF, 0xFE, 0xF0, 0x00].into_iter().enumerate() {
                nearest.offer(&[code], || [number as u8; 16], || number != 1);
            }
            nearest.into_ids().map(|id| id[0]).collect::<Vec<_>>()
        };
        assert_eq!(ids(None), [0, 2]);
        assert_eq!(ids(Some(HashSet::from([[2; 16], [3; 16]]))), [2, 3]);
    }

    proptest! {
        #[test]
        fn the_nearest_are_those_of_a_sort(
            codes in prop::collection::vec(prop::collection::vec(any::<u8>(), 25), 0..60),
            query in prop::collection::vec(-1f32..1.0, 200),
            count in 1usize..20,
        ) {
            let mut nearest = Nearest::new(&query, count, None);
            let mut all = Vec::new();
            for (number, code) in codes.iter().enumerate() {
                let id = [number as u8; 16];
                nearest.offer(code, || id, || true);
                let differ = |bit: &usize| (code[bit / 8] >> (7 - bit % 8) & 1 == 1) != (query[*bit] > 0.0);
                all.push(((0..200).filter(differ).count(), id));
            }
            all.sort();
            all.truncate(count);
            prop_assert_eq!(nearest.into_ids().collect::<Vec<_>>(), all.iter().map(|(_, id)| *id).collect::<Vec<_>>());
        }
    }
}
