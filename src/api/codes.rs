use super::INTERRUPT;
use crate::codes::CodeIndex;
use crate::core::nearest::{Id, Nearest};
use pgrx::datum::Uuid;
use pgrx::pg_sys;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// The only function of the engine that reads from the database. What it gives is what a query of the same user would.
#[pg_extern(stable, parallel_safe)]
#[search_path(pg_catalog, pg_temp)]
fn nearest_codes(
    codes: pg_sys::Oid,
    project_ids: Vec<Option<Uuid>>,
    model: &str,
    query: Vec<f32>,
    count: i32,
    among: default!(Option<Vec<Option<Uuid>>>, "NULL"),
) -> Result<Vec<Uuid>, ErrorReport> {
    let id = |id: Uuid| -> Id { *id.as_bytes() };
    let among = among.map(|ids| ids.into_iter().flatten().map(id).collect());
    let mut nearest = Nearest::new(&query, usize::try_from(count).unwrap_or(0), among);
    CodeIndex::open(codes)?.offer(project_ids.into_iter().flatten(), model, &mut nearest, INTERRUPT);
    Ok(nearest.into_ids().map(Uuid::from_bytes).collect())
}
