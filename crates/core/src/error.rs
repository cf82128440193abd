//! The one error type of the crate.

/// Why a computation was refused. Every variant but [`Error::Grammar`] is the caller's mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No encoding and no model has this name.
    #[error("unknown model or encoding: \"{name}\"")]
    UnknownModel {
        /// The name as it was passed.
        name: String,
        /// All encoding names, for the hint.
        encodings: String,
    },
    /// The model's tokenizer is published, and not included here.
    #[error("the tokenizer of \"{name}\" is not included")]
    TokenizerElsewhere {
        /// The model's name as it was passed.
        name: String,
        /// All encoding names, for the hint.
        encodings: String,
    },
    /// The model's vendor does not publish its tokenizer.
    #[error("the tokenizer of \"{name}\" is not included")]
    TokenizerKept {
        /// The model's name as it was passed.
        name: String,
        /// All encoding names, for the hint.
        encodings: String,
    },
    /// No format has this name.
    #[error("unknown format: \"{name}\"")]
    UnknownFormat {
        /// The name as it was passed.
        name: String,
        /// All format names, for the hint.
        formats: String,
    },
    /// `max_tokens` of a chunk is below 1.
    #[error("max_tokens must be at least 1, not {0}")]
    MaxTokens(i32),
    /// `overlap_tokens` is negative.
    #[error("overlap_tokens must be at least 0, not {0}")]
    NegativeOverlap(i32),
    /// `overlap_tokens` is more than half of `max_tokens`.
    #[error("overlap_tokens ({overlap}) must be at most half of max_tokens ({max})")]
    OverlapTooLarge {
        /// In tokens.
        overlap: usize,
        /// In tokens.
        max: usize,
        /// The default overlap, in tokens, for the hint.
        default: usize,
    },
    /// One character alone is more tokens than a chunk may have.
    #[error("a character of {tokens} tokens does not fit into max_tokens ({max})")]
    CharacterTooLarge {
        /// The character.
        character: String,
        /// Its tokens.
        tokens: usize,
        /// How many tokens a chunk may have.
        max: usize,
    },
    /// A token is not in the encoding, or is a special token of it.
    #[error("token {token} is not in the encoding {encoding}")]
    UnknownToken {
        /// The token's number.
        token: i32,
        /// The encoding's name.
        encoding: &'static str,
    },
    /// `max_tokens` of a truncation is negative.
    #[error("max_tokens must be at least 0, not {0}")]
    NegativeTokens(i32),
    /// A text to compare is longer than [`crate::diff::MOST_BYTES`].
    #[error("{name} is too long to be compared")]
    TooLongToCompare {
        /// The argument's name.
        name: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// `context_lines` of a difference is negative or too large.
    #[error("context_lines must be between 0 and {most}, not {given}")]
    ContextLines {
        /// What was passed.
        given: i32,
        /// The largest number.
        most: i32,
    },
    /// The argument of this name is null.
    #[error("{0} must not be null")]
    Null(&'static str),
    /// A token of an array is null.
    #[error("a token is null")]
    NullToken,
    /// The tokens spell bytes that are not UTF-8, or that hold a NUL.
    #[error("the tokens do not spell valid text")]
    InvalidText,
    /// An embedding is not a vector of finite numbers.
    #[error("an embedding is not a vector of numbers")]
    NotAVector {
        /// Which of the embeddings, counted from 1.
        place: usize,
        /// What it is instead, for the detail.
        reason: &'static str,
    },
    /// The bytes are not those of a jsonb array.
    #[error("embeddings must be a JSON array")]
    NotAnArray,
    /// A quote has nothing but white space and characters without width.
    #[error("quote must not be empty")]
    EmptyQuote,
    /// Bytes of the word index are not what the engine wrote.
    #[error("the word index is damaged")]
    DamagedIndex,
    /// The linked tree-sitter cannot load the grammar of a language: an internal error, which a test keeps from shipping.
    #[error("the grammar does not load: {0}")]
    Grammar(String),
}

impl Error {
    /// What was seen, beyond the message.
    pub fn detail(&self) -> Option<String> {
        match self {
            Error::TokenizerElsewhere { .. } | Error::TokenizerKept { .. } => {
                Some("Only OpenAI's encodings are included, so any count here would be a guess.".into())
            }
            Error::CharacterTooLarge { character, .. } => Some(format!("The character is {character:?}.")),
            Error::TooLongToCompare { bytes, .. } => Some(format!(
                "It has {bytes} bytes; at most {} are allowed.",
                crate::diff::MOST_BYTES
            )),
            Error::NotAVector { place, reason } => Some(format!("Embedding {place}: {reason}")),
            Error::InvalidText => Some(
                "The bytes are not valid UTF-8, or contain a NUL. A cut inside a character causes this."
                    .into(),
            ),
            Error::EmptyQuote => {
                Some("It has only white space, soft hyphens or characters without width.".into())
            }
            _ => None,
        }
    }

    /// What the caller can do.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Error::UnknownModel { encodings, .. } => known(encodings),
            Error::TokenizerElsewhere { encodings, .. } => format!(
                "Its tokenizer is published. Count outside the database, for example with Hugging Face's tokenizers. {}",
                known(encodings)
            ),
            Error::TokenizerKept { encodings, .. } => format!(
                "Count outside the database, with the API of the model's vendor. {}",
                known(encodings)
            ),
            Error::UnknownFormat { formats, .. } => format!("Known formats: {formats}."),
            Error::CharacterTooLarge { tokens, .. } => format!("Use max_tokens of at least {tokens}."),
            Error::UnknownToken { .. } => "Use the model that the tokens were made with.".into(),
            Error::InvalidText => "Pass all tokens of a text together.".into(),
            Error::OverlapTooLarge { max, default, .. } => format!(
                "Pass at most {}, or 0 for chunks that do not overlap. The default, {default}, is reduced to half of max_tokens if it is larger.",
                max / 2
            ),
            Error::MaxTokens(_) | Error::NegativeOverlap(_) => {
                "The defaults are 512 for max_tokens and 64 for overlap_tokens. Pass overlap_tokens => 0 for chunks that do not overlap.".into()
            }
            Error::TooLongToCompare { .. } => "Compare parts of it.".into(),
            Error::ContextLines { .. } => "It is the number of unchanged lines around each change.".into(),
            Error::Null(_) => "Leave it out to use its default.".into(),
            Error::NegativeTokens(_) => "Pass 0 for the empty text.".into(),
            Error::NullToken => "Pass an array of token numbers.".into(),
            Error::EmptyQuote => "Pass the words to look for.".into(),
            Error::DamagedIndex => "Build it again: select matrice_private.rebuild_word_index().".into(),
            Error::NotAVector { .. } => {
                "Pass embeddings as a JSON array of arrays of finite numbers, or of base64 strings of little-endian 32-bit floats.".into()
            }
            Error::NotAnArray => "Pass one embedding for each chunk.".into(),
            Error::Grammar(_) => return None,
        })
    }
}

fn known(encodings: &str) -> String {
    format!("The known names are the encodings {encodings}, and the OpenAI models that use them.")
}
