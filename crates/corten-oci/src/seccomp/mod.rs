//! Filters of system calls: the profile of a container compiled to a program of the kernel and loaded before `execve`.
//!
//! Flow: an OCI profile (the default one, a file of the node, or none) -> [`Filter::compile`] in the shim -> the program
//! travels to the container by `fork` -> the last stage loads it. No library is linked: libseccomp is C, and seccompiler
//! knows one action per filter, while every real profile mixes several (`clone3` must say ENOSYS where the rest says EPERM).

pub(crate) mod compile;
pub mod default_profile;
pub(crate) mod syscalls;

use std::{path::Path, rc::Rc};

use corten_base::fs::{self, FsError};
use libcontainer::oci_spec::runtime::LinuxSeccomp;

pub use default_profile::default_profile;

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SeccompError {
    /// The file of a `Localhost` profile could not be read.
    #[error(transparent)]
    Read(#[from] FsError),
    /// The file is not an OCI seccomp profile.
    #[error("parse seccomp profile {path}")]
    Parse {
        /// The file.
        path: String,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// The profile wants something the kernel or this implementation does not do.
    #[error("seccomp profile: {0}")]
    Unsupported(String),
}

/// Where the filter of a container comes from: the three types of `securityContext.seccompProfile`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProfileSource<'a> {
    /// No filter.
    Unconfined,
    /// The default profile for a container with these capabilities (names with `CAP_`).
    RuntimeDefault {
        /// The bounding capabilities of the container.
        capabilities: &'a [String],
    },
    /// A JSON file on this machine.
    Localhost(&'a Path),
}

/// Finds the profile that belongs into `linux.seccomp` of a bundle; `None` means unconfined.
pub fn profile(source: &ProfileSource<'_>) -> Result<Option<LinuxSeccomp>, SeccompError> {
    match source {
        ProfileSource::Unconfined => Ok(None),
        ProfileSource::RuntimeDefault { capabilities } => Ok(Some(default_profile(capabilities))),
        ProfileSource::Localhost(path) => {
            let text = fs::read(path)?;
            let profile = serde_json::from_slice(&text)
                .map_err(|source| SeccompError::Parse { path: path.display().to_string(), source })?;
            Ok(Some(profile))
        }
    }
}

/// A compiled filter. Cheap to clone.
#[derive(Clone)]
pub struct Filter {
    program: Rc<[libc::sock_filter]>,
    flags: libc::c_ulong,
}

impl Filter {
    /// Compiles a profile for this architecture.
    ///
    /// Calls of another architecture (32-bit programs) are killed: the profile's rules cannot be checked for them.
    /// Errors: `SCMP_ACT_NOTIFY`, an argument index above 5, a program above the kernel's limit of 4,096 instructions.
    pub fn compile(profile: &LinuxSeccomp) -> Result<Self, SeccompError> {
        Ok(Self { program: compile::program(profile)?.into(), flags: compile::flags(profile) })
    }

    /// Puts the filter on the calling thread, for good.
    ///
    /// Needs `no_new_privs` or CAP_SYS_ADMIN in the thread's user namespace.
    pub(crate) fn load(&self) -> Result<(), nix::errno::Errno> {
        let program = libc::sock_fprog {
            len: u16::try_from(self.program.len()).expect("compile() keeps to 4,096 instructions"),
            filter: self.program.as_ptr().cast_mut(),
        };
        // SAFETY: `program` describes `self.program`, which outlives the call; the kernel only reads and copies it.
        let result = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, self.flags, std::ptr::from_ref(&program))
        };
        nix::errno::Errno::result(result).map(drop)
    }
}

impl std::fmt::Debug for Filter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Filter({} instructions)", self.program.len())
    }
}
