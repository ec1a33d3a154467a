//! What every mechanism implements.

use ndarray::{Array2, ArrayView2};

use super::choice::Choice;
use super::input::Input;
use super::kernel::fused::Fused;
use super::reference::work::Work;
use crate::cost::{Cost, Shape};
use crate::error::Result;

/// One way to attend, with its parameters. Implementations see shapes that fit, no padding, and only masks that their
/// [`Kind`](super::Kind) honours.
pub trait Mechanism: Send + Sync {
    /// The output (n, `d_v`) by the reference implementation; every product, exponential and division is counted in
    /// `work`.
    fn forward(&self, input: &Input<'_>, v: ArrayView2<'_, f32>, work: &mut Work) -> Result<Array2<f32>>;

    /// The matrix (n, m) that it stands for: `forward = matrix v`.
    fn matrix(&self, input: &Input<'_>) -> Result<Array2<f32>>;

    /// What [`forward`](Self::forward) costs, in closed form.
    fn cost(&self, shape: &Shape) -> Cost;

    /// How many elements of a key-value cache its queries read, all together: of keys and values, or of what is stored in
    /// their place. `None` where nothing is stored that a query could read instead of them.
    fn cache_reads(&self, _shape: &Shape) -> Option<u64> {
        None
    }

    /// The rank that its matrix cannot exceed, where that is less than min(n, m).
    fn rank(&self, _shape: &Shape) -> Option<usize> {
        None
    }

    /// Whether the rows of its matrix sum to 1 with these parameters, of a kind that says so of itself.
    fn stochastic(&self) -> bool {
        true
    }

    /// The projected length that it computes with; `None` where nothing depends on one.
    fn l(&self) -> Option<usize> {
        None
    }

    /// The longest context that it can attend to, where it draws or learns arrays for one.
    fn longest(&self) -> Option<usize> {
        None
    }

    /// The keys that it reads, of a mechanism whose matrix is softmax over some of the keys.
    fn choice(&self) -> Option<Choice<'_>> {
        None
    }

    /// The same over many heads without an n x m array, where there is an implementation.
    fn fused(&self) -> Option<Fused> {
        None
    }
}
