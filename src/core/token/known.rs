//! How many tokens words are that were merged before. Words come again, in a text and in the texts after it, so this is
//! kept as long as the process lives.

use super::layout::Key;

/// How many sets of words are kept, and how many words in a set.
const SETS: usize = 1 << 11;
const WORDS: usize = 4;

/// Bytes of the longest word that is kept. With the above it bounds the memory of an encoding: 400 kB, and
/// 2 MB more where all words are long.
const LONGEST: usize = 256;

/// A word belongs to the set that its hash gives it, where it replaces the one that came first.
#[derive(Default)]
pub(super) struct Known(Vec<[Word; WORDS]>);

#[derive(Clone, Default)]
struct Word {
    key: Key,
    tokens: u32,
    /// Its bytes, if the key does not tell them.
    long: Box<[u8]>,
}

impl Known {
    pub(super) const fn new() -> Self {
        Known(Vec::new())
    }

    #[inline]
    pub(super) fn tokens(&self, key: Key, bytes: &[u8]) -> Option<usize> {
        let set = self.0.get(key.first_slot(SETS))?;
        set.iter()
            .find(|word| word.key == key && (key.is_exact() || *word.long == *bytes))
            .map(|word| word.tokens as usize)
    }

    pub(super) fn insert(&mut self, key: Key, bytes: &[u8], tokens: usize) {
        if bytes.len() > LONGEST {
            return;
        }
        if self.0.is_empty() {
            self.0.resize(SETS, Default::default());
        }
        let set = &mut self.0[key.first_slot(SETS)];
        set.rotate_right(1);
        set[0] = Word {
            key,
            tokens: tokens as u32,
            long: if key.is_exact() {
                Box::default()
            } else {
                bytes.into()
            },
        };
    }
}
