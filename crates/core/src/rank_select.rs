//! A set of byte offsets in a text, as a bit vector with rank and select.

const BITS: usize = u64::BITS as usize;

/// A set of offsets that is built in ascending order. Rank is the number of offsets before one, select is the nth offset.
pub(super) struct RankSelect {
    bits: Vec<u64>,
    /// How many offsets there are before each word of bits, up to the last word in use.
    before: Vec<u32>,
    len: u32,
}

impl RankSelect {
    /// An empty set for a text of `len` bytes, whose end may be in it too.
    pub(super) fn new(len: usize) -> Self {
        let words = len / BITS + 1;
        RankSelect {
            bits: vec![0; words],
            before: Vec::with_capacity(words),
            len: 0,
        }
    }

    /// Adds an offset after all others.
    #[inline]
    pub(super) fn push(&mut self, place: usize) {
        let word = place / BITS;
        while self.before.len() <= word {
            self.before.push(self.len);
        }
        self.bits[word] |= 1 << (place % BITS);
        self.len += 1;
    }

    #[inline]
    pub(super) fn contains(&self, place: usize) -> bool {
        let word = self.bits.get(place / BITS).copied().unwrap_or(0);
        word >> (place % BITS) & 1 == 1
    }

    /// The number of offsets before `end`.
    #[inline]
    pub(super) fn rank(&self, end: usize) -> usize {
        let word = end / BITS;
        match (self.before.get(word), self.bits.get(word)) {
            (Some(before), Some(bits)) => {
                *before as usize + (bits & !(u64::MAX << (end % BITS))).count_ones() as usize
            }
            _ => self.len as usize,
        }
    }

    /// The offset of this rank.
    pub(super) fn select(&self, rank: usize) -> Option<usize> {
        if rank >= self.len as usize {
            return None;
        }
        let word = self.before.partition_point(|&before| before as usize <= rank) - 1;
        let mut bits = self.bits[word];
        for _ in self.before[word] as usize..rank {
            bits &= bits - 1;
        }
        Some(word * BITS + bits.trailing_zeros() as usize)
    }

    /// The first offset at or after `start`.
    pub(super) fn from(&self, start: usize) -> Option<usize> {
        let bits = self.bits.get(start / BITS)? & (u64::MAX << (start % BITS));
        match bits {
            0 => self.select(self.rank(start)),
            _ => Some(start / BITS * BITS + bits.trailing_zeros() as usize),
        }
    }

    /// The last offset at or before `end`.
    pub(super) fn up_to(&self, end: usize) -> Option<usize> {
        self.select(self.rank(end + 1).checked_sub(1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn it_is_a_set(set in prop::collection::btree_set(0usize..700, 0..200), len in 700usize..1000) {
            let set: BTreeSet<usize> = set;
            let mut places = RankSelect::new(len);
            set.iter().for_each(|&place| places.push(place));
            for at in 0..len + 100 {
                prop_assert_eq!(places.contains(at), set.contains(&at));
                prop_assert_eq!(places.rank(at), set.range(..at).count());
                prop_assert_eq!(places.select(at), set.iter().nth(at).copied());
                prop_assert_eq!(places.from(at), set.range(at..).next().copied());
                prop_assert_eq!(places.up_to(at), set.range(..=at).next_back().copied());
            }
        }
    }
}
