//! One process per root: a lock that the kernel gives back however its holder ends.
//!
//! The lock file says who holds it and what for. A process that serves may be asked to end, and sent signals; a command is at
//! work on what others need, and is waited for.

use std::{
    fmt,
    fs::{File, OpenOptions},
    io::{ErrorKind, Read as _, Seek as _, Write as _},
    os::{
        fd::OwnedFd,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
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

use crate::{
    config::Places,
    control::{self, Answer, Request, Silent},
    ground::{self, Ground},
    process::{hold_since, start_time},
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
    /// Who it is; nothing if it has not written that yet.
    holder: Option<Holder>,
}

/// What a lock file says of the process that had it last.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Holder {
    pid: i32,
    /// When it was started, in the kernel's ticks since boot.
    started: u64,
    /// A word of [`Purpose`], or one of a later version.
    purpose: String,
}

impl Holder {
    /// Reads a lock file: the number of a process, when that was started, and what it has the lock for, a line each. The
    /// holder writes them once it has the lock. Until then they are those of the one before, whose number may be anybody's by
    /// now: then there is nothing.
    fn read(text: &str) -> anyhow::Result<Option<Self>> {
        let mut lines = text.lines();
        let pid = lines.next().and_then(|line| line.parse().ok());
        let Some((pid, started)) = pid.zip(lines.next().and_then(|line| line.parse().ok())) else { return Ok(None) };
        // Earlier versions did not say it, and of those only a cluster runs for long.
        let purpose = lines.next().unwrap_or(Purpose::Serve.word()).to_owned();
        Ok((start_time(pid)? == Some(started)).then_some(Self { pid, started, purpose }))
    }

    fn serves(&self) -> bool {
        self.purpose == Purpose::Serve.word()
    }

    /// A handle on the process; nothing if it has ended.
    fn hold(&self) -> anyhow::Result<Option<OwnedFd>> {
        hold_since(self.pid, self.started)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.serves() {
            true => write!(f, "corten (pid {})", self.pid),
            false => write!(f, "`corten {}` (pid {})", self.purpose, self.pid),
        }
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
    /// Asks for the places; makes their directories. Commands that have them are waited for, which `tell` is told. Blocks.
    ///
    /// Errors: a directory that is not a cluster's, files that cannot be made or read, a command that takes too long.
    pub(crate) fn claim(places: &Places, purpose: Purpose, tell: &dyn Fn(String)) -> anyhow::Result<Claim> {
        let claimed = Self::claim_if_any(places, purpose, tell)?;
        claimed.with_context(|| format!("there is no cluster at {}", places.root.display()))
    }

    /// As `claim`. Nothing if there is no cluster, for a purpose that ends one: also when the command that was waited for has
    /// removed it.
    pub(crate) fn claim_if_any(
        places: &Places,
        purpose: Purpose,
        tell: &dyn Fn(String),
    ) -> anyhow::Result<Option<Claim>> {
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
                        tell(format!("waiting for {holder}, which works at {}", places.root.display()));
                        waited_for = Some(holder.clone());
                    }
                    if let Some(process) = holder.hold()? {
                        ends_within(&process, left)?;
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
            } else if ground::look(places)? != Ground::Cluster {
                return Ok(None);
            }
            // The file may have been lost without its cluster.
            let may_make = !purpose.ends() || places.record().exists();
            // No link is followed: the directory may be a user's, and this process root's.
            let mut options = OpenOptions::new();
            let no_link = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
            options.read(true).write(true).create(may_make).truncate(false).custom_flags(no_link);
            let opened = options.open(&path);
            let file = match opened {
                // `delete` was faster.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened.at("open", &path)?,
            };
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                // `delete` removes the file while it has the lock: whoever opened it before would have another lock than
                // whoever comes next.
                Ok(lock) if !is_file_at(&lock, &path)? => {}
                Ok(lock) => return Self::begin(lock, places, purpose).map(Claim::Ours).map(Some),
                Err((mut file, Errno::EWOULDBLOCK)) => {
                    let mut text = String::new();
                    file.read_to_string(&mut text).at("read", &path)?;
                    return Ok(Some(Claim::Running(Running { holder: Holder::read(&text)? })));
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
    pub(crate) fn or_its_end(self, places: &Places, tell: &dyn Fn(String)) -> anyhow::Result<Claim> {
        let claim = || Instance::claim(places, Purpose::Serve, tell);
        // It has not written its number, or it is not there any more: what the lock says now counts.
        let Some(process) = self.hold()? else { return claim() };
        loop {
            let asked = control::ask(&places.control_socket(), Request::Status);
            match asked {
                Ok(Some(Answer::Status(report))) if report.stopping => {
                    tell(format!("waiting for corten (pid {}) to end, which was asked to", report.pid));
                    if ends_within(&process, END_PATIENCE)? {
                        return claim();
                    }
                    bail!(
                        "corten (pid {}) was asked to end {} s ago and has not: `corten down` sends it signals",
                        report.pid,
                        END_PATIENCE.as_secs()
                    );
                }
                Ok(Some(_)) => return Ok(Claim::Running(self)),
                Err(error) if error.is::<Silent>() => {
                    let pid = self.pid().map(|pid| format!(" (pid {pid})")).unwrap_or_default();
                    bail!("a process{pid} has {} and does not answer: `corten down` ends it", places.root.display());
                }
                _ => {}
            }
            if ends_within(&process, ANSWER_PAUSE)? {
                return claim();
            }
        }
    }

    /// A handle on the process; nothing if its number is not known, or it has ended.
    pub(crate) fn hold(&self) -> anyhow::Result<Option<OwnedFd>> {
        self.holder.as_ref().map_or(Ok(None), Holder::hold)
    }
}

/// Who works with the places: "corten (pid 17)". Makes and changes nothing.
pub(crate) fn holder(places: &Places) -> anyhow::Result<Option<String>> {
    let path = places.lock();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("open {}", path.display())),
    };
    match Flock::lock(file, FlockArg::LockSharedNonblock) {
        Ok(_free) => Ok(None),
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut text = String::new();
            file.read_to_string(&mut text).at("read", &path)?;
            Ok(Some(Holder::read(&text)?.map_or_else(|| "a process".to_owned(), |holder| holder.to_string())))
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
    use std::sync::Arc;

    use corten_base::{Shutdown, TaskSet};

    use super::*;

    fn try_claim(places: &Places) -> Claim {
        Instance::try_claim(places, Purpose::Serve).unwrap().unwrap()
    }

    fn own_pid() -> i32 {
        std::process::id().cast_signed()
    }

    /// A user's directory could make root's command write to any file.
    #[test]
    fn a_link_in_the_place_of_the_lock_is_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::new(&directory.path().join("root")).unwrap();
        let victim = directory.path().join("victim");
        fs::write(&victim, b"precious").unwrap();
        fs::create_dir_all(&places.root).unwrap();
        std::os::unix::fs::symlink(&victim, places.lock()).unwrap();
        let refused = Instance::try_claim(&places, Purpose::Serve).map(drop).unwrap_err();
        assert!(refused.to_string().starts_with("open "), "{refused}");
        assert_eq!(fs::read(&victim).unwrap(), b"precious");
    }

    #[test]
    fn the_second_is_told_who_is_first() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::new(directory.path()).unwrap();
        let Claim::Ours(first) = try_claim(&places) else { panic!("nobody else is there") };
        let silent = |line: String| panic!("{line}");
        let Claim::Running(running) = Instance::claim(&places, Purpose::Down, &silent).unwrap() else {
            panic!("the first holds it")
        };
        assert_eq!(running.pid(), Some(own_pid()));
        assert_eq!(holder(&places).unwrap(), Some(format!("corten (pid {})", own_pid())));
        drop(first);
        assert_eq!(holder(&places).unwrap(), None);
        assert!(matches!(try_claim(&places), Claim::Ours(_)));
    }

    /// `down` once took whoever had the lock for the cluster: a second one killed the first in the middle of its work.
    #[test]
    fn a_command_that_has_the_places_is_waited_for_and_never_taken_for_a_cluster() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::new(directory.path()).unwrap();
        drop(try_claim(&places));
        let Some(Claim::Ours(first)) = Instance::try_claim(&places, Purpose::Down).unwrap() else {
            panic!("it is free")
        };
        // Another process's end is waited for: here, that of a child which has the lock file's word.
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id().cast_signed();
        let started = start_time(pid).unwrap().unwrap();
        for (word, serves) in [("down", false), ("delete", false), ("image", false), ("later", false), ("serve", true)]
        {
            let read = Holder::read(&format!("{pid}\n{started}\n{word}\n")).unwrap().unwrap();
            assert_eq!(read.serves(), serves, "{word}");
        }
        fs::write(&places.lock(), format!("{pid}\n{started}\ndelete\n").as_bytes()).unwrap();
        let (told, tellings) = std::sync::mpsc::channel();
        let claimed = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let tell = |line: String| told.send(line).unwrap();
                Instance::claim(&places, Purpose::Down, &tell).unwrap()
            });
            let line = tellings.recv().unwrap();
            assert_eq!(
                line,
                format!("waiting for `corten delete` (pid {pid}), which works at {}", places.root.display())
            );
            assert!(!waiting.is_finished());
            drop(first);
            child.kill().unwrap();
            child.wait().unwrap();
            waiting.join().unwrap()
        });
        assert!(matches!(claimed, Claim::Ours(_)));
    }

    struct Ending;

    #[async_trait::async_trait]
    impl control::Handler for Ending {
        async fn answer(&self, _: Request) -> Answer {
            Answer::Status(Box::new(control::Report { stopping: true, ..control::Report::default() }))
        }
    }

    /// `up` beside a `down` once said that a cluster runs already, and a moment later none did.
    #[tokio::test]
    async fn a_start_waits_for_the_end_of_a_process_that_was_asked_to() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::new(directory.path()).unwrap();
        let Claim::Ours(first) = try_claim(&places) else { panic!("nobody else is there") };
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id().cast_signed();
        let started = start_time(pid).unwrap().unwrap();
        fs::write(&places.lock(), format!("{pid}\n{started}\nserve\n").as_bytes()).unwrap();
        let (tasks, (end, shutdown)) = (TaskSet::new("test"), Shutdown::new());
        let socket = control::ControlSocket::bind(&places.control_socket()).unwrap();
        tasks.spawn("control", socket.run(Arc::new(Ending), SystemClock::shared(), shutdown));
        let (told, mut tellings) = tokio::sync::mpsc::unbounded_channel();
        let waiting = tokio::task::spawn_blocking({
            let Claim::Running(running) = try_claim(&places) else { panic!("the first holds it") };
            let places = places.clone();
            move || running.or_its_end(&places, &|line| told.send(line).unwrap()).unwrap()
        });
        let line = tellings.recv().await.unwrap();
        assert!(line.ends_with("to end, which was asked to"), "{line}");
        assert!(!waiting.is_finished());
        drop(first);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(matches!(waiting.await.unwrap(), Claim::Ours(_)));
        end.request();
        tasks.join().await.unwrap();
    }

    /// A `down` that had waited for a `delete` made its directories anew.
    #[test]
    fn what_ends_clusters_makes_nothing_where_there_is_none() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::new(&directory.path().join("root")).unwrap();
        for purpose in [Purpose::Down, Purpose::Delete] {
            assert!(Instance::claim_if_any(&places, purpose, &drop).unwrap().is_none());
            assert!(!places.root.exists());
        }
        // The lock file alone is lost.
        fs::create_dir_all(&places.root).unwrap();
        fs::write(&places.record(), b"").unwrap();
        assert!(matches!(Instance::claim(&places, Purpose::Down, &drop).unwrap(), Claim::Ours(_)));
    }

    /// `delete` removes the lock file; whoever had opened it before once had a lock that nobody else knew.
    #[test]
    fn a_lock_on_a_removed_file_is_no_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lock");
        let file = File::create(&path).unwrap();
        assert!(is_file_at(&file, &path).unwrap());
        fs::remove_file(&path).unwrap();
        assert!(!is_file_at(&file, &path).unwrap());
        let _other = File::create(&path).unwrap();
        assert!(!is_file_at(&file, &path).unwrap());
    }

    /// Between taking the lock and writing its number, the file still has the last run's, and `down` sent signals to whatever
    /// process had that by then.
    #[test]
    fn the_number_of_an_earlier_run_is_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let places = Places::new(directory.path()).unwrap();
        let Claim::Ours(_first) = try_claim(&places) else { panic!("nobody else is there") };
        let own = fs::read_to_string(&places.lock()).unwrap();
        let Holder { pid, started, .. } = Holder::read(&own).unwrap().unwrap();
        for (text, want) in [
            (own.clone(), Some(pid)),
            // As earlier versions wrote it.
            (format!("{pid}\n{started}\n"), Some(pid)),
            (format!("{pid}\n{}\n", started - 1), None),
            (format!("{pid}\n"), None),
            (String::new(), None),
        ] {
            fs::write(&places.lock(), text.as_bytes()).unwrap();
            let Claim::Running(running) = try_claim(&places) else { panic!("the first holds it") };
            assert_eq!(running.pid(), want, "{text:?}");
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
            drop(try_claim(&places));
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
        drop(try_claim(&places));
        fs::write(&places.run.join("stale"), b"").unwrap();
        drop(try_claim(&places));
        assert!(places.run.join("stale").exists(), "the same boot");
        fs::write(&places.run.join("boot_id"), b"another").unwrap();
        drop(try_claim(&places));
        assert!(!places.run.join("stale").exists());
    }
}
