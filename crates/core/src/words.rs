//! Prepares texts and queries for Postgres's full-text search. The time of Postgres's parser grows with the square of some
//! texts' length, and it cannot be interrupted meanwhile; these functions bound it.

use super::Interrupt;
use std::borrow::Cow;
use std::mem;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// Marks where a run without white space is broken. The parser reads it as a blank, and excerpts are shown without it.
const BREAK: char = '\u{1f}';
/// Replaces a `<` that begins no tag, though the parser would search for the tag's end.
const NO_TAG: char = '\u{1a}';
/// The most bytes without white space that the parser is given: from each of them it looks ahead to the end of the run.
const MAX_RUN_BYTES: usize = 256;
/// The most bytes of a tag or comment. A longer one is read as text.
const MAX_TAG_BYTES: usize = 1024;
/// The most beginnings (`begin*`) of a query that are searched for. Each costs as much as a hundred words.
const MAX_BEGINNINGS: usize = 20;

/// Returns a text in lower case without accents: `œ` becomes `oe`, `æ` `ae`, `ß` `ss`, `ø` `o`, `ł` `l`, `đ` and `ð` `d`.
///
/// A combining mark that follows no letter stays, so that no word becomes empty; one on a `<` stays, so that no `<` appears.
pub fn fold(text: &str, interrupt: Interrupt) -> String {
    let mut on_nothing = true;
    interrupt
        .during(text.chars())
        .flat_map(char::to_lowercase)
        .flat_map(|letter| {
            let (first, second) = match letter {
                'œ' => ('o', Some('e')),
                'æ' => ('a', Some('e')),
                'ß' => ('s', Some('s')),
                'ø' => ('o', None),
                'ł' => ('l', None),
                'đ' | 'ð' => ('d', None),
                other => (other, None),
            };
            [Some(first), second].into_iter().flatten()
        })
        .nfd()
        .filter(|&letter| {
            let is_mark = matches!(letter, '\u{300}'..='\u{36f}');
            let stays = !is_mark || on_nothing;
            on_nothing = matches!(letter, '\'' | ' ' | '<');
            stays
        })
        .nfc()
        .collect()
}

/// Returns a text that the parser reads in linear time, in pieces of little more than `most` bytes. Letters are composed
/// (NFC). Runs of 256 bytes without white space are broken, if possible after a character that is no letter. A `<` that
/// begins no tag of less than 1 kB is replaced.
pub fn pieces(text: &str, most: usize, interrupt: Interrupt) -> Vec<String> {
    let text = composed(text, interrupt);
    let mut pieces = Pieces {
        most,
        ..Pieces::default()
    };
    let mut tag_until = 0;
    for (place, letter) in interrupt.during(text.char_indices()) {
        if place < tag_until {
            continue;
        }
        match letter {
            '<' => match tag_length(&text.as_bytes()[place..]) {
                Tag::None => pieces.letter(letter),
                Tag::Open => pieces.blank(NO_TAG),
                Tag::Length(length) => {
                    pieces.tag(&text[place..place + length]);
                    tag_until = place + length;
                }
            },
            '\t'..='\r' | ' ' => pieces.blank(letter),
            _ => pieces.letter(letter),
        }
    }
    pieces.finish()
}

/// Composes letters and their marks (NFC), so that both ways to write an accent are one. Most text is composed already.
fn composed(text: &str, interrupt: Interrupt) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc_quick(interrupt.during(text.chars())) == IsNormalized::Yes {
        return text.into();
    }
    interrupt.during(text.chars()).nfc().collect::<String>().into()
}

#[derive(Default)]
struct Pieces {
    most: usize,
    done: Vec<String>,
    piece: String,
    /// Where the last run without white space begins in the piece.
    run: usize,
    /// Where that run is best broken.
    seam: Option<usize>,
}

impl Pieces {
    fn letter(&mut self, letter: char) {
        self.piece.push(letter);
        if !letter.is_alphanumeric() {
            self.seam = Some(self.piece.len());
        }
        if self.piece.len() - self.run >= MAX_RUN_BYTES {
            let at = self.seam.unwrap_or(self.piece.len());
            let rest = self.piece.split_off(at);
            self.blank(BREAK);
            self.piece.push_str(&rest);
        }
    }

    fn blank(&mut self, blank: char) {
        self.piece.push(blank);
        self.end_run();
    }

    fn tag(&mut self, tag: &str) {
        self.end_run();
        self.piece.push_str(tag);
        self.end_run();
    }

    fn end_run(&mut self) {
        if self.piece.len() >= self.most {
            self.done.push(mem::take(&mut self.piece));
        }
        self.run = self.piece.len();
        self.seam = None;
    }

    fn finish(mut self) -> Vec<String> {
        if !self.piece.is_empty() {
            self.done.push(self.piece);
        }
        self.done
    }
}

enum Tag {
    /// The parser looks for no tag.
    None,
    /// The tag does not end, or not soon.
    Open,
    Length(usize),
}

/// The tag that the parser would find at a `<`. Both take a tag whole, or give up at the same character.
fn tag_length(text: &[u8]) -> Tag {
    let text = &text[..text.len().min(MAX_TAG_BYTES)];
    let end = match text.get(1..) {
        Some([b'!', b'-', b'-', ..]) => (4..text.len())
            .find(|&at| text[at..].starts_with(b"-->"))
            .map(|at| at + 3),
        Some([b'!', b'D' | b'd', ..] | [b'?', b'x', ..]) => tag_end(text, 3),
        Some([b'/', first, ..]) if first.is_ascii_alphabetic() => named_tag_end(text, 3),
        Some([b':' | b'_', ..]) => named_tag_end(text, 2),
        Some([first, ..]) if first.is_ascii_alphabetic() => named_tag_end(text, 2),
        _ => return Tag::None,
    };
    end.map_or(Tag::Open, Tag::Length)
}

fn named_tag_end(text: &[u8], from: usize) -> Option<usize> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || byte >= &0x80 || b":_.-".contains(byte);
    let end = from + text.get(from..)?.iter().position(|byte| !is_name(byte))?;
    match text[end] {
        b'>' => Some(end + 1),
        b'/' if text.get(end + 1) == Some(&b'>') => Some(end + 2),
        byte if is_blank(byte) => tag_end(text, end + 1),
        _ => None,
    }
}

fn tag_end(text: &[u8], from: usize) -> Option<usize> {
    let mut quote = None;
    let mut bytes = text.iter().enumerate().skip(from);
    while let Some((at, &byte)) = bytes.next() {
        match (quote, byte) {
            (Some(_), b'\\') => {
                bytes.next();
            }
            (Some(open), _) if byte == open => quote = None,
            (Some(_), _) => {}
            (None, b'>') => return Some(at + 1),
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, _) if byte.is_ascii_alphanumeric() || is_blank(byte) || b"=-_#/:.&?%~".contains(&byte) => {
            }
            (None, _) => return None,
        }
    }
    None
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

/// A query that people typed, for `websearch_to_tsquery`.
#[derive(Debug, PartialEq, Eq)]
pub struct Query {
    /// The query with a number in place of each beginning.
    pub words: String,
    /// The number and the text of each beginning. The number occurs nowhere else in the query.
    pub beginnings: Vec<(String, String)>,
}

/// Reads a query. Beginnings are taken out, because `websearch_to_tsquery` knows none. Several hyphens in a row are a rule or
/// a dash and exclude nothing, because Postgres accepts no more than some thirty.
pub fn query(text: &str, interrupt: Interrupt) -> Query {
    let text = pieces(text, usize::MAX, interrupt).concat();
    let base = (7_000_000_000_000u64..)
        .find(|base| !text.contains(&base.to_string()))
        .unwrap_or_default();
    let mut reader = Reader {
        words: String::with_capacity(text.len()),
        beginnings: Vec::new(),
        base,
    };
    let mut rest = text.as_str();
    let mut quoted = false;
    while !rest.is_empty() {
        interrupt.check();
        if !quoted {
            rest = reader.gap(rest);
        }
        let operand = rest
            .find(|letter| letter == '"' || !quoted && is_gap(letter))
            .unwrap_or(rest.len());
        reader.operand(&rest[..operand]);
        rest = &rest[operand..];
        if let Some(behind) = rest.strip_prefix('"') {
            reader.words.push('"');
            quoted = !quoted;
            rest = behind;
        }
    }
    Query {
        words: reader.words,
        beginnings: reader.beginnings,
    }
}

fn is_gap(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '!' | '&' | '|' | '(' | ')' | '<' | BREAK)
}

/// Whether a letter can be in a beginning.
fn is_of_word(letter: char) -> bool {
    !(is_gap(letter) || letter.is_control() || matches!(letter, '"' | '*' | ':' | '<' | '>' | '\'' | '\\'))
}

struct Reader {
    words: String,
    beginnings: Vec<(String, String)>,
    base: u64,
}

impl Reader {
    /// Reads what stands before a word or phrase: one hyphen excludes it.
    fn gap<'a>(&mut self, text: &'a str) -> &'a str {
        let end = text
            .find(|letter| letter != '-' && !is_gap(letter))
            .unwrap_or(text.len());
        let (gap, rest) = text.split_at(end);
        self.words.extend(gap.chars().filter(|&letter| letter != '-'));
        if !rest.is_empty() && gap.matches('-').count() == 1 {
            self.words.push('-');
        }
        rest
    }

    fn operand(&mut self, operand: &str) {
        let start = self.words.len();
        let mut rest = operand;
        while !rest.is_empty() {
            let run = rest.find(|letter| !is_of_word(letter)).unwrap_or(rest.len());
            let behind = &rest[run..];
            let beginning = rest[..run].trim_start_matches('-');
            let after = behind.strip_prefix('*');
            match after {
                Some(after)
                    if !beginning.is_empty()
                        && !after.starts_with(char::is_alphanumeric)
                        && self.beginnings.len() < MAX_BEGINNINGS =>
                {
                    self.apart(start);
                    let mark = format!("{}{:02}", self.base, self.beginnings.len());
                    self.words.push_str(&mark);
                    self.beginnings.push((mark, beginning.to_owned()));
                    rest = after;
                    if !rest.is_empty() {
                        self.words.push(BREAK);
                    }
                }
                _ => {
                    self.words.push_str(&rest[..run]);
                    let end = behind.chars().next().map_or(0, char::len_utf8);
                    self.words.push_str(&behind[..end]);
                    rest = &behind[end..];
                }
            }
        }
    }

    /// Separates a number from a sign or letter before it.
    fn apart(&mut self, start: usize) {
        if self.words.len() > start && !self.words.ends_with(is_gap) {
            self.words.push(BREAK);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Interrupt, interrupts};
    use proptest::prelude::*;

    fn folded(text: &str) -> String {
        fold(text, Interrupt::NEVER)
    }

    #[test]
    fn folding_takes_case_and_accents() {
        assert_eq!(folded("Élève ÉTÉ e\u{301}te\u{301}"), "eleve ete ete");
        assert_eq!(
            folded("Œuvre CÆSAR Straße ẞ Łódź Ørsted Đorđe Þórður"),
            "oeuvre caesar strasse ss lodz orsted dorde þordur"
        );
        assert_eq!(folded("İstanbul ΣΑΣ Ἀθῆναι"), "istanbul σασ αθηναι");
        assert_eq!(folded("한국어 日本語 が हिन्दी ไทย"), "한국어 日本語 が हिन्दी ไทย");
    }

    #[test]
    fn a_mark_that_follows_no_letter_stays() {
        assert_eq!(folded("\u{301}"), "\u{301}");
        assert_eq!(folded("'\u{301}\u{302}a'"), "'\u{301}a'");
        assert_eq!(folded(" \u{301} a\u{301}\u{302}\u{316}b"), " \u{301} ab");
        assert_eq!(folded("\n\u{301}"), "\n");
    }

    #[test]
    fn folding_makes_nothing_that_ends_a_lexeme_or_begins_a_tag() {
        for letter in '\0'..=char::MAX {
            for text in [
                letter.to_string(),
                format!("a{letter}"),
                format!("'{letter}'"),
                format!("{letter}\u{338}"),
            ] {
                let count = |text: &str, of: char| text.chars().filter(|&letter| letter == of).count();
                for special in ['\'', '\\', ' ', '<', '"', ':', '\0', NO_TAG, BREAK] {
                    assert!(
                        count(&folded(&text), special) <= count(&text, special),
                        "{text:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn marks_without_end_are_folded_in_no_time_and_can_be_interrupted() {
        let text = "a".to_owned() + &"\u{301}\u{316}".repeat(1_000_000);
        assert_eq!(folded(&text), "a");
        assert!(interrupts(|interrupt| drop(fold(&text, interrupt))) > 5_000);
        assert!(interrupts(|interrupt| drop(pieces(&text, 8192, interrupt))) > 5_000);
    }

    fn piece(text: &str) -> String {
        pieces(text, usize::MAX, Interrupt::NEVER).concat()
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        for text in [
            "Un été <b class=\"x y\">chaud</b>, a < b && c > d; <!-- no --> <br/> <?xml version='1.0'?>\n\n<!DOCTYPE html>",
            "https://example.org/a/b?c=d&e=f#g mail@example.org 1.2.3 -5e-7 a-b-c C:\\x /usr/lib",
            "",
            " \n",
        ] {
            assert_eq!(piece(text), text);
        }
        assert_eq!(piece("e\u{301}"), "é");
    }

    #[test]
    fn what_is_no_tag_begins_none() {
        assert_eq!(piece("<a <b <c"), "\u{1a}a \u{1a}b \u{1a}c");
        assert_eq!(piece("<!--<!--"), "\u{1a}!--\u{1a}!--");
        assert_eq!(
            piece("<a,b> <a \"b> <a 'it\\'s'>"),
            "\u{1a}a,b> \u{1a}a \"b> <a 'it\\'s'>"
        );
        assert_eq!(
            piece(&format!("<a {}>", "b".repeat(2000))).chars().next(),
            Some(NO_TAG)
        );
    }

    #[test]
    fn runs_are_broken_behind_what_is_no_letter() {
        let text = format!("{}.{}", "a".repeat(200), "b".repeat(100));
        assert_eq!(
            piece(&text),
            format!("{}.\u{1f}{}", "a".repeat(200), "b".repeat(100))
        );
        assert_eq!(
            piece(&"a".repeat(300)),
            format!("{}\u{1f}{}", "a".repeat(256), "a".repeat(44))
        );
    }

    fn asked(text: &str) -> (String, Vec<String>) {
        let query = query(text, Interrupt::NEVER);
        let mut words = query.words;
        let mut beginnings = Vec::new();
        for (mark, beginning) in query.beginnings {
            words = words.replace(&mark, "#");
            beginnings.push(beginning);
        }
        (words, beginnings)
    }

    #[test]
    fn beginnings_are_taken_out() {
        for (text, words, beginnings) in [
            ("emb*", "#", vec!["emb"]),
            (
                "\"full emb*\" -run* or x",
                "\"full #\" -# or x",
                vec!["emb", "run"],
            ),
            (
                "foo-emb* a:b* 'c*",
                "# a:\u{1f}# '\u{1f}#",
                vec!["foo-emb", "b", "c"],
            ),
            ("a*b* ** -* \"*\" *", "a*\u{1f}# ** -* \"*\" *", vec!["b"]),
            ("a** b*-c", "#\u{1f}* #\u{1f}-c", vec!["a", "b"]),
            ("e\u{301}le*", "#", vec!["éle"]),
        ] {
            let beginnings: Vec<String> = beginnings.into_iter().map(str::to_owned).collect();
            assert_eq!(asked(text), (words.to_owned(), beginnings), "{text}");
        }
        assert_eq!(asked(&"a* ".repeat(499)).1.len(), MAX_BEGINNINGS);
    }

    #[test]
    fn a_number_of_the_query_is_no_beginning() {
        let query = query("700000000000000 a* 700000000000100*", Interrupt::NEVER);
        assert_eq!(query.beginnings.len(), 2);
        for (mark, _) in query.beginnings {
            assert!(!"700000000000000 a* 700000000000100*".contains(&mark));
        }
    }

    #[test]
    fn one_hyphen_excludes_and_more_are_a_rule() {
        for (text, words) in [
            ("-a b", "-a b"),
            ("a - b", "a  -b"),
            ("--flag a -- b", "flag a  b"),
            ("--- | --- | x -\"a b\" --\"c\"", " |  | x -\"a b\" \"c\""),
            ("a-b a--b a -", "a-b a--b a "),
            ("-<-<-(-!-a -<b", "<<(!a -\u{1a}b"),
            ("\"- - -\" -", "\"- - -\" "),
        ] {
            assert_eq!(asked(text).0, words, "{text}");
        }
        assert_eq!(asked(&"-".repeat(1000)).0, "\u{1f}".repeat(3));
        assert_eq!(asked(&"- ".repeat(1000)).0, " ".repeat(1000));
    }

    proptest! {
        /// With any text, the letters stay, runs and tags are short, and pieces are of the size that was asked for.
        #[test]
        fn pieces_are_short_runs_of_the_text(text in "[a<> \"'!?/.:é\u{301}-]{0,3000}", most in 1..500usize) {
            let got = pieces(&text, most, Interrupt::NEVER);
            let whole = got.concat();
            let shown: String = whole.replace(NO_TAG, "<").replace(BREAK, "");
            prop_assert_eq!(shown, text.nfc().collect::<String>());
            for piece in &got {
                prop_assert!(piece.len() < most + MAX_TAG_BYTES + MAX_RUN_BYTES);
                prop_assert!(!piece.is_empty());
            }
            let mut rest = whole.as_str();
            while let Some(at) = rest.find('<') {
                prop_assert!(!matches!(tag_length(&rest.as_bytes()[at..]), Tag::Open));
                rest = &rest[at + 1..];
                // What is in a tag begins none.
                if let Tag::Length(length) = tag_length(&[b"<", rest.as_bytes()].concat()) {
                    rest = &rest[length - 1..];
                }
            }
        }

        #[test]
        fn queries_of_signs_are_read(text in "[a*\\-\" |:<>\\\\'!&()é_.0]{0,200}") {
            let query = query(&text, Interrupt::NEVER);
            prop_assert!(!query.words.contains("--\"") || text.contains('"'));
        }
    }
}
