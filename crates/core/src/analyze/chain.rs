//! Finds the words and compounds of a piece.
//!
//! Letters, digits and marks form runs. Runs that single signs join form a chain, such as `john.doe@example.org`. A run is cut
//! into parts where letters meet digits and where a capital begins a word (`searchChunks`). Each part is a word. A compound is
//! made of
//! - a run of several parts,
//! - the runs that `-`, `.`, `_`, `'`, `·` or the `,` of thousands join, such as a host's name, and
//! - the whole chain,
//!
//! unless a chain has so many parts that nobody would search for it as a whole.

use super::letters::{Class, Letter, is_hangul};
use super::unspaced::word_ends;
use super::{Entry, Form, Kind, Memory, Rules, Stemmer};
use crate::Interrupt;
use crate::fold::fold;
use std::borrow::Cow;
use std::ops::Range;
use unicode_normalization::UnicodeNormalization;

/// The most characters of a word. A longer run is cut.
const MAX_WORD_CHARS: usize = 64;
/// The most bytes of a word before it is folded.
const MAX_WORD_BYTES: usize = 255;
/// The most characters that a dictionary cuts at once.
const MAX_UNSPACED_CHARS: usize = 1000;
/// The most parts of a compound of several runs.
const MAX_COMPOUND_PARTS: usize = 8;
/// How often letters and digits may alternate in a run before it is a code, such as base64, whose parts mean nothing.
const MAX_ALTERNATIONS: usize = 6;
/// The most parts of a run that is no code.
const MAX_RUN_PARTS: usize = 16;
/// The most letters of a name with signs, such as `C++`.
const MAX_SIGNED_LETTERS: usize = 3;

/// A word of a chain.
struct Part {
    position: u32,
    /// Its first letter. Several parts can have the same source, as those of `½` have.
    from: usize,
    start: u32,
    end: u32,
    /// The sign before it. None within a run and at the beginning.
    joint: Option<char>,
    /// In lower case, with its accents.
    lower: String,
}

/// The parts of a run.
type Run = Range<usize>;

/// Reads a piece into the memory.
pub(super) struct Reader<'a, S> {
    letters: &'a [Letter],
    rules: &'a Rules,
    stemmer: &'a mut S,
    memory: &'a mut Memory,
    /// How many words were found.
    words: u32,
    parts: Vec<Part>,
    runs: Vec<Run>,
}

impl<'a, S: Stemmer> Reader<'a, S> {
    pub(super) fn new(
        letters: &'a [Letter],
        rules: &'a Rules,
        stemmer: &'a mut S,
        memory: &'a mut Memory,
    ) -> Self {
        Self {
            letters,
            rules,
            stemmer,
            memory,
            words: 0,
            parts: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Adds the piece's entries to the memory. Returns how many words it has.
    pub(super) fn read(mut self) -> u32 {
        let mut at = 0;
        while let Some(letter) = self.letters.get(at) {
            at = match letter.class {
                Class::Spaced => self.chain(at),
                Class::Ideograph | Class::Complex => self.unspaced(at, letter.class),
                Class::Emoji => self.emoji(at),
                Class::Mark | Class::Sign => at + 1,
            };
        }
        self.words
    }

    /// Reads the chain that begins here. Returns its end.
    fn chain(&mut self, begin: usize) -> usize {
        let first = self.memory.entries.len();
        let mut from = begin;
        let mut joint = None;
        let end = loop {
            let to = self.run_end(from);
            let is_elided = joint != Some('\'') && self.rules.is_elided(&self.letters[from..to]);
            if is_elided && self.joint(from, to) == Some('\'') {
                self.elided(from..to);
                from = to + 1;
                joint = None;
                continue;
            }
            let ending = self.rules.ending(self.letters, from, to);
            self.run(from..ending.word, ending.whole, joint, ending.is_negated);
            if from == begin {
                self.dotted(from..to);
            }
            joint = self.joint(from, ending.whole);
            if joint.is_none() {
                self.signed(from..to);
                break ending.whole;
            }
            from = ending.whole + 1;
        };
        self.compounds();
        self.memory.entries[first..].sort_by_key(|entry| (entry.start, entry.position));
        end
    }

    /// The end of the run that begins here.
    fn run_end(&self, from: usize) -> usize {
        let mut bytes = 0;
        let length = self.letters[from..]
            .iter()
            .take(MAX_WORD_CHARS)
            .take_while(|letter| {
                bytes += letter.letter.len_utf8();
                bytes <= MAX_WORD_BYTES && matches!(letter.class, Class::Spaced | Class::Mark)
            })
            .count();
        from + length
    }

    /// The sign at `at` that joins the run from `from` to `at` with another.
    fn joint(&self, from: usize, at: usize) -> Option<char> {
        let sign = self.letters.get(at)?.letter;
        let is_joined = self.letters.get(at + 1)?.class == Class::Spaced;
        let is_number = |run: &[Letter]| run.iter().all(|letter| letter.letter.is_numeric());
        let joins = match sign {
            '-' | '.' | '_' | '\'' | '·' | '/' | '\\' | '@' | ':' | '&' | '+' | '#' => is_joined,
            // Of thousands.
            ',' => {
                let to = if is_joined { self.run_end(at + 1) } else { at };
                to == at + 4 && is_number(&self.letters[at + 1..to]) && is_number(&self.letters[from..at])
            }
            _ => false,
        };
        joins.then_some(sign)
    }

    /// An elided article is a stop word, and in no compound.
    fn elided(&mut self, range: Range<usize>) {
        self.compounds();
        let lower = self.lower(range.clone());
        let spellings = self.memory.spellings.len();
        self.memory.spell(spellings, &folded(&lower), Form::Word);
        let (start, end) = self.source(range);
        self.word(start, end, true, spellings);
    }

    /// Adds the words of a run. `whole` is the end of what belongs to the last.
    fn run(&mut self, range: Range<usize>, whole: usize, joint: Option<char>, is_negated: bool) {
        let first = self.parts.len();
        let mut from = range.start;
        let cuts = self.cuts(range.clone());
        for to in cuts.into_iter().chain([range.end]) {
            let lower = self.lower(from..to);
            let spellings = self.memory.spellings.len();
            let is_stop = self.spell(spellings, &lower) || is_negated;
            let (start, end) = self.source(from..if to == range.end { whole } else { to });
            let position = self.word(start, end, is_stop, spellings);
            self.bigrams_of_hangul(from..to, position);
            self.parts.push(Part {
                position,
                from,
                start,
                end,
                joint: joint.filter(|_| from == range.start),
                lower,
            });
            from = to;
        }
        self.runs.push(first..self.parts.len());
    }

    /// Where a run is cut into parts.
    fn cuts(&self, range: Range<usize>) -> Vec<usize> {
        let is_lower = |at: usize| at < range.end && self.letters[at].letter.is_lowercase();
        let mut cuts = Vec::new();
        let mut alternations = 0;
        let mut before = Shape::of(self.letters[range.start].letter);
        for at in range.start + 1..range.end {
            if self.letters[at].class != Class::Spaced {
                continue;
            }
            let shape = Shape::of(self.letters[at].letter);
            let alternates = before.family() != shape.family();
            let is_capital = shape == Shape::Upper
                // `URLs` is one word.
                && (before == Shape::Other || before == Shape::Upper && is_lower(at + 1) && is_lower(at + 2));
            if alternates || is_capital {
                cuts.push(at);
            }
            alternations += usize::from(alternates);
            before = shape;
        }
        if alternations > MAX_ALTERNATIONS || cuts.len() >= MAX_RUN_PARTS {
            cuts.clear();
        }
        cuts
    }

    /// Adds the compounds of the runs read so far, and forgets these.
    fn compounds(&mut self) {
        let runs = std::mem::take(&mut self.runs);
        let parts = std::mem::take(&mut self.parts);
        let is_weak = |run: &Run| {
            matches!(
                parts[run.start].joint,
                Some('/' | '\\' | '@' | ':' | '&' | '+' | '#')
            )
        };
        for run in runs.iter().filter(|run| run.len() > 1) {
            self.compound(&parts[run.clone()]);
        }
        let whole = 0..parts.len();
        for close in runs.chunk_by(|_, next| !is_weak(next)) {
            let joined = close[0].start..close[close.len() - 1].end;
            if close.len() > 1 && joined != whole && joined.len() <= MAX_COMPOUND_PARTS {
                self.compound(&parts[joined]);
            }
        }
        if runs.len() > 1 && whole.len() <= MAX_COMPOUND_PARTS {
            self.compound(&parts);
        }
    }

    fn compound(&mut self, parts: &[Part]) {
        let [first, .., last] = parts else { return };
        let mut lower = String::new();
        for part in parts {
            // `3.14` is not 314.
            if part.joint == Some('.')
                && lower.ends_with(char::is_numeric)
                && part.lower.starts_with(char::is_numeric)
            {
                lower.push('.');
            }
            lower.push_str(&part.lower);
        }
        if lower.len() > MAX_WORD_BYTES {
            return;
        }
        let spellings = self.memory.spellings.len();
        self.spell(spellings, &lower);
        for spelling in &mut self.memory.spellings[spellings..] {
            spelling.form = Form::Compound;
        }
        self.entry(first.position, first.start, last.end, Kind::Compound, spellings);
    }

    /// Adds a name that begins with a point, such as `.NET`.
    fn dotted(&mut self, range: Range<usize>) {
        let Some(point) = range
            .start
            .checked_sub(1)
            .filter(|&at| self.letters[at].letter == '.')
        else {
            return;
        };
        let is_free = point.checked_sub(1).is_none_or(|at| {
            let before = self.letters[at];
            before.class == Class::Sign && before.letter != '.'
        });
        if is_free && self.is_of_letters(range.clone()) {
            self.name(point..range.end, range.start);
        }
    }

    /// Adds a name that ends with signs, such as `C++` and `C#`.
    fn signed(&mut self, range: Range<usize>) {
        let sign = |at: usize| self.letters.get(at).map(|letter| letter.letter);
        let signs = match (sign(range.end), sign(range.end + 1)) {
            (Some('+'), Some('+')) => 2,
            (Some('#'), _) => 1,
            _ => return,
        };
        let end = range.end + signs;
        let is_free = self
            .letters
            .get(end)
            .is_none_or(|letter| letter.class == Class::Sign);
        if is_free && range.len() <= MAX_SIGNED_LETTERS && self.is_of_letters(range.clone()) {
            self.name(range.start..end, range.start);
        }
    }

    fn is_of_letters(&self, range: Range<usize>) -> bool {
        self.letters[range]
            .iter()
            .all(|letter| !letter.letter.is_numeric())
    }

    /// Adds a compound that is written with its signs. Its word begins at `word`.
    fn name(&mut self, range: Range<usize>, word: usize) {
        let Some(position) = self.position_of(word) else {
            return;
        };
        let text = folded(&self.lower(range.clone())).into_owned();
        let spellings = self.memory.spellings.len();
        self.memory.spell(spellings, &text, Form::Compound);
        let (start, end) = self.source(range);
        self.entry(position, start, end, Kind::Compound, spellings);
    }

    /// The position of the word of this chain that begins at a letter.
    fn position_of(&self, at: usize) -> Option<u32> {
        let part = self.parts.iter().rev().find(|part| part.from == at)?;
        Some(part.position)
    }

    /// Adds the spellings of a word in lower case. Returns whether it is a stop word.
    fn spell(&mut self, first: usize, lower: &str) -> bool {
        let written = folded(lower);
        if !lower.contains(char::is_alphabetic) {
            self.memory.spell(first, &written, Form::Word);
            return false;
        }
        let stem = self.stem(lower);
        let other = if written == lower {
            None
        } else {
            self.stem(&written)
        };
        // One letter without its accent is the same lexeme as the stop word: `à` finds every `a` of an English text. Longer
        // words can be others: `sûr` is not `sur`.
        let is_stop = stem.is_none() || written.len() == 1 && written != lower && other.is_none();
        let is_stem = |stem: &Option<String>| stem.as_deref() == Some(&*written);
        let form = if is_stop || is_stem(&stem) || is_stem(&other) {
            Form::Word
        } else {
            Form::Written
        };
        self.memory.spell(first, &written, form);
        if self.rules.has_umlauts && lower.contains(['ä', 'ö', 'ü']) {
            let variant = lower.replace('ä', "ae").replace('ö', "oe").replace('ü', "ue");
            let variant = folded(&variant);
            self.memory.spell(first, &variant, Form::Stem);
            let stem = self.stem(&variant).unwrap_or_default();
            self.memory.spell(first, &stem, Form::Stem);
        }
        for stem in [stem, other].into_iter().flatten() {
            self.memory.spell(first, &stem, Form::Stem);
        }
        is_stop
    }

    /// The stem of a word, without accents.
    fn stem(&mut self, word: &str) -> Option<String> {
        self.stemmer.stem(word).map(|stem| folded(&stem).into_owned())
    }

    /// Letters in lower case, with their accents, without apostrophes.
    fn lower(&self, range: Range<usize>) -> String {
        let letters = self.letters[range].iter().map(|letter| letter.letter);
        let lower = letters.filter(|&letter| letter != '\'').flat_map(|letter| {
            let letter = match letter {
                'I' if self.rules.has_dotless_i => 'ı',
                'İ' if self.rules.has_dotless_i => 'i',
                'ς' => 'σ',
                other => other,
            };
            letter.to_lowercase()
        });
        let lower: String = lower.collect();
        if lower.is_ascii() {
            lower
        } else {
            lower.nfc().collect()
        }
    }

    /// Where letters come from: their start and end in the piece.
    fn source(&self, range: Range<usize>) -> (u32, u32) {
        let letters = &self.letters[range];
        let start = letters.first().map_or(0, |letter| letter.start);
        (start, letters.last().map_or(start, |letter| letter.end))
    }

    /// Adds a word whose spellings begin at `spellings`. Returns its position.
    fn word(&mut self, start: u32, end: u32, is_stop: bool, spellings: usize) -> u32 {
        self.words += 1;
        self.entry(self.words, start, end, Kind::Word, spellings);
        if let Some(entry) = self.memory.entries.last_mut() {
            entry.is_stop = is_stop;
        }
        self.words
    }

    fn entry(&mut self, position: u32, start: u32, end: u32, kind: Kind, spellings: usize) {
        self.memory.entries.push(Entry {
            position,
            start,
            end,
            kind,
            is_stop: false,
            spellings: spellings as u32..self.memory.spellings.len() as u32,
        });
    }

    /// Adds the words that a dictionary finds in a run without spaces. Returns its end.
    fn unspaced(&mut self, from: usize, class: Class) -> usize {
        let run = self.letters[from..].iter().take(MAX_UNSPACED_CHARS);
        let run = run.take_while(|letter| letter.class == class || letter.class == Class::Mark);
        let text: String = run.map(|letter| letter.letter).collect();
        let end = from + text.chars().count();
        let mut at = from;
        let mut bytes = 0;
        for word_end in word_ends(&text) {
            let word = at..at + text[bytes..word_end].chars().count();
            bytes = word_end;
            while at < word.end {
                let to = word.end.min(at + MAX_WORD_CHARS);
                let position = self.plain(at..to, Kind::Word, None);
                if class == Class::Ideograph {
                    self.bigrams(at..to, end, position);
                }
                at = to;
            }
        }
        end
    }

    fn emoji(&mut self, at: usize) -> usize {
        self.plain(at..at + 1, Kind::Word, None);
        at + 1
    }

    /// Adds letters as they are. Without a position they are a word, and have the next one. Returns their position.
    fn plain(&mut self, range: Range<usize>, kind: Kind, position: Option<u32>) -> u32 {
        let text: String = self.letters[range.clone()]
            .iter()
            .map(|letter| letter.letter)
            .collect();
        let spellings = self.memory.spellings.len();
        let form = if kind == Kind::Word {
            Form::Word
        } else {
            Form::Stem
        };
        self.memory.spell(spellings, &text, form);
        let (start, end) = self.source(range);
        match position {
            Some(position) => {
                self.entry(position, start, end, kind, spellings);
                position
            }
            None => self.word(start, end, false, spellings),
        }
    }

    /// Korean particles follow their word without a space.
    fn bigrams_of_hangul(&mut self, word: Range<usize>, position: u32) {
        if is_hangul(self.letters[word.start].letter) {
            self.bigrams(word.clone(), word.end, position);
        }
    }

    /// Adds the pairs of characters that begin in a word and end before `run_end`, unless the word is the pair.
    fn bigrams(&mut self, word: Range<usize>, run_end: usize, position: u32) {
        let mut at = word.start;
        while at < word.end {
            let second = self.character_end(at, run_end);
            let pair = at..self.character_end(second, run_end);
            if second < run_end && pair != word {
                self.plain(pair, Kind::Bigram, Some(position));
            }
            at = second;
        }
    }

    /// The end of a character and its marks.
    fn character_end(&self, at: usize, run_end: usize) -> usize {
        let marks = self.letters[run_end.min(at + 1)..run_end].iter();
        run_end.min(at + 1) + marks.take_while(|letter| letter.class == Class::Mark).count()
    }
}

/// What a letter is to the words of a name.
#[derive(Clone, Copy, PartialEq)]
enum Shape {
    Digit,
    Hangul,
    Upper,
    Other,
}

impl Shape {
    fn of(letter: char) -> Self {
        match letter {
            _ if letter.is_numeric() => Self::Digit,
            _ if is_hangul(letter) => Self::Hangul,
            _ if letter.is_uppercase() => Self::Upper,
            _ => Self::Other,
        }
    }

    /// Capitals and small letters are one family.
    fn family(self) -> Self {
        if self == Self::Upper { Self::Other } else { self }
    }
}

/// A text in lower case without accents.
fn folded(lower: &str) -> Cow<'_, str> {
    if lower.is_ascii() {
        return lower.into();
    }
    fold(lower, Interrupt::NEVER)
        .replace('ς', "σ")
        .replace('ı', "i")
        .into()
}
