//! The engine's SQL functions. Each converts its arguments, calls [`matrice_core`] and converts the result.

mod chunking;
mod codes;
mod diff;
mod embeddings;
mod latencies;
mod pricing;
mod report;
mod tokens;
mod usage;
mod words;
