//! Which mechanisms are compared: the specs that were typed, at every projected length.

use crate::attention::{self, Attention, Kind, Mask, Origin, fit};
use crate::error::{Error, Result};
use crate::name::{self, List, Spec};

/// One mechanism at one projected length.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    /// What is built.
    pub(super) spec: Spec,
    /// The spec without its `l`: what rows of different l have in common.
    pub(super) name: String,
    /// Its projected length, if it takes one.
    pub(super) l: Option<usize>,
    /// Its entry in the list.
    pub(super) kind: &'static Kind,
    /// Whether pieces of it are fitted.
    pub(super) fitted: bool,
}

/// What is compared where nobody named anything: one or two of each idea.
fn handful(mask: Mask, n: usize) -> String {
    match mask {
        Mask::Full => {
            // Linformer's own maximum is 512; here it is to reach as far as the input.
            let max = if n > 512 { format!(",max={n}") } else { String::new() };
            format!(
                "luna:p=random,luna:p=segment,linformer:e=random{max},linformer:e=segment{max},nystrom,performer,\
                 linear,local"
            )
        }
        Mask::Causal => "luna-causal:w=softplus,luna-causal:w=elu,performer,linear,local".into(),
    }
}

impl Asked {
    /// Every mechanism of a comma list (or of the handful for heads of this mask and length) at every l.
    ///
    /// An l that stands in a spec is kept; every other mechanism that takes one is measured at each of `lengths`.
    pub(super) fn all(specs: Option<&str>, lengths: &List<usize>, mask: Mask, n: usize) -> Result<Vec<Self>> {
        let default = handful(mask, n);
        let mut all: Vec<Self> = Vec::new();
        for spec in name::specs(specs.unwrap_or(&default))? {
            let kind = attention::find(&spec)?;
            let typed = spec.params.iter().any(|(key, _)| key == "l");
            let each: Vec<Option<usize>> = if kind.takes_l() && !typed {
                lengths.iter().map(|l| Some(*l)).collect()
            } else {
                vec![None]
            };
            for l in each {
                let one = Self::one(&spec, kind, l)?;
                one.check(mask)?;
                if all.iter().any(|other| other.spec == one.spec) {
                    return Err(Error::value("--attention", &one.spec, "each mechanism once"));
                }
                all.push(one);
            }
        }
        Ok(all)
    }

    fn one(spec: &Spec, kind: &'static Kind, l: Option<usize>) -> Result<Self> {
        let mut common = spec.clone();
        common.params.retain(|(key, _)| key != "l");
        let mut spec = spec.clone();
        if let Some(l) = l {
            spec.params.insert(0, ("l".into(), l.to_string()));
        }
        let l = if kind.takes_l() { Some(spec.params("attention", kind.takes)?.get("l")?) } else { None };
        Ok(Self { name: common.to_string(), l, kind, fitted: fit::wanted(&spec), spec })
    }

    /// Refuses parameters and masks before any work is done.
    fn check(&self, mask: Mask) -> Result<()> {
        // What will be fitted is not there yet: the other parameters are checked with it drawn.
        let mut drawn = self.spec.clone();
        drawn.params.retain(|(_, value)| value != "fitted");
        let built = Attention::build(&drawn, &Origin { seed: 0, label: "", learned: None })?;
        built.honours(mask)
    }
}
