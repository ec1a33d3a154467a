//! Hands the arguments over and returns the exit code; everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    luna::cli::main(std::env::args_os().collect())
}
