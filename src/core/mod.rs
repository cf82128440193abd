//! What the extension computes, without Postgres: no item here imports pgrx.

pub(crate) mod chunk;
pub(crate) mod error;
mod headings;
mod sizer;
pub(crate) mod token;

pub(crate) use error::Error;

/// Asked now and then during long work: returns to go on, unwinds to stop.
pub(crate) type Interrupt = fn();

/// For tests, which nobody interrupts.
#[cfg(test)]
pub(crate) const NEVER: Interrupt = || {};
