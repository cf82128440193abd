//! The price sheets and the names of models, read by their indexes.

use super::rows::{Form, Key, Kind, Scan, Table};
use matrice_core::cost::Price;
use matrice_core::names::{Models, has_request_fee, resolved};
use matrice_core::usage::Usage;
use pgrx::pg_sys::panic::ErrorReport;

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

static NAMES: Form = Form {
    schema: c"matrice_private",
    table: c"priced_names",
    index: c"priced_names_pkey",
    keys: &[("name", Kind::Text), ("provider", Kind::Text)],
    columns: &[("model", Kind::Text)],
};

static PROVIDERS: Form = Form {
    index: c"idx_priced_names_provider",
    keys: &[("provider", Kind::Text)],
    columns: &[],
    ..NAMES
};

static MODELS: Form = Form {
    index: c"idx_priced_names_model",
    keys: &[("model", Kind::Text)],
    columns: &[("provider", Kind::Text)],
    ..NAMES
};

/// The models of `model_prices`, by their names.
pub(crate) struct PricedNames;

impl Models for PricedNames {
    type Error = ErrorReport;

    fn sold(&self, provider: &str, name: &str) -> Result<Option<String>, ErrorReport> {
        let table = Table::open(&NAMES)?;
        let mut scan = Scan::begin(&table)?;
        scan.find(&[Key::Text(name), Key::Text(provider)]);
        let mut longest: Option<String> = None;
        while scan.advance() {
            let Some(model) = scan.text(0) else { continue };
            let is_longer = |other: &String| {
                let lengths = [&model, other].map(|name| name.chars().count());
                lengths[0] > lengths[1] || lengths[0] == lengths[1] && model < *other
            };
            if longest.as_ref().is_none_or(is_longer) {
                longest = Some(model);
            }
        }
        Ok(longest)
    }

    fn has_provider(&self, provider: &str) -> Result<bool, ErrorReport> {
        let table = Table::open(&PROVIDERS)?;
        let mut scan = Scan::begin(&table)?;
        scan.find(&[Key::Text(provider)]);
        Ok(scan.advance())
    }

    fn has(&self, model: &str, provider: Option<&str>) -> Result<bool, ErrorReport> {
        let table = Table::open(&MODELS)?;
        let mut scan = Scan::begin(&table)?;
        scan.find(&[Key::Text(model)]);
        while scan.advance() {
            if provider.is_none() || scan.text(0).as_deref() == provider {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Whether a project has prices of its own. None if they cannot be read.
pub(crate) fn has_own_prices(project: [u8; 16]) -> Option<bool> {
    let table = Table::open(&PROJECT_PRICES).ok()?;
    let mut scan = Scan::begin(&table).ok()?;
    scan.find(&[Key::Uuid(project)]);
    Some(scan.advance())
}

/// What a call costs in the standard tier of the model that a name means, at a time in microseconds since 2000. None if the model
/// has no such price, if the hour matters, or if there is anything to say about the price.
pub(crate) fn standard_price(name: &str, usage: &Usage, at: i64) -> Option<Price> {
    let table = Table::open(&SHEETS).ok()?;
    let mut scan = Scan::begin(&table).ok()?;
    let plain = |scan: &mut Scan<'_>, model: &str| {
        let price = sheet_price(scan, model, usage, at)?;
        // What the fee is, nobody says.
        Some(price.filter(|_| !has_request_fee(model)))
    };
    if let Some(price) = plain(&mut scan, name) {
        return price;
    }
    let found = resolved(&PricedNames, name, None).ok()??;
    match found.stands_in {
        Some(_) => None,
        None => plain(&mut scan, &found.model)?,
    }
}

/// The price by the sheets of a model of this very name. None if it has no sheet for the time.
fn sheet_price(scan: &mut Scan<'_>, model: &str, usage: &Usage, at: i64) -> Option<Option<Price>> {
    let tokens = usage.tokens_input.unwrap_or(0.0).max(1.0);
    scan.find(&[Key::Text(model), Key::Text("standard")]);
    let (mut latest, mut price) = (None, None);
    while scan.advance() {
        let (Some(since), Some(above)) = (scan.time(0), scan.integer(1)) else {
            return Some(None);
        };
        // The last ones that hold, whatever the order of the index.
        if since > at || f64::from(above) >= tokens || latest.is_some_and(|latest| latest > (since, above)) {
            continue;
        }
        latest = Some((since, above));
        let rates = scan.boolean(2).filter(|has_off_peak| !has_off_peak);
        price = rates.and_then(|_| Price::of(usage, &scan.bytes(3)?));
    }
    latest.map(|_| price)
}
