//! Files → record batches.
//!
//! [`files`] turns a path, a glob or a folder into a table of any supported format, [`found`] tells
//! which files those are, and [`calls`] makes a table of a function such as
//! `read_csv('a.csv', header = true)`; [`union`] puts together files with
//! different columns, and [`file_columns`] adds columns that their paths give. [`csv`] is our own CSV
//! scan, and [`json`] reads JSON by arrow's reader. Parquet and Arrow files are read by DataFusion;
//! [`parquet`] mends what it makes of a Parquet file's statistics, and [`null_names`] what Hive
//! writes for NULL.

mod calls;
pub(crate) mod csv;
mod file_columns;
pub(crate) mod files;
mod found;
mod json;
pub(crate) mod literal;
mod null_names;
pub(crate) mod options;
mod parquet;
mod types;
mod union;

pub(crate) use calls::TableCall;
pub(crate) use found::looks_like_path;
pub(crate) use null_names::NULL_NAME;

use std::path::Path;

/// An object store's path as the user would write it: relative to the current folder if below it.
pub(crate) fn shown_path(location: &object_store::path::Path) -> String {
    let absolute = format!("/{location}");
    let relative = std::env::current_dir()
        .ok()
        .and_then(|folder| Path::new(&absolute).strip_prefix(folder).ok().map(Path::to_path_buf));
    match relative {
        Some(relative) => relative.display().to_string(),
        None => absolute,
    }
}
