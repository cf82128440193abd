#![no_main]

use matrice_core::Interrupt;
use matrice_core::quote::find_quote;

// Data: where a quote begins, its length, a text. A part of a text is found, whether the text comes whole or in pieces.
libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [first, length, text @ ..] = data else { return };
    let text = String::from_utf8_lossy(text);
    let letters: Vec<char> = text.chars().collect();
    let first = usize::from(*first).min(letters.len());
    let after = (first + usize::from(*length)).min(letters.len());
    let quote: String = letters[first..after].iter().collect();
    let whole = find_quote([(0, &*text)], &quote, usize::MAX, Interrupt::NEVER);
    let (head, tail): (String, String) = (letters[..after].iter().collect(), letters[first..].iter().collect());
    let pieces = find_quote([(0, &*head), (first, &*tail)], &quote, usize::MAX, Interrupt::NEVER);
    assert_eq!(whole, pieces);
    let mut last = 0;
    for place in whole.into_iter().flatten() {
        assert!(place.start < place.end && place.end <= letters.len() && last <= place.start);
        last = place.end.saturating_sub(1);
    }
});
