//! What every process in a container gets from outside: limits, and its streams.

use std::os::fd::{AsFd as _, OwnedFd};

use corten_base::fs::FsError;
use libcontainer::oci_spec::runtime::Process;

use super::error::{CreateError, ExecError};
use crate::{
    channel::Go,
    error::{During as _, SystemError},
    id_map::IdMap,
    oom_score, rlimit,
    stdio::{self, Stdio},
    terminal::{self, Terminal},
};

/// Sets from outside what a process cannot set for itself any more, or not as well.
pub(super) fn furnish(pid: libc::pid_t, process: &Process) -> Result<(), SetUpError> {
    rlimit::apply(pid, process.rlimits().as_deref().unwrap_or_default())?;
    if let Some(adjustment) = process.oom_score_adj() {
        oom_score::apply(pid, adjustment)?;
    }
    Ok(())
}

/// What [`furnish`] and [`open_stdio`] may fail with; both callers have these cases.
pub(super) enum SetUpError {
    System(SystemError),
    File(FsError),
}

impl From<SystemError> for SetUpError {
    fn from(error: SystemError) -> Self {
        Self::System(error)
    }
}

impl From<FsError> for SetUpError {
    fn from(error: FsError) -> Self {
        Self::File(error)
    }
}

impl From<SetUpError> for CreateError {
    fn from(error: SetUpError) -> Self {
        match error {
            SetUpError::System(error) => Self::System(error),
            SetUpError::File(error) => Self::File(error),
        }
    }
}

impl From<SetUpError> for ExecError {
    fn from(error: SetUpError) -> Self {
        match error {
            SetUpError::System(error) => Self::System(error),
            SetUpError::File(error) => Self::File(error),
        }
    }
}

/// Makes the streams of a process in the container of `init`.
pub(super) fn open_stdio(
    init: libc::pid_t,
    stdio: Stdio,
    process: &Process,
) -> Result<(Go, Option<Terminal>), SetUpError> {
    let owner = IdMap::users_of(init)?.outside(process.user().uid());
    let groups = IdMap::groups_of(init)?;
    match stdio {
        Stdio::Streams { stdin, stdout, stderr } => {
            let streams: [Option<OwnedFd>; 3] = [stdin, stdout, stderr];
            let group = groups.outside(process.user().gid());
            for stream in streams.iter().flatten() {
                stdio::give_pipe_to(&stream.as_fd(), owner, group).during("give pipe to the container's user")?;
            }
            Ok((Go { streams, terminal: None }, None))
        }
        Stdio::Terminal(size) => {
            let (ours, theirs) = terminal::open(init, size, owner, |group| groups.outside(group))?;
            Ok((Go { streams: [None, None, None], terminal: Some(theirs) }, Some(ours)))
        }
    }
}
