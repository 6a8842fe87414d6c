//! Which files of one container's log are to be removed and compressed before it is rotated once more.
//!
//! Pure. Of `0.log` these files exist: `0.log.<time>` (just rotated), `0.log.<time>.gz` (older) and, after an interrupted
//! compression, `0.log.<time>.tmp`.
//! Upstream: `cleanupUnusedLogs` and `removeExcessLogs` in pkg/kubelet/logs/container_log_manager.go (v1.35).

use jiff::Timestamp;

/// What a compressed file's name ends with.
pub(super) const COMPRESSED: &str = ".gz";
/// What the name of a file ends with that is being compressed into.
pub(super) const TEMPORARY: &str = ".tmp";

/// What to do with rotated files, in this order: what nobody needs goes before room is taken.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Plan {
    /// Names of files to remove.
    pub(super) remove: Vec<String>,
    /// Names of files to compress.
    pub(super) compress: Vec<String>,
}

/// The plan for the log with the file name `log`, when the directory has the files `names`. Afterwards there are at most
/// `max_files - 2` rotated ones: the log itself and its new successor come to them.
pub(super) fn plan(log: &str, names: &[String], max_files: usize) -> Plan {
    let mut plan = Plan::default();
    let mut used = Vec::new();
    for name in names.iter().filter(|name| is_rotated(log, name)) {
        // The compressed file gets its name when it is complete: what it was made from is a left-over.
        let is_done = !name.ends_with(COMPRESSED) && names.contains(&format!("{name}{COMPRESSED}"));
        if name.ends_with(TEMPORARY) || is_done {
            plan.remove.push(name.clone());
        } else {
            used.push(name.clone());
        }
    }
    // The oldest first: their names are their times.
    used.sort_unstable();
    let kept = used.split_off(used.len().saturating_sub(max_files.saturating_sub(2)));
    plan.remove.extend(used);
    plan.compress = kept.into_iter().filter(|name| !name.ends_with(COMPRESSED)).collect();
    plan
}

/// Whether `name` is a file that became of the log with the file name `log`.
pub(super) fn is_rotated(log: &str, name: &str) -> bool {
    name.strip_prefix(log).is_some_and(|rest| rest.starts_with('.'))
}

/// The name that the log gets when it is rotated: `0.log.20060102-150405`. In UTC, so that names sort by time where clocks
/// are set back in autumn; upstream's are in the machine's zone.
pub(super) fn rotated_name(log: &str, now: Timestamp) -> String {
    format!("{log}.{}", now.strftime("%Y%m%d-%H%M%S"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[track_caller]
    fn check(names: &[&str], max_files: usize, remove: &[&str], compress: &[&str]) {
        let want = Plan { remove: owned(remove), compress: owned(compress) };
        assert_eq!(plan("0.log", &owned(names), max_files), want, "{names:?}");
    }

    #[test]
    fn the_last_rotated_file_is_compressed_and_others_are_let_be() {
        check(&["0.log"], 5, &[], &[]);
        check(&["0.log", "0.log.2"], 5, &[], &["0.log.2"]);
        check(&["0.log", "0.log.1.gz", "0.log.2"], 5, &[], &["0.log.2"]);
        check(&["1.log", "1.log.3", "10.log", "10.log.3", "0.logs.1"], 5, &[], &[]);
    }

    #[test]
    fn the_oldest_files_go() {
        check(&["0.log.4", "0.log.1.gz", "0.log.3.gz", "0.log.2.gz", "0.log"], 5, &["0.log.1.gz"], &["0.log.4"]);
        check(&["0.log.2", "0.log.1.gz", "0.log"], 3, &["0.log.1.gz"], &["0.log.2"]);
        check(&["0.log.2", "0.log"], 2, &["0.log.2"], &[]);
    }

    #[test]
    fn what_an_interrupted_compression_left_goes() {
        check(&["0.log.1", "0.log.1.tmp"], 5, &["0.log.1.tmp"], &["0.log.1"]);
        check(&["0.log.1", "0.log.1.gz", "0.log.2"], 5, &["0.log.1"], &["0.log.2"]);
        // It does not count among those that are kept.
        check(&["0.log.1", "0.log.1.gz", "0.log.2.gz"], 4, &["0.log.1"], &[]);
    }

    #[test]
    fn names_tell_the_time() {
        assert_eq!(rotated_name("0.log", "2026-01-02T03:04:05.6Z".parse().unwrap()), "0.log.20260102-030405");
    }
}
