//! What changed between two texts. The underscore says that the schema's own functions call these.

use crate::postgres::INTERRUPT;
use crate::postgres::error::of_core;
use matrice_core::Error;
use matrice_core::diff::{MOST_BYTES, Part, Row, rows, unified};
use pgrx::JsonB;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use serde_json::{Value, json};

/// As many rows are kept before it is known whether a change follows.
const MOST_CONTEXT: i32 = 1_000_000;

fn require(old_text: &str, new_text: &str, context_lines: i32) -> Result<usize, ErrorReport> {
    for (name, text) in [("old_text", old_text), ("new_text", new_text)] {
        let bytes = text.len();
        if bytes > MOST_BYTES {
            return Err(of_core(Error::TooLongToCompare { name, bytes }));
        }
    }
    usize::try_from(context_lines)
        .ok()
        .filter(|_| context_lines <= MOST_CONTEXT)
        .ok_or_else(|| {
            of_core(Error::ContextLines {
                given: context_lines,
                most: MOST_CONTEXT,
            })
        })
}

/// Computes each row when it is asked for, because all rows together would be many times as large as the texts.
#[pg_extern(immutable, strict, parallel_safe)]
#[allow(clippy::type_complexity)]
fn _diff_lines<'a>(
    old_text: &'a str,
    new_text: &'a str,
    context_lines: i32,
) -> Result<
    TableIterator<
        'a,
        (
            name!(kind, &'static str),
            name!(old_line, Option<i32>),
            name!(new_line, Option<i32>),
            name!(content, &'a str),
            name!(words, Option<JsonB>),
        ),
    >,
    ErrorReport,
> {
    let context = require(old_text, new_text, context_lines)?;
    let rows = rows(old_text, new_text, context, true, INTERRUPT);
    Ok(TableIterator::new(rows.map(|row| {
        let number = |line: Option<usize>| line.map(|line| line as i32);
        (
            row.kind.name(),
            number(row.old_line()),
            number(row.new_line()),
            row.content(),
            words(&row),
        )
    })))
}

fn words(row: &Row<'_>) -> Option<JsonB> {
    let part = |part: &Part<'_>| json!({"text": part.text, "changed": part.is_changed});
    let parts = row.parts.as_ref()?;
    Some(JsonB(Value::Array(parts.iter().map(part).collect())))
}

#[pg_extern(immutable, strict, parallel_safe)]
fn _unified_diff(
    old_text: &str,
    new_text: &str,
    context_lines: i32,
    old_name: &str,
    new_name: &str,
) -> Result<String, ErrorReport> {
    let context = require(old_text, new_text, context_lines)?;
    Ok(unified(
        (old_name, old_text),
        (new_name, new_text),
        context,
        INTERRUPT,
    ))
}
