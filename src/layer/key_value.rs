//! Keys and values of the same rows: by one projection (tied), or by two.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3};

use super::linear::Linear;
use super::pass::{Backward, Pass};
use super::weights::Layout;
use crate::linalg::arrays::add;

/// The projections.
#[derive(Clone, Copy, Debug)]
pub(super) enum KeyValue {
    /// Of keys that are the values as well.
    Tied(Linear),
    /// Of keys, and of values.
    Untied(Linear, Linear),
}

/// Heads of keys, and of values unless they are the keys.
#[derive(Clone, Debug)]
pub(super) struct KeyValueHeads {
    keys: Array3<f32>,
    values: Option<Array3<f32>>,
}

impl KeyValueHeads {
    /// Keys, (h, m, `d_h`).
    pub(super) fn keys(&self) -> ArrayView3<'_, f32> {
        self.keys.view()
    }

    /// Values, (h, m, `d_h`).
    pub(super) fn values(&self) -> ArrayView3<'_, f32> {
        self.values.as_ref().unwrap_or(&self.keys).view()
    }
}

impl KeyValue {
    /// Declares below `name` the tied projection, or those of keys and values.
    pub(super) fn declare(
        layout: &mut Layout,
        name: &str,
        d: usize,
        tied: bool,
        [both, key, value]: [&str; 3],
    ) -> Self {
        let mut declare = |projection: &str| Linear::projection(layout, &format!("{name}.{projection}"), d);
        if tied { Self::Tied(declare(both)) } else { Self::Untied(declare(key), declare(value)) }
    }

    /// Keys and values of rows (m, d).
    pub(super) fn forward(&self, pass: Pass<'_>, x: ArrayView2<'_, f32>, heads: usize) -> KeyValueHeads {
        let (key, value) = match self {
            Self::Tied(both) => (both, None),
            Self::Untied(key, value) => (key, Some(value)),
        };
        let keys = key.to_heads(pass, x, heads);
        KeyValueHeads { keys, values: value.map(|value| value.to_heads(pass, x, heads)) }
    }

    /// Adds the gradient of `x` to `dx`, under those of keys and values.
    pub(super) fn backward(
        &self,
        back: &mut Backward<'_>,
        x: ArrayView2<'_, f32>,
        (mut d_keys, d_values): (Array3<f32>, Array3<f32>),
        dx: &mut Array2<f32>,
    ) {
        match self {
            // One array was read as both.
            Self::Tied(both) => {
                add(&mut d_keys, &d_values);
                drop(d_values);
                both.to_heads_backward(back, x, &d_keys, dx);
            }
            Self::Untied(key, value) => {
                key.to_heads_backward(back, x, &d_keys, dx);
                drop(d_keys);
                value.to_heads_backward(back, x, &d_values, dx);
            }
        }
    }
}
