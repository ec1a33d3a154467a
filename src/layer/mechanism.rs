//! The attention mechanisms that a layer may have.

use crate::attention::luna_causal::Packing;
use crate::attention::{self, Fused, Mask};
use crate::name::{Param, Params, Spec};
use crate::{Result, name};

/// The attention of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mechanism {
    /// Exact attention by online softmax, without an n x n array.
    Softmax,
    /// Exact attention as a textbook writes it: the n x n matrices of all heads are there at once.
    Materialised,
    /// Luna's own layer, which carries the packed sequence P upward.
    Luna {
        /// Rows of P; at most n are used.
        l: usize,
        /// Whether keys and values share their projections: 5 projections, else 7.
        tied: bool,
    },
    /// Luna's causal attention as a layer of a decoder-only model, whose P no layer changes.
    LunaCausal {
        /// Rows of P, used at every length.
        l: usize,
        /// Whether keys and values share their projection: 5 projections, else 6.
        tied: bool,
        /// How tokens are packed.
        packing: Packing,
    },
    /// Keys and values projected along the length by one learned E for both and for all heads of a layer.
    Linformer {
        /// Rows of E.
        l: usize,
        /// Columns of E: the longest sequence.
        max: usize,
    },
    /// Features elu + 1.
    Linear,
    /// Positive orthogonal random features, one draw a layer.
    Performer {
        /// Features.
        l: usize,
    },
    /// A sliding window.
    Local {
        /// Its keys: l/2 on each side; under a causal mask its own and the l - 1 before it.
        l: usize,
    },
}

/// One line of the list: a mechanism by its name.
#[derive(Debug)]
pub struct MechanismKind {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// Its parameters with defaults.
    pub takes: &'static [Param],
    build: fn(&Params<'_>) -> Result<Mechanism>,
}

const fn l(default: &'static str, about: &'static str) -> Param {
    Param { name: "l", default: Some(default), about }
}

/// Every mechanism that a layer may have.
pub const ALL: &[MechanismKind] = &[
    MechanismKind {
        name: "softmax",
        about: "exact attention by online softmax, without an n x n array",
        takes: &[],
        build: |_| Ok(Mechanism::Softmax),
    },
    MechanismKind {
        name: "materialised",
        about: "exact attention as textbooks write it, with the n x n matrices of all heads",
        takes: &[],
        build: |_| Ok(Mechanism::Materialised),
    },
    MechanismKind {
        name: "luna",
        about: "Luna's layer: pack, unpack, P carried upward",
        takes: &[
            l("16", "rows of P; at most n are used"),
            Param {
                name: "tied",
                default: Some("true"),
                about: "keys and values share their projections: 5, else 7",
            },
        ],
        build: |params| Ok(Mechanism::Luna { l: params.at_least("l", 1)?, tied: params.get("tied")? }),
    },
    MechanismKind {
        name: "luna-causal",
        about: "Luna's causal attention, for causal stacks only: running means, one P for all layers",
        takes: &[
            l("16", "rows of P, used at every length"),
            Param {
                name: "tied",
                default: Some("true"),
                about: "keys and values share their projection: 5, else 6",
            },
            Packing::WEIGHT,
            Packing::DECAY,
        ],
        build: |params| {
            let (l, tied) = (params.at_least("l", 1)?, params.get("tied")?);
            Ok(Mechanism::LunaCausal { l, tied, packing: Packing::of(params)? })
        },
    },
    MechanismKind {
        name: "linformer",
        about: "keys and values projected from n rows to l by one E",
        takes: &[
            l("64", "rows of E"),
            Param { name: "max", default: Some("4096"), about: "columns of E: the longest sequence" },
        ],
        build: |params| {
            Ok(Mechanism::Linformer { l: params.at_least("l", 1)?, max: params.at_least("max", 1)? })
        },
    },
    MechanismKind {
        name: "linear",
        about: "features elu + 1 in place of the exponential",
        takes: &[],
        build: |_| Ok(Mechanism::Linear),
    },
    MechanismKind {
        name: "performer",
        about: "l positive orthogonal random features",
        takes: &[l("64", "random features")],
        build: |params| Ok(Mechanism::Performer { l: params.at_least("l", 1)? }),
    },
    MechanismKind {
        name: "local",
        about: "sliding window",
        takes: &[l("64", "keys of the window: l/2 on each side; causal: its own and the l - 1 before it")],
        build: |params| Ok(Mechanism::Local { l: params.at_least("l", 1)? }),
    },
];

impl Mechanism {
    /// The mechanism that a spec names (`luna:l=16,tied=false`), or the error that says what there is.
    pub fn build(spec: &Spec) -> Result<Self> {
        let kind = name::find("attention of a layer", &spec.name, ALL, |kind| kind.name)?;
        (kind.build)(&spec.params("attention", kind.takes)?)
    }

    /// Its name in [`ALL`].
    pub fn name(&self) -> &'static str {
        match self {
            Self::Softmax => "softmax",
            Self::Materialised => "materialised",
            Self::Luna { .. } => "luna",
            Self::LunaCausal { .. } => "luna-causal",
            Self::Linformer { .. } => "linformer",
            Self::Linear => "linear",
            Self::Performer { .. } => "performer",
            Self::Local { .. } => "local",
        }
    }

    /// Its parameter l, where it has one.
    pub fn l(&self) -> Option<usize> {
        match *self {
            Self::Softmax | Self::Materialised | Self::Linear => None,
            Self::Luna { l, .. }
            | Self::LunaCausal { l, .. }
            | Self::Linformer { l, .. }
            | Self::Performer { l }
            | Self::Local { l } => Some(l),
        }
    }

    /// Rows of its P; 0 where it has none.
    pub(super) fn p_rows(&self) -> usize {
        match *self {
            Self::Luna { l, .. } | Self::LunaCausal { l, .. } => l,
            _ => 0,
        }
    }

    /// Its name with every parameter that it has, as [`build`](Self::build) reads it: `luna:l=16,tied=true`.
    pub fn spec(&self) -> String {
        let name = self.name();
        match *self {
            Self::Softmax | Self::Materialised | Self::Linear => name.to_string(),
            Self::Luna { l, tied } => format!("{name}:l={l},tied={tied}"),
            Self::LunaCausal { l, tied, packing } => format!("{name}:l={l},tied={tied},{}", packing.spec()),
            Self::Linformer { l, max } => format!("{name}:l={l},max={max}"),
            Self::Performer { l } | Self::Local { l } => format!("{name}:l={l}"),
        }
    }

    /// Whether layers of this mechanism may stand in a stack under that mask.
    ///
    /// Luna's own layer packs all rows at once, and n x n matrices are there to be measured, not to be trained: both
    /// are for the full mask.
    pub fn honours(&self, mask: Mask) -> bool {
        match self {
            Self::Materialised => true,
            Self::Luna { .. } => mask == Mask::Full,
            other => other.fused().is_ok_and(|fused| fused.honours(mask)),
        }
    }

    /// Whether weights of its attention may be dropped in training.
    pub fn drops(&self) -> bool {
        match self {
            Self::LunaCausal { .. } => true,
            Self::Materialised => false,
            other => other.fused().is_ok_and(|fused| fused.drops()),
        }
    }

    /// The names of the mechanisms that may stand under a mask, as a comma list.
    pub(super) fn honouring(mask: Mask) -> String {
        let honours = |kind: &&MechanismKind| {
            let spec = Spec { name: kind.name.to_string(), params: Vec::new() };
            Self::build(&spec).is_ok_and(|mechanism| mechanism.honours(mask))
        };
        ALL.iter().filter(honours).map(|kind| kind.name).collect::<Vec<_>>().join(", ")
    }

    /// The parameter l of what its heads compute.
    pub(crate) fn core_l(&self) -> Option<usize> {
        self.l().filter(|_| !matches!(self, Self::Luna { .. }))
    }

    /// The mechanism in [`crate::attention`] that its heads compute. Luna's two steps are softmax each.
    pub(crate) fn core(&self) -> &'static str {
        match self {
            Self::Materialised | Self::Luna { .. } => "softmax",
            other => other.name(),
        }
    }

    /// What its heads compute, without an n x m array.
    pub(super) fn fused(&self) -> Result<Fused> {
        attention::fused(self.core(), self.core_l())
    }
}
