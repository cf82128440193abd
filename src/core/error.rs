//! The one error type of the core. Every variant is the caller's mistake, so they reach SQL as
//! `22023 invalid_parameter_value` or `22004 null_value_not_allowed` (HTTP 400 over PostgREST) with the detail and hint
//! written here.

use super::{chunk, token};

/// Why an argument was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    #[error("unknown model or encoding: \"{0}\"")]
    UnknownModel(String),
    #[error("the tokenizer of \"{0}\" is not included")]
    TokenizerElsewhere(String),
    #[error("the tokenizer of \"{0}\" is not included")]
    TokenizerKept(String),
    #[error("unknown format: \"{0}\"")]
    UnknownFormat(String),
    #[error("max_tokens must be at least 1, not {0}")]
    MaxTokens(i32),
    #[error("overlap_tokens must be at least 0, not {0}")]
    NegativeOverlap(i32),
    #[error("overlap_tokens ({overlap}) must be at most half of max_tokens ({max})")]
    OverlapTooLarge { overlap: usize, max: usize },
    #[error("a character of {tokens} tokens does not fit into max_tokens ({max})")]
    CharacterTooLarge {
        character: String,
        tokens: usize,
        max: usize,
    },
    #[error("token {token} is not in the encoding {encoding}")]
    UnknownToken { token: i32, encoding: &'static str },
    #[error("max_tokens must be at least 0, not {0}")]
    NegativeTokens(i32),
    #[error("{0} must not be null")]
    Null(&'static str),
    #[error("a token is null")]
    NullToken,
    #[error("the tokens do not spell valid text")]
    InvalidText,
}

impl Error {
    /// What was seen, beyond the message.
    pub(crate) fn detail(&self) -> Option<String> {
        match self {
            Error::TokenizerElsewhere(_) | Error::TokenizerKept(_) => {
                Some("Only OpenAI's encodings are, so any count here would be a guess.".into())
            }
            Error::CharacterTooLarge { character, .. } => Some(format!("The text is {character:?}.")),
            Error::InvalidText => Some(
                "The bytes are not valid UTF-8, or hold a NUL: a cut inside a character does this.".into(),
            ),
            _ => None,
        }
    }

    /// What the caller can do.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Error::UnknownModel(_) => Some(known()),
            Error::TokenizerElsewhere(_) => Some(format!(
                "Its tokenizer is published: count outside the database, for instance with Hugging Face's tokenizers. {}",
                known()
            )),
            Error::TokenizerKept(_) => Some(format!(
                "Count with its vendor's API, outside the database. {}",
                known()
            )),
            Error::UnknownFormat(_) => Some(format!("Known formats: {}.", chunk::Format::names())),
            Error::CharacterTooLarge { tokens, .. } => Some(format!("Use max_tokens of at least {tokens}.")),
            Error::UnknownToken { .. } => Some("Use the model that the tokens were made with.".into()),
            Error::InvalidText => Some("Pass all tokens of a text together.".into()),
            Error::OverlapTooLarge { max, .. } => Some(format!(
                "Pass at most {}, or 0 for chunks that do not overlap. The default, {}, is as much of that as may be.",
                max / 2,
                chunk::DEFAULT_OVERLAP
            )),
            Error::MaxTokens(_) | Error::NegativeOverlap(_) => {
                Some("By default max_tokens is 512 and overlap_tokens 64; pass overlap_tokens => 0 for chunks that do not overlap.".into())
            }
            Error::Null(_) => Some("Leave it out to use its default.".into()),
            Error::NegativeTokens(_) => Some("0 gives the empty text.".into()),
            Error::NullToken => Some("Pass an array of token numbers.".into()),
        }
    }
}

fn known() -> String {
    format!(
        "Known are the encodings {} and the OpenAI models that use them.",
        token::Encoding::names()
    )
}
