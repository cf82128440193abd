use super::INTERRUPT;
use crate::core::chunk::{self, Chunk, Format, Size};
use crate::core::token::Encoding;
use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::json;

type Row = (i32, String, i32, i32, i32, JsonB);

#[pg_extern(immutable, strict, parallel_safe)]
#[allow(clippy::type_complexity)]
fn chunk_text(
    content: &str,
    max_tokens: default!(i32, 512),
    overlap_tokens: default!(i32, 64),
    format: default!(&str, "'text'"),
    model: default!(&str, "'text-embedding-3-small'"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(chunk_index, i32),
            name!(content, String),
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
    let rows: Vec<Row> = chunk::chunk(content, format, size, INTERRUPT)?
        .into_iter()
        .zip(0..)
        .map(row)
        .collect();
    Ok(TableIterator::new(rows))
}

fn row((chunk, index): (Chunk<'_>, i32)) -> Row {
    let metadata = match chunk.headings {
        Some(headings) if !headings.is_empty() => json!({ "headings": headings }),
        _ => json!({}),
    };
    (
        index,
        chunk.content.to_owned(),
        chunk.token_count as i32,
        chunk.start_char as i32,
        chunk.end_char as i32,
        JsonB(metadata),
    )
}
