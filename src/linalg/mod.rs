//! Matrix products, decompositions and spectra.

mod convert;
mod eigenvalues;
pub mod engine;
pub mod gemm;
mod kernel;
pub mod spectra;
mod tridiagonal;
