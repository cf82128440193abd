//! Markdown is cut by its headings, blocks and inline elements.

use super::marks::{Edge, Level, Mark, Marks, Reader};
use crate::core::Interrupt;
use crate::core::headings::Headings;
use memchr::{memchr, memmem, memrchr, memrchr2};
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use std::borrow::Cow;
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

pub(in crate::core) fn marks(text: &str, interrupt: Interrupt) -> Marks<'_> {
    marks_of_pieces(text, PIECE, interrupt)
}

pub(super) fn marks_of_pieces(text: &str, piece: usize, interrupt: Interrupt) -> Marks<'_> {
    Marks::new(Pieces::of(text, piece, LARGEST, interrupt), edge, interrupt)
}

/// Reads a text piece by piece. Of a piece the last block is left to the next one: what follows may belong to it. If a
/// piece is one block, it has to be larger; a block that is larger than the largest piece is read as several.
struct Pieces<'a> {
    text: &'a str,
    /// Bytes.
    smallest: usize,
    largest: usize,
    /// Where the next piece begins, and how long it is.
    start: usize,
    length: usize,
    /// The line that opens the code block which goes on at the start.
    fence: Range<usize>,
    /// Where the metadata end that the text begins with.
    front_matter: usize,
    headings: Headings,
    interrupt: Interrupt,
}

impl Reader for Pieces<'_> {
    fn read(&mut self, marks: &mut Vec<Mark>) -> Option<usize> {
        let (text, start) = (self.text, self.start);
        let most = end_of_largest(text, start, self.largest);
        let (read_to, fence) = loop {
            let end = line_end(text, start.saturating_add(self.length)).min(most);
            let last = self.read_piece(marks, start..end);
            if end == text.len() {
                break (end, 0..0);
            }
            if last.start == start && end == most {
                let fence = match last.is_fenced {
                    true => open_fence(text, self.fence.clone(), start..end),
                    false => 0..0,
                };
                break (end, fence);
            }
            marks.truncate(last.marks);
            if last.start > start {
                break (last.start, 0..0);
            }
            self.length = self.length.saturating_mul(4);
        };
        self.read_headings(start..read_to);
        (self.start, self.length, self.fence) = (read_to, self.smallest, fence);
        (read_to < text.len()).then_some(read_to)
    }

    fn headings_at(&mut self, place: usize) -> Option<Vec<String>> {
        Some(self.headings.path_at(place))
    }
}

impl<'a> Pieces<'a> {
    fn of(text: &'a str, piece: usize, largest: usize, interrupt: Interrupt) -> Self {
        let smallest = if is_sequential(text) { piece } else { largest };
        Pieces {
            text,
            smallest,
            largest,
            start: 0,
            length: smallest,
            fence: 0..0,
            front_matter: 0,
            headings: Headings::default(),
            interrupt,
        }
    }

    /// Adds the marks of a piece.
    fn read_piece(&mut self, marks: &mut Vec<Mark>, piece: Range<usize>) -> Last {
        let text = self.text;
        let mut last = Last {
            marks: marks.len(),
            start: piece.start,
            is_fenced: false,
        };
        let mut depth = 0usize;
        // What follows definitions may be another term, which is read in another way than a paragraph; and what follows a
        // rule may be metadata that end behind the piece.
        let (mut defined, mut in_metadata) = (false, false);
        let (source, before) = self.source(piece.clone());
        let place = |at: usize| piece.start + at.saturating_sub(before);
        for (event, range) in Parser::new_ext(&source, options(&source)).into_offset_iter() {
            self.interrupt.check();
            let range = place(range.start)..place(range.end);
            if range.start == 0 && matches!(event, Event::Start(Tag::MetadataBlock(_))) {
                self.front_matter = range.end;
            }
            if depth == 0 && !defined && !in_metadata {
                let line = memrchr2(b'\n', b'\r', &text.as_bytes()[piece.start..range.start]);
                last = Last {
                    marks: marks.len(),
                    start: line.map_or(piece.start, |before| piece.start + before + 1),
                    is_fenced: matches!(event, Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_)))),
                };
            }
            match event {
                Event::Start(_) => depth += 1,
                Event::End(_) => depth = depth.saturating_sub(1),
                _ => {}
            }
            defined = matches!(event, Event::End(TagEnd::DefinitionList));
            in_metadata |= matches!(event, Event::Rule) && may_open_metadata(&text[range.start..]);
            if let Some(level) = level(&event) {
                marks.push(Mark::new(Level::of(level), range.start, range.end));
            }
        }
        last
    }

    fn read_headings(&mut self, piece: Range<usize>) {
        let piece = piece.start.max(self.front_matter).min(piece.end)..piece.end;
        if !Headings::may_be_in(&self.text[piece.clone()]) {
            return;
        }
        let (source, before) = self.source(piece.clone());
        for (event, range) in Parser::new_ext(&source, Headings::options()).into_offset_iter() {
            self.interrupt.check();
            let start = piece.start + range.start.saturating_sub(before);
            self.headings.read(&event, start);
        }
    }

    /// A piece as if it began with the line of the fence, and how many bytes that are.
    fn source(&self, piece: Range<usize>) -> (Cow<'a, str>, usize) {
        match &self.text[self.fence.clone()] {
            "" => (Cow::Borrowed(&self.text[piece]), 0),
            line => (Cow::Owned([line, &self.text[piece]].concat()), line.len()),
        }
    }
}

/// The line that opened the code block which a piece is, if that goes on behind it.
fn open_fence(text: &str, fence: Range<usize>, piece: Range<usize>) -> Range<usize> {
    let line = match fence.is_empty() {
        true => piece.start..line_end(text, piece.start).min(piece.end),
        false => fence,
    };
    match is_closed(&text[line.clone()], &text[piece]) {
        true => 0..0,
        false => line,
    }
}

/// Whether a code block ends, which a line opened and a part of a text goes on with.
fn is_closed(fence: &str, text: &str) -> bool {
    let fence = fence.trim_start();
    let marks = fence.len() - fence.trim_start_matches(['`', '~']).len();
    // If an earlier line had closed it, this would not be a part of it.
    let last = text.trim_end().lines().next_back().unwrap_or("").trim_start();
    last.len() >= marks && last.starts_with(&fence[..marks]) && last.trim_start_matches(['`', '~']).is_empty()
}

/// Behind a line, else behind a word, else anywhere.
fn end_of_largest(text: &str, start: usize, largest: usize) -> usize {
    let end = text.floor_char_boundary(start.saturating_add(largest));
    if end == text.len() {
        return end;
    }
    let piece = &text.as_bytes()[start..end];
    let last = memrchr(b'\n', piece).or_else(|| memrchr(b' ', piece));
    last.map_or(end, |last| start + last + 1)
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

/// What there was before the last block of a piece, where the line begins that it begins in, and what it is.
struct Last {
    marks: usize,
    start: usize,
    is_fenced: bool,
}

fn may_open_metadata(text: &str) -> bool {
    let mut lines = text.lines();
    lines.next().is_some_and(|line| line.trim_end() == "---")
        && lines.next().is_some_and(|line| !line.trim_end().is_empty())
}

/// All there are, but for metadata where the parser would read the same lines too often to find their ends: it does so
/// again for each fence.
fn options(piece: &str) -> Options {
    let most = piece.len().saturating_mul(16);
    let mut options = Options::all();
    options.set(
        Options::ENABLE_YAML_STYLE_METADATA_BLOCKS,
        read_for_metadata(piece, "---") < most,
    );
    options.set(
        Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS,
        read_for_metadata(piece, "+++") < most,
    );
    options
}

/// How many bytes the parser reads, at most, to find the ends of what these fences may open.
fn read_for_metadata(piece: &str, fence: &str) -> usize {
    let (mut open, mut bytes, mut at) = (0, 0usize, 0);
    while let Some(found) = memmem::find(&piece.as_bytes()[at..], fence.as_bytes()) {
        let found = at + found;
        let start = memrchr(b'\n', &piece.as_bytes()[..found]).map_or(0, |before| before + 1);
        let end = line_end(piece, found);
        let line = &piece[start..end];
        bytes = bytes.saturating_add((end - at) * open);
        if line.trim_end_matches(['\n', '\r', ' ']) == fence {
            open = 0;
        }
        let before = line.trim_ascii_end().strip_suffix(fence);
        let opens = before.is_some_and(|before| begins_block(before.split_ascii_whitespace().next_back()));
        open += usize::from(opens);
        at = end;
    }
    bytes.saturating_add((piece.len() - at) * open)
}

/// Whether a line's last word does not keep a block from beginning behind it: in quotes, lists, notes and definitions.
fn begins_block(last_word: Option<&str>) -> bool {
    last_word.is_none_or(|word| {
        word == ":" || word.ends_with("]:") || word.ends_with(['>', '-', '+', '*', '.', ')'])
    })
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

    fn read(text: &str, piece: usize, largest: usize) -> (Vec<Place>, Vec<Path>) {
        let mut pieces = Pieces::of(text, piece, largest, NEVER);
        let (mut marks, mut known, mut start) = (Vec::new(), 0, Some(0));
        while let Some(read_to) = start {
            start = pieces.read(&mut marks);
            assert!(marks[known..].iter().all(|mark| mark.place().1 >= read_to));
            known = marks.len();
        }
        let marks = marks.iter().map(Mark::place).collect();
        let paths = (0..=text.len()).map(|at| pieces.headings.path_at(at));
        (marks, paths.collect())
    }

    fn all_of(text: &str, piece: usize) -> (Vec<Place>, Vec<Path>) {
        read(text, piece, text.len().max(4))
    }

    #[test]
    fn metadata_are_not_looked_for_again_and_again() {
        let metadata = |text: &str| options(text).contains(Options::ENABLE_YAML_STYLE_METADATA_BLOCKS);
        assert!(metadata("---\ntitle: x\n---\n\n# Text\n"));
        assert!(metadata(&"text\n\n---\n\ntext\n".repeat(1000)));
        assert!(metadata(&"a | b\n--- | ---\n1 | 2\n\nso: ---\n".repeat(1000)));
        assert!(!metadata(&"> ---\n> x\n".repeat(1000)));
        assert!(
            !options(&"+++\t\nx\n\n".repeat(1000)).contains(Options::ENABLE_PLUSES_DELIMITED_METADATA_BLOCKS)
        );
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

        #[test]
        fn where_no_heading_may_be_there_is_none(text in prop_oneof![
            "([-= \t#]{0,4}[a-z]{0,2}[\n\r]){0,9}", markdown_text(), "(a\n|[-= #>\t]{0,5}\r?\n){0,9}",
        ]) {
            let mut headings = Headings::default();
            for (event, range) in Parser::new_ext(&text, Headings::options()).into_offset_iter() {
                headings.read(&event, range.start);
            }
            let found = (0..=text.len()).any(|at| !headings.path_at(at).is_empty());
            prop_assert!(!found || Headings::may_be_in(&text));
        }

        /// Wherever the largest piece ends, what is left is read, and its marks stand where they should.
        #[test]
        fn a_large_block_is_read_in_several_pieces(
            text in prop_oneof![markdown_text(), "(- [a日*`]{1,9}\n| [a日*]{0,9}\n){0,20}"],
            piece in 1usize..50,
            largest in 4usize..100,
        ) {
            let (marks, _) = read(&text, piece, largest);
            for &(level, start, end) in &marks {
                prop_assert!(text.get(start..end).is_some(), "{:?} {} {}", level, start, end);
            }
            let last_word = text.trim_end().len();
            let read_to = marks.iter().map(|&(_, _, end)| end).max();
            let known = all_of(&text, text.len()).0.into_iter().map(|(_, _, end)| end).max();
            prop_assert_eq!(read_to.min(Some(last_word)), known.min(Some(last_word)));
        }

        /// Code that goes on behind the largest piece is code.
        #[test]
        fn headings_are_known_behind_large_blocks(
            blocks in prop::collection::vec(prop_oneof![
                "#{1,6} [a-z]{1,5}\n\n",
                "([a-z]{1,9} ){1,9}\n\n",
                "```[a-z]{0,3}\n(# [a-z]{1,5}\n|\n){0,40}```\n\n",
                "---\n[a-z]: [a-z]{1,9}\n- [a-z]\n---\n\n",
            ], 0..12),
            largest in 128usize..200,
        ) {
            let text = blocks.concat();
            prop_assert_eq!(read(&text, 20, largest).1, all_of(&text, text.len()).1);
        }
    }
}
