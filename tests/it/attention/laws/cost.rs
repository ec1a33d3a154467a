//! What a mechanism says that it costs is what a run of it does.

use luna::attention::{Input, Term, Terms, Window};
use luna::cost::Cost;

use super::{Given, LENGTHS, MASKS, built, walk};

#[test]
fn the_closed_form_is_the_count() {
    walk(|attention, given| {
        let (_, counted) = attention.counted(&given.input(), given.v.view()).unwrap();
        assert_eq!(attention.cost(&given.shape()), counted, "{attention:?}, {:?}", given.shape());
    });
}

/// Of a layer that slides: against its pairs, counted one by one.
#[test]
fn a_window_costs_what_it_shows() {
    let windows = [(0, 0), (3, 0), (2, 4), (100, 100)].map(|(back, ahead)| Window { back, ahead });
    for (&lengths, window) in LENGTHS.iter().flat_map(|lengths| windows.map(|window| (lengths, window))) {
        for mask in MASKS {
            let (given, (n, m)) = (Given::normal(lengths, (8, 5), mask), lengths);
            let terms = Terms { window: Some(window), ..Terms::default() };
            let input = Input { terms, ..given.input() };
            let sees =
                |i: usize, j: usize| j < mask.visible(i, m) && j + window.back >= i && j <= i + window.ahead;
            let seen: Vec<usize> = (0..n).map(|i| (0..m).filter(|j| sees(i, *j)).count()).collect();
            let (pairs, rows) = (seen.iter().sum::<usize>(), seen.iter().filter(|seen| **seen > 0).count());
            let shape = input.shape(5);
            let weighing = |keys: usize| {
                Cost::product(keys, 8, 1) + Cost::softmax(rows, keys) + Cost::product(keys, 1, 5)
            };
            for (spec, most) in [("softmax", m), ("top-k:l=2", 2), ("top-k:l=400", 400), ("top-p", m)] {
                let attention = built(spec, "laws");
                assert!(attention.kind().terms.contains(&Term::Window));
                let kept: usize = seen.iter().map(|seen| most.min(*seen)).sum();
                let found = attention.cost(&shape);
                let expected = weighing(kept) + Cost::product(pairs - kept, 8, 1);
                // A softmax over whole rows divides every row.
                let divs = if spec == "softmax" { found.divs } else { expected.divs };
                assert_eq!(found, Cost { divs, ..expected }, "{spec}, {shape:?}");
                assert_eq!(
                    attention.counted(&input, given.v.view()).unwrap().1.macs,
                    found.macs,
                    "{spec}, {shape:?}"
                );
                let reads = kept * (8 + 5) + (pairs - kept) * 8;
                assert_eq!(attention.cache_reads(&shape), Some(reads as u64), "{spec}, {shape:?}");
            }
        }
    }
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
