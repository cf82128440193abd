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
        let mut report = ErrorReport::new(code, error.to_string(), "matrice");
        if let Some(detail) = error.detail() {
            report = report.set_detail(detail);
        }
        if let Some(hint) = error.hint() {
            report = report.set_hint(hint);
        }
        report
    }
}
