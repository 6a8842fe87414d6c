//! Runs one OCI bundle, and what a pod's shim needs around it. Linux only.
//!
//! libcontainer builds namespaces, mounts and control groups; the steps in which mistakes are security holes are here: the last
//! stage before `execve` ([`container`] -> `creator` -> `last_stage`), exec, terminals, volume mounts, seccomp, and device
//! rules under cgroup v2.
//!
//! Invariants: the calling process has **one thread** (children run ordinary code between `fork` and `execve`); nothing here
//! starts threads, keeps global state or knows of an async runtime; calls block. A container's init and execs are children
//! of the caller, who reaps them; every other process forked here is reaped here, by its own number.
//!
//! The order of a shim: [`self_clone::ensure_read_only_executable`], then [`Container::create`], [`Container::start`], and a loop
//! that waits for children and requests.

pub mod bundle;
mod capabilities;
pub mod cgroup;
mod channel;
pub mod container;
mod creator;
mod device_rules;
pub mod error;
mod exec;
mod hooks;
mod id_map;
mod last_stage;
mod oom_score;
pub mod process;
mod record;
mod rlimit;
pub mod seccomp;
pub mod self_clone;
pub mod stdio;
mod sys;
pub mod terminal;
pub mod user;
pub mod volume_mount;

/// The version of the specification's types that libcontainer uses; bundles are made of these.
pub use libcontainer::oci_spec::runtime as spec;

pub use bundle::{Bundle, BundleError};
pub use cgroup::{Cgroup, CgroupError, CgroupStats};
pub use container::{
    Container, CreateError, CreateOptions, DeleteError, ExecError, ExecOptions, ExecProcess, StartError, State, Status,
};
pub use error::{Stage, StartFailure, SystemError};
pub use hooks::HookError;
pub use last_stage::ProcessError;
pub use process::{ExitStatus, ProcessHandle};
pub use record::RecordError;
pub use stdio::Stdio;
pub use terminal::{Terminal, TerminalSize};
pub use volume_mount::{Access, Propagation, VolumeMount, VolumeMountError};
