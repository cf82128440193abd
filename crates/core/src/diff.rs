//! What changed between two texts: lines, and the words in them.

mod align;
#[cfg(test)]
mod tests;
mod words;

use crate::Interrupt;
use align::{Hunk, Windows};
use std::collections::VecDeque;
use std::fmt::Write;
pub use words::Part;

/// Longer texts are refused. It is also the most that a source may have.
pub const MOST_BYTES: usize = 64 << 20;

/// What a row says about its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Both texts have the line.
    Unchanged,
    /// Only the old text has it.
    Removed,
    /// Only the new text has it.
    Added,
}

impl Kind {
    /// The name, as the API has it.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Unchanged => "unchanged",
            Kind::Removed => "removed",
            Kind::Added => "added",
        }
    }

    fn mark(self) -> char {
        match self {
            Kind::Unchanged => ' ',
            Kind::Removed => '-',
            Kind::Added => '+',
        }
    }
}

/// A line of a difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row<'a> {
    /// Which texts have the line.
    pub kind: Kind,
    /// How many lines of the old text come up to here, this line included.
    old_lines: usize,
    /// How many lines of the new text come up to here, this line included.
    new_lines: usize,
    /// The line with the line feed at its end. The last line of a text may have none.
    pub line: &'a str,
    /// The line without its line feed, in parts that changed and parts that did not. None if it has no counterpart.
    pub parts: Option<Vec<Part<'a>>>,
}

impl<'a> Row<'a> {
    /// The number of the line in the old text, from 1.
    pub fn old_line(&self) -> Option<usize> {
        (self.kind != Kind::Added).then_some(self.old_lines)
    }

    /// The number of the line in the new text, from 1.
    pub fn new_line(&self) -> Option<usize> {
        (self.kind != Kind::Removed).then_some(self.new_lines)
    }

    /// The line without its line feed.
    pub fn content(&self) -> &'a str {
        self.line.strip_suffix('\n').unwrap_or(self.line)
    }
}

/// The changed lines, with as many unchanged lines around them as `context` says, in order. With `mark_words`, lines that took
/// the place of others have parts. Time is linear in the length of the texts, and memory does not grow with it.
pub fn rows<'a>(
    old: &'a str,
    new: &'a str,
    context: usize,
    mark_words: bool,
    interrupt: Interrupt,
) -> impl Iterator<Item = Row<'a>> {
    let all = Rows {
        windows: Windows::new(old.split_inclusive('\n'), new.split_inclusive('\n'), interrupt),
        ready: VecDeque::new(),
        old_lines: 0,
        new_lines: 0,
        mark_words,
        interrupt,
    };
    Near {
        all,
        context,
        before: VecDeque::new(),
        ready: VecDeque::new(),
        after: 0,
    }
}

/// All lines of both texts.
struct Rows<'a, O, N> {
    windows: Windows<'a, O, N>,
    ready: VecDeque<Row<'a>>,
    old_lines: usize,
    new_lines: usize,
    mark_words: bool,
    interrupt: Interrupt,
}

impl<'a, O: Iterator<Item = &'a str>, N: Iterator<Item = &'a str>> Iterator for Rows<'a, O, N> {
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        while self.ready.is_empty() {
            let window = self.windows.next()?;
            let mut at = 0;
            for hunk in &window.hunks {
                self.unchanged(&window.old[at..hunk.old.start]);
                self.changed(&window.old, &window.new, hunk);
                at = hunk.old.end;
            }
            self.unchanged(&window.old[at..]);
        }
        self.ready.pop_front()
    }
}

impl<'a, O, N> Rows<'a, O, N> {
    fn unchanged(&mut self, lines: &[&'a str]) {
        for line in lines {
            self.push(Kind::Unchanged, line, None);
        }
    }

    fn changed(&mut self, old: &[&'a str], new: &[&'a str], hunk: &Hunk) {
        let (old, new) = (&old[hunk.old.clone()], &new[hunk.new.clone()]);
        let marked = self
            .mark_words
            .then(|| words::mark(old, new, self.interrupt))
            .flatten();
        let (mut old_parts, mut new_parts) = marked.unwrap_or_default();
        old_parts.resize(old.len(), None);
        new_parts.resize(new.len(), None);
        for (line, parts) in old.iter().zip(old_parts) {
            self.push(Kind::Removed, line, parts);
        }
        for (line, parts) in new.iter().zip(new_parts) {
            self.push(Kind::Added, line, parts);
        }
    }

    fn push(&mut self, kind: Kind, line: &'a str, parts: Option<Vec<Part<'a>>>) {
        self.old_lines += usize::from(kind != Kind::Added);
        self.new_lines += usize::from(kind != Kind::Removed);
        self.ready.push_back(Row {
            kind,
            old_lines: self.old_lines,
            new_lines: self.new_lines,
            line,
            parts,
        });
    }
}

/// Leaves out unchanged lines that are far from a change.
struct Near<'a, I> {
    all: I,
    context: usize,
    before: VecDeque<Row<'a>>,
    ready: VecDeque<Row<'a>>,
    /// How many unchanged lines still follow the last change.
    after: usize,
}

impl<'a, I: Iterator<Item = Row<'a>>> Iterator for Near<'a, I> {
    type Item = Row<'a>;

    fn next(&mut self) -> Option<Row<'a>> {
        loop {
            if let Some(row) = self.ready.pop_front() {
                return Some(row);
            }
            let row = self.all.next()?;
            if row.kind != Kind::Unchanged {
                self.after = self.context;
                self.ready.append(&mut self.before);
                self.ready.push_back(row);
            } else if self.after > 0 {
                self.after -= 1;
                return Some(row);
            } else if self.context > 0 {
                if self.before.len() == self.context {
                    self.before.pop_front();
                }
                self.before.push_back(row);
            }
        }
    }
}

/// The difference as a unified diff, which `patch` and `git apply` read. Empty if the texts are equal. The names must have no
/// line feed.
pub fn unified(
    (old_name, old): (&str, &str),
    (new_name, new): (&str, &str),
    context: usize,
    interrupt: Interrupt,
) -> String {
    let mut text = String::new();
    let mut hunk = UnifiedHunk::default();
    for row in rows(old, new, context, false, interrupt) {
        if text.is_empty() {
            text = format!("--- {old_name}\n+++ {new_name}\n");
        }
        if !hunk.is_followed_by(&row) {
            hunk.finish(&mut text);
        }
        hunk.push(&row);
    }
    hunk.finish(&mut text);
    text
}

/// Lines that follow each other in both texts.
#[derive(Default)]
struct UnifiedHunk {
    body: String,
    old: Lines,
    new: Lines,
}

/// Lines of one text.
#[derive(Default, PartialEq)]
struct Lines {
    before: usize,
    count: usize,
}

impl Lines {
    /// How a unified diff writes them. Of no lines, the number is that of the line before.
    fn range(&self) -> String {
        match self.count {
            0 => format!("{},0", self.before),
            1 => format!("{}", self.before + 1),
            count => format!("{},{count}", self.before + 1),
        }
    }
}

/// The lines before a row, in the old text and in the new text.
fn before(row: &Row<'_>) -> (usize, usize) {
    (
        row.old_lines - usize::from(row.kind != Kind::Added),
        row.new_lines - usize::from(row.kind != Kind::Removed),
    )
}

impl UnifiedHunk {
    fn is_followed_by(&self, row: &Row<'_>) -> bool {
        let end = (self.old.before + self.old.count, self.new.before + self.new.count);
        self.body.is_empty() || before(row) == end
    }

    fn push(&mut self, row: &Row<'_>) {
        if self.body.is_empty() {
            let (old, new) = before(row);
            self.old = Lines { before: old, count: 0 };
            self.new = Lines { before: new, count: 0 };
        }
        self.old.count += usize::from(row.kind != Kind::Added);
        self.new.count += usize::from(row.kind != Kind::Removed);
        self.body.push(row.kind.mark());
        self.body.push_str(row.line);
        if !row.line.ends_with('\n') {
            self.body.push_str("\n\\ No newline at end of file\n");
        }
    }

    fn finish(&mut self, text: &mut String) {
        if self.body.is_empty() {
            return;
        }
        // Writing to a string does not fail.
        let _ = writeln!(text, "@@ -{} +{} @@", self.old.range(), self.new.range());
        text.push_str(&self.body);
        self.body.clear();
    }
}
