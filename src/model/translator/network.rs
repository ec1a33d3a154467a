//! A trained encoder-decoder in use.

use std::path::Path;

use ndarray::{Array1, Array2, ArrayView1, Axis};

use super::softmax::{Layer, LayerState};
use super::{MODEL_TYPE, TranslatorConfig};
use crate::linalg::gemm::{Threads, product};
use crate::model::encoder::{Encoder, foreign};
use crate::model::luna::{DecoderState, LayerConfig, LayerNorm, LunaDecoder, Named, Padding};
use crate::model::{WEIGHTS, embedded, settled};
use crate::{Error, Result};

/// An encoder-decoder with its weights: reads a source whole, and says what comes behind each token of a target.
pub struct Translator {
    config: TranslatorConfig,
    encoder: Encoder,
    positions: Option<Array2<f32>>,
    norm: Option<LayerNorm>,
    layers: Layers,
    last: Option<LayerNorm>,
}

enum Layers {
    Softmax(Vec<Layer>),
    /// Which has its last norms itself.
    Luna(Box<LunaDecoder>),
}

/// What a translator keeps of a source and of the target so far. A clone goes on in another way from the same place.
#[derive(Clone, Debug)]
pub struct TranslatorState {
    config: TranslatorConfig,
    tokens: usize,
    layers: States,
}

#[derive(Clone, Debug)]
enum States {
    Softmax(Vec<LayerState>),
    Luna(DecoderState),
}

impl TranslatorState {
    /// How many tokens of the target there were.
    pub fn tokens(&self) -> usize {
        self.tokens
    }
}

impl Translator {
    /// By the names of [`TranslatorConfig::tensors`].
    pub fn load(named: &Named, config: &TranslatorConfig) -> Result<Self> {
        config.check()?;
        let decoder = named.within("decoder");
        let sizes = &config.encoder;
        let layer = LayerConfig { weight: config.weight, ..sizes.luna_layer() };
        let norm = |name: &str| LayerNorm::load(&decoder, name, sizes.d, layer.eps);
        let layers = if config.is_luna() {
            Layers::Luna(Box::new(LunaDecoder::load(&decoder, &layer, config.decoder_layers)?))
        } else {
            let all = decoder.within("layers");
            let load = |at: usize| Layer::load(&all.within(&at.to_string()), config);
            Layers::Softmax((0..config.decoder_layers).map(load).collect::<Result<_>>()?)
        };
        let positions = (sizes.positions > 0)
            .then(|| decoder.matrix("embed_positions.weight", (sizes.positions, sizes.d)))
            .transpose()?;
        Ok(Self {
            encoder: Encoder::load(&named.within("encoder"), sizes)?,
            positions,
            norm: sizes.embedding_norm.then(|| norm("layernorm_embedding")).transpose()?,
            last: (sizes.pre_norm && !config.is_luna()).then(|| norm("layer_norm")).transpose()?,
            layers,
            config: *config,
        })
    }

    /// Opens a folder that holds `config.json` and `model.safetensors`, or the run folder of a training, whose `best`
    /// holds them.
    ///
    /// Refuses a folder without either, keys and tensors that are missing or do not fit, and tensors that such a network
    /// does not have.
    pub fn open(dir: &Path) -> Result<Self> {
        let dir = settled(dir);
        let path = dir.join("config.json");
        let config = TranslatorConfig::parse(&path, &embedded::text(&path)?)?;
        let path = dir.join(WEIGHTS);
        let named = Named::open(&path)?;
        let translator = Self::load(&named, &config)?;
        foreign(&named, &config.tensors(), MODEL_TYPE, path)?;
        Ok(translator)
    }

    /// What it is.
    pub fn config(&self) -> &TranslatorConfig {
        &self.config
    }

    /// Reads a source, whose last token is the one that ends a text: the state before the first token of the target.
    ///
    /// Refuses an empty source, tokens beyond the vocabulary, and more tokens than positions.
    pub fn start(&self, source: &[u32]) -> Result<TranslatorState> {
        if source.is_empty() {
            let (what, accepted) = ("a source".to_string(), "1 or more".to_string());
            return Err(Error::Tokens { what, found: 0, accepted });
        }
        let read = self.encoder.forward(ArrayView1::from(source).insert_axis(Axis(0)), None)?;
        let x = read.x.index_axis_move(Axis(0), 0);
        let layers = match (&self.layers, read.p) {
            (Layers::Luna(decoder), Some(p)) => {
                let p = p.index_axis_move(Axis(0), 0);
                States::Luna(decoder.start(p, x.view(), Padding::default())?)
            }
            (Layers::Softmax(layers), _) => {
                States::Softmax(layers.iter().map(|layer| layer.start(x.view())).collect::<Result<_>>()?)
            }
            _ => return Err(Error::value("P of an encoder", "none", "one, for Luna's decoder")),
        };
        Ok(TranslatorState { config: self.config, tokens: 0, layers })
    }

    /// Takes in the next token of the target and returns the logits (vocab) of the one behind it.
    ///
    /// Refuses tokens beyond the vocabulary and beyond the last position, and a state of another translator; the state is
    /// as it was before.
    pub fn step(&self, state: &mut TranslatorState, token: u32) -> Result<Array1<f32>> {
        if state.config != self.config {
            return Err(Error::value("state of this translator", "another's", "one that its start gave"));
        }
        let Some(table) = self.encoder.token_table() else {
            return Err(Error::value("vocabulary of an encoder-decoder", "none", "1 token or more"));
        };
        if token as usize >= table.nrows() {
            let accepted = format!("ids below {}, the vocabulary", table.nrows());
            return Err(Error::value("token of the target", token, accepted));
        }
        let mut x = table.row(token as usize).to_owned().insert_axis(Axis(0));
        if let Some(positions) = &self.positions {
            if state.tokens >= positions.nrows() {
                let accepted = format!("{} or less, the positions", positions.nrows());
                let what = "a target".to_string();
                return Err(Error::Tokens { what, found: state.tokens + 1, accepted });
            }
            x += &positions.row(state.tokens);
        }
        if let Some(norm) = &self.norm {
            norm.apply(x.view_mut());
        }
        match (&self.layers, &mut state.layers) {
            (Layers::Luna(decoder), States::Luna(state)) => {
                x = decoder.step(state, x.row(0))?.insert_axis(Axis(0));
            }
            (Layers::Softmax(layers), States::Softmax(states)) => {
                for (layer, state) in layers.iter().zip(states) {
                    layer.step(state, &mut x)?;
                }
            }
            _ => {
                return Err(Error::value("state of this translator", "another's", "one that its start gave"));
            }
        }
        if let Some(norm) = &self.last {
            norm.apply(x.view_mut());
        }
        state.tokens += 1;
        Ok(product(x.view(), table.t(), Threads::One).index_axis_move(Axis(0), 0))
    }

    /// The logits (m, vocab) of the token behind each of the m tokens of a target.
    pub fn logits(&self, source: &[u32], target: &[u32]) -> Result<Array2<f32>> {
        let mut state = self.start(source)?;
        let mut all = Array2::zeros((0, self.config.encoder.vocab.unwrap_or(0)));
        for token in target {
            let row = self.step(&mut state, *token)?;
            all.push_row(row.view()).map_err(|error| Error::malformed("logits", error, "(m, vocab)"))?;
        }
        Ok(all)
    }
}
