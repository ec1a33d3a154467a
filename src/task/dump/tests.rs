use std::io::{Cursor, Write};
use std::path::Path;

use ndarray::{Array2, ArrayD, IxDyn, array};
use ndarray_npy::{NpzWriter, WriteNpyExt};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use ::safetensors::tensor::TensorView;
use ::safetensors::{Dtype, serialize};

use super::*;
use crate::error::Result;

const MEMORY: u64 = 1 << 30;

fn at() -> &'static Path {
    Path::new("a")
}

/// 0, 1, 2, ... in this shape.
fn counted(shape: &[usize]) -> ArrayD<f64> {
    let count = shape.iter().product::<usize>();
    ArrayD::from_shape_vec(IxDyn(shape), (0..count).map(|i| i as f64).collect()).unwrap()
}

fn last(dump: &Dump) -> Array2<f64> {
    let (layers, heads, _, _) = dump.shape();
    let matrix = dump.matrix("matrix", layers - 1, dump.samples() - 1, heads - 1).unwrap();
    let (matrix, rows) = match matrix {
        Matrix::F32(a) => (a.mapv(f64::from), a.is_standard_layout()),
        Matrix::F64(a) => (a.clone(), a.is_standard_layout()),
    };
    assert!(rows, "studies read row by row");
    matrix
}

/// An `.npy` file with this header and these bytes of numbers.
fn with_header(header: &str, numbers: &[u8]) -> Vec<u8> {
    let length = u16::try_from(header.len()).unwrap().to_le_bytes();
    [b"\x93NUMPY\x01\x00", &length[..], header.as_bytes(), numbers].concat()
}

fn header(descr: &str, shape: &str) -> String {
    format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n")
}

fn npz(name: &str, npy: &[u8]) -> Vec<u8> {
    let mut file = ZipWriter::new(Cursor::new(Vec::new()));
    file.start_file(name, SimpleFileOptions::default()).unwrap();
    file.write_all(npy).unwrap();
    file.finish().unwrap().into_inner()
}

fn said(found: Result<Dump>) -> String {
    found.unwrap_err().to_string()
}

/// Writes one number as the bytes of a type.
type Bytes<'a> = &'a dyn Fn(&f64) -> Vec<u8>;

const FORMATS: [(Dtype, &str, Bytes<'static>); 3] = [
    (Dtype::F16, "f2", &|x| half::f16::from_f64(*x).to_le_bytes().to_vec()),
    (Dtype::F32, "f4", &|x| (*x as f32).to_le_bytes().to_vec()),
    (Dtype::F64, "f8", &|x| x.to_le_bytes().to_vec()),
];

#[test]
fn arrays_of_two_to_five_dimensions_in_each_format() {
    for (shape, samples, four, end) in [
        (&[2, 3][..], 1, (1, 1, 2, 3), array![[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]]),
        (&[2, 1, 2], 1, (1, 2, 1, 2), array![[2.0, 3.0]]),
        (&[2, 2, 1, 1], 1, (2, 2, 1, 1), array![[3.0]]),
        // As torch.stack(outputs.attentions) makes it.
        (&[2, 1, 2, 1, 2], 1, (2, 2, 1, 2), array![[6.0, 7.0]]),
        (&[2, 3, 1, 1, 2], 3, (2, 1, 1, 2), array![[10.0, 11.0]]),
    ] {
        let (double, single) = (counted(shape), counted(shape).mapv(|x| x as f32));
        let (mut wide, mut narrow) = (Vec::new(), Vec::new());
        double.write_npy(&mut wide).unwrap();
        single.write_npy(&mut narrow).unwrap();
        let mut zip = Cursor::new(Vec::new());
        let mut npz = NpzWriter::new_compressed(&mut zip);
        npz.add_array("wide", &double).unwrap();
        npz.add_array("narrow", &single).unwrap();
        npz.finish().unwrap();
        let zip = zip.into_inner();
        let wide =
            [parse_npy(at(), &wide, MEMORY).unwrap(), parse_npz(at(), &zip, Some("wide"), MEMORY).unwrap()];
        let narrow = [
            parse_npy(at(), &narrow, MEMORY).unwrap(),
            parse_npz(at(), &zip, Some("narrow"), MEMORY).unwrap(),
        ];
        assert!(wide.iter().all(|dump| matches!(dump.values, Values::F64(_))));
        assert!(narrow.iter().all(|dump| matches!(dump.values, Values::F32(_))));
        for dump in wide.iter().chain(&narrow) {
            assert_eq!((dump.shape(), dump.samples()), (four, samples));
            assert_eq!(last(dump), end);
        }
    }
}

#[test]
fn safetensors_of_each_precision() {
    let brain = |x: &f64| half::bf16::from_f64(*x).to_le_bytes().to_vec();
    let formats = FORMATS.map(|(dtype, _, bytes)| (dtype, bytes));
    for (dtype, bytes) in formats.into_iter().chain([(Dtype::BF16, &brain as Bytes<'_>)]) {
        let data: Vec<u8> = counted(&[2, 2, 2]).iter().flat_map(bytes).collect();
        let view = TensorView::new(dtype, vec![2, 2, 2], &data).unwrap();
        let file = serialize([("a", view)], None).unwrap();
        let dump = parse_safetensors(at(), &file, None, MEMORY).unwrap();
        assert_eq!(matches!(dump.values, Values::F64(_)), dtype == Dtype::F64);
        assert_eq!(dump.shape(), (1, 2, 2, 2));
        assert_eq!(last(&dump), array![[4.0, 5.0], [6.0, 7.0]]);
    }
}

#[test]
fn npy_of_each_precision_in_both_orders_of_bytes() {
    for (_, name, bytes) in FORMATS {
        for (order, reverse) in [('<', false), ('>', true)] {
            let data = counted(&[2, 3]);
            let data = data.iter().flat_map(|x| {
                let mut bytes = bytes(x);
                if reverse {
                    bytes.reverse();
                }
                bytes
            });
            let file = with_header(&header(&format!("{order}{name}"), "(2, 3)"), &data.collect::<Vec<u8>>());
            let dump = parse_npy(at(), &file, MEMORY).unwrap();
            assert_eq!(last(&dump), array![[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], "{order}{name}");
            let dump = parse_npz(at(), &npz("a.npy", &file), None, MEMORY).unwrap();
            assert_eq!(last(&dump), array![[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]], "{order}{name}");
        }
    }
    let void = with_header(&header("<V2", "(1, 1)"), &[0; 2]);
    assert!(said(parse_npy(at(), &void, MEMORY)).contains("bfloat16"));
}

#[test]
fn long_integers_of_python_2_are_lengths() {
    let file = with_header(&header("<f4", "(3L, 20L)"), &[0; 240]);
    assert_eq!(parse_npy(at(), &file, MEMORY).unwrap().shape(), (1, 1, 3, 20));
}

#[test]
fn columns_first_and_rows_first_are_the_same_array() {
    let mut bytes = Vec::new();
    counted(&[3, 2]).reversed_axes().write_npy(&mut bytes).unwrap();
    let dump = parse_npy(at(), &bytes, MEMORY).unwrap();
    assert_eq!(last(&dump), array![[0.0, 2.0, 4.0], [1.0, 3.0, 5.0]]);
}

#[test]
fn what_a_file_states_is_held_against_what_it_holds() {
    // 1.2 kB that promise 160 GB, alone and packed.
    let huge = with_header(&header("<f4", "(200000, 200000)"), &[0; 1100]);
    for found in [parse_npy(at(), &huge, MEMORY), parse_npz(at(), &npz("a.npy", &huge), None, MEMORY)] {
        let said = said(found);
        assert!(
            said.contains("promises 200000 x 200000 numbers of 4 bytes, and 1100 bytes after it"),
            "{said}"
        );
    }
    let endless = with_header(&header("<f4", "(18446744073709551615, 3)"), &[0; 16]);
    assert!(said(parse_npy(at(), &endless, MEMORY)).contains("and 16 bytes after it"));
    // A header longer than the file.
    let mut long = with_header(&header("<f4", "(2, 2)"), &[0; 16]);
    long[6] = 2;
    assert!(said(parse_npy(at(), &long, MEMORY)).contains("header that should end at byte"));
    assert!(said(parse_npz(at(), &npz("a.npy", &long), None, MEMORY)).contains("header that should end at"));
    // An archive that states more than its bytes unpack to.
    let mut packed = npz("a.npy", &huge);
    let length = (huge.len() as u32).to_le_bytes();
    for start in (0..packed.len() - 4).filter(|at| packed[*at..*at + 4] == length).collect::<Vec<_>>() {
        packed[start..start + 4].copy_from_slice(&u32::MAX.to_le_bytes()[..]);
        packed[start + 3] = 0x7f;
    }
    let said_packed = said(parse_npz(at(), &packed, None, MEMORY));
    assert!(said_packed.contains("states 2147483647 bytes, packed into"), "{said_packed}");
    let header = [&(1_u64 << 40).to_le_bytes()[..], b"{}"].concat();
    let said_header = said(parse_safetensors(at(), &header, None, MEMORY));
    assert!(said_header.contains("states 1099511627776 bytes, and 2 bytes after it"), "{said_header}");
}

#[test]
fn what_does_not_fit_in_memory_is_refused() {
    let mut bytes = Vec::new();
    counted(&[64, 64]).write_npy(&mut bytes).unwrap();
    let zeros = with_header(&header("<f4", "(1024, 1024)"), &vec![0; 1 << 22]);
    for found in [
        parse_npy(at(), &bytes, 1000),
        parse_npz(at(), &npz("a.npy", &bytes), None, 1000),
        parse_npz(at(), &npz("a.npy", &zeros), None, 1 << 20),
    ] {
        assert!(said(found).contains("available"));
    }
}

#[test]
fn the_precision_is_that_of_the_values() {
    let thirds = [1.0 / 3.0, 2.0 / 3.0, 1e-4, 0.0];
    let of = |round: Precision, stored: Precision| {
        stored.narrowest(thirds.iter().map(|x| stored.round(round.round(*x))))
    };
    for narrow in [Precision::F32, Precision::F16, Precision::BF16] {
        assert_eq!(of(narrow, Precision::F64), narrow);
        assert_eq!(of(narrow, Precision::F32), narrow);
    }
    assert_eq!(of(Precision::F64, Precision::F64), Precision::F64);
}

/// Rows of softmax in each format, computed and summed as frameworks do.
#[test]
fn rows_of_rounded_softmax_are_within_the_tolerance_of_their_format() {
    let mut rng = crate::rng::stream(4, "rounded rows");
    for m in [2, 64, 500, 4096] {
        let logits = crate::rng::normal(&mut rng, 20, m) * 2.0;
        for precision in [Precision::F32, Precision::F16, Precision::BF16] {
            let mut most = 0.0_f64;
            for row in logits.rows() {
                let max = row.fold(f32::MIN, |max, x| max.max(*x));
                let exp: Vec<f64> = row.iter().map(|x| precision.round(f64::from(x - max).exp())).collect();
                let sum = precision.round(exp.iter().sum());
                let sum: f64 = exp.iter().map(|x| precision.round(x / sum)).sum();
                most = most.max((sum - 1.0).abs());
            }
            let tolerance = precision.row_tolerance(m);
            assert!(most < tolerance && tolerance < 0.05, "{precision:?} {m}: {most} {tolerance}");
        }
    }
}

/// Bytes changed at random: read or refused in one line, and never a panic.
#[test]
fn changed_bytes_are_read_or_refused() {
    let mut rng = crate::rng::stream(5, "changed bytes");
    let mut npy = Vec::new();
    counted(&[2, 3, 3]).write_npy(&mut npy).unwrap();
    let mut zip = Cursor::new(Vec::new());
    let mut packed = NpzWriter::new_compressed(&mut zip);
    packed.add_array("a", &counted(&[2, 3, 3])).unwrap();
    packed.finish().unwrap();
    let data = [0; 36];
    let view = TensorView::new(Dtype::F16, vec![2, 3, 3], &data).unwrap();
    let tensors = serialize([("a", view)], None).unwrap();
    for whole in [npy, zip.into_inner(), tensors] {
        for _ in 0..3000 {
            let mut bytes = whole.clone();
            for _ in 0..=crate::rng::below(&mut rng, 3) {
                let at = crate::rng::below(&mut rng, bytes.len());
                bytes[at] = crate::rng::below(&mut rng, 256) as u8;
            }
            bytes.truncate(bytes.len() - crate::rng::below(&mut rng, 3) / 2 * bytes.len() / 3);
            let all = [
                parse_npy(at(), &bytes, MEMORY),
                parse_npz(at(), &bytes, None, MEMORY),
                parse_safetensors(at(), &bytes, None, MEMORY),
            ];
            for error in all.into_iter().filter_map(Result::err) {
                let said = error.to_string();
                assert!(!said.contains('\n') && said.len() < 1000, "{said}");
            }
        }
    }
}
