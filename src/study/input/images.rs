//! What a vision model reads: each image is a window.

use std::path::Path;

use ndarray::Axis;

use super::reading::{Reading, Window};
use super::{InputArgs, hash};
use crate::error::{Error, Result};
use crate::model::Image;
use crate::profile::ram;
use crate::task::dump;

/// The images that the options name, as windows of the model's one length.
pub(super) fn read(args: &InputArgs, image: Image) -> Result<Reading> {
    let Some(path) = &args.pixels else {
        let model = args.model.as_deref().unwrap_or_default();
        return Err(Error::Refused(format!("--model {model} reads images: it needs --pixels FILE.npy")));
    };
    let pixels = dump::read_images(path, ram::available().unwrap_or(u64::MAX))?;
    let (count, channels, height, width) = pixels.dim();
    image.check(&format!("'{}'", path.display()), (channels, height, width))?;
    let windows = args.windows.unwrap_or(count);
    if windows > count {
        let accepted = format!("at most {count}, the images of {}", path.display());
        return Err(Error::value("--windows", windows, accepted));
    }
    let each = pixels.axis_iter(Axis(0)).take(windows);
    Ok(Reading {
        windows: vec![each.map(|pixels| Window::Image(pixels.to_owned())).collect()],
        facts: vec![
            ("pixels".into(), path.display().to_string().into()),
            ("pixels_sha256".into(), hash::of_file(path)?.into()),
            ("images".into(), windows.into()),
        ],
        notes: vec![note(path, image, windows, count)],
        dependence: None,
    })
}

fn note(path: &Path, image: Image, windows: usize, count: usize) -> String {
    let Image { side, patch, before, .. } = image;
    format!(
        "read: {windows} of {count} images of {}, {side} x {side} pixels each; a head sees {} positions: patches of {patch} \
         x {patch} pixels row by row, after {before} learned vector{}",
        path.display(),
        image.positions(),
        if before == 1 { "" } else { "s" },
    )
}
