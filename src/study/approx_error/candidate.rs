//! Which mechanisms are compared: the specs that were named, at every projected length.

use super::{Config, own};
use crate::attention::{self, Attention, Kind, Mask, Under, fit};
use crate::error::{Error, Result};
use crate::name::{self, List, Spec};
use crate::profile::ram;
use crate::study::input::{Source, restrict};
use crate::sweep::Watch;

/// One mechanism at one projected length.
#[derive(Clone, Debug)]
pub(in crate::study) struct Candidate {
    /// What is built.
    pub(in crate::study) spec: Spec,
    /// The spec without its `l`: what rows of different l have in common.
    pub(in crate::study) name: String,
    /// Its projected length, if it takes one.
    pub(in crate::study) l: Option<usize>,
    /// Whether that l stands in its spec, and not in --l.
    pub(in crate::study) has_own_l: bool,
    /// Its entry in the list.
    pub(in crate::study) kind: &'static Kind,
    /// Whether learned parts of it are fitted.
    pub(in crate::study) fitted: bool,
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
        Mask::Causal => "luna-causal,luna-causal:weight=elu,performer,linear,local,sink-window".into(),
    }
}

/// The mechanisms that an input is compared with.
pub(in crate::study) struct Candidates {
    pub(in crate::study) all: Vec<Candidate>,
    /// Notes: which others were named that cannot be used on it, which of its layers cannot be compared.
    pub(in crate::study) left_out: Vec<String>,
}

impl Candidates {
    /// Those that the configuration names, or the handful for heads of this mask and length.
    pub(super) fn of(config: &Config, source: &dyn Source, watch: &dyn Watch) -> Result<Self> {
        let n = source.lengths().last().copied().unwrap_or(1);
        let own = if source.own_l().is_some() { "trained," } else { "" };
        let default = format!("{own}{}", handful(source.mask(), n));
        let specs = config.mechanism.as_deref().unwrap_or(&default);
        Self::named(specs, &config.l, source, config.folder.runs_cells(), watch)
    }

    /// Every mechanism of a comma list at every l; `runs` if what they need must be there.
    ///
    /// An l that stands in a spec stays; every other mechanism that takes one is measured at each of --l that is not
    /// above n. Mechanisms without a form for the input's mask are left out; if nothing is left, they are refused.
    pub(in crate::study) fn named(
        specs: &str,
        lengths: &List<usize>,
        source: &dyn Source,
        runs: bool,
        watch: &dyn Watch,
    ) -> Result<Self> {
        let (mask, n) = (source.mask(), source.lengths().last().copied().unwrap_or(1));
        let mut all: Vec<Candidate> = Vec::new();
        let mut unusable: Vec<(String, Error)> = Vec::new();
        for spec in name::specs(specs)? {
            for one in Candidate::each(&spec, lengths, source, n)? {
                match one.refusal(mask)? {
                    None => {
                        if runs {
                            one.check_memory(n)?;
                        }
                        one.add_to(&mut all)?;
                    }
                    Some(error) => unusable.push((one.name, error)),
                }
            }
        }
        unusable.dedup_by(|a, b| a.0 == b.0);
        let names = unusable.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>().join(", ");
        let form = if mask == Mask::Causal { "causal" } else { "full" };
        match (all.is_empty(), unusable.len()) {
            (false, 0) => Ok(Self { all, left_out: Vec::new() }),
            (false, _) => {
                let note = format!("left out, for want of a {form} form: {names}");
                watch.say(&note);
                Ok(Self { all, left_out: vec![note] })
            }
            (true, 0) => Err(Error::value("--l", lengths, format!("one of n = {n} or less at least"))),
            (true, 1) => Err(unusable.swap_remove(0).1),
            (true, _) => {
                let accepted = format!("mechanisms with a {form} form, as {} has", source.name());
                Err(Error::value("--mechanism", names, accepted))
            }
        }
    }
}

impl Candidates {
    /// Leaves out the layers that some of them have no form for, and says so in the notes; `flag` is the option that chose
    /// the layers, if there is one.
    pub(in crate::study) fn restrict(
        &mut self,
        source: &mut dyn Source,
        flag: Option<&str>,
        watch: &dyn Watch,
    ) -> Result<()> {
        let kinds: Vec<&Kind> = self.all.iter().map(|one| one.kind).collect();
        self.left_out.extend(restrict(source, &kinds, flag, watch)?);
        Ok(())
    }
}

impl Candidate {
    /// A mechanism at every l at which it is measured.
    fn each(spec: &Spec, lengths: &List<usize>, source: &dyn Source, n: usize) -> Result<Vec<Self>> {
        if own::named(spec)? {
            let (kind, l) = own::of(source)?;
            let (spec, name) = (spec.clone(), spec.to_string());
            return Ok(vec![Self { spec, name, l: Some(l), has_own_l: true, kind, fitted: false }]);
        }
        let kind = attention::find(spec)?;
        let has_own_l = spec.typed("l").is_some();
        if !kind.depends_on_l(spec) || has_own_l {
            return Ok(vec![Self::one(spec, kind, None)?]);
        }
        let mut each = Vec::new();
        for l in lengths.iter() {
            let one = Self::one(spec, kind, Some(*l))?;
            if one.is_at(n) {
                each.push(one);
            } else {
                // Another mistake in the spec is one all the same; at an l that could be used, for other parameters may
                // depend on it.
                Self::one(spec, kind, Some((*l).min(n).max(1)))?.refusal(source.mask())?;
            }
        }
        Ok(each)
    }

    /// Whether it reads some of the keys with the weights of softmax, so that rows of its matrix can be made one by one.
    pub(super) fn streams(&self) -> bool {
        let built = || Attention::of(&self.spec);
        !self.is_own() && !self.fitted && built().is_ok_and(|attention| attention.choice().is_some())
    }

    fn add_to(self, all: &mut Vec<Self>) -> Result<()> {
        if all.iter().any(|other| other.spec == self.spec) {
            return Err(Error::value("--mechanism", &self.spec, "each mechanism once"));
        }
        all.push(self);
        Ok(())
    }

    /// A mechanism at an l; at that of its spec if none is given, or at none.
    pub(in crate::study) fn one(spec: &Spec, kind: &'static Kind, l: Option<usize>) -> Result<Self> {
        let has_own_l = l.is_none();
        let name = spec.without("l").to_string();
        let mut spec = spec.clone();
        if let Some(l) = l {
            spec.params.insert(0, ("l".into(), l.to_string()));
        }
        let takes = kind.depends_on_l(&spec);
        let l = if takes { Some(spec.params("attention", kind.takes)?.get("l")?) } else { None };
        Ok(Self { name, l, has_own_l, kind, fitted: fit::wanted(&spec), spec })
    }

    /// Whether it is what the model itself has learned.
    pub(super) fn is_own(&self) -> bool {
        self.kind.name == own::NAME
    }

    /// Whether it is measured at this length: an l of --l that is above it is left out.
    pub(super) fn is_at(&self, n: usize) -> bool {
        self.has_own_l || self.l.is_none_or(|l| l <= n)
    }

    /// How many of these are measured at the lengths of an input, all in all.
    pub(super) fn count<'a>(all: impl Iterator<Item = &'a Self> + Clone, n: &[usize]) -> usize {
        n.iter().map(|n| all.clone().filter(|one| one.is_at(*n)).count()).sum()
    }

    /// Tokens a block, of a mechanism that cuts its input into blocks of a typed length.
    fn block(&self) -> Option<usize> {
        let takes = self.kind.takes.iter().any(|param| param.name == "block");
        takes.then(|| self.spec.params("attention", self.kind.takes)?.get("block")).and_then(Result::ok)
    }

    /// A note for each kind among them that does not honour the mask.
    pub(in crate::study) fn leaks(all: &[Self], mask: Mask) -> Vec<String> {
        let mut notes = Vec::new();
        for one in all {
            if let Under::Leaks(how) = one.kind.under(mask) {
                let note = format!("{} under the {} mask {how}", one.kind.name, mask.name());
                if !notes.contains(&note) {
                    notes.push(note);
                }
            }
        }
        notes
    }

    /// What a reader must know about l above n, and blocks that are no blocks.
    pub(super) fn notes(all: &[Self], lengths: &[usize], n: &[usize]) -> Vec<String> {
        let places = |above: &dyn Fn(usize) -> Vec<String>| {
            let each = n.iter().map(|n| (above(*n), n)).filter(|(above, _)| !above.is_empty());
            each.map(|(above, n)| format!("{} at n = {n}", above.join(", "))).collect::<Vec<_>>().join("; ")
        };
        let left_out = places(&|n| lengths.iter().filter(|l| **l > n).map(ToString::to_string).collect());
        let longer = places(&|n| {
            let above = all.iter().filter(|one| one.has_own_l && one.l.is_some_and(|l| l > n));
            above.map(|one| one.spec.to_string()).collect()
        });
        let whole = places(&|n| {
            let whole = all.iter().filter(|one| one.block().is_some_and(|block| block >= n));
            whole.map(|one| one.spec.to_string()).collect()
        });
        let mut notes = Vec::new();
        if !whole.is_empty() {
            notes.push(format!(
                "one block holds the whole input, and that is softmax attention itself: {whole}"
            ));
        }
        if !left_out.is_empty() {
            notes.push(format!("an l of --l above n is left out: {left_out}"));
        }
        if !longer.is_empty() {
            notes.push(format!("l above n as typed: {longer}; what takes l rows of its input takes n then"));
        }
        notes
    }

    /// Refuses an l whose arrays would not fit in memory; those of n x n are looked at elsewhere.
    fn check_memory(&self, n: usize) -> Result<()> {
        let l = match (self.kind.name, self.l) {
            ("luna-causal" | "linformer" | "performer" | "synthesizer", Some(l)) => l as u64,
            // A choice of l keys, or no more rows than the input has.
            _ => return Ok(()),
        };
        let rows = match self.kind.name {
            "linformer" => n.max(self.spec.params("attention", self.kind.takes)?.get("max")?),
            _ => n,
        };
        // For each thread four arrays in f32: exponents and features of queries and of keys; E, F and the weights.
        let threads = rayon::current_num_threads();
        let needed = l.saturating_mul(rows as u64).saturating_mul(16 * threads as u64);
        let what = format!("'{}' at n = {n} on {threads} threads", self.spec);
        ram::require(what, needed, "a smaller --l, or l in the spec, needs less")
    }

    /// Why it cannot be used under a mask, if it cannot; an error for wrong parameters, before any work is done.
    pub(in crate::study) fn refusal(&self, mask: Mask) -> Result<Option<Error>> {
        if self.is_own() {
            return Ok(None);
        }
        // What will be fitted is not there yet: the other parameters are checked with it drawn.
        let mut drawn = self.spec.clone();
        drawn.params.retain(|(_, value)| value != "fitted");
        Ok(Attention::of(&drawn)?.honours(mask).err())
    }
}
