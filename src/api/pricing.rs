use pgrx::prelude::*;

/// Returns a JSON document, in which `rates`, `windows` and `multipliers` are arrays of rows. It is text, so that SQL reads its
/// decimal numbers exactly.
#[pg_extern(immutable, parallel_safe)]
fn _price_catalogue() -> &'static str {
    include_str!("../../sql/data/price_catalogue.json")
}
