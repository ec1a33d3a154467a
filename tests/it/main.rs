//! The one test binary.

mod floors;
mod model;
mod program;
mod readme;
mod real_model;
mod study;
mod task;
