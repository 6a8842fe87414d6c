//! The last steps of a process before it becomes the container's program; shared by start and exec.
//!
//! They run inside the container's namespaces, in a copy of the shim, with all privileges that the namespaces give.
//! The order matters and was tried step by step:
//! the bounding set and the groups need privileges that the user change takes away; the capability sets are set once,
//! before the filter (no `capset` comes after it: `execve` recomputes the permitted set from the inheritable, bounding and
//! ambient ones, so the CAP_SYS_ADMIN kept for loading the filter vanishes by itself); the filter comes last, so that it only
//! has to allow `execve`, and `write` and `exit_group` for the report of a failure.

use std::{ffi::CString, path::Path, ptr};

use libcontainer::oci_spec::runtime::Process;
use nix::errno::Errno;

use crate::{
    capabilities::{CapabilitySets, SYS_ADMIN},
    error::{Stage, StartFailure, SystemError, errno},
    seccomp::Filter,
    sys, user,
};

/// Where programs are sought when the bundle names no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Why the process of a bundle cannot even be tried.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// No arguments, or an empty first one.
    #[error("process has no arguments")]
    NoArguments,
    /// A string that the kernel cannot take.
    #[error("process {field} contains a zero byte")]
    ZeroByte {
        /// Which field of the process.
        field: &'static str,
    },
    /// The home directory could not be looked up.
    #[error(transparent)]
    System(#[from] SystemError),
}

/// Everything those steps need, made in the shim.
#[derive(Debug)]
pub(crate) struct LastStage {
    argv: Vec<CString>,
    env: Vec<CString>,
    /// What to try to execute, in order.
    candidates: Vec<CString>,
    cwd: CString,
    uid: libc::uid_t,
    gid: libc::gid_t,
    groups: Vec<libc::gid_t>,
    umask: libc::mode_t,
    capabilities: CapabilitySets,
    no_new_privileges: bool,
    apparmor_profile: Option<String>,
    filter: Option<Filter>,
}

impl LastStage {
    /// Prepares a process. `root` is the container's root file system, for the home directory of its user.
    pub(crate) fn prepare(process: &Process, filter: Option<Filter>, root: &Path) -> Result<Self, ProcessError> {
        let args = process.args().as_deref().unwrap_or_default();
        let program = args.first().filter(|program| !program.is_empty()).ok_or(ProcessError::NoArguments)?;
        let mut env = process.env().clone().unwrap_or_default();
        if !env.iter().any(|entry| entry.starts_with("HOME=")) {
            env.push(format!("HOME={}", user::home(root, process.user().uid())?));
        }
        let candidates = candidates(program, env.iter().find_map(|entry| entry.strip_prefix("PATH=")));
        let capabilities = CapabilitySets::of(process.capabilities().as_ref());
        Ok(Self {
            argv: c_strings("args", args.iter().cloned())?,
            env: c_strings("env", env)?,
            candidates: c_strings("args", candidates)?,
            cwd: c_string("cwd", process.cwd().as_os_str().as_encoded_bytes().to_vec())?,
            uid: process.user().uid(),
            gid: process.user().gid(),
            groups: process.user().additional_gids().clone().unwrap_or_default(),
            umask: process.user().umask().unwrap_or(0o022),
            capabilities,
            no_new_privileges: process.no_new_privileges().unwrap_or(false),
            apparmor_profile: process.apparmor_profile().clone().filter(|profile| !profile.is_empty()),
            filter,
        })
    }

    /// Names a failure of these steps.
    pub(crate) fn failure(&self, stage: Stage, errno: Errno) -> StartFailure {
        let lossy = |text: &CString| text.to_string_lossy().into_owned();
        StartFailure { stage, errno, program: lossy(&self.argv[0]), cwd: lossy(&self.cwd) }
    }

    /// Where the program shall run, inside the container.
    pub(crate) fn cwd(&self) -> &std::ffi::CStr {
        &self.cwd
    }

    /// Takes the steps. Returns only if one of them failed.
    pub(crate) fn run(&self) -> (Stage, Errno) {
        match self.steps() {
            Ok(never) => match never {},
            Err(failure) => failure,
        }
    }

    fn steps(&self) -> Result<std::convert::Infallible, (Stage, Errno)> {
        let at = |stage: Stage| move |errno: Errno| (stage, errno);
        let wanted = self.capabilities.within(sys::bounding_set());

        sys::reset_signals();
        // SAFETY: a number.
        unsafe { libc::umask(self.umask) };
        // As root first: images have working directories that only root can enter, and the originals let their users in.
        let entered = enter(&self.cwd);
        self.drop_bounding_set(wanted.bounding).map_err(at(Stage::BoundingSet))?;
        self.change_user()?;

        // An unprivileged user holds only ambient capabilities: with more, execve itself would ignore file modes.
        let held = if self.uid == 0 { wanted.permitted } else { wanted.ambient };
        let loads_with_privilege = self.filter.is_some() && !self.no_new_privileges;
        let kept = if loads_with_privilege { held | SYS_ADMIN } else { held };
        sys::capset(kept, kept, wanted.inheritable).map_err(at(Stage::Capabilities))?;
        raise_ambient(wanted.ambient).map_err(at(Stage::Capabilities))?;

        if entered.is_err() {
            enter(&self.cwd).map_err(at(Stage::WorkingDirectory))?;
        }
        if let Some(profile) = &self.apparmor_profile {
            std::fs::write("/proc/self/attr/apparmor/exec", format!("exec {profile}"))
                .map_err(|error| (Stage::Apparmor, errno(&error)))?;
        }
        if self.no_new_privileges {
            sys::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map_err(at(Stage::NoNewPrivileges))?;
        }
        let argv = pointers(&self.argv);
        let env = pointers(&self.env);
        if let Some(filter) = &self.filter {
            filter.load().map_err(at(Stage::Seccomp))?;
        }
        Err((Stage::Exec, self.execute(&argv, &env)))
    }

    fn drop_bounding_set(&self, keep: u64) -> Result<(), Errno> {
        let present = sys::bounding_set();
        for bit in (0..u64::BITS).filter(|bit| present & !keep & (1 << bit) != 0) {
            sys::prctl(libc::PR_CAPBSET_DROP, libc::c_ulong::from(bit), 0)?;
        }
        Ok(())
    }

    fn change_user(&self) -> Result<(), (Stage, Errno)> {
        // SAFETY: the pointer and the length describe `self.groups`; the kernel only reads it.
        let groups = Errno::result(unsafe { libc::setgroups(self.groups.len(), self.groups.as_ptr()) });
        match groups {
            // A user namespace may forbid this call; then the process has no groups that it could keep by it.
            Err(Errno::EPERM) if self.groups.is_empty() => {}
            other => drop(other.map_err(|errno| (Stage::Groups, errno))?),
        }
        sys::prctl(libc::PR_SET_KEEPCAPS, 1, 0).map_err(|errno| (Stage::Uid, errno))?;
        nix::unistd::setresgid(self.gid.into(), self.gid.into(), self.gid.into())
            .map_err(|errno| (Stage::Gid, errno))?;
        nix::unistd::setresuid(self.uid.into(), self.uid.into(), self.uid.into())
            .map_err(|errno| (Stage::Uid, errno))?;
        // The user change made the process visible again to others of its user; it still holds the shim's memory.
        sys::prctl(libc::PR_SET_DUMPABLE, 0, 0).map_err(|errno| (Stage::Uid, errno))?;
        Ok(())
    }

    /// Tries the candidates as a shell would: one that may not be executed is remembered, the search goes on.
    fn execute(&self, argv: &[*const libc::c_char], env: &[*const libc::c_char]) -> Errno {
        let mut answer = Errno::ENOENT;
        for candidate in &self.candidates {
            // SAFETY: both arrays end in null and point to strings of `self`, which outlives the call.
            unsafe { libc::execve(candidate.as_ptr(), argv.as_ptr(), env.as_ptr()) };
            match Errno::last() {
                Errno::ENOENT | Errno::ENOTDIR if self.candidates.len() > 1 => {}
                Errno::EACCES => answer = Errno::EACCES,
                other => return other,
            }
        }
        answer
    }
}

/// Enters the working directory and makes sure that it lies below the root (CVE-2024-21626: `/proc/self/fd/N` of the host).
fn enter(cwd: &CString) -> Result<(), Errno> {
    nix::unistd::chdir(cwd.as_c_str())?;
    // The kernel's answer begins with "(unreachable)" outside the root, which the C library turns into an error.
    nix::unistd::getcwd().map(drop)
}

fn raise_ambient(ambient: u64) -> Result<(), Errno> {
    sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as libc::c_ulong, 0)?;
    for bit in (0..u64::BITS).filter(|bit| ambient & (1 << bit) != 0) {
        sys::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong, libc::c_ulong::from(bit))?;
    }
    Ok(())
}

/// The paths that a program's name may mean.
fn candidates(program: &str, path: Option<&str>) -> Vec<String> {
    if program.contains('/') {
        return vec![program.to_owned()];
    }
    path.unwrap_or(DEFAULT_PATH)
        .split(':')
        .map(|directory| if directory.is_empty() { format!("./{program}") } else { format!("{directory}/{program}") })
        .collect()
}

fn c_string(field: &'static str, bytes: Vec<u8>) -> Result<CString, ProcessError> {
    CString::new(bytes).map_err(|_| ProcessError::ZeroByte { field })
}

fn c_strings(field: &'static str, strings: impl IntoIterator<Item = String>) -> Result<Vec<CString>, ProcessError> {
    strings.into_iter().map(|string| c_string(field, string.into_bytes())).collect()
}

/// The array that execve takes.
fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_sought_in_path_and_a_path_is_not() {
        assert_eq!(candidates("ls", Some("/bin::/usr/bin")), ["/bin/ls", "./ls", "/usr/bin/ls"]);
        assert_eq!(candidates("./ls", Some("/bin")), ["./ls"]);
        assert_eq!(candidates("ls", None).len(), 6);
    }

    #[test]
    fn strings_with_zero_bytes_are_refused() {
        let mut process = Process::default();
        process.set_args(Some(vec!["a\0b".to_owned()]));
        let result = LastStage::prepare(&process, None, Path::new("/nowhere-at-all"));
        assert!(matches!(result, Err(ProcessError::System(_))), "{result:?}");
        process.set_env(Some(vec!["HOME=/".to_owned()]));
        let result = LastStage::prepare(&process, None, Path::new("/nowhere-at-all"));
        assert!(matches!(result, Err(ProcessError::ZeroByte { field: "args" })), "{result:?}");
    }
}
