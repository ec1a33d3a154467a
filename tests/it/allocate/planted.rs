//! A model whose right allocation is known: heads that need one key, a head that needs them all, and heads that do nothing.

use luna::report::Cell;

use super::{file, on};
use crate::model::{Raw, Raws, with_tensors};
use crate::study::{cell, number};

const D: usize = 32;
const WIDTH: usize = 8;

fn numbers(raw: &Raw) -> Vec<f32> {
    raw.bytes.chunks_exact(4).map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap())).collect()
}

fn change(raws: &mut Raws, name: &str, change: impl FnOnce(&mut [f32])) {
    let key = raws.keys().find(|key| key.ends_with(name)).unwrap().clone();
    let raw = raws.get_mut(&key).unwrap();
    let mut values = numbers(raw);
    change(&mut values);
    raw.bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
}

/// Direction by which position 0 differs from the others.
fn direction(at: usize) -> f32 {
    if at.is_multiple_of(2) { 1.0 } else { -1.0 }
}

/// An encoder whose heads 0 and 1 of layer 0 do the same; the output of every other head is multiplied by 0.
fn twins(mut raws: Raws) -> Raws {
    for part in ["query", "key", "value"] {
        let name = |what: &str| format!("layer.0.attention.self.{part}.{what}");
        change(&mut raws, &name("weight"), |weight| weight.copy_within(WIDTH * D..2 * WIDTH * D, 0));
        change(&mut raws, &name("bias"), |bias| bias.copy_within(WIDTH..2 * WIDTH, 0));
    }
    change(&mut raws, "layer.0.attention.output.dense.weight", |weight| {
        for row in weight.chunks_exact_mut(D) {
            row.copy_within(WIDTH..2 * WIDTH, 0);
            row[2 * WIDTH..].fill(0.0);
            for x in row {
                *x *= 20.0;
            }
        }
    });
    change(&mut raws, "layer.1.attention.output.dense.weight", |weight| weight.fill(0.0));
    raws
}

/// Of layer 0, head 0 attends to the first key alone, head 1 to all keys alike; the output of every other head is
/// multiplied by 0.
fn plant(mut raws: Raws) -> Raws {
    change(&mut raws, "wte.weight", |table| table.iter_mut().for_each(|x| *x *= 50.0));
    change(&mut raws, "wpe.weight", |table| {
        for (at, x) in table.iter_mut().enumerate() {
            *x = if at < D { 2.0 } else { -2.0 } * direction(at % D);
        }
    });
    for norm in ["h.0.ln_1.weight", "h.0.ln_1.bias"] {
        change(&mut raws, norm, |gain| gain.fill(if norm.ends_with("weight") { 1.0 } else { 0.0 }));
    }
    // Columns: queries of the heads, keys, values.
    change(&mut raws, "h.0.attn.c_attn.weight", |weight| {
        for (at, row) in weight.chunks_exact_mut(3 * D).enumerate() {
            row[..2 * WIDTH].fill(0.0);
            row[D..D + WIDTH].fill(0.0);
            row[D] = direction(at);
            row[2 * D..].iter_mut().for_each(|x| *x *= 20.0);
        }
    });
    change(&mut raws, "h.0.attn.c_attn.bias", |bias| {
        bias[..2 * WIDTH].fill(0.0);
        bias[D..D + WIDTH].fill(0.0);
        bias[0] = 10.0;
    });
    change(&mut raws, "h.0.attn.c_proj.weight", |weight| {
        weight[..2 * WIDTH * D].iter_mut().for_each(|x| *x *= 20.0);
        weight[2 * WIDTH * D..].fill(0.0);
    });
    change(&mut raws, "h.1.attn.c_proj.weight", |weight| weight.fill(0.0));
    raws
}

#[test]
fn the_head_that_needs_all_keys_gets_them() {
    let model = with_tensors("gpt2", plant);
    // 46 keys for eight heads: two each for seven of them, the first and the own, and all 32 for the last.
    let flags = [
        "--seq-len",
        "32",
        "--windows",
        "2",
        "--judge-windows",
        "3",
        "--l",
        "2,4,8,16",
        "--budget",
        "l=5.75",
    ];
    for by in ["shapley", "head", "layer"] {
        let report = on(model.path(), &[&flags[..], &["--sensitivity", by]].concat(), None).unwrap();
        let heads = file(&report, "allocation.json")["heads"].clone();
        let found: Vec<&str> =
            heads.as_array().unwrap().iter().map(|head| head["mechanism"].as_str().unwrap()).collect();
        let small = "sink-window:l=2";
        assert_eq!(found, [small, "softmax", small, small, small, small, small, small], "{by}");
        let (_, summary) = &report.views[0];
        let choices: Vec<String> = summary.cells("choice").unwrap().map(Cell::exact).collect();
        assert_eq!(choices, ["allocated", "sink-window:l=5"]);
        let (allocated, uniform) = (number(summary, 0, "kl"), number(summary, 1, "kl"));
        assert!(allocated < 1e-6 && uniform > 1e-3, "{allocated} {uniform}");
        assert!(report.notes[0].starts_with("l=5.75: allocated loses "), "{:?}", report.notes);
    }
}

/// The values of two heads that work together add to the harm of both, whatever its form; what each does alone does not.
#[test]
fn values_of_heads_add_to_the_harm_of_all() {
    let model = with_tensors("bert", twins);
    let flags = ["--seq-len", "16", "--windows", "2", "--judge-windows", "1"];
    let one_offer = ["--mechanism", "sink-window", "--l", "4", "--budget", "l=4"];
    let of = |by: &str| {
        let report =
            on(model.path(), &[&flags[..], &one_offer, &["--sensitivity", by]].concat(), None).unwrap();
        let read = file(&report, "allocation.json");
        for head in read["heads"].as_array().unwrap() {
            assert_eq!(head["mechanism"], "sink-window:l=4", "{by}");
        }
        let is = |row: &usize, name: &str, value: &str| cell(&report.rows, *row, name).exact() == value;
        let squares: Vec<f64> = (0..report.rows.rows.len())
            .filter(|row| is(row, "text", "choose") && is(row, "choice", "allocated"))
            .map(|row| number(&report.rows, row, "hidden_rel_fro").powi(2))
            .collect();
        assert_eq!(squares.len(), 2);
        (read["predicted_harm"].as_f64().unwrap(), squares.iter().sum::<f64>() / 2.0)
    };
    let (alone, measured) = of("head");
    assert!(measured > 1e-6 && alone < 0.8 * measured, "{alone} of {measured}");
    let (values, measured) = of("shapley");
    assert!((values / measured - 1.0).abs() < 1e-4, "{values} of {measured}");
}
