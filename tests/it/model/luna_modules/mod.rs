//! The Luna authors' modules: against their own numbers, and by what they promise.

mod golden;
mod laws;

use std::collections::BTreeMap;
use std::path::Path;

use luna::model::Activation;
use luna::model::luna::{LayerConfig, Named, Size};
use luna::rng::{normal, stream};
use ndarray::{Array2, ArrayD, IxDyn};

type Tensors = BTreeMap<String, ArrayD<f32>>;

/// Sizes that differ wherever they may, for random models.
fn small(tied: bool, pre_norm: bool) -> (Size, LayerConfig) {
    let (d, ffn, l) = (24, 40, 5);
    let size = Size {
        d,
        ffn,
        l,
        tied,
        pre_norm,
        encoder_layers: 2,
        decoder_layers: 3,
        vocab: 7,
        positions: 0,
        embedding_norms: false,
        masked_head: false,
    };
    let config = LayerConfig { pack_heads: 4, pre_norm, ..LayerConfig::new(d, ffn, 3) };
    (size, LayerConfig { activation: Activation::Gelu, ..config })
}

/// Random numbers for every tensor of a model.
fn random(size: &Size) -> Tensors {
    let tensor = |(name, shape): (String, Vec<usize>)| {
        let columns = shape.last().copied().unwrap_or(1);
        let rows = shape.iter().product::<usize>() / columns;
        let numbers = normal(&mut stream(5, &name), rows, columns) * 0.3;
        (name, numbers.into_shape_with_order(IxDyn(&shape)).expect("as many numbers"))
    };
    size.tensors().into_iter().map(tensor).collect()
}

fn named(tensors: &Tensors) -> Named {
    Named::new(Path::new("memory"), tensors.clone())
}

fn rows(label: &str, n: usize, d: usize) -> Array2<f32> {
    normal(&mut stream(6, label), n, d)
}
