//! The one test binary.

mod floors;
mod model;
mod program;
mod task;
