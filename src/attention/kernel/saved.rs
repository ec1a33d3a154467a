//! Saved activations: what a forward pass leaves for the backward pass of the same inputs.

/// Saved activations of one forward pass.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// The mechanism and the shapes that they belong to.
    pub(in crate::attention) of: Option<(&'static str, [usize; 8])>,
    /// One number of each query, (h, n): the logarithm (to base 2) of its sum of weights, or what divides it.
    pub(in crate::attention) rows: Vec<f32>,
    /// One number of each packed row, (h, l); of each head where features are exponentials.
    pub(in crate::attention) pack_rows: Vec<f32>,
    /// Packed rows or sums, one block a head or a segment.
    pub(in crate::attention) packs: Vec<f32>,
}

impl Saved {
    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        size_of::<f32>() * (self.rows.len() + self.pack_rows.len() + self.packs.len())
    }
}
