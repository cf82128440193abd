use matrice_core::Interrupt;
use pgrx::pg_sys;

/// Lets statement_timeout, cancellation and shutdown end long work in the core.
pub(crate) const INTERRUPT: Interrupt = Interrupt {
    // SAFETY: Postgres sets the flag in signal handlers of this thread, and reading it has no effect.
    pending: || unsafe { pg_sys::InterruptPending != 0 },
    raise: || {
        pgrx::check_for_interrupts!();
    },
};
