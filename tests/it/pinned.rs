//! Every random stream on which published results depend, by value: `tests/golden/streams.txt`.
//!
//! `exact` lines are the same on every machine and are compared as text (the shortest that parses to the same bits). `near`
//! lines include products or exponentials, whose last bits depend on the machine's vector width: they are compared to 1e-4.
//! If a line changes, every published figure that depends on it changes.
#![allow(clippy::unwrap_used)] // a failed unwrap fails the test

use std::fmt::Write;
use std::path::Path;

use luna::attention::{ALL, Attention, Input, Mask, Origin, Under};
use luna::network::{EncoderConfig, Head, Mechanism};
use luna::rng::{below, normal, stream};
use luna::task::labelled::Labelled;
use luna::task::language::Language;
use luna::task::synthetic::{self, Draw};
use luna::train::Network;
use rand::RngExt;

const GOLDEN: &str = include_str!("../golden/streams.txt");

/// The tolerance of `near` lines.
const NEAR: f64 = 1e-4;

/// Draws with parameters other than the defaults.
const DRAWN: [&str; 8] = [
    "luna:p=kmeans",
    "luna-causal:weight=elu",
    "linformer:l=3",
    "bigbird:block=3,window=1,global=1,random=2",
    "reformer:chunk=3,buckets=2,hashes=2",
    "reformer:shared=false,hashes=2",
    "synthesizer:kind=factorised",
    "performer:l=70",
];

#[derive(Default)]
struct Lines(String);

impl Lines {
    fn exact<T: std::fmt::Debug>(&mut self, name: &str, values: impl IntoIterator<Item = T>) {
        let values: Vec<String> = values.into_iter().take(10).map(|value| format!("{value:?}")).collect();
        let _ = writeln!(self.0, "exact {name} = {}", values.join(" "));
    }

    fn near(&mut self, name: &str, values: impl IntoIterator<Item = f64>) {
        let values: Vec<String> = values.into_iter().take(10).map(|value| format!("{value:.6}")).collect();
        let _ = writeln!(self.0, "near {name} = {}", values.join(" "));
    }
}

fn generator(lines: &mut Lines) {
    lines.exact("normal", normal(&mut stream(0, "pinned"), 2, 5));
    // The tail beyond 3.65 has its own branch.
    let many = normal(&mut stream(0, "pinned tail"), 1, 100_000);
    lines.exact("normal tail", many.iter().filter(|x| x.abs() > 4.0));
    for n in [2, 10, 1_000_003] {
        let mut rng = stream(0, "pinned");
        lines.exact(&format!("below {n}"), (0..10).map(|_| below(&mut rng, n)));
    }
    let mut rng = stream(0, "pinned");
    lines.exact("uniform", (0..10).map(|_| rng.random_range(0.0..1.0_f64)).collect::<Vec<_>>());
    let mut rng = stream(0, "pinned");
    lines.exact("uniform about 0", (0..10).map(|_| rng.random_range(-0.3..0.3_f64)).collect::<Vec<_>>());
    lines.exact("order of rounds", luna::profile::rounds::order(10, &mut stream(0, "pinned")));
}

fn synthetic_heads(lines: &mut Lines) {
    for kind in synthetic::ALL.iter().filter(|kind| kind.random) {
        let name = format!("synthetic {}", kind.name);
        match kind.draw(&kind.name.parse().unwrap(), 9, 1, 0).unwrap() {
            Draw::Heads { q, k, v, .. } => {
                for (piece, x) in [("q", q), ("k", k), ("v", v)] {
                    lines.exact(&format!("{name} {piece}"), x);
                }
            }
            Draw::Logits(logits) => lines.exact(&name, logits),
            Draw::Weights(weights) => lines.near(&name, weights),
        }
    }
}

fn mechanisms(lines: &mut Lines) {
    let mut rng = stream(0, "pinned head");
    let [q, k, v] = [0; 3].map(|_| normal(&mut rng, 24, 8));
    for spec in ALL.iter().map(|kind| kind.name).chain(DRAWN) {
        let origin = Origin { seed: 0, label: "pinned", learned: None };
        let attention = Attention::build(&spec.parse().unwrap(), &origin).unwrap();
        let full = !matches!(attention.kind().under(Mask::Full), Under::Refused(_));
        let input = Input::new(q.view(), k.view(), if full { Mask::Full } else { Mask::Causal });
        let out = attention.forward(&input, v.view()).unwrap();
        // A row in the middle, which sees many keys under either mask.
        lines.near(&format!("attention {spec}"), out.row(17).iter().map(|x| f64::from(*x)));
    }
}

fn networks(lines: &mut Lines) {
    let size = |mechanism| EncoderConfig {
        vocab: Some(11),
        positions: 8,
        head: Head::Classes(3),
        ..EncoderConfig::new(mechanism, 8, 2, 12, 1)
    };
    for mechanism in [Mechanism::Luna { l: 3, tied: false }, Mechanism::Linformer { l: 3, max: 8 }] {
        let config = size(mechanism);
        let network = Network::new(&config).unwrap();
        let numbers = network.draw(0);
        let mut at = 0;
        for entry in network.layout().entries() {
            let length: usize = entry.shape.iter().product();
            let values = numbers[at..at + length.min(3)].to_vec();
            if values.iter().any(|x| *x != 0.0 && *x != 1.0) {
                lines.exact(&format!("train {} {}", mechanism.spec(), entry.name), values);
            }
            at += length;
        }
    }
}

fn splits(lines: &mut Lines) {
    let texts: Vec<String> = (0..40).map(|i| format!("{}\ttext {i}\n", ["a", "b"][i % 2])).collect();
    let texts = texts.concat();
    let all = Labelled::parse(Path::new("texts"), texts.as_bytes(), None).unwrap();
    let (_, held) = all.hold_out(0.25, 0).unwrap();
    let text = |item: &luna::task::labelled::LabelledText| String::from_utf8(item.text.clone()).unwrap();
    lines.exact("held out of labelled texts", held.items.iter().map(text));
    let language = Language::new("numbers", (0..1000).collect(), 8, 0.1).unwrap();
    lines.exact("windows of a text", language.batch(10, 0, 3).inputs.column(0).to_vec());
}

#[test]
fn the_streams_are_pinned() {
    let mut lines = Lines::default();
    generator(&mut lines);
    synthetic_heads(&mut lines);
    mechanisms(&mut lines);
    networks(&mut lines);
    splits(&mut lines);
    let found = lines.0;
    let (ours, theirs): (Vec<&str>, Vec<&str>) = (found.lines().collect(), GOLDEN.lines().collect());
    assert_eq!(ours.len(), theirs.len(), "other streams than in the file; all that were drawn:\n{found}");
    for (ours, theirs) in ours.iter().zip(&theirs) {
        if ours.starts_with("exact") {
            assert_eq!(ours, theirs, "all that were drawn:\n{found}");
            continue;
        }
        let parts = |line: &str| {
            let (name, values) = line.split_once(" = ").unwrap();
            (name.to_string(), values.split(' ').map(|x| x.parse().unwrap()).collect::<Vec<f64>>())
        };
        let ((name, values), (known, expected)) = (parts(ours), parts(theirs));
        assert_eq!((&name, values.len()), (&known, expected.len()));
        let off = values.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(off <= NEAR, "{name} is off by {off}; all that were drawn:\n{found}");
    }
}
