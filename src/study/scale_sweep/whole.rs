//! Whole layers and encoders: projections, attention, norms and feed-forward networks, from vectors to vectors.

use ndarray::{Array2, Array3, Axis};

use super::cell::{Cell, Form};
use super::settings::Settings;
use super::subject::{Facts, Subject};
use super::{Pass, Unit};
use crate::cost::Tally;
use crate::error::{Error, Result};
use crate::network::{Encoder, EncoderConfig, Mechanism, Stream};
use crate::rng::{normal, stream};
use crate::train::{Layers, Rows};

/// Layers of one mechanism with drawn weights. Each pass takes the vectors that the last one left: norms stand behind the
/// blocks, so that they stay of one size.
pub(super) struct Whole {
    encoder: Encoder,
    stream: Option<Stream>,
}

/// The same, forwards and backwards: the upstream gradient of each pass is what the last one left.
pub(super) struct Learning {
    layers: Layers,
    numbers: Vec<f32>,
    gradients: Vec<f32>,
    rows: Rows,
    x: Option<Array2<f32>>,
}

/// The sizes of a cell's layers.
pub(super) fn config(cell: &Cell, settings: &Settings) -> Result<EncoderConfig> {
    let mechanism = if cell.form == Form::Materialised {
        Mechanism::Materialised
    } else {
        // E is as long as the sequence: no pass reads more of it.
        match Mechanism::build(&cell.spec)? {
            Mechanism::Linformer { l, .. } => Mechanism::Linformer { l, max: cell.n },
            other => other,
        }
    };
    let layers = if settings.unit == Unit::Layer { 1 } else { settings.layers };
    let causal = settings.causal();
    Ok(EncoderConfig {
        causal,
        ..EncoderConfig::new(mechanism, settings.d(), settings.heads, settings.ffn, layers)
    })
}

impl Whole {
    pub(super) fn new(cell: &Cell, settings: &Settings, seed: u64) -> Result<Self> {
        let encoder = Encoder::random(&config(cell, settings)?, seed)?;
        let (b, n, d) = (settings.batch, cell.n, settings.d());
        let mut x = Array3::zeros((b, n, d));
        for (sequence, mut one) in x.outer_iter_mut().enumerate() {
            one.assign(&normal(&mut stream(seed, &format!("scale-sweep x n {n} sequence {sequence}")), n, d));
        }
        let stream = Stream::new(x, encoder.p());
        Ok(Self::of(encoder, stream))
    }

    /// An encoder over what stands below its lowest layer.
    pub(super) fn of(encoder: Encoder, stream: Stream) -> Self {
        Self { encoder, stream: Some(stream) }
    }

    /// What one pass that is not counted leaves.
    pub(super) fn pass(mut self) -> Result<Stream> {
        self.run(None)?;
        self.stream.ok_or_else(|| Error::value("pass of an encoder", "nothing", "what its layers gave"))
    }
}

impl Learning {
    pub(super) fn new(cell: &Cell, settings: &Settings, seed: u64) -> Result<Self> {
        let layers = Layers::new(&config(cell, settings)?)?;
        let numbers = layers.draw(seed);
        let (b, n, d) = (settings.batch, cell.n, settings.d());
        let mut x = Array2::zeros((b * n, d));
        for (sequence, mut one) in x.axis_chunks_iter_mut(Axis(0), n).enumerate() {
            one.assign(&normal(&mut stream(seed, &format!("scale-sweep x n {n} sequence {sequence}")), n, d));
        }
        Ok(Self::of(layers, numbers, Rows::of(std::iter::repeat_n(n, b)), x))
    }

    /// Layers with these numbers over these rows.
    pub(super) fn of(layers: Layers, numbers: Vec<f32>, rows: Rows, x: Array2<f32>) -> Self {
        // Written to here, so that no pass is the first to touch their pages.
        let gradients = vec![1.0; numbers.len()];
        Self { layers, numbers, gradients, rows, x: Some(x) }
    }

    /// What the last pass gave, and the gradients of all numbers.
    pub(super) fn found(&self) -> (Option<&Array2<f32>>, &[f32]) {
        (self.x.as_ref(), &self.gradients)
    }

    /// One pass each way; returns the gradient of its input.
    pub(super) fn pass(&mut self, tally: Option<&Tally>) -> Result<Array2<f32>> {
        let Some(x) = self.x.take() else {
            return Err(Error::value("pass of layers", "a second one", "none after one that failed"));
        };
        self.gradients.fill(0.0);
        let d_out = x.clone();
        let (y, dx) =
            self.layers.pass(&self.numbers, &mut self.gradients, x, &self.rows, d_out.view(), tally)?;
        self.x = Some(y);
        Ok(dx)
    }
}

impl Subject for Learning {
    fn run(&mut self, tally: Option<&Tally>) -> Result<()> {
        self.pass(tally).map(drop)
    }
}

impl Subject for Whole {
    fn run(&mut self, tally: Option<&Tally>) -> Result<()> {
        let Some(mut stream) = self.stream.take() else {
            return Err(Error::value("pass of an encoder", "a second one", "none after one that failed"));
        };
        for layer in self.encoder.layers() {
            stream = match tally {
                Some(tally) => layer.forward_counted(stream, None, tally)?,
                None => layer.forward(stream, None)?,
            };
        }
        self.stream = Some(stream);
        Ok(())
    }
}

/// The closed forms of a cell.
pub(super) fn facts(cell: &Cell, settings: &Settings) -> Result<Facts> {
    let config = config(cell, settings)?;
    let (b, n, float) = (settings.batch, cell.n, size_of::<f32>());
    let p = match config.mechanism {
        Mechanism::Luna { l, .. } => b * l.min(n),
        // One for all sequences.
        Mechanism::LunaCausal { l, .. } => l,
        _ => 0,
    };
    let vectors = float * (b * n + p) * settings.d();
    let weights = float * config.parameters();
    let matrices = match cell.form {
        Form::Materialised => 2 * float * b * settings.heads * n * n * config.layers,
        Form::Fused | Form::Reference => 0,
    };
    if settings.pass == Pass::Train {
        let cost = config.layer_train_cost(b, n).ok_or_else(|| {
            Error::value("attention of layers to train", config.mechanism.name(), "one with a backward pass")
        })? * config.layers;
        // Matrices are written and read once each way, their gradients once.
        let moved = 2 * weights + 4 * vectors + 2 * matrices;
        // `run` copies x as the upstream gradient, beside the copy that the pass makes.
        let extra =
            config.train_extra_bytes(b, n, rayon::current_num_threads()) + float * b * n * settings.d();
        let own_bytes = (2 * weights + 2 * vectors) as u64;
        return Ok(Facts {
            cost,
            bytes: moved as u64,
            extra_bytes: Some(extra as u64),
            shared_bytes: 0,
            own_bytes,
        });
    }
    Ok(Facts {
        cost: config.cost(b, n),
        bytes: (weights + 2 * vectors + matrices) as u64,
        extra_bytes: Some(config.extra_bytes(b, n, rayon::current_num_threads()) as u64),
        shared_bytes: 0,
        own_bytes: (weights + vectors) as u64,
    })
}
