//! Cutting text into chunks of a size given in real tokens, by text-splitter.

use super::headings::Headings;
use super::sizer::CountedText;
use super::token::Encoding;
use super::{Error, Interrupt};
use text_splitter::{
    ChunkCharIndex, ChunkConfig, CodeSplitter, MarkdownSplitter, TextSplitter, TryChunkSizer,
};
use tree_sitter::{Language, Parser};

/// What a text is, which decides where it may best be cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Markdown,
    Code(ProgrammingLanguage),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProgrammingLanguage {
    Go,
    JavaScript,
    Python,
    Rust,
    Sql,
    Tsx,
    TypeScript,
}

const FORMATS: [(&str, Format); 9] = [
    ("text", Format::Text),
    ("markdown", Format::Markdown),
    ("go", Format::Code(ProgrammingLanguage::Go)),
    ("javascript", Format::Code(ProgrammingLanguage::JavaScript)),
    ("python", Format::Code(ProgrammingLanguage::Python)),
    ("rust", Format::Code(ProgrammingLanguage::Rust)),
    ("sql", Format::Code(ProgrammingLanguage::Sql)),
    ("tsx", Format::Code(ProgrammingLanguage::Tsx)),
    ("typescript", Format::Code(ProgrammingLanguage::TypeScript)),
];

impl Format {
    pub(crate) fn named(name: &str) -> Result<Self, Error> {
        FORMATS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, format)| *format)
            .ok_or_else(|| Error::UnknownFormat(name.into()))
    }

    /// All format names, for a person to read.
    pub(crate) fn names() -> String {
        FORMATS.map(|(name, _)| name).join(", ")
    }
}

impl ProgrammingLanguage {
    fn grammar(self) -> Language {
        match self {
            ProgrammingLanguage::Go => tree_sitter_go::LANGUAGE,
            ProgrammingLanguage::JavaScript => tree_sitter_javascript::LANGUAGE,
            ProgrammingLanguage::Python => tree_sitter_python::LANGUAGE,
            ProgrammingLanguage::Rust => tree_sitter_rust::LANGUAGE,
            ProgrammingLanguage::Sql => tree_sitter_sequel::LANGUAGE,
            ProgrammingLanguage::Tsx => tree_sitter_typescript::LANGUAGE_TSX,
            ProgrammingLanguage::TypeScript => tree_sitter_typescript::LANGUAGE_TYPESCRIPT,
        }
        .into()
    }
}

/// How large chunks are, counted in tokens of `encoding`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    max: usize,
    overlap: usize,
    encoding: Encoding,
}

impl Size {
    /// # Errors
    /// `max_tokens` below 1, `overlap_tokens` negative or not below `max_tokens`.
    pub(crate) fn new(max_tokens: i32, overlap_tokens: i32, encoding: Encoding) -> Result<Self, Error> {
        let max = usize::try_from(max_tokens)
            .ok()
            .filter(|&max| max > 0)
            .ok_or(Error::MaxTokens(max_tokens))?;
        let overlap = usize::try_from(overlap_tokens).map_err(|_| Error::NegativeOverlap(overlap_tokens))?;
        if overlap >= max {
            return Err(Error::OverlapTooLarge { overlap, max });
        }
        Ok(Size {
            max,
            overlap,
            encoding,
        })
    }
}

/// A piece of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk<'a> {
    pub(crate) content: &'a str,
    pub(crate) token_count: usize,
    /// Offset of the first character, counted in characters from 0.
    pub(crate) start_char: usize,
    /// Offset behind the last character.
    pub(crate) end_char: usize,
    /// In markdown, the headings the chunk stands under, outermost first; `None` in other formats.
    pub(crate) headings: Option<Vec<String>>,
}

/// Cuts `text` into chunks of at most `size.max` tokens, at the best boundaries its format has. White space
/// at a chunk's ends is left out; nothing else is.
///
/// # Errors
/// [`Error::CharacterTooLarge`] where one character alone is more tokens than a chunk may have;
/// [`Error::NestedTooDeep`] in code; else as [`Encoding::count`].
pub(crate) fn chunk(
    text: &str,
    format: Format,
    size: Size,
    interrupt: Interrupt,
) -> Result<Vec<Chunk<'_>>, Error> {
    let headings = (format == Format::Markdown).then(|| Headings::of(text));
    let mut cursor = headings.as_ref().map(Headings::cursor);
    let counted = CountedText::new(text, size.encoding, interrupt);
    split(text, format, size, &counted)?
        .into_iter()
        .map(|piece| {
            let token_count = counted.count(piece.chunk)?;
            if token_count > size.max {
                return Err(Error::CharacterTooLarge {
                    character: piece.chunk.into(),
                    tokens: token_count,
                    max: size.max,
                });
            }
            Ok(Chunk {
                content: piece.chunk,
                token_count,
                start_char: piece.char_offset,
                end_char: piece.char_offset + piece.chunk.chars().count(),
                headings: cursor.as_mut().map(|cursor| cursor.path_at(piece.byte_offset)),
            })
        })
        .collect()
}

fn split<Sizer: TryChunkSizer<Error = Error>>(
    text: &str,
    format: Format,
    size: Size,
    sizer: Sizer,
) -> Result<Vec<ChunkCharIndex<'_>>, Error> {
    let config = ChunkConfig::new(size.max)
        .with_sizer(sizer)
        .with_overlap(size.overlap)
        .map_err(|_| Error::OverlapTooLarge {
            overlap: size.overlap,
            max: size.max,
        })?;
    match format {
        Format::Text => TextSplitter::new(config).try_chunk_char_indices(text).collect(),
        Format::Markdown => MarkdownSplitter::new(config)
            .try_chunk_char_indices(text)
            .collect(),
        Format::Code(language) => {
            require_shallow(text, language)?;
            CodeSplitter::new(language.grammar(), config)
                // A grammar too old for the linked tree-sitter: `every_grammar_loads` keeps this from shipping.
                .map_err(|error| Error::UnknownFormat(error.to_string()))?
                .try_chunk_char_indices(text)
                .collect()
        }
    }
}

/// How deep the syntax tree of code may be. text-splitter asks each node for its depth, which takes time by the
/// depth: without a limit 200 kB of brackets take minutes.
const DEEPEST_CODE: usize = 2000;

fn require_shallow(text: &str, language: ProgrammingLanguage) -> Result<(), Error> {
    let mut parser = Parser::new();
    // What fails here fails in the splitter, which says why.
    let _ = parser.set_language(&language.grammar());
    let Some(tree) = parser.parse(text, None) else {
        return Ok(());
    };
    let mut cursor = tree.walk();
    let mut depth = 0;
    loop {
        if cursor.goto_first_child() {
            depth += 1;
            if depth > DEEPEST_CODE {
                return Err(Error::NestedTooDeep(DEEPEST_CODE));
            }
            continue;
        }
        while !cursor.goto_next_sibling() {
            if !cursor.goto_parent() {
                return Ok(());
            }
            depth -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::NEVER;
    use proptest::prelude::*;

    /// Counts every slice anew.
    struct Plain(Encoding);

    impl TryChunkSizer for Plain {
        type Error = Error;

        fn try_size(&self, chunk: &str) -> Result<usize, Error> {
            Ok(self.0.count(chunk, NEVER))
        }
    }

    fn size(max: i32, overlap: i32) -> Size {
        Size::new(max, overlap, Encoding::Cl100kBase).unwrap()
    }

    #[test]
    fn every_grammar_loads() {
        for (name, format) in FORMATS {
            let chunks = chunk("select 1", format, size(10, 0), NEVER).unwrap();
            assert_eq!(chunks.len(), 1, "{name}");
        }
    }

    #[test]
    fn bad_sizes_are_refused() {
        let new = |max, overlap| Size::new(max, overlap, Encoding::Cl100kBase).map(|_| ());
        assert_eq!(new(0, 0), Err(Error::MaxTokens(0)));
        assert_eq!(new(-5, 0), Err(Error::MaxTokens(-5)));
        assert_eq!(new(5, -1), Err(Error::NegativeOverlap(-1)));
        assert_eq!(new(5, 5), Err(Error::OverlapTooLarge { overlap: 5, max: 5 }));
        assert!(new(5, 4).is_ok());
    }

    #[test]
    fn a_character_larger_than_a_chunk_is_refused() {
        let error = chunk("𓀀", Format::Text, size(1, 0), NEVER).unwrap_err();
        assert!(
            matches!(error, Error::CharacterTooLarge { max: 1, .. }),
            "{error}"
        );
    }

    #[test]
    fn markdown_knows_its_headings() {
        let text = "# Guide\n\nIntroduction to it.\n\n## Install\n\nRun the installer.\n";
        let chunks = chunk(text, Format::Markdown, size(8, 0), NEVER).unwrap();
        assert_eq!(chunks[0].headings.as_deref(), Some(&["Guide".to_string()][..]));
        let last = chunks.last().unwrap();
        assert_eq!(last.content, "## Install\n\nRun the installer.");
        assert_eq!(last.headings.as_ref().unwrap().join("/"), "Guide/Install");
    }

    #[test]
    fn code_that_is_too_deep_is_refused() {
        let rust = Format::named("rust").unwrap();
        let python = Format::named("python").unwrap();
        let brackets = "(".repeat(50_000) + &")".repeat(50_000);
        let sum = "1".to_string() + &"+1".repeat(50_000);
        let too_deep = Err(Error::NestedTooDeep(DEEPEST_CODE));
        assert_eq!(chunk(&brackets, rust, size(100, 0), NEVER), too_deep);
        assert_eq!(chunk(&sum, python, size(100, 0), NEVER), too_deep);
    }

    #[test]
    fn code_is_cut_between_functions() {
        let text = "fn one() {\n    1;\n}\n\nfn two() {\n    2;\n}\n";
        let rust = Format::named("rust").unwrap();
        let chunks = chunk(text, rust, size(14, 0), NEVER).unwrap();
        let contents: Vec<_> = chunks.iter().map(|c| c.content).collect();
        assert_eq!(contents, ["fn one() {\n    1;\n}", "fn two() {\n    2;\n}"]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// Chunks are within their size, stand where they say, and together with the white space between
        /// them are the text.
        #[test]
        fn chunks_cover_the_text(
            text in "[a-zé日#*`> \n.{}()\u{1F600}\u{301}-]{0,300}",
            max in 4i32..40,
            format in prop::sample::select(FORMATS.map(|(_, format)| format).to_vec()),
        ) {
            let chunks = chunk(&text, format, size(max, 0), NEVER).unwrap();
            let characters: Vec<char> = text.chars().collect();
            let mut at = 0;
            for piece in &chunks {
                prop_assert!(piece.token_count <= max as usize);
                prop_assert_eq!(piece.token_count, Encoding::Cl100kBase.count(piece.content, NEVER));
                let between: String = characters[at..piece.start_char].iter().collect();
                prop_assert!(between.trim().is_empty(), "lost {:?}", between);
                let here: String = characters[piece.start_char..piece.end_char].iter().collect();
                prop_assert_eq!(&here, piece.content);
                at = piece.end_char;
            }
            let rest: String = characters[at..].iter().collect();
            prop_assert!(rest.trim().is_empty(), "lost {:?}", rest);
        }

        /// That the text was counted beforehand changes no chunk.
        #[test]
        fn chunks_are_those_of_the_plain_sizer(
            text in "[a-zé日#*`> \n.{}()'s0-9\u{1F600}\u{301}-]{0,400}",
            max in 4i32..40,
            overlap in 0i32..4,
            encoding in prop::sample::select(vec![Encoding::Cl100kBase, Encoding::O200kBase]),
            format in prop::sample::select(FORMATS.map(|(_, format)| format).to_vec()),
        ) {
            let size = Size::new(max, overlap, encoding).unwrap();
            let counted = CountedText::new(&text, encoding, NEVER);
            prop_assert_eq!(split(&text, format, size, &counted), split(&text, format, size, Plain(encoding)));
        }

        #[test]
        fn overlapping_chunks_stay_within_their_size(
            text in "[a-z \n.]{0,300}", max in 6i32..30, overlap in 0i32..6,
        ) {
            for piece in chunk(&text, Format::Text, size(max, overlap), NEVER).unwrap() {
                prop_assert!(piece.token_count <= max as usize);
            }
        }
    }
}
