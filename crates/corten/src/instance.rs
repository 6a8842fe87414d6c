//! One process per root: a lock that the kernel gives back however its holder ends.
//!
//! The lock file says who holds it and what for. A process that serves may be asked to end, and sent signals; a command is at
//! work on what others need, and is waited for.

mod holder;

use std::{
    fs::{File, Permissions},
    io::{ErrorKind, Read as _, Seek as _, Write as _},
    os::{
        fd::{BorrowedFd, OwnedFd},
        unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _},
    },
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail};
use corten_base::{
    SystemClock,
    fs::{self, Context as _},
};
use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use self::holder::{Has, Holder};
use crate::{
    control::{self, Answer, Request, Silent},
    ground::{self, Ground, LOCK_MODE},
    places::Places,
    process::start_time,
    rights,
    unix_socket::listener_of,
};

/// How long to wait for the end of a process that does not answer before it is asked again: it may be starting.
const ANSWER_PAUSE: Duration = Duration::from_millis(100);

/// How long commands may take that are waited for: the longest, the end of a cluster, has three times thirty seconds for a
/// process that hangs, and then its containers.
const COMMAND_PATIENCE: Duration = Duration::from_secs(150);

/// How long a process may take to end that was asked to before a start that waits for it gives up.
const END_PATIENCE: Duration = Duration::from_secs(30);

/// How long a process may have the lock and not say who it is: it writes that in its next breath.
const NUMBER_PATIENCE: Duration = Duration::from_secs(1);

/// How long to wait before the lock file is read again that said nothing.
const NUMBER_PAUSE: Duration = Duration::from_millis(10);

/// The kernel's name for this run of the machine.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// What the places are held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To serve until told to end: `up`, `server`, `kubelet`. Nobody else is ever sent a signal.
    Serve,
    /// `down`.
    Down,
    /// `delete`.
    Delete,
    /// `restore`.
    Restore,
    /// `image`, without a process that serves.
    Image,
}

impl Purpose {
    /// How the lock file says it; the command's name where it is a command.
    const fn word(self) -> &'static str {
        match self {
            Self::Serve => "serve",
            Self::Down => "down",
            Self::Delete => "delete",
            Self::Restore => "restore",
            Self::Image => "image",
        }
    }

    /// What a word means, if it is one.
    fn from_word(word: &str) -> Option<Self> {
        [Self::Serve, Self::Down, Self::Delete, Self::Restore, Self::Image].into_iter().find(|one| one.word() == word)
    }

    /// Whether it is the end of a cluster, and nothing is to be made where there is none.
    const fn ends(self) -> bool {
        matches!(self, Self::Down | Self::Delete)
    }
}

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
    /// Another process has it, and serves.
    Running(Running),
}

/// Another process that works with these places.
#[derive(Debug)]
pub(crate) struct Running {
    /// Who it is; nothing if it has not written that yet, or somebody else has written something else.
    holder: Option<Holder>,
    /// The file that it has locked.
    lock: File,
}

/// For whom commands that have the places are waited for.
#[derive(Clone, Copy)]
pub(crate) struct Asker<'a> {
    /// Who is told what is waited for.
    tell: &'a dyn Fn(String),
    /// The writing end of a pipe to whoever asked, if they may go away.
    pipe: Option<BorrowedFd<'a>>,
}

/// Whoever wanted the places has gone, and so has the wish.
#[derive(Debug, thiserror::Error)]
#[error("nobody waits for it any more")]
pub(crate) struct Abandoned;

impl<'a> Asker<'a> {
    /// Somebody who is there as long as this process.
    pub(crate) fn new(tell: &'a dyn Fn(String)) -> Self {
        Self { tell, pipe: None }
    }

    /// Somebody who reads at the other end of `pipe`.
    pub(crate) fn behind(tell: &'a dyn Fn(String), pipe: BorrowedFd<'a>) -> Self {
        Self { tell, pipe: Some(pipe) }
    }

    /// Errors: [`Abandoned`].
    pub(crate) fn expect_there(&self) -> anyhow::Result<()> {
        // The kernel tells of a pipe without readers whatever is asked for.
        let pipe = self.pipe.map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::empty()));
        if let Some(pipe) = pipe
            && wait_for(&mut [pipe], Duration::ZERO)?
        {
            return Err(Abandoned.into());
        }
        Ok(())
    }

    /// As `ends_within`.
    ///
    /// Errors: [`Abandoned`], as soon as it is so.
    fn sees_end_of(&self, process: &OwnedFd, patience: Duration) -> anyhow::Result<bool> {
        let pipe = self.pipe.map(|pipe| PollFd::from_borrowed_fd(pipe, PollFlags::empty()));
        let mut awaited: Vec<PollFd<'_>> = [PollFd::new(process, PollFlags::IN)].into_iter().chain(pipe).collect();
        let ended = wait_for(&mut awaited, patience)?;
        self.expect_there()?;
        Ok(ended)
    }
}

/// Whether the process ends, or has ended, within `patience`. Blocks.
pub(crate) fn ends_within(process: &OwnedFd, patience: Duration) -> anyhow::Result<bool> {
    wait_for(&mut [PollFd::new(process, PollFlags::IN)], patience)
}

/// Whether one of these is ready within `patience`. Blocks.
fn wait_for(what: &mut [PollFd<'_>], patience: Duration) -> anyhow::Result<bool> {
    let nanoseconds = i64::from(patience.subsec_nanos());
    let timeout = Timespec { tv_sec: patience.as_secs().cast_signed(), tv_nsec: nanoseconds };
    match poll(what, Some(&timeout)) {
        Ok(ready) => Ok(ready > 0),
        // Whoever waits looks again.
        Err(rustix::io::Errno::INTR) => Ok(false),
        Err(error) => Err(error).context("wait for the end of a process"),
    }
}

impl Instance {
    /// Asks for the places; makes their directories. Commands that have them are waited for, which `asker` is told. Blocks.
    ///
    /// Errors: a directory that is not a cluster's, or that others can write in; files that cannot be made or read; a command
    /// that takes too long; [`Abandoned`].
    pub(crate) fn claim(places: &Places, purpose: Purpose, asker: Asker<'_>) -> anyhow::Result<Claim> {
        let claimed = Self::claim_if_any(places, purpose, asker)?;
        claimed.with_context(|| format!("there is no cluster at {}", places.root.display()))
    }

    /// As `claim`. Nothing if there is no cluster, for a purpose that ends one: also when the command that was waited for has
    /// removed it.
    pub(crate) fn claim_if_any(places: &Places, purpose: Purpose, asker: Asker<'_>) -> anyhow::Result<Option<Claim>> {
        let clock = SystemClock::shared();
        let began = clock.monotonic();
        let mut waited_for = None;
        loop {
            let running = match Self::try_claim(places, purpose)? {
                Some(Claim::Running(running)) => running,
                other => return Ok(other),
            };
            let waited = clock.monotonic().saturating_sub(began);
            match &running.holder {
                Some(holder) if holder.serves() => return Ok(Some(Claim::Running(running))),
                Some(holder) => {
                    let left = COMMAND_PATIENCE.saturating_sub(waited);
                    if left.is_zero() {
                        bail!("{holder} still works at {}: try again when it is done", places.root.display());
                    }
                    if waited_for.as_ref() != Some(holder) {
                        (asker.tell)(format!("waiting for {holder}, which works at {}", places.root.display()));
                        waited_for = Some(holder.clone());
                    }
                    if let Some(process) = holder.hold()? {
                        asker.sees_end_of(&process, left)?;
                    }
                }
                None if waited > NUMBER_PATIENCE => return Ok(Some(Claim::Running(running))),
                None => drop(wait_for(&mut [], NUMBER_PAUSE)?),
            }
        }
    }

    /// As `claim_if_any`, without waiting for anybody.
    fn try_claim(places: &Places, purpose: Purpose) -> anyhow::Result<Option<Claim>> {
        let path = places.lock();
        loop {
            if !purpose.ends() {
                ground::settle(places)?;
            } else {
                rights::expect_own(places)?;
                if ground::look(places)? != Ground::Cluster {
                    return Ok(None);
                }
            }
            // The file may have been lost without its cluster.
            let may_make = !purpose.ends() || places.record().exists();
            let options = &mut File::options();
            options.read(true).write(true).create(may_make).truncate(false).mode(LOCK_MODE);
            // `delete` was faster.
            let Some(file) = holder::open(&path, options)? else { continue };
            // One of an earlier version is open to all.
            if file.metadata().at("look at", &path)?.mode() & 0o777 != LOCK_MODE {
                file.set_permissions(Permissions::from_mode(LOCK_MODE)).at("set mode of", &path)?;
            }
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                // `delete` removes the file while it has the lock: whoever opened it before would have another lock than
                // whoever comes next.
                Ok(lock) if !is_file_at(&lock, &path)? => {}
                Ok(lock) => return Self::begin(lock, places, purpose).map(Claim::Ours).map(Some),
                Err((mut file, Errno::EWOULDBLOCK)) => {
                    let mut text = String::new();
                    file.read_to_string(&mut text).at("read", &path)?;
                    return Ok(Some(Claim::Running(Running { holder: Holder::read(&text, &file)?, lock: file })));
                }
                Err((_, errno)) => return Err(errno).with_context(|| format!("lock {}", path.display())),
            }
        }
    }

    fn begin(mut lock: Flock<File>, places: &Places, purpose: Purpose) -> anyhow::Result<Self> {
        let pid = std::process::id().cast_signed();
        let started = start_time(pid)?.context("this process runs")?;
        lock.set_len(0).and_then(|()| lock.rewind()).context("empty the lock file")?;
        // In one piece, so that nobody reads half a number.
        let text = format!("{pid}\n{started}\n{}\n", purpose.word());
        lock.write_all(text.as_bytes()).context("write the lock file")?;
        forget_earlier_boots(places)?;
        // What containers write, their set-user-id files included, and what pods are given, their secrets included.
        for directory in [places.containers(), places.kubelet()] {
            fs::create_private_dir(&directory)?;
        }
        Ok(Self { _lock: lock })
    }
}

/// Whether the path still leads to this file.
fn is_file_at(file: &File, path: &Path) -> anyhow::Result<bool> {
    let ours = file.metadata().at("look at", path)?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).at("look at", path).map_err(Into::into),
    }
}

impl Running {
    /// Its process id; nothing if it has not written it yet.
    pub(crate) fn pid(&self) -> Option<i32> {
        self.holder.as_ref().map(|holder| holder.pid)
    }

    /// Takes the other process's place if it is about to end: one that was asked to end, or one that was killed, which has
    /// its lock until the kernel has taken it apart and says nothing on its socket any more. Blocks, until it has ended or
    /// answers.
    ///
    /// Errors: as `claim`; it was asked to end and does not.
    pub(crate) fn or_its_end(self, places: &Places, asker: Asker<'_>) -> anyhow::Result<Claim> {
        let claim = || Instance::claim(places, Purpose::Serve, asker);
        // It has not written its number, or it is not there any more: what the lock says now counts.
        let Some(process) = self.hold()? else { return claim() };
        loop {
            let asked = control::ask(&places.control_socket(), Request::Status);
            match asked {
                Ok(Some(Answer::Status(report))) if report.stopping => {
                    (asker.tell)(format!("waiting for corten (pid {}) to end, which was asked to", report.pid));
                    if asker.sees_end_of(&process, END_PATIENCE)? {
                        return claim();
                    }
                    bail!(
                        "corten (pid {}) was asked to end {} s ago and has not: `corten down` sends it signals",
                        report.pid,
                        END_PATIENCE.as_secs()
                    );
                }
                // It may have been killed since.
                Ok(Some(_)) if asker.sees_end_of(&process, Duration::ZERO)? => return claim(),
                Ok(Some(_)) => return Ok(Claim::Running(self)),
                Err(error) if error.is::<Silent>() => {
                    let pid = self.pid().map(|pid| format!(" (pid {pid})")).unwrap_or_default();
                    bail!("a process{pid} has {} and does not answer: `corten down` ends it", places.root.display());
                }
                _ => {}
            }
            if asker.sees_end_of(&process, ANSWER_PAUSE)? {
                return claim();
            }
        }
    }

    /// A handle on the process; nothing if its number is not known, or it has ended.
    fn hold(&self) -> anyhow::Result<Option<OwnedFd>> {
        self.holder.as_ref().map_or(Ok(None), Holder::hold)
    }

    /// The process, to be sent signals, and its number: the one that the lock file names or that takes commands, if it has the
    /// lock. Nothing if neither has it yet. Blocks, for at most `patience` where it hangs.
    pub(crate) fn to_end(&self, places: &Places, patience: Duration) -> anyhow::Result<Option<(i32, OwnedFd)>> {
        if let Some(holder) = self.holder.as_ref().filter(|holder| holder.proven)
            && let Some(process) = holder.hold()?
        {
            return Ok(Some((holder.pid, process)));
        }
        let Some((pid, process)) = listener_of(&places.control_socket(), patience)? else { return Ok(None) };
        // Asked while the handle keeps the number from being used again.
        let has_it = Has::lock_on(pid, &self.lock).context("look who has the lock")? == Has::It;
        Ok(has_it.then_some((pid, process)))
    }
}

/// The process that takes commands although the lock's file was removed, and its number. Nothing if nobody takes commands.
/// Blocks for at most `patience`.
///
/// Errors: who takes commands has no such lock, and so is not this cluster's.
pub(crate) fn without_lock_file(places: &Places, patience: Duration) -> anyhow::Result<Option<(i32, OwnedFd)>> {
    let Some((pid, process)) = listener_of(&places.control_socket(), patience)? else { return Ok(None) };
    match Has::lock_on_removed(pid, &places.lock()).context("look who has the lock")? {
        Has::It => Ok(Some((pid, process))),
        Has::Not | Has::Hidden => bail!(
            "process {pid} takes commands at {} and has not the cluster's lock: end it, or remove that socket",
            places.control_socket().display()
        ),
    }
}

/// Who works with the places: "corten (pid 17)". Makes and changes nothing.
pub(crate) fn holder(places: &Places) -> anyhow::Result<Option<String>> {
    let path = places.lock();
    let Some(file) = holder::open(&path, File::options().read(true))? else { return Ok(None) };
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_free) => Ok(None),
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut text = String::new();
            file.read_to_string(&mut text).at("read", &path)?;
            Ok(Some(Holder::read(&text, &file)?.map_or_else(|| "a process".to_owned(), |holder| holder.to_string())))
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
mod tests;
