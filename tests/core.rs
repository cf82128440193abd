//! Runs the unit tests that stand in `src/core/`. The extension itself is a library that only a Postgres can load, so
//! its pure part is compiled here once more, without pgrx.

#![allow(dead_code, reason = "what only the SQL functions call")]

#[path = "../src/core/mod.rs"]
mod core;
