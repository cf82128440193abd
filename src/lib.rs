//! matrice: the data layer of a context-engineering product, inside Postgres.
//!
//! - [`matrice_core`]: what is computed, in pure Rust.
//! - [`api`]: the engine's SQL functions, thin wrappers over the core.
//! - [`postgres`]: what touches the server, as the index of codes and the schema's migrations.

mod api;
mod postgres;

::pgrx::pg_module_magic!(name, version);

pgrx::extension_sql_file!("../sql/install.sql", name = "install", finalize);
