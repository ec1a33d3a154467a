//! Images as a vision model reads them: cut into patches.

use ndarray::{Array2, ArrayView3, s};

use super::config::Image;
use crate::{Error, Result};

impl Image {
    /// Refuses an image of another shape (channels, height, width) than the model was trained on; `what` names it.
    pub fn check(self, what: &str, (channels, height, width): (usize, usize, usize)) -> Result<()> {
        if (channels, height, width) == (self.channels, self.side, self.side) {
            return Ok(());
        }
        let accepted = format!(
            "{} x {} x {}, the image_size of the model (its positions are not interpolated)",
            self.channels, self.side, self.side
        );
        Err(Error::value(format!("an image of {what}"), format!("{channels} x {height} x {width}"), accepted))
    }

    /// Patches along a side.
    pub(super) fn patches_a_side(self) -> usize {
        self.side / self.patch
    }

    /// Positions: what stands before the patches, and the patches.
    pub fn positions(self) -> usize {
        self.before + self.patches_a_side().pow(2)
    }

    /// The pixels of each patch, shape (patches, channels patch^2): patches row by row, and in each channel by channel.
    pub(super) fn patches(self, pixels: ArrayView3<'_, f32>) -> Array2<f32> {
        let (across, p) = (self.patches_a_side(), self.patch);
        let mut rows = Array2::zeros((across * across, self.channels * p * p));
        for (at, mut row) in rows.rows_mut().into_iter().enumerate() {
            let (y, x) = (at / across * p, at % across * p);
            let patch = pixels.slice(s![.., y..y + p, x..x + p]);
            row.iter_mut().zip(patch).for_each(|(to, x)| *to = *x);
        }
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn patches_are_cut_row_by_row() {
        let image = Image { channels: 2, side: 4, patch: 2, before: 1 };
        let pixels = Array3::from_shape_fn((2, 4, 4), |(c, y, x)| (100 * c + 10 * y + x) as f32);
        let patches = image.patches(pixels.view());
        assert_eq!(image.positions(), 5);
        assert_eq!(patches.row(1).to_vec(), [2.0, 3.0, 12.0, 13.0, 102.0, 103.0, 112.0, 113.0]);
        assert_eq!(patches.row(2)[0], 20.0);
    }
}
