//! Other processes: held by a handle that stays theirs, because the kernel gives numbers away again.

use std::{os::fd::OwnedFd, path::PathBuf};

use anyhow::Context as _;
use corten_base::fs;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// A handle on a process; nothing if there is none of that number.
pub(crate) fn hold(pid: i32) -> anyhow::Result<Option<OwnedFd>> {
    let Some(number) = Pid::from_raw(pid) else { return Ok(None) };
    match pidfd_open(number, PidfdFlags::empty()) {
        Ok(process) => Ok(Some(process)),
        Err(rustix::io::Errno::SRCH) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("look for process {pid}")),
    }
}

/// A handle on the process that had this number since `started`; nothing if it has ended, whoever has the number now.
pub(crate) fn hold_since(pid: i32, started: u64) -> anyhow::Result<Option<OwnedFd>> {
    let Some(process) = hold(pid)? else { return Ok(None) };
    // Read while the handle keeps the number from being used again.
    Ok((start_time(pid)? == Some(started)).then_some(process))
}

/// A handle on the process with these arguments after its name, among those of this user that see the same files; nothing if
/// there is none. For what was written down nowhere, or where that is lost.
pub(crate) fn find(is_it: impl Fn(&[&[u8]]) -> bool) -> anyhow::Result<Option<OwnedFd>> {
    use std::os::unix::fs::MetadataExt as _;
    let own = PathBuf::from("/proc/self");
    let (own_user, own_files) = (std::fs::metadata(&own)?.uid(), std::fs::read_link(own.join("ns/mnt"))?);
    for entry in std::fs::read_dir("/proc").context("list processes")? {
        let path = entry.context("list processes")?.path();
        let Some(pid) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
        // Whoever ends meanwhile is nobody.
        let matches = || {
            let line = std::fs::read(path.join("cmdline")).unwrap_or_default();
            let words: Vec<&[u8]> = line.split(|byte| *byte == 0).skip(1).collect();
            is_it(&words)
                && std::fs::metadata(&path).is_ok_and(|it| it.uid() == own_user)
                && std::fs::read_link(path.join("ns/mnt")).is_ok_and(|files| files == own_files)
        };
        if matches()
            && let Some(process) = hold(pid)?
            // Again, while the handle keeps the number from being used for another.
            && matches()
        {
            return Ok(Some(process));
        }
    }
    Ok(None)
}

/// The start of a process in ticks since boot; nothing if there is no such process, or only its exit status is left.
pub(crate) fn start_time(pid: i32) -> anyhow::Result<Option<u64>> {
    let path = PathBuf::from(format!("/proc/{pid}/stat"));
    match fs::read_to_string(&path) {
        Ok(stat) => Ok(parse_start_time(&stat)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// proc(5): the name in parentheses may hold anything; behind it come the state (field 3) and, as field 22, the start.
fn parse_start_time(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    let state = fields.next()?;
    let started = fields.nth(18)?.trim().parse().ok()?;
    (state != "Z").then_some(started)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_is_found_whatever_the_process_is_called() {
        let fields = "0 ".repeat(18);
        assert_eq!(parse_start_time(&format!("7 (a) b) S {fields}4711 1 2")), Some(4_711));
        assert_eq!(parse_start_time(&format!("7 (a) Z {fields}4711 1 2")), None);
        let own = std::process::id().cast_signed();
        let started = start_time(own).unwrap().unwrap();
        assert!(hold_since(own, started).unwrap().is_some());
        assert!(hold_since(own, started + 1).unwrap().is_none());
    }
}
