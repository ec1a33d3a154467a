//! Whole layers and encoders: projections, attention, norms and feed-forward networks, from vectors to vectors.
//!
//! Under the full mask only: `--causal` is refused beside these units, though encoders have causal forms.

use ndarray::Array3;

use super::Unit;
use super::cell::{Cell, Form};
use super::settings::Settings;
use super::subject::{Facts, Subject};
use crate::cost::Tally;
use crate::error::{Error, Result};
use crate::model::encoder::{Encoder, EncoderConfig, Mechanism, Stream};
use crate::rng::{normal, stream};

/// Layers of one mechanism with drawn weights. Each pass takes the vectors that the last one left: norms stand behind the
/// blocks, so that they stay of one size.
pub(super) struct Whole {
    encoder: Encoder,
    stream: Option<Stream>,
}

/// The sizes of a cell's layers.
fn config(cell: &Cell, settings: &Settings) -> Result<EncoderConfig> {
    let mechanism = if cell.form == Form::Materialised {
        Mechanism::Materialised
    } else {
        let mut spec = cell.spec.clone();
        if cell.kind.name == "linformer" {
            // E is as long as the sequence: no pass reads more of it.
            spec.params.push(("max".into(), cell.n.to_string()));
        }
        Mechanism::build(&spec)?
    };
    let layers = if settings.unit == Unit::Layer { 1 } else { settings.layers };
    Ok(EncoderConfig::new(mechanism, settings.d(), settings.heads, settings.ffn, layers))
}

impl Whole {
    pub(super) fn new(cell: &Cell, settings: &Settings, seed: u64) -> Result<Self> {
        let encoder = Encoder::random(&config(cell, settings)?, seed)?;
        let (b, n, d) = (settings.batch, cell.n, settings.d());
        let mut x = Array3::zeros((b, n, d));
        for (sequence, mut one) in x.outer_iter_mut().enumerate() {
            one.assign(&normal(&mut stream(seed, &format!("scale-sweep x n {n} sequence {sequence}")), n, d));
        }
        let stream = Some(Stream::new(x, encoder.p()));
        Ok(Self { encoder, stream })
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
    let p = if cell.kind.name == "luna" { cell.l.unwrap_or(0).min(n) } else { 0 };
    let vectors = float * b * (n + p) * settings.d();
    let weights = float * config.parameters();
    let matrices = match cell.form {
        Form::Materialised => 2 * float * b * settings.heads * n * n * config.layers,
        Form::Fused | Form::Reference => 0,
    };
    Ok(Facts {
        cost: config.cost(b, n),
        bytes: (weights + 2 * vectors + matrices) as u64,
        extra_bytes: Some(config.extra_bytes(b, n, rayon::current_num_threads()) as u64),
        shared_bytes: 0,
        own_bytes: (weights + vectors) as u64,
    })
}
