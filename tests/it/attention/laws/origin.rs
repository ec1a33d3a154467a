//! The same origin gives the same bits; another label gives other draws, where there are any.

use luna::attention::{Mask, Under};

use super::{Given, built, cases};

#[test]
fn draws_belong_to_their_label() {
    for case in cases() {
        let (first, second) = (built(case.spec, "layer 0 head 3"), built(case.spec, "layer 0 head 4"));
        let again = built(case.spec, "layer 0 head 3");
        let refused = matches!(first.kind().full, Under::Refused(_));
        let mask = if refused { Mask::Causal } else { Mask::Full };
        let given = Given::normal((40, 40), (8, 5), mask);
        let a = given.matrix(&first);
        assert_eq!(a, given.matrix(&again), "{first:?}: the same origin");
        assert_eq!(given.forward(&first), given.forward(&again), "{first:?}: the same origin");
        assert_eq!(a != given.matrix(&second), case.draws, "{first:?}: another label");
    }
}
