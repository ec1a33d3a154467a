//! The learned arrays of a mechanism: what a declaration says of them, and the arrays themselves.

use ndarray::{Array2, Array3, ArrayView2, ArrayView3, Axis};

use crate::rng::{Rng, normal};

/// How an array is drawn that nothing was learned for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Draw {
    /// Standard normal.
    Normal,
    /// Normal of variance 1 over the number of rows (Linformer's E).
    Projection,
}

/// What a mechanism declares of one of its learned arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its name: "p", "e", "features".
    pub name: &'static str,
    /// Its shape.
    pub shape: (usize, usize),
    /// Whether every head has its own, or all heads share one.
    pub per_head: bool,
    /// Whether an array with more columns is accepted, of which the first are used.
    pub longer: bool,
    /// Whether the backward pass gives its gradient.
    pub trained: bool,
    /// How it is drawn.
    pub draw: Draw,
}

impl Part {
    /// A draw, shape (h or 1, rows, columns); `stream` gives the random stream of each head.
    pub fn drawn(&self, h: usize, stream: impl Fn(usize) -> Rng) -> Array3<f32> {
        let (rows, columns) = self.shape;
        let mut all = Array3::zeros((if self.per_head { h } else { 1 }, rows, columns));
        for (head, mut one) in all.outer_iter_mut().enumerate() {
            one.assign(&normal(&mut stream(head), rows, columns));
        }
        if self.draw == Draw::Projection {
            all /= (rows as f32).sqrt();
        }
        all
    }
}

/// Learned arrays by name, over many heads: shape (h, rows, columns), or (1, rows, columns) where all heads share one.
#[derive(Clone, Debug, Default)]
pub struct Arrays<'a>(Vec<(&'static str, ArrayView3<'a, f32>)>);

impl<'a> Arrays<'a> {
    /// None: softmax, linear attention and windows learn nothing.
    pub fn none() -> Self {
        Self::default()
    }

    /// With an array of every head's own, shape (h, rows, columns).
    #[must_use]
    pub fn with(mut self, name: &'static str, array: ArrayView3<'a, f32>) -> Self {
        self.0.push((name, array));
        self
    }

    /// With an array that all heads share, shape (rows, columns).
    #[must_use]
    pub fn shared(self, name: &'static str, array: ArrayView2<'a, f32>) -> Self {
        self.with(name, array.insert_axis(Axis(0)))
    }

    /// The array of that name.
    pub fn get(&self, name: &str) -> Option<ArrayView3<'a, f32>> {
        self.0.iter().find(|(own, _)| *own == name).map(|(_, array)| *array)
    }

    /// Every array with its name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, ArrayView3<'a, f32>)> + '_ {
        self.0.iter().copied()
    }

    /// One head's arrays.
    pub fn of_head(&self, head: usize) -> impl Iterator<Item = (&'static str, Array2<f32>)> + '_ {
        self.iter().map(move |(name, array)| {
            let at = if array.len_of(Axis(0)) == 1 { 0 } else { head };
            (name, array.index_axis(Axis(0), at).to_owned())
        })
    }

    /// An array that all heads share; empty where there is none of that name.
    pub(in crate::attention) fn matrix(&self, name: &str) -> ArrayView2<'a, f32> {
        match self.get(name) {
            Some(array) => array.index_axis_move(Axis(0), 0),
            None => ArrayView2::from_shape((0, 0), &[]).expect("nothing"),
        }
    }

    /// Arrays of every head; empty where there are none of that name.
    pub(in crate::attention) fn cube(&self, name: &str) -> ArrayView3<'a, f32> {
        self.get(name).unwrap_or_else(|| ArrayView3::from_shape((0, 0, 0), &[]).expect("nothing"))
    }
}
