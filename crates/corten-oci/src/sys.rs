//! Kernel calls that neither the C library nor nix wraps, as safe functions over file descriptors and C strings.

use std::{
    ffi::CStr,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::errno::Errno;

/// Resolve below the given directory as if it were the root. (`linux/openat2.h`)
pub(crate) const RESOLVE_IN_ROOT: u64 = 0x10;
/// Refuse symbolic links in the whole path.
pub(crate) const RESOLVE_NO_SYMLINKS: u64 = 0x04;
/// Refuse the jumping links of /proc.
pub(crate) const RESOLVE_NO_MAGICLINKS: u64 = 0x02;

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct MountAttr {
    pub(crate) set: u64,
    pub(crate) clear: u64,
    pub(crate) propagation: u64,
    pub(crate) userns_fd: u64,
}

pub(crate) const MOUNT_ATTR_RDONLY: u64 = 0x01;
pub(crate) const MOUNT_ATTR_NOSUID: u64 = 0x02;
pub(crate) const MOUNT_ATTR_NODEV: u64 = 0x04;
pub(crate) const MOUNT_ATTR_NOEXEC: u64 = 0x08;
pub(crate) const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;

const OPEN_TREE_CLONE: libc::c_uint = 1;
const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 0x04;
const MOVE_MOUNT_T_EMPTY_PATH: libc::c_uint = 0x40;

/// The largest capability number the kernel's headers know is 40; the kernel says where it really ends.
const CAPABILITY_BITS: u32 = 64;

#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// Calls again as long as a signal interrupts the call.
pub(crate) fn retry<T>(mut call: impl FnMut() -> Result<T, Errno>) -> Result<T, Errno> {
    loop {
        match call() {
            Err(Errno::EINTR) => {}
            other => return other,
        }
    }
}

/// Owns the descriptor that a call returned.
fn owned(result: libc::c_long) -> Result<OwnedFd, Errno> {
    let fd = Errno::result(result)?;
    let fd = RawFd::try_from(fd).expect("descriptors are small");
    // SAFETY: the kernel has just made this descriptor for us; nobody else has its number.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// openat2(2); always close-on-exec.
pub(crate) fn openat2(dir: BorrowedFd<'_>, path: &CStr, flags: i32, mode: u32, resolve: u64) -> Result<OwnedFd, Errno> {
    let how = OpenHow { flags: u64::from((flags | libc::O_CLOEXEC).cast_unsigned()), mode: u64::from(mode), resolve };
    // SAFETY: `path` is a C string and `how` has the size that is passed; both outlive the call.
    owned(unsafe {
        libc::syscall(libc::SYS_openat2, dir.as_raw_fd(), path.as_ptr(), std::ptr::from_ref(&how), size_of::<OpenHow>())
    })
}

/// A detached copy of the mount at `path` (or of the file `dir` itself, for an empty path), with all below it if `recursive`.
pub(crate) fn clone_tree(dir: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = OPEN_TREE_CLONE | libc::O_CLOEXEC.cast_unsigned();
    if path.is_empty() {
        flags |= libc::AT_EMPTY_PATH.cast_unsigned();
    }
    if recursive {
        flags |= libc::AT_RECURSIVE.cast_unsigned();
    }
    // SAFETY: `path` is a C string that outlives the call.
    owned(unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) })
}

/// Changes the attributes of the mount `tree`, and of all below it if `recursive`.
pub(crate) fn mount_setattr(tree: BorrowedFd<'_>, attr: &MountAttr, recursive: bool) -> Result<(), Errno> {
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    // SAFETY: the path is a C string, `attr` has the size that is passed; both outlive the call.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    })
    .map(drop)
}

/// Attaches a detached tree on top of `target`.
pub(crate) fn move_mount(tree: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: both paths are C strings.
    Errno::result(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            target.as_raw_fd(),
            c"".as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH,
        )
    })
    .map(drop)
}

/// A handle on a process that survives the reuse of its number.
pub(crate) fn pidfd_open(pid: libc::pid_t) -> Result<OwnedFd, Errno> {
    // SAFETY: plain numbers.
    owned(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })
}

/// Sends a signal through such a handle.
pub(crate) fn pidfd_send_signal(pidfd: BorrowedFd<'_>, signal: i32) -> Result<(), Errno> {
    // SAFETY: a null siginfo means "as kill(2) does".
    Errno::result(unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), signal, std::ptr::null::<libc::siginfo_t>(), 0)
    })
    .map(drop)
}

/// A copy of the calling process whose parent is our parent: `Some(pid)` here, `None` in the copy.
///
/// # Safety
/// The process must have one thread, and the copy must end by `execve` or `_exit`.
pub(crate) unsafe fn fork_sibling() -> Result<Option<libc::pid_t>, Errno> {
    let flags = libc::CLONE_PARENT | libc::SIGCHLD;
    // SAFETY: without CLONE_VM a null stack means "go on with a copy of mine", as in fork(2); the caller keeps the rest.
    let pid = Errno::result(unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) })?;
    Ok((pid != 0).then(|| libc::pid_t::try_from(pid).expect("process numbers are small")))
}

/// Marks all descriptors from `first` on close-on-exec.
pub(crate) fn close_on_exec_from(first: RawFd) -> Result<(), Errno> {
    close_range(first.cast_unsigned(), libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC)
}

/// Closes every descriptor but these.
///
/// # Safety
/// Nothing in the process may use the closed descriptors afterwards; meant for a fresh fork.
pub(crate) unsafe fn close_all_but(keep: &[RawFd]) -> Result<(), Errno> {
    let mut keep: Vec<libc::c_uint> = keep.iter().map(|fd| fd.cast_unsigned()).collect();
    keep.sort_unstable();
    let mut next = 0;
    for fd in keep {
        if fd > next {
            close_range(next, fd - 1, 0)?;
        }
        next = fd + 1;
    }
    close_range(next, libc::c_uint::MAX, 0)
}

fn close_range(first: libc::c_uint, last: libc::c_uint, flags: libc::c_uint) -> Result<(), Errno> {
    // SAFETY: plain numbers; those who close tell their callers what it means.
    Errno::result(unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) }).map(drop)
}

/// prctl(2) with numbers for arguments.
pub(crate) fn prctl(option: i32, argument: libc::c_ulong, second: libc::c_ulong) -> Result<i32, Errno> {
    // SAFETY: the options used in this crate take numbers, no pointers.
    Errno::result(unsafe { libc::prctl(option, argument, second, 0, 0) })
}

/// The capabilities that the calling thread may ever gain, one bit each.
pub(crate) fn bounding_set() -> u64 {
    let mut set = 0;
    for bit in 0..CAPABILITY_BITS {
        match prctl(libc::PR_CAPBSET_READ, libc::c_ulong::from(bit), 0) {
            Ok(0) => {}
            Ok(_) => set |= 1 << bit,
            // EINVAL: past the kernel's last capability.
            Err(_) => break,
        }
    }
    set
}

/// Sets the three capability sets of the calling thread.
pub(crate) fn capset(effective: u64, permitted: u64, inheritable: u64) -> Result<(), Errno> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    #[expect(clippy::cast_possible_truncation, reason = "the sets travel in two halves")]
    let half = |shift: u32| Data {
        effective: (effective >> shift) as u32,
        permitted: (permitted >> shift) as u32,
        inheritable: (inheritable >> shift) as u32,
    };
    // 0x20080522: version 3, two words per set.
    let header = Header { version: 0x2008_0522, pid: 0 };
    let data = [half(0), half(32)];
    // SAFETY: version 3 reads one header and two data records, which these are.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, std::ptr::from_ref(&header), data.as_ptr()) }).map(drop)
}

/// Gives all signals their default action and unblocks them: `execve` would hand ignored and blocked ones on.
///
/// By the kernel's own interface, because the C library keeps two signals for itself and refuses to touch them.
pub(crate) fn reset_signals() {
    /// Bytes in a signal set of the kernel.
    const SET_BYTES: usize = 8;
    // `struct sigaction` of the kernel is at most four words; all zero means SIG_DFL without flags.
    let default_action = [0_u64; 4];
    for signal in 1..=64 {
        // SAFETY: the action is readable and large enough. For SIGKILL and SIGSTOP the call fails, as it should.
        unsafe {
            let no_old = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, default_action.as_ptr(), no_old, SET_BYTES);
        }
    }
    let none = 0_u64;
    // SAFETY: the set is readable and of the size given.
    unsafe {
        let no_old = std::ptr::null_mut::<u64>();
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, std::ptr::from_ref(&none), no_old, SET_BYTES);
    }
}

/// Ends the calling process at once, without running what the parent registered for its own end.
pub(crate) fn exit_now(code: i32) -> ! {
    // SAFETY: _exit never returns and touches no memory of ours.
    unsafe { libc::_exit(code) }
}

/// The file system type of an open file.
pub(crate) fn file_system(fd: BorrowedFd<'_>) -> Result<i64, Errno> {
    nix::sys::statfs::fstatfs(fd).map(|stat| stat.filesystem_type().0)
}
