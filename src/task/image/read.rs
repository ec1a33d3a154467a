//! Images of files: an array of them with an array of labels beside it, or a folder of PNG files for each class.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{ArrayD, Ix1, Ix3};

use crate::task::{dump, labels};
use crate::{Error, Result, file};

/// Images of one size with their classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelledImages {
    /// Names of the classes: labels of the array, or names of folders.
    pub classes: Vec<String>,
    /// Height and width of every image.
    pub size: [usize; 2],
    /// The class of every image, and its pixels row by row.
    pub images: Vec<(u32, Vec<u8>)>,
}

/// What `--data` may be.
const LAYOUT: &str = "NAME.npy of whole numbers 0 to 255 and shape (images, height, width) with NAME_labels.npy beside it, or a \
                      folder with a folder of .png files for each class";
/// Larger images are refused before they are decoded.
const MAX_PIXELS: usize = 1 << 24;

impl LabelledImages {
    /// Refuses images of another size than those that a network learned from: the places of pixels would mean others.
    pub fn of_size(&self, path: &Path, size: [usize; 2], others: &str) -> Result<()> {
        if self.size == size { Ok(()) } else { Err(other_size(path, self.size, size, others)) }
    }
}

fn other_size(path: &Path, found: [usize; 2], [height, width]: [usize; 2], others: &str) -> Error {
    let what = format!("an image of {} x {} pixels", found[0], found[1]);
    Error::malformed(path, what, format!("{height} x {width}, as {others}"))
}

/// The images at `path`: an array `NAME.npy` with its labels `NAME_labels.npy`, or a folder. `classes` are those of images
/// read before, or what is found.
pub fn read(path: &Path, classes: Option<&[String]>) -> Result<LabelledImages> {
    let (names, size, pixels) = if path.is_dir() { folder(path)? } else { array(path)? };
    let (classes, found) = labels::classes_of(path, "image", names.iter().map(String::as_str), classes)?;
    let images = found.into_iter().map(|class| class as u32).zip(pixels).collect();
    Ok(LabelledImages { classes, size, images })
}

/// The label of every image, the size of all, and their pixels.
type Found = (Vec<String>, [usize; 2], Vec<Vec<u8>>);

fn array(path: &Path) -> Result<Found> {
    let pixels: ArrayD<u8> = dump::read_integers(path)?;
    let shape = format!("an array of shape {:?}", pixels.shape());
    let wrong = |what: String| Error::malformed(path, what, LAYOUT);
    let pixels = pixels.into_dimensionality::<Ix3>().map_err(|_| wrong(shape.clone()))?;
    let (count, height, width) = pixels.dim();
    if pixels.is_empty() {
        return Err(wrong(shape));
    }
    let beside = labels_of(path);
    if !beside.is_file() {
        return Err(wrong(format!("no labels: '{}' is not there", beside.display())));
    }
    let labels: ArrayD<i64> = dump::read_integers(&beside)?;
    let labels = labels.into_dimensionality::<Ix1>().ok().filter(|labels| labels.len() == count);
    let accepted = || format!("{count} labels, one for each image");
    let labels = labels.ok_or_else(|| Error::malformed(&beside, "another number of them", accepted()))?;
    let pixels = pixels.outer_iter().map(|image| image.iter().copied().collect()).collect();
    Ok((labels.iter().map(ToString::to_string).collect(), [height, width], pixels))
}

/// `NAME_labels.npy` of `NAME.npy`.
fn labels_of(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{stem}_labels.npy"))
}

fn folder(path: &Path) -> Result<Found> {
    let (mut names, mut images, mut size) = (Vec::new(), Vec::new(), None);
    for class in entries(path)?.into_iter().filter(|entry| entry.is_dir()) {
        let name = class.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for image in entries(&class)? {
            if !image.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")) {
                continue;
            }
            let (found, pixels) = png(&image)?;
            let first = *size.get_or_insert(found);
            if found != first {
                return Err(other_size(&image, found, first, "the images before it"));
            }
            names.push(name.clone());
            images.push(pixels);
        }
    }
    let size = size.ok_or_else(|| Error::malformed(path, "no .png file in a folder of a class", LAYOUT))?;
    Ok((names, size, images))
}

/// What a folder holds, by name: the order of a file system is not the same everywhere.
fn entries(path: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(path).map_err(Error::file(path))?;
    let mut entries = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Error::file(path))?;
    entries.sort();
    Ok(entries)
}

/// Height and width of a PNG file, and its pixels in grey (ITU-R BT.601's weights, as in Long Range Arena), without its
/// transparency.
fn png(path: &Path) -> Result<([usize; 2], Vec<u8>)> {
    let wrong = |what: String| Error::malformed(path, what, "an image in the PNG format");
    let bytes = file::bytes(path)?;
    let mut decoder = png::Decoder::new(std::io::Cursor::new(&bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8());
    let mut reader = decoder.read_info().map_err(|error| wrong(error.to_string()))?;
    let [height, width] = [reader.info().height, reader.info().width].map(|side| side as usize);
    if height * width > MAX_PIXELS {
        return Err(wrong(format!("{height} x {width} pixels, more than {MAX_PIXELS}")));
    }
    let length = reader.output_buffer_size().ok_or_else(|| wrong("too many pixels".into()))?;
    let mut decoded = vec![0; length];
    let info = reader.next_frame(&mut decoded).map_err(|error| wrong(error.to_string()))?;
    let samples = info.color_type.samples();
    let grey = |pixel: &[u8]| match pixel {
        [r, g, b, ..] => {
            (0.299 * f64::from(*r) + 0.587 * f64::from(*g) + 0.114 * f64::from(*b)).round() as u8
        }
        [grey, ..] => *grey,
        [] => 0,
    };
    let pixels = decoded[..info.buffer_size()].chunks_exact(samples).map(grey).collect();
    Ok(([height, width], pixels))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array3};

    fn write(dir: &Path, pixels: &Array3<u8>, labels: &Array1<i64>) -> PathBuf {
        let path = dir.join("x.npy");
        ndarray_npy::write_npy(&path, pixels).unwrap();
        ndarray_npy::write_npy(dir.join("x_labels.npy"), labels).unwrap();
        path
    }

    fn write_png(path: &Path, [height, width]: [u32; 2], color: png::ColorType, data: &[u8]) {
        let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), width, height);
        encoder.set_color(color);
        encoder.set_depth(png::BitDepth::Eight);
        encoder.write_header().unwrap().write_image_data(data).unwrap();
    }

    #[test]
    fn an_array_with_its_labels() {
        let dir = tempfile::tempdir().unwrap();
        let pixels = Array3::from_shape_fn((3, 2, 4), |(i, y, x)| (100 * i + 10 * y + x) as u8);
        let path = write(dir.path(), &pixels, &ndarray::array![10, 2, 10]);
        let found = read(&path, None).unwrap();
        assert_eq!((found.classes.as_slice(), found.size), (&["2".to_string(), "10".into()][..], [2, 4]));
        assert_eq!(found.images[1], (0, vec![100, 101, 102, 103, 110, 111, 112, 113]));
        assert_eq!(found.images[2].0, 1);
        let other = read(&path, Some(&["3".to_string(), "10".into()])).unwrap_err().to_string();
        assert!(other.contains("unknown label '2'"), "{other}");
    }

    #[test]
    fn arrays_that_hold_no_images_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = write(dir.path(), &Array3::zeros((3, 2, 2)), &ndarray::array![1, 2]);
        let refused = |path: &Path| {
            let message = read(path, None).unwrap_err().to_string();
            assert!(!message.contains('\n'), "{message}");
            message
        };
        assert!(refused(&path).contains("3 labels, one for each image"));
        ndarray_npy::write_npy(&path, &ndarray::array![[300_i32]]).unwrap();
        assert!(refused(&path).contains("300"));
        ndarray_npy::write_npy(&path, &ndarray::array![[1.5_f32]]).unwrap();
        assert!(refused(&path).contains("f4"));
        ndarray_npy::write_npy(&path, &ndarray::array![[3_u8]]).unwrap();
        assert!(refused(&path).contains("(images, height, width)"));
        fs::remove_file(dir.path().join("x_labels.npy")).unwrap();
        ndarray_npy::write_npy(&path, &Array3::<u8>::zeros((1, 1, 1))).unwrap();
        assert!(refused(&path).contains("x_labels.npy' is not there"));
        assert!(refused(dir.path()).contains("no .png file"));
    }

    #[test]
    fn a_folder_for_each_class() {
        let dir = tempfile::tempdir().unwrap();
        for class in ["dog", "cat"] {
            fs::create_dir(dir.path().join(class)).unwrap();
        }
        write_png(&dir.path().join("dog/a.png"), [1, 2], png::ColorType::Rgb, &[255, 0, 0, 10, 10, 10]);
        write_png(&dir.path().join("cat/b.png"), [1, 2], png::ColorType::Grayscale, &[7, 200]);
        fs::write(dir.path().join("cat/notes.txt"), "no image").unwrap();
        let found = read(dir.path(), None).unwrap();
        assert_eq!((found.classes, found.size), (vec!["cat".to_string(), "dog".into()], [1, 2]));
        assert_eq!(found.images, [(0, vec![7, 200]), (1, vec![76, 10])]);
        write_png(&dir.path().join("dog/c.png"), [2, 1], png::ColorType::Grayscale, &[7, 200]);
        let message = read(dir.path(), None).unwrap_err().to_string();
        assert!(message.contains("c.png") && message.contains("1 x 2, as the images before it"), "{message}");
        fs::write(dir.path().join("dog/c.png"), "no image").unwrap();
        let message = read(dir.path(), None).unwrap_err().to_string();
        assert!(message.contains("c.png") && message.contains("PNG"), "{message}");
    }
}
