//! Everything that touches the server: its catalogs, indexes, errors and signals.

pub(crate) mod code_cells;
pub(crate) mod embeddings;
pub(crate) mod error;
mod interrupt;
pub(crate) mod jsonb;
mod migrate;
pub(crate) mod prices;
pub(crate) mod real_array;
pub(crate) mod rows;
pub(crate) mod stemmer;
pub(crate) mod text_vector;

pub(crate) use interrupt::INTERRUPT;
