//! One piece of work of a study.

/// One piece of work that depends on no other.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell<T> {
    /// Names it in the journal: the same in every run of the same study, and different from that of every other cell.
    pub key: String,
    /// Steps that it reports to whoever follows the study.
    pub steps: usize,
    /// Predicted work in multiply-adds, right to an order of magnitude: cells of one study compare by it.
    pub cost: f64,
    /// What it is: which length, window, head or mechanism.
    pub of: T,
}
