//! Floating-point numbers in records, bit for bit: `#[serde(with = "crate::sweep::bits")]`.
//!
//! JSON has no NaN, and decimal digits take more room than the bits: a number is its bits in hexadecimal digits, a list
//! of numbers is one text of them.

use std::fmt::Write;

use ndarray::Array2;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that is recorded bit for bit.
pub trait Bits: Sized {
    /// What stands in the record.
    type Text: Serialize + DeserializeOwned;

    /// The value as it is recorded.
    fn text(&self) -> Self::Text;

    /// The value of a record; none of one that is damaged.
    fn read(text: &Self::Text) -> Option<Self>;
}

/// Writes a value.
pub fn serialize<T: Bits, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    value.text().serialize(serializer)
}

/// Reads a value.
pub fn deserialize<'de, T: Bits, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    T::read(&T::Text::deserialize(deserializer)?).ok_or_else(|| D::Error::custom("not the bits of a number"))
}

impl Bits for f64 {
    type Text = String;

    fn text(&self) -> String {
        format!("{:016x}", self.to_bits())
    }

    fn read(text: &String) -> Option<Self> {
        (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok().map(Self::from_bits))?
    }
}

impl Bits for Vec<f64> {
    type Text = String;

    fn text(&self) -> String {
        let mut text = String::with_capacity(16 * self.len());
        for x in self {
            let _ = write!(text, "{:016x}", x.to_bits());
        }
        text
    }

    fn read(text: &String) -> Option<Self> {
        digits(text, 16)?.map(|digits| u64::from_str_radix(digits, 16).ok().map(f64::from_bits)).collect()
    }
}

/// A value, or nothing where a figure does not exist.
impl<T: Bits> Bits for Option<T> {
    type Text = Option<T::Text>;

    fn text(&self) -> Self::Text {
        self.as_ref().map(Bits::text)
    }

    fn read(text: &Self::Text) -> Option<Self> {
        text.as_ref().map_or(Some(None), |text| T::read(text).map(Some))
    }
}

impl Bits for Vec<Option<f64>> {
    type Text = Vec<Option<String>>;

    fn text(&self) -> Self::Text {
        self.iter().map(Bits::text).collect()
    }

    fn read(text: &Self::Text) -> Option<Self> {
        text.iter().map(Bits::read).collect()
    }
}

impl Bits for Vec<Vec<f64>> {
    type Text = Vec<String>;

    fn text(&self) -> Vec<String> {
        self.iter().map(Bits::text).collect()
    }

    fn read(text: &Vec<String>) -> Option<Self> {
        text.iter().map(Bits::read).collect()
    }
}

/// Rows, columns, and the numbers row by row.
impl Bits for Array2<f32> {
    type Text = (usize, usize, String);

    fn text(&self) -> Self::Text {
        let mut text = String::with_capacity(8 * self.len());
        for x in self {
            let _ = write!(text, "{:08x}", x.to_bits());
        }
        (self.nrows(), self.ncols(), text)
    }

    fn read((rows, columns, text): &Self::Text) -> Option<Self> {
        let numbers = digits(text, 8)?.map(|digits| u32::from_str_radix(digits, 16).ok().map(f32::from_bits));
        Self::from_shape_vec((*rows, *columns), numbers.collect::<Option<Vec<f32>>>()?).ok()
    }
}

/// Parts of so many digits; none if the last is shorter.
fn digits(text: &str, each: usize) -> Option<impl Iterator<Item = &str>> {
    let whole = text.is_ascii() && text.len().is_multiple_of(each);
    whole.then(|| (0..text.len() / each).map(move |at| &text[at * each..][..each]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Record {
        #[serde(with = "super")]
        one: f64,
        #[serde(with = "super")]
        list: Vec<f64>,
        #[serde(with = "super")]
        some: Vec<Option<f64>>,
        #[serde(with = "super")]
        rows: Vec<Vec<f64>>,
        #[serde(with = "super")]
        array: Array2<f32>,
    }

    #[test]
    fn every_number_comes_back_bit_for_bit() {
        let numbers = [0.0, -0.0, 0.1, 1.0 / 3.0, f64::MIN_POSITIVE / 3.0, f64::MAX, f64::INFINITY, f64::NAN];
        for one in numbers {
            let record = Record {
                one,
                list: numbers.to_vec(),
                some: vec![Some(one), None],
                rows: vec![vec![one], vec![]],
                array: ndarray::array![[0.1, f32::NAN], [-0.0, 3.5]],
            };
            let read: Record = serde_json::from_str(&serde_json::to_string(&record).unwrap()).unwrap();
            let bits = |list: &[f64]| list.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(read.one.to_bits(), one.to_bits());
            assert_eq!(bits(&read.list), bits(&numbers));
            assert_eq!(read.some[0].map(f64::to_bits), Some(one.to_bits()));
            assert_eq!((read.some[1], read.rows[1].len(), bits(&read.rows[0])), (None, 0, bits(&[one])));
            assert_eq!(read.array.mapv(f32::to_bits), record.array.mapv(f32::to_bits));
        }
    }

    #[test]
    fn what_is_damaged_is_no_number() {
        for text in ["", "3ff", "3ff000000000000g", "3ff00000000000é"] {
            assert_eq!(f64::read(&text.to_string()), None, "{text}");
        }
        assert_eq!(Vec::<f64>::read(&"3ff0000000000000ab".to_string()), None);
        assert_eq!(Array2::<f32>::read(&(2, 2, "00000000".to_string())), None);
    }
}
