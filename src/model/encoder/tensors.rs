//! The tensors of an encoder, by name and shape: what loading reads, what is drawn, and what `parameters` sums.

use super::head::{CLASSIFIER, Head};
use super::{EncoderConfig, Mechanism};
use crate::model::luna::Tensor;

/// Names of the table of tokens, that of positions, and P (below the lowest layer, or in every one); Luna's authors'
/// names.
pub(super) const TOKENS: &str = "embed_tokens";
pub(super) const POSITIONS: &str = "embed_positions";
pub(super) const P: &str = "projected_embeddings";
/// The norms of the embeddings of X and of P, the latter in the authors' spelling.
pub(super) const EMBEDDING_NORM: &str = "layernorm_embedding";
pub(super) const P_EMBEDDING_NORM: &str = "layernorm_porjected_embedding";
/// The norms behind a stack whose blocks have theirs before.
pub(super) const LAST_NORM: &str = "layer_norm";
pub(super) const P_LAST_NORM: &str = "proj_layer_norm";

impl EncoderConfig {
    /// Every learned tensor: its name and its shape. Layers stand under `layers.0.` and so on, with the names of
    /// fairseq's layers, which are those of Luna's authors.
    ///
    /// A Performer's [`features`](Self::features) are drawn and not learned, and not among them.
    pub fn tensors(&self) -> Vec<Tensor> {
        let mut all = Vec::new();
        if let Some(vocab) = self.vocab {
            all.push((format!("{TOKENS}.weight"), vec![vocab, self.d]));
        }
        let shared_p = self.shared_p();
        if shared_p > 0 {
            all.push((P.to_string(), vec![shared_p, self.d]));
        }
        if self.positions > 0 {
            all.push((format!("{POSITIONS}.weight"), vec![self.positions, self.d]));
        }
        if self.embedding_norm {
            norm(&mut all, EMBEDDING_NORM, self.d);
            if shared_p > 0 {
                norm(&mut all, P_EMBEDDING_NORM, self.d);
            }
        }
        for layer in 0..self.layers {
            self.layer(&mut all, &format!("layers.{layer}."));
        }
        if self.pre_norm {
            norm(&mut all, LAST_NORM, self.d);
            if self.carries_p() {
                norm(&mut all, P_LAST_NORM, self.d);
            }
        }
        match self.head {
            Head::Classes(classes) => linear(&mut all, CLASSIFIER, classes, self.d),
            Head::Pairs(classes) => {
                linear(&mut all, &format!("{CLASSIFIER}.fc1"), self.ffn, 4 * self.d);
                linear(&mut all, &format!("{CLASSIFIER}.fc2"), classes, self.ffn);
            }
            Head::None | Head::Tokens => {}
        }
        all
    }

    /// What is drawn and not learned, and belongs in a file with the rest: a Performer's features of every layer,
    /// (l, `d_h`).
    pub fn features(&self) -> Vec<Tensor> {
        let Mechanism::Performer { l } = self.mechanism else { return Vec::new() };
        let name = |layer: usize| format!("layers.{layer}.self_attn.features");
        (0..self.layers).map(|layer| (name(layer), vec![l, self.head_width()])).collect()
    }

    fn layer(&self, all: &mut Vec<Tensor>, layer: &str) {
        let (d, ffn) = (self.d, self.ffn);
        for projection in self.mechanism.projections() {
            linear(all, &format!("{layer}self_attn.{projection}"), d, d);
        }
        if let Mechanism::Linformer { l, max } = self.mechanism {
            all.push((format!("{layer}self_attn.compress.weight"), vec![l, max]));
        }
        if self.own_p() > 0 {
            all.push((format!("{layer}{P}"), vec![self.own_p(), d]));
        }
        norm(all, &format!("{layer}self_attn_layer_norm"), d);
        if self.carries_p() {
            norm(all, &format!("{layer}self_atten_proj_layer_norm"), d);
        }
        linear(all, &format!("{layer}fc1"), ffn, d);
        linear(all, &format!("{layer}fc2"), d, ffn);
        norm(all, &format!("{layer}final_layer_norm"), d);
    }
}

impl Mechanism {
    /// The (d, d) projections of one layer.
    pub(in crate::model) fn projections(&self) -> &'static [&'static str] {
        match self {
            Self::Luna { tied: true, .. } | Self::LunaCausal { tied: true, .. } => {
                &["pq_proj", "q_proj", "pc_proj", "c_proj", "out_proj"]
            }
            Self::Luna { tied: false, .. } => {
                &["pq_proj", "q_proj", "pk_proj", "pv_proj", "k_proj", "v_proj", "out_proj"]
            }
            Self::LunaCausal { tied: false, .. } => {
                &["pq_proj", "q_proj", "pc_proj", "k_proj", "v_proj", "out_proj"]
            }
            _ => &["q_proj", "k_proj", "v_proj", "out_proj"],
        }
    }
}

/// Adds weight and bias of a linear map.
pub(in crate::model) fn linear(all: &mut Vec<Tensor>, name: &str, outputs: usize, inputs: usize) {
    all.push((format!("{name}.weight"), vec![outputs, inputs]));
    all.push((format!("{name}.bias"), vec![outputs]));
}

/// Adds gain and shift of a norm.
pub(in crate::model) fn norm(all: &mut Vec<Tensor>, name: &str, d: usize) {
    all.push((format!("{name}.weight"), vec![d]));
    all.push((format!("{name}.bias"), vec![d]));
}
