//! The way back through a layer, in sizes.

use super::super::columns::ROWS;
use super::{Plan, Step};
use crate::linalg::outer;
use crate::model::encoder::Mechanism;

impl Plan<'_> {
    /// A layer's; `top` where no gradient of P comes from above.
    pub(super) fn backward(&mut self, top: bool) {
        let (x, inner) = (self.x(), self.inner());
        let (rows, d, ffn) = (self.rows(), self.config.d, self.config.ffn);
        self.reopen(rows);
        self.again(rows);
        self.held.take(1, inner);
        self.learn(rows, ffn, d);
        self.held.free(1, inner);
        self.learn(rows, d, ffn);
        self.held.take(1, x);
        self.held.free(1, inner);
        self.finish(rows);
        self.held.free(1, x);
        self.forget_again(rows);
        // what stood between the blocks, and its gradient behind them
        self.held.free(2, x);
        self.forget_norm(rows);
        self.reopen(rows);
        self.again(rows);
        match self.config.mechanism {
            Mechanism::Luna { .. } => self.luna_back(top),
            Mechanism::LunaCausal { .. } => self.luna_causal_back(top),
            _ => self.transformer_back(),
        }
        self.forget_again(rows);
        self.finish(rows);
        self.forget_norm(rows);
        // gradients of what the block read and made, the layer's x and P
        self.held.free(3, x);
        self.held.free(1, self.p());
    }

    /// Under the gradient of a block's output: past the block, and into it.
    fn reopen(&mut self, rows: usize) {
        let numbers = rows * self.config.d;
        if self.pre_norm() {
            self.held.take(1, numbers);
        } else {
            self.norm_back(rows);
            // what came from above, and what the norm behind the block had kept
            self.held.free(2, numbers);
            self.held.free(1, rows);
            self.held.take(1, numbers);
        }
    }

    /// What a norm before a block had kept.
    fn forget_norm(&mut self, rows: usize) {
        if self.pre_norm() {
            self.held.free(1, rows * self.config.d);
            self.held.free(1, rows);
        }
    }

    fn norm_back(&mut self, rows: usize) {
        let d = self.config.d;
        self.held.take(1, rows * d);
        self.held.over(rows.div_ceil(ROWS), 2 * d);
    }

    /// What a block read behind its norm, once more.
    fn again(&mut self, rows: usize) {
        if self.pre_norm() {
            self.held.take(1, rows * self.config.d);
        }
    }

    fn forget_again(&mut self, rows: usize) {
        if self.pre_norm() {
            self.held.free(1, rows * self.config.d);
        }
    }

    fn finish(&mut self, rows: usize) {
        if self.pre_norm() {
            self.norm_back(rows);
            self.held.free(1, rows * self.config.d);
        }
    }

    /// Gradients of a map from `from` to `to` columns.
    fn learn(&mut self, rows: usize, from: usize, to: usize) {
        self.held.over(rows.div_ceil(ROWS), to);
        let (count, numbers) = outer::space(rows, to, from, self.threads);
        self.held.over(count, numbers);
    }

    fn learn_heads(&mut self, rows: usize) {
        let d = self.config.d;
        self.held.take(1, rows * d);
        self.learn(rows, d, d);
        self.held.free(1, rows * d);
    }

    /// The gradient of what heads read, (h, rows, width).
    fn projected_back(&mut self) {
        let x = self.x();
        self.learn_heads(self.rows());
        self.held.take(2, x);
        self.held.free(1, x);
    }

    /// Gradients of queries, keys and values; what was read and kept is let go.
    fn read_back(&mut self, step: Step) {
        let ([_, backward], kept) = self.core(step);
        self.held.take(1, self.queries(step));
        self.held.take(2, self.keys(step));
        let own = match self.config.mechanism {
            Mechanism::Linformer { l, max } => l * max,
            _ => 0,
        };
        self.held.take(2, own);
        self.held.over(1, backward);
        self.held.free(2, own);
        self.held.free(1, self.queries(step));
        self.held.free(1, kept);
    }

    fn transformer_back(&mut self) {
        let x = self.x();
        self.projected_back();
        self.read_back(Step::Own);
        self.held.take(1, x);
        for _ in 0..3 {
            self.learn_heads(self.rows());
        }
        // queries, keys and values, their gradients, and that of what was read
        self.held.free(3 + 3 + 1, x);
    }

    fn luna_back(&mut self, top: bool) {
        let (x, p, p_rows) = (self.x(), self.p(), self.p_rows);
        if top {
            self.held.take(1, p);
        }
        self.reopen(p_rows);
        self.again(p_rows);
        self.projected_back();
        self.read_back(Step::Unpack);
        self.held.free(1, x);
        self.held.free(self.pairs(), p);
        self.held.take(1, x);
        self.learn_heads(self.rows());
        self.held.take(1, p);
        self.key_value_back(p_rows);
        self.held.take(1, p);
        self.read_back(Step::Pack);
        self.key_value_back(self.rows());
        self.held.take(1, p);
        self.learn(p_rows, self.config.d, self.config.d);
        self.held.take(1, p);
        // the packed rows' queries, their gradient joined, what was packed, its gradient whole and in heads
        self.held.free(1 + 2 + 1 + 2, p);
        // what was packed from, the gradients of what was read and of its queries
        self.held.free(self.pairs() + 2, x);
        self.finish(p_rows);
        self.forget_again(p_rows);
        self.forget_norm(p_rows);
        // the gradient of what P's block read
        self.held.free(1, p);
    }

    fn luna_causal_back(&mut self, top: bool) {
        let (x, p, w) = (self.x(), self.p(), self.weights());
        let ([_, backward], kept) = self.weighted();
        self.projected_back();
        self.held.take(1, w);
        self.held.take(3, x);
        self.held.take(1, w);
        self.held.over(1, backward);
        // queries, keys and values, what was read and its gradient
        self.held.free(1 + self.pairs() + 2, x);
        self.held.take(1, p);
        self.held.take(1, x);
        self.held.free(1, w);
        self.held.take(1, x);
        for _ in 0..2 {
            self.learn_heads(self.rows());
        }
        self.key_value_back(self.rows());
        self.held.take(1, p);
        self.learn(self.p_rows, self.config.d, self.config.d);
        self.held.take(1, p);
        // the weights' queries, their gradient in heads and joined; the weights' keys, gradients of both queries
        self.held.free(3, p);
        self.held.free(3, x);
        self.held.free(1, w);
        self.held.free(1, kept);
        if !top {
            self.held.free(1, p);
        }
    }

    /// Gradients of keys and values back to the rows that they were projected from.
    fn key_value_back(&mut self, rows: usize) {
        for _ in 0..self.pairs() {
            self.learn_heads(rows);
        }
        self.held.free(2, rows * self.config.d);
    }
}
