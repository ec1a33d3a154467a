//! The tensors of whole Luna models, and how many numbers they hold.

/// Sizes of a Luna model: an encoder, or an encoder and a decoder that share their token table with the output.
///
/// Its tensors are those of the authors' state dict, by their names and in their shapes; how many numbers a model has
/// is the sum over them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // facts of their own, not states of one machine
pub struct Size {
    /// d: width of the model.
    pub d: usize,
    /// Width inside the feed-forward networks.
    pub ffn: usize,
    /// l: rows of P.
    pub l: usize,
    /// Whether keys and values share their projections.
    pub tied: bool,
    /// Whether norms stand before blocks (which adds a last norm for each stream).
    pub pre_norm: bool,
    /// Layers of the encoder.
    pub encoder_layers: usize,
    /// Layers of the decoder; 0 for none.
    pub decoder_layers: usize,
    /// Tokens of the vocabulary.
    pub vocab: usize,
    /// Rows of each table of learned positions; 0 where positions are sinusoids.
    pub positions: usize,
    /// Whether embeddings are normalised, X and P each by a norm of its own.
    pub embedding_norms: bool,
    /// Whether there is a head over masked tokens (its output weight is the token table).
    pub masked_head: bool,
}

/// One tensor: its name and its shape.
pub type Tensor = (String, Vec<usize>);

impl Size {
    /// The encoder-decoder of the authors' WMT'14 experiments: 6 + 6 layers of width 512.
    pub fn wmt_base(l: usize, tied: bool, vocab: usize) -> Self {
        Self {
            d: 512,
            ffn: 2048,
            l,
            tied,
            pre_norm: false,
            encoder_layers: 6,
            decoder_layers: 6,
            vocab,
            positions: 0,
            embedding_norms: false,
            masked_head: false,
        }
    }

    /// The authors' masked language model: 12 layers of width 768, `RoBERTa`'s vocabulary, 512 positions and the two
    /// rows that `RoBERTa` keeps before them.
    pub fn bert_base(l: usize, tied: bool) -> Self {
        Self {
            d: 768,
            ffn: 3072,
            l,
            tied,
            pre_norm: false,
            encoder_layers: 12,
            decoder_layers: 0,
            vocab: 50_265,
            positions: 514,
            embedding_norms: true,
            masked_head: true,
        }
    }

    /// How many numbers the model learns.
    pub fn parameters(&self) -> usize {
        self.tensors().iter().map(|(_, shape)| shape.iter().product::<usize>()).sum()
    }

    /// Every tensor once: what is shared stands where it is first used.
    pub fn tensors(&self) -> Vec<Tensor> {
        let mut all = Tensors { list: Vec::new(), size: *self };
        all.embeddings();
        for layer in 0..self.encoder_layers {
            all.encoder_layer(&format!("encoder.layers.{layer}."));
        }
        all.last("encoder.");
        if self.masked_head {
            all.linear("encoder.lm_head.dense", self.d, self.d);
            all.norm("encoder.lm_head.layer_norm");
            all.one("encoder.lm_head.bias", &[self.vocab]);
        }
        for layer in 0..self.decoder_layers {
            all.decoder_layer(&format!("decoder.layers.{layer}."));
        }
        if self.decoder_layers > 0 {
            all.last("decoder.");
        }
        all.list
    }
}

struct Tensors {
    list: Vec<Tensor>,
    size: Size,
}

impl Tensors {
    fn one(&mut self, name: &str, shape: &[usize]) {
        self.list.push((name.to_string(), shape.to_vec()));
    }

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) {
        self.one(&format!("{name}.weight"), &[outputs, inputs]);
        self.one(&format!("{name}.bias"), &[outputs]);
    }

    fn norm(&mut self, name: &str) {
        self.one(&format!("{name}.weight"), &[self.size.d]);
        self.one(&format!("{name}.bias"), &[self.size.d]);
    }

    fn embeddings(&mut self) {
        let Size { d, l, vocab, positions, embedding_norms, decoder_layers, .. } = self.size;
        self.one("encoder.embed_tokens.weight", &[vocab, d]);
        self.one("encoder.projected_embeddings", &[l, d]);
        let stacks: &[&str] = if decoder_layers > 0 { &["encoder", "decoder"] } else { &["encoder"] };
        for stack in stacks {
            if positions > 0 {
                self.one(&format!("{stack}.embed_positions.weight"), &[positions, d]);
            }
            if embedding_norms {
                self.norm(&format!("{stack}.layernorm_embedding"));
            }
        }
        if embedding_norms {
            self.norm("encoder.layernorm_porjected_embedding"); // the authors' spelling
        }
    }

    /// `square` projections (d, d) of one attention.
    fn attention(&mut self, name: &str, square: &[&str]) {
        for projection in square {
            self.linear(&format!("{name}.{projection}"), self.size.d, self.size.d);
        }
    }

    fn luna_attention(&mut self, name: &str) {
        self.attention(
            name,
            if self.size.tied {
                &["pq_proj", "q_proj", "pc_proj", "c_proj", "out_proj"]
            } else {
                &["pq_proj", "q_proj", "pk_proj", "pv_proj", "k_proj", "v_proj", "out_proj"]
            },
        );
    }

    fn causal_attention(&mut self, name: &str) {
        self.attention(
            name,
            if self.size.tied {
                &["pq_proj", "q_proj", "pc_proj", "c_proj", "out_proj"]
            } else {
                &["pq_proj", "q_proj", "pc_proj", "k_proj", "v_proj", "out_proj"]
            },
        );
    }

    fn feed_forward(&mut self, layer: &str) {
        let Size { d, ffn, .. } = self.size;
        self.linear(&format!("{layer}fc1"), ffn, d);
        self.linear(&format!("{layer}fc2"), d, ffn);
        self.norm(&format!("{layer}final_layer_norm"));
    }

    fn encoder_layer(&mut self, layer: &str) {
        self.luna_attention(&format!("{layer}self_attn"));
        for norm in ["self_attn_layer_norm", "self_atten_proj_layer_norm"] {
            self.norm(&format!("{layer}{norm}"));
        }
        self.feed_forward(layer);
    }

    fn decoder_layer(&mut self, layer: &str) {
        self.causal_attention(&format!("{layer}self_attn"));
        self.luna_attention(&format!("{layer}encoder_attn"));
        for norm in ["self_attn_layer_norm", "encoder_attn_layer_norm", "encoder_atten_proj_layer_norm"] {
            self.norm(&format!("{layer}{norm}"));
        }
        self.feed_forward(layer);
    }

    fn last(&mut self, stack: &str) {
        if self.size.pre_norm {
            self.norm(&format!("{stack}layer_norm"));
            self.norm(&format!("{stack}proj_layer_norm"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of a Transformer's tensors (Vaswani 2017, base): per layer 4 or 8 projections (d, d) with biases, a
    /// feed-forward network, 2 or 3 norms.
    fn transformer(d: usize, ffn: usize, layers: usize, vocab: usize) -> usize {
        let (square, feed) = (d * d + d, 2 * d * ffn + ffn + d);
        layers * (4 * square + feed + 4 * d) + layers * (8 * square + feed + 6 * d) + vocab * d
    }

    fn millions(parameters: usize) -> f64 {
        (parameters as f64 / 1e5).round() / 10.0
    }

    #[test]
    fn translation_models_have_the_published_sizes() {
        // The paper gives its Transformer 64.9 million with this data; that decides the vocabulary.
        let vocab = (64_900_000 - transformer(512, 2048, 6, 0)) / 512;
        assert!((40_000..41_000).contains(&vocab), "{vocab}");
        let sizes = [true, false].map(|tied| millions(Size::wmt_base(16, tied, vocab).parameters()));
        assert_eq!(sizes, [69.6, 77.5]);
        let more =
            Size::wmt_base(32, true, vocab).parameters() - Size::wmt_base(16, true, vocab).parameters();
        assert_eq!(more, 16 * 512);
    }

    #[test]
    fn masked_language_models_have_the_published_sizes() {
        let sizes = [true, false].map(|tied| millions(Size::bert_base(128, tied).parameters()));
        assert_eq!(sizes, [131.9, 146.1]);
    }
}
