//! Options: values out of range, unknown names, conflicting options.

use std::process::Command;

use super::{misused, refusal, refused, with};

#[test]
fn values_out_of_range() {
    refused(with(&["--at", "0"]), &["--at: '0' is not accepted", "1 or more"]);
    refused(with(&["--at", "16,0"]), &["--at: '0'", "1 or more"]);
    refused(with(&["--show-at", "99"]), &["--show-at: '99'", "one of --at 2,4"]);
    refused(with(&["--windows", "0"]), &["--windows: '0'", "1 or more"]);
    refused(with(&["--seq-len", "0"]), &["--seq-len: '0'", "1 or more"]);
    refused(with(&["--seq-len", "64,0"]), &["--seq-len: '0'", "1 or more"]);
    refused(with(&["--null-draws", "0"]), &["--null-draws: '0'", "1 or more"]);
    refused(with(&["--top", "0"]), &["--top: '0'", "1 or more"]);
    refused(with(&["--rounds", "0"]), &["--rounds: '0'", "1 or more"]);
    for tolerance in ["0", "nan", "inf"] {
        refused(with(&["--tolerance", tolerance]), &["--tolerance: ", "a finite number above 0"]);
    }
    refused(with(&["--layers", "3"]), &["--layers: '3'", "accepted: "]);
    refused(with(&["--heads", "1"]), &["--heads: '1'", "accepted: "]);
}

#[test]
fn values_that_are_none() {
    misused(&["--at", "x"], &["'--at", "'x'", "a whole number"]);
    misused(&["--at", ""], &["'--at", "a whole number"]);
    misused(&["--heads", "3-1"], &["'--heads", "'3-1'", "0-3,7"]);
    misused(&["--windows", "many"], &["'--windows", "'many'"]);
    misused(&["--method", "lanczoz"], &["'--method", "exact, quadrature, lanczos", "'lanczos'"]);
    misused(&["--threads", "0"], &["'--threads", "1..=1024"]);
    misused(&["--bogus"], &["'--bogus'"]);
}

/// Options that the method would ignore are refused.
#[test]
fn options_of_the_other_method() {
    let lanczos = |flag: &str, value: &str| {
        let accepted = [&format!("{flag}: '{value}'"), "only beside --method exact or quadrature"];
        refused(with(&["--method", "lanczos", &format!("{flag}={value}")]), &accepted);
    };
    lanczos("--null", "gaussian");
    lanczos("--null-draws", "5");
    lanczos("--aggregate", "yes");
    refused(with(&["--top", "4"]), &["--top: '4'", "only beside --method lanczos"]);
    refused(with(&["--rounds", "4"]), &["--rounds: '4'", "only beside --method quadrature or lanczos"]);
    refused(
        with(&["--tolerance", "0.1"]),
        &["--tolerance: '0.1'", "only beside --method quadrature or lanczos"],
    );
    refused(with(&["--probes", "8"]), &["--probes: '8'", "only beside --method quadrature"]);
    let quadrature = |flags: &[&str]| with(&[&["--method", "quadrature"], flags].concat());
    refused(quadrature(&["--top", "8"]), &["--top: '8'", "only beside --method lanczos"]);
    refused(quadrature(&["--probes", "3"]), &["--probes: '3'", "4 to 1024"]);
    refused(quadrature(&["--engine", "faer"]), &["--engine with --method quadrature: 'faer'"]);
}

#[test]
fn unknown_synthetic_heads() {
    let refused = |spec: &str, parts: &[&str]| refused(with(&["--synthetic", spec]), parts);
    refused("gausian", &["synthetic input 'gausian'", "did you mean 'gaussian'?", "known: gaussian, "]);
    refused("local:width=3", &["'local' takes no parameter 'width'", "it takes: w="]);
    refused("local:w=4", &["'w'", "'local'", "'4'", "an odd number"]);
    refused("gaussian:logit_sd=-1", &["'logit_sd'", "'-1'", "a finite number above 0"]);
    refused("gaussian:logit_sd=nan", &["'logit_sd'", "a finite number"]);
    refused("gaussian:d_h=0", &["'d_h'", "'0'", "1 or more"]);
    refused("rank:r=0", &["'r'", "'0'", "1 or more"]);
    refused("rank:r", &["'rank:r'", "accepted: "]);
    refused("", &["accepted: "]);
    refused("identity,,uniform", &["accepted: "]);
}

#[test]
fn unknown_names() {
    refused(with(&["--null", "gausian"]), &["null model 'gausian'", "did you mean 'gaussian'?", "shuffled"]);
    misused(
        &["--format", "jsn"],
        &["format 'jsn'", "did you mean 'json'?", "table, json, csv, jsonl, markdown, latex"],
    );
    misused(&["--engine", "magma"], &["'--engine", "'magma'", "faer"]);
    let columns = with(&["--columns", "layer,efective_rank"]);
    refused(columns, &["column 'efective_rank'", "did you mean 'effective_rank'?"]);
}

#[test]
#[cfg(not(feature = "lapack"))]
fn an_engine_that_is_not_built_in() {
    misused(&["--engine", "lapack"], &["'--engine", "'lapack'", "--features lapack"]);
}

/// Where the backend changes nothing, there is no flag for it, and no stamp names it.
#[test]
fn an_engine_where_it_changes_nothing() {
    for study in ["approx-error", "scale-sweep", "train", "evaluate"] {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("luna"));
        command.args([study, "--engine", "faer"]);
        refusal(command, 2, &["unexpected argument '--engine'"]);
    }
    let lanczos = ["--method", "lanczos", "--top", "4", "--synthetic", "gaussian"];
    refused(
        with(&[&lanczos[..], &["--engine", "faer"]].concat()),
        &["--engine with --method lanczos: 'faer'"],
    );
    let stamp = |args: &[&str]| -> serde_json::Value {
        let output = with(&[args, &["--format", "json", "--quiet"]].concat()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()["stamp"].clone()
    };
    assert_eq!(stamp(&[])["engine"], "faer");
    assert!(stamp(&lanczos).get("engine").is_none());
    #[cfg(feature = "lapack")]
    assert_eq!(stamp(&["--engine", "lapack"])["engine"], "lapack");
}

#[test]
fn conflicting_options() {
    misused(&["--synthetic", "identity", "--model", "m"], &["'--synthetic <SPECS>'", "'--model <DIR|ID>'"]);
    misused(&["--attention", "a.npy", "--model", "m"], &["'--attention <FILE>'", "'--model <DIR|ID>'"]);
    misused(&["--attention", "a.npy", "--seq-len", "8"], &["'--attention <FILE>'", "'--seq-len"]);
    misused(&["--attention", "a.npy", "--causal"], &["'--attention <FILE>'", "'--causal'"]);
    for (option, input) in [
        ("--text", "--synthetic"),
        ("--tokens", "--synthetic"),
        ("--text", "--attention"),
        ("--tokens", "--attention"),
    ] {
        misused(&[option, "file", input, "a.npy"], &[option, input]);
    }
    misused(&["--tensor", "a", "--synthetic", "identity"], &["'--tensor", "'--synthetic"]);
    misused(&["--revision", "v1"], &["required", "--model <DIR|ID>"]);
}

#[test]
fn more_than_the_memory() {
    let exact = with(&["--method", "exact", "--seq-len", "4000000"]);
    refused(exact, &["--method exact at n = 4000000", "PiB, this machine has", "--method quadrature"]);
    // So long that the number of bytes overflows.
    let uncountable = usize::MAX.to_string();
    for n in ["100000000000", &uncountable] {
        // Where exact does not fit, quadrature is chosen.
        refused(with(&["--seq-len", n]), &["--method quadrature", n, "--method lanczos"]);
        let lanczos = with(&["--synthetic", "gaussian", "--method", "lanczos", "--seq-len", n]);
        refused(lanczos, &["--method lanczos", n, "this machine has", "need less"]);
        let top = with(&["--synthetic", "gaussian", "--method", "lanczos", "--top", n]);
        refused(top, &["--method lanczos", n, "this machine has", "need less"]);
    }
    refused(
        with(&["--synthetic", "gaussian", "--windows", &uncountable, "--method", "lanczos"]),
        &["--windows"],
    );
    refused(with(&["--synthetic", "gaussian", "--null-draws", &uncountable]), &["--null-draws"]);
}
