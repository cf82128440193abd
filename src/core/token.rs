//! Exact token counts in OpenAI's encodings. User text is data: `<|endoftext|>` in it counts as its characters.

use super::Error;
use tiktoken_rs::tokenizer::{Tokenizer, get_tokenizer};
use tiktoken_rs::{CoreBPE, Rank};

/// A vocabulary that text can be encoded in. Its tables are built at first use and kept by the process.
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

/// Model families whose vendors keep their vocabulary to themselves, or whose vocabulary is not OpenAI's.
const OTHER_VENDORS: [&str; 12] = [
    "claude", "gemini", "voyage", "embed-", "command", "mistral", "deepseek", "grok", "llama", "qwen",
    "nova", "titan",
];

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
            None if is_other_vendor(model) => Err(Error::PrivateTokenizer(model.into())),
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

    fn bpe(self) -> &'static CoreBPE {
        match self {
            Encoding::O200kBase => tiktoken_rs::o200k_base_singleton(),
            Encoding::O200kHarmony => tiktoken_rs::o200k_harmony_singleton(),
            Encoding::Cl100kBase => tiktoken_rs::cl100k_base_singleton(),
            Encoding::P50kBase => tiktoken_rs::p50k_base_singleton(),
            Encoding::P50kEdit => tiktoken_rs::p50k_edit_singleton(),
            Encoding::R50kBase => tiktoken_rs::r50k_base_singleton(),
        }
    }

    /// How many tokens `text` is.
    pub(crate) fn count(self, text: &str) -> usize {
        self.bpe().count_ordinary(text)
    }

    /// The tokens of `text`.
    pub(crate) fn encode(self, text: &str) -> Vec<Rank> {
        self.bpe().encode_ordinary(text)
    }

    /// The text that `tokens` spell.
    ///
    /// # Errors
    /// [`Error::UnknownToken`] for a number the encoding does not have; [`Error::InvalidText`] where the
    /// bytes are not UTF-8 or contain NUL, which a Postgres text cannot hold.
    pub(crate) fn decode(self, tokens: &[i32]) -> Result<String, Error> {
        let unknown = |token: i32| Error::UnknownToken {
            token: token.into(),
            encoding: self.name(),
        };
        let ranks = tokens
            .iter()
            .map(|&token| Rank::try_from(token).map_err(|_| unknown(token)))
            .collect::<Result<Vec<_>, _>>()?;
        let bytes = self
            .bpe()
            .decode_bytes(&ranks)
            .map_err(|error| Error::UnknownToken {
                token: error.token.into(),
                encoding: self.name(),
            })?;
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Ok(text),
            _ => Err(Error::InvalidText),
        }
    }

    /// The longest beginning of `text`, in whole characters, that is at most `max` tokens.
    pub(crate) fn truncate(self, text: &str, max: usize) -> &str {
        let tokens = self.encode(text);
        if tokens.len() <= max {
            return text;
        }
        // The beginning may encode to other tokens than the whole did (a pre-token was cut), so look again.
        let mut kept = max;
        loop {
            let bytes = self
                .bpe()
                .decode_bytes(&tokens[..kept])
                .map_or(0, |bytes| bytes.len());
            let beginning = &text[..text.floor_char_boundary(bytes)];
            if self.count(beginning) <= max {
                return beginning;
            }
            kept -= 1;
        }
    }
}

/// Whether a model name, with or without a provider's prefix, belongs to a vendor other than OpenAI.
fn is_other_vendor(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    OTHER_VENDORS.iter().any(|family| name.starts_with(family))
}

#[cfg(test)]
mod tests {
    use super::*;
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
        assert_eq!(Encoding::R50kBase.count(text), 5);
        assert_eq!(Encoding::P50kBase.count(text), 5);
        assert_eq!(Encoding::Cl100kBase.count(text), 6);
        assert_eq!(Encoding::O200kBase.count(text), 6);
        let text = "お誕生日おめでとう";
        assert_eq!(Encoding::R50kBase.count(text), 14);
        assert_eq!(Encoding::Cl100kBase.count(text), 9);
        assert_eq!(Encoding::O200kBase.count(text), 8);
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
        assert!(matches!(
            Encoding::of_model("claude-sonnet-5"),
            Err(Error::PrivateTokenizer(_))
        ));
        assert!(matches!(
            Encoding::of_model("gpt-9000x"),
            Err(Error::UnknownModel(_))
        ));
        assert!(matches!(Encoding::of_model(""), Err(Error::UnknownModel(_))));
    }

    #[test]
    fn special_tokens_are_text() {
        for encoding in ALL {
            assert!(encoding.count("<|endoftext|>") > 1, "{encoding:?}");
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
        let cut: Vec<i32> = e.encode("𓀀").iter().take(1).map(|&t| t as i32).collect();
        assert_eq!(e.decode(&cut), Err(Error::InvalidText));
        let nul: Vec<i32> = e.encode("\0").iter().map(|&t| t as i32).collect();
        assert_eq!(e.decode(&nul), Err(Error::InvalidText));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn round_trip(text in "[^\0]{0,60}") {
            for encoding in ALL {
                let tokens: Vec<i32> = encoding.encode(&text).iter().map(|&t| t as i32).collect();
                prop_assert_eq!(encoding.count(&text), tokens.len());
                prop_assert_eq!(encoding.decode(&tokens), Ok(text.clone()));
            }
        }

        #[test]
        fn truncated_is_a_beginning_within_the_limit(text in "\\PC{0,60}", max in 0usize..30) {
            for encoding in ALL {
                let cut = encoding.truncate(&text, max);
                prop_assert!(text.starts_with(cut));
                prop_assert!(encoding.count(cut) <= max);
                if encoding.count(&text) <= max {
                    prop_assert_eq!(cut, &text);
                }
            }
        }
    }
}
