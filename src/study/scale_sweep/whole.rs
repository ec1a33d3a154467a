//! Layers and encoders: projections, attention, norms and feed-forward networks.

use ndarray::{Array2, Array3, Axis};

use super::cell::{Cell, Form};
use super::options::{Pass, Unit};
use super::settings::Settings;
use super::subject::{Facts, Subject};
use crate::cost::Tally;
use crate::error::{Error, Result};
use crate::network::{Encoder, EncoderConfig, Mechanism, Stream};
use crate::rng::{normal, stream};
use crate::train::{Layers, Rows};

/// Layers of one mechanism with drawn weights. The input of each pass is the output of the last one: the norms after the
/// blocks keep its scale.
pub(super) struct Whole {
    encoder: Encoder,
    stream: Option<Stream>,
}

/// The same, forward and backward: the upstream gradient of each pass is the output of the last one.
pub(super) struct Learning {
    layers: Layers,
    parameters: Vec<f32>,
    gradients: Vec<f32>,
    rows: Rows,
    x: Option<Array2<f32>>,
}

/// The configuration of a cell's layers.
pub(super) fn config(cell: &Cell, settings: &Settings) -> Result<EncoderConfig> {
    let mechanism = if cell.form == Form::Materialised {
        Mechanism::Materialised
    } else {
        // E has as many columns as the sequence has tokens: no pass reads more.
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

    /// An encoder with the input of its first layer.
    pub(super) fn of(encoder: Encoder, stream: Stream) -> Self {
        Self { encoder, stream: Some(stream) }
    }

    /// The output of one pass.
    pub(super) fn pass(mut self) -> Result<Stream> {
        self.run(None)?;
        self.stream
            .ok_or_else(|| Error::Refused("an encoder failed in its last pass: it cannot run again".into()))
    }
}

impl Learning {
    pub(super) fn new(cell: &Cell, settings: &Settings, seed: u64) -> Result<Self> {
        let layers = Layers::new(&config(cell, settings)?)?;
        let parameters = layers.draw(seed);
        let (b, n, d) = (settings.batch, cell.n, settings.d());
        let mut x = Array2::zeros((b * n, d));
        for (sequence, mut one) in x.axis_chunks_iter_mut(Axis(0), n).enumerate() {
            one.assign(&normal(&mut stream(seed, &format!("scale-sweep x n {n} sequence {sequence}")), n, d));
        }
        Ok(Self::of(layers, parameters, Rows::of(std::iter::repeat_n(n, b)), x))
    }

    /// Layers with these parameters over these rows.
    pub(super) fn of(layers: Layers, parameters: Vec<f32>, rows: Rows, x: Array2<f32>) -> Self {
        // Written here, so that no timed pass is the first to touch their pages.
        let gradients = vec![1.0; parameters.len()];
        Self { layers, parameters, gradients, rows, x: Some(x) }
    }

    /// The output of the last pass, and the gradients of all parameters.
    pub(super) fn found(&self) -> (Option<&Array2<f32>>, &[f32]) {
        (self.x.as_ref(), &self.gradients)
    }

    /// One pass forward and backward; returns the gradient of its input.
    pub(super) fn pass(&mut self, tally: Option<&Tally>) -> Result<Array2<f32>> {
        let Some(x) = self.x.take() else {
            return Err(Error::Refused("layers failed in their last pass: they cannot run again".into()));
        };
        self.gradients.fill(0.0);
        let d_out = x.clone();
        let (y, dx) =
            self.layers.pass(&self.parameters, &mut self.gradients, x, &self.rows, d_out.view(), tally)?;
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
            return Err(Error::Refused("an encoder failed in its last pass: it cannot run again".into()));
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
        // One P for all sequences.
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
            Error::Refused(format!("'{}' has no backward pass as a layer", config.mechanism.name()))
        })? * config.layers;
        // Matrices are written and read once forward and once backward, their gradients once.
        let moved = 2 * weights + 4 * vectors + 2 * matrices;
        // `run` copies x as the upstream gradient, in addition to the copy that the pass makes.
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
