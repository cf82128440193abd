//! The tokens of an encoding, in tables that are part of the program file: a process builds nothing when it starts, and
//! all processes share the tables.

use super::layout::{self, EMPTY, Key, Slot};
use super::word_cache::WordCache;
use std::cell::Cell;
use std::thread::LocalKey;

/// Token counts of words: 400 kB, and at most 2 MB more if all words are long.
pub(super) type CountCache = WordCache<u32, 2048>;

/// The tokens of an encoding and their numbers. Lower numbers were merged earlier when the encoding was made.
pub(super) struct Vocabulary {
    slots: &'static [Slot],
    /// Rejects most byte sequences that are no token without a look at the slots.
    filter: &'static [u8],
    /// The tokens of two bytes, by [`layout::byte_pair`].
    byte_pairs: &'static [[u8; 4]],
    /// The characters that some token may hold side by side: a filter, by [`layout::char_pair`].
    char_pairs: &'static [u8],
    /// The same for tokens that hold only a part of a character, by [`layout::partial_pair`].
    partial_pairs: &'static [u8],
    /// The bytes of all tokens, one after the other.
    bytes: &'static [u8],
    /// Where each token's bytes begin, and the end of the last one's.
    offsets: &'static [[u8; 4]],
    /// What this thread has counted: words recur, within a text and in later texts. An encoder takes the cache while it
    /// lives.
    pub(super) counts: &'static LocalKey<Cell<CountCache>>,
}

macro_rules! vocabulary {
    ($name:literal) => {{
        thread_local!(static COUNTS: Cell<CountCache> = const { Cell::new(WordCache::new()) });
        Vocabulary {
            slots: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".slots"))
                .as_chunks()
                .0,
            filter: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".filter")),
            byte_pairs: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".byte_pairs"))
                .as_chunks()
                .0,
            char_pairs: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".char_pairs")),
            partial_pairs: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".partial_pairs")),
            bytes: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".bytes")),
            offsets: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".offsets"))
                .as_chunks()
                .0,
            counts: &COUNTS,
        }
    }};
}

pub(super) static O200K: Vocabulary = vocabulary!("o200k_base");
pub(super) static CL100K: Vocabulary = vocabulary!("cl100k_base");
pub(super) static P50K: Vocabulary = vocabulary!("p50k_base");
pub(super) static R50K: Vocabulary = vocabulary!("r50k_base");

impl Vocabulary {
    /// Whether the first slot already shows that a word is a token, as for most words of a text. `false` may be wrong.
    #[inline]
    pub(super) fn is_plainly_token(&self, key: Key) -> bool {
        let slot = &self.slots[key.first_slot(self.slots.len())];
        key.is_exact() && key.token_in(slot).is_some()
    }

    /// The number of the token that `bytes` spell, if they are one.
    #[inline]
    pub(super) fn token(&self, bytes: &[u8]) -> Option<u32> {
        self.token_of(Key::of(bytes), bytes)
    }

    /// Like [`Vocabulary::token`], for bytes whose key has been computed.
    #[inline]
    pub(super) fn token_of(&self, key: Key, bytes: &[u8]) -> Option<u32> {
        if !is_set(self.filter, key.filter_bit()) {
            return None;
        }
        let mut at = key.first_slot(self.slots.len());
        loop {
            let slot = &self.slots[at];
            match key.token_in(slot) {
                Some(token) if key.is_exact() || self.bytes_of(token) == Some(bytes) => return Some(token),
                _ if *slot == EMPTY => return None,
                _ => at = (at + 1) & (self.slots.len() - 1),
            }
        }
    }

    /// The number of the token of two bytes, or [`NO_TOKEN`](super::layout::NO_TOKEN).
    #[inline]
    pub(super) fn pair(&self, first: u8, second: u8) -> u32 {
        u32::from_le_bytes(self.byte_pairs[layout::byte_pair(first, second)])
    }

    /// Cuts `word` into pieces that are encoded independently: between characters that no token holds side by side, so
    /// that no merge can cross. In scripts of thousands of characters most pieces are one or two characters.
    pub(super) fn pieces<'a>(&self, word: &'a str) -> impl Iterator<Item = &'a str> {
        let mut rest = word;
        std::iter::from_fn(move || {
            let mut characters = rest.char_indices();
            let (_, mut left) = characters.next()?;
            for (at, right) in characters {
                if !self.joins(left, right, &rest.as_bytes()[at - 1..]) {
                    let piece;
                    (piece, rest) = rest.split_at(at);
                    return Some(piece);
                }
                left = right;
            }
            Some(std::mem::take(&mut rest))
        })
    }

    /// Whether a token may reach from character `left` into `right`. `bytes` begin with the last byte of `left`, and the
    /// bytes of `right` follow.
    #[inline]
    fn joins(&self, left: char, right: char, bytes: &[u8]) -> bool {
        left.is_ascii()
            || right.is_ascii()
            || is_set(self.char_pairs, layout::char_pair(left, right))
            || matches!(bytes, [last, first, ..] if is_set(self.partial_pairs, layout::partial_pair(*last, *first)))
    }

    /// What a token spells. `None` for a number that the encoding does not have, or that is a special token.
    pub(super) fn bytes_of(&self, token: u32) -> Option<&'static [u8]> {
        let [start, end] = *self.offsets.get(token as usize..)?.first_chunk::<2>()?;
        let range = u32::from_le_bytes(start) as usize..u32::from_le_bytes(end) as usize;
        self.bytes.get(range).filter(|bytes| !bytes.is_empty())
    }
}

#[inline]
fn is_set(bits: &[u8], (byte, bit): (usize, u8)) -> bool {
    bits[byte] & bit != 0
}
