//! A page about a project. The underscore says that the schema's own functions call this.

use matrice_core::report::{Language, report};
use pgrx::JsonB;
use pgrx::prelude::*;

#[pg_extern(immutable, strict, parallel_safe)]
fn _report(data: JsonB, language: &str) -> String {
    report(&data.0, Language::of_code(language).unwrap_or(Language::English))
}
