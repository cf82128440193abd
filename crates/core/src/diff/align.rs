//! Which tokens of two lists are the same.
//!
//! imara-diff takes time in the square of the length where few tokens repeat in another order: 10 seconds for 65,536 lines of one
//! letter each. So texts are compared in windows, and windows are cut at tokens that both have once, as patience diff does. Only
//! what lies between these is given to imara-diff, at most [`MOST_COMPARED`] tokens of each text at once.

use crate::Interrupt;
use imara_diff::{Algorithm, Diff, InternedInput, NoSliderHeuristic, Token};
use std::ops::Range;

/// How many tokens of each text a window has. More than the lines of most texts.
const WINDOW: usize = 1 << 16;

/// How many tokens of each text imara-diff compares at once, in some milliseconds.
const MOST_COMPARED: usize = 1 << 10;

/// Tokens of the old text, and the tokens of the new text in their place. One of them may be none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hunk {
    pub(super) old: Range<usize>,
    pub(super) new: Range<usize>,
}

/// A part of both texts.
pub(super) struct Window<'a> {
    pub(super) old: Vec<&'a str>,
    pub(super) new: Vec<&'a str>,
    /// What differs, in order. Between two hunks lies at least one token.
    pub(super) hunks: Vec<Hunk>,
}

/// The windows of two texts, in order.
pub(super) struct Windows<'a, O, N> {
    old: Side<'a, O>,
    new: Side<'a, N>,
    input: InternedInput<&'a str>,
    interrupt: Interrupt,
}

struct Side<'a, I> {
    rest: I,
    held: Vec<&'a str>,
    is_whole: bool,
}

impl<'a, I: Iterator<Item = &'a str>> Side<'a, I> {
    fn new(rest: I) -> Self {
        Side {
            rest,
            held: Vec::new(),
            is_whole: false,
        }
    }

    fn fill(&mut self) {
        self.held
            .extend(self.rest.by_ref().take(WINDOW - self.held.len()));
        self.is_whole = self.held.len() < WINDOW;
    }

    fn take(&mut self, end: usize) -> Vec<&'a str> {
        let rest = self.held.split_off(end);
        std::mem::replace(&mut self.held, rest)
    }
}

impl<'a, O: Iterator<Item = &'a str>, N: Iterator<Item = &'a str>> Windows<'a, O, N> {
    pub(super) fn new(old: O, new: N, interrupt: Interrupt) -> Self {
        Windows {
            old: Side::new(old),
            new: Side::new(new),
            input: InternedInput::default(),
            interrupt,
        }
    }
}

impl<'a, O: Iterator<Item = &'a str>, N: Iterator<Item = &'a str>> Iterator for Windows<'a, O, N> {
    type Item = Window<'a>;

    fn next(&mut self) -> Option<Window<'a>> {
        self.old.fill();
        self.new.fill();
        if self.old.held.is_empty() && self.new.held.is_empty() {
            return None;
        }
        self.input.clear();
        let (old, new) = (self.old.held.iter().copied(), self.new.held.iter().copied());
        self.input.update_before(self.interrupt.during(old));
        self.input.update_after(self.interrupt.during(new));
        let mut hunks = compare(
            &self.input.before,
            &self.input.after,
            self.input.interner.num_tokens(),
            self.interrupt,
        );
        let mut end = (self.old.held.len(), self.new.held.len());
        if !(self.old.is_whole && self.new.is_whole) {
            end = keep_for_later(&mut hunks, end);
        }
        Some(Window {
            old: self.old.take(end.0),
            new: self.new.take(end.1),
            hunks,
        })
    }
}

/// Takes the last hunk away if it reaches the end, because what follows may have a counterpart for it. Returns where the rest ends:
/// behind the middle, so that a text is read twice at most.
fn keep_for_later(hunks: &mut Vec<Hunk>, end: (usize, usize)) -> (usize, usize) {
    let Some(last) = hunks.last().cloned() else {
        return end;
    };
    let is_last = (last.old.end, last.new.end) == end;
    let is_late = 2 * last.old.start.max(last.new.start) >= end.0.max(end.1);
    if !(is_last && is_late) {
        return end;
    }
    hunks.pop();
    (last.old.start, last.new.start)
}

fn compare(old: &[Token], new: &[Token], different: u32, interrupt: Interrupt) -> Vec<Hunk> {
    let mut comparison = Comparison {
        hunks: Vec::new(),
        input: InternedInput::default(),
        diff: Diff::default(),
        interrupt,
    };
    let mut at = (0, 0);
    let anchors = anchors(old, new, different);
    for anchor in anchors.into_iter().chain([(old.len(), new.len())]) {
        comparison.gap(old, new, at, anchor);
        at = (anchor.0 + 1, anchor.1 + 1);
    }
    comparison.hunks
}

/// The longest list of tokens that both texts have once, and in the same order, as their places in both.
fn anchors(old: &[Token], new: &[Token], different: u32) -> Vec<(usize, usize)> {
    const NONE: usize = usize::MAX;
    const TWICE: usize = usize::MAX - 1;
    let place_of = |tokens: &[Token]| {
        let mut places = vec![NONE; different as usize];
        for (at, token) in tokens.iter().enumerate() {
            let place = &mut places[token.0 as usize];
            *place = if *place == NONE { at } else { TWICE };
        }
        places
    };
    let (of_old, of_new) = (place_of(old), place_of(new));
    let pairs: Vec<(usize, usize)> = old
        .iter()
        .map(|token| (of_old[token.0 as usize], of_new[token.0 as usize]))
        .filter(|&(at, other)| at < TWICE && other < TWICE)
        .collect();
    // Of all rising lists of a length, the one that ends lowest; and for each pair, the pair before it in its list.
    let mut lowest: Vec<usize> = Vec::new();
    let mut before = vec![NONE; pairs.len()];
    for (number, &(_, other)) in pairs.iter().enumerate() {
        let length = lowest.partition_point(|&end| pairs[end].1 < other);
        if length > 0 {
            before[number] = lowest[length - 1];
        }
        if length == lowest.len() {
            lowest.push(number);
        } else {
            lowest[length] = number;
        }
    }
    let mut longest = Vec::with_capacity(lowest.len());
    let mut number = lowest.last().copied().unwrap_or(NONE);
    while let Some(&pair) = pairs.get(number) {
        longest.push(pair);
        number = before[number];
    }
    longest.reverse();
    longest
}

struct Comparison {
    hunks: Vec<Hunk>,
    /// Tokens of a gap, numbered anew, because imara-diff makes tables as large as the highest number.
    input: InternedInput<u32>,
    diff: Diff,
    interrupt: Interrupt,
}

impl Comparison {
    fn gap(&mut self, old: &[Token], new: &[Token], mut start: (usize, usize), end: (usize, usize)) {
        while start != end {
            self.interrupt.check();
            let until = (
                end.0.min(start.0 + MOST_COMPARED),
                end.1.min(start.1 + MOST_COMPARED),
            );
            let mut hunks = self.part(&old[start.0..until.0], &new[start.1..until.1]);
            let mut length = (until.0 - start.0, until.1 - start.1);
            if until != end {
                length = keep_for_later(&mut hunks, length);
            }
            for hunk in hunks {
                self.push(Hunk {
                    old: start.0 + hunk.old.start..start.0 + hunk.old.end,
                    new: start.1 + hunk.new.start..start.1 + hunk.new.end,
                });
            }
            start = (start.0 + length.0, start.1 + length.1);
        }
    }

    fn part(&mut self, old: &[Token], new: &[Token]) -> Vec<Hunk> {
        if old.is_empty() || new.is_empty() {
            return vec![Hunk {
                old: 0..old.len(),
                new: 0..new.len(),
            }];
        }
        self.input.clear();
        self.input.update_before(old.iter().map(|token| token.0));
        self.input.update_after(new.iter().map(|token| token.0));
        let (old, new) = (&self.input.before, &self.input.after);
        self.diff
            .compute_with(Algorithm::Myers, old, new, self.input.interner.num_tokens());
        self.diff.postprocess_with(old, new, NoSliderHeuristic);
        let range = |range: &Range<u32>| range.start as usize..range.end as usize;
        self.diff
            .hunks()
            .map(|hunk| Hunk {
                old: range(&hunk.before),
                new: range(&hunk.after),
            })
            .collect()
    }

    fn push(&mut self, hunk: Hunk) {
        match self.hunks.last_mut() {
            Some(last) if last.old.end == hunk.old.start && last.new.end == hunk.new.start => {
                last.old.end = hunk.old.end;
                last.new.end = hunk.new.end;
            }
            _ => self.hunks.push(hunk),
        }
    }
}
