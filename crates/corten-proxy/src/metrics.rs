//! What the proxy counts, as plain data under upstream's names.
//!
//! Source: `pkg/proxy/metrics/metrics.go` (v1.35), prefix `kubeproxy_`.

use std::time::Duration;

/// A moment's state of the counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// `sync_proxy_rules_duration_seconds`, count and sum, partial and full together.
    pub sync_proxy_rules: Timing,
    /// `sync_full_proxy_rules_duration_seconds`.
    pub sync_full_proxy_rules: Timing,
    /// `sync_partial_proxy_rules_duration_seconds`.
    pub sync_partial_proxy_rules: Timing,
    /// `sync_proxy_rules_nftables_sync_failures_total` (whatever the backend).
    pub sync_failures_total: u64,
    /// `sync_proxy_rules_service_changes_total`: services told of.
    pub service_changes_total: u64,
    /// `sync_proxy_rules_endpoint_changes_total`: slices told of.
    pub endpoint_changes_total: u64,
    /// Ports changed by the last sync.
    pub last_sync_ports: usize,
    /// `sync_proxy_rules_last_timestamp_seconds`.
    pub last_sync_unix_seconds: Option<i64>,
    /// Services that have rules.
    pub services: usize,
}

/// Count and sum of durations, and the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// How many.
    pub count: u64,
    /// Their sum.
    pub sum: Duration,
    /// The last.
    pub last: Duration,
}

impl Timing {
    pub(crate) fn observe(&mut self, duration: Duration) {
        self.count += 1;
        self.sum += duration;
        self.last = duration;
    }
}
