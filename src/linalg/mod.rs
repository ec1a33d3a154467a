//! Matrix products, decompositions and spectra.
//!
//! [`spectra`] is the door for whole spectra, [`krylov`] for the leading values of a matrix that does not fit in
//! memory, [`norm`] for the largest alone, [`rounding`] for what the rounding of entries does to them, [`truncation`] for what the best approximation of each rank leaves;
//! [`engine`] chooses between faer and LAPACK; [`gemm`] is the one door for products, of which [`affine`] and [`outer`] are
//! the forms that layers and their gradients need, and [`arrays`] moves what is not multiplied.

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
pub mod rows;
pub mod softmax;
pub mod spectra;
mod tridiagonal;
pub mod truncation;
