//! The words of a text as the bytes of a tsvector.
//!
//! The bytes are those that Postgres keeps after the length: how many lexemes there are; for each a number of 32 bits, which has
//! the bit "has positions", eleven bits of length and twenty bits of offset; then the lexemes. The positions of a lexeme follow it
//! at an even offset: how many there are, and the positions, of sixteen bits each. Lexemes are in byte order.
//!
//! The weight of a position says how the lexeme stands for the word there: see [`Form`]. A lexeme that begins with a blank says
//! how the text was analysed, and is no word.

use crate::analyze::{Analyzer, Form, Stemmer};
use crate::{Error, Interrupt};
use std::collections::BTreeMap;

/// Changes whenever a text may be analysed otherwise than before. Texts that were analysed otherwise are analysed again by
/// `reindex_text`.
pub const ANALYZER_VERSION: u32 = 1;
/// The largest position that a tsvector can hold. Later words have it, too.
const MAX_POSITION: u32 = 16383;
/// The most positions of a lexeme.
const MAX_POSITIONS: usize = 255;
/// The most bytes that the lexemes and positions of a tsvector may take.
const MAX_BYTES: usize = (1 << 20) - 1;

/// How the texts of a language are analysed: the language and the version. It stands in every vector.
pub fn analysis(language: &str) -> String {
    format!("{language} {ANALYZER_VERSION}")
}

/// The weight of a form: see [`Form`].
fn weight(form: Form) -> u16 {
    match form {
        Form::Stem => 0,
        Form::Compound => 1,
        Form::Written => 2,
        Form::Word => 3,
    }
}

/// Analyses a text. Of a text whose words take more than a tsvector holds, only the stems are kept, without positions; and of a
/// megabyte of different words perhaps not all of them.
pub fn text_vector<S: Stemmer>(
    text: &str,
    language: &str,
    analyzer: &mut Analyzer<S>,
    interrupt: Interrupt,
) -> Vec<u8> {
    let mut positions: BTreeMap<String, Vec<u16>> = BTreeMap::new();
    analyzer.each(text, interrupt, |word| {
        let position = word.position.min(MAX_POSITION) as u16;
        for lexeme in word.lexemes() {
            let place = position | weight(lexeme.form) << 14;
            match positions.get_mut(lexeme.text) {
                Some(places) => push(places, place),
                None => {
                    positions.insert(lexeme.text.to_owned(), vec![place]);
                }
            }
        }
    });
    let marker = format!(" {}", analysis(language));
    if bytes_of(&positions) > MAX_BYTES {
        positions.retain(|_, places| places.iter().any(|place| matches!(place >> 14, 0 | 3)));
        let mut room = MAX_BYTES - marker.len();
        positions.retain(|lexeme, places| {
            places.clear();
            room = room.saturating_sub(lexeme.len());
            room > 0
        });
    }
    positions.insert(marker, Vec::new());
    packed(&positions)
}

/// The strongest form counts, if a word has a lexeme twice.
fn push(places: &mut Vec<u16>, place: u16) {
    match places.pop_if(|last| *last & 0x3fff == place & 0x3fff) {
        Some(last) => places.push(place.max(last)),
        None if places.len() < MAX_POSITIONS => places.push(place),
        None => {}
    }
}

/// The bytes of the lexemes and positions, or a little more.
fn bytes_of(positions: &BTreeMap<String, Vec<u16>>) -> usize {
    positions
        .iter()
        .map(|(lexeme, places)| lexeme.len() + 4 + 2 * places.len())
        .sum()
}

fn packed(positions: &BTreeMap<String, Vec<u16>>) -> Vec<u8> {
    let mut entries = Vec::with_capacity(4 + 4 * positions.len() + bytes_of(positions));
    entries.extend((positions.len() as u32).to_le_bytes());
    let mut lexemes = Vec::with_capacity(bytes_of(positions));
    for (lexeme, places) in positions {
        let has_positions = u32::from(!places.is_empty());
        let entry = has_positions | (lexeme.len() as u32) << 1 | (lexemes.len() as u32) << 12;
        entries.extend(entry.to_le_bytes());
        lexemes.extend(lexeme.as_bytes());
        if has_positions == 1 {
            lexemes.resize(lexemes.len().next_multiple_of(2), 0);
            lexemes.extend((places.len() as u16).to_le_bytes());
            places
                .iter()
                .for_each(|place| lexemes.extend(place.to_le_bytes()));
        }
    }
    entries.extend(lexemes);
    entries
}

/// A lexeme of a tsvector, with its positions and their weights.
pub struct Entry<'a> {
    /// The lexeme.
    pub lexeme: &'a [u8],
    /// Its positions, two bytes each.
    positions: &'a [u8],
}

impl Entry<'_> {
    /// The positions, each with its weight.
    pub fn positions(&self) -> impl Iterator<Item = (u16, u16)> {
        let places = self
            .positions
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&place| u16::from_le_bytes(place));
        places.map(|place| (place & 0x3fff, place >> 14))
    }
}

/// The lexemes of a tsvector.
///
/// # Errors
/// [`Error::DamagedIndex`] if the bytes are none.
pub fn entries(vector: &[u8]) -> Result<impl Iterator<Item = Result<Entry<'_>, Error>>, Error> {
    let (&count, rest) = vector.split_first_chunk::<4>().ok_or(Error::DamagedIndex)?;
    let count = u32::from_le_bytes(count) as usize;
    let (entries, lexemes) = rest.split_at_checked(4 * count).ok_or(Error::DamagedIndex)?;
    Ok(entries.as_chunks::<4>().0.iter().map(|&entry| {
        let entry = u32::from_le_bytes(entry);
        let start = (entry >> 12) as usize;
        let end = start + (entry >> 1 & 0x7ff) as usize;
        let lexeme = lexemes.get(start..end).ok_or(Error::DamagedIndex)?;
        let positions = if entry & 1 == 1 {
            positions(lexemes, end)?
        } else {
            &[]
        };
        Ok(Entry { lexeme, positions })
    }))
}

fn positions(lexemes: &[u8], end: usize) -> Result<&[u8], Error> {
    let rest = lexemes
        .get(end.next_multiple_of(2)..)
        .ok_or(Error::DamagedIndex)?;
    let (&count, rest) = rest.split_first_chunk::<2>().ok_or(Error::DamagedIndex)?;
    rest.get(..2 * usize::from(u16::from_le_bytes(count)))
        .ok_or(Error::DamagedIndex)
}

#[cfg(target_endian = "big")]
compile_error!("a tsvector's bytes are read as a little-endian machine keeps them");

#[cfg(test)]
mod tests;
