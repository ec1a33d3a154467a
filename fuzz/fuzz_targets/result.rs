//! The text of a result or of a page: read or refused in one line, never a panic; what is read is written back, shown, compared
//! and set on a page, from which it is read again.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;
use luna::report::page::to_html;
use luna::report::{Format, Report, Style};
use luna::study::runs::{DiffConfig, Run, View, compose};

fn written(report: &Report, format: &str) -> String {
    let mut out = Vec::new();
    Format::find(format).expect("a format").write(report, Style::default(), &mut out).expect("memory");
    String::from_utf8(out).expect("text")
}

fn line<T>(found: luna::Result<T>) -> Option<T> {
    found.inspect_err(|error| assert!(!error.to_string().contains('\n'), "{error:?}")).ok()
}

fuzz_target!(|text: &str| {
    let path = Path::new("result.json");
    line(Run::of_page(path, text));
    let Some(run) = line(Run::parse(path, text)) else { return };
    let json = written(&run.report, "json");
    let again = Run::parse(path, &json).expect("what was written");
    assert_eq!(written(&again.report, "json"), json);
    for (by, sort) in [("layer", "n:desc"), ("head", "effective_rank"), ("n", "rows")] {
        let view = View { by: Some(by.into()), sort: sort.parse().ok(), ..View::default() };
        let mut report = run.report.clone();
        if line(view.apply(&mut report, &run.columns)).is_some() {
            written(&report, "table");
        }
    }
    if let Some(page) = line(compose(std::slice::from_ref(&run), |_| None)) {
        let again = Run::of_page(path, &to_html(&page)).expect("a page that was written");
        assert_eq!(again[0].report.rows.rows.len(), run.report.rows.rows.len());
    }
    if let Some(diff) = line(DiffConfig::default().compare(&[run.clone(), run])) {
        let index = diff.report.rows.index("diff").expect("a column");
        assert!(diff.report.rows.rows.iter().all(|row| row[index].number() == Some(0.0)));
    }
});
