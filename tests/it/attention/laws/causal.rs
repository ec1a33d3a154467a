//! Under the causal mask nothing looks ahead.

use luna::attention::{Mask, Under};
use ndarray::s;

use super::walk;

#[test]
fn a_token_changes_no_output_before_it() {
    walk(|attention, given| {
        if given.mask != Mask::Causal || attention.kind().causal != Under::Honoured {
            return;
        }
        let before = given.forward(attention);
        let (n, m) = (given.q.nrows(), given.k.nrows());
        for j in [1, 2, n / 2, n.max(m) - 1] {
            let mut changed = given.clone();
            for x in [&mut changed.q, &mut changed.k, &mut changed.v] {
                if j < x.nrows() {
                    x.row_mut(j).mapv_inplace(|x| 3.0 - 2.0 * x);
                }
            }
            let after = changed.forward(attention);
            let kept = j.min(n);
            assert_eq!(
                before.slice(s![..kept, ..]),
                after.slice(s![..kept, ..]),
                "{attention:?}, {:?}: token {j}",
                given.shape()
            );
        }
    });
}

#[test]
fn above_the_diagonal_stand_zeros() {
    walk(|attention, given| {
        if given.mask != Mask::Causal || attention.kind().causal != Under::Honoured {
            return;
        }
        for ((i, j), x) in given.matrix(attention).indexed_iter() {
            assert!(j <= i || *x == 0.0, "{attention:?}, {:?}: {x} at ({i}, {j})", given.shape());
        }
    });
}
