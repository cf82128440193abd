//! Byte-pair encoding: of a pre-token that is no token itself, the adjacent pair that makes the token with the lowest
//! number is merged, the leftmost among equals first, beginning with bytes, until no pair makes a token.

use super::known::Known;
use super::layout::{Key, NO_TOKEN};
use super::vocabulary::{KnownCounts, Vocabulary};
use crate::core::Interrupt;
use crate::core::places::Places;
use std::mem;
use std::ops::Range;
use std::rc::Rc;

/// How many bytes are merged at once, at most. The work for each byte grows with it.
pub(super) const WINDOW: usize = 256;

/// Tokens that end this near to the end of a window may turn out differently with what follows. No token is longer.
const MARGIN: usize = 128;

/// Encodes the pre-tokens of a text, with one set of buffers for all of them.
pub(in crate::core) struct Encoder {
    vocabulary: &'static Vocabulary,
    interrupt: Interrupt,
    /// What is merged so far. For where each part begins: its end, …
    ends: Vec<usize>,
    /// … where the part before it begins, …
    before: Vec<usize>,
    /// … and the token that it and the part behind it would make.
    pairs: Vec<u32>,
    /// Of the vocabulary, for as long as this encodes.
    known: KnownCounts,
    /// The tokens of parts of long words, up to 1.3 MB of them: long words often repeat themselves, and are counted from
    /// many places on.
    windows: Known<Rc<[u32]>, 256>,
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.vocabulary.known.set(mem::take(&mut self.known));
    }
}

impl Encoder {
    pub(super) fn new(vocabulary: &'static Vocabulary, interrupt: Interrupt) -> Self {
        Encoder {
            vocabulary,
            interrupt,
            ends: Vec::new(),
            before: Vec::new(),
            pairs: Vec::new(),
            known: vocabulary.known.take(),
            windows: Known::new(),
        }
    }

    /// How many tokens a pre-token is.
    #[inline]
    pub(in crate::core) fn count(&mut self, pretoken: &str) -> usize {
        let key = Key::of(pretoken.as_bytes());
        if self.vocabulary.is_plainly_token(key) {
            return 1;
        }
        self.count_unusual(key, pretoken)
    }

    /// How many tokens a word is that is none, or whose token is not found at a glance.
    fn count_unusual(&mut self, key: Key, word: &str) -> usize {
        if let Some(&tokens) = self.known.get(key, word.as_bytes()) {
            return tokens as usize;
        }
        let vocabulary = self.vocabulary;
        if vocabulary.token_of(key, word.as_bytes()).is_some() {
            return 1;
        }
        let (mut tokens, mut in_pieces) = (0, false);
        for piece in self.interrupt.during(vocabulary.pieces(word)) {
            in_pieces = piece.len() < word.len();
            tokens += if in_pieces {
                self.count(piece)
            } else {
                self.count_merged(piece.as_bytes())
            };
        }
        // Long words in pieces hardly come again; the pieces do.
        if key.is_exact() || !in_pieces {
            self.known.insert(key, word.as_bytes(), tokens as u32);
        }
        tokens
    }

    fn count_merged(&mut self, bytes: &[u8]) -> usize {
        if bytes.len() <= WINDOW {
            self.merge(bytes)
        } else {
            let mut count = 0;
            self.encode_long(bytes, &mut |_: &Self, tokens: &[u32]| count += tokens.len());
            count
        }
    }

    /// The tokens of a pre-token, some of them at a time.
    pub(super) fn encode(&mut self, pretoken: &str, mut found: impl FnMut(&Self, &[u32])) {
        if let Some(token) = self.vocabulary.token(pretoken.as_bytes()) {
            return found(self, &[token]);
        }
        let vocabulary = self.vocabulary;
        for piece in self.interrupt.during(vocabulary.pieces(pretoken)) {
            let bytes = piece.as_bytes();
            match vocabulary.token(bytes) {
                Some(token) => found(self, &[token]),
                None if bytes.len() <= WINDOW => {
                    let tokens = self.merged(bytes);
                    found(self, &tokens);
                }
                None => self.encode_long(bytes, &mut found),
            }
        }
    }

    /// Where in a pre-token its tokens begin.
    pub(in crate::core) fn begins(&mut self, pretoken: &str, mut found: impl FnMut(usize)) {
        let mut at = 0;
        self.encode(pretoken, |encoder, tokens| {
            for &token in tokens {
                found(at);
                at += encoder.length(token);
            }
        });
    }

    /// Window by window: a sequence of tokens is the encoding of what it spells if each adjacent pair in it is the
    /// encoding of what that spells. (A theorem of the makers of the `bpe` crate,
    /// <https://github.blog/ai-and-ml/llms/so-many-tokens-so-little-time/>.) So the tokens of two windows can stand
    /// side by side where the last one kept and the first one new are such a pair.
    fn encode_long(&mut self, bytes: &[u8], found: &mut impl FnMut(&Self, &[u32])) {
        let mut rest = bytes;
        let mut tokens = self.window(&rest[..WINDOW]);
        let mut window = WINDOW;
        while window < rest.len() {
            self.interrupt.check();
            match self.next_window(rest, window, &tokens) {
                Some((kept, start, next)) => {
                    found(self, &tokens[..kept]);
                    rest = &rest[start..];
                    tokens = next;
                    window = WINDOW.min(rest.len());
                }
                None => {
                    window = rest.len().min(window * 2);
                    tokens = self.window(&rest[..window]);
                }
            }
        }
        found(self, &tokens);
    }

    /// How many of a window's tokens to keep, where the next window starts, and the tokens of that.
    fn next_window(
        &mut self,
        bytes: &[u8],
        window: usize,
        tokens: &[u32],
    ) -> Option<(usize, usize, Rc<[u32]>)> {
        let mut start = window;
        for kept in (1..tokens.len()).rev() {
            start -= self.length(tokens[kept]);
            if start + MARGIN <= window {
                let next = self.window(&bytes[start..bytes.len().min(start + WINDOW)]);
                let together = start - self.length(tokens[kept - 1])..start + self.length(next[0]);
                if self.are_two_tokens(&bytes[together.clone()], start - together.start) {
                    return Some((kept, start, next));
                }
            }
        }
        None
    }

    /// How many tokens a part of a long word of the text is, from where the tokens of the word begin: those of the part's
    /// beginning up to where they meet the ones of the word, then these, then those of its end.
    pub(in crate::core) fn count_part(
        &mut self,
        text: &str,
        word: Range<usize>,
        begins: &Places,
        part: Range<usize>,
    ) -> usize {
        let bytes = text.as_bytes();
        if part.len() > WINDOW
            && let Some((head, first)) = self.head(bytes, &word, begins, part.start)
            && let Some((last, tail)) = self.tail(bytes, begins, &part)
            && first < last
        {
            return head + begins.rank(last) - begins.rank(first) + tail;
        }
        self.count_merged(&bytes[part])
    }

    /// How many tokens there are before those of a part that begins at `start` meet those of the word, and where.
    fn head(
        &mut self,
        bytes: &[u8],
        word: &Range<usize>,
        begins: &Places,
        start: usize,
    ) -> Option<(usize, usize)> {
        let tokens = self.window(&bytes[start..word.end.min(start + WINDOW)]);
        let mut at = start;
        let mut left = 0;
        for (number, &token) in tokens.iter().enumerate() {
            if begins.contains(at) {
                let end = begins.from(at + 1)?;
                if left == 0 || self.are_two_tokens(&bytes[at - left..end], left) {
                    return Some((number, at));
                }
            }
            left = self.length(token);
            at += left;
        }
        None
    }

    /// Where the tokens of the word meet those of the part's end, and how many these are.
    fn tail(&mut self, bytes: &[u8], begins: &Places, part: &Range<usize>) -> Option<(usize, usize)> {
        let mut at = begins.up_to(part.end)?;
        while part.start < at && part.end <= at + WINDOW {
            if at == part.end {
                return Some((at, 0));
            }
            let tail = self.window(&bytes[at..part.end]);
            let start = begins.up_to(at - 1)?;
            if self.are_two_tokens(&bytes[start..at + self.length(tail[0])], at - start) {
                return Some((at, tail.len()));
            }
            at = start;
        }
        None
    }

    /// Whether bytes are encoded as two tokens that meet in this place.
    fn are_two_tokens(&mut self, bytes: &[u8], middle: usize) -> bool {
        matches!(*self.window(bytes), [first, _] if self.length(first) == middle)
    }

    fn length(&self, token: u32) -> usize {
        self.vocabulary.bytes_of(token).map_or(0, <[u8]>::len)
    }

    /// The tokens of a part of a long word.
    fn window(&mut self, bytes: &[u8]) -> Rc<[u32]> {
        let key = Key::of(bytes);
        if let Some(tokens) = self.windows.get(key, bytes) {
            return Rc::clone(tokens);
        }
        let tokens: Rc<[u32]> = self.merged(bytes).into();
        self.windows.insert(key, bytes, Rc::clone(&tokens));
        tokens
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
            if lowest == NO_TOKEN {
                return tokens;
            }
            let mut start = 0;
            // The first of equals is the leftmost. The others are next, unless joining made a lower one.
            while let Some(next) = self.pairs[start..].iter().position(|&token| token == lowest) {
                start += next;
                tokens -= 1;
                if self.join(bytes, start) < lowest {
                    break;
                }
            }
        }
    }

    /// Joins the part that begins at `start` and the one behind it, and gives the lowest pair of the new part.
    fn join(&mut self, bytes: &[u8], start: usize) -> u32 {
        let right = self.ends[start];
        let end = self.ends[right];
        self.ends[start] = end;
        self.pairs[right] = NO_TOKEN;
        self.pairs[start] = NO_TOKEN;
        if let Some(before) = self.before.get_mut(end) {
            *before = start;
            self.pairs[start] = self.token(bytes, start, self.ends[end]);
        }
        let lowest = self.pairs[start];
        if start == 0 {
            return lowest;
        }
        let before = self.before[start];
        self.pairs[before] = self.token(bytes, before, end);
        lowest.min(self.pairs[before])
    }

    #[inline]
    fn token(&self, bytes: &[u8], start: usize, end: usize) -> u32 {
        self.vocabulary.token(&bytes[start..end]).unwrap_or(NO_TOKEN)
    }
}
