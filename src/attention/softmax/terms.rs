//! Exact attention under everything that an input can carry: window, softcap, bias, sink.

use ndarray::{Array1, Array2, ArrayView2, Axis, s};

use crate::attention::input::Input;
use crate::attention::reference::work::Work;
use crate::cost::Cost;
use crate::linalg::gemm::{Threads, product};

/// The attention matrix (n, m) in f64 from the logits on. With a sink, rows sum to less than 1; rows that see no key are
/// zeros.
pub(super) fn matrix_f64(input: &Input<'_>) -> Array2<f64> {
    let [q, k] = [input.q, input.k].map(|x| x.mapv(f64::from));
    let mut a = product(q.view(), k.t(), Threads::One) * f64::from(input.scale);
    for (i, mut row) in a.rows_mut().into_iter().enumerate() {
        weigh(input, i, row.as_slice_mut().expect("rows of a new array are contiguous"));
    }
    a
}

/// Logits of query i before softcap and bias become its weights.
pub(in crate::attention) fn weigh(input: &Input<'_>, i: usize, row: &mut [f64]) {
    let seen = input.sees(i);
    let sink = input.terms.sink.map(f64::from);
    let n = input.q.nrows();
    for j in seen.clone() {
        row[j] = input.terms.logit((i, j), n, row[j]);
    }
    let max = row[seen.clone()].iter().fold(sink.unwrap_or(f64::NEG_INFINITY), |max, x| max.max(*x));
    for (j, x) in row.iter_mut().enumerate() {
        *x = if seen.contains(&j) { (*x - max).exp() } else { 0.0 };
    }
    let sum = row.iter().sum::<f64>() + sink.map_or(0.0, |sink| (sink - max).exp());
    if sum > 0.0 {
        for x in row {
            *x /= sum;
        }
    }
}

/// The output (n, `d_v`), row by row; operations are those of the keys that each query sees.
pub(super) fn forward(input: &Input<'_>, v: ArrayView2<'_, f32>, work: &mut Work) -> Array2<f32> {
    let mut out = Array2::zeros((input.q.nrows(), v.ncols()));
    for (i, mut to) in out.rows_mut().into_iter().enumerate() {
        let seen = input.sees(i);
        if seen.is_empty() {
            continue;
        }
        let k = input.k.slice(s![seen.clone(), ..]);
        let logits = work.scaled(input.q.row(i).insert_axis(Axis(0)), k.t(), input.scale);
        let mut row = vec![0.0; input.k.nrows()];
        for (to, logit) in row[seen.clone()].iter_mut().zip(&logits) {
            *to = f64::from(*logit);
        }
        weigh(input, i, &mut row);
        work.count(Cost::softmax(1, seen.len()));
        let weights: Array1<f32> = row[seen.clone()].iter().map(|x| *x as f32).collect();
        to.assign(&work.product(weights.insert_axis(Axis(0)).view(), v.slice(s![seen, ..])).row(0));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::{Attention, Bias, Mask, Origin, Term, Terms, Window};
    use crate::rng::{normal, stream};

    /// The definition, pair by pair.
    fn brute(
        input: &Input<'_>,
        bias: impl Fn(usize, usize) -> f64,
        sees: impl Fn(usize, usize) -> bool,
    ) -> Array2<f64> {
        let (n, m) = (input.q.nrows(), input.k.nrows());
        let mut a = Array2::zeros((n, m));
        for i in 0..n {
            let logit = |j: usize| {
                let x: f64 = (0..input.q.ncols())
                    .map(|c| f64::from(input.q[[i, c]] * 1.0) * f64::from(input.k[[j, c]]))
                    .sum();
                let x = x * f64::from(input.scale);
                let x = input.terms.softcap.map_or(x, |c| f64::from(c) * (x / f64::from(c)).tanh());
                (x + bias(i, j)).exp()
            };
            let weights: Vec<f64> = (0..m).map(|j| if sees(i, j) { logit(j) } else { 0.0 }).collect();
            let sum =
                weights.iter().sum::<f64>() + input.terms.sink.map_or(0.0, |sink| f64::from(sink).exp());
            for (j, weight) in weights.iter().enumerate() {
                a[[i, j]] = if sum > 0.0 { weight / sum } else { 0.0 };
            }
        }
        a
    }

    #[test]
    fn every_term_is_its_definition() {
        let mut rng = stream(1, "terms");
        let (n, m) = (9, 12);
        let [q, k, v] = [(n, 4), (m, 4), (m, 3)].map(|(rows, columns)| normal(&mut rng, rows, columns) * 2.0);
        let pairs = normal(&mut rng, n, m);
        let distances: Array1<f32> = normal(&mut rng, 1, n + m - 1).row(0).to_owned();
        let window = Window { back: 2, ahead: 1 };
        let origin = Origin { seed: 0, label: "test", learned: None };
        let softmax = Attention::build(&"softmax".parse().unwrap(), &origin).unwrap();
        for mask in [Mask::Full, Mask::Causal] {
            for bits in 0..16_usize {
                for by_distance in [false, true] {
                    let bias = if by_distance {
                        Bias::Distances(distances.view())
                    } else {
                        Bias::Pairs(pairs.view())
                    };
                    let has = |bit: usize| bits >> bit & 1 == 1;
                    let terms = Terms {
                        softcap: has(0).then_some(1.5),
                        bias: has(1).then_some(bias),
                        window: has(2).then_some(window),
                        sink: has(3).then_some(0.3),
                    };
                    let input = Input { terms, ..Input::new(q.view(), k.view(), mask) };
                    let expected = brute(
                        &input,
                        |i, j| match (has(1), by_distance) {
                            (false, _) => 0.0,
                            (_, false) => f64::from(pairs[[i, j]]),
                            (_, true) => f64::from(distances[n - 1 + j - i]),
                        },
                        |i, j| j < mask.visible(i, m) && (!has(2) || j + 2 >= i && j <= i + 1),
                    );
                    let off = (softmax.matrix(&input).unwrap().mapv(f64::from) - &expected).mapv(f64::abs);
                    assert!(off.iter().all(|off| *off < 1e-6), "{mask:?} {terms:?}");
                    let off = softmax.forward(&input, v.view()).unwrap().mapv(f64::from)
                        - expected.dot(&v.mapv(f64::from));
                    assert!(off.iter().all(|off| off.abs() < 1e-5), "{mask:?} {terms:?}");
                    let padded = Input { real: (7, 8), ..input };
                    let within = softmax.matrix(&padded).unwrap();
                    let cut = Input {
                        terms: terms.first((n, m), (7, 8)),
                        ..Input::new(q.slice(s![..7, ..]), k.slice(s![..8, ..]), mask)
                    };
                    assert_eq!(within.slice(s![..7, ..8]), softmax.matrix(&cut).unwrap());
                }
            }
        }
    }

    #[test]
    fn what_a_mechanism_does_not_honour_is_refused_by_both_names() {
        let x = Array2::ones((5, 4));
        let origin = Origin { seed: 0, label: "test", learned: None };
        let terms = Terms { softcap: Some(30.0), ..Terms::default() };
        let input = Input { terms, ..Input::new(x.view(), x.view(), Mask::Full) };
        for kind in crate::attention::ALL.iter().filter(|kind| kind.full == crate::attention::Under::Honoured)
        {
            let attention = Attention::build(&kind.name.parse().unwrap(), &origin).unwrap();
            let found = attention.forward(&input, x.view());
            assert_eq!(found.is_ok(), kind.terms.contains(&Term::Softcap), "{kind:?}");
            if let Err(error) = found {
                let said = format!("{} has no logit softcap; this input has a logit softcap", kind.name);
                assert_eq!(error.to_string(), said);
            }
        }
    }
}
