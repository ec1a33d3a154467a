//! How causal Luna packs: by which weights, and in which average over the tokens so far.

use super::decay::Decay;
use super::weight::Weight;
use crate::error::Result;
use crate::name::{Param, Params};

/// How tokens are packed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Packing {
    /// What weighs the rows of P.
    pub weight: Weight,
    /// How the tokens so far are averaged.
    pub average: Average,
}

/// How the tokens so far are averaged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Average {
    /// Their mean: the authors' form.
    #[default]
    Mean,
    /// An exponential average of this decay, above 0 and below 1, in every head: a variant of our own.
    Decaying(f64),
    /// An exponential average whose decay each head learns.
    Learned,
}

// A decay is never NaN.
impl Eq for Average {}

impl From<Weight> for Packing {
    /// The authors' form with that weight.
    fn from(weight: Weight) -> Self {
        Self { weight, average: Average::Mean }
    }
}

impl Packing {
    /// The parameter `weight`.
    pub(crate) const WEIGHT: Param = Param {
        name: "weight",
        default: Some("softplus"),
        about: "what weighs the rows of P: softplus (log2(1 + 2^x)), elu (elu + 1)",
    };
    /// The parameter `decay` of layers.
    pub(crate) const DECAY: Param = Param {
        name: "decay",
        default: Some("1"),
        about: "of the average over the tokens so far, at each token: 1 (their mean: the authors' form), or a variant of \
                ours: a number above 0 and below 1, or learned (one a head)",
    };

    /// What the parameters `weight` and `decay` say.
    pub(crate) fn of(params: &Params<'_>) -> Result<Self> {
        let decay: String = params.get("decay")?;
        let average = Average::parse(&decay);
        let average = average.ok_or_else(|| params.refuse("decay", &decay, Average::ACCEPTED))?;
        Ok(Self { weight: Weight::of(params)?, average })
    }

    /// `weight`, and `decay` where it is not 1, as parameters are written.
    pub(crate) fn spec(self) -> String {
        let decay = self.average.name().map(|decay| format!(",decay={decay}")).unwrap_or_default();
        format!("weight={}{decay}", self.weight.name())
    }
}

impl Average {
    /// The values of the parameter `decay`.
    pub(crate) const ACCEPTED: &str = "1, a number above 0 and below 1, or learned";

    /// The value of the parameter `decay`, where it is not the default.
    pub(crate) fn name(self) -> Option<String> {
        match self {
            Self::Mean => None,
            Self::Decaying(decay) => Some(decay.to_string()),
            Self::Learned => Some("learned".into()),
        }
    }

    /// What a value of the parameter `decay` says.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match (text, text.parse::<f64>()) {
            ("learned", _) => Some(Self::Learned),
            (_, Ok(1.0)) => Some(Self::Mean),
            (_, Ok(decay)) if decay > 0.0 && decay < 1.0 => Some(Self::Decaying(decay)),
            _ => None,
        }
    }

    /// The decay of every head, where it is not learned.
    pub(crate) fn fixed(self) -> Option<Decay> {
        match self {
            Self::Mean => Some(Decay::NONE),
            Self::Decaying(decay) => Some(Decay::of(decay)),
            Self::Learned => None,
        }
    }
}
