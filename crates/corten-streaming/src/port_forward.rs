//! Port forwarding: connections to a pod's ports, each with a stream for errors beside it.
//!
//! Upstream: k8s.io/kubelet/pkg/cri/streaming/portforward (v1.35).

use std::{
    collections::HashMap,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::Role as SocketRole;
use tokio_util::sync::CancellationToken;

use crate::{
    BoxIo, Driver, Negotiated, Output, Transport,
    spdy::{self, Role, Stream},
    websocket::{self, Channels, Encoding},
};

/// How many connections may wait for their second stream.
const PENDING_MAX: usize = 64;

/// One connection to a port.
pub struct Forward {
    /// The port.
    pub port: u16,
    /// The client's side of it.
    pub connection: ForwardIo,
    /// Where an error is told.
    pub error: ErrorStream,
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
    Spdy(spdy::Connection, HashMap<String, Stream>),
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
/// protocols that do not name them per stream. The driver has to be polled for anything to happen.
///
/// Errors: the connection ended.
pub async fn start(io: BoxIo, negotiated: &Negotiated, ports: &[u16]) -> io::Result<(Forwards, Driver)> {
    let io = match negotiated.transport {
        Transport::WebSocket => return over_websocket(io, negotiated.protocol, ports),
        Transport::Spdy => io,
        Transport::Tunnel => {
            let socket = websocket::switched(io, SocketRole::Server).await;
            Box::new(websocket::ByteStream::new(socket))
        }
    };
    let (connection, driver) = spdy::connect(io, Role::Server);
    Ok((Forwards { kind: Kind::Spdy(connection, HashMap::new()) }, driver))
}

fn over_websocket(io: BoxIo, protocol: &str, ports: &[u16]) -> io::Result<(Forwards, Driver)> {
    let encoding = if protocol.contains("base64") { Encoding::Base64 } else { Encoding::Binary };
    // Each port has a channel for data and one for errors.
    let number = |index: usize| u8::try_from(index).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let inputs = (0..ports.len()).map(|index| number(2 * index)).collect::<io::Result<Vec<u8>>>()?;
    let (channels, readers, driver) = websocket::connect(io, encoding, false, &inputs);
    let mut forwards = Vec::new();
    for ((input, channel), &port) in readers.into_iter().zip(inputs).zip(ports) {
        let connection = ForwardIo { input: Box::new(input), output: channels.output(channel) };
        let error = ErrorStream { output: channels.output(channel + 1) };
        forwards.push(Forward { port, connection, error });
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
            Kind::Spdy(connection, _) => connection.closed(),
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
            Kind::Spdy(connection, pending) => loop {
                let stream = connection.accept().await?;
                if let Some(forward) = pair(stream, pending) {
                    return Some(forward);
                }
            },
        }
    }

    /// Whether the client opens connections for as long as it is there.
    #[must_use]
    pub fn is_open_ended(&self) -> bool {
        matches!(self.kind, Kind::Spdy(..))
    }

    /// Ends the connection once everything that was written before is sent.
    pub async fn close(&mut self) {
        match &self.kind {
            Kind::Channels(channels, _) => channels.close().await,
            Kind::Spdy(connection, _) => connection.close().await,
        }
    }
}

/// Joins the two streams of one connection. Streams with wrong headers are dropped, which ends them.
fn pair(stream: Stream, pending: &mut HashMap<String, Stream>) -> Option<Forward> {
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
    let Some(other) = pending.remove(&request) else {
        if pending.len() < PENDING_MAX {
            pending.insert(request, stream);
        }
        return None;
    };
    if other.headers.get("streamtype") == stream.headers.get("streamtype") {
        return None;
    }
    let (data, error) = if is_error { (other, stream) } else { (stream, other) };
    Some(Forward {
        port,
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
    use super::*;

    #[test]
    fn ports_are_read_from_the_query() {
        assert_eq!(parse_ports(["80", "443,8080"].into_iter()), Ok(vec![80, 443, 8_080]));
        let error = |value: &str| parse_ports([value].into_iter()).unwrap_err();
        assert_eq!(parse_ports(std::iter::empty()), Err("query parameter \"port\" is required".to_owned()));
        assert_eq!(error("0"), "port \"0\" must be > 0");
        assert_eq!(error("x"), "unable to parse \"x\" as a port: strconv.ParseUint: parsing \"x\": invalid syntax");
    }
}
