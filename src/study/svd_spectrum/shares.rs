//! Cumulative shares of spectra, and their means.

/// Shares of the first k values in their sum, for k = 1, 2, ...; ones for a spectrum of zeros.
pub(super) fn cumulative(sigma: &[f64]) -> Vec<f64> {
    shares(sigma, |s| s)
}

/// The same of the squares.
pub(super) fn cumulative_energy(sigma: &[f64]) -> Vec<f64> {
    shares(sigma, |s| s * s)
}

fn shares(sigma: &[f64], weight: fn(f64) -> f64) -> Vec<f64> {
    let total: f64 = sigma.iter().map(|s| weight(*s)).sum();
    let mut sum = 0.0;
    sigma
        .iter()
        .map(|s| {
            sum += weight(*s);
            if total > 0.0 { sum / total } else { 1.0 }
        })
        .collect()
}

/// The mean curve of curves of one length.
pub(super) fn mean<'a>(curves: impl Iterator<Item = &'a [f64]>) -> Vec<f64> {
    let mut sum: Vec<f64> = Vec::new();
    let mut count = 0.0;
    for curve in curves {
        sum.resize(curve.len().max(sum.len()), 0.0);
        sum.iter_mut().zip(curve).for_each(|(sum, share)| *sum += share);
        count += 1.0;
    }
    for sum in &mut sum {
        *sum /= count;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_rise_to_one() {
        assert_eq!(cumulative(&[3.0, 1.0]), [0.75, 1.0]);
        assert_eq!(cumulative_energy(&[3.0, 1.0]), [0.9, 1.0]);
        assert_eq!(cumulative(&[0.0, 0.0]), [1.0, 1.0]);
    }
}
