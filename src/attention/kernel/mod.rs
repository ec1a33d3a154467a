//! What the fused implementations share: many heads at once, forward and backward, without an n x m array.
//!
//! Blocks stay in cache, softmax is online (Milakov and Gimelshein 2018; Dao et al. 2022), heads and blocks of rows are
//! shared among the threads of the current rayon pool. The order of additions depends on the shape alone: the same bits
//! on any number of threads. The reference implementations in each mechanism's module stay the truth; the fused ones
//! agree with them to rounding. Work space is allocated once a call, a known number of bytes.
//!
//! A mechanism implements [`form::Form`] and, where it has gradients, [`form::Backward`]; [`Fused`] checks shapes and
//! masks once for all of them.
//!
//! # Backward
//! A forward pass that saves activations leaves O(h n) + O(h l `d_h`) numbers ([`Saved`]): the logarithm of each row's sum
//! of exponentials, and the packed rows of mechanisms that have some. The backward pass computes the weights again from
//! them, a block at a time (Dao et al. 2022, algorithm 4). With the upstream gradient `G` (h, n, `d_v`), for every softmax
//! `out = softmax(s q k^T) v` of logarithms `L` and `A = exp(s q k^T - L)`:
//! ```text
//! D  = rowsum(G * out)                  (n)
//! dv = A^T G                            (m, d_v)
//! dS = A * (G v^T - D)                  (n, m), a block at a time
//! dq = s dS k      dk = s dS^T q        (n, d_h), (m, d_h)
//! ```
//! Five products where the forward pass has two. Where keys and values are one array (tied), its gradient is the sum of
//! those of keys and of values: the caller adds them.

pub(super) mod arrays;
pub(super) mod chosen;
pub(super) mod chunk;
pub(super) mod exact;
pub(super) mod features;
pub(super) mod features_backward;
pub(super) mod few;
pub(super) mod flash;
pub(super) mod flat;
pub(super) mod form;
pub(super) mod fused;
pub(super) mod gradients;
pub(super) mod heads;
pub(super) mod mapped;
pub(super) mod meet;
pub(super) mod pass;
pub(super) mod past;
pub(super) mod saved;
pub(super) mod scan;
pub(super) mod segments;
pub(super) mod share;
pub(super) mod sinks;
pub(super) mod tiles;
pub(super) mod windows;
pub(super) mod windows_backward;

pub use arrays::{Arrays, Draw, Part};
pub use exact::{ExactHead, Maxima};
pub use flat::By;
pub use fused::Fused;
pub use gradients::Gradients;
pub use heads::Heads;
pub use past::Past;
pub use saved::Saved;
