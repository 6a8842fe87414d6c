//! Users and groups of a container's user namespace, as the shim sees them.

use std::path::PathBuf;

use corten_base::fs::{self, FsError};

/// One of the two maps of a process's user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IdMap(Vec<Range>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    inside: u32,
    outside: u32,
    length: u32,
}

impl IdMap {
    pub(crate) fn users_of(pid: libc::pid_t) -> Result<Self, FsError> {
        Self::read(pid, "uid_map")
    }

    pub(crate) fn groups_of(pid: libc::pid_t) -> Result<Self, FsError> {
        Self::read(pid, "gid_map")
    }

    fn read(pid: libc::pid_t, name: &str) -> Result<Self, FsError> {
        Ok(Self::parse(&fs::read_to_string(&PathBuf::from(format!("/proc/{pid}/{name}")))?))
    }

    fn parse(text: &str) -> Self {
        let range = |line: &str| {
            let mut numbers = line.split_whitespace().map(str::parse);
            let mut next = || numbers.next()?.ok();
            Some(Range { inside: next()?, outside: next()?, length: next()? })
        };
        Self(text.lines().filter_map(range).collect())
    }

    /// The number outside; one that is not mapped stays, and the kernel will say what it thinks of it.
    pub(crate) fn outside(&self, id: u32) -> u32 {
        self.0
            .iter()
            .find_map(|range| id.checked_sub(range.inside).filter(|at| *at < range.length).map(|at| range.outside + at))
            .unwrap_or(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_looked_up_in_their_range() {
        let map = IdMap::parse("         0     100000      65536\n     70000          5          1\n");
        assert_eq!(map.outside(0), 100_000);
        assert_eq!(map.outside(65_535), 165_535);
        assert_eq!(map.outside(70_000), 5);
        assert_eq!(map.outside(66_000), 66_000);
        assert_eq!(IdMap::parse("0 0 4294967295\n").outside(7), 7);
    }
}
