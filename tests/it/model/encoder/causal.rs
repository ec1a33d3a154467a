//! Causal stacks, a P of each layer's own, and heads.

use luna::attention::luna_causal::{Average, Packing, Weight};
use luna::cost::Tally;
use luna::layer::{CausalLunaAttention, LunaAttention, Rows, Streams};
use luna::model::Activation;
use luna::model::Named;
use luna::network::{ALL, Encoder, EncoderConfig, Head, Mechanism, Stream};
use ndarray::{Array1, Array2, Axis, s};

use super::super::luna_modules::Loaded;
use super::{batch, furthest, small, weights};

const BOUND: f32 = 2e-5;

/// Every causal stack, norms behind blocks and before them, and causal Luna with one P and with many.
pub(super) fn stacks() -> Vec<EncoderConfig> {
    let luna = |l, tied, packing| Mechanism::LunaCausal { l, tied, packing };
    let decaying = |average| Packing { average, ..Packing::default() };
    let mechanisms = [
        Mechanism::Softmax,
        Mechanism::Linear,
        Mechanism::Performer { l: 11 },
        Mechanism::Local { l: 8 },
        luna(5, true, Weight::Softplus.into()),
        luna(6, false, Weight::Softplus.into()),
        luna(5, true, Weight::Elu.into()),
        luna(6, false, Weight::Elu.into()),
        luna(5, true, decaying(Average::Decaying(0.9))),
        luna(6, false, decaying(Average::Learned)),
        Mechanism::Materialised,
    ];
    let mut all = Vec::new();
    for mechanism in mechanisms {
        for pre_norm in [false, true] {
            let config = EncoderConfig { causal: true, ..small(mechanism, pre_norm) };
            all.push(config);
            if let Mechanism::LunaCausal { .. } = mechanism {
                all.push(EncoderConfig { p_chain: false, ..config });
            }
        }
    }
    all
}

/// Luna's own layers by a P of each layer's own.
fn own_p() -> Vec<EncoderConfig> {
    let mut all = Vec::new();
    for (tied, pre_norm) in [(true, false), (false, false), (true, true), (false, true)] {
        all.push(EncoderConfig { p_chain: false, ..small(Mechanism::Luna { l: 5, tied }, pre_norm) });
    }
    all
}

#[test]
fn a_row_does_not_see_what_follows() {
    for config in stacks() {
        let encoder = Encoder::load(&weights(&config, 1), &config).unwrap();
        let x = batch("x", 1, 75, 24);
        let whole = encoder.forward_vectors(x.clone(), None).unwrap().x;
        for n in [1, 2, 31, 64, 70] {
            let first = encoder.forward_vectors(x.slice(s![.., ..n, ..]).to_owned(), None).unwrap().x;
            let off = furthest(&first, &whole.slice(s![.., ..n, ..]).to_owned());
            assert!(off < BOUND, "{config:?}, {n} rows: {off:e}");
        }
    }
}

#[test]
fn a_batch_is_its_sequences_and_padding_does_not_matter() {
    let (n, real) = (70, [70, 9, 1]);
    for config in stacks().into_iter().chain(own_p()) {
        let encoder = Encoder::load(&weights(&config, 2), &config).unwrap();
        let mut x = batch("x", 3, n, 24);
        let alone = |at: usize, x: &ndarray::Array3<f32>| {
            let one = x.slice(s![at..=at, ..real[at], ..]).to_owned();
            encoder.forward_vectors(one, None).unwrap().x
        };
        let alone = [0, 1, 2].map(|at| alone(at, &x));
        for (at, real) in real.iter().enumerate() {
            x.slice_mut(s![at, *real.., ..]).fill(f32::NAN);
        }
        let all = encoder.forward_vectors(x, Some(&real)).unwrap();
        assert!(all.p.is_none() && encoder.p().is_none(), "no P is carried");
        for (at, (alone, real)) in alone.iter().zip(real).enumerate() {
            let off = furthest(&all.x.slice(s![at..=at, ..real, ..]).to_owned(), alone);
            assert!(off < BOUND, "{config:?}, sequence {at}: {off:e}");
        }
    }
}

#[test]
fn counts_of_what_was_done_are_the_closed_forms() {
    for config in stacks().into_iter().chain(own_p()) {
        let encoder = Encoder::load(&weights(&config, 1), &config).unwrap();
        for (b, n) in [(1, 1), (1, 3), (2, 33), (3, 70)] {
            let tally = Tally::default();
            let mut stream = Stream::new(batch("x", b, n, 24), None);
            for layer in encoder.layers() {
                stream = layer.forward_counted(stream, None, &tally).unwrap();
            }
            assert_eq!(tally.macs(), encoder.cost(b, n).macs, "{config:?} {b} x {n}");
        }
        let [once, twice] = [1 << 14, 1 << 15].map(|n| encoder.extra_bytes(1, n, 2) as f64);
        let exponent = if config.mechanism == Mechanism::Materialised { 2.0 } else { 1.0 };
        assert!(((twice / once).log2() - exponent).abs() < 0.05, "memory grows with the length");
    }
}

#[test]
fn parameters_follow_the_tables_of_tensors() {
    let (d, ffn, layers, l) = (24, 40, 2, 5);
    let (square, feed) = (d * d + d, 2 * d * ffn + ffn + d);
    for (tied, squares) in [(true, 5), (false, 6)] {
        let mechanism = Mechanism::LunaCausal { l, tied, packing: Weight::Softplus.into() };
        for (p_chain, p) in [(true, l), (false, layers * l)] {
            let config = EncoderConfig { causal: true, p_chain, ..small(mechanism, false) };
            let expected = layers * (squares * square + feed + 4 * d) + p * d;
            assert_eq!(config.parameters(), expected);
            let whole = EncoderConfig {
                vocab: Some(9),
                positions: 7,
                embedding_norm: true,
                pre_norm: true,
                head: Head::Tokens,
                ..config
            };
            let norms = if p_chain { 3 } else { 2 };
            assert_eq!(whole.parameters(), expected + (9 + 7) * d + norms * 2 * d);
            let named = EncoderConfig { head: Head::Classes(3), ..whole };
            assert_eq!(named.parameters(), whole.parameters() + 3 * d + 3);
        }
    }
    let own = EncoderConfig { p_chain: false, ..small(Mechanism::Luna { l, tied: true }, true) };
    assert_eq!(own.parameters(), layers * (5 * square + feed + 4 * d + l * d) + 2 * d);
}

/// A layer with norms behind its blocks and relu, by hand from what its attention gave.
fn by_hand(named: &Named, x: &Array2<f32>, y: &Array2<f32>) -> Array2<f32> {
    let vector = |name: &str, length: usize| named.vector(name, length).unwrap();
    let norm = |x: Array2<f32>, name: &str| {
        let x = x.mapv(f64::from);
        let mean = x.mean_axis(Axis(1)).unwrap().insert_axis(Axis(1));
        let std = (x.var_axis(Axis(1), 0.0) + 1e-5).mapv(f64::sqrt).insert_axis(Axis(1));
        let rows = ((x - mean) / std).mapv(|x| x as f32);
        rows * &vector(&format!("{name}.weight"), 24) + &vector(&format!("{name}.bias"), 24)
    };
    let x = norm(x + y, "self_attn_layer_norm");
    let inner = x.dot(&named.matrix("fc1.weight", (40, 24)).unwrap().t()) + &vector("fc1.bias", 40);
    let outer = inner.mapv(|x| x.max(0.0)).dot(&named.matrix("fc2.weight", (24, 40)).unwrap().t());
    norm(x + outer + &vector("fc2.bias", 24), "final_layer_norm")
}

#[test]
fn layers_are_the_authors_attention_between_the_blocks_of_a_transformer() {
    let causal = [true, false].map(|p_chain| EncoderConfig { p_chain, ..stacks()[8] });
    for config in causal.into_iter().chain(own_p().into_iter().take(2)) {
        let config = EncoderConfig { activation: Activation::Relu, ..config };
        let named = weights(&config, 3);
        let mut x = batch("x", 1, 31, 24).index_axis_move(Axis(0), 0);
        let top =
            Encoder::load(&named, &config).unwrap().forward_vectors(x.clone().insert_axis(Axis(0)), None);
        for layer in 0..2 {
            let of = named.within("layers").within(&layer.to_string());
            let p = if config.p_chain { &named } else { &of };
            let p = p.matrix("projected_embeddings", (5, 24)).unwrap();
            let streams = Streams { x: &Rows::of([x.nrows()]), p: &Rows::of([p.nrows()]) };
            let y = match config.mechanism {
                Mechanism::LunaCausal { tied, packing, .. } => {
                    let module = Loaded::new(&of, |layout| {
                        CausalLunaAttention::declare(layout, "self_attn", [24, 3], packing, tied, 0)
                    });
                    let both = (x.view(), p.view());
                    module.layer.forward(module.pass(), both, streams.x, None, None)
                }
                Mechanism::Luna { tied, .. } => {
                    let module = Loaded::new(&of, |layout| {
                        LunaAttention::declare(layout, "self_attn", 24, [3, 3], tied, 0)
                    });
                    let luna = &module.layer;
                    luna.forward(module.pass(), x.view(), p.view(), streams, None, None).map(|(y, _)| y)
                }
                _ => unreachable!(),
            };
            x = by_hand(&of, &x, &y.unwrap());
        }
        let off = furthest(&top.unwrap().x, &x.insert_axis(Axis(0)));
        assert!(off < BOUND, "{config:?}: {off:e}");
    }
}

#[test]
fn the_p_of_a_causal_stack_is_normalised_with_the_embeddings() {
    let config = EncoderConfig { embedding_norm: true, ..stacks()[8] };
    let lowest = |config: &EncoderConfig| {
        let encoder = Encoder::random(config, 5).unwrap();
        let layer = encoder.layers().next().unwrap();
        layer.forward(Stream::new(batch("x", 1, 20, 24), None), None).unwrap()
    };
    assert_ne!(lowest(&config), lowest(&EncoderConfig { embedding_norm: false, ..config }));
}

#[test]
fn a_classifier_reads_the_mean_of_real_rows() {
    let config = EncoderConfig {
        vocab: Some(9),
        positions: 12,
        head: Head::Classes(3),
        ..small(Mechanism::Luna { l: 5, tied: true }, false)
    };
    let named = weights(&config, 4);
    let encoder = Encoder::load(&named, &config).unwrap();
    let ids = Array2::from_shape_fn((2, 11), |(i, j)| ((i * 5 + j) % 9) as u32);
    let real = [11, 4];
    let x = encoder.forward(ids.view(), Some(&real)).unwrap().x;
    let logits = encoder.logits(ids.view(), Some(&real)).unwrap();
    let weight = named.matrix("classifier.weight", (3, 24)).unwrap();
    let bias = named.vector("classifier.bias", 3).unwrap();
    for (at, real) in real.into_iter().enumerate() {
        let mean = x.slice(s![at, ..real, ..]).mean_axis(Axis(0)).unwrap();
        let expected: Array1<f32> = weight.dot(&mean) + &bias;
        assert!((&logits.row(at) - &expected).iter().all(|off| off.abs() < 1e-5));
    }
    let error = encoder.logits(ids.view(), Some(&[0, 4])).unwrap_err().to_string();
    assert!(error.contains("real tokens of sequence 1"), "{error}");
    let error = encoder.token_logits(ids.view()).unwrap_err().to_string();
    assert_eq!(error, "head of this encoder: 'classes' is not accepted; accepted: tokens");
}

#[test]
fn next_tokens_are_read_with_the_table_of_tokens() {
    let config = EncoderConfig { vocab: Some(9), head: Head::Tokens, ..stacks()[0] };
    let named = weights(&config, 4);
    let encoder = Encoder::load(&named, &config).unwrap();
    let ids = Array2::from_shape_fn((2, 11), |(i, j)| ((i * 5 + j) % 9) as u32);
    let logits = encoder.token_logits(ids.view()).unwrap();
    assert_eq!(logits.dim(), (2, 11, 9));
    let x = encoder.forward(ids.view(), None).unwrap().x;
    let table = named.matrix("embed_tokens.weight", (9, 24)).unwrap();
    let expected = table.dot(&x.slice(s![1, 10, ..]));
    assert!((&logits.slice(s![1, 10, ..]) - &expected).iter().all(|off| off.abs() < 1e-4));
    assert!(encoder.logits(ids.view(), None).is_err());
}

#[test]
fn what_cannot_be_causal_is_refused_by_name() {
    let refused = |config: EncoderConfig| Encoder::random(&config, 1).err().unwrap().to_string();
    let fine = stacks()[0];
    for mechanism in [Mechanism::Luna { l: 4, tied: true }, Mechanism::Linformer { l: 4, max: 9 }] {
        let text = refused(EncoderConfig { mechanism, ..fine });
        let expected = format!(
            "attention of a causal encoder: '{}' is not accepted; accepted: softmax, materialised, luna-causal, linear, performer, local",
            mechanism.name()
        );
        assert_eq!(text, expected);
    }
    let text = refused(EncoderConfig { causal: false, ..stacks()[8] });
    assert!(text.starts_with("attention of an encoder that is not causal: 'luna-causal'"), "{text}");
    assert!(text.ends_with("softmax, materialised, luna, linformer, linear, performer, local"), "{text}");
    assert!(refused(EncoderConfig { head: Head::Tokens, ..fine }).contains("without a vocabulary"));
    assert!(refused(EncoderConfig { head: Head::Classes(0), ..fine }).contains("classes"));
}

#[test]
fn a_spec_names_its_mechanism() {
    let mut all: Vec<Mechanism> =
        ALL.iter().map(|kind| Mechanism::build(&kind.name.parse().unwrap()).unwrap()).collect();
    all.extend(super::MECHANISMS);
    all.extend(stacks().iter().map(|config| config.mechanism));
    for mechanism in all {
        let spec = mechanism.spec();
        assert_eq!(Mechanism::build(&spec.parse().unwrap()).unwrap(), mechanism, "{spec}");
    }
    assert_eq!(Mechanism::Luna { l: 16, tied: true }.spec(), "luna:l=16,tied=true");
    let error = Mechanism::build(&"luna-causal:weight=relu".parse().unwrap()).unwrap_err().to_string();
    assert!(error.contains("softplus or elu"), "{error}");
}
