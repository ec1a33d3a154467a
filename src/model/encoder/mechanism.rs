//! The mechanisms that a layer may have.

use crate::name::{Param, Params, Spec};
use crate::{Result, name};

/// How the layers of an encoder attend.
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
        /// Its width: l/2 keys on each side.
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
        takes: &[l("64", "width of the window: l/2 keys on each side")],
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
            Self::Luna { l, .. } | Self::Linformer { l, .. } | Self::Performer { l } | Self::Local { l } => {
                Some(l)
            }
        }
    }

    /// The mechanism in [`crate::attention`] that its heads compute. Luna's two steps are softmax each.
    pub(super) fn core(&self) -> &'static str {
        match self {
            Self::Materialised | Self::Luna { .. } => "softmax",
            other => other.name(),
        }
    }
}
