//! What the schema's own functions need of the engine: its full-text search, which calls nothing else with a text or query
//! as clients send it, and its contexts. The underscore says that these are not the API; only their owner executes them.

use crate::postgres::INTERRUPT;
use matrice_core::sentences::whole_sentences;
use matrice_core::words;
use pgrx::prelude::*;

#[pg_extern(immutable, strict, parallel_safe)]
fn _fold(content: &str) -> String {
    words::fold(content, INTERRUPT)
}

#[pg_extern(immutable, strict, parallel_safe)]
fn _pieces(content: &str, most_bytes: i32) -> Vec<String> {
    words::pieces(content, usize::try_from(most_bytes).unwrap_or(0), INTERRUPT)
}

#[pg_extern(immutable, strict, parallel_safe)]
fn _read_query(
    query_text: &str,
) -> TableIterator<
    'static,
    (
        name!(words, String),
        name!(marks, Vec<String>),
        name!(beginnings, Vec<String>),
    ),
> {
    let query = words::query(query_text, INTERRUPT);
    let (marks, beginnings) = query.beginnings.into_iter().unzip();
    TableIterator::once((query.words, marks, beginnings))
}

#[pg_extern(immutable, strict, parallel_safe)]
fn _whole_sentences(content: &str, most_chars: i32) -> &str {
    whole_sentences(content, usize::try_from(most_chars).unwrap_or(0))
}
