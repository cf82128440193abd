//! Lists the files of `sql/` for `migrate()`.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, error::Error, fs};

/// Writes `schema.rs`, which has the names and texts of the schema's numbered files, ordered by name. `ONCE` lists the files
/// of `sql/`, and `CODE` those of `sql/007_functions/`.
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=sql");
    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let mut lists = String::new();
    for (list, folder, prefix) in [
        ("ONCE", "sql", ""),
        ("CODE", "sql/007_functions", "007_functions/"),
    ] {
        let mut files = Vec::new();
        for entry in fs::read_dir(root.join(folder))? {
            let path = entry?.path();
            let name = path.file_stem().and_then(OsStr::to_str).unwrap_or_default();
            let is_numbered = name.starts_with(|first: char| first.is_ascii_digit());
            if is_numbered && path.extension().is_some_and(|ending| ending == "sql") {
                files.push(format!(
                    "({:?}, include_str!({path:?}))",
                    format!("{prefix}{name}")
                ));
            }
        }
        files.sort();
        writeln!(lists, "const {list}: &[(&str, &str)] = &[{}];", files.join(", "))?;
    }
    let out = env::var("OUT_DIR")?;
    Ok(fs::write(Path::new(&out).join("schema.rs"), lists)?)
}
