//! Figures that are estimated without the matrix, beside the exact ones of the same heads.

use luna::report::{Cell, Table};

use crate::study::{number, svd_spectrum};

/// Heads of every kind, many draws of each.
const HEADS: [&str; 6] = [
    "--synthetic",
    "gaussian:logit_sd=0.5,gaussian:logit_sd=2,gaussian:logit_sd=5,d_h=16,iid:logit_sd=1,iid:logit_sd=4,rank:r=20,local:w=9",
    "--seq-len",
    "144",
    "--at",
    "4,32",
];
const EFFORT: [&str; 8] =
    ["--method", "quadrature", "--probes", "8", "--rounds", "12", "--tolerance", "0.05"];
const WINDOWS: &str = "16";

/// The columns that have intervals.
fn estimated(table: &Table) -> Vec<&str> {
    let names = || table.columns.iter().map(|column| column.name.as_str());
    let has_ends = |name: &&str| names().any(|other| other == format!("{name}_low"));
    names().filter(|name| !name.starts_with("null_") && has_ends(name)).collect()
}

#[test]
fn intervals_hold_the_exact_figures() {
    let (mut inside, mut all, mut cases) = (0, 0, 0);
    let (mut widths, mut errors) = (Vec::new(), Vec::new());
    for mask in [&[][..], &["--causal"]] {
        let flags = [&HEADS[..], mask, &["--windows", WINDOWS, "--null", "none"]].concat();
        let exact = svd_spectrum(&flags, 5).rows;
        let found = svd_spectrum(&[&flags[..], &EFFORT].concat(), 5).rows;
        assert_eq!(exact.rows.len(), found.rows.len());
        cases += exact.rows.len();
        for row in 0..exact.rows.len() {
            let basis = number(&found, row, "rounds") * 9.0;
            for name in estimated(&found) {
                let cell = |table: &Table, name: &str| table.rows[row][table.index(name).unwrap()].clone();
                if cell(&found, name) == Cell::Missing || cell(&exact, name) == Cell::Missing {
                    continue;
                }
                let end = |end: &str| number(&found, row, &format!("{name}_{end}"));
                let (truth, low, high) = (number(&exact, row, name), end("low"), end("high"));
                // What is exact but for rounding has intervals without width.
                let rounding = 1e-5 * truth.abs().max(1e-3);
                all += 1;
                inside += usize::from((low - rounding..=high + rounding).contains(&truth));
                if name == "effective_rank" && basis < 144.0 {
                    widths.push((high - low) / truth);
                    errors.push((number(&found, row, name) / truth - 1.0).abs());
                }
            }
        }
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    println!(
        "{inside} of {all} figures of {cases} heads; effective rank off by {:.4}, intervals {:.4} wide",
        mean(&errors),
        mean(&widths)
    );
    assert!(cases >= 200, "{cases} cases");
    assert!(100 * inside >= 93 * all, "{inside} of {all}");
    assert!(widths.len() > 50 && mean(&widths) < 0.08 && mean(&errors) < 0.02);
}

/// The figures that need all values one by one are missing; those of rows are the exact ones.
#[test]
fn columns_are_those_of_the_exact_method_with_ends() {
    let flags = [&HEADS[..], &["--windows", "1", "--null-draws", "2"]].concat();
    let exact = svd_spectrum(&flags, 5).rows;
    let found = svd_spectrum(&[&flags[..], &EFFORT].concat(), 5).rows;
    for column in &exact.columns {
        let at = found.index(&column.name).unwrap();
        let value = |row: usize| found.rows[row][at].clone();
        match column.name.as_str() {
            "numerical_rank" => assert!((0..found.rows.len()).all(|row| value(row) == Cell::Missing)),
            "row_entropy" | "max_prob" | "logit_sd" => {
                for row in 0..found.rows.len() {
                    let (found, exact) =
                        (number(&found, row, &column.name), number(&exact, row, &column.name));
                    assert!((found - exact).abs() < 1e-4 * exact.abs().max(1.0), "{}", column.name);
                }
            }
            _ => {}
        }
    }
    let names = estimated(&found);
    assert!(names.contains(&"centred_rank90_l1") && names.contains(&"cum_l1_at_32"), "{names:?}");
    assert!(!names.contains(&"row_entropy"));
}
