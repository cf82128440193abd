//! Removes case and accents.

use crate::Interrupt;
use unicode_normalization::UnicodeNormalization;

/// Returns a text in lower case without accents: `œ` becomes `oe`, `æ` `ae`, `ß` `ss`, `ø` `o`, `ł` `l`, `đ` and `ð` `d`.
///
/// A combining mark that follows no letter stays, so that no word becomes empty; one on a `<` stays, so that no `<` appears.
pub(crate) fn fold(text: &str, interrupt: Interrupt) -> String {
    let mut on_nothing = true;
    interrupt
        .during(text.chars())
        .flat_map(char::to_lowercase)
        .flat_map(|letter| {
            let (first, second) = match letter {
                'œ' => ('o', Some('e')),
                'æ' => ('a', Some('e')),
                'ß' => ('s', Some('s')),
                'ø' => ('o', None),
                'ł' => ('l', None),
                'đ' | 'ð' => ('d', None),
                other => (other, None),
            };
            [Some(first), second].into_iter().flatten()
        })
        .nfd()
        .filter(|&letter| {
            let is_mark = matches!(letter, '\u{300}'..='\u{36f}');
            let stays = !is_mark || on_nothing;
            on_nothing = matches!(letter, '\'' | ' ' | '<');
            stays
        })
        .nfc()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interrupts;

    fn folded(text: &str) -> String {
        fold(text, Interrupt::NEVER)
    }

    #[test]
    fn folding_takes_case_and_accents() {
        assert_eq!(folded("Élève ÉTÉ e\u{301}te\u{301}"), "eleve ete ete");
        assert_eq!(
            folded("Œuvre CÆSAR Straße ẞ Łódź Ørsted Đorđe Þórður"),
            "oeuvre caesar strasse ss lodz orsted dorde þordur"
        );
        assert_eq!(folded("İstanbul ΣΑΣ Ἀθῆναι"), "istanbul σασ αθηναι");
        assert_eq!(folded("한국어 日本語 が हिन्दी ไทย"), "한국어 日本語 が हिन्दी ไทย");
    }

    #[test]
    fn a_mark_that_follows_no_letter_stays() {
        assert_eq!(folded("\u{301}"), "\u{301}");
        assert_eq!(folded("'\u{301}\u{302}a'"), "'\u{301}a'");
        assert_eq!(folded(" \u{301} a\u{301}\u{302}\u{316}b"), " \u{301} ab");
        assert_eq!(folded("\n\u{301}"), "\n");
    }

    #[test]
    fn marks_without_end_are_folded_in_no_time_and_can_be_interrupted() {
        let text = "a".to_owned() + &"\u{301}\u{316}".repeat(1_000_000);
        assert_eq!(folded(&text), "a");
        assert!(interrupts(|interrupt| drop(fold(&text, interrupt))) > 5_000);
    }
}
