//! Who has the lock: the lock file says it, and the kernel whether that is true.
//!
//! The file may be a user's, and say anything; a process is sent signals only when it has the lock.

use std::{
    fmt,
    fs::{File, Metadata},
    io::{self, ErrorKind},
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::Path,
};

use anyhow::Context as _;
use corten_base::fs::Context as _;

use super::Purpose;
use crate::process::{hold_since, start_time};

/// The process that has a lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) pid: i32,
    /// When it was started, in the kernel's ticks since boot.
    started: u64,
    /// What it has the lock for; nothing if that is a word of a later version.
    purpose: Option<Purpose>,
    /// Whether the kernel says so, too. False where this process may not look: then it is nobody to send signals to.
    pub(super) proven: bool,
}

impl Holder {
    /// Who has the lock on `file`, by its text: the number of a process, when that was started, and what it has the lock for, a
    /// line each. The holder writes them once it has the lock. Until then they are those of the one before, whose number may be
    /// anybody's by now: then there is nothing.
    pub(super) fn read(text: &str, file: &File) -> anyhow::Result<Option<Self>> {
        let mut lines = text.lines();
        let pid = lines.next().and_then(|line| line.parse().ok());
        let Some((pid, started)) = pid.zip(lines.next().and_then(|line| line.parse().ok())) else { return Ok(None) };
        if start_time(pid)? != Some(started) {
            return Ok(None);
        }
        let proven = match Has::lock_on(pid, file).context("look who has the lock")? {
            Has::It => true,
            Has::Hidden => false,
            Has::Not => return Ok(None),
        };
        // Earlier versions did not say it, and of those only a cluster runs for long.
        let purpose = lines.next().map_or(Some(Purpose::Serve), Purpose::from_word);
        Ok(Some(Self { pid, started, purpose, proven }))
    }

    pub(super) fn serves(&self) -> bool {
        self.purpose == Some(Purpose::Serve)
    }

    /// A handle on the process; nothing if it has ended.
    pub(super) fn hold(&self) -> anyhow::Result<Option<OwnedFd>> {
        hold_since(self.pid, self.started)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.purpose {
            Some(Purpose::Serve) => write!(f, "corten (pid {})", self.pid),
            Some(command) => write!(f, "`corten {}` (pid {})", command.word(), self.pid),
            None => write!(f, "a command of corten (pid {})", self.pid),
        }
    }
}

/// Whether a process has a lock (flock(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Has {
    It,
    Not,
    /// This process may not look at the files of that one.
    Hidden,
}

impl Has {
    /// Whether process `pid` has the lock on this file.
    pub(super) fn lock_on(pid: i32, file: &File) -> io::Result<Self> {
        let place = |it: &Metadata| (it.dev(), it.ino());
        let wanted = place(&file.metadata()?);
        Self::lock(pid, |open| std::fs::metadata(open).is_ok_and(|it| place(&it) == wanted))
    }

    /// Whether process `pid` has the lock on a file that was `path` and has been removed.
    pub(super) fn lock_on_removed(pid: i32, path: &Path) -> io::Result<Self> {
        // As proc(5) writes it.
        let mut wanted = path.as_os_str().to_owned();
        wanted.push(" (deleted)");
        Self::lock(pid, |open| std::fs::read_link(open).is_ok_and(|it| it.as_os_str() == wanted))
    }

    /// Whether process `pid` has a lock on one of its open files. `is_it` is given their places in /proc.
    fn lock(pid: i32, is_it: impl Fn(&Path) -> bool) -> io::Result<Self> {
        // All threads share the files; one that has ended, and be it the first, has none any more.
        for thread in none_if_gone(std::fs::read_dir(format!("/proc/{pid}/task")))? {
            let thread = thread?.path();
            let mut files = match none_if_gone(std::fs::read_dir(thread.join("fd"))) {
                Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(Self::Hidden),
                files => files?.peekable(),
            };
            if files.peek().is_none() {
                continue;
            }
            for file in files {
                let Ok(file) = file else { break };
                if is_it(&file.path()) && is_locked(&thread.join("fdinfo").join(file.file_name())) {
                    return Ok(Self::It);
                }
            }
            return Ok(Self::Not);
        }
        Ok(Self::Not)
    }
}

/// proc(5): a line `lock:` for each lock that was taken by this open file, and so by nobody else.
fn is_locked(info: &Path) -> bool {
    let text = std::fs::read_to_string(info).unwrap_or_default();
    text.lines().any(|line| line.starts_with("lock:") && line.contains("FLOCK"))
}

/// The entries of a directory of /proc; none if its process has ended.
fn none_if_gone(
    entries: io::Result<std::fs::ReadDir>,
) -> io::Result<impl Iterator<Item = io::Result<std::fs::DirEntry>>> {
    match entries {
        Ok(entries) => Ok(Some(entries).into_iter().flatten()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None.into_iter().flatten()),
        Err(error) => Err(error),
    }
}

/// Opens a lock file; nothing if there is none. No link is followed and nobody is waited for: the directory may be a user's.
///
/// Errors: it is no regular file.
pub(super) fn open(path: &Path, options: &mut std::fs::OpenOptions) -> anyhow::Result<Option<File>> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
    let file = match options.custom_flags(flags.bits().cast_signed()).open(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened.at("open", path)?,
    };
    anyhow::ensure!(file.metadata().at("look at", path)?.is_file(), "{} is no regular file", path.display());
    Ok(Some(file))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use nix::fcntl::{Flock, FlockArg};

    use super::*;

    /// Whatever a lock file said was believed, and root's `down` ended the process that somebody had written into it.
    #[test]
    fn the_kernel_says_who_has_a_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let file = File::create(&path).unwrap();
        let lock = Flock::lock(file.try_clone().unwrap(), FlockArg::LockExclusiveNonblock).unwrap();
        let own = std::process::id().cast_signed();
        assert_eq!(Has::lock_on(own, &file).unwrap(), Has::It);
        // It has the file open, and not by that which was locked.
        let mut other = Command::new("sleep").arg("60").stdin(File::open(&path).unwrap()).spawn().unwrap();
        let pid = other.id().cast_signed();
        assert_eq!(Has::lock_on(pid, &file).unwrap(), Has::Not);
        let text = format!("{pid}\n{}\nserve\n", start_time(pid).unwrap().unwrap());
        assert_eq!(Holder::read(&text, &file).unwrap(), None);
        assert_eq!(Has::lock_on_removed(own, &path).unwrap(), Has::Not);
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Has::lock_on_removed(own, &path).unwrap(), Has::It);
        assert_eq!(Has::lock_on_removed(pid, &path).unwrap(), Has::Not);
        drop(lock);
        other.kill().unwrap();
        other.wait().unwrap();
        assert_eq!(Has::lock_on(pid, &file).unwrap(), Has::Not, "it is not there any more");
    }

    #[test]
    fn what_a_file_says_is_never_shown_as_it_is() {
        let file = tempfile::tempfile().unwrap();
        let file = Flock::lock(file, FlockArg::LockExclusiveNonblock).unwrap();
        let own = std::process::id().cast_signed();
        let beginning = format!("{own}\n{}\n", start_time(own).unwrap().unwrap());
        let shown = |word: &str| Holder::read(&format!("{beginning}{word}\n"), &file).unwrap().unwrap().to_string();
        assert_eq!(shown("serve"), format!("corten (pid {own})"));
        assert_eq!(shown("delete"), format!("`corten delete` (pid {own})"));
        assert_eq!(shown("\u{1b}[31mred"), format!("a command of corten (pid {own})"));
    }

    #[test]
    fn what_is_no_file_is_no_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let open_it = || open(&path, File::options().read(true));
        assert!(open_it().unwrap().is_none());
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(open_it().unwrap_err().to_string().ends_with("is no regular file"));
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, b"").unwrap();
        assert!(open_it().unwrap().is_some());
    }
}
