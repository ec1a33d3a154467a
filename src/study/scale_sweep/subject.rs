//! What the implementations of every unit have: closed forms, and something to run.

use crate::cost::{Cost, Tally};
use crate::error::Result;

/// One cell with its inputs, ready to run.
pub(super) trait Subject: Send {
    /// One pass into an output that is already allocated; multiply-adds are added to the tally, if there is one.
    fn run(&mut self, tally: Option<&Tally>) -> Result<()>;
}

/// The closed forms of a cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Facts {
    pub(super) cost: Cost,
    /// Minimum number of bytes moved: inputs, learned parameters and outputs once, and matrices that are computed.
    pub(super) bytes: u64,
    /// Bytes beyond inputs and outputs.
    pub(super) extra_bytes: Option<u64>,
    /// Bytes of inputs and outputs that the cells of one length share.
    pub(super) shared_bytes: u64,
    /// Bytes of the cell's own inputs and outputs.
    pub(super) own_bytes: u64,
}
