//! Excerpts of a text in which the words of a query are marked.

use crate::Interrupt;
use crate::analyze::{Analyzer, Kind, Stemmer};
use crate::word_query::Query;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::ops::Range;

/// The most words of an excerpt.
const EXCERPT_WORDS: usize = 35;
/// How many words an excerpt has before its first marked word.
const WORDS_BEFORE: usize = 5;

/// A word of the text.
struct Seen {
    bytes: Range<usize>,
    /// The term of the query that it has.
    term: Option<usize>,
}

/// Returns the best excerpts, at most `fragments`, joined by " … ". Words of the query stand between `<b>` and `</b>`. A short text
/// is returned whole. `html`: escape the rest of the text for HTML.
pub fn highlight<S: Stemmer>(
    content: &str,
    query: &Query,
    analyzer: &mut Analyzer<S>,
    fragments: usize,
    html: bool,
    interrupt: Interrupt,
) -> String {
    let seen = words(content, query, analyzer, interrupt);
    let excerpts: Vec<String> = best_windows(&seen, query.terms.len(), fragments, interrupt)
        .into_iter()
        .map(|window| excerpt(content, &seen, window, html))
        .collect();
    excerpts.join(" … ")
}

/// The words of a text in order. Compounds and pairs of characters mark the words that they cover.
fn words<S: Stemmer>(
    content: &str,
    query: &Query,
    analyzer: &mut Analyzer<S>,
    interrupt: Interrupt,
) -> Vec<Seen> {
    let terms = || query.terms.iter().enumerate().filter(|(_, term)| term.is_scored);
    let mut by_word: HashMap<&str, usize> = HashMap::new();
    for (number, term) in terms() {
        let all = term
            .stems
            .iter()
            .chain([&term.written])
            .filter(|word| !word.is_empty());
        for word in all {
            by_word.entry(word).or_insert(number);
        }
    }
    let prefixes: Vec<(usize, &str)> = terms()
        .filter_map(|(number, term)| Some((number, term.prefix.as_deref()?)))
        .collect();
    let mut seen: Vec<Seen> = Vec::new();
    let mut wholes: Vec<(Range<usize>, usize)> = Vec::new();
    analyzer.each(content, interrupt, |word| {
        let term = word.lexemes().find_map(|lexeme| {
            let prefix = prefixes
                .iter()
                .find(|(_, prefix)| lexeme.text.starts_with(prefix));
            by_word
                .get(lexeme.text)
                .copied()
                .or_else(|| prefix.map(|&(number, _)| number))
        });
        match (word.kind, term) {
            (Kind::Word, _) => seen.push(Seen {
                bytes: word.start..word.end,
                term,
            }),
            (_, Some(term)) => wholes.push((word.start..word.end, term)),
            _ => {}
        }
    });
    for (bytes, term) in wholes {
        let first = seen.partition_point(|word| word.bytes.end <= bytes.start);
        for word in seen[first..]
            .iter_mut()
            .take_while(|word| word.bytes.start < bytes.end)
        {
            word.term.get_or_insert(term);
        }
    }
    seen
}

/// The windows with the most different terms of the query, then the most marked words, then the first. In the order of the text.
fn best_windows(seen: &[Seen], terms: usize, fragments: usize, interrupt: Interrupt) -> Vec<Range<usize>> {
    if seen.len() <= EXCERPT_WORDS {
        let whole = 0..seen.len();
        return vec![whole];
    }
    let mut windows = Windows::new(seen, terms);
    let marked = (0..seen.len()).filter(|&place| seen[place].term.is_some());
    let starts = marked.map(|first| first.saturating_sub(WORDS_BEFORE).min(seen.len() - EXCERPT_WORDS));
    let mut rated: Vec<((usize, usize), usize)> = interrupt
        .during(starts)
        .map(|start| (windows.move_to(start), start))
        .collect();
    // Stable, so among equals the first comes first.
    rated.sort_by_key(|&(rate, _)| Reverse(rate));
    let mut best: Vec<Range<usize>> = Vec::new();
    // All windows have one size, so those that overlap have an end of the other.
    let mut is_taken = vec![false; seen.len()];
    for (_, start) in rated {
        if best.len() == fragments {
            break;
        }
        let window = start..start + EXCERPT_WORDS;
        if !is_taken[window.start] && !is_taken[window.end - 1] {
            is_taken[window.clone()].fill(true);
            best.push(window);
        }
    }
    if best.is_empty() {
        best.push(0..EXCERPT_WORDS);
    }
    best.sort_by_key(|window| window.start);
    best
}

/// A window that moves over a text, and what is marked in it.
struct Windows<'a> {
    seen: &'a [Seen],
    window: Range<usize>,
    /// How often the window has each term.
    counts: Vec<usize>,
    different: usize,
    marked: usize,
}

impl<'a> Windows<'a> {
    fn new(seen: &'a [Seen], terms: usize) -> Self {
        Windows {
            seen,
            window: 0..0,
            counts: vec![0; terms],
            different: 0,
            marked: 0,
        }
    }

    /// Moves the window forward. Returns how many different terms it has, and how many marked words.
    fn move_to(&mut self, start: usize) -> (usize, usize) {
        let end = start + EXCERPT_WORDS;
        for word in &self.seen[self.window.end..end] {
            if let Some(term) = word.term {
                self.counts[term] += 1;
                self.different += usize::from(self.counts[term] == 1);
                self.marked += 1;
            }
        }
        for word in &self.seen[self.window.start..start] {
            if let Some(term) = word.term {
                self.counts[term] -= 1;
                self.different -= usize::from(self.counts[term] == 0);
                self.marked -= 1;
            }
        }
        self.window = start..end;
        (self.different, self.marked)
    }
}

fn excerpt(content: &str, seen: &[Seen], window: Range<usize>, html: bool) -> String {
    let is_whole = window.len() == seen.len();
    let start = if is_whole {
        0
    } else {
        seen[window.start].bytes.start
    };
    let end = seen
        .get(window.end)
        .map_or(content.len(), |next| next.bytes.start);
    let mut excerpt = String::new();
    let mut done = start;
    for word in seen[window].iter().filter(|word| word.term.is_some()) {
        // Several words can come from the same letters, such as the digits of `½`.
        if word.bytes.start < done {
            continue;
        }
        push(&mut excerpt, &content[done..word.bytes.start], html);
        excerpt += "<b>";
        push(&mut excerpt, &content[word.bytes.clone()], html);
        excerpt += "</b>";
        done = word.bytes.end;
    }
    push(&mut excerpt, content[done..end.max(done)].trim_end(), html);
    excerpt
}

fn push(excerpt: &mut String, text: &str, html: bool) {
    for letter in text.chars() {
        match letter {
            '&' if html => *excerpt += "&amp;",
            '<' if html => *excerpt += "&lt;",
            '>' if html => *excerpt += "&gt;",
            '"' if html => *excerpt += "&quot;",
            '\'' if html => *excerpt += "&#39;",
            _ => excerpt.push(letter),
        }
    }
}

#[cfg(test)]
mod tests;
