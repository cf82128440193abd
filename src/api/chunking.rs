use crate::postgres::INTERRUPT;
use crate::postgres::error::of_core;
use crate::postgres::jsonb::Jsonb;
use crate::postgres::text_vector::TextVector;
use matrice_core::Error;
use matrice_core::chunk::{Chunk, Format, Size, chunks};
use matrice_core::token::Encoding;
use pgrx::datum::Uuid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use pgrx::{JsonB, pg_sys};
use serde_json::Map;
use std::cell::Cell;
use std::hash::{BuildHasher, Hash, RandomState};

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
    let mut metadata = Map::new();
    if let Some(headings) = chunk.headings.filter(|headings| !headings.is_empty()) {
        metadata.insert("headings".into(), headings.into());
    }
    if let Some(header) = chunk.header {
        metadata.insert("header".into(), header.into());
    }
    (
        index,
        chunk.content,
        chunk.token_count as i32,
        chunk.start_char as i32,
        chunk.end_char as i32,
        JsonB(metadata.into()),
    )
}

thread_local! {
    /// Keys of the session, which nobody can read.
    static KEYS: [RandomState; 2] = [RandomState::new(), RandomState::new()];
    static SEALED: Cell<u64> = const { Cell::new(0) };
}

/// Returns an id for a chunk whose other columns the schema has just computed. Half of it is new, half is a hash of the columns.
/// Only the session that computed them can make it. So a trigger that sees it need not compute them again.
#[pg_extern(strict, parallel_unsafe)]
fn _seal(
    source_id: Uuid,
    project_id: Uuid,
    content: &str,
    token_count: i32,
    metadata: Jsonb<'_>,
    fts: TextVector<&[u8]>,
    filterable: Jsonb<'_>,
) -> Uuid {
    let count = SEALED.get();
    SEALED.set(count.wrapping_add(1));
    let mut new = KEYS
        .with(|keys| keys[0].hash_one((statement(), count)))
        .to_be_bytes();
    // The version of a random UUID.
    new[6] = new[6] & 0x0f | 0x40;
    let columns = (content, token_count, metadata.0, fts.0, filterable.0);
    let seal = seal(new, source_id, project_id, columns);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&new);
    id[8..].copy_from_slice(&seal);
    Uuid::from_bytes(id)
}

/// Whether `_seal` has returned this id for these columns, since the client's statement began.
#[pg_extern(stable, strict, parallel_unsafe)]
#[allow(clippy::too_many_arguments)]
fn _is_sealed(
    id: Uuid,
    source_id: Uuid,
    project_id: Uuid,
    content: &str,
    token_count: i32,
    metadata: Jsonb<'_>,
    fts: TextVector<&[u8]>,
    filterable: Jsonb<'_>,
) -> bool {
    let columns = (content, token_count, metadata.0, fts.0, filterable.0);
    let (new, sealed) = id.as_bytes().split_at(8);
    seal(new, source_id, project_id, columns) == sealed
}

/// The second half of an id, from the first half and the columns.
fn seal(new: impl AsRef<[u8]>, source_id: Uuid, project_id: Uuid, columns: impl Hash) -> [u8; 8] {
    let ids = (new.as_ref(), source_id.as_bytes(), project_id.as_bytes());
    let mut seal = KEYS
        .with(|keys| keys[1].hash_one((statement(), ids, columns)))
        .to_be_bytes();
    // The variant of a random UUID.
    seal[0] = seal[0] & 0x3f | 0x80;
    seal
}

/// When the transaction and the client's statement began.
fn statement() -> (i64, i64) {
    // SAFETY: both read a variable.
    unsafe {
        (
            pg_sys::GetCurrentTransactionStartTimestamp(),
            pg_sys::GetCurrentStatementStartTimestamp(),
        )
    }
}
