//! Results of words that were merged before.

use super::layout::Key;
use super::merge::SEGMENT_BYTES;

const WORDS_PER_SET: usize = 4;

/// A set-associative cache with FIFO eviction: the hash chooses one of `SETS` sets, a power of two, and a new word evicts
/// the oldest of its set. Words longer than [`SEGMENT_BYTES`] are not kept, so the memory is bounded.
pub(super) struct WordCache<T, const SETS: usize>(Vec<[Option<Word<T>>; WORDS_PER_SET]>);

struct Word<T> {
    key: Key,
    /// Its bytes, if the key is not exact.
    bytes: Box<[u8]>,
    value: T,
}

impl<T, const SETS: usize> Default for WordCache<T, SETS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const SETS: usize> WordCache<T, SETS> {
    pub(super) const fn new() -> Self {
        WordCache(Vec::new())
    }

    #[inline]
    pub(super) fn get(&self, key: Key, bytes: &[u8]) -> Option<&T> {
        let set = self.0.get(key.first_slot(SETS))?;
        set.iter()
            .flatten()
            .find(|word| word.key == key && (key.is_exact() || *word.bytes == *bytes))
            .map(|word| &word.value)
    }

    pub(super) fn insert(&mut self, key: Key, bytes: &[u8], value: T) {
        if bytes.len() > SEGMENT_BYTES {
            return;
        }
        if self.0.is_empty() {
            self.0.resize_with(SETS, Default::default);
        }
        let set = &mut self.0[key.first_slot(SETS)];
        set.rotate_right(1);
        let bytes = if key.is_exact() {
            Box::default()
        } else {
            bytes.into()
        };
        set[0] = Some(Word { key, bytes, value });
    }
}
