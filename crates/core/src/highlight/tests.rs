use super::*;
use crate::interrupts;
use crate::word_query::Mode;
use proptest::prelude::*;
use std::time::{Duration, Instant};

fn toy(word: &str) -> Option<String> {
    let stem = word
        .strip_suffix('s')
        .filter(|stem| stem.len() > 2)
        .unwrap_or(word);
    (!["the", "of"].contains(&word)).then(|| stem.to_owned())
}

fn marked(content: &str, query: &str, fragments: usize, html: bool) -> String {
    let mut analyzer = Analyzer::new("english", toy);
    let query = Query::read(query, Mode::Any, &mut analyzer, Interrupt::NEVER);
    highlight(content, &query, &mut analyzer, fragments, html, Interrupt::NEVER)
}

#[test]
fn highlight_marks_the_words_that_a_search_finds() {
    for (content, query, expected) in [
        ("", "cat", ""),
        ("The cat sat.", "", "The cat sat."),
        ("The cat sat.", "cats", "The <b>cat</b> sat."),
        ("Cats!", "cat", "<b>Cats</b>!"),
        ("Café au lait", "cafe", "<b>Café</b> au lait"),
        ("Cafe\u{301} au lait", "café", "<b>Cafe\u{301}</b> au lait"),
        ("use UTF-8 here", "utf8", "use <b>UTF</b>-<b>8</b> here"),
        ("use utf8 here", "utf-8", "use <b>utf</b><b>8</b> here"),
        ("an e-mail", "email", "an <b>e</b>-<b>mail</b>"),
        ("an email", "e-mail", "an <b>email</b>"),
        ("我们使用数据库系统", "数据库", "我们使用<b>数据</b><b>库</b>系统"),
        ("searchChunks()", "chunk", "search<b>Chunks</b>()"),
        ("catalog of cats", "cat*", "<b>catalog</b> of <b>cats</b>"),
        ("the cat", "the cat", "the <b>cat</b>"),
        ("the cat", "the", "<b>the</b> cat"),
        ("cat and dog", "cat -dog", "<b>cat</b> and dog"),
        ("\"a\" of b  ", "b", "\"a\" of <b>b</b>"),
        ("½ cup", "½", "<b>½</b> cup"),
        ("½", "2", "<b>½</b>"),
    ] {
        assert_eq!(marked(content, query, 1, false), expected, "{content} {query}");
    }
}

#[test]
fn highlight_escapes_html_outside_and_inside_of_marks() {
    let content = "<b>AT&T</b> said \"no\", it's <i>a cat</i> & done";
    let escaped = "&lt;b&gt;<b>AT</b>&amp;<b>T</b>&lt;/b&gt; said &quot;no&quot;, it&#39;s &lt;i&gt;a <b>cat</b>&lt;/i&gt; &amp; done";
    assert_eq!(marked(content, "AT&T cat", 1, true), escaped);
    assert_eq!(
        marked(content, "cat", 1, false),
        "<b>AT&T</b> said \"no\", it's <i>a <b>cat</b></i> & done"
    );
}

/// Numbered words, with others at some places.
fn numbered(words: usize, others: &[(usize, &str)]) -> String {
    let word = |place| {
        others
            .iter()
            .find(|other| other.0 == place)
            .map_or(format!("w{place}w"), |other| other.1.into())
    };
    (0..words).map(word).collect::<Vec<_>>().join(" ")
}

/// How many words without parts an excerpt has.
fn words_of(excerpt: &str) -> usize {
    excerpt.split_whitespace().count()
}

#[test]
fn highlight_of_a_long_text_has_the_best_excerpts_in_order() {
    let text: String = (0..400)
        .map(|place| match place {
            50 => "cat ",
            100 | 105 | 110 => "dog ",
            200 | 210 => "dog and cat ",
            300 => "bird ",
            _ => "x ",
        })
        .collect();
    let excerpts = |fragments| marked(&text, "cat dog", fragments, false);
    let one = excerpts(1);
    assert_eq!(words_of(&one), EXCERPT_WORDS);
    assert!(one.starts_with("x x x x x <b>dog</b> and <b>cat</b> x"), "{one}");
    let two = excerpts(2);
    let [first, second] = two.split(" … ").collect::<Vec<_>>()[..] else {
        panic!("{two}")
    };
    assert!(first.starts_with("x x x x x <b>dog</b> x"), "{first}");
    assert_eq!(second, one);
    // The text has three places with marks that do not overlap.
    assert_eq!(excerpts(9).matches(" … ").count(), 2);
    assert_eq!(excerpts(usize::MAX), excerpts(9));
}

#[test]
fn highlight_of_a_long_text_without_the_words_is_its_beginning() {
    let text = numbered(100, &[]);
    assert_eq!(
        words_of(&marked(&text, "cat", 3, false)),
        words_of(&marked(&text, "", 1, false))
    );
    assert!(text.starts_with(&marked(&text, "cat", 3, false)));
}

#[test]
fn highlight_at_the_ends_of_a_long_text_has_whole_excerpts() {
    let text: String = "x ".repeat(99) + "cat";
    assert_eq!(marked(&text, "cat", 1, false), "x ".repeat(34) + "<b>cat</b>");
    let text = "cat".to_owned() + &" x".repeat(99);
    assert_eq!(
        marked(&text, "cat", 1, false),
        "<b>cat</b>".to_owned() + &" x".repeat(34)
    );
}

#[test]
fn highlight_of_a_megabyte_of_marked_words_is_linear() {
    let time = |words: usize, fragments| {
        let text = "cat dogs ".repeat(words / 2);
        let times = (0..9).map(|_| {
            let start = Instant::now();
            assert!(marked(&text, "cat dog", fragments, false).contains("<b>"));
            start.elapsed()
        });
        times.min().unwrap_or(Duration::MAX)
    };
    for fragments in [1, usize::MAX] {
        let (short, long) = (time(25_000, fragments), time(200_000, fragments));
        // Eight times as many words take about eight times as long; sixty-four times if it were quadratic.
        assert!(long < short * 30, "{short:?} {long:?}");
    }
}

#[test]
fn highlight_asks_whether_it_shall_stop() {
    let mut analyzer = Analyzer::new("english", toy);
    let query = Query::read("cat", Mode::Any, &mut analyzer, Interrupt::NEVER);
    let text = "cat ".repeat(10_000);
    let seen = words(&text, &query, &mut analyzer, Interrupt::NEVER);
    assert!(interrupts(|interrupt| drop(best_windows(&seen, 1, 1, interrupt))) >= 10_000 / 256);
}

proptest! {
    #[test]
    fn highlight_without_its_marks_is_the_text(
        text in r"(\PC|[abs½㍿]{1,3}[ '.-]|東京|한국어|e\u{301}|\u{ad}|C\+\+ |cats |the ){0,60}",
        query in r"([abs½㍿12東京]{1,3}\*? |cat |C\+\+ |\PC){0,6}",
        fragments in 1..4usize,
    ) {
        let excerpts = marked(&text, &query, fragments, false);
        let plain = excerpts.replace("<b>", "").replace("</b>", "");
        if !text.contains(['…', '<']) {
            prop_assert!(plain.split(" … ").all(|excerpt| text.contains(excerpt)), "{excerpts}");
        }
        prop_assert_eq!(excerpts.matches("<b>").count() - text.matches("<b>").count(), excerpts.matches("</b>").count() - text.matches("</b>").count());
        marked(&text, &query, fragments, true);
    }
}
