//! Makes errors of Postgres. No other module makes them.

use matrice_core::Error;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;
use std::borrow::Cow;

/// Returns an error with a code and a message, and optionally with a detail and a hint.
#[track_caller]
pub(crate) fn error(
    code: PgSqlErrorCode,
    message: impl Into<Cow<'static, str>>,
    detail: Option<String>,
    hint: Option<String>,
) -> ErrorReport {
    let mut report = ErrorReport::new(code, message, "matrice");
    if let Some(detail) = detail {
        report = report.set_detail(detail);
    }
    if let Some(hint) = hint {
        report = report.set_hint(hint);
    }
    report
}

/// Returns an error of the core as an error of Postgres: `22004` for an argument that is null, `XX000` for an internal error,
/// else `22023` (HTTP 400 over PostgREST).
#[track_caller]
pub(crate) fn of_core(refused: Error) -> ErrorReport {
    let code = match refused {
        Error::Null(_) => PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
        Error::Grammar(_) => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
        _ => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
    };
    let (message, detail) = (shortened(refused.to_string()), refused.detail().map(shortened));
    error(code, message, detail, refused.hint())
}

/// Truncates a text to 200 characters. An error repeats what the client passed, which may have any length.
fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(200) {
        text.truncate(end);
        text.push('…');
    }
    text
}
