//! Writes the tables that src/token reads, so that no process has to build them: the vocabularies of OpenAI's encodings,
//! as tiktoken-rs carries them, and the Unicode classes that their pre-tokenizers use, as the regex crates define them.

use std::{env, error::Error, fs, path::Path};

/// The layout that the crate reads the tables by.
#[allow(dead_code, reason = "what only reads the tables")]
mod layout {
    include!("src/token/layout.rs");
}

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/token/layout.rs");
    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);
    // 50256 is a special token, in the middle of p50k_base's ordinary ones.
    vocabulary(out, "o200k_base", &tiktoken_rs::o200k_base()?, 199_998, None)?;
    vocabulary(out, "cl100k_base", &tiktoken_rs::cl100k_base()?, 100_256, None)?;
    vocabulary(out, "p50k_base", &tiktoken_rs::p50k_base()?, 50_281, Some(50_256))?;
    vocabulary(out, "r50k_base", &tiktoken_rs::r50k_base()?, 50_256, None)?;
    unicode_classes(out)
}

/// Writes the tables of the ordinary tokens 0 … `tokens`: their bytes, one after the other; where each begins; a hash table
/// with a filter; the tokens of two bytes by their bytes; and the characters that tokens hold side by side.
///
/// # Errors
/// A token exceeds what the tables or the encoder can hold.
fn vocabulary(
    out: &Path,
    name: &str,
    encoder: &tiktoken_rs::CoreBPE,
    tokens: u32,
    special: Option<u32>,
) -> Result<(), Box<dyn Error>> {
    let (mut bytes, mut offsets) = (Vec::new(), 0u32.to_le_bytes().to_vec());
    let slots = (2 * tokens as usize).next_power_of_two();
    let mut table = vec![layout::EMPTY; slots];
    let mut filter = vec![0; layout::FILTER_BYTES];
    let mut pairs = [layout::NO_TOKEN; 1 << 16];
    let mut char_pairs = CharPairs::default();
    for token in 0..tokens {
        if Some(token) != special {
            let spelled = encoder
                .decode_bytes(&[token])
                .map_err(|error| error.to_string())?;
            require_limits(name, token, &spelled)?;
            let key = layout::Key::of(&spelled);
            let mut slot = key.first_slot(slots);
            while table[slot] != layout::EMPTY {
                slot = (slot + 1) % slots;
            }
            table[slot] = key.slot(token);
            set(&mut filter, key.filter_bit());
            if let [first, second] = *spelled {
                pairs[layout::byte_pair(first, second)] = token;
            }
            char_pairs.add(&spelled);
            bytes.extend(&spelled);
        }
        offsets.extend((bytes.len() as u32).to_le_bytes());
    }
    fs::write(out.join(format!("{name}.bytes")), bytes)?;
    fs::write(out.join(format!("{name}.offsets")), offsets)?;
    fs::write(out.join(format!("{name}.slots")), table.concat())?;
    fs::write(out.join(format!("{name}.filter")), filter)?;
    fs::write(
        out.join(format!("{name}.byte_pairs")),
        pairs.map(u32::to_le_bytes).concat(),
    )?;
    fs::write(out.join(format!("{name}.char_pairs")), char_pairs.whole)?;
    fs::write(out.join(format!("{name}.partial_pairs")), char_pairs.partial)?;
    Ok(())
}

/// Refuses a token that does not fit into its slot, or that is longer than the encoder relies on.
fn require_limits(name: &str, token: u32, spelled: &[u8]) -> Result<(), Box<dyn Error>> {
    let length_bits = u32::BITS - layout::TOKEN_BITS;
    // All bits set is the empty slot.
    let most_bytes = layout::MAX_TOKEN_BYTES.min((1 << length_bits) - 2);
    if token >> layout::TOKEN_BITS != 0 {
        let tokens = 1u32 << layout::TOKEN_BITS;
        return Err(format!(
            "{name}: token {token} exceeds the {tokens} that TOKEN_BITS allows (src/token/layout.rs)"
        )
        .into());
    }
    if spelled.is_empty() || spelled.len() > most_bytes {
        let bytes = spelled.len();
        return Err(format!("{name}: token {token} has {bytes} bytes, not 1 to {most_bytes} (MAX_TOKEN_BYTES of src/token/layout.rs)").into());
    }
    Ok(())
}

/// The characters beyond ASCII that stand side by side in a token: whole ones, and ones of which it holds a part.
struct CharPairs {
    whole: Vec<u8>,
    partial: Vec<u8>,
}

impl Default for CharPairs {
    fn default() -> Self {
        CharPairs {
            whole: vec![0; layout::CHAR_PAIRS_BYTES],
            partial: vec![0; layout::PARTIAL_PAIRS_BYTES],
        }
    }
}

impl CharPairs {
    fn add(&mut self, token: &[u8]) {
        let begins = |&at: &usize| token.get(at).is_none_or(|byte| byte & 0xC0 != 0x80);
        for at in (1..token.len()).filter(begins) {
            if token[at - 1].is_ascii() || token[at].is_ascii() {
                continue;
            }
            let start = (0..at).rev().find(begins).unwrap_or(0);
            let end = (at + 1..=token.len()).find(begins).unwrap_or(token.len());
            let character = |bytes| str::from_utf8(bytes).ok().and_then(|text| text.chars().next());
            match (character(&token[start..at]), character(&token[at..end])) {
                (Some(left), Some(right)) => set(&mut self.whole, layout::char_pair(left, right)),
                _ => set(&mut self.partial, layout::partial_pair(token[at - 1], token[at])),
            }
        }
    }
}

fn set(bits: &mut [u8], (byte, bit): (usize, u8)) {
    bits[byte] |= bit;
}

/// Writes the class of each code point, in pages of 256. Equal pages are written once.
fn unicode_classes(out: &Path) -> Result<(), Box<dyn Error>> {
    let mut classes = vec![layout::OTHER; 0x11_0000];
    for (pattern, class) in [
        (r"[\p{Lu}\p{Lt}]", layout::UPPER),
        (r"\p{Ll}", layout::LOWER),
        (r"[\p{Lm}\p{Lo}]", layout::LETTER),
        (r"\p{M}", layout::MARK),
        (r"\p{N}", layout::NUMBER),
        (r"\s", layout::SPACE),
        (r"[\r\n]", layout::NEWLINE),
    ] {
        let regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(ranges)) =
            regex_syntax::Parser::new().parse(pattern)?.into_kind()
        else {
            return Err(format!("{pattern} is no class").into());
        };
        for range in ranges.iter() {
            classes[range.start() as usize..=range.end() as usize].fill(class);
        }
    }
    let (mut index, mut pages) = (Vec::new(), Vec::<&[u8]>::new());
    for page in classes.chunks(256) {
        let known = pages.iter().position(|&known| known == page);
        index.push(u8::try_from(known.unwrap_or(pages.len()))?);
        if known.is_none() {
            pages.push(page);
        }
    }
    fs::write(out.join("unicode.index"), index)?;
    fs::write(out.join("unicode.pages"), pages.concat())?;
    Ok(())
}
