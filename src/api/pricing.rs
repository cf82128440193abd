use pgrx::prelude::*;

/// A JSON document: `rates`, `windows` and `multipliers` are arrays of rows. Text, so that SQL reads its decimal
/// numbers exactly.
#[pg_extern(immutable, parallel_safe)]
fn _price_catalogue() -> &'static str {
    include_str!("../../sql/data/price_catalogue.json")
}
