//! What is different from language to language.

use super::letters::{Class, Letter};

/// What is elided before an apostrophe, in lower case.
const FRENCH: &[&str] = &[
    "c", "d", "j", "jusqu", "l", "lorsqu", "m", "n", "puisqu", "qu", "quoiqu", "s", "t",
];
const ITALIAN: &[&str] = &[
    "agl", "all", "c", "coll", "d", "dagl", "dall", "degl", "dell", "gl", "l", "m", "negl", "nell", "pell",
    "quell", "quest", "s", "sugl", "sull", "t", "un", "v",
];
const CATALAN: &[&str] = &["d", "l", "m", "n", "s", "t"];

/// What follows an apostrophe in English and means nothing to a search.
const ENGLISH_ENDINGS: &[&str] = &["s", "d", "m", "ll", "re", "ve"];

/// Behind these, a hyphen stands for the beginning of the word before: `Einfuhr und -ausfuhr`.
const GERMAN_CONJUNCTIONS: &[&str] = &["und", "oder", "sowie", "bzw", "bzw."];
const DUTCH_CONJUNCTIONS: &[&str] = &["en", "of"];
const DANISH_CONJUNCTIONS: &[&str] = &["og", "eller"];
const SWEDISH_CONJUNCTIONS: &[&str] = &["och", "eller"];

/// The rules of a language.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Rules {
    elided: &'static [&'static str],
    conjunctions: &'static [&'static str],
    has_contractions: bool,
    /// `ä`, `ö` and `ü` are also written `ae`, `oe` and `ue`.
    pub(super) has_umlauts: bool,
    /// The capital of `ı` is `I`, and that of `i` is `İ`.
    pub(super) has_dotless_i: bool,
}

/// How a word in front of an apostrophe ends.
pub(super) struct Ending {
    /// Behind the letters of the word.
    pub(super) word: usize,
    /// Behind what belongs to the word but is not searched for.
    pub(super) whole: usize,
    /// Whether it is a negated auxiliary, such as `don't`, which is a stop word.
    pub(super) is_negated: bool,
}

impl Rules {
    pub(super) fn of(language: &str) -> Self {
        let none = Self::default();
        match language {
            "english" => Self {
                has_contractions: true,
                ..none
            },
            "french" => Self {
                elided: FRENCH,
                ..none
            },
            "italian" => Self {
                elided: ITALIAN,
                ..none
            },
            "catalan" => Self {
                elided: CATALAN,
                ..none
            },
            "german" => Self {
                conjunctions: GERMAN_CONJUNCTIONS,
                has_umlauts: true,
                ..none
            },
            "dutch" => Self {
                conjunctions: DUTCH_CONJUNCTIONS,
                ..none
            },
            "danish" | "norwegian" => Self {
                conjunctions: DANISH_CONJUNCTIONS,
                ..none
            },
            "swedish" => Self {
                conjunctions: SWEDISH_CONJUNCTIONS,
                ..none
            },
            "turkish" => Self {
                has_dotless_i: true,
                ..none
            },
            _ => none,
        }
    }

    /// Whether a word is a conjunction, in any case.
    pub(super) fn is_conjunction(&self, word: &str) -> bool {
        self.conjunctions
            .iter()
            .any(|conjunction| conjunction.eq_ignore_ascii_case(word))
    }

    /// Whether a run in front of an apostrophe is an article, or the like, that has lost its vowel.
    pub(super) fn is_elided(&self, run: &[Letter]) -> bool {
        self.elided.iter().any(|elided| is(run, elided))
    }

    /// The end of a word whose letters end at `to`: the possessive `'s` and the like are no part of it, `n't` is.
    pub(super) fn ending(&self, letters: &[Letter], from: usize, to: usize) -> Ending {
        let mut ending = Ending {
            word: to,
            whole: to,
            is_negated: false,
        };
        if !self.has_contractions {
            return ending;
        }
        let is_n = matches!(letters[to - 1].letter, 'n' | 'N');
        if is_n
            && to - from > 1
            && let Some(end) = apostrophe_and(letters, to, &["t"])
        {
            ending = Ending {
                word: end,
                whole: end,
                is_negated: true,
            };
        }
        if let Some(end) = apostrophe_and(letters, ending.whole, ENGLISH_ENDINGS) {
            ending.whole = end;
        }
        ending
    }
}

/// The end of an apostrophe at `at` and one of the `endings`, behind which no word goes on.
fn apostrophe_and(letters: &[Letter], at: usize, endings: &[&str]) -> Option<usize> {
    if letters.get(at)?.letter != '\'' {
        return None;
    }
    let rest = &letters[at + 1..];
    let length = rest
        .iter()
        .take(3)
        .take_while(|letter| matches!(letter.class, Class::Spaced | Class::Mark))
        .count();
    endings
        .iter()
        .any(|ending| is(&rest[..length], ending))
        .then_some(at + 1 + length)
}

/// Whether letters are a text of ASCII, in any case.
fn is(letters: &[Letter], text: &str) -> bool {
    letters.len() == text.len()
        && letters
            .iter()
            .zip(text.chars())
            .all(|(letter, expected)| letter.letter.eq_ignore_ascii_case(&expected))
}
