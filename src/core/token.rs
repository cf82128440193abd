//! Exact token counts in OpenAI's encodings. User text is data: `<|endoftext|>` in it counts as its characters.
//!
//! tiktoken-rs is the reference that tests compare this with, and where the vocabularies come from. By itself it takes
//! 100 ms to build its tables, several times as long for each text, and panics on a long run of spaces. (bpe-openai is
//! exact and builds tables too; toktok-rs is as fast as this, but reads past the end of its input and has other Unicode
//! tables than OpenAI's library.)

mod known;
#[allow(dead_code, reason = "what only build.rs calls, which writes the tables")]
mod layout;
mod merge;
mod pretoken;
mod vocabulary;

use super::{Error, Interrupt};
pub(super) use merge::Encoder;
use pretoken::{Family, pretokens};
use tiktoken_rs::tokenizer::{Tokenizer, get_tokenizer};
use vocabulary::Vocabulary;

/// A vocabulary that text can be encoded in, and the pre-tokens it is cut into before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    O200kBase,
    O200kHarmony,
    Cl100kBase,
    P50kBase,
    P50kEdit,
    R50kBase,
}

const NAMED: [(&str, Encoding); 7] = [
    ("o200k_base", Encoding::O200kBase),
    ("o200k_harmony", Encoding::O200kHarmony),
    ("cl100k_base", Encoding::Cl100kBase),
    ("p50k_base", Encoding::P50kBase),
    ("p50k_edit", Encoding::P50kEdit),
    ("r50k_base", Encoding::R50kBase),
    ("gpt2", Encoding::R50kBase),
];

/// Models with other tokenizers, by what a part of their name begins with. Of these the tokenizer is published …
#[rustfmt::skip]
const PUBLISHED_ELSEWHERE: [&str; 36] = [
    "all-minilm", "all-mpnet", "aya", "bge-", "c4ai", "codellama", "codestral", "command", "deepseek",
    "devstral", "e5-", "embed-", "gemma", "glm-", "grok-1", "grok-2", "gte-", "jina-", "kimi", "llama",
    "magistral", "minimax", "ministral", "mistral", "mixtral", "multilingual-e5", "mxbai-", "nomic-", "phi-",
    "pixtral", "qwen", "qwq", "snowflake-arctic", "tinyllama", "voyage", "yi-",
];

/// … and these are counted by their vendors' APIs.
const KEPT_BY_VENDORS: [&str; 5] = ["claude", "gemini", "grok", "nova", "titan"];

impl Encoding {
    /// The encoding of a model, or the encoding of that name. A provider's prefix (`openai/`, `azure/`) is
    /// ignored, dated and fine-tuned models (`gpt-4o-2024-08-06`, `ft:gpt-4o:…`) are their base model.
    pub(crate) fn of_model(model: &str) -> Result<Self, Error> {
        if let Some((_, encoding)) = NAMED.iter().find(|(name, _)| *name == model) {
            return Ok(*encoding);
        }
        let base = model
            .strip_prefix("openai/")
            .or_else(|| model.strip_prefix("azure/"))
            .unwrap_or(model);
        match get_tokenizer(base) {
            Some(Tokenizer::O200kBase) => Ok(Encoding::O200kBase),
            Some(Tokenizer::O200kHarmony) => Ok(Encoding::O200kHarmony),
            Some(Tokenizer::Cl100kBase) => Ok(Encoding::Cl100kBase),
            Some(Tokenizer::P50kBase) => Ok(Encoding::P50kBase),
            Some(Tokenizer::P50kEdit) => Ok(Encoding::P50kEdit),
            Some(Tokenizer::R50kBase | Tokenizer::Gpt2) => Ok(Encoding::R50kBase),
            None if is_of(&PUBLISHED_ELSEWHERE, model) => Err(Error::TokenizerElsewhere(model.into())),
            None if is_of(&KEPT_BY_VENDORS, model) => Err(Error::TokenizerKept(model.into())),
            None => Err(Error::UnknownModel(model.into())),
        }
    }

    /// All encoding names, for a person to read.
    pub(crate) fn names() -> String {
        NAMED.map(|(name, _)| name).join(", ")
    }

    pub(crate) fn name(self) -> &'static str {
        NAMED
            .iter()
            .find(|(_, encoding)| *encoding == self)
            .map_or("", |(name, _)| name)
    }

    fn family(self) -> Family {
        match self {
            Encoding::O200kBase | Encoding::O200kHarmony => Family::O200k,
            Encoding::Cl100kBase => Family::Cl100k,
            Encoding::P50kBase | Encoding::P50kEdit | Encoding::R50kBase => Family::Gpt2,
        }
    }

    fn vocabulary(self) -> &'static Vocabulary {
        match self {
            // Harmony has other special tokens than o200k_base, and the same ordinary ones; so has p50k_edit.
            Encoding::O200kBase | Encoding::O200kHarmony => &vocabulary::O200K,
            Encoding::Cl100kBase => &vocabulary::CL100K,
            Encoding::P50kBase | Encoding::P50kEdit => &vocabulary::P50K,
            Encoding::R50kBase => &vocabulary::R50K,
        }
    }

    /// How many tokens `text` is.
    pub(crate) fn count(self, text: &str, interrupt: Interrupt) -> usize {
        let mut encoder = self.encoder(interrupt);
        self.pretokens(text, interrupt)
            .map(|pretoken| encoder.count(pretoken))
            .sum()
    }

    /// The tokens of `text`.
    pub(crate) fn encode(self, text: &str, interrupt: Interrupt) -> Vec<u32> {
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
    /// [`Error::UnknownToken`] for a number the encoding does not have, or has for a special token;
    /// [`Error::InvalidText`] where the bytes are not UTF-8 or contain NUL, which a Postgres text cannot hold.
    pub(crate) fn decode(self, tokens: &[i32]) -> Result<String, Error> {
        let mut bytes = Vec::new();
        for &token in tokens {
            let spelled = u32::try_from(token)
                .ok()
                .and_then(|token| self.vocabulary().bytes_of(token));
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

    /// What the first `max` tokens of `text` spell, in whole characters; less where that by itself is more tokens.
    pub(crate) fn truncate(self, text: &str, max: usize, interrupt: Interrupt) -> &str {
        let tokens = self.encode(text, interrupt);
        if tokens.len() <= max {
            return text;
        }
        // The beginning may encode to other tokens than the whole did (a pre-token was cut), so look again.
        let length = |token| self.vocabulary().bytes_of(token).map_or(0, <[u8]>::len);
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

    /// Encodes pre-tokens.
    pub(super) fn encoder(self, interrupt: Interrupt) -> Encoder {
        Encoder::new(self.vocabulary(), interrupt)
    }

    /// The pre-tokens of `text`: what is encoded each by itself.
    pub(super) fn pretokens(self, text: &str, interrupt: Interrupt) -> impl Iterator<Item = &str> {
        interrupt.during(pretokens(self.family(), text))
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
    use crate::core::sizer::CountedText;
    use crate::core::{NEVER, interrupts};
    use proptest::prelude::*;

    const ALL: [Encoding; 6] = [
        Encoding::O200kBase,
        Encoding::O200kHarmony,
        Encoding::Cl100kBase,
        Encoding::P50kBase,
        Encoding::P50kEdit,
        Encoding::R50kBase,
    ];

    #[test]
    fn known_counts() {
        // From OpenAI's cookbook "How to count tokens with tiktoken".
        let text = "antidisestablishmentarianism";
        assert_eq!(Encoding::R50kBase.count(text, NEVER), 5);
        assert_eq!(Encoding::P50kBase.count(text, NEVER), 5);
        assert_eq!(Encoding::Cl100kBase.count(text, NEVER), 6);
        assert_eq!(Encoding::O200kBase.count(text, NEVER), 6);
        let text = "お誕生日おめでとう";
        assert_eq!(Encoding::R50kBase.count(text, NEVER), 14);
        assert_eq!(Encoding::Cl100kBase.count(text, NEVER), 9);
        assert_eq!(Encoding::O200kBase.count(text, NEVER), 8);
    }

    #[test]
    fn models() {
        assert_eq!(
            Encoding::of_model("text-embedding-3-small"),
            Ok(Encoding::Cl100kBase)
        );
        assert_eq!(Encoding::of_model("openai/gpt-4o-mini"), Ok(Encoding::O200kBase));
        assert_eq!(Encoding::of_model("ft:gpt-4o:acme::1"), Ok(Encoding::O200kBase));
        assert_eq!(Encoding::of_model("r50k_base"), Ok(Encoding::R50kBase));
        for kept in [
            "claude-sonnet-5",
            "us.anthropic.claude-3-haiku:0",
            "gemini/gemini-2.5-pro",
            "amazon.nova-pro-v1:0",
            "xai/grok-4",
        ] {
            assert!(
                matches!(Encoding::of_model(kept), Err(Error::TokenizerKept(_))),
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
                matches!(Encoding::of_model(published), Err(Error::TokenizerElsewhere(_))),
                "{published}"
            );
        }
        assert!(matches!(
            Encoding::of_model("gpt-9000x"),
            Err(Error::UnknownModel(_))
        ));
        assert!(matches!(Encoding::of_model(""), Err(Error::UnknownModel(_))));
    }

    /// A mark before capitals that nothing follows is a word by itself: a token holds the end of the mark and the
    /// beginning of the capital.
    #[test]
    fn a_mark_before_capitals() {
        agrees_with_the_reference("\u{321}Ճ{ \u{321}ՃA \u{321}Ճա \u{321}\u{321}Ճ. (Ճ)").unwrap();
    }

    #[test]
    fn special_tokens_are_text() {
        for encoding in ALL {
            assert!(encoding.count("<|endoftext|>", NEVER) > 1, "{encoding:?}");
        }
    }

    #[test]
    fn decode_refuses_what_is_no_text() {
        let e = Encoding::Cl100kBase;
        assert!(matches!(
            e.decode(&[-1]),
            Err(Error::UnknownToken { token: -1, .. })
        ));
        assert!(matches!(e.decode(&[i32::MAX]), Err(Error::UnknownToken { .. })));
        let cut: Vec<i32> = e.encode("𓀀", NEVER).iter().take(1).map(|&t| t as i32).collect();
        assert_eq!(e.decode(&cut), Err(Error::InvalidText));
        let nul: Vec<i32> = e.encode("\0", NEVER).iter().map(|&t| t as i32).collect();
        assert_eq!(e.decode(&nul), Err(Error::InvalidText));
    }

    /// Work on one long word can be stopped too.
    #[test]
    fn long_words_ask_whether_to_stop() {
        for character in ["a", "=", "日", "\u{301}", "\u{1F468}\u{200d}"] {
            let text = character.repeat(300_000);
            for encoding in ALL {
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
            Encoding::Cl100kBase.decode(&[100_257]),
            Err(Error::UnknownToken { token: 100_257, .. })
        ));
        assert!(matches!(
            Encoding::O200kBase.decode(&[199_999]),
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
        let token = prop::sample::select(vec![Encoding::Cl100kBase, Encoding::O200kBase])
            .prop_flat_map(|encoding| (Just(encoding), 0..199_998u32))
            .prop_map(|(encoding, token)| encoding.vocabulary().bytes_of(token).unwrap_or_default().to_vec());
        let piece = prop_oneof![4 => token, 1 => scripts.prop_map(String::into_bytes)];
        prop::collection::vec(piece, 1..12).prop_map(|pieces| {
            let text = String::from_utf8_lossy(&pieces.concat()).replace('\0', "");
            // What is no text between tokens would be the same character again and again.
            text.replace('\u{fffd}', "")
        })
    }

    fn agrees_with_the_reference(text: &str) -> Result<(), TestCaseError> {
        for (encoding, reference) in [
            (Encoding::O200kBase, tiktoken_rs::o200k_base_singleton()),
            (Encoding::O200kHarmony, tiktoken_rs::o200k_harmony_singleton()),
            (Encoding::Cl100kBase, tiktoken_rs::cl100k_base_singleton()),
            (Encoding::P50kBase, tiktoken_rs::p50k_base_singleton()),
            (Encoding::P50kEdit, tiktoken_rs::p50k_edit_singleton()),
            (Encoding::R50kBase, tiktoken_rs::r50k_base_singleton()),
        ] {
            let tokens = reference.encode_ordinary(text);
            // The second time the words are known.
            for _ in 0..2 {
                prop_assert_eq!(
                    encoding.count(text, NEVER),
                    tokens.len(),
                    "{:?} of {:?}",
                    encoding,
                    text
                );
            }
            prop_assert_eq!(
                encoding.encode(text, NEVER),
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
            for encoding in ALL {
                let tokens: Vec<i32> = encoding.encode(&text, NEVER).iter().map(|&t| t as i32).collect();
                prop_assert_eq!(encoding.decode(&tokens), Ok(text.clone()));
            }
        }

        #[test]
        fn truncated_is_a_beginning_within_the_limit(text in "\\PC{0,60}", max in 0usize..30) {
            for encoding in ALL {
                let cut = encoding.truncate(&text, max, NEVER);
                prop_assert!(text.starts_with(cut));
                prop_assert!(encoding.count(cut, NEVER) <= max);
                if encoding.count(&text, NEVER) <= max {
                    prop_assert_eq!(cut, &text);
                }
            }
        }
    }
}
