//! Heads of Luna's encoders, watched: their factors are what the modules apply.

use std::path::Path;

use luna::attention::luna_causal::{Average, Packing, Weight};
use luna::layer::{CausalLunaAttention, Context, LunaAttention, Rows};
use luna::linalg::operator::Operator;
use luna::model::{HeadTap, ModelInput, Named, Observer};
use luna::network::{Encoder, EncoderConfig, Head, Mechanism, Network};
use ndarray::{Array2, ArrayView2, Axis, s};
use serde_json::json;

use super::super::Everything;
use super::super::luna_modules::Loaded;
use super::file::write;
use super::{small, weights};

const BOUND: f32 = 2e-5;
const N: usize = 31;

/// Every form of Luna that has heads to watch.
pub(super) fn lunas() -> Vec<EncoderConfig> {
    let causal = |tied, packing| Mechanism::LunaCausal { l: 5, tied, packing };
    // The authors' form, and one that forgets.
    let packing = |tied| match tied {
        true => Packing::from(Weight::Softplus),
        false => Packing { weight: Weight::Elu, average: Average::Learned },
    };
    let mut all = Vec::new();
    for pre_norm in [false, true] {
        for p_chain in [true, false] {
            for tied in [true, false] {
                let config = EncoderConfig {
                    vocab: Some(9),
                    positions: 40,
                    embedding_norm: true,
                    p_chain,
                    ..small(Mechanism::Luna { l: 5, tied }, pre_norm)
                };
                all.push(config);
                let mechanism = causal(tied, packing(tied));
                all.push(EncoderConfig { mechanism, causal: true, head: Head::Tokens, ..config });
            }
        }
    }
    all
}

fn ids() -> Vec<u32> {
    (0..N).map(|j| (j * 5 % 9) as u32).collect()
}

fn watched(named: &Named, config: &EncoderConfig) -> Vec<HeadTap> {
    let mut seen = Everything::default();
    Encoder::load(named, config).unwrap().watch(&ids(), &mut seen).unwrap();
    seen.0
}

fn furthest(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> f32 {
    assert_eq!(a.dim(), b.dim());
    a.iter().zip(b).fold(0.0, |far, (a, b)| if (a - b).is_nan() { f32::NAN } else { far.max((a - b).abs()) })
}

/// X and P as they come to the lowest layer's attention.
fn lowest(named: &Named, config: &EncoderConfig) -> (Array2<f32>, Array2<f32>) {
    let norm = |x: Array2<f32>, of: &Named, name: &str| {
        let mean = x.mean_axis(Axis(1)).unwrap().insert_axis(Axis(1));
        let std = (x.var_axis(Axis(1), 0.0) + 1e-5).mapv(f32::sqrt).insert_axis(Axis(1));
        let vector = |part: &str| of.vector(&format!("{name}.{part}"), 24).unwrap();
        (x - mean) / std * &vector("weight") + &vector("bias")
    };
    let tokens = named.matrix("embed_tokens.weight", (9, 24)).unwrap();
    let positions = named.matrix("embed_positions.weight", (40, 24)).unwrap();
    let rows: Vec<usize> = ids().iter().map(|id| *id as usize).collect();
    let layer = named.within("layers").within("0");
    let mut x =
        norm(tokens.select(Axis(0), &rows) + positions.slice(s![..N, ..]), named, "layernorm_embedding");
    let mut p = if config.p_chain {
        let p = named.matrix("projected_embeddings", (5, 24)).unwrap();
        norm(p, named, "layernorm_porjected_embedding")
    } else {
        layer.matrix("projected_embeddings", (5, 24)).unwrap()
    };
    if config.pre_norm {
        x = norm(x, &layer, "self_attn_layer_norm");
        if config.p_chain && !config.causal {
            p = norm(p, &layer, "self_atten_proj_layer_norm");
        }
    }
    (x, p)
}

/// `out_proj` of what the heads read, side by side.
fn projected(attention: &Named, heads: &[Array2<f32>]) -> Array2<f32> {
    let read =
        ndarray::concatenate(Axis(1), &heads.iter().map(|head| head.view()).collect::<Vec<_>>()).unwrap();
    let weight = attention.matrix("out_proj.weight", (24, 24)).unwrap();
    read.dot(&weight.t()) + attention.vector("out_proj.bias", 24).unwrap()
}

#[test]
fn of_causal_luna_the_matrix_times_the_values_is_what_the_module_reads() {
    for config in lunas().into_iter().filter(|config| config.causal) {
        let named = weights(&config, 7);
        let (x, p) = lowest(&named, &config);
        let attention = named.within("layers").within("0").within("self_attn");
        let Mechanism::LunaCausal { packing, tied, .. } = config.mechanism else { unreachable!() };
        let module = Loaded::new(&named, |layout| {
            CausalLunaAttention::declare(layout, "layers.0.self_attn", [24, 3], packing, tied, 0)
        });
        let (both, rows) = ((x.view(), p.view()), Rows::of([x.nrows()]));
        let expected = module.layer.forward(module.pass(), both, &rows, None, None).unwrap();
        let taps = watched(&named, &config);
        let read: Vec<Array2<f32>> =
            taps[..3].iter().map(|tap| tap.factors.as_ref().unwrap().matrix().dot(&tap.v)).collect();
        let off = furthest(projected(&attention, &read).view(), expected.view());
        assert!(off < BOUND, "{config:?}: {off:e}");
        for tap in &taps {
            let factors = tap.factors.as_ref().unwrap();
            assert!(tap.causal && factors.causal && factors.rank().is_none());
            let matrix = factors.matrix();
            assert!(matrix.indexed_iter().all(|((i, j), x)| if j > i { *x == 0.0 } else { *x >= 0.0 }));
            assert!(furthest(factors.read(tap.v.view()).view(), matrix.dot(&tap.v).view()) < BOUND);
        }
    }
}

#[test]
fn of_luna_the_factors_are_those_of_the_module() {
    for config in lunas().into_iter().filter(|config| !config.causal) {
        let named = weights(&config, 7);
        let (x, p) = lowest(&named, &config);
        let Mechanism::Luna { tied, .. } = config.mechanism else { unreachable!() };
        let module = Loaded::new(&named, |layout| {
            LunaAttention::declare(layout, "layers.0.self_attn", 24, [3, 3], tied, 0)
        });
        let (rows, p_rows) = (Rows::of([x.nrows()]), Rows::of([p.nrows()]));
        let context = Context { x: x.view(), rows: &rows };
        let packed = module.layer.pack(module.pass(), p.view(), &p_rows, context, None).unwrap();
        let unpack = module.layer.unpack_weights(module.pass(), x.view(), &packed);
        let taps = watched(&named, &config);
        assert_eq!(taps.len(), 6);
        for tap in &taps[..3] {
            let factors = tap.factors.as_ref().unwrap();
            let columns = s![.., tap.head * 8..(tap.head + 1) * 8];
            let y_p = furthest(factors.pack.dot(&tap.v).view(), packed.y_p.slice(columns));
            assert!(y_p < BOUND, "{config:?}: {y_p:e}");
            let a_u = furthest(factors.unpack.view(), unpack.index_axis(Axis(0), tap.head));
            assert!(a_u < BOUND, "{config:?}: {a_u:e}");
        }
        for tap in &taps {
            let factors = tap.factors.as_ref().unwrap();
            assert_eq!((tap.q.dim(), tap.k.dim(), tap.v.dim()), ((N, 8), (N, 8), (N, 8)));
            assert_eq!((factors.unpack.dim(), factors.pack.dim()), ((N, 5), (5, N)));
            assert_eq!((factors.shape(), factors.rank(), tap.causal), ((N, N), Some(5), false));
            for weights in [&factors.unpack, &factors.pack, &factors.matrix()] {
                assert!(weights.sum_axis(Axis(1)).iter().all(|sum| (sum - 1.0).abs() < 1e-5));
            }
            assert!(furthest(factors.read(tap.v.view()).view(), factors.matrix().dot(&tap.v).view()) < BOUND);
        }
    }
}

#[test]
fn a_sequence_shorter_than_p_uses_as_many_rows() {
    let config = lunas()[0];
    let mut seen = Everything::default();
    Encoder::random(&config, 1).unwrap().watch(&[1, 2, 3], &mut seen).unwrap();
    assert!(seen.0.iter().all(|tap| tap.factors.as_ref().unwrap().unpack.dim() == (3, 3)));
}

/// Watches one layer and nothing above it.
#[derive(Default)]
struct Lowest(usize);

impl Observer for Lowest {
    fn wants_layer(&self, layer: usize) -> bool {
        layer == 0
    }

    fn last_layer(&self) -> Option<usize> {
        Some(0)
    }

    fn head(&mut self, head: HeadTap) -> luna::Result<()> {
        assert_eq!((head.layer, head.head), (0, self.0));
        self.0 += 1;
        Ok(())
    }
}

#[test]
fn an_observer_sees_what_it_wants() {
    for config in lunas() {
        let mut seen = Lowest::default();
        Encoder::random(&config, 1).unwrap().watch(&ids(), &mut seen).unwrap();
        assert_eq!(seen.0, 3);
    }
    let encoder = Encoder::random(&lunas()[0], 1).unwrap();
    let refused = |ids: &[u32]| encoder.watch(ids, &mut Lowest::default()).unwrap_err().to_string();
    assert!(refused(&[]).contains("1 or more"), "{}", refused(&[]));
    assert!(refused(&[9]).contains("ids below 9"), "{}", refused(&[9]));
    let linear = EncoderConfig { vocab: Some(9), ..small(Mechanism::Linear, false) };
    let text = Encoder::random(&linear, 1).unwrap().watch(&ids(), &mut Lowest::default()).unwrap_err();
    let expected = "attention of an encoder whose heads are watched: 'linear' is not accepted; accepted: luna, luna-causal";
    assert_eq!(text.to_string(), expected);
}

#[test]
fn a_network_is_a_model_or_luna_and_others_are_refused_by_name() {
    let opened = |config: &EncoderConfig, dir: &Path| {
        write(dir, config, &json!({"tokens": "bytes"}));
        Network::open(dir)
    };
    for config in lunas() {
        let dir = tempfile::tempdir().unwrap();
        let network = opened(&config, dir.path()).unwrap();
        assert_eq!(network.luna(), Some(config.mechanism));
        assert_eq!((network.shape(), network.is_causal(), network.family()), ((2, 3), config.causal, "luna"));
        let reader = network.reader();
        assert_eq!((reader.vocab, reader.positions, reader.first_byte), (9, 40, Some(0)));
        let (mut ours, mut theirs) = (Everything::default(), Everything::default());
        network.watch(ModelInput::Tokens(&ids()), &mut ours).unwrap();
        Encoder::random(&config, 3).unwrap().watch(&ids(), &mut theirs).unwrap();
        assert!(ours.0.iter().zip(&theirs.0).all(|(a, b)| a.factors == b.factors && a.v == b.v));
    }
    let bare = EncoderConfig { vocab: None, head: Head::None, ..lunas()[0] };
    let dir = tempfile::tempdir().unwrap();
    let text = opened(&bare, dir.path()).err().unwrap().to_string();
    assert!(text.contains("'vocab'") && !text.contains('\n'), "{text}");
    for mechanism in
        [Mechanism::Linformer { l: 7, max: 40 }, Mechanism::Linear, Mechanism::Performer { l: 4 }]
    {
        let config = EncoderConfig { mechanism, ..lunas()[0] };
        let text = opened(&config, dir.path()).err().unwrap().to_string();
        let named =
            format!("key 'attention' holds \"{}\"; expected softmax, luna or luna-causal", mechanism.spec());
        assert!(text.contains(&named) && !text.contains('\n'), "{text}");
    }
    let softmax = EncoderConfig { mechanism: Mechanism::Softmax, ..lunas()[0] };
    assert!(matches!(opened(&softmax, dir.path()).unwrap(), Network::Softmax(_)));
    assert!(Network::open(&dir.path().join("nowhere")).err().unwrap().to_string().contains("no such folder"));
}
