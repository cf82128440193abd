//! HTML is cut before headings, sections, blocks, items, rows, cells and lines, in this order.
//!
//! Tags, comments and white space between two texts are a *run*. A run has one boundary, because a chunk of nothing but tags is
//! of no use: what closes belongs to the text before, what opens to the text behind.

mod tags;

use self::tags::{Kind, Tag, Tags};
use super::boundaries::{Boundaries, Boundary, BoundaryReader, Level, SplitPosition};
use super::headers::Headers;
use super::markdown::headings::Headings;
use crate::Interrupt;
use memchr::{memchr_iter, memrchr};
use pulldown_cmark::HeadingLevel;
use std::collections::VecDeque;
use std::mem::take;
use std::ops::Range;

// The levels within a list, a quote or a table.
const LINE: usize = 0;
const BLOCK: usize = 1;
const CELL: usize = 2;
const ITEM: usize = 3;
const LEVELS: usize = 4;

/// Lists, quotes and tables in each other have levels of their own up to this depth.
const MAX_NEST: usize = 15;
const SECTION: usize = (MAX_NEST + 1) * LEVELS;
/// So have sections in each other.
const MAX_SECTIONS: usize = 7;
const HEADING: usize = SECTION + MAX_SECTIONS + 1;

/// The most elements that are known to be open, and how many of them an end tag may close.
const MAX_OPEN: usize = 1024;
const MAX_CLOSED: usize = 64;

/// A longer run is taken for a text.
const MAX_RUN: usize = 1024;

/// How many bytes of a text with lines are read at once.
const PIECE_BYTES: usize = 1 << 12;

/// The longest entity of HTML has 33 bytes.
const MAX_ENTITY: usize = 33;

pub(crate) fn boundaries(text: &str, interrupt: Interrupt) -> Boundaries<'_> {
    Boundaries::new(Html::of(text, interrupt), |_| SplitPosition::Before, interrupt)
}

struct Html<'a> {
    text: &'a str,
    tags: Tags<'a>,
    /// Where the last tag that was read ends.
    at: usize,
    run: Run,
    open: Open,
    /// Whether a script, a style or the title is open: a document that begins with them has no text yet.
    in_head: bool,
    /// How many `pre` are open.
    with_lines: usize,
    /// Lines that are not yet read, and the tag behind them.
    lines: Range<usize>,
    held: Option<Tag>,
    /// Tags and comments behind the cursor.
    atoms: VecDeque<Range<u32>>,
    headings: Headings,
    headers: Headers,
    interrupt: Interrupt,
}

/// The tags since the last text.
struct Run {
    start: usize,
    /// Whether there is a text before it.
    is_behind_text: bool,
    /// Whether a heading ends in it.
    is_behind_heading: bool,
    boundary: Option<RunBoundary>,
}

#[derive(Clone, Copy)]
struct RunBoundary {
    place: usize,
    level: usize,
    /// Whether something was opened behind `place`.
    is_opened: bool,
}

impl<'a> Html<'a> {
    fn of(text: &'a str, interrupt: Interrupt) -> Self {
        Html {
            text,
            tags: Tags::of(text, interrupt),
            at: 0,
            run: Run {
                start: 0,
                is_behind_text: false,
                is_behind_heading: false,
                boundary: None,
            },
            open: Open::default(),
            in_head: false,
            with_lines: 0,
            lines: 0..0,
            held: None,
            atoms: VecDeque::new(),
            headings: Headings::default(),
            headers: Headers::default(),
            interrupt,
        }
    }

    /// Reads the text before a tag.
    fn read_text(&mut self, tag: Tag, boundaries: &mut Vec<Boundary>) {
        let before = self.at..tag.range.start;
        let is_read = self.run.is_behind_text || !self.in_head;
        if is_read && !self.text[before.clone()].trim_ascii().is_empty() {
            self.end_run(boundaries);
            self.run.is_behind_text = true;
            self.run.start = before.end;
            if self.with_lines > 0 {
                self.lines = before;
            }
        }
        self.held = Some(tag);
    }

    fn read_lines(&mut self, boundaries: &mut Vec<Boundary>) {
        let end = self.lines.end.min(self.lines.start.saturating_add(PIECE_BYTES));
        let level = Level::of(self.open.level(LINE));
        for line in memchr_iter(b'\n', &self.text.as_bytes()[self.lines.start..end]) {
            let place = self.lines.start + line + 1;
            boundaries.push(Boundary::new(level, place, place));
        }
        (self.at, self.lines.start) = (end, end);
    }

    fn read_tag(&mut self, tag: Tag, boundaries: &mut Vec<Boundary>) {
        let Range { start, end } = tag.range;
        self.at = end;
        if let Some(text) = tag.heading {
            self.headings
                .append(&text.split_whitespace().collect::<Vec<_>>().join(" "));
            self.headings.close();
        }
        if start == end {
            return;
        }
        self.atoms.push_back(start as u32..end as u32);
        if start - self.run.start.min(start) > MAX_RUN {
            self.end_run(boundaries);
            (self.run.is_behind_text, self.run.start) = (true, start);
        }
        if tag.is_start {
            self.read_start(tag.kind, start, end, boundaries);
        } else {
            self.read_end(tag.kind, start, end);
        }
    }

    fn read_start(&mut self, kind: Kind, start: usize, end: usize, boundaries: &mut Vec<Boundary>) {
        if let Some(level) = self.open.level_of_start(kind) {
            self.opens(level, start);
        }
        match kind {
            Kind::Heading(level) if self.open.lists_and_quotes == 0 => {
                let place = self.run.boundary.map_or(start, |boundary| boundary.place);
                let place = if self.run.is_behind_text {
                    place
                } else {
                    self.run.start
                };
                if let Ok(level) = HeadingLevel::try_from(usize::from(level)) {
                    self.headings.open(place, level);
                }
            }
            Kind::Lines => self.with_lines += 1,
            Kind::Code | Kind::Title if !self.run.is_behind_text => {}
            Kind::Shown | Kind::Code | Kind::Title => {
                self.end_run(boundaries);
                (self.run.is_behind_text, self.run.start) = (true, end);
            }
            Kind::Break => self.closes(self.open.level(LINE), end),
            _ => {}
        }
        self.in_head = matches!(kind, Kind::Code | Kind::Title);
        self.open.start(kind, start, &mut self.headers);
    }

    fn read_end(&mut self, kind: Kind, start: usize, end: usize) {
        self.open.end(kind, start, end, &mut self.headers);
        self.in_head = false;
        match kind {
            Kind::Lines => self.with_lines = self.with_lines.saturating_sub(1),
            Kind::Heading(_) => self.run.is_behind_heading = true,
            _ => {}
        }
        if let Some(level) = self.open.level_of_end(kind) {
            self.closes(level, end);
        }
    }

    fn opens(&mut self, level: usize, start: usize) {
        // What follows a heading belongs to it.
        if self.run.is_behind_heading && level < SECTION {
            return;
        }
        let boundary = self.run.boundary.get_or_insert(RunBoundary {
            place: start,
            level,
            is_opened: true,
        });
        boundary.level = boundary.level.max(level);
        boundary.is_opened = true;
    }

    fn closes(&mut self, level: usize, end: usize) {
        if self.run.is_behind_heading {
            return;
        }
        let boundary = self.run.boundary.get_or_insert(RunBoundary {
            place: end,
            level,
            is_opened: false,
        });
        if !boundary.is_opened || level >= boundary.level {
            (boundary.place, boundary.is_opened) = (end, false);
        }
        boundary.level = boundary.level.max(level);
    }

    fn end_run(&mut self, boundaries: &mut Vec<Boundary>) {
        self.run.is_behind_heading = false;
        if let Some(boundary) = take(&mut self.run.boundary)
            && self.run.is_behind_text
        {
            boundaries.push(Boundary::new(
                Level::of(boundary.level),
                boundary.place,
                boundary.place,
            ));
        }
    }
}

impl BoundaryReader for Html<'_> {
    fn read(&mut self, boundaries: &mut Vec<Boundary>) -> Option<usize> {
        self.interrupt.check();
        if !self.lines.is_empty() {
            self.read_lines(boundaries);
        } else if let Some(tag) = self.held.take() {
            self.read_tag(tag, boundaries);
        } else if let Some(tag) = self.tags.next() {
            self.read_text(tag, boundaries);
        } else {
            return None;
        }
        Some(self.run.boundary.map_or(self.at, |boundary| boundary.place))
    }

    fn headings_at(&mut self, place: usize) -> Option<Vec<String>> {
        Some(self.headings.path_at(place))
    }

    fn header_at(&mut self, place: usize) -> Option<Range<usize>> {
        self.headers.at(place)
    }

    fn has_atoms(&self) -> bool {
        true
    }

    fn atom_at(&mut self, place: usize) -> Option<usize> {
        while self
            .atoms
            .pop_front_if(|atom| (atom.start as usize) < place)
            .is_some()
        {}
        let atom = self.atoms.front().filter(|atom| atom.start as usize == place)?;
        Some(atom.end as usize)
    }

    fn break_atom(&mut self) {
        self.atoms.pop_front();
    }

    fn is_in_atom(&self, place: usize) -> bool {
        let before = self.atoms.partition_point(|atom| (atom.start as usize) < place);
        let atom = before.checked_sub(1).and_then(|last| self.atoms.get(last));
        atom.is_some_and(|atom| place < atom.end as usize) || is_in_entity(self.text.as_bytes(), place)
    }
}

/// Whether a place is inside an entity such as `&amp;`.
fn is_in_entity(text: &[u8], place: usize) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'#';
    let before = &text[place.saturating_sub(MAX_ENTITY)..place];
    let Some(start) = memrchr(b'&', before) else {
        return false;
    };
    let name = &before[start + 1..];
    if !name.iter().all(is_name) {
        return false;
    }
    let rest = &text[place..];
    let rest = &rest[..rest.len().min(MAX_ENTITY - name.len())];
    let end = rest.iter().position(|byte| !is_name(byte));
    end.is_some_and(|end| rest[end] == b';' && end + name.len() > 0)
}

/// The sections, lists, quotes and tables that are open, innermost last.
#[derive(Default)]
struct Open {
    elements: Vec<Element>,
    /// How many are open in the last of them that are not in the list.
    further: usize,
    sections: usize,
    lists_and_quotes: usize,
    tables: usize,
}

struct Element {
    kind: Kind,
    /// Where the first row of a table begins, until it ends.
    row: Option<usize>,
    has_rows: bool,
    has_header_cells: bool,
    header: Option<Range<usize>>,
}

impl Open {
    /// The number of a level that stands for elements in lists, quotes and tables.
    fn level(&self, level: usize) -> usize {
        let nest = (self.lists_and_quotes + self.tables).min(MAX_NEST);
        (MAX_NEST - nest) * LEVELS + level
    }

    fn level_of_section(&self) -> usize {
        SECTION + MAX_SECTIONS - self.sections.min(MAX_SECTIONS)
    }

    fn level_of_start(&self, kind: Kind) -> Option<usize> {
        match kind {
            Kind::Heading(number) if self.lists_and_quotes == 0 => Some(HEADING + 6 - usize::from(number)),
            Kind::Heading(_) => Some(self.level(BLOCK)),
            _ => self.level_of_end(kind),
        }
    }

    fn level_of_end(&self, kind: Kind) -> Option<usize> {
        match kind {
            Kind::Section => Some(self.level_of_section()),
            Kind::Block | Kind::Lines | Kind::List | Kind::Quote | Kind::Table | Kind::Code | Kind::Title => {
                Some(self.level(BLOCK))
            }
            Kind::Item | Kind::Rows | Kind::Row => Some(self.level(ITEM)),
            Kind::HeaderCell | Kind::Cell => Some(self.level(CELL)),
            Kind::Heading(_) | Kind::Break | Kind::Shown | Kind::Inline => None,
        }
    }

    fn count(&mut self, kind: Kind) -> Option<&mut usize> {
        match kind {
            Kind::Section => Some(&mut self.sections),
            Kind::List | Kind::Quote => Some(&mut self.lists_and_quotes),
            Kind::Table => Some(&mut self.tables),
            _ => None,
        }
    }

    fn start(&mut self, kind: Kind, start: usize, headers: &mut Headers) {
        match kind {
            Kind::Row => {
                self.end_row(start, headers);
                if let Some(table) = self.table().filter(|table| !table.has_rows) {
                    (table.row, table.has_rows) = (Some(start), true);
                }
            }
            Kind::HeaderCell => {
                if let Some(table) = self.table() {
                    table.has_header_cells |= table.row.is_some();
                }
            }
            _ => self.push(kind, start, headers),
        }
    }

    fn push(&mut self, kind: Kind, start: usize, headers: &mut Headers) {
        let is_full = self.elements.len() == MAX_OPEN;
        let Some(count) = self.count(kind) else {
            return;
        };
        if is_full {
            self.further = self.further.saturating_add(1);
            return;
        }
        *count += 1;
        if kind == Kind::Table && self.header().is_some() {
            headers.push(start, None);
        }
        self.elements.push(Element {
            kind,
            row: None,
            has_rows: false,
            has_header_cells: false,
            header: None,
        });
    }

    fn end(&mut self, kind: Kind, start: usize, end: usize, headers: &mut Headers) {
        if matches!(kind, Kind::Row | Kind::Rows) {
            self.end_row(if kind == Kind::Row { end } else { start }, headers);
        }
        if self.count(kind).is_none() {
            return;
        }
        if self.further > 0 {
            self.further -= 1;
            return;
        }
        let Some(above) = self
            .elements
            .iter()
            .rev()
            .take(MAX_CLOSED)
            .position(|open| open.kind == kind)
        else {
            return;
        };
        let had = self.header().is_some();
        for closed in self.elements.split_off(self.elements.len() - above - 1) {
            if let Some(count) = self.count(closed.kind) {
                *count -= 1;
            }
        }
        let header = self.header();
        if had || header.is_some() {
            headers.push(end, header);
        }
    }

    /// Ends the first row of a table, which is its header if it has header cells.
    fn end_row(&mut self, end: usize, headers: &mut Headers) {
        if let Some(table) = self.table()
            && let Some(row) = take(&mut table.row)
            && table.has_header_cells
        {
            table.header = Some(row..end);
            headers.push(end, table.header.clone());
        }
    }

    /// The innermost table, if no list or section is open in it.
    fn table(&mut self) -> Option<&mut Element> {
        let is_known = self.further == 0;
        self.elements
            .last_mut()
            .filter(|last| is_known && last.kind == Kind::Table)
    }

    /// The header of the innermost table.
    fn header(&self) -> Option<Range<usize>> {
        let mut near = self.elements.iter().rev().take(MAX_CLOSED);
        near.find(|element| element.kind == Kind::Table)?.header.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupts;
    use proptest::prelude::*;

    /// The text before each boundary, and after the last one.
    fn parts(text: &str) -> Vec<(usize, &str)> {
        let mut html = Html::of(text, Interrupt::NEVER);
        let mut boundaries = Vec::new();
        let mut read_to = Some(0);
        while let Some(known_to) = read_to {
            let known = boundaries.len();
            read_to = html.read(&mut boundaries);
            assert!(
                boundaries[known..]
                    .iter()
                    .all(|boundary| boundary.place().1 >= known_to)
            );
        }
        let mut parts = Vec::new();
        let mut at = 0;
        for (level, start, end) in boundaries.iter().map(Boundary::place) {
            assert_eq!(start, end);
            assert!(at <= start);
            let number = (0..=HEADING + 5)
                .find(|&number| Level::of(number) == level)
                .unwrap();
            parts.push((number, &text[at..start]));
            at = start;
        }
        parts.push((0, &text[at..]));
        parts
    }

    fn paths(text: &str, places: &[&str]) -> Vec<String> {
        let mut html = Html::of(text, Interrupt::NEVER);
        while html.read(&mut Vec::new()).is_some() {}
        let at = |place: &&str| html.headings_at(text.find(place).unwrap()).unwrap().join("/");
        places.iter().map(at).collect()
    }

    #[test]
    fn what_closes_belongs_to_the_text_before() {
        for text in [
            "<!DOCTYPE html><html><body><p>one</p>|<p>two</p></body></html>",
            "<title>a</title><style>b</style><script>c</script><h1>d</h1><p>e</p>|<script>f</script>|<p>g",
            "<section><h2>A</h2><p>one</p></section>|<section><h2>B</h2><div><p>two</p></div></section>|<h2>C</h2></div>|<h3>D",
            "<ul><li>a</li>|<li>b|<ul><li>c</li></ul></li></ul>|<p>d",
            "<ul><li>a|<li>b</ul>|text",
            "<table><tr><th>a</th>|<th>b</th></tr>|<tr><td></td><td>c</td></tr></table>|end",
            "<p>one<br>|two</p>|<script>a</script>|<p>b",
            "<p>a</p>|<p><img></p>|<p><img></p>|<hr><!-- c --><p>b",
            "<b>a</b> <i>b</i> <!-- c --> d",
            "<p>a <span></span>b</p>|<pre>c\n|  d\n|</pre>",
        ] {
            let expected: Vec<_> = text.split('|').collect();
            let whole = text.replace('|', "");
            let found: Vec<_> = parts(&whole).into_iter().map(|(_, part)| part).collect();
            assert_eq!(found, expected);
        }
    }

    #[test]
    fn levels_follow_the_structure() {
        let text = "<p>a</p><h1>b</h1><p>c</p><h2>d</h2><ul><li>e<li>f<ol><li>g<li>h</ol><li>i<p>j</ul>\
                    <table><tr><td>k<td>l<tr><td>m<p>n</table><section>o<section>p</section>q</section>r";
        let all = parts(text);
        let level = |before: &str| all.iter().find(|(_, part)| part.ends_with(before)).unwrap().0;
        assert!(level("a</p>") > level("c</p>"), "h1 over h2: {all:?}");
        assert!(
            level("n</table>") > level("j</ul>"),
            "section over blocks: {all:?}"
        );
        assert_eq!(level("o"), level("p</section>"));
        assert!(level("n</table>") > level("o"), "sections in each other: {all:?}");
        assert!(
            level("j</ul>") > level("e") && level("e") == level("</ol>"),
            "items: {all:?}"
        );
        assert!(
            level("e") > level(">g") && level("e") > level("i"),
            "items in each other: {all:?}"
        );
        assert!(
            level("l") > level("k") && level("k") > level("m"),
            "rows, cells, blocks: {all:?}"
        );
    }

    #[test]
    fn headings_have_their_text() {
        let text = "<title>T</title><h1>A&amp;B\n <i>c</i></h1>one<h2>D<br>e&eacute;</h2><ul><li><h3>no</h3>two</ul>\
                    <blockquote><h1>no</h1></blockquote>three<script>'<h1>no</h1>'</script><!--<h1>no</h1>-->four\
                    <div><h3></h3>five<table><tr><td><h3>F<script>x</script></h3>six</table><h1>G";
        let found = paths(text, &["one", "two", "three", "four", "five", "six", "G"]);
        let expected = [
            "A&B c",
            "A&B c/D eé",
            "A&B c/D eé",
            "A&B c/D eé",
            "A&B c/D eé",
            "A&B c/D eé/F",
            "G",
        ];
        assert_eq!(found, expected);
        let long = format!("<h1>{}</h1>text", "légende ".repeat(1000));
        assert!(paths(&long, &["text"])[0].len() < 300);
    }

    #[test]
    fn the_header_of_a_table_is_its_first_row_with_header_cells() {
        let text = "<table><thead><tr><th>A</th></tr></thead><tr><td>one<table><tr><td>two</table>three\
                    <table><tr><th>B<tr><td>four</table>five</table>six<table><tr><td>seven</tr><tr><th>eight</table>";
        let mut html = Html::of(text, Interrupt::NEVER);
        while html.read(&mut Vec::new()).is_some() {}
        let mut header = |place: &str| {
            html.header_at(text.find(place).unwrap())
                .map(|range| &text[range])
        };
        let a = Some("<tr><th>A</th></tr>");
        let found = [
            "A<", "one", "two", "three", "four", "five", "six", "seven", "eight",
        ]
        .map(&mut header);
        assert_eq!(found, [None, a, None, a, Some("<tr><th>B"), a, None, None, None]);
    }

    #[test]
    fn entities_are_known() {
        let text = "a &amp; b & c; &#xe9;&nosuch; &;&x y; &".as_bytes();
        let inside: Vec<_> = (0..=text.len())
            .filter(|&place| is_in_entity(text, place))
            .collect();
        let expected: Vec<_> = (3..7).chain(16..21).chain(22..29).collect();
        assert_eq!(inside, expected);
    }

    /// Twice the text takes twice the work, and nothing is as deep as the text.
    #[test]
    fn hostile_html_is_read_in_linear_time() {
        for shred in [
            "<div>",
            "</div>",
            "<ul>",
            "</ul>",
            "<table><tr><th>",
            "<h1>",
            "<b",
            "<!--",
            "<pre>\n",
            "&amp;",
            "<a b='",
            "<script>",
            "<section></table>",
            "</p><p>",
            "<li><ul>",
            "<svg>",
            "<![CDATA[",
            "</",
            "<blockquote></ul>",
            "<title>",
            "<h1>x<p>",
        ] {
            let work = |times| {
                let text = shred.repeat(times);
                interrupts(|interrupt| {
                    let mut html = Html::of(&text, interrupt);
                    while html.read(&mut Vec::new()).is_some() {}
                    assert!(html.open.elements.len() <= MAX_OPEN);
                })
            };
            let (one, two) = (work(5000), work(10_000));
            assert!(two <= one * 21 / 10 + 100, "{shred}: {one}, {two}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3000))]

        #[test]
        fn boundaries_ascend_between_tags(
            text in "(</?(h1|h2|p|div|ul|li|table|tr|td|th|section|pre|b|br|img|script|title|blockquote)>|[a-zé \n&;]|<!--|-->){0,50}",
        ) {
            let tags: Vec<_> = Tags::of(&text, Interrupt::NEVER).map(|tag| tag.range).collect();
            let mut at = 0;
            for (_, part) in parts(&text) {
                at += part.len();
                prop_assert!(!tags.iter().any(|tag| tag.start < at && at < tag.end));
            }
            prop_assert_eq!(at, text.len());
        }
    }
}
