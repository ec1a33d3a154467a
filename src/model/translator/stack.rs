//! An encoder-decoder with its weights: sources encoded, targets embedded and decoded whole.

use ndarray::{Array2, ArrayView1, Axis};

use super::TranslatorConfig;
use super::softmax::Decoder;
use crate::model::encoder::Encoder;
use crate::model::luna::{LayerConfig, LayerNorm, LunaDecoder, Named, Padding};
use crate::{Error, Result};

/// An encoder-decoder.
pub struct Translator {
    pub(super) config: TranslatorConfig,
    encoder: Encoder,
    positions: Option<Array2<f32>>,
    embedding_norm: Option<LayerNorm>,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Softmax(Decoder),
    Luna(Box<LunaDecoder>),
}

/// What the encoder made of one source.
pub(super) struct Encoded {
    /// The context, shape (m, d).
    pub(super) x: Array2<f32>,
    /// The P that Luna's decoder begins with, shape (min(l, m), d).
    pub(super) p: Option<Array2<f32>>,
}

impl Translator {
    /// Reads the tensors that [`TranslatorConfig::tensors`] and [`TranslatorConfig::features`] list.
    pub fn load(named: &Named, config: &TranslatorConfig) -> Result<Self> {
        config.check()?;
        let of = config.encoder;
        let decoder = named.within("decoder");
        let layer = LayerConfig { weight: config.weight, ..of.luna_layer() };
        let positions = || decoder.matrix("embed_positions.weight", (of.positions, of.d));
        let norm = || LayerNorm::load(&decoder, "layernorm_embedding", of.d, layer.eps);
        Ok(Self {
            config: *config,
            encoder: Encoder::load(&named.within("encoder"), &of)?,
            positions: (of.positions > 0).then(positions).transpose()?,
            embedding_norm: of.embedding_norm.then(norm).transpose()?,
            kind: if config.is_luna() {
                Kind::Luna(Box::new(LunaDecoder::load(&decoder, &layer, config.decoder_layers)?))
            } else {
                Kind::Softmax(Decoder::load(&decoder, config)?)
            },
        })
    }

    /// What it was made from.
    pub fn config(&self) -> &TranslatorConfig {
        &self.config
    }

    /// The logits (m, vocab) of the token behind each of the m tokens of a target, of which the first is that in front
    /// of every target.
    ///
    /// Refuses a source or a target without a token, tokens beyond the vocabulary and sequences beyond the positions.
    pub fn logits(&self, source: &[u32], target: &[u32]) -> Result<Array2<f32>> {
        let Encoded { x: context, p } = self.encode(source)?;
        needed("a target", target)?;
        let x = self.embed(target, 0..target.len())?;
        let x = match (&self.kind, p) {
            (Kind::Luna(decoder), Some(p)) => decoder.forward(x, p, context.view(), Padding::default())?.0,
            (Kind::Luna(_), None) => return Err(no_p()),
            (Kind::Softmax(decoder), _) => decoder.forward(x, context.view())?,
        };
        self.over_tokens(&x)
    }

    /// A source through the encoder.
    pub(super) fn encode(&self, source: &[u32]) -> Result<Encoded> {
        needed("a source", source)?;
        let stream = self.encoder.forward(ArrayView1::from(source).insert_axis(Axis(0)), None)?;
        Ok(Encoded {
            x: stream.x.index_axis_move(Axis(0), 0),
            p: stream.p.map(|p| p.index_axis_move(Axis(0), 0)),
        })
    }

    /// Tokens at their places as the decoder's rows (n, d), normalised where embeddings are.
    pub(super) fn embed(
        &self,
        tokens: &[u32],
        places: impl IntoIterator<Item = usize>,
    ) -> Result<Array2<f32>> {
        let vocab = self.config.encoder.vocab.unwrap_or(0);
        let mut x = Array2::zeros((tokens.len(), self.config.encoder.d));
        for ((mut row, &token), place) in x.rows_mut().into_iter().zip(tokens).zip(places) {
            let table = self.encoder.token_table().filter(|table| (token as usize) < table.nrows());
            let Some(table) = table else {
                let accepted = format!("ids below {vocab}, the vocabulary");
                return Err(Error::value("token of the target", token, accepted));
            };
            row.assign(&table.row(token as usize));
            if let Some(positions) = &self.positions {
                if place >= positions.nrows() {
                    let accepted = format!("{} or less, the positions", positions.nrows());
                    return Err(Error::Tokens { what: "a target".into(), found: place + 1, accepted });
                }
                row += &positions.row(place);
            }
        }
        if let Some(norm) = &self.embedding_norm {
            norm.apply(x.view_mut());
        }
        Ok(x)
    }

    /// Logits (n, vocab) of the decoder's last rows (n, d): each is held against the table of tokens.
    pub(super) fn over_tokens(&self, x: &Array2<f32>) -> Result<Array2<f32>> {
        self.encoder.over_tokens(x.view())
    }
}

/// A Luna encoder whose P stays with it; the configuration was checked, so that there is none.
pub(super) fn no_p() -> Error {
    Error::value("P of an encoder-decoder", "none", "one, which the encoder hands to the decoder")
}

fn needed(what: &str, tokens: &[u32]) -> Result<()> {
    if !tokens.is_empty() {
        return Ok(());
    }
    Err(Error::Tokens { what: what.into(), found: 0, accepted: "1 or more".into() })
}
