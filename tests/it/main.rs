//! The one test binary.

mod approx_error;
mod attention;
mod bad_input;
mod floors;
mod lanczos;
mod model;
mod program;
mod readme;
mod real_model;
mod spectra;
mod study;
mod task;
