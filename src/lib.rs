//! matrice: the data layer of a context-engineering product, inside Postgres.
//!
//! - [`core`]: what is computed, in pure Rust.
//! - [`api`]: the engine's SQL functions, thin wrappers over `core`.
//! - [`codes`]: reads the codes that searches compare from their index.
//! - [`migrate`]: applies the schema, the numbered files of `sql/`, which belongs to the user and not to the extension.

mod api;
mod codes;
mod core;
mod migrate;

::pgrx::pg_module_magic!(name, version);

pgrx::extension_sql_file!("../sql/install.sql", name = "install", finalize);
