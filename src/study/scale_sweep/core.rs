//! The bare attention: heads in, heads out, no projections.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use ndarray::{Array2, Array3, Axis};
use rayon::prelude::*;

use super::cell::{Cell, Form};
use super::gate::{self, Agreement};
use super::settings::Settings;
use super::subject::{Facts, Subject};
use super::train::{self, Training};
use super::{Measure, Pass};
use crate::attention::backward::Gradients;
use crate::attention::fused::{self, Fused, Given, Heads};
use crate::attention::luna_causal::Weight;
use crate::attention::{Attention, Input, Learned, Mask, Origin, materialised};
use crate::cost::{Cost, Shape, Tally};
use crate::error::Result;
use crate::name::Spec;
use crate::rng::{normal, stream};

/// Length at which a fast form is held against its reference implementation: several blocks, and more than one segment.
const GATE: usize = 384;

/// Queries, keys and values (h, n, `d_h`) that the cells of one length share; h counts the heads of every sequence of the
/// batch.
pub(super) struct Inputs {
    q: Array3<f32>,
    k: Array3<f32>,
    v: Array3<f32>,
    /// Where every cell of the length writes its output, one after the other.
    out: Mutex<Array3<f32>>,
}

impl Inputs {
    pub(super) fn new(n: usize, settings: &Settings, seed: u64) -> Self {
        let (h, d_h) = (settings.batch * settings.heads, settings.head_dim);
        // The output is written to here, so that no pass is the first to touch its pages.
        let [q, k, v] =
            ["q", "k", "v"].map(|what| cube(seed, &format!("scale-sweep {what} n {n}"), (h, n, d_h)));
        Self { out: Mutex::new(Array3::from_elem(q.dim(), 1.0)), q, k, v }
    }
}

/// Standard normal numbers, each head from a stream of its own.
fn cube(seed: u64, label: &str, (h, rows, width): (usize, usize, usize)) -> Array3<f32> {
    let mut all = Array3::zeros((h, rows, width));
    all.outer_iter_mut().enumerate().collect::<Vec<_>>().into_par_iter().for_each(|(head, mut one)| {
        one.assign(&normal(&mut stream(seed, &format!("{label} head {head}")), rows, width));
    });
    all
}

/// What a mechanism is given beside the heads.
enum Pieces {
    Nothing,
    P {
        p: Array3<f32>,
        weight: Weight,
    },
    /// F where it is not E.
    E {
        e: Array2<f32>,
        f: Option<Array2<f32>>,
    },
    W {
        w: Array2<f32>,
        eps: f32,
    },
    Window {
        l: usize,
    },
}

impl Pieces {
    fn new(cell: &Cell, (h, n, d_h): (usize, usize, usize), seed: u64) -> Result<Self> {
        let l = cell.l.unwrap_or(1);
        let label = |what: &str| format!("scale-sweep {what} l {l} n {n}");
        let params = cell.spec.params("attention", cell.kind.takes)?;
        Ok(match cell.kind.name {
            "luna" => Self::P { p: cube(seed, &label("p"), (h, l, d_h)), weight: Weight::default() },
            "luna-causal" => {
                Self::P { p: cube(seed, &label("p"), (h, l, d_h)), weight: Weight::of(&params)? }
            }
            "linformer" => {
                // The paper's own draw, N(0, 1/l).
                let draw = |what| normal(&mut stream(seed, &label(what)), l, n) / (l as f32).sqrt();
                let shared: bool = params.get("shared")?;
                Self::E { e: draw("e"), f: (!shared).then(|| draw("f")) }
            }
            "performer" => {
                let eps: f64 = params.get("eps")?;
                Self::W { w: normal(&mut stream(seed, &label("w")), l, d_h), eps: eps as f32 }
            }
            "local" => Self::Window { l },
            _ => Self::Nothing,
        })
    }

    fn given(&self, mask: Mask) -> Given<'_> {
        match self {
            Self::Nothing => Given::Nothing,
            Self::P { p, weight } if mask == Mask::Causal => {
                Given::LunaCausal { p: p.view(), weight: *weight }
            }
            Self::P { p, .. } => Given::Luna { p: p.view() },
            Self::E { e, f } => Given::Linformer { e: e.view(), f: f.as_ref().unwrap_or(e).view() },
            Self::W { w, eps } => Given::Performer { w: w.view(), eps: *eps },
            Self::Window { l } => Given::Local { l: *l },
        }
    }

    /// The same for the obvious form of one head.
    fn learned(&self, head: usize) -> Learned {
        Learned(match self {
            Self::Nothing | Self::Window { .. } => BTreeMap::new(),
            Self::P { p, .. } => BTreeMap::from([("p", p.index_axis(Axis(0), head).to_owned())]),
            Self::E { e, f } => {
                let f = f.as_ref().map(|f| ("f", f.clone()));
                [("e", e.clone())].into_iter().chain(f).collect()
            }
            Self::W { w, .. } => BTreeMap::from([("features", w.clone())]),
        })
    }
}

/// Whether a mechanism's values are its keys here. As a layer, Luna packs once: the packed rows are projected to keys and
/// values afterwards. So its forward pass is timed and counted, unless it is judged as a stand-in on given keys and values;
/// the backward pass has no form of its own for one array.
fn is_tied(cell: &Cell, settings: &Settings) -> bool {
    cell.kind.name == "luna" && settings.pass == Pass::Forward && !settings.measures(Measure::Error)
}

/// One cell over the inputs of its length.
pub(super) struct Core<'a> {
    inputs: &'a Inputs,
    pieces: Pieces,
    form: Option<&'static Fused>,
    train: Option<Training>,
    mask: Mask,
    tied: bool,
}

impl<'a> Core<'a> {
    pub(super) fn new(cell: &Cell, settings: &Settings, inputs: &'a Inputs, seed: u64) -> Result<Self> {
        let pieces = Pieces::new(cell, inputs.q.dim(), seed)?;
        let form = if cell.form == Form::Fused { fused::find(cell.kind.name) } else { None };
        let mut core =
            Self { inputs, pieces, form, train: None, mask: settings.mask, tied: is_tied(cell, settings) };
        if settings.pass == Pass::Train {
            let gradients = Gradients::zeros(&core.heads(), &core.given());
            core.train = Some(Training::new(cell, gradients));
        }
        Ok(core)
    }

    fn heads(&self) -> Heads<'_> {
        let Inputs { q, k, v, .. } = self.inputs;
        Heads::new(q.view(), k.view(), if self.tied { k.view() } else { v.view() }, self.mask)
    }

    fn given(&self) -> Given<'_> {
        self.pieces.given(self.mask)
    }
}

impl Subject for Core<'_> {
    fn run(&mut self, tally: Option<&Tally>) -> Result<()> {
        let mut out = self.inputs.out.lock().unwrap_or_else(PoisonError::into_inner);
        // Borrowed apart, so that gradients can be written while the heads are read.
        let mut train = self.train.take();
        let (heads, given) = (self.heads(), self.given());
        let ran = match (&mut train, self.form, tally) {
            (Some(train), _, tally) => train.run(&heads, &given, out.view_mut(), self.inputs.q.view(), tally),
            (None, None, tally) => materialised::forward_into(&heads, out.view_mut(), tally),
            (None, Some(form), None) => form.forward_into(&heads, &given, out.view_mut()),
            (None, Some(form), Some(tally)) => form.counted(&heads, &given, out.view_mut(), tally),
        };
        drop(out);
        self.train = train;
        ran
    }
}

/// The closed forms of a cell.
pub(super) fn facts(cell: &Cell, settings: &Settings) -> Result<Facts> {
    let (h, d_h, n) = (settings.batch * settings.heads, settings.head_dim, cell.n);
    let shape = Shape { causal: settings.mask == Mask::Causal, ..Shape::square(n, d_h) };
    let float = size_of::<f32>();
    let learned = {
        let l = cell.l.unwrap_or(0);
        match cell.kind.name {
            "luna" | "luna-causal" => h * l * d_h,
            "linformer" if is_set(&cell.spec, "shared", "false") => 2 * l * n,
            "linformer" => l * n,
            "performer" => l * d_h,
            _ => 0,
        }
    };
    let tied = is_tied(cell, settings);
    let arrays = if tied { 3 } else { 4 };
    let (shared, own) = (float * arrays * h * n * d_h, float * learned);
    if settings.pass == Pass::Train {
        // A gradient for each input, and what comes from above in the place of the output.
        return Ok(train::facts(cell, &shape, h, [shared, 2 * own + float * 3 * h * n * d_h]));
    }
    let held = shared + own;
    let (cost, matrices, extra) = match cell.form {
        Form::Materialised => {
            let extra = materialised::extra_bytes(&shape, h);
            (materialised::cost(&shape), 2 * extra, Some(extra))
        }
        Form::Fused => {
            let extra = fused::find(cell.kind.name)
                .map(|form| form.extra_bytes(&shape, h, cell.l.unwrap_or(0), rayon::current_num_threads()));
            (one(cell, &shape, tied)?, 0, extra)
        }
        Form::Reference => (one(cell, &shape, tied)?, 0, None),
    };
    Ok(Facts {
        cost: cost * h,
        bytes: (held + matrices) as u64,
        extra_bytes: extra.map(|extra| extra as u64),
        shared_bytes: (float * 4 * h * n * d_h) as u64,
        own_bytes: own as u64,
    })
}

/// Whether a parameter was typed with this value.
fn is_set(spec: &Spec, key: &str, value: &str) -> bool {
    spec.params.iter().any(|(other, typed)| other == key && typed == value)
}

/// What one head costs.
fn one(cell: &Cell, shape: &Shape, tied: bool) -> Result<Cost> {
    let origin = Origin { seed: 0, label: "cost", learned: None };
    let mut cost = Attention::build(&priced(&cell.spec), &origin)?.cost(shape);
    if tied {
        // The keys are packed with the values: one product of (l, m) and (m, d_h) less.
        let l = cell.l.unwrap_or(1).min(shape.n);
        cost.macs -= Cost::product(l, shape.m, shape.d_h).macs;
    }
    Ok(cost)
}

/// The same mechanism for the same cost, with nothing to be drawn: what Linformer's E costs depends on the context and not
/// on how many columns it has.
pub(super) fn priced(spec: &Spec) -> Spec {
    let mut spec = spec.clone();
    if spec.name == "linformer" {
        spec.params.retain(|(key, _)| key != "max");
        spec.params.push(("max".into(), "1".into()));
    }
    spec
}

/// How far the form is from the reference implementation, in each head of these settings: forward, and for forward and
/// backward the gradients too.
pub(super) fn agreement(cell: &Cell, settings: &Settings, seed: u64) -> Result<Agreement> {
    let n = GATE.max(cell.l.unwrap_or(1));
    let inputs = Inputs::new(n, settings, seed);
    let cell = Cell { n, ..cell.clone() };
    let mut core = Core::new(&cell, settings, &inputs, seed)?;
    core.run(None)?;
    let own = inputs.out.lock().unwrap_or_else(PoisonError::into_inner);
    let mut truth = Vec::new();
    for head in 0..settings.heads {
        let learned = core.pieces.learned(head);
        let label = format!("head {head}");
        let origin = Origin { seed, label: &label, learned: Some(&learned) };
        let attention = Attention::build(&obvious(&cell), &origin)?;
        let of = |x: &'_ Array3<f32>| -> Array2<f32> { x.index_axis(Axis(0), head).to_owned() };
        let (q, k) = (of(&inputs.q), of(&inputs.k));
        let v = if core.tied { k.clone() } else { of(&inputs.v) };
        let found = attention.forward(&Input::new(q.view(), k.view(), settings.mask), v.view())?;
        truth.extend(found.iter().map(|x| f64::from(*x)));
    }
    let gradients = match &core.train {
        Some(train) => {
            let (heads, given) = (core.heads(), core.given());
            Some(gate::slopes_of_heads(cell.kind.name, &heads, &given, &inputs.q, train.gradients(), seed)?)
        }
        None => None,
    };
    Ok(Agreement { output: gate::off(own.iter(), &truth), gradients })
}

/// The spec of the reference implementation, which takes the pieces that the fast form was given.
fn obvious(cell: &Cell) -> Spec {
    let mut spec = cell.spec.clone();
    let piece = match cell.kind.name {
        "luna" | "luna-causal" => "p",
        "linformer" => "e",
        "performer" => "features",
        _ => return spec,
    };
    // What is given takes the place of what is drawn; everything else stands as it was typed.
    spec.params.retain(|(key, _)| key != piece && key != "max");
    spec.params.push((piece.into(), "fitted".into()));
    spec
}
