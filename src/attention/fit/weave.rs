//! Fresh windows from given ones, so that a fit does not learn a few windows by heart.

use ndarray::Array2;

use super::window::Window;
use crate::rng::{Rng, below};

/// `count` windows in which each position has its query, key and value from one of the given windows, drawn for it;
/// what softmax attention makes of the mixture is computed anew.
///
/// A token keeps its position, so that what a head does with positions stays. `None` where nothing can be woven: fewer
/// than two windows, unlike shapes or scales, or queries that are not of the same tokens as the keys.
pub(super) fn weave(windows: &[Window], count: usize, rng: &mut Rng) -> Option<Vec<Window>> {
    let first = windows.first()?;
    let n = first.q.nrows();
    let alike = |window: &Window| {
        window.q.dim() == first.q.dim()
            && window.kv().dim() == first.kv().dim()
            && window.scale == first.scale
    };
    if count == 0 || windows.len() < 2 || first.kv().nrows() != n || !windows.iter().all(alike) {
        return None;
    }
    let mut one = || {
        let owner: Vec<usize> = (0..n).map(|_| below(rng, windows.len())).collect();
        let pick =
            |of: &dyn Fn(usize, usize) -> f32, width| Array2::from_shape_fn((n, width), |(i, j)| of(i, j));
        let q = pick(&|i, j| windows[owner[i]].q[[i, j]], first.q.ncols());
        let kv = pick(&|i, j| windows[owner[i]].kv()[[i, j]], first.kv().ncols());
        Window::new(q, kv, first.scale)
    };
    Some((0..count).map(|_| one()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::stream;
    use ndarray::Array2;

    fn constant(value: f32, n: usize, scale: f32) -> Window {
        Window::new(Array2::from_elem((n, 2), value), Array2::from_elem((n, 5), 10.0 + value), scale)
    }

    #[test]
    fn tokens_stay_whole_and_come_from_every_window() {
        let windows = [constant(1.0, 64, 0.5), constant(2.0, 64, 0.5)];
        let woven = weave(&windows, 3, &mut stream(0, "weave")).unwrap();
        assert_eq!(woven.len(), 3);
        for window in &woven {
            let owner = window.q.column(0).to_owned();
            for (i, owner) in owner.iter().enumerate() {
                assert!(window.q.row(i).iter().all(|x| x == owner));
                assert!(window.kv().row(i).iter().all(|x| *x == 10.0 + owner));
            }
            let ones = owner.iter().filter(|x| **x == 1.0).count();
            assert!((12..=52).contains(&ones), "5 standard deviations about 32: {ones}");
        }
        assert_ne!(woven[0].q, woven[1].q);
    }

    #[test]
    fn what_is_unlike_is_not_woven() {
        let rng = &mut stream(0, "weave");
        let one = || constant(1.0, 8, 0.5);
        assert!(weave(&[], 3, rng).is_none());
        assert!(weave(&[one()], 3, rng).is_none());
        assert!(weave(&[one(), one()], 0, rng).is_none());
        assert!(weave(&[one(), constant(1.0, 9, 0.5)], 3, rng).is_none());
        assert!(weave(&[one(), constant(1.0, 8, 0.6)], 3, rng).is_none());
        let cross = || Window::new(Array2::zeros((8, 2)), Array2::zeros((9, 4)), 0.5);
        assert!(weave(&[cross(), cross()], 3, rng).is_none());
    }
}
