//! Errors of the best approximation of each rank, of a matrix and of its product with values.
//!
//! The best matrix of rank l is the truncated decomposition `A_l = U_l S_l V_l^T` (Eckart and Young 1936, Mirsky 1960).
//! Its errors need no matrix: `||A - A_l||_F^2` is the sum of the squares beyond l, `||A - A_l||_2` the next value, and
//! since `A_l W = U_l U_l^T A W`, the error of a product with values W is the part of `A W` beyond the first l left
//! vectors. So one eigendecomposition of `A A^T` serves every l.

use ndarray::ArrayView2;

use super::engine::symmetric_eigen;
use super::gemm::{Threads, gram_lower, product};
use crate::error::Result;

/// Errors of the best approximations of one matrix.
#[derive(Clone, Debug, PartialEq)]
pub struct Truncation {
    /// Squares of the singular values, largest first.
    squares: Vec<f64>,
    /// Squares of the parts of `A W` along each left vector.
    parts: Vec<f64>,
}

impl Truncation {
    /// For `a` (n, m) and its product with values, `output` (n, `d_v`), in f64.
    pub fn of(a: ArrayView2<'_, f32>, output: ArrayView2<'_, f32>) -> Result<Self> {
        let gram = gram_lower(a.mapv(f64::from).view());
        let (values, vectors) = symmetric_eigen(gram.view())?;
        let along = product(vectors.view(), output.mapv(f64::from).view(), Threads::One);
        let parts = along.rows().into_iter().map(|row| row.dot(&row));
        let mut both: Vec<(f64, f64)> = values.iter().map(|x| x.max(0.0)).zip(parts).collect();
        both.reverse();
        let (squares, parts) = both.into_iter().unzip();
        Ok(Self { squares, parts })
    }

    /// `||A - A_l||_F / ||A||_F`.
    pub fn rel_fro(&self, l: usize) -> f64 {
        beyond(&self.squares, l)
    }

    /// `||A - A_l||_2 / ||A||_2`.
    pub fn rel_spectral(&self, l: usize) -> f64 {
        let first = self.squares.first().copied().unwrap_or(0.0);
        if first > 0.0 { (self.squares.get(l).copied().unwrap_or(0.0) / first).sqrt() } else { 0.0 }
    }

    /// `||A W - A_l W||_F / ||A W||_F`.
    pub fn output_rel_fro(&self, l: usize) -> f64 {
        beyond(&self.parts, l)
    }

    /// `||A||_2`.
    pub fn spectral(&self) -> f64 {
        self.squares.first().copied().unwrap_or(0.0).sqrt()
    }
}

/// The root of the fraction of the sum in the terms beyond the first l; 0 of an empty sum.
fn beyond(terms: &[f64], l: usize) -> f64 {
    // Added from the smallest: a difference of sums would lose small tails.
    let rest: f64 = terms.iter().skip(l).rev().sum();
    let total: f64 = terms.iter().rev().sum();
    if total > 0.0 { (rest / total).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linalg::engine::thin_svd;
    use crate::rng::{normal, stream};
    use ndarray::{Array2, Axis};

    #[test]
    fn errors_are_those_of_the_truncated_decomposition() {
        for (n, m) in [(1, 1), (7, 5), (5, 7), (33, 40)] {
            let mut rng = stream(1, &format!("truncation {n} {m}"));
            let (a, w) = (normal(&mut rng, n, m), normal(&mut rng, m, 3));
            let output = a.dot(&w);
            let found = Truncation::of(a.view(), output.view()).unwrap();
            let (exact, w) = (a.mapv(f64::from), w.mapv(f64::from));
            let (u, s, vt) = thin_svd(exact.view()).unwrap();
            let norm = |x: &Array2<f64>| x.iter().map(|x| x * x).sum::<f64>().sqrt();
            for l in 0..=n.min(m) {
                let mut best = Array2::<f64>::zeros((n, m));
                for (i, s) in s.iter().enumerate().take(l) {
                    let (left, right) = (u.column(i).insert_axis(Axis(1)), vt.row(i).insert_axis(Axis(0)));
                    best += &(left.dot(&right) * *s);
                }
                let rest = &exact - &best;
                let output_error = norm(&rest.dot(&w)) / norm(&exact.dot(&w));
                assert!((found.rel_fro(l) - norm(&rest) / norm(&exact)).abs() < 1e-6, "{n} {m} {l}");
                assert!((found.output_rel_fro(l) - output_error).abs() < 1e-6, "{n} {m} {l}");
                let next = s.get(l).copied().unwrap_or(0.0) / s[0];
                assert!((found.rel_spectral(l) - next).abs() < 1e-6, "{n} {m} {l}");
            }
        }
    }
}
