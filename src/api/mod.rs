//! The engine's SQL functions. Each converts its arguments, calls [`crate::core`] and converts the result.

mod chunking;
mod error;
mod pricing;
mod tokens;
