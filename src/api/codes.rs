use crate::postgres::INTERRUPT;
use crate::postgres::code_index::{CodeIndex, Near};
use crate::postgres::error::error;
use matrice_core::nearest::{Id, Query};
use pgrx::datum::Uuid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Returns the nearest codes. No other function of the engine reads clients' rows. It returns what a query of the same user
/// would return.
#[pg_extern(stable, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
fn _nearest_codes(
    project_ids: Option<Vec<Option<Uuid>>>,
    model: Option<&str>,
    query: Option<Vec<Option<f32>>>,
    count: Option<i32>,
    among: default!(Option<Vec<Option<Uuid>>>, "NULL"),
) -> Result<
    TableIterator<
        'static,
        (
            name!(project_id, Uuid),
            name!(chunk_id, Uuid),
            name!(place, i32),
            name!(of_codes, i64),
        ),
    >,
    ErrorReport,
> {
    let id = |id: Uuid| -> Id { *id.as_bytes() };
    let project_ids = given("project_ids", project_ids)?
        .into_iter()
        .flatten()
        .map(id)
        .collect();
    let model = given("model", model)?;
    let numbers: Option<Vec<f32>> = given("query", query)?.into_iter().collect();
    let query = numbers.as_deref().and_then(Query::new).ok_or_else(not_numbers)?;
    let count = usize::try_from(given("count", count)?).unwrap_or(0);
    let among = among.map(|ids| ids.into_iter().flatten().map(id).collect());
    let near = CodeIndex::open()?.nearest(project_ids, model, &query, count, among.as_ref(), INTERRUPT)?;
    let row = |near: Near| (near.project_id, near.chunk_id, near.place, near.of);
    Ok(TableIterator::new(near.into_iter().map(row)))
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

fn not_numbers() -> ErrorReport {
    let code = PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE;
    error(code, "query must be finite numbers", None, None)
}
