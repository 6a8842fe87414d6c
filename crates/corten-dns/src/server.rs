//! The sockets: UDP and TCP on given addresses, everything bounded, and a shutdown that finishes what it began.
//!
//! What the zone or the cache can say is answered in the receiving task itself, in a reused buffer; only what has to
//! wait for a resolver becomes a task, of which there are at most `MAX_WAITING`.

mod connections;
mod responder;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use corten_base::{ErrorChain, SharedClock, Shutdown, TaskSet, timeout};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream, UdpSocket},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tracing::{debug, warn};

pub use responder::{Reply, Responder, Waiting};

use connections::{Connection, Connections};

use crate::{
    message::MAX_UDP_BYTES,
    metrics::{Metrics, Transport},
};

/// Questions that wait for a resolver at the same time; further ones are refused, as by `CoreDNS` with `max_concurrent 1000`.
const MAX_WAITING: usize = 1_000;
/// A connection that sends no whole query for this long is closed (RFC 7766, 6.2.3).
const IDLE: Duration = Duration::from_secs(10);
/// A socket that fails over and over is tried again at this pace, not in a busy loop.
const AFTER_ERROR: Duration = Duration::from_millis(100);

/// Bound sockets, not yet served.
#[derive(Debug)]
pub struct Server {
    sockets: Vec<(Arc<UdpSocket>, TcpListener)>,
}

#[derive(Debug, Clone)]
struct Context {
    responder: Arc<Responder>,
    waiting: Arc<Semaphore>,
    connections: Connections,
    /// Of queries: what becomes of one concerns no other.
    queries: TaskSet,
    clock: SharedClock,
    metrics: Metrics,
    shutdown: Shutdown,
}

impl Server {
    /// Binds UDP and TCP on each address; port 0 takes the same free port for both.
    ///
    /// Errors: the address that could not be bound, and why.
    pub async fn bind(addresses: &[SocketAddr]) -> Result<Self, (SocketAddr, io::Error)> {
        let mut sockets = Vec::with_capacity(addresses.len());
        for &address in addresses {
            let listener = TcpListener::bind(address).await.map_err(|error| (address, error))?;
            let bound = listener.local_addr().map_err(|error| (address, error))?;
            let socket = UdpSocket::bind(bound).await.map_err(|error| (bound, error))?;
            sockets.push((Arc::new(socket), listener));
        }
        Ok(Self { sockets })
    }

    /// The addresses that were bound.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|(_, listener)| listener.local_addr().ok()).collect()
    }

    /// Serves until shutdown, then finishes the queries at hand. The sockets' tasks belong to `tasks`, without which there is
    /// no server; those of connections and of questions that wait to `queries`.
    pub fn spawn(
        self,
        responder: Arc<Responder>,
        (tasks, queries): (&TaskSet, &TaskSet),
        clock: &SharedClock,
        metrics: &Metrics,
        shutdown: &Shutdown,
    ) {
        let context = Context {
            responder,
            waiting: Arc::new(Semaphore::new(MAX_WAITING)),
            connections: Connections::new(metrics.clone()),
            queries: queries.clone(),
            clock: Arc::clone(clock),
            metrics: metrics.clone(),
            shutdown: shutdown.clone(),
        };
        for (socket, listener) in self.sockets {
            tasks.spawn("udp", serve_udp(socket, context.clone()));
            tasks.spawn("tcp", serve_tcp(listener, context.clone()));
        }
    }
}

async fn serve_udp(socket: Arc<UdpSocket>, context: Context) {
    // A longer query is cut by the kernel and found malformed.
    let mut packet = [0; MAX_UDP_BYTES];
    let mut buffer = Vec::with_capacity(MAX_UDP_BYTES);
    loop {
        let received = tokio::select! {
            biased;
            () = context.shutdown.requested() => return,
            received = socket.recv_from(&mut packet) => received,
        };
        let (length, client) = match received {
            Ok(received) => received,
            Err(error) => {
                warn!(err = %ErrorChain(&error), "Could not receive query");
                context.clock.sleep(AFTER_ERROR).await;
                continue;
            }
        };
        match context.responder.respond(&packet[..length], Transport::Udp, std::mem::take(&mut buffer)) {
            Reply::Nothing => {}
            Reply::Now(answer) => {
                send(&socket, client, &answer, &context.metrics).await;
                buffer = answer;
            }
            Reply::Later(waiting) => match Arc::clone(&context.waiting).try_acquire_owned() {
                Ok(permit) => context
                    .queries
                    .spawn("forward", finish_udp(Arc::clone(&socket), client, waiting, context.clone(), permit)),
                Err(_) => {
                    context.metrics.forward_rejects.inc();
                    send(&socket, client, &waiting.refuse(), &context.metrics).await;
                }
            },
        }
    }
}

async fn finish_udp(
    socket: Arc<UdpSocket>,
    client: SocketAddr,
    waiting: Box<Waiting>,
    context: Context,
    _permit: OwnedSemaphorePermit,
) {
    let answer = context.responder.finish(waiting).await;
    send(&socket, client, &answer, &context.metrics).await;
}

async fn send(socket: &UdpSocket, client: SocketAddr, answer: &[u8], metrics: &Metrics) {
    metrics.response(Transport::Udp, answer);
    // The client may be gone, or its port closed; it asks again if it is there.
    if let Err(error) = socket.send_to(answer, client).await {
        debug!(%client, err = %ErrorChain(&error), "Could not send answer");
    }
}

async fn serve_tcp(listener: TcpListener, context: Context) {
    loop {
        let accepted = tokio::select! {
            biased;
            () = context.shutdown.requested() => return,
            accepted = accept(&listener, &context) => accepted,
        };
        match accepted {
            Ok(Some((stream, place))) => {
                context.queries.spawn("connection", serve_connection(stream, context.clone(), place))
            }
            // The client has its share: this connection is closed, and it asks again.
            Ok(None) => {}
            Err(error) => {
                warn!(err = %ErrorChain(&error), "Could not accept connection");
                context.clock.sleep(AFTER_ERROR).await;
            }
        }
    }
}

async fn accept(listener: &TcpListener, context: &Context) -> io::Result<Option<(TcpStream, Connection)>> {
    let place = context.connections.free().await;
    let (stream, client) = listener.accept().await?;
    Ok(context.connections.admit(place, client).map(|place| (stream, place)))
}

async fn serve_connection(mut stream: TcpStream, context: Context, _place: Connection) {
    loop {
        let query = tokio::select! {
            biased;
            () = context.shutdown.requested() => break,
            query = timeout(&*context.clock, IDLE, read_query(&mut stream)) => query,
        };
        // Silence, a closed connection and a broken one end the same way.
        let Ok(Ok(query)) = query else { break };
        let answer = match context.responder.respond(&query, Transport::Tcp, Vec::new()) {
            Reply::Nothing => break,
            Reply::Now(answer) => answer,
            Reply::Later(waiting) => match context.waiting.try_acquire() {
                Ok(_permit) => context.responder.finish(waiting).await,
                Err(_) => {
                    context.metrics.forward_rejects.inc();
                    waiting.refuse()
                }
            },
        };
        context.metrics.response(Transport::Tcp, &answer);
        let length = u16::try_from(answer.len()).expect("answers keep to the limit of their transport");
        let framed = [&length.to_be_bytes()[..], &answer].concat();
        let written = timeout(&*context.clock, IDLE, stream.write_all(&framed)).await;
        if !matches!(written, Ok(Ok(()))) {
            break;
        }
    }
}

async fn read_query(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut query = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut query).await?;
    Ok(query)
}
