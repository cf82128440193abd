//! Plain text is cut at line breaks: the more of them in a row, the higher the level.

use super::marks::{Edge, Level, Mark, Marks, Reader};
use crate::core::Interrupt;
use memchr::memchr2;

pub(in crate::core) fn marks(text: &str, interrupt: Interrupt) -> Marks<'_> {
    let breaks = LineBreaks {
        text,
        at: 0,
        interrupt,
    };
    Marks::new(breaks, |_| Edge::Around, interrupt)
}

struct LineBreaks<'a> {
    text: &'a str,
    at: usize,
    interrupt: Interrupt,
}

impl Reader for LineBreaks<'_> {
    fn read(&mut self, marks: &mut Vec<Mark>) -> Option<usize> {
        self.interrupt.check();
        let bytes = self.text.as_bytes();
        let start = self.at + memchr2(b'\n', b'\r', &bytes[self.at..])?;
        let run = bytes[start..]
            .iter()
            .take_while(|&&byte| matches!(byte, b'\n' | b'\r'));
        self.at = start + run.count();
        marks.push(Mark::new(level(&bytes[start..self.at]), start, self.at));
        Some(self.at)
    }
}

/// How many line breaks; `\r\n` is one.
fn level(breaks: &[u8]) -> Level {
    let pairs = breaks.windows(2).filter(|pair| pair == b"\r\n").count();
    Level::of(breaks.len() - pairs)
}
