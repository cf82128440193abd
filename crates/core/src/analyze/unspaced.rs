//! Words of scripts that have no spaces. ICU's dictionaries find them, as they do for chunks: they are faster than its neural
//! networks, and in the library anyway.
//!
//! In Chinese and Japanese the words of a query and of a text may be cut differently, so each pair of neighbouring characters
//! is searched for too.

use icu_segmenter::options::WordBreakInvariantOptions;
use icu_segmenter::{WordSegmenter, WordSegmenterBorrowed};
use std::sync::LazyLock;

static WORDS: LazyLock<WordSegmenterBorrowed<'static>> =
    LazyLock::new(|| WordSegmenter::new_dictionary(WordBreakInvariantOptions::default()));

/// The ends of the words of a text, in bytes.
pub(super) fn word_ends(text: &str) -> impl Iterator<Item = usize> + '_ {
    // The first boundary is the beginning.
    WORDS.segment_str(text).skip(1)
}
