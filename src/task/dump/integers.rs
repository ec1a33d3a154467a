//! Whole numbers of `.npy` files: pixels and labels.

use std::path::Path;

use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use ndarray_npy::npy::header::Layout;

use super::matrices::line;
use super::npy::header;
use crate::error::{Error, Result};
use crate::file;

/// Reads an array of whole numbers of any type of `NumPy`, or of truth values, each of which must fit into `T`.
pub fn read_integers<T: TryFrom<i64>>(path: &Path) -> Result<ArrayD<T>> {
    let bytes = file::bytes(path)?;
    // The only type without a sign is that of pixels.
    let range = if T::try_from(-1).is_err() && size_of::<T>() == 1 {
        "0 to 255".into()
    } else {
        format!("at most {} bits", 8 * size_of::<T>())
    };
    let wrong =
        |what: String| Error::malformed(path, what, format!("a .npy array of whole numbers of {range}"));
    let (header, start) = header(&bytes).map_err(wrong)?;
    let descriptor = header.type_descriptor.to_string();
    let unknown = || wrong(format!("numbers of type {}", line(&descriptor)));
    let kind = descriptor.trim_matches('\'');
    let (big_endian, signed, size) = match kind.as_bytes() {
        [b'|', b'b', b'1'] => (false, false, 1),
        [order @ (b'<' | b'>' | b'|'), sign @ (b'i' | b'u'), size @ (b'1' | b'2' | b'4' | b'8')] => {
            (*order == b'>', *sign == b'i', usize::from(size - b'0'))
        }
        _ => return Err(unknown()),
    };
    let held = &bytes[start..];
    let count = header.shape.iter().try_fold(1_usize, |all, one| all.checked_mul(*one));
    if count.and_then(|count| count.checked_mul(size)) != Some(held.len()) {
        let what =
            format!("a header that promises shape {:?}, and {} bytes after it", header.shape, held.len());
        return Err(wrong(what));
    }
    let number = |bytes: &[u8]| -> Option<i64> {
        let ordered = |i: usize| if big_endian { bytes[i] } else { bytes[size - 1 - i] };
        let negative = signed && ordered(0) >= 128;
        let first = if negative { -1_i64 } else { 0 };
        let value = (0..size).fold(first, |all, i| (all << 8) | i64::from(ordered(i)));
        // Eight bytes without a sign may be more than a signed number holds.
        (signed || value >= 0).then_some(value)
    };
    let convert = |bytes: &[u8]| {
        let value = number(bytes);
        let fits = value.and_then(|value| T::try_from(value).ok());
        fits.ok_or_else(|| {
            wrong(format!("the number {}", value.map_or("2^63 or more".into(), |x| x.to_string())))
        })
    };
    let values = held.chunks_exact(size).map(convert).collect::<Result<Vec<T>>>()?;
    let shape = IxDyn(&header.shape).set_f(header.layout == Layout::Fortran);
    ArrayD::from_shape_vec(shape, values).map_err(|error| wrong(line(&error)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;
    use ndarray_npy::WritableElement;

    fn read<T: TryFrom<i64>, S: WritableElement + Clone>(values: &[S]) -> Result<ArrayD<T>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        ndarray_npy::write_npy(file.path(), &ndarray::Array1::from_vec(values.to_vec())).unwrap();
        read_integers(file.path())
    }

    #[test]
    fn every_type_of_whole_numbers() {
        let expected = array![0_i64, 1, -2, 127].into_dyn();
        assert_eq!(read::<i64, i8>(&[0, 1, -2, 127]).unwrap(), expected);
        assert_eq!(read::<i64, i16>(&[0, 1, -2, 127]).unwrap(), expected);
        assert_eq!(read::<i64, i64>(&[0, 1, -2, 127]).unwrap(), expected);
        assert_eq!(read::<u8, u32>(&[3, 255]).unwrap(), array![3_u8, 255].into_dyn());
        assert_eq!(read::<u8, bool>(&[true, false]).unwrap(), array![1_u8, 0].into_dyn());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (message, part) in [
            (read::<u8, i32>(&[7, 256]).unwrap_err(), "the number 256"),
            (read::<u8, i8>(&[-1]).unwrap_err(), "the number -1"),
            (read::<i64, u64>(&[u64::MAX]).unwrap_err(), "2^63 or more"),
            (read::<u8, f64>(&[1.0]).unwrap_err(), "<f8"),
        ] {
            let message = message.to_string();
            assert!(message.contains(part) && message.contains("whole numbers"), "{message}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        ndarray_npy::write_npy(file.path(), &array![1_u8, 2]).unwrap();
        let bytes = std::fs::read(file.path()).unwrap();
        for cut in 0..bytes.len() {
            std::fs::write(file.path(), &bytes[..cut]).unwrap();
            assert!(read_integers::<u8>(file.path()).is_err(), "{cut} bytes");
        }
    }
}
