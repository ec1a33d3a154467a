//! Arrays in the `.npy` format of `NumPy`.

use std::path::Path;

use ndarray::{ArrayD, IxDyn, ShapeBuilder};
use ndarray_npy::npy::header::{Header, Layout};

use super::Precision;
use super::matrices::{Dump, Flexible, fits, line};
use crate::error::{Error, Result};

/// Types that are read, for messages.
pub(super) const TYPES: &str = "float16, float32 or float64";
/// Maximum opening brackets of a header; that of an array has two.
const MAX_BRACKETS: usize = 16;
/// Maximum bytes before the header: the magic string, the version and the header's length.
pub(super) const PREFIX: usize = 12;

/// Reads the bytes of an `.npy` file; the path is for messages, and an array of more than `memory` bytes is refused.
pub fn parse_npy(path: &Path, bytes: &[u8], memory: u64) -> Result<Dump> {
    let (values, precision) = array(path, bytes, memory)?;
    Dump::new(path, values, precision)
}

/// The array of an `.npy` file, and the type of its elements there.
pub(super) fn array(path: &Path, bytes: &[u8], memory: u64) -> Result<(Flexible, Precision)> {
    let layout = NpyLayout::read(bytes).map_err(|what| refused(path, what))?;
    let held = bytes.len() - layout.start;
    if layout.bytes() != Some(held) {
        return Err(refused(path, layout.broken(held)));
    }
    let wide = if layout.precision == Precision::F64 { 8 } else { 4 };
    fits(path, layout.count().unwrap_or(usize::MAX) as u64 * wide, memory)?;
    let values = layout.decode(&bytes[layout.start..]).map_err(|what| refused(path, what))?;
    Ok((values, layout.precision))
}

fn refused(path: &Path, what: impl ToString) -> Error {
    Error::malformed(path, what, format!("a .npy array of {TYPES}"))
}

/// Where the header ends, from the first [`PREFIX`] bytes.
pub(super) fn header_end(bytes: &[u8]) -> Option<usize> {
    // Version 1 has two bytes for the header's length, later ones four.
    let wide = bytes.get(6).is_some_and(|version| *version > 1);
    let field = bytes.get(8..if wide { 12 } else { 10 })?;
    let length = field.iter().rev().fold(0_usize, |all, byte| (all << 8) | usize::from(*byte));
    Some(8 + field.len() + length)
}

/// The header in front of `bytes`, and where it ends.
pub(super) fn header(bytes: &[u8]) -> Result<(Header, usize), String> {
    let short = || line(&"failed to fill whole buffer");
    if !bytes.starts_with(&b"\x93NUMPY"[..bytes.len().min(6)]) || bytes.is_empty() {
        return Err("start does not match magic string".into());
    }
    let start = header_end(bytes).ok_or_else(short)?;
    let header = bytes
        .get(..start)
        .ok_or_else(|| format!("a header that should end at byte {start} in {} bytes", bytes.len()))?;
    // The parser recurses into brackets.
    if header.iter().filter(|byte| b"([{".contains(byte)).count() > MAX_BRACKETS {
        return Err("a header that describes no array".into());
    }
    let header = Header::from_reader(&mut without_suffixes(header).as_slice()).map_err(|e| line(&e))?;
    Ok((header, start))
}

/// What a header states about the data after it.
pub(super) struct NpyLayout {
    shape: Vec<usize>,
    precision: Precision,
    big_endian: bool,
    columns_first: bool,
    /// Where the data begins.
    pub(super) start: usize,
}

impl NpyLayout {
    /// Reads the header in front of `bytes`.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        let (header, start) = header(bytes)?;
        let descriptor = header.type_descriptor.to_string();
        let (precision, big_endian) = match descriptor.trim_matches('\'') {
            "<f8" => (Precision::F64, false),
            ">f8" => (Precision::F64, true),
            "<f4" => (Precision::F32, false),
            ">f4" => (Precision::F32, true),
            "<f2" => (Precision::F16, false),
            ">f2" => (Precision::F16, true),
            "<V2" | "|V2" => {
                return Err("numbers of type V2, as bfloat16 is saved without its name (save it as \
                            float32, or as .safetensors)"
                    .into());
            }
            _ => return Err(format!("numbers of type {}", line(&descriptor))),
        };
        let columns_first = header.layout == Layout::Fortran;
        Ok(Self { shape: header.shape, precision, big_endian, columns_first, start })
    }

    fn count(&self) -> Option<usize> {
        self.shape.iter().try_fold(1_usize, |all, one| all.checked_mul(*one))
    }

    /// Bytes of data that the header states; `None` if the number overflows.
    pub(super) fn bytes(&self) -> Option<usize> {
        self.count()?.checked_mul(self.precision.size())
    }

    /// The error text if the file holds another number of bytes.
    pub(super) fn broken(&self, held: usize) -> String {
        let shape: Vec<String> = self.shape.iter().map(ToString::to_string).collect();
        format!(
            "a header that promises {} numbers of {} bytes, and {held} bytes after it",
            if shape.is_empty() { "1".into() } else { shape.join(" x ") },
            self.precision.size()
        )
    }

    /// The array, from exactly the stated bytes.
    fn decode(&self, bytes: &[u8]) -> Result<Flexible, String> {
        let values = decode(self.precision, self.big_endian, bytes);
        values.shaped(&self.shape, self.columns_first)
    }
}

/// A header in which Python 2's long integers (`3L`) are written as integers; of the same length.
fn without_suffixes(header: &[u8]) -> Vec<u8> {
    let mut header = header.to_vec();
    for i in 1..header.len().saturating_sub(1) {
        if header[i] == b'L' && header[i - 1].is_ascii_digit() && b",) ".contains(&header[i + 1]) {
            header[i] = b' ';
        }
    }
    header
}

/// Values without a shape.
pub(super) enum Flat {
    F32(Vec<f32>),
    F64(Vec<f64>),
}

impl Flat {
    pub(super) fn shaped(self, shape: &[usize], columns_first: bool) -> Result<Flexible, String> {
        let shape = IxDyn(shape).set_f(columns_first);
        match self {
            Self::F32(values) => ArrayD::from_shape_vec(shape, values).map(|a| Flexible::F32(a.into())),
            Self::F64(values) => ArrayD::from_shape_vec(shape, values).map(|a| Flexible::F64(a.into())),
        }
        .map_err(|error| line(&error))
    }
}

/// Values of a format in either byte order.
pub(super) fn decode(precision: Precision, big_endian: bool, bytes: &[u8]) -> Flat {
    fn each<const N: usize, T>(bytes: &[u8], big_endian: bool, from: impl Fn([u8; N]) -> T) -> Vec<T> {
        let converted = |mut bytes: [u8; N]| {
            if big_endian {
                bytes.reverse();
            }
            from(bytes)
        };
        bytes.as_chunks::<N>().0.iter().map(|bytes| converted(*bytes)).collect()
    }
    match precision {
        Precision::F64 => Flat::F64(each(bytes, big_endian, f64::from_le_bytes)),
        Precision::F32 => Flat::F32(each(bytes, big_endian, f32::from_le_bytes)),
        Precision::F16 => {
            Flat::F32(each(bytes, big_endian, |bytes| half::f16::from_le_bytes(bytes).to_f32()))
        }
        Precision::BF16 => {
            Flat::F32(each(bytes, big_endian, |bytes| half::bf16::from_le_bytes(bytes).to_f32()))
        }
    }
}
