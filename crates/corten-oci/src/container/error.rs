//! What can go wrong with a container, by what was asked of it.

use corten_base::fs::FsError;

use super::Status;
use crate::{
    bundle::BundleError,
    cgroup::CgroupError,
    error::{StartFailure, SystemError},
    hooks::HookError,
    last_stage::ProcessError,
    record::RecordError,
    seccomp::SeccompError,
    volume_mount::VolumeMountError,
};

/// Why there is no container. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The name is no name.
    #[error("invalid container id {0:?}")]
    InvalidId(String),
    /// There is one of this name.
    #[error("container with given ID already exists: {0}")]
    Exists(String),
    /// The bundle is unusable.
    #[error(transparent)]
    Bundle(#[from] BundleError),
    /// Its process is unusable.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// Its seccomp profile is unusable.
    #[error(transparent)]
    Seccomp(#[from] SeccompError),
    /// libcontainer could not build namespaces, mounts or control groups.
    #[error("OCI runtime create failed: {0}")]
    Runtime(String),
    /// A volume could not be mounted.
    #[error(transparent)]
    Volume(#[from] VolumeMountError),
    /// The control groups are unusable.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FsError),
    /// The record could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The kernel refused something.
    #[error(transparent)]
    System(#[from] SystemError),
}

/// Why init does not run.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The container is not waiting for its start, or waits for another process to start it.
    #[error("cannot start a container that is {0}")]
    NotHeld(Status),
    /// The program did not start; init ends with the failure's exit code.
    #[error(transparent)]
    Failed(StartFailure),
    /// A poststart hook failed; the program runs.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// libcontainer could not be told.
    #[error("notify init: {0}")]
    Notify(String),
    /// The record could not be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The kernel refused something.
    #[error(transparent)]
    System(#[from] SystemError),
}

/// Why a process beside init does not run.
#[derive(Debug, thiserror::Error)]
pub enum ExecError {
    /// The container is not running.
    #[error("cannot exec in a container that is {0}")]
    NotRunning(Status),
    /// The program did not start.
    #[error(transparent)]
    Failed(StartFailure),
    /// The process is unusable.
    #[error(transparent)]
    Process(#[from] ProcessError),
    /// It could not join the control groups.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FsError),
    /// The kernel refused something.
    #[error(transparent)]
    System(#[from] SystemError),
}

/// Why a container is still there.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// It runs, and `force` was not given.
    #[error("cannot delete a container that is {0}")]
    Running(Status),
    /// A process does not die.
    #[error("process {0} outlives SIGKILL")]
    Unkillable(i32),
    /// The control groups could not be removed.
    #[error(transparent)]
    Cgroup(#[from] CgroupError),
    /// A poststop hook failed; everything else is gone.
    #[error(transparent)]
    Hook(#[from] HookError),
    /// The state directory could not be removed.
    #[error(transparent)]
    File(#[from] FsError),
    /// The kernel refused something.
    #[error(transparent)]
    System(#[from] SystemError),
}
