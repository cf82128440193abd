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

/// The headings of a markdown text as far as it is read, in order. Asked for ascending places, it passes them once.
#[derive(Default)]
pub(super) struct Headings {
    all: Vec<Heading>,
    /// Their texts, one after the other.
    texts: String,
    /// Whether the last one is not read to its end.
    open: bool,
    /// The number of the first heading that is not passed yet.
    next: usize,
    /// The numbers of those above the last place, outermost first.
    path: Vec<usize>,
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

    /// Forgets all headings but the first ones, which are those passed and maybe more.
    pub(super) fn truncate(&mut self, len: usize) {
        self.all.truncate(len);
        self.texts.truncate(self.text_start(self.all.len()));
        self.open = false;
    }

    fn text_start(&self, number: usize) -> usize {
        let before = number.checked_sub(1).and_then(|before| self.all.get(before));
        before.map_or(0, |before| before.text_end as usize)
    }

    /// The path of headings, outermost first, that the text at byte `offset` stands under. A heading stands
    /// under itself. Offsets must not descend from call to call.
    pub(super) fn path_at(&mut self, offset: usize) -> Vec<String> {
        let all = &self.all;
        while let Some(heading) = all.get(self.next)
            && heading.start as usize <= offset
        {
            self.path.retain(|&above| all[above].level < heading.level);
            self.path.push(self.next);
            self.next += 1;
        }
        let text = |&number: &usize| {
            let end = all[number].text_end as usize;
            self.texts[self.text_start(number)..end].to_string()
        };
        self.path.iter().map(text).collect()
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
    fn a_hash_in_a_code_fence_is_no_heading() {
        let text = "# Real\n\n```sh\n# comment\n```\n\nafter\n";
        assert_eq!(headings_of(text).path_at(text.len() - 2), ["Real"]);
    }
}
