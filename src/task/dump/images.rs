//! Images as arrays of pixels.

use std::path::Path;

use ndarray::{Array4, ArrayD, Axis, Ix4};

use super::matrices::Flexible;
use super::npy::array;
use crate::error::{Error, Result};

/// Reads images from an `.npy` file: normalised pixels of shape (channels, height, width), or (images, channels, height,
/// width); always returned with images first. An array of more than `memory` bytes is refused, and pixels that are no
/// numbers.
pub fn read_images(path: &Path, memory: u64) -> Result<Array4<f32>> {
    let (values, _) = array(path, &crate::file::bytes(path)?, memory)?;
    let pixels: ArrayD<f32> = match values {
        Flexible::F32(pixels) => pixels.into_owned(),
        Flexible::F64(pixels) => pixels.mapv(|x| x as f32),
    };
    let pixels = if pixels.ndim() == 3 { pixels.insert_axis(Axis(0)) } else { pixels };
    let pixels = match pixels.into_dimensionality::<Ix4>() {
        Ok(pixels) if !pixels.is_empty() => pixels,
        _ => {
            let accepted = "images of shape (channels, height, width) or (images, channels, height, width)";
            return Err(Error::malformed(path, "another array", accepted));
        }
    };
    match pixels.indexed_iter().find(|(_, x)| !x.is_finite()) {
        None => Ok(pixels),
        Some(((image, channel, y, x), value)) => Err(Error::NotFinite {
            what: format!("image {image} of '{}'", path.display()),
            value: f64::from(*value),
            at: format!("channel {channel}, row {y}, column {x}"),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array, Dimension};

    fn read<D: Dimension>(array: &Array<f64, D>) -> Result<Array4<f32>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        ndarray_npy::write_npy(file.path(), array).unwrap();
        read_images(file.path(), 1 << 20)
    }

    #[test]
    fn one_image_or_several() {
        let two =
            Array4::from_shape_fn((2, 3, 4, 5), |(i, c, y, x)| (1000 * i + 100 * c + 10 * y + x) as f64);
        assert_eq!(read(&two).unwrap(), two.mapv(|x| x as f32));
        let one = two.index_axis(Axis(0), 1).to_owned();
        assert_eq!(read(&one).unwrap().index_axis(Axis(0), 0), one.mapv(|x| x as f32));
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let flat = read(&ndarray::Array2::zeros((3, 4))).unwrap_err().to_string();
        assert!(flat.contains("(channels, height, width)"), "{flat}");
        assert!(read(&Array4::zeros((0, 3, 4, 4))).is_err());
        let mut image = Array4::zeros((1, 3, 2, 2));
        image[[0, 2, 1, 0]] = f64::NAN;
        let message = read(&image).unwrap_err().to_string();
        assert!(message.contains("channel 2, row 1, column 0"), "{message}");
    }
}
