//! Reads a query that a person typed: words, `"a phrase"`, `or`, `-not`, `+must` and `begin*`.
//!
//! A text matches if it has any of the words. Phrases and `+must` are required, and `-not` excludes. Between `or`, one of the
//! alternatives is enough. In the mode [`Mode::All`] every word is required. Stop words are not searched for, unless they are in
//! a phrase or behind `+`, or the query has no other words.

use crate::Interrupt;
use crate::analyze::{Analyzer, Form, Kind, Stemmer, Word};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::mem;
use std::ops::Range;

/// The most prefixes (`begin*`) that are searched for. Each reads all words that begin so.
const MAX_PREFIXES: usize = 20;
/// The largest distance of a tsquery.
const MAX_DISTANCE: u32 = 16384;

/// Which of the words a text must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Any of them.
    Any,
    /// All of them.
    All,
}

/// What a query looks for: one word, in all of its forms, or the beginning of a word.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Term {
    /// The stems of the word.
    pub stems: Vec<String>,
    /// The word as it is written, in lower case and without accents. Empty for a prefix.
    pub written: String,
    /// The beginning of a word, in lower case and without accents.
    pub prefix: Option<String>,
    /// Whether it is a compound, whose parts are terms of their own.
    pub is_compound: bool,
    /// Whether it is nothing but a part of a name in which no sign separates the parts, such as `PostgreSQL`.
    pub is_part: bool,
    /// Whether it counts for the score, and whether a text matches that has only this.
    pub is_scored: bool,
}

/// A word or phrase of the query.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Operand {
    /// Its words, by their numbers in [`Query::terms`].
    pub words: Vec<usize>,
    /// Compounds, such as `email` for `e-mail`. One of them stands for all words.
    pub compounds: Vec<usize>,
    /// Pairs of neighbouring characters, in scripts without spaces, and the words that no pair covers. All of them stand for
    /// all words.
    pub bigrams: Vec<usize>,
    /// The words must stand next to each other. [`Query::check`] says which texts have them so.
    pub is_exact: bool,
    /// The distance of each word from the one before. Only an exact operand has them.
    distances: Vec<u32>,
    /// Its words are stop words, and neither a sign nor quotes ask for them.
    is_stop: bool,
}

impl Operand {
    /// The numbers of all terms.
    pub fn all(&self) -> impl Iterator<Item = usize> + '_ {
        self.words
            .iter()
            .chain(&self.compounds)
            .chain(&self.bigrams)
            .copied()
    }
}

/// Operands with `or` between them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Group {
    /// The alternatives.
    pub operands: Vec<Operand>,
    /// Whether a text must have one of them.
    pub is_required: bool,
}

/// A query as it was read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Query {
    /// Each term once.
    pub terms: Vec<Term>,
    /// What is searched for.
    pub groups: Vec<Group>,
    /// What no text may have.
    pub excluded: Vec<Operand>,
}

/// A sign before an operand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    None,
    Must,
    Not,
}

/// An operand as it was typed.
#[derive(Debug, PartialEq, Eq)]
struct Typed<'a> {
    text: &'a str,
    sign: Sign,
    is_phrase: bool,
    /// It follows an `or`.
    is_alternative: bool,
}

impl Typed<'_> {
    /// Which words are prefixes, by the places where the words end: the last one before a star at the end, and in a phrase each one
    /// with a star.
    fn prefixes(&self, ends: &[usize]) -> Vec<usize> {
        let has_star = |end: usize| {
            self.text[end..]
                .strip_prefix('*')
                .is_some_and(|behind| behind.starts_with(char::is_whitespace))
        };
        let last = ends.len().checked_sub(1).filter(|_| self.text.ends_with('*'));
        let starred = ends
            .iter()
            .enumerate()
            .filter(|&(place, &end)| self.is_phrase && Some(place) != last && has_star(end));
        starred.map(|(place, _)| place).chain(last).collect()
    }
}

/// Splits a query into operands. `is_conjunction` is of the language.
fn typed(text: &str, is_conjunction: impl Fn(&str) -> bool) -> Vec<Typed<'_>> {
    let mut operands: Vec<Typed> = Vec::new();
    let mut rest = text;
    let mut is_alternative = false;
    loop {
        // A hyphen directly behind a phrase joins a compound: "$LANG"-variable.
        let is_apart = rest.len() == text.len() || rest.starts_with(char::is_whitespace);
        rest = rest.trim_start();
        if rest.is_empty() {
            return operands;
        }
        // A hyphen behind "und" stands for the beginning of the word before: Einfuhr und -ausfuhr.
        let is_suspended =
            rest.starts_with('-') && operands.last().is_some_and(|last| is_conjunction(last.text));
        let (sign, behind) = match sign(rest) {
            (_, behind) if !is_apart || is_suspended => (Sign::None, behind),
            signed => signed,
        };
        let quoted = behind.strip_prefix('"').and_then(|quoted| quoted.split_once('"'));
        let (text, is_phrase, after) = match quoted {
            Some((phrase, after)) => (phrase, true, after),
            None => {
                // A quote that nothing closes, or in the middle of a word, ends the word.
                let behind = behind.trim_start_matches('"');
                let end = behind
                    .find(|letter: char| letter.is_whitespace() || letter == '"')
                    .unwrap_or(behind.len());
                (&behind[..end], false, &behind[end..])
            }
        };
        rest = after;
        if !is_phrase && sign == Sign::None && text.eq_ignore_ascii_case("or") && !operands.is_empty() {
            is_alternative = true;
            continue;
        }
        if !text.is_empty() {
            operands.push(Typed {
                text,
                sign,
                is_phrase,
                is_alternative,
            });
            is_alternative = false;
        }
    }
}

/// One sign excludes or requires. Several hyphens are a rule or a dash.
fn sign(text: &str) -> (Sign, &str) {
    let behind = text.trim_start_matches(['-', '+', '!', '(', '&', '|']);
    let sign = match &text[..text.len() - behind.len()] {
        "-" | "!" => Sign::Not,
        "+" => Sign::Must,
        _ => Sign::None,
    };
    (sign, behind)
}

impl Query {
    /// Reads a query. `analyzer` is for the language of the texts.
    pub fn read<S: Stemmer>(
        text: &str,
        mode: Mode,
        analyzer: &mut Analyzer<S>,
        interrupt: Interrupt,
    ) -> Self {
        let mut reader = Reader::new(mode);
        for typed in typed(text, |word| analyzer.is_conjunction(word)) {
            let mut reading = Reading::default();
            analyzer.each(typed.text, interrupt, |word| reading.word(&word, &mut reader));
            let prefixes = typed.prefixes(&reading.ends);
            let parts = reading.parts();
            reader.operand(typed, reading.finish(), prefixes, parts);
        }
        reader.finish()
    }

    /// The words to look up, other than prefixes.
    pub fn words(&self) -> impl Iterator<Item = &str> {
        self.terms
            .iter()
            .flat_map(|term| term.stems.iter().chain([&term.written]))
            .map(String::as_str)
            .filter(|word| !word.is_empty())
    }

    /// The prefixes to look up.
    pub fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.terms.iter().filter_map(|term| term.prefix.as_deref())
    }

    /// Whether every text matches that is not excluded.
    pub fn has_only_exclusions(&self) -> bool {
        self.groups.is_empty() && !self.excluded.is_empty()
    }

    /// The words of the query that these terms stand for, as they are written in lower case and without accents.
    pub fn shown(&self, terms: &[usize]) -> Vec<String> {
        let mut shown = Vec::new();
        for term in terms
            .iter()
            .map(|&term| &self.terms[term])
            .filter(|term| term.is_scored)
        {
            let prefix = term.prefix.as_ref().map(|prefix| format!("{prefix}*"));
            let word = prefix.or_else(|| (!term.written.is_empty()).then(|| term.written.clone()));
            shown.extend(word.filter(|word| !shown.contains(word)));
        }
        shown
    }

    /// A tsquery that those texts match whose words stand as the phrases of the query ask. `None` if it asks for none.
    pub fn check(&self) -> Option<String> {
        let groups = self
            .groups
            .iter()
            .filter(|group| group.is_required && group.operands.iter().any(|one| one.is_exact));
        let required = groups.map(|group| {
            let operands: Vec<String> = group
                .operands
                .iter()
                .map(|operand| self.tsquery(operand))
                .collect();
            format!("({})", operands.join(" | "))
        });
        let excluded = self.excluded.iter().filter(|operand| operand.is_exact);
        let excluded = excluded.map(|operand| format!("!({})", self.tsquery(operand)));
        let all: Vec<String> = required.chain(excluded).collect();
        (!all.is_empty()).then(|| all.join(" & "))
    }

    fn tsquery(&self, operand: &Operand) -> String {
        let mut words = String::new();
        for (place, &term) in operand.words.iter().enumerate() {
            match operand.distances.get(place) {
                _ if place == 0 => {}
                Some(distance) if operand.is_exact => words += &format!(" <{distance}> "),
                _ => words += " & ",
            }
            words += &self.any_form(term);
        }
        let compounds = operand.compounds.iter().map(|&term| self.any_form(term));
        let bigrams: Vec<String> = operand.bigrams.iter().map(|&term| self.any_form(term)).collect();
        let ways = [format!("({words})")].into_iter().chain(compounds);
        let ways = ways.chain((!bigrams.is_empty()).then(|| format!("({})", bigrams.join(" & "))));
        ways.collect::<Vec<_>>().join(" | ")
    }

    fn any_form(&self, term: usize) -> String {
        let term = &self.terms[term];
        let prefix = term.prefix.iter().map(|prefix| quoted(prefix) + ":*");
        let words = term
            .stems
            .iter()
            .chain([&term.written])
            .filter(|word| !word.is_empty())
            .map(|word| quoted(word));
        let all: Vec<String> = prefix.chain(words).collect();
        format!("({})", all.join(" | "))
    }
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\\', "\\\\").replace('\'', "''"))
}

/// An operand while its words are read.
#[derive(Default)]
struct Reading {
    operand: Operand,
    last_position: Option<u32>,
    /// Where the words are, their terms, and whether they are stop words.
    words: Vec<(Range<usize>, usize, bool)>,
    /// Where each word of the operand ends.
    ends: Vec<usize>,
    /// Where the compounds are.
    compounds: Vec<Range<usize>>,
    /// Where pairs of characters begin, and where they end.
    pairs: (HashSet<usize>, HashSet<usize>),
}

impl Reading {
    fn word(&mut self, word: &Word, reader: &mut Reader) {
        let term = term(word);
        // No text has a word without lexemes.
        if term.stems.is_empty() && term.written.is_empty() {
            return;
        }
        let number = reader.number(term, word.is_stop);
        match word.kind {
            Kind::Compound => {
                self.operand.compounds.push(number);
                self.compounds.push(word.start..word.end);
            }
            Kind::Bigram => {
                self.operand.bigrams.push(number);
                self.pairs.0.insert(word.start);
                self.pairs.1.insert(word.end);
            }
            Kind::Word => {
                let last = self.last_position.unwrap_or(word.position);
                self.operand
                    .distances
                    .push((word.position - last).min(MAX_DISTANCE));
                self.operand.words.push(number);
                self.ends.push(word.end);
                self.last_position = Some(word.position);
                self.words.push((word.start..word.end, number, word.is_stop));
            }
        }
    }

    /// The places of those words that are parts of a name without signs.
    fn parts(&self) -> HashSet<usize> {
        let mut parts = HashSet::new();
        for compound in &self.compounds {
            let first = self
                .words
                .partition_point(|(word, ..)| word.start < compound.start);
            let rest = self.words[first..].iter();
            let within = rest.take_while(|(word, ..)| word.end <= compound.end);
            if within.clone().map(|(word, ..)| word.len()).sum::<usize>() >= compound.len() {
                parts.extend(first..first + within.count());
            }
        }
        parts
    }

    fn finish(mut self) -> Operand {
        self.operand.is_stop = !self.words.is_empty() && self.words.iter().all(|&(.., is_stop)| is_stop);
        if !self.operand.bigrams.is_empty() {
            // A word of two characters is its own pair, and words of other scripts have none.
            let is_covered =
                |word: &Range<usize>| self.pairs.0.contains(&word.start) || self.pairs.1.contains(&word.end);
            let others = self
                .words
                .iter()
                .filter(|(word, _, is_stop)| !is_stop && !is_covered(word))
                .map(|&(_, number, _)| number);
            self.operand.bigrams.extend(others);
        }
        self.operand
    }
}

fn term(word: &Word) -> Term {
    let mut term = Term {
        is_compound: word.kind == Kind::Compound,
        ..Term::default()
    };
    for lexeme in word.lexemes() {
        if lexeme.form != Form::Written {
            term.stems.push(lexeme.text.to_owned());
        }
        // The first lexeme is the word as written. All those of a compound have the same form.
        if lexeme.form != Form::Stem && term.written.is_empty() {
            term.written = lexeme.text.to_owned();
        }
    }
    term
}

struct Reader {
    mode: Mode,
    query: Query,
    numbers: HashMap<Term, usize>,
    /// Of each term, whether it is a stop word.
    stop_words: Vec<bool>,
    /// Terms that are parts of a name without signs, and those that are words of their own. A term can be both.
    parts: HashSet<usize>,
    wholes: HashSet<usize>,
    prefixes: usize,
}

impl Reader {
    fn new(mode: Mode) -> Self {
        Reader {
            mode,
            query: Query::default(),
            numbers: HashMap::new(),
            stop_words: Vec::new(),
            parts: HashSet::new(),
            wholes: HashSet::new(),
            prefixes: 0,
        }
    }

    fn number(&mut self, term: Term, is_stop_word: bool) -> usize {
        *self.numbers.entry(term.clone()).or_insert_with(|| {
            self.query.terms.push(term);
            self.stop_words.push(is_stop_word);
            self.query.terms.len() - 1
        })
    }

    fn operand(
        &mut self,
        typed: Typed,
        mut operand: Operand,
        prefixes: Vec<usize>,
        mut parts: HashSet<usize>,
    ) {
        if operand.words.is_empty() {
            return;
        }
        for place in prefixes {
            self.begin(&mut operand, place);
            parts.clear();
        }
        if typed.sign != Sign::Not {
            for (place, &word) in operand.words.iter().enumerate() {
                let kind = if parts.contains(&place) {
                    &mut self.parts
                } else {
                    &mut self.wholes
                };
                kind.insert(word);
            }
        }
        let is_strict = typed.is_phrase || typed.sign != Sign::None;
        operand.is_exact = is_strict && operand.words.len() > 1;
        operand.is_stop &= !is_strict;
        if !is_strict && !operand.is_stop {
            operand.words.retain(|&word| !self.stop_words[word]);
        }
        if typed.sign == Sign::Not {
            self.query.excluded.push(operand);
            return;
        }
        let is_required = is_strict || self.mode == Mode::All && !operand.is_stop;
        match self.query.groups.last_mut() {
            Some(group) if typed.is_alternative => {
                group.operands.push(operand);
                group.is_required |= is_required;
            }
            _ => self.query.groups.push(Group {
                operands: vec![operand],
                is_required,
            }),
        }
    }

    /// Makes a word of an operand a prefix. No compound or bigram of it is meant.
    fn begin(&mut self, operand: &mut Operand, place: usize) {
        if self.prefixes == MAX_PREFIXES {
            return;
        }
        self.prefixes += 1;
        operand.compounds.clear();
        operand.bigrams.clear();
        operand.is_stop = false;
        let term = &self.query.terms[operand.words[place]];
        let prefix = if term.written.is_empty() {
            term.stems.first().cloned()
        } else {
            Some(term.written.clone())
        };
        let stems = term.stems.clone();
        operand.words[place] = self.number(
            Term {
                prefix,
                stems,
                ..Term::default()
            },
            false,
        );
    }

    /// Stop words count only if there are no other words.
    fn finish(mut self) -> Query {
        let operands = self.query.groups.iter().flat_map(|group| &group.operands);
        let terms: Vec<usize> = operands.flat_map(Operand::all).collect();
        let has_only_stop_words = terms.iter().all(|&term| self.stop_words[term]);
        for number in terms {
            let term = &mut self.query.terms[number];
            term.is_scored |= has_only_stop_words || !self.stop_words[number];
            term.is_part = self.parts.contains(&number) && !self.wholes.contains(&number);
        }
        let Query { terms, groups, .. } = &mut self.query;
        if has_only_stop_words {
            groups
                .iter_mut()
                .for_each(|group| group.is_required |= self.mode == Mode::All);
        } else {
            let counts =
                |operand: &Operand| !operand.is_stop || operand.all().any(|term| terms[term].is_scored);
            groups.iter_mut().for_each(|group| group.operands.retain(counts));
            groups.retain(|group| !group.operands.is_empty());
        }
        self.forget_unused();
        self.query
    }

    /// Leaves out terms that no operand has, since each costs a search.
    fn forget_unused(&mut self) {
        let Query {
            terms,
            groups,
            excluded,
        } = &mut self.query;
        let all = || {
            groups
                .iter()
                .flat_map(|group| &group.operands)
                .chain(&*excluded)
                .flat_map(Operand::all)
        };
        let used: Vec<usize> = all().collect::<BTreeSet<usize>>().into_iter().collect();
        *terms = used.iter().map(|&term| mem::take(&mut terms[term])).collect();
        for operand in groups
            .iter_mut()
            .flat_map(|group| &mut group.operands)
            .chain(excluded)
        {
            let numbers = operand
                .words
                .iter_mut()
                .chain(&mut operand.compounds)
                .chain(&mut operand.bigrams);
            numbers.for_each(|number| *number = used.binary_search(number).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests;
