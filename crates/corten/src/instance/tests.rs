//! One process per root, and what is done about it.

use std::{os::fd::AsFd as _, sync::Arc};

use corten_base::{Shutdown, TaskSet, blocking};

use super::*;

/// What a process writes that has the lock.
fn words(pid: i32, purpose: &str) -> String {
    format!("{pid}\n{}\n{purpose}\n", start_time(pid).unwrap().unwrap())
}

/// Another process that has the lock until it ends, and says what for.
struct Other(std::process::Child);

impl Other {
    fn with_lock(places: &Places, purpose: &str) -> Self {
        drop(try_claim(places));
        let lock = File::options().read(true).write(true).open(places.lock()).unwrap();
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
        // The lock is the open file's, which is the child's alone from now on.
        let other = Self(std::process::Command::new("sleep").arg("60").stdin(lock).spawn().unwrap());
        fs::write(&places.lock(), words(other.pid(), purpose).as_bytes()).unwrap();
        other
    }

    fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

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

/// Any user of the machine could lock the file with `flock -s`, and so keep its owner from `up`, `down` and `delete`.
#[test]
fn nobody_else_can_open_the_lock() {
    let directory = tempfile::tempdir().unwrap();
    let places = Places::new(directory.path()).unwrap();
    let mode = || std::fs::metadata(places.lock()).unwrap().mode() & 0o777;
    ground::settle(&places).unwrap();
    assert_eq!(mode(), 0o600);
    // The record is there, and the file was lost.
    fs::write(&places.record(), b"{}").unwrap();
    fs::remove_file(&places.lock()).unwrap();
    drop(try_claim(&places));
    assert_eq!(mode(), 0o600);
    // As earlier versions made it.
    std::fs::set_permissions(places.lock(), Permissions::from_mode(0o644)).unwrap();
    drop(try_claim(&places));
    assert_eq!(mode(), 0o600);
}

#[test]
fn the_second_is_told_who_is_first() {
    let directory = tempfile::tempdir().unwrap();
    let places = Places::new(directory.path()).unwrap();
    let Claim::Ours(first) = try_claim(&places) else { panic!("nobody else is there") };
    let silent = |line: String| panic!("{line}");
    let Claim::Running(running) = Instance::claim(&places, Purpose::Down, Asker::new(&silent)).unwrap() else {
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
    let other = Other::with_lock(&places, "delete");
    let pid = other.pid();
    for word in ["down", "delete", "image", "later"] {
        fs::write(&places.lock(), words(pid, word).as_bytes()).unwrap();
        let Claim::Running(running) = try_claim(&places) else { panic!("the other holds it") };
        assert!(!running.holder.unwrap().serves(), "{word}");
    }
    fs::write(&places.lock(), words(pid, "delete").as_bytes()).unwrap();
    let (told, tellings) = std::sync::mpsc::channel();
    let claimed = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let tell = |line: String| told.send(line).unwrap();
            Instance::claim(&places, Purpose::Down, Asker::new(&tell)).unwrap()
        });
        let line = tellings.recv().unwrap();
        assert_eq!(line, format!("waiting for `corten delete` (pid {pid}), which works at {}", places.root.display()));
        assert!(!waiting.is_finished());
        drop(other);
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
    let other = Other::with_lock(&places, "serve");
    let (tasks, (end, shutdown)) = (TaskSet::new("test"), Shutdown::new());
    let socket = control::ControlSocket::bind(&places.control_socket()).unwrap();
    tasks.spawn("control", socket.run(Arc::new(Ending), SystemClock::shared(), shutdown));
    let (told, mut tellings) = tokio::sync::mpsc::unbounded_channel();
    let waiting = blocking::run(&tasks, "up", {
        let Claim::Running(running) = try_claim(&places) else { panic!("the first holds it") };
        let places = places.clone();
        move || running.or_its_end(&places, Asker::new(&|line| told.send(line).unwrap())).unwrap()
    });
    let line = tellings.recv().await.unwrap();
    assert!(line.ends_with("to end, which was asked to"), "{line}");
    drop(other);
    assert!(matches!(waiting.await.unwrap(), Claim::Ours(_)));
    end.request();
    tasks.join().await.unwrap();
}

/// Root's `down` of a user's control plane ended whatever process the user had written into the lock file.
#[tokio::test]
async fn only_the_process_that_has_the_lock_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let places = Places::new(directory.path()).unwrap();
    let mut victim = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let other = Other::with_lock(&places, "serve");
    let to_end = || {
        let Claim::Running(running) = try_claim(&places) else { panic!("the other holds it") };
        running.to_end(&places, Duration::from_secs(1)).unwrap().map(|(pid, _)| pid)
    };
    assert_eq!(to_end(), Some(other.pid()));
    fs::write(&places.lock(), words(victim.id().cast_signed(), "serve").as_bytes()).unwrap();
    assert_eq!(to_end(), None);
    // Nor is whoever takes commands there.
    let _socket = control::ControlSocket::bind(&places.control_socket()).unwrap();
    assert_eq!(to_end(), None);
    drop(other);
    let Claim::Ours(_own) = try_claim(&places) else { panic!("it is free") };
    fs::write(&places.lock(), words(victim.id().cast_signed(), "serve").as_bytes()).unwrap();
    assert_eq!(to_end(), Some(own_pid()), "it takes commands and has the lock");
    victim.kill().unwrap();
    victim.wait().unwrap();
}

#[tokio::test]
async fn without_its_lock_file_a_process_is_ended_only_if_it_had_the_lock() {
    let directory = tempfile::tempdir().unwrap();
    let places = Places::new(directory.path()).unwrap();
    let Claim::Ours(_own) = try_claim(&places) else { panic!("nobody else is there") };
    let found = || without_lock_file(&places, Duration::from_secs(1));
    assert!(found().unwrap().is_none(), "nobody takes commands");
    let _socket = control::ControlSocket::bind(&places.control_socket()).unwrap();
    let refused = found().unwrap_err().to_string();
    assert!(refused.contains("has not the cluster's lock"), "{refused}");
    fs::remove_file(&places.lock()).unwrap();
    assert_eq!(found().unwrap().map(|(pid, _)| pid), Some(own_pid()));
}

/// `up --detach` was interrupted while it waited for another command, and its daemon started the cluster later.
#[test]
fn a_start_that_nobody_waits_for_any_more_is_given_up() {
    let directory = tempfile::tempdir().unwrap();
    let places = Places::new(directory.path()).unwrap();
    let _other = Other::with_lock(&places, "delete");
    let (reader, writer) = std::io::pipe().unwrap();
    let (told, tellings) = std::sync::mpsc::channel();
    let given_up = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let tell = |line: String| told.send(line).unwrap();
            let asker = Asker::behind(&tell, writer.as_fd());
            asker.expect_there().unwrap();
            Instance::claim(&places, Purpose::Serve, asker).map(drop).unwrap_err()
        });
        tellings.recv().unwrap();
        drop(reader);
        waiting.join().unwrap()
    });
    assert!(given_up.is::<Abandoned>(), "{given_up}");
}

/// A `down` that had waited for a `delete` made its directories anew.
#[test]
fn what_ends_clusters_makes_nothing_where_there_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let places = Places::new(&directory.path().join("root")).unwrap();
    for purpose in [Purpose::Down, Purpose::Delete] {
        assert!(Instance::claim_if_any(&places, purpose, Asker::new(&drop)).unwrap().is_none());
        assert!(!places.root.exists());
    }
    // The lock file alone is lost.
    fs::create_dir_all(&places.root).unwrap();
    fs::write(&places.record(), b"").unwrap();
    assert!(matches!(Instance::claim(&places, Purpose::Down, Asker::new(&drop)).unwrap(), Claim::Ours(_)));
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
    let (pid, started) = (own_pid(), start_time(own_pid()).unwrap().unwrap());
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
