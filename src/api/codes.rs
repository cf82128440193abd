//! The nearest chunks to a vector, and the index of codes that finds them. The underscore says that the schema's own functions
//! call these. They read embeddings as a query of the same user would.

use crate::postgres::embeddings::{List, Near, build_list, nearest};
use crate::postgres::error::error;
use matrice_core::codes::{Id, Page};
use pgrx::datum::{AnyElement, Array, Uuid};
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

#[pg_extern(stable, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
fn _nearest_chunks(
    project_ids: Option<Array<Uuid>>,
    model: Option<&str>,
    query: Option<AnyElement>,
    match_count: Option<i32>,
    among: default!(Option<Array<Uuid>>, "NULL"),
) -> Result<TableIterator<'static, (name!(chunk_id, Uuid), name!(similarity, f64))>, ErrorReport> {
    let project_ids = ids(&given("project_ids", project_ids)?).collect();
    let model = given("model", model)?;
    let query = given("query", query)?;
    let count = usize::try_from(given("match_count", match_count)?).unwrap_or(0);
    let among = among.map(|chunk_ids| ids(&chunk_ids).collect());
    let near = nearest(&project_ids, model, query, count, among.as_ref())?;
    let row = |near: Near| (Uuid::from_bytes(near.chunk_id), near.similarity);
    Ok(TableIterator::new(near.into_iter().map(row)))
}

#[pg_extern(stable, strict, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity)]
fn _build_codes(
    project_id: Uuid,
    model: &str,
    chunk_ids: Array<Uuid>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(code_count, i32),
            name!(centroid, Vec<u8>),
            name!(pages, Vec<Vec<u8>>),
        ),
    >,
    ErrorReport,
> {
    let list = build_list(*project_id.as_bytes(), model, &ids(&chunk_ids).collect())?;
    let row = |list: List| (list.code_count as i32, list.centroid, list.pages);
    Ok(TableIterator::new(list.into_iter().map(row)))
}

/// The chunks that have a code in a page. A page that is not readable has none.
#[pg_extern(immutable, strict, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
fn _coded_chunks(codes: &[u8]) -> Vec<Uuid> {
    let page = Page::parse(codes);
    let ids = page.iter().flat_map(|page| page.ids());
    ids.map(|id| Uuid::from_bytes(*id)).collect()
}

fn ids(values: &Array<Uuid>) -> impl Iterator<Item = Id> {
    values.iter().flatten().map(|id| *id.as_bytes())
}

fn given<T>(argument: &str, value: Option<T>) -> Result<T, ErrorReport> {
    value.ok_or_else(|| {
        let message = format!("{argument} must not be null");
        error(
            PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            message,
            None,
            None,
        )
    })
}
