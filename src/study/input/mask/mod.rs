//! The mask of each dumped matrix: inferred from its zeros, or as `--mask` says.

mod fit;
mod infer;
mod shape;
mod spec;
#[cfg(test)]
mod tests;

use shape::Shape;
use spec::{ACCEPTED, MaskSpec, Part};

use crate::attention::{Mask, Visible, Window};
use crate::error::{Error, Result};
use crate::task::dump::Dump;

/// The mask and the window that `--qkv-mask`, or a file, says: those that softmax attention is computed under. `flag` is what
/// errors call it.
pub(super) fn of_projections(flag: &str, typed: &str) -> Result<(Mask, Option<Window>)> {
    const MASKS: &str = "full, causal, window:back=B,ahead=A (or one of these), or causal,window:back=B";
    let refuse = || Error::value(flag, typed, MASKS);
    let MaskSpec::Parts(parts) = MaskSpec::read(flag, typed, MASKS)? else { return Err(refuse()) };
    let (mut mask, mut window) = (Mask::Full, None);
    for part in parts {
        match part {
            Part::Full => {}
            Part::Causal => mask = Mask::Causal,
            Part::Window { back, ahead } => {
                let keys = |keys: Option<usize>| keys.unwrap_or(usize::MAX);
                window = Some(Window { back: keys(back), ahead: keys(ahead) });
            }
            Part::Padding { .. } | Part::Blocks(_) => return Err(refuse()),
        }
    }
    // The mask hides what is ahead, however far a window would reach.
    if let (Mask::Causal, Some(window)) = (mask, &mut window) {
        window.ahead = 0;
    }
    Ok((mask, window))
}

/// The masks of the chosen heads of every sample.
pub(super) struct Masks {
    /// By sample, then layer, then head, as they were chosen.
    visible: Vec<Visible>,
    per_sample: usize,
    /// What they are, in words.
    pub(super) words: String,
    /// The same of each, where they were inferred.
    each: Vec<String>,
    given: bool,
    /// Where zeros were not understood as a mask, if anywhere.
    pub(super) doubt: Option<String>,
}

impl Masks {
    /// The masks of these heads of these layers; `typed` is the value of --mask.
    pub(super) fn of(dump: &Dump, layers: &[usize], heads: &[usize], typed: Option<&str>) -> Result<Self> {
        match MaskSpec::read("--mask", typed.unwrap_or("auto"), ACCEPTED)? {
            MaskSpec::Auto => Ok(Self::inferred(dump, layers, heads)),
            MaskSpec::Zeros => {
                let mut visible = Vec::new();
                for sample in 0..dump.samples() {
                    for (layer, head) in each(layers, heads) {
                        visible.push(infer::pattern(dump.map(layer, sample, head, |x| x != 0.0).view()));
                    }
                }
                let (words, per_sample) =
                    ("exactly the zeros of each matrix".into(), layers.len() * heads.len());
                Ok(Self { visible, per_sample, words, each: Vec::new(), given: true, doubt: None })
            }
            MaskSpec::Parts(parts) => {
                let visible = given(dump, &parts)?;
                refuse_contradiction(dump, layers, heads, &visible, typed.unwrap_or_default())?;
                let per_sample = layers.len() * heads.len();
                let words = typed.unwrap_or_default().trim().to_string();
                let visible = vec![visible; per_sample * dump.samples()];
                Ok(Self { visible, per_sample, words, each: Vec::new(), given: true, doubt: None })
            }
        }
    }

    /// What that of the head of this number is in every sample, in words.
    pub(super) fn words_of(&self, at: usize) -> &str {
        let mut all = self.each.iter().skip(at).step_by(self.per_sample.max(1));
        match all.next() {
            Some(first) if all.all(|other| other == first) => first,
            Some(_) => "differs by window",
            None => &self.words,
        }
    }

    /// What they are, and where they come from.
    pub(super) fn note(&self) -> String {
        let source =
            if self.given { "as --mask says" } else { "inferred from exact zeros; --mask says another" };
        format!("mask of the matrices, and of their null models: {} ({source})", self.words)
    }

    /// The mask of the head of this number, of the chosen ones.
    pub(super) fn get(&self, sample: usize, at: usize) -> Visible {
        self.visible.get(sample * self.per_sample + at).cloned().unwrap_or(Mask::Full.into())
    }

    fn inferred(dump: &Dump, layers: &[usize], heads: &[usize]) -> Self {
        let (mut visible, mut words, mut doubtful) = (Vec::new(), Vec::new(), 0);
        for sample in 0..dump.samples() {
            let keys = infer::seen_keys(dump, sample);
            for layer in layers {
                let found = infer::layer(dump, *layer, sample, &keys);
                // Heads of a layer mostly have one mask: it is held once.
                let mut known: Vec<(&Shape, Visible)> = Vec::new();
                for head in heads {
                    let shape = &found.shapes[*head];
                    words.push(shape.describe());
                    doubtful += usize::from(found.unexplained[*head]);
                    let same = known.iter().find(|(other, _)| *other == shape).map(|(_, mask)| mask.clone());
                    let mask = same.unwrap_or_else(|| shape.visible());
                    known.push((shape, mask.clone()));
                    visible.push(mask);
                }
            }
        }
        let all = words.len();
        let each = words.clone();
        let words = infer::counted(words.into_iter());
        let doubt = (doubtful > 0).then(|| {
            format!(
                "in {doubtful} of {all} heads over 1 % of the probabilities within that mask are 0: they were read as too small \
                 for their number format, not as masked; --mask zeros reads every zero as masked"
            )
        });
        Self { visible, per_sample: layers.len() * heads.len(), words, each, given: false, doubt }
    }
}

fn each(layers: &[usize], heads: &[usize]) -> impl Iterator<Item = (usize, usize)> {
    layers.iter().flat_map(|layer| heads.iter().map(|head| (*layer, *head)))
}

/// The keys that pass all parts.
fn given(dump: &Dump, parts: &[spec::Part]) -> Result<Visible> {
    let (_, _, n, m) = dump.shape();
    let shapes = parts.iter().map(|part| part.shape(n, m)).collect::<Result<Vec<_>>>()?;
    match shapes.as_slice() {
        [one] => Ok(one.visible()),
        all => Ok(Visible::where_seen(n, m, |i, j| all.iter().all(|shape| shape.sees(i, j)))),
    }
}

/// Refuses a mask that hides what is not 0.
fn refuse_contradiction(
    dump: &Dump,
    layers: &[usize],
    heads: &[usize],
    visible: &Visible,
    typed: &str,
) -> Result<()> {
    let (_, _, n, m) = dump.shape();
    for sample in 0..dump.samples() {
        for (layer, head) in each(layers, heads) {
            let values = dump.map(layer, sample, head, |x| x);
            let hidden = (0..n).flat_map(|i| visible.hidden(i, m).flatten().map(move |j| (i, j)));
            if let Some((i, j)) = hidden.into_iter().find(|at| values[*at] != 0.0) {
                let sample = if dump.samples() > 1 { format!("sample {sample}, ") } else { String::new() };
                let accepted = format!(
                    "a mask that hides zeros only; this one hides {} in layer {layer}, {sample}head {head}, row {i}, \
                     column {j}",
                    values[[i, j]]
                );
                return Err(Error::value("--mask", typed, accepted));
            }
        }
    }
    Ok(())
}
