//! The engine's SQL functions. Each converts its arguments, calls [`crate::core`] and converts the result.

mod chunking;
mod error;
mod pricing;
mod tokens;

/// Lets statement_timeout and cancellation end long work in the core: unwinds out of it.
fn interrupt() {
    pgrx::check_for_interrupts!();
}
