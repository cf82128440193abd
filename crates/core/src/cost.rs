//! The exact cost of a call.
//!
//! This prices what nearly all calls are: whole counts of units that have a rate, in the standard tier. Everything else has a note,
//! another tier or a surcharge, and is left to SQL, which then prices with numerics. So [`Price::of`] has no answer rather than one
//! that could be wrong.

#[cfg(test)]
mod tests;

use crate::jsonb::{is_small_object, number_under};
use crate::usage::Usage;

/// A call that has a plain price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Price {
    /// US dollars, as a decimal number without zeros at its end.
    pub usd: String,
    pub tokens_input: u64,
    pub tokens_output: u64,
    /// Those of the input that were read from a cache.
    pub cached_tokens: u64,
}

/// Usage of at most so many bytes and levels is certain to fit into its column.
const MOST_BYTES: usize = 2000;
const MOST_LEVELS: usize = 16;
/// The most tokens that a step can have.
const MOST_TOKENS: f64 = 1e9;
/// Rates are dollars for so many: this power of ten.
const MILLION: i32 = 6;

/// Reads usage for [`Price::of`], from the bytes of its jsonb value after its length. None unless it is small and in no doubt, and
/// nothing but the counts decides what it costs.
#[must_use]
pub fn plain_usage(jsonb: &[u8], tokens_input: Option<u64>, tokens_output: Option<u64>) -> Option<Usage> {
    if !is_small_object(jsonb, MOST_BYTES, MOST_LEVELS) {
        return None;
    }
    let usage = Usage::of_jsonb(jsonb, tokens_input, tokens_output);
    // SQL knows more spellings of the standard tier. These two are what responses have.
    let is_plain = |(name, value): &(&str, String)| match *name {
        "model" => true,
        "service_tier" => value == "default" || value == "standard",
        _ => false,
    };
    let is_quiet = usage.notes.is_empty() && !usage.conflict && usage.provider_cost.is_none();
    let has_tokens = usage.tokens_input.is_some_and(|tokens| tokens <= MOST_TOKENS)
        && usage.tokens_output.is_none_or(|tokens| tokens <= MOST_TOKENS);
    (is_quiet && has_tokens && usage.choices.iter().all(is_plain)).then_some(usage)
}

impl Price {
    /// What a call costs at these rates: a jsonb object of US dollars per million by unit. None if a rate is missing, or is no
    /// number that can be multiplied exactly.
    #[must_use]
    pub fn of(usage: &Usage, rates: &[u8]) -> Option<Price> {
        let mut sum = Decimal::default();
        let mut cached = 0;
        for &(unit, count) in &usage.counts {
            let count = whole(count)?;
            let (rate, exponent) = number_under(rates, unit)?.decimal()?;
            let digits = rate.checked_mul(u128::from(count))?;
            sum = sum.plus(Decimal { digits, exponent })?;
            if unit == "cache_read" || unit == "cache_read_audio" {
                cached += count;
            }
        }
        sum.exponent = sum.exponent.checked_sub(MILLION)?;
        let tokens_input = whole(usage.tokens_input?)?;
        Some(Price {
            usd: sum.to_text()?,
            tokens_input,
            tokens_output: whole(usage.tokens_output.unwrap_or(0.0))?,
            cached_tokens: cached.min(tokens_input),
        })
    }
}

/// A count that a double holds exactly.
fn whole(count: f64) -> Option<u64> {
    (count >= 0.0 && count.fract() == 0.0 && count < 9e15).then_some(count as u64)
}

/// `digits * 10^exponent`.
#[derive(Debug, Clone, Copy, Default)]
struct Decimal {
    digits: u128,
    exponent: i32,
}

impl Decimal {
    fn plus(self, other: Decimal) -> Option<Decimal> {
        let exponent = self.exponent.min(other.exponent);
        let digits = self.at(exponent)?.checked_add(other.at(exponent)?)?;
        Some(Decimal { digits, exponent })
    }

    /// The digits for an exponent that is not larger.
    fn at(self, exponent: i32) -> Option<u128> {
        if self.digits == 0 {
            return Some(0);
        }
        let power = self.exponent.checked_sub(exponent)?.try_into().ok()?;
        self.digits.checked_mul(10u128.checked_pow(power)?)
    }

    /// Without zeros at its end. None beyond 38 places before or after the point.
    fn to_text(mut self) -> Option<String> {
        if self.digits == 0 {
            return Some("0".into());
        }
        while self.exponent < 0 && self.digits.is_multiple_of(10) {
            self.digits /= 10;
            self.exponent += 1;
        }
        if self.exponent >= 0 {
            return Some(self.at(0)?.to_string());
        }
        let places = usize::try_from(-self.exponent)
            .ok()
            .filter(|&places| places <= 38)?;
        let digits = format!("{:0>width$}", self.digits, width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        Some(format!("{whole}.{fraction}"))
    }
}
