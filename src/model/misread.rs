//! What a family is worth depends on readings that look right when they are wrong: each is made wrong here, and must then
//! be far from what Hugging Face computes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayD, Axis, Ix2};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use super::Rope;
use super::config::{Arrangement, ModelConfig, Norm, Position};
use super::family::Role;
use super::forward::Pass;
use super::observe::{HeadTap, ModelInput, Observer};
use super::trained::Model;
use crate::Result;
use crate::attention::Window;

/// Ten times the tolerance of the golden tests: of matrices, and of hidden states and logits by their largest.
const MATRICES: f64 = 1e-4;
const OUTPUTS: f64 = 1e-3;

/// A reading made wrong, if the model has it.
struct Misreading {
    name: &'static str,
    of: fn(&mut ModelConfig) -> Option<()>,
}

const BASE: &str = "another rotary base";

const MISREADINGS: &[Misreading] = &[
    Misreading { name: "a window one key wider", of: |config| window(config, 1) },
    Misreading { name: "a window one key narrower", of: |config| window(config, -1) },
    Misreading { name: "no sliding layers", of: |config| config.sliding.take().map(|_| ()) },
    Misreading {
        name: "the sliding layers are the others",
        of: |config| {
            let layers = &mut config.sliding.as_mut()?.layers;
            for slides in layers {
                *slides = !*slides;
            }
            Some(())
        },
    },
    Misreading {
        name: "sliding layers with the rotation of full ones",
        of: |config| {
            let sliding = config.sliding.as_mut()?;
            let Position::Rotary(full) = &config.position else { return None };
            (sliding.rope.take()? != *full).then_some(())
        },
    },
    Misreading { name: BASE, of: |config| rope(config).map(|rope| rope.theta *= 3.0) },
    Misreading {
        name: "pairs of the other kind",
        of: |config| {
            rope(config).filter(|rope| rope.width > 2).map(|rope| rope.interleaved = !rope.interleaved)
        },
    },
    Misreading {
        name: "a rotation of twice the width",
        of: |config| {
            let d_h = config.d_h;
            rope(config).filter(|rope| 2 * rope.width <= d_h).map(|rope| rope.width *= 2)
        },
    },
    Misreading {
        name: "rotary frequencies without their scaling",
        of: |config| {
            let rope = rope(config)?;
            let plain = Rope { scaling: super::scaling::Scaling::None, ..rope.clone() };
            (*rope != plain).then(|| *rope = plain)
        },
    },
    Misreading {
        name: "positions one row further",
        of: |config| match &mut config.position {
            Position::Learned { offset, padding: None } if *offset > 0 => {
                *offset -= 1;
                Some(())
            }
            _ => None,
        },
    },
    Misreading {
        name: "the slopes of the next head",
        of: |config| match &mut config.position {
            Position::Slopes(slopes) => {
                slopes.rotate_left(1);
                Some(())
            }
            _ => None,
        },
    },
    Misreading {
        name: "buckets up to twice the distance",
        of: |config| match &mut config.position {
            Position::Buckets { furthest, .. } => {
                *furthest *= 2;
                Some(())
            }
            _ => None,
        },
    },
    Misreading {
        name: "queries and keys without their norm",
        of: |config| config.query_key_norm.take().map(|_| ()),
    },
    Misreading {
        name: "the other gain of norms",
        of: |config| config.norm_weights.then(|| config.gain_from_one = !config.gain_from_one),
    },
    Misreading {
        name: "the other norm",
        of: |config| {
            config.norm = if config.norm == Norm::Rms { Norm::Layer } else { Norm::Rms };
            Some(())
        },
    },
    Misreading {
        name: "norms after the blocks",
        of: |config| {
            (config.arrangement != Arrangement::NormAfter && config.norm_weights)
                .then(|| config.arrangement = Arrangement::NormAfter)
        },
    },
    Misreading {
        name: "sequential blocks",
        of: |config| {
            (config.arrangement == Arrangement::Parallel)
                .then(|| config.arrangement = Arrangement::NormBefore)
        },
    },
    Misreading {
        name: "logits scaled by the other rule",
        of: |config| {
            let usual = 1.0 / (config.d_h as f64).sqrt();
            config.logit_scale = if config.logit_scale == usual { 1.0 } else { usual };
            Some(())
        },
    },
    Misreading { name: "no softcap", of: |config| config.softcap.take().map(|_| ()) },
    Misreading { name: "no softcap of the vocabulary", of: |config| config.vocab_softcap.take().map(|_| ()) },
    Misreading {
        name: "token vectors without their factor",
        of: |config| (config.embedding_scale != 1.0).then(|| config.embedding_scale = 1.0),
    },
    Misreading { name: "no token dropout", of: |config| config.token_dropout.take().map(|_| ()) },
    Misreading {
        name: "one expert fewer",
        of: |config| config.experts.as_mut().filter(|one| one.chosen > 1).map(|one| one.chosen -= 1),
    },
    Misreading {
        name: "the other direction",
        // Without a layer that sees all that the mask leaves, the window decides.
        of: |config| {
            let all_slide = config.sliding.as_ref().is_some_and(|sliding| !sliding.layers.contains(&false));
            config.causal = !config.causal;
            (!all_slide).then_some(())
        },
    },
];

fn window(config: &mut ModelConfig, by: isize) -> Option<()> {
    let Window { back, ahead } = &mut config.sliding.as_mut()?.window;
    *back = back.checked_add_signed(by)?;
    *ahead = if *ahead == 0 { 0 } else { ahead.checked_add_signed(by)? };
    Some(())
}

fn rope(config: &mut ModelConfig) -> Option<&mut Rope> {
    match &mut config.position {
        Position::Rotary(rope) => Some(rope),
        _ => None,
    }
}

/// What Hugging Face computed.
struct Expected(BTreeMap<String, ArrayD<f32>>);

impl Expected {
    fn read(folder: &Path) -> Option<Self> {
        let bytes = std::fs::read(folder.join("expected.safetensors")).ok()?;
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let array = |(name, view): (&str, TensorView<'_>)| {
            let numbers: Vec<f32> = match view.dtype() {
                Dtype::F32 => {
                    view.data().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
                }
                _ => {
                    view.data().as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as f32).collect()
                }
            };
            (name.to_string(), ArrayD::from_shape_vec(view.shape(), numbers).unwrap())
        };
        Some(Self(tensors.iter().map(array).collect()))
    }

    fn ids(&self) -> Option<Vec<u32>> {
        Some(self.0.get("input_ids")?.iter().map(|id| *id as u32).collect())
    }
}

#[derive(Default)]
struct Everything(Vec<HeadTap>);

impl Observer for Everything {
    fn wants_matrix(&self, _layer: usize) -> bool {
        true
    }

    fn head(&mut self, head: HeadTap) -> Result<()> {
        self.0.push(head);
        Ok(())
    }
}

/// How far matrices, and hidden states and logits, are from the expected ones.
fn off(model: &Model, config: &ModelConfig, ids: &[u32], expected: &Expected) -> Result<(f64, f64)> {
    let mut seen = Everything::default();
    let pass = Pass { config, store: model.store(), substitute: None };
    let hidden = pass.over(ModelInput::Tokens(ids), &mut seen)?.unwrap();
    let attentions = &expected.0["attentions"];
    let matrices = seen.0.iter().map(|tap| {
        let exact = attentions.index_axis(Axis(0), tap.layer).index_axis(Axis(0), tap.head).to_owned();
        furthest(tap.matrix.as_ref().unwrap(), &exact.into_dimensionality().unwrap()).0
    });
    let relative = |found: &Array2<f32>, name: &str| {
        let exact = expected.0.get(name)?.clone().into_dimensionality::<Ix2>().unwrap();
        let (off, largest) = furthest(found, &exact);
        Some(off / largest)
    };
    let hidden_off = relative(&hidden, "last_hidden").unwrap();
    let logits = super::head::logits(config, model.store(), &hidden)?;
    let logits_off = logits.and_then(|logits| relative(&logits, "logits")).unwrap_or(0.0);
    Ok((matrices.fold(0.0, f64::max), hidden_off.max(logits_off)))
}

fn furthest(found: &Array2<f32>, exact: &Array2<f32>) -> (f64, f64) {
    let pairs = found.iter().zip(exact).map(|(a, b)| (f64::from(*a - *b).abs(), f64::from(b.abs())));
    pairs.fold((0.0, 0.0), |(off, largest), (a, b)| (if a <= off { off } else { a }, largest.max(b)))
}

/// The folders of random weights that read token ids, with what is expected of them.
fn folders() -> Vec<(PathBuf, Expected, Vec<u32>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/hf_tiny");
    let each = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    each.filter_map(|folder| {
        let expected = Expected::read(&folder).filter(|expected| expected.0.contains_key("last_hidden"))?;
        let ids = expected.ids()?;
        Some((folder, expected, ids))
    })
    .collect()
}

#[test]
fn a_wrong_reading_is_far_from_the_truth() {
    let (mut faults, mut tried) = (Vec::new(), vec![0; MISREADINGS.len()]);
    for (folder, expected, ids) in folders() {
        let model = Model::open(&folder).unwrap();
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let right = off(&model, model.config(), &ids, &expected).unwrap();
        assert!(right.0 < MATRICES / 10.0 && right.1 < OUTPUTS / 10.0, "{name}: {right:?}");
        for (misreading, tried) in MISREADINGS.iter().zip(&mut tried) {
            let mut config = model.config().clone();
            // Frequencies that stand in the file do not follow from a base.
            if misreading.name == BASE && model.store().has(Role::Frequencies, 0) {
                continue;
            }
            if (misreading.of)(&mut config).is_none() {
                continue;
            }
            *tried += 1;
            match off(&model, &config, &ids, &expected) {
                Ok((matrices, outputs)) if matrices <= MATRICES && outputs <= OUTPUTS => {
                    faults.push(format!("{name} with {}: {matrices:e}, {outputs:e}", misreading.name));
                }
                _ => {}
            }
        }
    }
    assert!(faults.is_empty(), "{} wrong readings look right:\n{}", faults.len(), faults.join("\n"));
    for (misreading, tried) in MISREADINGS.iter().zip(tried) {
        assert!(tried > 0, "no folder has {}", misreading.name);
    }
}
