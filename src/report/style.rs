//! How wide and how colourful a text may be.

/// The width and the colours of the terminal that a text is written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Style {
    /// Width in characters.
    pub width: usize,
    /// Whether ANSI colours and bold type are understood.
    pub colour: bool,
}

impl Default for Style {
    fn default() -> Self {
        Self { width: 80, colour: false }
    }
}
