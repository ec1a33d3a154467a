//! The feature map.

/// Added to each denominator.
pub(super) const EPS: f32 = 1e-6;

/// elu(x) + 1.
pub(super) fn phi(x: f32) -> f32 {
    if x > 0.0 { x + 1.0 } else { x.exp() }
}
