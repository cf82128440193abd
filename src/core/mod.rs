//! What the extension computes, without Postgres: no item here imports pgrx.

pub(crate) mod chunk;
pub(crate) mod error;
mod headings;
pub(crate) mod nearest;
mod places;
mod sizer;
mod split;
pub(crate) mod token;

pub(crate) use error::Error;

/// How long work learns that it shall stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Interrupt {
    /// Whether somebody wants it to stop. Never unwinds, so that foreign frames may ask.
    pub(crate) pending: fn() -> bool,
    /// Unwinds to stop, or returns to go on.
    pub(crate) raise: fn(),
}

impl Interrupt {
    /// Asked now and then during long work.
    pub(crate) fn check(self) {
        if (self.pending)() {
            (self.raise)();
        }
    }
}

/// For tests, which nobody interrupts.
#[cfg(test)]
pub(crate) const NEVER: Interrupt = Interrupt {
    pending: || false,
    raise: || {},
};
