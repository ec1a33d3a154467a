use clap::Parser;

use super::super::agree::check as ask;
use super::super::cell::{Cell, Form};
use super::super::config::ScaleSweepConfig;
use super::super::plan::Plan;
use super::super::settings::Settings;
use super::super::whole;
use super::*;

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    config: ScaleSweepConfig,
    #[arg(long)]
    out: Option<String>,
}

fn settings(flags: &str) -> Settings {
    let flags = Flags::try_parse_from(["x"].into_iter().chain(flags.split_whitespace())).unwrap();
    Settings::of(&flags.config).unwrap()
}

const SMALL: &str = "--seq-len 128 --heads 2 --head-dim 24 --ffn 40 --layers 2";
const UNITS: [&str; 3] = ["core --l 33", "layer --l 33 --batch 2", "encoder --l 5"];

/// What is asked for under a mask: every mechanism, and those whose parameters change what is computed.
fn asked_for(unit: &str, causal: bool) -> Vec<&'static str> {
    let layers = unit != "core";
    match (causal, layers) {
        (false, false) => {
            vec!["softmax,luna,linformer,performer,linear,local", "linformer:shared=false,performer:eps=1e-3"]
        }
        (false, true) => vec!["softmax,luna,linformer,performer,linear,local", "luna:tied=false"],
        (true, false) => vec!["softmax,luna-causal,performer,linear,local", "luna-causal:weight=elu"],
        (true, true) => {
            vec!["softmax,luna-causal,performer,linear,local", "luna-causal:tied=false,weight=elu"]
        }
    }
}

#[test]
fn every_form_that_is_timed_agrees_with_its_reference_implementation() {
    let mut timed: Vec<(bool, &str, &str, &str)> = Vec::new();
    for (causal, mask) in [(false, ""), (true, "--causal")] {
        for unit in UNITS {
            for pass in ["forward", "train"] {
                for names in asked_for(unit.split(' ').next().unwrap(), causal) {
                    let settings =
                        settings(&format!("{SMALL} {mask} --unit {unit} --pass {pass} --mechanism {names}"));
                    for cell in Plan::of(&settings).unwrap().cells {
                        let what = format!("{mask} {unit} {pass} {}", cell.key());
                        assert_ne!(cell.form, Form::Reference, "{what}");
                        let found = ask(&cell, &settings, 3).unwrap();
                        assert_eq!(found.refusal(), None, "{what}");
                        assert_eq!(found.gradients.is_some(), pass == "train", "{what}");
                        assert!(
                            found.output > 0.0,
                            "{what}: rounding differs, or it was held against itself"
                        );
                        timed.push((causal, unit, pass, cell.kind.name));
                    }
                }
            }
        }
    }
    // The list above has every mechanism of the registries that has something to be timed.
    for causal in [false, true] {
        let mask = if causal { crate::attention::Mask::Causal } else { crate::attention::Mask::Full };
        for unit in UNITS {
            let has = |pass, name| timed.contains(&(causal, unit, pass, name));
            let layers = unit.split(' ').next() != Some("core");
            for kind in crate::attention::ALL.iter().filter(|kind| kind.by_default || kind.name == "softmax")
            {
                let form = crate::attention::fused(kind.name, None).unwrap();
                if layers && crate::network::ALL.iter().all(|layer| layer.name != kind.name) {
                    continue;
                }
                assert!(!form.honours(mask) || has("forward", kind.name), "{unit} {} {mask:?}", kind.name);
                assert!(!form.has_backward(mask) || has("train", kind.name), "{unit} {} {mask:?}", kind.name);
            }
        }
    }
}

#[test]
fn code_that_reads_a_tensor_otherwise_than_the_reference_is_refused() {
    for (names, causal) in [("softmax", false), ("luna", false), ("luna-causal", true), ("performer", false)]
    {
        let mask = if causal { "--causal" } else { "" };
        let settings = settings(&format!("{SMALL} {mask} --unit layer --l 7 --mechanism {names}"));
        let cells = Plan::of(&settings).unwrap().cells;
        let cell =
            Cell { n: ROWS, ..cells.iter().rev().find(|cell| cell.kind.name == names).unwrap().clone() };
        let config = whole::config(&cell, &settings).unwrap();
        let x = normal(&mut stream(1, "x"), ROWS, config.d);
        let mut drawn = config.drawn(1);
        for (name, tensor) in &mut drawn {
            let shape = tensor.shape().to_vec();
            moved(name, (&shape, tensor.as_slice_mut().unwrap()), 1);
        }
        let tensors = Tensors::of(&drawn).unwrap();
        let agreement = |tensors: &Tensors| {
            let named = Named::new(Path::new("drawn weights"), drawn.clone());
            outputs(&config, Encoder::load(&named, &config).unwrap(), tensors, x.clone(), 1).unwrap()
        };
        assert_eq!(agreement(&tensors).refusal(), None, "{names}");
        for at in 0..tensors.arrays.len() {
            let name = &tensors.names[at];
            // Softmax does not see what is added to all logits of a row.
            let unseen = name.ends_with("bias")
                && ["k_proj", "pc_proj", "pq_proj"].iter().any(|part| name.contains(part));
            if unseen && names != "luna-causal" {
                continue;
            }
            let mut other = tensors.clone();
            let (rows, columns) = other.arrays[at].dim();
            other.arrays[at] += &(normal(&mut stream(2, name), rows, columns) * 0.05).mapv(f64::from);
            let found = agreement(&other).refusal();
            assert!(found.is_some_and(|why| why.contains("output differs")), "{names} {name}");
        }
    }
}

#[test]
fn a_gradient_that_is_a_hundredth_off_is_refused_even_of_performer() {
    for (names, mask) in [("performer", ""), ("luna", ""), ("luna-causal", "--causal"), ("linformer", "")] {
        let settings =
            settings(&format!("{SMALL} {mask} --pass train --unit layer --l 7 --mechanism {names}"));
        let cells = Plan::of(&settings).unwrap().cells;
        let cell =
            Cell { n: ROWS, ..cells.iter().rev().find(|cell| cell.kind.name == names).unwrap().clone() };
        let config = whole::config(&cell, &settings).unwrap();
        let layers = Layers::new(&config).unwrap();
        let (layout, mut numbers) = (layers.layout().clone(), layers.draw(1));
        for entry in layout.entries() {
            moved(&entry.name, (&entry.shape, &mut numbers[entry.at.clone()]), 1);
        }
        let tensors = Tensors::of(&layout.tensors(&numbers)).unwrap();
        let x = normal(&mut stream(1, "x"), ROWS, config.d);
        let base = wide(x.view());
        let mut learning = Learning::of(layers, numbers, Rows::of([ROWS]), x);
        let dx = learning.pass(None).unwrap();
        let (_, gradients) = learning.found();
        let far = |gradients: &[f32], dx: &Array2<f32>| {
            difference_of_layers(&config, &layout, &tensors, &base, (gradients, dx), 1).unwrap()
        };
        let agrees = |gradients: Option<f64>| Agreement { output: 0.0, gradients }.refusal().is_none();
        assert!(agrees(Some(far(gradients, &dx))), "{names}");
        assert!(!agrees(Some(far(gradients, &(&dx * 1.01)))), "{names}");
        let matrices = layout
            .entries()
            .iter()
            .filter(|entry| entry.learned && entry.shape.len() == 2 && entry.name != "projected_embeddings");
        for entry in matrices {
            let mut other = gradients.to_vec();
            other[entry.at.clone()].iter_mut().for_each(|x| *x *= 1.01);
            assert!(!agrees(Some(far(&other, &dx))), "{names} {}", entry.name);
        }
    }
}

#[test]
fn a_gradient_of_the_bare_attention_that_is_off_is_refused() {
    let settings = settings(&format!("{SMALL} --pass train --l 7 --mechanism performer"));
    let cells = Plan::of(&settings).unwrap().cells;
    let cell = cells.iter().find(|cell| cell.kind.name == "performer").unwrap();
    let right = ask(cell, &settings, 1).unwrap();
    assert!(right.gradients.is_some_and(|off| off > 0.0 && off <= NEAR_DERIVATIVE), "{right:?}");
    let mut rng = stream(1, "performer");
    let [q, k, v, d_out] = [0; 4].map(|_| normal(&mut rng, 40, 8).insert_axis(Axis(0)));
    let w = normal(&mut rng, 7, 8);
    let heads = Heads::new(q.view(), k.view(), v.view(), crate::attention::Mask::Full);
    let arrays = Arrays::none().shared("features", w.view());
    let form = crate::attention::fused("performer", Some(7)).unwrap();
    let mut out = Array3::zeros(q.raw_dim());
    let mut gradients = form.gradients(&heads, &arrays);
    let saved = form.forward_saving(None, &heads, &arrays, out.view_mut()).unwrap();
    form.backward_into(None, &heads, &arrays, &saved, out.view(), d_out.view(), &mut gradients).unwrap();
    let far =
        |gradients: &Gradients| difference_of_heads(&form, &heads, &arrays, &d_out, gradients, 1).unwrap();
    assert!(far(&gradients) <= NEAR_DERIVATIVE);
    for part in 0..3 {
        let mut other = gradients.clone();
        [&mut other.q, &mut other.k, &mut other.v][part].mapv_inplace(|x| 1.01 * x);
        assert!(far(&other) > NEAR_DERIVATIVE, "{part}");
    }
}

#[test]
fn nan_is_no_agreement() {
    let refusal = |output, gradients| Agreement { output, gradients }.refusal();
    assert_eq!(refusal(1e-6, None), None);
    assert!(refusal(f64::NAN, None).unwrap().contains("output differs"));
    assert!(refusal(2e-4, Some(0.0)).unwrap().contains("not timed"));
    assert!(refusal(0.0, Some(f64::NAN)).unwrap().contains("gradients differ"));
    assert_eq!(off(&[f32::NAN, 1.0], &[1.0, 1.0]).to_string(), "NaN");
}
