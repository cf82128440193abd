//! Cutting a text into chunks: the chunks that text-splitter 0.33.1 makes, in time linear in the text.
//!
//! A format has boundaries in a text, each with a level: in markdown a heading is above a paragraph. At a level the text
//! falls into sections. A chunk begins where the last one ended, takes the highest level whose first section fits, and as
//! many sections of it as fit. Where no level of the format fits, the chunk is made of sentences, words, graphemes or
//! characters.
//!
//! It is linear because nothing far ahead is looked at. At the *horizon* the sizer knows that there are too many tokens.
//! The *window* ends some horizons further, and nothing after it is looked at. The chunks differ from text-splitter's by
//! seven bounds, which texts made by people hardly reach:
//! - Levels beyond [`boundaries::MAX_LEVELS`] count as one.
//! - Boundaries are known as far as they are read: a level that has none near the window is not tried, and those out of
//!   order are put in order among their neighbours.
//! - A sentence's end depends on at most [`units::SENTENCE_LOOKAHEAD`] bytes after the window.
//! - The binary search for a chunk's end starts from no more than the sections in the window.
//! - An overlap does not walk through all of a long white space.
//! - No more than [`markdown::MAX_PIECE_BYTES`] of markdown is parsed at once: a link that is defined in another part is
//!   text, and the rest of a longer block is read as a new block.
//! - A byte order mark before markdown is no part of its first line.

mod boundaries;
pub(super) mod code;
pub(super) mod csv;
mod headers;
pub(super) mod html;
pub(super) mod markdown;
#[cfg(test)]
mod tests;
pub(super) mod text;
pub(crate) mod units;
mod whitespace;

pub(super) use self::boundaries::Boundaries;
use self::units::Unit;
use self::whitespace::WhitespaceRuns;
use super::Interrupt;
use memchr::{memchr2, memrchr2};
use std::cell::Cell;
use std::cmp::Ordering;
use std::mem::take;
use std::ops::Range;

/// Counts slices of the text that is cut.
pub(super) trait Sizer {
    /// How many tokens `slice` is.
    fn count(&self, slice: &str) -> usize;

    /// A byte offset, not far ahead, at which `start..offset` certainly holds more than `tokens` tokens; or the end of the
    /// text.
    fn offset_beyond(&self, start: usize, tokens: usize) -> usize;
}

/// The white space at a chunk's ends that is no part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trim {
    All,
    /// A chunk of several lines keeps the indentation of its first.
    KeepIndentation,
    /// Only line breaks, and lines that are blank: a blank may be a delimiter.
    Lines,
}

/// The size of chunks, in tokens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capacity {
    pub(super) max: usize,
    pub(super) overlap: usize,
}

/// The part of the text that the chunk at the cursor may look at, by byte offsets.
#[derive(Debug, Clone, Copy)]
struct Window {
    /// A chunk that ends here or later is certainly too large.
    horizon: usize,
    end: usize,
    /// The units up to `end` are known from the text up to here.
    units_end: usize,
    /// Tokens before the horizon that chunks or white space have used since it was found.
    tokens_used: usize,
}

/// A window ends at horizon + (horizon - cursor, without white space) + this many bytes. The sections in it decide which
/// ends the binary search tries, and where sizes do not strictly grow, this decides what it finds. text-splitter sees as
/// many sections as its largest chunk so far had bytes.
const WINDOW_BYTES: usize = 4096;

/// What the text falls into sections by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SplitLevel {
    Boundary(boundaries::Level),
    Unit(Unit),
}

/// The end of the first section of a level, and the next lower level.
#[derive(Debug, Clone, Copy)]
struct FirstSection {
    level: SplitLevel,
    end: usize,
    lower: Option<SplitLevel>,
}

/// The chunks of a text, as ranges of bytes.
pub(super) struct Chunks<'a, S> {
    text: &'a str,
    boundaries: Boundaries<'a>,
    whitespace: WhitespaceRuns<'a>,
    sizer: S,
    capacity: Capacity,
    trim: Trim,
    interrupt: Interrupt,
    /// Where the next chunk begins.
    cursor: usize,
    /// Ends of the sections that the next chunk is made of; each begins where the one before ends.
    sections: Vec<u32>,
    /// The last window, if it serves the next chunk too.
    window: Option<Window>,
    /// The bytes of the largest chunk so far.
    largest_chunk: Option<usize>,
    /// Where the last chunk ended.
    emitted: usize,
    /// The slice that was counted last, and its size.
    counted: Cell<(usize, usize, usize)>,
}

impl<'a, S: Sizer> Chunks<'a, S> {
    pub(super) fn new(
        text: &'a str,
        boundaries: Boundaries<'a>,
        trim: Trim,
        sizer: S,
        capacity: Capacity,
        interrupt: Interrupt,
    ) -> Self {
        Chunks {
            text,
            boundaries,
            whitespace: WhitespaceRuns::of(text),
            sizer,
            capacity,
            trim,
            interrupt,
            cursor: 0,
            sections: Vec::new(),
            window: None,
            largest_chunk: None,
            emitted: 0,
            counted: Cell::new((usize::MAX, usize::MAX, 0)),
        }
    }

    pub(super) fn sizer(&self) -> &S {
        &self.sizer
    }

    /// The headings above the chunk that begins at `start`, if the format has headings: see [`boundaries::BoundaryReader::headings_at`].
    pub(super) fn headings_at(&mut self, start: usize) -> Option<Vec<String>> {
        // A heading may be indented, and so is its chunk then.
        self.boundaries.headings_at(self.whitespace.after(start))
    }

    /// The header of the table that the chunk at `start` begins in: see [`boundaries::BoundaryReader::header_at`].
    pub(super) fn header_at(&mut self, start: usize) -> Option<Range<usize>> {
        self.boundaries.header_at(self.whitespace.after(start))
    }

    fn next_chunk(&mut self) -> Range<usize> {
        let window = self.window.take().unwrap_or_else(|| self.look_ahead());
        self.boundaries.advance(self.cursor, window.end);
        self.break_large_atom();
        let mut sections = take(&mut self.sections);
        sections.clear();
        let low = self.gather(&mut sections, window);
        let end = self.search(&sections, low, window);
        let chunk = self.trimmed(self.cursor, end);
        self.largest_chunk = self.largest_chunk.max(Some(end - self.cursor));
        let next = self.overlapping(&sections, end, chunk.is_empty());
        self.window = self.kept(window, next);
        self.cursor = next;
        self.sections = sections;
        chunk
    }

    /// An atom that is too large for a chunk is cut as any text is, once the chunks before it are cut.
    fn break_large_atom(&mut self) {
        let start = self.whitespace.after(self.cursor);
        if let Some(end) = self.boundaries.atom_at(start)
            && self.size(start, end) > self.capacity.max
        {
            self.boundaries.break_atom();
        }
    }

    fn look_ahead(&self) -> Window {
        let start = self.whitespace.after(self.cursor);
        // Counts grow with the text but for a few tokens, and white space at its end is no part of it.
        let tokens = self.capacity.max.saturating_mul(2).saturating_add(64);
        let reached = self.sizer.offset_beyond(start, tokens);
        let word = self.whitespace.after(reached);
        if reached >= self.text.len() || word >= self.text.len() {
            let end = self.text.len();
            return Window {
                horizon: usize::MAX,
                end,
                units_end: end,
                tokens_used: 0,
            };
        }
        let horizon = self.text.ceil_char_boundary(word + 1);
        let end = horizon
            .saturating_add(reached - start)
            .saturating_add(WINDOW_BYTES);
        let end = self.text.ceil_char_boundary(end.min(self.text.len()));
        Window {
            horizon,
            end,
            units_end: units::stable_end(self.text, end),
            tokens_used: 0,
        }
    }

    /// The same window for a chunk that begins at `next`, if the text from there to the horizon is still too large. White
    /// space that the chunk begins with is no part of it.
    fn kept(&self, mut window: Window, next: usize) -> Option<Window> {
        if window.horizon == usize::MAX {
            return Some(window);
        }
        let (last, next) = (self.whitespace.after(self.cursor), self.whitespace.after(next));
        // A token is seldom more than eight bytes; if it is, the window is only found again too early.
        if (next - last) / 8 < self.capacity.max / 2 {
            window.tokens_used += self.sizer.count(&self.text[last..next]);
            return (window.tokens_used <= self.capacity.max / 2).then_some(window);
        }
        None
    }

    /// The ends of the sections from the cursor on.
    fn ends(&self, level: SplitLevel, window: Window) -> Box<dyn Iterator<Item = usize> + '_> {
        match level {
            SplitLevel::Boundary(level) => {
                Box::new(
                    self.boundaries
                        .sections(level, self.cursor, self.text.len(), &self.whitespace),
                )
            }
            SplitLevel::Unit(unit) => {
                let ends = unit.ends(&self.text[..window.units_end], self.cursor);
                match unit {
                    Unit::Word | Unit::Sentence if self.boundaries.has_atoms() => {
                        Box::new(ends.filter(|&end| !self.boundaries.is_in_atom(end)))
                    }
                    _ => ends,
                }
            }
        }
    }

    /// The highest level whose first section fits, and the end of the next level's first section, which does not fit.
    fn best(
        &self,
        firsts: impl Iterator<Item = FirstSection>,
        window: Window,
    ) -> (Option<SplitLevel>, Option<usize>) {
        let mut best = None;
        let mut seen: Option<FirstSection> = None;
        for first in firsts.map(Some).chain([None]) {
            // Of levels whose sections do not grow, the highest counts.
            if let Some(seen) = seen
                && first.is_none_or(|first| first.end > seen.end)
            {
                if self.too_large(seen, window) {
                    return (best, Some(seen.end));
                }
                best = Some(seen.level);
            }
            seen = first;
        }
        (best, None)
    }

    /// Whether a first section does not fit. As in text-splitter this is also true of one that fits, if some beginning of it
    /// is far too large.
    fn too_large(&self, first: FirstSection, window: Window) -> bool {
        let max = self.capacity.max;
        // A token is at least a byte.
        if first.end - self.cursor <= max {
            return false;
        }
        if first.end >= window.horizon || self.size(self.cursor, first.end) > max {
            return true;
        }
        let probed = self.cursor.saturating_add(max.saturating_mul(8));
        let (Some(lower), true) = (first.lower, probed < first.end) else {
            return false;
        };
        let mut ends = self.ends(lower, window).take_while(|&end| end < first.end);
        let mut next = ends.find(|&end| end >= probed);
        let mut step = 1;
        while let Some(end) = next {
            if self.size(self.cursor, end) > max.saturating_add((max / 4).max(1)) {
                return true;
            }
            next = ends.nth(step - 1);
            step *= 2;
        }
        false
    }

    fn split_level(&self, window: Window) -> (SplitLevel, Option<usize>) {
        let mut lower = None;
        let of_format = self.boundaries.levels().map(|level| FirstSection {
            level: SplitLevel::Boundary(level),
            end: self
                .boundaries
                .first_section(level, self.cursor, self.text.len(), &self.whitespace),
            lower: lower.replace(SplitLevel::Boundary(level)),
        });
        let (best, limit) = self.best(of_format, window);
        if let Some(level) = best {
            return (level, limit);
        }
        let units = Unit::ALL.into_iter().filter_map(|unit| {
            Some(FirstSection {
                level: SplitLevel::Unit(unit),
                end: self.ends(SplitLevel::Unit(unit), window).next()?,
                lower: (unit == Unit::Sentence).then_some(SplitLevel::Unit(Unit::Word)),
            })
        });
        let (best, unit_limit) = self.best(units, window);
        let limit = match (limit, unit_limit) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        (best.unwrap_or(SplitLevel::Unit(Unit::Character)), limit)
    }

    /// Collects the sections from the cursor on, until they are too large together. Returns the first one that is worth
    /// trying as the chunk's last.
    fn gather(&self, sections: &mut Vec<u32>, window: Window) -> usize {
        let (level, limit) = self.split_level(window);
        let limit = limit.unwrap_or(usize::MAX);
        let mut ends = self.ends(level, window);
        let max = self.capacity.max;
        let mut target = self.largest_chunk.unwrap_or(max);
        let (mut low, mut end) = (0, self.cursor);
        loop {
            let before = sections.len();
            let until = self.cursor.saturating_add(target).min(window.end);
            while end <= limit
                && end <= until
                && let Some(next) = ends.next()
            {
                self.interrupt.check();
                sections.push(next as u32);
                end = next;
            }
            let length = end - self.cursor;
            if sections.len() == before || length < target || end >= window.horizon {
                return low;
            }
            let size = self.size(self.cursor, end);
            match size.cmp(&max) {
                Ordering::Less => low = sections.len() - 1,
                Ordering::Equal => {}
                Ordering::Greater => return low,
            }
            let size = size.max(1);
            let missing = (max - size).max(1);
            target = length
                .saturating_add(missing.saturating_mul(length.div_ceil(size)))
                .saturating_add(length.div_ceil(10));
        }
    }

    /// The end of the chunk: of the last section that fits, or of those after it that add no token.
    fn search(&self, sections: &[u32], mut low: usize, window: Window) -> usize {
        let mut high = sections.len().saturating_sub(1);
        let mut found: Option<(usize, usize)> = None;
        let mut end = self.cursor;
        let mut full = false;
        while low <= high {
            let middle = low + (high - low) / 2;
            let here = sections[middle] as usize;
            let size = self.size_within(here, window, middle == 0);
            let fits = size.cmp(&self.capacity.max);
            let better = match fits {
                Ordering::Less => here > end,
                Ordering::Equal => here < end || !full,
                // A chunk has at least one section.
                Ordering::Greater => middle == 0 && end == self.cursor,
            };
            full |= fits.is_eq();
            if better {
                end = here;
                found = Some((middle, size));
            }
            if fits.is_lt() {
                low = middle + 1;
            } else if middle > 0 {
                high = middle - 1;
            } else {
                break;
            }
        }
        if let Some((last, size)) = found {
            for &here in &sections[last + 1..] {
                let here = here as usize;
                if self.size_within(here, window, false) > size {
                    break;
                }
                end = end.max(here);
            }
        }
        end
    }

    /// Where the next chunk begins: at the end of this one, or at the section that gives the overlap.
    fn overlapping(&self, sections: &[u32], end: usize, blank: bool) -> usize {
        if self.capacity.overlap == 0 {
            return end;
        }
        if blank {
            // It may be the indentation of a chunk, but near its end only.
            let near = end.saturating_sub(WINDOW_BYTES.max(self.capacity.max.saturating_mul(16)));
            let far = sections.partition_point(|&here| (here as usize) < near);
            if far > 0
                && let Some(&here) = sections.get(far)
            {
                return here as usize;
            }
        }
        let mut start = end;
        let mut low = 0;
        let mut high = sections.partition_point(|&here| (here as usize) < end);
        while low <= high {
            let middle = low + (high - low) / 2;
            let here = if middle == 0 {
                self.cursor
            } else {
                sections[middle - 1] as usize
            };
            let fits = self.size(here, end).cmp(&self.capacity.overlap);
            if fits.is_le() && here < start && here > self.cursor {
                start = here;
            }
            if fits.is_lt() && middle > 0 {
                high = middle - 1;
            } else {
                low = middle + 1;
            }
        }
        start
    }

    /// The size from the cursor to `end`; or `usize::MAX` if it is certainly too large and need not be exact.
    fn size_within(&self, end: usize, window: Window, exactly: bool) -> usize {
        if end >= window.horizon && !exactly {
            return usize::MAX;
        }
        self.size(self.cursor, end)
    }

    /// The size of a chunk with these ends, trimmed.
    fn size(&self, start: usize, end: usize) -> usize {
        self.interrupt.check();
        let Range { start, end } = self.trimmed(start, end);
        let (last_start, last_end, last_size) = self.counted.get();
        if (last_start, last_end) == (start, end) {
            return last_size;
        }
        let size = self.sizer.count(&self.text[start..end]);
        self.counted.set((start, end, size));
        size
    }

    fn trimmed(&self, start: usize, end: usize) -> Range<usize> {
        let first = self.whitespace.after(start).min(end);
        let last = self.whitespace.before(end).max(first);
        let lines = || memchr2(b'\n', b'\r', &self.text.as_bytes()[first..last]).is_some();
        match self.trim {
            Trim::KeepIndentation if lines() => self.whitespace.after_breaks(start)..last,
            Trim::Lines if first < last => {
                let bytes = self.text.as_bytes();
                let before = memrchr2(b'\n', b'\r', &bytes[start..first]);
                let behind = memchr2(b'\n', b'\r', &bytes[last..end]);
                before.map_or(start, |at| start + at + 1)..behind.map_or(end, |at| last + at)
            }
            _ => first..last,
        }
    }
}

impl<S: Sizer> Iterator for Chunks<'_, S> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        // An overlap at the end of the text would be walked through for nothing.
        let last_end = self.whitespace.before(self.text.len());
        while self.cursor < self.text.len() && self.emitted < last_end {
            self.interrupt.check();
            let chunk = self.next_chunk();
            // Only white space, or with overlap nothing that the last chunk did not have.
            if !chunk.is_empty() && chunk.end > self.emitted {
                self.emitted = chunk.end;
                return Some(chunk);
            }
        }
        None
    }
}
