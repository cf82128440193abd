//! Pre-tokens: the words, numbers, runs of punctuation and runs of white space that are encoded independently.
//!
//! OpenAI defines them by one regular expression for each family of encodings (`openai_public.py` of tiktoken, quoted
//! at each function here). These functions find the same matches by looking at each character about once, where a
//! regex engine needs look-ahead and backtracking for them. Tests compare them with that engine.

use super::layout::{LETTER, LOWER, MARK, NEWLINE, NUMBER, OTHER, SPACE, UPPER};

/// Which regular expression cuts a text into pre-tokens. Encodings of a family share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    O200k,
    Cl100k,
    Gpt2,
}

const LETTERS: u8 = UPPER | LOWER | LETTER;
const WHITE: u8 = SPACE | NEWLINE;
/// `[^\s\p{L}\p{N}]`
const PUNCTUATION: u8 = OTHER | MARK;
/// `[^\r\n\p{L}\p{N}]`
const BEFORE_WORD: u8 = PUNCTUATION | SPACE;

static INDEX: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/unicode.index"));
static PAGES: &[[u8; 256]] = include_bytes!(concat!(env!("OUT_DIR"), "/unicode.pages"))
    .as_chunks()
    .0;

fn class_of(character: char) -> u8 {
    let code = character as usize;
    PAGES[usize::from(INDEX[code >> 8])][code & 0xFF]
}

/// The pre-tokens of `text`, in order; together they are the text.
pub(super) fn pretokens(family: Family, text: &str) -> impl Iterator<Item = &str> {
    let text = Text(text);
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = at;
        at = match family {
            _ if start == text.0.len() => return None,
            Family::O200k => text.o200k(start),
            Family::Cl100k => text.cl100k(start),
            Family::Gpt2 => text.gpt2(start),
        };
        text.0.get(start..at)
    })
}

struct Text<'a>(&'a str);

/// Each takes an offset where a character begins, and gives the end of what it is named after.
impl Text<'_> {
    /// ```text
    /// [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
    /// |[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
    /// |\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+
    /// ```
    #[inline]
    fn o200k(&self, at: usize) -> usize {
        let (class, next) = self.character(at);
        let word = match class {
            UPPER | LOWER | LETTER => Some(self.cased_word(at).unwrap_or_else(|capitals| capitals)),
            // A mark is also a word by itself, which comes before capitals with nothing behind them.
            MARK => self.cased_word(next).ok().or(Some(next)),
            SPACE | OTHER => match self.cased_word(next) {
                Ok(end) => Some(end),
                Err(capitals) => (capitals > next).then_some(capitals),
            },
            _ => None,
        };
        match word {
            Some(end) => self.contraction(end, true).unwrap_or(end),
            None if class == NUMBER => self.up_to_three_numbers(at),
            None => match self.punctuation(at, class, next) {
                Some(end) => self.newlines_and_slashes(end),
                None => self.white_space(at, true),
            },
        }
    }

    /// ```text
    /// '(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s
    /// ```
    /// `\s++$` takes newlines at the end of a text together with what follows them, which here are two pre-tokens:
    /// no token of this encoding is both, so the tokens are the same.
    #[inline]
    fn cl100k(&self, at: usize) -> usize {
        if let Some(end) = self.contraction(at, true) {
            return end;
        }
        let (class, next) = self.character(at);
        if class & LETTERS != 0 {
            return self.run(next, LETTERS);
        }
        if class == NUMBER {
            return self.up_to_three_numbers(at);
        }
        if class & BEFORE_WORD != 0 && self.character(next).0 & LETTERS != 0 {
            return self.run(next, LETTERS);
        }
        match self.punctuation(at, class, next) {
            Some(end) => self.run(end, NEWLINE),
            None => self.white_space(at, true),
        }
    }

    /// ```text
    /// '(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s
    /// ```
    #[inline]
    fn gpt2(&self, at: usize) -> usize {
        if let Some(end) = self.contraction(at, false) {
            return end;
        }
        let first = at + usize::from(self.byte(at) == Some(b' '));
        let class = match self.character(first).0 {
            0 => return first,
            class if class & LETTERS != 0 => LETTERS,
            class if class & PUNCTUATION != 0 => PUNCTUATION,
            NUMBER => NUMBER,
            _ => return self.white_space(at, false),
        };
        self.run(first, class)
    }

    /// `A*B+`, else as an error `A*`, where A are capitals and what has no case, B small letters and what has no case.
    fn cased_word(&self, start: usize) -> Result<usize, usize> {
        let (mut at, mut last_without_case) = (start, None);
        loop {
            let (class, next) = self.character(at);
            match class {
                UPPER => {}
                LETTER | MARK => last_without_case = Some(next),
                LOWER => return Ok(self.run(next, LOWER | LETTER | MARK)),
                // `A*` took all there is: it gives back from its end until `B+` finds something.
                _ => return last_without_case.ok_or(at),
            }
            at = next;
        }
    }

    /// `'s`, `'t`, `'re`, `'ve`, `'m`, `'ll` or `'d`. ſ is an s to a regex that ignores case.
    #[inline]
    fn contraction(&self, at: usize, ignore_case: bool) -> Option<usize> {
        if self.byte(at) != Some(b'\'') {
            return None;
        }
        let letter = |at| match self.byte(at) {
            Some(byte) if ignore_case => byte.to_ascii_lowercase(),
            byte => byte.unwrap_or(0),
        };
        match (letter(at + 1), letter(at + 2)) {
            (b's' | b't' | b'm' | b'd', _) => Some(at + 2),
            (b'r' | b'v', b'e') | (b'l', b'l') => Some(at + 3),
            _ if ignore_case && self.0[at + 1..].starts_with('ſ') => Some(at + 1 + 'ſ'.len_utf8()),
            _ => None,
        }
    }

    /// How many of the next eight bytes are ASCII letters, small ones or of both cases, up to the first that is not.
    /// Most words end here, without a branch for each letter.
    #[inline]
    fn ascii_letters(&self, at: usize, capitals: bool) -> usize {
        let Some(eight) = self
            .0
            .as_bytes()
            .get(at..)
            .and_then(|rest| rest.first_chunk::<8>())
        else {
            return 0;
        };
        const EACH: u64 = 0x0101_0101_0101_0101;
        let letters = u64::from_le_bytes(*eight) | if capitals { 0x20 * EACH } else { 0 };
        // These sums do not carry into the next byte, so the highest bit of each byte says whether it is a letter.
        let low = letters & (0x7F * EACH);
        let from_a = low + (0x80 - u64::from(b'a')) * EACH;
        let beyond_z = low + (0x7F - u64::from(b'z')) * EACH;
        let others = !(from_a & !beyond_z & !letters) & (0x80 * EACH);
        (others.trailing_zeros() / 8) as usize
    }

    #[inline]
    fn up_to_three_numbers(&self, start: usize) -> usize {
        let mut end = start;
        for _ in 0..3 {
            match self.character(end) {
                (NUMBER, next) => end = next,
                _ => break,
            }
        }
        end
    }

    /// ` ?[^\s\p{L}\p{N}]+`
    #[inline]
    fn punctuation(&self, at: usize, class: u8, next: usize) -> Option<usize> {
        let first = if self.byte(at) == Some(b' ') {
            self.character(next).0
        } else {
            class
        };
        (first & PUNCTUATION != 0).then(|| self.run(next, PUNCTUATION))
    }

    #[inline]
    fn newlines_and_slashes(&self, start: usize) -> usize {
        let mut end = start;
        while let Some(b'\r' | b'\n' | b'/') = self.byte(end) {
            end += 1;
        }
        end
    }

    /// `\s*[\r\n]+|\s+(?!\S)|\s+`, or only the last two: a run up to its last newline, else without its last character
    /// if something follows, which may begin with that.
    fn white_space(&self, start: usize, by_lines: bool) -> usize {
        let (mut at, mut last, mut behind_newline) = (start, start, None);
        loop {
            let (class, next) = self.character(at);
            if class & WHITE == 0 {
                break;
            }
            if class == NEWLINE {
                behind_newline = Some(next);
            }
            (last, at) = (at, next);
        }
        match behind_newline {
            Some(end) if by_lines => end,
            _ if at == self.0.len() || last == start => at,
            _ => last,
        }
    }

    /// All characters of these classes from here on.
    #[inline]
    fn run(&self, start: usize, classes: u8) -> usize {
        let mut at = start;
        if classes & LOWER != 0 {
            at += self.ascii_letters(start, classes & UPPER != 0);
        }
        loop {
            let (class, next) = self.character(at);
            if class & classes == 0 {
                return at;
            }
            at = next;
        }
    }

    /// The class of the character here, and where the next one begins. At the end of the text: no class.
    #[inline]
    fn character(&self, at: usize) -> (u8, usize) {
        match self.byte(at) {
            Some(byte) if byte.is_ascii() => (PAGES[0][usize::from(byte)], at + 1),
            Some(_) => match self.0.get(at..).and_then(|rest| rest.chars().next()) {
                Some(character) => (class_of(character), at + character.len_utf8()),
                None => (0, at),
            },
            None => (0, at),
        }
    }

    #[inline]
    fn byte(&self, at: usize) -> Option<u8> {
        self.0.as_bytes().get(at).copied()
    }
}
