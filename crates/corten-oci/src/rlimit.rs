//! Resource limits of a process, set from outside while it is held.

use libcontainer::oci_spec::runtime::{PosixRlimit, PosixRlimitType};
use nix::errno::Errno;

use crate::error::{During as _, SystemError};

/// Sets the limits of process `pid`.
///
/// A hard limit above what this process may give becomes the highest it may give, instead of an error: a container
/// with fewer descriptors than asked for is better than none.
pub(crate) fn apply(pid: libc::pid_t, limits: &[PosixRlimit]) -> Result<(), SystemError> {
    for limit in limits {
        let resource = resource(limit.typ());
        let wanted = libc::rlimit { rlim_cur: limit.soft().min(limit.hard()), rlim_max: limit.hard() };
        let result = match prlimit(pid, resource, Some(wanted)) {
            Err(Errno::EPERM) => prlimit(pid, resource, None).and_then(|present| {
                let ceiling = present.rlim_max.min(wanted.rlim_max);
                let clamped = libc::rlimit { rlim_cur: wanted.rlim_cur.min(ceiling), rlim_max: ceiling };
                prlimit(pid, resource, Some(clamped))
            }),
            other => other,
        };
        result.during(format!("set rlimit {} to {}", limit.typ(), limit.hard()))?;
    }
    Ok(())
}

/// Sets a limit if one is given; returns the one before.
fn prlimit(
    pid: libc::pid_t,
    resource: libc::__rlimit_resource_t,
    new: Option<libc::rlimit>,
) -> Result<libc::rlimit, Errno> {
    let mut old = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let new = new.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `new` is null or points to a limit that outlives the call, `old` is writable.
    Errno::result(unsafe { libc::prlimit(pid, resource, new, &raw mut old) })?;
    Ok(old)
}

fn resource(kind: PosixRlimitType) -> libc::__rlimit_resource_t {
    match kind {
        PosixRlimitType::RlimitCpu => libc::RLIMIT_CPU,
        PosixRlimitType::RlimitFsize => libc::RLIMIT_FSIZE,
        PosixRlimitType::RlimitData => libc::RLIMIT_DATA,
        PosixRlimitType::RlimitStack => libc::RLIMIT_STACK,
        PosixRlimitType::RlimitCore => libc::RLIMIT_CORE,
        PosixRlimitType::RlimitRss => libc::RLIMIT_RSS,
        PosixRlimitType::RlimitNproc => libc::RLIMIT_NPROC,
        PosixRlimitType::RlimitNofile => libc::RLIMIT_NOFILE,
        PosixRlimitType::RlimitMemlock => libc::RLIMIT_MEMLOCK,
        PosixRlimitType::RlimitAs => libc::RLIMIT_AS,
        PosixRlimitType::RlimitLocks => libc::RLIMIT_LOCKS,
        PosixRlimitType::RlimitSigpending => libc::RLIMIT_SIGPENDING,
        PosixRlimitType::RlimitMsgqueue => libc::RLIMIT_MSGQUEUE,
        PosixRlimitType::RlimitNice => libc::RLIMIT_NICE,
        PosixRlimitType::RlimitRtprio => libc::RLIMIT_RTPRIO,
        PosixRlimitType::RlimitRttime => libc::RLIMIT_RTTIME,
    }
}
