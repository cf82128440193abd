//! Compares the index with a plain BM25, which counts the words of every text anew.

use super::rank::{Collection, Ranked, Ranking, rank};
use super::segment::{Built, Count, Deletions, Stored, Version, build, deletions, fingerprint, live_texts};
use super::segment::{merge, words};
use super::{Damaged, Id, push_number};
use crate::analyze::{Analyzer, Form, Kind};
use crate::word_query::{Mode, Query};
use crate::word_vector::text_vector;
use crate::{Error, Interrupt, interrupts};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::collections::{BTreeMap, HashMap, HashSet};

const LANGUAGES: [&str; 2] = ["english", "simple"];

/// Cuts the plural, and knows two stop words.
fn toy(word: &str) -> Option<String> {
    (!["the", "of"].contains(&word)).then(|| stem(word).to_owned())
}

fn stem(word: &str) -> &str {
    word.strip_suffix('s')
        .filter(|stem| stem.len() > 1)
        .unwrap_or(word)
}

fn vector(text: &str, language: &str) -> Vec<u8> {
    text_vector(
        text,
        language,
        &mut Analyzer::new(language, toy),
        Interrupt::NEVER,
    )
}

fn id(number: usize) -> Id {
    (number as u128).to_be_bytes()
}

/// A change of the texts, or of the segments.
#[derive(Debug, Clone)]
enum Step {
    /// A statement that stores texts: of each the number, the language and the words.
    Store(Vec<(usize, usize, Vec<String>)>),
    Delete(usize),
    /// A merge of those segments of a language whose bits are set.
    Merge(usize, u8),
}

/// The texts and their index.
#[derive(Default)]
struct Project {
    texts: BTreeMap<usize, (usize, String)>,
    /// Of each segment the language and what was built.
    segments: Vec<(usize, Built)>,
    deletions: Vec<Vec<u8>>,
}

impl Project {
    fn after(steps: &[Step]) -> Self {
        let mut project = Project::default();
        for step in steps {
            match step {
                Step::Store(texts) => project.store(texts),
                Step::Delete(number) => project.delete(*number),
                Step::Merge(language, chosen) => project.merge(*language, *chosen),
            }
        }
        project
    }

    fn store(&mut self, texts: &[(usize, usize, Vec<String>)]) {
        // The last version of a text counts.
        let texts: BTreeMap<usize, (usize, String)> = texts
            .iter()
            .map(|(number, language, words)| (*number, (*language, words.join(" "))))
            .collect();
        let mut added = BTreeMap::new();
        for (number, (language, text)) in texts {
            self.delete(number);
            added.insert(number, vector(&text, LANGUAGES[language]));
            self.texts.insert(number, (language, text));
        }
        let built = build(
            added.iter().map(|(&number, vector)| (id(number), &vector[..])),
            Interrupt::NEVER,
        );
        for (analysis, built) in built.unwrap() {
            let language = LANGUAGES
                .iter()
                .position(|language| analysis.starts_with(language));
            self.segments.push((language.unwrap(), built));
        }
    }

    fn delete(&mut self, number: usize) {
        if let Some((language, text)) = self.texts.remove(&number) {
            let fingerprint = fingerprint(&vector(&text, LANGUAGES[language]));
            self.deletions.push(deletions([Version {
                id: id(number),
                fingerprint,
            }]));
        }
    }

    fn merge(&mut self, language: usize, chosen: u8) {
        let segments = std::mem::take(&mut self.segments);
        let mut number = 0;
        let (merged, kept): (Vec<_>, Vec<_>) = segments.into_iter().partition(|(other, _)| {
            number += 1;
            *other == language && chosen >> ((number - 1) % 8) & 1 == 1
        });
        // The table returns blocks in any order.
        let stored: Vec<Stored> = merged
            .iter()
            .map(|(_, built)| Stored {
                texts: &built.texts,
                blocks: built.blocks.iter().rev().map(|(_, block)| &block[..]).collect(),
            })
            .collect();
        let (built, rest) = merge(&stored, self.deleted(), Interrupt::NEVER).unwrap();
        self.deletions = vec![rest];
        self.segments = kept;
        self.segments.push((language, built));
    }

    fn deleted(&self) -> Deletions {
        Deletions::new(self.deletions.iter().map(Vec::as_slice)).unwrap()
    }

    fn rank(&self, text: &str, mode: Mode, limits: &Limits) -> (Vec<Query>, Ranking) {
        let read = |language| Query::read(text, mode, &mut Analyzer::new(language, toy), Interrupt::NEVER);
        let queries: Vec<Query> = LANGUAGES.into_iter().map(read).collect();
        let collections: Vec<Collection> = queries
            .iter()
            .enumerate()
            .map(|(language, query)| {
                let segments = self.segments.iter().filter(|(other, _)| *other == language);
                let segments = segments
                    .map(|(_, built)| (&built.texts[..], blocks(built, query)))
                    .collect();
                Collection { query, segments }
            })
            .collect();
        let Limits { among, also, count } = limits;
        let ranking = rank(
            &collections,
            self.deleted(),
            among.as_ref(),
            also,
            *count,
            Interrupt::NEVER,
        );
        (queries, ranking.unwrap())
    }
}

/// The blocks that the table is asked for: the last one that begins before each word, and those that begin with a prefix.
fn blocks<'a>(built: &'a Built, query: &Query) -> Vec<&'a [u8]> {
    let lookups = || {
        query
            .words()
            .map(|word| (word, false))
            .chain(query.prefixes().map(|prefix| (prefix, true)))
    };
    let is_asked = |place: usize, first: &[u8]| {
        lookups().any(|(word, is_prefix)| {
            let next = built.blocks.get(place + 1).map(|(next, _)| &next[..]);
            let is_last = first <= word.as_bytes() && next.is_none_or(|next| next > word.as_bytes());
            is_last || is_prefix && first.starts_with(word.as_bytes())
        })
    };
    let numbered = built.blocks.iter().enumerate();
    numbered
        .filter(|(place, (first, _))| is_asked(*place, first))
        .map(|(_, (_, block))| &block[..])
        .collect()
}

/// Which texts are asked for.
#[derive(Debug, Clone)]
struct Limits {
    among: Option<HashSet<Id>>,
    also: HashSet<Id>,
    count: usize,
}

/// An operand: a sign, words that hyphens join or that make up a name as `aaBb`, and whether the last is a prefix.
#[derive(Debug, Clone)]
struct Typed {
    sign: char,
    words: Vec<String>,
    is_name: bool,
    is_prefix: bool,
    is_alternative: bool,
}

impl Typed {
    fn text(&self) -> String {
        let or = if self.is_alternative { "or " } else { "" };
        let sign = if self.sign == ' ' {
            String::new()
        } else {
            self.sign.to_string()
        };
        let capital = |word: &String| word[..1].to_uppercase() + &word[1..];
        let words = if self.is_name {
            self.words.iter().map(capital).collect()
        } else {
            self.words.join("-")
        };
        format!("{or}{sign}{words}{}", if self.is_prefix { "*" } else { "" })
    }

    fn terms(&self) -> Vec<Plain> {
        let words = self.words.iter().enumerate();
        words
            .map(|(place, word)| Plain {
                word: word.clone(),
                is_prefix: self.is_prefix && place + 1 == self.words.len(),
                is_compound: false,
                is_part: self.is_name && self.compound().is_some(),
            })
            .collect()
    }

    fn compound(&self) -> Option<Plain> {
        let is_compound = self.words.len() > 1 && !self.is_prefix;
        is_compound.then(|| Plain {
            word: self.words.concat(),
            is_prefix: false,
            is_compound: true,
            is_part: false,
        })
    }

    fn has_only_stop_words(&self) -> bool {
        self.terms().iter().all(Plain::is_stop)
    }
}

/// A word or a prefix of the query.
#[derive(Debug, Clone)]
struct Plain {
    word: String,
    is_prefix: bool,
    is_compound: bool,
    /// It is nothing but a part of names.
    is_part: bool,
}

impl Plain {
    fn is_stop(&self) -> bool {
        !self.is_prefix && toy(&self.word).is_none()
    }

    fn stem(&self) -> String {
        toy(&self.word).unwrap_or_else(|| self.word.clone())
    }

    fn is_same(&self, other: &Plain) -> bool {
        (&self.word, self.is_prefix, self.is_compound) == (&other.word, other.is_prefix, other.is_compound)
    }

    fn weight(&self) -> f64 {
        match (self.is_compound, self.is_part) {
            (true, _) => 0.4,
            (_, true) => 0.5,
            _ => 1.0,
        }
    }

    fn shown(&self) -> String {
        format!("{}{}", self.word, if self.is_prefix { "*" } else { "" })
    }

    /// How many words of a text have the stem, and how many are written so.
    fn count(&self, text: &PlainText) -> (f64, f64) {
        let of = |word: &str| text.counts.get(word).copied().unwrap_or_default();
        if !self.is_prefix {
            return (of(&self.stem()).0.into(), of(&self.word).1.into());
        }
        let begin = text
            .counts
            .iter()
            .filter(|(word, _)| word.starts_with(&self.word));
        let most = begin.map(|(_, count)| count.0.max(count.1)).max().unwrap_or(0);
        (most.max(of(&self.stem()).0).into(), 0.0)
    }

    fn is_in(&self, text: &PlainText) -> bool {
        self.count(text).0 > 0.0
    }
}

/// A text as one reads it: how often each word is there as a stem, and as written.
struct PlainText {
    id: Id,
    length: f64,
    counts: HashMap<String, (u16, u16)>,
}

impl PlainText {
    fn new(number: usize, text: &str) -> Self {
        let mut counts: HashMap<String, (u16, u16)> = HashMap::new();
        let mut length = 0.0;
        Analyzer::new("simple", toy).each(text, Interrupt::NEVER, |word| {
            length += f64::from(u8::from(word.kind == Kind::Word));
            for lexeme in word.lexemes() {
                let count = counts.entry(lexeme.text.to_owned()).or_default();
                count.0 += u16::from(lexeme.form != Form::Written);
                count.1 += u16::from(lexeme.form != Form::Stem);
            }
        });
        PlainText {
            id: id(number),
            length,
            counts,
        }
    }
}

/// A text that matches, by the plain rules.
struct Expected {
    id: Id,
    score: f64,
    matched: Vec<String>,
}

/// What the query finds in the texts of one language, with the mean and the deviation of the scores.
fn expected(query: &[Typed], mode: Mode, texts: &[PlainText]) -> (Vec<Expected>, (f64, f64)) {
    let mut groups: Vec<Vec<&Typed>> = Vec::new();
    for typed in query.iter().filter(|typed| typed.sign != '-') {
        match groups.last_mut() {
            Some(group) if typed.is_alternative => group.push(typed),
            _ => groups.push(vec![typed]),
        }
    }
    // A compound of stop words is none itself.
    let is_stop = |typed: &Typed| typed.has_only_stop_words() && typed.compound().is_none();
    let has_only_stop_words = groups.iter().flatten().all(|typed| is_stop(typed));
    let is_ignored = |typed: &Typed| !has_only_stop_words && typed.sign == ' ' && is_stop(typed);
    groups
        .iter_mut()
        .for_each(|group| group.retain(|typed| !is_ignored(typed)));
    groups.retain(|group| !group.is_empty());
    let has_to_be = |typed: &Typed| has_only_stop_words || !typed.has_only_stop_words();
    let is_required = |group: &[&Typed]| {
        group
            .iter()
            .any(|typed| typed.sign == '+' || mode == Mode::All && has_to_be(typed))
    };
    let mut terms: Vec<Plain> = Vec::new();
    for typed in groups.iter().flatten() {
        let counting = typed
            .terms()
            .into_iter()
            .filter(|term| has_only_stop_words || !term.is_stop());
        for term in counting.chain(typed.compound()) {
            match terms.iter_mut().find(|other| other.is_same(&term)) {
                Some(other) => other.is_part &= term.is_part,
                None => terms.push(term),
            }
        }
    }
    let has = |typed: &Typed, text: &PlainText| {
        let ignores_stop_words = typed.sign == ' ' && !typed.has_only_stop_words();
        typed
            .terms()
            .iter()
            .filter(|term| !(ignores_stop_words && term.is_stop()))
            .all(|term| term.is_in(text))
            || typed.compound().is_some_and(|compound| compound.is_in(text))
    };
    let has_required = groups.iter().any(|group| is_required(group));
    let matches = |text: &PlainText| {
        let has_all = groups
            .iter()
            .filter(|group| is_required(group))
            .all(|group| group.iter().any(|typed| has(typed, text)));
        let has_any = groups.is_empty() || has_required || terms.iter().any(|term| term.is_in(text));
        has_all && has_any && !query.iter().any(|typed| typed.sign == '-' && has(typed, text))
    };
    let mean_length = texts.iter().map(|text| text.length).sum::<f64>() / texts.len() as f64;
    let idf = |term: &Plain| {
        let having = texts.iter().filter(|text| term.is_in(text)).count() as f64;
        (1.0 + (texts.len() as f64 - having + 0.5) / (having + 0.5)).ln()
    };
    let idfs: Vec<f64> = terms.iter().map(idf).collect();
    let score = |text: &PlainText| -> f64 {
        let often = |n: f64| n * 2.2 / (n + 1.2 * (0.25 + 0.75 * text.length / mean_length));
        let score = |(term, idf): (&Plain, &f64)| {
            let (stems, written) = term.count(text);
            if stems > 0.0 {
                idf * (often(stems) + 0.2 * often(written)) * term.weight()
            } else {
                0.0
            }
        };
        terms.iter().zip(&idfs).map(score).sum()
    };
    let found: Vec<Expected> = texts
        .iter()
        .filter(|text| matches(text))
        .map(|text| {
            let matched = terms
                .iter()
                .filter(|term| term.is_in(text))
                .map(Plain::shown)
                .collect();
            Expected {
                id: text.id,
                score: score(text),
                matched,
            }
        })
        .collect();
    let all = texts.len().max(1) as f64;
    let mean = found.iter().map(|text| text.score).sum::<f64>() / all;
    let rest = (texts.len() - found.len()) as f64 * mean * mean;
    let square = found.iter().map(|text| (text.score - mean).powi(2)).sum::<f64>() + rest;
    (found, (mean, (square / all).sqrt()))
}

fn is_close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

/// Checks a ranking against the texts that match, all collections together.
fn check(ranking: &[Ranked], queries: &[Query], expected: &[Expected], limits: &Limits) {
    let asked = |text: &&Expected| limits.among.as_ref().is_none_or(|among| among.contains(&text.id));
    let mut expected: Vec<&Expected> = expected.iter().filter(asked).collect();
    expected.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
    let by_id: HashMap<Id, &Expected> = expected.iter().map(|text| (text.id, *text)).collect();
    for (place, text) in ranking.iter().enumerate() {
        let right = by_id.get(&text.id).expect("it matches");
        assert!(
            is_close(text.score, right.score),
            "{} is not {}",
            text.score,
            right.score
        );
        let mut matched = queries[text.collection].shown(&text.terms);
        let mut right = right.matched.clone();
        matched.sort();
        right.sort();
        // Several terms of a query may be written alike.
        right.dedup();
        assert_eq!(matched, right);
        assert!(place < limits.count || limits.also.contains(&text.id));
    }
    assert!(
        ranking.is_sorted_by(|a, b| a.score > b.score || a.score == b.score && a.id < b.id),
        "{ranking:?}"
    );
    let best = ranking.iter().take(limits.count);
    for (text, right) in best.clone().zip(&expected) {
        assert!(is_close(text.score, right.score));
    }
    assert_eq!(best.len(), expected.len().min(limits.count));
    let returned: HashSet<Id> = ranking.iter().map(|text| text.id).collect();
    assert!(
        expected
            .iter()
            .all(|text| !limits.also.contains(&text.id) || returned.contains(&text.id))
    );
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![8 => "[ab]{1,2}[ab]s?", 2 => select(vec!["the", "of", "aaaa", "abaa"]).prop_map(str::to_owned)]
}

/// Words of a text. Some are joined by hyphens.
fn text() -> impl Strategy<Value = Vec<String>> {
    vec(
        prop_oneof![6 => word(), 1 => vec(word(), 2).prop_map(|words| words.join("-"))],
        0..12,
    )
}

fn step() -> impl Strategy<Value = Step> {
    // A few texts come again, so that versions are deleted more than once.
    let again =
        select(vec!["aa bb", "aa the", ""]).prop_map(|text| text.split(' ').map(str::to_owned).collect());
    let text = prop_oneof![3 => text(), 2 => again];
    prop_oneof![
        5 => vec((0..9usize, prop_oneof![4 => Just(0usize), 1 => Just(1)], text), 1..5).prop_map(Step::Store),
        2 => (0..9usize).prop_map(Step::Delete),
        2 => (0..2usize, any::<u8>()).prop_map(|(language, chosen)| Step::Merge(language, chosen)),
    ]
}

fn query() -> impl Strategy<Value = Vec<Typed>> {
    let sign = prop_oneof![6 => Just(' '), 1 => Just('+'), 1 => Just('-')];
    let words = prop_oneof![5 => vec(word(), 1), 1 => vec(word(), 2)];
    let typed = (
        sign,
        words,
        any::<bool>(),
        prop::bool::weighted(0.2),
        prop::bool::weighted(0.2),
    );
    vec(typed, 1..6).prop_map(|all| {
        let mut typed: Vec<Typed> = Vec::new();
        for (sign, mut words, is_name, is_prefix, is_alternative) in all {
            // Several words behind a sign are a phrase, which a tsquery checks.
            words.truncate(if sign == ' ' { 2 } else { 1 });
            let is_alternative = is_alternative && !typed.is_empty();
            typed.push(Typed {
                sign,
                words,
                is_name,
                is_prefix,
                is_alternative,
            });
        }
        typed
    })
}

fn limits() -> impl Strategy<Value = Limits> {
    let ids = || vec(0..9usize, 0..5).prop_map(|numbers| numbers.into_iter().map(id).collect());
    (prop::option::weighted(0.3, ids()), ids(), 0..12usize).prop_map(|(among, also, count)| Limits {
        among,
        also,
        count,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn rank_equals_a_plain_bm25_over_the_live_texts(
        steps in vec(step(), 1..14), query in query(), is_all in any::<bool>(), limits in limits(),
    ) {
        let project = Project::after(&steps);
        let typed: Vec<String> = query.iter().map(Typed::text).collect();
        let mode = if is_all { Mode::All } else { Mode::Any };
        let (queries, ranking) = project.rank(&typed.join(" "), mode, &limits);
        let mut all = Vec::new();
        for language in 0..LANGUAGES.len() {
            let texts = project.texts.iter().filter(|(_, (other, _))| *other == language);
            let texts: Vec<PlainText> = texts.map(|(&number, (_, text))| PlainText::new(number, text)).collect();
            let (found, (mean, deviation)) = expected(&query, mode, &texts);
            prop_assert!(is_close(ranking.spread[language].0, mean));
            // A deviation is a root, which doubles the digits of an error.
            prop_assert!((ranking.spread[language].1 - deviation).abs() < 1e-6);
            all.extend(found);
        }
        check(&ranking.best, &queries, &all, &limits);
    }

    #[test]
    fn live_texts_of_segments_and_deletions_are_the_texts(steps in vec(step(), 1..14)) {
        let project = Project::after(&steps);
        let segments = || project.segments.iter().map(|(_, built)| &built.texts[..]);
        let mut live = live_texts(segments(), project.deleted(), usize::MAX).unwrap();
        live.sort();
        let texts: Vec<Id> = project.texts.keys().map(|&number| id(number)).collect();
        prop_assert_eq!(&live, &texts);
        prop_assert_eq!(live_texts(segments(), project.deleted(), 2).unwrap().len(), texts.len().min(2));
    }

    #[test]
    fn merge_of_all_segments_equals_build_of_the_live_texts(steps in vec(step(), 1..14)) {
        let mut project = Project::after(&steps);
        (0..LANGUAGES.len()).for_each(|language| project.merge(language, u8::MAX));
        prop_assert!(project.deleted().is_empty());
        for (language, built) in &project.segments {
            // In the order of the merged segment, which is the order of storing.
            let live = live_texts([&built.texts[..]], Deletions::default(), usize::MAX).unwrap();
            let number = |id: &Id| u128::from_be_bytes(*id) as usize;
            let vectors: Vec<_> = live.iter().map(|id| (*id, vector(&project.texts[&number(id)].1, LANGUAGES[*language]))).collect();
            let rebuilt = build(vectors.iter().map(|(id, vector)| (*id, &vector[..])), Interrupt::NEVER).unwrap();
            prop_assert_eq!(rebuilt.first().map(|(_, built)| built), (!live.is_empty()).then_some(built));
        }
    }

    #[test]
    fn damaged_bytes_are_an_error_or_read_as_something(
        texts in vec(text(), 1..6), damage in vec((any::<Index>(), any::<u8>()), 1..6), part in 0..4u8,
        cut in any::<Index>(), query in query(),
    ) {
        let texts = texts.into_iter().enumerate().map(|(number, words)| (number, 0, words)).collect();
        let mut project = Project::after(&[Step::Store(texts), Step::Delete(0)]);
        let mut vector = vector("aa bbs the", "english");
        let built = &mut project.segments[0].1;
        let bytes = match part {
            0 => &mut built.texts,
            1 if !built.blocks.is_empty() => &mut built.blocks[0].1,
            2 => &mut project.deletions[0],
            _ => &mut vector,
        };
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        bytes.truncate(cut.index(2 * bytes.len()));
        let typed: Vec<String> = query.iter().map(Typed::text).collect();
        read_all(&project, &vector, &typed.join(" "));
    }

    #[test]
    fn random_bytes_are_an_error_or_read_as_something(
        texts in vec(any::<u8>(), 0..80), block in vec(any::<u8>(), 0..80), list in vec(any::<u8>(), 0..80),
        vector in vec(any::<u8>(), 0..80), query in query(),
    ) {
        let built = Built { texts, length: 0, blocks: vec![(Vec::new(), block)] };
        let project = Project { segments: vec![(0, built)], deletions: vec![list], ..Project::default() };
        let typed: Vec<String> = query.iter().map(Typed::text).collect();
        read_all(&project, &vector, &typed.join(" "));
    }
}

#[test]
fn rank_of_a_required_word_without_spaces_finds_texts_with_all_its_characters() {
    let texts = ["数据库系统", "大数据库", "依据库存", "数据"];
    let texts = texts.iter().enumerate();
    let texts = texts.map(|(number, text)| (number, 0, vec![(*text).to_owned()]));
    let project = Project::after(&[Step::Store(texts.collect())]);
    let limits = Limits {
        among: None,
        also: HashSet::new(),
        count: 9,
    };
    let (_, ranking) = project.rank("+数据库", Mode::Any, &limits);
    let mut found: Vec<Id> = ranking.best.iter().map(|text| text.id).collect();
    found.sort();
    assert_eq!(found, [id(0), id(1)]);
}

#[test]
fn rank_of_many_texts_forgets_none_that_is_wanted() {
    let words = |number: usize| {
        // The best texts come late, and many have the same score.
        let word = |bit: usize| {
            if number.wrapping_mul(2_654_435_761) >> bit & 1 == 1 {
                "aa"
            } else {
                "bb"
            }
        };
        (7..12 + number % 5)
            .map(|bit| word(bit).to_owned())
            .chain((0..number / 800).map(|_| "aa".to_owned()))
            .collect()
    };
    let texts: Vec<_> = (0..4000).map(|number| (number, 0, words(number))).collect();
    let project = Project::after(&[
        Step::Store(texts[..1500].to_vec()),
        Step::Store(texts[1500..].to_vec()),
    ]);
    let query = [Typed {
        sign: ' ',
        words: vec!["aa".to_owned()],
        is_name: false,
        is_prefix: false,
        is_alternative: false,
    }];
    let plain = project
        .texts
        .iter()
        .map(|(&number, (_, text))| PlainText::new(number, text))
        .collect::<Vec<_>>();
    let (found, _) = expected(&query, Mode::Any, &plain);
    for count in [0, 3, 100, 5000] {
        for among in [None, Some((0..4000).step_by(3).map(id).collect())] {
            let limits = Limits {
                among,
                also: (0..4000).step_by(50).map(id).collect(),
                count,
            };
            let (queries, ranking) = project.rank("aa", Mode::Any, &limits);
            check(&ranking.best, &queries, &found, &limits);
        }
    }
}

/// Passes bytes to each function that reads any.
fn read_all(project: &Project, vector: &[u8], text: &str) {
    let Ok(gone) = Deletions::new(project.deletions.iter().map(Vec::as_slice)) else {
        return;
    };
    let query = Query::read(
        text,
        Mode::Any,
        &mut Analyzer::new("english", toy),
        Interrupt::NEVER,
    );
    let segments = || project.segments.iter().map(|(_, built)| built);
    let stored: Vec<Stored> = segments()
        .map(|built| Stored {
            texts: &built.texts,
            blocks: built.blocks.iter().map(|(_, block)| &block[..]).collect(),
        })
        .collect();
    let collection = Collection {
        query: &query,
        segments: stored
            .iter()
            .map(|stored| (stored.texts, stored.blocks.clone()))
            .collect(),
    };
    let _ = rank(&[collection], gone, None, &HashSet::new(), 5, Interrupt::NEVER);
    let _ = live_texts(segments().map(|built| &built.texts[..]), project.deleted(), 5);
    let _ = merge(&stored, project.deleted(), Interrupt::NEVER);
    for postings in stored
        .iter()
        .flat_map(|stored| &stored.blocks)
        .flat_map(|block| words(block))
        .flatten()
    {
        postings.1.take(1000).for_each(drop);
    }
    let _ = build([(id(0), vector)], Interrupt::NEVER);
}

/// A block of one word, whose postings are these numbers.
fn block(word: &str, numbers: &[u64]) -> Vec<u8> {
    let mut postings = Vec::new();
    numbers
        .iter()
        .for_each(|&number| push_number(&mut postings, number));
    let mut block = Vec::new();
    push_number(&mut block, word.len() as u64);
    block.extend(word.as_bytes());
    push_number(&mut block, postings.len() as u64);
    block.extend(postings);
    block
}

#[test]
fn postings_with_a_place_beyond_all_numbers_are_damaged() {
    let most = u64::MAX >> 2 << 2;
    let block = block("aa", &[most; 6]);
    let (_, mut postings) = words(&block).next().unwrap().unwrap();
    assert!(postings.any(|posting| posting.is_err()));
}

#[test]
fn postings_with_a_count_beyond_sixteen_bits_are_damaged() {
    let block = block("aa", &[3, 1 << 16, 1]);
    let (_, mut postings) = words(&block).next().unwrap().unwrap();
    assert!(matches!(postings.next(), Some(Err(Damaged))));
}

#[test]
fn merge_of_a_word_that_two_blocks_have_is_an_error() {
    let texts = [0; 2 * 26];
    let block = block("aa", &[0, 0]);
    let stored = Stored {
        texts: &texts,
        blocks: vec![&block, &block],
    };
    assert!(matches!(
        merge(&[stored], Deletions::default(), Interrupt::NEVER),
        Err(Error::DamagedIndex)
    ));
}

#[test]
fn rank_and_merge_of_a_place_without_a_text_are_errors() {
    let texts = [0; 26];
    let block = block("aa", &[1 << 2]);
    let query = Query::read(
        "aa",
        Mode::Any,
        &mut Analyzer::new("english", toy),
        Interrupt::NEVER,
    );
    let collection = Collection {
        query: &query,
        segments: vec![(&texts, vec![&block])],
    };
    let ranking = rank(
        &[collection],
        Deletions::default(),
        None,
        &HashSet::new(),
        5,
        Interrupt::NEVER,
    );
    assert!(matches!(ranking, Err(Error::DamagedIndex)));
    let stored = Stored {
        texts: &texts,
        blocks: vec![&block],
    };
    assert!(matches!(
        merge(&[stored], Deletions::default(), Interrupt::NEVER),
        Err(Error::DamagedIndex)
    ));
}

#[test]
fn words_of_a_length_beyond_the_block_are_damaged() {
    for bytes in [
        &[0xff, 0xff, 0xff, 0xff, 0x7f, b'a'][..],
        &[1],
        &[1, b'a'],
        &[1, b'a', 9, 0],
        &[0x80],
        &[0xff; 11],
    ] {
        let words: Vec<_> = words(bytes).collect();
        assert!(matches!(words[..], [Err(Damaged)]), "{bytes:?}");
    }
}

#[test]
fn texts_and_deletions_of_a_wrong_length_are_damaged() {
    let query = Query::default();
    let collection = Collection {
        query: &query,
        segments: vec![(&[0; 27], vec![])],
    };
    let ranking = rank(
        &[collection],
        Deletions::default(),
        None,
        &HashSet::new(),
        5,
        Interrupt::NEVER,
    );
    assert!(matches!(ranking, Err(Error::DamagedIndex)));
    assert!(matches!(
        live_texts([&[0; 25][..]], Deletions::default(), 5),
        Err(Error::DamagedIndex)
    ));
    assert!(matches!(Deletions::new([&[0; 25][..]]), Err(Error::DamagedIndex)));
}

#[test]
fn build_of_counts_of_any_size_is_what_postings_read() {
    for (written, plural, stems, as_written) in [
        (1, 0, 1, 1),
        (0, 1, 1, 0),
        (2, 1, 3, 2),
        (255, 0, 255, 255),
        (100, 100, 200, 100),
    ] {
        let text = "aa ".repeat(written) + &"aas ".repeat(plural);
        let vector = vector(&text, "english");
        let (_, built) = build([(id(7), &vector[..])], Interrupt::NEVER).unwrap().remove(0);
        let (word, postings) = words(&built.blocks[0].1).next().unwrap().unwrap();
        let postings: Vec<_> = postings.map(Result::unwrap).collect();
        assert_eq!(
            (word, &postings[..]),
            (
                &b"aa"[..],
                &[(
                    0,
                    Count {
                        stems,
                        written: as_written
                    }
                )][..]
            )
        );
        assert_eq!(built.length, (written + plural) as u64);
    }
}

#[test]
fn build_of_a_vector_without_positions_has_its_words_as_length() {
    let text: String = (0..90_000).map(|number| format!("w{number}x ")).collect();
    let vector = vector(&text, "english");
    let (_, built) = build([(id(0), &vector[..])], Interrupt::NEVER).unwrap().remove(0);
    assert_eq!(built.length, u64::from(u16::MAX));
}

#[test]
fn blocks_are_small_and_begin_with_their_first_words() {
    let text: String = (0..3000).map(|number| format!("w{number} ")).collect();
    let vector = vector(&text, "english");
    let (_, built) = build([(id(0), &vector[..])], Interrupt::NEVER).unwrap().remove(0);
    assert!(built.blocks.len() > 5);
    for (first, block) in &built.blocks {
        assert!(block.len() <= 2000);
        assert_eq!(words(block).next().unwrap().unwrap().0, &first[..]);
    }
    assert!(built.blocks.is_sorted_by(|a, b| a.0 < b.0));
}

#[test]
fn rank_and_merge_ask_whether_they_shall_stop() {
    let texts = (0..2000)
        .map(|number| (number, 0, vec!["aa".to_owned()]))
        .collect();
    let project = Project::after(&[Step::Store(texts)]);
    let built = &project.segments[0].1;
    let blocks: Vec<&[u8]> = built.blocks.iter().map(|(_, block)| &block[..]).collect();
    let query = Query::read(
        "aa",
        Mode::Any,
        &mut Analyzer::new("english", toy),
        Interrupt::NEVER,
    );
    let collections = [Collection {
        query: &query,
        segments: vec![(&built.texts, blocks.clone())],
    }];
    let asked = interrupts(|interrupt| {
        rank(
            &collections,
            Deletions::default(),
            None,
            &HashSet::new(),
            5,
            interrupt,
        )
        .unwrap();
    });
    assert!(asked > 2000 / 256);
    let stored = [Stored {
        texts: &built.texts,
        blocks,
    }];
    let asked = interrupts(|interrupt| {
        merge(&stored, Deletions::default(), interrupt).unwrap();
    });
    assert!(asked > 2000 / 256);
}
