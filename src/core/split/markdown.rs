//! Markdown is cut by its headings, blocks and inline elements.

use super::marks::{Edge, Level, Mark, Marks};
use crate::core::Interrupt;
use crate::core::headings::Headings;
use memchr::{memchr, memmem, memrchr2};
use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use std::ops::Range;

const SOFT_BREAK: usize = 0;
const INLINE: usize = 1;
const BLOCK: usize = 2;
const RULE: usize = 3;

/// How much is parsed at once, in bytes, where that will do: the parser's tree is up to sixty times as large as the
/// text …
const PIECE: usize = 1 << 15;

/// … and at most: so much of a text whose blocks depend on each other, or of one block.
pub(super) const LARGEST: usize = 1 << 20;

pub(in crate::core) fn parse(text: &str, interrupt: Interrupt) -> (Marks, Headings) {
    let (marks, headings) = read(text, PIECE, LARGEST, interrupt);
    (Marks::new(marks, edge, interrupt), headings)
}

/// Reads a text piece by piece. Of a piece the last block is left to the next one: what follows may belong to it. If a
/// piece is one block, it has to be larger; a block that is larger than the largest piece is read as several.
fn read(text: &str, piece: usize, largest: usize, interrupt: Interrupt) -> (Vec<Mark>, Headings) {
    let (mut marks, mut headings) = (Vec::new(), Headings::default());
    let smallest = if is_sequential(text) { piece } else { largest };
    let (mut start, mut length) = (0, smallest);
    while start < text.len() {
        let most = text.floor_char_boundary(start.saturating_add(largest));
        let end = line_end(text, start.saturating_add(length)).min(most);
        let last = read_piece(&mut marks, &mut headings, text, start..end, interrupt);
        if end == text.len() {
            break;
        }
        if last.start > start {
            marks.truncate(last.marks);
            headings.truncate(last.headings);
            (start, length) = (last.start, smallest);
        } else if end == most {
            (start, length) = (end, smallest);
        } else {
            marks.truncate(last.marks);
            headings.truncate(last.headings);
            length = length.saturating_mul(4);
        }
    }
    (marks, headings)
}

/// Whether what a block is does not depend on blocks that are not beside it: the text defines no references and
/// footnotes, and nothing in it may be the fence of a metadata block.
fn is_sequential(text: &str) -> bool {
    let fences =
        |fence: &'static str| memmem::find_iter(text.as_bytes(), fence).map(|at| &text[at + fence.len()..]);
    let ends_line = |rest: &str| {
        let line = rest.bytes().take_while(|byte| !matches!(byte, b'\n' | b'\r'));
        line.into_iter().all(|byte| byte.is_ascii_whitespace())
    };
    memmem::find(text.as_bytes(), b"]:").is_none() && !fences("---").chain(fences("+++")).any(ends_line)
}

fn line_end(text: &str, at: usize) -> usize {
    let line = text.as_bytes().get(at..).and_then(|rest| memchr(b'\n', rest));
    line.map_or(text.len(), |length| at + length + 1)
}

/// What there was before the last block of a piece, and where the line begins that it begins in.
struct Last {
    marks: usize,
    headings: usize,
    start: usize,
}

fn read_piece(
    marks: &mut Vec<Mark>,
    headings: &mut Headings,
    text: &str,
    piece: Range<usize>,
    interrupt: Interrupt,
) -> Last {
    let mut last = Last {
        marks: marks.len(),
        headings: headings.len(),
        start: piece.start,
    };
    let mut depth = 0usize;
    // What follows definitions may be another term, which is read in another way than a paragraph.
    let mut defined = false;
    for (event, range) in Parser::new_ext(&text[piece.clone()], Options::all()).into_offset_iter() {
        interrupt.check();
        let range = piece.start + range.start..piece.start + range.end;
        if depth == 0 && !defined {
            let line = memrchr2(b'\n', b'\r', &text.as_bytes()[piece.start..range.start]);
            last = Last {
                marks: marks.len(),
                headings: headings.len(),
                start: line.map_or(piece.start, |before| piece.start + before + 1),
            };
        }
        match event {
            Event::Start(_) => depth += 1,
            Event::End(_) => depth = depth.saturating_sub(1),
            _ => {}
        }
        defined = matches!(event, Event::End(TagEnd::DefinitionList));
        headings.read(&event, range.start);
        if let Some(level) = level(&event) {
            marks.push(Mark::new(Level::of(level), range.start, range.end));
        }
    }
    last
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::NEVER;
    use crate::core::split::tests::markdown_text;
    use proptest::prelude::*;

    type Place = (Level, usize, usize);
    type Path = Vec<String>;

    fn all_of(text: &str, piece: usize) -> (Vec<Place>, Vec<Path>) {
        let (marks, headings) = read(text, piece, text.len().max(4), NEVER);
        let marks = marks.iter().map(Mark::place).collect();
        let mut cursor = headings.cursor();
        (marks, (0..text.len()).map(|at| cursor.path_at(at)).collect())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn in_pieces_it_is_as_at_once(
            text in prop_oneof![markdown_text(), r"[-+#>*_`~|:=<!?/\[\](){}^$&;ax1.\\ \t\r\n]{0,120}"],
            piece in 1usize..100,
        ) {
            prop_assert_eq!(all_of(&text, piece), all_of(&text, text.len()));
        }

        /// Wherever the largest piece ends, what is left is read, and its marks stand where they should.
        #[test]
        fn a_large_block_is_read_in_several_pieces(
            text in prop_oneof![markdown_text(), "(- [a日*`]{1,9}\n| [a日*]{0,9}\n){0,20}"],
            piece in 1usize..50,
            largest in 4usize..100,
        ) {
            let (marks, headings) = read(&text, piece, largest, NEVER);
            for (level, start, end) in marks.iter().map(Mark::place) {
                prop_assert!(text.get(start..end).is_some(), "{:?} {} {}", level, start, end);
            }
            let last_word = text.trim_end().len();
            let read_to = marks.iter().map(Mark::place).map(|(_, _, end)| end).max();
            let known = all_of(&text, text.len()).0.into_iter().map(|(_, _, end)| end).max();
            prop_assert_eq!(read_to.min(Some(last_word)), known.min(Some(last_word)));
            headings.cursor().path_at(text.len());
        }
    }
}
