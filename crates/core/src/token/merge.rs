//! Byte-pair encoding. A pre-token that is not a token itself begins as single bytes. The adjacent pair that makes the
//! token with the lowest number is merged, the leftmost of equals first, until no pair makes a token.

use super::layout::{Key, MAX_TOKEN_BYTES, NO_TOKEN};
use super::vocabulary::{CountCache, Vocabulary};
use super::word_cache::WordCache;
use crate::Interrupt;
use crate::rank_select::RankSelect;
use std::mem;
use std::ops::Range;
use std::rc::Rc;

/// The most bytes that are merged at once. The work per byte grows with it.
pub(super) const SEGMENT_BYTES: usize = 256;

/// Encodes the pre-tokens of a text, with one set of buffers for all of them.
pub(crate) struct Encoder {
    vocabulary: &'static Vocabulary,
    interrupt: Interrupt,
    /// The end of each part that is merged so far, by where the part begins.
    ends: Vec<usize>,
    /// Where the part before each part begins, by where the part begins.
    before: Vec<usize>,
    /// The token that each part and the next one would make, by where the part begins.
    pairs: Vec<u32>,
    /// The vocabulary's cache, which goes back to it when this is dropped.
    counts: CountCache,
    /// The tokens of segments of long words, up to 1.3 MB: long words often repeat themselves, and are counted from many
    /// places on.
    segments: WordCache<Rc<[u32]>, 256>,
}

impl Drop for Encoder {
    fn drop(&mut self) {
        self.vocabulary.counts.set(mem::take(&mut self.counts));
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
            counts: vocabulary.counts.take(),
            segments: WordCache::new(),
        }
    }

    /// How many tokens a pre-token is.
    #[inline]
    pub(crate) fn count(&mut self, pretoken: &str) -> usize {
        let key = Key::of(pretoken.as_bytes());
        if self.vocabulary.is_plainly_token(key) {
            return 1;
        }
        self.count_unusual(key, pretoken)
    }

    /// How many tokens a word is that [`Vocabulary::is_plainly_token`] does not know as one.
    fn count_unusual(&mut self, key: Key, word: &str) -> usize {
        if let Some(&tokens) = self.counts.get(key, word.as_bytes()) {
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
            self.counts.insert(key, word.as_bytes(), tokens as u32);
        }
        tokens
    }

    fn count_merged(&mut self, bytes: &[u8]) -> usize {
        if bytes.len() <= SEGMENT_BYTES {
            self.merge(bytes)
        } else {
            let mut count = 0;
            self.encode_long(bytes, &mut |_: &Self, tokens: &[u32]| count += tokens.len());
            count
        }
    }

    /// Passes the tokens of a pre-token to `found`, some of them at a time.
    pub(super) fn encode(&mut self, pretoken: &str, mut found: impl FnMut(&Self, &[u32])) {
        if let Some(token) = self.vocabulary.token(pretoken.as_bytes()) {
            return found(self, &[token]);
        }
        let vocabulary = self.vocabulary;
        for piece in self.interrupt.during(vocabulary.pieces(pretoken)) {
            let bytes = piece.as_bytes();
            match vocabulary.token(bytes) {
                Some(token) => found(self, &[token]),
                None if bytes.len() <= SEGMENT_BYTES => {
                    let tokens = self.merged(bytes);
                    found(self, &tokens);
                }
                None => self.encode_long(bytes, &mut found),
            }
        }
    }

    /// Passes to `found` where the tokens of a pre-token begin, as byte offsets in it.
    pub(crate) fn begins(&mut self, pretoken: &str, mut found: impl FnMut(usize)) {
        let mut at = 0;
        self.encode(pretoken, |encoder, tokens| {
            for &token in tokens {
                found(at);
                at += encoder.length(token);
            }
        });
    }

    /// Encodes segment by segment. A sequence of tokens is the encoding of what it spells if each adjacent pair in it is
    /// the encoding of what that spells. (A theorem of the makers of the `bpe` crate,
    /// <https://github.blog/ai-and-ml/llms/so-many-tokens-so-little-time/>.) So the tokens of two segments can stand
    /// side by side where the last token kept and the first new one are such a pair. Tokens that end less than
    /// [`MAX_TOKEN_BYTES`] before the end of a segment may differ with what follows.
    fn encode_long(&mut self, bytes: &[u8], found: &mut impl FnMut(&Self, &[u32])) {
        let mut rest = bytes;
        let mut tokens = self.segment(&rest[..SEGMENT_BYTES]);
        let mut segment = SEGMENT_BYTES;
        while segment < rest.len() {
            self.interrupt.check();
            match self.next_segment(rest, segment, &tokens) {
                Some((kept, start, next)) => {
                    found(self, &tokens[..kept]);
                    rest = &rest[start..];
                    tokens = next;
                    segment = SEGMENT_BYTES.min(rest.len());
                }
                None => {
                    segment = rest.len().min(segment * 2);
                    tokens = self.segment(&rest[..segment]);
                }
            }
        }
        found(self, &tokens);
    }

    /// How many of a segment's tokens to keep, where the next segment starts, and the tokens of the next segment.
    fn next_segment(
        &mut self,
        bytes: &[u8],
        segment: usize,
        tokens: &[u32],
    ) -> Option<(usize, usize, Rc<[u32]>)> {
        let mut start = segment;
        for kept in (1..tokens.len()).rev() {
            start -= self.length(tokens[kept]);
            if start + MAX_TOKEN_BYTES <= segment {
                let next = self.segment(&bytes[start..bytes.len().min(start + SEGMENT_BYTES)]);
                let together = start - self.length(tokens[kept - 1])..start + self.length(next[0]);
                if self.are_two_tokens(&bytes[together.clone()], start - together.start) {
                    return Some((kept, start, next));
                }
            }
        }
        None
    }

    /// How many tokens a part of a long word is, given where the tokens of the word begin. They are the tokens of the
    /// part's beginning up to where they meet the word's, then the word's, then those of the part's end.
    pub(crate) fn count_part(
        &mut self,
        text: &str,
        word: Range<usize>,
        begins: &RankSelect,
        part: Range<usize>,
    ) -> usize {
        let bytes = text.as_bytes();
        if part.len() > SEGMENT_BYTES
            && let Some((head, first)) = self.head(bytes, &word, begins, part.start)
            && let Some((last, tail)) = self.tail(bytes, begins, &part)
            && first < last
        {
            return head + begins.rank(last) - begins.rank(first) + tail;
        }
        self.count_merged(&bytes[part])
    }

    /// How many tokens of a part that begins at `start` come before they meet the word's tokens, and where they meet.
    fn head(
        &mut self,
        bytes: &[u8],
        word: &Range<usize>,
        begins: &RankSelect,
        start: usize,
    ) -> Option<(usize, usize)> {
        let tokens = self.segment(&bytes[start..word.end.min(start + SEGMENT_BYTES)]);
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

    /// Where the word's tokens meet those of the part's end, and how many tokens the end is.
    fn tail(&mut self, bytes: &[u8], begins: &RankSelect, part: &Range<usize>) -> Option<(usize, usize)> {
        let mut at = begins.up_to(part.end)?;
        while part.start < at && part.end <= at + SEGMENT_BYTES {
            if at == part.end {
                return Some((at, 0));
            }
            let tail = self.segment(&bytes[at..part.end]);
            let start = begins.up_to(at - 1)?;
            if self.are_two_tokens(&bytes[start..at + self.length(tail[0])], at - start) {
                return Some((at, tail.len()));
            }
            at = start;
        }
        None
    }

    /// Whether `bytes` are encoded as two tokens that meet at `middle`.
    fn are_two_tokens(&mut self, bytes: &[u8], middle: usize) -> bool {
        matches!(*self.segment(bytes), [first, _] if self.length(first) == middle)
    }

    fn length(&self, token: u32) -> usize {
        self.vocabulary.bytes_of(token).map_or(0, <[u8]>::len)
    }

    /// The tokens of a segment of a long word.
    fn segment(&mut self, bytes: &[u8]) -> Rc<[u32]> {
        let key = Key::of(bytes);
        if let Some(tokens) = self.segments.get(key, bytes) {
            return Rc::clone(tokens);
        }
        let tokens: Rc<[u32]> = self.merged(bytes).into();
        self.segments.insert(key, bytes, Rc::clone(&tokens));
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

    /// Merges until no pair makes a token, and returns the number of tokens then. `ends` has their ends.
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

    /// Joins the part that begins at `start` and the next one, and returns the lowest pair of the new part.
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
