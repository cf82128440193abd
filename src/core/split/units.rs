//! The units of any text: sentences, words, graphemes, characters, as Unicode defines them (UAX #29).

use icu_segmenter::options::{SentenceBreakInvariantOptions, WordBreakInvariantOptions};
use icu_segmenter::{
    GraphemeClusterSegmenter, GraphemeClusterSegmenterBorrowed, SentenceSegmenter, SentenceSegmenterBorrowed,
    WordSegmenter, WordSegmenterBorrowed,
};
use std::sync::LazyLock;

const GRAPHEMES: GraphemeClusterSegmenterBorrowed<'static> = GraphemeClusterSegmenter::new();
static SENTENCES: LazyLock<SentenceSegmenterBorrowed<'static>> =
    LazyLock::new(|| SentenceSegmenter::new(SentenceBreakInvariantOptions::default()));
static WORDS: LazyLock<WordSegmenterBorrowed<'static>> =
    LazyLock::new(|| WordSegmenter::new_dictionary(WordBreakInvariantOptions::default()));

/// How far behind a window a boundary in it may depend on.
pub(super) const LOOKAHEAD: usize = 4096;

/// As far as words depend on what follows them, the longest of the dictionaries included.
const NEAR: usize = 256;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Character,
    Grapheme,
    Word,
    Sentence,
}

impl Unit {
    pub(super) const ALL: [Unit; 4] = [Unit::Character, Unit::Grapheme, Unit::Word, Unit::Sentence];

    /// The ends of the units of `text` from `start` on.
    pub(super) fn ends(self, text: &str, start: usize) -> Box<dyn Iterator<Item = usize> + '_> {
        let text = &text[start..];
        let ends: Box<dyn Iterator<Item = usize>> = match self {
            Unit::Character => Box::new(text.char_indices().map(|(at, c)| at + c.len_utf8())),
            // The first boundary is the beginning.
            Unit::Grapheme => Box::new(GRAPHEMES.segment_str(text).skip(1)),
            Unit::Word => Box::new(WORDS.segment_str(text).skip(1)),
            Unit::Sentence => Box::new(SENTENCES.segment_str(text).skip(1)),
        };
        Box::new(ends.map(move |end| start + end))
    }
}

/// How much of a text tells what the boundaries up to `end` are: one behind it need not be real. Whether "etc. 12 …" is a sentence's end depends on
/// whether the next letter is a lower case one.
pub(super) fn settled(text: &str, end: usize) -> usize {
    let near = text.floor_char_boundary(end.saturating_add(NEAR));
    let far = text.floor_char_boundary(end.saturating_add(LOOKAHEAD));
    text[near..far]
        .find(|c: char| c == '\n' || c.is_alphabetic())
        .map_or(far, |at| text.ceil_char_boundary(near + at + 1))
}
