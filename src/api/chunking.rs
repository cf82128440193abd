use super::INTERRUPT;
use crate::core::chunk::{Chunk, Format, Size, chunks};
use crate::core::token::Encoding;
use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::json;

type Row<'a> = (i32, &'a str, i32, i32, i32, JsonB);

/// Makes each row when it is asked for: all of them together would be many times as large as the text.
#[pg_extern(immutable, strict, parallel_safe)]
#[allow(clippy::type_complexity)]
fn chunk_text<'a>(
    content: &'a str,
    max_tokens: default!(i32, 512),
    overlap_tokens: default!(i32, 64),
    format: default!(&'a str, "'text'"),
    model: default!(&'a str, "'text-embedding-3-small'"),
) -> Result<
    TableIterator<
        'a,
        (
            name!(chunk_index, i32),
            name!(content, &'a str),
            name!(token_count, i32),
            name!(start_char, i32),
            name!(end_char, i32),
            name!(metadata, JsonB),
        ),
    >,
    ErrorReport,
> {
    let format = Format::named(format)?;
    let size = Size::new(max_tokens, overlap_tokens, Encoding::of_model(model)?)?;
    // Reporting an error ends the statement.
    let report = |error| ErrorReport::from(error).report(PgLogLevel::ERROR);
    let rows = chunks(content, format, size, INTERRUPT)?
        .map_while(move |chunk| chunk.map_err(report).ok())
        .zip(0..)
        .map(row);
    Ok(TableIterator::new(rows))
}

fn row((chunk, index): (Chunk<'_>, i32)) -> Row<'_> {
    let metadata = match chunk.headings {
        Some(headings) if !headings.is_empty() => json!({ "headings": headings }),
        _ => json!({}),
    };
    (
        index,
        chunk.content,
        chunk.token_count as i32,
        chunk.start_char as i32,
        chunk.end_char as i32,
        JsonB(metadata),
    )
}
