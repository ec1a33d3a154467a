//! What is refused is refused in one line that says what would be accepted.

use luna::attention::{ALL, Attention, Mask, Origin, Under};

use super::{Given, MASKS, built, cases};

fn refused(spec: &str) -> String {
    let origin = Origin { seed: 0, label: "laws", learned: None };
    let error = Attention::build(&spec.parse().expect("a spec"), &origin).expect_err(spec).to_string();
    assert!(!error.contains('\n'), "{spec}: {error}");
    error
}

#[test]
fn a_mask_without_a_form_is_refused_by_name() {
    for case in cases() {
        let attention = built(case.spec, "laws");
        for mask in MASKS {
            let Under::Refused(instead) = attention.kind().under(mask) else {
                assert!(attention.honours(mask).is_ok());
                continue;
            };
            let given = Given::normal((5, 5), (4, 3), mask);
            let (what, input) = match mask {
                Mask::Full => ("form without a mask", "here every query sees every key"),
                Mask::Causal => ("causal form", "this model is causal"),
            };
            for error in [
                attention.forward(&given.input(), given.v.view()).unwrap_err(),
                attention.matrix(&given.input()).unwrap_err(),
            ] {
                let error = error.to_string();
                let said = format!("{} has no {what}; {input}", case.spec);
                assert!(error.starts_with(&said), "{error}: '{said}' is not in it");
                assert!(!error.contains('\n'), "{error}");
            }
            // What is named instead exists, and has the form.
            if let Some(other) = ALL.iter().find(|kind| kind.name == instead) {
                assert_eq!(other.under(mask), Under::Honoured, "{} instead of {}", instead, case.spec);
            }
        }
    }
}

#[test]
fn an_unknown_parameter_answers_with_what_is_taken() {
    for kind in ALL {
        let error = refused(&format!("{}:nonsense=1", kind.name));
        assert!(error.contains(&luna::name::takes(kind.takes)), "{error}");
    }
}

#[test]
fn no_parameter_takes_nonsense() {
    for kind in ALL {
        for param in kind.takes {
            let error = refused(&format!("{}:{}=~", kind.name, param.name));
            assert!(error.contains(&format!("parameter '{}'", param.name)), "{error}");
        }
        if kind.takes_l() {
            let error = refused(&format!("{}:l=0", kind.name));
            assert!(error.contains("1 or more"), "{error}");
        }
    }
}

#[test]
fn values_that_do_not_fit_each_other_are_refused() {
    for (spec, accepted) in [
        ("sink-window:l=3,sink=4", "0 to l, 3"),
        ("top-p:mass=0", "a number above 0, at most 1"),
        ("top-p:mass=1.5", "a number above 0, at most 1"),
        ("top-p:mass=nan", "a finite number"),
        ("block-top-k:block=0", "1 or more"),
        ("vertical-slash:probe=0", "1 or more"),
        ("sparse-low-rank:l=3,sink=9", "0 to l, 3"),
        ("sparse:stride=0", "1 or more"),
        ("sparse:kind=fixed,stride=4", "1 to the stride, 4"),
        ("bigbird:block=0", "1 or more"),
        ("bigbird:window=2", "an odd number of blocks"),
        ("bigbird:window=0", "an odd number of blocks"),
        ("reformer:buckets=3", "an even number"),
        ("reformer:buckets=0", "an even number"),
        ("reformer:hashes=0", "1 to 1024"),
        ("sinkhorn:block=0", "1 or more"),
        ("synthesizer:max=0", "1 or more"),
        ("synthesizer:kind=factorised,max=8", "1 to max, 8"),
    ] {
        let error = refused(spec);
        assert!(error.contains(&format!("accepted: {accepted}")), "{spec}: {error}");
    }
}

#[test]
fn absurd_sizes_do_not_overflow() {
    let most = usize::MAX;
    for spec in [
        format!("local:l={most}"),
        format!("longformer:l={most},global={most}"),
        format!("sink-window:l={most},sink={most}"),
        format!("top-k:l={most}"),
        format!("block-top-k:l={most}"),
        format!("block-top-k:l={most},block={most}"),
        format!("sparse-low-rank:l={most},rank={most}"),
        format!("sparse:stride={most}"),
        format!("sparse:kind=fixed,stride={most}"),
        format!("bigbird:block={most},window={most},global={most},random={most}"),
        format!("reformer:chunk={most}"),
        format!("sinkhorn:block={most}"),
        format!("synthesizer:max={most}"),
    ] {
        let given = Given::normal((9, 9), (4, 3), Mask::Full);
        let attention = built(&spec, "laws");
        let (_, counted) = attention.counted(&given.input(), given.v.view()).unwrap();
        assert_eq!(attention.cost(&given.shape()), counted, "{spec}");
    }
}
