//! The shim's loop: one thread, one `poll`, everything else in what it holds.
//!
//! One thing is done after another: while a container of the pod is made or an exec starts (some hundredths of a second; as
//! long as the kernel hangs over a mount, at worst), other requests wait in the backlog, and a container that writes more
//! than its pipe holds (64 KiB) waits too. Callers have deadlines of their own.

mod ends;
mod requests;
mod streams;
mod trouble;

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    process::Child,
    time::Duration,
};

use corten_base::{ErrorChain, SharedClock, SystemClock};
use corten_cri::{api, log_format::LogStream};
use corten_oci::{Container, ExecProcess, Terminal};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};
use rustix::{io::Errno as AcceptErrno, net::SocketFlags};

use self::{ends::Ending, trouble::Trouble};
use super::{
    log::Log,
    output::Sink,
    protocol::{self, Answer, ContainerState, Envelope, FailureKind, VERSION},
};

/// How much of a stream is read at a time: what a pipe holds.
const READ_BYTES: usize = 64 << 10;

/// How long no connection is accepted after that failed, because the process or the machine is out of something: the
/// listener stays readable, and trying at once would take a processor.
const ACCEPT_PAUSE_MILLIS: u16 = 100;

/// Why the shim ends.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServerError {
    /// The kernel refused what the loop cannot do without.
    #[error("{0}")]
    System(&'static str, #[source] Errno),
}

/// What a descriptor of the poll set belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Listener,
    Connection(u64),
    Init(String),
    Exec(u64),
    Output(String, LogStream),
    /// The container reads again.
    Input(String),
    ClientInput(String, u64),
    ClientOutput(String, u64),
}

struct Entry {
    container: Option<Container>,
    /// What its end waits for, and what is known of it so far.
    ending: Ending,
    directory: PathBuf,
    state: ContainerState,
    log: Log,
    log_trouble: Trouble,
    outputs: [Option<OwnedFd>; 2],
    input: Option<Sink>,
    terminal: Option<Terminal>,
    stdin_once: bool,
    clients: BTreeMap<u64, Client>,
}

/// An attached client, by the number of its connection.
struct Client {
    stdin: Option<OwnedFd>,
    outputs: [Option<Sink>; 2],
}

struct Exec {
    process: ExecProcess,
    connection: u64,
}

struct Server {
    clock: SharedClock,
    directory: PathBuf,
    connections: BTreeMap<u64, OwnedFd>,
    listeners: Vec<u64>,
    entries: BTreeMap<String, Entry>,
    execs: BTreeMap<u64, Exec>,
    pause: Option<Child>,
    next: u64,
    /// What is read is in it, for as long as it takes to pass it on.
    buffer: Box<[u8]>,
    /// Whether the next wait leaves the listener out, and is short.
    accept_pauses: bool,
    accept_trouble: Trouble,
    is_over: bool,
}

struct Failure(FailureKind, String);

impl Failure {
    fn not_found(id: &str) -> Self {
        Self(FailureKind::NotFound, format!("container {id:?} not found"))
    }

    /// It has ended, or was not started yet. The words are containerd's, as the runtime has them in `streaming`.
    fn not_running(has_ended: bool) -> Self {
        let state =
            if has_ended { api::ContainerState::ContainerExited } else { api::ContainerState::ContainerCreated };
        Self(FailureKind::Precondition, format!("container is in {} state", state.as_str_name()))
    }

    fn other(error: &(dyn std::error::Error + 'static)) -> Self {
        Self(FailureKind::Other, ErrorChain(error).to_string())
    }
}

/// Serves the pod in `directory`; standard input is the listening socket.
pub(super) fn run(directory: &Path) -> Result<(), ServerError> {
    let listener = take_listener().map_err(|errno| ServerError::System("take listening socket", errno))?;
    let mut server = Server {
        clock: SystemClock::shared(),
        directory: directory.to_owned(),
        connections: BTreeMap::new(),
        listeners: Vec::new(),
        entries: BTreeMap::new(),
        execs: BTreeMap::new(),
        pause: None,
        buffer: vec![0; READ_BYTES].into_boxed_slice(),
        next: 0,
        accept_pauses: false,
        accept_trouble: Trouble::default(),
        is_over: false,
    };
    while !server.is_over {
        let tokens = server.wait(&listener)?;
        server.accept_pauses = false;
        for token in tokens {
            server.handle(token, &listener);
        }
    }
    // Before the connections: who sees one end and finds nobody listening knows that the shim has gone.
    drop(listener);
    Ok(())
}

/// Moves the socket away from descriptor 0, which containers' processes get a stream of their own at.
fn take_listener() -> Result<OwnedFd, Errno> {
    let listener = std::io::stdin().as_fd().try_clone_to_owned().map_err(|_| Errno::EBADF)?;
    let null = File::open("/dev/null").map_err(|_| Errno::ENOENT)?;
    nix::unistd::dup2_stdin(&null)?;
    rustix::io::ioctl_fionbio(&listener, true).map_err(|errno| Errno::from_raw(errno.raw_os_error()))?;
    Ok(listener)
}

impl Server {
    fn now(&self) -> i64 {
        i64::try_from(self.clock.now().as_nanosecond()).expect("a time of this era")
    }

    /// Waits until something can be done.
    fn wait(&self, listener: &OwnedFd) -> Result<Vec<Token>, ServerError> {
        let mut set: Vec<(Token, BorrowedFd<'_>, PollFlags)> = Vec::new();
        if !self.accept_pauses {
            set.push((Token::Listener, listener.as_fd(), PollFlags::POLLIN));
        }
        for (number, connection) in &self.connections {
            set.push((Token::Connection(*number), connection.as_fd(), PollFlags::POLLIN));
        }
        for (number, exec) in &self.execs {
            set.push((Token::Exec(*number), exec.process.handle.pidfd(), PollFlags::POLLIN));
        }
        for (id, entry) in &self.entries {
            if let Some(process) = entry.awaited() {
                set.push((Token::Init(id.clone()), process.pidfd(), PollFlags::POLLIN));
            }
            for (output, stream) in entry.outputs.iter().zip([LogStream::Stdout, LogStream::Stderr]) {
                if let Some(output) = output {
                    set.push((Token::Output(id.clone(), stream), output.as_fd(), PollFlags::POLLIN));
                }
            }
            let input_is_behind = entry.input.as_ref().is_some_and(Sink::is_behind);
            if let Some(input) = entry.input.as_ref().filter(|_| input_is_behind) {
                set.push((Token::Input(id.clone()), input.descriptor().as_fd(), PollFlags::POLLOUT));
            }
            for (number, client) in &entry.clients {
                if let Some(stdin) = client.stdin.as_ref().filter(|_| !input_is_behind) {
                    set.push((Token::ClientInput(id.clone(), *number), stdin.as_fd(), PollFlags::POLLIN));
                }
                for sink in client.outputs.iter().flatten().filter(|sink| sink.is_behind()) {
                    let token = Token::ClientOutput(id.clone(), *number);
                    set.push((token, sink.descriptor().as_fd(), PollFlags::POLLOUT));
                }
            }
        }
        let patience = if self.accept_pauses { PollTimeout::from(ACCEPT_PAUSE_MILLIS) } else { PollTimeout::NONE };
        let mut fds: Vec<PollFd<'_>> = set.iter().map(|(_, fd, flags)| PollFd::new(*fd, *flags)).collect();
        loop {
            match poll(&mut fds, patience) {
                Ok(_) => break,
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(ServerError::System("poll", errno)),
            }
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        let tokens = set.into_iter().map(|(token, ..)| token);
        Ok(tokens.zip(ready).filter(|(_, ready)| *ready).map(|(token, _)| token).collect())
    }

    fn handle(&mut self, token: Token, listener: &OwnedFd) {
        match token {
            Token::Listener => {
                let (flags, now) = (SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, self.clock.monotonic());
                match rustix::net::accept_with(listener, flags) {
                    Ok(connection) => {
                        self.accept_trouble.is_news(false, now);
                        self.next += 1;
                        self.connections.insert(self.next, connection);
                    }
                    // A client that has left again is no error.
                    Err(AcceptErrno::AGAIN | AcceptErrno::CONNABORTED | AcceptErrno::INTR) => {}
                    Err(error) => {
                        if self.accept_trouble.is_news(true, now) {
                            complain("accept connection", &error);
                        }
                        self.accept_pauses = true;
                    }
                }
            }
            Token::Connection(number) => self.receive(number),
            Token::Init(id) => self.ended(&id),
            Token::Exec(number) => self.exec_ended(number),
            Token::Output(id, stream) => {
                self.output(&id, stream);
            }
            Token::Input(id) => {
                if let Some(entry) = self.entries.get_mut(&id)
                    && !entry.input.as_mut().is_some_and(Sink::flush)
                {
                    entry.input = None;
                }
            }
            Token::ClientInput(id, number) => self.client_input(&id, number),
            Token::ClientOutput(id, number) => {
                let client = self.entries.get_mut(&id).and_then(|entry| entry.clients.get_mut(&number));
                if client.is_some_and(|client| !client.outputs.iter_mut().flatten().all(Sink::flush)) {
                    self.hang_up(number);
                }
            }
        }
    }

    fn entry(&mut self, id: &str) -> Result<&mut Entry, Failure> {
        self.entries.get_mut(id).ok_or_else(|| Failure::not_found(id))
    }

    fn receive(&mut self, number: u64) {
        let Some(connection) = self.connections.get(&number) else { return };
        match protocol::receive::<Envelope>(connection) {
            Ok((envelope, descriptors)) if envelope.version == VERSION => {
                match self.serve(number, envelope.request, descriptors) {
                    Ok(Some((answer, descriptor))) => self.answer(number, &answer, descriptor.as_ref()),
                    Ok(None) => {}
                    Err(Failure(kind, message)) => self.answer(number, &Answer::Failed { kind, message }, None),
                }
            }
            Ok((envelope, _)) => {
                let message = format!("request of version {}, this shim knows {VERSION}", envelope.version);
                self.answer(number, &Answer::Failed { kind: FailureKind::Invalid, message }, None);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                let message = ErrorChain(&error).to_string();
                self.answer(number, &Answer::Failed { kind: FailureKind::Invalid, message }, None);
            }
            Err(_) => self.hang_up(number),
        }
    }

    fn answer(&mut self, number: u64, answer: &Answer, descriptor: Option<&OwnedFd>) {
        let descriptors: Vec<BorrowedFd<'_>> = descriptor.iter().map(|fd| fd.as_fd()).collect();
        let sent = self.connections.get(&number).map(|connection| protocol::send(connection, answer, &descriptors));
        if sent.is_some_and(|sent| sent.is_err()) {
            // The client has left, or does not read its few words.
            self.hang_up(number);
        }
    }

    fn hang_up(&mut self, number: u64) {
        self.connections.remove(&number);
        self.listeners.retain(|listener| *listener != number);
        for entry in self.entries.values_mut() {
            if entry.clients.remove(&number).is_some_and(|client| client.stdin.is_some())
                && entry.stdin_once
                && entry.terminal.is_none()
            {
                entry.input = None;
            }
        }
    }
}

impl Entry {
    /// Takes in whether output could be written to the log. Output that could not is lost.
    fn logged(&mut self, id: &str, written: std::io::Result<()>, now: Duration) {
        if self.log_trouble.is_news(written.is_err(), now)
            && let Err(error) = written
        {
            complain(&format!("write log of container {id}"), &error);
        }
    }

    /// A record that cannot be written is lost to the next runtime, not to this one.
    fn record(&self) {
        if let Err(error) = protocol::write_json(&ContainerState::path(&self.directory), &self.state) {
            complain("write state", &error);
        }
    }
}

#[expect(clippy::print_stderr, reason = "standard error is the shim's own log file")]
fn complain(what: &str, error: &(dyn std::error::Error + 'static)) {
    eprintln!("shim: {what}: {}", ErrorChain(error));
}

/// Opens the file that a shim complains to.
pub(super) fn complaints(directory: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(directory.join("shim.log"))
}
