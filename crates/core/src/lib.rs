//! What matrice computes, without Postgres: no item here imports pgrx.
//!
//! - [`token`]: exact token counts in OpenAI's encodings.
//! - [`chunk`]: cuts a text into chunks of a size given in tokens.
//! - [`sentences`]: cuts a text at the end of a sentence.
//! - [`analyze`]: finds the words of texts and queries.
//! - [`word_vector`]: the words of a text as a tsvector.
//! - [`word_index`]: which texts have which words, and BM25.
//! - [`word_query`]: reads a query that a person typed.
//! - [`statement`]: whether statements are the same, and how alike they are.
//! - [`highlight`]: excerpts with the words of a query.
//! - [`quote`]: finds a quote in a text.
//! - [`diff`]: what changed between two texts.
//! - [`codes`]: estimates similarities from short codes.
//! - [`embedding`]: reads the vectors that clients send.
//! - [`jsonb`]: reads the bytes of a jsonb value.
//! - [`latency`]: how latencies are distributed.
//! - [`report`]: a page with charts about a project.
//! - [`usage`]: reads what calls of models used.

pub mod analyze;
pub mod chunk;
pub mod codes;
pub mod cost;
pub mod diff;
pub mod embedding;
mod error;
mod fold;
pub mod highlight;
pub mod jsonb;
pub mod latency;
pub mod names;
pub mod quote;
mod rank_select;
pub mod report;
pub mod sentences;
mod sizer;
mod split;
pub mod statement;
pub mod token;
pub mod usage;
pub mod word_index;
pub mod word_query;
pub mod word_vector;

pub use error::Error;

/// How a long computation checks for cancellation.
#[derive(Debug, Clone, Copy)]
pub struct Interrupt {
    /// Returns whether the computation shall stop. It must not unwind: C code calls it.
    pub pending: fn() -> bool,
    /// Unwinds to stop, or returns to go on.
    pub raise: fn(),
}

impl Interrupt {
    /// Never stops a computation.
    pub const NEVER: Interrupt = Interrupt {
        pending: || false,
        raise: || {},
    };

    /// Calls `raise` if the computation shall stop. Long work calls this now and then.
    pub fn check(self) {
        if (self.pending)() {
            (self.raise)();
        }
    }

    /// Passes `items` on and checks once per 256 items, which suits items of less than a microsecond.
    fn during<T>(self, items: impl Iterator<Item = T>) -> impl Iterator<Item = T> {
        const EVERY: usize = 256;
        items.enumerate().map(move |(number, item)| {
            if number % EVERY == 0 {
                self.check();
            }
            item
        })
    }
}

/// How often `work` checks for cancellation.
#[cfg(test)]
fn interrupts(work: impl FnOnce(Interrupt)) -> usize {
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
