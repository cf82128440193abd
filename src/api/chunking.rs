use crate::postgres::INTERRUPT;
use crate::postgres::error::of_core;
use matrice_core::Error;
use matrice_core::chunk::{Chunk, Format, Size, chunks};
use matrice_core::token::Encoding;
use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::json;

type Row<'a> = (i32, &'a str, i32, i32, i32, JsonB);

/// Computes each row when it is asked for, because all rows together would be many times as large as the text. The function is
/// not strict: with a null option it would silently return no chunks.
#[pg_extern(immutable, parallel_safe)]
#[allow(clippy::type_complexity)]
fn chunk_text<'a>(
    content: Option<&'a str>,
    max_tokens: default!(Option<i32>, 512),
    overlap_tokens: default!(Option<i32>, 64),
    format: default!(Option<&'a str>, "'text'"),
    model: default!(Option<&'a str>, "'text-embedding-3-small'"),
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
    let options = || -> Result<(Format, Size), Error> {
        let max_tokens = max_tokens.ok_or(Error::Null("max_tokens"))?;
        let overlap_tokens = overlap_tokens.ok_or(Error::Null("overlap_tokens"))?;
        let format = Format::named(format.ok_or(Error::Null("format"))?)?;
        let encoding = Encoding::of_model(model.ok_or(Error::Null("model"))?)?;
        Ok((format, Size::new(max_tokens, overlap_tokens, encoding)?))
    };
    let (format, size) = options().map_err(of_core)?;
    let Some(content) = content else {
        return Ok(TableIterator::new(std::iter::empty()));
    };
    // Reporting an error ends the statement.
    let report = |error| of_core(error).report(PgLogLevel::ERROR);
    let rows = chunks(content, format, size, INTERRUPT)
        .map_err(of_core)?
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
