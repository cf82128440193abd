//! Prices of models. The underscore says that the schema's own functions call these.

use crate::postgres::jsonb::Jsonb;
use crate::postgres::prices::{PricedNames, has_own_prices, standard_price};
use matrice_core::cost::plain_usage;
use matrice_core::names::{self, StandIn};
use pgrx::datum::Uuid;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

/// Returns a JSON document, in which `rates`, `windows` and `multipliers` are arrays of rows. It is text, so that SQL reads its
/// decimal numbers exactly.
#[pg_extern(immutable, parallel_safe)]
fn _price_catalogue() -> &'static str {
    include_str!("../../sql/data/price_catalogue.json")
}

/// The cost of a call, its input and output tokens, and how many of the input were read from a cache. Null if there is anything
/// to say about them, or if more than the standard tier of a model of this very name decides: then SQL looks further.
#[pg_extern(stable, parallel_safe)]
fn _plain_price(
    project_id: Option<Uuid>,
    model: Option<&str>,
    usage: Option<Jsonb<'_>>,
    tokens_input: Option<i64>,
    tokens_output: Option<i64>,
    priced_at: Option<TimestampWithTimeZone>,
) -> Option<Vec<AnyNumeric>> {
    let given = [tokens_input, tokens_output].map(|tokens| tokens.map(u64::try_from).transpose());
    let [Ok(tokens_input), Ok(tokens_output)] = given else {
        return None;
    };
    let usage = plain_usage(usage?.0, tokens_input, tokens_output)?;
    if let Some(project) = project_id
        && has_own_prices(*project.as_bytes())?
    {
        return None;
    }
    let price = standard_price(model?, &usage, priced_at?.into())?;
    let usd = AnyNumeric::try_from(price.usd.as_str()).ok()?;
    let tokens = [price.tokens_input, price.tokens_output, price.cached_tokens];
    Some([usd].into_iter().chain(tokens.map(AnyNumeric::from)).collect())
}

/// The model of the prices that a name means; and why the price of another model is used, if it is. `by_itself`: a model of this
/// very name comes first.
#[pg_extern(stable, parallel_safe)]
fn _find_model(
    model: Option<&str>,
    provider: Option<&str>,
    by_itself: bool,
) -> Result<Option<Vec<String>>, ErrorReport> {
    let Some(model) = model else { return Ok(None) };
    let found = if by_itself {
        names::priced(&PricedNames, model, provider)?
    } else {
        names::resolved(&PricedNames, model, provider)?
    };
    Ok(found.map(|found| {
        let stands_in = found.stands_in.map(StandIn::name);
        [found.model]
            .into_iter()
            .chain(stands_in.map(str::to_owned))
            .collect()
    }))
}

#[pg_extern(immutable, strict, parallel_safe)]
fn _undated_name(name: &str) -> Option<&str> {
    names::undated(name)
}

#[pg_extern(immutable, strict, parallel_safe)]
fn _has_request_fee(model: &str) -> bool {
    names::has_request_fee(model)
}
