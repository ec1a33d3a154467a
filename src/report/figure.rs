//! Figures as data: what is drawn, not how. [`to_svg`](super::to_svg) draws them for a
//! page, [`to_terminal`](super::to_terminal) for a terminal.

use ndarray::Array2;

/// One figure; its name is the name of its file.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// Names the file: lower case, hyphens.
    pub name: String,
    /// Stands above the figure; may be empty.
    pub title: String,
    /// What is drawn.
    pub kind: Kind,
}

/// What a figure draws.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// Lines over a common axis.
    Curves(Curves),
    /// One number a cell.
    Heat(Heat),
    /// Figures side by side.
    Panels(Vec<Figure>),
}

/// Lines over a common axis.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curves {
    /// The horizontal axis, with its unit.
    pub x_label: String,
    /// The vertical axis, with its unit.
    pub y_label: String,
    /// Whether the horizontal axis is logarithmic; points at or below zero are left out.
    pub log_x: bool,
    /// Whether the vertical axis is logarithmic; points at or below zero are left out.
    pub log_y: bool,
    /// The lines.
    pub series: Vec<Series>,
    /// Reference lines.
    pub marks: Vec<Mark>,
}

/// One line. Points that are not finite break it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// The name in the legend; without one the line takes the colour of the series before it and no place
    /// in the legend.
    pub label: String,
    /// Where the points stand on the horizontal axis.
    pub x: Vec<f64>,
    /// Where the points stand on the vertical axis.
    pub y: Vec<f64>,
    /// The lower and the upper edge of an interval around the line.
    pub band: Option<(Vec<f64>, Vec<f64>)>,
    /// Drawn with dashes: a control, a null model.
    pub dashed: bool,
    /// Drawn thin and pale: one head among many.
    pub faint: bool,
    /// Drawn with a dot at each point: few points, each of them a measurement.
    pub dots: bool,
}

/// A straight line across the whole plot, and what it stands for.
#[derive(Clone, Debug, PartialEq)]
pub enum Mark {
    /// At one place of the horizontal axis.
    Vertical {
        /// Where.
        at: f64,
        /// What it stands for.
        label: String,
    },
    /// At one place of the vertical axis.
    Horizontal {
        /// Where.
        at: f64,
        /// What it stands for.
        label: String,
    },
}

/// One number a cell: rows downwards, columns to the right. NaN is a missing cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Heat {
    /// What a row is ("layer").
    pub row_label: String,
    /// What a column is ("head").
    pub col_label: String,
    /// What the number is, with its unit.
    pub value_label: String,
    /// The numbers.
    pub values: Array2<f64>,
}
