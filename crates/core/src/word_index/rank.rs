//! Finds the texts that match a query best: exact BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework", 2009).
//!
//! The score of a text is the sum, over the terms of the query, of `idf · (s(n) + 0.2 · s(w))`. `n` is how many words of the text
//! have the term's stem, and `w` how many are written as in the query. `s(n) = n · (k1 + 1) / (n + k1 · (1 - b + b · length / mean
//! length))`, with k1 = 1.2 and b = 0.75. `idf = ln(1 + (N - df + 0.5) / (df + 0.5))`: N texts, df of them with the stem. A
//! compound counts 0.4 times, because its parts are terms of their own. A part of a name without signs, such as `PostgreSQL`, counts
//! 0.5 times.

use super::segment::{Count, Deletions, Filter, Postings, Texts, words};
use super::{Damaged, Error, Id};
use crate::Interrupt;
use crate::word_query::{Group, Operand, Query, Term};
use std::collections::{HashMap, HashSet};

/// How soon more occurrences of a word stop to count.
const K1: f64 = 1.2;
/// How much the length of a text counts against it.
const B: f64 = 0.75;
/// How much more a word counts that is written as in the query.
const AS_WRITTEN: f64 = 0.2;
/// How much a compound counts. Its parts count, too: with 1, `sign-in` would count as three words.
const COMPOUND: f64 = 0.4;
/// How much a part of a name without signs counts. With 1, `PostgreSQL` would outweigh the other words of a question.
const PART: f64 = 0.5;

/// The texts of one project that were analysed alike: their own statistics, and the query as analysed for them.
pub struct Collection<'a> {
    /// The query.
    pub query: &'a Query,
    /// The segments, and of each the blocks that may have words of the query.
    pub segments: Vec<(&'a [u8], Vec<&'a [u8]>)>,
}

/// A text that matches.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// Its id.
    pub id: Id,
    /// The collection that it is in, by its number.
    pub collection: usize,
    /// Its score.
    pub score: f64,
    /// The terms of the query that it has, by their numbers in [`Query::terms`].
    pub terms: Vec<usize>,
}

/// What a ranking found.
#[derive(Debug, Default)]
pub struct Ranking {
    /// The best texts, best first, ties by id.
    pub best: Vec<Ranked>,
    /// The mean and the standard deviation of the scores of all texts in each collection.
    pub spread: Vec<(f64, f64)>,
}

/// Finds the best `count` texts. `among`: only these texts. `also`: these too, if they match.
///
/// # Errors
/// [`Error::DamagedIndex`] if the bytes are no segments.
pub fn rank(
    collections: &[Collection],
    mut deletions: Deletions,
    among: Option<&HashSet<Id>>,
    also: &HashSet<Id>,
    count: usize,
    interrupt: Interrupt,
) -> Result<Ranking, Error> {
    let wanted = Wanted {
        among: among.map(Ids::new),
        also: Ids::new(also),
        count,
    };
    let mut ranking = Ranking::default();
    for (number, collection) in collections.iter().enumerate() {
        let live = Live::new(collection, &mut deletions, interrupt)?;
        let hits = Hits::find(collection, &live, interrupt)?;
        let mut best = Best::new(&wanted);
        ranking.spread.push(hits.offer(&mut best, &live, interrupt));
        ranking.best.extend(best.finish().into_iter().map(|text| Ranked {
            id: text.id,
            collection: number,
            score: text.score,
            terms: hits.terms_of(&text),
        }));
    }
    ranking
        .best
        .sort_unstable_by(|a, b| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id)));
    let mut seen = HashSet::new();
    ranking.best.retain(|text| {
        // A text that was loaded without triggers may be there twice.
        seen.insert(text.id) && (seen.len() <= count || also.contains(&text.id))
    });
    Ok(ranking)
}

/// A set of ids that most ids are not in.
struct Ids<'a> {
    ids: &'a HashSet<Id>,
    filter: Filter,
}

impl<'a> Ids<'a> {
    fn new(ids: &'a HashSet<Id>) -> Self {
        Ids {
            ids,
            filter: Filter::new(ids.iter().map(low)),
        }
    }

    fn contains(&self, id: &Id) -> bool {
        self.filter.may_have(low(id)) && self.ids.contains(id)
    }
}

/// The lower half of an id. In UUIDs of all versions in use it differs.
fn low(id: &Id) -> u64 {
    u128::from_be_bytes(*id) as u64
}

/// Which texts the caller wants.
struct Wanted<'a> {
    among: Option<Ids<'a>>,
    also: Ids<'a>,
    count: usize,
}

/// A text that matches, and where it is.
struct Found {
    id: Id,
    score: f64,
    segment: usize,
    place: usize,
}

/// The best texts so far, and some that were.
struct Best<'a> {
    wanted: &'a Wanted<'a>,
    found: Vec<Found>,
    /// How many texts may be found before those that are not wanted are forgotten.
    room: usize,
    /// No text with a lower score is one of the best.
    lowest: f64,
}

impl<'a> Best<'a> {
    /// How many texts are found besides the wanted ones before they are forgotten.
    const BESIDES: usize = 1000;

    fn new(wanted: &'a Wanted<'a>) -> Self {
        Best {
            wanted,
            found: Vec::new(),
            room: wanted.count.saturating_add(Self::BESIDES),
            lowest: f64::NEG_INFINITY,
        }
    }

    #[inline]
    fn offer(&mut self, score: f64, segment: usize, place: usize, texts: &Texts) {
        let Wanted { among, also, .. } = self.wanted;
        let is_low = score < self.lowest;
        if is_low && also.ids.is_empty() {
            return;
        }
        let Some(id) = texts.id(place) else { return };
        if is_low && !also.contains(&id) || among.as_ref().is_some_and(|among| !among.contains(&id)) {
            return;
        }
        self.found.push(Found {
            id,
            score,
            segment,
            place,
        });
        if self.found.len() > self.room {
            self.forget();
            self.room = self.found.len() + self.wanted.count.saturating_add(Self::BESIDES);
        }
    }

    /// Forgets what is neither among the best nor asked for.
    fn forget(&mut self) {
        let Wanted { also, count, .. } = self.wanted;
        if *count >= self.found.len() {
            return;
        }
        // The best ones stand first after this, and the next one behind them.
        let by_score = |a: &Found, b: &Found| b.score.total_cmp(&a.score).then(a.id.cmp(&b.id));
        let (_, next, _) = self.found.select_nth_unstable_by(*count, by_score);
        self.lowest = next.score;
        let rest = self.found.split_off(*count);
        self.found
            .extend(rest.into_iter().filter(|text| also.contains(&text.id)));
    }

    fn finish(mut self) -> Vec<Found> {
        self.forget();
        self.found
    }
}

/// The texts of a collection that are not deleted.
struct Live<'a> {
    segments: Vec<Texts<'a>>,
    /// Of each text of each segment the length in words; `None` if it is deleted.
    lengths: Vec<Vec<Option<u16>>>,
    count: usize,
    /// What the length of a text does to its score, by length: see [`often`].
    norms: Vec<f64>,
}

impl<'a> Live<'a> {
    fn new(
        collection: &Collection<'a>,
        deletions: &mut Deletions,
        interrupt: Interrupt,
    ) -> Result<Self, Error> {
        let mut live = Live {
            segments: Vec::new(),
            lengths: Vec::new(),
            count: 0,
            norms: Vec::new(),
        };
        let (mut total, mut longest) = (0u64, 0);
        for (texts, _) in &collection.segments {
            let texts = Texts::new(texts)?;
            let mut lengths = Vec::with_capacity(texts.count());
            for (version, length) in interrupt.during(texts.all()) {
                let is_deleted = deletions.take(version);
                if !is_deleted {
                    live.count += 1;
                    total += u64::from(length);
                    longest = longest.max(length);
                }
                lengths.push((!is_deleted).then_some(length));
            }
            live.segments.push(texts);
            live.lengths.push(lengths);
        }
        // Texts without words have no mean, and nothing to score.
        let mean_length = (total as f64 / live.count.max(1) as f64).max(f64::MIN_POSITIVE);
        let norm = |length: u16| K1 * (1.0 - B + B * f64::from(length) / mean_length);
        live.norms = (0..=longest).map(norm).collect();
        Ok(live)
    }

    fn norm(&self, segment: usize, place: usize) -> f64 {
        self.norms[usize::from(self.lengths[segment][place].unwrap_or(0))]
    }
}

/// A live text that has a term.
#[derive(Clone, Copy)]
struct Hit {
    place: u32,
    count: Count,
}

/// Which texts have which terms of the query.
struct Hits<'a> {
    query: &'a Query,
    /// By term and segment, in the order of places.
    hits: Vec<Vec<Vec<Hit>>>,
}

impl<'a> Hits<'a> {
    fn find(collection: &Collection<'a>, live: &Live, interrupt: Interrupt) -> Result<Self, Error> {
        let query = collection.query;
        let mut hits = vec![Vec::new(); query.terms.len()];
        for ((_, blocks), lengths) in collection.segments.iter().zip(&live.lengths) {
            let lists = Lists::read(query, blocks)?;
            for (term, hits) in query.terms.iter().zip(&mut hits) {
                hits.push(lists.hits(term, lengths, interrupt)?);
            }
        }
        Ok(Hits { query, hits })
    }

    /// Offers each text that the query matches. Returns the mean and the standard deviation of the scores of all texts.
    fn offer(&self, best: &mut Best, live: &Live, interrupt: Interrupt) -> (f64, f64) {
        let (mut sum, mut squares) = (0.0, 0.0);
        for (segment, (texts, lengths)) in live.segments.iter().zip(&live.lengths).enumerate() {
            let scores = self.scores(segment, live, interrupt);
            let matches = self.matches(segment, &scores, interrupt);
            for (place, is_match) in interrupt.during(matches.into_iter().enumerate()) {
                if is_match && lengths[place].is_some() {
                    sum += scores[place];
                    squares += scores[place] * scores[place];
                    best.offer(scores[place], segment, place, texts);
                }
            }
        }
        let texts = live.count.max(1) as f64;
        let mean = sum / texts;
        (mean, (squares / texts - mean * mean).max(0.0).sqrt())
    }

    fn scores(&self, segment: usize, live: &Live, interrupt: Interrupt) -> Vec<f64> {
        let mut scores = vec![0.0; live.lengths[segment].len()];
        for (term, hits) in self.query.terms.iter().zip(&self.hits) {
            if !term.is_scored {
                continue;
            }
            let idf = idf(live.count, hits.iter().map(Vec::len).sum()) * weight(term);
            for hit in interrupt.during(hits[segment].iter()) {
                let norm = live.norm(segment, hit.place as usize);
                let stems = often(hit.count.stems, norm);
                let written = if hit.count.written == hit.count.stems {
                    stems
                } else {
                    often(hit.count.written, norm)
                };
                scores[hit.place as usize] += idf * (stems + AS_WRITTEN * written);
            }
        }
        scores
    }

    /// Whether each text of a segment matches the query.
    fn matches(&self, segment: usize, scores: &[f64], interrupt: Interrupt) -> Vec<bool> {
        let query = self.query;
        let mut required = query.groups.iter().filter(|group| group.is_required).peekable();
        let mut matches = if query.has_only_exclusions() || required.peek().is_some() {
            vec![true; scores.len()]
        } else {
            // Each word that counts raises the score.
            scores.iter().map(|&score| score > 0.0).collect()
        };
        for group in required {
            interrupt.check();
            let satisfied = self.satisfied(group, segment, scores.len());
            matches
                .iter_mut()
                .zip(satisfied)
                .for_each(|(matches, satisfied)| *matches &= satisfied);
        }
        for operand in query.excluded.iter().filter(|operand| !operand.is_exact) {
            interrupt.check();
            let satisfied = self.satisfies(operand, segment, scores.len());
            matches
                .iter_mut()
                .zip(satisfied)
                .for_each(|(matches, satisfied)| *matches &= !satisfied);
        }
        matches
    }

    fn satisfied(&self, group: &Group, segment: usize, texts: usize) -> Vec<bool> {
        let mut any = vec![false; texts];
        for operand in &group.operands {
            if let ([term], true) = (&operand.words[..], operand.bigrams.is_empty()) {
                let terms = operand.compounds.iter().chain([term]);
                terms.for_each(|&term| {
                    self.hits[term][segment]
                        .iter()
                        .for_each(|hit| any[hit.place as usize] = true)
                });
            } else {
                let satisfies = self.satisfies(operand, segment, texts);
                any.iter_mut()
                    .zip(satisfies)
                    .for_each(|(any, satisfies)| *any |= satisfies);
            }
        }
        any
    }

    /// Whether each text has all words of an operand, a compound of them, or all of its bigrams.
    fn satisfies(&self, operand: &Operand, segment: usize, texts: usize) -> Vec<bool> {
        let mut missing = vec![operand.words.len(); texts];
        let count = |missing: &mut Vec<usize>, terms: &[usize]| {
            for &term in terms {
                self.hits[term][segment]
                    .iter()
                    .for_each(|hit| missing[hit.place as usize] -= 1);
            }
        };
        count(&mut missing, &operand.words);
        if !operand.bigrams.is_empty() {
            let mut missing_bigrams = vec![operand.bigrams.len(); texts];
            count(&mut missing_bigrams, &operand.bigrams);
            missing
                .iter_mut()
                .zip(missing_bigrams)
                .for_each(|(missing, bigrams)| *missing *= bigrams.min(1));
        }
        for &term in &operand.compounds {
            self.hits[term][segment]
                .iter()
                .for_each(|hit| missing[hit.place as usize] = 0);
        }
        missing.into_iter().map(|missing| missing == 0).collect()
    }

    fn terms_of(&self, text: &Found) -> Vec<usize> {
        let has = |&term: &usize| {
            self.hits[term][text.segment]
                .binary_search_by_key(&text.place, |hit| hit.place as usize)
                .is_ok()
        };
        (0..self.query.terms.len()).filter(has).collect()
    }
}

/// The postings of a segment for the words of a query.
struct Lists<'a> {
    words: HashMap<&'a [u8], Postings<'a>>,
    /// For each prefix of the query.
    beginning: Vec<(&'a str, Vec<Postings<'a>>)>,
}

impl<'a> Lists<'a> {
    fn read(query: &'a Query, blocks: &[&'a [u8]]) -> Result<Self, Damaged> {
        let wanted: HashSet<&[u8]> = query.words().map(str::as_bytes).collect();
        let mut lists = Lists {
            words: HashMap::new(),
            beginning: query.prefixes().map(|prefix| (prefix, Vec::new())).collect(),
        };
        for block in blocks {
            for word in words(block) {
                let (word, postings) = word?;
                for (prefix, list) in &mut lists.beginning {
                    if word.starts_with(prefix.as_bytes()) {
                        list.push(postings.clone());
                    }
                }
                if wanted.contains(word) {
                    lists.words.insert(word, postings);
                }
            }
        }
        Ok(lists)
    }

    /// The live texts that have a term. The count is the largest of any of the term's stems, or of any word with its prefix.
    fn hits(&self, term: &Term, lengths: &[Option<u16>], interrupt: Interrupt) -> Result<Vec<Hit>, Damaged> {
        let is_one = term.stems.len() == 1 && term.prefix.is_none() && term.stems[0] == term.written;
        let mut hits = Vec::new();
        if is_one {
            if let Some(postings) = self.words.get(term.written.as_bytes()) {
                read(postings, lengths, interrupt, &mut hits, |count| count)?;
                hits.retain(|hit| hit.count.stems > 0);
            }
            return Ok(hits);
        }
        let mut read = |postings: &Postings<'a>, of: fn(Count) -> Count| {
            read(postings, lengths, interrupt, &mut hits, of)
        };
        if let Some(prefix) = &term.prefix {
            let lists = self
                .beginning
                .iter()
                .filter(|(other, _)| other == prefix)
                .flat_map(|(_, lists)| lists);
            for postings in lists {
                read(postings, |count| Count {
                    stems: count.stems.max(count.written),
                    written: 0,
                })?;
            }
        }
        for stem in &term.stems {
            let postings = self.words.get(stem.as_bytes());
            postings
                .map(|postings| read(postings, |count| Count { written: 0, ..count }))
                .transpose()?;
        }
        let postings = self.words.get(term.written.as_bytes());
        postings
            .map(|postings| read(postings, |count| Count { stems: 0, ..count }))
            .transpose()?;
        Ok(joined(hits))
    }
}

/// Adds the live texts of a list.
fn read(
    postings: &Postings,
    lengths: &[Option<u16>],
    interrupt: Interrupt,
    hits: &mut Vec<Hit>,
    of: impl Fn(Count) -> Count,
) -> Result<(), Damaged> {
    for posting in interrupt.during(postings.clone()) {
        let (place, count) = posting?;
        let length = lengths.get(place as usize).ok_or(Damaged)?;
        if length.is_some() {
            hits.push(Hit {
                place: place as u32,
                count: of(count),
            });
        }
    }
    Ok(())
}

/// Joins the hits of each text to one.
fn joined(mut hits: Vec<Hit>) -> Vec<Hit> {
    // Linear if the hits are a few lists in order.
    hits.sort_by_key(|hit| hit.place);
    hits.dedup_by(|next, kept| {
        let is_same = next.place == kept.place;
        if is_same {
            kept.count.stems = kept.count.stems.max(next.count.stems);
            kept.count.written = kept.count.written.max(next.count.written);
        }
        is_same
    });
    hits.retain(|hit| hit.count.stems > 0);
    hits
}

/// How much it counts that a text has a word so many times: `s(n)`.
#[inline]
fn often(count: u16, norm: f64) -> f64 {
    let count = f64::from(count);
    count * (K1 + 1.0) / (count + norm)
}

fn weight(term: &Term) -> f64 {
    match (term.is_compound, term.is_part) {
        (true, _) => COMPOUND,
        (_, true) => PART,
        _ => 1.0,
    }
}

fn idf(texts: usize, having: usize) -> f64 {
    let (texts, having) = (texts as f64, having as f64);
    (1.0 + (texts - having + 0.5) / (having + 0.5)).ln()
}
