//! Sizes of the images.

/// How large an image is, and which curves it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathfinderSettings {
    /// Height and width, in pixels.
    pub side: usize,
    /// Dashes of the two long curves.
    pub contour: usize,
    /// Curves that distract.
    pub distractors: usize,
    /// Dashes of each of them.
    pub distractor: usize,
}

impl PathfinderSettings {
    /// Long Range Arena's sizes (side 32, 14 dashes, 5 distractors of 4), or as many and as long curves as another side has
    /// room for.
    pub fn of_side(side: usize) -> Self {
        let scale = side as f64 / 32.0;
        let share = |of: f64| (of * scale.powf(1.5)).round() as usize;
        let distractor = (4.0 * scale).round() as usize;
        Self { side, contour: share(14.0), distractors: share(5.0), distractor: distractor.max(2) }
    }
}
