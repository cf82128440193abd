//! Plain text is cut at line breaks: the more of them in a row, the higher the level.

use super::marks::{Edge, Level, Mark, Marks};
use crate::core::Interrupt;
use memchr::memchr2;

pub(in crate::core) fn marks(text: &str, interrupt: Interrupt) -> Marks {
    let bytes = text.as_bytes();
    let mut marks = Vec::new();
    let mut end = 0;
    while let Some(next) = memchr2(b'\n', b'\r', &bytes[end..]) {
        interrupt.check();
        let start = end + next;
        let run = bytes[start..]
            .iter()
            .take_while(|&&byte| matches!(byte, b'\n' | b'\r'));
        end = start + run.count();
        marks.push(Mark::new(level(&bytes[start..end]), start, end));
    }
    Marks::new(marks, |_| Edge::Around, interrupt)
}

/// How many line breaks; `\r\n` is one.
fn level(breaks: &[u8]) -> Level {
    let pairs = breaks.windows(2).filter(|pair| pair == b"\r\n").count();
    Level::of(breaks.len() - pairs)
}
