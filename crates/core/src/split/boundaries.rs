//! The boundaries that a format has in a text, and the sections between them.

use super::whitespace::WhitespaceRuns;
use crate::Interrupt;
use std::cmp::Reverse;
use std::ops::Range;

/// The most levels there can be.
pub(super) const MAX_LEVELS: usize = 2000;

/// The most boundaries that a link to a higher one may skip.
const MAX_SKIP: usize = u16::MAX as usize;

/// The fewest boundaries that are read at once.
const MIN_READ: usize = 256;

/// How strong a boundary is: text is cut at the higher levels first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Level(u16);

impl Level {
    /// The level of that number, at most the highest.
    pub(super) fn of(number: usize) -> Self {
        Level(number.min(MAX_LEVELS - 1) as u16)
    }
}

/// Where a boundary cuts: what text-splitter calls a semantic split position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SplitPosition {
    /// Before and after it: it is a section.
    Around,
    /// Before and after it, but white space before it belongs to its section.
    AroundWithSpace,
    /// Only before it: it belongs to the section that follows.
    Before,
}

/// A range of bytes that has a level, as a markdown element or a node of a syntax tree.
#[derive(Debug, Clone, Copy)]
pub(super) struct Boundary {
    start: u32,
    end: u32,
    /// The number of the next boundary of the same level.
    same: u32,
    /// How many boundaries to go on to reach one that may be higher; those in between are not.
    higher: u16,
    level: Level,
}

impl Boundary {
    /// A text of Postgres is at most 1 GB.
    pub(super) fn new(level: Level, start: usize, end: usize) -> Self {
        Boundary {
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

    fn contains(&self, inner: &Boundary) -> bool {
        inner.start < self.end && inner.end <= self.end
    }
}

/// Reads the boundaries of a text, a part at a time: all of them may take many times the text's memory.
pub(super) trait BoundaryReader {
    /// Adds the boundaries of the next part, and returns where that part ends, or `None` if it is the last part.
    fn read(&mut self, boundaries: &mut Vec<Boundary>) -> Option<usize>;

    /// The headings above a place that has been read, outermost first, if the format has headings. Places must not descend
    /// from call to call.
    fn headings_at(&mut self, _place: usize) -> Option<Vec<String>> {
        None
    }

    /// The header of the table that a place is in, if the place is behind the header. Places must not descend from call to
    /// call.
    fn header_at(&mut self, _place: usize) -> Option<Range<usize>> {
        None
    }

    /// Whether the format has atoms: parts such as tags, in which sentences and words do not end.
    fn has_atoms(&self) -> bool {
        false
    }

    /// Forgets the atoms that begin before a place, and returns the end of one that begins there. Places must not descend from
    /// call to call.
    fn atom_at(&mut self, _place: usize) -> Option<usize> {
        None
    }

    /// Forgets the atom that [`BoundaryReader::atom_at`] returned.
    fn break_atom(&mut self) {}

    /// Whether a place that has been read is inside an atom.
    fn is_in_atom(&self, _place: usize) -> bool {
        false
    }
}

/// The boundaries of a window on a text, and some after it, ordered by where they begin and the longer first.
pub(crate) struct Boundaries<'a> {
    reader: Box<dyn BoundaryReader + 'a>,
    split_position: fn(Level) -> SplitPosition,
    interrupt: Interrupt,
    /// Boundaries that begin before here are known; `usize::MAX` once the text is read.
    read_to: usize,
    boundaries: Vec<Boundary>,
    /// The levels of the boundaries from the cursor on, ascending.
    levels: Vec<Level>,
    /// The first boundary from the cursor on.
    front: usize,
    /// The boundary after the nest at `front`, in which each boundary contains the next one.
    nest_end: usize,
    /// The first boundary of each level from the cursor on.
    first: Vec<u32>,
}

impl<'a> Boundaries<'a> {
    pub(super) fn new(
        reader: impl BoundaryReader + 'a,
        split_position: fn(Level) -> SplitPosition,
        interrupt: Interrupt,
    ) -> Self {
        Boundaries {
            reader: Box::new(reader),
            split_position,
            interrupt,
            read_to: 0,
            boundaries: Vec::new(),
            levels: Vec::new(),
            front: 0,
            nest_end: 0,
            first: vec![0; MAX_LEVELS],
        }
    }

    /// Forgets the boundaries that begin before the cursor, and reads those that begin before `end`.
    pub(super) fn advance(&mut self, cursor: usize, end: usize) {
        while let Some(boundary) = self.boundaries.get(self.front)
            && boundary.start() < cursor
        {
            self.first[boundary.level.0 as usize] = boundary.same;
            self.front += 1;
        }
        if self.read_to <= end {
            self.read_on(end);
        }
        // Those of a nest have the same nest's end.
        if self.nest_end <= self.front {
            let nest = self.boundaries[self.front..].windows(2);
            self.nest_end = self.front + 1 + nest.take_while(|pair| pair[0].contains(&pair[1])).count();
        }
        let (first, none) = (&self.first, self.boundaries.len() as u32);
        self.levels.retain(|level| first[level.0 as usize] < none);
    }

    /// Reads past `end`, and at least as many boundaries as are left, because all of them are linked anew.
    fn read_on(&mut self, end: usize) {
        self.boundaries.drain(..self.front);
        (self.front, self.nest_end) = (0, 0);
        let enough = 2 * self.boundaries.len() + MIN_READ;
        while self.read_to < usize::MAX && (self.read_to <= end || self.boundaries.len() < enough) {
            self.read_to = self.reader.read(&mut self.boundaries).unwrap_or(usize::MAX);
        }
        if !self.boundaries.is_sorted_by_key(Boundary::order) {
            self.boundaries = sorted(std::mem::take(&mut self.boundaries));
        }
        self.link();
    }

    /// Finds the first boundary of each level, and for each boundary the next one of its level and the next higher one.
    fn link(&mut self) {
        let none = self.boundaries.len() as u32;
        self.first.fill(none);
        for at in (0..self.boundaries.len()).rev() {
            self.interrupt.check();
            let level = self.boundaries[at].level;
            let mut higher = 1;
            while higher < MAX_SKIP
                && let Some(next) = self.boundaries.get(at + higher)
                && next.level <= level
            {
                higher += usize::from(next.higher);
            }
            self.boundaries[at].higher = higher.min(MAX_SKIP) as u16;
            self.boundaries[at].same = std::mem::replace(&mut self.first[level.0 as usize], at as u32);
        }
        self.levels = (0..MAX_LEVELS)
            .filter(|&level| self.first[level] < none)
            .map(Level::of)
            .collect();
    }

    /// See [`BoundaryReader::headings_at`].
    pub(super) fn headings_at(&mut self, place: usize) -> Option<Vec<String>> {
        self.reader.headings_at(place)
    }

    /// See [`BoundaryReader::header_at`].
    pub(super) fn header_at(&mut self, place: usize) -> Option<Range<usize>> {
        self.reader.header_at(place)
    }

    /// See [`BoundaryReader::has_atoms`].
    pub(super) fn has_atoms(&self) -> bool {
        self.reader.has_atoms()
    }

    /// See [`BoundaryReader::atom_at`].
    pub(super) fn atom_at(&mut self, place: usize) -> Option<usize> {
        self.reader.atom_at(place)
    }

    /// See [`BoundaryReader::break_atom`].
    pub(super) fn break_atom(&mut self) {
        self.reader.break_atom();
    }

    /// See [`BoundaryReader::is_in_atom`].
    pub(super) fn is_in_atom(&self, place: usize) -> bool {
        self.reader.is_in_atom(place)
    }

    /// The levels of what is read from the cursor on, ascending.
    pub(super) fn levels(&self) -> impl Iterator<Item = Level> {
        self.levels.iter().copied()
    }

    /// The first boundary from `at` on that is of this level or higher.
    fn at_least(&self, mut at: usize, level: Level) -> usize {
        while let Some(boundary) = self.boundaries.get(at)
            && boundary.level < level
        {
            at += usize::from(boundary.higher);
        }
        at
    }

    /// The boundary that the sections of a level begin with. Higher boundaries around the level's first one are left out, or
    /// the level would have their sections.
    fn opening(&self, level: Level) -> usize {
        let mut first = self.first[level.0 as usize] as usize;
        if first == self.front {
            while let Some(next) = self.boundaries.get(first + 1)
                && (next.level, next.start) == (level, self.boundaries[first].start)
            {
                first += 1;
            }
            return first;
        }
        let target = self.boundaries[first].start;
        if first < self.nest_end {
            return first;
        }
        let around =
            self.boundaries[self.front..self.nest_end].partition_point(|boundary| boundary.end > target);
        let mut opening = self.at_least(self.front + around, level);
        while opening < first && self.boundaries[opening].end > target {
            opening = self.at_least(opening + 1, level);
        }
        opening
    }

    /// The ends of a level's sections from the cursor to the end of the text. After the part that is read only the last end
    /// is known.
    pub(super) fn sections<'s>(
        &'s self,
        level: Level,
        cursor: usize,
        text_end: usize,
        whitespace: &'s WhitespaceRuns<'_>,
    ) -> Sections<'s> {
        Sections {
            boundaries: self,
            whitespace,
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
        whitespace: &WhitespaceRuns<'_>,
    ) -> usize {
        self.sections(level, cursor, text_end, whitespace)
            .next()
            .unwrap_or(text_end)
    }
}

/// Sorts as text-splitter does: the algorithm and the size of its elements decide the order of boundaries of the same
/// range. Boundaries are only out of order in some ill-formed texts, as where a table row lacks a cell.
fn sorted(boundaries: Vec<Boundary>) -> Vec<Boundary> {
    let mut wide: Vec<(Level, Range<usize>)> = boundaries
        .into_iter()
        .map(|boundary| (boundary.level, boundary.start()..boundary.end()))
        .collect();
    wide.sort_unstable_by(|(_, a), (_, b)| a.start.cmp(&b.start).then_with(|| b.end.cmp(&a.end)));
    wide.into_iter()
        .map(|(level, range)| Boundary::new(level, range.start, range.end))
        .collect()
}

/// The ends of sections; each begins where the one before ends.
pub(super) struct Sections<'a> {
    boundaries: &'a Boundaries<'a>,
    whitespace: &'a WhitespaceRuns<'a>,
    level: Level,
    /// The next boundary.
    at: usize,
    cursor: usize,
    /// The end of the boundary that the cursor stands before, if it does.
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
            } else if let Some(boundary) = self.boundaries.boundaries.get(self.at) {
                self.at = self.boundaries.at_least(self.at + 1, self.level);
                self.pass(boundary);
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
    fn pass(&mut self, boundary: &Boundary) {
        if boundary.start() < self.cursor {
            return;
        }
        match (self.boundaries.split_position)(boundary.level) {
            SplitPosition::Before => self.cursor = boundary.start(),
            SplitPosition::AroundWithSpace if self.whitespace.only(self.cursor, boundary.start()) => {
                self.cursor = boundary.end();
                self.marked = self.cursor;
            }
            SplitPosition::Around | SplitPosition::AroundWithSpace => {
                self.cursor = boundary.start();
                self.marked = boundary.end();
            }
        }
    }
}
