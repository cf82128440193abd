//! White space: where the next word begins and the last one ended, however far away.

/// Runs of white space of at least this many bytes are recorded; shorter ones are walked through.
const LONG_RUN: usize = 64;

/// The runs of white space in a text.
pub(super) struct WhitespaceRuns<'a> {
    text: &'a str,
    /// The runs of [`LONG_RUN`] bytes or more, as ranges of bytes.
    long: Vec<(u32, u32)>,
}

impl<'a> WhitespaceRuns<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let mut long = Vec::new();
        let mut at = 0;
        // No long run fits between two looks.
        while at < text.len() {
            let here = text.floor_char_boundary(at);
            at += LONG_RUN / 2;
            let end = here + blank_prefix(&text[here..]);
            if end > here {
                let start = text[..here].trim_end().len();
                if end - start >= LONG_RUN {
                    long.push((start as u32, end as u32));
                    at = at.max(end);
                }
            }
        }
        WhitespaceRuns { text, long }
    }

    /// Where the first word at or after `at` begins, or the end of the text.
    pub(super) fn after(&self, at: usize) -> usize {
        let near = self.text.floor_char_boundary(at.saturating_add(LONG_RUN));
        let end = at + blank_prefix(&self.text[at..near]);
        if end < near || near == self.text.len() {
            return end;
        }
        // Only a long run goes on so far.
        match self
            .long
            .get(self.long.partition_point(|&(_, end)| end as usize <= at))
        {
            Some(&(start, end)) if start as usize <= at => end as usize,
            _ => end + blank_prefix(&self.text[end..]),
        }
    }

    /// Where the last word before `at` ends, or the beginning of the text.
    pub(super) fn before(&self, at: usize) -> usize {
        let near = self.text.ceil_char_boundary(at.saturating_sub(LONG_RUN));
        let start = near + self.text[near..at].trim_end().len();
        if start > near || near == 0 {
            return start;
        }
        match self
            .long
            .partition_point(|&(start, _)| (start as usize) < at)
            .checked_sub(1)
        {
            Some(run) if self.long[run].1 as usize >= at => self.long[run].0 as usize,
            _ => self.text[..start].trim_end().len(),
        }
    }

    /// Whether a range holds nothing but white space.
    pub(super) fn only(&self, start: usize, end: usize) -> bool {
        start >= end || self.after(start) >= end
    }

    /// The end of the line breaks at `at`, or `at` if there are none.
    pub(super) fn after_breaks(&self, at: usize) -> usize {
        let rest = &self.text.as_bytes()[at..];
        at + rest
            .iter()
            .take_while(|&&byte| matches!(byte, b'\n' | b'\r'))
            .count()
    }
}

fn blank_prefix(text: &str) -> usize {
    text.len() - text.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn it_is_what_trim_says(text in "([ \t\n\u{3000}]{0,200}[a日]{0,3}){0,6}") {
            let whitespace = WhitespaceRuns::of(&text);
            for (at, _) in text.char_indices().chain([(text.len(), ' ')]) {
                prop_assert_eq!(whitespace.after(at), text.len() - text[at..].trim_start().len());
                prop_assert_eq!(whitespace.before(at), text[..at].trim_end().len());
            }
        }
    }
}
