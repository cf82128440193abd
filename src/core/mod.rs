//! What the extension computes, without Postgres: no item here imports pgrx.

pub(crate) mod chunk;
pub(crate) mod error;
mod headings;
pub(crate) mod token;

pub(crate) use error::Error;
