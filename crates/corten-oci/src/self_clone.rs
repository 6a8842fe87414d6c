//! Keeps containers from overwriting the binary that runs them (CVE-2019-5736).
//!
//! Between entering a container and `execve`, our own executable is `/proc/self/exe` of a process that the container can
//! see; `execve("/proc/self/exe")` inside even runs it. Started from a read-only clone of its mount, writing to it fails
//! with EROFS whatever the container holds. The clone costs a millisecond and no memory.

use std::{
    ffi::{CString, OsString},
    os::{
        fd::{AsFd as _, AsRawFd as _},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
};

use nix::errno::Errno;

use crate::{
    error::{During as _, SystemError},
    sys,
};

/// Makes sure that this process runs from a read-only mount; call it first, before any thread exists.
///
/// Returns if it does. Otherwise starts the same executable with the same arguments, environment and descriptors from a
/// read-only clone, and does not return. Errors: no CAP_SYS_ADMIN, or a kernel older than 5.12.
pub fn ensure_read_only_executable() -> Result<(), SystemError> {
    let flags = nix::fcntl::OFlag::O_PATH | nix::fcntl::OFlag::O_CLOEXEC;
    let executable =
        nix::fcntl::open("/proc/self/exe", flags, nix::sys::stat::Mode::empty()).during("open own executable")?;
    let stat = nix::sys::statvfs::fstatvfs(&executable).during("stat file system of own executable")?;
    if stat.flags().contains(nix::sys::statvfs::FsFlags::ST_RDONLY) {
        return Ok(());
    }
    let clone = sys::clone_tree(executable.as_fd(), c"", false).during("clone mount of own executable")?;
    let read_only = sys::MountAttr { set: sys::MOUNT_ATTR_RDONLY, ..Default::default() };
    sys::mount_setattr(clone.as_fd(), &read_only, false).during("make clone of own executable read-only")?;

    let arguments: Vec<CString> = std::env::args_os().map(c_string).collect();
    let environment: Vec<CString> = std::env::vars_os()
        .map(|(name, value)| c_string(OsString::from_vec([name.as_bytes(), b"=", value.as_bytes()].concat())))
        .collect();
    let pointers = |strings: &[CString]| -> Vec<*const libc::c_char> {
        strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
    };
    let (argv, envp) = (pointers(&arguments), pointers(&environment));
    // SAFETY: both arrays end in null and point to strings that live to the end of this function; `execveat` returns only on failure.
    let result = unsafe {
        libc::syscall(
            libc::SYS_execveat,
            clone.as_raw_fd(),
            c"".as_ptr(),
            argv.as_ptr(),
            envp.as_ptr(),
            libc::AT_EMPTY_PATH,
        )
    };
    Errno::result(result).map(drop).during("execute read-only clone of own executable")
}

fn c_string(string: OsString) -> CString {
    CString::new(string.into_vec()).expect("arguments and environment came as C strings")
}
