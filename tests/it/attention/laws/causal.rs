//! Under the causal mask nothing looks ahead.

use std::collections::BTreeSet;

use luna::attention::{ALL, Mask, Under};
use ndarray::s;

use super::walk;

/// Every mechanism that honours the mask: what the laws below have to have met.
fn causal() -> BTreeSet<&'static str> {
    ALL.iter().filter(|kind| kind.causal == Under::Honoured).map(|kind| kind.name).collect()
}

#[test]
fn a_token_changes_no_output_before_it() {
    let mut seen = BTreeSet::new();
    walk(|attention, given| {
        if given.mask != Mask::Causal || attention.kind().causal != Under::Honoured {
            return;
        }
        seen.insert(attention.kind().name);
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
    assert_eq!(seen, causal());
}

#[test]
fn above_the_diagonal_stand_zeros() {
    let mut seen = BTreeSet::new();
    walk(|attention, given| {
        if given.mask != Mask::Causal || attention.kind().causal != Under::Honoured {
            return;
        }
        seen.insert(attention.kind().name);
        for ((i, j), x) in given.matrix(attention).indexed_iter() {
            assert!(j <= i || *x == 0.0, "{attention:?}, {:?}: {x} at ({i}, {j})", given.shape());
        }
    });
    assert_eq!(seen, causal());
}
