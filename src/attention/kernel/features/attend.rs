//! Both masks.

use super::maker::Map;
use super::{causal, full};
use crate::attention::Mask;
use crate::attention::kernel::flat::{Flat, Size};

/// The output of every query with `f` features.
pub(in crate::attention) fn attend(heads: &Flat<'_>, f: usize, map: Map<'_>, out: &mut [f32]) {
    match heads.mask {
        Mask::Full => full::attend(heads, f, map, out),
        Mask::Causal => causal::attend(heads, f, map, out),
    }
}

/// Elements of the work space for `f` features; `directions` of them are rows of w, 0 without.
pub(in crate::attention) fn space(size: &Size, f: usize, directions: usize) -> usize {
    if size.shape.causal { causal::space(size, f, directions) } else { full::space(size, f, directions) }
}
