//! The tokens of an encoding, in tables that are part of the program file: nothing is built when a process starts,
//! and all processes share them.

use super::known::Known;
use super::layout::{self, EMPTY, Key, Slot};
use std::cell::Cell;
use std::thread::LocalKey;

/// How many tokens words are: 400 kB of them, and 2 MB more where all words are long.
pub(super) type KnownCounts = Known<u32, 2048>;

/// The tokens of an encoding and their numbers. Lower numbers were merged earlier when the encoding was made.
pub(super) struct Vocabulary {
    slots: &'static [Slot],
    /// Tells of most byte sequences that are no token without a look at the slots.
    filter: &'static [u8],
    /// The tokens of two bytes.
    pairs: &'static [[u8; 4]],
    /// Which characters a token may join, …
    joints: &'static [u8],
    /// … and which where it holds but a part of them.
    torn: &'static [u8],
    /// The bytes of all tokens, one after the other.
    bytes: &'static [u8],
    /// Where each token's bytes begin, and the end of the last one's.
    offsets: &'static [[u8; 4]],
    /// What this process has counted: words come again, in a text and in the texts after it. Whoever encodes takes it and
    /// gives it back.
    pub(super) known: &'static LocalKey<Cell<KnownCounts>>,
}

macro_rules! vocabulary {
    ($name:literal) => {{
        thread_local!(static KNOWN: Cell<KnownCounts> = const { Cell::new(Known::new()) });
        Vocabulary {
            slots: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".slots"))
                .as_chunks()
                .0,
            filter: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".filter")),
            pairs: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".pairs"))
                .as_chunks()
                .0,
            joints: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".joints")),
            torn: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".torn")),
            bytes: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".bytes")),
            offsets: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".offsets"))
                .as_chunks()
                .0,
            known: &KNOWN,
        }
    }};
}

pub(super) static O200K: Vocabulary = vocabulary!("o200k_base");
pub(super) static CL100K: Vocabulary = vocabulary!("cl100k_base");
pub(super) static P50K: Vocabulary = vocabulary!("p50k_base");
pub(super) static R50K: Vocabulary = vocabulary!("r50k_base");

impl Vocabulary {
    /// Whether a word is found to be a token at a glance, as most words of a text are.
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

    /// So too, for bytes whose key is known.
    #[inline]
    pub(super) fn token_of(&self, key: Key, bytes: &[u8]) -> Option<u32> {
        if !is_set(self.filter, key.filtered_by()) {
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

    /// The number of the token of two bytes, or [`NO_TOKEN`].
    #[inline]
    pub(super) fn pair(&self, first: u8, second: u8) -> u32 {
        u32::from_le_bytes(self.pairs[layout::pair(first, second)])
    }

    /// `word` in pieces, each of which is encoded by itself: it is cut between characters that no token joins, so that
    /// no merge can. In scripts of thousands of characters most pieces are one or two of them.
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

    /// Whether a token may reach from a character into the next one; `bytes` are the last of the one and those of the other.
    #[inline]
    fn joins(&self, left: char, right: char, bytes: &[u8]) -> bool {
        left.is_ascii()
            || right.is_ascii()
            || is_set(self.joints, layout::joint(left, right))
            || matches!(bytes, [last, first, ..] if is_set(self.torn, layout::torn(*last, *first)))
    }

    /// What a token spells; `None` for a number that the encoding does not have, or has for a special token.
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
