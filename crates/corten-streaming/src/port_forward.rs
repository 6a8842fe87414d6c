//! Port forwarding: connections to a pod's ports, each with a stream for errors beside it.
//!
//! Upstream: k8s.io/kubelet/pkg/cri/streaming/portforward (v1.35).

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use corten_base::SharedClock;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::Role as SocketRole;
use tokio_util::sync::CancellationToken;

use crate::{
    BoxIo, Driver, Negotiated, Output, Transport,
    spdy::{self, Role, Stream},
    websocket::{self, Channels, Encoding},
};

/// How many connections may wait for their second stream; further ones are refused.
const PENDING_MAX: usize = 64;

/// How long a connection may wait for its second stream. Upstream: `DefaultStreamCreationTimeout`.
const PAIR_PATIENCE: Duration = Duration::from_secs(30);

/// One connection to a port.
pub struct Forward {
    /// The port.
    pub port: u16,
    /// The client's side of it.
    pub connection: ForwardIo,
    /// Where an error is told.
    pub error: ErrorStream,
    /// The client has given the connection up.
    pub given_up: CancellationToken,
}

/// The client's side of a connection.
pub struct ForwardIo {
    input: Box<dyn AsyncRead + Send + Unpin>,
    output: Output,
}

/// Where an error is told.
#[derive(Debug)]
pub struct ErrorStream {
    output: Output,
}

/// The connections that a client wants.
pub struct Forwards {
    kind: Kind,
}

enum Kind {
    /// The ports were named in the request.
    Channels(Channels, Vec<Forward>),
    Spdy {
        connection: spdy::Connection,
        pending: HashMap<String, Pending>,
        clock: SharedClock,
    },
}

/// A stream without its partner.
struct Pending {
    stream: Stream,
    /// On the monotonic clock.
    deadline: Duration,
}

/// Reads the ports that a WebSocket request without SPDY names in its query.
///
/// Errors: upstream's text, for an answer 400.
pub fn parse_ports<'a>(values: impl Iterator<Item = &'a str>) -> Result<Vec<u16>, String> {
    let mut ports = Vec::new();
    let mut is_given = false;
    for value in values {
        is_given = true;
        if value.is_empty() {
            return Err("query parameter \"port\" cannot be empty".to_owned());
        }
        for text in value.split(',') {
            ports.push(parse_port(text, value)?);
        }
    }
    if is_given { Ok(ports) } else { Err("query parameter \"port\" is required".to_owned()) }
}

fn parse_port(text: &str, shown: &str) -> Result<u16, String> {
    match text.parse::<u16>() {
        Ok(0) => Err(format!("port {shown:?} must be > 0")),
        Ok(port) => Ok(port),
        Err(_) => {
            let why = match text.parse::<u128>() {
                Ok(_) => "value out of range",
                Err(_) => "invalid syntax",
            };
            Err(format!("unable to parse {shown:?} as a port: strconv.ParseUint: parsing {text:?}: {why}"))
        }
    }
}

/// Speaks the negotiated protocol on a connection that was switched to it; `ports` are those of the request, for the
/// protocols that do not name them per stream. The driver has to be polled for anything to happen. `clock` is asked only
/// while a connection waits for its second stream, or nobody reads what the client sends.
///
/// Errors: the connection ended.
pub async fn start(
    io: BoxIo,
    negotiated: &Negotiated,
    ports: &[u16],
    clock: SharedClock,
) -> io::Result<(Forwards, Driver)> {
    let io = match negotiated.transport {
        Transport::WebSocket => return over_websocket(io, negotiated.protocol, ports, clock),
        Transport::Spdy => io,
        Transport::Tunnel => {
            let socket = websocket::switched(io, SocketRole::Server).await;
            Box::new(websocket::ByteStream::new(socket))
        }
    };
    let (connection, driver) = spdy::connect(io, Role::Server, Arc::clone(&clock));
    Ok((Forwards { kind: Kind::Spdy { connection, pending: HashMap::new(), clock } }, driver))
}

fn over_websocket(io: BoxIo, protocol: &str, ports: &[u16], clock: SharedClock) -> io::Result<(Forwards, Driver)> {
    let encoding = if protocol.contains("base64") { Encoding::Base64 } else { Encoding::Binary };
    // Each port has a channel for data and one for errors.
    let number = |index: usize| u8::try_from(index).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let inputs = (0..ports.len()).map(|index| number(2 * index)).collect::<io::Result<Vec<u8>>>()?;
    let (channels, readers, driver) = websocket::connect(io, encoding, false, &inputs, clock);
    let mut forwards = Vec::new();
    for ((input, channel), &port) in readers.into_iter().zip(inputs).zip(ports) {
        let connection = ForwardIo { input: Box::new(input), output: channels.output(channel) };
        let error = ErrorStream { output: channels.output(channel + 1) };
        let given_up = connection.output.given_up();
        forwards.push(Forward { port, connection, error, given_up });
    }
    forwards.reverse();
    Ok((Forwards { kind: Kind::Channels(channels, forwards) }, driver))
}

impl Forwards {
    /// Completes once the connection has ended.
    #[must_use]
    pub fn closed(&self) -> CancellationToken {
        match &self.kind {
            Kind::Channels(channels, _) => channels.closed(),
            Kind::Spdy { connection, .. } => connection.closed(),
        }
    }

    /// The next connection; `None` when no more come. Cancel-safe but for the first bytes of a channel, which name its port.
    pub async fn next(&mut self) -> Option<Forward> {
        match &mut self.kind {
            Kind::Channels(_, forwards) => {
                let mut forward = forwards.pop()?;
                // Both channels begin with the port, low byte first.
                let port = forward.port.to_le_bytes();
                forward.connection.output.write_all(&port).await.ok()?;
                forward.error.output.write_all(&port).await.ok()?;
                Some(forward)
            }
            Kind::Spdy { connection, pending, clock } => loop {
                let first = pending.values().map(|waiting| waiting.deadline).min();
                let late = async {
                    match first {
                        Some(deadline) => clock.sleep_until(deadline).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    stream = connection.accept() => {
                        let deadline = clock.monotonic().saturating_add(PAIR_PATIENCE);
                        if let Some(forward) = pair(stream?, pending, deadline) {
                            return Some(forward);
                        }
                    }
                    () = late => {
                        let now = clock.monotonic();
                        for (_, late) in pending.extract_if(|_, waiting| waiting.deadline <= now) {
                            late.stream.refuse();
                        }
                    }
                }
            },
        }
    }

    /// Ends the connection once everything that was written before is sent.
    pub async fn close(&mut self) {
        match &self.kind {
            Kind::Channels(channels, _) => channels.close().await,
            Kind::Spdy { connection, .. } => connection.close().await,
        }
    }
}

/// Joins the two streams of one connection. Streams with wrong headers are dropped, which ends them.
fn pair(stream: Stream, pending: &mut HashMap<String, Pending>, deadline: Duration) -> Option<Forward> {
    let port = stream.headers.get("port").parse::<u16>().ok().filter(|port| *port > 0)?;
    let is_error = match stream.headers.get("streamtype") {
        "error" => true,
        "data" => false,
        _ => return None,
    };
    let request = match (stream.headers.get("requestid"), is_error) {
        // Clients of old name no request: they open the error stream, and the data stream right after it.
        ("", true) => stream.id.to_string(),
        ("", false) => stream.id.saturating_sub(2).to_string(),
        (given, _) => given.to_owned(),
    };
    let Some(Pending { stream: other, .. }) = pending.remove(&request) else {
        if pending.len() < PENDING_MAX {
            pending.insert(request, Pending { stream, deadline });
        } else {
            stream.refuse();
        }
        return None;
    };
    if other.headers.get("streamtype") == stream.headers.get("streamtype") {
        return None;
    }
    let (data, error) = if is_error { (other, stream) } else { (stream, other) };
    Some(Forward {
        port,
        given_up: data.output.given_up(),
        connection: ForwardIo { input: Box::new(data.input), output: data.output },
        error: ErrorStream { output: error.output },
    })
}

impl ErrorStream {
    /// Tells the client why the connection failed, as plain text: kubectl prints it as it is.
    pub async fn fail(mut self, message: &str) {
        // A client that has gone does not need to know. The drop ends the stream.
        let _gone = self.output.write_all(message.as_bytes()).await;
    }
}

impl AsyncRead for ForwardIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.input).poll_read(cx, buf)
    }
}

impl AsyncWrite for ForwardIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.output).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.output).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use corten_base::SimClock;
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::negotiate::{PORT_FORWARD, negotiate};

    /// A stream whose partner never came waited for the life of the connection, and past 64 of them further ones were
    /// dropped without a word.
    #[tokio::test]
    async fn streams_without_a_partner_are_refused_when_they_are_too_many_and_after_a_while() {
        let clock = SimClock::new(jiff::Timestamp::UNIX_EPOCH);
        let (left, right) = tokio::io::duplex(4 << 10);
        let (client, drive_client) = spdy::connect(Box::new(left), Role::Client, Arc::clone(&clock) as SharedClock);
        let mut headers = http::HeaderMap::new();
        for (name, value) in
            [("connection", "Upgrade"), ("upgrade", "SPDY/3.1"), ("x-stream-protocol-version", "portforward.k8s.io")]
        {
            headers.insert(name, value.parse().unwrap());
        }
        let negotiated = negotiate(&headers, PORT_FORWARD).unwrap();
        let (mut forwards, drive_server) =
            start(Box::new(right), &negotiated, &[], Arc::clone(&clock) as SharedClock).await.unwrap();
        let open = async |request: usize, kind: &str| {
            let request = request.to_string();
            let headers = [("streamType", kind), ("port", "80"), ("requestID", &request)];
            client.open(spdy::Headers::of(headers)).await.unwrap()
        };
        let is_refused = async |mut stream: Stream| {
            assert_eq!(stream.read(&mut [0; 8]).await.unwrap_err().kind(), ErrorKind::ConnectionReset);
        };
        let talk = async {
            let mut waiting = Vec::new();
            for request in 0..PENDING_MAX {
                waiting.push(open(request, "data").await);
            }
            is_refused(open(PENDING_MAX, "data").await).await;
            clock.advance(PAIR_PATIENCE - Duration::from_secs(1));
            let _error = open(0, "error").await;
            let mut paired = waiting.remove(0);
            paired.read_exact(&mut [0; 5]).await.unwrap();
            clock.advance(Duration::from_secs(1));
            for stream in waiting {
                is_refused(stream).await;
            }
            client.close().await;
        };
        let serve = async {
            let mut forward = forwards.next().await.unwrap();
            forward.connection.write_all(b"hello").await.unwrap();
            assert!(forwards.next().await.is_none());
        };
        tokio::join!(drive_client, drive_server, talk, serve);
    }

    #[test]
    fn ports_are_read_from_the_query() {
        assert_eq!(parse_ports(["80", "443,8080"].into_iter()), Ok(vec![80, 443, 8_080]));
        let error = |value: &str| parse_ports([value].into_iter()).unwrap_err();
        assert_eq!(parse_ports(std::iter::empty()), Err("query parameter \"port\" is required".to_owned()));
        assert_eq!(error("0"), "port \"0\" must be > 0");
        assert_eq!(error("x"), "unable to parse \"x\" as a port: strconv.ParseUint: parsing \"x\": invalid syntax");
    }
}
