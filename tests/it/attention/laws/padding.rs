//! Padding has no influence, whatever stands in it.

use luna::attention::Input;
use ndarray::Axis;
use ndarray::{Array2, concatenate, s};

use super::{Given, walk};

/// Rows of garbage below those of `x`.
fn padded(x: &Array2<f32>, rows: usize, garbage: f32) -> Array2<f32> {
    let below = Array2::from_elem((rows, x.ncols()), garbage);
    concatenate(Axis(0), &[x.view(), below.view()]).expect("one width")
}

#[test]
fn garbage_in_padding_changes_no_bit() {
    walk(|attention, given| {
        let (n, m) = (given.q.nrows(), given.k.nrows());
        let (out, a) = (given.forward(attention), given.matrix(attention));
        for (rows, garbage) in [(1, 1e4), (3, f32::NAN)] {
            let longer = Given {
                q: padded(&given.q, rows, garbage),
                k: padded(&given.k, rows, garbage),
                v: padded(&given.v, rows, garbage),
                mask: given.mask,
            };
            let input = Input { real: (n, m), ..longer.input() };
            let padded_out = attention.forward(&input, longer.v.view()).unwrap();
            let padded_a = attention.matrix(&input).unwrap();
            let at = || format!("{attention:?}, {:?}, {rows} rows of {garbage}", given.shape());
            assert_eq!(padded_out.dim(), (n + rows, given.v.ncols()), "{}", at());
            assert_eq!(padded_a.dim(), (n + rows, m + rows), "{}", at());
            assert_eq!(padded_out.slice(s![..n, ..]), out, "{}", at());
            assert_eq!(padded_a.slice(s![..n, ..m]), a, "{}", at());
            for zeros in
                [padded_out.slice(s![n.., ..]), padded_a.slice(s![n.., ..]), padded_a.slice(s![.., m..])]
            {
                assert!(zeros.iter().all(|x| *x == 0.0), "{}", at());
            }
        }
    });
}
