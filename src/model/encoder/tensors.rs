//! The tensors of an encoder, by name and shape: what loading reads, what is drawn, and what `parameters` sums.

use super::{EncoderConfig, Mechanism};
use crate::model::luna::{Size, Tensor};

/// Names of the table of tokens, that of positions, and P below the lowest layer; Luna's authors' names.
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
    pub fn tensors(&self) -> Vec<Tensor> {
        if let Mechanism::Luna { l, tied } = self.mechanism {
            return self.of_luna(l, tied);
        }
        let mut all = Vec::new();
        if let Some(vocab) = self.vocab {
            all.push((format!("{TOKENS}.weight"), vec![vocab, self.d]));
        }
        if self.positions > 0 {
            all.push((format!("{POSITIONS}.weight"), vec![self.positions, self.d]));
        }
        if self.embedding_norm {
            norm(&mut all, EMBEDDING_NORM, self.d);
        }
        for layer in 0..self.layers {
            self.transformer_layer(&mut all, &format!("layers.{layer}."));
        }
        if self.pre_norm {
            norm(&mut all, LAST_NORM, self.d);
        }
        all
    }

    fn transformer_layer(&self, all: &mut Vec<Tensor>, layer: &str) {
        let (d, ffn) = (self.d, self.ffn);
        for projection in ["q_proj", "k_proj", "v_proj", "out_proj"] {
            linear(all, &format!("{layer}self_attn.{projection}"), d, d);
        }
        if let Mechanism::Linformer { l, max } = self.mechanism {
            all.push((format!("{layer}self_attn.compress.weight"), vec![l, max]));
        }
        norm(all, &format!("{layer}self_attn_layer_norm"), d);
        linear(all, &format!("{layer}fc1"), ffn, d);
        linear(all, &format!("{layer}fc2"), d, ffn);
        norm(all, &format!("{layer}final_layer_norm"), d);
    }

    /// The authors' tensors without those that this encoder has not.
    fn of_luna(&self, l: usize, tied: bool) -> Vec<Tensor> {
        let size = Size {
            d: self.d,
            ffn: self.ffn,
            l,
            tied,
            pre_norm: self.pre_norm,
            encoder_layers: self.layers,
            decoder_layers: 0,
            vocab: self.vocab.unwrap_or(0),
            positions: self.positions,
            embedding_norms: self.embedding_norm,
            masked_head: false,
        };
        let tensors = size.tensors().into_iter();
        let named = tensors.map(|(name, shape)| (name.replacen("encoder.", "", 1), shape));
        named.filter(|(_, shape)| !shape.contains(&0)).collect()
    }
}

fn linear(all: &mut Vec<Tensor>, name: &str, outputs: usize, inputs: usize) {
    all.push((format!("{name}.weight"), vec![outputs, inputs]));
    all.push((format!("{name}.bias"), vec![outputs]));
}

fn norm(all: &mut Vec<Tensor>, name: &str, d: usize) {
    all.push((format!("{name}.weight"), vec![d]));
    all.push((format!("{name}.bias"), vec![d]));
}
