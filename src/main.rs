//! The `brimful` command.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: brimful::CountingAllocator = brimful::CountingAllocator;

fn main() -> ExitCode {
    ExitCode::from(brimful::cli::run(std::env::args_os()))
}
