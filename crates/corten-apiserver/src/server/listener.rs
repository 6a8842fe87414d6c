//! The socket: accepts TLS connections and serves HTTP/1.1 and HTTP/2 on them.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use corten_base::{Shutdown, TaskSet, timeout};
use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use rustls::ServerConfig;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::TlsAcceptor;

use super::{Server, cork::Corked, http::serve, streams::Streams};
use crate::authentication::ClientCertificates;

/// How long a client may take for its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many streams a client may open on one HTTP/2 connection. Upstream: `--http2-max-streams-per-connection`.
const HTTP2_STREAMS_MAX: u32 = 1_000;

/// How many streams a client may reset before they were accepted: the defence against rapid resets (CVE-2023-44487).
const HTTP2_PENDING_RESETS_MAX: usize = 20;

/// How many connections may be open: beyond what a large cluster needs, within what the process may have of descriptors.
/// When all are taken, new ones wait in the socket's backlog.
const CONNECTIONS_MAX: usize = 65_536;

/// How long to wait after a failed accept: long enough for somebody to give back a file descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How long requests may go on after shutdown was requested.
const DRAIN: Duration = Duration::from_secs(5);

/// A bound socket with its TLS configuration.
#[derive(Debug)]
pub struct Listener {
    listener: TcpListener,
    tls: Arc<ServerConfig>,
}

impl Listener {
    /// Binds `address`.
    ///
    /// Errors: the operating system's, when the address is taken or not ours.
    pub async fn bind(address: SocketAddr, tls: Arc<ServerConfig>) -> std::io::Result<Self> {
        Ok(Self { listener: TcpListener::bind(address).await?, tls })
    }

    /// The address that is listened on.
    pub fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until shutdown, then lets running requests finish for a few seconds.
    pub async fn run(self, server: Arc<Server>, shutdown: Shutdown) {
        let connections = TaskSet::new("apiserver-connections");
        let (stop, stopping) = shutdown.child();
        let acceptor = TlsAcceptor::from(self.tls);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        loop {
            let accepted = tokio::select! {
                biased;
                () = shutdown.requested() => break,
                accepted = accept_one(&self.listener, &places) => accepted,
            };
            match accepted {
                Ok((place, stream, peer)) => {
                    let accepted = Accepted { stream, peer, tasks: connections.clone() };
                    let connection = connect(Arc::clone(&server), acceptor.clone(), accepted, stopping.clone());
                    connections.spawn("connection", async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of file descriptors: those who have one finish first.
                    tracing::warn!(err = %error, "Could not accept a connection");
                    tokio::select! {
                        biased;
                        () = shutdown.requested() => break,
                        () = server.clock().sleep(ACCEPT_PAUSE) => {}
                    }
                }
            }
        }
        drop(stop);
        let clock = Arc::clone(server.clock());
        match timeout(&*clock, DRAIN, connections.join()).await {
            Ok(Ok(())) => {}
            Err(_) => tracing::warn!(running = connections.len(), "Requests were cut off at shutdown"),
            Ok(Err(panic)) => tracing::error!(err = %panic, "Connection task panicked"),
        }
    }
}

/// A connection before its handshake.
struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
    /// The set that its streams run in.
    tasks: TaskSet,
}

async fn accept_one(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(OwnedSemaphorePermit, TcpStream, SocketAddr)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    Ok((place, stream, peer))
}

async fn connect(server: Arc<Server>, acceptor: TlsAcceptor, accepted: Accepted, shutdown: Shutdown) {
    let Accepted { stream, peer, tasks } = accepted;
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(err = %error, "Could not set TCP_NODELAY");
    }
    let clock = Arc::clone(server.clock());
    let tls = match timeout(&*clock, HANDSHAKE_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(tls)) => tls,
        Ok(Err(error)) => {
            tracing::debug!(%peer, err = %error, "TLS handshake failed");
            return;
        }
        Err(_) => {
            tracing::debug!(%peer, "TLS handshake timed out");
            return;
        }
    };
    let presented = tls.get_ref().1.peer_certificates().unwrap_or_default();
    let certificates = Arc::new(ClientCertificates::new(presented.iter().map(|c| c.clone().into_owned()).collect()));
    let service = service_fn(move |request| serve(Arc::clone(&server), peer, Arc::clone(&certificates), request));
    let mut builder = auto::Builder::new(Streams::new(tasks));
    builder.http1().timer(TokioTimer::new()).header_read_timeout(Duration::from_secs(32)).max_buf_size(1 << 20);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(HTTP2_STREAMS_MAX)
        .max_pending_accept_reset_streams(HTTP2_PENDING_RESETS_MAX)
        .max_header_list_size(1 << 20)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1 << 20)
        .max_send_buf_size(512 * 1024)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(15));
    let corked = Corked::new(tls);
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(corked.clone()), service);
    let served = async {
        tokio::pin!(connection);
        tokio::select! {
            biased;
            result = connection.as_mut() => result,
            () = shutdown.requested() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        }
    };
    let result = corked.drive(served).await;
    if let Err(error) = result {
        tracing::debug!(%peer, err = %error, "Connection ended with an error");
    }
}
