//! `luna doctor`: what this program and this machine are, for a report of a problem or beside a measurement.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::list::{Entry, Registry};
use super::{Failure, Format};
use crate::linalg::engine;
use crate::profile::calibrate::{self, Rate};
use crate::profile::{machine::Machine, ram};

/// Large enough for the rate of large products, and below a second for all four.
const CALIBRATION: (usize, usize) = (1024, 5);

/// What `luna doctor` takes.
#[derive(Args, Clone, Debug)]
pub struct Doctor {
    /// How to write the findings
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Everything found.
#[derive(Debug, Serialize)]
struct Findings {
    version: &'static str,
    build: &'static str,
    features: Vec<&'static str>,
    engines: Vec<String>,
    os: String,
    cpu: Option<String>,
    cpu_features: Vec<&'static str>,
    cores: usize,
    threads: usize,
    memory_total_bytes: Option<u64>,
    memory_available_bytes: Option<u64>,
    memory_peak_bytes: Option<u64>,
    gemm_n: usize,
    gemm: Vec<Gemm>,
    caches: Vec<Cache>,
}

/// A calibrated rate of matrix products.
#[derive(Debug, Serialize)]
struct Gemm {
    scalar: &'static str,
    threads: usize,
    best_gflops: f64,
    median_gflops: f64,
}

/// A folder in which models of the hub are looked for.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Cache {
    from: &'static str,
    folder: PathBuf,
    exists: bool,
}

/// The engines of decompositions that this build has.
pub(super) fn engines() -> Registry {
    let built = engine::ALL.iter().filter(|(engine, ..)| engine.is_built());
    let entries = built.map(|(_, name, about)| Entry::new(*name, *about)).collect();
    Registry { kind: "engine", about: "what decomposes matrices, named by --engine", entries }
}

impl Doctor {
    /// Looks around, measures for about a second, and writes what was found.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let findings = Findings::gather();
        match self.format {
            Format::Json => super::write_json(&findings, out)?,
            Format::Table => {
                for (name, value) in findings.lines() {
                    writeln!(out, "{name:<14}{value}")?;
                }
            }
        }
        Ok(())
    }
}

impl Findings {
    fn gather() -> Self {
        let machine = Machine::read();
        let threads = rayon::current_num_threads();
        let (n, rounds) = CALIBRATION;
        let rates = calibrate::gemm(n, rounds);
        let gemm = |scalar, threads, rate: Rate| Gemm {
            scalar,
            threads,
            best_gflops: rate.best,
            median_gflops: rate.median,
        };
        let features = [("lapack", cfg!(feature = "lapack")), ("download", cfg!(feature = "download"))];
        Self {
            version: env!("CARGO_PKG_VERSION"),
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            features: features.into_iter().filter_map(|(name, on)| on.then_some(name)).collect(),
            engines: engines().entries.into_iter().map(|entry| entry.name).collect(),
            os: machine.os,
            cpu: machine.cpu,
            cpu_features: machine.features,
            cores: machine.cores,
            threads,
            memory_total_bytes: machine.memory_total,
            memory_available_bytes: machine.memory_available,
            memory_peak_bytes: ram::peak(),
            gemm_n: n,
            gemm: vec![
                gemm("f32", 1, rates.f32_one),
                gemm("f32", threads, rates.f32_all),
                gemm("f64", 1, rates.f64_one),
                gemm("f64", threads, rates.f64_all),
            ],
            caches: caches(|name| std::env::var_os(name)),
        }
    }

    fn lines(&self) -> Vec<(&'static str, String)> {
        let or_none = |words: &[&str]| if words.is_empty() { "none".into() } else { words.join(" ") };
        let unknown = || "unknown".to_string();
        let (total, available) = (self.memory_total_bytes, self.memory_available_bytes);
        let mut lines = vec![
            ("version", format!("luna {} ({} build)", self.version, self.build)),
            ("features", or_none(&self.features)),
            ("engines", self.engines.join(" ")),
            ("system", self.os.clone()),
            ("processor", self.cpu.clone().unwrap_or_else(unknown)),
            ("vector units", or_none(&self.cpu_features)),
            ("threads", format!("{} of {} cores", self.threads, self.cores)),
            ("memory", format!("{}, {} free", size(total), size(available))),
            ("peak memory", size(self.memory_peak_bytes)),
        ];
        for rate in &self.gemm {
            let Gemm { scalar, threads, best_gflops, median_gflops } = rate;
            let threads = if *threads == 1 { "1 thread".into() } else { format!("{threads} threads") };
            let product = format!("{scalar}, n {}, {threads}", self.gemm_n);
            let value = format!("{product}: {median_gflops:.0} GFLOP/s (best {best_gflops:.0})");
            lines.push(("product", value));
        }
        for Cache { from, folder, exists } in &self.caches {
            let state = if *exists { "" } else { ", not there" };
            lines.push(("model cache", format!("{} (from {from}{state})", folder.display())));
        }
        lines
    }
}

/// Where models of the hub are looked for, in the order of the Hugging Face tools: the first one counts.
fn caches(variable: impl Fn(&str) -> Option<OsString>) -> Vec<Cache> {
    let set = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let places = [
        ("HF_HUB_CACHE", set("HF_HUB_CACHE")),
        ("HF_HOME", set("HF_HOME").map(|home| home.join("hub"))),
        ("the home folder", set("HOME").map(|home| home.join(".cache/huggingface/hub"))),
    ];
    let found = places.into_iter().filter_map(|(from, folder)| Some((from, folder?)));
    found.map(|(from, folder)| Cache { from, exists: folder.is_dir(), folder }).collect()
}

fn size(bytes: Option<u64>) -> String {
    const MIB: f64 = (1 << 20) as f64;
    match bytes.map(|bytes| bytes as f64 / MIB) {
        None => "unknown".to_string(),
        Some(mib) if mib < 1024.0 => format!("{mib:.1} MiB"),
        Some(mib) => format!("{:.1} GiB", mib / 1024.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_come_in_the_order_in_which_they_count() {
        let set = |name: &str| match name {
            "HF_HOME" => Some(OsString::from("/hf")),
            "HF_HUB_CACHE" => Some(OsString::new()),
            _ => Some(OsString::from("/home/ada")),
        };
        let folders: Vec<_> = caches(set).into_iter().map(|cache| (cache.from, cache.folder)).collect();
        let expected = [
            ("HF_HOME", PathBuf::from("/hf/hub")),
            ("the home folder", PathBuf::from("/home/ada/.cache/huggingface/hub")),
        ];
        assert_eq!(folders, expected);
        assert_eq!(caches(|_| None), []);
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size(Some(1 << 19)), "0.5 MiB");
        assert_eq!(size(Some(3 << 29)), "1.5 GiB");
        assert_eq!(size(None), "unknown");
    }
}
