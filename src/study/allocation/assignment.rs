//! Heads of a model computed by a mechanism each.

use ndarray::Array2;

use crate::attention::{Attention, Input, Learned, Mask, Origin};
use crate::error::Result;
use crate::linalg::gemm::{Threads, product};
use crate::model::{HeadTap, Substitute};
use crate::name::Spec;
use crate::study::input::Head;

/// The mechanism of exact attention: a head that has it is not replaced.
const EXACT: &str = "softmax";

/// The mechanism of every head, by layer and head; a head without one keeps softmax attention.
#[derive(Clone, Debug)]
pub(in crate::study) struct Assignment {
    heads: Vec<Vec<Option<Spec>>>,
    /// Seed of what mechanisms draw.
    seed: u64,
}

impl Assignment {
    /// Every head of a model of this shape (layers, heads) with its softmax attention.
    pub(in crate::study) fn exact((layers, heads): (usize, usize), seed: u64) -> Self {
        Self { heads: vec![vec![None; heads]; layers], seed }
    }

    /// Gives a head its mechanism.
    pub(in crate::study) fn set(&mut self, (layer, head): (usize, usize), spec: &Spec) {
        self.heads[layer][head] = Some(spec.clone()).filter(|spec| !Self::is_exact(spec));
    }

    /// Whether this is softmax attention itself.
    pub(in crate::study) fn is_exact(spec: &Spec) -> bool {
        spec.name == EXACT
    }
}

impl Substitute for Assignment {
    fn replaces(&self, layer: usize) -> bool {
        self.heads.get(layer).is_some_and(|heads| heads.iter().any(Option::is_some))
    }

    fn replaces_head(&self, layer: usize, head: usize) -> bool {
        self.heads[layer][head].is_some()
    }

    fn attend(&self, head: &HeadTap) -> Result<Array2<f32>> {
        match &self.heads[head.layer][head.head] {
            Some(spec) => attend(spec, self.seed, None, head),
            None => Ok(Array2::zeros(head.v.dim())),
        }
    }
}

/// The output (n, `d_h`) of a head by a mechanism. Draws are labelled as in the comparison head by head.
pub(in crate::study) fn attend(
    spec: &Spec,
    seed: u64,
    learned: Option<&Learned>,
    head: &HeadTap,
) -> Result<Array2<f32>> {
    let label = Head::label_in(head.layer, head.head);
    let origin = Origin { seed, label: &label, learned };
    let mask = if head.causal { Mask::Causal } else { Mask::Full };
    let (scale, terms) = (head.scale, head.terms.view());
    let input = Input { scale, terms, ..Input::new(head.q.view(), head.k.view(), mask) };
    let matrix = Attention::build(spec, &origin)?.matrix(&input)?;
    Ok(product(matrix.view(), head.v.view(), Threads::One))
}
