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

/// How many bytes after a window the end of a sentence in it may depend on.
pub(crate) const SENTENCE_LOOKAHEAD: usize = 4096;

/// How many bytes after a word its end may depend on, the longest words of the dictionaries included.
const WORD_LOOKAHEAD: usize = 256;

/// A unit of any text, the smallest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Character,
    Grapheme,
    Word,
    Sentence,
}

impl Unit {
    pub(crate) const ALL: [Unit; 4] = [Unit::Character, Unit::Grapheme, Unit::Word, Unit::Sentence];

    /// The ends of the units of `text` from `start` on.
    pub(crate) fn ends(self, text: &str, start: usize) -> Box<dyn Iterator<Item = usize> + '_> {
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

/// The offset up to which a text must be read to know the units' ends up to `end`. Ends found after `end` may be wrong.
/// Whether "etc. 12 …" ends a sentence depends on whether the next letter is a lower case one.
pub(crate) fn stable_end(text: &str, end: usize) -> usize {
    let near = text.floor_char_boundary(end.saturating_add(WORD_LOOKAHEAD));
    let far = text.floor_char_boundary(end.saturating_add(SENTENCE_LOOKAHEAD));
    text[near..far]
        .find(|c: char| c == '\n' || c.is_alphabetic())
        .map_or(far, |at| text.ceil_char_boundary(near + at + 1))
}
