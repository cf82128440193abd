//! Token counts of many slices of one text, each without encoding the slice again.

use super::token::Encoding;
use super::{Error, Interrupt, split};

/// A text that has been counted once, pre-token by pre-token.
///
/// A pre-token is encoded by itself, and where one begins does not depend on what stands before it. So the tokens of
/// a slice are those of the whole pre-tokens inside it, which a subtraction gives, and of its two edges, which are
/// encoded again. What stands behind a pre-token matters only to white space at the end of the slice; that
/// counts as edge.
pub(super) struct CountedText<'a> {
    text: &'a str,
    encoding: Encoding,
    interrupt: Interrupt,
    /// Where pre-tokens begin, in bytes, and the end of the text.
    boundaries: Vec<u32>,
    /// Tokens before each boundary.
    before: Vec<u32>,
}

impl<'a> CountedText<'a> {
    pub(super) fn new(text: &'a str, encoding: Encoding, interrupt: Interrupt) -> Self {
        let (mut boundaries, mut before) = (Vec::new(), Vec::new());
        // A text of Postgres is at most 1 GB.
        let (mut at, mut tokens) = (0u32, 0u32);
        for (piece, count) in encoding.pieces(text, interrupt) {
            boundaries.push(at);
            before.push(tokens);
            at += piece.len() as u32;
            tokens += count as u32;
        }
        boundaries.push(at);
        before.push(tokens);
        CountedText {
            text,
            encoding,
            interrupt,
            boundaries,
            before,
        }
    }

    /// How many tokens `slice` is.
    ///
    /// # Errors
    /// As [`Encoding::count`].
    pub(super) fn count(&self, slice: &str) -> Result<usize, Error> {
        match self
            .range_of(slice)
            .and_then(|start| self.count_inside(start, slice))
        {
            Some(tokens) => Ok(tokens),
            None => Ok(self.encoding.count(slice, self.interrupt)),
        }
    }

    /// An end such that `start` to there, or further, is more than `tokens` tokens, give or take the few that its edges
    /// may change; else the end of the text.
    pub(super) fn reach(&self, start: usize, tokens: usize) -> usize {
        let first = self.boundaries.partition_point(|&at| (at as usize) < start);
        let end = self.before.get(first).map_or(self.text.len(), |&before| {
            let last = self
                .before
                .partition_point(|&here| here as usize <= before as usize + tokens);
            self.boundaries
                .get(last)
                .map_or(self.text.len(), |&at| at as usize)
        });
        // Pre-tokens may be long, or unknown.
        let mut length = tokens.saturating_add(1).saturating_mul(2);
        while length < end.saturating_sub(start) {
            let near = self.text.ceil_char_boundary(start + length);
            match self.count(&self.text[start..near]) {
                Ok(size) if size <= tokens => length = length.saturating_mul(2),
                _ => return near,
            }
        }
        end
    }

    /// Where `slice` begins, if it is a part of the text.
    fn range_of(&self, slice: &str) -> Option<usize> {
        let start = (slice.as_ptr() as usize).checked_sub(self.text.as_ptr() as usize)?;
        (start + slice.len() <= self.text.len()).then_some(start)
    }

    fn count_inside(&self, start: usize, slice: &str) -> Option<usize> {
        let end_of_words = start + slice.trim_end().len();
        let last = self
            .boundaries
            .partition_point(|&at| at as usize <= end_of_words)
            .checked_sub(1)?;
        let mut head = 0;
        let mut at = start;
        let mut pieces = None;
        // From the middle of a pre-token: encode up to where the pre-tokens of slice and text meet.
        let first = loop {
            let here = self
                .boundaries
                .partition_point(|&boundary| (boundary as usize) < at);
            if *self.boundaries.get(here)? as usize == at {
                break here;
            }
            let (piece, tokens) = pieces
                .get_or_insert_with(|| self.encoding.pieces(slice, self.interrupt))
                .next()?;
            head += tokens;
            at += piece.len();
        };
        if first > last {
            return None;
        }
        let tail = &slice[self.boundaries[last] as usize - start..];
        let inside = (self.before[last] - self.before[first]) as usize;
        Some(head + inside + self.encoding.count(tail, self.interrupt))
    }
}

impl split::Sizer for CountedText<'_> {
    fn count(&self, slice: &str) -> Result<usize, Error> {
        CountedText::count(self, slice)
    }

    fn reach(&self, start: usize, tokens: usize) -> usize {
        self.reach(start, tokens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::NEVER;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn a_slice_counts_as_it_does_by_itself(
            text in prop_oneof![
                "[ \t\n\r\u{a0}a-cA-C0-9'.!/日é\u{301}\u{200d}😀]{0,60}",
                "([a-zA-Z]{1,9}('[sStTdDmM]|'ll|'RE)?[ \n]{0,3}){0,12}",
                "\\PC{0,40}",
            ],
            encoding in prop::sample::select(vec![Encoding::Cl100kBase, Encoding::O200kBase, Encoding::P50kBase]),
        ) {
            let counted = CountedText::new(&text, encoding, NEVER);
            let ends: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            for (number, &start) in ends.iter().enumerate() {
                for &end in &ends[number..] {
                    let slice = &text[start..end];
                    prop_assert_eq!(counted.count(slice), Ok(encoding.count(slice, NEVER)), "{:?} of {:?}", slice, text);
                }
            }
        }
    }
}
