//! Where a piece of a markdown text stands: the headings above it.

use pulldown_cmark::{Event, HeadingLevel, Tag, TagEnd};

/// A heading of a markdown text.
struct Heading {
    /// Byte offset of its first character.
    start: u32,
    /// Where its text ends, which begins where that of the one before ends.
    text_end: u32,
    level: HeadingLevel,
}

/// All headings of a markdown text, in order.
#[derive(Default)]
pub(super) struct Headings {
    all: Vec<Heading>,
    /// Their texts, one after the other.
    texts: String,
    /// Whether the last one is not read to its end.
    open: bool,
}

impl Headings {
    /// Takes note of an event of the text, which begins at byte `start`.
    pub(super) fn read(&mut self, event: &Event<'_>, start: usize) {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                self.open = true;
                // A text of Postgres is at most 1 GB.
                self.all.push(Heading {
                    start: start as u32,
                    text_end: self.texts.len() as u32,
                    level: *level,
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
            self.texts.push_str(text);
            heading.text_end = self.texts.len() as u32;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Forgets all headings but the first ones.
    pub(super) fn truncate(&mut self, len: usize) {
        self.all.truncate(len);
        self.texts.truncate(self.text_start(self.all.len()));
        self.open = false;
    }

    fn text_start(&self, number: usize) -> usize {
        let before = number.checked_sub(1).and_then(|before| self.all.get(before));
        before.map_or(0, |before| before.text_end as usize)
    }

    pub(super) fn cursor(self) -> Cursor {
        Cursor {
            headings: self,
            next: 0,
            path: Vec::new(),
        }
    }
}

/// Answers for ascending offsets in one pass over the headings.
pub(super) struct Cursor {
    headings: Headings,
    /// The number of the first heading that is not passed yet.
    next: usize,
    path: Vec<usize>,
}

impl Cursor {
    /// The path of headings, outermost first, that the text at byte `offset` stands under. A heading stands
    /// under itself. Offsets must not descend from call to call.
    pub(super) fn path_at(&mut self, offset: usize) -> Vec<String> {
        let all = &self.headings.all;
        while let Some(heading) = all.get(self.next)
            && heading.start as usize <= offset
        {
            self.path.retain(|&above| all[above].level < heading.level);
            self.path.push(self.next);
            self.next += 1;
        }
        let text = |&number: &usize| {
            let end = all[number].text_end as usize;
            self.headings.texts[self.headings.text_start(number)..end].to_string()
        };
        self.path.iter().map(text).collect()
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
        let mut cursor = headings_of(text).cursor();
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
        assert_eq!(headings_of(text).cursor().path_at(text.len() - 2), ["Real"]);
    }
}
