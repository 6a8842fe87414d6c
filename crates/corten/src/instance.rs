//! One process per root: a lock that the kernel gives back however its holder ends.

use std::{
    fs::{File, OpenOptions},
    io::{Read as _, Seek as _, Write as _},
    os::fd::OwnedFd,
};

use anyhow::{Context as _, bail};
use corten_base::fs::{self, Context as _};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::{
    config::Places,
    control::{self, Request, Silent},
    process::{hold_since, start_time},
};

/// How long to wait for the end of a process that does not answer before it is asked again: it may be starting.
const ANSWER_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// The kernel's name for this run of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The right to work with the places of a cluster, held while this value lives.
#[derive(Debug)]
pub(crate) struct Instance {
    _lock: Flock<File>,
}

/// What came of asking for it.
#[derive(Debug)]
pub(crate) enum Claim {
    /// It is ours.
    Ours(Instance),
    /// Another process has it.
    Running(Running),
}

/// Another process that works with these places.
#[derive(Debug)]
pub(crate) struct Running {
    /// Its process id; nothing if it has not written it yet.
    pub(crate) pid: Option<i32>,
    /// When it was started, in the kernel's ticks since boot.
    started: Option<u64>,
    file: File,
}

/// What a lock file says: the number of the process that had it last and, on another line, when that was started. The holder
/// writes both once it has the lock. Until then they are those of the one before, whose number may be anybody's by now: then
/// there is nothing.
fn written(text: &str) -> anyhow::Result<Option<(i32, u64)>> {
    let mut lines = text.lines();
    let pid = lines.next().and_then(|line| line.parse().ok());
    let Some((pid, started)) = pid.zip(lines.next().and_then(|line| line.parse().ok())) else { return Ok(None) };
    Ok((start_time(pid)? == Some(started)).then_some((pid, started)))
}

impl Instance {
    /// Asks for the places; makes their directories.
    ///
    /// Errors: files that cannot be made or read.
    pub(crate) fn claim(places: &Places) -> anyhow::Result<Claim> {
        fs::create_dir_all(&places.root)?;
        let path = places.lock();
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).at("open", &path)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Self::begin(lock, places).map(Claim::Ours),
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut text = String::new();
                file.read_to_string(&mut text).at("read", &path)?;
                let (pid, started) = written(&text)?.unzip();
                Ok(Claim::Running(Running { pid, started, file }))
            }
            Err((_, errno)) => Err(errno).with_context(|| format!("lock {}", path.display())),
        }
    }

    fn begin(mut lock: Flock<File>, places: &Places) -> anyhow::Result<Self> {
        let pid = std::process::id().cast_signed();
        let started = start_time(pid)?.context("this process runs")?;
        lock.set_len(0).and_then(|()| lock.rewind()).context("empty the lock file")?;
        // In one piece, so that nobody reads half a number.
        lock.write_all(format!("{pid}\n{started}\n").as_bytes()).context("write the lock file")?;
        forget_earlier_boots(places)?;
        // What containers write, their set-user-id files included, and what pods are given, their secrets included.
        for directory in [places.containers(), places.kubelet()] {
            fs::create_private_dir(&directory)?;
        }
        Ok(Self { _lock: lock })
    }
}

impl Running {
    /// Takes the other process's place if it is about to end: a process that was killed has its lock until the kernel has
    /// taken it apart, and says nothing on its socket any more. Blocks, until it has ended or answers.
    ///
    /// Errors: as `claim`.
    pub(crate) fn or_its_end(self, places: &Places) -> anyhow::Result<Claim> {
        // It has not written its number, or it is not there any more: what the lock says now counts.
        let Some(process) = self.hold()? else { return Instance::claim(places) };
        loop {
            match control::ask(&places.control_socket(), Request::Status) {
                Ok(Some(_)) => return Ok(Claim::Running(self)),
                Err(error) if error.is::<Silent>() => {
                    let pid = self.pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default();
                    bail!("a process{pid} has {} and does not answer: `corten down` ends it", places.root.display());
                }
                _ => {}
            }
            let mut end = [PollFd::new(&process, PollFlags::IN)];
            if poll(&mut end, Some(&ANSWER_PAUSE)).context("watch the running process")? > 0 {
                return Instance::claim(places);
            }
        }
    }

    /// A handle on the process; nothing if its number is not known, or it has ended.
    pub(crate) fn hold(&self) -> anyhow::Result<Option<OwnedFd>> {
        let Some((pid, started)) = self.pid.zip(self.started) else { return Ok(None) };
        hold_since(pid, started)
    }

    /// Waits until the other process has ended, and takes its place. Blocks.
    pub(crate) fn wait(self, places: &Places) -> anyhow::Result<Instance> {
        let lock = Flock::lock(self.file, FlockArg::LockExclusive).map_err(|(_, errno)| errno);
        Instance::begin(lock.context("wait for the running process")?, places)
    }
}

/// Whether a process works with the places: ` (pid 17)`, or nothing in it if its number is not known. Makes and changes
/// nothing.
pub(crate) fn holder(places: &Places) -> anyhow::Result<Option<String>> {
    let path = places.lock();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("open {}", path.display())),
    };
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_free) => Ok(None),
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut text = String::new();
            file.read_to_string(&mut text).at("read", &path)?;
            Ok(Some(written(&text)?.map(|(pid, _)| format!(" (pid {pid})")).unwrap_or_default()))
        }
        Err((_, errno)) => Err(errno).with_context(|| format!("lock {}", path.display())),
    }
}

/// Removes run time state that a reboot has ended but not removed, because the run directory is not a tmpfs.
fn forget_earlier_boots(places: &Places) -> anyhow::Result<()> {
    let now = fs::read(BOOT_ID.as_ref())?;
    let marker = places.run.join("boot_id");
    match fs::read(&marker) {
        Ok(then) if then == now => return Ok(fs::create_private_dir(&places.run)?),
        Ok(_) => fs::remove_dir_all(&places.run)?,
        Err(error) if error.is_not_found() => {}
        Err(error) => return Err(error.into()),
    }
    fs::create_private_dir(&places.run)?;
    Ok(fs::write(&marker, &now)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_is_first() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::new(directory.path()).unwrap();
        let Claim::Ours(first) = Instance::claim(&places).unwrap() else { panic!("nobody else is there") };
        let Claim::Running(running) = Instance::claim(&places).unwrap() else { panic!("the first holds it") };
        assert_eq!(running.pid, Some(std::process::id().cast_signed()));
        assert_eq!(holder(&places).unwrap(), Some(format!(" (pid {})", std::process::id())));
        drop(first);
        drop(running.wait(&places).unwrap());
        assert_eq!(holder(&places).unwrap(), None);
    }

    /// Between taking the lock and writing its number, the file still has the last run's, and `down` sent signals to whatever
    /// process had that by then.
    #[test]
    fn the_number_of_an_earlier_run_is_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::new(directory.path()).unwrap();
        let Claim::Ours(_first) = Instance::claim(&places).unwrap() else { panic!("nobody else is there") };
        let own = fs::read_to_string(&places.lock()).unwrap();
        let (pid, started) = written(&own).unwrap().unwrap();
        for (text, want) in [
            (own.clone(), Some(pid)),
            (format!("{pid}\n{}\n", started - 1), None),
            (format!("{pid}\n"), None),
            (String::new(), None),
        ] {
            fs::write(&places.lock(), text.as_bytes()).unwrap();
            let Claim::Running(running) = Instance::claim(&places).unwrap() else { panic!("the first holds it") };
            assert_eq!(running.pid, want, "{text:?}");
            assert_eq!(running.hold().unwrap().is_some(), want.is_some());
        }
    }

    /// Anybody on the machine could run set-user-id files out of containers (containerd's CVE-2021-41103) and read the
    /// secrets of pods, because all of it lay below directories open to all.
    #[test]
    fn other_users_reach_nothing_of_containers() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let places = Places::new(directory.path()).unwrap();
        let private = [places.run.clone(), places.containers(), places.kubelet()];
        for _ in 0..2 {
            drop(Instance::claim(&places).unwrap());
            for path in &private {
                assert_eq!(path.metadata().unwrap().permissions().mode() & 0o7777, 0o700, "{}", path.display());
                // As earlier versions made them.
                std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
            }
        }
    }

    #[test]
    fn state_of_an_earlier_boot_is_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::new(directory.path()).unwrap();
        drop(Instance::claim(&places).unwrap());
        fs::write(&places.run.join("stale"), b"").unwrap();
        drop(Instance::claim(&places).unwrap());
        assert!(places.run.join("stale").exists(), "the same boot");
        fs::write(&places.run.join("boot_id"), b"another").unwrap();
        drop(Instance::claim(&places).unwrap());
        assert!(!places.run.join("stale").exists());
    }
}
