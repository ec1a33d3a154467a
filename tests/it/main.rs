//! The one test binary.

mod model;
mod task;
