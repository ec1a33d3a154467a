//! What is remembered of the past: two running sums, of a size that no length changes.

use ndarray::{Array1, Array2, ArrayView1, Axis};

use super::decay::Decay;
use crate::attention::reference::work::Work;
use crate::cost::Cost;
use crate::linalg::gemm::{Threads, product_into};

/// Everything that causal Luna remembers of the tokens so far, for decoding a token at a time: O(l (`d_h` + `d_v`))
/// numbers.
#[derive(Clone, Debug)]
pub struct State {
    /// How many tokens there were.
    tokens: usize,
    decay: Decay,
    /// Sum of `a^(t-j) k_j^T W_j`, shape (`d_h`, l)
    keys: Array2<f32>,
    /// Sum of `a^(t-j) W_j^T v_j`, shape (l, `d_v`)
    values: Array2<f32>,
}

impl State {
    /// Before the first token: keys of width `d_h`, l packed rows, values of width `d_v`.
    pub fn new(d_h: usize, l: usize, d_v: usize, decay: Decay) -> Self {
        Self { tokens: 0, decay, keys: Array2::zeros((d_h, l)), values: Array2::zeros((l, d_v)) }
    }

    /// Takes in the next token and returns its output (`d_v`): its query `q_t` (`d_h`) with the scale in it already, its
    /// key `k_t` (`d_h`), its weights `w_t` (l) and its value `v_t` (`d_v`).
    ///
    /// # Panics
    /// If a length is another than [`new`](Self::new) was told.
    pub fn push(
        &mut self,
        q_t: ArrayView1<'_, f32>,
        k_t: ArrayView1<'_, f32>,
        w_t: ArrayView1<'_, f32>,
        v_t: ArrayView1<'_, f32>,
    ) -> Array1<f32> {
        let mut work = Work::default();
        self.pack(k_t, w_t, v_t, &mut work);
        self.unpack(q_t, &mut work)
    }

    /// Takes in a token's key, weights and value.
    pub(super) fn pack(
        &mut self,
        k_t: ArrayView1<'_, f32>,
        w_t: ArrayView1<'_, f32>,
        v_t: ArrayView1<'_, f32>,
        work: &mut Work,
    ) {
        work.count(Cost::product(k_t.len() + v_t.len(), 1, w_t.len()));
        if !self.decay.is_none() {
            self.keys *= self.decay.power(1);
            self.values *= self.decay.power(1);
        }
        let [key, weights, value] = [k_t, w_t, v_t].map(|x| x.insert_axis(Axis(0)));
        product_into(self.keys.view_mut(), 1.0, key.t(), weights, 1.0, Threads::One);
        product_into(self.values.view_mut(), 1.0, weights.t(), value, 1.0, Threads::One);
        self.tokens += 1;
    }

    /// How a query (with the scale in it) shares itself out over the packed rows: (1, l), summing to 1.
    pub(super) fn share(&self, q_t: ArrayView1<'_, f32>, work: &mut Work) -> Array2<f32> {
        let logits = work.scaled(q_t.insert_axis(Axis(0)), self.keys.view(), self.mean());
        work.softmax(logits)
    }

    /// The output (`d_v`) of a query (with the scale in it).
    pub(super) fn unpack(&self, q_t: ArrayView1<'_, f32>, work: &mut Work) -> Array1<f32> {
        let share = self.share(q_t, work);
        work.count(Cost::divs(1));
        work.scaled(share.view(), self.values.view(), self.mean()).remove_axis(Axis(0))
    }

    /// What a sum is multiplied by to be an average.
    fn mean(&self) -> f32 {
        1.0 / self.decay.total(self.tokens) as f32
    }
}
