//! What a mechanism says that it costs is what a run of it does.

use super::walk;

#[test]
fn the_closed_form_is_the_count() {
    walk(|attention, given| {
        let (_, counted) = attention.counted(&given.input(), given.v.view()).unwrap();
        assert_eq!(attention.cost(&given.shape()), counted, "{attention:?}, {:?}", given.shape());
    });
}
