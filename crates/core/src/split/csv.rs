//! CSV is cut between records, then between fields, then as plain text is.
//!
//! Records are those of RFC 4180: a field in quotes may hold line breaks. A quote that nothing closes is a letter, and so is one
//! whose closing quote stands before other text: else a stray quote would swallow what follows it.

use super::boundaries::{Boundaries, Boundary, BoundaryReader, Level, MAX_LEVELS, SplitPosition};
use super::headers::Headers;
use super::text::line_breaks;
use crate::Interrupt;
use memchr::{memchr, memchr3};
use std::ops::Range;

const RECORD: usize = MAX_LEVELS - 1;
const FIELD: usize = MAX_LEVELS - 2;
const LINE_BREAKS: usize = MAX_LEVELS - 3;

/// What may stand between fields, the most usual first.
const DELIMITERS: [u8; 4] = *b",;\t|";

/// The boundaries of CSV. Records and fields of at most `whole` bytes fit into a chunk, and what is in them is not read.
pub(crate) fn boundaries(text: &str, whole: usize, interrupt: Interrupt) -> Boundaries<'_> {
    Boundaries::new(
        Records::of(text, whole, interrupt),
        |_| SplitPosition::Around,
        interrupt,
    )
}

struct Records<'a> {
    syntax: Syntax<'a>,
    whole: usize,
    at: usize,
    /// The ends of the record and of the field that `at` is in.
    record_end: usize,
    field_end: usize,
    headers: Headers,
    interrupt: Interrupt,
}

impl<'a> Records<'a> {
    fn of(text: &'a str, whole: usize, interrupt: Interrupt) -> Self {
        let syntax = Syntax::of(text, interrupt);
        let first = syntax.first_record();
        let mut headers = Headers::default();
        let header = text[first.clone()].trim_end_matches(['\n', '\r']);
        headers.push(first.end, Some(first.start..first.start + header.len()));
        Records {
            syntax,
            whole,
            at: 0,
            record_end: 0,
            field_end: 0,
            headers,
            interrupt,
        }
    }
}

impl BoundaryReader for Records<'_> {
    fn read(&mut self, boundaries: &mut Vec<Boundary>) -> Option<usize> {
        self.interrupt.check();
        let mut push = |level, range: Range<usize>| {
            boundaries.push(Boundary::new(Level::of(level), range.start, range.end));
            range.len() <= self.whole
        };
        if self.at == self.record_end {
            self.record_end = self.syntax.record_end(self.at);
            if push(RECORD, self.at..self.record_end) {
                (self.at, self.field_end) = (self.record_end, self.record_end);
            }
        } else if self.at == self.field_end {
            self.field_end = self.syntax.field(self.at).end;
            if push(FIELD, self.at..self.field_end) {
                self.at = self.field_end;
            }
        } else if let Some((breaks, number)) = line_breaks(&self.syntax.text[..self.field_end], self.at) {
            push(number.min(LINE_BREAKS), breaks.clone());
            self.at = breaks.end;
        } else {
            self.at = self.field_end;
        }
        (self.at < self.syntax.text.len()).then_some(self.at)
    }

    fn header_at(&mut self, place: usize) -> Option<Range<usize>> {
        self.headers.at(place)
    }
}

/// How a text is read as CSV.
struct Syntax<'a> {
    text: &'a str,
    delimiter: u8,
    interrupt: Interrupt,
}

/// A field's end, behind the delimiter or the line break, and whether it is the record's last.
#[derive(Debug, PartialEq, Eq)]
struct Field {
    end: usize,
    is_last: bool,
}

impl<'a> Syntax<'a> {
    fn of(text: &'a str, interrupt: Interrupt) -> Self {
        Syntax {
            text,
            delimiter: delimiter_of(text, interrupt),
            interrupt,
        }
    }

    /// The first record that is not empty, without a byte order mark before it.
    fn first_record(&self) -> Range<usize> {
        let start = self.after_mark(0);
        let breaks = self.text[start..].bytes();
        let start = start + breaks.take_while(is_break).count();
        start..self.record_end(start)
    }

    fn after_mark(&self, at: usize) -> usize {
        match self.text.strip_prefix('\u{feff}') {
            Some(rest) if at == 0 => self.text.len() - rest.len(),
            _ => at,
        }
    }

    fn record_end(&self, at: usize) -> usize {
        let mut end = at;
        while end < self.text.len() {
            let field = self.field(end);
            end = field.end;
            if field.is_last {
                break;
            }
        }
        end
    }

    /// The field that begins at `at`.
    fn field(&self, at: usize) -> Field {
        self.interrupt.check();
        let bytes = self.text.as_bytes();
        let start = self.after_mark(at);
        let start = self.after_quotes(start).unwrap_or(start);
        let Some(length) = memchr3(self.delimiter, b'\n', b'\r', &bytes[start..]) else {
            return Field {
                end: bytes.len(),
                is_last: true,
            };
        };
        let mark = start + length;
        let is_last = bytes[mark] != self.delimiter;
        // Empty lines belong to the record before, and blank fields to the field before: of white space, a window holds any
        // amount.
        let goes_on = |byte: &&u8| match is_last {
            true => is_break(byte),
            false => **byte == b'\t' && self.delimiter == b'\t',
        };
        let more = bytes[mark + 1..].iter().take_while(goes_on).count();
        Field {
            end: mark + 1 + more,
            is_last,
        }
    }

    /// Where the quotes end that the field at `at` stands in, if it does. In linear time, however often it is called for fields
    /// that do not: what it looks for is the next odd number of quotes, and there its next search begins.
    fn after_quotes(&self, at: usize) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut at = bytes
            .get(at)
            .is_some_and(|&byte| byte == b'"')
            .then_some(at + 1)?;
        loop {
            self.interrupt.check();
            at += memchr(b'"', &bytes[at..])? + 1;
            if bytes.get(at) != Some(&b'"') {
                break;
            }
            at += 1;
        }
        at += bytes[at..].iter().take_while(|&&byte| byte == b' ').count();
        match bytes.get(at) {
            Some(&byte) if byte != self.delimiter && byte != b'\n' && byte != b'\r' => None,
            _ => Some(at),
        }
    }
}

fn is_break(byte: &u8) -> bool {
    matches!(byte, b'\n' | b'\r')
}

/// The delimiter that is most frequent in the first line that is not empty, and that goes on as long as quotes are open in it.
fn delimiter_of(text: &str, interrupt: Interrupt) -> u8 {
    let text = text.trim_start_matches(['\u{feff}', '\n', '\r']).as_bytes();
    let mut is_quoted = false;
    let bytes = interrupt.during(text.iter()).take_while(|&byte| {
        is_quoted ^= *byte == b'"';
        is_quoted || !is_break(byte)
    });
    let mut outside = [0; DELIMITERS.len()];
    // Behind a quote that nothing closes, they would not be counted.
    let mut anywhere = [0; DELIMITERS.len()];
    let mut quotes = 0usize;
    let mut in_line = true;
    for byte in bytes {
        quotes += usize::from(*byte == b'"');
        in_line &= !is_break(byte);
        if let Some(which) = DELIMITERS.iter().position(|delimiter| delimiter == byte) {
            outside[which] += usize::from(quotes.is_multiple_of(2));
            anywhere[which] += usize::from(in_line);
        }
    }
    let counts = if quotes.is_multiple_of(2) {
        outside
    } else {
        anywhere
    };
    // Of several that are as frequent, the most usual.
    let most = (0..DELIMITERS.len()).rev().max_by_key(|&which| counts[which]);
    DELIMITERS[most.unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupts;
    use proptest::prelude::*;

    fn records(text: &str) -> Vec<&str> {
        records_of(&Syntax::of(text, Interrupt::NEVER))
    }

    fn records_of<'a>(syntax: &Syntax<'a>) -> Vec<&'a str> {
        let text = syntax.text;
        let mut at = 0;
        let mut records = Vec::new();
        while at < text.len() {
            let end = syntax.record_end(at);
            records.push(&text[at..end]);
            at = end;
        }
        records
    }

    #[test]
    fn a_record_may_have_line_breaks_in_quotes() {
        for text in [
            "a,b\n\"1\n2\",3\n4,5",
            "a,b\r\n\"say \"\"1\r\n2\"\"\",3\r\n4,5",
            "a;b\r\"1\r2\" ;3\r4;5",
            "\"a\",b\n1,\"\n\"\n,",
            "\u{feff}\"a\nb\",c\n1,2\n3,4\n",
            "\n\na\tb\n\r\n\t\t\t\n\n",
        ] {
            assert_eq!(records(text).len(), 3, "{text:?}: {:?}", records(text));
        }
    }

    #[test]
    fn a_stray_quote_swallows_no_record() {
        for (text, number) in [
            ("a,b\n\"1,2\n3,4\n5,6", 4),
            ("a,b\n\"1\" x,2\n3,\"4\n5,\"6\"", 4),
            ("a,b\n5\" pipe,2\n3\",4", 3),
            ("a,b\n1,\"2\n3,\"4\" x\n5,6\n", 4),
            ("\"", 1),
            ("\"\n\"\"\n\"\"\"x\n", 3),
        ] {
            assert_eq!(records(text).len(), number, "{text:?}: {:?}", records(text));
        }
    }

    #[test]
    fn the_delimiter_is_found_in_the_first_record() {
        for (text, delimiter) in [
            ("a,b;c\n1;2;3;4", b','),
            ("Name;\"Street, city, land\";Age\n", b';'),
            ("a\tb\n", b'\t'),
            ("\n\r\na|b|c,d", b'|'),
            ("word", b','),
            ("", b','),
        ] {
            assert_eq!(
                Syntax::of(text, Interrupt::NEVER).delimiter,
                delimiter,
                "{text:?}"
            );
        }
    }

    #[test]
    fn the_header_is_the_first_record() {
        let header = |text: &str, place| {
            let header = Records::of(text, 1, Interrupt::NEVER).header_at(place);
            header.map(|header| text[header].to_string())
        };
        assert_eq!(
            header("\u{feff}\na,\"b\nc\"\r\n1,2\n", 13).as_deref(),
            Some("a,\"b\nc\"")
        );
        assert_eq!(header("\u{feff}\na,\"b\nc\"\r\n1,2\n", 12), None);
    }

    /// Each search for the end of quotes asks whether to stop.
    #[test]
    fn stray_quotes_are_read_in_linear_time() {
        for shred in [
            "\"",
            ",\"",
            "\"\"",
            ",\"\"x",
            "\"\"\"\n",
            ",\"\"\"b\n",
            "a,\"\"b\n",
            "\"a\n",
            "\" ,\"x",
        ] {
            for prefix in ["", "\"", "x,\"", "\"\"\""] {
                let work = |times| {
                    let text = prefix.to_string() + &shred.repeat(times);
                    interrupts(|interrupt| {
                        let mut records = Records::of(&text, 4, interrupt);
                        while records.read(&mut Vec::new()).is_some() {}
                    })
                };
                let (one, two) = (work(2000), work(4000));
                assert!(two <= one * 22 / 10 + 100, "{prefix:?} {shred:?}: {one}, {two}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        /// Records follow each other without a gap, and so do the fields of each that is not whole.
        #[test]
        fn boundaries_are_nested_and_cover_the_text(
            text in "([a-c\"é\n\r,;\t| ]|\"\"|,\"|\",|\n\"){0,60}", whole in 0usize..20,
        ) {
            let mut records = Records::of(&text, whole, Interrupt::NEVER);
            let mut boundaries = Vec::new();
            while records.read(&mut boundaries).is_some() {}
            let (mut record, mut field) = (0..0, 0..0);
            for (level, start, end) in boundaries.iter().map(Boundary::place) {
                if level == Level::of(RECORD) {
                    prop_assert_eq!((start, field.end), (record.end, record.end));
                    record = start..end;
                    field = if end - start <= whole { start..end } else { start..start };
                } else if level == Level::of(FIELD) {
                    prop_assert_eq!(start, field.end);
                    field = start..end;
                    prop_assert!(end <= record.end);
                } else {
                    prop_assert!(field.start <= start && end <= field.end);
                }
                prop_assert!(text.is_char_boundary(start) && text.is_char_boundary(end));
            }
            prop_assert!(text.is_empty() || record.end == text.len());
        }

        /// What a writer of CSV writes is read as the records that it wrote.
        #[test]
        fn written_records_are_read(
            rows in prop::collection::vec(prop::collection::vec("[a-b,;\"\n\r é]{0,6}", 2..5), 1..9),
            delimiter in prop::sample::select(&DELIMITERS[..]),
            line_end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        ) {
            let written: Vec<String> = rows
                .iter()
                .map(|row| {
                    let fields = row.iter().map(|field| format!("\"{}\"", field.replace('"', "\"\"")));
                    fields.collect::<Vec<_>>().join(&char::from(delimiter).to_string()) + line_end
                })
                .collect();
            let text = written.concat();
            prop_assert_eq!(delimiter_of(&text, Interrupt::NEVER), delimiter);
            prop_assert_eq!(records_of(&Syntax::of(&text, Interrupt::NEVER)), written);
        }
    }
}
