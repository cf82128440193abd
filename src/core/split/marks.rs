//! The places that a format marks in a text, and the sections between them.

use super::blanks::Blanks;
use crate::core::Interrupt;
use std::cmp::Reverse;
use std::ops::Range;

/// How many levels there can be.
pub(super) const LEVELS: usize = 2000;

/// As far ahead as a mark tells of higher ones.
const FAR: usize = u16::MAX as usize;

/// So many marks at least are read at once.
const FEW: usize = 256;

/// How strong a boundary is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Level(u16);

impl Level {
    /// The level of that number, or the highest.
    pub(super) fn of(number: usize) -> Self {
        Level(number.min(LEVELS - 1) as u16)
    }
}

/// How a mark cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Edge {
    /// Before and behind it: it is a section.
    Around,
    /// So too, but white space before it belongs to it.
    AroundBlank,
    /// Before it only.
    Before,
}

/// A range of bytes that has a level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    start: u32,
    end: u32,
    /// The next mark of the same level.
    same: u32,
    /// How many marks further one may be higher; none before is.
    higher: u16,
    level: Level,
}

impl Mark {
    /// A text of Postgres is at most 1 GB.
    pub(super) fn new(level: Level, start: usize, end: usize) -> Self {
        Mark {
            start: start as u32,
            end: end as u32,
            same: 0,
            higher: 0,
            level,
        }
    }

    fn start(&self) -> usize {
        self.start as usize
    }

    fn end(&self) -> usize {
        self.end as usize
    }

    #[cfg(test)]
    pub(super) fn place(&self) -> (Level, usize, usize) {
        (self.level, self.start(), self.end())
    }

    fn order(&self) -> (u32, Reverse<u32>) {
        (self.start, Reverse(self.end))
    }

    fn contains(&self, inner: &Mark) -> bool {
        inner.start < self.end && inner.end <= self.end
    }
}

/// Reads a text for its marks, a part at a time: those of all of it may be many times as large.
pub(super) trait Reader {
    /// Adds the marks of the next part, and tells where that ends; `None` if it is the last one.
    fn read(&mut self, marks: &mut Vec<Mark>) -> Option<usize>;

    /// The headings above a place that has been read, outermost first, if the format has headings. Places must not
    /// descend from call to call.
    fn headings_at(&mut self, _place: usize) -> Option<Vec<String>> {
        None
    }
}

/// The marks of a text by where they begin, the longer first: those of a window on it, and some behind that.
pub(in crate::core) struct Marks<'a> {
    reader: Box<dyn Reader + 'a>,
    edge: fn(Level) -> Edge,
    interrupt: Interrupt,
    /// All marks are known that begin before here; `usize::MAX` once the text is read.
    read_to: usize,
    marks: Vec<Mark>,
    /// The levels of those from the cursor on, ascending.
    levels: Vec<Level>,
    /// The first mark from the cursor on.
    front: usize,
    /// The mark behind those from `front` on that each contain the next one.
    nest_end: usize,
    /// The first mark of each level from the cursor on.
    first: Vec<u32>,
}

impl<'a> Marks<'a> {
    pub(super) fn new(reader: impl Reader + 'a, edge: fn(Level) -> Edge, interrupt: Interrupt) -> Self {
        Marks {
            reader: Box::new(reader),
            edge,
            interrupt,
            read_to: 0,
            marks: Vec::new(),
            levels: Vec::new(),
            front: 0,
            nest_end: 0,
            first: vec![0; LEVELS],
        }
    }

    /// Forgets the marks that begin before the cursor, and knows those that begin before `end`.
    pub(super) fn advance(&mut self, cursor: usize, end: usize) {
        while let Some(mark) = self.marks.get(self.front)
            && mark.start() < cursor
        {
            self.first[mark.level.0 as usize] = mark.same;
            self.front += 1;
        }
        if self.read_to <= end {
            self.read_on(end);
        }
        // All of a nest have the same end.
        if self.nest_end <= self.front {
            let nest = self.marks[self.front..].windows(2);
            self.nest_end = self.front + 1 + nest.take_while(|pair| pair[0].contains(&pair[1])).count();
        }
        let (first, none) = (&self.first, self.marks.len() as u32);
        self.levels.retain(|level| first[level.0 as usize] < none);
    }

    /// Reads past `end`, and as many marks again as are left: these are linked anew.
    fn read_on(&mut self, end: usize) {
        self.marks.drain(..self.front);
        (self.front, self.nest_end) = (0, 0);
        let enough = 2 * self.marks.len() + FEW;
        while self.read_to < usize::MAX && (self.read_to <= end || self.marks.len() < enough) {
            self.read_to = self.reader.read(&mut self.marks).unwrap_or(usize::MAX);
        }
        if !self.marks.is_sorted_by_key(Mark::order) {
            self.marks = sorted(std::mem::take(&mut self.marks));
        }
        self.link();
    }

    /// Finds the first mark of each level, and for each mark the next one of its level and the next higher one.
    fn link(&mut self) {
        let none = self.marks.len() as u32;
        self.first.fill(none);
        for at in (0..self.marks.len()).rev() {
            self.interrupt.check();
            let level = self.marks[at].level;
            let mut higher = 1;
            while higher < FAR
                && let Some(next) = self.marks.get(at + higher)
                && next.level <= level
            {
                higher += usize::from(next.higher);
            }
            self.marks[at].higher = higher.min(FAR) as u16;
            self.marks[at].same = std::mem::replace(&mut self.first[level.0 as usize], at as u32);
        }
        self.levels = (0..LEVELS)
            .filter(|&level| self.first[level] < none)
            .map(Level::of)
            .collect();
    }

    /// As [`Reader::headings_at`].
    pub(super) fn headings_at(&mut self, place: usize) -> Option<Vec<String>> {
        self.reader.headings_at(place)
    }

    /// The levels of what is read from the cursor on, ascending.
    pub(super) fn levels(&self) -> impl Iterator<Item = Level> {
        self.levels.iter().copied()
    }

    /// The first mark from `at` on that is of this level or higher.
    fn at_least(&self, mut at: usize, level: Level) -> usize {
        while let Some(mark) = self.marks.get(at)
            && mark.level < level
        {
            at += usize::from(mark.higher);
        }
        at
    }

    /// The mark that the sections of a level begin with: higher ones around the first mark of the level are left out,
    /// or the level would have the sections of those.
    fn opening(&self, level: Level) -> usize {
        let mut first = self.first[level.0 as usize] as usize;
        if first == self.front {
            while let Some(next) = self.marks.get(first + 1)
                && (next.level, next.start) == (level, self.marks[first].start)
            {
                first += 1;
            }
            return first;
        }
        let target = self.marks[first].start;
        if first < self.nest_end {
            return first;
        }
        let around = self.marks[self.front..self.nest_end].partition_point(|mark| mark.end > target);
        let mut opening = self.at_least(self.front + around, level);
        while opening < first && self.marks[opening].end > target {
            opening = self.at_least(opening + 1, level);
        }
        opening
    }

    /// The ends of a level's sections from the cursor to the end of the text. Behind what is read none is known but the last.
    pub(super) fn sections<'s>(
        &'s self,
        level: Level,
        cursor: usize,
        text_end: usize,
        blanks: &'s Blanks<'_>,
    ) -> Sections<'s> {
        Sections {
            marks: self,
            blanks,
            level,
            at: self.opening(level),
            cursor,
            marked: cursor,
            text_end,
        }
    }

    pub(super) fn first_section(
        &self,
        level: Level,
        cursor: usize,
        text_end: usize,
        blanks: &Blanks<'_>,
    ) -> usize {
        self.sections(level, cursor, text_end, blanks)
            .next()
            .unwrap_or(text_end)
    }
}

/// In the order of text-splitter, which sorts elements of this size with this algorithm: it decides where in the order
/// marks of the same range come, if they were not in order already, which they are but for some ill-formed texts, as of
/// table rows that lack a cell.
fn sorted(marks: Vec<Mark>) -> Vec<Mark> {
    let mut wide: Vec<(Level, Range<usize>)> = marks
        .into_iter()
        .map(|mark| (mark.level, mark.start()..mark.end()))
        .collect();
    wide.sort_unstable_by(|(_, a), (_, b)| a.start.cmp(&b.start).then_with(|| b.end.cmp(&a.end)));
    wide.into_iter()
        .map(|(level, range)| Mark::new(level, range.start, range.end))
        .collect()
}

/// The ends of sections; each begins where the one before ends.
pub(super) struct Sections<'a> {
    marks: &'a Marks<'a>,
    blanks: &'a Blanks<'a>,
    level: Level,
    /// The next mark.
    at: usize,
    cursor: usize,
    /// The end of the mark that the cursor stands before, if it does.
    marked: usize,
    text_end: usize,
}

impl Iterator for Sections<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let before = self.cursor;
        while self.cursor == before {
            if self.marked > self.cursor {
                self.cursor = self.marked;
            } else if let Some(mark) = self.marks.marks.get(self.at) {
                self.at = self.marks.at_least(self.at + 1, self.level);
                self.pass(mark);
            } else if self.cursor < self.text_end {
                self.cursor = self.text_end;
            } else {
                return None;
            }
        }
        Some(self.cursor)
    }
}

impl Sections<'_> {
    fn pass(&mut self, mark: &Mark) {
        if mark.start() < self.cursor {
            return;
        }
        match (self.marks.edge)(mark.level) {
            Edge::Before => self.cursor = mark.start(),
            Edge::AroundBlank if self.blanks.only(self.cursor, mark.start()) => {
                self.cursor = mark.end();
                self.marked = self.cursor;
            }
            Edge::Around | Edge::AroundBlank => {
                self.cursor = mark.start();
                self.marked = mark.end();
            }
        }
    }
}
