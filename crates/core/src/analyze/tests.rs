use super::*;
use crate::interrupts;
use proptest::prelude::*;
use std::collections::HashSet;
use unicode_normalization::UnicodeNormalization;

/// A stemmer that knows a few endings and a few stop words of several languages.
fn toy(word: &str) -> Option<String> {
    const STOP: &[&str] = &[
        "the", "we", "on", "of", "l", "d", "qu", "il", "le", "été", "all", "für", "der", "it",
    ];
    let endings = ["ing", "es", "er", "ée", "é", "e", "s"];
    let stem = endings.iter().find_map(|ending| {
        let stem = word.strip_suffix(ending)?;
        (stem.chars().count() > 2).then_some(stem)
    });
    (!STOP.contains(&word)).then(|| stem.unwrap_or(word).replace('ä', "a"))
}

/// An entry of the analysis, with what it owns.
#[derive(Debug, Clone, PartialEq)]
struct Found {
    position: u32,
    range: Range<usize>,
    kind: Kind,
    is_stop: bool,
    lexemes: Vec<(String, Form)>,
}

fn analysed(language: &str, text: &str) -> Vec<Found> {
    let mut found = Vec::new();
    Analyzer::new(language, toy).each(text, Interrupt::NEVER, |word| {
        found.push(Found {
            position: word.position,
            range: word.start..word.end,
            kind: word.kind,
            is_stop: word.is_stop,
            lexemes: word
                .lexemes()
                .map(|lexeme| (lexeme.text.to_owned(), lexeme.form))
                .collect(),
        });
    });
    found
}

/// The lexemes of an analysis, one entry each: `position:lexeme,lexeme`, with `*` at stop words.
fn listed(language: &str, text: &str) -> String {
    let entry = |found: &Found| {
        let lexemes: Vec<&str> = found.lexemes.iter().map(|(text, _)| text.as_str()).collect();
        let stop = if found.is_stop { "*" } else { "" };
        format!("{}{stop}:{}", found.position, lexemes.join(","))
    };
    let entries: Vec<String> = analysed(language, text).iter().map(entry).collect();
    entries.join(" ")
}

/// Whether a query finds a text, as the documentation of the module says.
fn finds(language: &str, text: &str, query: &str) -> bool {
    let text: HashSet<String> = analysed(language, text)
        .into_iter()
        .flat_map(|found| found.lexemes)
        .map(|(lexeme, _)| lexeme)
        .collect();
    let query = analysed(language, query);
    let is_in = |found: &Found| found.lexemes.iter().any(|(lexeme, _)| text.contains(lexeme));
    let words = query.iter().filter(|found| found.kind == Kind::Word);
    let mut words = words.peekable();
    let covers = |outer: &Found, inner: &Found| {
        outer.range.start <= inner.range.start && inner.range.end <= outer.range.end
    };
    words.peek().is_some()
        && words.all(|word| {
            let mut bigrams = query
                .iter()
                .filter(|pair| pair.kind == Kind::Bigram && covers(word, pair))
                .peekable();
            query.iter().any(|whole| covers(whole, word) && is_in(whole))
                || bigrams.peek().is_some() && bigrams.all(is_in)
        })
}

#[test]
fn a_letter_that_is_a_stop_word_without_its_accent_is_one() {
    assert_eq!(listed("english", "ď D"), "1*:d 2*:d");
    // A longer word can be another one, and not every letter is a stop word.
    assert_eq!(listed("english", "thé é"), "1:the 2:e");
}

#[test]
fn queries_find_texts_however_they_are_written() {
    for (language, text, queries) in [
        (
            "english",
            "We follow ISO-9001.",
            vec!["9001", "iso 9001", "ISO9001", "iso-9001", "ISO/9001", "following"],
        ),
        (
            "english",
            "COVID-19 rules",
            vec!["covid 19", "covid", "Covid19", "rule"],
        ),
        (
            "english",
            "phone 555-1234",
            vec!["1234", "555", "555-1234", "5551234", "555 1234"],
        ),
        (
            "english",
            "on 2026-11-26",
            vec!["11", "2026", "26", "2026-11-26", "2026/11/26", "20261126"],
        ),
        (
            "english",
            "North/South wind",
            vec!["South", "north", "north-south", "NorthSouth"],
        ),
        ("english", "TCP/IP", vec!["tcp", "ip", "tcpip", "TCP/IP"]),
        (
            "english",
            "end of line.Next begins",
            vec!["Next", "line", "begins"],
        ),
        (
            "english",
            "edit config.yaml",
            vec!["config", "yaml", "config.yaml"],
        ),
        ("english", "release v1.2.3", vec!["1.2.3", "v1.2.3", "v1"]),
        (
            "english",
            "use UTF-8 here",
            vec!["UTF 8", "utf-8", "utf8", "UTF_8"],
        ),
        (
            "english",
            "use utf8 here",
            vec!["UTF 8", "utf-8", "utf8", "UTF_8"],
        ),
        (
            "english",
            "node.js and john.doe@example.org",
            vec!["node", "nodejs", "doe", "example.org", "john.doe@example.org"],
        ),
        (
            "english",
            "a snake_case and searchChunks, HTTPServer",
            vec![
                "snake",
                "snakecase",
                "search_chunk",
                "searchchunks",
                "chunk",
                "http",
                "server",
            ],
        ),
        (
            "english",
            "GitHub iPhone kWh URLs",
            vec!["github", "iphone", "kwh", "url", "hub"],
        ),
        (
            "english",
            "see https://a.example/b?c=d.",
            vec!["https://a.example/b?c=d", "a.example", "example"],
        ),
        (
            "english",
            "fn f(x: Option<Widget>) {} // #include <stdio.h>",
            vec!["Widget", "stdio", "Option<Widget>", "stdio.h"],
        ),
        ("english", "<b>word</b>", vec!["word", "b"]),
        (
            "english",
            "send e-mail today",
            vec!["email", "e-mail", "e-mails", "emails", "E-Mail"],
        ),
        ("english", "send email today", vec!["email", "e-mail", "e-mails"]),
        (
            "english",
            "C++, C#, F# and .NET or Objective-C",
            vec!["C++", "C#", "f#", ".net", "net", "objective-c", "ObjectiveC"],
        ),
        (
            "english",
            "x86, H2O, m2, 3.14 and 1,000,000",
            vec![
                "x86",
                "x 86",
                "H2O",
                "H 2 O",
                "m²",
                "3.14",
                "1000000",
                "1,000,000",
            ],
        ),
        (
            "english",
            "don't use John's car",
            vec!["dont", "don't", "john", "John", "DON’T"],
        ),
        (
            "english",
            "The ﬁnal oﬀer ＸＹＺ Zei\u{ad}tung long‑term m²",
            vec!["final", "offer", "XYZ", "Zeitung", "long-term", "longterm", "m2"],
        ),
        ("english", "A party 🎉! And 👍🏽", vec!["🎉", "👍"]),
        (
            "english",
            "Cœur ŒUVRE Straße naïve Łódź",
            vec!["coeur", "oeuvre", "STRASSE", "naive", "lodz"],
        ),
        ("simple", "ΟΔΟΣ", vec!["οδος", "οδοσ"]),
        (
            "french",
            "L'été, d’accord, qu'il aime le C++",
            vec!["été", "accord", "il", "C++", "aime"],
        ),
        (
            "french",
            "aujourd'hui c'est-à-dire",
            vec!["aujourd'hui", "aujourdhui", "dire", "c'est-à-dire"],
        ),
        (
            "french",
            "une pensée",
            vec!["pensée", "pensee", "pensées", "pense"],
        ),
        ("italian", "all'arrivo", vec!["arrivo"]),
        ("catalan", "paral·lel", vec!["paral·lel", "parallel"]),
        (
            "german",
            "Herr Müller",
            vec!["Müller", "Muller", "Mueller", "MÜLLER"],
        ),
        ("german", "Herr Mueller", vec!["Müller", "Mueller"]),
        (
            "german",
            "viele Häuser",
            vec!["Häuser", "Haus", "Haeuser", "hauser"],
        ),
        ("turkish", "IŞIK", vec!["ışık", "isik", "IŞIK"]),
        (
            "simple",
            "我每天喝绿茶。東京で寿司を食べる。อากาศวันนี้ดี",
            vec!["绿茶", "寿司", "วันนี้", "喝绿茶", "東京"],
        ),
        ("simple", "東京都に行く", vec!["東京", "京都", "東京都"]),
        ("simple", "한국어를 배운다", vec!["한국어", "한국", "배운다"]),
        ("simple", "LG전자가 3월", vec!["LG전자", "lg", "3월"]),
        ("simple", "コンピューターとﾃﾞｰﾀ", vec!["コンピューター", "データ"]),
        ("simple", "हिन्दी और русский язык", vec!["हिन्दी", "ЯЗЫК"]),
    ] {
        for query in queries {
            assert!(
                finds(language, text, query),
                "{text:?} by {query:?}: {}",
                listed(language, text)
            );
        }
        assert!(finds(language, text, text), "{text:?} by itself");
    }
}

#[test]
fn queries_do_not_find_what_is_something_else() {
    for (language, text, query) in [
        ("english", "plain c", "d++"),
        ("english", "3.14", "314"),
        ("english", "12.3", "1.23"),
        ("english", "a cat... Next", "catnext"),
        ("english", "x / y", "xy"),
        ("simple", "喝绿豆汤", "绿茶"),
        ("simple", "大阪", "大学"),
        ("french", "l'été", "lété"),
    ] {
        assert!(!finds(language, text, query), "{text:?} by {query:?}");
    }
}

#[test]
fn words_have_their_positions() {
    for (language, text, expected) in [
        ("english", "", ""),
        ("english", " .,-/' \n", ""),
        (
            "english",
            "We follow ISO-9001.",
            "1*:we 2:follow 3:iso 3:iso9001 4:9001",
        ),
        ("english", "running Tests", "1:running,runn 2:tests,test"),
        ("english", "utf8", "1:utf 1:utf8 2:8"),
        ("english", "v1.2.3", "1:v 1:v1 1:v1.2.3 2:1 3:2 4:3"),
        ("english", "a@b.c", "1:a 1:abc 2:b 2:bc 3:c"),
        ("english", "it's John's", "1*:it 2:john"),
        ("english", "don't", "1*:dont"),
        (
            "english",
            "C++ .NET ..net a.net",
            "1:c 1:c++ 2:.net 2:net 3:net 4:a 4:anet 5:net",
        ),
        (
            "french",
            "Cœur/âme, corps/œuvre : le chat noir dort.",
            "1:coeur 1:coeurame,coeuram 2:ame 3:corps,corp 3:corpsoeuvre,corpsoeuvr 4:oeuvre,oeuvr 5*:le 6:chat 7:noir 8:dort",
        ),
        ("french", "l'été", "1*:l 2*:ete"),
        ("german", "für Müller", "1*:fur,fuer 2:muller,mueller,muell,mull"),
        ("simple", "每天喝绿茶", "1:每天 1:天喝 2:喝 2:喝绿 3:绿茶"),
        ("simple", "3月", "1:3 2:月"),
        ("english", ".ﬁᅡ", "1:.fiᅡ 1:fi 1:fiᅡ 2:ᅡ"),
        ("english", "a1b2c3d4e5", "1:a1b2c3d4e5"),
    ] {
        assert_eq!(listed(language, text), expected, "{text}");
    }
}

#[test]
fn forms_tell_what_is_written() {
    let forms = |language: &str, text: &str| {
        let found = analysed(language, text)
            .into_iter()
            .flat_map(|found| found.lexemes);
        found.collect::<Vec<_>>()
    };
    let pair = |text: &str, form: Form| (text.to_owned(), form);
    assert_eq!(
        forms("english", "chunks"),
        [pair("chunks", Form::Written), pair("chunk", Form::Stem)]
    );
    assert_eq!(forms("english", "chunk"), [pair("chunk", Form::Word)]);
    assert_eq!(
        forms("english", "A-chunks"),
        [
            pair("a", Form::Word),
            pair("achunks", Form::Compound),
            pair("achunk", Form::Compound),
            pair("chunks", Form::Written),
            pair("chunk", Form::Stem),
        ]
    );
}

#[test]
fn ranges_are_those_of_the_text_as_given() {
    let text = "Zei\u{ad}tung, ＸＹＺ! ﬁn e\u{301}te\u{301} John’s m²";
    let words: Vec<&str> = analysed("english", text)
        .into_iter()
        .filter(|found| found.kind == Kind::Word)
        .map(|found| &text[found.range])
        .collect();
    assert_eq!(
        words,
        [
            "Zei\u{ad}tung",
            "ＸＹＺ",
            "ﬁn",
            "e\u{301}te\u{301}",
            "John’s",
            "m",
            "²"
        ]
    );
}

#[test]
fn what_is_remembered_is_analysed_alike() {
    let text = "ISO-9001 c'est l'été ISO-9001, 绿茶 绿茶";
    let mut analyzer = Analyzer::new("french", toy);
    let mut twice = Vec::new();
    for _ in 0..2 {
        let mut lexemes = Vec::new();
        analyzer.each(text, Interrupt::NEVER, |word| {
            lexemes.extend(
                word.lexemes()
                    .map(|lexeme| (word.position, word.start, lexeme.text.to_owned())),
            );
        });
        twice.push(lexemes);
    }
    assert_eq!(twice[0], twice[1]);
}

#[test]
fn memory_is_bounded() {
    let mut analyzer = Analyzer::new("simple", toy);
    for number in 0..MAX_KNOWN + 1000 {
        analyzer.each(&format!("{number}a"), Interrupt::NEVER, |_| {});
        assert!(analyzer.known.len() <= MAX_KNOWN);
    }
    assert!(analyzer.known.len() <= 1000);
    let before = analyzer.memory.text.len();
    for number in 0..20 {
        let text = format!("{number}{} ", "a".repeat(2000)).repeat(2);
        analyzer.each(&text, Interrupt::NEVER, |_| {});
    }
    assert!(analyzer.memory.text.len() <= before + 4000);
}

#[test]
fn stems_that_cannot_be_lexemes_are_left_out() {
    let mut analyzer = Analyzer::new("simple", |_: &str| Some("a b\0".to_owned()));
    let mut lexemes = Vec::new();
    analyzer.each("word", Interrupt::NEVER, |word| {
        lexemes.extend(word.lexemes().map(|lexeme| lexeme.text.to_owned()));
    });
    assert_eq!(lexemes, ["word"]);
}

/// Texts that are hard for an analyser that looks ahead or back.
fn hostile(size: usize) -> Vec<String> {
    let units = [
        "a-",
        "a'",
        "aA",
        "1a",
        "//",
        "a\u{301}\u{316}",
        "\u{301}",
        "กา",
        "字",
        "か\u{309a}",
        "a\u{ad}",
        "\u{ad}",
        "a.",
        ".",
        "aa ",
        "1,000,",
        "Aa1",
        "ﷺ",
        "n't",
        "l'",
        "a",
        "한",
        "🎉",
        "\u{1d15e}",
        "<",
        "#",
        "++",
        "ขข",
        "e\u{345}",
    ];
    units.iter().map(|unit| unit.repeat(size / unit.len())).collect()
}

#[test]
fn hostile_texts_take_time_in_proportion_to_their_length_and_can_be_interrupted() {
    for text in hostile(100_000) {
        let mut lexemes = 0;
        let mut bytes = 0;
        let mut analyzer = Analyzer::new("english", toy);
        let asked = interrupts(|interrupt| {
            analyzer.each(&text, interrupt, |word| {
                lexemes += 1;
                bytes += word.lexemes().map(|lexeme| lexeme.text.len()).sum::<usize>();
            });
        });
        let start: String = text.chars().take(6).collect();
        assert!(asked >= text.len() / 4096, "{start:?}: {asked}");
        assert!(lexemes <= 2 * text.len(), "{start:?}: {lexemes}");
        assert!(bytes <= 16 * text.len(), "{start:?}: {bytes}");
    }
}

/// Texts of letters, signs and marks that meet in unusual ways.
fn texts() -> impl Strategy<Value = String> {
    let odd = "[a-cA-C0-2st ,.'’+#_@:&/<>=\\\\\u{ad}\u{200b}\u{200d}\u{301}\u{338}\u{327}éßﬁＡ２ﾃﾞか゛字茶กำ한하²½…ﷺ🎉™·⑴-]{0,60}";
    prop_oneof![odd, "\\PC{0,60}", any::<String>()]
}

proptest! {
    #[test]
    fn ranges_are_in_order_and_positions_follow_each_other(text in texts()) {
        for language in ["english", "french", "german", "turkish"] {
            let mut start = 0;
            let mut position = 0;
            for found in analysed(language, &text) {
                prop_assert!(found.range.start >= start && found.range.start < found.range.end);
                prop_assert!(text.get(found.range.clone()).is_some());
                start = found.range.start;
                if found.kind == Kind::Word {
                    prop_assert_eq!(found.position, position + 1);
                    position += 1;
                } else {
                    prop_assert!(found.position <= position + 1);
                }
            }
        }
    }

    #[test]
    fn lexemes_are_short_and_without_white_space(text in texts()) {
        for found in analysed("german", &text) {
            prop_assert!(!found.lexemes.is_empty());
            for (lexeme, _) in found.lexemes {
                prop_assert!(!lexeme.is_empty() && lexeme.len() <= MAX_LEXEME_BYTES);
                prop_assert!(!lexeme.contains(|c: char| c.is_whitespace() || c.is_control()), "{:?}", lexeme);
            }
        }
    }

    /// The compatible form of a text has the same lexemes at the same positions.
    #[test]
    fn the_compatible_form_is_analysed_alike(text in texts()) {
        for language in ["english", "french"] {
            let normal: String = text.nfkc().collect();
            prop_assert_eq!(listed(language, &text), listed(language, &normal), "{:?}", normal);
        }
    }
}
