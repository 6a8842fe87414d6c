//! How often probes have succeeded and failed, and how long they took: `/metrics/probes`.
//!
//! Bounded by the probes that are watched: the numbers of a container go with it.
//! Upstream: pkg/kubelet/prober/prober_manager.go, `ProberResults` and `ProberDuration` (v1.35).

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use corten_apimachinery::field::quote;
use parking_lot::Mutex;

use super::kind_name;
use crate::interfaces::ProbeKind;

/// The upper ends of the histogram's buckets, in seconds. Upstream: the defaults of the Prometheus client.
const BUCKETS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What came of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Successful,
    Failed,
    /// It could not be made.
    Unknown,
}

/// One probe of one container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Series {
    pub(super) pod_uid: String,
    pub(super) container: String,
    pub(super) kind: ProbeKind,
    pub(super) namespace: String,
    pub(super) pod: String,
}

#[derive(Debug, Clone, Default)]
struct Numbers {
    successful: u64,
    failed: u64,
    unknown: u64,
    /// How many took no longer than each of `BUCKETS`; those that took longer are only in the sum of all.
    buckets: [u64; BUCKETS.len()],
    seconds: f64,
}

/// The numbers of all probes of a node.
#[derive(Debug, Default)]
pub(super) struct ProbeMetrics {
    series: Mutex<BTreeMap<Series, Numbers>>,
}

impl ProbeMetrics {
    /// Counts one attempt.
    pub(super) fn count(&self, series: Series, outcome: Outcome, took: Duration) {
        let mut all = self.series.lock();
        let numbers = all.entry(series).or_default();
        *match outcome {
            Outcome::Successful => &mut numbers.successful,
            Outcome::Failed => &mut numbers.failed,
            Outcome::Unknown => &mut numbers.unknown,
        } += 1;
        let seconds = took.as_secs_f64();
        numbers.seconds += seconds;
        for (count, end) in numbers.buckets.iter_mut().zip(BUCKETS) {
            *count += u64::from(seconds <= end);
        }
    }

    /// Forgets the probes of which `stays` does not hold.
    pub(super) fn retain(&self, stays: impl Fn(&Series) -> bool) {
        self.series.lock().retain(|series, _| stays(series));
    }

    /// All numbers, as text.
    pub(super) fn page(&self) -> String {
        let all = self.series.lock();
        let mut page = String::new();
        if all.is_empty() {
            return page;
        }
        page.push_str(
            "# HELP prober_probe_duration_seconds [ALPHA] Duration in seconds for a probe response.\n\
             # TYPE prober_probe_duration_seconds histogram\n",
        );
        for (series, numbers) in &*all {
            let labels = format!(
                "container={},namespace={},pod={},probe_type=\"{}\"",
                quote(&series.container),
                quote(&series.namespace),
                quote(&series.pod),
                kind_name(series.kind)
            );
            let count = numbers.successful + numbers.failed + numbers.unknown;
            let ends = BUCKETS.iter().map(f64::to_string).zip(numbers.buckets);
            for (end, count) in ends.chain([("+Inf".to_owned(), count)]) {
                write_line(
                    &mut page,
                    "prober_probe_duration_seconds_bucket",
                    &format!("{labels},le=\"{end}\""),
                    &count,
                );
            }
            write_line(&mut page, "prober_probe_duration_seconds_sum", &labels, &numbers.seconds);
            write_line(&mut page, "prober_probe_duration_seconds_count", &labels, &count);
        }
        page.push_str(
            "# HELP prober_probe_total [BETA] Cumulative number of a liveness, readiness or startup probe for a container \
             by result.\n# TYPE prober_probe_total counter\n",
        );
        for (series, numbers) in &*all {
            let results =
                [("failed", numbers.failed), ("successful", numbers.successful), ("unknown", numbers.unknown)];
            for (result, count) in results.into_iter().filter(|(_, count)| *count > 0) {
                let labels = format!(
                    "container={},namespace={},pod={},pod_uid={},probe_type=\"{}\",result=\"{result}\"",
                    quote(&series.container),
                    quote(&series.namespace),
                    quote(&series.pod),
                    quote(&series.pod_uid),
                    kind_name(series.kind)
                );
                write_line(&mut page, "prober_probe_total", &labels, &count);
            }
        }
        page
    }
}

fn write_line(page: &mut String, name: &str, labels: &str, value: &dyn std::fmt::Display) {
    writeln!(page, "{name}{{{labels}}} {value}").expect("writing to a string does not fail");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(container: &str) -> Series {
        let text = str::to_owned;
        let kind = ProbeKind::Liveness;
        Series { pod_uid: text("u"), container: text(container), kind, namespace: text("n"), pod: text("p") }
    }

    #[test]
    fn attempts_are_counted_by_result_and_by_time() {
        let metrics = ProbeMetrics::default();
        assert_eq!(metrics.page(), "");
        metrics.count(series("c"), Outcome::Successful, Duration::from_millis(30));
        metrics.count(series("c"), Outcome::Failed, Duration::from_secs(20));
        metrics.count(series("other"), Outcome::Unknown, Duration::ZERO);
        let page = metrics.page();
        let labels = "container=\"c\",namespace=\"n\",pod=\"p\",probe_type=\"Liveness\"";
        let total = "container=\"c\",namespace=\"n\",pod=\"p\",pod_uid=\"u\",probe_type=\"Liveness\"";
        for line in [
            format!("prober_probe_duration_seconds_bucket{{{labels},le=\"0.025\"}} 0\n"),
            format!("prober_probe_duration_seconds_bucket{{{labels},le=\"0.05\"}} 1\n"),
            format!("prober_probe_duration_seconds_bucket{{{labels},le=\"10\"}} 1\n"),
            format!("prober_probe_duration_seconds_bucket{{{labels},le=\"+Inf\"}} 2\n"),
            format!("prober_probe_duration_seconds_sum{{{labels}}} 20.03\n"),
            format!("prober_probe_duration_seconds_count{{{labels}}} 2\n"),
            format!("prober_probe_total{{{total},result=\"failed\"}} 1\n"),
            format!("prober_probe_total{{{total},result=\"successful\"}} 1\n"),
        ] {
            assert!(page.contains(&line), "{line}{page}");
        }
        metrics.retain(|series| series.container == "other");
        assert!(!metrics.page().contains("container=\"c\""));
        assert!(metrics.page().contains("result=\"unknown\"} 1\n"));
    }
}
