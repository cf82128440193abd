//! The tags and comments of an HTML text, as the tokenizer of html5gum finds them, which is that of the WHATWG.

use crate::Interrupt;
use html5gum::{Emitter, Error, Readable, Reader, State, StringReader, Tokenizer};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::ops::Range;

/// What an element is, as far as it matters where a text is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Heading(u8),
    Section,
    Block,
    /// A block whose line breaks count.
    Lines,
    List,
    Quote,
    Item,
    Table,
    /// A group of rows, or a caption.
    Rows,
    Row,
    HeaderCell,
    Cell,
    Break,
    /// What is shown without a text of its own.
    Shown,
    /// What is no text to read.
    Code,
    Title,
    Inline,
}

impl Kind {
    #[rustfmt::skip]
    fn of(name: &[u8]) -> Self {
        match name {
            [b'h', digit @ b'1'..=b'6'] => Kind::Heading(digit - b'0'),
            b"section" | b"article" | b"main" | b"aside" | b"nav" | b"header" | b"footer" => Kind::Section,
            b"p" | b"div" | b"html" | b"head" | b"body" | b"address" | b"figure" | b"figcaption" | b"form"
            | b"fieldset" | b"legend" | b"details" | b"summary" | b"hgroup" | b"center" | b"dialog" | b"search"
            | b"template" | b"noscript" | b"hr" | b"select" | b"svg" | b"math" => Kind::Block,
            b"pre" | b"textarea" | b"listing" | b"xmp" => Kind::Lines,
            b"ul" | b"ol" | b"dl" | b"menu" | b"dir" => Kind::List,
            b"blockquote" => Kind::Quote,
            b"li" | b"dt" | b"dd" | b"option" | b"optgroup" => Kind::Item,
            b"table" => Kind::Table,
            b"thead" | b"tbody" | b"tfoot" | b"caption" | b"colgroup" => Kind::Rows,
            b"tr" => Kind::Row,
            b"th" => Kind::HeaderCell,
            b"td" => Kind::Cell,
            b"br" => Kind::Break,
            b"img" | b"picture" | b"video" | b"audio" | b"iframe" | b"object" | b"embed" | b"canvas" | b"input" => Kind::Shown,
            b"script" | b"style" => Kind::Code,
            b"title" => Kind::Title,
            _ => Kind::Inline,
        }
    }
}

/// A tag, a comment or a declaration. The last has the place of the text's end.
#[derive(Debug)]
pub(super) struct Tag {
    /// Bytes of the text.
    pub(super) range: Range<usize>,
    pub(super) kind: Kind,
    pub(super) is_start: bool,
    /// The text of the heading that was open before this tag, if this tag or its place ends the heading.
    pub(super) heading: Option<String>,
}

/// Reads the tags of a text one after the other.
pub(super) struct Tags<'a>(Tokenizer<Input<'a>, TagEmitter>);

impl<'a> Tags<'a> {
    pub(super) fn of(text: &'a str, interrupt: Interrupt) -> Self {
        let input = Input {
            reader: text.to_reader(),
            interrupt,
        };
        Tags(Tokenizer::new_with_emitter(input, TagEmitter::default()))
    }
}

impl Iterator for Tags<'_> {
    type Item = Tag;

    fn next(&mut self) -> Option<Tag> {
        let Ok(tag) = self.0.next()?;
        Some(tag)
    }
}

struct Input<'a> {
    reader: StringReader<'a>,
    interrupt: Interrupt,
}

impl Reader for Input<'_> {
    type Error = Infallible;

    fn read_byte(&mut self) -> Result<Option<u8>, Infallible> {
        self.interrupt.check();
        self.reader.read_byte()
    }

    fn try_read_string(&mut self, string: &[u8], case_sensitive: bool) -> Result<bool, Infallible> {
        self.reader.try_read_string(string, case_sensitive)
    }

    fn read_until<'b>(
        &'b mut self,
        needle: &[u8],
        buffer: &'b mut [u8; 4],
    ) -> Result<Option<&'b [u8]>, Infallible> {
        self.interrupt.check();
        self.reader.read_until(needle, buffer)
    }
}

/// The text of a heading is read up to this many bytes: it is truncated to fewer.
const MAX_HEADING_BYTES: usize = 1024;

/// Keeps of a text what [`Tag`] has.
#[derive(Default)]
struct TagEmitter {
    /// How many bytes are read.
    position: usize,
    /// Where the current tag begins.
    start: usize,
    is_start: bool,
    is_self_closing: bool,
    name: Name,
    last_start: Name,
    /// How many svg and math elements are open, in which tags are those of XML.
    foreign: usize,
    /// The text of the open heading.
    heading: Option<String>,
    is_code: bool,
    /// Not yet returned.
    found: VecDeque<Tag>,
}

/// The name of an element, which is cut off if it is longer than any that matters.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
struct Name {
    bytes: [u8; 12],
    length: usize,
}

impl Name {
    fn push(&mut self, more: &[u8]) {
        for &byte in more {
            if let Some(place) = self.bytes.get_mut(self.length) {
                *place = byte;
            }
            self.length = self.length.saturating_add(1);
        }
    }

    fn get(&self) -> &[u8] {
        // No element that matters has so long a name.
        self.bytes.get(..self.length).unwrap_or(b"")
    }
}

impl TagEmitter {
    fn find(&mut self, kind: Kind) {
        let is_heading = matches!(kind, Kind::Heading(_));
        let is_long = |heading: &mut String| heading.len() > MAX_HEADING_BYTES;
        let heading = self.heading.take_if(|heading| is_heading || is_long(heading));
        if is_heading && self.is_start {
            self.heading = Some(String::new());
        }
        if !matches!(kind, Kind::Inline) {
            self.add(" ");
        }
        self.found.push_back(Tag {
            range: self.start..self.position,
            kind,
            is_start: self.is_start,
            heading,
        });
    }

    fn add(&mut self, more: &str) {
        if let Some(heading) = self
            .heading
            .as_mut()
            .filter(|text| text.len() <= MAX_HEADING_BYTES)
        {
            heading.push_str(more);
        }
    }

    /// In which state the tokenizer reads what a tag opens.
    fn state(&mut self) -> Option<State> {
        let name = self.name;
        if matches!(name.get(), b"svg" | b"math") {
            self.foreign = match self.is_start {
                true if self.is_self_closing => self.foreign,
                true => self.foreign.saturating_add(1),
                false => self.foreign.saturating_sub(1),
            };
        }
        if !self.is_start || self.foreign > 0 {
            return None;
        }
        match name.get() {
            b"title" | b"textarea" => Some(State::RcData),
            b"script" => Some(State::ScriptData),
            b"style" | b"xmp" | b"iframe" | b"noembed" | b"noframes" => Some(State::RawText),
            b"plaintext" => Some(State::PlainText),
            _ => None,
        }
    }
}

impl Emitter for TagEmitter {
    type Token = Tag;

    fn move_position(&mut self, offset: isize) {
        self.position = self.position.saturating_add_signed(offset);
    }

    fn pop_token(&mut self) -> Option<Tag> {
        self.found.pop_front()
    }

    fn emit_eof(&mut self) {
        let heading = self.heading.take();
        self.found.push_back(Tag {
            range: self.position..self.position,
            kind: Kind::Inline,
            is_start: false,
            heading,
        });
    }

    fn emit_string(&mut self, text: &[u8]) {
        if self.heading.is_some() && !self.is_code {
            let near = &text[..text.len().min(MAX_HEADING_BYTES + 4)];
            // Where it is cut off within a character, nothing is left to show.
            self.add(&String::from_utf8_lossy(near));
        }
    }

    fn start_open_tag(&mut self) {
        self.start = self.position.saturating_sub(1);
    }

    fn init_start_tag(&mut self) {
        (self.is_start, self.is_self_closing, self.name) = (true, false, Name::default());
    }

    fn init_end_tag(&mut self) {
        (self.is_start, self.is_self_closing, self.name) = (false, false, Name::default());
    }

    fn push_tag_name(&mut self, more: &[u8]) {
        self.name.push(more);
    }

    fn set_self_closing(&mut self) {
        self.is_self_closing = true;
    }

    fn emit_current_tag(&mut self) -> Option<State> {
        self.last_start = match self.is_start {
            true => self.name,
            false => Name::default(),
        };
        self.find(Kind::of(self.name.get()));
        let state = self.state();
        self.is_code = matches!(state, Some(State::ScriptData | State::RawText));
        state
    }

    fn current_is_appropriate_end_tag_token(&mut self) -> bool {
        !self.is_start && self.name.length > 0 && self.name == self.last_start
    }

    fn emit_current_comment(&mut self) {
        self.find(Kind::Inline);
    }

    fn emit_current_doctype(&mut self) {
        self.find(Kind::Inline);
    }

    fn should_emit_errors(&mut self) -> bool {
        false
    }

    fn set_last_start_tag(&mut self, _name: Option<&[u8]>) {}
    fn emit_error(&mut self, _error: Error) {}
    fn init_comment(&mut self) {}
    fn set_force_quirks(&mut self) {}
    fn push_comment(&mut self, _more: &[u8]) {}
    fn push_doctype_name(&mut self, _more: &[u8]) {}
    fn init_doctype(&mut self) {}
    fn init_attribute(&mut self) {}
    fn push_attribute_name(&mut self, _more: &[u8]) {}
    fn push_attribute_value(&mut self, _more: &[u8]) {}
    fn set_doctype_public_identifier(&mut self, _value: &[u8]) {}
    fn set_doctype_system_identifier(&mut self, _value: &[u8]) {}
    fn push_doctype_public_identifier(&mut self, _more: &[u8]) {}
    fn push_doctype_system_identifier(&mut self, _more: &[u8]) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tags(text: &str) -> Vec<&str> {
        let tags = Tags::of(text, Interrupt::NEVER);
        tags.map(|tag| &text[tag.range]).collect()
    }

    #[test]
    fn tags_stand_where_they_are() {
        let text = "<!DOCTYPE html>\r\n<p a='>' b=\">\" c=>x</p\r\n>&lt;i>\r<!-- <b> --\r\n><BR/>< no <é>\n</>\r\n<?x?>é<i>";
        let expected = [
            "<!DOCTYPE html>",
            "<p a='>' b=\">\" c=>",
            "</p\r\n>",
            "<!-- <b> --\r\n><BR/>< no <é>\n</>\r\n<?x?>é<i>",
            "",
        ];
        assert_eq!(tags(text), expected);
        let text = "<br\r\n/>\r\n< no <é>\r\n</></?x>\r\n<?x?>é<i><![CDATA[ <u> ]]>";
        assert_eq!(
            tags(text),
            ["<br\r\n/>", "</?x>", "<?x?>", "<i>", "<![CDATA[ <u>", ""]
        );
    }

    #[test]
    fn what_is_no_html_has_no_tags() {
        for (text, expected) in [
            (
                "<script>if (a <b) '</i>'; <!-- <p> --></script><b>",
                &["<script>", "</script>", "<b>", ""][..],
            ),
            ("<title>a <b></title>", &["<title>", "</title>", ""]),
            ("<style><p></STYLE >", &["<style>", "</STYLE >", ""]),
            (
                "<textarea><p></textareas></textarea>",
                &["<textarea>", "</textarea>", ""],
            ),
            (
                "<svg><title><style><p></svg><title><i>",
                &["<svg>", "<title>", "<style>", "<p>", "</svg>", "<title>", ""],
            ),
            ("<div class=\"", &[""]),
            ("<!-- <p>", &["<!-- <p>", ""]),
        ] {
            assert_eq!(tags(text), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        /// Whatever the text, each stands between its angle brackets, behind the one before.
        #[test]
        fn tags_stand_between_brackets(
            text in "(<[a-z/!]{0,3}|<script|</script>|<!--|-->|&[a-z#x0-9]{1,6};?|[a-z é日\"'=<>/!\r\n?-]|<h[1-3]>|]]>|<!\\[CDATA\\[){0,40}",
        ) {
            let (mut reached, mut last) = (0, None);
            for tag in Tags::of(&text, Interrupt::NEVER) {
                prop_assert!(reached <= tag.range.start && tag.range.end <= text.len(), "{:?}", tag.range);
                if let Some(last) = last.replace(tag.range.clone()) {
                    let last: &str = text.get::<Range<usize>>(last).unwrap();
                    let is_unclosed = reached == text.len();
                    prop_assert!(last.starts_with('<') && (last.ends_with('>') || is_unclosed), "{}", last);
                }
                reached = tag.range.end;
            }
            prop_assert_eq!(last, Some(text.len()..text.len()));
        }
    }
}
