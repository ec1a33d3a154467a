//! Whole models of the published sizes, and attention without anything to read.

use std::collections::BTreeMap;
use std::path::Path;

use luna::attention::luna_causal::Weight;
use luna::layer::{CausalLunaAttention, Context, Layout, LunaAttention, Rows, Streams};
use luna::model::Named;
use luna::network::translator::TranslatorConfig;
use luna::network::{EncoderConfig, Mechanism};
use luna::rng::{normal, stream};
use ndarray::{Array2, ArrayD, IxDyn};

use super::Loaded;

/// Random elements for every tensor that is declared.
fn random(declare: impl FnOnce(&mut Layout)) -> BTreeMap<String, ArrayD<f32>> {
    let mut layout = Layout::default();
    declare(&mut layout);
    let elements = normal(&mut stream(5, "tensors"), 1, layout.len()) * 0.3;
    layout.tensors(elements.as_slice().unwrap())
}

fn rows(label: &str, n: usize) -> Array2<f32> {
    normal(&mut stream(6, label), n, 24)
}

/// A context without rows packs into zeros; without P every row of the output is the bias of the output projection.
#[test]
fn without_anything_to_read_there_are_zeros_and_never_nan() {
    let declare = |layout: &mut Layout| LunaAttention::declare(layout, "a", 24, [3, 4], true, 0);
    let tensors = random(|layout| {
        declare(layout);
    });
    let bias = tensors["a.out_proj.bias"].clone();
    let module = Loaded::new(&Named::new(Path::new("memory"), tensors), declare);
    let (x, p, none) = (rows("x", 6), rows("p", 5), Array2::zeros((0, 24)));
    let [of_x, of_p, of_none] = [6, 5, 0].map(|rows| Rows::of([rows]));
    let forward = |p: &Array2<f32>, p_rows: &Rows, context: Context<'_>| {
        let streams = Streams { x: &of_x, p: p_rows };
        module.layer.forward(module.pass(), x.view(), p.view(), streams, Some(context), None).unwrap()
    };
    let (y_x, y_p) = forward(&p, &of_p, Context { x: none.view(), rows: &of_none });
    assert_eq!(y_p, Array2::<f32>::zeros((5, 24)));
    assert!(y_x.iter().all(|x| x.is_finite()));
    let (y_x, _) = forward(&none, &of_none, Context { x: x.view(), rows: &of_x });
    assert!(y_x.rows().into_iter().all(|row| row.into_dyn() == bias));
    let declare = |layout: &mut Layout| {
        CausalLunaAttention::declare(layout, "a", [24, 3], Weight::Softplus.into(), true, 0)
    };
    let tensors = random(|layout| {
        declare(layout);
    });
    let bias = tensors["a.out_proj.bias"].clone();
    let module = Loaded::new(&Named::new(Path::new("memory"), tensors), declare);
    let both = (x.view(), none.view());
    let y = module.layer.forward(module.pass(), both, &of_x, None, None).unwrap();
    assert!(y.rows().into_iter().all(|row| row.into_dyn() == bias));
    let mut state = module.layer.start(module.pass(), none.view());
    let y = module.layer.step(module.pass(), [&mut state], x.slice(ndarray::s![..1, ..]));
    assert_eq!(y.row(0).into_dyn(), bias);
    assert_eq!(IxDyn(y.shape()), IxDyn(&[1, 24]));
}

fn millions(parameters: usize) -> f64 {
    (parameters as f64 / 1e5).round() / 10.0
}

/// The encoder-decoder of the authors' WMT'14 experiments: 6 + 6 layers of width 512.
#[test]
fn translation_models_have_the_published_sizes() {
    let sized = |mechanism, vocab| {
        let encoder = EncoderConfig { vocab: Some(vocab), ..EncoderConfig::new(mechanism, 512, 8, 2048, 6) };
        TranslatorConfig::new(encoder).parameters()
    };
    // The paper gives its Transformer 64.9 million with this data; that decides the vocabulary.
    let vocab = (64_900_000 - sized(Mechanism::Softmax, 1)) / 512 + 1;
    assert!((40_000..41_000).contains(&vocab), "{vocab}");
    let luna = |l, tied| sized(Mechanism::Luna { l, tied }, vocab);
    assert_eq!([true, false].map(|tied| millions(luna(16, tied))), [69.6, 77.5]);
    assert_eq!(luna(32, true) - luna(16, true), 16 * 512);
}

/// The authors' masked language model: 12 layers of width 768, `RoBERTa`'s vocabulary, 512 positions and the two rows that
/// `RoBERTa` keeps before them; and a head over masked tokens, whose output weight is the token table.
#[test]
fn masked_language_models_have_the_published_sizes() {
    let (d, vocab) = (768, 50_265);
    let sizes = [true, false].map(|tied| {
        let config = EncoderConfig {
            vocab: Some(vocab),
            positions: 514,
            embedding_norm: true,
            ..EncoderConfig::new(Mechanism::Luna { l: 128, tied }, d, 12, 3072, 12)
        };
        let head = d * d + d + 2 * d + vocab;
        millions(config.parameters() + head)
    });
    assert_eq!(sizes, [131.9, 146.1]);
}
