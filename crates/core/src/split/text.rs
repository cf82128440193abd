//! Plain text is cut at line breaks: the more of them in a row, the higher the level.

use super::boundaries::{Boundaries, Boundary, BoundaryReader, Level, SplitPosition};
use crate::Interrupt;
use memchr::memchr2;
use std::ops::Range;

pub(crate) fn boundaries(text: &str, interrupt: Interrupt) -> Boundaries<'_> {
    let breaks = LineBreaks {
        text,
        at: 0,
        interrupt,
    };
    Boundaries::new(breaks, |_| SplitPosition::Around, interrupt)
}

struct LineBreaks<'a> {
    text: &'a str,
    at: usize,
    interrupt: Interrupt,
}

impl BoundaryReader for LineBreaks<'_> {
    fn read(&mut self, boundaries: &mut Vec<Boundary>) -> Option<usize> {
        self.interrupt.check();
        let (breaks, number) = line_breaks(self.text, self.at)?;
        self.at = breaks.end;
        boundaries.push(Boundary::new(Level::of(number), breaks.start, breaks.end));
        Some(self.at)
    }
}

/// The next line breaks in a row, and their number, of which `\r\n` is one.
pub(super) fn line_breaks(text: &str, at: usize) -> Option<(Range<usize>, usize)> {
    let bytes = text.as_bytes();
    let start = at + memchr2(b'\n', b'\r', &bytes[at..])?;
    let run = bytes[start..]
        .iter()
        .take_while(|&&byte| matches!(byte, b'\n' | b'\r'));
    let end = start + run.count();
    let pairs = bytes[start..end]
        .windows(2)
        .filter(|pair| pair == b"\r\n")
        .count();
    Some((start..end, end - start - pairs))
}
