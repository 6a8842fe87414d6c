//! What this process uses.
//!
//! Upstream: the process collector of prometheus/client_golang.

use std::path::Path;

use corten_base::fs;

use super::text::{Page, float};

/// Ticks of `/proc/self/stat` in a second: `USER_HZ` is 100 for all programs, whatever the kernel's own rate.
const TICKS: f64 = 100.0;

/// What procfs says; what it does not say is `None`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Figures {
    cpu_seconds: Option<f64>,
    fds_max: Option<f64>,
    fds_open: Option<f64>,
    resident_bytes: Option<f64>,
    started_at_seconds: Option<f64>,
    virtual_bytes: Option<f64>,
}

/// Reads the figures. Blocks: there is a file for each descriptor to count.
pub(super) fn read() -> Figures {
    let file = |path: &str| fs::read_to_string(Path::new(path)).unwrap_or_default();
    let open = std::fs::read_dir("/proc/self/fd").ok().map(|entries| float(entries.count() as u64));
    let texts = [file("/proc/self/stat"), file("/proc/self/status"), file("/proc/stat"), file("/proc/self/limits")];
    Figures { fds_open: open, ..Figures::of(texts.each_ref().map(String::as_str)) }
}

impl Figures {
    /// From `/proc/self/stat`, `/proc/self/status`, `/proc/stat` and `/proc/self/limits`.
    fn of([stat, status, machine, limits]: [&str; 4]) -> Self {
        // What is in parentheses is the name of the program, which may have spaces; from the third field on all are numbers.
        let fields: Vec<&str> =
            stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
        let field = |number: usize| fields.get(number - 3).and_then(|text| text.parse::<u64>().ok()).map(float);
        let kibibytes = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kibibytes| float(kibibytes << 10))
        };
        let booted = machine.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<u64>().ok());
        let open_max = limits
            .lines()
            .find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next()?.parse::<u64>().ok());
        Self {
            cpu_seconds: field(14).zip(field(15)).map(|(user, system)| (user + system) / TICKS),
            fds_max: open_max.map(float),
            fds_open: None,
            resident_bytes: kibibytes("VmRSS:"),
            started_at_seconds: booted.map(float).zip(field(22)).map(|(booted, since)| booted + since / TICKS),
            virtual_bytes: kibibytes("VmSize:"),
        }
    }
}

/// Writes the figures that there are.
pub(super) fn write(figures: &Figures, page: &mut Page) {
    let mut gauge = |name: &'static str, kind: &str, help: &str, value: Option<f64>| {
        if let Some(value) = value {
            page.family(name, kind, help);
            page.line("", &[], value);
        }
    };
    gauge(
        "process_cpu_seconds_total",
        "counter",
        "Total user and system CPU time spent in seconds.",
        figures.cpu_seconds,
    );
    gauge("process_max_fds", "gauge", "Maximum number of open file descriptors.", figures.fds_max);
    gauge("process_open_fds", "gauge", "Number of open file descriptors.", figures.fds_open);
    gauge("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", figures.resident_bytes);
    gauge(
        "process_start_time_seconds",
        "gauge",
        "Start time of the process since unix epoch in seconds.",
        figures.started_at_seconds,
    );
    gauge("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", figures.virtual_bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_what_the_kernel_says() {
        let stat = "7 (a program) (x)) S 1 1 1 0 -1 0 0 0 0 0 250 150 0 0 20 0 9 0 500 0 0";
        let status = "Name:\tcorten\nVmSize:\t    2048 kB\nVmRSS:\t    1024 kB\n";
        let limits = "Limit  Soft Limit  Hard Limit  Units\nMax open files            1024    4096    files\n";
        let want = Figures {
            cpu_seconds: Some(4.0),
            fds_max: Some(1_024.0),
            fds_open: None,
            resident_bytes: Some(1_048_576.0),
            started_at_seconds: Some(1_005.0),
            virtual_bytes: Some(2_097_152.0),
        };
        assert_eq!(Figures::of([stat, status, "cpu 1 2\nbtime 1000\n", limits]), want);
        assert_eq!(Figures::of([""; 4]), Figures::default());
        let own = read();
        assert!(own.fds_open.is_some_and(|open| open > 2.0), "{own:?}");
    }
}
