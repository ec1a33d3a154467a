//! Both masks.

use super::maker::Map;
use super::{causal, full};
use crate::attention::Mask;
use crate::attention::kernel::flat::{Flat, Size};
use crate::attention::kernel::saved::Saved;

/// The output of every query with `f` features. Saves what divides each query and, without a mask, the sums over all
/// keys of each head, as [`ByFeatures`](crate::attention::kernel::features_backward::ByFeatures) reads them.
pub(in crate::attention) fn attend(
    heads: &Flat<'_>,
    f: usize,
    map: Map<'_>,
    saved: Option<&mut Saved>,
    out: &mut [f32],
) {
    match heads.mask {
        Mask::Full => full::attend(heads, f, map, saved, out),
        Mask::Causal => causal::attend(heads, f, map, saved, out),
    }
}

/// Elements of the work space for `f` features; `directions` of them are rows of w, 0 without.
pub(in crate::attention) fn space(size: &Size, f: usize, directions: usize) -> usize {
    if size.shape.causal { causal::space(size, f, directions) } else { full::space(size, f, directions) }
}
