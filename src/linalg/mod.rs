//! Matrix products, decompositions and spectra.

mod convert;
pub mod gemm;
pub mod softmax;
