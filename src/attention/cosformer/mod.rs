//! cosFormer (Qin et al. 2022): linear attention of `ReLU` features whose products are reweighted by the cosine of a
//! distance.
//!
//! ```text
//! out_i = sum_j relu(q_i) . relu(k_j) cos(pi (i - j) / 2 M) v_j / (the sum of these weights + eps)
//! ```
//! `cos(a - b) = cos a cos b + sin a sin b`: the features of row i are `relu(x_i) cos(pi i / 2 M)` beside
//! `relu(x_i) sin(pi i / 2 M)`, 2 `d_h` of them, and the sums over keys are those of linear attention. The weights fall
//! from 1 on the diagonal to 0 at distance M. The logit scale cancels in the quotient.
//!
//! Without a mask M is max(n, m), as in the paper. Under the causal mask that would let the number of later tokens decide
//! how earlier ones are weighted: M is the parameter `max` there, the longest sequence, so that a prefix is attended to as
//! it is within the whole; longer sequences are refused, since their weights would be negative. eps is 1e-6 and added to
//! the denominator (the authors' code takes the larger of the two): a query whose products with all keys vanish gets
//! zeros.

mod features;
mod fused;
mod reference;

pub(super) use reference::KIND;
