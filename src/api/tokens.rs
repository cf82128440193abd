use crate::postgres::INTERRUPT;
use crate::postgres::error::of_core;
use matrice_core::{Error, token::Encoding};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

#[pg_extern(immutable, strict, parallel_safe)]
fn count_tokens(
    content: &str,
    model: default!(&str, "'text-embedding-3-small'"),
) -> Result<i32, ErrorReport> {
    let encoding = Encoding::of_model(model).map_err(of_core)?;
    // The cast is exact: a text has at most 1 GB, and a token at least one byte.
    Ok(encoding.count(content, INTERRUPT) as i32)
}

#[pg_extern(immutable, strict, parallel_safe)]
fn tokenize(
    content: &str,
    model: default!(&str, "'text-embedding-3-small'"),
) -> Result<Vec<i32>, ErrorReport> {
    let encoding = Encoding::of_model(model).map_err(of_core)?;
    Ok(encoding
        .encode(content, INTERRUPT)
        .into_iter()
        .map(|token| token as i32)
        .collect())
}

#[pg_extern(immutable, strict, parallel_safe)]
fn detokenize(
    tokens: Vec<Option<i32>>,
    model: default!(&str, "'text-embedding-3-small'"),
) -> Result<String, ErrorReport> {
    let encoding = Encoding::of_model(model).map_err(of_core)?;
    let tokens = tokens
        .into_iter()
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| of_core(Error::NullToken))?;
    encoding.decode(&tokens).map_err(of_core)
}

#[pg_extern(immutable, strict, parallel_safe)]
fn truncate_tokens<'a>(
    content: &'a str,
    max_tokens: i32,
    model: default!(&'a str, "'text-embedding-3-small'"),
) -> Result<&'a str, ErrorReport> {
    let encoding = Encoding::of_model(model).map_err(of_core)?;
    let max = usize::try_from(max_tokens).map_err(|_| of_core(Error::NegativeTokens(max_tokens)))?;
    Ok(encoding.truncate(content, max, INTERRUPT))
}
