//! The memory available to this process, with the limits of its control groups; `None` on systems other than Linux.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

use super::granted;
use crate::error::{Error, Result};

/// Bytes of memory of the machine, or the lowest limit set on this process.
pub fn total() -> Option<u64> {
    let machine = field(&read_to_string("/proc/meminfo").ok()?, "MemTotal:")?;
    Some(limits().iter().fold(machine, |total, group| total.min(group.limit)))
}

/// Bytes that can be allocated before the machine swaps or a limit ends this process.
pub fn available() -> Option<u64> {
    let machine = field(&read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?;
    Some(limits().iter().fold(machine, |lowest, group| lowest.min(group.limit.saturating_sub(group.used))))
}

/// The maximum resident set of this process, in bytes.
pub fn peak() -> Option<u64> {
    field(&read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The resident set of this process in bytes; [`peak`] is then the maximum since this call. `None` where the system cannot
/// reset it.
pub fn rest() -> Option<u64> {
    // Linux: 5 resets the peak to the present value.
    std::fs::write("/proc/self/clear_refs", "5").ok()?;
    peak()
}

/// Refuses work that needs more bytes than are available; `instead` says what would need less.
pub fn require(what: impl Into<String>, needed: u64, instead: impl Into<String>) -> Result<()> {
    match available() {
        Some(available) if needed > available => Err(Error::Memory {
            what: what.into(),
            needed: show(needed),
            available: format!("{} available", show(available)),
            instead: instead.into(),
        }),
        _ => Ok(()),
    }
}

/// Bytes with the unit that leaves one to four digits before the point.
fn show(bytes: u64) -> String {
    let mut value = bytes as f64 / f64::from(1 << 20);
    for unit in ["MiB", "GiB", "TiB", "PiB"] {
        if value < 1024.0 {
            return format!("{value:.1} {unit}");
        }
        value /= 1024.0;
    }
    format!("{value:.1} EiB")
}

/// The figure after `name` in a file of `/proc`, where it is written in kB.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

/// A control group's limit and use, in bytes.
#[derive(Debug, PartialEq, Eq)]
struct Group {
    limit: u64,
    used: u64,
}

/// The limits on this process: its own group's and those of the enclosing groups, of both versions of control groups.
/// And what a batch system granted the job, which it may enforce by killing.
fn limits() -> Vec<Group> {
    let groups = read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = || field(&read_to_string("/proc/self/status").ok()?, "VmRSS:");
    let granted = granted::memory().map(|limit| Group { limit, used: own().unwrap_or(0) });
    places(&groups).iter().filter_map(Place::read).chain(granted).collect()
}

/// A folder that may hold a group's files, with the file names of its version.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    folder: PathBuf,
    limit: &'static str,
    used: &'static str,
    reclaimable: &'static str,
}

/// The folders to read, from the text of `/proc/self/cgroup` (lines `id:controllers:/path`).
fn places(groups: &str) -> Vec<Place> {
    let mut places = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let (root, limit, used, reclaimable) = if controllers.is_empty() {
            ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file")
        } else if controllers.split(',').any(|name| name == "memory") {
            let names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file");
            ("/sys/fs/cgroup/memory", names.0, names.1, names.2)
        } else {
            continue;
        };
        // The limits of enclosing groups hold too. In a container the path may be the host's and not exist; the root is
        // then the container's own group.
        places.extend(Path::new(path.trim_start_matches('/')).ancestors().map(|group| Place {
            folder: Path::new(root).join(group),
            limit,
            used,
            reclaimable,
        }));
    }
    places
}

impl Place {
    fn read(&self) -> Option<Group> {
        let figure = |name| read_to_string(self.folder.join(name)).ok()?.trim().parse::<u64>().ok();
        let limit = figure(self.limit)?; // "max", no number, is no limit
        let stat = read_to_string(self.folder.join("memory.stat")).unwrap_or_default();
        // Cached pages of files count as used and are reclaimed on demand.
        let reclaimable = entry(&stat, self.reclaimable).unwrap_or(0);
        Some(Group { limit, used: figure(self.used).unwrap_or(0).saturating_sub(reclaimable) })
    }
}

/// The figure of a line `name figure`.
fn entry(stat: &str, name: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_proc_are_in_kilobytes() {
        assert_eq!(field("MemTotal:       16 kB\nMemFree: 1 kB\n", "MemTotal:"), Some(16 * 1024));
        assert_eq!(field("MemTotal: much\n", "MemTotal:"), None);
        assert_eq!(field("MemTotal: 18446744073709551615 kB\n", "MemTotal:"), None);
    }

    #[test]
    fn groups_of_both_generations_are_looked_into() {
        let folders = |text: &str| -> Vec<String> {
            places(text).into_iter().map(|place| place.folder.display().to_string()).collect()
        };
        assert_eq!(
            folders("0::/user/job\n"),
            ["/sys/fs/cgroup/user/job", "/sys/fs/cgroup/user", "/sys/fs/cgroup/"]
        );
        assert_eq!(
            folders("4:cpu,memory:/a\n3:pids:/b\n"),
            ["/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/memory/"]
        );
        assert!(folders("nonsense\n").is_empty());
    }

    #[test]
    fn a_group_gives_back_what_it_can_reclaim() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place {
            folder: folder.path().to_path_buf(),
            limit: "memory.max",
            used: "memory.current",
            reclaimable: "inactive_file",
        };
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        assert_eq!(place.read(), None);
        write("memory.max", "1000\n");
        write("memory.current", "600\n");
        write("memory.stat", "inactive_file_x 9\ninactive_file 200\n");
        assert_eq!(place.read(), Some(Group { limit: 1000, used: 400 }));
        write("memory.max", "max\n");
        assert_eq!(place.read(), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_holds_memory() {
        assert!(peak().is_some_and(|bytes| bytes > 0));
        let before = rest().expect("Linux tells how much a process holds");
        drop(std::hint::black_box(vec![1_u8; 64 << 20]));
        assert!(peak().is_some_and(|bytes| bytes >= before + (60 << 20)));
    }
}
