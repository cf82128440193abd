//! What is known of words that were merged before.

use super::layout::Key;
use super::merge::WINDOW;

/// How many words there are in a set.
const WORDS: usize = 4;

/// A word belongs to the set that its hash gives it, where it replaces the one that came first. There are `SETS` sets, a
/// power of two. None is kept that is longer than what is merged at once: so the memory is bounded.
pub(super) struct Known<T, const SETS: usize>(Vec<[Option<Word<T>>; WORDS]>);

struct Word<T> {
    key: Key,
    /// Its bytes, if the key does not tell them.
    long: Box<[u8]>,
    known: T,
}

impl<T, const SETS: usize> Default for Known<T, SETS> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T, const SETS: usize> Known<T, SETS> {
    pub(super) const fn new() -> Self {
        Known(Vec::new())
    }

    #[inline]
    pub(super) fn get(&self, key: Key, bytes: &[u8]) -> Option<&T> {
        let set = self.0.get(key.first_slot(SETS))?;
        set.iter()
            .flatten()
            .find(|word| word.key == key && (key.is_exact() || *word.long == *bytes))
            .map(|word| &word.known)
    }

    pub(super) fn insert(&mut self, key: Key, bytes: &[u8], known: T) {
        if bytes.len() > WINDOW {
            return;
        }
        if self.0.is_empty() {
            self.0.resize_with(SETS, Default::default);
        }
        let set = &mut self.0[key.first_slot(SETS)];
        set.rotate_right(1);
        let long = if key.is_exact() {
            Box::default()
        } else {
            bytes.into()
        };
        set[0] = Some(Word { key, long, known });
    }
}
