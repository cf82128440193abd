//! Where a piece of a markdown text stands: the headings above it.

use pulldown_cmark::{Event, HeadingLevel, Tag, TagEnd};

/// A heading of a markdown text.
struct Heading {
    /// Byte offset of its first character.
    start: usize,
    level: HeadingLevel,
    text: String,
}

/// All headings of a markdown text, in order.
#[derive(Default)]
pub(super) struct Headings {
    all: Vec<Heading>,
    /// Whether the last one is not read to its end.
    open: bool,
}

impl Headings {
    /// Takes note of an event of the text, which begins at byte `start`.
    pub(super) fn read(&mut self, event: &Event<'_>, start: usize) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                self.open = true;
                self.all.push(Heading {
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

    fn append(&mut self, text: &str) {
        if let Some(heading) = self.all.last_mut().filter(|_| self.open) {
            heading.text.push_str(text);
        }
    }

    /// A cursor that answers for ascending offsets in one pass over the headings.
    pub(super) fn cursor(&self) -> Cursor<'_> {
        Cursor {
            rest: &self.all,
            path: Vec::new(),
        }
    }
}

pub(super) struct Cursor<'a> {
    rest: &'a [Heading],
    path: Vec<&'a Heading>,
}

impl Cursor<'_> {
    /// The path of headings, outermost first, that the text at byte `offset` stands under. A heading stands
    /// under itself. Offsets must not descend from call to call.
    pub(super) fn path_at(&mut self, offset: usize) -> Vec<String> {
        while let Some((heading, rest)) = self.rest.split_first() {
            if heading.start > offset {
                break;
            }
            self.path.retain(|above| above.level < heading.level);
            self.path.push(heading);
            self.rest = rest;
        }
        self.path.iter().map(|heading| heading.text.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{NEVER, split::markdown};

    fn headings_of(text: &str) -> Headings {
        markdown::parse(text, NEVER).1
    }

    #[test]
    fn path_follows_levels() {
        let text = "intro\n\n# Guide\n\na\n\n## Install `it`\n\nb\n\n### Linux\n\nc\n\n## Use\n\nd\n";
        let headings = headings_of(text);
        let mut cursor = headings.cursor();
        let mut at = |needle: &str| cursor.path_at(text.find(needle).unwrap());
        assert_eq!(at("intro"), Vec::<String>::new());
        assert_eq!(at("# Guide"), ["Guide"]);
        assert_eq!(at("\nb\n"), ["Guide", "Install it"]);
        assert_eq!(at("\nc\n"), ["Guide", "Install it", "Linux"]);
        assert_eq!(at("\nd\n"), ["Guide", "Use"]);
    }

    #[test]
    fn a_hash_in_a_code_fence_is_no_heading() {
        let text = "# Real\n\n```sh\n# comment\n```\n\nafter\n";
        let headings = headings_of(text);
        assert_eq!(headings.cursor().path_at(text.len() - 2), ["Real"]);
    }
}
