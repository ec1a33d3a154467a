//! The bare attention: heads in, heads out, no projections.

use std::sync::{Mutex, PoisonError};

use ndarray::{Array2, Array3, Axis};
use rayon::prelude::*;

use super::cell::{Cell, Form};
use super::gate::{self, Agreement};
use super::settings::Settings;
use super::subject::{Facts, Subject};
use super::train::{self, Training};
use super::{Measure, Pass};
use crate::attention::{
    Arrays, Attention, Fused, Gradients, Heads, Input, Learned, Mask, Origin, Part, materialised,
};
use crate::cost::{Cost, Shape, Tally};
use crate::error::Result;
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

/// The mechanism of a cell with its parameters.
fn built(cell: &Cell) -> Result<Attention> {
    Attention::build(&cell.spec, &Origin { seed: 0, label: "scale-sweep", learned: None })
}

/// Whether a mechanism's values are its keys here. As a layer, Luna packs once: the packed rows are projected to keys and
/// values afterwards. So its forward pass is timed and counted, unless it is judged as a stand-in on given keys and values;
/// the backward pass has no implementation of its own for one array.
fn is_tied(fused: Option<&Fused>, settings: &Settings) -> bool {
    let shape = Shape::square(1, 1);
    let saves = |fused: &Fused| fused.tied_cost(&shape, Cost { macs: u64::MAX, ..Cost::default() }).is_some();
    settings.pass == Pass::Forward && !settings.measures(Measure::Error) && fused.is_some_and(saves)
}

/// One cell over the inputs of its length.
pub(super) struct Core<'a> {
    inputs: &'a Inputs,
    attention: Attention,
    /// None for n x n matrices.
    fused: Option<Fused>,
    /// Drawn arrays in the place of learned ones.
    arrays: Vec<(&'static str, Array3<f32>)>,
    train: Option<Training>,
    mask: Mask,
    tied: bool,
}

impl<'a> Core<'a> {
    pub(super) fn new(cell: &Cell, settings: &Settings, inputs: &'a Inputs, seed: u64) -> Result<Self> {
        let attention = built(cell)?;
        let fused = if cell.form == Form::Fused { attention.fused() } else { None };
        let (h, n, d_h) = inputs.q.dim();
        let l = cell.l.unwrap_or(1);
        let draw = |part: Part| {
            let label = format!("scale-sweep {} l {l} n {n}", part.name);
            (part.name, part.drawn(h, |head| stream(seed, &format!("{label} head {head}"))))
        };
        let parts = fused.as_ref().map_or_else(Vec::new, |fused| fused.parts(n, d_h));
        let arrays = parts.into_iter().map(draw).collect();
        let tied = is_tied(fused.as_ref(), settings);
        let mut core = Self { inputs, attention, fused, arrays, train: None, mask: settings.mask, tied };
        if settings.pass == Pass::Train {
            let (heads, arrays) = (core.heads(), core.arrays());
            let gradients = match &core.fused {
                Some(fused) => fused.gradients(&heads, &arrays),
                None => Gradients::zeros(&heads, &arrays),
            };
            core.train = Some(Training::new(core.fused.clone(), gradients));
        }
        Ok(core)
    }

    fn heads(&self) -> Heads<'_> {
        let Inputs { q, k, v, .. } = self.inputs;
        Heads::new(q.view(), k.view(), if self.tied { k.view() } else { v.view() }, self.mask)
    }

    fn arrays(&self) -> Arrays<'_> {
        self.arrays.iter().fold(Arrays::none(), |all, (name, array)| all.with(name, array.view()))
    }
}

impl Subject for Core<'_> {
    fn run(&mut self, tally: Option<&Tally>) -> Result<()> {
        let mut out = self.inputs.out.lock().unwrap_or_else(PoisonError::into_inner);
        // Borrowed apart, so that gradients can be written while the heads are read.
        let mut train = self.train.take();
        let (heads, arrays) = (self.heads(), self.arrays());
        let ran = match (&mut train, &self.fused) {
            (Some(train), _) => train.run(&heads, &arrays, out.view_mut(), self.inputs.q.view(), tally),
            (None, None) => materialised::forward_into(&heads, out.view_mut(), tally),
            (None, Some(fused)) => fused.forward_into(tally, &heads, &arrays, out.view_mut()),
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
    let attention = built(cell)?;
    let fused = attention.fused();
    let elements = |part: &Part| part.shape.0 * part.shape.1 * if part.per_head { h } else { 1 };
    let learned: usize = fused.iter().flat_map(|fused| fused.parts(n, d_h)).map(|part| elements(&part)).sum();
    let tied = is_tied(fused.as_ref(), settings);
    let arrays = if tied { 3 } else { 4 };
    let (shared, own) = (float * arrays * h * n * d_h, float * learned);
    if settings.pass == Pass::Train {
        // A gradient for each input, and what comes from above in the place of the output.
        return Ok(train::facts(
            cell,
            fused.as_ref(),
            &shape,
            h,
            [shared, 2 * own + float * 3 * h * n * d_h],
        ));
    }
    let held = shared + own;
    let (cost, matrices, extra) = match cell.form {
        Form::Materialised => {
            let extra = materialised::extra_bytes(&shape, h);
            (materialised::cost(&shape), 2 * extra, Some(extra))
        }
        Form::Fused => {
            let extra =
                fused.as_ref().map(|fused| fused.extra_bytes(&shape, h, rayon::current_num_threads()));
            let untied = attention.cost(&shape);
            let tied = fused.filter(|_| tied).and_then(|fused| fused.tied_cost(&shape, untied));
            (tied.unwrap_or(untied), 0, extra)
        }
        Form::Reference => (attention.cost(&shape), 0, None),
    };
    Ok(Facts {
        cost: cost * h,
        bytes: (held + matrices) as u64,
        extra_bytes: extra.map(|extra| extra as u64),
        shared_bytes: (float * 4 * h * n * d_h) as u64,
        own_bytes: own as u64,
    })
}

/// How far the form is from the reference implementation, in each head of these settings: forward, and for forward and
/// backward the gradients too.
pub(super) fn agreement(cell: &Cell, settings: &Settings, seed: u64) -> Result<Agreement> {
    let n = GATE.max(cell.l.unwrap_or(1));
    let inputs = Inputs::new(n, settings, seed);
    let cell = Cell { n, ..cell.clone() };
    let mut core = Core::new(&cell, settings, &inputs, seed)?;
    core.run(None)?;
    // n x n matrices compute what the fused implementation does.
    let exact = core.attention.fused();
    let own = inputs.out.lock().unwrap_or_else(PoisonError::into_inner);
    let mut truth = Vec::new();
    for head in 0..settings.heads {
        let learned = Learned(core.arrays().of_head(head).collect());
        let label = format!("head {head}");
        let origin = Origin { seed, label: &label, learned: Some(&learned) };
        let attention = Attention::build(core.attention.spec(), &origin)?;
        let of = |x: &'_ Array3<f32>| -> Array2<f32> { x.index_axis(Axis(0), head).to_owned() };
        let (q, k) = (of(&inputs.q), of(&inputs.k));
        let v = if core.tied { k.clone() } else { of(&inputs.v) };
        let found = attention.forward(&Input::new(q.view(), k.view(), settings.mask), v.view())?;
        truth.extend(found.iter().map(|x| f64::from(*x)));
    }
    let gradients = match &core.train {
        Some(train) => {
            let (heads, arrays) = (core.heads(), core.arrays());
            let fused = core.fused.as_ref().or(exact.as_ref());
            let of =
                |fused| gate::difference_of_heads(fused, &heads, &arrays, &inputs.q, train.gradients(), seed);
            fused.map(of).transpose()?
        }
        None => None,
    };
    Ok(Agreement { output: gate::off(own.iter(), &truth), gradients })
}
