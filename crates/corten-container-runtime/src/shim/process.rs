//! The shim's own process, for a runtime that has to end one which does not answer.
//!
//! Format, version 1: `shim.json` in the pod's directory, below what a reboot ends. Shims of older runtimes have none.

use std::{io, path::Path, time::Duration};

use corten_base::fs;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use serde::{Deserialize, Serialize};

use super::protocol::write_json;

/// The version this code writes and reads.
const VERSION: u32 = 1;
const FILE: &str = "shim.json";

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    version: u32,
    pid: i32,
    /// When it started, in the kernel's ticks: no later process has both numbers.
    start_ticks: u64,
}

/// Notes which process is the shim of the pod in `directory`. Blocks.
pub(super) fn note(directory: &Path, pid: Pid) -> io::Result<()> {
    let pid = pid.as_raw_nonzero().get();
    let Some(start_ticks) = start_ticks(pid)? else { return Err(io::Error::other("the shim ended at once")) };
    write_json(&directory.join(FILE), &Record { version: VERSION, pid, start_ticks }).map_err(io::Error::other)
}

/// Kills the shim of the pod in `directory` and waits until it has gone. `false`: nobody noted which process it is. Blocks.
///
/// Errors: it outlives SIGKILL by `patience`.
pub(crate) fn kill(directory: &Path, patience: Duration) -> io::Result<bool> {
    let text = match fs::read(&directory.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.is_not_found() => return Ok(false),
        Err(error) => return Err(io::Error::other(error)),
    };
    let record: Record = serde_json::from_slice(&text)?;
    let Some(pid) = Pid::from_raw(record.pid).filter(|_| record.version == VERSION) else { return Ok(false) };
    // The handle first, the check second: then the handle cannot mean a later process.
    let handle = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(true),
        opened => opened?,
    };
    if start_ticks(record.pid)? != Some(record.start_ticks) {
        return Ok(true);
    }
    match pidfd_send_signal(&handle, Signal::KILL) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(errno) => return Err(errno.into()),
    }
    let patience = Timespec::try_from(patience).map_err(io::Error::other)?;
    let ended = loop {
        match poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&patience)) {
            Err(Errno::INTR) => {}
            ended => break ended?,
        }
    };
    if ended == 0 {
        return Err(io::Error::new(io::ErrorKind::TimedOut, format!("shim {} outlives SIGKILL", record.pid)));
    }
    Ok(true)
}

/// When a process started; `None` if there is none.
fn start_ticks(pid: i32) -> io::Result<Option<u64>> {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The name in parentheses may contain anything; 19 fields lie between it and the time.
        Ok(text) => Ok(text.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(19)?.parse().ok())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn the_noted_process_is_killed_and_no_other() {
        let directory = tempfile::tempdir().unwrap();
        let second = Duration::from_secs(10);
        assert!(!kill(directory.path(), second).unwrap(), "nothing is noted");
        let mut child = Command::new("sleep").arg("100").stdin(Stdio::null()).spawn().unwrap();
        note(directory.path(), Pid::from_child(&child)).unwrap();
        let path = directory.path().join(FILE);
        let mut record: Record = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        record.start_ticks += 1;
        write_json(&path, &record).unwrap();
        assert!(kill(directory.path(), second).unwrap());
        assert!(child.try_wait().unwrap().is_none(), "it has only the number of the one that was noted");
        note(directory.path(), Pid::from_child(&child)).unwrap();
        assert!(kill(directory.path(), second).unwrap());
        assert!(!child.wait().unwrap().success());
        assert!(kill(directory.path(), second).unwrap(), "it has gone");
    }
}
