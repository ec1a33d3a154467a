//! Files of weights: the safetensors format, and its numbers as f32.
//!
//! A file is 8 bytes of length, that many bytes of JSON (name to type, shape and place), and the numbers.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use serde::Deserialize;

use crate::{Error, Result};

const LENGTH: usize = 8;
/// The format's own limit.
const LONGEST_HEADER: u64 = 100_000_000;
const ACCEPTED: &str = "a whole safetensors file";

/// What a file of weights says that it holds.
#[derive(Debug)]
pub struct Header {
    /// Tensors by their names in the file.
    pub tensors: BTreeMap<String, Place>,
    /// Texts by name, of its metadata.
    pub facts: BTreeMap<String, String>,
}

/// One tensor: its type, its shape, and its bytes' place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The format's name of the type ("F32", "BF16", "I64").
    pub dtype: String,
    /// Lengths, outermost first.
    pub shape: Vec<usize>,
    /// Where its bytes are, counted from the start of the file.
    pub bytes: Range<usize>,
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}

impl Header {
    /// Reads and checks the header of a safetensors file, given whole; `path` is named in errors and not read.
    ///
    /// Once this succeeds, every tensor lies within the file, has the bytes that its type and shape need, and shares
    /// none of them with another.
    pub fn parse(path: &Path, file: &[u8]) -> Result<Self> {
        let bad = |what: String| Error::malformed(path, what, ACCEPTED);
        let Some((length, rest)) = file.split_first_chunk::<LENGTH>() else {
            return Err(bad(format!("only {} bytes", file.len())));
        };
        let length = u64::from_le_bytes(*length);
        if length > LONGEST_HEADER || length > rest.len() as u64 {
            return Err(bad(format!("a header of {length} bytes in a file of {}", file.len())));
        }
        let (header, data) = rest.split_at(length as usize);
        let mut map: BTreeMap<String, serde_json::Value> = serde_json::from_slice(header)
            .map_err(|error| bad(format!("its header is not JSON: {error}")))?;
        let metadata = map.remove("__metadata__").unwrap_or_default();
        let texts = metadata.as_object().into_iter().flatten();
        let facts =
            texts.filter_map(|(name, text)| Some((name.clone(), text.as_str()?.to_string()))).collect();
        let mut tensors = BTreeMap::new();
        for (name, value) in map {
            let entry = Entry::deserialize(value).map_err(|error| {
                bad(format!("tensor '{}' is not described: {error}", name.escape_debug()))
            })?;
            let place = entry
                .place(LENGTH + header.len(), data.len())
                .map_err(|what| bad(format!("tensor '{}' {what}", name.escape_debug())))?;
            tensors.insert(name, place);
        }
        let mut by_place: Vec<_> = tensors.iter().filter(|(_, place)| !place.bytes.is_empty()).collect();
        by_place.sort_by_key(|(_, place)| place.bytes.start);
        for pair in by_place.windows(2) {
            if pair[1].1.bytes.start < pair[0].1.bytes.end {
                let (first, second) = (pair[0].0.escape_debug(), pair[1].0.escape_debug());
                return Err(bad(format!("tensors '{first}' and '{second}' overlap")));
            }
        }
        Ok(Self { tensors, facts })
    }
}

impl Entry {
    /// The tensor's place, if it lies within `available` bytes behind `start` and has the size of its shape.
    fn place(self, start: usize, available: usize) -> Result<Place, String> {
        let (from, to) = self.data_offsets;
        if from > to || to > available {
            return Err(format!("lies at bytes {from} to {to} of {available} (is the file cut short?)"));
        }
        let width = bits(&self.dtype).ok_or_else(|| {
            format!("has type '{}', which the format does not know", self.dtype.escape_debug())
        })?;
        let needed = self.shape.iter().try_fold(width, |bits, length| bits.checked_mul(*length));
        if needed.is_none_or(|bits| bits.div_ceil(8) != to - from) {
            return Err(format!("has {} bytes for shape {:?} of {}", to - from, self.shape, self.dtype));
        }
        Ok(Place { dtype: self.dtype, shape: self.shape, bytes: start + from..start + to })
    }
}

/// Bits of one number of each type that the format knows.
fn bits(dtype: &str) -> Option<usize> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" | "F8_E4M3FNUZ" | "F8_E5M2FNUZ" => 8,
        "U16" | "I16" | "F16" | "BF16" => 16,
        "U32" | "I32" | "F32" => 32,
        "U64" | "I64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

/// The types of weights that a model may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Float {
    F32,
    F16,
    Bf16,
}

impl Float {
    pub(super) fn find(dtype: &str) -> Option<Self> {
        [("F32", Self::F32), ("F16", Self::F16), ("BF16", Self::Bf16)]
            .into_iter()
            .find_map(|(name, float)| (name == dtype).then_some(float))
    }

    /// Bytes of one number.
    pub(super) fn width(self) -> usize {
        if self == Self::F32 { 4 } else { 2 }
    }

    /// Little-endian bytes as f32: in place if they are f32 and aligned, as a copy otherwise.
    pub(super) fn numbers(self, bytes: &[u8]) -> Cow<'_, [f32]> {
        if self == Self::F32 {
            return match bytemuck::try_cast_slice(bytes) {
                Ok(numbers) if cfg!(target_endian = "little") => Cow::Borrowed(numbers),
                _ => bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect(),
            };
        }
        let halves: Vec<u16> = bytes.as_chunks().0.iter().map(|two| u16::from_le_bytes(*two)).collect();
        let mut numbers = vec![0.0; halves.len()];
        match self {
            Self::F16 => halves.reinterpret_cast::<f16>().convert_to_f32_slice(&mut numbers),
            _ => halves.reinterpret_cast::<bf16>().convert_to_f32_slice(&mut numbers),
        }
        Cow::Owned(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_each_type_from_any_place() {
        let f32s = [1.5_f32, -2.0, 0.1];
        let bytes: Vec<u8> = f32s.iter().flat_map(|x| x.to_le_bytes()).collect();
        let shifted = [&[0], &bytes[..]].concat();
        assert_eq!(Float::F32.numbers(&bytes), &f32s[..]);
        assert_eq!(Float::F32.numbers(&shifted[1..]), &f32s[..]);
        let f16s: Vec<u8> = f32s.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect();
        assert_eq!(Float::F16.numbers(&f16s), &[1.5, -2.0, 0.099_975_586][..]);
        let bf16s: Vec<u8> = f32s.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect();
        assert_eq!(Float::Bf16.numbers(&bf16s), &[1.5, -2.0, 0.100_097_656][..]);
    }
}
