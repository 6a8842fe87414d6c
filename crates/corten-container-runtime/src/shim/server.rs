//! The shim's loop: one thread, one `poll`, everything else in what it holds.
//!
//! One thing is done after another: while a container of the pod is made or an exec starts (some hundredths of a second; as
//! long as the kernel hangs over a mount, at worst), other requests wait in the backlog, and a container that writes more
//! than its pipe holds (64 KiB) waits too. Callers have deadlines of their own.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio as ProcessStdio},
    time::Duration,
};

use corten_base::{ErrorChain, SharedClock, SystemClock, fs};
use corten_cri::log_format::LogStream;
use corten_oci::{
    Container, CreateOptions, DeleteError, ExecError, ExecOptions, ExecProcess, ExitStatus, ProcessHandle, StartError,
    Stdio, Terminal, TerminalSize, spec::Process,
};
use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sched::CloneFlags,
};
use rustix::{io::Errno as AcceptErrno, net::SocketFlags, pipe::PipeFlags};

use super::{
    log::Log,
    output::{self, Piece, Sink},
    protocol::{self, Answer, ContainerState, CreateRequest, Envelope, Exit, FailureKind, Request, VERSION, Volume},
};

/// How much of a stream is read at a time: what a pipe holds.
const READ_BYTES: usize = 64 << 10;

/// The exit code of a container whose program did not start. Upstream: containerd's `errorStartExitCode`.
const NOT_STARTED: i32 = 128;

/// How long a process may take to die of SIGKILL before the shim goes on with other work.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

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
    outputs: [Option<OwnedFd>; 2],
    input: Option<Sink>,
    terminal: Option<Terminal>,
    stdin_once: bool,
    clients: BTreeMap<u64, Client>,
}

/// A container that is on its way to its end. As long as one of its processes outlives SIGKILL (it hangs in the kernel) the
/// container has not ended: another one in its place would run beside it.
#[derive(Debug, Default)]
struct Ending {
    /// The process that does not die.
    stuck: Option<i32>,
    /// How init ended, if that was earlier.
    status: Option<ExitStatus>,
    start_error: Option<String>,
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
    is_over: bool,
}

struct Failure(FailureKind, String);

impl Failure {
    fn not_found(id: &str) -> Self {
        Self(FailureKind::NotFound, format!("container {id:?} not found"))
    }

    fn other(error: &(dyn std::error::Error + 'static)) -> Self {
        Self(FailureKind::Other, ErrorChain(error).to_string())
    }
}

/// What users are told about a container that did not start: the words that containerd and runc made known, which
/// people and their tools look for.
fn start_message(error: &StartError) -> String {
    let StartError::Failed(failure) = error else { return ErrorChain(error).to_string() };
    let (text, process) = (failure.to_string(), "unable to start container process: ");
    let cause = text.strip_prefix(process).unwrap_or(&text);
    format!(
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: \
         {process}error during container init: {cause}"
    )
}

/// The first process of a pod's PID namespace: it does nothing but reap what its siblings leave to it.
pub(super) fn pause() -> ExitCode {
    // A shim that was killed ends its pod, and this process with all that is in its namespace.
    if rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).is_err() {
        return ExitCode::FAILURE;
    }
    loop {
        match nix::sys::wait::waitpid(None, None) {
            Ok(_) | Err(Errno::EINTR) => {}
            // No children: wait for a signal that ends this process. Children come without one, so SIGCHLD must wake it.
            Err(_) => {
                let mut signals = nix::sys::signal::SigSet::empty();
                signals.add(nix::sys::signal::Signal::SIGCHLD);
                if signals.thread_block().is_err() || signals.wait().is_err() {
                    return ExitCode::FAILURE;
                }
            }
        }
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
                let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
                match rustix::net::accept_with(listener, flags) {
                    Ok(connection) => {
                        self.next += 1;
                        self.connections.insert(self.next, connection);
                    }
                    // A client that has left again is no error.
                    Err(AcceptErrno::AGAIN | AcceptErrno::CONNABORTED | AcceptErrno::INTR) => {}
                    Err(error) => {
                        complain("accept connection", &error);
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

    fn serve(
        &mut self,
        number: u64,
        request: Request,
        descriptors: Vec<OwnedFd>,
    ) -> Result<Option<(Answer, Option<OwnedFd>)>, Failure> {
        let done = Ok(Some((Answer::Done, None)));
        match request {
            Request::Create(request) => {
                let pid = self.create(request)?;
                Ok(Some((Answer::Created { pid }, None)))
            }
            Request::Start { id } => {
                self.start(&id)?;
                done
            }
            Request::Kill { id, signal, all } => {
                let container = self.entry(&id)?.container.as_ref();
                if let Some(container) = container {
                    container.kill(signal, all).map_err(|error| Failure::other(&error))?;
                }
                done
            }
            Request::Delete { id } => {
                self.delete(&id)?;
                done
            }
            Request::Exec { id, process, streams, terminal } => {
                let streams = protocol::streams(streams, descriptors);
                let started = self.exec(number, &id, &process, streams, terminal)?;
                Ok(Some(started))
            }
            Request::Signal { signal } => {
                for exec in self.execs.values().filter(|exec| exec.connection == number) {
                    exec.process.handle.signal(signal).map_err(|error| Failure::other(&error))?;
                }
                Ok(None)
            }
            Request::Resize { id, rows, columns } => {
                if let Some(terminal) = &self.entry(&id)?.terminal {
                    let size = TerminalSize { rows, columns };
                    terminal.resize(size).map_err(|error| Failure::other(&error))?;
                }
                done
            }
            Request::Attach { id, streams } => {
                let [stdin, stdout, stderr] = protocol::streams(streams, descriptors);
                let entry = self.entry(&id)?;
                if entry.state.exit.is_some() || entry.state.started_at.is_none() {
                    return Err(Failure(FailureKind::Precondition, format!("container {id:?} is not running")));
                }
                let sink = |stream: Option<OwnedFd>| stream.map(Sink::new).transpose();
                let failed = |_| Failure(FailureKind::Invalid, "a stream that cannot be written".to_owned());
                let outputs = [sink(stdout).map_err(failed)?, sink(stderr).map_err(failed)?];
                let stdin = stdin.filter(|_| entry.input.is_some());
                entry.clients.insert(number, Client { stdin, outputs });
                done
            }
            Request::ReopenLog { id } => {
                self.entry(&id)?.log.reopen().map_err(|error| Failure::other(&error))?;
                done
            }
            Request::Events => {
                self.listeners.push(number);
                done
            }
            Request::PidNamespace => {
                let pid = self.pid_namespace().map_err(|error| Failure::other(&error))?;
                Ok(Some((Answer::Pid { pid }, None)))
            }
            Request::Shutdown => {
                let ids: Vec<String> = self.entries.keys().cloned().collect();
                // All are ended, whatever becomes of one of them.
                let ended: Vec<Result<(), Failure>> = ids.iter().map(|id| self.delete(id)).collect();
                ended.into_iter().collect::<Result<(), Failure>>()?;
                if let Some(mut pause) = self.pause.take() {
                    pause.kill().and_then(|()| pause.wait()).map_err(|error| Failure::other(&error))?;
                }
                self.is_over = true;
                done
            }
        }
    }

    fn entry(&mut self, id: &str) -> Result<&mut Entry, Failure> {
        self.entries.get_mut(id).ok_or_else(|| Failure::not_found(id))
    }

    /// Runs this program as the first process of a new PID namespace.
    fn pid_namespace(&mut self) -> std::io::Result<i32> {
        if self.pause.is_none() {
            let own = File::open("/proc/self/ns/pid")?;
            nix::sched::unshare(CloneFlags::CLONE_NEWPID)?;
            // The words that chose the shim come before the pod's directory, the last one.
            let arguments: Vec<_> = std::env::args_os().skip(1).collect();
            let started = Command::new("/proc/self/exe")
                .args(&arguments[..arguments.len().saturating_sub(1)])
                .arg(super::PAUSE)
                .stdin(ProcessStdio::null())
                .stdout(ProcessStdio::null())
                .spawn();
            // Back, or every later child would go there too.
            nix::sched::setns(&own, CloneFlags::CLONE_NEWPID)?;
            self.pause = Some(started?);
        }
        let pause = self.pause.as_ref().expect("made above");
        Ok(i32::try_from(pause.id()).expect("process numbers fit"))
    }

    fn create(&mut self, request: CreateRequest) -> Result<i32, Failure> {
        if self.entries.contains_key(&request.id) {
            return Err(Failure(FailureKind::Invalid, format!("container {:?} exists", request.id)));
        }
        let text = fs::read(&request.volumes).map_err(|error| Failure::other(&error))?;
        let volumes: Vec<Volume> = serde_json::from_slice(&text).map_err(|error| Failure::other(&error))?;
        let log = Log::open(request.log).map_err(|error| Failure::other(&error))?;
        let mut input = None;
        let mut outputs = [None, None];
        let stdio = if request.terminal {
            Stdio::Terminal(TerminalSize { rows: 24, columns: 80 })
        } else {
            let pipe = || rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(|error| Failure::other(&error));
            let ours = |fd: OwnedFd| {
                rustix::io::ioctl_fionbio(&fd, true).map_err(|error| Failure::other(&error))?;
                Ok(fd)
            };
            let mut stdin = None;
            if request.stdin {
                let (read, write) = pipe()?;
                (stdin, input) = (Some(read), Some(Sink::new(write).map_err(|error| Failure::other(&error))?));
            }
            let (out, err) = (pipe()?, pipe()?);
            outputs = [Some(ours(out.0)?), Some(ours(err.0)?)];
            Stdio::Streams { stdin, stdout: Some(out.1), stderr: Some(err.1) }
        };
        let mut container = Container::create(CreateOptions {
            id: request.id.clone(),
            state_root: self.directory.join("oci"),
            bundle: request.bundle,
            stdio,
            volumes: volumes.into_iter().map(Into::into).collect(),
        })
        .map_err(|error| Failure::other(&error))?;
        let terminal = container.take_terminal();
        if let Some(terminal) = &terminal {
            let copy = || terminal.fd().try_clone().map_err(|error| Failure::other(&error));
            let output = copy()?;
            rustix::io::ioctl_fionbio(&output, true).map_err(|error| Failure::other(&error))?;
            outputs[0] = Some(output);
            if request.stdin {
                input = Some(Sink::new(copy()?).map_err(|error| Failure::other(&error))?);
            }
        }
        let pid = container.pid();
        let entry = Entry {
            container: Some(container),
            ending: Ending::default(),
            directory: request.directory,
            state: ContainerState { version: VERSION, pid, started_at: None, exit: None },
            log,
            outputs,
            input,
            terminal,
            stdin_once: request.stdin_once,
            clients: BTreeMap::new(),
        };
        entry.record();
        self.entries.insert(request.id, entry);
        Ok(pid)
    }

    fn start(&mut self, id: &str) -> Result<(), Failure> {
        let now = self.now();
        let entry = self.entry(id)?;
        if entry.state.started_at.is_some() || entry.state.exit.is_some() {
            return Err(Failure(FailureKind::Precondition, format!("container {id:?} was started before")));
        }
        let Some(container) = &mut entry.container else { return Err(Failure::not_found(id)) };
        match container.start() {
            // A hook is not part of any container that this runtime makes.
            Ok(()) | Err(StartError::Hook(_)) => {
                entry.state.started_at = Some(now);
                entry.record();
                Ok(())
            }
            Err(error) => {
                let message = start_message(&error);
                entry.ending.start_error = Some(message.clone());
                if let Err(error) = self.end(id) {
                    complain(&format!("end container {id}"), &error);
                }
                Err(Failure(FailureKind::Other, message))
            }
        }
    }

    /// A process that a container's end waits for has ended.
    fn ended(&mut self, id: &str) {
        // Another process may take its time: its own end is heard, too.
        if let Err(error) = self.try_end(id)
            && !matches!(error, DeleteError::Unkillable(_))
        {
            complain(&format!("end container {id}"), &error);
        }
    }

    /// Ends a container, and waits for it. Meanwhile others are reaped: the kernel ends the init of a PID namespace only
    /// after all that live in it, and those may be other containers.
    ///
    /// Errors: a process outlives SIGKILL by `KILL_PATIENCE`.
    fn end(&mut self, id: &str) -> Result<(), DeleteError> {
        let deadline = self.clock.monotonic() + KILL_PATIENCE;
        loop {
            match self.try_end(id) {
                Err(DeleteError::Unkillable(_)) if self.reap_others(deadline) => {}
                ended => return ended,
            }
        }
    }

    /// Waits for the end of any process, and takes it in. `false`: none has ended until `deadline`.
    fn reap_others(&mut self, deadline: Duration) -> bool {
        let mut set: Vec<(Token, BorrowedFd<'_>)> = Vec::new();
        for (number, exec) in &self.execs {
            set.push((Token::Exec(*number), exec.process.handle.pidfd()));
        }
        for (id, entry) in &self.entries {
            set.extend(entry.awaited().map(|process| (Token::Init(id.clone()), process.pidfd())));
        }
        let left = deadline.saturating_sub(self.clock.monotonic());
        let mut fds: Vec<PollFd<'_>> = set.iter().map(|(_, fd)| PollFd::new(*fd, PollFlags::POLLIN)).collect();
        match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(0) => return false,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => {
                complain("wait for processes", &errno);
                return false;
            }
        }
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        let tokens: Vec<Token> = set.into_iter().map(|(token, _)| token).collect();
        for (token, _) in tokens.into_iter().zip(ready).filter(|(_, ready)| *ready) {
            match token {
                Token::Exec(number) => self.exec_ended(number),
                Token::Init(id) => self.ended(&id),
                _ => unreachable!("only processes are in the set"),
            }
        }
        true
    }

    /// Takes the exit status of a container, removes what it leaves in the kernel, and tells everybody. Does not wait.
    ///
    /// Errors: a process has not died yet. Then the container runs on, for all that anybody is told, and this is to be called
    /// again when that process has ended.
    fn try_end(&mut self, id: &str) -> Result<(), DeleteError> {
        let finished_at = self.now();
        let Some(entry) = self.entries.get_mut(id) else { return Ok(()) };
        let Some(container) = &mut entry.container else { return Ok(()) };
        let oom_kills = container.cgroup().oom_kills();
        let mut oom_killed = oom_kills.unwrap_or_else(|error| {
            complain(&format!("count out-of-memory kills of container {id}"), &error);
            0
        }) > 0;
        let pid = container.pid();
        // One that has been reaped here is not returned by the deletion; one that runs must not be waited for.
        if let Some(init) = container.init() {
            let ended = init.has_ended().and_then(|ended| if ended { init.wait() } else { Ok(None) });
            let status = ended.unwrap_or_else(|error| {
                complain(&format!("reap container {id}"), &error);
                None
            });
            entry.ending.status = entry.ending.status.or(status);
        }
        let deleted = container.delete_within(true, Duration::ZERO);
        if let Err(DeleteError::Unkillable(stuck)) = &deleted {
            entry.ending.stuck = Some(*stuck);
            return deleted.map(drop);
        }
        entry.container = None;
        let Ending { mut status, start_error, .. } = std::mem::take(&mut entry.ending);
        match deleted {
            Ok(ends) => {
                for (ended, exit) in ends {
                    if ended == pid {
                        status = status.or(Some(exit));
                    } else {
                        self.exec_reaped(ended, exit);
                    }
                }
            }
            Err(error) => complain(&format!("delete container {id}"), &error),
        }
        // The last words, now that nobody is left to add to them.
        for stream in [LogStream::Stdout, LogStream::Stderr] {
            self.last_output(id, stream);
        }
        let time = self.clock.now();
        let Some(entry) = self.entries.get_mut(id) else { return Ok(()) };
        if let Err(error) = entry.log.finish(time) {
            complain(&format!("write log of container {id}"), &error);
        }
        let code = match (&start_error, status) {
            // Whatever init ended with: its program never ran.
            (Some(_), _) => NOT_STARTED,
            (None, Some(status)) => status.code(),
            (None, None) => 255,
        };
        // The kernel counts kills of the group; a container that went on and ended well was not killed.
        oom_killed &= code == 137;
        entry.input = None;
        entry.terminal = None;
        entry.state.exit = Some(Exit { code, finished_at, oom_killed, start_error });
        entry.record();
        let clients: Vec<u64> = entry.clients.keys().copied().collect();
        for client in clients {
            self.hang_up(client);
        }
        for listener in self.listeners.clone() {
            self.answer(listener, &Answer::Ended { id: id.to_owned() }, None);
        }
        Ok(())
    }

    fn delete(&mut self, id: &str) -> Result<(), Failure> {
        if self.entry(id)?.container.is_some() {
            self.end(id).map_err(|error| Failure::other(&error))?;
        }
        self.entries.remove(id);
        Ok(())
    }

    /// Copies what a stream holds. Not what comes after: a process that was given the stream may have outlived the
    /// container, and write without end.
    fn last_output(&mut self, id: &str, stream: LogStream) {
        let Some(output) = self.entries.get(id).and_then(|entry| entry.outputs[stream as usize].as_ref()) else {
            return;
        };
        // A terminal is no pipe, and holds less.
        let mut left = rustix::pipe::fcntl_getpipe_size(output).unwrap_or(READ_BYTES);
        while left > 0 {
            match self.output(id, stream) {
                0 => return,
                length => left = left.saturating_sub(length),
            }
        }
    }

    /// Copies one piece of a stream to the log and to the clients. Returns its bytes; 0: there is none at the moment, or no
    /// more.
    fn output(&mut self, id: &str, stream: LogStream) -> usize {
        let time = self.clock.now();
        let Some(entry) = self.entries.get_mut(id) else { return 0 };
        let index = stream as usize;
        let Some(output) = &entry.outputs[index] else { return 0 };
        let bytes = match output::read(output, &mut self.buffer) {
            Piece::Bytes(length) => &self.buffer[..length],
            Piece::Nothing => return 0,
            Piece::End => {
                entry.outputs[index] = None;
                return 0;
            }
        };
        if let Err(error) = entry.log.write(stream, time, bytes) {
            complain(&format!("write log of container {id}"), &error);
        }
        let mut lost = Vec::new();
        for (number, client) in &mut entry.clients {
            if client.outputs[index].as_mut().is_some_and(|sink| !sink.write(bytes)) {
                lost.push(*number);
            }
        }
        let length = bytes.len();
        for number in lost {
            self.hang_up(number);
        }
        length
    }

    fn client_input(&mut self, id: &str, number: u64) {
        let Some(entry) = self.entries.get_mut(id) else { return };
        let Some(client) = entry.clients.get_mut(&number) else { return };
        let Some(stdin) = &client.stdin else { return };
        // Poll said that a read does not wait.
        match output::read(stdin, &mut self.buffer) {
            Piece::Bytes(length) => {
                if !entry.input.as_mut().is_some_and(|input| input.write(&self.buffer[..length])) {
                    entry.input = None;
                    client.stdin = None;
                }
            }
            Piece::Nothing => {}
            Piece::End => {
                client.stdin = None;
                if !entry.stdin_once {
                    // The client has said its last word, and the container's input stays open for the next one.
                    self.hang_up(number);
                } else if entry.terminal.is_none() {
                    entry.input = None;
                }
            }
        }
    }

    fn exec(
        &mut self,
        number: u64,
        id: &str,
        process: &Path,
        streams: [Option<OwnedFd>; 3],
        terminal: Option<(u16, u16)>,
    ) -> Result<(Answer, Option<OwnedFd>), Failure> {
        let text = fs::read(process).map_err(|error| Failure::other(&error))?;
        let process: Process = serde_json::from_slice(&text).map_err(|error| Failure::other(&error))?;
        let not_running = || Failure(FailureKind::Precondition, format!("container {id:?} is not running"));
        let container = self.entry(id)?.container.as_mut().ok_or_else(not_running)?;
        let [stdin, stdout, stderr] = streams;
        let stdio = match terminal {
            Some((rows, columns)) => Stdio::Terminal(TerminalSize { rows, columns }),
            None => Stdio::Streams { stdin, stdout, stderr },
        };
        let mut process = container.exec(ExecOptions { process, stdio }).map_err(|error| match error {
            ExecError::NotRunning(_) => not_running(),
            other => Failure::other(&other),
        })?;
        let terminal = process.terminal.take().map(Terminal::into_fd);
        let pid = process.handle.pid();
        self.next += 1;
        self.execs.insert(self.next, Exec { process, connection: number });
        Ok((Answer::Started { pid }, terminal))
    }

    fn exec_ended(&mut self, number: u64) {
        let Some(exec) = self.execs.remove(&number) else { return };
        let status = exec.process.handle.wait().unwrap_or_else(|error| {
            complain("reap exec", &error);
            None
        });
        let code = status.map_or(255, ExitStatus::code);
        self.answer(exec.connection, &Answer::Exited { code }, None);
    }

    /// An exec that was reaped together with its container.
    fn exec_reaped(&mut self, pid: i32, exit: ExitStatus) {
        let found = self.execs.iter().find(|(_, exec)| exec.process.handle.pid() == pid).map(|(number, _)| *number);
        if let Some(exec) = found.and_then(|number| self.execs.remove(&number)) {
            self.answer(exec.connection, &Answer::Exited { code: exit.code() }, None);
        }
    }
}

impl Entry {
    /// The process whose end is the next step to the container's.
    fn awaited(&self) -> Option<&ProcessHandle> {
        let container = self.container.as_ref().filter(|_| self.state.exit.is_none())?;
        match self.ending.stuck {
            Some(pid) => container.process(pid),
            None => container.init(),
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

#[cfg(test)]
mod tests {
    use corten_oci::{Stage, StartFailure};

    use super::*;

    #[track_caller]
    fn check(program: &str, cause: &str) {
        let failure =
            StartFailure { stage: Stage::Exec, errno: Errno::ENOENT, program: program.to_owned(), cwd: "/".to_owned() };
        let want = format!(
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: \
             unable to start container process: error during container init: {cause}"
        );
        assert_eq!(start_message(&StartError::Failed(failure)), want);
    }

    #[test]
    fn a_program_that_is_not_there_is_told_in_known_words() {
        check("/no/such/command", "exec: \"/no/such/command\": stat /no/such/command: no such file or directory");
        check("nosuch", "exec: \"nosuch\": executable file not found in $PATH");
    }
}
