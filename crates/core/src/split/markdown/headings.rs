//! The headings above each part of a text.

use memchr::memchr2_iter;
use pulldown_cmark::{Event, HeadingLevel, Options, Tag, TagEnd};
use std::collections::VecDeque;
use std::iter;

/// Longer headings are truncated to this many bytes, because every chunk below a heading repeats it.
const MAX_HEADING_BYTES: usize = 256;

/// A heading of a markdown text.
struct Heading {
    /// Byte offset of its first character.
    start: usize,
    level: HeadingLevel,
    text: String,
}

/// The headings of a markdown text. The text is read a part at a time, and paths are looked up in between. Headings in
/// quotes and lists belong to what is quoted or listed, and are left out.
#[derive(Default)]
pub(in crate::split) struct Headings {
    /// The headings above the last offset looked up, outermost first.
    path: Vec<Heading>,
    /// The headings after it, as far as the text is read.
    ahead: VecDeque<Heading>,
    /// How many elements the next event is in.
    depth: usize,
    /// Whether the text of the last heading goes on.
    open: bool,
}

impl Headings {
    /// The syntax that GitHub reads, so that headings are what their authors see there. Without more of it prices are not
    /// read as formulas, names in brackets not as links, quotes are not curled, and neither a colon nor a rule begins
    /// something that could hide a heading.
    pub(super) fn options() -> Options {
        Options::ENABLE_TABLES
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS
            | Options::ENABLE_GFM
    }

    /// Whether a text that begins with a line may hold headings. This is far cheaper than to parse it.
    pub(super) fn may_be_in(text: &str) -> bool {
        let lines = memchr2_iter(b'\n', b'\r', text.as_bytes()).map(|end| end + 1);
        iter::once(0).chain(lines).any(|start| {
            let indented = &text.as_bytes()[start..];
            let indent = indented.iter().take(3).take_while(|&&byte| byte == b' ').count();
            let line = &indented[indent..];
            match line.first() {
                Some(b'#') => true,
                // What underlines a heading.
                Some(&mark @ (b'=' | b'-')) => {
                    let mut behind = line.iter().skip_while(|&&byte| byte == mark);
                    let end = behind.find(|byte| !matches!(byte, b' ' | b'\t'));
                    end.is_none_or(|byte| matches!(byte, b'\n' | b'\r'))
                }
                _ => false,
            }
        })
    }

    /// Reads an event of the text, which begins at byte `start`.
    pub(super) fn read(&mut self, event: &Event<'_>, start: usize) {
        match event {
            Event::Start(Tag::Heading { level, .. }) if self.depth == 0 => self.open(start, *level),
            Event::End(TagEnd::Heading(_)) => self.close(),
            Event::Text(text) | Event::Code(text) => self.append(text),
            Event::SoftBreak | Event::HardBreak => self.append(" "),
            _ => {}
        }
        match event {
            Event::Start(_) => self.depth += 1,
            Event::End(_) => self.depth -= 1,
            _ => {}
        }
    }

    /// A heading begins at byte `start`.
    pub(in crate::split) fn open(&mut self, start: usize, level: HeadingLevel) {
        self.open = true;
        self.ahead.push_back(Heading {
            start,
            level,
            text: String::new(),
        });
    }

    /// The last heading ends.
    pub(in crate::split) fn close(&mut self) {
        self.open = false;
    }

    /// Adds to the text of the last heading.
    pub(in crate::split) fn append(&mut self, more: &str) {
        let Some(heading) = self.ahead.back_mut().filter(|_| self.open) else {
            return;
        };
        let room = MAX_HEADING_BYTES - heading.text.len();
        heading.text.push_str(&more[..more.floor_char_boundary(room)]);
        if more.len() > room {
            heading.text.push('…');
            self.open = false;
        }
    }

    /// Levels and texts of the headings that are not looked up yet.
    #[cfg(test)]
    pub(super) fn ahead(&self) -> Vec<(u8, String)> {
        let headings = self.ahead.iter();
        headings
            .map(|heading| (heading.level as u8, heading.text.trim().to_string()))
            .collect()
    }

    /// The headings above the text at byte `offset`, outermost first. A heading is above itself. Offsets must not descend
    /// from call to call.
    pub(in crate::split) fn path_at(&mut self, offset: usize) -> Vec<String> {
        while let Some(heading) = self.ahead.pop_front_if(|heading| heading.start <= offset) {
            self.path.retain(|above| above.level < heading.level);
            self.path.push(heading);
        }
        let texts = self.path.iter().map(|heading| heading.text.trim());
        texts.filter(|text| !text.is_empty()).map(String::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulldown_cmark::Parser;

    fn headings_of(text: &str) -> Headings {
        let mut headings = Headings::default();
        for (event, range) in Parser::new_ext(text, Headings::options()).into_offset_iter() {
            headings.read(&event, range.start);
        }
        headings
    }

    #[test]
    fn path_follows_levels() {
        let text = "intro\n\n# Guide\n\na\n\n## Install `it`\n\nb\n\n### Linux\n\nc\n\n## Use\n\nd\n";
        let mut headings = headings_of(text);
        let mut at = |needle: &str| headings.path_at(text.find(needle).unwrap());
        assert_eq!(at("intro"), Vec::<String>::new());
        assert_eq!(at("# Guide"), ["Guide"]);
        assert_eq!(at("\nb\n"), ["Guide", "Install it"]);
        assert_eq!(at("\nc\n"), ["Guide", "Install it", "Linux"]);
        assert_eq!(at("\nd\n"), ["Guide", "Use"]);
    }

    #[test]
    fn headings_are_as_written() {
        for heading in [
            "GET /users/{id}",
            "Use {name}",
            "Set $HOME/$USER",
            "US$100-US$200 plans",
            "--experimental-vm-modules",
            "'Iron' ...",
        ] {
            let text = format!("# {heading}\n\ntext\n");
            assert_eq!(headings_of(&text).path_at(text.len()), [heading]);
        }
        assert!(headings_of("#\n\ntext\n").path_at(3).is_empty());
    }

    #[test]
    fn a_rule_above_a_heading_is_no_metadata() {
        let text = "# Doc\n\n---\n## One\n\nbody\n\n---\n## Two\n\nbody\n";
        let mut headings = headings_of(text);
        assert_eq!(headings.path_at(text.find("body").unwrap()), ["Doc", "One"]);
        assert_eq!(headings.path_at(text.rfind("body").unwrap()), ["Doc", "Two"]);
    }

    #[test]
    fn what_is_quoted_or_listed_is_no_heading_of_the_text() {
        let text = "# Guide\n\n- # Step\n\n  do it\n\n> # Note\n\n## Install\n\nrun it\n";
        let mut headings = headings_of(text);
        assert_eq!(headings.path_at(text.find("do it").unwrap()), ["Guide"]);
        assert_eq!(
            headings.path_at(text.find("run it").unwrap()),
            ["Guide", "Install"]
        );
    }

    #[test]
    fn long_headings_are_cut() {
        let text = format!("# {}\n\ntext\n", "légende ".repeat(100));
        let path = headings_of(&text).path_at(text.len());
        assert!(
            path[0].len() <= MAX_HEADING_BYTES + '…'.len_utf8() && path[0].starts_with("légende légende"),
            "{path:?}"
        );
        let text = "words\n".repeat(100) + "===\n";
        let path = headings_of(&text).path_at(0);
        assert!(
            path[0].len() <= MAX_HEADING_BYTES + '…'.len_utf8() && path[0].starts_with("words words"),
            "{path:?}"
        );
    }

    #[test]
    fn a_hash_in_a_code_fence_is_no_heading() {
        let text = "# Real\n\n```sh\n# comment\n```\n\nafter\n";
        assert_eq!(headings_of(text).path_at(text.len() - 2), ["Real"]);
    }
}
