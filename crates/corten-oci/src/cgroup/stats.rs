//! The numbers that kubelets report, from the files of a control group.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use corten_base::fs;

use super::{Cgroup, CgroupError};

/// What a container uses. Missing controllers leave zeros.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CgroupStats {
    /// Processor time.
    pub cpu: CpuStats,
    /// Memory.
    pub memory: MemoryStats,
    /// Processes and threads.
    pub pids: PidStats,
}

/// Processor time used since the group was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuStats {
    /// In nanoseconds, all processors together.
    pub usage_nanos: u64,
    /// Periods of the quota that have passed.
    pub periods: u64,
    /// Those in which the group was held back.
    pub throttled_periods: u64,
    /// How long it was held back, in nanoseconds.
    pub throttled_nanos: u64,
}

/// Memory in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryStats {
    /// All that is charged to the group, with the page cache.
    pub usage_bytes: u64,
    /// Usage without the file pages that nobody has touched lately: what the kernel cannot easily take back.
    pub working_set_bytes: u64,
    /// Anonymous memory and swap cache.
    pub rss_bytes: u64,
    /// Swap space used.
    pub swap_bytes: u64,
    /// The limit; `None` without one.
    pub limit_bytes: Option<u64>,
    /// Faults since the group was made.
    pub page_faults: u64,
    /// Those that had to read from disk.
    pub major_page_faults: u64,
}

/// Processes and threads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PidStats {
    /// How many there are.
    pub current: u64,
    /// How many there may be; `None` without a limit.
    pub limit: Option<u64>,
}

/// v1 says "no limit" by the largest multiple of a page; nothing of that size exists.
const V1_UNLIMITED_BYTES: u64 = i64::MAX.cast_unsigned() / 4_096 * 4_096;
const NANOS_PER_MICRO: u64 = 1_000;

pub(super) fn v1(cgroup: &Cgroup) -> Result<CgroupStats, CgroupError> {
    let file = |controller: &'static str, name: &str| -> Option<PathBuf> {
        cgroup.directory(controller).ok().map(|directory| directory.join(name))
    };
    let number = |controller, name: &str| file(controller, name).map_or(Ok(None), |path| number(&path));
    let keyed = |controller, name: &str| file(controller, name).map_or(Ok(BTreeMap::new()), |path| keyed(&path));

    let cpu_stat = keyed("cpu", "cpu.stat")?;
    let memory_stat = keyed("memory", "memory.stat")?;
    let of = |map: &BTreeMap<String, u64>, key: &str| map.get(key).copied().unwrap_or(0);
    let usage_bytes = number("memory", "memory.usage_in_bytes")?.unwrap_or(0);
    let with_swap_bytes = number("memory", "memory.memsw.usage_in_bytes")?.unwrap_or(usage_bytes);
    Ok(CgroupStats {
        cpu: CpuStats {
            usage_nanos: number("cpuacct", "cpuacct.usage")?.unwrap_or(0),
            periods: of(&cpu_stat, "nr_periods"),
            throttled_periods: of(&cpu_stat, "nr_throttled"),
            throttled_nanos: of(&cpu_stat, "throttled_time"),
        },
        memory: MemoryStats {
            usage_bytes,
            working_set_bytes: usage_bytes.saturating_sub(of(&memory_stat, "total_inactive_file")),
            rss_bytes: of(&memory_stat, "total_rss"),
            swap_bytes: with_swap_bytes.saturating_sub(usage_bytes),
            limit_bytes: number("memory", "memory.limit_in_bytes")?.filter(|limit| *limit < V1_UNLIMITED_BYTES),
            page_faults: of(&memory_stat, "total_pgfault"),
            major_page_faults: of(&memory_stat, "total_pgmajfault"),
        },
        pids: PidStats { current: number("pids", "pids.current")?.unwrap_or(0), limit: number("pids", "pids.max")? },
    })
}

pub(super) fn v2(directory: &Path) -> Result<CgroupStats, CgroupError> {
    let number = |name: &str| number(&directory.join(name));
    let cpu_stat = keyed(&directory.join("cpu.stat"))?;
    let memory_stat = keyed(&directory.join("memory.stat"))?;
    let of = |map: &BTreeMap<String, u64>, key: &str| map.get(key).copied().unwrap_or(0);
    let usage_bytes = number("memory.current")?.unwrap_or(0);
    Ok(CgroupStats {
        cpu: CpuStats {
            usage_nanos: of(&cpu_stat, "usage_usec") * NANOS_PER_MICRO,
            periods: of(&cpu_stat, "nr_periods"),
            throttled_periods: of(&cpu_stat, "nr_throttled"),
            throttled_nanos: of(&cpu_stat, "throttled_usec") * NANOS_PER_MICRO,
        },
        memory: MemoryStats {
            usage_bytes,
            working_set_bytes: usage_bytes.saturating_sub(of(&memory_stat, "inactive_file")),
            rss_bytes: of(&memory_stat, "anon"),
            swap_bytes: number("memory.swap.current")?.unwrap_or(0),
            limit_bytes: number("memory.max")?,
            page_faults: of(&memory_stat, "pgfault"),
            major_page_faults: of(&memory_stat, "pgmajfault"),
        },
        pids: PidStats { current: number("pids.current")?.unwrap_or(0), limit: number("pids.max")? },
    })
}

/// The number in a file; `None` if it says `max` or does not exist.
fn number(path: &Path) -> Result<Option<u64>, CgroupError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.is_not_found() => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match text.trim() {
        "max" => Ok(None),
        digits => match digits.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(CgroupError::Malformed { path: path.to_owned(), text }),
        },
    }
}

/// The `key number` lines of a file; empty if it does not exist.
pub(super) fn keyed(path: &Path) -> Result<BTreeMap<String, u64>, CgroupError> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.is_not_found() => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.into()),
    };
    Ok(text
        .lines()
        .filter_map(|line| {
            let (key, value) = line.split_once(' ')?;
            Some((key.to_owned(), value.trim().parse().ok()?))
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_2_files_become_numbers() {
        let group = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("cpu.stat", "usage_usec 1500\nnr_periods 4\nnr_throttled 2\nthrottled_usec 7\n"),
            ("memory.current", "8192\n"),
            ("memory.stat", "anon 4096\ninactive_file 1024\npgfault 9\n"),
            ("memory.max", "max\n"),
            ("pids.current", "3\n"),
            ("pids.max", "10\n"),
        ] {
            std::fs::write(group.path().join(name), text).unwrap();
        }
        let stats = v2(group.path()).unwrap();
        assert_eq!(
            stats.cpu,
            CpuStats { usage_nanos: 1_500_000, periods: 4, throttled_periods: 2, throttled_nanos: 7_000 }
        );
        assert_eq!(stats.memory.working_set_bytes, 7_168);
        assert_eq!(stats.memory.rss_bytes, 4_096);
        assert_eq!(stats.memory.limit_bytes, None);
        assert_eq!(stats.pids, PidStats { current: 3, limit: Some(10) });
    }

    #[test]
    fn nonsense_is_an_error_with_its_path() {
        let group = tempfile::tempdir().unwrap();
        std::fs::write(group.path().join("memory.current"), "many\n").unwrap();
        assert!(matches!(v2(group.path()), Err(CgroupError::Malformed { .. })));
    }
}
