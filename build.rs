//! Lists the files of sql/ for migrate(), and writes the tables that src/core/token reads, so that no process has to build them: the vocabularies of OpenAI's
//! encodings, as tiktoken-rs carries them, and the Unicode classes that their pre-tokenizers ask for, as the regex
//! crates define them.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, error::Error, fs};

#[path = "src/core/token/layout.rs"]
#[allow(dead_code, reason = "what only reads the tables")]
mod layout;

fn main() -> Result<(), Box<dyn Error>> {
    // The layout is a part of this program, which runs again when it changes.
    println!("cargo::rerun-if-changed={}", file!());
    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);
    // 50256 is a special token, in the middle of p50k_base's ordinary ones.
    vocabulary(out, "o200k_base", &tiktoken_rs::o200k_base()?, 199_998, None)?;
    vocabulary(out, "cl100k_base", &tiktoken_rs::cl100k_base()?, 100_256, None)?;
    vocabulary(out, "p50k_base", &tiktoken_rs::p50k_base()?, 50_281, Some(50_256))?;
    vocabulary(out, "r50k_base", &tiktoken_rs::r50k_base()?, 50_256, None)?;
    unicode_classes(out)?;
    schema(out)
}

/// The names and texts of the schema's files: `ONCE`, those of sql/ that begin with a digit, and `CODE`, those of
/// sql/007_functions/, both in the order of their names.
fn schema(out: &Path) -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=sql");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let mut lists = String::new();
    for (list, folder, prefix) in [
        ("ONCE", "sql", ""),
        ("CODE", "sql/007_functions", "007_functions/"),
    ] {
        let mut files = Vec::new();
        for entry in fs::read_dir(root.join(folder))? {
            let path = entry?.path();
            let name = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
            let is_numbered = name.starts_with(|first: char| first.is_ascii_digit());
            if is_numbered && path.extension().is_some_and(|ending| ending == "sql") {
                files.push(format!(
                    "({:?}, include_str!({path:?}))",
                    format!("{prefix}{name}")
                ));
            }
        }
        files.sort();
        writeln!(lists, "const {list}: &[(&str, &str)] = &[{}];", files.join(", "))?;
    }
    Ok(fs::write(out.join("schema.rs"), lists)?)
}

/// The ordinary tokens 0 … `tokens`: their bytes, one after the other; where each begins; a hash table of them, with a
/// filter; those of two bytes once more, by their bytes; and which characters they join.
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
    let mut filter = vec![0; layout::FILTER];
    let mut pairs = [layout::NO_TOKEN; 1 << 16];
    let mut joints = Joints::default();
    for token in 0..tokens {
        if Some(token) != special {
            let spelled = encoder
                .decode_bytes(&[token])
                .map_err(|error| error.to_string())?;
            let key = layout::Key::of(&spelled);
            let mut slot = key.first_slot(slots);
            while table[slot] != layout::EMPTY {
                slot = (slot + 1) % slots;
            }
            table[slot] = key.slot(token);
            set(&mut filter, key.filtered_by());
            if let [first, second] = *spelled {
                pairs[layout::pair(first, second)] = token;
            }
            joints.add(&spelled);
            bytes.extend(&spelled);
        }
        offsets.extend((bytes.len() as u32).to_le_bytes());
    }
    fs::write(out.join(format!("{name}.bytes")), bytes)?;
    fs::write(out.join(format!("{name}.offsets")), offsets)?;
    fs::write(out.join(format!("{name}.slots")), table.concat())?;
    fs::write(out.join(format!("{name}.filter")), filter)?;
    fs::write(
        out.join(format!("{name}.pairs")),
        pairs.map(u32::to_le_bytes).concat(),
    )?;
    fs::write(out.join(format!("{name}.joints")), joints.whole)?;
    fs::write(out.join(format!("{name}.torn")), joints.torn)?;
    Ok(())
}

/// Which characters beyond ASCII stand side by side in a token.
struct Joints {
    whole: Vec<u8>,
    torn: Vec<u8>,
}

impl Default for Joints {
    fn default() -> Self {
        Joints {
            whole: vec![0; layout::JOINTS],
            torn: vec![0; layout::TORN],
        }
    }
}

impl Joints {
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
                (Some(left), Some(right)) => set(&mut self.whole, layout::joint(left, right)),
                _ => set(&mut self.torn, layout::torn(token[at - 1], token[at])),
            }
        }
    }
}

fn set(bits: &mut [u8], (byte, bit): (usize, u8)) {
    bits[byte] |= bit;
}

/// A class for each code point, in pages of 256 of which equal ones are kept once.
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
