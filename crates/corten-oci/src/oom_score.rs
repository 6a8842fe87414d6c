//! How eagerly the kernel kills a process when memory runs out.

use std::path::PathBuf;

use corten_base::fs::{self, FsError};

/// Sets the score adjustment of process `pid`, -1000 (never) to 1000 (first).
///
/// Going below the present value takes CAP_SYS_RESOURCE; without it the process keeps the present value, as containerd does
/// with `restrict_oom_score_adj`.
pub(crate) fn apply(pid: libc::pid_t, adjustment: i32) -> Result<(), FsError> {
    let path = PathBuf::from(format!("/proc/{pid}/oom_score_adj"));
    match fs::write(&path, adjustment.to_string().as_bytes()) {
        Err(error) if matches!(error.source.raw_os_error(), Some(libc::EACCES | libc::EPERM)) => {
            let present = fs::read_to_string(&path)?;
            if present.trim().parse().is_ok_and(|present: i32| adjustment < present) { Ok(()) } else { Err(error) }
        }
        other => other,
    }
}
