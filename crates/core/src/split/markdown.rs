//! Markdown is cut by its headings, blocks and inline elements.

pub(super) mod headings;

use self::headings::Headings;
use super::boundaries::{Boundaries, Boundary, BoundaryReader, Level, SplitPosition};
use super::headers::Headers;
use crate::Interrupt;
use memchr::{memchr, memchr_iter, memmem, memrchr, memrchr2};
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use std::borrow::Cow;
use std::ops::Range;

const SOFT_BREAK: usize = 0;
const INLINE: usize = 1;
const BLOCK: usize = 2;
const RULE: usize = 3;

/// How many bytes are parsed at once, if their blocks do not depend on others: the parser's tree is up to sixty times as
/// large as the text.
const PIECE_BYTES: usize = 1 << 15;

/// The most bytes that are parsed at once: of a text whose blocks depend on each other, or of one block.
pub(super) const MAX_PIECE_BYTES: usize = 1 << 20;

/// The most bytes of the header and the delimiter row of a table that is read in several pieces.
const MAX_TABLE_HEAD: usize = 1 << 14;

pub(crate) fn boundaries(text: &str, interrupt: Interrupt) -> Boundaries<'_> {
    boundaries_of_pieces(text, PIECE_BYTES, interrupt)
}

pub(super) fn boundaries_of_pieces(text: &str, piece: usize, interrupt: Interrupt) -> Boundaries<'_> {
    Boundaries::new(
        Pieces::of(text, piece, MAX_PIECE_BYTES, interrupt),
        split_position,
        interrupt,
    )
}

/// Reads a text piece by piece. The last block of a piece is left to the next piece, because what follows may belong to it.
/// If a piece is one block, a larger piece is read; a block larger than the largest piece is read as several.
struct Pieces<'a> {
    text: &'a str,
    /// Bytes.
    smallest: usize,
    largest: usize,
    /// Where the next piece begins, and its length, in bytes.
    start: usize,
    length: usize,
    /// The lines that open the block which `start` is in, or an empty range: the fence of a code block, or the header of a
    /// table.
    opening: Range<usize>,
    /// The end of the metadata that the text begins with.
    front_matter: usize,
    headings: Headings,
    headers: Headers,
    interrupt: Interrupt,
}

impl BoundaryReader for Pieces<'_> {
    fn read(&mut self, boundaries: &mut Vec<Boundary>) -> Option<usize> {
        let (text, start) = (self.text, self.start);
        let most = end_of_largest(text, start, self.largest);
        let (read_to, opening) = loop {
            let end = line_end(text, start.saturating_add(self.length)).min(most);
            let last = self.read_piece(boundaries, start..end);
            if end == text.len() {
                break (end, 0..0);
            }
            if last.start == start && end == most {
                let opening = match last.kind {
                    Kind::Fenced => open_fence(text, self.opening.clone(), start..end),
                    Kind::Table => {
                        let opening = open_table(text, self.opening.clone(), start..end);
                        if !opening.is_empty() {
                            self.headers.go_on();
                        }
                        opening
                    }
                    Kind::Other => 0..0,
                };
                break (end, opening);
            }
            boundaries.truncate(last.boundaries);
            self.headers.forget_after(last.start);
            if last.start > start {
                break (last.start, 0..0);
            }
            self.length = self.length.saturating_mul(4);
        };
        self.read_headings(start..read_to);
        (self.start, self.length, self.opening) = (read_to, self.smallest, opening);
        (read_to < text.len()).then_some(read_to)
    }

    fn headings_at(&mut self, place: usize) -> Option<Vec<String>> {
        Some(self.headings.path_at(place))
    }

    fn header_at(&mut self, place: usize) -> Option<Range<usize>> {
        self.headers.at(place)
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
            opening: 0..0,
            front_matter: front_matter(text),
            headings: Headings::default(),
            headers: Headers::default(),
            interrupt,
        }
    }

    /// Adds the boundaries of a piece.
    fn read_piece(&mut self, boundaries: &mut Vec<Boundary>, piece: Range<usize>) -> LastBlock {
        let text = self.text;
        let mut last = LastBlock {
            boundaries: boundaries.len(),
            start: piece.start,
            kind: Kind::Other,
        };
        let mut depth = 0usize;
        let mut table_end = 0;
        // What follows definitions may be another term, which is read in another way than a paragraph; and what follows a
        // rule may be metadata that end behind the piece.
        let (mut defined, mut in_metadata) = (false, false);
        let source = self.source(piece.clone());
        let parser = Parser::new_ext(&source.text, options(&source.text));
        for (event, range) in parser.into_offset_iter() {
            self.interrupt.check();
            let is_added = range.end <= source.added;
            let range = source.place(range.start)..source.place(range.end);
            match event {
                Event::Start(Tag::Table(_)) => table_end = range.end,
                Event::Start(Tag::TableHead) => self.read_header(is_added, range.clone(), table_end),
                _ => {}
            }
            if depth == 0 && !defined && !in_metadata {
                let line = memrchr2(b'\n', b'\r', &text.as_bytes()[piece.start..range.start]);
                last = LastBlock {
                    boundaries: boundaries.len(),
                    start: line.map_or(piece.start, |before| piece.start + before + 1),
                    kind: Kind::of(&event),
                };
            }
            match event {
                Event::Start(_) => depth += 1,
                Event::End(_) => depth = depth.saturating_sub(1),
                _ => {}
            }
            defined = matches!(event, Event::End(TagEnd::DefinitionList));
            in_metadata |= matches!(event, Event::Rule) && may_open_metadata(&text[range.start..]);
            if let Some(level) = level(&event).filter(|_| !is_added) {
                boundaries.push(Boundary::new(Level::of(level), range.start, range.end));
            }
        }
        last
    }

    fn read_header(&mut self, is_added: bool, header: Range<usize>, table_end: usize) {
        let text = self.text;
        let (from, header) = match is_added {
            true => (
                header.start,
                self.opening.start..line_end(text, self.opening.start),
            ),
            false => (header.end, header),
        };
        let row = text[header.clone()].trim();
        let start = header.start + (text[header.clone()].len() - text[header].trim_start().len());
        self.headers.push(from, Some(start..start + row.len()));
        self.headers.push(table_end, None);
    }

    fn read_headings(&mut self, piece: Range<usize>) {
        let piece = piece.start.max(self.front_matter).min(piece.end)..piece.end;
        let source = self.source(piece);
        if !Headings::may_be_in(&source.text) {
            return;
        }
        for (event, range) in Parser::new_ext(&source.text, Headings::options()).into_offset_iter() {
            self.interrupt.check();
            self.headings.read(&event, source.place(range.start));
        }
    }

    fn source(&self, piece: Range<usize>) -> Source<'a> {
        let opening = &self.text[self.opening.clone()];
        let skipped = match piece.start {
            0 => byte_order_mark(self.text).min(piece.end),
            _ => 0,
        };
        let text = &self.text[piece.start + skipped..piece.end];
        Source {
            start: piece.start,
            added: opening.len(),
            skipped,
            text: match opening {
                "" => Cow::Borrowed(text),
                opening => Cow::Owned([opening, text].concat()),
            },
        }
    }
}

/// A piece as it is parsed: as if it began with the lines that open its first block, and without a byte order mark.
struct Source<'a> {
    start: usize,
    /// Bytes of these lines.
    added: usize,
    /// Bytes of the byte order mark.
    skipped: usize,
    text: Cow<'a, str>,
}

impl Source<'_> {
    /// The offset in the text of a byte of the piece. What begins after the byte order mark begins with it.
    fn place(&self, at: usize) -> usize {
        match at {
            0 => self.start,
            _ => self.start + self.skipped + at.saturating_sub(self.added),
        }
    }
}

/// The bytes of the byte order mark that a text begins with. Editors write it; to CommonMark it is no part of the first
/// line.
fn byte_order_mark(text: &str) -> usize {
    const MARK: char = '\u{feff}';
    if text.starts_with(MARK) {
        MARK.len_utf8()
    } else {
        0
    }
}

/// The end of the metadata that a text begins with, or 0 if there are none. As the parser reads them, they stand between
/// lines of `---` or `+++`, and their first line is not blank.
fn front_matter(text: &str) -> usize {
    let start = byte_order_mark(text);
    let mut lines = text[start..].split_inclusive('\n');
    let opens = lines.next().unwrap_or("");
    let closes: &[&str] = match opens.trim_ascii_end() {
        "---" => &["---", "..."],
        "+++" => &["+++"],
        _ => return 0,
    };
    let mut end = start + opens.len();
    for (number, line) in lines.enumerate() {
        end += line.len();
        let line = line.trim_end_matches(['\n', '\r']).trim_end_matches(' ');
        let closed = closes.contains(&line);
        if number == 0 && (closed || line.trim_ascii().is_empty()) {
            return 0;
        }
        if closed {
            return end;
        }
    }
    0
}

/// The line that opened the code block which a piece is, if the code block goes on after the piece; else an empty range.
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

/// The header and the delimiter row of the table which a piece is, if the table may go on after the piece; else an empty range.
fn open_table(text: &str, header: Range<usize>, piece: Range<usize>) -> Range<usize> {
    if !header.is_empty() {
        return header;
    }
    let end = line_end(text, line_end(text, piece.start));
    // Rows are hardly so long. Every piece of the table repeats these.
    match end - piece.start {
        0..=MAX_TABLE_HEAD if end < piece.end => piece.start..end,
        _ => 0..0,
    }
}

/// Whether the code block that a line opened ends in `text`.
fn is_closed(fence: &str, text: &str) -> bool {
    let fence = fence.trim_start();
    let ticks = fence.len() - fence.trim_start_matches(['`', '~']).len();
    // If an earlier line had closed it, this would not be a part of it.
    let last = text.trim_end().lines().next_back().unwrap_or("").trim_start();
    last.len() >= ticks && last.starts_with(&fence[..ticks]) && last.trim_start_matches(['`', '~']).is_empty()
}

/// The end of the largest piece: after a line, else after a word, else anywhere.
fn end_of_largest(text: &str, start: usize, largest: usize) -> usize {
    let end = text.floor_char_boundary(start.saturating_add(largest));
    if end == text.len() {
        return end;
    }
    let piece = &text.as_bytes()[start..end];
    let last = memrchr(b'\n', piece).or_else(|| memrchr(b' ', piece));
    last.map_or(end, |last| start + last + 1)
}

/// Whether a block depends only on the blocks beside it, also when headings are read: the text defines no references,
/// footnotes or terms, and no line of it may be the fence of a metadata block.
fn is_sequential(text: &str) -> bool {
    let fences =
        |fence: &'static str| memmem::find_iter(text.as_bytes(), fence).map(|at| &text[at + fence.len()..]);
    let ends_line = |rest: &str| {
        let line = rest.bytes().take_while(|byte| !matches!(byte, b'\n' | b'\r'));
        line.into_iter().all(|byte| byte.is_ascii_whitespace())
    };
    memmem::find(text.as_bytes(), b"]:").is_none()
        && !fences("---").chain(fences("+++")).any(ends_line)
        && !defines_terms(text)
}

/// Whether a line may define a term: it begins with a colon, but for what opens quotes and lists.
fn defines_terms(text: &str) -> bool {
    let opens = |byte: &u8| {
        matches!(
            byte,
            b' ' | b'\t' | b'>' | b'-' | b'+' | b'*' | b'.' | b')' | b'0'..=b'9'
        )
    };
    memchr_iter(b':', text.as_bytes()).any(|colon| {
        let before = &text.as_bytes()[..colon];
        let length = before.iter().rev().take_while(|byte| opens(byte)).count();
        let line_begins = matches!(before[..colon - length].last(), None | Some(b'\n' | b'\r'));
        // 10:30 is a time.
        line_begins && !before.last().is_some_and(u8::is_ascii_digit)
    })
}

fn line_end(text: &str, at: usize) -> usize {
    let line = text.as_bytes().get(at..).and_then(|rest| memchr(b'\n', rest));
    line.map_or(text.len(), |length| at + length + 1)
}

/// The last block of a piece: how many boundaries come before it, where its first line begins, and what it is.
struct LastBlock {
    boundaries: usize,
    start: usize,
    kind: Kind,
}

/// Blocks that are read on in the next piece as what they are.
enum Kind {
    Fenced,
    Table,
    Other,
}

impl Kind {
    fn of(event: &Event<'_>) -> Self {
        match event {
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) => Kind::Fenced,
            Event::Start(Tag::Table(_)) => Kind::Table,
            _ => Kind::Other,
        }
    }
}

fn may_open_metadata(text: &str) -> bool {
    let mut lines = text.lines();
    lines.next().is_some_and(|line| line.trim_end() == "---")
        && lines.next().is_some_and(|line| !line.trim_end().is_empty())
}

/// All options of the parser. Metadata are left out if the parser would read the same lines too often to find their ends,
/// as it does for each fence.
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

/// The most bytes that the parser reads to find the ends of the metadata that these fences may open.
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

/// Whether a block may begin after a line's last word: after the marker of a quote, list item, footnote or definition.
fn begins_block(last_word: Option<&str>) -> bool {
    last_word.is_none_or(|word| {
        word == ":" || word.ends_with("]:") || word.ends_with(['>', '-', '+', '*', '.', ')'])
    })
}

/// Where a boundary of a level cuts.
fn split_position(level: Level) -> SplitPosition {
    if level > Level::of(RULE) {
        SplitPosition::Before
    } else if level == Level::of(BLOCK) {
        SplitPosition::AroundWithSpace
    } else {
        SplitPosition::Around
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
    use crate::split::tests::{markdown_text, put_together, repeatable};
    use comrak::nodes::NodeValue;
    use proptest::prelude::*;

    type Place = (Level, usize, usize);
    type Path = Vec<String>;

    fn read(text: &str, piece: usize, largest: usize) -> (Vec<Place>, Vec<Path>) {
        let mut pieces = Pieces::of(text, piece, largest, Interrupt::NEVER);
        let (mut boundaries, mut known, mut start) = (Vec::new(), 0, Some(0));
        while let Some(read_to) = start {
            start = pieces.read(&mut boundaries);
            assert!(
                boundaries[known..]
                    .iter()
                    .all(|boundary| boundary.place().1 >= read_to)
            );
            known = boundaries.len();
        }
        let boundaries = boundaries.iter().map(Boundary::place).collect();
        let paths = (0..=text.len()).map(|at| pieces.headings.path_at(at));
        (boundaries, paths.collect())
    }

    fn all_of(text: &str, piece: usize) -> (Vec<Place>, Vec<Path>) {
        read(text, piece, text.len().max(4))
    }

    /// Top-level headings by comrak, which is cmark-gfm in Rust.
    fn of_github(text: &str) -> Vec<(u8, String)> {
        let mut options = comrak::Options::default();
        options.extension.strikethrough = true;
        options.extension.table = true;
        options.extension.autolink = true;
        options.extension.tasklist = true;
        options.extension.footnotes = true;
        let arena = comrak::Arena::new();
        let root = comrak::parse_document(&arena, text, &options);
        let headings = root.children().filter_map(|node| match node.data().value {
            NodeValue::Heading(heading) => Some((heading.level, node)),
            _ => None,
        });
        let text_of = |node: comrak::Node<'_>| {
            let parts = node.descendants().map(|part| match &part.data().value {
                NodeValue::Text(text) => text.to_string(),
                NodeValue::Code(code) => code.literal.clone(),
                NodeValue::SoftBreak | NodeValue::LineBreak => " ".into(),
                _ => String::new(),
            });
            parts.collect::<String>().trim().to_string()
        };
        headings.map(|(level, node)| (level, text_of(node))).collect()
    }

    /// Whether a text has something that pulldown-cmark and comrak read differently. All of it is rare where people write.
    fn is_read_differently(text: &str) -> bool {
        has_crowded_table(text)
            || has_emptied_list_item(text)
            || has_tag_behind_list_or_quote(text)
            || has_indented_quote(text)
            || has_note_in_note(text)
            || has_note_before_spaces(text)
            || has_broken_code_span(text)
            || has_single_tilde(text)
            || has_emphasis_beside_symbol(text)
    }

    /// A table that directly follows another line, or has an indented line or two delimiter rows: the parsers end the table, or
    /// the paragraph before it, at different lines. It matters where a line may underline a heading or define a link.
    fn has_crowded_table(text: &str) -> bool {
        let is_indented = |line: &&str| line.starts_with([' ', '\t']);
        let is_delimiter = |line: &&str| line.contains("|---|");
        let is_crowded = |lines: Vec<&str>| match lines.iter().position(is_delimiter) {
            None => false,
            Some(0 | 1) => {
                lines.iter().any(is_indented) || lines.iter().copied().filter(is_delimiter).count() > 1
            }
            Some(_) => true,
        };
        (may_be_underlined(text) || text.contains("]:")) && paragraphs(text).any(is_crowded)
    }

    /// A list item of nothing but its marker before a line of spaces, or of nothing but a link definition before a blank line:
    /// to comrak the first item goes on, to pulldown-cmark the second.
    fn has_emptied_list_item(text: &str) -> bool {
        let lines = text.lines().collect::<Vec<_>>();
        lines.windows(2).any(|pair| {
            let is_empty = pair[0].split_whitespace().next_back().is_some_and(is_list_marker);
            let defines = pair[0].contains("]:") && begins_list_or_quote(pair[0]);
            pair[1].trim().is_empty() && (defines || is_empty && !pair[1].is_empty())
        })
    }

    /// A tag in a line that continues the paragraph of a list item or quote: to comrak it begins an HTML block.
    fn has_tag_behind_list_or_quote(text: &str) -> bool {
        paragraphs(text).any(|lines| {
            let mut behind = lines
                .iter()
                .skip_while(|line| !begins_list_or_quote(line))
                .skip(1);
            behind.any(|line| line.trim_start().starts_with('<'))
        })
    }

    /// A quote's `>` that is indented as code is: pulldown-cmark takes it for a quote that goes on.
    fn has_indented_quote(text: &str) -> bool {
        text.lines()
            .any(|line| is_indented_as_code(line) && line.trim_start().starts_with('>'))
    }

    /// A footnote that is defined in another footnote: pulldown-cmark knows it, comrak does not.
    fn has_note_in_note(text: &str) -> bool {
        text.lines()
            .any(|line| line.matches("]:").count() > usize::from(!is_indented_as_code(line)))
    }

    /// A footnote before a line of spaces and an indented line: to pulldown-cmark it goes on.
    fn has_note_before_spaces(text: &str) -> bool {
        let behind = text
            .lines()
            .skip_while(|line| !line.contains("]:"))
            .skip(1)
            .collect::<Vec<_>>();
        behind
            .windows(2)
            .any(|pair| !pair[0].is_empty() && pair[0].trim().is_empty() && is_indented_as_code(pair[1]))
    }

    /// A code span that goes on in the next line of an underlined heading: pulldown-cmark keeps the indentation of that line,
    /// comrak the carriage return before it.
    fn has_broken_code_span(text: &str) -> bool {
        let has_tick = |line: &&&str| line.contains('`');
        may_be_underlined(text) && paragraphs(text).any(|lines| lines.iter().filter(has_tick).count() > 1)
    }

    /// One tilde by itself: within a word comrak takes a pair of them for strikethrough, pulldown-cmark does not.
    fn has_single_tilde(text: &str) -> bool {
        text.split(|letter| letter != '~').any(|tildes| tildes.len() == 1)
    }

    /// A sign of emphasis beside a symbol beyond ASCII: which symbols are punctuation depends on a parser's Unicode version.
    fn has_emphasis_beside_symbol(text: &str) -> bool {
        let letters = text.chars().collect::<Vec<_>>();
        let is_sign = |letter: char| matches!(letter, '*' | '_' | '~');
        let is_symbol = |letter: char| !letter.is_ascii() && !letter.is_alphanumeric();
        let mut pairs = letters
            .windows(2)
            .flat_map(|pair| [(pair[0], pair[1]), (pair[1], pair[0])]);
        pairs.any(|(sign, symbol)| is_sign(sign) && is_symbol(symbol))
    }

    /// A heading whose line has a lone carriage return before a `{`: with heading attributes pulldown-cmark reads the heading
    /// across it, without them it does not.
    fn has_attributes_after_return(text: &str) -> bool {
        text.split('\n').any(|line| {
            let parts = line
                .split_once('#')
                .and_then(|(_, heading)| heading.split_once('\r'));
            parts.is_some_and(|(_, after)| after.contains('{'))
        })
    }

    /// The lines of each part of a text that has no blank lines.
    fn paragraphs(text: &str) -> impl Iterator<Item = Vec<&str>> {
        let lines = text.lines().collect::<Vec<_>>();
        let parts = lines.split(|line| line.trim().is_empty()).map(<[_]>::to_vec);
        parts
            .filter(|lines| !lines.is_empty())
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Whether some line may underline a heading.
    fn may_be_underlined(text: &str) -> bool {
        text.lines().map(str::trim).any(|line| {
            !line.is_empty() && (line.trim_matches('=').is_empty() || line.trim_matches('-').is_empty())
        })
    }

    fn is_indented_as_code(line: &str) -> bool {
        let spaces = line.bytes().take_while(|&byte| byte == b' ').count();
        spaces >= 4 || line[spaces..].starts_with('\t')
    }

    fn begins_list_or_quote(line: &str) -> bool {
        let line = line.trim_start();
        line.starts_with('>') || line.split_whitespace().next().is_some_and(is_list_marker)
    }

    fn is_list_marker(word: &str) -> bool {
        let number = word.trim_end_matches(['.', ')']);
        matches!(word, "-" | "+" | "*") || number != word && number.bytes().all(|byte| byte.is_ascii_digit())
    }

    fn by_pieces(text: &str, piece: usize) -> Vec<(u8, String)> {
        let mut pieces = Pieces::of(text, piece, text.len().max(4), Interrupt::NEVER);
        while pieces.read(&mut Vec::new()).is_some() {}
        pieces.headings.ahead()
    }

    #[rustfmt::skip]
    const HEADINGS: &[&str] = &[
        "# A\n", "## B\n", "### C\n", "###### F\n", "#\n", "# A #\n", "# x[[1]]\n", "# x[^1]\n", "## `co` *em*\n",
        "Title\n===\n", "Title\n---\n", "two\nlines\n===\n", "para ", "word\n", "\n", "\n\n", "  \n", "\\\n", "- item\n", "- ",
        "  - n\n", "1. first\n", "2) x\n", "* ", "+ ", "    ", "  ", "   ", "> q\n", "> ", "> # Q\n", "```rust\n", "```\n",
        "~~~\n", "````\n", "| a | b |\n|---|---|\n", "| 1 | 2 |\n", "---\n", "***\n", "===\n", "**b** ", "`", "`c` ",
        "[l](http://x) ", "![i](j) ", "[a]\n", "[a]: /b\n\n", "<b>h</b> ", "<div>\n", "</div>\n", "<!-- c -->\n",
        "<!--\n", "-->\n", "<pre>\n", "- [x] d\n", "[^1] ", "[^1]: note\n", "[^2]: n\n", "    more\n", "$x$ ", "$$\n",
        "term\n: def\n", ": def\n", ":   # D\n", "  # I\n", "   ## J\n", "    # no\n", "\t# no\n", "\t", "&amp; ", "\\# no\n",
        "# \\#\n", "日本\n", "\r\n", "+++\n", "x^2^ ", "~~n~~ ", "> [!NOTE]\n> n\n", "[[w]] ", "# [[w|y]]\n", "# A {#id .c}\n",
        "# $a$ b $c$\n", "# \"q\" -- ...\n", "# <b>x</b>\n", "# a\\\n", "#x\n", "#\tT\n", "# http://a.b/c\n", "# &lt;\n", "# ![alt](x)\n",
        "# [t](u \"v\")\n", "# [^2]: x\n", "# [r][a]\n", "[^1]:\n", "[^1]:\n    # N\n", "- # L\n", "  # M\n", "1. # L\n   # M\n",
    ];

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_line() {
        for (text, path) in [
            ("# Title\n\ntext", &["Title"][..]),
            ("Title\n===\n\ntext", &["Title"]),
            ("---\ntitle: x\n---\n\n# Title\n\ntext", &["Title"]),
            ("+++\ntitle = 1\n+++\ntext", &[]),
            ("```\n# code\n```\n\ntext", &[]),
            ("text", &[]),
            ("", &[]),
        ] {
            for piece in [1, 1000] {
                let text = format!("\u{feff}{text}");
                let (boundaries, paths) = all_of(&text, piece);
                assert_eq!(paths.last().unwrap(), path, "{text:?}");
                assert_eq!(
                    paths[0].is_empty(),
                    !text[3..].starts_with(['#', 'T']),
                    "{text:?}"
                );
                assert!(
                    boundaries
                        .iter()
                        .all(|&(_, start, _)| start == 0 || text.is_char_boundary(start))
                );
                assert_eq!(boundaries.is_empty(), text.len() == 3);
            }
        }
    }

    /// The headers at all places where one begins or ends.
    fn headers(text: &str, piece: usize, largest: usize) -> Vec<(usize, Option<&str>)> {
        let mut pieces = Pieces::of(text, piece, largest, Interrupt::NEVER);
        while pieces.read(&mut Vec::new()).is_some() {}
        let mut headers: Vec<(usize, Option<&str>)> = Vec::new();
        for place in 0..text.len() {
            let header = pieces.header_at(place).map(|range| &text[range]);
            if headers
                .last()
                .map_or(header.is_some(), |&(_, last)| last != header)
            {
                headers.push((place, header));
            }
        }
        headers
    }

    #[test]
    fn tables_have_headers() {
        let text = "# T\n\n| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |\n\nword\n\n- x|y\n  -|-\n  1|2\n\n> c|d\n> -|-\n> 3|4\n\nend\n";
        let at = |needle: &str| text.find(needle).unwrap();
        for piece in [1, 1000] {
            let found = headers(text, piece, 1 << 20);
            let named: Vec<_> = found.iter().map(|&(_, header)| header).collect();
            let expected = [Some("| a | b |"), None, Some("x|y"), None, Some("c|d"), None];
            assert_eq!(named, expected);
            assert!((at("|---")..at("| 1")).contains(&(found[0].0)), "{found:?}");
            assert!((at("| 3")..=at("word")).contains(&(found[1].0)), "{found:?}");
        }
    }

    #[test]
    fn a_large_table_has_its_header_in_every_piece() {
        let table = "| a | b |\n|---|---|\n".to_string() + &"| 1 | 2 |\n".repeat(100);
        let text = format!("word\n\n{table}\nword\n\n| c |\n|---|\n| 1 |\n");
        for (piece, largest) in [(1, 64), (50, 300), (1000, 1 << 20)] {
            let named: Vec<_> = headers(&text, piece, largest)
                .iter()
                .map(|&(_, header)| header)
                .collect();
            assert_eq!(
                named[..3],
                [Some("| a | b |"), None, Some("| c |")],
                "{piece}, {largest}"
            );
            // Its rows are boundaries in all pieces.
            let (boundaries, _) = read(&text, piece, largest);
            let rows = boundaries.iter().filter(|&&(level, start, end)| {
                level == Level::of(BLOCK) && text[start..end].trim() == "| 1 | 2 |"
            });
            assert_eq!(rows.count(), 100, "{piece}, {largest}");
        }
    }

    #[test]
    fn headings_behind_notes_and_terms_are_known() {
        for (text, path) in [
            ("# A\n\n[^1]: a note\n# B\n\ntext", &["B"][..]),
            ("# A\n\n[^1]: a note\n\n    # in the note\n\ntext", &["A"]),
            ("# A\n\nterm\n: a definition\n\n  ## B\n\ntext", &["A", "B"]),
            ("# A\n\nterm\n: ## B\n\ntext", &["A"]),
            ("# Using x[[1]]\n\ntext", &["Using x[[1]]"]),
            ("# Using [[page|a page]]\n\ntext", &["Using [[page|a page]]"]),
            ("# A note[^1]\n\n[^1]: x\n\ntext", &["A note"]),
        ] {
            for piece in [1, 1000] {
                assert_eq!(all_of(text, piece).1.last().unwrap(), path, "{text:?}");
            }
        }
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
        #![proptest_config(ProptestConfig { max_global_rejects: 20_000, ..repeatable(20_000) })]

        /// But for the texts of [`is_read_differently`], about one in nine of these.
        #[test]
        fn headings_are_those_of_github(text in put_together(HEADINGS, 12), mark in any::<bool>(), piece in 1usize..100) {
            prop_assume!(front_matter(&text) == 0);
            prop_assume!(!is_read_differently(&text));
            let text = if mark { format!("\u{feff}{text}") } else { text };
            prop_assert_eq!(by_pieces(&text, piece), of_github(&text));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { max_global_rejects: 20_000, ..repeatable(20_000) })]

        #[test]
        fn in_pieces_it_is_as_at_once(
            text in prop_oneof![markdown_text(), r"[-+#>*_`~|:=<!?/\[\](){}^$&;ax1.\\ \t\r\n]{0,120}"],
            piece in 1usize..100,
        ) {
            prop_assume!(!has_attributes_after_return(&text));
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

        /// Wherever the largest piece ends, what is left is read, and its boundaries stand where they should.
        #[test]
        fn a_large_block_is_read_in_several_pieces(
            text in prop_oneof![markdown_text(), "(- [a日*`]{1,9}\n| [a日*]{0,9}\n){0,20}"],
            piece in 1usize..50,
            largest in 4usize..100,
        ) {
            let (boundaries, _) = read(&text, piece, largest);
            for &(level, start, end) in &boundaries {
                prop_assert!(text.get(start..end).is_some(), "{:?} {} {}", level, start, end);
            }
            let last_word = text.trim_end().len();
            let read_to = boundaries.iter().map(|&(_, _, end)| end).max();
            let known = all_of(&text, text.len()).0.into_iter().map(|(_, _, end)| end).max();
            prop_assert_eq!(read_to.min(Some(last_word)), known.min(Some(last_word)));
        }

        /// A code block that goes on after the largest piece is still read as code.
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
