//! The engine's SQL functions. Each converts its arguments, calls [`crate::core`] and converts the result.

mod chunking;
mod codes;
mod error;
mod pricing;
mod tokens;
mod words;

use crate::core::Interrupt;
use pgrx::pg_sys;

/// Lets statement_timeout, cancellation and shutdown end long work in the core.
const INTERRUPT: Interrupt = Interrupt {
    // SAFETY: Postgres sets the flag in signal handlers of this thread, and reading it has no effect.
    pending: || unsafe { pg_sys::InterruptPending != 0 },
    raise: || {
        pgrx::check_for_interrupts!();
    },
};
