//! Images as sequences of pixels, row by row: Long Range Arena's image classification (Tay et al. 2021), which is CIFAR-10 in
//! grey.
//!
//! [`read()`] reads an array of images with an array of labels beside it, or a folder of PNG files for each class;
//! [`generate()`] draws a small set of shapes. A token is the grey value of a pixel, 0 to 255.

mod generate;
mod read;
mod task;

pub use generate::{SHAPES, generate};
pub use read::{LabelledImages, read};
pub use task::KIND;
