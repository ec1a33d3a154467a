//! The one test binary.

mod floors;
mod program;
mod readme;
