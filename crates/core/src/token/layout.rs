// The layout of the tables that build.rs writes and the crate reads. The build script includes this file, so the
// module's documentation stands in token.rs.

// Classes of characters, one bit per class. Every character has exactly one class; the end of a text has none.

/// Lu and Lt.
pub(crate) const UPPER: u8 = 1;
/// Ll.
pub(crate) const LOWER: u8 = 2;
/// Lm and Lo.
pub(crate) const LETTER: u8 = 4;
/// M.
pub(crate) const MARK: u8 = 8;
/// N.
pub(crate) const NUMBER: u8 = 16;
/// White space other than `\r` and `\n`.
pub(crate) const SPACE: u8 = 32;
/// `\r` and `\n`.
pub(crate) const NEWLINE: u8 = 64;
/// All other characters.
pub(crate) const OTHER: u8 = 128;

/// A slot of a vocabulary's hash table: 16 bytes of key, then 32 bits of length and token.
pub(crate) type Slot = [u8; 20];

/// The slot of no token: its length, 16,383 bytes, is above [`MAX_TOKEN_BYTES`].
pub(crate) const EMPTY: Slot = [0xFF; 20];

/// How many of a slot's last 32 bits hold the token. The other 14 hold the token's length in bytes.
pub(crate) const TOKEN_BITS: u32 = 18;

/// The most bytes that a token may have. The encoder merges long words in segments, and relies on this where two of them
/// meet. build.rs refuses a vocabulary with a longer token.
pub(crate) const MAX_TOKEN_BYTES: usize = 128;

/// Bytes of a vocabulary's filter: few enough to stay in a processor's cache, where the slots do not fit, and enough that
/// most bits are zero.
pub(crate) const FILTER_BYTES: usize = 1 << 17;

/// Stands for "no token" where a token's number is expected.
pub(crate) const NO_TOKEN: u32 = u32::MAX;

/// The index of a token of two bytes in the table of such tokens.
#[inline]
pub(crate) fn byte_pair(first: u8, second: u8) -> usize {
    usize::from(first) << 8 | usize::from(second)
}

/// Bytes of the filter of character pairs.
pub(crate) const CHAR_PAIRS_BYTES: usize = 1 << 16;

/// The byte and the bit, in a filter of [`CHAR_PAIRS_BYTES`], that are set if any token holds these two characters side by
/// side.
#[inline]
pub(crate) fn char_pair(left: char, right: char) -> (usize, u8) {
    let mixed = (u64::from(left) << 32 | u64::from(right)).wrapping_mul(SPREAD);
    let bit = (mixed >> (64 - (8 * CHAR_PAIRS_BYTES).trailing_zeros())) as usize;
    (bit / 8, 1 << (bit % 8))
}

/// The byte and the bit, in a table of [`PARTIAL_PAIRS_BYTES`], that are set if any token holds the end of a character and
/// the beginning of the next one, but not all of both. `last` and `first` are the bytes that meet there.
#[inline]
pub(crate) fn partial_pair(last: u8, first: u8) -> (usize, u8) {
    let bit = usize::from(last & 0x3F) << 6 | usize::from(first & 0x3F);
    (bit / 8, 1 << (bit % 8))
}

/// Bytes of the table of characters that a token holds in part.
pub(crate) const PARTIAL_PAIRS_BYTES: usize = 64 * 64 / 8;

/// The hash table's key of a token: its bytes if they are at most 16, else a hash of them.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Key {
    low: u64,
    high: u64,
    len: u32,
}

/// 2^64 divided by the golden ratio: multiplying by it spreads bits upwards (Fibonacci hashing).
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

impl Key {
    #[inline]
    pub(crate) fn of(bytes: &[u8]) -> Self {
        let (low, high) = match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
            _ if bytes.len() > 16 => (hash(bytes), 0),
            // They overlap below sixteen bytes, and with the length still tell all of them.
            (Some(first), Some(last)) => (u64::from_le_bytes(*first), u64::from_le_bytes(*last)),
            _ => (less_than_eight(bytes), 0),
        };
        Key {
            low,
            high,
            len: bytes.len() as u32,
        }
    }

    /// Whether the key holds the bytes themselves, so that equal keys mean equal bytes.
    #[inline]
    pub(crate) fn is_exact(self) -> bool {
        self.len <= 16
    }

    /// The slot to look into first, of `slots`, a power of two. The slots after it follow, up to an empty one.
    #[inline]
    pub(crate) fn first_slot(self, slots: usize) -> usize {
        let mixed = (self.low ^ u64::from(self.len)).wrapping_mul(SPREAD);
        let mixed = (mixed ^ self.high).wrapping_mul(SPREAD);
        (mixed >> (64 - slots.trailing_zeros())) as usize
    }

    /// The byte and the bit of the filter that are set if any token has such a key.
    #[inline]
    pub(crate) fn filter_bit(self) -> (usize, u8) {
        let bit = self.first_slot(8 * FILTER_BYTES);
        (bit / 8, 1 << (bit % 8))
    }

    /// The slot of a token whose key this is.
    pub(crate) fn slot(self, token: u32) -> Slot {
        let mut slot = EMPTY;
        slot[..8].copy_from_slice(&self.low.to_le_bytes());
        slot[8..16].copy_from_slice(&self.high.to_le_bytes());
        slot[16..].copy_from_slice(&(self.len << TOKEN_BITS | token).to_le_bytes());
        slot
    }

    /// The token in a slot, if the slot has this key.
    #[inline]
    pub(crate) fn token_in(self, slot: &Slot) -> Option<u32> {
        let (low, rest) = slot.split_first_chunk::<8>()?;
        let (high, rest) = rest.split_first_chunk::<8>()?;
        let rest = u32::from_le_bytes(*rest.first_chunk::<4>()?);
        let is_this = u64::from_le_bytes(*low) == self.low
            && u64::from_le_bytes(*high) == self.high
            && rest >> TOKEN_BITS == self.len;
        is_this.then_some(rest & ((1 << TOKEN_BITS) - 1))
    }
}

/// Packs up to seven bytes into a u64: four to seven as two overlapping u32s, one to three as first, middle and last. The
/// length tells them apart.
#[inline]
fn less_than_eight(bytes: &[u8]) -> u64 {
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << 32;
    }
    match (bytes.first(), bytes.get(bytes.len() / 2), bytes.last()) {
        (Some(first), Some(middle), Some(last)) => u64::from(u32::from_le_bytes([*first, *middle, *last, 0])),
        _ => 0,
    }
}

#[inline]
fn hash(bytes: &[u8]) -> u64 {
    let (words, _) = bytes.as_chunks::<8>();
    words
        .iter()
        .chain(bytes.last_chunk::<8>())
        .fold(0, |hash: u64, word| {
            (hash.rotate_left(23) ^ u64::from_le_bytes(*word)).wrapping_mul(SPREAD)
        })
}
