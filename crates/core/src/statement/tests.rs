use super::*;
use crate::analyze::Analyzer;
use crate::interrupts;
use crate::word_vector::text_vector;
use proptest::prelude::*;

fn normal(text: &str) -> String {
    normal_text(text, Interrupt::NEVER)
}

fn vector(text: &str) -> Vec<u8> {
    let mut analyzer = Analyzer::new("english", |word: &str| {
        let stem = word.strip_suffix('s').unwrap_or(word);
        (word != "the").then(|| stem.to_owned())
    });
    text_vector(text, "english", &mut analyzer, Interrupt::NEVER)
}

fn likeness_of(one: &str, other: &str) -> f64 {
    likeness(&vector(one), &vector(other)).unwrap()
}

fn shared_codes(one: &str, other: &str) -> usize {
    let (one, other) = (
        sketch(&vector(one), 7).unwrap(),
        sketch(&vector(other), 7).unwrap(),
    );
    one.iter().filter(|code| other.contains(code)).count()
}

#[test]
fn ways_to_write_a_statement_have_one_normal_text() {
    for (text, expected) in [
        ("The winds fall.", "the winds fall"),
        ("  the\u{a0}WINDS\n fall !! ", "the winds fall"),
        ("“The winds fall”.", "the winds fall"),
        ("« Les vents tombent. »", "les vents tombent"),
        ("Ｔｈｅ ｗｉｎｄｓ ﬁll", "the winds fill"),
        ("cafe\u{301}", "café"),
        ("soft\u{ad}ware\u{200b}", "software"),
        ("ΟΔΟΣ οδός", "οδοσ οδόσ"),
        ("We use C++.", "we use c++"),
        ("-5 degrees", "-5 degrees"),
        (".NET", ".net"),
        ("Do the winds fall?", "do the winds fall?"),
        ("…", "..."),
        (" \u{3000} ", ""),
        ("", ""),
    ] {
        assert_eq!(normal(text), expected, "{text:?}");
    }
    assert_ne!(normal("The limit is 10 MB"), normal("The limit is 20 MB"));
    assert_ne!(normal("A résumé"), normal("A resume"));
}

#[test]
fn marks_without_end_can_be_interrupted() {
    let text = "a".to_owned() + &"\u{301}\u{316}".repeat(500_000);
    assert!(interrupts(|interrupt| drop(normal_text(&text, interrupt))) > 3_000);
}

#[test]
fn likeness_is_the_share_of_the_stems_that_both_have() {
    assert_eq!(likeness_of("winds fall at dusk", "The wind falls at dusk"), 0.8);
    assert_eq!(likeness_of("winds fall at dusk", "At dusk, wind falls"), 1.0);
    // wind, fall, at, dusk; wind, rise, at, dawn.
    assert_eq!(likeness_of("winds fall at dusk", "winds rise at dawn"), 2.0 / 6.0);
    assert_eq!(likeness_of("winds", "sails"), 0.0);
    assert_eq!(likeness_of("", ""), 0.0);
    assert!(likeness(b"x", b"").is_err() && sketch(b"x", 1).is_err());
}

#[test]
fn alike_texts_share_codes() {
    let words =
        |from: usize| -> String { (from..from + 40).map(|number| format!("word{number} ")).collect() };
    assert_eq!(shared_codes(&words(0), &words(0)), BANDS);
    // 34 of 46 words: a likeness of 0.74.
    assert!(shared_codes(&words(0), &words(6)) > 0);
    assert_eq!(shared_codes(&words(0), &words(100)), 0);
    assert_eq!(sketch(&vector(""), 7), Ok(Vec::new()));
    let (one, other) = (
        sketch(&vector("wind"), 7).unwrap(),
        sketch(&vector("wind"), 8).unwrap(),
    );
    assert!(one.iter().all(|code| !other.contains(code)));
}

#[test]
fn alike_texts_share_codes_as_often_as_documented() {
    // Of letters alone: an analyser divides words where digits begin.
    let word = |start: &str, trial: usize, number: usize| -> String {
        let letters =
            (0..4).map(|place| char::from(b'a' + ((trial * 100 + number) / 20_usize.pow(place) % 20) as u8));
        start.chars().chain(letters).chain([' ']).collect()
    };
    let share = |common: usize, own: usize| {
        let found = (0..400).filter(|&trial| {
            let text = |salt: &str| -> String {
                let common = (0..common).map(|number| word("c", trial, number));
                common
                    .chain((0..own).map(|number| word(salt, trial, number)))
                    .collect()
            };
            shared_codes(&text("a"), &text("b")) > 0
        });
        found.count() as f64 / 400.0
    };
    // 20 common words and 10 of each: a likeness of 0.5.
    assert!((0.7..0.87).contains(&share(20, 10)));
    // 0.6, 0.74 and 0.1.
    assert!((0.92..1.0).contains(&share(30, 10)));
    assert!(share(34, 6) > 0.99);
    assert!(share(4, 18) < 0.02);
}

proptest! {
    #[test]
    fn a_normal_text_is_its_own_normal_text(text in "\\PC{0,40}") {
        let once = normal(&text);
        prop_assert_eq!(normal(&once), once);
    }

    #[test]
    fn likeness_is_symmetric_and_between_0_and_1(one in "[a-f ]{0,30}", other in "[a-f ]{0,30}") {
        let likeness = likeness_of(&one, &other);
        prop_assert!((0.0..=1.0).contains(&likeness));
        prop_assert_eq!(likeness, likeness_of(&other, &one));
    }
}
