//! What must hold for every input of the core.

use matrice_core::chunk::{Chunk, Format, LANGUAGES, Size, chunks};
use matrice_core::cost::{Price, plain_usage};
use matrice_core::diff::{Kind, rows, unified};
use matrice_core::token::{ENCODINGS, Encoding};
use matrice_core::usage::Usage;
use matrice_core::{Error, Interrupt};
use std::fmt::Debug;
use text_splitter::{ChunkConfig, ChunkSizer, CodeSplitter, MarkdownSplitter, TextSplitter};

/// text-splitter counts a text so often that longer ones are not worth its time.
const COMPARED_BYTES: usize = 1500;

/// Data: a text. Counts and tokens are tiktoken-rs's.
pub fn count(data: &[u8]) {
    let text = &text(data);
    for encoding in &ENCODINGS {
        let reference = known(tiktoken_rs::bpe_for_tokenizer(encoding.tokenizer()));
        let tokens = encoding.encode(text, Interrupt::NEVER);
        assert_eq!(
            encoding.count(text, Interrupt::NEVER),
            tokens.len(),
            "{encoding:?}: count"
        );
        assert_eq!(tokens, reference.encode_ordinary(text), "{encoding:?}: tokens");
    }
}

/// Data: the limit to truncate at, a text.
pub fn round_trip(data: &[u8]) {
    let ([limit], text) = split(data);
    let text = &text;
    for encoding in &ENCODINGS {
        let tokens: Vec<i32> = encoding
            .encode(text, Interrupt::NEVER)
            .into_iter()
            .map(|token| token as i32)
            .collect();
        assert_eq!(encoding.decode(&tokens).as_ref(), Ok(text), "{encoding:?}");
        let limit = usize::from(limit);
        let truncated = encoding.truncate(text, limit, Interrupt::NEVER);
        assert!(
            text.starts_with(truncated),
            "{encoding:?}: truncated to {truncated:?}"
        );
        assert!(
            encoding.count(truncated, Interrupt::NEVER) <= limit,
            "{encoding:?}: truncated to {truncated:?}"
        );
        assert!(
            tokens.len() > limit || truncated == text,
            "{encoding:?}: truncated to {truncated:?}"
        );
    }
}

/// Data: encoding, size, overlap, a text.
pub fn chunk_text(data: &[u8]) {
    let (header, text) = split(data);
    let theirs = |config| indices(TextSplitter::new(config).chunk_indices(&text));
    check(&text, Format::Text, header, Some(theirs));
}

/// Data: encoding, size, overlap, a text.
pub fn chunk_markdown(data: &[u8]) {
    let (header, text) = split(data);
    // To text-splitter a byte order mark is a part of the first line.
    let text = text.trim_start_matches('\u{feff}');
    let theirs = |config| indices(MarkdownSplitter::new(config).chunk_indices(text));
    check(text, Format::Markdown, header, Some(theirs));
}

/// Data: language, encoding, size, overlap, a text.
pub fn chunk_code(data: &[u8]) {
    let ([language, header @ ..], text) = split::<4>(data);
    let language = &LANGUAGES[usize::from(language) % LANGUAGES.len()];
    let theirs =
        |config| indices(known(CodeSplitter::new((language.grammar)(), config)).chunk_indices(&text));
    check(&text, Format::Code(language), header, Some(theirs));
}

/// Data: the tokens that a caller counted, usage as JSON. Counts are disjoint and make the totals; what is kept reads the same. And:
/// bytes of a jsonb value.
pub fn usage(data: &[u8]) {
    let _ = Usage::of_jsonb(data, None, None).to_json();
    let _ = plain_usage(data, None, None).map(|usage| Price::of(&usage, data));
    let ([input, output], text) = split(data);
    let Ok(given) = serde_json::from_str(&text) else {
        return;
    };
    let usage = Usage::read(&given, Some(input.into()), Some(output.into()));
    let sum = |is_input: bool| -> f64 {
        let of_kind = usage.counts.iter().filter(|(unit, _)| {
            let is_output = unit.contains("output") || *unit == "reasoning";
            let is_input_unit = unit.contains("input") || unit.contains("cache");
            if is_input { is_input_unit } else { is_output }
        });
        of_kind.map(|(_, count)| count).sum()
    };
    assert_eq!(Some(sum(true)), usage.tokens_input, "input of {text}");
    assert_eq!(Some(sum(false)), usage.tokens_output, "output of {text}");
    assert!(!usage.conflict || !usage.notes.is_empty(), "no reason: {text}");
    if !given.is_object() {
        return;
    }
    let known = matrice_core::usage::known(&given);
    let kept = Usage::read(&known, Some(input.into()), Some(output.into()));
    if known.get("tokens_left_out").is_some() {
        assert!(kept.conflict || !usage.conflict, "kept of {text}");
        return;
    }
    assert_eq!(kept.conflict, usage.conflict, "kept of {text}");
    // Of what is in doubt, any number may come first.
    if !kept.conflict {
        assert_eq!(
            (kept.counts, kept.choices, kept.provider_cost),
            (usage.counts, usage.choices, usage.provider_cost),
            "kept of {text}"
        );
    }
}

/// Data: the length of the first text in 1/256 of both, the context, two texts. All rows are both texts, the parts of a line are the
/// line, and only equal texts have no difference.
pub fn diff(data: &[u8]) {
    let ([share, context], both) = split(data);
    let (old, new) = both.split_at(both.floor_char_boundary(both.len() * usize::from(share) / 256));
    let (mut left, mut right) = (String::new(), String::new());
    let mut is_empty = true;
    for row in rows(old, new, usize::MAX, true, Interrupt::NEVER) {
        is_empty = false;
        left += if row.kind == Kind::Added { "" } else { row.line };
        right += if row.kind == Kind::Removed { "" } else { row.line };
        if let Some(parts) = &row.parts {
            let line: String = parts.iter().map(|part| part.text).collect();
            assert_eq!(line, row.content());
        }
    }
    assert!(
        old == new || (left == old && right == new),
        "rows of {old:?}, {new:?}"
    );
    assert_eq!(is_empty, old == new, "rows of {old:?}, {new:?}");
    let patch = unified(("old", old), ("new", new), context.into(), Interrupt::NEVER);
    assert_eq!(patch.is_empty(), old == new, "{patch:?}");
}

/// Data: encoding, size, overlap, a text.
pub fn chunk_html(data: &[u8]) {
    let (header, text) = split(data);
    check(&text, Format::Html, header, NOTHING);
}

/// Data: encoding, size, overlap, a text.
pub fn chunk_csv(data: &[u8]) {
    let (header, text) = split(data);
    check(&text, Format::Csv, header, NOTHING);
}

type Splitter = fn(ChunkConfig<Plain>) -> Vec<(usize, String)>;

/// text-splitter has no such format.
const NOTHING: Option<Splitter> = None;

/// The chunks of a text are exact, cover it, and are text-splitter's if it has the format.
fn check(
    text: &str,
    format: Format,
    [number, max, overlap]: [u8; 3],
    theirs: Option<impl FnOnce(ChunkConfig<Plain>) -> Vec<(usize, String)>>,
) {
    let encoding = &ENCODINGS[usize::from(number) % ENCODINGS.len()];
    let max = usize::from(max) + 1;
    // An overlap near the size makes a chunk of every token, which takes long here and longer there.
    let overlap = usize::from(overlap) % max.div_ceil(2);
    let size = known(Size::new(max as i32, overlap as i32, encoding));
    let chunks: Result<Vec<Chunk<'_>>, Error> =
        chunks(text, format, size, Interrupt::NEVER).and_then(Iterator::collect);
    let chunks = match chunks {
        Ok(chunks) => chunks,
        Err(Error::CharacterTooLarge {
            character, tokens, ..
        }) => {
            assert_eq!(encoding.count(&character, Interrupt::NEVER), tokens);
            assert!(
                character.chars().count() == 1 && tokens > max,
                "{character:?} is too large"
            );
            return;
        }
        Err(error) => panic!("{error}"),
    };
    let starts: Vec<usize> = text
        .char_indices()
        .map(|(at, _)| at)
        .chain([text.len()])
        .collect();
    cover(text, &starts, &chunks, overlap);
    for chunk in &chunks {
        assert_eq!(
            encoding.count(chunk.content, Interrupt::NEVER),
            chunk.token_count,
            "{chunk:?}"
        );
        assert!(chunk.token_count <= max, "{chunk:?}");
    }
    if let Some(theirs) = theirs.filter(|_| text.len() <= COMPARED_BYTES) {
        let config = known(
            ChunkConfig::new(max)
                .with_sizer(Plain(encoding))
                .with_overlap(overlap),
        );
        let ours = chunks
            .iter()
            .map(|chunk| (starts[chunk.start_char], chunk.content));
        assert_eq!(indices(ours), theirs(config), "at most {max}, overlap {overlap}");
    }
}

/// Chunks stand where they say, and between them is white space only.
fn cover(text: &str, starts: &[usize], chunks: &[Chunk<'_>], overlap: usize) {
    let mut end = 0;
    for chunk in chunks {
        assert_eq!(
            &text[starts[chunk.start_char]..starts[chunk.end_char]],
            chunk.content
        );
        assert!(
            overlap > 0 || chunk.start_char >= end,
            "{chunk:?} begins before {end}"
        );
        assert!(chunk.end_char > end, "{chunk:?} brings nothing new");
        blank(&text[starts[end]..starts[chunk.start_char.max(end)]]);
        end = chunk.end_char;
    }
    blank(&text[starts[end]..]);
}

fn blank(between: &str) {
    assert!(between.trim().is_empty(), "no chunk has {between:?}");
}

/// Counts every slice anew.
#[derive(Clone, Copy)]
struct Plain(&'static Encoding);

impl ChunkSizer for Plain {
    fn size(&self, slice: &str) -> usize {
        self.0.count(slice, Interrupt::NEVER)
    }
}

fn indices<'a>(chunks: impl Iterator<Item = (usize, &'a str)>) -> Vec<(usize, String)> {
    chunks.map(|(at, chunk)| (at, chunk.into())).collect()
}

fn known<T, E: Debug>(result: Result<T, E>) -> T {
    result.expect("a name or size that is known")
}

/// The first bytes, 0 where there are none, and the text behind them.
fn split<const N: usize>(data: &[u8]) -> ([u8; N], String) {
    let (head, rest) = data.split_at(N.min(data.len()));
    let mut header = [0; N];
    header[..head.len()].copy_from_slice(head);
    (header, text(rest))
}

/// What Postgres would take as a text: what is no UTF-8 is left out, and NUL.
fn text(data: &[u8]) -> String {
    data.utf8_chunks()
        .map(|chunk| chunk.valid())
        .collect::<String>()
        .replace('\0', "")
}
