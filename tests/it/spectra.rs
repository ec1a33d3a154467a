//! Spectra: against other implementations, other engines, figures of the literature, and what must hold of any matrix.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a test that cannot go on fails, and one that passes says by how much

mod engines;
mod error_rates;
mod families;
mod images;
mod independence;
mod interrupted;
mod laws;
mod published;
mod quadrature;
mod rounding;
mod rows;

use luna::rng::{normal, stream};
use ndarray::Array2;

/// A matrix of independent normal numbers that belongs to a seed.
fn random(seed: u64, n: usize, m: usize) -> Array2<f64> {
    normal(&mut stream(seed, "matrix"), n, m).mapv(f64::from)
}

/// The largest difference between two lists of the same length.
fn far(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
