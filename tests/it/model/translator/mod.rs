//! Encoder-decoders in use: against torch, by what they promise, searched, and as the program has them.

mod beam;
mod golden;
mod laws;
mod program;

use std::collections::BTreeMap;
use std::path::Path;

use luna::attention::luna_causal::Weight;
use luna::layer::Entry;
use luna::model::Named;
use luna::network::translator::{DecoderAttention, DecoderKind, Translator, TranslatorConfig};
use luna::network::{EncoderConfig, Mechanism};
use luna::rng::{normal, stream};
use ndarray::{ArrayD, IxDyn};

const VOCAB: usize = 13;

type Tensors = BTreeMap<String, ArrayD<f32>>;

/// Every kind, with sizes that differ wherever they may.
fn configs() -> Vec<TranslatorConfig> {
    let mut all = Vec::new();
    for pre_norm in [false, true] {
        for (positions, embedding_norm) in [(40, true), (0, false)] {
            for (mechanism, weight) in [
                (Mechanism::Softmax, Weight::Softplus),
                (Mechanism::Linear, Weight::Softplus),
                (Mechanism::Luna { l: 5, tied: true }, Weight::Softplus),
                (Mechanism::Luna { l: 5, tied: true }, Weight::Elu),
                (Mechanism::Luna { l: 4, tied: false }, Weight::Softplus),
                (Mechanism::Luna { l: 4, tied: false }, Weight::Elu),
            ] {
                let encoder = EncoderConfig {
                    vocab: Some(VOCAB),
                    positions,
                    embedding_norm,
                    pre_norm,
                    ..EncoderConfig::new(mechanism, 24, 3, 40, 2)
                };
                let mut config = TranslatorConfig { decoder_layers: 3, ..TranslatorConfig::new(encoder) };
                config.decoder.packing = weight.into();
                all.push(config);
                // The encoder's P, then a P of the decoder's own.
                let kinds = match mechanism {
                    Mechanism::Luna { .. } if weight == Weight::Elu => {
                        &[DecoderKind::Softmax, DecoderKind::LunaSelf, DecoderKind::LunaSource][..]
                    }
                    Mechanism::Linear => {
                        &[DecoderKind::Luna, DecoderKind::LunaSelf, DecoderKind::LunaSource][..]
                    }
                    _ => &[],
                };
                for kind in kinds {
                    let l = (mechanism == Mechanism::Linear).then_some(6);
                    let decoder = DecoderAttention { kind: *kind, l, ..config.decoder };
                    all.push(TranslatorConfig { decoder, ..config });
                }
            }
        }
    }
    all
}

/// Random numbers for every tensor, biases and norms too.
fn tensors(config: &TranslatorConfig) -> Tensors {
    let tensor = |entry: &Entry| {
        let (name, shape) = (entry.name.clone(), &entry.shape);
        let columns = shape.last().copied().unwrap_or(1);
        let rows = shape.iter().product::<usize>() / columns;
        // Gains around 1, so that no norm makes everything after it small.
        let gain = f32::from(u8::from(name.contains("norm") && name.ends_with("weight")));
        let elements = normal(&mut stream(8, &name), rows, columns) * 0.3 + gain;
        (name, elements.into_shape_with_order(IxDyn(shape)).unwrap())
    };
    config.layout().entries().iter().map(tensor).collect()
}

fn translator(config: &TranslatorConfig) -> Translator {
    Translator::load(&Named::new(Path::new("memory"), tensors(config)), config).unwrap()
}

/// Tokens that follow no order.
fn ids(n: usize, salt: usize) -> Vec<u32> {
    (0..n).map(|i| ((i * i + 3 * i + salt) % VOCAB) as u32).collect()
}
