//! Plain text is cut at line breaks: the more of them in a row, the higher the level.

use super::boundaries::{Boundaries, Boundary, BoundaryReader, Level, SplitPosition};
use crate::Interrupt;
use memchr::memchr2;

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
        let bytes = self.text.as_bytes();
        let start = self.at + memchr2(b'\n', b'\r', &bytes[self.at..])?;
        let run = bytes[start..]
            .iter()
            .take_while(|&&byte| matches!(byte, b'\n' | b'\r'));
        self.at = start + run.count();
        boundaries.push(Boundary::new(level(&bytes[start..self.at]), start, self.at));
        Some(self.at)
    }
}

/// The number of line breaks, of which `\r\n` is one.
fn level(breaks: &[u8]) -> Level {
    let pairs = breaks.windows(2).filter(|pair| pair == b"\r\n").count();
    Level::of(breaks.len() - pairs)
}
