//! Matrix products, decompositions and spectra.
//!
//! [`spectra`] is the door for whole spectra, [`krylov`] for the leading values of a matrix that does not fit in
//! memory, [`norm`] for the largest alone, [`rounding`] for the effect of rounded entries, [`truncation`] for errors of the best approximation of each rank;
//! [`engine`] chooses between faer and LAPACK; [`gemm`] computes all products; [`affine`] and [`outer`] are the
//! forms that layers and their gradients need; [`arrays`] allocates, copies and adds in parallel.

pub mod affine;
pub mod arrays;
mod convert;
mod eigenvalues;
pub mod engine;
pub mod gemm;
mod kernel;
pub mod krylov;
pub mod lanes;
pub mod norm;
pub mod outer;
pub mod rounding;
pub mod softmax;
pub mod spectra;
mod tridiagonal;
pub mod truncation;
