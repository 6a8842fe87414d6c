//! From single results to a probe's state: pure.
//!
//! Upstream: pkg/kubelet/prober/worker.go (v1.35).

use std::time::Duration;

use corten_api::core::v1::Probe;

/// When to probe and how often a result has to come before it counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// How long after the container's start the first probe is due.
    pub initial_delay: Duration,
    /// From one probe to the next.
    pub period: Duration,
    /// How long one may take.
    pub timeout: Duration,
    /// So many successes in a row.
    pub success_threshold: u32,
    /// So many failures in a row.
    pub failure_threshold: u32,
}

impl Schedule {
    /// Reads a probe, with the API's defaults for what is missing.
    #[must_use]
    pub fn of(probe: &Probe) -> Self {
        let seconds = |value: Option<i32>, default: u64| {
            let given = value.and_then(|value| u64::try_from(value).ok()).filter(|value| *value > 0);
            Duration::from_secs(given.unwrap_or(default))
        };
        let count = |value: Option<i32>, default| {
            value.and_then(|v| u32::try_from(v).ok()).filter(|v| *v > 0).unwrap_or(default)
        };
        Self {
            initial_delay: seconds(probe.initial_delay_seconds, 0),
            period: seconds(probe.period_seconds, 10),
            timeout: seconds(probe.timeout_seconds, 1),
            success_threshold: count(probe.success_threshold, 1),
            failure_threshold: count(probe.failure_threshold, 3),
        }
    }
}

/// Equal results in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counter {
    last: Option<bool>,
    run: u32,
}

impl Counter {
    /// Counts a result; gives it back once it counts, and each time after.
    pub fn count(&mut self, success: bool, schedule: &Schedule) -> Option<bool> {
        if self.last == Some(success) {
            self.run = self.run.saturating_add(1);
        } else {
            (self.last, self.run) = (Some(success), 1);
        }
        let threshold = if success { schedule.success_threshold } else { schedule.failure_threshold };
        (self.run >= threshold).then_some(success)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(success_threshold: i32, failure_threshold: i32, results: &str, want: &str) {
        let probe = Probe {
            success_threshold: Some(success_threshold),
            failure_threshold: Some(failure_threshold),
            ..Probe::default()
        };
        let (schedule, mut counter) = (Schedule::of(&probe), Counter::default());
        let told: String = results
            .chars()
            .map(|result| match counter.count(result == '+', &schedule) {
                Some(true) => '+',
                Some(false) => '-',
                None => '.',
            })
            .collect();
        assert_eq!(told, want);
    }

    #[test]
    fn a_result_counts_after_as_many_in_a_row() {
        check(1, 3, "+--+---+", "+..+..-+");
        check(2, 1, "+-++", ".-.+");
        check(1, 1, "+-+", "+-+");
    }

    #[test]
    fn what_a_probe_leaves_out_has_the_apis_defaults() {
        let schedule = Schedule::of(&Probe::default());
        assert_eq!((schedule.period.as_secs(), schedule.timeout.as_secs(), schedule.failure_threshold), (10, 1, 3));
    }
}
