//! Attention mechanisms over split heads: softmax, and everything that was proposed to replace it; [`ALL`] is their
//! list.
//!
//! A mechanism sees heads that are split already (`q` of shape (n, `d_h`), `k` and `v` of shape (m, `d_h`));
//! projections, residuals and dropout belong to [`crate::model`]. It has an output, the matrix that it stands for
//! (`forward = matrix v`), a cost and a bound on its rank. [`Attention`] checks shapes, refuses masks that a mechanism does
//! not honour, and removes padding before any mechanism sees it; [`Fused`] does the same for many heads at once.
//!
//! # One more mechanism
//! A new file, or a folder where there is more than the reference implementation, with a `pub(super) const KIND: Kind` and
//! an `impl Mechanism`, and two lines here: its `mod` and its place in [`ALL`]. `luna list`, help, sweeps and the laws in
//! `tests/it/attention` follow. A folder has
//!
//! | file | holds |
//! |---|---|
//! | `reference` | the declaration and the reference implementation |
//! | `fused` | many heads without an n x m array ([`Mechanism::fused`]), its learned arrays, and the same in f64 |
//! | `backward` | gradients |
//! | `fit` | the loss as a stand-in for softmax on given windows |

mod bigbird;
mod block_top_k;
mod built;
mod choice;
mod cosformer;
pub mod fit;
mod input;
mod kernel;
mod kind;
mod linear;
mod linformer;
mod local;
mod longformer;
mod luna;
pub mod luna_causal;
mod mask;
mod mechanism;
mod nystrom;
mod origin;
mod performer;
mod reference;
mod reformer;
mod sink_window;
mod sinkhorn;
pub mod softmax;
mod sparse;
mod sparse_low_rank;
mod svd;
mod synthesizer;
mod terms;
mod top_k;
mod top_p;
mod vertical_slash;
mod visible;

pub use built::{Attention, find, fused};
pub use choice::{Choice, Chosen};
pub use input::Input;
pub use kernel::{Arrays, By, Draw, ExactHead, Fused, Gradients, Heads, Maxima, Part, Past, Saved};
pub use kind::{Kind, Under};
pub use mask::Mask;
pub use mechanism::Mechanism;
pub use origin::{Learned, Origin};
pub use performer::orthogonal as performer_features;
pub use reference::work::Work;
pub use softmax::materialised;
pub use terms::{Bias, HeadTerms, Term, Terms, Window};
pub use visible::{Rows, Visible};

pub use crate::linalg::lanes::Path;

/// Every mechanism.
pub const ALL: &[&Kind] = &[
    // the exact one and the nested one
    &softmax::KIND,
    &self::luna::KIND,
    &luna_causal::KIND,
    // projections of the length, and kernels
    &linformer::KIND,
    &performer::KIND,
    &linear::KIND,
    &cosformer::KIND,
    &nystrom::KIND,
    // those that read some of the keys
    &local::KIND,
    &longformer::KIND,
    &sink_window::KIND,
    &sparse::KIND,
    &bigbird::KIND,
    &block_top_k::KIND,
    &vertical_slash::KIND,
    &reformer::KIND,
    &sinkhorn::KIND,
    &synthesizer::KIND,
    // the best of its rank, of its number of keys, of its mass, and of its rank beside a window
    &svd::KIND,
    &top_k::KIND,
    &top_p::KIND,
    &sparse_low_rank::KIND,
];
