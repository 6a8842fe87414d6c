//! The control groups of a container: joining, numbers, out-of-memory kills, changing limits, freezing, removing.
//!
//! libcontainer makes the groups when it creates a container. All else is here, for cgroup v1, hybrid (v1 controllers with a
//! v2 hierarchy beside them, which is not used) and v2.

mod hierarchy;
mod stats;

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use corten_base::fs::{self, FsError};
use libcgroups::common::{AnyCgroupManager, CgroupConfig, CgroupManager as _, ControllerOpt, FreezerState};
use libcontainer::oci_spec::runtime::LinuxResources;
use nix::errno::Errno;

use crate::{
    error::{SystemError, chain},
    process::{ProcessHandle, wait_for_end},
    sys,
};

pub use hierarchy::{Hierarchies, Layout};
pub use stats::{CgroupStats, CpuStats, MemoryStats, PidStats};

/// A process that gets SIGKILL is gone within moments; longer means that it hangs in the kernel.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// How often to look for processes that were forked while others were killed.
const KILL_ROUNDS: usize = 100;

/// Why an operation on control groups failed.
#[derive(Debug, thiserror::Error)]
pub enum CgroupError {
    /// A file of the group could not be read or written.
    #[error(transparent)]
    File(#[from] FsError),
    /// libcgroups could not apply limits or freeze.
    #[error("{operation}: {message}")]
    Manager {
        /// What was tried.
        operation: &'static str,
        /// Its words, with all causes.
        message: String,
    },
    /// A file says something other than a number.
    #[error("parse {path}: {text:?}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it says.
        text: String,
    },
    /// The machine has no control groups where they are expected.
    #[error("no {0} control groups on this machine")]
    Missing(&'static str),
    /// A process of the group does not die.
    #[error("process {pid} of {} outlives SIGKILL", path.display())]
    Unkillable {
        /// The group.
        path: PathBuf,
        /// Its number, in this process's PID namespace.
        pid: i32,
    },
    /// The kernel refused a signal or a handle.
    #[error(transparent)]
    System(#[from] SystemError),
}

/// The groups of one container.
#[derive(Debug, Clone)]
pub struct Cgroup {
    hierarchies: Hierarchies,
    /// Absolute, relative to the root of each hierarchy.
    path: PathBuf,
}

impl Cgroup {
    /// The groups at `path`, the `cgroupsPath` of a bundle.
    #[must_use]
    pub fn new(hierarchies: Hierarchies, path: &Path) -> Self {
        Self { hierarchies, path: path.to_owned() }
    }

    /// How the machine's hierarchies are laid out.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.hierarchies.layout()
    }

    /// The directories of the groups, one per hierarchy in use, whether they exist or not.
    #[must_use]
    pub fn directories(&self) -> Vec<PathBuf> {
        self.hierarchies.roots().map(|root| self.below(root)).collect()
    }

    /// The directory in the hierarchy of a v1 controller, or the only one of v2.
    fn directory(&self, controller: &'static str) -> Result<PathBuf, CgroupError> {
        let root = self.hierarchies.root_of(controller).ok_or(CgroupError::Missing(controller))?;
        Ok(self.below(root))
    }

    fn below(&self, root: &Path) -> PathBuf {
        root.join(self.path.strip_prefix("/").unwrap_or(&self.path))
    }

    /// The directory of the v2 group.
    pub(crate) fn unified_directory(&self) -> Result<PathBuf, CgroupError> {
        match self.layout() {
            Layout::Unified => self.directory("unified"),
            Layout::V1 => Err(CgroupError::Missing("version 2")),
        }
    }

    /// Moves a process into the groups. `init` is a process that is in them.
    pub(crate) fn join(&self, pid: libc::pid_t, init: libc::pid_t) -> Result<(), CgroupError> {
        let pid = pid.to_string();
        for directory in self.directories() {
            let procs = directory.join("cgroup.procs");
            match fs::write(&procs, pid.as_bytes()) {
                // The container has made groups of its own and enabled controllers for them (v2): then only the leaves
                // take processes, and init's place is one.
                Err(error) if self.layout() == Layout::Unified && is(&error, libc::EBUSY) => {
                    let of_init = self.hierarchies.unified_group_of(init)?;
                    fs::write(&of_init.join("cgroup.procs"), pid.as_bytes())?;
                }
                Err(error) if error.is_not_found() && !directory.exists() && self.layout() == Layout::V1 => {
                    // A hierarchy that libcgroups does not manage.
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Changes limits in place; what `resources` leaves out stays.
    pub fn update(&self, resources: &LinuxResources) -> Result<(), CgroupError> {
        let options = ControllerOpt { resources, disable_oom_killer: false, oom_score_adj: None, freezer_state: None };
        self.manager("update limits")?
            .apply(&options)
            .map_err(|error| CgroupError::Manager { operation: "update limits", message: chain(&error) })
    }

    /// Stops all processes where they are.
    pub fn freeze(&self) -> Result<(), CgroupError> {
        self.set_frozen(FreezerState::Frozen, "freeze")
    }

    /// Lets them go on.
    pub fn thaw(&self) -> Result<(), CgroupError> {
        self.set_frozen(FreezerState::Thawed, "thaw")
    }

    fn set_frozen(&self, state: FreezerState, operation: &'static str) -> Result<(), CgroupError> {
        self.manager(operation)?
            .freeze(state)
            .map_err(|error| CgroupError::Manager { operation, message: chain(&error) })
    }

    /// Whether the processes are stopped.
    pub fn is_frozen(&self) -> Result<bool, CgroupError> {
        let (file, frozen) = match self.layout() {
            Layout::V1 => (self.directory("freezer")?.join("freezer.state"), "FROZEN"),
            Layout::Unified => (self.directory("unified")?.join("cgroup.freeze"), "1"),
        };
        match fs::read_to_string(&file) {
            Ok(text) => Ok(text.trim() == frozen),
            Err(error) if error.is_not_found() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    fn manager(&self, operation: &'static str) -> Result<AnyCgroupManager, CgroupError> {
        let config =
            CgroupConfig { cgroup_path: self.path.clone(), systemd_cgroup: false, container_name: String::new() };
        libcgroups::common::create_cgroup_manager(config)
            .map_err(|error| CgroupError::Manager { operation, message: chain(&error) })
    }

    /// Numbers of the moment.
    pub fn stats(&self) -> Result<CgroupStats, CgroupError> {
        match self.layout() {
            Layout::V1 => stats::v1(self),
            Layout::Unified => stats::v2(&self.directory("unified")?),
        }
    }

    /// How many processes of the group (and of those below) the kernel has killed for lack of memory.
    ///
    /// Read it before the container is deleted. Under v1 a kill counts in the victim's own group, whichever limit was hit.
    pub fn oom_kills(&self) -> Result<u64, CgroupError> {
        let file = match self.layout() {
            Layout::V1 => self.directory("memory")?.join("memory.oom_control"),
            Layout::Unified => self.directory("unified")?.join("memory.events"),
        };
        Ok(stats::keyed(&file)?.get("oom_kill").copied().unwrap_or(0))
    }

    /// All processes in the groups and below.
    pub fn processes(&self) -> Result<Vec<libc::pid_t>, CgroupError> {
        let directory = match self.layout() {
            Layout::V1 => self.hierarchies.root_of("freezer").or_else(|| self.hierarchies.root_of("pids")),
            Layout::Unified => self.hierarchies.root_of("unified"),
        };
        let directory = self.below(directory.ok_or(CgroupError::Missing("usable"))?);
        let mut pids = Vec::new();
        for group in descendants(&directory) {
            match fs::read_to_string(&group.join("cgroup.procs")) {
                Ok(text) => pids.extend(text.lines().filter_map(|line| line.parse::<libc::pid_t>().ok())),
                // It went away while we looked.
                Err(error) if error.is_not_found() || is(&error, libc::ENODEV) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // 0 is a process that this namespace cannot see.
        pids.retain(|pid| *pid > 0);
        Ok(pids)
    }

    /// Sends a signal to all processes of the group once.
    pub(crate) fn signal_all(&self, signal: i32) -> Result<(), CgroupError> {
        for pid in self.processes()? {
            signal_process(pid, signal)?;
        }
        Ok(())
    }

    /// Kills all processes and hands out handles on them, until there is none. Does not wait: a parent may have to reap first.
    pub(crate) fn kill_all(&self) -> Result<Vec<ProcessHandle>, CgroupError> {
        let directories: Vec<PathBuf> = self.directories().into_iter().filter(|directory| directory.exists()).collect();
        if directories.is_empty() {
            return Ok(Vec::new());
        }
        let frozen = self.is_frozen().unwrap_or(false);
        let mut killed = Vec::new();
        let mut seen = Vec::new();
        for _ in 0..KILL_ROUNDS {
            let fresh: Vec<libc::pid_t> = self.processes()?.into_iter().filter(|pid| !seen.contains(pid)).collect();
            if fresh.is_empty() {
                break;
            }
            for pid in fresh {
                seen.push(pid);
                killed.extend(signal_process(pid, libc::SIGKILL)?);
            }
        }
        if frozen {
            // Frozen processes of v1 die when they wake.
            self.thaw()?;
        }
        Ok(killed)
    }

    /// Removes the groups and all below them; processes in them are killed first, and waited for as long as one that does
    /// not hang in the kernel takes to die.
    pub fn remove(&self) -> Result<(), CgroupError> {
        for process in self.kill_all()? {
            if !wait_for_end(process.pidfd(), KILL_PATIENCE)? {
                return Err(CgroupError::Unkillable { path: self.path.clone(), pid: process.pid() });
            }
        }
        self.remove_directories()
    }

    /// Removes the groups and all below them, which nobody is in any more.
    pub(crate) fn remove_directories(&self) -> Result<(), CgroupError> {
        for directory in self.directories() {
            // Leaves first: a group with groups in it cannot be removed.
            for group in descendants(&directory).into_iter().rev() {
                match std::fs::remove_dir(&group) {
                    Ok(()) => {}
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(source) => {
                        return Err(FsError { operation: "remove control group", path: group, source }.into());
                    }
                }
            }
        }
        Ok(())
    }
}

/// A handle on the process, if it still exists, after the signal was sent.
fn signal_process(pid: libc::pid_t, signal: i32) -> Result<Option<ProcessHandle>, CgroupError> {
    let process = match ProcessHandle::open(pid) {
        Ok(process) => process,
        // EINVAL: the number of a thread whose process is gone.
        Err(SystemError { source: Errno::ESRCH | Errno::EINVAL | Errno::ENOENT, .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match sys::pidfd_send_signal(process.pidfd(), signal) {
        Ok(()) => Ok(Some(process)),
        Err(Errno::ESRCH) => Ok(None),
        Err(source) => Err(SystemError { operation: format!("signal process {pid}"), source }.into()),
    }
}

fn is(error: &FsError, errno: i32) -> bool {
    error.source.raw_os_error() == Some(errno)
}

/// A group and all below it, parents first; empty if it does not exist.
fn descendants(directory: &Path) -> Vec<PathBuf> {
    if !directory.is_dir() {
        return Vec::new();
    }
    let mut found = vec![directory.to_owned()];
    let mut next = 0;
    while next < found.len() {
        if let Ok(entries) = std::fs::read_dir(&found[next]) {
            found.extend(entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()));
        }
        next += 1;
    }
    found
}
