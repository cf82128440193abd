//! How latencies are distributed. The underscore says that the schema's own functions call these.

use matrice_core::latency::Sketch;
use pgrx::datum::Array;
use pgrx::prelude::*;

fn merged(sketches: &Array<'_, &[u8]>) -> Sketch {
    let mut sketch = Sketch::default();
    for stored in sketches.iter().flatten() {
        sketch.merge(stored, 1);
    }
    sketch
}

#[pg_extern(immutable, strict, parallel_safe)]
fn _sketch_latencies(latencies: Array<'_, f64>) -> Vec<u8> {
    let mut sketch = Sketch::default();
    for latency in latencies.iter().flatten() {
        sketch.add(latency);
    }
    sketch.store()
}

#[pg_extern(immutable, strict, parallel_safe)]
fn _merge_latencies(sketches: Array<'_, &[u8]>) -> Vec<u8> {
    merged(&sketches).store()
}

#[pg_extern(immutable, strict, parallel_safe)]
fn _negate_latencies(sketch: &[u8]) -> Vec<u8> {
    let mut negative = Sketch::default();
    negative.merge(sketch, -1);
    negative.store()
}

#[pg_extern(immutable, strict, parallel_safe)]
fn _latency_percentiles(sketches: Array<'_, &[u8]>, fractions: Array<'_, f64>) -> Vec<Option<f64>> {
    let sketch = merged(&sketches);
    fractions
        .iter()
        .map(|fraction| sketch.percentile(fraction?))
        .collect()
}
