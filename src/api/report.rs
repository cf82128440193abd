//! A page about a project. The underscore says that the schema's own functions call this.

use matrice_core::report::{Language, report};
use pgrx::prelude::*;

/// `data` is JSON. It comes as text, because clients can call this through a wrapper: not every jsonb can be converted.
#[pg_extern(immutable, strict, parallel_safe)]
fn _report(data: &str, language: &str) -> String {
    report(data, Language::of_code(language).unwrap_or(Language::English))
}
