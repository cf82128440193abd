//! The tokens of an encoding, in tables that are part of the program file: nothing is built when a process starts,
//! and all processes share them.

use super::layout::{self, EMPTY, Key, Slot};

/// The tokens of an encoding and their numbers. Lower numbers were merged earlier when the encoding was made.
pub(super) struct Vocabulary {
    slots: &'static [Slot],
    /// Tells of most byte sequences that are no token without a look at the slots.
    filter: &'static [u8],
    /// The tokens of two bytes.
    pairs: &'static [[u8; 4]],
    /// The bytes of all tokens, one after the other.
    bytes: &'static [u8],
    /// Where each token's bytes begin, and the end of the last one's.
    offsets: &'static [[u8; 4]],
}

macro_rules! vocabulary {
    ($name:literal) => {
        Vocabulary {
            slots: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".slots"))
                .as_chunks()
                .0,
            filter: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".filter")),
            pairs: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".pairs"))
                .as_chunks()
                .0,
            bytes: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".bytes")),
            offsets: include_bytes!(concat!(env!("OUT_DIR"), "/", $name, ".offsets"))
                .as_chunks()
                .0,
        }
    };
}

pub(super) static O200K: Vocabulary = vocabulary!("o200k_base");
pub(super) static CL100K: Vocabulary = vocabulary!("cl100k_base");
pub(super) static P50K: Vocabulary = vocabulary!("p50k_base");
pub(super) static R50K: Vocabulary = vocabulary!("r50k_base");

impl Vocabulary {
    /// The number of the token that `bytes` spell, if they are one.
    #[inline]
    pub(super) fn token(&self, bytes: &[u8]) -> Option<u32> {
        let key = Key::of(bytes);
        let (byte, bit) = key.filtered_by();
        if self.filter[byte] & bit == 0 {
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

    /// What a token spells; `None` for a number that the encoding does not have, or has for a special token.
    pub(super) fn bytes_of(&self, token: u32) -> Option<&'static [u8]> {
        let [start, end] = *self.offsets.get(token as usize..)?.first_chunk::<2>()?;
        let range = u32::from_le_bytes(start) as usize..u32::from_le_bytes(end) as usize;
        self.bytes.get(range).filter(|bytes| !bytes.is_empty())
    }
}
