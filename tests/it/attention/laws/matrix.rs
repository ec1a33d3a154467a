//! The matrix that a mechanism stands for: what it gives, what its rows sum to, its rank, and that it stays finite.

use std::collections::BTreeSet;

use luna::attention::{ALL, softmax};
use luna::linalg::engine::{Engine, singular_values};
use ndarray::Axis;

use super::walk;

#[test]
fn the_output_is_the_matrix_times_the_values() {
    walk(|attention, given| {
        let (forward, product) = (given.forward(attention), given.matrix(attention).dot(&given.v));
        let off = (&forward - &product).mapv(|x| x * x).sum().sqrt();
        let size = product.mapv(|x| x * x).sum().sqrt();
        assert!(off <= 1e-5 * size, "{attention:?}, {:?}: off by {off:e} of {size:e}", given.shape());
    });
}

#[test]
fn beside_the_exact_matrix_it_is_the_same() {
    walk(|attention, given| {
        let exact = softmax::matrix_of(&given.input());
        let beside = attention.matrix_beside(&given.input(), &exact).unwrap();
        let off = (&given.matrix(attention) - &beside).fold(0.0_f32, |off, x| off.max(x.abs()));
        assert!(off <= 1e-6, "{attention:?}, {:?}: off by {off:e}", given.shape());
    });
}

#[test]
fn rows_are_weights_that_sum_to_one() {
    let mut seen = BTreeSet::new();
    walk(|attention, given| {
        if !attention.is_stochastic() {
            return;
        }
        seen.insert(attention.kind().name);
        let a = given.matrix(attention);
        for (i, row) in a.axis_iter(Axis(0)).enumerate() {
            let at = || format!("{attention:?}, {:?}, row {i}: {row}", given.shape());
            assert!(row.iter().all(|x| *x >= 0.0), "{}", at());
            // A query behind the last key may see nothing.
            if i >= a.ncols() && row.iter().all(|x| *x == 0.0) {
                continue;
            }
            let sum: f64 = row.iter().map(|x| f64::from(*x)).sum();
            assert!((sum - 1.0).abs() <= 1e-5, "{}", at());
        }
    });
    let stochastic: BTreeSet<_> = ALL.iter().filter(|kind| kind.stochastic).map(|kind| kind.name).collect();
    assert_eq!(seen, stochastic);
}

#[test]
fn no_matrix_exceeds_its_rank() {
    walk(|attention, given| {
        let rank = attention.rank(&given.shape());
        let a = given.matrix(attention).mapv(f64::from);
        assert!(rank <= a.nrows().min(a.ncols()), "{attention:?}, {:?}: {rank}", given.shape());
        let sigma = singular_values(a.view(), Engine::Faer).unwrap();
        // Entries are rounded to f32 (6e-8 of each), and factors before them.
        let noise = 1e-5 * sigma[0];
        let found = sigma.iter().filter(|sigma| **sigma > noise).count();
        assert!(found <= rank, "{attention:?}, {:?}: rank {found}, {rank} promised", given.shape());
    });
}

#[test]
fn extreme_logits_and_equal_keys_stay_finite() {
    walk(|attention, given| {
        for size in [1.0, 1e4, -1e4] {
            for equal in [false, true] {
                let mut extreme = given.clone();
                extreme.q *= size;
                if equal {
                    let first = extreme.k.row(0).to_owned();
                    extreme.k.rows_mut().into_iter().for_each(|mut row| row.assign(&first));
                }
                for (form, found) in
                    [("forward", extreme.forward(attention)), ("matrix", extreme.matrix(attention))]
                {
                    let finite = found.iter().all(|x| x.is_finite());
                    let shape = given.shape();
                    assert!(finite, "{attention:?}, {shape:?}, queries times {size}, equal {equal}: {form}");
                }
            }
        }
    });
}
