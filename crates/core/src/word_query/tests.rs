use super::*;
use crate::interrupts;
use proptest::prelude::*;

/// Cuts the plural, and knows a few stop words.
fn toy(word: &str) -> Option<String> {
    let stem = word
        .strip_suffix('s')
        .filter(|stem| stem.len() > 2)
        .unwrap_or(word);
    (!["the", "of", "to", "be", "or", "not", "d", "do"].contains(&word)).then(|| stem.to_owned())
}

fn read(text: &str, mode: Mode) -> Query {
    Query::read(text, mode, &mut Analyzer::new("french", toy), Interrupt::NEVER)
}

/// A term: its stems, and after a slash what is written, if that differs. Round brackets say that it does not count.
fn shown(query: &Query, term: usize) -> String {
    let term = &query.terms[term];
    let mut shown = term.stems.join("|");
    if let Some(prefix) = &term.prefix {
        shown = format!("{shown}/{prefix}*");
    } else if !term.written.is_empty() && !term.stems.contains(&term.written) {
        shown = format!("{shown}/{}", term.written);
    }
    if term.is_scored {
        shown
    } else {
        format!("({shown})")
    }
}

fn operand(query: &Query, operand: &Operand) -> String {
    let all = |terms: &[usize]| terms.iter().map(|&term| shown(query, term)).collect::<Vec<_>>();
    let mut shown = all(&operand.words).join(if operand.is_exact { " > " } else { " & " });
    for compound in all(&operand.compounds) {
        shown += &format!(" = {compound}");
    }
    if !operand.bigrams.is_empty() {
        shown += &format!(" = {}", all(&operand.bigrams).join("+"));
    }
    shown
}

/// A query: its groups, with `+` before those that are required, and with `-` what is excluded.
fn structure(text: &str, mode: Mode) -> String {
    let query = read(text, mode);
    let mut all = Vec::new();
    for group in &query.groups {
        let operands: Vec<String> = group.operands.iter().map(|one| operand(&query, one)).collect();
        all.push(format!(
            "{}[{}]",
            if group.is_required { "+" } else { "" },
            operands.join(" or ")
        ));
    }
    all.extend(
        query
            .excluded
            .iter()
            .map(|one| format!("-[{}]", operand(&query, one))),
    );
    all.join(" ")
}

#[test]
fn read_of_a_hyphen_behind_a_conjunction_excludes_nothing_where_it_joins_compounds() {
    for (text, language, excluded) in [
        ("Einfuhr und -ausfuhr", "german", 0),
        ("Einfuhr UND -ausfuhr", "german", 0),
        ("Einfuhr bzw. -ausfuhr", "german", 0),
        ("Einfuhr -ausfuhr", "german", 1),
        ("Einfuhr und !ausfuhr", "german", 1),
        ("Einfuhr und -ausfuhr", "english", 1),
        ("invoer en -uitvoer", "dutch", 0),
        ("import og -eksport", "danish", 0),
        ("import och -export", "swedish", 0),
        ("-ausfuhr", "german", 1),
    ] {
        let query = Query::read(
            text,
            Mode::Any,
            &mut Analyzer::new(language, toy),
            Interrupt::NEVER,
        );
        assert_eq!(query.excluded.len(), excluded, "{text} in {language}");
    }
}

#[test]
fn read_of_a_name_without_signs_has_its_parts() {
    for (text, parts) in [
        ("catDog", "cat dog"),
        ("catDog dogs", "cat dog"),
        ("catDog dog", "cat"),
        ("dog catDog", "cat"),
        ("cat-dog", ""),
        ("cat-dogBird", "dog bird"),
        ("utf8", "utf 8"),
        ("utf-8", ""),
        ("catDog*", ""),
        ("-catDog", ""),
        ("cat", ""),
        ("C++", ""),
        ("15.4", ""),
        ("東京タワー", ""),
    ] {
        let query = read(text, Mode::Any);
        let of = |term: &&Term| term.is_part;
        let found: Vec<&str> = query
            .terms
            .iter()
            .filter(of)
            .map(|term| term.written.as_str())
            .collect();
        assert_eq!(found.join(" "), parts, "{text}");
    }
}

#[test]
fn read_of_a_query_has_the_operands_that_were_typed() {
    for (text, any, all) in [
        ("", "", ""),
        ("\"cats\"-dog", "+[cat/cats] [dog]", "+[cat/cats] +[dog]"),
        ("cat", "[cat]", "+[cat]"),
        ("Cats dog", "[cat/cats] [dog]", "+[cat/cats] +[dog]"),
        ("the cat", "[cat]", "+[cat]"),
        ("to be", "[to] [be]", "+[to] +[be]"),
        ("+the cat", "+[(the)] [cat]", "+[(the)] +[cat]"),
        ("+the", "+[the]", "+[the]"),
        ("-the cat", "[cat] -[(the)]", "+[cat] -[(the)]"),
        ("\"the cat\"", "+[(the) > cat]", "+[(the) > cat]"),
        ("\"to be\"", "+[to > be]", "+[to > be]"),
        ("\"cat\"", "+[cat]", "+[cat]"),
        ("+cat dog", "+[cat] [dog]", "+[cat] +[dog]"),
        ("cat -dog", "[cat] -[(dog)]", "+[cat] -[(dog)]"),
        ("cat !dog", "[cat] -[(dog)]", "+[cat] -[(dog)]"),
        ("-dog", "-[(dog)]", "-[(dog)]"),
        ("cat -- dog", "[cat] [dog]", "+[cat] +[dog]"),
        ("cat - dog", "[cat] [dog]", "+[cat] +[dog]"),
        ("cat --dog", "[cat] [dog]", "+[cat] +[dog]"),
        ("-\"big dog\"", "-[(big) > (dog)]", "-[(big) > (dog)]"),
        ("+\"big dog\"", "+[big > dog]", "+[big > dog]"),
        ("cat or dog", "[cat or dog]", "+[cat or dog]"),
        ("cat OR dog bird", "[cat or dog] [bird]", "+[cat or dog] +[bird]"),
        (
            "cat or dog or bird",
            "[cat or dog or bird]",
            "+[cat or dog or bird]",
        ),
        ("cat or +dog", "+[cat or dog]", "+[cat or dog]"),
        ("cat or the", "[cat]", "+[cat]"),
        ("cat or - dog", "[cat or dog]", "+[cat or dog]"),
        ("( cat or dog )", "[cat or dog]", "+[cat or dog]"),
        ("(cat or dog)", "[cat or dog]", "+[cat or dog]"),
        ("cat or or dog", "[cat or dog]", "+[cat or dog]"),
        ("cat or", "[cat]", "+[cat]"),
        ("or cat", "[cat]", "+[cat]"),
        ("or", "[or]", "+[or]"),
        ("cat \"or\" dog", "[cat] +[(or)] [dog]", "+[cat] +[(or)] +[dog]"),
        ("\"big dog\" or cat", "+[big > dog or cat]", "+[big > dog or cat]"),
        ("cat*", "[cat/cat*]", "+[cat/cat*]"),
        ("cats*", "[cat/cats*]", "+[cat/cats*]"),
        ("the*", "[the/the*]", "+[the/the*]"),
        ("\"big do*\"", "+[big > do/do*]", "+[big > do/do*]"),
        ("+cat*", "+[cat/cat*]", "+[cat/cat*]"),
        ("*", "", ""),
        ("cat\"dog", "[cat] [dog]", "+[cat] +[dog]"),
        ("\"cat dog", "[cat] [dog]", "+[cat] +[dog]"),
        (
            "a-posts",
            "[a & post/posts = aposts|apost]",
            "+[a & post/posts = aposts|apost]",
        ),
        ("+big-dog", "+[big > dog = bigdog]", "+[big > dog = bigdog]"),
        ("d'accord", "[accord]", "+[accord]"),
        ("+d'accord", "+[(d) > accord]", "+[(d) > accord]"),
        (
            "to-do list",
            "[(to) & (do) = todo] [list]",
            "[(to) & (do) = todo] +[list]",
        ),
        ("cat cat +cat", "[cat] [cat] +[cat]", "+[cat] +[cat] +[cat]"),
    ] {
        assert_eq!(structure(text, Mode::Any), any, "{text}");
        assert_eq!(structure(text, Mode::All), all, "{text}");
    }
}

#[test]
fn read_of_unspaced_words_has_pairs_that_stand_for_all_words() {
    for (text, expected) in [
        // A word of two characters is its own pair.
        ("数据库", "[数据 & 库 = 据库+数据]"),
        ("数据", "[数据]"),
        ("ab数据库", "[ab & 数据 & 库 = 据库+ab+数据]"),
        ("한국어", "[한국어 = 한국+국어]"),
    ] {
        assert_eq!(structure(text, Mode::Any), expected, "{text}");
    }
    let check = "((('数据' | '数据') <1> ('库' | '库')) | (('据库') & ('数据' | '数据')))";
    assert_eq!(read("+数据库", Mode::Any).check().as_deref(), Some(check));
}

#[test]
fn read_reads_twenty_prefixes_and_the_rest_as_words() {
    let text: String = ('a'..='y').map(|letter| format!("{letter}{letter}* ")).collect();
    let query = read(&text, Mode::Any);
    assert_eq!(query.prefixes().count(), 20);
    assert_eq!(query.terms.len(), 25);
}

#[test]
fn terms_of_a_query_are_those_that_an_operand_has() {
    for text in ["the cat", "cats*", "d'accord", "the -of cat", "cat or the"] {
        let query = read(text, Mode::All);
        let operands = query
            .groups
            .iter()
            .flat_map(|group| &group.operands)
            .chain(&query.excluded);
        let used: BTreeSet<usize> = operands.flat_map(Operand::all).collect();
        assert_eq!(used, (0..query.terms.len()).collect(), "{text}");
    }
}

#[test]
fn has_only_exclusions_is_whether_nothing_else_was_typed() {
    assert!(read("-dog -\"big cat\"", Mode::All).has_only_exclusions());
    assert!(!read("-dog the", Mode::All).has_only_exclusions());
    assert!(!read("", Mode::All).has_only_exclusions());
}

#[test]
fn shown_names_the_words_as_written_once() {
    let query = read("Cats dog* +the cats -bird a-posts", Mode::Any);
    let all: Vec<usize> = (0..query.terms.len()).collect();
    assert_eq!(query.shown(&all), ["cats", "dog*", "a", "aposts", "posts"]);
    assert_eq!(query.shown(&[]), [""; 0]);
}

#[test]
fn check_is_a_tsquery_for_phrases() {
    for (text, check) in [
        ("cat", None),
        ("+cat -dog", None),
        ("\"cat\"", None),
        ("cat-dog", None),
        ("\"big cats\"", Some("((('big' | 'big') <1> ('cat' | 'cats')))")),
        ("\"big ca*\"", Some("((('big' | 'big') <1> ('ca':* | 'ca')))")),
        ("-\"big cat\"", Some("!((('big' | 'big') <1> ('cat' | 'cat')))")),
        (
            "\"big cat\" or dog",
            Some("((('big' | 'big') <1> ('cat' | 'cat')) | (('dog' | 'dog')))"),
        ),
        (
            "\"big cat\" or a-b",
            Some("((('big' | 'big') <1> ('cat' | 'cat')) | (('a' | 'a') & ('b' | 'b')) | ('ab' | 'ab'))"),
        ),
        ("+a-b", Some("((('a' | 'a') <1> ('b' | 'b')) | ('ab' | 'ab'))")),
        (
            "\"big cat\" -\"big dog\"",
            Some("((('big' | 'big') <1> ('cat' | 'cat'))) & !((('big' | 'big') <1> ('dog' | 'dog')))"),
        ),
    ] {
        assert_eq!(read(text, Mode::Any).check().as_deref(), check, "{text}");
    }
}

#[test]
fn quoted_doubles_what_ends_or_escapes_a_word() {
    assert_eq!(quoted(r"a'b\c"), r"'a''b\\c'");
}

/// Reads a tsquery as Postgres does, as far as `check` writes one. Panics unless it is well-formed.
struct Tsquery<'a>(&'a str);

impl Tsquery<'_> {
    fn read(text: &str) {
        let mut reader = Tsquery(text);
        reader.expression();
        assert_eq!(reader.0, "", "{text}");
    }

    fn take(&mut self, token: &str) -> bool {
        let rest = self.0.strip_prefix(token);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn expression(&mut self) {
        loop {
            self.operand();
            let is_phrase = self.take(" <");
            if is_phrase {
                let (distance, rest) = self.0.split_once("> ").unwrap();
                assert!((0..=16384).contains(&distance.parse().unwrap()));
                self.0 = rest;
            }
            if !is_phrase && !self.take(" & ") && !self.take(" | ") {
                return;
            }
        }
    }

    fn operand(&mut self) {
        if self.take("!") {
            return self.operand();
        }
        if self.take("(") {
            self.expression();
            assert!(self.take(")"), "{}", self.0);
            return;
        }
        assert!(self.take("'"), "{}", self.0);
        let mut length = 0;
        while !self.0.starts_with('\'') || self.0.starts_with("''") {
            let _ = self.take("'") || self.take("\\");
            let letter = self.0.chars().next().unwrap();
            self.0 = &self.0[letter.len_utf8()..];
            length += letter.len_utf8();
        }
        assert!(self.take("'") && (1..2046).contains(&length));
        self.take(":*");
    }
}

/// Reads a query of any kind, and checks what holds for all.
fn check_all(text: &str) {
    for mode in [Mode::Any, Mode::All] {
        let query = read(text, mode);
        for operand in query
            .groups
            .iter()
            .flat_map(|group| &group.operands)
            .chain(&query.excluded)
        {
            assert!(!operand.words.is_empty());
            assert!(operand.all().all(|term| term < query.terms.len()));
        }
        assert!(query.groups.iter().all(|group| !group.operands.is_empty()));
        assert!(query.words().chain(query.prefixes()).all(|word| !word.is_empty()));
        if let Some(check) = query.check() {
            Tsquery::read(&check);
        }
    }
}

#[test]
fn read_of_ten_thousand_hostile_characters_returns_a_query() {
    let parts = [
        "\"",
        "-",
        "*",
        "+",
        "!",
        "or ",
        "\"a b\" or ",
        "\\ ",
        "'",
        "\"a'b\\c d\" ",
        "-\"",
        "+\"",
        "\" \"",
        "\u{1}",
        "\u{85}",
        "a*",
        "a* ",
        "-a ",
        "+a-b ",
        "½ ",
        "\"½ ㍿\" ",
        "\"\u{301} \u{301}\" ",
        "東京 ",
        "\"東京\" ",
        "(((((",
        "|",
        "&",
        "\u{ad}",
        "\"\u{200d}a\u{200d} b\"",
        "<->",
        ":*",
        "a:*b",
        "''''",
        "\"it's d'accord\" ",
    ];
    for part in parts {
        check_all(&part.repeat(10_000 / part.len()));
        // A phrase around it, and one that does not end.
        check_all(&format!("\"{}", part.repeat(10_000 / part.len())));
        check_all(&format!(
            "+\"x {}y\"",
            part.replace('"', "").repeat(10_000 / part.len())
        ));
    }
}

#[test]
fn read_of_any_character_in_a_phrase_has_a_tsquery() {
    for letter in (1..0x30000).step_by(11).filter_map(char::from_u32) {
        check_all(&format!("\"{letter} a{letter}\" {letter}*"));
    }
}

proptest! {
    #[test]
    fn read_of_signs_and_words_returns_a_query(
        text in r#"(["\\'*+!()&|<>: -]|or |[abs]{1,3}|the|\PC|東京){0,40}"#,
    ) {
        check_all(&text);
    }
}

#[test]
fn read_asks_whether_it_shall_stop() {
    let asked = interrupts(|interrupt| {
        Query::read(
            &"cat ".repeat(1000),
            Mode::Any,
            &mut Analyzer::new("simple", toy),
            interrupt,
        );
    });
    assert!(asked >= 1000);
}
