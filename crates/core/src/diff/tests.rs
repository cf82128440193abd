use super::*;
use crate::interrupts;
use proptest::prelude::*;

const NEVER: Interrupt = Interrupt::NEVER;

/// Rows as `-old 1 a`: kind, numbers, content with changed parts in brackets.
fn shown(old: &str, new: &str, context: usize) -> Vec<String> {
    let number = |line: Option<usize>| line.map_or("·".into(), |line| line.to_string());
    rows(old, new, context, true, NEVER)
        .map(|row| {
            let marked = row.parts.as_ref().map(|parts| {
                let part = |part: &Part<'_>| match part.is_changed {
                    true => format!("[{}]", part.text),
                    false => part.text.to_owned(),
                };
                parts.iter().map(part).collect::<String>()
            });
            format!(
                "{}{} {} {}",
                row.kind.mark(),
                number(row.old_line()),
                number(row.new_line()),
                marked.unwrap_or_else(|| row.content().to_owned())
            )
        })
        .collect()
}

#[test]
fn changed_words_are_marked() {
    assert_eq!(
        shown(
            "# Vision\n\nA map of winds.\nFor sailors.\n",
            "# Vision\n\nA map of the winds and tides.\nFor sailors.\n",
            1
        ),
        [
            " 2 2 ",
            "-3 · A map of winds.",
            "+· 3 A map of [the ]winds[ and tides].",
            " 4 4 For sailors."
        ]
    );
}

#[test]
fn words_of_scripts_without_spaces_are_marked() {
    assert_eq!(
        shown("東京都は日本の首都である", "東京都は日本の中心である", 0),
        ["-1 · 東京都は日本の[首都]である", "+· 1 東京都は日本の[中心]である"]
    );
}

#[test]
fn lines_that_have_only_commas_in_common_are_no_versions() {
    assert_eq!(
        shown("one, two, three\n", "winds, tides, maps\n", 0),
        ["-1 · one, two, three", "+· 1 winds, tides, maps"]
    );
}

#[test]
fn a_paragraph_that_was_wrapped_anew_keeps_its_words() {
    assert_eq!(
        shown(
            "the wind comes from the west and\ngoes east\n",
            "the wind comes from the west\nand goes east\n",
            0
        ),
        [
            "-1 · the wind comes from the west[ ]and",
            "-2 · goes east",
            "+· 1 the wind comes from the west",
            "+· 2 and[ ]goes east"
        ]
    );
}

#[test]
fn a_long_paste_does_not_move_the_rest_apart() {
    let line = |number: usize| format!("line {number}\n");
    let old: String = (0..5000).map(line).collect();
    let pasted: String = (0..3000).map(|number| format!("pasted {number}\n")).collect();
    let new = pasted + &old;
    assert!(rows(&old, &new, 0, false, NEVER).all(|row| row.kind == Kind::Added));
    assert_eq!(rows(&old, &new, 0, false, NEVER).count(), 3000);
}

#[test]
fn texts_of_several_windows_are_compared_to_their_end() {
    let line = |number: usize| format!("line {number}\n");
    let old: String = (0..200_000).map(line).collect();
    let new: String = (0..200_000).filter(|number| number % 50_000 != 49_999).map(line).collect();
    let removed: Vec<_> = rows(&old, &new, 0, false, NEVER).map(|row| (row.kind, row.old_line())).collect();
    let expected = [50_000, 100_000, 150_000, 200_000].map(|line| (Kind::Removed, Some(line)));
    assert_eq!(removed, expected);
}

#[test]
fn the_unified_form_is_that_of_gnu_diff() {
    assert_eq!(
        unified(("a", "1\n2\n3\n4\n5\n6\n7\n8\n9\n"), ("b", "1\n2\n3\n4\n5\n6\n7\n8\n10"), 1, NEVER),
        "--- a\n+++ b\n@@ -8,2 +8,2 @@\n 8\n-9\n+10\n\\ No newline at end of file\n"
    );
    assert_eq!(unified(("a", ""), ("b", "x\n"), 3, NEVER), "--- a\n+++ b\n@@ -0,0 +1 @@\n+x\n");
    assert_eq!(
        unified(("a", "1\n2\n3\n"), ("b", "1\n3\n"), 0, NEVER),
        "--- a\n+++ b\n@@ -2 +1,0 @@\n-2\n"
    );
    assert_eq!(unified(("a", "same"), ("b", "same"), 3, NEVER), "");
}

#[test]
fn long_work_can_be_cancelled() {
    let letters = |step: usize| -> String {
        let letter = |at: usize| [b'a' + (at * at / step % 26) as u8, b'\n'].map(char::from);
        (0..300_000).flat_map(letter).collect()
    };
    let (old, new) = (letters(3), letters(7));
    let asked = interrupts(|interrupt| {
        rows(&old, &new, 0, false, interrupt).count();
    });
    assert!(asked > 300, "{asked}");
    let (old, new) = ("ab ".repeat(100_000), "b a".repeat(100_000));
    let asked = interrupts(|interrupt| {
        rows(&old, &new, 0, true, interrupt).count();
    });
    assert!(asked > 300, "{asked}");
}

/// What `patch` does.
fn patched(old: &str, patch: &str) -> String {
    let mut lines = old.split_inclusive('\n');
    let mut read = 0;
    let mut new = String::new();
    let mut rest = patch.split_inclusive('\n').skip(2).peekable();
    while let Some(line) = rest.next() {
        let mut body = line[1..].to_owned();
        if rest.peek().is_some_and(|line| line.starts_with('\\')) {
            rest.next();
            body.pop();
        }
        match line.as_bytes()[0] {
            b'@' => {
                let range = line[4..].split(' ').next().unwrap_or_default();
                let (start, count) = range.split_once(',').unwrap_or((range, "1"));
                let start: usize = start.parse().unwrap_or_default();
                let until = start - usize::from(count != "0");
                new.extend(lines.by_ref().take(until - read));
                read = until;
            }
            b'+' => new += &body,
            kind => {
                assert_eq!(lines.next(), Some(&body[..]));
                read += 1;
                new += if kind == b' ' { &body } else { "" };
            }
        }
    }
    new.extend(lines);
    new
}

proptest! {
    #[test]
    fn a_patch_makes_the_new_text_of_the_old(
        old in "([ab]{0,2}\n){0,30}[ab]?", new in "([ab]{0,2}\n){0,30}[ab]?", context in 0..4_usize
    ) {
        let patch = unified(("a", &old), ("b", &new), context, NEVER);
        prop_assert_eq!(patched(&old, &patch), new);
    }

    #[test]
    fn all_rows_are_both_texts(old in "[a-c \n,é]{0,200}", new in "[a-c \n,é]{0,200}") {
        let (mut left, mut right) = (String::new(), String::new());
        for row in rows(&old, &new, usize::MAX, true, NEVER) {
            left += if row.kind == Kind::Added { "" } else { row.line };
            right += if row.kind == Kind::Removed { "" } else { row.line };
            if let Some(parts) = &row.parts {
                let whole: String = parts.iter().map(|part| part.text).collect();
                prop_assert_eq!(whole, row.content());
            }
        }
        if left.is_empty() && right.is_empty() {
            // Equal texts have no rows.
            prop_assert_eq!(old, new);
        } else {
            prop_assert_eq!((left, right), (old, new));
        }
    }
}
