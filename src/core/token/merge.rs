//! Byte-pair encoding: of a pre-token that is no token itself, the adjacent pair that makes the token with the lowest
//! number is merged, the leftmost among equals first, beginning with bytes, until no pair makes a token.

use super::vocabulary::Vocabulary;
use crate::core::Interrupt;

/// How many bytes are merged at once. The work for each byte grows with it.
const WINDOW: usize = 256;

/// Tokens that end this near to the end of a window may turn out differently with what follows. No token is longer.
const MARGIN: usize = 128;

const NO_TOKEN: u32 = u32::MAX;

/// Encodes pre-tokens, with one buffer for all of them.
pub(super) struct Encoder {
    vocabulary: &'static Vocabulary,
    interrupt: Interrupt,
    parts: Vec<Part>,
}

/// What is merged so far.
#[derive(Clone, Copy)]
struct Part {
    start: usize,
    /// The token that this part and the one behind it would make.
    merged: u32,
}

impl Encoder {
    pub(super) fn new(vocabulary: &'static Vocabulary, interrupt: Interrupt) -> Self {
        Encoder {
            vocabulary,
            interrupt,
            parts: Vec::new(),
        }
    }

    /// How many tokens a pre-token is.
    #[inline]
    pub(super) fn count(&mut self, pretoken: &str) -> usize {
        let bytes = pretoken.as_bytes();
        if self.vocabulary.token(bytes).is_some() {
            1
        } else if bytes.len() <= WINDOW {
            self.merge(bytes);
            self.parts.len() - 1
        } else {
            let mut count = 0;
            self.encode_long(bytes, |tokens| count += tokens.len());
            count
        }
    }

    /// The tokens of a pre-token, behind those that are there.
    pub(super) fn encode(&mut self, pretoken: &str, tokens: &mut Vec<u32>) {
        let bytes = pretoken.as_bytes();
        match self.vocabulary.token(bytes) {
            Some(token) => tokens.push(token),
            None if bytes.len() <= WINDOW => tokens.extend(self.merged(bytes)),
            None => self.encode_long(bytes, |found| tokens.extend(found)),
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
            (self.interrupt)();
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
    fn next_window(&mut self, bytes: &[u8], window: usize, tokens: &[u32]) -> Option<(usize, usize, Vec<u32>)> {
        let mut start = window;
        for kept in (1..tokens.len()).rev() {
            start -= self.vocabulary.bytes_of(tokens[kept])?.len();
            if start + MARGIN <= window {
                let next = self.merged(&bytes[start..bytes.len().min(start + WINDOW)]);
                if self.are_neighbours(tokens[kept - 1], next[0]) {
                    return Some((kept, start, next));
                }
            }
        }
        None
    }

    fn are_neighbours(&mut self, left: u32, right: u32) -> bool {
        let bytes_of = |token| self.vocabulary.bytes_of(token).unwrap_or_default();
        let together = [bytes_of(left), bytes_of(right)].concat();
        self.merged(&together) == [left, right]
    }

    fn merged(&mut self, bytes: &[u8]) -> Vec<u32> {
        self.merge(bytes);
        let ends = self.parts.windows(2);
        // A byte is always a token.
        ends.map(|pair| self.token(bytes, pair[0].start, pair[1].start)).collect()
    }

    /// Merges until no pair makes a token. Leaves where the tokens start, and the end of the last one.
    fn merge(&mut self, bytes: &[u8]) {
        self.parts.clear();
        for start in 0..=bytes.len() {
            let merged = self.token(bytes, start, start + 2);
            self.parts.push(Part { start, merged });
        }
        // The first of equals is the leftmost.
        while let Some((at, lowest)) = self.parts.iter().enumerate().min_by_key(|(_, part)| part.merged)
            && lowest.merged != NO_TOKEN
        {
            self.parts.remove(at + 1);
            self.parts[at].merged = self.pair_at(bytes, at);
            if at > 0 {
                self.parts[at - 1].merged = self.pair_at(bytes, at - 1);
            }
        }
    }

    /// The token that the part at this position and the next one make.
    fn pair_at(&self, bytes: &[u8], at: usize) -> u32 {
        match self.parts.get(at + 2) {
            Some(end) => self.token(bytes, self.parts[at].start, end.start),
            None => NO_TOKEN,
        }
    }

    /// The token of a range of bytes, if they are one.
    fn token(&self, bytes: &[u8], start: usize, end: usize) -> u32 {
        bytes.get(start..end).and_then(|bytes| self.vocabulary.token(bytes)).unwrap_or(NO_TOKEN)
    }
}
