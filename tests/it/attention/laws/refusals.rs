//! What is refused is refused in one line that says what would be accepted.

use luna::attention::{ALL, Attention, Origin, Under};

use super::{CASES, Given, MASKS, built, is_known};

fn refused(spec: &str) -> String {
    let origin = Origin { seed: 0, label: "laws", learned: None };
    let error = Attention::build(&spec.parse().unwrap(), &origin).expect_err(spec).to_string();
    assert!(!error.contains('\n'), "{spec}: {error}");
    error
}

#[test]
fn a_mask_without_a_form_is_refused_by_name() {
    for case in CASES.iter().filter(is_known) {
        let attention = built(case.spec, "laws");
        for mask in MASKS {
            let Under::Refused(instead) = attention.kind().under(mask) else {
                assert!(attention.honours(mask).is_ok());
                continue;
            };
            let given = Given::normal((5, 5), (4, 3), mask);
            let [name, other] = match mask {
                luna::attention::Mask::Full => ["full", "causal"],
                luna::attention::Mask::Causal => ["causal", "full"],
            };
            for error in [
                attention.forward(&given.input(), given.v.view()).unwrap_err(),
                attention.matrix(&given.input()).unwrap_err(),
            ] {
                let error = error.to_string();
                let said = [
                    format!("'{}'", case.spec),
                    format!("the {name} mask"),
                    format!("accepted: the {other} mask"),
                ];
                for said in said {
                    assert!(error.contains(&said), "{error}: '{said}' is not in it");
                }
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
