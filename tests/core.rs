//! Runs the unit tests that stand in `src/core/`. The extension itself is a library that only a Postgres can load, so
//! its pure part is compiled here once more, without pgrx.

#![allow(dead_code, reason = "what only the SQL functions call")]

#[path = "../src/core/mod.rs"]
mod core;

use crate::core::{NEVER, token::Encoding};
use std::path::{Path, PathBuf};
use std::{fs, io};
use tiktoken_rs::CoreBPE;

/// This repository's files, and tests/data/languages.txt for what it has no words in: whole, and line by line.
#[test]
fn real_texts_are_as_in_the_reference() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [
        "sql",
        "src",
        "scripts",
        "benches",
        "tests/sql",
        "tests/security",
        "tests/data",
    ];
    let files: Vec<PathBuf> = folders
        .iter()
        .flat_map(|folder| files(&root.join(folder)).unwrap())
        .collect();
    assert!(files.len() > 50, "{files:?}");
    for file in files.iter().chain(&[root.join("README.md")]) {
        // Data that is no text stands beside the texts.
        let Ok(text) = fs::read_to_string(file) else {
            continue;
        };
        for part in text.split_inclusive('\n').chain([&*text]) {
            for (name, reference) in [
                (
                    "cl100k_base",
                    tiktoken_rs::cl100k_base_singleton as fn() -> &'static CoreBPE,
                ),
                ("o200k_base", tiktoken_rs::o200k_base_singleton),
                ("p50k_base", tiktoken_rs::p50k_base_singleton),
                ("r50k_base", tiktoken_rs::r50k_base_singleton),
            ] {
                let encoding = Encoding::of_model(name).unwrap();
                let tokens = reference().encode_ordinary(part);
                assert_eq!(encoding.count(part, NEVER), tokens.len(), "{name} of {part:?}");
                assert!(encoding.encode(part, NEVER) == tokens, "{name} of {part:?}");
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
