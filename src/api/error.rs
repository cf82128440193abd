//! The one place where an error of the core becomes an error of Postgres.

use crate::core::Error;
use pgrx::pg_sys::panic::ErrorReport;
use pgrx::prelude::*;

impl From<Error> for ErrorReport {
    fn from(error: Error) -> Self {
        let code = match error {
            Error::Null(_) => PgSqlErrorCode::ERRCODE_NULL_VALUE_NOT_ALLOWED,
            _ => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
        };
        let mut report = ErrorReport::new(code, shortened(error.to_string()), "matrice");
        if let Some(detail) = error.detail() {
            report = report.set_detail(shortened(detail));
        }
        if let Some(hint) = error.hint() {
            report = report.set_hint(hint);
        }
        report
    }
}

/// An error repeats what it is about, and that may be as long as a client likes.
fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(200) {
        text.truncate(end);
        text.push('…');
    }
    text
}
