//! Where a piece of a markdown text stands: the headings above it.

use pulldown_cmark::{Event, HeadingLevel, Tag, TagEnd};
use std::collections::VecDeque;

/// How much of a heading's text is kept, in bytes. Every chunk below it repeats that.
const LONGEST: usize = 256;

/// A heading of a markdown text.
struct Heading {
    /// Byte offset of its first character.
    start: usize,
    level: HeadingLevel,
    text: String,
}

/// The headings of a markdown text, which is read a part at a time and asked about in between.
#[derive(Default)]
pub(super) struct Headings {
    /// Those above the last place asked about, outermost first.
    path: Vec<Heading>,
    /// Those behind it, as far as the text is read.
    ahead: VecDeque<Heading>,
    /// Whether the text of the last one goes on.
    open: bool,
}

impl Headings {
    /// Takes note of an event of the text, which begins at byte `start`.
    pub(super) fn read(&mut self, event: &Event<'_>, start: usize) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                self.open = true;
                self.ahead.push_back(Heading {
                    start,
                    level: *level,
                    text: String::new(),
                });
            }
            Event::End(TagEnd::Heading(_)) => self.open = false,
            Event::Text(text) | Event::Code(text) => self.append(text),
            Event::SoftBreak | Event::HardBreak => self.append(" "),
            _ => {}
        }
    }

    fn append(&mut self, more: &str) {
        let Some(heading) = self.ahead.back_mut().filter(|_| self.open) else {
            return;
        };
        let room = LONGEST - heading.text.len();
        heading.text.push_str(&more[..more.floor_char_boundary(room)]);
        if more.len() > room {
            heading.text.push('…');
            self.open = false;
        }
    }

    /// How many are read and not passed yet.
    pub(super) fn ahead(&self) -> usize {
        self.ahead.len()
    }

    /// Forgets those that are not passed yet, but for the first ones.
    pub(super) fn truncate(&mut self, ahead: usize) {
        self.ahead.truncate(ahead);
        self.open = false;
    }

    /// The path of headings, outermost first, that the text at byte `offset` stands under. A heading stands
    /// under itself. Offsets must not descend from call to call.
    pub(super) fn path_at(&mut self, offset: usize) -> Vec<String> {
        while let Some(heading) = self.ahead.pop_front_if(|heading| heading.start <= offset) {
            self.path.retain(|above| above.level < heading.level);
            self.path.push(heading);
        }
        self.path.iter().map(|heading| heading.text.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulldown_cmark::{Options, Parser};

    fn headings_of(text: &str) -> Headings {
        let mut headings = Headings::default();
        for (event, range) in Parser::new_ext(text, Options::all()).into_offset_iter() {
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
    fn long_headings_are_cut() {
        let text = format!("# {}\n\ntext\n", "légende ".repeat(100));
        let path = headings_of(&text).path_at(text.len());
        assert!(
            path[0].len() <= LONGEST + '…'.len_utf8() && path[0].starts_with("légende légende"),
            "{path:?}"
        );
        let text = "words\n".repeat(100) + "===\n";
        let path = headings_of(&text).path_at(0);
        assert!(
            path[0].len() <= LONGEST + '…'.len_utf8() && path[0].starts_with("words words"),
            "{path:?}"
        );
    }

    #[test]
    fn a_hash_in_a_code_fence_is_no_heading() {
        let text = "# Real\n\n```sh\n# comment\n```\n\nafter\n";
        assert_eq!(headings_of(text).path_at(text.len() - 2), ["Real"]);
    }
}
