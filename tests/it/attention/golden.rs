//! Outputs of independent implementations (`tests/golden/heads`): the same numbers from ours.

use std::path::{Path, PathBuf};

use luna::attention::{Attention, Input, Learned, Mask, Origin};
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
    fn heads(&self, name: &str) -> Array3<f32> {
        let four: Array4<f32> = self.array(name).into_dimensionality::<Ix4>().expect("four axes");
        four.index_axis_move(Axis(0), 0)
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
