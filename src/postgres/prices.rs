//! The price sheets, read by their index.

use super::rows::{Form, Key, Kind, Scan, Table};
use matrice_core::cost::Price;
use matrice_core::usage::Usage;

static SHEETS: Form = Form {
    schema: c"matrice_private",
    table: c"price_sheets",
    index: c"price_sheets_pkey",
    keys: &[("model", Kind::Text), ("service_tier", Kind::Text)],
    columns: &[
        ("valid_from", Kind::Time),
        ("above_input_tokens", Kind::Integer),
        ("has_off_peak", Kind::Boolean),
        ("rates", Kind::Json),
    ],
};

static PROJECT_PRICES: Form = Form {
    schema: c"matrice",
    table: c"project_prices",
    index: c"project_prices_pkey",
    keys: &[("project_id", Kind::Uuid)],
    columns: &[],
};

/// Whether a project has prices of its own. None if they cannot be read.
pub(crate) fn has_own_prices(project: [u8; 16]) -> Option<bool> {
    let table = Table::open(&PROJECT_PRICES).ok()?;
    let mut scan = Scan::begin(&table).ok()?;
    scan.find(&[Key::Uuid(project)]);
    Some(scan.advance())
}

/// What a call costs in the standard tier of a model of this very name, at a time in microseconds since 2000. None if the model has
/// no such price, or if the hour matters.
pub(crate) fn standard_price(model: &str, usage: &Usage, at: i64) -> Option<Price> {
    let tokens = usage.tokens_input.unwrap_or(0.0).max(1.0);
    let table = Table::open(&SHEETS).ok()?;
    let mut scan = Scan::begin(&table).ok()?;
    scan.find(&[Key::Text(model), Key::Text("standard")]);
    let (mut latest, mut price) = (None, None);
    while scan.advance() {
        let (Some(since), Some(above)) = (scan.time(0), scan.integer(1)) else {
            return None;
        };
        // The last ones that hold, whatever the order of the index.
        if since > at || f64::from(above) >= tokens || latest.is_some_and(|latest| latest > (since, above)) {
            continue;
        }
        latest = Some((since, above));
        let has_off_peak = scan.boolean(2)?;
        price = (!has_off_peak)
            .then(|| Price::of(usage, &scan.bytes(3)?))
            .flatten();
    }
    price
}
