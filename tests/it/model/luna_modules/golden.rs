//! `tests/golden/luna`: every file, every sequence of its batch.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use luna::attention::luna_causal::Weight;
use luna::layer::{
    CausalLunaAttention, Context, DecoderAttention, DecoderLayer, EncoderLayer, LunaAttention, Rows, Stream,
    Streams,
};
use luna::model::{Activation, Named};
use luna::network::translator::TranslatorConfig;
use luna::network::{Encoder, EncoderConfig, Mechanism};
use ndarray::{Array2, ArrayD, Axis};
use safetensors::SafeTensors;

use super::Loaded;
use crate::attention::golden::{Golden, furthest};

const BOUND: f32 = 2e-5;

fn path(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/luna");
    folder.join(format!("{name}.safetensors"))
}

/// One file: its arrays, how it was made, and which rows of the context are padding.
struct File {
    golden: Golden,
    weights: Named,
    config: EncoderConfig,
    pack_heads: usize,
    tied: bool,
    batch: usize,
    padding: Option<Vec<Vec<bool>>>,
}

impl File {
    fn read(name: &str) -> Self {
        let bytes = std::fs::read(path(name)).unwrap();
        let made: HashMap<String, String> =
            SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap();
        let number = |key: &str| made[key].parse::<usize>().unwrap_or(1);
        let flag = |key: &str| made[key].parse::<bool>().unwrap();
        let (golden, tied) = (Golden::read("luna", name), flag("tie_kv"));
        let mechanism = Mechanism::Luna { l: golden.three("in.p").dim().0, tied };
        let sizes = ["d", "heads", "ffn", "layers"].map(number);
        let [d, heads, ffn, layers] = sizes;
        let config = EncoderConfig {
            pre_norm: flag("pre_norm"),
            activation: Activation::find(made["activation"].trim_matches('"')).unwrap(),
            ..EncoderConfig::new(mechanism, d, heads, ffn, layers)
        };
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let padding = tensors.tensor("in.context_padding_mask").ok().map(|mask| {
            mask.data().chunks(mask.shape()[1]).map(|row| row.iter().map(|x| *x != 0).collect()).collect()
        });
        let weights = Named::open(&path(name)).unwrap();
        let name = if layers > 1 { "w.0.self_attn.c_proj.weight" } else { "w.c_proj.weight" };
        assert_eq!(weights.has(name), tied);
        Self {
            golden,
            weights,
            config,
            pack_heads: number("pack_heads"),
            tied,
            batch: number("batch"),
            padding,
        }
    }

    /// One sequence of a (time, batch, channel) array.
    fn sequence(&self, name: &str, of: usize) -> Array2<f32> {
        self.golden.three(name).index_axis(Axis(1), of).to_owned()
    }

    /// The rows of a sequence of so many rows that are not padding.
    fn real(&self, of: usize, rows: usize) -> Vec<usize> {
        let padding = self.padding.as_ref().map(|padding| &padding[of]);
        (0..rows).filter(|row| padding.is_none_or(|padding| !padding[*row])).collect()
    }

    /// Layer by layer: each gets what ours made of the rows that are not padding, and must give what theirs gave.
    fn layer_by_layer(&self, forward: impl Fn(usize, Stream, usize) -> luna::Result<Stream>) {
        for of in 0..self.batch {
            let x = self.sequence("in.x", of);
            let real = self.real(of, x.nrows());
            let p = Some(self.sequence("in.p", of));
            let mut stream = Stream { x: x.select(Axis(0), &real), p };
            for layer in 0..self.config.layers {
                stream = forward(layer, stream, of).unwrap();
                let expected = self.sequence(&format!("out.layer{layer}.x"), of).select(Axis(0), &real);
                close(&stream.x, &expected, &format!("x of layer {layer}"));
                let expected = self.sequence(&format!("out.layer{layer}.p"), of);
                close(stream.p.as_ref().unwrap(), &expected, &format!("p of layer {layer}"));
            }
        }
    }
}

/// Calls with the rows of one sequence and of its P.
fn one<T>(x: &Array2<f32>, p: &Array2<f32>, call: impl FnOnce(Streams<'_>) -> T) -> T {
    call(Streams { x: &Rows::of([x.nrows()]), p: &Rows::of([p.nrows()]) })
}

fn close(found: &Array2<f32>, expected: &Array2<f32>, what: &str) {
    let off = furthest(found, expected);
    assert!(off <= BOUND, "{what}: off by {off:e}");
}

fn attention(name: &str) {
    let file = File::read(name);
    let heads = [file.config.heads, file.pack_heads];
    let module = Loaded::new(&file.weights, |layout| {
        LunaAttention::declare(layout, "w", file.config.d, heads, file.tied, 0)
    });
    let (pass, layer) = (module.pass(), &module.layer);
    let weights = file.golden.array("out.unpack_weights");
    for of in 0..file.batch {
        let (x, p) = (file.sequence("in.x", of), file.sequence("in.p", of));
        let context = if file.golden.has("in.context") { file.sequence("in.context", of) } else { x.clone() };
        let context = context.select(Axis(0), &file.real(of, context.nrows()));
        let rows = Rows::of([context.nrows()]);
        let context = Context { x: context.view(), rows: &rows };
        one(&x, &p, |streams| {
            let (y_x, y_p) = layer.forward(pass, x.view(), p.view(), streams, Some(context), None).unwrap();
            close(&y_x, &file.sequence("out.y_x", of), "y_x");
            close(&y_p, &file.sequence("out.y_p", of), "y_p");
            let packed = layer.pack(pass, p.view(), streams.p, context, None).unwrap();
            let found = layer.unpack_weights(pass, x.view(), &packed).into_dyn();
            let off = furthest(&found, &weights.index_axis(Axis(1), of));
            assert!(off <= BOUND, "unpack weights: off by {off:e}");
        });
    }
}

#[test]
fn attention_tied_and_untied() {
    attention("luna_attention_tied");
    attention("luna_attention_untied");
}

#[test]
fn attention_with_other_pack_heads() {
    assert_ne!(File::read("luna_attention_packheads_differ").pack_heads, 3);
    attention("luna_attention_packheads_differ");
}

#[test]
fn cross_attention_over_a_padded_context() {
    for name in ["luna_cross_attention_padded_tied", "luna_cross_attention_padded_untied"] {
        assert!(File::read(name).padding.unwrap().concat().contains(&true));
        attention(name);
    }
}

#[test]
fn causal_attention_whole_and_row_by_row() {
    for name in ["luna_causal_tied", "luna_causal_untied"] {
        let file = File::read(name);
        let sizes = [file.config.d, file.config.heads];
        let module = Loaded::new(&file.weights, |layout| {
            CausalLunaAttention::declare(layout, "w", sizes, Weight::Softplus.into(), file.tied, 0)
        });
        let (pass, layer) = (module.pass(), &module.layer);
        for of in 0..file.batch {
            let (x, p) = (file.sequence("in.x", of), file.sequence("in.p", of));
            let expected = file.sequence("out.y_x", of);
            let rows = Rows::of([x.nrows()]);
            let whole = layer.forward(pass, (x.view(), p.view()), &rows, None, None).unwrap();
            close(&whole, &expected, name);
            let mut state = layer.start(pass, p.view());
            let mut y = Array2::zeros(x.raw_dim());
            for (x, mut y) in x.rows().into_iter().zip(y.rows_mut()) {
                y.assign(&layer.step(pass, [&mut state], x.insert_axis(Axis(0))).row(0));
            }
            close(&y, &expected, name);
        }
    }
}

#[test]
fn encoder_layers() {
    for name in ["luna_encoder_2layers_tied", "luna_encoder_2layers_untied", "luna_encoder_prenorm_padded"] {
        let file = File::read(name);
        let named = Named::new(Path::new(name), checkpoint(name));
        let layers = Loaded::new(&named, |layout| {
            [0, 1].map(|at| EncoderLayer::declare(layout, "", &file.config, at))
        });
        file.layer_by_layer(|at, stream, _| {
            let (x, p) = (stream.x.clone(), stream.p.clone().unwrap());
            one(&x, &p, |streams| layers.layer[at].forward(layers.pass(), stream, streams, None))
        });
    }
}

#[test]
fn decoder_layers() {
    for name in ["luna_decoder_2layers_tied", "luna_decoder_2layers_untied"] {
        let file = File::read(name);
        let named = Named::new(Path::new(name), checkpoint(name));
        let layers = Loaded::new(&named, |layout| {
            let luna = DecoderAttention::after(&file.config);
            [0, 1].map(|at| DecoderLayer::declare(layout, "", &file.config, luna, at, 0))
        });
        file.layer_by_layer(|at, stream, of| {
            let context = file.sequence("in.encoder_out", of);
            let rows = Rows::of([context.nrows()]);
            let context = Context { x: context.view(), rows: &rows };
            let (x, p) = (stream.x.clone(), stream.p.clone().unwrap());
            one(&x, &p, |streams| layers.layer[at].forward(layers.pass(), stream, streams, context, None))
        });
    }
}

/// The weights of a file's layers, as they would stand in a checkpoint under `layers.`.
fn checkpoint(name: &str) -> BTreeMap<String, ArrayD<f32>> {
    let golden = Golden::read("luna", name);
    let bytes = std::fs::read(path(name)).unwrap();
    let names = SafeTensors::deserialize(&bytes).unwrap();
    let weights = names.names().into_iter().filter_map(|name| Some((name, name.strip_prefix("w.")?)));
    weights.map(|(name, short)| (format!("layers.{short}"), golden.array(name))).collect()
}

#[test]
fn a_stack_ends_with_the_norms_of_pre_norm() {
    let name = "luna_encoder_prenorm_padded";
    let file = File::read(name);
    let mut tensors = checkpoint(name);
    tensors.insert("projected_embeddings".into(), file.sequence("in.p", 0).into_dyn());
    let load = |tensors: &BTreeMap<String, ArrayD<f32>>| {
        Encoder::load(&Named::new(Path::new(name), tensors.clone()), &file.config)
    };
    let missing = load(&tensors).err().unwrap().to_string();
    assert!(missing.contains("'layer_norm.weight'"), "{missing}");
    for (name, gain) in [("layer_norm", 2.0), ("proj_layer_norm", 3.0)] {
        tensors.insert(format!("{name}.weight"), ndarray::Array1::from_elem(24, gain).into_dyn());
        tensors.insert(format!("{name}.bias"), ndarray::Array1::from_elem(24, 0.5).into_dyn());
    }
    let x = file.sequence("in.x", 0);
    let real = file.real(0, x.nrows());
    let x = x.select(Axis(0), &real).insert_axis(Axis(0));
    let found = load(&tensors).unwrap().forward_vectors(x, None).unwrap();
    let expected_x = file.sequence("out.layer1.x", 0).select(Axis(0), &real);
    let expected_p = file.sequence("out.layer1.p", 0);
    for (found, expected, gain) in [(found.x, expected_x, 2.0), (found.p.unwrap(), expected_p, 3.0)] {
        let mut expected = expected;
        for mut row in expected.rows_mut() {
            let (mean, deviation) = (row.mean().unwrap(), row.var(0.0));
            row.mapv_inplace(|x| (x - mean) / (deviation + 1e-5).sqrt() * gain + 0.5);
        }
        close(&found.index_axis(Axis(0), 0).to_owned(), &expected, "last norm");
    }
}

#[test]
fn tensors_are_those_of_the_authors() {
    for (tied, file) in [(true, "tied"), (false, "untied")] {
        let encoder = EncoderConfig {
            vocab: Some(7),
            ..EncoderConfig::new(Mechanism::Luna { l: 5, tied }, 24, 3, 48, 2)
        };
        let layout = TranslatorConfig::new(encoder).layout();
        for stack in ["encoder", "decoder"] {
            let prefix = format!("{stack}.");
            let of_stack =
                layout.entries().iter().filter_map(|entry| Some((entry.name.strip_prefix(&prefix)?, entry)));
            let layers = of_stack.filter(|(name, _)| name.starts_with("layers."));
            let ours: BTreeSet<(String, Vec<usize>)> =
                layers.map(|(name, entry)| (name.to_string(), entry.shape.clone())).collect();
            let theirs = checkpoint(&format!("luna_{stack}_2layers_{file}"));
            let theirs = theirs.into_iter().map(|(name, tensor)| (name, tensor.shape().to_vec())).collect();
            assert_eq!(ours, theirs);
        }
    }
}
