//! Protocols that carry a container's streams over one HTTP connection: remote command and port forwarding, over WebSocket
//! and over SPDY/3.1.
//!
//! Flow: `negotiate` reads the request's headers -> the connection is switched -> `remote_command` or `port_forward` gives
//! streams and a driver; the caller polls both until the driver ends.
//! Invariant: nothing here spawns or logs, and time is the caller's clock; every queue is bounded, and a peer that does not
//! read stops its writer.
//! Upstream: k8s.io/kubelet/pkg/cri/streaming, k8s.io/apimachinery/pkg/util/httpstream (v1.35).
#![forbid(unsafe_code)]

pub mod negotiate;
pub mod port_forward;
pub mod remote_command;
pub mod status;

pub mod spdy;
pub mod websocket;

mod input;
mod output;
mod splice;

pub use input::Input;
pub use negotiate::{Negotiated, Refusal, Transport};
pub use output::Output;
pub use splice::splice;

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

/// A connection of any kind.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

impl std::fmt::Debug for dyn Io {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Io(..)")
    }
}

/// A connection of any kind, owned.
pub type BoxIo = Box<dyn Io>;

/// Bytes of all streams of a connection that wait for whoever reads them: sixteen times what a SPDY peer may send on one
/// stream before it is told to go on. A connection that holds more (or one read of it more) is not read.
pub const CONNECTION_BUFFER_BYTES: usize = 1 << 20;

/// How long a connection that holds so much is not read before the peer is sent a ping. A few of them, the first of which a
/// machine that has forgotten the connection answers with its reset, tell that it has gone.
pub(crate) const SILENCE_WHEN_FULL: Duration = Duration::from_secs(10);

/// The longest piece of a stream that is sent at once.
pub(crate) const CHUNK_BYTES_MAX: usize = 32 << 10;

/// How many pieces wait for the connection: writers wait when it is slower.
pub(crate) const SEND_QUEUE: usize = 16;

/// What a connection runs on: it completes once the connection has ended.
pub type Driver = futures::future::BoxFuture<'static, ()>;
