//! Symmetric tridiagonal matrices: what is left of a symmetric matrix after its reduction.

/// Diagonal (n) and off-diagonal (n - 1) of a symmetric tridiagonal matrix.
#[derive(Clone, Debug)]
pub(super) struct Tridiagonal {
    pub(super) diagonal: Vec<f64>,
    pub(super) off_diagonal: Vec<f64>,
}

impl Tridiagonal {
    /// Without the first row and column.
    pub(super) fn without_first(&self) -> Self {
        let rest = |values: &[f64]| values.get(1..).unwrap_or(&[]).to_vec();
        Self { diagonal: rest(&self.diagonal), off_diagonal: rest(&self.off_diagonal) }
    }

    /// With a first element that is `more` larger.
    pub(super) fn with_more_first(&self, more: f64) -> Self {
        let mut other = self.clone();
        if let Some(first) = other.diagonal.first_mut() {
            *first += more;
        }
        other
    }
}
