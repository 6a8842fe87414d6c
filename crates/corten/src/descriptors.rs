//! How many files the process may have open: as many as it is allowed to, because a node with a hundred pods needs thousands.
//!
//! Containers get what this process was started with: programs that use select(2) or close every possible descriptor expect
//! a small number, which is why the soft limit is separate from the hard one.

use std::sync::OnceLock;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The soft limit that the process was started with; what has no limit counts as the greatest number.
static INHERITED: OnceLock<u64> = OnceLock::new();

/// Raises the limit of open files to what the process is allowed. Done once, by commands that serve.
///
/// Errors: the kernel's.
pub(crate) fn raise() -> anyhow::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let _ = INHERITED.set(limit.current.unwrap_or(u64::MAX));
    if limit.current == limit.maximum {
        return Ok(());
    }
    let raised = Rlimit { current: limit.maximum, ..limit };
    setrlimit(Resource::Nofile, raised).context("raise the limit of open files")
}

/// The soft limit before it was raised, for containers; nothing if it was not raised.
pub(crate) fn inherited() -> Option<u64> {
    let before = INHERITED.get().copied()?;
    (getrlimit(Resource::Nofile).current != Some(before)).then_some(before)
}

/// How many files the process may have open now; nothing: any number.
pub(crate) fn allowed() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From a shell with 1,024 open files a cluster once ran out of them with a hundred pods.
    #[test]
    fn the_process_may_open_what_it_is_allowed_and_containers_keep_what_it_had() {
        let before = getrlimit(Resource::Nofile);
        let small = Rlimit { current: Some(512), ..before };
        setrlimit(Resource::Nofile, small).unwrap();
        raise().unwrap();
        assert_eq!(allowed(), before.maximum);
        assert_eq!(inherited(), Some(512));
    }
}
