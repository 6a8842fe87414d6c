//! What this process uses.
//!
//! Upstream: the process collector of prometheus/client_golang.

use std::path::Path;

use corten_base::fs;

use super::text::{Page, float};

/// Ticks of `/proc/self/stat` in a second: `USER_HZ` is 100 for all programs, whatever the kernel's own rate.
const TICKS: f64 = 100.0;

/// Writes what procfs says; what it does not say is left out.
pub(super) fn write(page: &mut Page) {
    let file = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default();
    let stat = file("/proc/self/stat");
    // What is in parentheses is the name of the program, which may have spaces; from the third field on all are numbers.
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok()).map(float);
    let mut gauge = |name: &'static str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            page.family(name, kind, help);
            page.line("", &[], value);
        }
    };
    let status = file("/proc/self/status");
    let kibibytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kibibytes| float(kibibytes << 10))
    };
    let booted = file("/proc/stat").lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok());
    let limits = file("/proc/self/limits");
    let open_max = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse::<u64>().ok());
    let open = std::fs::read_dir("/proc/self/fd").ok().map(|entries| float(entries.count() as u64));
    gauge(
        "process_cpu_seconds_total",
        "counter",
        "Total user and system CPU time spent in seconds.",
        field(14).zip(field(15)).map(|(user, system)| (user + system) / TICKS),
    );
    gauge("process_max_fds", "gauge", "Maximum number of open file descriptors.", open_max.map(float));
    gauge("process_open_fds", "gauge", "Number of open file descriptors.", open);
    gauge("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", kibibytes("VmRSS:"));
    gauge(
        "process_start_time_seconds",
        "gauge",
        "Start time of the process since unix epoch in seconds.",
        booted.map(float).zip(field(22)).map(|(booted, since)| booted + since / TICKS),
    );
    gauge("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", kibibytes("VmSize:"));
}
