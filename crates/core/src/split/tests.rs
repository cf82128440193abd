//! The chunks are those of text-splitter.

use super::*;
use crate::chunk::{Format, LANGUAGES};
use crate::interrupts;
use crate::sizer::CountedText;
use crate::token::Encoding;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::RngSeed;
use std::fs;
use std::path::Path;
use text_splitter::{ChunkConfig, ChunkSizer, CodeSplitter, MarkdownSplitter, TextSplitter};

/// Sizers that cost little.
#[derive(Debug, Clone, Copy)]
enum Ruler {
    Bytes,
    Characters,
    /// Three bytes are a token, more or less: a longer text may be fewer tokens.
    Bumpy,
    /// A run of the same character is a token per eight.
    Runs,
}

const RULERS: [Ruler; 4] = [Ruler::Bytes, Ruler::Characters, Ruler::Bumpy, Ruler::Runs];

impl ChunkSizer for Ruler {
    fn size(&self, slice: &str) -> usize {
        match self {
            Ruler::Bytes => slice.len(),
            Ruler::Characters => slice.chars().count(),
            Ruler::Bumpy => (slice.len() / 3 + slice.len() * 7 % 4).min(slice.len()),
            Ruler::Runs => {
                let runs = slice.as_bytes().chunk_by(|a, b| a == b);
                runs.map(|run| run.len().div_ceil(8)).sum()
            }
        }
    }
}

/// Counts every slice anew.
struct Plain(&'static Encoding);

impl ChunkSizer for Plain {
    fn size(&self, slice: &str) -> usize {
        self.0.count(slice, Interrupt::NEVER)
    }
}

struct Ruled<'a>(Ruler, &'a str);

impl<S: Sizer> Sizer for &S {
    fn count(&self, slice: &str) -> usize {
        S::count(self, slice)
    }

    fn offset_beyond(&self, start: usize, tokens: usize) -> usize {
        S::offset_beyond(self, start, tokens)
    }
}

impl Sizer for Ruled<'_> {
    fn count(&self, slice: &str) -> usize {
        self.0.size(slice)
    }

    fn offset_beyond(&self, start: usize, tokens: usize) -> usize {
        let mut length = tokens;
        loop {
            let end = self.1.ceil_char_boundary((start + length).min(self.1.len()));
            if end == self.1.len() || self.count(&self.1[start..end]) > tokens + 4 {
                return end;
            }
            length *= 2;
        }
    }
}

fn encoding(name: &str) -> &'static Encoding {
    Encoding::of_model(name).unwrap()
}

fn code(language: &str) -> Format {
    Format::named(language).unwrap()
}

fn any_code() -> impl Strategy<Value = Format> {
    select(LANGUAGES.iter().map(Format::Code).collect::<Vec<_>>())
}

fn ours<S: Sizer>(text: &str, format: Format, sizer: &S, capacity: Capacity) -> Vec<(usize, String)> {
    ours_unless(Interrupt::NEVER, text, format, sizer, capacity)
}

fn ours_unless<S: Sizer>(
    interrupt: Interrupt,
    text: &str,
    format: Format,
    sizer: &S,
    capacity: Capacity,
) -> Vec<(usize, String)> {
    let (boundaries, trim) = match format {
        Format::Text => (text::boundaries(text, Interrupt::NEVER), Trim::All),
        // Pieces that are smaller than a window.
        Format::Markdown => (
            markdown::boundaries_of_pieces(text, 1000, Interrupt::NEVER),
            Trim::KeepIndentation,
        ),
        Format::Html => (html::boundaries(text, Interrupt::NEVER), Trim::KeepIndentation),
        Format::Csv => (csv::boundaries(text, capacity.max, Interrupt::NEVER), Trim::Lines),
        Format::Code(language) => (
            code::boundaries(text, &(language.grammar)(), Interrupt::NEVER).unwrap(),
            Trim::KeepIndentation,
        ),
    };
    Chunks::new(text, boundaries, trim, sizer, capacity, interrupt)
        .map(|range| (range.start, text[range].to_string()))
        .collect()
}

fn theirs<S: ChunkSizer>(text: &str, format: Format, sizer: S, capacity: Capacity) -> Vec<(usize, String)> {
    let config = ChunkConfig::new(capacity.max)
        .with_sizer(sizer)
        .with_overlap(capacity.overlap)
        .unwrap();
    let chunks: Vec<_> = match format {
        Format::Text => TextSplitter::new(config).chunk_indices(text).collect(),
        Format::Markdown => MarkdownSplitter::new(config).chunk_indices(text).collect(),
        Format::Html | Format::Csv => panic!("text-splitter has no such format"),
        Format::Code(language) => CodeSplitter::new((language.grammar)(), config)
            .unwrap()
            .chunk_indices(text)
            .collect(),
    };
    chunks
        .into_iter()
        .map(|(at, chunk)| (at, chunk.to_string()))
        .collect()
}

/// Whether code is cut as code. Theirs takes minutes for some shreds of code, one in thousands, which ours cuts as text.
fn is_parsed(text: &str, format: Format) -> bool {
    match format {
        Format::Code(language) => code::parse(text, &(language.grammar)(), Interrupt::NEVER)
            .unwrap()
            .is_some(),
        _ => false,
    }
}

#[track_caller]
fn compare(text: &str, format: Format, ruler: Ruler, max: usize, overlap: usize) {
    let capacity = Capacity { max, overlap };
    let ours = ours(text, format, &Ruled(ruler, text), capacity);
    let theirs = theirs(text, format, ruler, capacity);
    for (number, (our, their)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(our, their, "chunk {number}, {format:?}, {ruler:?}, {capacity:?}");
    }
    assert_eq!(ours.len(), theirs.len(), "{format:?}, {ruler:?}, {capacity:?}");
}

/// `cases` from a fixed seed, so that every run tries the same texts. The environment variable PROPTEST_RNG_SEED chooses
/// another seed.
pub(super) fn repeatable(cases: u32) -> ProptestConfig {
    let config = ProptestConfig::with_cases(cases);
    match config.rng_seed {
        RngSeed::Random => ProptestConfig {
            rng_seed: RngSeed::Fixed(0),
            ..config
        },
        RngSeed::Fixed(_) => config,
    }
}

fn capacity() -> impl Strategy<Value = (usize, usize)> {
    (1usize..120).prop_flat_map(|max| (Just(max), prop_oneof![2 => Just(0), 1 => 0..max]))
}

/// Pieces that texts are put together from.
pub(super) fn put_together(pieces: &'static [&'static str], most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![9 => select(pieces).prop_map(String::from), 1 => "\\PC{0,9}"],
        0..most,
    )
    .prop_map(|pieces| pieces.concat())
}

const PROSE: &[&str] = &[
    "word ",
    "Sentence one. ",
    "etc. 12 ",
    "e.g. x",
    " ",
    "  ",
    "\t",
    "\n",
    "\n\n",
    "\n\n\n",
    "\r\n",
    "\r\n\r\n",
    "\r",
    "日本語の文章です。",
    "本当",
    "ภาษาไทย",
    "a\u{301}",
    "\u{1F468}\u{200d}\u{1F469}",
    "🇫🇷",
    "\u{3000}",
    "\u{a0}",
    "3.14",
    "--------",
    "supercalifragilistic",
    "Does it? ",
    "Yes! ",
    "\"Quoted.\" ",
    "l'homme ",
    "x:y ",
];

const MARKDOWN: &[&str] = &[
    "# One\n",
    "## Two\n\n",
    "### Three\n",
    "###### Six\n",
    "Title\n===\n",
    "para ",
    "two words. ",
    "\n",
    "\n\n",
    "  \n",
    "\\\n",
    "- item\n",
    "- ",
    "  - nested\n",
    "1. first\n",
    "* ",
    "    ",
    "> quote\n",
    "> ",
    "```rust\nfn a() {}\n```\n",
    "```\n",
    "~~~\n",
    "| a | b |\n|---|---|\n| 1 | 2 |\n",
    "| x | y |\n",
    "---\n",
    "***\n",
    "**bold** ",
    "*em* ",
    "~~no~~ ",
    "`code` ",
    "[link](http://x.y) ",
    "![i](j) ",
    "<b>html</b> ",
    "<div>\n",
    "</div>\n\n",
    "<!-- c -->\n",
    "- [x] done\n",
    "[^1] ",
    "[^1]: note\n",
    "$x$ ",
    "$$y$$\n",
    "term\n: definition\n",
    "&amp; ",
    "\\* ",
    "日本語。",
    "\r\n",
    "\t",
    "+++\n",
    "H~2~O ",
    "x^2^ ",
    "> [!NOTE]\n> n\n",
    "[[wiki]] ",
];

pub(super) fn markdown_text() -> impl Strategy<Value = String> {
    put_together(MARKDOWN, 80)
}

const PROGRAM: &[&str] = &[
    "fn f(a: u8) -> u8 {\n",
    "}\n",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "let x = 1;\n",
    "if x > 0 ",
    "else ",
    "x + y * z",
    "def g(a, b):\n    ",
    "return x\n",
    "class C:\n",
    "    ",
    "\n",
    "\n\n",
    "// comment\n",
    "# comment\n",
    "/* long\n comment */",
    "\"string\"",
    "'c'",
    "`t ${x} t`",
    "select a, b from t where x = 1;\n",
    "create table t (a int);\n",
    "func (r R) F() error {\n",
    "package main\n",
    "import \"fmt\"\n",
    "const f = (a) => a;\n",
    "x.a().b().c()",
    ", ",
    ";\n",
    "interface I { a: string }\n",
    "struct S { a: u8 }\n",
    "@",
    "日本",
    "\r\n",
    "\t",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3000))]

    #[test]
    fn text_is_cut_alike(text in put_together(PROSE, 150), ruler in select(&RULERS[..]), (max, overlap) in capacity()) {
        compare(&text, Format::Text, ruler, max, overlap);
    }

    #[test]
    fn markdown_is_cut_alike(text in put_together(MARKDOWN, 80), ruler in select(&RULERS[..]), (max, overlap) in capacity()) {
        compare(&text, Format::Markdown, ruler, max, overlap);
    }

    #[test]
    fn code_is_cut_alike(
        text in put_together(PROGRAM, 60),
        format in any_code(),
        ruler in select(&RULERS[..]),
        (max, overlap) in capacity(),
    ) {
        compare(&text, format, ruler, max, overlap);
    }

    #[test]
    fn any_text_is_cut_alike(text in "[a-c .\n\r\t*#>-]{0,200}|\\PC{0,200}", ruler in select(&RULERS[..]), (max, overlap) in capacity()) {
        compare(&text, Format::Text, ruler, max, overlap);
        compare(&text, Format::Markdown, ruler, max, overlap);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Texts much larger than a window.
    #[test]
    fn long_texts_are_cut_alike(
        prose in put_together(PROSE, 3000),
        markdown in put_together(MARKDOWN, 3000),
        program in put_together(PROGRAM, 3000),
        format in any_code(),
        ruler in select(&RULERS[..]),
        (max, overlap) in capacity(),
    ) {
        compare(&prose, Format::Text, ruler, max, overlap);
        compare(&prose.replace(['\n', '\r'], " "), Format::Text, ruler, max, overlap);
        compare(&markdown, Format::Markdown, ruler, max, overlap);
        // With nothing in it that would have it read as one piece.
        let sequential = markdown.replace("]:", "] ").replace("---\n", "***\n").replace("+++\n", "===\n");
        compare(&sequential, Format::Markdown, ruler, max, overlap);
        if is_parsed(&program, format) {
            compare(&program, format, ruler, max, overlap);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// In real tokens, with the text counted beforehand.
    #[test]
    fn tokens_are_cut_alike(
        prose in put_together(PROSE, 200),
        markdown in put_together(MARKDOWN, 200),
        program in put_together(PROGRAM, 200),
        format in any_code(),
        // The last counts each blank.
        encoding in select(vec![encoding("cl100k_base"), encoding("o200k_base"), encoding("r50k_base")]),
        whitespace in 1usize..200,
        (max, overlap) in capacity(),
    ) {
        // A character may be several tokens.
        let capacity = Capacity { max: max + 3, overlap };
        for (text, format) in [(prose, Format::Text), (markdown, Format::Markdown), (program, format)] {
            let text = text.replace("  ", &" ".repeat(whitespace));
            let counted = CountedText::new(&text, encoding, Interrupt::NEVER);
            prop_assert_eq!(ours(&text, format, &counted, capacity), theirs(&text, format, Plain(encoding), capacity));
        }
    }
}

/// A sizer that counts how many bytes it was asked about.
struct Watched<'a>(Ruled<'a>, Cell<usize>);

impl Sizer for Watched<'_> {
    fn count(&self, slice: &str) -> usize {
        self.1.set(self.1.get() + slice.len());
        self.0.count(slice)
    }

    fn offset_beyond(&self, start: usize, tokens: usize) -> usize {
        let end = self.0.offset_beyond(start, tokens);
        self.1.set(self.1.get() + end - start);
        end
    }
}

/// How many bytes are counted, and sections looked at.
fn work(text: &str, format: Format, overlap: usize) -> usize {
    let sizer = Watched(Ruled(Ruler::Bumpy, text), Cell::new(0));
    let capacity = Capacity { max: 100, overlap };
    // It asks for each section.
    let sections = interrupts(|interrupt| {
        ours_unless(interrupt, text, format, &sizer, capacity);
    });
    sizer.1.get() + sections
}

/// A text of some size.
type Hostile = (&'static str, Format, fn(usize) -> String);

/// Twice the text takes twice the work, whatever the text.
#[test]
fn work_grows_with_the_text() {
    let texts: [Hostile; 16] = [
        ("one word", Format::Text, |size| "a".repeat(size)),
        ("spaces", Format::Text, |size| " ".repeat(size) + "x"),
        ("tabs inside", Format::Text, |size| {
            format!("a {} b c", "\t".repeat(size))
        }),
        ("one line", Format::Text, |size| "some words. ".repeat(size / 12)),
        ("a blank line at the end", Format::Text, |size| {
            "x ".repeat(size / 2) + "\n\n"
        }),
        ("joined emoji", Format::Text, |size| {
            "\u{1F468}\u{200d}".repeat(size / 7)
        }),
        ("combining boundaries", Format::Text, |size| {
            "\u{301}".repeat(size / 2)
        }),
        ("Thai", Format::Text, |size| "ภาษาไทย".repeat(size / 21)),
        ("space, then words", Format::Text, |size| {
            " ".repeat(size / 2) + &"word ".repeat(size / 10)
        }),
        ("quotes", Format::Markdown, |size| "> ".repeat(size / 2) + "x"),
        ("lists", Format::Markdown, |size| "- ".repeat(size / 2) + "x"),
        ("headings", Format::Markdown, |size| {
            "# H\n\ntext\n\n".repeat(size / 11)
        }),
        ("brackets", code("rust"), |size| {
            "(".repeat(size / 2) + &")".repeat(size / 2)
        }),
        ("newlines", Format::Markdown, |size| "\n".repeat(size)),
        ("separators, then a word", Format::Text, |size| {
            "\u{2029}".repeat(size / 6) + &"a".repeat(size / 2)
        }),
        ("a sum", code("python"), |size| "1+".repeat(size / 2)),
    ];
    for (name, format, text) in texts {
        for overlap in [0, 20] {
            let (one, two) = (
                work(&text(100_000), format, overlap),
                work(&text(200_000), format, overlap),
            );
            assert!(
                two <= one * 23 / 10 + 10_000,
                "{name}, overlap {overlap}: {one}, then {two}"
            );
            assert!(two <= 40 * 200_000, "{name}, overlap {overlap}: {two}");
        }
    }
}

/// The files of a folder of this repository.
fn files(folder: &str, extension: &str) -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder);
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

#[test]
fn this_repository_is_cut_alike() {
    let formats = [
        ("", "md", Format::Markdown),
        ("sql", "sql", code("sql")),
        ("crates/core/src", "rs", code("rust")),
        ("crates/core/src/split", "rs", code("rust")),
        ("tests/security", "py", code("python")),
        ("tests/api", "mjs", code("javascript")),
        ("tests/api", "ts", code("typescript")),
    ];
    for (folder, extension, format) in formats {
        for text in files(folder, extension) {
            for (max, overlap) in [(20, 0), (64, 20), (500, 0), (1500, 300)] {
                compare(&text, format, Ruler::Characters, max, overlap);
                compare(&text, Format::Text, Ruler::Bumpy, max, overlap);
            }
        }
    }
}

/// White space before a chunk does not count towards its size, even if it is many tokens.
#[test]
fn blanks_before_a_chunk_are_not_counted() {
    let encoding = encoding("r50k_base");
    let texts = [
        (
            format!("\u{9ac}'{}\u{9e7}\u{9c7} \u{f}_i", " ".repeat(73)),
            Format::Markdown,
            Capacity { max: 10, overlap: 0 },
        ),
        (
            format!("-\u{1}\u{1}\u{1e}\u{1}{}DD{}  ", " ".repeat(95), " -".repeat(28)),
            code("typescript"),
            Capacity { max: 31, overlap: 1 },
        ),
    ];
    for (text, format, capacity) in texts {
        let counted = CountedText::new(&text, encoding, Interrupt::NEVER);
        assert_eq!(
            ours(&text, format, &counted, capacity),
            theirs(&text, format, Plain(encoding), capacity)
        );
    }
}
