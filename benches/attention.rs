//! tuning stub
use luna::attention::{Mask, fused::{self, Given, Heads, Path}};
use luna::rng::{normal, stream};
use ndarray::Array3;
fn arr(seed: u64, h: usize, n: usize, d: usize) -> Array3<f32> {
    normal(&mut stream(seed, "b"), h * n, d).into_shape_with_order((h, n, d)).unwrap()
}
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let name = a[1].as_str();
    let ns: Vec<usize> = a[2].split(',').map(|x| x.parse().unwrap()).collect();
    let l: usize = a[3].parse().unwrap();
    let path = match a.get(4).map(|x| x.as_str()) { Some("v3") => Path::Avx2, Some("scalar") => Path::Scalar, _ => Path::Widest };
    let (h, d) = (8, 64);
    for n in ns {
        let (q, k, v, p) = (arr(1, h, n, d), arr(2, h, n, d), arr(3, h, n, d), arr(4, h, l.max(1), d));
        let e = normal(&mut stream(5, "b"), l.max(1), n) / (n as f32).sqrt();
        let w = normal(&mut stream(6, "b"), l.max(1), d);
        let tied = a.last().unwrap() == "tied";
        let heads = Heads::new(q.view(), k.view(), if tied { k.view() } else { v.view() }, if a.last().unwrap() == "causal" { Mask::Causal } else { Mask::Full });
        let given = match name { "luna" => Given::Luna { p: p.view() }, "linformer" => Given::Linformer { e: e.view(), f: e.view() },
            "performer" => Given::Performer { w: w.view(), eps: 1e-4 }, "local" => Given::Local { l }, _ => Given::Nothing };
        let mut out = Array3::zeros((h, n, d));
        let f = fused::find(name).unwrap();
        let mut t = vec![];
        let begin = std::time::Instant::now();
        while t.len() < 5 || begin.elapsed().as_secs_f64() < 1.5 {
            let b = std::time::Instant::now();
            f.forward_by(path, &heads, &given, out.view_mut()).unwrap();
            t.push(b.elapsed().as_secs_f64());
        }
        t.sort_by(f64::total_cmp);
        let fl = match name { "softmax" => 4 * n * n * d * h, "linear" => 4 * n * d * d * h, "performer" => 8 * n * l * d * h, "local" => 4 * n * (l + 1) * d * h, _ => 8 * n * l * d * h } as f64;
        println!("{name} n={n} l={l} median {:.3} ms best {:.3} ms  {:.0} / {:.0} GF/s", t[t.len() / 2] * 1e3, t[0] * 1e3, fl / t[t.len() / 2] / 1e9, fl / t[0] / 1e9);
    }
}
