//! The `brimful` command.

use std::process::ExitCode;

/// mimalloc, because the system allocator keeps freed memory of many threads in many arenas, which
/// shows as resident memory long after a query has given it back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(brimful::cli::run(std::env::args_os()))
}
