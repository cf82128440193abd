//! Finds the words of texts and queries, in place of Postgres's parser.
//!
//! A text is read in pieces without white space ([`pieces`]). A piece is normalised ([`letters`]) and cut into words and
//! compounds ([`chain`]), or by a dictionary where its script has no spaces ([`unspaced`]). What a piece gives depends on
//! nothing around it, so that the analyser remembers it.
//!
//! # How words meet
//!
//! A word of a query is found in a text if the text has
//! - one of the word's lexemes, or
//! - a lexeme of a compound or bigram of the query whose byte range covers the word, or
//! - all bigrams of the query that lie within the word.
//!
//! The lexeme of a compound is its parts without what joins them, so that `UTF-8`, `UTF_8` and `utf8` meet. Between digits a
//! point stays (`1.2.3`), which tells 3.14 from 314.

mod chain;
mod language;
mod letters;
mod pieces;
mod unspaced;

use crate::Interrupt;
use chain::Reader;
use language::Rules;
use letters::Letter;
use pieces::Pieces;
use std::borrow::Cow;
use std::collections::HashMap;
use std::mem;
use std::ops::Range;

/// The most bytes of a lexeme.
pub const MAX_LEXEME_BYTES: usize = 255;
/// The most pieces of texts that an analyser remembers.
const MAX_KNOWN: usize = 16_384;
/// The most bytes of lexemes that an analyser remembers.
const MAX_KNOWN_BYTES: usize = 4 << 20;
/// The longest piece that is worth remembering, in bytes.
const MAX_KNOWN_PIECE: usize = 64;
/// How many bytes are read between two checks for cancellation.
const BYTES_PER_CHECK: usize = 1024;

/// Knows the stems and the stop words of a language.
pub trait Stemmer {
    /// The stem of a word, or none if it is a stop word. The word is in lower case and composed (NFC), with its accents.
    fn stem<'a>(&'a mut self, word: &'a str) -> Option<Cow<'a, str>>;
}

impl<F: FnMut(&str) -> Option<String>> Stemmer for F {
    fn stem<'a>(&'a mut self, word: &'a str) -> Option<Cow<'a, str>> {
        self(word).map(Cow::Owned)
    }
}

/// What a lexeme is to the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// A word as written, in lower case without accents, that is its own stem.
    Word,
    /// A word as written whose stem differs.
    Written,
    /// A stem that is not written, another spelling, or a bigram.
    Stem,
    /// A whole whose parts are words of their own.
    Compound,
}

/// What an entry of the analysis stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A word. Each has its position.
    Word,
    /// Several words that are written as one. It has the position of the first.
    Compound,
    /// Two neighbouring characters of a script whose words are not sure: Chinese, Japanese, Korean. It has the position of
    /// the word that the first character belongs to.
    Bigram,
}

/// What is indexed or searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lexeme<'a> {
    /// Lower case without accents, at most 255 bytes, without white space and control characters.
    pub text: &'a str,
    pub form: Form,
}

/// A word, a compound or a bigram of a text.
#[derive(Debug, Clone, Copy)]
pub struct Word<'a> {
    /// The number of the word in the text, from 1.
    pub position: u32,
    /// Where it begins in the text as given, in bytes.
    pub start: usize,
    /// Where it ends in the text as given, in bytes.
    pub end: usize,
    pub kind: Kind,
    /// Whether the stemmer, or the language's grammar, calls the word a stop word.
    pub is_stop: bool,
    spellings: &'a [Spelling],
    text: &'a str,
}

impl<'a> Word<'a> {
    /// The lexemes, without repetition. The first is the word as written.
    pub fn lexemes(&self) -> impl Iterator<Item = Lexeme<'a>> + use<'a> {
        let text = self.text;
        self.spellings.iter().map(move |spelling| Lexeme {
            text: &text[spelling.start as usize..spelling.end as usize],
            form: spelling.form,
        })
    }
}

/// A lexeme as it is remembered: a range of [`Memory::text`].
#[derive(Debug, Clone, Copy)]
struct Spelling {
    start: u32,
    end: u32,
    form: Form,
}

/// An entry as it is remembered. Its numbers count from the beginning of its piece.
#[derive(Debug, Clone)]
struct Entry {
    position: u32,
    start: u32,
    end: u32,
    kind: Kind,
    is_stop: bool,
    spellings: Range<u32>,
}

/// What a piece gave: a range of [`Memory::entries`], and the number of its words.
#[derive(Debug, Clone)]
struct Known {
    entries: Range<usize>,
    words: u32,
}

/// The entries of pieces.
#[derive(Debug, Default)]
struct Memory {
    text: String,
    spellings: Vec<Spelling>,
    entries: Vec<Entry>,
}

impl Memory {
    /// Adds a lexeme to the entry whose spellings begin at `first`, unless it has it. What cannot be a lexeme is left out.
    fn spell(&mut self, first: usize, text: &str, form: Form) {
        let text = &text[..text.floor_char_boundary(MAX_LEXEME_BYTES)];
        let unfit = text.is_empty() || text.contains(|c: char| c.is_whitespace() || c.is_control());
        let same = |spelling: &Spelling| &self.text[spelling.start as usize..spelling.end as usize] == text;
        if unfit || self.spellings[first..].iter().any(same) {
            return;
        }
        let start = self.text.len() as u32;
        self.text.push_str(text);
        self.spellings.push(Spelling {
            start,
            end: self.text.len() as u32,
            form,
        });
    }

    fn size(&self) -> Size {
        Size {
            text: self.text.len(),
            spellings: self.spellings.len(),
            entries: self.entries.len(),
        }
    }

    fn truncate(&mut self, size: &Size) {
        self.text.truncate(size.text);
        self.spellings.truncate(size.spellings);
        self.entries.truncate(size.entries);
    }

    fn word<'a>(&'a self, entry: &Entry, before: u32, offset: usize) -> Word<'a> {
        Word {
            position: before.saturating_add(entry.position),
            start: offset + entry.start as usize,
            end: offset + entry.end as usize,
            kind: entry.kind,
            is_stop: entry.is_stop,
            spellings: &self.spellings[entry.spellings.start as usize..entry.spellings.end as usize],
            text: &self.text,
        }
    }
}

/// How much is in a memory.
#[derive(Debug, Default)]
struct Size {
    text: usize,
    spellings: usize,
    entries: usize,
}

/// Finds the words of texts in one language. It remembers what it has read, so use one for many texts.
pub struct Analyzer<S> {
    rules: Rules,
    stemmer: S,
    known: HashMap<Box<str>, Known>,
    /// The known pieces, and the piece that was read last.
    memory: Memory,
    /// The size of the known pieces.
    kept: Size,
    /// Room for a piece that is being read.
    letters: Vec<Letter>,
}

impl<S: Stemmer> Analyzer<S> {
    /// An analyser with the rules of a language, which is named as Postgres names its text search configuration.
    pub fn new(language: &str, stemmer: S) -> Self {
        Self {
            rules: Rules::of(language),
            stemmer,
            known: HashMap::new(),
            memory: Memory::default(),
            kept: Size::default(),
            letters: Vec::new(),
        }
    }

    /// Whether a word joins parts of compounds in a language that leaves out what they share, as German does in `Ein- und Ausfuhr`.
    pub fn is_conjunction(&self, word: &str) -> bool {
        self.rules.is_conjunction(word)
    }

    /// Calls `found` with each word, compound and bigram of a text, ordered by where they begin.
    pub fn each(&mut self, content: &str, interrupt: Interrupt, mut found: impl FnMut(Word<'_>)) {
        let mut words = 0;
        let mut checked = 0;
        interrupt.check();
        for piece in Pieces::of(content) {
            if piece.end - checked >= BYTES_PER_CHECK {
                interrupt.check();
                checked = piece.end;
            }
            let known = self.known(&content[piece.clone()]);
            for entry in &self.memory.entries[known.entries.clone()] {
                found(self.memory.word(entry, words, piece.start));
            }
            words = words.saturating_add(known.words);
        }
    }

    /// What a piece gives, remembered or read.
    fn known(&mut self, piece: &str) -> Known {
        if let Some(known) = self.known.get(piece) {
            return known.clone();
        }
        if self.known.len() >= MAX_KNOWN || self.kept.text >= MAX_KNOWN_BYTES {
            self.known.clear();
            self.kept = Size::default();
        }
        self.memory.truncate(&self.kept);
        let known = self.read(piece);
        if piece.len() <= MAX_KNOWN_PIECE {
            self.known.insert(piece.into(), known.clone());
            self.kept = self.memory.size();
        }
        known
    }

    fn read(&mut self, piece: &str) -> Known {
        let first = self.memory.entries.len();
        let mut normal = mem::take(&mut self.letters);
        letters::normalise(piece, &mut normal);
        let words = Reader::new(&normal, &self.rules, &mut self.stemmer, &mut self.memory).read();
        self.letters = normal;
        Known {
            entries: first..self.memory.entries.len(),
            words,
        }
    }
}

#[cfg(test)]
mod tests;
