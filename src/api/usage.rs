//! What calls of models used. The underscore says that the schema's own functions call these.

use crate::postgres::jsonb::Jsonb;
use matrice_core::jsonb::to_json;
use matrice_core::usage::{Usage, known};
use pgrx::JsonB;
use pgrx::prelude::*;

/// Usage lies less deep than this in any response.
const LEVELS: usize = 16;

#[pg_extern(immutable, parallel_safe)]
fn _read_usage(usage: Option<Jsonb<'_>>, tokens_input: Option<i64>, tokens_output: Option<i64>) -> JsonB {
    let given = usage.map(|usage| to_json(usage.0, LEVELS)).unwrap_or_default();
    let count = |tokens: Option<i64>| tokens.and_then(|tokens| tokens.try_into().ok());
    JsonB(Usage::read(&given, count(tokens_input), count(tokens_output)).to_json())
}

#[pg_extern(immutable, strict, parallel_safe)]
fn _known_usage(given: Jsonb<'_>) -> JsonB {
    JsonB(known(&to_json(given.0, LEVELS)))
}
