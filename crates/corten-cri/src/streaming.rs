//! `Streaming`: the byte streams of exec, attach and port-forward, for a runtime that lives in the caller's process.
//!
//! Flow: the kubelet's server ends the client's WebSocket or SPDY connection and hands its channels on as readers and
//! writers. A runtime behind a socket has no such trait: it gives URLs (`RuntimeService::exec`).

use async_trait::async_trait;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};

use crate::{api, error::CriError};

/// How many terminal sizes wait for the runtime: a client that resizes faster waits in turn.
pub const RESIZE_BUFFER: usize = 4;

/// Bytes that come in.
pub type Input = Box<dyn AsyncRead + Send + Unpin>;

/// Bytes that go out.
pub type Output = Box<dyn AsyncWrite + Send + Unpin>;

/// A connection that carries bytes both ways.
pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// The streams of one exec or attach; the ones that are not wanted are absent.
pub struct StreamIo {
    /// What the process reads. Its end is the end of the process's stdin (with a terminal: a hang-up of the input only).
    pub stdin: Option<Input>,
    /// Where stdout goes; with a terminal, stderr too.
    pub stdout: Option<Output>,
    /// Where stderr goes; absent with a terminal.
    pub stderr: Option<Output>,
    /// The sizes that the client's terminal takes, the first one before the process should draw. Closed: no more come.
    pub resize: mpsc::Receiver<TerminalSize>,
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

impl StreamIo {
    /// No streams at all.
    #[must_use]
    pub fn none() -> Self {
        Self { stdin: None, stdout: None, stderr: None, resize: mpsc::channel(1).1 }
    }
}

/// Streams to and from running processes.
///
/// Cancellation: dropping a call hangs up: the process's streams close, a terminal's processes get SIGHUP; a process
/// without a terminal is left to itself, as upstream's runtimes do.
#[async_trait]
pub trait Streaming: Send + Sync + 'static {
    /// Runs a command in a container, and returns its exit code (128 + the signal for a process that was killed) after
    /// everything it wrote has been handed to the writers.
    ///
    /// The `stdin`, `stdout` and `stderr` flags of the request agree with the streams in `io`.
    /// Errors: `NotFound` for the container, `FailedPrecondition` if it does not run, `InvalidArgument` without a
    /// command; a command that cannot be started is `Unknown` with the reason.
    async fn stream_exec(&self, request: api::ExecRequest, io: StreamIo) -> Result<i32, CriError>;

    /// Joins the streams of a container's first process from now on; returns when the container or the client's side has
    /// ended. A container with `stdin_once` has its stdin closed when its first attached client leaves.
    ///
    /// Errors: as `stream_exec`.
    async fn stream_attach(&self, request: api::AttachRequest, io: StreamIo) -> Result<(), CriError>;

    /// Connects to `port` on the sandbox's loopback interface and copies both ways until both sides have ended.
    ///
    /// Errors: `NotFound` for the sandbox, `FailedPrecondition` if it is not ready; a refused connection is `Unknown`
    /// with the reason.
    async fn stream_port_forward(
        &self,
        pod_sandbox_id: &str,
        port: u16,
        connection: Box<dyn Duplex>,
    ) -> Result<(), CriError>;
}
