//! An input that is open.

use serde_json::Value;

use super::{Head, HeadPlace, LayerKind};
use crate::attention::Mask;
use crate::error::{Error, Result};

/// Receives heads; an error ends the visit.
pub type Sink<'a> = dyn FnMut(Head) -> Result<()> + 'a;

/// Whether the head of this layer and place is wanted.
pub type Wanted<'a> = dyn Fn(usize, usize) -> bool + Sync + 'a;

/// An input that is open: it hands out its heads, window by window.
pub trait Source: Sync {
    /// Whose heads they are: a hub id, a folder's or a file's name, or "synthetic".
    fn name(&self) -> &str;

    /// The lengths that will be visited, ascending.
    fn lengths(&self) -> &[usize];

    /// How many windows there are of each length.
    fn windows(&self) -> usize;

    /// The heads of every window, in the order of layers and heads.
    fn places(&self) -> Vec<HeadPlace>;

    /// How many heads a window has.
    fn heads(&self) -> usize {
        self.places().len()
    }

    /// The mask that its heads are made under.
    fn mask(&self) -> Mask {
        Mask::Full
    }

    /// What the heads of each layer of a model are computed under, chosen or not; nothing where there is no model.
    fn kinds(&self) -> Vec<LayerKind> {
        Vec::new()
    }

    /// Leaves out all layers of a model but these.
    fn restrict(&mut self, _layers: &[usize]) {}

    /// Facts about the input for the stamp of the result.
    fn facts(&self) -> Vec<(String, Value)>;

    /// Rows of P in the model, where its attention is Luna's: its heads then come with [`Head::own`].
    fn own_l(&self) -> Option<usize> {
        None
    }

    /// What a reader must know about the input.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// What a reader must know before any figure.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// What a reader must know about null models beside its heads.
    fn null_notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Refuses null models, and verdicts with them, beside what are no attention probabilities.
    fn comparable(&self) -> Result<()> {
        Ok(())
    }

    /// What intervals over its windows rest on, where the windows are of one text.
    fn dependence(&self) -> Option<String> {
        None
    }

    /// Whether layers and heads of this input mean something (in synthetic heads the label does).
    fn is_layered(&self) -> bool {
        true
    }

    /// Hands the heads of a window that are `wanted` to `sink`, with their attention matrices if `matrices`.
    fn visit(
        &self,
        n: usize,
        window: usize,
        matrices: bool,
        wanted: &Wanted<'_>,
        sink: &mut Sink<'_>,
    ) -> Result<()>;
}

/// Refuses a Luna model, for studies that mean the softmax attention which a model computes.
pub(in crate::study) fn needs_softmax(source: &dyn Source) -> Result<()> {
    match source.own_l() {
        Some(_) => {
            Err(Error::value("--model", source.name(), "a model whose attention is softmax, for this"))
        }
        None => Ok(()),
    }
}
