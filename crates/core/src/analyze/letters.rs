//! Normalises a piece of a text, and remembers where each character came from.

use unicode_normalization::char::{canonical_combining_class, decompose_compatible, is_combining_mark};
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick, is_nfkc_quick};

/// What a character is to words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Class {
    /// A letter or digit of a script that has spaces between words.
    Spaced,
    /// A letter of Chinese or Japanese.
    Ideograph,
    /// A letter or mark of Thai, Lao, Khmer or Burmese.
    Complex,
    /// A mark on what precedes it.
    Mark,
    /// A picture, which is a word by itself.
    Emoji,
    /// No part of a word.
    Sign,
}

/// A character of the normal form.
#[derive(Debug, Clone, Copy)]
pub(super) struct Letter {
    pub(super) letter: char,
    pub(super) class: Class,
    /// Where its source begins in the piece, in bytes.
    pub(super) start: u32,
    /// Where its source ends.
    pub(super) end: u32,
}

/// Writes the normal form of a piece into `letters`: compatible and composed (NFKC), with one kind of hyphens and one of
/// apostrophes, without what is invisible. Case stays, because it tells where words in a name begin.
pub(super) fn normalise(piece: &str, letters: &mut Vec<Letter>) {
    letters.clear();
    let mut segment: Vec<char> = Vec::new();
    let mut start = 0;
    let mut end = 0;
    for (at, letter) in piece.char_indices().filter(|&(_, letter)| !is_invisible(letter)) {
        if begins_segment(letter) {
            flush(&mut segment, start..end, letters);
            start = at as u32;
        } else if segment.is_empty() {
            start = at as u32;
        }
        segment.push(letter);
        end = (at + letter.len_utf8()) as u32;
    }
    flush(&mut segment, start..end, letters);
}

/// Normalises characters that can be composed with each other, but not with others.
fn flush(segment: &mut Vec<char>, source: std::ops::Range<u32>, letters: &mut Vec<Letter>) {
    let mut add = |letter: char| {
        let letter = match letter {
            '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
            '’' | 'ʼ' => '\'',
            '\u{2044}' => '/',
            other => other,
        };
        letters.push(Letter {
            letter,
            class: class(letter),
            start: source.start,
            end: source.end,
        });
    };
    match segment[..] {
        [letter] if letter.is_ascii() || is_nfkc_quick([letter].into_iter()) == IsNormalized::Yes => {
            add(letter)
        }
        _ => segment.iter().copied().nfkc().for_each(&mut add),
    }
    segment.clear();
}

/// Whether a character is composed with none before it.
fn begins_segment(letter: char) -> bool {
    if letter < '\u{300}' {
        return true;
    }
    let mut first = None;
    decompose_compatible(letter, |part| first = first.or(Some(part)));
    first.is_none_or(|first| {
        canonical_combining_class(first) == 0 && is_nfc_quick([first].into_iter()) == IsNormalized::Yes
    })
}

/// Soft hyphens, joiners, marks of direction and selectors of a character's variant.
fn is_invisible(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{1f3fb}'..='\u{1f3ff}' | '\u{e0000}'..='\u{e01ef}')
}

fn class(letter: char) -> Class {
    match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' => Class::Spaced,
        '\0'..='\u{7f}' => Class::Sign,
        _ if is_complex(letter) && (letter.is_alphanumeric() || is_combining_mark(letter)) => Class::Complex,
        _ if is_combining_mark(letter) => Class::Mark,
        _ if letter.is_alphanumeric() && is_ideograph(letter) => Class::Ideograph,
        _ if letter.is_alphanumeric() => Class::Spaced,
        _ if is_emoji(letter) => Class::Emoji,
        _ => Class::Sign,
    }
}

fn is_complex(letter: char) -> bool {
    matches!(letter,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17ff}' | '\u{a9e0}'..='\u{a9ff}'
        | '\u{aa60}'..='\u{aa7f}')
}

fn is_ideograph(letter: char) -> bool {
    matches!(letter,
        '\u{3005}'..='\u{3007}' | '\u{3021}'..='\u{3029}' | '\u{3031}'..='\u{3035}' | '\u{303b}'..='\u{303c}'
        | '\u{3041}'..='\u{30ff}' | '\u{31f0}'..='\u{31ff}' | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}' | '\u{1aff0}'..='\u{1b16f}' | '\u{20000}'..='\u{3ffff}')
}

fn is_emoji(letter: char) -> bool {
    matches!(letter,
        '\u{231a}'..='\u{231b}' | '\u{23e9}'..='\u{23fa}' | '\u{2600}'..='\u{27bf}' | '\u{2b05}'..='\u{2b55}'
        | '\u{1f000}'..='\u{1faff}')
}

pub(super) fn is_hangul(letter: char) -> bool {
    matches!(letter, '\u{1100}'..='\u{11ff}' | '\u{3131}'..='\u{318e}' | '\u{a960}'..='\u{a97f}' | '\u{ac00}'..='\u{d7ff}')
}
