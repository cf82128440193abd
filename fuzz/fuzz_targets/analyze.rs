#![no_main]

use matrice_core::Interrupt;
use matrice_core::analyze::{Analyzer, Kind, MAX_LEXEME_BYTES};

const LANGUAGES: [&str; 4] = ["english", "french", "german", "turkish"];

// Data: the language, a text. Words are in order, and lexemes fit into a tsvector.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [language, text @ ..] = data else { return };
    let text = String::from_utf8_lossy(text);
    let language = LANGUAGES[usize::from(*language) % LANGUAGES.len()];
    let stem = |word: &str| (word.len() != 3).then(|| word.trim_end_matches('s').to_owned());
    let mut start = 0;
    let mut position = 0;
    Analyzer::new(language, stem).each(&text, Interrupt::NEVER, |word| {
        assert!(word.start >= start && text.get(word.start..word.end).is_some());
        start = word.start;
        position += u32::from(word.kind == Kind::Word);
        assert!(word.position == position || word.kind != Kind::Word);
        for lexeme in word.lexemes() {
            let unfit = |c: char| c.is_whitespace() || c.is_control();
            assert!(!lexeme.text.is_empty() && lexeme.text.len() <= MAX_LEXEME_BYTES);
            assert!(!lexeme.text.contains(unfit), "{:?}", lexeme.text);
        }
    });
});
