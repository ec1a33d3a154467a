//! The singular values that the metrics read.

/// Singular values of one matrix, all of them or the leading ones.
#[derive(Clone, Copy, Debug)]
pub struct Spectrum<'a> {
    /// Values, largest first; all min(n, m), or the leading ones that are known.
    pub sigma: &'a [f64],
    /// min(n, m): how many values there are in all.
    pub size: usize,
    /// max(n, m): the longer side, for the tolerance of the numerical rank.
    pub longest: usize,
    /// The sum of all squares, `||A||_F^2`.
    pub energy: f64,
    /// The rounding unit of the matrix's entries (2^-23 for f32, 2^-52 for f64).
    pub epsilon: f64,
}

impl<'a> Spectrum<'a> {
    /// The whole spectrum of a matrix of shape (n, m).
    pub fn whole(sigma: &'a [f64], (n, m): (usize, usize), epsilon: f64) -> Self {
        let energy = sigma.iter().map(|s| s * s).sum();
        Self { sigma, size: n.min(m), longest: n.max(m), energy, epsilon }
    }

    /// Whether every value is known.
    pub fn is_whole(&self) -> bool {
        self.sigma.len() == self.size
    }

    /// The largest value; 0 of an empty matrix.
    pub fn first(&self) -> f64 {
        self.sigma.first().copied().unwrap_or(0.0)
    }

    /// The sum of all values, if all are known.
    pub fn l1(&self) -> Option<f64> {
        self.is_whole().then(|| self.sigma.iter().sum())
    }

    /// `share`, unless the matrix is zero and every share would be 0 / 0.
    pub fn unless_zero(&self, share: impl FnOnce() -> f64) -> Option<f64> {
        (self.first() > 0.0).then(share)
    }
}
