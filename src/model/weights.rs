//! Files of weights: the safetensors format, with values as f32.
//!
//! A file is 8 bytes with the length of the header, the header in JSON (name to type, shape and offsets), and the values.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;

use half::slice::{HalfBitsSliceExt, HalfFloatSliceExt};
use half::{bf16, f16};
use safetensors::{SafeTensorError, SafeTensors, tensor::TensorInfo};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};

use crate::file::refuse_pointer;
use crate::{Error, Result};

const LENGTH: usize = 8;
const ACCEPTED: &str = "a whole safetensors file";

/// The contents of a file of weights by its header.
#[derive(Debug)]
pub struct Header {
    /// Tensors by their names in the file.
    pub tensors: BTreeMap<String, Place>,
    /// The metadata: texts by name.
    pub facts: BTreeMap<String, String>,
}

/// One tensor: its type, its shape, and where its bytes are in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The format's name of the type ("F32", "BF16", "I64").
    pub dtype: String,
    /// Lengths, outermost first.
    pub shape: Vec<usize>,
    /// Where its bytes are, counted from the start of the file.
    pub bytes: Range<usize>,
}

impl Header {
    /// Reads and checks the header of a safetensors file, given whole; `path` is named in errors and not read.
    ///
    /// The safetensors crate checks that every tensor lies within the file and has the bytes that its type and shape need, and
    /// that each byte after the header belongs to one tensor. In addition, no name may occur twice.
    pub fn parse(path: &Path, file: &[u8]) -> Result<Self> {
        refuse_pointer(path, file)?;
        let bad = |what: String| Error::malformed(path, what, ACCEPTED);
        let (length, metadata) =
            SafeTensors::read_metadata(file).map_err(|error| bad(fault(file, &error)))?;
        let start = LENGTH + length;
        let place = |(name, info): (String, &TensorInfo)| {
            let (from, to) = info.data_offsets;
            let (dtype, shape) = (info.dtype.to_string(), info.shape.clone());
            (name, Place { dtype, shape, bytes: start + from..start + to })
        };
        let tensors: BTreeMap<_, _> = metadata.tensors().into_iter().map(place).collect();
        // The crate accepts two tensors of one name if one of them has no bytes.
        if let Some(name) = described(file).and_then(|entries| entries.duplicate().map(String::from)) {
            return Err(bad(format!("tensor '{}' stands twice in its header", name.escape_debug())));
        }
        let facts = metadata.metadata().iter().flatten().map(|(name, text)| (name.clone(), text.clone()));
        Ok(Self { tensors, facts: facts.collect() })
    }
}

/// What is wrong with a file that the safetensors crate refuses, with the tensor and its place as far as the header tells.
fn fault(file: &[u8], error: &SafeTensorError) -> String {
    let Some((length, rest)) = file.split_first_chunk::<LENGTH>() else {
        return format!("only {} bytes", file.len());
    };
    let length = u64::from_le_bytes(*length);
    match error {
        SafeTensorError::HeaderTooLarge | SafeTensorError::InvalidHeaderLength => {
            format!("a header of {length} bytes in a file of {}", file.len())
        }
        SafeTensorError::InvalidHeader(error) => format!("its header is not JSON: {error}"),
        SafeTensorError::InvalidHeaderDeserialization(error) if error.is_data() => {
            format!("its header does not describe tensors: {}", error.to_string().escape_debug())
        }
        SafeTensorError::InvalidHeaderDeserialization(error) => format!("its header is not JSON: {error}"),
        other => {
            let available = rest.len().saturating_sub(usize::try_from(length).unwrap_or(usize::MAX));
            let found = described(file).and_then(|entries| entries.fault(available));
            found.unwrap_or_else(|| other.to_string())
        }
    }
}

/// The entries of a header in order.
struct Entries(Vec<(String, TensorInfo)>);

/// The entries of a file's header, if they can be read.
fn described(file: &[u8]) -> Option<Entries> {
    let (length, rest) = file.split_first_chunk::<LENGTH>()?;
    let header = rest.get(..usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    serde_json::from_slice(header).ok()
}

impl Entries {
    /// A name that occurs more than once.
    fn duplicate(&self) -> Option<&str> {
        let mut names: Vec<_> = self.0.iter().map(|(name, _)| name.as_str()).collect();
        names.sort_unstable();
        names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
    }

    /// The first fault of the tensors, with so many bytes after the header.
    fn fault(mut self, available: usize) -> Option<String> {
        if let Some(name) = self.duplicate() {
            return Some(format!("tensor '{}' stands twice in its header", name.escape_debug()));
        }
        self.0.sort_by_key(|(_, info)| info.data_offsets);
        let mut before: Option<(String, usize)> = None;
        for (name, TensorInfo { dtype, shape, data_offsets: (from, to) }) in self.0 {
            let name = name.escape_debug().to_string();
            if from > to || to > available {
                let hint = if from > to { "" } else { " (is the file cut short?)" };
                return Some(format!("tensor '{name}' lies at bytes {from} to {to} of {available}{hint}"));
            }
            let bits = shape.iter().try_fold(dtype.bitsize(), |bits, length| bits.checked_mul(*length));
            if bits.is_none_or(|bits| bits % 8 != 0 || bits / 8 != to - from) {
                return Some(format!(
                    "tensor '{name}' has {} bytes for shape {shape:?} of {dtype}",
                    to - from
                ));
            }
            let (last, end) = before.unwrap_or_default();
            if from < end {
                return Some(format!("tensors '{last}' and '{name}' overlap"));
            }
            if from > end {
                return Some(format!("bytes {end} to {from} belong to no tensor"));
            }
            before = Some((name, to));
        }
        let end = before.map_or(0, |(_, end)| end);
        (end < available).then(|| format!("{} bytes behind its last tensor", available - end))
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut entries = Vec::new();
        while let Some(name) = map.next_key::<String>()? {
            if name == "__metadata__" {
                map.next_value::<IgnoredAny>()?;
            } else {
                entries.push((name, map.next_value()?));
            }
        }
        Ok(Entries(entries))
    }
}

/// What is expected in the place of quantized weights.
pub(super) const DEQUANTIZED: &str = "weights in F64, F32, F16 or BF16: load the model with dequantize=True in \
     transformers (for GPT-OSS: Mxfp4Config), and save it again";

/// The types of weights that a model may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Float {
    F64,
    F32,
    F16,
    Bf16,
}

impl Float {
    pub(super) fn find(dtype: &str) -> Option<Self> {
        [("F64", Self::F64), ("F32", Self::F32), ("F16", Self::F16), ("BF16", Self::Bf16)]
            .into_iter()
            .find_map(|(name, float)| (name == dtype).then_some(float))
    }

    /// As [`find`](Self::find); the error names the tensor and its file.
    pub(super) fn of(path: &Path, name: &str, dtype: &str) -> Result<Self> {
        Self::find(dtype).ok_or_else(|| {
            let what = format!("tensor '{}' is {dtype}", name.escape_debug());
            Error::malformed(path, what, "F64, F32, F16 or BF16")
        })
    }

    /// Bytes of one value.
    pub(super) fn width(self) -> usize {
        match self {
            Self::F64 => 8,
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// Little-endian bytes as f32: in place if they are f32 and aligned, as a copy otherwise (f64 are rounded).
    pub(super) fn values(self, bytes: &[u8]) -> Cow<'_, [f32]> {
        if self == Self::F32 {
            return match bytemuck::try_cast_slice(bytes) {
                Ok(values) if cfg!(target_endian = "little") => Cow::Borrowed(values),
                _ => bytes.as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect(),
            };
        }
        if self == Self::F64 {
            return bytes.as_chunks().0.iter().map(|eight| f64::from_le_bytes(*eight) as f32).collect();
        }
        let halves: Vec<u16> = bytes.as_chunks().0.iter().map(|two| u16::from_le_bytes(*two)).collect();
        let mut values = vec![0.0; halves.len()];
        match self {
            Self::F16 => halves.reinterpret_cast::<f16>().convert_to_f32_slice(&mut values),
            _ => halves.reinterpret_cast::<bf16>().convert_to_f32_slice(&mut values),
        }
        Cow::Owned(values)
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
        assert_eq!(Float::F32.values(&bytes), &f32s[..]);
        assert_eq!(Float::F32.values(&shifted[1..]), &f32s[..]);
        let f64s: Vec<u8> = f32s.iter().flat_map(|x| f64::from(*x).to_le_bytes()).collect();
        assert_eq!(Float::F64.values(&f64s), &f32s[..]);
        let f16s: Vec<u8> = f32s.iter().flat_map(|x| f16::from_f32(*x).to_le_bytes()).collect();
        assert_eq!(Float::F16.values(&f16s), &[1.5, -2.0, 0.099_975_586][..]);
        let bf16s: Vec<u8> = f32s.iter().flat_map(|x| bf16::from_f32(*x).to_le_bytes()).collect();
        assert_eq!(Float::Bf16.values(&bf16s), &[1.5, -2.0, 0.100_097_656][..]);
    }
}
