//! The vectors that clients send.

use crate::postgres::INTERRUPT;
use crate::postgres::embeddings::norm;
use crate::postgres::error::of_core;
use crate::postgres::jsonb::Jsonb;
use crate::postgres::real_array::RealArray;
use matrice_core::embedding::embeddings;
use pgrx::datum::AnyElement;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

#[pg_extern(immutable, strict, parallel_safe)]
#[allow(clippy::type_complexity)]
fn _read_embeddings(
    given: Jsonb<'_>,
) -> Result<TableIterator<'static, (name!(place, i32), name!(embedding, RealArray))>, ErrorReport> {
    let vectors = embeddings(given.0, INTERRUPT).map_err(of_core)?;
    let rows = vectors.into_iter().map(|vector| RealArray::new(&vector));
    Ok(TableIterator::new((1..).zip(rows)))
}

/// The Euclidean norm of a vector of pgvector. `None` if the value is not one, or has another number of dimensions.
#[pg_extern(immutable, strict, parallel_safe)]
fn _norm(embedding: AnyElement, dimensions: i32) -> Option<f64> {
    norm(embedding, usize::try_from(dimensions).ok()?)
}

#[pg_extern(immutable, strict, parallel_safe)]
fn _little_endian(numbers: Array<'_, f32>) -> Vec<u8> {
    numbers.iter().flatten().flat_map(f32::to_le_bytes).collect()
}
