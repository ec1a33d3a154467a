//! All numbers of a network in one row, and where each tensor lies in it.

use std::collections::BTreeMap;
use std::ops::Range;

use ndarray::{ArrayD, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, IxDyn};

use crate::cost::Tally;
use crate::model::luna::Named;
use crate::{Error, Result};

/// One tensor of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in a file.
    pub name: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Whether training moves it; a Performer's features stay as they were drawn.
    pub learned: bool,
    /// Where its numbers lie.
    pub at: Range<usize>,
}

/// Which tensors a network has, and where each lies in a row of numbers: of weights, of gradients, of an optimiser's
/// means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    entries: Vec<Entry>,
}

impl Layout {
    /// Puts one more tensor behind the others.
    pub(super) fn push(&mut self, name: String, shape: Vec<usize>, learned: bool) {
        let start = self.len();
        let at = start..start + shape.iter().product::<usize>();
        self.entries.push(Entry { name, shape, learned, at });
    }

    /// The tensors, in their order.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many numbers all of them hold.
    pub fn len(&self) -> usize {
        self.entries.last().map_or(0, |entry| entry.at.end)
    }

    /// Whether there is no tensor.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// How many numbers are learned.
    pub fn learned(&self) -> usize {
        self.entries.iter().filter(|entry| entry.learned).map(|entry| entry.at.len()).sum()
    }

    /// The place of a matrix; a network asks for nothing that its layout has not.
    pub(super) fn matrix(&self, name: &str) -> Result<Matrix> {
        let entry = self.find(name)?;
        match entry.shape[..] {
            [rows, columns] => Ok(Matrix { at: entry.at.start, rows, columns }),
            _ => Err(self.unfit(entry, "two axes")),
        }
    }

    /// The place of a vector.
    pub(super) fn vector(&self, name: &str) -> Result<Vector> {
        let entry = self.find(name)?;
        match entry.shape[..] {
            [length] => Ok(Vector { at: entry.at.start, length }),
            _ => Err(self.unfit(entry, "one axis")),
        }
    }

    /// Whether there is a tensor of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == name)
    }

    fn find(&self, name: &str) -> Result<&Entry> {
        self.entries
            .iter()
            .find(|entry| entry.name == name)
            .ok_or_else(|| Error::value("tensor of a network", name, "one that its configuration lists"))
    }

    #[allow(clippy::unused_self)] // an error of this layout
    fn unfit(&self, entry: &Entry, expected: &str) -> Error {
        let what = format!("tensor '{}'", entry.name);
        Error::Shape { what, found: entry.shape.clone(), expected: expected.into() }
    }

    /// The numbers as tensors by name.
    #[allow(clippy::missing_panics_doc)] // an entry's range is as long as its shape says
    pub fn tensors(&self, numbers: &[f32]) -> BTreeMap<String, ArrayD<f32>> {
        let tensor = |entry: &Entry| {
            let of = numbers[entry.at.clone()].to_vec();
            (entry.name.clone(), ArrayD::from_shape_vec(IxDyn(&entry.shape), of).expect("of that shape"))
        };
        self.entries.iter().map(tensor).collect()
    }

    /// The numbers of tensors by name, of which every one must be there in its shape; others are left alone.
    pub fn gather(&self, tensors: &Named) -> Result<Vec<f32>> {
        // Grows by what is there: the layout may be of a file that asks for more than there is memory.
        let mut numbers = Vec::new();
        for Entry { name, shape, .. } in &self.entries {
            numbers.extend(tensors.numbers(name, shape)?);
        }
        Ok(numbers)
    }
}

/// The numbers of a network, and where the multiply-adds of passes with them are counted, if they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Numbers<'a> {
    all: &'a [f32],
    pub(super) tally: Option<&'a Tally>,
}

impl<'a> Numbers<'a> {
    pub(super) fn counted(all: &'a [f32], tally: Option<&'a Tally>) -> Self {
        Self { all, tally }
    }

    /// Counts a product of shapes (n, d) and (d, m).
    pub(super) fn count(self, n: usize, d: usize, m: usize) {
        if let Some(tally) = self.tally {
            tally.product(n, d, m);
        }
    }
}

impl<'a> From<&'a [f32]> for Numbers<'a> {
    fn from(all: &'a [f32]) -> Self {
        Self::counted(all, None)
    }
}

/// Where a matrix lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix {
    at: usize,
    pub(super) rows: usize,
    pub(super) columns: usize,
}

impl Matrix {
    /// Its numbers.
    pub(super) fn of(self, numbers: Numbers<'_>) -> ArrayView2<'_, f32> {
        let slice = &numbers.all[self.at..self.at + self.rows * self.columns];
        ArrayView2::from_shape((self.rows, self.columns), slice).expect("as long as its shape says")
    }

    /// Its numbers, to add to.
    pub(super) fn of_mut(self, numbers: &mut [f32]) -> ArrayViewMut2<'_, f32> {
        let slice = &mut numbers[self.at..self.at + self.rows * self.columns];
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
    /// Its numbers.
    pub(super) fn of(self, numbers: Numbers<'_>) -> ArrayView1<'_, f32> {
        ArrayView1::from(&numbers.all[self.at..self.at + self.length])
    }

    /// The same as a slice.
    pub(super) fn slice(self, numbers: Numbers<'_>) -> &[f32] {
        &numbers.all[self.at..self.at + self.length]
    }

    /// Its numbers, to add to.
    pub(super) fn of_mut(self, numbers: &mut [f32]) -> ArrayViewMut1<'_, f32> {
        ArrayViewMut1::from(&mut numbers[self.at..self.at + self.length])
    }
}
