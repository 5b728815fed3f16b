//! Files → record batches.
//!
//! [`files`] turns a path, a glob or a folder into a table of any supported format, [`found`] tells
//! which files those are, in which [`store`], and [`calls`] makes a table of a function such as
//! `read_csv('a.csv', header = true)`. [`provider`] is the table: it finds the files again for each
//! scan; [`recipe`] is how, written down. [`union`] puts together files with different columns, and [`file_columns`] adds columns that
//! their paths give. [`csv`] is our own CSV scan, and [`json`] reads JSON by arrow's reader. Parquet
//! and Arrow files are read by DataFusion; [`parquet`] mends what it makes of a Parquet file's
//! statistics, and [`arrow`] finds the columns of Arrow files in object stores.

mod arrow;
mod calls;
pub(crate) mod csv;
mod file_columns;
pub(crate) mod files;
mod found;
mod json;
pub(crate) mod literal;
pub(crate) mod options;
mod parquet;
mod provider;
mod recipe;
mod store;
mod types;
mod union;

pub(crate) use calls::TableCall;
pub(crate) use file_columns::NULL_NAME;
pub(crate) use found::looks_like_path;
pub(crate) use recipe::Recipe;
pub(crate) use store::shown_path;
