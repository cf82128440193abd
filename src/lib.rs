//! matrice: the data layer of a context-engineering product, inside Postgres.
//!
//! - [`matrice_core`]: the computations, in pure Rust.
//! - [`api`]: the engine's SQL functions, thin wrappers over the core.
//! - [`postgres`]: everything that touches the server, such as the index of codes and the schema's migrations.

mod api;
mod postgres;

::pgrx::pg_module_magic!(name, version);

pgrx::extension_sql_file!("../sql/install.sql", name = "install", finalize);
