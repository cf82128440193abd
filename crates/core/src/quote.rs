//! Finds a quote in a text, though the two differ in white space, case, quotation marks, dashes, ligatures or soft hyphens.
//!
//! Both are normalised while they are read: to Unicode's compatibility decomposition in lower case, with one blank for any white
//! space. The normalised text is searched in blocks, so that a long text needs little memory. Each of its bytes knows which
//! character of the text it comes from.

use crate::{Error, Interrupt};
use memchr::memmem::Finder;
use std::ops::Range;
use unicode_normalization::char::{canonical_combining_class, decompose_compatible};

/// How many normalised bytes are searched at once.
const BLOCK: usize = 1 << 16;

/// Returns where `quote` stands in a text, in characters, at most `most` times; places do not overlap.
///
/// `pieces` are parts of the text in their order, each with its first character. What a piece repeats of those before it does not
/// count twice. Between pieces that do not touch there is white space.
pub fn find_quote<'a>(
    pieces: impl IntoIterator<Item = (usize, &'a str)>,
    quote: &str,
    most: usize,
    interrupt: Interrupt,
) -> Result<Vec<Range<usize>>, Error> {
    let wanted = normalised(quote);
    if wanted.is_empty() {
        return Err(Error::EmptyQuote);
    }
    let mut search = Search {
        finder: Finder::new(&wanted),
        length: wanted.len(),
        most,
        text: Normalised::default(),
        found: Vec::new(),
    };
    let mut next = 0;
    for (start, piece) in pieces {
        if start > next {
            search.text.blank(next);
        }
        let repeated = next.saturating_sub(start);
        for (place, letter) in (start..).zip(interrupt.during(piece.chars())).skip(repeated) {
            search.text.push(place, letter);
            next = place + 1;
            if search.text.letters.len() >= BLOCK + wanted.len() {
                search.find(false);
                if search.found.len() >= most {
                    return Ok(search.found);
                }
            }
        }
    }
    search.find(true);
    Ok(search.found)
}

fn normalised(quote: &str) -> Vec<u8> {
    let mut text = Normalised::default();
    for (place, letter) in quote.chars().enumerate() {
        text.push(place, letter);
    }
    text.letters
}

/// Text that was normalised, and not searched yet.
#[derive(Default)]
struct Normalised {
    letters: Vec<u8>,
    /// For each byte of `letters`, the character that it comes from.
    places: Vec<usize>,
    /// Where combining marks begin in `letters`.
    marks: Vec<usize>,
    has_begun: bool,
    blank: Option<usize>,
}

impl Normalised {
    fn push(&mut self, place: usize, letter: char) {
        match letter {
            'a'..='z' | '0'..='9' => self.add(place, letter),
            'A'..='Z' => self.add(place, letter.to_ascii_lowercase()),
            // Soft hyphens, and others without width.
            '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' => {}
            '‘' | '’' | '‚' | '‛' | '′' | '‹' | '›' | 'ʼ' | '`' | '´' => {
                self.add(place, '\'')
            }
            '“' | '”' | '„' | '‟' | '″' | '«' | '»' | '〝' | '〞' | '〟' => {
                self.add(place, '"')
            }
            '\u{2010}'..='\u{2015}' | '−' => self.add(place, '-'),
            _ => decompose_compatible(letter, |part| {
                for lower in part.to_lowercase() {
                    match lower {
                        blank if blank.is_whitespace() => self.blank(place),
                        'ß' => "ss".chars().for_each(|s| self.add(place, s)),
                        'ς' => self.add(place, 'σ'),
                        other => self.add(place, other),
                    }
                }
            }),
        }
    }

    /// White space counts only between letters.
    fn blank(&mut self, place: usize) {
        if self.has_begun && self.blank.is_none() {
            self.blank = Some(place);
        }
    }

    fn add(&mut self, place: usize, letter: char) {
        self.has_begun = true;
        if let Some(place) = self.blank.take() {
            self.letters.push(b' ');
            self.places.push(place);
        }
        if !letter.is_ascii() && canonical_combining_class(letter) != 0 {
            self.marks.push(self.letters.len());
        }
        let mut bytes = [0; 4];
        for byte in letter.encode_utf8(&mut bytes).bytes() {
            self.letters.push(byte);
            self.places.push(place);
        }
    }

    fn forget(&mut self, until: usize) {
        self.letters.drain(..until);
        self.places.drain(..until);
        self.marks.retain(|&mark| mark >= until);
        self.marks.iter_mut().for_each(|mark| *mark -= until);
    }
}

struct Search<'a> {
    finder: Finder<'a>,
    length: usize,
    most: usize,
    text: Normalised,
    found: Vec<Range<usize>>,
}

impl Search<'_> {
    /// Searches what is there, and forgets it but for an end that the next block may complete.
    fn find(&mut self, is_end: bool) {
        let text = &self.text;
        // Whether a mark follows, the next letter tells.
        let ends = text.letters.len() + usize::from(is_end);
        let mut from = 0;
        while self.found.len() < self.most
            && let Some(offset) = self.finder.find(&text.letters[from..])
        {
            let (first, after) = (from + offset, from + offset + self.length);
            if after >= ends {
                break;
            }
            // "e" does not stand in "é".
            if text.marks.binary_search(&after).is_ok() {
                from = first + 1;
            } else {
                self.found.push(text.places[first]..text.places[after - 1] + 1);
                from = after;
            }
        }
        let keep = text.letters.len().saturating_sub(self.length).max(from);
        self.text.forget(keep);
    }
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init)]
mod tests {
    use super::*;
    use crate::interrupts;

    fn places(text: &str, quote: &str) -> Vec<Range<usize>> {
        find_quote([(0, text)], quote, 100, Interrupt::NEVER).expect("the quote has letters")
    }

    /// What stands in the text where the quote was found.
    fn found(text: &str, quote: &str) -> Vec<String> {
        let letters: Vec<char> = text.chars().collect();
        places(text, quote)
            .into_iter()
            .map(|place| letters[place].iter().collect())
            .collect()
    }

    #[test]
    fn white_space_case_quotes_dashes_ligatures_and_soft_hyphens_do_not_count() {
        assert_eq!(
            found("He said:\n  “Don’t  pay”.", "said: \"don't pay\""),
            ["said:\n  “Don’t  pay”"]
        );
        assert_eq!(
            found("o\u{fb03}ce, o\u{fb00}er", "office, offer"),
            ["o\u{fb03}ce, o\u{fb00}er"]
        );
        assert_eq!(
            found("a sun\u{ad}ny\u{200b} day", "Sunny day"),
            ["sun\u{ad}ny\u{200b} day"]
        );
        assert_eq!(
            found("pages 3–5, Straße, ΟΔΟΣ", "3-5, STRASSE, οδος"),
            ["3–5, Straße, ΟΔΟΣ"]
        );
        assert_eq!(found("50\u{a0}% of １２", "50 % of 12"), ["50\u{a0}% of １２"]);
        assert_eq!(found("th\u{e9}", "The\u{301}"), ["th\u{e9}"]);
    }

    #[test]
    fn other_differences_count() {
        assert_eq!(found("cafe", "café"), [""; 0]);
        assert_eq!(found("café, cafe\u{301}, cafe", "cafe"), ["cafe"]);
        assert_eq!(found("a b", "ab"), [""; 0]);
        assert_eq!(found("ab", "a b"), [""; 0]);
        assert_eq!(found(".* a.c (", "a.c ("), ["a.c ("]);
        assert_eq!(found("abc", "a.c"), [""; 0]);
    }

    #[test]
    fn places_are_in_characters_and_do_not_overlap() {
        assert_eq!(places("日本 é aaaa", "aa"), [5..7, 7..9]);
        assert_eq!(
            find_quote([(0, "aaaa")], "a", 2, Interrupt::NEVER),
            Ok(vec![0..1, 1..2])
        );
        assert!(places("", "a").is_empty());
        assert_eq!(places("a", " a "), [0..1]);
        // Half of a ligature stands where the whole one does.
        assert_eq!(places("\u{fb01}n", "in"), [0..2]);
    }

    #[test]
    fn a_quote_without_letters_is_refused() {
        for quote in ["", " \n", "\u{ad}\u{200b}"] {
            assert_eq!(
                find_quote([(0, "a")], quote, 1, Interrupt::NEVER),
                Err(Error::EmptyQuote)
            );
        }
    }

    #[test]
    fn pieces_overlap_touch_or_leave_white_space() {
        let pieces = [
            (2, "one two"),
            (6, "two three"),
            (15, "four"),
            (40, "five"),
            (41, "ive"),
        ];
        let find = |quote| find_quote(pieces, quote, 9, Interrupt::NEVER).expect("letters");
        assert_eq!(find("one two threefour five"), [2..44]);
        assert_eq!(find("two"), [6..9]);
        assert_eq!(find("five"), [40..44]);
    }

    #[test]
    fn a_quote_is_found_wherever_a_block_ends() {
        for before in BLOCK - 8..BLOCK + 16 {
            let text = format!(
                "{} needle\u{301} needle {}",
                "x".repeat(before),
                "y".repeat(BLOCK)
            );
            assert_eq!(places(&text, "needle"), [before + 9..before + 15], "{before}");
        }
        let long = "word ".repeat(BLOCK);
        assert_eq!(places(&format!("a {long} b"), &long), [2..long.len() + 1]);
    }

    #[test]
    fn hostile_texts_take_little_time_and_can_be_interrupted() {
        // Each of these characters is 18 of the decomposition.
        let text = "\u{fdfa}".repeat(1_000_000);
        assert!(interrupts(|interrupt| drop(find_quote([(0, &*text)], "x", 1, interrupt))) > 3_000);
        let (text, quote) = ("a".repeat(2_000_000), "a".repeat(9_999) + "b");
        assert!(places(&text, &quote).is_empty());
        let marks = "e".to_owned() + &"\u{301}".repeat(1_000_000);
        assert!(places(&marks, "e").is_empty());
    }
}
