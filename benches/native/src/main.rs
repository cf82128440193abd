//! Counts tokens as a Rust program does that needs no Postgres. Each line that comes in is `crate encoding file`; the
//! line that goes out is the number of tokens and the milliseconds that counting them took.

use matrice_core::{Interrupt, token::Encoding};
use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};
use std::time::Instant;
use std::{fs, hint};

fn main() -> Result<(), Box<dyn Error>> {
    let mut texts: HashMap<String, String> = HashMap::new();
    for line in stdin().lock().lines() {
        let line = line?;
        let [library, encoding, file] = line.split(' ').collect::<Vec<_>>()[..] else {
            return Err(format!("not a crate, an encoding and a file: {line}").into());
        };
        if !texts.contains_key(file) {
            texts.insert(file.into(), fs::read_to_string(file)?);
        }
        let count = counter(library, encoding).ok_or(format!("unknown: {library} {encoding}"))?;
        let started = Instant::now();
        let tokens = count(hint::black_box(&texts[file]));
        let took = started.elapsed();
        println!("{tokens} {}", took.as_secs_f64() * 1000.0);
        stdout().flush()?;
    }
    Ok(())
}

fn counter(library: &str, encoding: &str) -> Option<Box<dyn Fn(&str) -> usize>> {
    // The tables are built here, before the clock starts.
    match (library, encoding) {
        ("bpe-openai", "cl100k_base") => {
            let tokenizer = bpe_openai::cl100k_base();
            Some(Box::new(|text| tokenizer.count(text)))
        }
        ("bpe-openai", "o200k_base") => {
            let tokenizer = bpe_openai::o200k_base();
            Some(Box::new(|text| tokenizer.count(text)))
        }
        ("matrice-core", _) => {
            let encoding = Encoding::of_model(encoding).ok()?;
            Some(Box::new(|text| encoding.count(text, Interrupt::NEVER)))
        }
        ("tiktoken-rs", "cl100k_base") => {
            let tokenizer = tiktoken_rs::cl100k_base_singleton();
            Some(Box::new(|text| tokenizer.count_ordinary(text)))
        }
        ("tiktoken-rs", "o200k_base") => {
            let tokenizer = tiktoken_rs::o200k_base_singleton();
            Some(Box::new(|text| tokenizer.count_ordinary(text)))
        }
        _ => None,
    }
}
