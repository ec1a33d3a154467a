//! Hands the arguments over and returns the exit code; everything else is in the library.

use std::process::ExitCode;

/// Counts what a piece of work allocates, for `scale-sweep`; everything else costs it one load.
#[global_allocator]
static ALLOCATOR: luna::profile::memory::Counting = luna::profile::memory::Counting;

fn main() -> ExitCode {
    luna::cli::main(std::env::args_os().collect()).into()
}
