//! The one test binary.

mod bad_input;
mod floors;
mod model;
mod program;
mod readme;
mod task;
