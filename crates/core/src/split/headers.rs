//! The headers of the tables in a text.

use std::collections::VecDeque;
use std::ops::Range;

/// The header of the table that each part of a text is in. The text is read a part at a time, and headers are looked up in
/// between.
#[derive(Default)]
pub(super) struct Headers {
    /// The header at the last place looked up.
    now: Option<Range<usize>>,
    /// The header from each place on, ascending, as far as the text is read.
    ahead: VecDeque<(usize, Option<Range<usize>>)>,
}

impl Headers {
    /// From `place` on, the header is this one. Places must not descend from call to call.
    pub(super) fn push(&mut self, place: usize, header: Option<Range<usize>>) {
        self.ahead.push_back((place, header));
    }

    /// Forgets what was pushed for places after this one.
    pub(super) fn forget_after(&mut self, place: usize) {
        while self.ahead.pop_back_if(|(from, _)| *from > place).is_some() {}
    }

    /// Forgets the last place, so that the header before it goes on.
    pub(super) fn go_on(&mut self) {
        self.ahead.pop_back();
    }

    /// The header at a place, as a range of bytes. Places must not descend from call to call.
    pub(super) fn at(&mut self, place: usize) -> Option<Range<usize>> {
        while let Some((_, header)) = self.ahead.pop_front_if(|(from, _)| *from <= place) {
            self.now = header;
        }
        self.now.clone()
    }
}
