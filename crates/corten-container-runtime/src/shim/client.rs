//! The runtime's side: starts a pod's shim, and asks it.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    process::Stdio,
};

use corten_base::fs;
use corten_cri::{Code, CriError};
use rustix::{
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType},
    process::{Pid, Resource, Rlimit, getrlimit, prlimit},
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    process::Command,
};

use super::{
    protocol::{self, Answer, Envelope, FailureKind, Request, VERSION},
    server,
};
use crate::Config;

/// Requests that wait while the shim makes a container.
const BACKLOG: i32 = 64;

/// A pod's shim, by its socket.
#[derive(Debug, Clone)]
pub(crate) struct ShimClient {
    socket: PathBuf,
}

/// A request under way.
pub(crate) struct Call {
    socket: AsyncFd<OwnedFd>,
}

impl ShimClient {
    pub(crate) fn new(socket: PathBuf) -> Self {
        Self { socket }
    }

    /// Starts the shim of a pod. It listens when the call returns.
    pub(crate) fn start(config: &Config, directory: &Path, socket: PathBuf) -> io::Result<Self> {
        fs::remove_file(&socket).map_err(io::Error::other)?;
        let listener = seqpacket(SocketFlags::CLOEXEC)?;
        rustix::net::bind(&listener, &SocketAddrUnix::new(&socket)?)?;
        rustix::net::listen(&listener, BACKLOG)?;
        let child = Command::new(&config.shim_executable)
            .args(&config.shim_arguments)
            .arg(directory)
            .env_clear()
            .stdin(Stdio::from(listener))
            .stdout(Stdio::null())
            .stderr(server::complaints(directory)?)
            // The terminal's Ctrl-C is for this process alone.
            .process_group(0)
            .spawn()?;
        if let (Some(open_files), Some(pid)) = (config.open_files, child.id()) {
            let pid = Pid::from_raw(pid.cast_signed());
            let limit = Rlimit { current: Some(open_files), ..getrlimit(Resource::Nofile) };
            // Before it starts anything: that takes a request.
            prlimit(pid, Resource::Nofile, limit)?;
        }
        // It lives on; tokio takes its status when it ends before this process does.
        drop(child);
        Ok(Self { socket })
    }

    /// Sends a request.
    pub(crate) async fn call(&self, request: Request, descriptors: &[BorrowedFd<'_>]) -> Result<Call, CriError> {
        let socket = self.connect().map_err(|error| unreachable(&error))?;
        let call = Call { socket };
        let envelope = Envelope { version: VERSION, request };
        let sent = call.socket.async_io(Interest::WRITABLE, |fd| protocol::send(fd, &envelope, descriptors)).await;
        sent.map_err(|error| unreachable(&error))?;
        Ok(call)
    }

    /// Sends a request that has one answer.
    pub(crate) async fn ask(&self, request: Request) -> Result<Answer, CriError> {
        let call = self.call(request, &[]).await?;
        Ok(call.answer().await?.0)
    }

    fn connect(&self) -> io::Result<AsyncFd<OwnedFd>> {
        let socket = seqpacket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(&self.socket)?)?;
        register(socket)
    }
}

impl Call {
    /// The next answer; a failure is an error.
    pub(crate) async fn answer(&self) -> Result<(Answer, Vec<OwnedFd>), CriError> {
        let received = self.socket.async_io(Interest::READABLE, |fd| protocol::receive::<Answer>(fd.as_fd())).await;
        match received.map_err(|error| unreachable(&error))? {
            (Answer::Failed { kind, message }, _) => Err(CriError::new(code(kind), message)),
            answer => Ok(answer),
        }
    }

    /// Sends a signal to the command of this call.
    pub(crate) async fn signal(&self, signal: i32) -> Result<(), CriError> {
        let envelope = Envelope { version: VERSION, request: Request::Signal { signal } };
        let sent = self.socket.async_io(Interest::WRITABLE, |fd| protocol::send(fd, &envelope, &[])).await;
        sent.map_err(|error| unreachable(&error))
    }

    /// Waits until the shim ends the connection.
    pub(crate) async fn closed(&self) {
        while self.answer().await.is_ok() {}
    }
}

/// Makes a non-blocking descriptor known to the async runtime.
pub(crate) fn register(descriptor: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    #[expect(deprecated, reason = "what it warns of are types that change their descriptor, which OwnedFd cannot")]
    AsyncFd::new(descriptor)
}

fn seqpacket(flags: SocketFlags) -> rustix::io::Result<OwnedFd> {
    rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None)
}

fn code(kind: FailureKind) -> Code {
    match kind {
        FailureKind::NotFound => Code::NotFound,
        FailureKind::Precondition => Code::FailedPrecondition,
        FailureKind::Invalid => Code::InvalidArgument,
        FailureKind::Other => Code::Unknown,
    }
}

fn unreachable(error: &io::Error) -> CriError {
    CriError::unavailable(format!("shim: {}", corten_base::ErrorChain(error)))
}
