//! Brimful from outside: the command, the shell and the library on small files.
//!
//! One binary, because linking DataFusion takes longer than running all of these. Each test has a
//! folder of its own (see `support`), so they run in any order and at the same time.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test ends at the first surprise, and says on standard error what it skips"
)]

mod aggregates;
mod cli;
mod csv_scan;
mod csv_write;
mod describe;
mod differential;
mod distinct;
mod files;
mod frame_accessors;
mod frame_accessors_more;
mod frame_asof;
mod frame_columns;
mod frame_construct;
mod frame_docs;
mod frame_ewm;
mod frame_fill;
mod frame_group_more;
mod frame_groups;
mod frame_inspect;
mod frame_joins;
mod frame_missing;
mod frame_order;
mod frame_pivot;
mod frame_resample;
mod frame_rolling;
mod frame_rows;
mod frame_run;
mod frame_sample;
mod frame_window;
mod generate;
mod headline;
mod joins;
mod library;
mod limits;
mod more_aggregates;
mod nasty_csv;
mod real_data;
mod serialize;
mod shared;
mod shell;
mod sorts;
mod sql_reference;
mod stop;
mod stores;
mod support;
mod tables;
mod udf;
mod windows;
mod writes;
