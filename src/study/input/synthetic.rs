//! Synthetic heads as an input: one head a spec, one draw a window.

use serde_json::Value;

use super::head::normalised;
use super::reading::WINDOWS;
use super::{Body, Given, Head, HeadPlace, InputArgs, Sink, Source, Wanted};
use crate::attention::{HeadTerms, Mask};
use crate::error::Result;
use crate::name::{Spec, specs};
use crate::task::synthetic::{Draw, Synthetic};

pub(super) struct Drawn {
    name: &'static str,
    specs: Vec<(usize, Spec, &'static Synthetic)>,
    lengths: Vec<usize>,
    windows: usize,
    mask: Mask,
    seed: u64,
}

impl Drawn {
    pub(super) fn open(args: &InputArgs, text: &str, name: &'static str, seed: u64) -> Result<Self> {
        let all = specs(text)?;
        let (chosen, _) = args.select(all.len(), 1, None)?;
        let mut found = Vec::new();
        for index in chosen {
            let spec = all[index].clone();
            found.push((index, spec.clone(), Synthetic::find(&spec)?));
        }
        let random = found.iter().any(|(_, _, synthetic)| synthetic.random);
        Ok(Self {
            name,
            specs: found,
            lengths: args.lengths_or(512),
            // Another draw of a fixed pattern is the same pattern.
            windows: if random { args.windows.unwrap_or(WINDOWS) } else { 1 },
            mask: if args.causal { Mask::Causal } else { Mask::Full },
            seed,
        })
    }

    /// The mask of one of them: a pattern that sees earlier keys only is causal, with and without --causal.
    fn mask_of(&self, spec: &Spec) -> Mask {
        if spec.name == "causal-mean" { Mask::Causal } else { self.mask }
    }

    pub(super) fn with_lengths(mut self, lengths: Vec<usize>) -> Self {
        self.lengths = lengths;
        self
    }
}

impl Source for Drawn {
    fn name(&self) -> &str {
        self.name
    }

    fn lengths(&self) -> &[usize] {
        &self.lengths
    }

    fn windows(&self) -> usize {
        self.windows
    }

    fn places(&self) -> Vec<HeadPlace> {
        let place = |(layer, spec, _): &(usize, Spec, _)| HeadPlace {
            layer: *layer,
            head: 0,
            label: spec.to_string(),
            mask: self.mask_of(spec).name().into(),
        };
        self.specs.iter().map(place).collect()
    }

    fn mask(&self) -> Mask {
        self.mask
    }

    fn facts(&self) -> Vec<(String, Value)> {
        let specs: Vec<String> = self.specs.iter().map(|(_, spec, _)| spec.to_string()).collect();
        vec![("synthetic".into(), specs.into()), ("causal".into(), (self.mask == Mask::Causal).into())]
    }

    fn is_layered(&self) -> bool {
        false
    }

    fn visit(
        &self,
        n: usize,
        window: usize,
        _matrices: bool,
        wanted: &Wanted<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        for (layer, spec, synthetic) in self.specs.iter().filter(|(layer, ..)| wanted(*layer, 0)) {
            let mask = self.mask_of(spec);
            let (width, body) = match synthetic.draw(spec, n, window, self.seed)? {
                Draw::Heads { q, k, v, scale } => {
                    (Some(q.ncols()), Body::Projected { q, k, v, scale, precise: true, matrix: None })
                }
                Draw::Logits(logits) => (None, Body::Logits(logits)),
                Draw::Weights(weights) => (None, Body::Given(Given::new(normalised(weights, mask), mask))),
            };
            let label = spec.to_string();
            sink(Head {
                label,
                layer: *layer,
                head: 0,
                window,
                shape: (n, n),
                mask,
                terms: HeadTerms::default(),
                width,
                body,
                own: None,
            })?;
        }
        Ok(())
    }
}
