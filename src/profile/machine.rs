//! A description of this machine: processor, vector units, threads, system. `None` where the system does not tell.

use super::{granted, ram};

/// A description of this machine, for the stamp of a result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The processor's name.
    pub cpu: Option<String>,
    /// The vector instructions that this program can use and the processor has, narrowest first.
    pub features: Vec<&'static str>,
    /// Threads that can run at once for this process.
    pub cores: usize,
    /// Bytes of memory, or the limit of this process.
    pub memory_total: Option<u64>,
    /// Bytes of it that are available.
    pub memory_available: Option<u64>,
    /// The operating system and its architecture.
    pub os: String,
}

impl Machine {
    /// Reads it from the system.
    pub fn read() -> Self {
        Self {
            cpu: cpu(),
            features: features(),
            cores: cores(),
            memory_total: ram::total(),
            memory_available: ram::available(),
            os: format!("{} ({})", system(), std::env::consts::ARCH),
        }
    }
}

/// Threads that can run at once for this process: the least of its affinity, the quotas of its control groups, and what a
/// batch system granted it. 1 if the system does not tell.
pub fn cores() -> usize {
    let allowed = std::thread::available_parallelism().map_or(1, usize::from);
    granted::cores().map_or(allowed, |granted| granted.min(allowed))
}

/// The vector instructions that this program can use and the processor has, narrowest first.
pub fn features() -> Vec<&'static str> {
    macro_rules! present {
        ($detected:ident: $($feature:tt),*) => {
            [$(($feature, std::arch::$detected!($feature))),*]
        };
    }
    #[cfg(target_arch = "x86_64")]
    let all = present!(is_x86_feature_detected:
        "sse4.2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512bf16", "avx512vnni");
    #[cfg(target_arch = "aarch64")]
    let all = present!(is_aarch64_feature_detected: "neon", "fp16", "dotprod", "bf16", "sve");
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let all: [(&'static str, bool); 0] = [];
    all.into_iter().filter_map(|(feature, present)| present.then_some(feature)).collect()
}

fn cpu() -> Option<String> {
    named(&std::fs::read_to_string("/proc/cpuinfo").ok()?)
}

/// The processor's name in the text of `/proc/cpuinfo`: the key depends on the architecture.
fn named(cpuinfo: &str) -> Option<String> {
    ["model name", "Hardware", "Model", "cpu model", "cpu", "uarch"].iter().find_map(|word| {
        cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            let value = value.trim();
            (key.trim() == *word && !value.is_empty()).then(|| value.to_string())
        })
    })
}

fn system() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    pretty(&release).unwrap_or_else(|| std::env::consts::OS.to_string())
}

fn pretty(release: &str) -> Option<String> {
    let value = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let value = value.trim_matches(['"', '\'']);
    (!value.is_empty()).then(|| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_the_processor_depends_on_the_architecture() {
        assert_eq!(named("processor\t: 0\nmodel name\t: AMD EPYC\n").as_deref(), Some("AMD EPYC"));
        assert_eq!(named("processor\t: 0\n\nHardware\t: BCM2835\n").as_deref(), Some("BCM2835"));
        assert_eq!(named("processor\t: 0\nmodel name\t:\n"), None);
    }

    #[test]
    fn systems_are_named_by_their_release() {
        assert_eq!(pretty("ID=debian\nPRETTY_NAME=\"Debian 12\"\n").as_deref(), Some("Debian 12"));
        assert_eq!(pretty("ID=debian\n"), None);
    }

    #[test]
    fn this_machine_can_be_described() {
        let machine = Machine::read();
        assert!(machine.cores > 0);
        assert!(machine.memory_available <= machine.memory_total);
    }
}
