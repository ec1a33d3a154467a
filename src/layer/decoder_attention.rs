//! The attention of a decoder's layers: how the target reads itself, and how it reads the source.

use super::config::EncoderConfig;
use super::mechanism::Mechanism;
use crate::attention::luna_causal::Packing;
use crate::name::{self, Param, Spec};
use crate::{Error, Result};

/// Which of a decoder's two attentions read through Luna's P.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecoderKind {
    /// Neither: the Transformer's decoder (Vaswani et al. 2017).
    Softmax,
    /// Both: the decoder of Luna's authors.
    Luna,
    /// The causal self-attention only.
    LunaSelf,
    /// The attention over the source only.
    LunaSource,
}

const L: Param = Param {
    name: "l",
    default: None,
    about: "rows of a P of the decoder's own; only where the encoder hands on none [16]",
};
const TIED: Param = Param {
    name: "tied",
    default: None,
    about: "keys and values share their projections [as in the encoder, else true]",
};

/// Rows of a P of the decoder's own where none are asked for.
const DEFAULT_L: usize = 16;

impl DecoderKind {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Softmax, Self::Luna, Self::LunaSelf, Self::LunaSource];

    /// The name by which it is asked for.
    pub fn name(self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::Luna => "luna",
            Self::LunaSelf => "luna-self",
            Self::LunaSource => "luna-source",
        }
    }

    /// What it is, in one line.
    pub fn about(self) -> &'static str {
        match self {
            Self::Softmax => "causal softmax self-attention, softmax attention over the source",
            Self::Luna => "causal Luna self-attention, Luna attention over the source: the authors' decoder",
            Self::LunaSelf => "causal Luna self-attention, softmax attention over the source",
            Self::LunaSource => "causal softmax self-attention, Luna attention over the source",
        }
    }

    /// Its parameters.
    pub fn takes(self) -> &'static [Param] {
        match self {
            Self::Softmax => &[],
            Self::Luna | Self::LunaSelf => &[L, TIED, Packing::WEIGHT, Packing::DECAY],
            Self::LunaSource => &[L, TIED],
        }
    }

    /// The one of that name.
    pub fn find(name: &str) -> Result<Self> {
        name::find("decoder", name, &Self::ALL, |kind| kind.name()).copied()
    }

    /// Whether the target reads itself by causal Luna attention.
    pub fn luna_self(self) -> bool {
        matches!(self, Self::Luna | Self::LunaSelf)
    }

    /// Whether the target reads the source by Luna attention.
    pub fn luna_source(self) -> bool {
        matches!(self, Self::Luna | Self::LunaSource)
    }
}

/// How a decoder attends: what `--decoder` says, as in `luna-self:weight=elu`.
///
/// P is the encoder's last one where the encoder is Luna's and hands its P on (`p_chain`), min(l, m)
/// rows for a source of m tokens. Elsewhere the decoder has a learned P of its own with l rows, of which a source of m
/// tokens has the first min(l, m) too, so that kinds of encoders differ in nothing else. Attention over the source by P
/// hands `norm(P + packed source)` on to the next layer, as its authors do; where only the causal self-attention reads P,
/// no layer changes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DecoderAttention {
    /// Which attentions are Luna's.
    pub kind: DecoderKind,
    /// Rows of a P of its own; `None` where it reads the encoder's, or none.
    pub l: Option<usize>,
    /// Whether keys and values share their projections in Luna's attentions.
    pub tied: bool,
    /// How causal Luna attention packs; the others do not ask.
    pub packing: Packing,
}

impl DecoderAttention {
    /// Luna's after a Luna encoder whose P is handed from layer to layer, softmax after any other.
    pub fn after(encoder: &EncoderConfig) -> Self {
        Self::of(if encoder.carries_p() { DecoderKind::Luna } else { DecoderKind::Softmax }, encoder)
    }

    /// That kind with default parameters.
    pub fn of(kind: DecoderKind, encoder: &EncoderConfig) -> Self {
        let own = kind != DecoderKind::Softmax && !encoder.carries_p();
        let tied = !matches!(encoder.mechanism, Mechanism::Luna { tied: false, .. });
        Self { kind, l: own.then_some(DEFAULT_L), tied, packing: Packing::default() }
    }

    /// The one that a spec names, after that encoder.
    pub fn build(spec: &Spec, encoder: &EncoderConfig) -> Result<Self> {
        let kind = DecoderKind::find(&spec.name)?;
        let params = spec.params("decoder", kind.takes())?;
        let default = Self::of(kind, encoder);
        let (tied, l) = (params.optional("tied")?, params.optional("l")?);
        let packing = if kind.luna_self() { Packing::of(&params)? } else { default.packing };
        let built = Self { l: l.or(default.l), tied: tied.unwrap_or(default.tied), packing, ..default };
        built.check(encoder).map(|()| built)
    }

    /// Its name with the parameters that are not its default after that encoder, and the rows of a P of its own.
    pub fn spec(&self, encoder: &EncoderConfig) -> String {
        let default = Self::of(self.kind, encoder);
        let l = self.l.map(|l| ("l", l.to_string()));
        let tied = (self.tied != default.tied).then(|| ("tied", self.tied.to_string()));
        let Packing { weight, average } = self.packing;
        let weight = (weight != default.packing.weight).then(|| ("weight", weight.name().to_string()));
        let decay = average.name().map(|decay| ("decay", decay));
        let params = [l, tied, weight, decay].into_iter().flatten();
        let params = params.filter(|(name, _)| self.kind.takes().iter().any(|param| param.name == *name));
        let params = params.map(|(name, value)| (name.to_string(), value)).collect();
        Spec { name: self.kind.name().to_string(), params }.to_string()
    }

    /// Refuses a P of its own beside the encoder's, none where it needs one, and more rows than a source has.
    pub(crate) fn check(&self, encoder: &EncoderConfig) -> Result<()> {
        let what = || format!("parameter 'l' of decoder '{}'", self.kind.name());
        let needs = Self::of(self.kind, encoder).l.is_some();
        let most = if encoder.positions > 0 { encoder.positions } else { usize::MAX };
        match self.l {
            Some(l) if !needs => {
                let accepted = "none: it reads the P of the luna encoder, whose l is in --mechanism";
                Err(Error::value(what(), l, accepted))
            }
            Some(l) if l == 0 || l > most => Err(Error::value(what(), l, format!("1 to {most}"))),
            None if needs => Err(Error::value(what(), "none", "rows of P: this encoder hands on none")),
            _ => Ok(()),
        }
    }
}
