//! `allocation.json`: the mechanism of every head of a model, with what it was chosen for.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Assignment;
use crate::attention::{self, Attention, Mask, Origin};
use crate::error::{Error, Result};
use crate::name;

/// What the file says that it is.
const FORMAT: &str = "luna allocation";
/// The version of its form; another one is refused.
const VERSION: u32 = 1;
/// What a reader expects.
const ACCEPTED: &str = "allocation.json as luna allocate writes it";

/// The contents of `allocation.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::study) struct Record {
    format: String,
    version: u32,
    pub(in crate::study) model: ModelFacts,
    /// Tokens of the windows that it was chosen on.
    pub(in crate::study) n: usize,
    /// Seed of what mechanisms draw.
    pub(in crate::study) seed: u64,
    pub(in crate::study) budget: Budget,
    /// What it does to the model's output, as predicted from single heads: nats a token, or of a model that predicts no
    /// tokens the square of the relative drift of its last hidden states.
    pub(in crate::study) predicted_harm: f64,
    /// What was measured on the text that it is judged on.
    pub(in crate::study) judged: Option<Judged>,
    /// Every head of the model, in the order of layers and heads.
    pub(in crate::study) heads: Vec<HeadChoice>,
}

/// The model that an allocation is of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::study) struct ModelFacts {
    pub(in crate::study) name: String,
    /// SHA-256 of its configuration, tokenizer and weights.
    pub(in crate::study) sha256: String,
    pub(in crate::study) layers: usize,
    pub(in crate::study) heads: usize,
    /// Width of a head.
    pub(in crate::study) d_h: usize,
    /// full or causal.
    pub(in crate::study) mask: String,
}

/// A budget and what is spent of it, over all heads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::study) struct Budget {
    /// As it was asked for: `l=64`.
    pub(in crate::study) asked: String,
    /// What the costs count: keys, FLOP, or bytes.
    pub(in crate::study) unit: String,
    pub(in crate::study) limit: u64,
    pub(in crate::study) spent: u64,
    /// What softmax attention in every head would cost.
    pub(in crate::study) softmax: u64,
}

/// Means over the windows that it is judged on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::study) struct Judged {
    pub(in crate::study) windows: usize,
    /// `||H - H'||_F / ||H||_F` of the last hidden states.
    pub(in crate::study) hidden_rel_fro: f64,
    /// Nats a token, of a language model, as are the following.
    pub(in crate::study) nll_softmax: Option<f64>,
    pub(in crate::study) nll: Option<f64>,
    pub(in crate::study) next_token_kl: Option<f64>,
    pub(in crate::study) top1_agreement: Option<f64>,
}

/// The mechanism of one head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(in crate::study) struct HeadChoice {
    pub(in crate::study) layer: usize,
    pub(in crate::study) head: usize,
    /// The spec: `sink-window:l=32`; `softmax` is exact attention.
    pub(in crate::study) mechanism: String,
    /// Its projected length, where it has one.
    pub(in crate::study) l: Option<usize>,
    /// In the unit of the budget; none of a head that was not chosen for.
    pub(in crate::study) cost: Option<u64>,
    pub(in crate::study) predicted_harm: Option<f64>,
}

impl Record {
    pub(in crate::study) fn new(
        model: ModelFacts,
        (n, seed): (usize, u64),
        budget: Budget,
        predicted_harm: f64,
        heads: Vec<HeadChoice>,
    ) -> Self {
        let (format, version) = (FORMAT.into(), VERSION);
        Self { format, version, model, n, seed, budget, predicted_harm, judged: None, heads }
    }

    /// As the text of a file: a line a head.
    pub(in crate::study) fn text(&self) -> String {
        let line = |head: &HeadChoice| format!("\n    {}", serde_json::json!(head));
        let heads: Vec<String> = self.heads.iter().map(line).collect();
        let mut rest = serde_json::json!(self);
        rest["heads"] = serde_json::json!([]);
        format!("{rest:#}\n").replace("\"heads\": []", &format!("\"heads\": [{}\n  ]", heads.join(",")))
    }

    /// Reads a file.
    pub(in crate::study) fn read(path: &Path) -> Result<Self> {
        let text = crate::file::bytes(path)?;
        let malformed = |what: String| Error::malformed(path, what, ACCEPTED);
        let value: Value = serde_json::from_slice(&text).map_err(|error| malformed(error.to_string()))?;
        if !value.is_object() {
            return Err(malformed("no JSON object".into()));
        }
        let read: Self = serde_json::from_value(value).map_err(|error| malformed(error.to_string()))?;
        if read.format != FORMAT || read.version != VERSION {
            return Err(malformed(format!("'{}' of version {}", read.format, read.version)));
        }
        let all =
            (0..read.model.layers).flat_map(|layer| (0..read.model.heads).map(move |head| (layer, head)));
        if !all.eq(read.heads.iter().map(|head| (head.layer, head.head))) {
            let (layers, heads) = (read.model.layers, read.model.heads);
            return Err(malformed(format!("not every head of {layers} layers of {heads} in their order")));
        }
        Ok(read)
    }

    /// The mechanisms of the heads of a model of this shape (layers, heads) and mask.
    ///
    /// Refuses another shape, and mechanisms that cannot be used.
    pub(in crate::study) fn assign(
        &self,
        path: &Path,
        shape: (usize, usize),
        mask: Mask,
    ) -> Result<Assignment> {
        let own = (self.model.layers, self.model.heads);
        if own != shape || self.model.mask != mask.name() {
            let of = |(layers, heads): (usize, usize), mask: &str| {
                format!("{layers} layers of {heads} heads under the {mask} mask")
            };
            let what = format!("of a model of {} ('{}')", of(own, &self.model.mask), self.model.name);
            return Err(Error::malformed(
                path,
                what,
                format!("one of {}, as this model", of(shape, mask.name())),
            ));
        }
        let mut assignment = Assignment::exact(shape, self.seed);
        for one in &self.heads {
            let at = |error: Error| {
                // The error says itself what would be accepted.
                Error::Refused(format!(
                    "'{}': layer {} head {}: {error}",
                    path.display(),
                    one.layer,
                    one.head
                ))
            };
            let spec = match &name::specs(&one.mechanism).map_err(at)?[..] {
                [spec] => spec.clone(),
                _ => return Err(at(Error::value("mechanism", &one.mechanism, "one"))),
            };
            attention::find(&spec).map_err(at)?;
            let built = Attention::build(&spec, &Origin { seed: self.seed, label: "", learned: None });
            built.and_then(|built| built.honours(mask)).map_err(at)?;
            assignment.set((one.layer, one.head), &spec);
        }
        Ok(assignment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Substitute;

    fn record() -> Record {
        let model = ModelFacts {
            name: "m \"quoted\"".into(),
            sha256: "0".into(),
            layers: 2,
            heads: 2,
            d_h: 8,
            mask: "causal".into(),
        };
        let budget = Budget { asked: "l=8".into(), unit: "keys".into(), limit: 32, spent: 30, softmax: 64 };
        let head = |at: usize| HeadChoice {
            layer: at / 2,
            head: at % 2,
            mechanism: if at == 1 { "softmax".into() } else { format!("sink-window:l={}", at + 4) },
            l: (at != 1).then_some(at + 4),
            cost: (at != 3).then_some(8),
            predicted_harm: Some(0.1 / 3.0),
        };
        Record::new(model, (16, 3), budget, 1.0 / 3.0, (0..4).map(head).collect())
    }

    #[test]
    fn a_file_is_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("allocation.json");
        for judged in [
            None,
            Some(Judged {
                windows: 8,
                hidden_rel_fro: 0.1,
                nll_softmax: None,
                nll: Some(2.0 / 3.0),
                next_token_kl: None,
                top1_agreement: None,
            }),
        ] {
            let record = Record { judged, ..record() };
            std::fs::write(&path, record.text()).unwrap();
            assert_eq!(Record::read(&path).unwrap(), record);
            let heads = record.text().lines().filter(|line| line.contains("\"mechanism\"")).count();
            assert_eq!(heads, 4, "a line a head");
        }
    }

    #[test]
    fn heads_have_their_mechanisms_and_exact_ones_are_left() {
        let path = Path::new("allocation.json");
        let found = record().assign(path, (2, 2), Mask::Causal).unwrap();
        assert!(found.replaces(0) && found.replaces(1));
        assert!(found.replaces_head(0, 0) && !found.replaces_head(0, 1) && found.replaces_head(1, 1));
        let refused = |shape, mask| record().assign(path, shape, mask).unwrap_err().to_string();
        assert!(
            refused((2, 3), Mask::Causal)
                .contains("expected one of 2 layers of 3 heads under the causal mask")
        );
        assert!(refused((2, 2), Mask::Full).contains("under the full mask, as this model"));
    }
}
