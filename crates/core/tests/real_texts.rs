//! Counts the tokens of real texts as tiktoken-rs does.

use matrice_core::Interrupt;
use matrice_core::token::{ENCODINGS, Encoding};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// The folders of this repository that are read. tests/data/languages.txt has what the others have no words in.
const FOLDERS: [&str; 8] = [
    "sql",
    "src",
    "crates",
    "scripts",
    "benches",
    "tests/sql",
    "tests/security",
    "tests/data",
];

/// Each file, whole and line by line.
#[test]
fn real_texts_are_as_in_the_reference() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let files: Vec<PathBuf> = FOLDERS
        .iter()
        .flat_map(|folder| files(&root.join(folder)).unwrap())
        .collect();
    assert!(files.len() > 50, "{files:?}");
    let reference = |encoding: &Encoding| tiktoken_rs::bpe_for_tokenizer(encoding.tokenizer()).unwrap();
    let encodings: Vec<_> = ENCODINGS
        .iter()
        .map(|encoding| (encoding, reference(encoding)))
        .collect();
    for file in files.iter().chain(&[root.join("README.md")]) {
        // Data that is no text stands beside the texts.
        let Ok(text) = fs::read_to_string(file) else {
            continue;
        };
        for part in text.split_inclusive('\n').chain([&*text]) {
            for (encoding, reference) in &encodings {
                let tokens = reference.encode_ordinary(part);
                assert_eq!(
                    encoding.count(part, Interrupt::NEVER),
                    tokens.len(),
                    "{encoding:?} of {part:?}"
                );
                assert!(
                    encoding.encode(part, Interrupt::NEVER) == tokens,
                    "{encoding:?} of {part:?}"
                );
            }
        }
    }
}

fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.file_name() {
            Some(name) if name == "target" || name == "__pycache__" => {}
            _ if path.is_dir() => found.extend(files(&path)?),
            _ => found.push(path),
        }
    }
    Ok(found)
}
