//! Markdown is cut by its headings, blocks and inline elements.

use super::marks::{Edge, Level, Mark, Marks};
use crate::core::Interrupt;
use crate::core::headings::Headings;
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag};

const SOFT_BREAK: usize = 0;
const INLINE: usize = 1;
const BLOCK: usize = 2;
const RULE: usize = 3;

pub(in crate::core) fn parse(text: &str, interrupt: Interrupt) -> (Marks, Headings) {
    let mut marks = Vec::new();
    let mut headings = Headings::default();
    for (event, range) in Parser::new_ext(text, Options::all()).into_offset_iter() {
        interrupt.check();
        headings.read(&event, range.start);
        if let Some(level) = level(&event) {
            marks.push(Mark::new(Level::of(level), range.start, range.end));
        }
    }
    (Marks::new(marks, edge, interrupt), headings)
}

fn edge(level: Level) -> Edge {
    if level > Level::of(RULE) {
        Edge::Before
    } else if level == Level::of(BLOCK) {
        Edge::AroundBlank
    } else {
        Edge::Around
    }
}

fn level(event: &Event<'_>) -> Option<usize> {
    Some(match event {
        Event::SoftBreak => SOFT_BREAK,
        Event::Text(_)
        | Event::HardBreak
        | Event::Code(_)
        | Event::InlineHtml(_)
        | Event::InlineMath(_)
        | Event::FootnoteReference(_)
        | Event::TaskListMarker(_) => INLINE,
        Event::Html(_) | Event::DisplayMath(_) => BLOCK,
        Event::Rule => RULE,
        Event::Start(tag) => level_of_tag(tag),
        // It has the range of its start.
        Event::End(_) => return None,
    })
}

fn level_of_tag(tag: &Tag<'_>) -> usize {
    match tag {
        Tag::Heading { level, .. } => match level {
            HeadingLevel::H6 => RULE + 1,
            HeadingLevel::H5 => RULE + 2,
            HeadingLevel::H4 => RULE + 3,
            HeadingLevel::H3 => RULE + 4,
            HeadingLevel::H2 => RULE + 5,
            HeadingLevel::H1 => RULE + 6,
        },
        Tag::Emphasis
        | Tag::Strong
        | Tag::Strikethrough
        | Tag::Link { .. }
        | Tag::Image { .. }
        | Tag::Subscript
        | Tag::Superscript
        | Tag::TableCell => INLINE,
        Tag::Paragraph
        | Tag::CodeBlock(_)
        | Tag::FootnoteDefinition(_)
        | Tag::MetadataBlock(_)
        | Tag::TableHead
        | Tag::BlockQuote(_)
        | Tag::TableRow
        | Tag::Item
        | Tag::HtmlBlock
        | Tag::List(_)
        | Tag::Table(_)
        | Tag::DefinitionList
        | Tag::DefinitionListTitle
        | Tag::DefinitionListDefinition => BLOCK,
    }
}
