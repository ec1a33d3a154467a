//! The tensors of a network: their names in a file, their shapes, how they are initialised, and where each lies in the one
//! vector that holds the elements of all of them.

use std::collections::BTreeMap;
use std::ops::Range;

use ndarray::{ArrayD, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, IxDyn};

use super::pass::Pass;

/// How a tensor is initialised.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Normal with variance 1 / columns: tables of vectors, and P.
    Normal,
    /// Uniform between minus this and this.
    Uniform(f64),
    /// This everywhere.
    Constant(f32),
    /// A Performer's orthogonal features.
    Features,
    /// Logits of decays of the h elements, whose memories `1 / (1 - a)` are 2^2 to 2^8 tokens, in equal ratios.
    Decays,
}

/// One tensor of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name in a file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whether training changes it; a Performer's features stay as they were drawn.
    pub learned: bool,
    /// How it is initialised.
    pub init: Init,
    /// Where its elements lie.
    pub at: Range<usize>,
}

/// Which tensors a network has, and where each lies in a vector of weights, of gradients, or of an optimiser's moments.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Layout {
    entries: Vec<Entry>,
}

impl Layout {
    fn push(&mut self, name: String, shape: Vec<usize>, init: Init, learned: bool) -> usize {
        let start = self.len();
        let at = start..start + shape.iter().product::<usize>();
        self.entries.push(Entry { name, shape, learned, init, at });
        start
    }

    /// Declares a learned matrix.
    pub(super) fn matrix(&mut self, name: String, [rows, columns]: [usize; 2], init: Init) -> Matrix {
        Matrix { at: self.push(name, vec![rows, columns], init, true), rows, columns }
    }

    /// Declares a matrix that is drawn and not learned.
    pub(super) fn fixed(&mut self, name: String, [rows, columns]: [usize; 2], init: Init) -> Matrix {
        Matrix { at: self.push(name, vec![rows, columns], init, false), rows, columns }
    }

    /// Declares a learned vector.
    pub(super) fn vector(&mut self, name: String, length: usize, init: Init) -> Vector {
        Vector { at: self.push(name, vec![length], init, true), length }
    }

    /// Declares a learned table of vectors.
    pub(crate) fn table(&mut self, name: String, rows: usize, d: usize) -> Matrix {
        self.matrix(name, [rows, d], Init::Normal)
    }

    /// The tensors, in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many elements all of them have.
    pub fn len(&self) -> usize {
        self.entries.last().map_or(0, |entry| entry.at.end)
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many elements are learned: the number of parameters.
    pub fn learned(&self) -> usize {
        self.entries.iter().filter(|entry| entry.learned).map(|entry| entry.at.len()).sum()
    }

    /// The tensors by name, of their elements side by side.
    #[allow(clippy::missing_panics_doc)] // an entry's range is as long as its shape says
    pub fn tensors(&self, elements: &[f32]) -> BTreeMap<String, ArrayD<f32>> {
        let tensor = |entry: &Entry| {
            let of = elements[entry.at.clone()].to_vec();
            (entry.name.clone(), ArrayD::from_shape_vec(IxDyn(&entry.shape), of).expect("of that shape"))
        };
        self.entries.iter().map(tensor).collect()
    }
}

/// Where a matrix lies.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Matrix {
    at: usize,
    pub(crate) rows: usize,
    pub(super) columns: usize,
}

impl Matrix {
    /// Its elements.
    pub(crate) fn of(self, pass: Pass<'_>) -> ArrayView2<'_, f32> {
        let slice = &pass.weights[self.at..self.at + self.rows * self.columns];
        ArrayView2::from_shape((self.rows, self.columns), slice).expect("as long as its shape says")
    }

    /// Its gradient, to add to.
    pub(crate) fn of_mut(self, gradients: &mut [f32]) -> ArrayViewMut2<'_, f32> {
        let slice = &mut gradients[self.at..self.at + self.rows * self.columns];
        ArrayViewMut2::from_shape((self.rows, self.columns), slice).expect("as long as its shape says")
    }
}

/// Where a vector lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Vector {
    at: usize,
    length: usize,
}

impl Vector {
    /// Its elements.
    pub(super) fn of(self, pass: Pass<'_>) -> ArrayView1<'_, f32> {
        ArrayView1::from(self.slice(pass))
    }

    /// The same as a slice.
    pub(super) fn slice(self, pass: Pass<'_>) -> &[f32] {
        &pass.weights[self.at..self.at + self.length]
    }

    /// Its gradient, to add to.
    pub(super) fn of_mut(self, gradients: &mut [f32]) -> ArrayViewMut1<'_, f32> {
        ArrayViewMut1::from(&mut gradients[self.at..self.at + self.length])
    }
}
