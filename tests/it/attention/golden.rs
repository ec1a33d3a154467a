//! Outputs of independent implementations (`tests/golden/heads`): the same numbers from ours.
#![allow(clippy::unwrap_used)] // a test that cannot go on fails

use std::path::{Path, PathBuf};

use luna::attention::{Attention, Input, Learned, Mask, Origin};
use luna::linalg::softmax::softmax_rows;
use ndarray::{Array2, Array3, Array4, ArrayD, Axis, Ix3, Ix4};
use safetensors::SafeTensors;

/// One file of arrays.
pub(crate) struct Golden(Vec<u8>);

impl Golden {
    /// `tests/golden/FOLDER/NAME.safetensors`.
    pub(crate) fn read(folder: &str, name: &str) -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let path: PathBuf = root.join(folder).join(format!("{name}.safetensors"));
        Self(std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// An f32 array.
    pub(crate) fn array(&self, name: &str) -> ArrayD<f32> {
        let file = SafeTensors::deserialize(&self.0).expect("safetensors");
        let tensor = file.tensor(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let numbers = tensor.data().as_chunks().0.iter().map(|four| f32::from_le_bytes(*four)).collect();
        ArrayD::from_shape_vec(tensor.shape(), numbers).expect("as many numbers as the shape says")
    }

    /// Whether there is such an array.
    pub(crate) fn has(&self, name: &str) -> bool {
        SafeTensors::deserialize(&self.0).expect("safetensors").tensor(name).is_ok()
    }

    /// An array (a, b).
    pub(crate) fn matrix(&self, name: &str) -> Array2<f32> {
        self.array(name).into_dimensionality().expect("two axes")
    }

    /// An array (a, b, c).
    pub(crate) fn three(&self, name: &str) -> Array3<f32> {
        self.array(name).into_dimensionality::<Ix3>().expect("three axes")
    }

    /// An array (1, h, n, `d_h`) without its first axis.
    pub(super) fn heads(&self, name: &str) -> Array3<f32> {
        let four: Array4<f32> = self.array(name).into_dimensionality::<Ix4>().expect("four axes");
        four.index_axis_move(Axis(0), 0)
    }
}

impl From<Vec<u8>> for Golden {
    fn from(file: Vec<u8>) -> Self {
        Self(file)
    }
}

/// The largest distance between two arrays.
pub(crate) fn furthest<D: ndarray::Dimension>(
    a: &ndarray::ArrayRef<f32, D>,
    b: &ndarray::ArrayRef<f32, D>,
) -> f32 {
    assert_eq!(a.shape(), b.shape());
    a.iter().zip(b).fold(0.0, |far, (a, b)| if (a - b).abs() <= far { far } else { (a - b).abs() })
}

/// Checks one file against one mechanism, by its forward form and by its matrix.
fn agrees(file: &str, out: &str, spec: &str, mask: Mask, learned: &Learned, bound: f32) {
    let golden = Golden::read("heads", file);
    let (q, k, v) = (golden.heads("q"), golden.heads("k"), golden.heads("v"));
    let expected = golden.heads(out);
    let origin = Origin { seed: 0, label: "golden", learned: Some(learned) };
    let attention = Attention::build(&spec.parse().unwrap(), &origin).unwrap();
    for head in 0..q.len_of(Axis(0)) {
        let at = |x: &Array3<f32>| x.index_axis(Axis(0), head).to_owned();
        let (q, k, v, expected) = (at(&q), at(&k), at(&v), at(&expected));
        let input = Input::new(q.view(), k.view(), mask);
        let forward = attention.forward(&input, v.view()).unwrap();
        let matrix = attention.matrix(&input).unwrap().dot(&v);
        for (form, found) in [("forward", forward), ("matrix", matrix)] {
            let off = furthest(&found, &expected);
            assert!(off <= bound, "{file}, head {head}, {form} of {spec}: off by {off:e}");
        }
    }
}

#[test]
fn softmax_is_torch_s() {
    let nothing = Learned::default();
    agrees("softmax", "out", "softmax", Mask::Full, &nothing, 2e-6);
    agrees("softmax", "out_causal", "softmax", Mask::Causal, &nothing, 2e-6);
}

#[test]
fn local_is_longformer_s_window() {
    let nothing = Learned::default();
    agrees("local_window16", "out", "local:l=16", Mask::Full, &nothing, 2e-6);
    agrees("local_window16", "out", "longformer:l=16,global=0", Mask::Full, &nothing, 2e-6);
}

// Bounds are about twice what was measured.

#[test]
fn linear_is_torch_s() {
    let nothing = Learned::default();
    agrees("linear_elu", "out", "linear", Mask::Full, &nothing, 3e-7); // 1.2e-7
    agrees("linear_elu", "out_causal", "linear", Mask::Causal, &nothing, 1.5e-6); // 7.2e-7
}

/// By the paper's equation in `NumPy` (`tests/golden/heads/cosformer.py`).
#[test]
fn cosformer_is_numpy_s() {
    let nothing = Learned::default();
    agrees("cosformer", "out", "cosformer", Mask::Full, &nothing, 1e-5);
    agrees("cosformer", "out_causal", "cosformer:max=32", Mask::Causal, &nothing, 1e-5);
}

#[test]
fn linformer_is_torch_s() {
    let golden = Golden::read("heads", "linformer_k12");
    let learned = Learned(["e", "f"].map(|piece| (piece, golden.matrix(piece))).into());
    agrees("linformer_k12", "out", "linformer:e=fitted,shared=false", Mask::Full, &learned, 8e-6); // 4.3e-6
}

#[test]
fn performer_is_performer_pytorch_s() {
    let golden = Golden::read("heads", "performer_favor_m48");
    let learned = Learned([("features", golden.matrix("projection"))].into());
    agrees("performer_favor_m48", "out", "performer:features=fitted", Mask::Full, &learned, 1.5e-6); // 7.2e-7
}

/// Hugging Face starts every head's pseudo-inverse from the largest column sum over all heads, ours from the head's own:
/// a plain form with either start shows that this is the only difference.
#[test]
fn nystrom_is_hugging_face_s_up_to_its_start() {
    let golden = Golden::read("heads", "nystrom_m8");
    let [q, k, v, expected] = ["q", "k", "v", "out"].map(|name| golden.heads(name));
    let origin = Origin { seed: 0, label: "golden", learned: None };
    let attention = Attention::build(&"nystrom:l=8".parse().unwrap(), &origin).unwrap();
    let heads: Vec<_> = (0..q.len_of(Axis(0))).collect();
    let at = |x: &Array3<f32>, head| x.index_axis(Axis(0), head).to_owned();
    let landmarks = |x: Array2<f32>| x.to_shape((8, 8, 16)).unwrap().mean_axis(Axis(1)).unwrap();
    let softmax = |q: &Array2<f32>, k: &Array2<f32>| {
        let mut a = q.dot(&k.t()) / 4.0;
        softmax_rows(a.view_mut());
        a
    };
    let between = |head| softmax(&landmarks(at(&q, head)), &landmarks(at(&k, head)));
    let largest = |head: &usize| between(*head).sum_axis(Axis(0)).into_iter().fold(0.0, f32::max);
    let over_all = heads.iter().map(largest).fold(0.0, f32::max);
    for head in heads {
        let plain = |start: f32| {
            let (a, eye) = (between(head), Array2::<f32>::eye(8));
            let mut z = a.t().to_owned() / start;
            for _ in 0..6 {
                let az = a.dot(&z);
                let inner = 15.0 * &eye - az.dot(&(7.0 * &eye - &az));
                z = 0.25 * z.dot(&(13.0 * &eye - az.dot(&inner)));
            }
            let to = softmax(&at(&q, head), &landmarks(at(&k, head)));
            to.dot(&z).dot(&softmax(&landmarks(at(&q, head)), &at(&k, head)).dot(&at(&v, head)))
        };
        let off = furthest(&plain(over_all), &at(&expected, head));
        assert!(off < 2e-6, "head {head}, plain form from the start over all heads: off by {off:e}");
        let (q, k, v) = (at(&q, head), at(&k, head), at(&v, head));
        let ours = attention.forward(&Input::new(q.view(), k.view(), Mask::Full), v.view()).unwrap();
        let off = furthest(&plain(largest(&head)), &ours);
        assert!(off < 2e-6, "head {head}, plain form from its own start and ours: off by {off:e}");
        let off = furthest(&ours, &at(&expected, head));
        assert!(off < 4e-3, "head {head}, Hugging Face and ours: off by {off:e}"); // 3.7e-7, 5.2e-4 and 2.9e-3
    }
}
