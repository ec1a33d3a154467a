//! The one test binary.

mod floors;
mod program;
