//! What calls of models used. The underscore says that the schema's own functions call these.

use crate::postgres::jsonb::Jsonb;
use matrice_core::usage::{Usage, known_of_jsonb};
use pgrx::JsonB;
use pgrx::prelude::*;

#[pg_extern(immutable, parallel_safe)]
fn _read_usage(usage: Option<Jsonb<'_>>, tokens_input: Option<i64>, tokens_output: Option<i64>) -> JsonB {
    let usage = usage.map_or(&[][..], |usage| usage.0);
    let count = |tokens: Option<i64>| tokens.and_then(|tokens| tokens.try_into().ok());
    JsonB(Usage::of_jsonb(usage, count(tokens_input), count(tokens_output)).to_json())
}

#[pg_extern(immutable, strict, parallel_safe)]
fn _known_usage(given: Jsonb<'_>) -> JsonB {
    JsonB(known_of_jsonb(given.0))
}
