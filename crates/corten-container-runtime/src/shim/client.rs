//! The runtime's side: starts a pod's shim, and asks it.
//!
//! Invariant: `Unavailable` means that the shim has gone, which costs its pod the containers: nobody listens at its socket
//! any more. A shim that is busy, stopped or of another version, and a runtime out of descriptors, are other errors.

use std::{
    io,
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use corten_base::{SharedClock, fs, timeout};
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
    process,
    protocol::{self, Answer, Envelope, FailureKind, Request, VERSION},
    server,
};
use crate::Config;

/// Requests that wait while the shim makes a container.
const BACKLOG: i32 = 64;

/// How long a shim has for its first answer; it does one thing after another. Upstream: `runtimeRequestTimeout`.
pub(crate) const ANSWER_PATIENCE: Duration = Duration::from_secs(120);
/// Between two attempts while the backlog is full, of which the kernel gives no sign when it is not any more.
const BACKLOG_PAUSE: Duration = Duration::from_millis(50);

/// A pod's shim, by its socket.
#[derive(Debug, Clone)]
pub(crate) struct ShimClient {
    socket: PathBuf,
    clock: SharedClock,
}

/// A request under way.
pub(crate) struct Call {
    socket: AsyncFd<OwnedFd>,
    shim: ShimClient,
}

impl ShimClient {
    pub(crate) fn new(socket: PathBuf, clock: SharedClock) -> Self {
        Self { socket, clock }
    }

    /// Starts the shim of a pod. It listens when the call returns. Blocks for moments.
    pub(crate) fn start(config: &Config, directory: &Path, socket: &Path) -> io::Result<()> {
        fs::remove_file(socket).map_err(io::Error::other)?;
        let listener = seqpacket(SocketFlags::CLOEXEC)?;
        rustix::net::bind(&listener, &SocketAddrUnix::new(socket)?)?;
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
        if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())) {
            process::note(directory, pid)?;
            if let Some(open_files) = config.open_files {
                let limit = Rlimit { current: Some(open_files), ..getrlimit(Resource::Nofile) };
                // Before it starts anything: that takes a request.
                prlimit(Some(pid), Resource::Nofile, limit)?;
            }
        }
        // It lives on; tokio takes its status when it ends before this process does.
        drop(child);
        Ok(())
    }

    /// Sends a request and waits for its first answer, at most `patience` for both.
    ///
    /// Errors: `Unavailable` if the shim has gone, `DeadlineExceeded`, what the shim answers. Cancel-safe, but the shim may
    /// still do what it was asked.
    pub(crate) async fn begin(
        &self,
        request: Request,
        descriptors: &[BorrowedFd<'_>],
        patience: Duration,
    ) -> Result<(Call, Answer, Vec<OwnedFd>), CriError> {
        let begun = async {
            let call = Call { socket: self.connect().await?, shim: self.clone() };
            call.send(request, descriptors).await?;
            let (answer, descriptors) = call.answer().await?;
            Ok((call, answer, descriptors))
        };
        let late = |elapsed| Err(CriError::new(Code::DeadlineExceeded, format!("shim: no answer: {elapsed}")));
        timeout(&*self.clock, patience, begun).await.unwrap_or_else(late)
    }

    /// Sends a request that has one answer.
    pub(crate) async fn ask(&self, request: Request) -> Result<Answer, CriError> {
        Ok(self.begin(request, &[], ANSWER_PATIENCE).await?.1)
    }

    async fn connect(&self) -> Result<AsyncFd<OwnedFd>, CriError> {
        loop {
            match self.try_connect().and_then(register) {
                Ok(socket) => return Ok(socket),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.clock.sleep(BACKLOG_PAUSE).await,
                Err(error) if is_refusal(&error) => return Err(CriError::unavailable(words(&error))),
                Err(error) => return Err(CriError::unknown(words(&error))),
            }
        }
    }

    fn try_connect(&self) -> io::Result<OwnedFd> {
        let socket = seqpacket(SocketFlags::CLOEXEC | SocketFlags::NONBLOCK)?;
        rustix::net::connect(&socket, &SocketAddrUnix::new(&self.socket)?)?;
        Ok(socket)
    }

    /// What a broken connection means. The shim may have ended it alone: it hangs up on who does not read.
    fn broken(&self, error: &io::Error) -> CriError {
        match self.try_connect() {
            Err(refusal) if is_refusal(&refusal) => CriError::unavailable(words(error)),
            _ => CriError::unknown(words(error)),
        }
    }
}

impl Call {
    async fn send(&self, request: Request, descriptors: &[BorrowedFd<'_>]) -> Result<(), CriError> {
        let envelope = Envelope { version: VERSION, request };
        let sent = self.socket.async_io(Interest::WRITABLE, |fd| protocol::send(fd, &envelope, descriptors)).await;
        sent.map_err(|error| self.shim.broken(&error))
    }

    async fn receive(&self) -> io::Result<(Answer, Vec<OwnedFd>)> {
        self.socket.async_io(Interest::READABLE, |fd| protocol::receive::<Answer>(fd.as_fd())).await
    }

    /// The next answer, whenever it comes; a failure is an error.
    pub(crate) async fn answer(&self) -> Result<(Answer, Vec<OwnedFd>), CriError> {
        match self.receive().await.map_err(|error| self.shim.broken(&error))? {
            (Answer::Failed { kind, message }, _) => Err(CriError::new(code(kind), message)),
            answer => Ok(answer),
        }
    }

    /// Sends a signal to the command of this call.
    pub(crate) async fn signal(&self, signal: i32) -> Result<(), CriError> {
        self.send(Request::Signal { signal }, &[]).await
    }

    /// Waits until the shim ends the connection.
    pub(crate) async fn closed(&self) {
        while self.receive().await.is_ok() {}
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

/// Whether nobody listens at the socket: its process has ended, or never began in this run of the machine.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound)
}

fn words(error: &io::Error) -> String {
    format!("shim: {}", corten_base::ErrorChain(error))
}

#[cfg(test)]
mod tests {
    use corten_base::SystemClock;

    use super::*;

    /// A listener in the shim's place, and a client of it.
    fn listener(backlog: i32) -> (tempfile::TempDir, OwnedFd, ShimClient) {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let listener = seqpacket(SocketFlags::CLOEXEC).unwrap();
        rustix::net::bind(&listener, &SocketAddrUnix::new(&socket).unwrap()).unwrap();
        rustix::net::listen(&listener, backlog).unwrap();
        (directory, listener, ShimClient::new(socket, SystemClock::shared()))
    }

    async fn failure(client: &ShimClient, patience: Duration) -> Code {
        client.begin(Request::Events, &[], patience).await.err().expect("nobody answers").code
    }

    /// Whatever went wrong with a shim's connection passed for its end, and cost the pod its containers.
    #[tokio::test]
    async fn only_a_socket_where_nobody_listens_means_that_the_shim_has_gone() {
        let short = Duration::from_millis(120);
        let (directory, listener, client) = listener(1);
        assert_eq!(failure(&client, short).await, Code::DeadlineExceeded, "it is stopped");
        let held = [client.try_connect().unwrap()];
        assert_eq!(client.try_connect().unwrap_err().kind(), io::ErrorKind::WouldBlock, "the backlog holds two");
        assert_eq!(failure(&client, short).await, Code::DeadlineExceeded, "the backlog is full");
        drop(held);
        for _ in 0..2 {
            drop(rustix::net::accept(&listener).unwrap());
        }
        let hang_up = async {
            let pause = client.clock.sleep(short);
            pause.await;
            drop(rustix::net::accept(&listener).unwrap());
        };
        let (code, ()) = tokio::join!(failure(&client, Duration::from_secs(30)), hang_up);
        assert_eq!(code, Code::Unknown, "it hangs up, and is there");
        drop(listener);
        assert_eq!(failure(&client, short).await, Code::Unavailable, "its process has ended");
        drop(directory);
        assert_eq!(failure(&client, short).await, Code::Unavailable, "the machine has started anew");
    }
}
