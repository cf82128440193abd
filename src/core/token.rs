//! Exact token counts in OpenAI's encodings. User text is data: `<|endoftext|>` in it counts as its characters.
//!
//! o200k and cl100k are encoded by bpe-openai, which takes time linear in any text. tiktoken-rs is the reference that
//! tests compare it with, and encodes the older vocabularies, which bpe-openai does not have. (toktok-rs is faster, but
//! reads past the end of its input and has other Unicode tables than OpenAI's library.)

use super::{Error, Interrupt};
use std::panic::catch_unwind;
use tiktoken_rs::CoreBPE;
use tiktoken_rs::tokenizer::{Tokenizer, get_tokenizer};

/// How many pre-tokens are encoded between two questions whether to stop: some ten microseconds' worth.
const INTERRUPT_EVERY: usize = 64;

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

    fn bpe(self) -> Bpe {
        match self {
            // Harmony has other special tokens than o200k_base, and the same ordinary ones.
            Encoding::O200kBase | Encoding::O200kHarmony => Bpe::Linear(bpe_openai::o200k_base()),
            Encoding::Cl100kBase => Bpe::Linear(bpe_openai::cl100k_base()),
            Encoding::P50kBase => Bpe::Reference(tiktoken_rs::p50k_base_singleton()),
            Encoding::P50kEdit => Bpe::Reference(tiktoken_rs::p50k_edit_singleton()),
            Encoding::R50kBase => Bpe::Reference(tiktoken_rs::r50k_base_singleton()),
        }
    }

    /// How many tokens `text` is.
    ///
    /// # Errors
    /// [`Error::TooManySpaces`] in the older encodings.
    pub(crate) fn count(self, text: &str, interrupt: Interrupt) -> Result<usize, Error> {
        match self.bpe() {
            Bpe::Linear(bpe) => Ok(pieces(bpe, text, interrupt)
                .map(|piece| bpe.bpe.count(piece.as_bytes()))
                .sum()),
            Bpe::Reference(bpe) => guarded(|| bpe.count_ordinary(text)),
        }
    }

    /// The tokens of `text`.
    ///
    /// # Errors
    /// As [`Encoding::count`].
    pub(crate) fn encode(self, text: &str, interrupt: Interrupt) -> Result<Vec<u32>, Error> {
        match self.bpe() {
            Bpe::Linear(bpe) => Ok(pieces(bpe, text, interrupt)
                .flat_map(|piece| bpe.bpe.encode_via_backtracking(piece.as_bytes()))
                .collect()),
            Bpe::Reference(bpe) => guarded(|| bpe.encode_ordinary(text)),
        }
    }

    /// The text that `tokens` spell.
    ///
    /// # Errors
    /// [`Error::UnknownToken`] for a number the encoding does not have, or has for a special token;
    /// [`Error::InvalidText`] where the bytes are not UTF-8 or contain NUL, which a Postgres text cannot hold.
    pub(crate) fn decode(self, tokens: &[i32]) -> Result<String, Error> {
        let unknown = |token: i64| Error::UnknownToken {
            token,
            encoding: self.name(),
        };
        let tokens = tokens
            .iter()
            .map(|&token| u32::try_from(token).map_err(|_| unknown(token.into())))
            .collect::<Result<Vec<_>, _>>()?;
        let bytes = match self.bpe() {
            Bpe::Linear(bpe) => {
                // decode_tokens does not check.
                let known = bpe.bpe.num_tokens();
                if let Some(&token) = tokens.iter().find(|&&token| token as usize >= known) {
                    return Err(unknown(token.into()));
                }
                bpe.bpe.decode_tokens(&tokens)
            }
            Bpe::Reference(bpe) => bpe
                .decode_bytes(&tokens)
                .map_err(|error| unknown(error.token.into()))?,
        };
        match String::from_utf8(bytes) {
            Ok(text) if !text.contains('\0') => Ok(text),
            _ => Err(Error::InvalidText),
        }
    }

    /// The longest beginning of `text`, in whole characters, that is at most `max` tokens.
    ///
    /// # Errors
    /// As [`Encoding::count`].
    pub(crate) fn truncate(self, text: &str, max: usize, interrupt: Interrupt) -> Result<&str, Error> {
        let tokens = self.encode(text, interrupt)?;
        if tokens.len() <= max {
            return Ok(text);
        }
        // The beginning may encode to other tokens than the whole did (a pre-token was cut), so look again.
        let mut end: usize = tokens[..max].iter().map(|&token| self.token_len(token)).sum();
        for &token in tokens[..max].iter().rev() {
            let beginning = &text[..text.floor_char_boundary(end)];
            if self.count(beginning, interrupt)? <= max {
                return Ok(beginning);
            }
            end -= self.token_len(token);
        }
        Ok("")
    }

    /// Bytes of a token that this encoding has made.
    fn token_len(self, token: u32) -> usize {
        match self.bpe() {
            Bpe::Linear(bpe) => bpe.bpe.token_len(token),
            Bpe::Reference(bpe) => bpe.decode_bytes(&[token]).map_or(0, |bytes| bytes.len()),
        }
    }

    /// The pre-tokens of `text` with the number of tokens of each, where the encoder shows them.
    pub(super) fn pieces(
        self,
        text: &str,
        interrupt: Interrupt,
    ) -> Option<impl Iterator<Item = (&str, usize)>> {
        match self.bpe() {
            Bpe::Linear(bpe) => {
                Some(pieces(bpe, text, interrupt).map(|piece| (piece, bpe.bpe.count(piece.as_bytes()))))
            }
            Bpe::Reference(_) => None,
        }
    }
}

enum Bpe {
    Linear(&'static bpe_openai::Tokenizer),
    Reference(&'static CoreBPE),
}

fn pieces<'a>(
    bpe: &'static bpe_openai::Tokenizer,
    text: &'a str,
    interrupt: Interrupt,
) -> impl Iterator<Item = &'a str> {
    bpe.split(text).enumerate().map(move |(number, piece)| {
        if number % INTERRUPT_EVERY == 0 {
            interrupt.check();
        }
        piece
    })
}

/// tiktoken-rs panics where its backtracking regex gives up, which it does on a run of some 100,000 spaces.
fn guarded<T>(work: impl FnOnce() -> T + std::panic::UnwindSafe) -> Result<T, Error> {
    catch_unwind(work).map_err(|_| Error::TooManySpaces)
}

/// Whether a model name, with or without a provider's prefix, belongs to a vendor other than OpenAI.
fn is_other_vendor(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    OTHER_VENDORS.iter().any(|family| name.starts_with(family))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::NEVER;
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
        assert_eq!(Encoding::R50kBase.count(text, NEVER).unwrap(), 5);
        assert_eq!(Encoding::P50kBase.count(text, NEVER).unwrap(), 5);
        assert_eq!(Encoding::Cl100kBase.count(text, NEVER).unwrap(), 6);
        assert_eq!(Encoding::O200kBase.count(text, NEVER).unwrap(), 6);
        let text = "お誕生日おめでとう";
        assert_eq!(Encoding::R50kBase.count(text, NEVER).unwrap(), 14);
        assert_eq!(Encoding::Cl100kBase.count(text, NEVER).unwrap(), 9);
        assert_eq!(Encoding::O200kBase.count(text, NEVER).unwrap(), 8);
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
            assert!(
                encoding.count("<|endoftext|>", NEVER).unwrap() > 1,
                "{encoding:?}"
            );
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
        let cut: Vec<i32> = e
            .encode("𓀀", NEVER)
            .unwrap()
            .iter()
            .take(1)
            .map(|&t| t as i32)
            .collect();
        assert_eq!(e.decode(&cut), Err(Error::InvalidText));
        let nul: Vec<i32> = e.encode("\0", NEVER).unwrap().iter().map(|&t| t as i32).collect();
        assert_eq!(e.decode(&nul), Err(Error::InvalidText));
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

    #[test]
    fn a_long_run_of_spaces_is_counted_or_refused() {
        let text = " ".repeat(1_000_000) + "x";
        for encoding in ALL {
            match encoding.count(&text, NEVER) {
                Ok(tokens) => assert!(tokens > 1000, "{encoding:?}"),
                Err(error) => assert_eq!(error, Error::TooManySpaces, "{encoding:?}"),
            }
        }
        assert!(Encoding::Cl100kBase.count(&text, NEVER).is_ok());
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

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5000))]

        #[test]
        fn tokens_are_those_of_the_reference(text in hard_text()) {
            let cl100k = tiktoken_rs::cl100k_base_singleton().encode_ordinary(&text);
            prop_assert_eq!(Encoding::Cl100kBase.count(&text, NEVER), Ok(cl100k.len()));
            prop_assert_eq!(Encoding::Cl100kBase.encode(&text, NEVER), Ok(cl100k));
            let o200k = tiktoken_rs::o200k_base_singleton().encode_ordinary(&text);
            prop_assert_eq!(Encoding::O200kBase.count(&text, NEVER), Ok(o200k.len()));
            prop_assert_eq!(Encoding::O200kBase.encode(&text, NEVER), Ok(o200k));
            let harmony = tiktoken_rs::o200k_harmony_singleton().encode_ordinary(&text);
            prop_assert_eq!(Encoding::O200kHarmony.encode(&text, NEVER), Ok(harmony));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn round_trip(text in "[^\0]{0,60}") {
            for encoding in ALL {
                let tokens: Vec<i32> = encoding.encode(&text, NEVER).unwrap().iter().map(|&t| t as i32).collect();
                prop_assert_eq!(encoding.count(&text, NEVER).unwrap(), tokens.len());
                prop_assert_eq!(encoding.decode(&tokens), Ok(text.clone()));
            }
        }

        #[test]
        fn truncated_is_a_beginning_within_the_limit(text in "\\PC{0,60}", max in 0usize..30) {
            for encoding in ALL {
                let cut = encoding.truncate(&text, max, NEVER).unwrap();
                prop_assert!(text.starts_with(cut));
                prop_assert!(encoding.count(cut, NEVER).unwrap() <= max);
                if encoding.count(&text, NEVER).unwrap() <= max {
                    prop_assert_eq!(cut, &text);
                }
            }
        }
    }
}
