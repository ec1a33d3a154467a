//! One head over one window: the cell of every study of heads, and the columns that name it.

use serde::{Deserialize, Serialize};

use super::{Head, HeadPlace, Source};
use crate::error::Result;
use crate::report::Digits::{Integer, Text};
use crate::report::{Cell, Column};
use crate::sweep;

/// One head over one window of one length. They are ordered by length, head and window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(in crate::study) struct HeadWindow {
    /// Rows of the attention matrix.
    pub(in crate::study) n: usize,
    /// The head.
    #[serde(flatten)]
    pub(in crate::study) place: HeadPlace,
    /// The window, from 0.
    pub(in crate::study) window: usize,
}

/// The columns that name a head and window.
pub(in crate::study) const KEYS: [&str; 5] = ["input", "layer", "head", "window", "n"];

impl HeadWindow {
    /// The cells of every head and window of an input: those of one window and length follow each other, as a forward
    /// pass hands them out. `cost` is the predicted work at a length.
    pub(in crate::study) fn plan(
        source: &dyn Source,
        steps: usize,
        cost: impl Fn(f64) -> f64,
    ) -> Vec<sweep::Cell<Self>> {
        let places = source.places();
        let mut cells = Vec::new();
        for n in source.lengths() {
            for window in 0..source.windows() {
                cells.extend(places.iter().map(|place| {
                    let HeadPlace { layer, head, .. } = place;
                    let key = format!("n {n} window {window} layer {layer} head {head}");
                    let of = Self { n: *n, place: place.clone(), window };
                    sweep::Cell { key, steps, cost: cost(*n as f64), of }
                }));
            }
        }
        cells
    }

    /// Hands out the heads of these cells: one forward pass a window, up to the last layer that is needed; with their
    /// matrices if `matrices`.
    pub(in crate::study) fn inputs(
        source: &dyn Source,
        cells: &[(usize, &Self)],
        matrices: bool,
        hand: &mut sweep::Hand<'_, Head>,
    ) -> Result<()> {
        for pass in cells.chunk_by(|(_, a), (_, b)| (a.n, a.window) == (b.n, b.window)) {
            let Some((_, first)) = pass.first() else { continue };
            let at = |layer: usize, head: usize| {
                let is = |(_, of): &&(usize, &Self)| (of.place.layer, of.place.head) == (layer, head);
                pass.iter().find(is).map(|(at, _)| *at)
            };
            let wanted = |layer: usize, head: usize| at(layer, head).is_some();
            source.visit(first.n, first.window, matrices, &wanted, &mut |head| {
                at(head.layer, head.head).map_or(Ok(()), |at| hand(at, head))
            })?;
        }
        Ok(())
    }

    /// The same head over other windows has the same key.
    pub(in crate::study) fn is_same_head(&self, other: &Self) -> bool {
        (self.n, &self.place) == (other.n, &other.place)
    }

    /// The columns that name a head and window, and its mask.
    pub(in crate::study) fn columns() -> Vec<Column> {
        let about = [
            ("what the head is, where layer and head do not say it", Text),
            ("layer, from 0 (of synthetic heads: place in the list)", Integer),
            ("head in its layer, from 0", Integer),
            ("window of the text, or draw, from 0", Integer),
            ("rows of the attention matrix", Integer),
        ];
        let keys = KEYS.iter().zip(about);
        let mask = Column::new("mask", "", "which keys a query of this layer sees", Text);
        keys.map(|(name, (about, digits))| Column::new(*name, "", about, digits)).chain([mask]).collect()
    }

    /// The columns among them that tell heads of this input apart: those that people read.
    pub(in crate::study) fn columns_for_people(source: &dyn Source, windows: bool) -> Vec<Column> {
        let places = source.places();
        let wanted = |name: &str| match name {
            "input" => !source.is_layered(),
            "layer" | "head" => source.is_layered(),
            "window" => windows && source.windows() > 1,
            "mask" => places.iter().any(|place| place.mask != places[0].mask),
            _ => source.lengths().len() > 1,
        };
        Self::columns().into_iter().filter(|column| wanted(&column.name)).collect()
    }

    /// The cells under those of [`columns`](Self::columns) that are chosen here.
    pub(in crate::study) fn cells(&self, columns: &[Column]) -> Vec<Cell> {
        let cell = |column: &Column| match column.name.as_str() {
            "input" => self.place.label.as_str().into(),
            "layer" => self.place.layer.into(),
            "head" => self.place.head.into(),
            "window" => self.window.into(),
            "mask" => self.place.mask.as_str().into(),
            _ => self.n.into(),
        };
        columns.iter().map(cell).collect()
    }

    /// The cells under all of [`columns`](Self::columns).
    pub(in crate::study) fn all_cells(&self) -> Vec<Cell> {
        self.cells(&Self::columns())
    }
}

/// The lengths of an input as a title has them.
pub(in crate::study) fn lengths(source: &dyn Source) -> String {
    source.lengths().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
