//! For the schema's full-text search, which calls nothing else of Postgres with a text or query as clients send it. The
//! underscore says that these are not the API; the schema is the extension's own, and the only one.

use crate::postgres::INTERRUPT;
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
