//! Token counts of many slices of one text, without encoding each slice again.

use super::Interrupt;
use super::rank_select::RankSelect;
use super::split::Sizer;
use super::token::{Encoder, Encoding};
use std::cell::RefCell;
use std::ops::Range;

/// Pre-tokens of more bytes than this have their token offsets recorded; shorter ones only their count.
const LONG_PRETOKEN: usize = 256;

/// A text that has been counted once, pre-token by pre-token.
///
/// A pre-token is encoded by itself, and where one begins does not depend on what stands before it. So the tokens of
/// a slice are those of the whole pre-tokens inside it, which a subtraction gives, and of its two edges, which are
/// encoded again. What follows a pre-token matters only to white space at the end of the slice, which counts as an edge.
pub(super) struct CountedText<'a> {
    text: &'a str,
    encoding: &'static Encoding,
    interrupt: Interrupt,
    encoder: RefCell<Encoder>,
    /// Where pre-tokens begin, and the end of the text.
    pretokens: RankSelect,
    /// Where tokens begin, and the end of the text. A pre-token that is not long has its first bytes in here instead, as
    /// many as it has tokens: every token is at least a byte.
    tokens: RankSelect,
    /// The ranges of the long pre-tokens.
    long: Vec<(u32, u32)>,
}

impl<'a> CountedText<'a> {
    pub(super) fn new(text: &'a str, encoding: &'static Encoding, interrupt: Interrupt) -> Self {
        let mut encoder = encoding.encoder(interrupt);
        let (mut pretokens, mut tokens) = (RankSelect::new(text.len()), RankSelect::new(text.len()));
        let (mut long, mut at) = (Vec::new(), 0);
        for pretoken in encoding.pretokens(text, interrupt) {
            pretokens.push(at);
            let end = at + pretoken.len();
            if pretoken.len() > LONG_PRETOKEN {
                encoder.begins(pretoken, |begin| tokens.push(at + begin));
                // A text of Postgres is at most 1 GB.
                long.push((at as u32, end as u32));
            } else {
                (at..at + encoder.count(pretoken)).for_each(|place| tokens.push(place));
            }
            at = end;
        }
        pretokens.push(at);
        tokens.push(at);
        CountedText {
            text,
            encoding,
            interrupt,
            encoder: RefCell::new(encoder),
            pretokens,
            tokens,
            long,
        }
    }

    /// Where `slice` stands, if it is a part of the text.
    fn range_of(&self, slice: &str) -> Option<Range<usize>> {
        let start = (slice.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        let end = start + slice.len();
        (end <= self.text.len()).then_some(start..end)
    }

    fn count_range(&self, range: Range<usize>) -> usize {
        let mut tokens = 0;
        let mut at = range.start;
        // From the middle of a pre-token, up to where the pre-tokens of slice and text meet.
        for pretoken in self.encoding.pretokens(&self.text[range.clone()], self.interrupt) {
            if self.pretokens.contains(at) {
                let end_of_words = at + self.text[at..range.end].trim_end().len();
                let last = self.pretokens.up_to(end_of_words).unwrap_or(at);
                let inside = self.tokens.rank(last) - self.tokens.rank(at);
                return tokens + inside + self.count_edge(last..range.end);
            }
            tokens += self.count_pretoken(at..at + pretoken.len());
            at += pretoken.len();
        }
        tokens
    }

    fn count_edge(&self, range: Range<usize>) -> usize {
        let mut at = range.start;
        let counts = self
            .encoding
            .pretokens(&self.text[range], self.interrupt)
            .map(|pretoken| {
                let start = at;
                at += pretoken.len();
                self.count_pretoken(start..at)
            });
        counts.sum()
    }

    /// The number of tokens of a pre-token of a slice. It may be a part of a long pre-token of the text.
    fn count_pretoken(&self, range: Range<usize>) -> usize {
        let mut encoder = self.encoder.borrow_mut();
        if range.len() > LONG_PRETOKEN {
            let number = self
                .long
                .partition_point(|&(start, _)| start as usize <= range.start);
            if let Some(&(start, end)) = number.checked_sub(1).map(|number| &self.long[number])
                && range.end <= end as usize
            {
                return encoder.count_part(self.text, start as usize..end as usize, &self.tokens, range);
            }
        }
        encoder.count(&self.text[range])
    }
}

impl Sizer for CountedText<'_> {
    fn count(&self, slice: &str) -> usize {
        match self.range_of(slice) {
            Some(range) => self.count_range(range),
            None => self.encoding.count(slice, self.interrupt),
        }
    }

    fn offset_beyond(&self, start: usize, tokens: usize) -> usize {
        let end = self.pretokens.from(start).and_then(|first| {
            let beyond = self.tokens.select(self.tokens.rank(first) + tokens + 1)?;
            self.pretokens.from(beyond)
        });
        let end = end.unwrap_or(self.text.len());
        // Pre-tokens may be long, or unknown.
        let mut length = tokens.saturating_add(1).saturating_mul(2);
        while length < end.saturating_sub(start) {
            let near = self.text.ceil_char_boundary(start + length);
            match self.count(&self.text[start..near]) {
                size if size <= tokens => length = length.saturating_mul(2),
                _ => return near,
            }
        }
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Interrupt;
    use proptest::prelude::*;

    fn encoding(name: &str) -> &'static Encoding {
        Encoding::of_model(name).unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn a_slice_counts_as_it_does_by_itself(
            text in prop_oneof![
                "[ \t\n\r\u{a0}a-cA-C0-9'.!/日é\u{301}\u{200d}😀]{0,60}",
                "([a-zA-Z]{1,9}('[sStTdDmM]|'ll|'RE)?[ \n]{0,3}){0,12}",
                "\\PC{0,40}",
            ],
            encoding in prop::sample::select(vec![encoding("cl100k_base"), encoding("o200k_base"), encoding("p50k_base")]),
        ) {
            let counted = CountedText::new(&text, encoding, Interrupt::NEVER);
            let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            for (number, &start) in ends.iter().enumerate() {
                for &end in &ends[number..] {
                    let slice = &text[start..end];
                    prop_assert_eq!(counted.count(slice), encoding.count(slice, Interrupt::NEVER), "{:?} of {:?}", slice, text);
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn a_part_of_a_long_word_counts_as_it_does_by_itself(
            text in prop_oneof![
                "[ab]{3000}", "a{3000}", "(the|ing|er|qu|zx){1500}", "[\u{300}-\u{36f}]{1500}", "[日本語中文字]{1000}",
                "[a-zA-Z]{3000}", "=(-|=){3000}", "( {2000}x)|(x {3000})", "(\u{1f468}\u{200d}){500}",
            ],
            cuts in prop::collection::vec((0usize..6000, 0usize..6000), 20),
            encoding in prop::sample::select(vec![encoding("cl100k_base"), encoding("o200k_base"), encoding("p50k_base")]),
        ) {
            let text = format!("before {text} behind");
            let counted = CountedText::new(&text, encoding, Interrupt::NEVER);
            for (a, b) in cuts {
                let (a, b) = (text.floor_char_boundary(a), text.floor_char_boundary(b));
                let slice = &text[a.min(b)..a.max(b)];
                prop_assert_eq!(counted.count(slice), encoding.count(slice, Interrupt::NEVER), "{:?} of {:?}", slice, text);
            }
        }
    }
}
