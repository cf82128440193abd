//! Cutting text into chunks of a size given in real tokens.

use super::sizer::CountedText;
use super::split::{self, Boundaries, Capacity, Chunks, Sizer, Trim};
use super::token::Encoding;
use super::{Error, Interrupt};
use std::ops::Range;
use std::{fmt, iter};

/// What a text is, which decides where it may best be cut.
#[derive(Debug, Clone, Copy)]
pub enum Format {
    /// Plain text.
    Text,
    /// Markdown, as GitHub reads it.
    Markdown,
    /// HTML, whole documents or parts of them.
    Html,
    /// A table of records, with commas, semicolons, tabs or bars between fields.
    Csv,
    /// Code.
    Code(&'static Language),
}

/// A programming language.
pub struct Language {
    /// The format's name.
    pub name: &'static str,
    /// Loads the grammar.
    pub grammar: fn() -> tree_sitter::Language,
}

/// All programming languages.
pub static LANGUAGES: [Language; 7] = [
    language("go", || tree_sitter_go::LANGUAGE.into()),
    language("javascript", || tree_sitter_javascript::LANGUAGE.into()),
    language("python", || tree_sitter_python::LANGUAGE.into()),
    language("rust", || tree_sitter_rust::LANGUAGE.into()),
    language("sql", || tree_sitter_sequel::LANGUAGE.into()),
    language("tsx", || tree_sitter_typescript::LANGUAGE_TSX.into()),
    language("typescript", || {
        tree_sitter_typescript::LANGUAGE_TYPESCRIPT.into()
    }),
];

const fn language(name: &'static str, grammar: fn() -> tree_sitter::Language) -> Language {
    Language { name, grammar }
}

impl fmt::Debug for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl Format {
    /// The format of that name.
    ///
    /// # Errors
    /// [`Error::UnknownFormat`] for any other name.
    pub fn named(name: &str) -> Result<Self, Error> {
        Self::all()
            .find(|format| format.name() == name)
            .ok_or_else(|| Error::UnknownFormat {
                name: name.into(),
                formats: Self::all().map(Self::name).collect::<Vec<_>>().join(", "),
            })
    }

    /// All formats.
    pub fn all() -> impl Iterator<Item = Self> {
        let code = LANGUAGES.iter().map(Format::Code);
        [Format::Text, Format::Markdown, Format::Html, Format::Csv]
            .into_iter()
            .chain(code)
    }

    /// Its name, such as `markdown` or `rust`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Text => "text",
            Format::Markdown => "markdown",
            Format::Html => "html",
            Format::Csv => "csv",
            Format::Code(language) => language.name,
        }
    }
}

/// The default overlap, in tokens. Chunks of less than twice as many tokens overlap by half.
pub const DEFAULT_OVERLAP: usize = 64;

/// How large chunks are, in tokens of an encoding.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    max: usize,
    overlap: usize,
    encoding: &'static Encoding,
}

impl Size {
    /// Chunks of at most `max_tokens` tokens that repeat at most `overlap_tokens` tokens of the chunk before.
    ///
    /// # Errors
    /// `max_tokens` is below 1, or `overlap_tokens` is negative or more than half of `max_tokens`. (With an overlap near the
    /// size, the chunks would be many times as large as the text.)
    pub fn new(max_tokens: i32, overlap_tokens: i32, encoding: &'static Encoding) -> Result<Self, Error> {
        let max = usize::try_from(max_tokens)
            .ok()
            .filter(|&max| max > 0)
            .ok_or(Error::MaxTokens(max_tokens))?;
        let overlap = usize::try_from(overlap_tokens).map_err(|_| Error::NegativeOverlap(overlap_tokens))?;
        let overlap = match overlap {
            DEFAULT_OVERLAP => overlap.min(max / 2),
            _ if overlap > max / 2 => {
                return Err(Error::OverlapTooLarge {
                    overlap,
                    max,
                    default: DEFAULT_OVERLAP,
                });
            }
            _ => overlap,
        };
        Ok(Size {
            max,
            overlap,
            encoding,
        })
    }

    fn capacity(self) -> Capacity {
        Capacity {
            max: self.max,
            overlap: self.overlap,
        }
    }
}

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
pub struct Chunk<'a> {
    /// The text.
    pub content: &'a str,
    /// How many tokens `content` is, by itself.
    pub token_count: usize,
    /// The offset of the first character, in characters from 0.
    pub start_char: usize,
    /// The offset after the last character, in characters.
    pub end_char: usize,
    /// In markdown and HTML, the headings the chunk stands under, outermost first; `None` in other formats.
    pub headings: Option<Vec<String>>,
    /// The header of the table in which the chunk begins, if it begins behind the header and the header is short.
    pub header: Option<&'a str>,
}

/// Longer headers are left out, because every chunk of a table repeats its header.
const MAX_HEADER_CHARACTERS: usize = 2000;

/// As JSON, which is what the schema bounds.
const MAX_HEADER_BYTES: usize = 4000;

/// Cuts `text` into chunks of the size at the best boundaries that its format has. White space at a chunk's ends is left
/// out, and nothing else.
///
/// # Errors
/// [`Error::Grammar`]; and in place of a chunk [`Error::CharacterTooLarge`], if one character alone is more tokens than a
/// chunk may have.
pub fn chunks(
    text: &str,
    format: Format,
    size: Size,
    interrupt: Interrupt,
) -> Result<impl Iterator<Item = Result<Chunk<'_>, Error>>, Error> {
    let boundaries = boundaries(text, format, size.max, interrupt)?;
    let counted = CountedText::new(text, size.encoding, interrupt);
    let mut builder = ChunkBuilder {
        text,
        max: size.max,
        at: (0, 0),
        header: (0..0, false),
    };
    let mut ranges = Chunks::new(
        text,
        boundaries,
        trim(format),
        counted,
        size.capacity(),
        interrupt,
    );
    Ok(iter::from_fn(move || {
        let range = ranges.next()?;
        let headings = ranges.headings_at(range.start);
        let header = ranges.header_at(range.start);
        Some(builder.chunk(range, headings, header, ranges.sizer()))
    }))
}

fn boundaries(text: &str, format: Format, max: usize, interrupt: Interrupt) -> Result<Boundaries<'_>, Error> {
    Ok(match format {
        Format::Text => split::text::boundaries(text, interrupt),
        Format::Markdown => split::markdown::boundaries(text, interrupt),
        Format::Html => split::html::boundaries(text, interrupt),
        // A token is at least a byte.
        Format::Csv => split::csv::boundaries(text, max, interrupt),
        Format::Code(language) => split::code::boundaries(text, &(language.grammar)(), interrupt)?,
    })
}

fn trim(format: Format) -> Trim {
    match format {
        Format::Text => Trim::All,
        Format::Markdown | Format::Html | Format::Code(_) => Trim::KeepIndentation,
        Format::Csv => Trim::Lines,
    }
}

/// The bytes that a character takes as JSON.
fn json_bytes(character: char) -> usize {
    match character {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        '\0'..' ' => 6,
        _ => character.len_utf8(),
    }
}

/// Makes chunks of their ranges, in ascending order.
struct ChunkBuilder<'a> {
    text: &'a str,
    max: usize,
    /// A place in the text, in bytes and in characters.
    at: (usize, usize),
    /// The header that was looked at last, and whether it is short.
    header: (Range<usize>, bool),
}

impl<'a> ChunkBuilder<'a> {
    fn chunk(
        &mut self,
        range: Range<usize>,
        headings: Option<Vec<String>>,
        header: Option<Range<usize>>,
        counted: &CountedText<'a>,
    ) -> Result<Chunk<'a>, Error> {
        let content = &self.text[range.clone()];
        let token_count = counted.count(content);
        if token_count > self.max {
            // What follows the character that is too large may add nothing to it.
            let character = &content[..content.chars().next().map_or(0, char::len_utf8)];
            return Err(Error::CharacterTooLarge {
                character: character.into(),
                tokens: counted.count(character),
                max: self.max,
            });
        }
        let start_char = self.characters_before(range.start);
        Ok(Chunk {
            content,
            token_count,
            start_char,
            end_char: start_char + content.chars().count(),
            headings,
            header: header.and_then(|header| self.short(header, counted)),
        })
    }

    /// The header, if it is short: many chunks may have it.
    fn short(&mut self, header: Range<usize>, counted: &CountedText<'a>) -> Option<&'a str> {
        let text = &self.text[header.clone()];
        if self.header.0 != header {
            let is_short = !text.trim().is_empty()
                && text.len() <= MAX_HEADER_BYTES
                && text.chars().count() <= MAX_HEADER_CHARACTERS
                && text.chars().map(json_bytes).sum::<usize>() <= MAX_HEADER_BYTES
                && counted.count(text) <= self.max / 4;
            self.header = (header, is_short);
        }
        self.header.1.then_some(text)
    }

    fn characters_before(&mut self, byte: usize) -> usize {
        let (bytes, characters) = self.at;
        let characters = match self.text.get(bytes..byte) {
            Some(between) => characters + between.chars().count(),
            // A chunk that overlaps may keep indentation that the one before did not.
            None => characters - self.text[byte..bytes].chars().count(),
        };
        self.at = (byte, characters);
        characters
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Interrupt;
    use proptest::prelude::*;

    fn chunk(text: &str, format: Format, size: Size, interrupt: Interrupt) -> Result<Vec<Chunk<'_>>, Error> {
        chunks(text, format, size, interrupt)?.collect()
    }

    fn cl100k() -> &'static Encoding {
        Encoding::of_model("cl100k_base").unwrap()
    }

    fn size(max: i32, overlap: i32) -> Size {
        Size::new(max, overlap, cl100k()).unwrap()
    }

    #[test]
    fn every_grammar_loads() {
        for format in Format::all() {
            let chunks = chunk("select 1", format, size(10, 0), Interrupt::NEVER).unwrap();
            assert_eq!(chunks.len(), 1, "{format:?}");
        }
    }

    #[test]
    fn bad_sizes_are_refused() {
        let new = |max, overlap| Size::new(max, overlap, cl100k()).map(|_| ());
        assert_eq!(new(0, 0), Err(Error::MaxTokens(0)));
        assert_eq!(new(-5, 0), Err(Error::MaxTokens(-5)));
        assert_eq!(new(5, -1), Err(Error::NegativeOverlap(-1)));
        assert_eq!(
            new(5, 3),
            Err(Error::OverlapTooLarge {
                overlap: 3,
                max: 5,
                default: 64
            })
        );
        assert_eq!(
            new(8000, i32::MAX),
            Err(Error::OverlapTooLarge {
                overlap: i32::MAX as usize,
                max: 8000,
                default: 64,
            })
        );
        assert!(new(5, 2).is_ok());
    }

    #[test]
    fn the_default_overlap_shrinks_with_the_chunk() {
        let overlap = |max| size(max, DEFAULT_OVERLAP as i32).overlap;
        assert_eq!([1, 2, 50, 127, 128, 512].map(overlap), [0, 1, 25, 63, 64, 64]);
    }

    #[test]
    fn a_character_larger_than_a_chunk_is_refused() {
        let error = chunk("𓀀", Format::Text, size(1, 0), Interrupt::NEVER).unwrap_err();
        assert!(
            matches!(error, Error::CharacterTooLarge { max: 1, .. }),
            "{error}"
        );
        // Two characters, no more tokens than the first.
        for max in 1..3 {
            match chunk("ఁม", Format::Markdown, size(max, 0), Interrupt::NEVER) {
                Err(Error::CharacterTooLarge { character, .. }) => assert_eq!(character.chars().count(), 1),
                other => assert!(other.is_ok(), "{other:?}"),
            }
        }
    }

    #[test]
    fn markdown_knows_its_headings() {
        let text = "# Guide\n\nIntroduction to it.\n\n## Install\n\nRun the installer.\n";
        let chunks = chunk(text, Format::Markdown, size(8, 0), Interrupt::NEVER).unwrap();
        assert_eq!(chunks[0].headings.as_deref(), Some(&["Guide".to_string()][..]));
        let last = chunks.last().unwrap();
        assert_eq!(last.content, "## Install\n\nRun the installer.");
        assert_eq!(last.headings.as_ref().unwrap().join("/"), "Guide/Install");
    }

    #[test]
    fn front_matter_is_no_heading() {
        let text = "---\ntitle: Guide\n---\n\n# Install\n\nRun the installer.\n";
        let chunks = chunk(text, Format::Markdown, size(10, 0), Interrupt::NEVER).unwrap();
        assert_eq!(chunks[0].headings.as_deref(), Some(&[][..]));
        assert_eq!(
            chunks.last().unwrap().headings.as_deref(),
            Some(&["Install".to_string()][..])
        );
    }

    #[test]
    fn chunks_of_csv_have_whole_records_and_the_header() {
        let text = "\u{feff}id;name;note\r\n1;Ann;\"two\r\nlines\"\r\n2;Bob;none\r\n3;Eve;\"a; b\"\r\n";
        let chunks = chunk(text, Format::Csv, size(20, 0), Interrupt::NEVER).unwrap();
        let cut: Vec<_> = chunks.iter().map(|c| (c.content, c.header)).collect();
        let header = Some("id;name;note");
        assert_eq!(
            cut,
            [
                (
                    "\u{feff}id;name;note\r\n1;Ann;\"two\r\nlines\"\r\n2;Bob;none",
                    None
                ),
                ("3;Eve;\"a; b\"", header)
            ]
        );
        // Five tokens are more than a quarter.
        let chunks = chunk(text, Format::Csv, size(16, 0), Interrupt::NEVER).unwrap();
        assert!(chunks.iter().all(|chunk| chunk.header.is_none()) && chunks.len() > 1);
    }

    #[test]
    fn chunks_of_html_follow_its_structure() {
        let text = "<!DOCTYPE html>\n<main>\n  <h1>Guide</h1>\n  <p>Introduction to it.</p>\n  <h2>In&shy;stall</h2>\n  <table>\n\
                    <tr><th>Name</th><th>Use</th></tr>\n<tr><td>make</td><td>builds all of it</td></tr>\n\
                    <tr><td>make test</td><td>tests all of it</td></tr>\n</table>\n</main>\n";
        let chunks = chunk(text, Format::Html, size(60, 0), Interrupt::NEVER).unwrap();
        let cut: Vec<_> = chunks
            .iter()
            .map(|c| (&c.content[..12], c.headings.as_ref().unwrap().join("/"), c.header))
            .collect();
        let path = "Guide/In\u{ad}stall".to_string();
        let header = Some("<tr><th>Name</th><th>Use</th></tr>");
        let expected = [
            ("<!DOCTYPE ht", "Guide".to_string(), None),
            ("  <h2>In&shy", path.clone(), None),
            ("<tr><td>make", path, header),
        ];
        assert_eq!(cut, expected, "{chunks:#?}");
        assert!(
            chunks[1].content.ends_with("builds all of it</td></tr>"),
            "{chunks:#?}"
        );
    }

    #[test]
    fn tags_and_entities_are_whole_where_they_fit() {
        let word = "Fish &amp; chips, <a href=\"https://example.org/a b c?d=e. F g\" title='Hello. World'>a link</a> and more. ";
        let text = format!("<p>{}</p>", word.repeat(20));
        for max in 30..60 {
            let chunks = chunk(&text, Format::Html, size(max, 0), Interrupt::NEVER).unwrap();
            for piece in &chunks {
                let (opened, closed) = (
                    piece.content.matches('<').count(),
                    piece.content.matches('>').count(),
                );
                assert_eq!(opened, closed, "{max}: {}", piece.content);
                assert!(
                    !piece.content.ends_with("&amp") && !piece.content.ends_with('&'),
                    "{max}"
                );
            }
        }
        // A tag that is larger than a chunk is cut, and no more than that.
        let image = format!(
            "<p>before it</p><img src='data:{}'><p>behind it</p>",
            "abc ".repeat(1000)
        );
        let chunks = chunk(&image, Format::Html, size(50, 0), Interrupt::NEVER).unwrap();
        assert_eq!(chunks[0].content, "<p>before it</p>");
        assert!(chunks.len() < 40 && chunks.last().unwrap().content.ends_with("<p>behind it</p>"));
    }

    #[test]
    fn tables_of_markdown_have_their_header() {
        let text = format!(
            "# T\n\n| Name | Use |\n|---|---|\n{}\nThe end.\n",
            "| a | first |\n".repeat(20)
        );
        let chunks = chunk(&text, Format::Markdown, size(40, 0), Interrupt::NEVER).unwrap();
        assert!(chunks.len() > 3);
        for piece in &chunks {
            let is_row = piece.content.starts_with("| a");
            assert_eq!(piece.header, is_row.then_some("| Name | Use |"), "{piece:?}");
        }
    }

    #[test]
    fn blanks_that_are_fields_are_kept() {
        let text = "a\tb\tc\n\n \n\tx\t\n\t\t\none two three four\t\t\n\n";
        let contents = |max| -> Vec<_> {
            let chunks = chunk(text, Format::Csv, size(max, 0), Interrupt::NEVER).unwrap();
            chunks.iter().map(|chunk| chunk.content).collect()
        };
        assert_eq!(
            contents(100),
            ["a\tb\tc\n\n \n\tx\t\n\t\t\none two three four\t\t"]
        );
        assert_eq!(contents(5), ["a\tb\tc", "\tx\t", "one two three four\t\t"]);
    }

    #[test]
    fn a_long_header_is_left_out() {
        for (header, is_short) in [
            ("x".repeat(100), true),
            ("x".repeat(1999) + ",", true),
            ("x".repeat(2001), false),
            ("é".repeat(1900), true),
            ("日".repeat(1900), false),
            ("\u{1}".repeat(1000), false),
        ] {
            let text = format!("{header}\n{}", "1,2\n".repeat(10_000));
            let chunks = chunk(&text, Format::Csv, size(8000, 0), Interrupt::NEVER).unwrap();
            let short = is_short.then_some(&header[..]);
            assert_eq!(chunks.last().unwrap().header, short, "{}", &header[..8]);
        }
    }

    #[test]
    fn an_indented_heading_is_above_its_chunk() {
        let text = "  # Guide\n\nIntroduction to it.\n\n  ## Install\n\nRun the installer.\n";
        let chunks = chunk(text, Format::Markdown, size(10, 0), Interrupt::NEVER).unwrap();
        let paths: Vec<_> = chunks
            .iter()
            .map(|c| c.headings.as_ref().unwrap().join("/"))
            .collect();
        assert_eq!(paths, ["Guide", "Guide/Install"], "{chunks:?}");
    }

    #[test]
    fn tables_and_code_fences_are_kept_whole_where_they_fit() {
        let table = "| Name | Use |\n|---|---|\n| a | first |\n| b | second |";
        let fence = "```sh\nmake\n\nmake install\n```";
        let prose = "Some words that stand before it, and some more of them.";
        let text = format!("{prose}\n\n{table}\n\n{prose}\n\n{fence}\n\n{prose}\n");
        for max in 24..40 {
            let chunks = chunk(&text, Format::Markdown, size(max, 0), Interrupt::NEVER).unwrap();
            for whole in [table, fence] {
                assert!(
                    chunks.iter().any(|piece| piece.content.contains(whole)),
                    "{max}: {chunks:?}"
                );
            }
        }
    }

    /// Deeper than a stack could hold.
    #[test]
    fn deep_nesting_is_cut() {
        let rust = Format::named("rust").unwrap();
        let python = Format::named("python").unwrap();
        let brackets = "(".repeat(50_000) + &")".repeat(50_000);
        let sum = "1".to_string() + &"+1".repeat(50_000);
        let quotes = "> ".repeat(50_000) + "x";
        let lists = "- ".repeat(50_000) + "x";
        for (text, format) in [
            (&brackets, rust),
            (&sum, python),
            (&quotes, Format::Markdown),
            (&lists, Format::Markdown),
            (&"<div>".repeat(50_000), Format::Html),
            (&"<ul><li>".repeat(50_000), Format::Html),
            (&"<table><tr><td>x".repeat(50_000), Format::Html),
        ] {
            let chunks = chunk(text, format, size(100, 0), Interrupt::NEVER).unwrap();
            let together: String = chunks.iter().map(|piece| piece.content).collect();
            assert!(together.replace(' ', "") == text.replace(' ', ""), "{format:?}");
        }
    }

    #[test]
    fn work_stops_when_asked_to() {
        let stop = Interrupt {
            pending: || true,
            raise: || panic!("stopped"),
        };
        let text = "fn f() {}\n\n".repeat(10_000);
        for format in Format::all() {
            let stopped = std::panic::catch_unwind(|| chunk(&text, format, size(100, 0), stop).map(|_| ()));
            assert!(stopped.is_err(), "{format:?}");
        }
    }

    #[test]
    fn code_is_cut_between_functions() {
        let text = "fn one() {\n    1;\n}\n\nfn two() {\n    2;\n}\n";
        let rust = Format::named("rust").unwrap();
        let chunks = chunk(text, rust, size(14, 0), Interrupt::NEVER).unwrap();
        let contents: Vec<_> = chunks.iter().map(|c| c.content).collect();
        assert_eq!(contents, ["fn one() {\n    1;\n}", "fn two() {\n    2;\n}"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Chunks are within their size, stand where they say, and together with the white space between
        /// them are the text.
        #[test]
        fn chunks_cover_the_text(
            text in "([a-zé日#*`> \n.{}()\u{1F600}\u{301}-]|[,;\t\"|\r<&/]|</?(p|ul|li|h1|table|tr|pre|b)>|\"\n){0,300}",
            max in 4i32..40,
            format in prop::sample::select(Format::all().collect::<Vec<_>>()),
        ) {
            let chunks = chunk(&text, format, size(max, 0), Interrupt::NEVER).unwrap();
            let characters: Vec<char> = text.chars().collect();
            let mut at = 0;
            for piece in &chunks {
                prop_assert!(piece.token_count <= max as usize);
                prop_assert_eq!(piece.token_count, cl100k().count(piece.content, Interrupt::NEVER));
                let between: String = characters[at..piece.start_char].iter().collect();
                prop_assert!(between.trim().is_empty(), "lost {:?}", between);
                let here: String = characters[piece.start_char..piece.end_char].iter().collect();
                prop_assert_eq!(&here, piece.content);
                at = piece.end_char;
            }
            let rest: String = characters[at..].iter().collect();
            prop_assert!(rest.trim().is_empty(), "lost {:?}", rest);
        }

        /// A record that fits into a chunk is in one.
        #[test]
        fn records_are_whole_where_they_fit(
            rows in prop::collection::vec(prop::collection::vec("[a-c ,\"\n]{1,8}", 1..4), 1..20),
            max in 4i32..60,
        ) {
            let quoted = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let written: Vec<String> = rows
                .iter()
                .map(|row| row.iter().map(quoted).collect::<Vec<_>>().join(","))
                .collect();
            let text = written.join("\n");
            let chunks = chunk(&text, Format::Csv, size(max, 0), Interrupt::NEVER).unwrap();
            for record in written {
                prop_assert!(
                    cl100k().count(&record, Interrupt::NEVER) > max as usize
                        || chunks.iter().any(|piece| piece.content.contains(&record)),
                    "{}: {:?}", record, chunks
                );
            }
        }

        #[test]
        fn overlapping_chunks_stay_within_their_size(
            text in "[a-z \n.]{0,300}", max in 12i32..30, overlap in 0i32..6,
        ) {
            for piece in chunk(&text, Format::Text, size(max, overlap), Interrupt::NEVER).unwrap() {
                prop_assert!(piece.token_count <= max as usize);
            }
        }
    }
}
