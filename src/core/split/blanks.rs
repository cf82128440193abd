//! White space: where words begin and end, however far away they are.

/// Runs of white space that are shorter are simply walked through.
const LONG: usize = 64;

/// The white space of a text.
pub(super) struct Blanks<'a> {
    text: &'a str,
    /// Runs of white space of [`LONG`] bytes or more.
    long: Vec<(u32, u32)>,
}

impl<'a> Blanks<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let mut long = Vec::new();
        let mut at = 0;
        // No long run fits between two looks.
        while at < text.len() {
            let here = text.floor_char_boundary(at);
            at += LONG / 2;
            let end = here + blank_prefix(&text[here..]);
            if end > here {
                let start = text[..here].trim_end().len();
                if end - start >= LONG {
                    long.push((start as u32, end as u32));
                    at = at.max(end);
                }
            }
        }
        Blanks { text, long }
    }

    /// Where the first word at or behind `at` begins, or the end of the text.
    pub(super) fn after(&self, at: usize) -> usize {
        let near = self.text.floor_char_boundary(at.saturating_add(LONG));
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
        let near = self.text.ceil_char_boundary(at.saturating_sub(LONG));
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

    /// Whether there is nothing but white space.
    pub(super) fn only(&self, start: usize, end: usize) -> bool {
        start >= end || self.after(start) >= end
    }

    /// Where the line breaks at `at`, if there are some, end.
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
            let blanks = Blanks::of(&text);
            for (at, _) in text.char_indices().chain([(text.len(), ' ')]) {
                prop_assert_eq!(blanks.after(at), text.len() - text[at..].trim_start().len());
                prop_assert_eq!(blanks.before(at), text[..at].trim_end().len());
            }
        }
    }
}
