//! Dumped attention matrices as an input.

use serde_json::Value;

use super::mask::Masks;
use super::probabilities::Check;
use super::{Body, DumpArgs, Given, Head, HeadPlace, InputArgs, Sink, Source, Wanted, hash};
use crate::attention::{HeadTerms, Mask, Visible};
use crate::error::{Error, Result};
use crate::profile::ram;
use crate::task::dump::{Dump, Precision, Stored};

pub(super) struct Dumped {
    name: String,
    file: String,
    /// Hash of the file, if it is one.
    sha256: Option<String>,
    dump: Dump,
    layers: Vec<usize>,
    heads: Vec<usize>,
    length: usize,
    masks: Masks,
    check: Check,
}

impl Dumped {
    pub(super) fn open(args: &InputArgs, file: &DumpArgs, stored: &Stored) -> Result<Self> {
        let path = stored.path();
        let memory = ram::available().unwrap_or(u64::MAX);
        let dump = stored.read(file.tensor.as_deref(), memory)?.by(path, args.axes.as_ref())?;
        let (layers, heads, length, _) = dump.shape();
        let (layers, heads) = args.select(layers, heads, None)?;
        let name = path.file_stem().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let check = Check::of(&dump, &layers, &heads)?;
        let masks = Masks::of(&dump, &layers, &heads, file.mask.as_deref())?;
        let (file, sha256) = (path.display().to_string(), hash::of_stored(stored)?);
        Ok(Self { name, file, sha256, dump, layers, heads, length, masks, check })
    }

    fn each(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.layers.iter().flat_map(|layer| self.heads.iter().map(|head| (*layer, *head)))
    }
}

impl Source for Dumped {
    fn name(&self) -> &str {
        &self.name
    }

    fn lengths(&self) -> &[usize] {
        std::slice::from_ref(&self.length)
    }

    fn windows(&self) -> usize {
        self.dump.samples()
    }

    fn places(&self) -> Vec<HeadPlace> {
        let place = |(at, (layer, head))| HeadPlace::in_layer(layer, head, self.masks.words_of(at).into());
        self.each().enumerate().map(place).collect()
    }

    fn facts(&self) -> Vec<(String, Value)> {
        let (layers, heads, n, m) = self.dump.shape();
        let mut shape = vec![layers, heads, n, m];
        if self.dump.samples() > 1 {
            shape.insert(1, self.dump.samples());
        }
        let hash = self.sha256.iter().map(|hash| ("attention_sha256".into(), hash.clone().into()));
        let mut facts = vec![("attention".into(), self.file.clone().into())];
        facts.extend(hash);
        facts.extend([
            ("shape".into(), shape.into()),
            ("precision".into(), self.dump.precision.name().into()),
            ("mask".into(), self.masks.words.clone().into()),
        ]);
        facts
    }

    fn notes(&self) -> Vec<String> {
        let samples = self.dump.samples();
        let batch = (samples > 1).then(|| format!("windows are the {samples} samples of the file's batch"));
        batch.into_iter().collect()
    }

    fn warnings(&self) -> Vec<String> {
        self.check.warning.iter().cloned().collect()
    }

    fn null_notes(&self) -> Vec<String> {
        let mut notes = vec![self.masks.note()];
        notes.extend(self.masks.doubt.clone());
        if matches!(self.dump.precision, Precision::F16 | Precision::BF16) {
            notes.push(format!(
                "the probabilities have the precision of {}: small singular values are its rounding; draws of null \
                 models are rounded alike",
                self.dump.precision.name()
            ));
        }
        notes
    }

    fn comparable(&self) -> Result<()> {
        match &self.check.fault {
            None => Ok(()),
            Some(fault) => Err(Error::malformed(
                &self.file,
                fault,
                "rows of probabilities, which null models are compared with; --null none measures the matrices as they \
                 stand",
            )),
        }
    }

    fn visit(
        &self,
        _n: usize,
        window: usize,
        _matrices: bool,
        wanted: &Wanted<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        let (_, _, n, m) = self.dump.shape();
        for (at, (layer, head)) in self.each().enumerate().filter(|(_, (layer, head))| wanted(*layer, *head))
        {
            let matrix = self.dump.matrix("attention matrix", layer, window, head)?;
            let visible = self.masks.get(window, at);
            let mask = match visible {
                Visible::Mask(mask) | Visible::Window(mask, _) => mask,
                Visible::Rows(_) => Mask::Full,
            };
            sink(Head {
                label: Head::label_in(layer, head),
                layer,
                head,
                window,
                shape: (n, m),
                mask,
                terms: HeadTerms::default(),
                width: None,
                body: Body::Given(Given { matrix, visible, precision: self.dump.precision }),
                own: None,
            })?;
        }
        Ok(())
    }
}
