//! Exact token counts in OpenAI's encodings. User text is data: `<|endoftext|>` in it counts as its characters.
//!
//! tiktoken-rs is the reference that tests compare this with, and where the vocabularies come from. By itself it takes
//! 100 ms to build its tables, several times as long for each text, and panics on a long run of spaces. (bpe-openai is
//! exact and builds tables too; toktok-rs is as fast as this, but reads past the end of its input and has other Unicode
//! tables than OpenAI's library.)

/// The layout of the tables that build.rs writes.
#[allow(dead_code, reason = "what only build.rs calls, which writes the tables")]
mod layout;
mod merge;
mod pretoken;
mod vocabulary;
mod word_cache;

use super::{Error, Interrupt};
pub(super) use merge::Encoder;
use pretoken::{Family, pretokens};
use std::fmt;
use tiktoken_rs::tokenizer::{Tokenizer, get_tokenizer};
use vocabulary::Vocabulary;

/// A vocabulary that text can be encoded in, and the rule that cuts text into pre-tokens before.
pub struct Encoding {
    /// Its name, then other names for it.
    names: &'static [&'static str],
    /// What tiktoken-rs calls it.
    tokenizers: &'static [Tokenizer],
    family: Family,
    vocabulary: &'static Vocabulary,
}

/// All encodings. p50k_edit and o200k_harmony have the ordinary tokens of another encoding, and other special tokens.
pub static ENCODINGS: [Encoding; 6] = [
    Encoding {
        names: &["o200k_base"],
        tokenizers: &[Tokenizer::O200kBase],
        family: Family::O200k,
        vocabulary: &vocabulary::O200K,
    },
    Encoding {
        names: &["o200k_harmony"],
        tokenizers: &[Tokenizer::O200kHarmony],
        family: Family::O200k,
        vocabulary: &vocabulary::O200K,
    },
    Encoding {
        names: &["cl100k_base"],
        tokenizers: &[Tokenizer::Cl100kBase],
        family: Family::Cl100k,
        vocabulary: &vocabulary::CL100K,
    },
    Encoding {
        names: &["p50k_base"],
        tokenizers: &[Tokenizer::P50kBase],
        family: Family::Gpt2,
        vocabulary: &vocabulary::P50K,
    },
    Encoding {
        names: &["p50k_edit"],
        tokenizers: &[Tokenizer::P50kEdit],
        family: Family::Gpt2,
        vocabulary: &vocabulary::P50K,
    },
    Encoding {
        names: &["r50k_base", "gpt2"],
        tokenizers: &[Tokenizer::R50kBase, Tokenizer::Gpt2],
        family: Family::Gpt2,
        vocabulary: &vocabulary::R50K,
    },
];

/// Families of models whose tokenizer is published and not included: a part of a model's name begins with one of these.
#[rustfmt::skip]
const PUBLISHED_ELSEWHERE: [&str; 36] = [
    "all-minilm", "all-mpnet", "aya", "bge-", "c4ai", "codellama", "codestral", "command", "deepseek",
    "devstral", "e5-", "embed-", "gemma", "glm-", "grok-1", "grok-2", "gte-", "jina-", "kimi", "llama",
    "magistral", "minimax", "ministral", "mistral", "mixtral", "multilingual-e5", "mxbai-", "nomic-", "phi-",
    "pixtral", "qwen", "qwq", "snowflake-arctic", "tinyllama", "voyage", "yi-",
];

/// Families of models whose tokens only their vendors' APIs count.
const KEPT_BY_VENDORS: [&str; 5] = ["claude", "gemini", "grok", "nova", "titan"];

impl fmt::Debug for Encoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Encoding {
    /// The encoding of a model, or the encoding of that name. The prefixes `openai/` and `azure/` are ignored; dated and
    /// fine-tuned models (`gpt-4o-2024-08-06`, `ft:gpt-4o:…`) have the encoding of their base model.
    ///
    /// # Errors
    /// [`Error::TokenizerElsewhere`] and [`Error::TokenizerKept`] for a model with another vendor's tokenizer, and
    /// [`Error::UnknownModel`] for any other name.
    pub fn of_model(name: &str) -> Result<&'static Self, Error> {
        let base = name
            .strip_prefix("openai/")
            .or_else(|| name.strip_prefix("azure/"))
            .unwrap_or(name);
        let named = || ENCODINGS.iter().find(|encoding| encoding.names.contains(&name));
        let of_tokenizer = || {
            let tokenizer = get_tokenizer(base)?;
            ENCODINGS
                .iter()
                .find(|encoding| encoding.tokenizers.contains(&tokenizer))
        };
        named()
            .or_else(of_tokenizer)
            .ok_or_else(|| unknown_model(name.into()))
    }

    /// What tiktoken-rs, the reference, calls it.
    pub fn tokenizer(&self) -> Tokenizer {
        self.tokenizers[0]
    }

    /// Its name, such as `cl100k_base`.
    pub fn name(&self) -> &'static str {
        self.names[0]
    }

    /// The number of tokens of `text`, exact.
    pub fn count(&self, text: &str, interrupt: Interrupt) -> usize {
        let mut encoder = self.encoder(interrupt);
        self.pretokens(text, interrupt)
            .map(|pretoken| encoder.count(pretoken))
            .sum()
    }

    /// The tokens of `text`.
    pub fn encode(&self, text: &str, interrupt: Interrupt) -> Vec<u32> {
        let mut encoder = self.encoder(interrupt);
        let mut tokens = Vec::new();
        for pretoken in self.pretokens(text, interrupt) {
            encoder.encode(pretoken, |_, found| tokens.extend(found));
        }
        tokens
    }

    /// The text that `tokens` spell.
    ///
    /// # Errors
    /// [`Error::UnknownToken`] for a number that the encoding does not have, or that is a special token;
    /// [`Error::InvalidText`] where the bytes are not UTF-8 or contain NUL, which a Postgres text cannot hold.
    pub fn decode(&self, tokens: &[i32]) -> Result<String, Error> {
        let mut bytes = Vec::new();
        for &token in tokens {
            let spelled = u32::try_from(token)
                .ok()
                .and_then(|token| self.vocabulary.bytes_of(token));
            bytes.extend(spelled.ok_or(Error::UnknownToken {
                token,
                encoding: self.name(),
            })?);
        }
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Ok(text),
            _ => Err(Error::InvalidText),
        }
    }

    /// The longest beginning of `text` that its first `max` tokens cover, in whole characters. It is shorter where that
    /// beginning by itself is more than `max` tokens.
    pub fn truncate<'a>(&self, text: &'a str, max: usize, interrupt: Interrupt) -> &'a str {
        let tokens = self.encode(text, interrupt);
        if tokens.len() <= max {
            return text;
        }
        // The beginning may encode to other tokens than the whole did (a pre-token was cut), so look again.
        let length = |token| self.vocabulary.bytes_of(token).map_or(0, <[u8]>::len);
        let mut end: usize = tokens[..max].iter().map(|&token| length(token)).sum();
        for &token in tokens[..max].iter().rev() {
            let beginning = &text[..text.floor_char_boundary(end)];
            if self.count(beginning, interrupt) <= max {
                return beginning;
            }
            end -= length(token);
        }
        ""
    }

    /// An encoder of pre-tokens.
    pub(super) fn encoder(&self, interrupt: Interrupt) -> Encoder {
        Encoder::new(self.vocabulary, interrupt)
    }

    /// The pre-tokens of `text`, which are encoded independently. Together they are the text.
    pub(super) fn pretokens<'a>(
        &self,
        text: &'a str,
        interrupt: Interrupt,
    ) -> impl Iterator<Item = &'a str> + use<'a> {
        interrupt.during(pretokens(self.family, text))
    }
}

/// The error for a name that is neither an encoding's nor an OpenAI model's.
fn unknown_model(name: String) -> Error {
    let encodings = ENCODINGS.iter().flat_map(|encoding| encoding.names);
    let encodings = encodings.copied().collect::<Vec<_>>().join(", ");
    if is_of(&PUBLISHED_ELSEWHERE, &name) {
        Error::TokenizerElsewhere { name, encodings }
    } else if is_of(&KEPT_BY_VENDORS, &name) {
        Error::TokenizerKept { name, encodings }
    } else {
        Error::UnknownModel { name, encodings }
    }
}

/// Whether a model is of one of these families, however a provider writes it: `Qwen/Qwen3-8B`, `us.meta.llama3-1-8b:0`.
fn is_of(families: &[&str], model: &str) -> bool {
    let begins = |part: &str, family: &&str| {
        let beginning = part.as_bytes().get(..family.len());
        beginning.is_some_and(|beginning| beginning.eq_ignore_ascii_case(family.as_bytes()))
    };
    let mut parts = model.split(['/', '.', ':', '@']);
    parts.any(|part| families.iter().any(|family| begins(part, family)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sizer::CountedText;
    use crate::{Interrupt, interrupts};
    use proptest::prelude::*;

    fn encoding(name: &str) -> &'static Encoding {
        Encoding::of_model(name).unwrap()
    }

    #[test]
    fn known_counts() {
        // From OpenAI's cookbook "How to count tokens with tiktoken".
        let text = "antidisestablishmentarianism";
        assert_eq!(encoding("r50k_base").count(text, Interrupt::NEVER), 5);
        assert_eq!(encoding("p50k_base").count(text, Interrupt::NEVER), 5);
        assert_eq!(encoding("cl100k_base").count(text, Interrupt::NEVER), 6);
        assert_eq!(encoding("o200k_base").count(text, Interrupt::NEVER), 6);
        let text = "お誕生日おめでとう";
        assert_eq!(encoding("r50k_base").count(text, Interrupt::NEVER), 14);
        assert_eq!(encoding("cl100k_base").count(text, Interrupt::NEVER), 9);
        assert_eq!(encoding("o200k_base").count(text, Interrupt::NEVER), 8);
    }

    #[test]
    fn models() {
        assert_eq!(encoding("text-embedding-3-small").name(), "cl100k_base");
        assert_eq!(encoding("openai/gpt-4o-mini").name(), "o200k_base");
        assert_eq!(encoding("ft:gpt-4o:acme::1").name(), "o200k_base");
        assert_eq!(encoding("r50k_base").name(), "r50k_base");
        for kept in [
            "claude-sonnet-5",
            "us.anthropic.claude-3-haiku:0",
            "gemini/gemini-2.5-pro",
            "amazon.nova-pro-v1:0",
            "xai/grok-4",
        ] {
            assert!(
                matches!(Encoding::of_model(kept), Err(Error::TokenizerKept { .. })),
                "{kept}"
            );
        }
        for published in [
            "meta-llama/Llama-3.1-8B-Instruct",
            "us.meta.llama3-1-8b-instruct-v1:0",
            "Qwen/Qwen3-8B",
            "deepseek-chat",
            "mistral-large-latest",
            "mistralai/Mixtral-8x7B",
            "codestral-2501",
            "voyage-3.5",
            "command-r-plus",
            "cohere.embed-english-v3",
            "google/gemma-3-4b",
            "grok-1",
            "gte-small",
            "intfloat/multilingual-e5-small",
        ] {
            assert!(
                matches!(
                    Encoding::of_model(published),
                    Err(Error::TokenizerElsewhere { .. })
                ),
                "{published}"
            );
        }
        assert!(matches!(
            Encoding::of_model("gpt-9000x"),
            Err(Error::UnknownModel { .. })
        ));
        assert!(matches!(Encoding::of_model(""), Err(Error::UnknownModel { .. })));
    }

    /// A mark before capitals that nothing follows is a word by itself: a token holds the end of the mark and the
    /// beginning of the capital.
    #[test]
    fn a_mark_before_capitals() {
        agrees_with_the_reference("\u{321}Ճ{ \u{321}ՃA \u{321}Ճա \u{321}\u{321}Ճ. (Ճ)").unwrap();
    }

    #[test]
    fn special_tokens_are_text() {
        for encoding in &ENCODINGS {
            assert!(
                encoding.count("<|endoftext|>", Interrupt::NEVER) > 1,
                "{encoding:?}"
            );
        }
    }

    #[test]
    fn decode_refuses_what_is_no_text() {
        let e = encoding("cl100k_base");
        assert!(matches!(
            e.decode(&[-1]),
            Err(Error::UnknownToken { token: -1, .. })
        ));
        assert!(matches!(e.decode(&[i32::MAX]), Err(Error::UnknownToken { .. })));
        let cut: Vec<i32> = e
            .encode("𓀀", Interrupt::NEVER)
            .iter()
            .take(1)
            .map(|&t| t as i32)
            .collect();
        assert_eq!(e.decode(&cut), Err(Error::InvalidText));
        let nul: Vec<i32> = e
            .encode("\0", Interrupt::NEVER)
            .iter()
            .map(|&t| t as i32)
            .collect();
        assert_eq!(e.decode(&nul), Err(Error::InvalidText));
    }

    /// Work on one long word can be stopped too.
    #[test]
    fn long_words_ask_whether_to_stop() {
        for character in ["a", "=", "日", "\u{301}", "\u{1F468}\u{200d}"] {
            let text = character.repeat(300_000);
            for encoding in &ENCODINGS {
                let asked = [
                    interrupts(|interrupt| {
                        encoding.count(&text, interrupt);
                    }),
                    interrupts(|interrupt| {
                        encoding.encode(&text, interrupt);
                    }),
                    interrupts(|interrupt| {
                        CountedText::new(&text, encoding, interrupt);
                    }),
                ];
                assert!(
                    asked.iter().all(|&asked| asked > text.len() / 4096),
                    "{character:?} in {encoding:?}: {asked:?}"
                );
            }
        }
    }

    /// Every token of a special name is beyond what decode gives.
    #[test]
    fn special_tokens_are_no_text() {
        assert!(matches!(
            encoding("cl100k_base").decode(&[100_257]),
            Err(Error::UnknownToken { token: 100_257, .. })
        ));
        assert!(matches!(
            encoding("o200k_base").decode(&[199_999]),
            Err(Error::UnknownToken { token: 199_999, .. })
        ));
    }

    /// Texts that pre-tokenizers disagree about.
    fn hard_text() -> impl Strategy<Value = String> {
        prop_oneof![
            "\\PC{0,80}",
            "[^\0]{0,80}",
            "[ \t\n\r\u{a0}\u{2028}a-cA-C0-9'.!/日é\u{301}\u{200d}😀]{0,120}",
            "([a-zA-Z]{1,9}('[sStTdDmM]|'ll|'RE|'Ve|'\u{17f})?[ \n]{0,3}){0,20}",
            "(\\p{L}|\\p{M}|\\p{N}|\\p{P}|\\p{S}|\\p{Z}|\\p{C}){0,80}"
                .prop_map(|text| text.replace('\0', "")),
        ]
    }

    /// Words of more bytes than are merged at once.
    fn long_word() -> impl Strategy<Value = String> {
        prop_oneof![
            "[a-c]{200,1500}",
            "[a-zA-Z]{200,1500}",
            "(the|ing|er|qu|zx){100,500}",
            "[日本語中文]{90,500}",
            "[-=/*#]{250,1500}",
            " {250,1500}x",
            "[\u{300}-\u{36f}]{150,800}",
        ]
    }

    /// Tokens side by side that text seldom has so, of scripts whose tokens hold parts of characters too.
    fn text_of_tokens() -> impl Strategy<Value = String> {
        let scripts = "[ა-ჰก-๛ក-៹அ-௺अ-ॿ가-힣一-龥ぁ-ヶа-яא-ת😀-🙏]{1,4}";
        let token = prop::sample::select(vec![encoding("cl100k_base"), encoding("o200k_base")])
            .prop_flat_map(|encoding| (Just(encoding), 0..199_998u32))
            .prop_map(|(encoding, token)| encoding.vocabulary.bytes_of(token).unwrap_or_default().to_vec());
        let piece = prop_oneof![4 => token, 1 => scripts.prop_map(String::into_bytes)];
        prop::collection::vec(piece, 1..12).prop_map(|pieces| {
            let text = String::from_utf8_lossy(&pieces.concat()).replace('\0', "");
            // What is no text between tokens would be the same character again and again.
            text.replace('\u{fffd}', "")
        })
    }

    fn agrees_with_the_reference(text: &str) -> Result<(), TestCaseError> {
        for encoding in &ENCODINGS {
            let reference = tiktoken_rs::bpe_for_tokenizer(encoding.tokenizer()).unwrap();
            let tokens = reference.encode_ordinary(text);
            // The second time the words are known.
            for _ in 0..2 {
                prop_assert_eq!(
                    encoding.count(text, Interrupt::NEVER),
                    tokens.len(),
                    "{:?} of {:?}",
                    encoding,
                    text
                );
            }
            prop_assert_eq!(
                encoding.encode(text, Interrupt::NEVER),
                tokens,
                "{:?} of {:?}",
                encoding,
                text
            );
        }
        Ok(())
    }

    /// Every character, by itself and beside what it could join or end.
    #[test]
    fn every_character_is_as_in_the_reference() {
        for characters in ('\u{1}'..=char::MAX).collect::<Vec<_>>().chunks(64) {
            let text: String = characters
                .iter()
                .map(|c| format!("x{c}{c} {c}A'{c}\n{c}"))
                .collect();
            agrees_with_the_reference(&text).unwrap();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn hard_texts_are_as_in_the_reference(text in hard_text()) {
            agrees_with_the_reference(&text)?;
        }
    }

    proptest! {
        // In six encodings: a million comparisons.
        #![proptest_config(ProptestConfig::with_cases(170_000))]

        #[test]
        fn tokens_side_by_side_are_as_in_the_reference(text in text_of_tokens()) {
            agrees_with_the_reference(&text)?;
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn long_words_are_as_in_the_reference(text in long_word()) {
            agrees_with_the_reference(&text)?;
        }

        #[test]
        fn round_trip(text in "[^\0]{0,60}") {
            for encoding in &ENCODINGS {
                let tokens: Vec<i32> = encoding.encode(&text, Interrupt::NEVER).iter().map(|&t| t as i32).collect();
                prop_assert_eq!(encoding.decode(&tokens), Ok(text.clone()));
            }
        }

        #[test]
        fn truncated_is_a_beginning_within_the_limit(text in "\\PC{0,60}", max in 0usize..30) {
            for encoding in &ENCODINGS {
                let cut = encoding.truncate(&text, max, Interrupt::NEVER);
                prop_assert!(text.starts_with(cut));
                prop_assert!(encoding.count(cut, Interrupt::NEVER) <= max);
                if encoding.count(&text, Interrupt::NEVER) <= max {
                    prop_assert_eq!(cut, &text);
                }
            }
        }
    }
}
