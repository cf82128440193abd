//! The nearest chunks to a vector, and the index of codes that finds them. The underscore says that the schema's own functions
//! call these. They read embeddings as a query of the same user would.

use crate::postgres::INTERRUPT;
use crate::postgres::code_cells::{fill_cells, train_cells};
use crate::postgres::embeddings::{List, Near, build_list, nearest};
use crate::postgres::error::error;
use matrice_core::codes::{CellWriter, Cells, Id, Page};
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

/// Finds cells for the embeddings of a project, of which these chunks are a sample in any order.
#[pg_extern(stable, strict, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity)]
fn _train_cells(
    project_id: Uuid,
    model: &str,
    sample: Array<Uuid>,
    cells: i32,
    total: i32,
) -> Result<TableIterator<'static, (name!(centroids, Vec<Vec<u8>>), name!(bound, Vec<u8>))>, ErrorReport> {
    let (cells, total) = (
        usize::try_from(cells).unwrap_or(0),
        usize::try_from(total).unwrap_or(0),
    );
    let sample: Vec<Id> = ids(&sample).collect();
    let trained = train_cells(*project_id.as_bytes(), model, &sample, cells, total)?;
    let row = |cells: Cells| (cells.centroids().collect(), cells.bound().to_bytes());
    Ok(TableIterator::new(trained.into_iter().map(row)))
}

/// Encodes the embeddings of chunks for their cells.
#[pg_extern(stable, strict, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
#[allow(clippy::type_complexity)]
fn _cell_codes(
    project_id: Uuid,
    model: &str,
    chunk_ids: Array<Uuid>,
    centroids: Array<&[u8]>,
    bound: &[u8],
    begun: Array<&[u8]>,
) -> Result<
    TableIterator<
        'static,
        (
            name!(cell, i32),
            name!(code_count, i32),
            name!(pages, Vec<Vec<u8>>),
        ),
    >,
    ErrorReport,
> {
    let cells = Cells::parse(centroids.iter().flatten(), bound, INTERRUPT).ok_or_else(not_cells)?;
    let mut writer = CellWriter::new(&cells, begun.iter()).ok_or_else(not_cells)?;
    fill_cells(
        *project_id.as_bytes(),
        model,
        &ids(&chunk_ids).collect(),
        &mut writer,
    )?;
    let added: Vec<_> = writer
        .finish()
        .map(|added| (added.cell as i32 + 1, added.count as i32, added.pages))
        .collect();
    Ok(TableIterator::new(added))
}

fn not_cells() -> ErrorReport {
    let hint = "Run matrice_private.rebuild_code_index as the owner of the tables.";
    let code = PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE;
    error(
        code,
        "these are not the cells of a project",
        None,
        Some(hint.into()),
    )
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
