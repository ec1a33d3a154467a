//! `luna report`: the page as text, as data, and in a real browser.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::prelude::{BASE64_STANDARD, Engine};
use luna::report::page::to_html;
use luna::report::{Cell, Curves, Figure, Heat, Plot, Report, Series};
use luna::study::runs::{DiffConfig, Run, compose};
use ndarray::{Array2, Array3, Axis};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::program::{arg, luna, refusal};
use super::{ranks, result};

/// What is done on a page, and what is recorded before it is loaded.
const DRIVER: &str = include_str!("driver.js");
const RECORDER: &str = "window.errors = []; addEventListener('error', e => errors.push(e.message)); \
    addEventListener('securitypolicyviolation', e => errors.push('blocked ' + e.blockedURI));";

/// A run of two layers of the built-in model in `dir/run`, and its page.
fn page(dir: &Path) -> (PathBuf, PathBuf) {
    let (run, page) = (dir.join("run"), dir.join("page.html"));
    let options = "svd-spectrum --layers 0-1 --seq-len 48 --windows 2 --quiet --out";
    let done = luna(&options.split(' ').chain([arg(&run)]).collect::<Vec<_>>());
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let done = luna(&["report", arg(&run), "-o", arg(&page), "--markdown"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    (run, page)
}

/// The first browser of these names that opens a page here; none if there is none.
fn browser() -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let files = std::env::split_paths(&paths).flat_map(|path| names.map(|name| path.join(name)));
    let folder = tempfile::tempdir().expect("a folder");
    files.filter(|file| file.is_file()).find(|file| {
        let output = headless(file, folder.path()).arg("data:text/html,<p>opened").output();
        output.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains("opened</p>"))
    })
}

/// A browser that prints a page after its script ran, with its profile in a folder.
fn headless(browser: &Path, profile: &Path) -> Command {
    let mut command = Command::new(browser);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
    command.args(["--virtual-time-budget=10000", "--dump-dom"]);
    command.arg(format!("--user-data-dir={}", profile.display()));
    command
}

/// What the driver found on a page in a window of this width.
fn driven(browser: &Path, html: &str, width: usize) -> Value {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("page.html");
    let hash = |script: &str| BASE64_STANDARD.encode(Sha256::digest(script));
    let allowed = format!("script-src 'sha256-{}' 'sha256-{}' ", hash(RECORDER), hash(DRIVER));
    let html = html
        .replacen("script-src ", &allowed, 1)
        .replacen("<style>", &format!("<script>{RECORDER}</script>\n<style>"), 1)
        .replacen("</body>", &format!("<script>{DRIVER}</script></body>"), 1);
    fs::write(&file, html).expect("a file");
    let output = headless(browser, &folder.path().join("profile"))
        .arg(format!("--window-size={width},900"))
        .arg(format!("file://{}", file.display()))
        .output()
        .expect("the browser starts");
    let text = String::from_utf8_lossy(&output.stdout);
    let answers = text.split_once("<pre id=\"answers\">").and_then(|(_, rest)| rest.split_once("</pre>"));
    let Some((answers, _)) = answers else {
        panic!("no answers: {}", String::from_utf8_lossy(&output.stderr));
    };
    let plain = answers.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&plain).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|one| one.as_f64().expect("a number")).collect()
}

#[test]
fn a_reader_points_clicks_sorts_and_copies() {
    let folder = tempfile::tempdir().expect("a folder");
    let (run, page) = page(folder.path());
    let html = fs::read_to_string(&page).expect("a page");
    let Some(browser) = browser() else {
        eprintln!("SKIPPED: no Chromium on this machine, so the page was not opened");
        return;
    };
    let found = driven(&browser, &html, 1280);
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_string();
    assert_eq!(found.get("failed"), None, "{found}");
    assert_eq!((&found["errors"], &found["requests"]), (&Value::Array(vec![]), &Value::Array(vec![])));
    assert!(
        text("pointed").starts_with("leading singular values k ") && text("pointed").contains("null"),
        "{found}"
    );
    assert_ne!(text("pointed"), text("keyed"));
    assert_eq!(found["axes"].to_string(), r#"["x axis: logarithmic","y axis: linear"]"#);
    for (changed, label) in
        found["changed"].as_array().expect("a list").iter().zip(["x axis: linear", "y axis: logarithmic"])
    {
        assert_eq!(
            (&changed[0], &changed[1], &changed[3]),
            (&label.into(), &true.into(), &true.into()),
            "{changed}"
        );
        let ticks = changed[2].as_array().expect("a list");
        assert!(
            ticks.len() > 6
                && ticks.iter().all(|tick| tick.as_str().is_some_and(|one| one.parse::<f64>().is_ok())),
            "{changed}"
        );
    }
    assert_eq!(found["restored"], true);
    assert_eq!(found["hidden"].to_string(), r#"["false",true]"#);
    assert_eq!(found["shown"].to_string(), r#"["true",false]"#);
    // The last cell is layer 1, head 3; its spectrum stands beside both null models, over two windows.
    assert!(text("cell").starts_with("layer 1, head 3: cum_l1_at_"), "{found}");
    assert_eq!((text("head").as_str(), &found["rows"]), ("layer 1, head 3", &2.into()));
    assert_eq!(found["legend"].to_string(), r#"["this head","gaussian null","shuffled null"]"#);
    let sizes = numbers(&found["curves"]);
    assert!(sizes.len() == 3 && sizes.iter().all(|size| *size > 10.0 && *size == sizes[0]), "{found}");
    assert!(text("end").contains("k 48: about this head 1;"), "{}", text("end"));
    let (up, down) = (numbers(&found["ascending"]), numbers(&found["descending"]));
    assert!(up.len() == 8 && up.windows(2).all(|pair| pair[0] <= pair[1]));
    assert!(down.windows(2).all(|pair| pair[0] >= pair[1]) && found["sorted"] == "descending");
    let lower = found["filtered"].as_u64().expect("a count");
    assert_eq!(text("copied").lines().count() as u64, lower + 1);
    // Copied numbers of all rows are those of the result.
    assert_eq!(found["all"], 16);
    let csv = fs::read_to_string(run.join("result.csv")).expect("a table");
    let (copied, first) = (text("exact"), csv.lines().nth(1).expect("a row"));
    let same = |(a, b): (&str, &str)| a == b || a.parse::<f64>().ok() == b.parse::<f64>().ok();
    assert!(
        copied.lines().nth(1).expect("a row").split(',').zip(first.split(',')).all(same),
        "{first}\n{copied}"
    );
    // A script that is not the page's own does not run.
    let other = html.replacen("</main>", "</main><script>errors.push('ran')</script>", 1);
    assert_eq!(driven(&browser, &other, 1280)["errors"].to_string(), r#"["blocked inline"]"#);
    // Nothing is wider than a narrow page, but for tables that are scrolled.
    assert_eq!(driven(&browser, &html, 500)["narrow"], 0);
}

#[test]
fn a_page_is_one_file_and_is_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (run, page) = page(folder.path());
    let html = fs::read_to_string(&page).expect("a page");
    // Names of the languages of XML are no addresses.
    let plain = html.replace("http://www.w3.org/2000/svg", "");
    for foreign in ["http:", "https:", "src=", "url(", "@import", "<link"] {
        assert!(!plain.contains(foreign), "{foreign}");
    }
    let script =
        html.rsplit_once("<script>").and_then(|(_, rest)| rest.split_once("</script>")).expect("a script").0;
    assert!(script.len() < 15_000, "a script of {} bytes", script.len());
    let text = fs::read_to_string(page.with_extension("md")).expect("Markdown");
    for said in ["## What came out", "effective rank against the null models", "svd-spectrum --layers 0-1"] {
        assert!(html.contains(said.trim_start_matches("## ")) && text.contains(said), "{said}");
    }
    let runs = [run.clone(), page.clone()];
    let compared =
        DiffConfig { runs: runs.to_vec(), ..DiffConfig::default() }.run().expect("a comparison").report;
    let verdicts: Vec<String> = compared.rows.cells("verdict").expect("verdicts").map(Cell::exact).collect();
    assert!(verdicts.len() > 100 && verdicts.iter().all(|verdict| verdict == "equal"));
    let shown = |path: &Path| luna(&["show", arg(path), "--format", "csv"]).stdout;
    assert_eq!(shown(&run), shown(&page));
    // A page of several runs is compared as it is, and is not one run.
    let both = folder.path().join("both.html");
    assert!(luna(&["report", arg(&run), arg(&page), "-o", arg(&both)]).status.success());
    let html = fs::read_to_string(&both).expect("a page");
    assert!(html.contains("Beside each other") && html.contains("2 runs of luna"));
    assert!(luna(&["diff", arg(&both)]).status.success());
    let (code, line) = refusal(&["show", arg(&both)]);
    assert!(code == 1 && line.contains("is a page of 2 runs"), "{line}");
    let (code, line) = refusal(&["report", arg(&both), "-o", arg(&both)]);
    assert!(code == 1 && line.contains("not one of the runs"), "{line}");
    let other = luna(&["report", arg(&run), "-o", "page.htm"]);
    let said = String::from_utf8(other.stderr).expect("text");
    assert!(other.status.code() == Some(2) && said.contains("a file that ends in .html"), "{said}");
}

#[test]
fn only_a_verdict_is_a_finding() {
    let text = |notes: &[&str], more: Value| {
        let mut one = result(ranks);
        one["notes"] = notes.to_vec().into();
        one["stamp"].as_object_mut().expect("a stamp").extend(more.as_object().expect("facts").clone());
        let run = Run::parse(Path::new("one"), &one.to_string()).expect("a run");
        let html = to_html(&compose(&[run], |_| None).expect("a page"));
        let findings = html.split("<p class=\"finding\">").skip(1);
        findings.map(|one| one.split('<').next().expect("text").to_string()).collect::<Vec<_>>()
    };
    let verdict = "effective rank against the null models: 4 lower";
    let found =
        text(&["stopped early", verdict, "verdicts: by windows", "rounding"], json!({ "interrupted": true }));
    assert_eq!(
        (&found[0][..24], &found[1][..], &found[2][..]),
        ("this run was interrupted", verdict, "verdicts: by windows")
    );
    // The mean of 12 rows: ranks 3, 4, 13 and 14, and 0, 0.25 and 0.5 by window.
    assert!(
        found.len() == 4 && found[3].starts_with("effective_rank ()") && found[3].contains(": 8.8 (95 %: "),
        "{found:?}"
    );
    let without = text(&["rounding", "the windows are of one text"], json!({}));
    assert!(without.len() == 1 && without[0].contains("8.8"), "{without:?}");
    assert!(text(&["rounding"], json!({ "method": "lanczos" })).is_empty());
    assert!(text(&["intervals: Student's"], json!({ "study": "approx-error" })).is_empty());
}

#[test]
fn an_edited_or_cut_page_ends_in_one_line() {
    let one = Run::parse(Path::new("one"), &result(ranks).to_string()).expect("a run");
    let html = to_html(&compose(&[one], |_| None).expect("a page"));
    let path = Path::new("page.html");
    assert_eq!(Run::of_page(path, &html).expect("a run").len(), 1);
    for length in (0..html.len()).step_by(97).filter(|at| html.is_char_boundary(*at)) {
        match Run::of_page(path, &html[..length]) {
            Ok(runs) => panic!("{} of {} bytes are read as {} runs", length, html.len(), runs.len()),
            Err(error) => assert!(!error.to_string().contains('\n'), "{error}"),
        }
    }
    for (from, to) in
        [("\"rows\":[[", "\"rows\":[[9,"), ("\"rows\":", "\"rowz\":"), ("\"version\":\"", "\"version\":\"9")]
    {
        let error = Run::of_page(path, &html.replacen(from, to, 1)).expect_err("an edited page").to_string();
        assert!(error.starts_with("page.html") || error.contains("page.html"), "{error}");
    }
}

#[test]
fn a_figure_that_would_run_something_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let (run, page) = page(folder.path());
    let figure = run.join("spectrum.svg");
    let svg = fs::read_to_string(&figure).expect("a figure");
    fs::remove_file(run.join("manifest.json")).expect("a manifest");
    let manifest = |svg: &str| {
        let listed = format!(r#"{{"name":"spectrum.svg","bytes":{}}}"#, svg.len());
        let stamp = Run::open(&run).expect("a run").report.stamp.to_json();
        fs::write(run.join("manifest.json"), format!(r#"{{"stamp":{stamp},"files":[{listed}]}}"#))
            .expect("a file");
    };
    for bad in [
        svg.replacen("<path ", "<path onclick=\"x()\" ", 1),
        svg.replacen("<path ", "<script>x()</script><path ", 1),
        svg.replacen("<path ", "<a href=\"x\"/><path ", 1),
        svg.replacen("<path ", "<style>a</style><path ", 1),
        svg.replacen("<path ", "<svg ONLOAD=\"x()\"></svg><path ", 1),
        svg.replacen("<path ", "<svg/onload=\"x()\"></svg><path ", 1),
        svg.replacen("<path ", "<svg r=\"1\"onload=\"x()\"></svg><path ", 1),
        svg.replacen("<path ", "<path style=\"position:fixed\" ", 1),
        "<svg x=\"".into(),
    ] {
        fs::remove_file(run.join("manifest.json")).ok();
        manifest(&bad);
        fs::write(&figure, &bad).expect("a file");
        let (code, line) = refusal(&["report", arg(&run), "-o", arg(&page)]);
        assert!(code == 1 && line.contains("is not a figure that luna drew"), "{line}");
    }
    fs::write(&figure, &svg).expect("a file");
    fs::remove_file(run.join("manifest.json")).ok();
    manifest(&svg);
    assert!(luna(&["report", arg(&run), "-o", arg(&page)]).status.success());
}

/// A run of 20 layers of 50 heads that has all columns, figures and spectra of one of `svd-spectrum`.
fn large(small: &Run, dir: &Path) {
    const HEADS: usize = 1000;
    let mut report: Report = small.report.clone();
    let place = |name: &str| report.rows.index(name).expect("a column");
    let (layer, head, rows) = (place("layer"), place("head"), report.rows.rows.clone());
    let row = |index: usize| {
        let mut row = rows[index % rows.len()].clone();
        (row[layer], row[head]) = (Cell::from(index / 50), Cell::from(index % 50));
        for cell in &mut row {
            if let Cell::Float(value) = cell {
                *value *= 1.0 + index as f64 * 1.1e-5;
            }
        }
        row
    };
    report.rows.rows = (0..HEADS).map(row).collect();
    for (_, view) in &mut report.views {
        let few = view.rows.clone();
        view.rows = (0..HEADS).map(|index| few[index % few.len()].clone()).collect();
    }
    let curve =
        |index: usize| (1..=512).map(move |k| 1.0 - (-f64::from(k) / (20.0 + index as f64 / 9.0)).exp());
    let series = (0..HEADS).map(|index| Series {
        label: if index == 0 { "each head".into() } else { String::new() },
        name: format!("layer {} head {}", index / 50, index % 50),
        x: (1..=512).map(f64::from).collect(),
        y: curve(index).collect(),
        faint: true,
        ..Series::default()
    });
    let lines = Curves { log_x: true, series: series.collect(), ..Curves::default() };
    let [row_label, col_label, value_label] = ["layer", "head", "cum_l1_at_128"].map(String::from);
    let values = Array2::from_shape_fn((20, 50), |(i, j)| 1.0 / (1.0 + i as f64 * 50.0 + j as f64));
    let heat = Heat { row_label, col_label, value_label, values };
    let panel = |kind| Figure { name: "p".into(), title: "t".into(), kind };
    let panels = vec![panel(Plot::Curves(lines)), panel(Plot::Heat(heat))];
    report.figures = vec![Figure { kind: Plot::Panels(panels), ..panel(Plot::Panels(Vec::new())) }];
    let shares = Array3::from_shape_fn((2, HEADS, 512), |(_, i, k)| curve(i).nth(k).expect("a value"));
    for (at, null) in ["gaussian", "shuffled"].iter().enumerate() {
        let name = format!("null_{null}_cumulative_n48");
        report.arrays.push((name, shares.index_axis(Axis(0), at).to_owned().into_dyn()));
    }
    report.arrays.push(("singular_values_n48".into(), shares.index_axis(Axis(0), 0).to_owned().into_dyn()));
    luna::report::folder::write(&report, dir).expect("a run");
}

#[test]
fn a_page_of_a_thousand_heads_is_small_and_says_what_it_lacks() {
    let folder = tempfile::tempdir().expect("a folder");
    let (small, _) = page(folder.path());
    let dir = folder.path().join("large");
    large(&Run::open(&small).expect("a run"), &dir);
    let run = Run::open(&dir).expect("a run");
    let html = to_html(&compose(std::slice::from_ref(&run), |_| None).expect("a page"));
    if let Some(file) = std::env::var_os("LUNA_PAGE") {
        fs::write(file, &html).expect("a page to look at");
    }
    assert!(html.len() <= 2_000_000, "{} bytes", html.len());
    assert!(html.contains("columns are not on the page") && html.contains("significant digits"));
    let back = Run::of_page(Path::new("page.html"), &html).expect("a run").remove(0);
    assert_eq!(back.report.rows.rows.len(), 1000);
    for name in ["layer", "head", "cum_l1_at_32", "effective_rank"] {
        let (one, other) = (&run.report.rows, &back.report.rows);
        let cells = one.cells(name).expect("a column").zip(other.cells(name).expect("a column on the page"));
        for (a, b) in cells {
            let (a, b) = (a.number(), b.number());
            assert!(a == b || (a.unwrap_or(0.0) / b.unwrap_or(1.0) - 1.0).abs() < 1e-6, "{name}");
        }
    }
    let Some(browser) = browser() else {
        eprintln!("SKIPPED: no Chromium on this machine, so the page was not opened");
        return;
    };
    let found = driven(&browser, &html, 1280);
    assert_eq!((found.get("failed"), &found["errors"]), (None, &Value::Array(vec![])), "{found}");
    assert_eq!((&found["all"], &found["head"]), (&1000.into(), &"layer 19, head 49".into()));
}
