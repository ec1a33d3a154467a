use ndarray::Array2;

use super::super::figure::{Curves, Figure, Heat, Mark, Plot, Series};
use super::to_svg;

fn curves() -> Figure {
    let x: Vec<f64> = (1..=512).map(f64::from).collect();
    let share = |rate: f64| x.iter().map(|x| 1.0 - (-x / rate).exp()).collect::<Vec<_>>();
    let mut series: Vec<Series> = (0..12)
        .map(|head| Series {
            label: if head == 0 { "each head".into() } else { String::new() },
            x: x.clone(),
            y: share(30.0 + 8.0 * f64::from(head)),
            faint: true,
            ..Series::default()
        })
        .collect();
    let null = share(190.0);
    series.push(Series {
        label: "Gaussian null, 95 % interval".into(),
        x: x.clone(),
        band: Some((
            null.iter().map(|y| y * 0.94).collect(),
            null.iter().map(|y| (y * 1.05).min(1.0)).collect(),
        )),
        y: null,
        dashed: true,
        ..Series::default()
    });
    series.push(Series {
        label: "mean of 12 heads".into(),
        x: x.clone(),
        y: share(62.0),
        ..Series::default()
    });
    let kind = Plot::Curves(Curves {
        x_label: "leading singular values k".into(),
        y_label: "cumulative share of Σσ (L1)".into(),
        log_x: true,
        series,
        marks: vec![
            Mark::Vertical { at: 128.0, label: "k = 128".into() },
            Mark::Horizontal { at: 0.9, label: "90 %".into() },
        ],
        ..Curves::default()
    });
    Figure { name: "cumulative".into(), title: "all-MiniLM-L6-v2, n = 512 & <λ>".into(), kind }
}

fn heat(rows: usize, cols: usize) -> Figure {
    let mut values =
        Array2::from_shape_fn((rows, cols), |(r, c)| 0.6 + 0.4 * ((r * 7 + c * 3) % 11) as f64 / 10.0);
    values[(0, cols - 1)] = f64::NAN;
    let kind = Plot::Heat(Heat {
        row_label: "layer".into(),
        col_label: "head".into(),
        value_label: "cumulative share at k = 128".into(),
        values,
    });
    Figure { name: "heat".into(), title: "Share at k = 128".into(), kind }
}

fn panels() -> Figure {
    Figure { name: "both".into(), title: String::new(), kind: Plot::Panels(vec![curves(), heat(6, 12)]) }
}

/// Every tag that opens closes again, in order, and nothing is left unescaped.
fn assert_xml(text: &str) {
    let mut open = Vec::new();
    for piece in text.split('<').skip(1) {
        let (tag, rest) = piece.split_once('>').expect("a tag ends");
        assert!(!rest.contains('>'), "unescaped in '{rest}'");
        assert!(rest.split('&').skip(1).all(|entity| entity.contains(';')), "unescaped in '{rest}'");
        assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
        let name = tag.split([' ', '/']).find(|name| !name.is_empty()).expect("a tag has a name");
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "{open:?}");
}

#[test]
fn figures_are_xml_and_the_same_each_time() {
    for figure in [curves(), heat(6, 12), heat(48, 64), panels()] {
        let svg = to_svg(&figure);
        assert_xml(&svg);
        assert_eq!(svg, to_svg(&figure));
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{}", figure.name);
    }
    let svg = to_svg(&panels());
    assert!(
        svg.contains("n = 512 &amp; &lt;λ&gt;") && svg.contains(">a</text>") && svg.contains(">b</text>")
    );
}

#[test]
fn empty_figures_are_drawn_empty() {
    let kinds = [
        Plot::Curves(Curves::default()),
        Plot::Curves(Curves {
            series: vec![Series::default()],
            log_x: true,
            log_y: true,
            ..Curves::default()
        }),
        Plot::Panels(Vec::new()),
    ];
    for kind in kinds {
        assert_xml(&to_svg(&Figure { name: "empty".into(), title: String::new(), kind }));
    }
}

#[test]
fn gaps_break_a_line_and_long_spectra_are_thinned() {
    let x: Vec<f64> = (0..65_536).map(f64::from).collect();
    let y = x.iter().map(|x| if *x == 30_000.0 { f64::NAN } else { *x }).collect();
    let series = vec![Series { x, y, label: "σ".into(), ..Series::default() }];
    let figure = Figure {
        name: "long".into(),
        title: String::new(),
        kind: Plot::Curves(Curves { series, ..Curves::default() }),
    };
    let svg = to_svg(&figure);
    assert!(svg.len() < 40_000, "{} bytes", svg.len());
    assert_eq!(svg.matches("#0072b2").count(), 3, "two runs and the legend");
}
