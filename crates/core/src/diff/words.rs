//! Which words changed in lines that took the place of others.

use super::align::Windows;
use crate::Interrupt;
use crate::split::units::Unit;

/// Lines that together have more bytes are changed as a whole. More parts than it gives would not fit into a JSON value.
const MOST_BYTES: usize = 1 << 20;

/// A part of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part<'a> {
    /// The text of the part.
    pub text: &'a str,
    /// Whether the other text has something else in its place.
    pub is_changed: bool,
}

/// The parts of each line. None: the other text has nothing in common with it.
type Parts<'a> = Vec<Option<Vec<Part<'a>>>>;

/// The parts of the old lines and of the new lines. None if they have too little in common to be versions of each other.
pub(super) fn mark<'a>(
    old: &[&'a str],
    new: &[&'a str],
    interrupt: Interrupt,
) -> Option<(Parts<'a>, Parts<'a>)> {
    let bytes = |lines: &[&str]| lines.iter().map(|line| line.len()).sum::<usize>();
    if old.is_empty() || new.is_empty() || bytes(old) + bytes(new) > MOST_BYTES {
        return None;
    }
    let mut marks = Marks::default();
    for window in Windows::new(words_of(old), words_of(new), interrupt) {
        let mut at = (0, 0);
        for hunk in &window.hunks {
            marks.same(&window.old[at.0..hunk.old.start], &window.new[at.1..hunk.new.start]);
            marks.changed(&window.old[hunk.old.clone()], &window.new[hunk.new.clone()]);
            at = (hunk.old.end, hunk.new.end);
        }
        marks.same(&window.old[at.0..], &window.new[at.1..]);
    }
    marks
        .are_versions()
        .then(|| (parts(old, &marks.old), parts(new, &marks.new)))
}

fn without_end(line: &str) -> &str {
    line.strip_suffix('\n').unwrap_or(line)
}

fn words_of<'a>(lines: &[&'a str]) -> impl Iterator<Item = &'a str> {
    lines.iter().flat_map(|line| {
        let line = without_end(line);
        let mut start = 0;
        Unit::Word.ends(line, 0).map(move |end| {
            let word = &line[start..end];
            start = end;
            word
        })
    })
}

fn is_word(token: &str) -> bool {
    token.chars().any(char::is_alphanumeric)
}

/// The tokens of both texts, and whether they changed.
#[derive(Default)]
struct Marks<'a> {
    old: Vec<(&'a str, bool)>,
    new: Vec<(&'a str, bool)>,
    /// Where the tokens begin that both texts have, and no word since.
    blanks: Option<(usize, usize)>,
    common: usize,
}

impl<'a> Marks<'a> {
    fn changed(&mut self, old: &[&'a str], new: &[&'a str]) {
        if let Some((old, new)) = self.blanks {
            // Blanks and commas between two changes do not make the words around them the same.
            self.old[old..].iter_mut().for_each(|(_, changed)| *changed = true);
            self.new[new..].iter_mut().for_each(|(_, changed)| *changed = true);
        }
        self.old.extend(old.iter().map(|token| (*token, true)));
        self.new.extend(new.iter().map(|token| (*token, true)));
        self.blanks = Some((self.old.len(), self.new.len()));
    }

    fn same(&mut self, old: &[&'a str], new: &[&'a str]) {
        self.old.extend(old.iter().map(|token| (*token, false)));
        self.new.extend(new.iter().map(|token| (*token, false)));
        let words = old.iter().filter(|token| is_word(token));
        let common = words.map(|token| token.len()).sum::<usize>();
        if common > 0 {
            self.blanks = None;
            self.common += common;
        }
    }

    /// Whether the words in common are at least a third of the shorter text.
    fn are_versions(&self) -> bool {
        let bytes = |tokens: &[(&str, bool)]| {
            let words = tokens.iter().filter(|(token, _)| is_word(token));
            words.map(|(token, _)| token.len()).sum::<usize>()
        };
        3 * self.common >= bytes(&self.old).min(bytes(&self.new)).max(1)
    }
}

fn parts<'a>(lines: &[&'a str], tokens: &[(&'a str, bool)]) -> Parts<'a> {
    let mut tokens = tokens.iter();
    lines
        .iter()
        .map(|line| {
            let line = without_end(line);
            let mut parts: Vec<Part<'a>> = Vec::new();
            let (mut start, mut end) = (0, 0);
            while end < line.len() {
                let Some(&(token, is_changed)) = tokens.next() else { break };
                end += token.len();
                match parts.last_mut() {
                    Some(last) if last.is_changed == is_changed => last.text = &line[start..end],
                    _ => {
                        start = end - token.len();
                        parts.push(Part {
                            text: token,
                            is_changed,
                        });
                    }
                }
            }
            let has_common = parts.iter().any(|part| !part.is_changed && is_word(part.text));
            has_common.then_some(parts)
        })
        .collect()
}
