//! What a study implements.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Cell, Shard};
use crate::error::Result;

/// A question that is answered by running cells; see the [module](super).
pub trait Study: Sync {
    /// What a cell is.
    type Cell: Send + Sync;
    /// What a cell needs and [`inputs`](Self::inputs) produces.
    type Input: Send + Sync;
    /// What running a cell finds.
    type Rows: Serialize + DeserializeOwned + Send;
    /// What all of them show.
    type View;

    /// What its steps are called in the progress ("spectra").
    fn unit(&self) -> &'static str;

    /// All cells, in the order in which they are run and shown.
    fn plan(&self) -> Vec<Cell<Self::Cell>>;

    /// Hands the input of every one of these cells to `hand`, with the cell's number; an error of `hand` ends it.
    ///
    /// `cells` are those of the plan that are still to be run, in its order.
    fn inputs(&self, cells: &[(usize, &Self::Cell)], hand: &mut Hand<'_, Self::Input>) -> Result<()>;

    /// How many cells wait for each other and are then run in parallel, a thread each, where this one is among them.
    /// One after the other by default, each free to use all threads.
    fn together(&self, _cell: &Self::Cell, _input: &Self::Input) -> usize {
        1
    }

    /// Whether the rows that an earlier run recorded are all that this one would find. If not (more rounds are asked for,
    /// for example), the cell is run again.
    fn suffices(&self, _rows: &Self::Rows) -> bool {
        true
    }

    /// Which cells of the plan a shard runs.
    fn mine(&self, plan: &[Cell<Self::Cell>], shard: Shard) -> Vec<bool> {
        shard.cells(plan, |_| None)
    }

    /// Whether others need what its cells find: its view is then made of a shard's cells too, and the work goes on.
    fn is_first_stage(&self) -> bool {
        false
    }

    /// Runs one cell.
    fn run(&self, cell: &Self::Cell, input: &Self::Input) -> Result<Self::Rows>;

    /// Shows the cells that are there, in the order of the plan.
    fn view(&self, rows: Vec<(Self::Cell, Self::Rows)>) -> Result<Self::View>;
}

/// Receives the input of a cell, by the cell's number.
pub type Hand<'a, Input> = dyn FnMut(usize, Input) -> Result<()> + 'a;
