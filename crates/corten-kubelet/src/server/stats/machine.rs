//! What the whole machine uses, from procfs.
//!
//! Upstream reads the root control group through cadvisor, whose numbers come from the same files.

use std::path::Path;

use corten_base::fs;
use jiff::Timestamp;

use super::Usage;

/// Nanoseconds of one tick of `/proc/stat`: `USER_HZ` is 100 for all programs, whatever the kernel's own rate.
const TICK_NANOS: u64 = 10_000_000;

/// What the machine uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct MachineUsage {
    /// When it was started.
    pub(super) started: Option<Timestamp>,
    pub(super) usage: Usage,
    /// How many processes and threads there may be, and are.
    pub(super) processes_max: Option<u64>,
    pub(super) processes: Option<u64>,
}

impl MachineUsage {
    /// Reads it. What cannot be read is left out.
    pub(super) fn read() -> Self {
        let file = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default();
        Self {
            processes_max: file("/proc/sys/kernel/pid_max").trim().parse().ok(),
            processes: processes(&file("/proc/loadavg")),
            ..Self::parse(&file("/proc/stat"), &file("/proc/meminfo"), &file("/proc/vmstat"))
        }
    }

    fn parse(stat: &str, memory: &str, events: &str) -> Self {
        let kibibytes = |key: &str| line(memory, key)?.trim_end_matches("kB").trim().parse::<u64>().ok();
        let bytes = |key: &str| kibibytes(key)?.checked_mul(1 << 10);
        let less = |from: Option<u64>, part: Option<u64>| from?.checked_sub(part?);
        let (total, available) = (bytes("MemTotal:"), bytes("MemAvailable:"));
        let count = |key: &str| line(events, key)?.parse::<u64>().ok();
        let usage = Usage {
            cpu_nano_seconds: busy_ticks(stat).and_then(|ticks| ticks.checked_mul(TICK_NANOS)),
            cpu_nano_cores: None,
            available_bytes: available,
            usage_bytes: less(total, bytes("MemFree:")),
            working_set_bytes: less(total, available),
            rss_bytes: bytes("AnonPages:"),
            page_faults: count("pgfault "),
            major_page_faults: count("pgmajfault "),
        };
        let started = line(stat, "btime ").and_then(|text| text.parse().ok());
        Self { started: started.and_then(|seconds| Timestamp::from_second(seconds).ok()), usage, ..Self::default() }
    }
}

/// What follows `key` on its line.
fn line<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim)
}

/// The time that all processors together have worked: everything but idling and waiting for disks. Guests are in `user`.
fn busy_ticks(stat: &str) -> Option<u64> {
    let ticks: Vec<u64> = line(stat, "cpu ")?.split_whitespace().map_while(|tick| tick.parse().ok()).collect();
    let [user, nice, system, _idle, _wait, hardware, software, stolen, ..] = *ticks.as_slice() else { return None };
    Some(user + nice + system + hardware + software + stolen)
}

/// The second number of `3/812` in the fourth field.
fn processes(load: &str) -> Option<u64> {
    load.split_whitespace().nth(3)?.split_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn procfs_is_read_as_upstream_counts() {
        let stat = "cpu  10 1 20 1000 50 2 3 4 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\nbtime 1700000000\n";
        let memory = "MemTotal:  1000 kB\nMemFree:  100 kB\nMemAvailable:  600 kB\nAnonPages:  50 kB\n";
        let read = MachineUsage::parse(stat, memory, "pgfault 7\npgmajfault 2\n");
        assert_eq!(read.started, Timestamp::from_second(1_700_000_000).ok());
        assert_eq!(read.usage.cpu_nano_seconds, Some(400_000_000));
        assert_eq!(read.usage.working_set_bytes, Some(400 << 10));
        assert_eq!(read.usage.usage_bytes, Some(900 << 10));
        assert_eq!((read.usage.page_faults, read.usage.major_page_faults), (Some(7), Some(2)));
        assert_eq!(processes("0.10 0.20 0.30 2/812 4711"), Some(812));
        assert_eq!(MachineUsage::parse("", "", "").usage, Usage::default());
    }
}
