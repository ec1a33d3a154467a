//! Where a study's heads come from: a trained model, dumped matrices, or synthetic heads.

mod args;
mod dumped;
mod hash;
mod head;
mod head_window;
mod honoured;
mod images;
mod layer;
mod mask;
mod material;
mod open;
mod place;
mod probabilities;
mod projections;
mod reading;
mod source;
mod synthetic;
mod trained;

pub use args::{DumpArgs, InputArgs, Unnamed};
pub use head::{Body, Given, Head, HeadPlace};
pub(in crate::study) use head_window::{HeadWindow, KEYS, lengths};
pub(in crate::study) use honoured::restrict;
pub use layer::{LayerKind, Layers};
pub(in crate::study) use source::needs_softmax;
pub use source::{Sink, Source, Wanted};
pub(in crate::study) use trained::Trained;
