//! All singular values of a matrix that is never stored, as a density with intervals: stochastic Lanczos quadrature.
//!
//! Every figure of a spectrum is a sum over the eigenvalues of `B = A^T A`, such as the sum of singular values
//! `tr B^(1/2)`. For a random vector z of norm `sqrt(m)`, `z^T f(B) z` is an unbiased estimate of `tr f(B)`, and block Lanczos
//! from a block of such probes gives it without f: the eigenvalues of the projection of B are nodes, the squared
//! coordinates of z on its eigenvectors weights (Golub and Meurant 2010; Ubaru, Chen, Saad 2017).
//!
//! What is added to that, and why the intervals are narrow:
//! - One Krylov basis for all probes (`lanczos`), in f64 and fully orthogonalised. One round over the matrix serves the whole
//!   block, and a node of one probe is one of all.
//! - The centred matrix `C = (1 - u u^T) A` has `C^T C = B - w w^T` with `w = A^T u`. With w in the second block, the same
//!   basis holds the Krylov space of both operators, so both spectra take the rounds of one.
//! - Leading eigenvalues that the basis separates from the rest (`rule`) count exactly once each; only the rest is sampled
//!   (Hutch++, Meyer et al. 2021; from the basis itself: Chen and Hallman 2022).
//! - The sum of squares is known exactly, and each probe's estimate of it, too: probes are weighted so that their mean is
//!   right (calibration weights, Deville and Särndal 1992; `density`). The weights are the same for all figures.
//! - Both Gauss's rule and that of Gauss and Radau with a node at 0 are computed; the former lies above `tr B^(1/2)`, the
//!   latter below. Their mean is used, and a share of their distance is the error of the quadrature.
//!
//! Intervals are jackknifed over the probes (a figure may be any function of the density, such as a ratio of two sums) and
//! widened by the error of the quadrature. The order of sums depends on the sizes only, so results do not depend on the
//! number of threads. Memory is O(m (basis + block)), whatever the number of rows.

mod density;
mod lanczos;
mod round;
mod rule;
mod run;
#[cfg(test)]
mod tests;

pub use density::{Density, Figure};
pub use run::{Estimate, Options, estimate};
