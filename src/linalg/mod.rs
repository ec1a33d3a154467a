//! Matrix products, decompositions and spectra.
//!
//! [`spectra`] computes whole spectra, [`krylov`] the leading values of a matrix that does not fit in memory, [`norm`] the
//! largest value alone; [`quadrature`] estimates whole spectra without the matrix, which an [`operator`] computes by rows;
//! [`rounding`] estimates the effect of rounded entries, [`truncation`] the errors of the best approximation of each rank.
//! [`engine`] holds the dense decompositions, by faer or LAPACK, and says why there are two.
//! `divergence` compares two distributions that are given by logits. [`random_mask`] decides what dropout drops. [`gemm`] computes all products; [`affine`] and [`outer`] are the forms that layers and their gradients need; [`arrays`]
//! allocates, copies and adds in parallel.

pub mod affine;
pub mod arrays;
mod band;
mod chase;
mod convert;
pub(crate) mod divergence;
mod eigenvalues;
pub mod engine;
pub mod gemm;
mod gram;
mod householder;
pub mod krylov;
pub mod lanes;
pub mod norm;
pub mod operator;
pub mod outer;
mod ql;
pub mod quadrature;
pub mod random_mask;
mod reduction;
pub mod rounding;
pub mod rows;
pub mod softmax;
pub mod spectra;
pub(crate) mod standardise;
mod symmetric;
mod tile;
mod triangle;
mod tridiagonal;
pub mod truncation;

pub use triangle::triangle;
