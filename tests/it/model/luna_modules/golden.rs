//! `tests/golden/luna`: every file, every sequence of its batch.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use luna::attention::luna_causal::Weight;
use luna::model::Activation;
use luna::model::luna::{
    LayerConfig, LunaAttention, LunaCausalAttention, LunaDecoderLayer, LunaEncoder, LunaEncoderLayer, Named,
    Padding,
};
use ndarray::{Array2, Axis};
use safetensors::SafeTensors;

use super::{Tensors, named, small};
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
    config: LayerConfig,
    layers: usize,
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
        let config = LayerConfig {
            d: number("d"),
            ffn: number("ffn"),
            heads: number("heads"),
            pack_heads: number("pack_heads"),
            pre_norm: flag("pre_norm"),
            activation: Activation::find(made["activation"].trim_matches('"')).unwrap(),
            weight: Weight::Softplus,
            eps: 1e-5,
        };
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let padding = tensors.tensor("in.context_padding_mask").ok().map(|mask| {
            mask.data().chunks(mask.shape()[1]).map(|row| row.iter().map(|x| *x != 0).collect()).collect()
        });
        let weights = Named::open(&path(name)).unwrap().within("w");
        let (layers, batch) = (number("layers"), number("batch"));
        let tied = if layers > 1 { "0.self_attn.c_proj.weight" } else { "c_proj.weight" };
        assert_eq!(weights.has(tied), flag("tie_kv"));
        Self { golden: Golden::read("luna", name), weights, config, layers, batch, padding }
    }

    /// One sequence of a (time, batch, channel) array.
    fn sequence(&self, name: &str, of: usize) -> Array2<f32> {
        self.golden.three(name).index_axis(Axis(1), of).to_owned()
    }

    fn padding(&self, of: usize) -> Padding<'_> {
        Padding { context: self.padding.as_ref().map(|padding| &padding[of][..]), p: None }
    }

    /// Layer by layer: each gets what ours made, and must give what theirs gave.
    fn layer_by_layer(
        &self,
        forward: impl Fn(&Named, Array2<f32>, Array2<f32>, usize) -> luna::Result<(Array2<f32>, Array2<f32>)>,
    ) {
        for of in 0..self.batch {
            let (mut x, mut p) = (self.sequence("in.x", of), self.sequence("in.p", of));
            for layer in 0..self.layers {
                (x, p) = forward(&self.weights.within(&layer.to_string()), x, p, of).unwrap();
                close(&x, &self.sequence(&format!("out.layer{layer}.x"), of), &format!("x of layer {layer}"));
                close(&p, &self.sequence(&format!("out.layer{layer}.p"), of), &format!("p of layer {layer}"));
            }
        }
    }
}

fn close(found: &Array2<f32>, expected: &Array2<f32>, what: &str) {
    let off = furthest(found, expected);
    assert!(off <= BOUND, "{what}: off by {off:e}");
}

fn attention(name: &str) {
    let file = File::read(name);
    let module = LunaAttention::load(&file.weights, &file.config).unwrap();
    let weights = file.golden.array("out.unpack_weights");
    for of in 0..file.batch {
        let (x, p) = (file.sequence("in.x", of), file.sequence("in.p", of));
        let context = if file.golden.has("in.context") { file.sequence("in.context", of) } else { x.clone() };
        let (y_x, y_p) = module.forward(x.view(), p.view(), context.view(), file.padding(of)).unwrap();
        close(&y_x, &file.sequence("out.y_x", of), "y_x");
        close(&y_p, &file.sequence("out.y_p", of), "y_p");
        let packed = module.pack(p.view(), context.view(), file.padding(of)).unwrap();
        let found = module.unpack_weights(x.view(), &packed).unwrap().into_dyn();
        let off = furthest(&found, &weights.index_axis(Axis(1), of));
        assert!(off <= BOUND, "unpack weights: off by {off:e}");
    }
}

#[test]
fn attention_tied_and_untied() {
    attention("luna_attention_tied");
    attention("luna_attention_untied");
}

#[test]
fn attention_with_other_pack_heads() {
    assert_ne!(File::read("luna_attention_packheads_differ").config.pack_heads, 3);
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
        let module = LunaCausalAttention::load(&file.weights, &file.config).unwrap();
        for of in 0..file.batch {
            let (x, p) = (file.sequence("in.x", of), file.sequence("in.p", of));
            let expected = file.sequence("out.y_x", of);
            close(&module.forward(x.view(), p.view(), None).unwrap(), &expected, name);
            let mut state = module.start(p.view(), None).unwrap();
            let mut y = Array2::zeros(x.raw_dim());
            for (x, mut y) in x.rows().into_iter().zip(y.rows_mut()) {
                y.assign(&module.step(&mut state, x).unwrap());
            }
            close(&y, &expected, name);
        }
    }
}

#[test]
fn encoder_layers() {
    for name in ["luna_encoder_2layers_tied", "luna_encoder_2layers_untied", "luna_encoder_prenorm_padded"] {
        let file = File::read(name);
        file.layer_by_layer(|weights, x, p, of| {
            LunaEncoderLayer::load(weights, &file.config)?.forward(x, p, file.padding(of))
        });
    }
}

#[test]
fn decoder_layers() {
    for name in ["luna_decoder_2layers_tied", "luna_decoder_2layers_untied"] {
        let file = File::read(name);
        file.layer_by_layer(|weights, x, p, of| {
            let context = file.sequence("in.encoder_out", of);
            LunaDecoderLayer::load(weights, &file.config)?.forward(x, p, context.view(), Padding::default())
        });
    }
}

/// The weights of a file's layers, as they would stand in a checkpoint under `layers.`.
fn checkpoint(name: &str) -> Tensors {
    let golden = Golden::read("luna", name);
    let bytes = std::fs::read(path(name)).unwrap();
    let names = SafeTensors::deserialize(&bytes).unwrap();
    let weights = names.names().into_iter().filter_map(|name| Some((name, name.strip_prefix("w.")?)));
    weights.map(|(name, short)| (format!("layers.{short}"), golden.array(name))).collect()
}

#[test]
fn a_stack_ends_with_the_norms_of_pre_norm() {
    let file = File::read("luna_encoder_prenorm_padded");
    let mut tensors = checkpoint("luna_encoder_prenorm_padded");
    let missing = LunaEncoder::load(&named(&tensors), &file.config, 2).err().unwrap().to_string();
    assert!(missing.contains("'layer_norm.weight'"), "{missing}");
    for (name, gain) in [("layer_norm", 2.0), ("proj_layer_norm", 3.0)] {
        tensors.insert(format!("{name}.weight"), ndarray::Array1::from_elem(24, gain).into_dyn());
        tensors.insert(format!("{name}.bias"), ndarray::Array1::from_elem(24, 0.5).into_dyn());
    }
    let encoder = LunaEncoder::load(&named(&tensors), &file.config, 2).unwrap();
    let (x, p) =
        encoder.forward(file.sequence("in.x", 0), file.sequence("in.p", 0), file.padding(0)).unwrap();
    for (found, name, gain) in [(x, "out.layer1.x", 2.0), (p, "out.layer1.p", 3.0)] {
        let mut expected = file.sequence(name, 0);
        for mut row in expected.rows_mut() {
            let (mean, deviation) = (row.mean().unwrap(), row.var(0.0));
            row.mapv_inplace(|x| (x - mean) / (deviation + 1e-5).sqrt() * gain + 0.5);
        }
        close(&found, &expected, name);
    }
}

#[test]
fn the_tensors_of_a_size_are_those_of_the_authors() {
    for (tied, file) in [(true, "tied"), (false, "untied")] {
        let size = luna::model::luna::Size { ffn: 48, ..small(tied, false).0 };
        let all = size.tensors();
        for stack in ["encoder", "decoder"] {
            let prefix = format!("{stack}.");
            let of_stack = all.iter().filter_map(|(name, shape)| Some((name.strip_prefix(&prefix)?, shape)));
            let two =
                of_stack.filter(|(name, _)| name.starts_with("layers.0.") || name.starts_with("layers.1."));
            let ours: BTreeSet<(String, Vec<usize>)> =
                two.map(|(name, shape)| (name.to_string(), shape.clone())).collect();
            let theirs = checkpoint(&format!("luna_{stack}_2layers_{file}"));
            let theirs = theirs.into_iter().map(|(name, tensor)| (name, tensor.shape().to_vec())).collect();
            assert_eq!(ours, theirs);
        }
    }
}
