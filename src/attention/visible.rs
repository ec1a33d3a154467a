//! Which keys each query sees, where it is more than the masks that mechanisms have a form for: that of a sliding layer, and
//! that of a matrix that was computed elsewhere.

use std::iter::once;
use std::ops::Range;
use std::sync::Arc;

use super::{Mask, Window};

/// The visible keys of every query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Visible {
    /// As a mask says.
    Mask(Mask),
    /// As a mask says, within a window.
    Window(Mask, Window),
    /// Row by row.
    Rows(Arc<Rows>),
}

/// Ranges of visible keys, row by row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rows {
    /// Where the ranges of each row end.
    ends: Vec<usize>,
    ranges: Vec<(u32, u32)>,
}

impl From<Mask> for Visible {
    fn from(mask: Mask) -> Self {
        Self::Mask(mask)
    }
}

impl Visible {
    /// What a mask leaves within a window, if there is one.
    pub fn within(mask: Mask, window: Option<Window>) -> Self {
        window.map_or(Self::Mask(mask), |window| Self::Window(mask, window))
    }

    /// Of n queries and m keys, where `sees(i, j)`.
    pub fn where_seen(n: usize, m: usize, sees: impl Fn(usize, usize) -> bool) -> Self {
        let mut rows = Rows::default();
        for i in 0..n {
            let mut j = 0;
            while j < m {
                let first = j;
                while j < m && sees(i, j) {
                    j += 1;
                }
                if j > first {
                    rows.ranges.push((first as u32, j as u32));
                }
                j += 1;
            }
            rows.ends.push(rows.ranges.len());
        }
        Self::Rows(Arc::new(rows))
    }

    /// The keys that query `i` sees out of `m`, as ranges in ascending order.
    pub fn row(&self, i: usize, m: usize) -> impl Iterator<Item = Range<usize>> + '_ {
        let (whole, parts): (_, &[(u32, u32)]) = match self {
            Self::Mask(mask) => (Some(0..mask.visible(i, m)), &[]),
            Self::Window(mask, window) => (Some(window.keys(i, mask.visible(i, m))), &[]),
            Self::Rows(rows) => {
                let end = rows.ends.get(i).copied().unwrap_or(0);
                let start = i.checked_sub(1).map_or(0, |before| rows.ends[before]).min(end);
                (None, &rows.ranges[start..end])
            }
        };
        let parts = parts.iter().map(|(first, end)| *first as usize..*end as usize);
        whole.into_iter().chain(parts).filter(|range| !range.is_empty())
    }

    /// How many pairs of a query and a key it sees are among n and m.
    pub fn count(&self, n: usize, m: usize) -> usize {
        (0..n).flat_map(|i| self.row(i, m)).map(|range| range.len()).sum()
    }

    /// The keys that query `i` does not see out of `m`, as ranges in ascending order.
    pub(crate) fn hidden(&self, i: usize, m: usize) -> impl Iterator<Item = Range<usize>> + '_ {
        let mut at = 0;
        self.row(i, m).chain(once(m..m)).filter_map(move |range| {
            let gap = at..range.start;
            at = range.end;
            (!gap.is_empty()).then_some(gap)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_masks_say_the_same() {
        let rows = Visible::where_seen(5, 4, |i, j| j <= i);
        let mask = Visible::from(Mask::Causal);
        for i in 0..5 {
            let of = |visible: &Visible| visible.row(i, 4).collect::<Vec<_>>();
            assert_eq!(of(&rows), of(&mask));
            let of = |visible: &Visible| visible.hidden(i, 4).collect::<Vec<_>>();
            assert_eq!(of(&rows), of(&mask));
        }
        assert_eq!((rows.count(5, 4), mask.count(5, 4)), (14, 14));
    }

    #[test]
    fn a_window_shows_what_the_mask_leaves_of_it() {
        let window = Window { back: 2, ahead: 1 };
        for mask in [Mask::Full, Mask::Causal] {
            let rows = Visible::where_seen(9, 6, |i, j| j < mask.visible(i, 6) && j + 2 >= i && j <= i + 1);
            let visible = Visible::within(mask, Some(window));
            for i in 0..9 {
                let of = |visible: &Visible| visible.row(i, 6).collect::<Vec<_>>();
                assert_eq!(of(&rows), of(&visible), "{mask:?} {i}");
            }
        }
        assert_eq!(Visible::within(Mask::Causal, None), Mask::Causal.into());
    }

    #[test]
    fn rows_hold_any_pattern() {
        let sees = |i: usize, j: usize| i != 1 && !(i + j).is_multiple_of(3);
        let visible = Visible::where_seen(4, 7, sees);
        for i in 0..4 {
            let seen: Vec<usize> = visible.row(i, 7).flatten().collect();
            let hidden: Vec<usize> = visible.hidden(i, 7).flatten().collect();
            assert_eq!(seen, (0..7).filter(|j| sees(i, *j)).collect::<Vec<_>>());
            assert_eq!(hidden, (0..7).filter(|j| !sees(i, *j)).collect::<Vec<_>>());
        }
    }
}
