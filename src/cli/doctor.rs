//! `luna doctor`: this build and this machine, for a bug report or beside a measurement.

use std::io::Write;
use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use super::exit::Failure;
use super::plain::{PlainFormat, write_json};
use crate::linalg::engine;
use crate::model::hub::Hub;
use crate::profile::calibrate::{self, Rate};
use crate::profile::{machine::Machine, ram};
use crate::report::printable;

/// Large enough for the rate of large products, and below a second for all four.
const CALIBRATION: (usize, usize) = (1024, 5);

/// Flags of `luna doctor`.
#[derive(Args, Clone, Debug)]
pub struct Doctor {
    /// How to write the findings
    #[arg(long, value_enum, default_value_t)]
    format: PlainFormat,
}

/// The findings.
#[derive(Debug, Serialize)]
struct Findings {
    version: &'static str,
    build: &'static str,
    features: Vec<&'static str>,
    engines: Vec<&'static str>,
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
    model_cache: Cache,
}

/// A calibrated rate of matrix products.
#[derive(Debug, Serialize)]
struct Gemm {
    scalar: &'static str,
    threads: usize,
    best_gflops: f64,
    median_gflops: f64,
}

/// The folder in which models of the hub are looked for.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Cache {
    folder: PathBuf,
    exists: bool,
    /// The environment variables that decide it, as far as they are set.
    variables: Vec<(&'static str, String)>,
    offline: bool,
}

/// The environment variables that [`Hub`] reads.
const VARIABLES: &[&str] =
    &["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "HF_HUB_OFFLINE", "HF_ENDPOINT"];

impl Doctor {
    /// Measures for about a second and writes the findings.
    pub fn run(&self, out: &mut dyn Write) -> Result<(), Failure> {
        let findings = Findings::gather();
        match self.format {
            PlainFormat::Json => write_json(&findings, out)?,
            PlainFormat::Table => {
                for (name, value) in findings.lines() {
                    writeln!(out, "{name:<14}{}", printable(&value))?;
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
            engines: engine::ALL
                .iter()
                .filter(|(engine, ..)| engine.is_built())
                .map(|(_, name, _)| *name)
                .collect(),
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
            model_cache: Cache::find(|name| std::env::var(name).ok().filter(|value| !value.is_empty())),
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
        let Cache { folder, exists, variables, offline } = &self.model_cache;
        let state = if *exists { "" } else { " (not there)" };
        lines.push(("model cache", format!("{}{state}", folder.display())));
        for (name, value) in variables {
            lines.push(("", format!("{name}={value}")));
        }
        if *offline {
            lines.push(("", "offline: nothing is downloaded".to_string()));
        }
        lines
    }
}

impl Cache {
    fn find(get: impl Fn(&str) -> Option<String>) -> Self {
        let hub = Hub::from_variables(&get);
        Self {
            exists: hub.cache.is_dir(),
            folder: hub.cache,
            variables: VARIABLES.iter().filter_map(|name| Some((*name, get(name)?))).collect(),
            offline: hub.offline,
        }
    }
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
    fn the_cache_is_shown_with_what_decides_it() {
        let cache = Cache::find(|name| (name == "HF_HOME").then(|| "/no/such".to_string()));
        assert_eq!((cache.folder, cache.exists), (PathBuf::from("/no/such/hub"), false));
        assert_eq!(cache.variables, [("HF_HOME", "/no/such".to_string())]);
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(size(Some(1 << 19)), "0.5 MiB");
        assert_eq!(size(Some(3 << 29)), "1.5 GiB");
        assert_eq!(size(None), "unknown");
    }
}
