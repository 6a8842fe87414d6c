//! The socket: accepts TLS connections and serves HTTP/1.1 and HTTP/2 on them.

use std::{convert::Infallible, error::Error, net::SocketAddr, sync::Arc, time::Duration};

use corten_base::{KeepAlive, SharedClock, Shutdown, TaskSet, timeout};
use http::{Request, Response};
use http_body::Body;
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::{ServerConfig, pki_types::CertificateDer};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    activity::{Activity, Counted},
    cork::Corked,
    heads::{Counting, Refused},
    own_answers::Withheld,
    peers::{Bounds, Peer, Peers},
    send_deadline::Bounded,
    streams::StreamExecutor,
};

/// How long a client may take for its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may take for the head of a request over HTTP/1.1. Upstream: `ReadHeaderTimeout`.
const HEADER_TIMEOUT: Duration = Duration::from_secs(32);

/// How large the head of a request may be. Upstream: Go's `DefaultMaxHeaderBytes`. All together: `peers`.
const HEADER_BYTES_MAX: u32 = 1 << 20;

/// How many streams a client may reset before they were accepted: the defence against rapid resets (CVE-2023-44487).
const HTTP2_PENDING_RESETS_MAX: usize = 20;

/// How much of one request's body, and of all bodies of a connection, a client may send ahead. Upstream's windows:
/// `initialBufferSizePerStream`, and as many bytes for four of them.
const HTTP2_STREAM_WINDOW: u32 = 256 * 1024;
const HTTP2_CONNECTION_WINDOW: u32 = 1 << 20;

/// How much of an answer waits in memory for a slow client.
const HTTP2_SEND_BUFFER: usize = 512 * 1024;

/// After how much silence an HTTP/2 client is asked whether it is there, and how long it may take to answer. Upstream:
/// `ReadIdleTimeout` and `PingTimeout` of its transports.
const HTTP2_PING_AFTER: Duration = Duration::from_secs(30);
const HTTP2_PING_TIMEOUT: Duration = Duration::from_secs(15);

/// When the kernel asks whether a peer is still there: connections that were handed over (exec, port-forward) have no other
/// sign of life. Go's servers do the same.
const KEEP_ALIVE: KeepAlive = KeepAlive { idle: Duration::from_secs(15), interval: Duration::from_secs(15), probes: 9 };

/// How long to pause after a connection could not be accepted: long enough for somebody to give back a file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long a client whose head was refused may take to read that, and how much of what it still sends is thrown away: what
/// is left unread when a connection is closed takes the answer with it.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(1);
const REFUSED_BYTES_MAX: usize = 2 << 20;

/// What one server may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Whose connections they are, in the log.
    pub name: &'static str,
    /// How many connections may be open. When all are taken, new ones wait in the socket's backlog. One address may have half
    /// of them, and not more than some thousand: further ones are closed.
    pub connections: usize,
    /// How many requests a client may have on one HTTP/2 connection.
    pub streams_per_connection: u32,
    /// How long requests may go on after shutdown was requested.
    pub drain: Duration,
}

/// A connection's place among `Limits::connections`, and among those of its address: given back when its last clone is
/// dropped.
#[derive(Debug, Clone)]
#[expect(dead_code, reason = "held, never asked")]
pub struct Place(Arc<OwnedSemaphorePermit>, Option<Arc<Peer>>);

impl Place {
    /// The place that `permit` stands for.
    #[must_use]
    pub fn new(permit: OwnedSemaphorePermit) -> Self {
        Self(Arc::new(permit), None)
    }
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct Connection {
    /// Who is at the other end.
    pub peer: SocketAddr,
    /// The chain of certificates that the client has shown, its own first; empty for none.
    pub certificates: Vec<CertificateDer<'static>>,
    /// To be held by whatever goes on in the connection after it was handed over.
    pub place: Place,
}

/// A bound socket with its TLS configuration.
#[derive(Debug)]
pub struct TlsListener {
    listener: TcpListener,
    tls: Arc<ServerConfig>,
}

/// What all connections of a listener share.
#[derive(Clone)]
struct Shared {
    limits: Limits,
    clock: SharedClock,
    tasks: TaskSet,
    shutdown: Shutdown,
    acceptor: TlsAcceptor,
}

/// A connection before its handshake.
struct Accepted {
    permit: OwnedSemaphorePermit,
    stream: TcpStream,
    address: SocketAddr,
    peer: Arc<Peer>,
}

impl TlsListener {
    /// Binds `address`.
    ///
    /// Errors: the operating system's, when the address is taken or not ours.
    pub async fn bind(address: SocketAddr, tls: Arc<ServerConfig>) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, tls })
    }

    /// The address that is listened on: with the port that the system chose if none was asked for.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until shutdown, then lets what runs in `tasks` finish for `Limits::drain`.
    ///
    /// `serve` makes the service of each connection. Connections and their HTTP/2 streams run in `tasks`; what the server
    /// puts there besides is waited for, too. The first turn of an HTTP/2 request is the connection's: who is not done in an
    /// instant awaits [`super::OwnTask`] first.
    pub async fn run<F, S, B>(self, limits: Limits, clock: SharedClock, tasks: TaskSet, shutdown: Shutdown, serve: F)
    where
        F: Fn(Connection) -> S + Clone + Send + 'static,
        S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + 'static,
        S::Future: Send + 'static,
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let Self { listener, tls } = self;
        let places = Arc::new(Semaphore::new(limits.connections));
        let peers = Peers::new(Bounds::of(limits.connections));
        let shared = Shared { limits, clock, tasks, shutdown, acceptor: TlsAcceptor::from(tls) };
        loop {
            let accepted = tokio::select! {
                biased;
                () = shared.shutdown.requested() => break,
                accepted = accept(&listener, &places) => accepted,
            };
            match accepted {
                Ok((permit, stream, address)) => {
                    let Some(peer) = peers.connect(address.ip()) else {
                        tracing::debug!(server = limits.name, peer = %address, "Closed one connection too many");
                        continue;
                    };
                    let (shared, serve) = (shared.clone(), serve.clone());
                    let accepted = Accepted { permit, stream, address, peer };
                    shared.tasks.clone().spawn("connection", connection(shared, accepted, serve));
                }
                Err(error) => {
                    // Out of file descriptors: those who have one finish first.
                    tracing::warn!(server = limits.name, err = %error, "Could not accept a connection");
                    tokio::select! {
                        biased;
                        () = shared.shutdown.requested() => break,
                        () = shared.clock.sleep(ACCEPT_PAUSE) => {}
                    }
                }
            }
        }
        drop(listener);
        match timeout(&*shared.clock, limits.drain, shared.tasks.join()).await {
            Ok(Ok(())) => {}
            Err(_) => {
                let running = shared.tasks.len();
                tracing::warn!(server = limits.name, running, "Requests were cut off at shutdown");
            }
            Ok(Err(panic)) => tracing::error!(server = limits.name, err = %panic, "Connection task panicked"),
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let permit = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    Ok((permit, stream, address))
}

/// Small writes go out at once, and the kernel finds out about peers that vanished.
fn prepare(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    KEEP_ALIVE.set(stream)
}

/// Who speaks HTTP without TLS is told so, in Go's words.
async fn handshake(acceptor: &TlsAcceptor, mut stream: TcpStream) -> std::io::Result<TlsStream<TcpStream>> {
    const ANSWER: &[u8] = b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
    let mut start = [0; 5];
    let length = stream.peek(&mut start).await?;
    if !["GET /", "HEAD ", "POST ", "PUT /", "OPTIO"].iter().any(|method| method.as_bytes() == &start[..length]) {
        return acceptor.accept(stream).await;
    }
    // What is left unread when a connection is closed takes the answer with it.
    let _request = stream.read(&mut [0; 4_096]).await?;
    stream.write_all(ANSWER).await?;
    stream.shutdown().await?;
    Err(std::io::Error::other("the client does not speak TLS"))
}

/// Tells a client that its head found no room, as far as it listens.
async fn refuse(mut stream: Corked<TcpStream>, answer: &[u8]) -> std::io::Result<()> {
    stream.write_all(answer).await?;
    stream.shutdown().await?;
    let (mut left, mut space) = (REFUSED_BYTES_MAX, [0; 4_096]);
    while left > 0 {
        match stream.read(&mut space).await? {
            0 => break,
            read => left = left.saturating_sub(read),
        }
    }
    Ok(())
}

/// How a connection is spoken on: by the protocol that was agreed on, not by what comes first, since hyper would wait for the
/// first bytes without end.
fn protocol(speaks_http2: bool, limits: Limits, streams: StreamExecutor) -> auto::Builder<StreamExecutor> {
    let builder = auto::Builder::new(streams);
    let mut builder = if speaks_http2 { builder.http2_only() } else { builder.http1_only() };
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX as usize);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams_per_connection)
        .max_pending_accept_reset_streams(HTTP2_PENDING_RESETS_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .initial_stream_window_size(HTTP2_STREAM_WINDOW)
        .initial_connection_window_size(HTTP2_CONNECTION_WINDOW)
        .max_send_buf_size(HTTP2_SEND_BUFFER)
        .keep_alive_interval(HTTP2_PING_AFTER)
        .keep_alive_timeout(HTTP2_PING_TIMEOUT);
    builder
}

async fn connection<F, S, B>(shared: Shared, accepted: Accepted, serve: F)
where
    F: Fn(Connection) -> S,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send,
    S::Future: Send + 'static,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let Shared { limits, clock, tasks, shutdown, acceptor } = shared;
    let Accepted { permit, stream, address: peer, peer: counted } = accepted;
    let place = Place(Arc::new(permit), Some(Arc::clone(&counted)));
    if let Err(error) = prepare(&stream) {
        tracing::debug!(server = limits.name, %peer, err = %error, "Could not set the options of a connection");
    }
    let tls = match timeout(&*clock, HANDSHAKE_TIMEOUT, handshake(&acceptor, stream)).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => {
            tracing::debug!(server = limits.name, %peer, err = %error, "TLS handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!(server = limits.name, %peer, "TLS handshake timed out");
            return;
        }
    };
    let presented = tls.get_ref().1.peer_certificates().unwrap_or_default();
    let certificates = presented.iter().map(|certificate| certificate.clone().into_owned()).collect();
    let service = serve(Connection { peer, certificates, place: place.clone() });
    let speaks_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    let builder = protocol(speaks_http2, limits, StreamExecutor::new(tasks, SharedClock::clone(&clock)));
    let corked = Corked::new(tls);
    let activity = Activity::new(SharedClock::clone(&clock));
    let service = Counted { service, activity: activity.clone() };
    let (refused, withheld) = (Refused::default(), Withheld::default());
    let told = (refused.clone(), withheld.clone());
    let counting = Counting::new(corked.clone(), speaks_http2, activity.clone(), counted, told);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(counting), service);
    let served = async {
        tokio::pin!(connection);
        tokio::select! {
            biased;
            result = connection.as_mut() => Ok(result),
            () = shutdown.requested() => {
                connection.as_mut().graceful_shutdown();
                Ok(connection.await)
            }
            () = activity.idle() => {
                connection.as_mut().graceful_shutdown();
                // Who has been silent may stay so.
                timeout(&*clock, limits.drain, connection).await
            }
        }
    };
    // What bounds the answers of HTTP/1; the streams of HTTP/2 have bounds of their own.
    let served = Bounded::new(served, SharedClock::clone(&clock));
    let mut answer = None;
    match corked.drive(served).await {
        Some(Ok(Ok(()))) => {}
        Some(Ok(Err(error))) => {
            answer = withheld.answer(&*error);
            tracing::debug!(server = limits.name, %peer, err = %error, "Connection ended with an error");
        }
        None => tracing::debug!(server = limits.name, %peer, "A connection whose client did not read was cut off"),
        Some(Err(_)) => tracing::debug!(server = limits.name, %peer, "An idle connection was cut off"),
    }
    if let Some(answer) = refused.answer(speaks_http2, &activity).or(answer)
        && !matches!(timeout(&*clock, REFUSAL_PATIENCE, refuse(corked, answer)).await, Ok(Ok(())))
    {
        tracing::debug!(server = limits.name, %peer, "A client was not told what is wrong with its request");
    }
    drop(place);
}

#[cfg(test)]
mod tests;
