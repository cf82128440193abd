//! What the extension computes, without Postgres: no item here imports pgrx.

pub(crate) mod chunk;
pub(crate) mod error;
mod headings;
pub(crate) mod nearest;
mod places;
mod sizer;
pub(crate) mod split;
pub(crate) mod token;
pub(crate) mod words;

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

    /// `items`, each of which is little work: asked once in some ten microseconds.
    pub(crate) fn during<T>(self, items: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        const EVERY: usize = 256;
        items.enumerate().map(move |(number, item)| {
            if number % EVERY == 0 {
                self.check();
            }
            item
        })
    }
}

/// For tests, which nobody interrupts.
#[cfg(test)]
pub(crate) const NEVER: Interrupt = Interrupt {
    pending: || false,
    raise: || {},
};

/// How often work asks whether to stop.
#[cfg(test)]
pub(crate) fn interrupts(work: impl FnOnce(Interrupt)) -> usize {
    use std::cell::Cell;
    thread_local!(static ASKED: Cell<usize> = const { Cell::new(0) });
    let counted = Interrupt {
        pending: || {
            ASKED.set(ASKED.get() + 1);
            false
        },
        raise: || {},
    };
    ASKED.set(0);
    work(counted);
    ASKED.get()
}
