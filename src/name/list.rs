//! Comma lists and ranges: one flag, one value, so that the last one typed stands.
//!
//! clap appends the values of a repeated list flag instead of overriding them; a file of settings could then never
//! be overruled from the keyboard. A list is therefore one value to clap, and taken apart here.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use crate::error::{Error, Result};

/// What can stand between the commas of a [`List`] or be the value of a parameter.
pub trait Item: Sized {
    /// Reads one value; `what` names the flag, item or parameter that an error should blame.
    fn read(what: &str, text: &str) -> Result<Self>;
}

macro_rules! whole_number {
    ($($number:ty),*) => {$(
        impl Item for $number {
            fn read(what: &str, text: &str) -> Result<Self> {
                text.parse().map_err(|_| Error::value(what, text, "a whole number"))
            }
        }
    )*};
}
whole_number!(u32, u64, usize);

impl Item for f64 {
    fn read(what: &str, text: &str) -> Result<Self> {
        match text.parse::<Self>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(Error::value(what, text, "a finite number")),
        }
    }
}

impl Item for bool {
    fn read(what: &str, text: &str) -> Result<Self> {
        text.parse().map_err(|_| Error::value(what, text, "true or false"))
    }
}

impl Item for String {
    fn read(what: &str, text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::value(what, text, "a name"));
        }
        Ok(text.to_string())
    }
}

/// A comma list, never empty, without doubles, in the order typed: `16,32,64`.
#[derive(Clone, Debug, PartialEq)]
pub struct List<T>(Vec<T>);

impl<T: PartialEq> List<T> {
    /// The list of these items, doubles left out; `None` if there are none.
    pub fn new(items: impl IntoIterator<Item = T>) -> Option<Self> {
        let mut kept = Vec::new();
        for item in items {
            if !kept.contains(&item) {
                kept.push(item);
            }
        }
        (!kept.is_empty()).then_some(Self(kept))
    }
}

impl<T: Item + PartialEq> FromStr for List<T> {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let items = text
            .split(',')
            .enumerate()
            .map(|(i, item)| T::read(&format!("item {}", i + 1), item.trim()))
            .collect::<Result<Vec<T>>>()?;
        Self::new(items).ok_or_else(|| Error::value("list", text, "at least one item"))
    }
}

impl<T> Deref for List<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T: fmt::Display> fmt::Display for List<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, item) in self.0.iter().enumerate() {
            write!(f, "{}{item}", if i == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

/// Chosen indices, counted from 0, single or as ranges with both ends: `0-3,7`.
///
/// Kept as ranges until the count is known, so that `0-99999999999` costs nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Indices(Vec<(usize, usize)>);

impl Indices {
    /// The chosen ones of `count` things, each once, in the order typed.
    ///
    /// An index beyond the last one is an error that names `what` ("--heads").
    pub fn select(&self, what: &str, count: usize) -> Result<Vec<usize>> {
        let mut chosen = Vec::new();
        for &(first, last) in &self.0 {
            if last >= count {
                let accepted = match count {
                    0 => "nothing, as there are none".to_string(),
                    _ => format!("indices from 0 to {}", count - 1),
                };
                return Err(Error::value(what, last, accepted));
            }
            for index in first..=last {
                if !chosen.contains(&index) {
                    chosen.push(index);
                }
            }
        }
        Ok(chosen)
    }
}

impl FromStr for Indices {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let refused = |item: &str| Error::value("indices", item, "indices and ranges such as 0-3,7");
        let index = |text: &str| text.trim().parse::<usize>().ok();
        let mut ranges = Vec::new();
        for item in text.split(',') {
            let (first, last) = item.split_once('-').unwrap_or((item, item));
            match (index(first), index(last)) {
                (Some(first), Some(last)) if first <= last => ranges.push((first, last)),
                _ => return Err(refused(item.trim())),
            }
        }
        Ok(Self(ranges))
    }
}

impl fmt::Display for Indices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.0.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { "," })?;
            if first == last { write!(f, "{first}")? } else { write!(f, "{first}-{last}")? }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refusal<T: FromStr<Err = Error>>(text: &str) -> String {
        text.parse::<T>().err().expect("refused").to_string()
    }

    #[test]
    fn lists_keep_order_and_drop_doubles() {
        let list: List<usize> = "64, 16,64,32".parse().unwrap();
        assert_eq!(*list, [64, 16, 32]);
        assert_eq!(list.to_string(), "64,16,32");
    }

    #[test]
    fn a_bad_item_is_named() {
        assert_eq!(refusal::<List<usize>>("16,x"), "item 2: 'x' is not accepted; accepted: a whole number");
        assert_eq!(
            refusal::<List<f64>>("0.5,nan"),
            "item 2: 'nan' is not accepted; accepted: a finite number"
        );
        assert_eq!(refusal::<List<String>>(""), "item 1: '' is not accepted; accepted: a name");
        assert!(refusal::<List<usize>>("16,").starts_with("item 2: ''"));
        assert_eq!(List::<usize>::new([]), None);
    }

    #[test]
    fn ranges_have_both_ends() {
        let indices: Indices = "2-4, 0,3".parse().unwrap();
        assert_eq!(indices.select("--heads", 12).unwrap(), [2, 3, 4, 0]);
        let error = indices.select("--heads", 4).unwrap_err();
        assert_eq!(error.to_string(), "--heads: '4' is not accepted; accepted: indices from 0 to 3");
    }

    #[test]
    fn ranges_that_are_none_are_refused() {
        for text in ["", "3-1", "-1", "1-", "a", "0-3-5", "99999999999999999999", "1,,2"] {
            assert!(text.parse::<Indices>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_huge_range_costs_nothing() {
        let indices: Indices = "0-18446744073709551615".parse().unwrap();
        assert!(indices.select("--layers", 6).is_err());
        assert!(indices.select("--layers", 0).is_err());
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(ranges in prop::collection::vec((0usize..50, 0usize..9), 1..6)) {
            let indices = Indices(ranges.into_iter().map(|(a, more)| (a, a + more)).collect());
            prop_assert_eq!(indices.to_string().parse::<Indices>().unwrap(), indices);
        }

        #[test]
        fn no_text_panics(text in "\\PC*") {
            let _ = text.parse::<Indices>().map(|indices| indices.select("--heads", 12));
            let _ = text.parse::<List<f64>>();
        }
    }
}
