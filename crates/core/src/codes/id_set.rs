//! A set of ids that a search asks for very many of.

use super::Id;
use std::collections::HashSet;
use std::hash::{BuildHasher, Hasher, RandomState};

/// A set of ids. A filter may leave hundreds of thousands of them, and they are to be put into it in little time.
pub type IdSet = HashSet<Id, IdState>;

/// An empty set with room for so many.
pub fn id_set(capacity: usize) -> IdSet {
    HashSet::with_capacity_and_hasher(capacity, IdState::default())
}

/// Hashes ids by keys that nobody knows: clients choose ids, and could choose some whose hashes are equal.
#[derive(Debug, Clone)]
pub struct IdState([u64; 2]);

impl Default for IdState {
    fn default() -> IdState {
        let random = RandomState::new();
        IdState([random.hash_one(0), random.hash_one(1)])
    }
}

impl BuildHasher for IdState {
    type Hasher = IdHasher;

    fn build_hasher(&self) -> IdHasher {
        IdHasher { keys: self.0, hash: 0 }
    }
}

/// Multiplies the halves of an id, and adds the halves of the product.
#[derive(Debug)]
pub struct IdHasher {
    keys: [u64; 2],
    hash: u64,
}

impl Hasher for IdHasher {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(size_of::<Id>()) {
            let mut id = Id::default();
            id[..part.len()].copy_from_slice(part);
            let number = u128::from_le_bytes(id);
            let product = u128::from(number as u64 ^ self.keys[0]) * u128::from((number >> 64) as u64 ^ self.keys[1]);
            self.hash = self.hash.rotate_left(5) ^ product as u64 ^ (product >> 64) as u64;
        }
    }

    // The length, which all ids have in common.
    #[inline]
    fn write_usize(&mut self, _: usize) {}

    #[inline]
    fn finish(&self) -> u64 {
        self.hash
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_differ_in_few_bits_have_different_hashes() {
        let state = IdState::default();
        let ids = (0..128u32).flat_map(|bit| (0..64u128).map(move |number| (number << bit.min(122)) | 1));
        let ids: HashSet<Id> = ids.map(u128::to_le_bytes).collect();
        let hashes: HashSet<u64> = ids.iter().map(|id| state.hash_one(id)).collect();
        assert_eq!(hashes.len(), ids.len());
        // A table chooses the place by the low bits.
        let low: HashSet<u64> = hashes.iter().map(|hash| hash % 4096).collect();
        assert!(low.len() > 2000, "{} of {}", low.len(), ids.len());
    }

    #[test]
    fn a_set_has_what_was_put_into_it() {
        let mut set = id_set(10);
        set.extend((0..1000u128).map(|number| (number * 3).to_be_bytes()));
        for number in 0..3000u128 {
            assert_eq!(set.contains(&number.to_be_bytes()), number % 3 == 0);
        }
    }
}
