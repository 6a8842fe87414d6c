//! What a piece of work costs: the most memory that the process had meanwhile, and the time.
//!
//! Linux keeps the peak of a process and sets it back when asked; both are of the process, so a test that looks at them
//! runs best in a process of its own, as the workspace's test runner has it.

use std::{fs, time::Duration};

use corten_base::SystemClock;

/// Growth of memory, and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footprint {
    /// By how much the resident memory has grown at its peak, in bytes.
    pub peak_bytes: usize,
    /// How long it took.
    pub elapsed: Duration,
}

impl Footprint {
    /// Runs `work` and measures it.
    pub fn of<T>(work: impl FnOnce() -> T) -> (T, Self) {
        let measuring = Measuring::begin();
        let result = work();
        (result, measuring.end())
    }

    /// Waits for `work` and measures it, with whatever else the process does meanwhile.
    pub async fn of_future<T>(work: impl Future<Output = T>) -> (T, Self) {
        let measuring = Measuring::begin();
        let result = work.await;
        (result, measuring.end())
    }
}

struct Measuring {
    clock: corten_base::SharedClock,
    began: Duration,
    before_bytes: usize,
}

impl Measuring {
    fn begin() -> Self {
        // 5 sets the peak back to what is resident now. Where it may not be written the peak is that of the whole run, and
        // a bound that holds for it holds for the work.
        let _ = fs::write("/proc/self/clear_refs", "5");
        let clock = SystemClock::shared();
        Self { began: clock.monotonic(), clock, before_bytes: status_bytes("VmRSS:") }
    }

    fn end(self) -> Footprint {
        let elapsed = self.clock.monotonic() - self.began;
        Footprint { peak_bytes: status_bytes("VmHWM:").saturating_sub(self.before_bytes), elapsed }
    }
}

/// A figure of the process; 0 where the system has no such file.
fn status_bytes(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<usize>().ok()).unwrap_or(0) * 1_024
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_peak_counts_although_it_has_passed() {
        let (sum, footprint) = Footprint::of(|| vec![1_u8; 64 << 20].iter().map(|byte| u64::from(*byte)).sum::<u64>());
        assert_eq!(sum, 64 << 20);
        assert!(footprint.peak_bytes > 60 << 20, "{footprint:?}");
        let (_, footprint) = Footprint::of(|| ());
        assert!(footprint.peak_bytes < 16 << 20, "{footprint:?}");
    }
}
