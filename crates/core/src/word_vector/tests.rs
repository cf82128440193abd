use super::*;
use proptest::prelude::*;

fn toy(word: &str) -> Option<String> {
    let stem = word
        .strip_suffix('s')
        .filter(|stem| stem.len() > 2)
        .unwrap_or(word);
    (word != "the").then(|| stem.to_owned())
}

fn vector(text: &str) -> Vec<u8> {
    text_vector(
        text,
        "english",
        &mut Analyzer::new("english", toy),
        Interrupt::NEVER,
    )
}

/// A lexeme with its positions and weights.
type Lexeme = (String, Vec<(u16, u16)>);

fn lexemes(vector: &[u8]) -> Vec<Lexeme> {
    let entry = |entry: Result<Entry, Error>| {
        let entry = entry.unwrap();
        (
            String::from_utf8(entry.lexeme.to_vec()).unwrap(),
            entry.positions().collect(),
        )
    };
    entries(vector).unwrap().map(entry).collect()
}

/// Checks what Postgres requires of a tsvector, and returns its lexemes.
fn checked(vector: &[u8]) -> Vec<Lexeme> {
    let lexemes = lexemes(vector);
    assert!(lexemes.is_sorted_by(|a, b| a.0.as_bytes() < b.0.as_bytes()));
    for (lexeme, positions) in &lexemes {
        assert!((1..2048).contains(&lexeme.len()));
        assert!(positions.len() <= MAX_POSITIONS);
        assert!(
            positions
                .iter()
                .all(|&(position, _)| (1..=16383).contains(&position)),
            "{lexeme} {positions:?}"
        );
        assert!(positions.is_sorted_by(|a, b| a.0 < b.0), "{lexeme} {positions:?}");
    }
    assert!(vector.len() - 4 - 4 * lexemes.len() < 1 << 20);
    lexemes
}

#[test]
fn text_vector_has_the_weights_of_the_forms() {
    let lexemes = checked(&vector("The cats sat, UTF-8 cat."));
    let expected: &[(&str, &[(u16, u16)])] = &[
        (" english 1", &[]),
        ("8", &[(5, 3)]),
        ("cat", &[(2, 0), (6, 3)]),
        ("cats", &[(2, 2)]),
        ("sat", &[(3, 3)]),
        ("the", &[(1, 3)]),
        ("utf", &[(4, 3)]),
        ("utf8", &[(4, 1)]),
    ];
    let expected: Vec<Lexeme> = expected
        .iter()
        .map(|&(word, places)| (word.to_owned(), places.to_vec()))
        .collect();
    assert_eq!(lexemes, expected);
    assert_eq!(lexemes[0].0, format!(" {}", analysis("english")));
}

#[test]
fn text_vector_of_no_words_has_the_analysis() {
    for text in ["", " ", "--- ...", "\u{301}"] {
        assert_eq!(
            checked(&vector(text)),
            [(" english 1".to_owned(), vec![])],
            "{text:?}"
        );
    }
}

#[test]
fn text_vector_of_a_word_many_times_has_255_positions() {
    let lexemes = checked(&vector(&"cat ".repeat(1000)));
    assert_eq!(lexemes[1].1.len(), 255);
    assert_eq!(lexemes[1].1[254], (255, 3));
}

#[test]
fn text_vector_of_many_words_has_16383_positions() {
    let text: String = (0..20_000).map(|number| format!("w{} ", number % 1000)).collect();
    let lexemes = checked(&vector(&text));
    assert_eq!(
        lexemes
            .iter()
            .flat_map(|(_, positions)| positions)
            .map(|place| place.0)
            .max(),
        Some(MAX_POSITION as u16)
    );
}

#[test]
fn text_vector_of_a_megabyte_of_different_words_keeps_stems_without_positions() {
    let words: Vec<String> = (100..140_000)
        .map(|number| format!("k{}s", spelled(number)))
        .collect();
    let text = words.join(" ");
    assert!(text.len() > 1_000_000);
    let lexemes = checked(&vector(&text));
    assert!(lexemes.iter().all(|(_, positions)| positions.is_empty()));
    let stems: std::collections::HashSet<&str> = lexemes.iter().map(|(lexeme, _)| lexeme.as_str()).collect();
    assert!(
        words
            .iter()
            .all(|word| stems.contains(word.trim_end_matches('s')))
    );
    assert!(!words.iter().any(|word| stems.contains(word.as_str())));
}

/// A number in letters.
fn spelled(mut number: u32) -> String {
    let mut letters = String::new();
    while number > 0 {
        letters.push(char::from(b'a' + (number % 17) as u8));
        number /= 17;
    }
    letters
}

#[test]
fn text_vector_of_several_megabytes_keeps_what_fits() {
    let text: String = (0..300_000)
        .map(|number| format!("k{} ", spelled(number)))
        .collect();
    let text = text + "zz";
    let lexemes = checked(&vector(&text));
    let bytes: usize = lexemes.iter().map(|(lexeme, _)| lexeme.len()).sum();
    assert!(bytes > 1_000_000);
    assert_eq!(lexemes[0].0, " english 1");
}

#[test]
fn entries_of_damaged_bytes_are_errors() {
    let whole = vector("The cats sat, UTF-8 cat.");
    for end in 0..whole.len() {
        let is_error = match entries(&whole[..end]) {
            Err(Error::DamagedIndex) => true,
            Err(_) => false,
            Ok(mut entries) => entries.any(|entry| entry.is_err()),
        };
        assert!(is_error, "{end}");
    }
    assert!(entries(&[0xff; 8]).is_err());
}

proptest! {
    #[test]
    fn text_vector_is_what_entries_reads(text in r"(\PC|[abs½㍿]{1,4}[ '.-]|東京|한국어|C\+\+|\.NET|the ){0,60}") {
        let mut expected: BTreeMap<String, BTreeMap<u16, u16>> = BTreeMap::new();
        Analyzer::new("english", toy).each(&text, Interrupt::NEVER, |word| {
            for lexeme in word.lexemes() {
                let places = expected.entry(lexeme.text.to_owned()).or_default();
                let weight = places.entry(word.position as u16).or_default();
                *weight = (*weight).max(super::weight(lexeme.form));
            }
        });
        expected.insert(" english 1".to_owned(), BTreeMap::new());
        let expected: Vec<Lexeme> =
            expected.into_iter().map(|(word, places)| (word, places.into_iter().collect())).collect();
        prop_assert_eq!(checked(&vector(&text)), expected);
    }

    #[test]
    fn entries_of_random_bytes_are_errors_or_lexemes(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        for entry in entries(&bytes).into_iter().flatten().flatten() {
            prop_assert!(entry.lexeme.len() <= bytes.len());
            prop_assert!(2 * entry.positions().count() <= bytes.len());
        }
    }
}
