//! What a mechanism says that it costs is what a run of it does.

use super::walk;

#[test]
fn the_closed_form_is_the_count() {
    walk(|attention, given| {
        let (_, counted) = attention.counted(&given.input(), given.v.view()).unwrap();
        assert_eq!(attention.cost(&given.shape()), counted, "{attention:?}, {:?}", given.shape());
    });
}

/// Keys and values that a row weighs are read, or less than they are is stored in their place.
#[test]
fn what_a_query_reads_of_the_cache_bounds_its_keys() {
    let mut counted = 0;
    walk(|attention, given| {
        let shape = given.shape();
        let Some(reads) = attention.cache_reads(&shape) else { return };
        let kept = given.matrix(attention).iter().filter(|x| **x != 0.0).count();
        let bound = attention.bounds_rank(&shape) || attention.rank(&shape) < shape.n.min(shape.m);
        let state = ["linear", "performer", "cosformer"].contains(&attention.kind().name);
        if !bound && !state {
            counted += 1;
            let least = (kept * (shape.d_h + shape.d_v)) as u64;
            assert!(reads >= least, "{attention:?}, {shape:?}: {reads} and {least} needed");
        }
        assert!(reads > 0, "{attention:?}, {shape:?}");
    });
    assert!(counted > 0);
}
