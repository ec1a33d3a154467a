//! A learned P below the lowest layer that reads it.

use ndarray::Array2;

use crate::layer::{Backward, LayerNorm, Layout, Matrix, Pass, Rows, Tape, repeated, repeated_backward};

/// Names of P and of its norm, the latter in the Luna authors' spelling.
pub(super) const P: &str = "projected_embeddings";
pub(super) const EMBEDDING_NORM: &str = "layernorm_porjected_embedding";

/// A table (l, d), its norm, and dropout.
#[derive(Clone, Copy, Debug)]
pub(super) struct LearnedP {
    pub(super) table: Matrix,
    pub(super) norm: Option<LayerNorm>,
    /// Its number among the arrays that are dropped from.
    pub(super) site: usize,
}

impl LearnedP {
    /// Declares its tensors after the prefix of all.
    pub(super) fn declare(
        layout: &mut Layout,
        prefix: &str,
        [l, d]: [usize; 2],
        normed: bool,
        site: usize,
    ) -> Self {
        let table = layout.table(format!("{prefix}{P}"), l, d);
        let norm = normed.then(|| LayerNorm::declare(layout, &format!("{prefix}{EMBEDDING_NORM}"), d));
        Self { table, norm, site }
    }

    /// P (l, d), or the first of its rows for every sequence, of which `rows` has as many as it reads.
    pub(super) fn forward(
        &self,
        pass: Pass<'_>,
        rows: Option<&Rows>,
        tape: Option<&mut Tape>,
    ) -> Array2<f32> {
        let mut p = self.table.of(pass).to_owned();
        if let Some(norm) = &self.norm {
            p = norm.forward(pass, p, tape);
        }
        pass.dropout.apply(&mut p, self.site);
        match rows {
            Some(rows) => repeated(p.view(), rows),
            None => p,
        }
    }

    /// Adds the gradients of its tensors under that of [`forward`](Self::forward)'s output.
    pub(super) fn backward(
        &self,
        back: &mut Backward<'_>,
        tape: &mut Tape,
        dp: Array2<f32>,
        rows: Option<&Rows>,
    ) {
        let mut dp = match rows {
            Some(rows) => repeated_backward(&dp, rows, self.table.rows),
            None => dp,
        };
        back.pass.dropout.apply(&mut dp, self.site);
        if let Some(norm) = &self.norm {
            dp = norm.backward(back, tape, dp);
        }
        let mut sum = self.table.of_mut(back.gradients);
        sum += &dp;
    }
}
