//! Limits of a group as the kernel's files want them. Pure.
//!
//! Upstream: runc's libcontainer/cgroups (conversion of shares to weights), pkg/kubelet/cm/cgroup_manager_linux.go (v1.35).

use corten_cri::api::LinuxContainerResources;

use crate::containers::resources::QUOTA_PERIOD_MICROS;

/// Limits of one group; zero: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct GroupLimits {
    pub(super) cpu_shares: i64,
    pub(super) cpu_quota_micros: i64,
    pub(super) memory_bytes: i64,
}

impl From<&LinuxContainerResources> for GroupLimits {
    fn from(resources: &LinuxContainerResources) -> Self {
        Self {
            cpu_shares: resources.cpu_shares,
            cpu_quota_micros: resources.cpu_quota,
            memory_bytes: resources.memory_limit_in_bytes,
        }
    }
}

/// What to write into one file of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    pub(super) file: &'static str,
    pub(super) value: String,
    /// Whether kernels may lack the file.
    pub(super) is_optional: bool,
}

fn setting(file: &'static str, value: impl ToString) -> Setting {
    Setting { file, value: value.to_string(), is_optional: false }
}

fn optional(file: &'static str, value: impl ToString) -> Setting {
    Setting { is_optional: true, ..setting(file, value) }
}

impl GroupLimits {
    /// For the `cpu` controller of version 1.
    pub(super) fn v1_cpu(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        if self.cpu_shares > 0 {
            settings.push(setting("cpu.shares", self.cpu_shares));
        }
        if self.cpu_quota_micros > 0 {
            settings.push(optional("cpu.cfs_period_us", QUOTA_PERIOD_MICROS));
            settings.push(optional("cpu.cfs_quota_us", self.cpu_quota_micros));
        }
        settings
    }

    /// For the `memory` controller of version 1.
    pub(super) fn v1_memory(&self) -> Vec<Setting> {
        if self.memory_bytes == 0 {
            return Vec::new();
        }
        vec![setting("memory.limit_in_bytes", page_aligned(self.memory_bytes))]
    }

    /// For version 2.
    pub(super) fn v2(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        if self.cpu_shares > 0 {
            settings.push(optional("cpu.weight", weight(self.cpu_shares)));
        }
        if self.cpu_quota_micros > 0 {
            settings.push(optional("cpu.max", format!("{} {QUOTA_PERIOD_MICROS}", self.cpu_quota_micros)));
        }
        if self.memory_bytes > 0 {
            settings.push(setting("memory.max", page_aligned(self.memory_bytes)));
        }
        settings
    }
}

/// Whether a limit as the kernel shows it is no less than `wanted`: `-1` and `max` allow everything.
pub(super) fn allows(current: &str, wanted: &str) -> bool {
    let first = |text: &str| -> Option<i64> { text.split_whitespace().next()?.parse().ok() };
    match (first(current), first(wanted)) {
        (Some(-1) | None, _) => true,
        (Some(current), Some(wanted)) => current >= wanted,
        (Some(_), None) => false,
    }
}

/// The kernel rounds down to pages; written as it will be read, so that an unchanged limit is not written again.
fn page_aligned(bytes: i64) -> i64 {
    const PAGE: i64 = 4_096;
    bytes - bytes % PAGE
}

/// Shares of version 1 (2 to 262144) as a weight of version 2 (1 to 10000).
fn weight(shares: i64) -> i64 {
    1 + (shares.clamp(2, 262_144) - 2) * 9_999 / 262_142
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(settings: Vec<Setting>, want: &[(&str, &str)]) {
        let got: Vec<(&str, &str)> = settings.iter().map(|one| (one.file, one.value.as_str())).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn limits_are_written_as_each_version_wants_them() {
        let limits = GroupLimits { cpu_shares: 1_024, cpu_quota_micros: 50_000, memory_bytes: (64 << 20) + 5 };
        check(
            limits.v1_cpu(),
            &[("cpu.shares", "1024"), ("cpu.cfs_period_us", "100000"), ("cpu.cfs_quota_us", "50000")],
        );
        check(limits.v1_memory(), &[("memory.limit_in_bytes", "67108864")]);
        check(limits.v2(), &[("cpu.weight", "39"), ("cpu.max", "50000 100000"), ("memory.max", "67108864")]);
        check(GroupLimits::default().v2(), &[]);
        check(GroupLimits::default().v1_memory(), &[]);
    }

    #[test]
    fn a_limit_allows_what_is_not_more() {
        for (current, wanted, want) in [
            ("-1\n", "50000", true),
            ("max 100000\n", "50000 100000", true),
            ("50000 100000\n", "60000 100000", false),
            ("67108864\n", "67108864", true),
            ("67108864\n", "134217728", false),
        ] {
            assert_eq!(allows(current, wanted), want, "{current} {wanted}");
        }
    }

    #[test]
    fn weights_cover_the_whole_range_of_shares() {
        assert_eq!((weight(2), weight(262_144)), (1, 10_000));
    }
}
