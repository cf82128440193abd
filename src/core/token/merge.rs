//! Byte-pair encoding: of a pre-token that is no token itself, the adjacent pair that makes the token with the lowest
//! number is merged, the leftmost among equals first, beginning with bytes, until no pair makes a token.

use super::layout::{Key, NO_TOKEN};
use super::vocabulary::Vocabulary;
use crate::core::Interrupt;
use std::ops::Range;

/// How many bytes are merged at once, at most. The work for each byte grows with it.
const WINDOW: usize = 256;

/// Tokens that end this near to the end of a window may turn out differently with what follows. No token is longer.
const MARGIN: usize = 128;

/// How many pre-tokens of a text are remembered with their counts, at most: words come again, in longer texts.
const REMEMBERED: usize = 1 << 14;
const BYTES_FOR_EACH_REMEMBERED: usize = 32;

/// Encodes the pre-tokens of a text, with one set of buffers for all of them.
pub(in crate::core) struct Encoder<'a> {
    vocabulary: &'static Vocabulary,
    interrupt: Interrupt,
    /// What is merged so far. For where each part begins: its end, …
    ends: Vec<usize>,
    /// … where the part before it begins, …
    before: Vec<usize>,
    /// … and the token that it and the part behind it would make.
    pairs: Vec<u32>,
    /// How many pre-tokens are remembered: a power of two; 1 for none, in a short text.
    places: usize,
    /// Pre-tokens that are no tokens, each in the place that its hash gives it, and their counts.
    remembered: Vec<(&'a str, usize)>,
}

impl<'a> Encoder<'a> {
    /// For a text of `len` bytes.
    pub(super) fn new(vocabulary: &'static Vocabulary, len: usize, interrupt: Interrupt) -> Self {
        Encoder {
            vocabulary,
            interrupt,
            ends: Vec::new(),
            before: Vec::new(),
            pairs: Vec::new(),
            places: (len / BYTES_FOR_EACH_REMEMBERED)
                .next_power_of_two()
                .min(REMEMBERED),
            remembered: Vec::new(),
        }
    }

    /// How many tokens a pre-token is.
    #[inline]
    pub(in crate::core) fn count(&mut self, pretoken: &'a str) -> usize {
        if self.vocabulary.token(pretoken.as_bytes()).is_some() {
            return 1;
        }
        let vocabulary = self.vocabulary;
        vocabulary
            .pieces(pretoken)
            .map(|piece| self.count_piece(piece))
            .sum()
    }

    fn count_piece(&mut self, piece: &'a str) -> usize {
        if self.vocabulary.token(piece.as_bytes()).is_some() {
            return 1;
        }
        if self.places == 1 {
            return self.count_merged(piece.as_bytes());
        }
        if self.remembered.is_empty() {
            self.remembered.resize(self.places, ("", 0));
        }
        let place = Key::of(piece.as_bytes()).first_slot(self.places);
        if self.remembered[place].0 != piece {
            self.remembered[place] = (piece, self.count_merged(piece.as_bytes()));
        }
        self.remembered[place].1
    }

    fn count_merged(&mut self, bytes: &[u8]) -> usize {
        if bytes.len() <= WINDOW {
            self.merge(bytes)
        } else {
            let mut count = 0;
            self.encode_long(bytes, |tokens| count += tokens.len());
            count
        }
    }

    /// The tokens of a pre-token, behind those that are there.
    pub(super) fn encode(&mut self, pretoken: &'a str, tokens: &mut Vec<u32>) {
        if let Some(token) = self.vocabulary.token(pretoken.as_bytes()) {
            return tokens.push(token);
        }
        let vocabulary = self.vocabulary;
        for piece in vocabulary.pieces(pretoken) {
            let bytes = piece.as_bytes();
            match vocabulary.token(bytes) {
                Some(token) => tokens.push(token),
                None if bytes.len() <= WINDOW => tokens.extend(self.merged(bytes)),
                None => self.encode_long(bytes, |found| tokens.extend(found)),
            }
        }
    }

    /// Window by window: a sequence of tokens is the encoding of what it spells if each adjacent pair in it is the
    /// encoding of what that spells. (A theorem of the makers of the `bpe` crate,
    /// <https://github.blog/ai-and-ml/llms/so-many-tokens-so-little-time/>.) So the tokens of two windows can stand
    /// side by side where the last one kept and the first one new are such a pair.
    fn encode_long(&mut self, bytes: &[u8], mut found: impl FnMut(&[u32])) {
        let mut rest = bytes;
        let mut tokens = self.merged(&rest[..WINDOW]);
        let mut window = WINDOW;
        while window < rest.len() {
            self.interrupt.check();
            match self.next_window(rest, window, &tokens) {
                Some((kept, start, next)) => {
                    found(&tokens[..kept]);
                    rest = &rest[start..];
                    tokens = next;
                    window = WINDOW.min(rest.len());
                }
                None => {
                    window = rest.len().min(window * 2);
                    tokens = self.merged(&rest[..window]);
                }
            }
        }
        found(&tokens);
    }

    /// How many of a window's tokens to keep, where the next window starts, and the tokens of that.
    fn next_window(
        &mut self,
        bytes: &[u8],
        window: usize,
        tokens: &[u32],
    ) -> Option<(usize, usize, Vec<u32>)> {
        let mut start = window;
        for kept in (1..tokens.len()).rev() {
            start -= self.length(tokens[kept]);
            if start + MARGIN <= window {
                let next = self.merged(&bytes[start..bytes.len().min(start + WINDOW)]);
                let together = start - self.length(tokens[kept - 1])..start + self.length(next[0]);
                if self.are_two_tokens(&bytes[together.clone()], start - together.start) {
                    return Some((kept, start, next));
                }
            }
        }
        None
    }

    /// Where the tokens of a pre-token end.
    pub(in crate::core) fn ends(&mut self, pretoken: &'a str) -> Vec<u32> {
        let mut tokens = Vec::new();
        self.encode(pretoken, &mut tokens);
        let ends = tokens.iter().scan(0, |end, &token| {
            *end += self.length(token);
            Some(*end as u32)
        });
        ends.collect()
    }

    /// How many tokens a part of a pre-token is, from where the tokens of the whole end: those of its beginning up to
    /// where they meet the ones of the whole, then these, then those of its end.
    pub(in crate::core) fn count_part(&mut self, whole: &'a str, ends: &[u32], part: Range<usize>) -> usize {
        let bytes = whole.as_bytes();
        let meeting = |encoder: &mut Self| {
            let (head, first) = encoder.head(bytes, ends, &part)?;
            let (last, tail) = encoder.tail(bytes, ends, &part)?;
            Some(head + last.checked_sub(first)? + tail)
        };
        match meeting(self) {
            Some(tokens) if part.len() > WINDOW => tokens,
            _ => self.count_merged(&bytes[part]),
        }
    }

    /// The number of tokens before the beginning of the part meets the whole, and of those of the whole before there.
    fn head(&mut self, bytes: &[u8], ends: &[u32], part: &Range<usize>) -> Option<(usize, usize)> {
        let tokens = self.merged(&bytes[part.start..part.end.min(part.start + WINDOW)]);
        let mut at = part.start;
        for (number, &token) in tokens.iter().enumerate() {
            let meeting = match at {
                0 => Some(0),
                _ => ends.binary_search(&(at as u32)).ok().map(|end| end + 1),
            };
            if let Some(next) = meeting {
                let end = *ends.get(next)? as usize;
                let left = number.checked_sub(1).map_or(0, |left| self.length(tokens[left]));
                if left == 0 || self.are_two_tokens(&bytes[at - left..end], left) {
                    return Some((number, next));
                }
            }
            at += self.length(token);
        }
        None
    }

    /// The number of tokens of the whole before its end meets the end of the part, and of those behind.
    fn tail(&mut self, bytes: &[u8], ends: &[u32], part: &Range<usize>) -> Option<(usize, usize)> {
        let mut last = ends.partition_point(|&end| end as usize <= part.end);
        while last > 0 {
            let at = ends[last - 1] as usize;
            if at <= part.start || at + WINDOW < part.end {
                return None;
            }
            if at == part.end {
                return Some((last, 0));
            }
            let tail = self.merged(&bytes[at..part.end]);
            let start = if last == 1 { 0 } else { ends[last - 2] as usize };
            if self.are_two_tokens(&bytes[start..at + self.length(tail[0])], at - start) {
                return Some((last, tail.len()));
            }
            last -= 1;
        }
        None
    }

    /// Whether bytes are encoded as two tokens that meet in this place.
    fn are_two_tokens(&mut self, bytes: &[u8], middle: usize) -> bool {
        self.merge(bytes) == 2 && self.ends[0] == middle
    }

    fn length(&self, token: u32) -> usize {
        self.vocabulary.bytes_of(token).map_or(0, <[u8]>::len)
    }

    fn merged(&mut self, bytes: &[u8]) -> Vec<u32> {
        self.merge(bytes);
        let (mut tokens, mut start) = (Vec::new(), 0);
        while let Some(&end) = self.ends.get(start) {
            // A byte is always a token.
            tokens.push(self.token(bytes, start, end));
            start = end;
        }
        tokens
    }

    /// Merges until no pair makes a token, and gives the number of tokens there are then. `ends` has where they end.
    fn merge(&mut self, bytes: &[u8]) -> usize {
        self.ends.clear();
        self.ends.extend(1..=bytes.len());
        self.before.clear();
        self.before
            .extend((0..bytes.len()).map(|start| start.saturating_sub(1)));
        self.pairs.clear();
        self.pairs.extend(
            bytes
                .windows(2)
                .map(|pair| self.vocabulary.pair(pair[0], pair[1])),
        );
        self.pairs.push(NO_TOKEN);
        let mut tokens = bytes.len();
        loop {
            let lowest = self
                .pairs
                .iter()
                .fold(NO_TOKEN, |lowest, &token| lowest.min(token));
            // The first of equals is the leftmost.
            match self.pairs.iter().position(|&token| token == lowest) {
                Some(start) if lowest != NO_TOKEN => self.join(bytes, start),
                _ => return tokens,
            }
            tokens -= 1;
        }
    }

    /// Joins the part that begins at `start` and the one behind it.
    fn join(&mut self, bytes: &[u8], start: usize) {
        let right = self.ends[start];
        let end = self.ends[right];
        self.ends[start] = end;
        self.pairs[right] = NO_TOKEN;
        self.pairs[start] = NO_TOKEN;
        if let Some(before) = self.before.get_mut(end) {
            *before = start;
            self.pairs[start] = self.token(bytes, start, self.ends[end]);
        }
        if start > 0 {
            let before = self.before[start];
            self.pairs[before] = self.token(bytes, before, end);
        }
    }

    #[inline]
    fn token(&self, bytes: &[u8], start: usize, end: usize) -> u32 {
        self.vocabulary.token(&bytes[start..end]).unwrap_or(NO_TOKEN)
    }
}
