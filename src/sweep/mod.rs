//! The form of a study: cells that are planned, run one by one and recorded, and a view of all of them.
//!
//! A study implements [`Study`]:
//! - [`plan`](Study::plan): the checked configuration in, a list of [`Cell`]s out. Each has a key that stays the same from
//!   run to run, and a predicted cost. No cell depends on another one.
//! - [`inputs`](Study::inputs): what the cells need and what is cheapest to produce in order, such as the heads of one
//!   forward pass of a model. Most studies hand out `()`.
//! - [`run`](Study::run): one cell in, its rows out, as values that serde writes and reads.
//! - [`view`](Study::view): the rows of all cells in, tables, figures and notes out. It measures nothing.
//!
//! [`run`] is the one driver: it runs the cells (in parallel where [`together`](Study::together) says so), appends each
//! finished cell to the [`Journal`] at once, takes the cells that the journal holds from there, obeys stops, begins none for
//! which the time that is left is too short ([`Watch::has_time`]), and shows progress. Cells reach the view in the order of the plan, whichever of them was finished first or in an earlier run: an
//! interrupted run that is resumed shows the same as one that was not.
//!
//! # The journal
//! One file a run folder, `journal.jsonl`: a first line with the facts that decide the figures ([`Fingerprint`]: version,
//! settings, hashes of all inputs), then a line a cell. One file, because a disk of a cluster counts files, and appended
//! lines, because each is written in one call: a kill loses the cells in work and at most one line. Every line ends with
//! a hash of itself; a line without it, or with another one, is dropped and its cell is run again. A run with other facts
//! is refused by the name of the first that differs. A write outlives a kill of the process; only a failure of the machine
//! needs the disk. That takes some 4 ms (the median of 300 calls of `fdatasync` on ext4), as long as the smallest cells: a
//! line is synchronised where the last time is over a second ago, so that a power failure loses a second of small cells, or
//! the large one in work.
//!
//! Floating-point numbers are written bit for bit by `#[serde(with = "crate::sweep::bits")]`.
//!
//! # Several machines
//! A [`Shard`] is a part of the plan that one machine runs into a folder of its own. A merge ([`Merged`]) reads the journals
//! of all of them, of the same facts, and shows what one machine would have shown; it runs nothing, and refuses if cells
//! are missing. The first line of a journal says which command wrote it, and on which machine.
//!
//! # A study with several kinds of cells
//! Runs them one kind after the other over the same journal, with keys that differ (the fits of `approx-error`, and then
//! what is measured with them).

pub mod bits;
mod cell;
mod driver;
mod fingerprint;
mod folder;
mod journal;
mod lines;
mod merge;
mod pace;
mod shard;
mod study;
mod watch;

pub use cell::Cell;
pub use driver::run;
pub use fingerprint::{Contents, Fingerprint};
pub use folder::RunFolder;
pub use journal::Journal;
pub use lines::Origin;
pub use merge::Merged;
pub use shard::Shard;
pub use study::{Hand, Study};
pub use watch::{Unwatched, Watch};
