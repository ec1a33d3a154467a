//! The one test binary.

/// Counts what a piece of work allocates, as the program does.
#[global_allocator]
static ALLOCATOR: luna::profile::memory::Counting = luna::profile::memory::Counting;

mod allocate;
mod approx_error;
mod attention;
mod bad_input;
mod calibration;
mod check;
mod dumped;
mod figures;
mod floors;
mod lanczos;
mod model;
mod pinned;
mod program;
mod qkv;
mod readme;
mod real_data;
mod real_model;
mod runs;
mod scale_sweep;
mod spectra;
mod study;
mod task;
mod train;
mod unnamed;
mod windows;
