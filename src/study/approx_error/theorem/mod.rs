//! `--check linformer-theorem-1`: the construction in the proof of Linformer's theorem 1, tested as it is stated.
//!
//! Theorem 1 (Wang et al. 2020): for a softmax matrix P (n x n) and a column w of the values, some P~ of rank
//! Theta(log n) has `||P~ w - P w|| < eps ||P w||` with probability beyond 1 - o(1). The proof takes `P~ = P R^T R`, R
//! (k x n) with entries N(0, 1/k) and `k = 5 ln n / (eps^2 - eps^3)`, and the lemma of Johnson and Lindenstrauss. That
//! lemma bounds the error by `eps ||u|| ||w||` for each row u of P (the additive form), not by `eps |u w|` (the relative
//! form that the theorem states): where the values average out, `|u w|` is far smaller than `||u|| ||w||`.
//!
//! (The paper writes `P~ = exp(A) D_A^-1 R^T R`; with the row sums in D the normalised matrix is `D_A^-1 exp(A)`, as here.)

mod check;
mod measured;
mod report;

pub(super) use check::run;
pub(super) use report::{KEYS, columns};
