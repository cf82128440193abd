//! A page about a project: one HTML file with its charts inside. It has no script and loads nothing.
//!
//! Names that users chose stand only in the HTML, which [`maud`] escapes. The charts hold numbers and days alone.

mod chart;
mod data;
mod figures;
mod format;
mod lists;
mod page;
#[cfg(test)]
mod tests;

pub use format::Language;

use serde_json::Value;

/// Returns the page. `data` is the JSON that `matrice_private.report_data` returns. What it lacks counts as nothing.
#[must_use]
pub fn report(data: &str, language: Language) -> String {
    let data = serde_json::from_str(data).unwrap_or(Value::Null);
    page::page(&data::Report::of_json(&data), language).into_string()
}
