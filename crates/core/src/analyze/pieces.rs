//! Cuts a text into pieces that contain no white space and no sign that separates words.

use std::ops::Range;

/// The most bytes of a piece. A longer one is cut.
const MAX_PIECE_BYTES: usize = 2048;

/// What an ASCII character is to a piece.
#[derive(Clone, Copy, PartialEq)]
enum Role {
    /// It is in no piece.
    Break,
    /// It can join words. Before and after words it means nothing.
    Joint,
    /// It can begin a name, as in `.NET`, but not end one.
    Beginning,
    /// It can end a name, as in `C#`, but not begin one.
    End,
    Letter,
}

const ROLES: [Role; 128] = {
    let mut roles = [Role::Break; 128];
    let mut byte = 0;
    while byte < 128 {
        roles[byte] = match byte as u8 {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => Role::Letter,
            b'.' => Role::Beginning,
            b'+' | b'#' => Role::End,
            b'-' | b'/' | b'_' | b'\'' | b'@' | b':' | b'&' | b'\\' | b',' => Role::Joint,
            _ => Role::Break,
        };
        byte += 1;
    }
    roles
};

/// Whether a character that is not ASCII separates words. Not all that do are here, but only such whose compatible form (NFKC)
/// does too.
fn is_break(letter: char) -> bool {
    matches!(letter,
        '«' | '»' | '\u{200b}' | '\u{201a}' | '\u{201c}'..='\u{2023}' | '\u{3001}' | '\u{3002}'
        | '\u{3008}'..='\u{3011}' | '！' | '（' | '）' | '；' | '？')
        || letter.is_whitespace()
}

/// The pieces of a text, as ranges of bytes. Where a text has none for long, one is empty, so that a reader can be interrupted.
pub(super) struct Pieces<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Pieces<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// The role and the length of the character at `at`.
    fn role(&self, at: usize) -> Option<(Role, usize)> {
        let byte = *self.text.as_bytes().get(at)?;
        if let Some(&role) = ROLES.get(usize::from(byte)) {
            return Some((role, 1));
        }
        let letter = self.text[at..].chars().next()?;
        let role = if is_break(letter) {
            Role::Break
        } else {
            Role::Letter
        };
        Some((role, letter.len_utf8()))
    }

    /// Goes to where a piece can begin, but not far.
    fn skip(&mut self) {
        let most = self.at + MAX_PIECE_BYTES;
        while let Some((role, length)) = self.role(self.at)
            && !matches!(role, Role::Letter | Role::Beginning)
            && self.at < most
        {
            self.at += length;
        }
    }

    /// Goes to the end of the piece that begins here.
    fn pass(&mut self) {
        let start = self.at;
        while let Some((role, length)) = self.role(self.at)
            && role != Role::Break
        {
            if self.at + length - start > MAX_PIECE_BYTES {
                let is_sign = |letter: char| !letter.is_alphanumeric();
                let piece = &self.text[start..self.at];
                let seam = piece.rmatch_indices(is_sign).next();
                self.at = seam.map_or(self.at, |(at, sign)| start + at + sign.len());
                return;
            }
            self.at += length;
        }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        self.skip();
        let start = self.at;
        if start >= self.text.len() {
            return None;
        }
        self.pass();
        let means_nothing = |byte: &u8| {
            let role = ROLES.get(usize::from(*byte));
            matches!(role, Some(Role::Break | Role::Joint | Role::Beginning))
        };
        let piece = &self.text.as_bytes()[start..self.at];
        let last = piece.iter().rposition(|byte| !means_nothing(byte));
        Some(start..start + last.map_or(0, |at| at + 1))
    }
}
