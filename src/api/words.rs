//! Functions that only the schema's own functions call, for full-text search and for contexts. Full-text search passes the
//! texts and queries of clients to these functions before any other. The underscore says that they are not part of the API:
//! only their owner may execute them.

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
