//! Exec and attach: the streams of a command, and its outcome.
//!
//! Upstream: k8s.io/kubelet/pkg/cri/streaming/remotecommand (v1.35).

use std::{collections::BTreeMap, io};

use corten_base::SharedClock;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    sync::mpsc,
};
use tokio_util::sync::CancellationToken;

use crate::{
    BoxIo, Driver, Negotiated, Output, Transport,
    spdy::{self, Role, Stream},
    status::Outcome,
    websocket::{self, Channels, Encoding},
};

const STDIN: u8 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const ERROR: u8 = 3;
const RESIZE: u8 = 4;

/// How many sizes wait for the command: a client that resizes faster waits in turn.
const RESIZE_QUEUE: usize = 4;

/// The longest JSON of one size.
const SIZE_BYTES_MAX: usize = 1_024;

/// What a client wants to be connected with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wants {
    /// What the command reads.
    pub stdin: bool,
    /// What it writes.
    pub stdout: bool,
    /// What it writes to stderr: never with a terminal.
    pub stderr: bool,
    /// A terminal.
    pub tty: bool,
}

/// A terminal's size in characters: columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: u16,
    /// Rows.
    pub height: u16,
}

/// What a command reads.
pub type Input = Box<dyn AsyncRead + Send + Unpin>;

/// The streams of a command.
pub struct Streams {
    /// What it reads; ends when the client ends it.
    pub stdin: Option<Input>,
    /// Where its output goes.
    pub stdout: Option<Output>,
    /// Where its other output goes.
    pub stderr: Option<Output>,
    /// The sizes that the client's terminal takes. Closed: no more come.
    pub resize: mpsc::Receiver<Size>,
}

/// A command that is connected with its client.
pub struct Session {
    /// Its streams: whoever runs the command takes them.
    pub streams: Streams,
    /// Says how it ended.
    pub end: End,
}

/// Says how a command ended.
#[derive(Debug)]
pub struct End {
    error: Output,
    connection: Connection,
    as_status: bool,
    /// Our direction of streams that only the client writes: an early end would tell it to write no more.
    _silent: Vec<Output>,
}

#[derive(Debug)]
enum Connection {
    WebSocket(Channels),
    Spdy(spdy::Connection),
}

/// A connection whose streams are still to come.
pub struct Opening {
    kind: Kind,
    protocol: &'static str,
    wants: Wants,
}

enum Kind {
    WebSocket(Channels, Vec<crate::Input>),
    Spdy(spdy::Connection),
}

/// Speaks the negotiated protocol on a connection that was switched to it. The driver has to be polled for anything to
/// happen, while the streams open, too. `clock` is asked only while nobody reads what the client sends.
pub async fn start(io: BoxIo, negotiated: &Negotiated, wants: Wants, clock: SharedClock) -> (Opening, Driver) {
    let protocol = negotiated.protocol;
    let (kind, driver) = match negotiated.transport {
        Transport::WebSocket => {
            let encoding = if protocol.contains("base64") { Encoding::Base64 } else { Encoding::Binary };
            let mut inputs = Vec::new();
            inputs.extend(wants.stdin.then_some(STDIN));
            inputs.push(RESIZE);
            let closes = protocol == "v5.channel.k8s.io";
            let (channels, inputs, driver) = websocket::connect(io, encoding, closes, &inputs, clock);
            (Kind::WebSocket(channels, inputs), driver)
        }
        Transport::Spdy => {
            let (connection, driver) = spdy::connect(io, Role::Server, clock);
            (Kind::Spdy(connection), driver)
        }
        Transport::Tunnel => {
            let socket = websocket::switched(io, tokio_tungstenite::tungstenite::protocol::Role::Server).await;
            let stream = Box::new(websocket::ByteStream::new(socket));
            let (connection, driver) = spdy::connect(stream, Role::Server, clock);
            (Kind::Spdy(connection), driver)
        }
    };
    (Opening { kind, protocol, wants }, driver)
}

impl Opening {
    /// Waits until the client has opened all streams that it wants: at once over WebSocket. The second value reads the
    /// client's sizes and has to be polled for them to come.
    ///
    /// Errors: the connection ended before, or the client opened a stream that there is not.
    pub async fn streams(self) -> io::Result<(Session, Driver)> {
        let Self { kind, protocol, wants } = self;
        match kind {
            Kind::WebSocket(channels, inputs) => over_websocket(channels, inputs, protocol, wants).await,
            Kind::Spdy(connection) => over_spdy(connection, protocol, wants).await,
        }
    }
}

async fn over_websocket(
    channels: Channels,
    inputs: Vec<crate::Input>,
    protocol: &str,
    wants: Wants,
) -> io::Result<(Session, Driver)> {
    let mut inputs = inputs.into_iter();
    let stdin = if wants.stdin { inputs.next().map(|input| Box::new(input) as Input) } else { None };
    let (resize, sizes) = resizes(inputs.next().map(|input| Box::new(input) as Input));
    let mut stdout = wants.stdout.then(|| channels.output(STDOUT));
    let mut stderr = wants.stderr.then(|| channels.output(STDERR));
    let mut error = channels.output(ERROR);
    // An empty message on the lowest channel tells the client that the connection stands.
    stdout.as_mut().or(stderr.as_mut()).unwrap_or(&mut error).send_empty().await?;
    let as_status = protocol.starts_with("v4.") || protocol.starts_with("v5.");
    let end = End { error, connection: Connection::WebSocket(channels), as_status, _silent: Vec::new() };
    Ok((Session { streams: Streams { stdin, stdout, stderr, resize }, end }, sizes))
}

async fn over_spdy(mut connection: spdy::Connection, protocol: &str, wants: Wants) -> io::Result<(Session, Driver)> {
    // Sizes came with version 3, statuses with version 4.
    let has_resize = wants.tty && matches!(protocol, "v3.channel.k8s.io" | "v4.channel.k8s.io");
    let mut missing: Vec<&str> = vec!["error"];
    for (wanted, name) in
        [(wants.stdin, "stdin"), (wants.stdout, "stdout"), (wants.stderr, "stderr"), (has_resize, "resize")]
    {
        missing.extend(wanted.then_some(name));
    }
    let mut found: BTreeMap<String, Stream> = BTreeMap::new();
    while !missing.is_empty() {
        let stream = connection.accept().await.ok_or(io::ErrorKind::UnexpectedEof)?;
        let kind = stream.headers.get("streamtype").to_owned();
        let Some(position) = missing.iter().position(|name| *name == kind) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("unexpected stream type: {kind:?}")));
        };
        missing.swap_remove(position);
        found.insert(kind, stream);
    }
    connection.refuse_more();
    let mut silent = Vec::new();
    let mut input = |name: &str| {
        let stream = found.remove(name)?;
        silent.push(stream.output);
        Some(Box::new(stream.input) as Input)
    };
    let stdin = input("stdin");
    let (resize, sizes) = resizes(input("resize"));
    let mut output = |name: &str| found.remove(name).map(|stream| stream.output);
    let (stdout, stderr) = (output("stdout"), output("stderr"));
    let error = output("error").ok_or(io::ErrorKind::UnexpectedEof)?;
    let as_status = protocol == "v4.channel.k8s.io";
    let end = End { error, connection: Connection::Spdy(connection), as_status, _silent: silent };
    Ok((Session { streams: Streams { stdin, stdout, stderr, resize }, end }, sizes))
}

impl End {
    /// Completes once the connection has ended: the client hung up.
    #[must_use]
    pub fn closed(&self) -> CancellationToken {
        match &self.connection {
            Connection::WebSocket(channels) => channels.closed(),
            Connection::Spdy(connection) => connection.closed(),
        }
    }

    /// Tells the client how the command ended, behind everything that was written, and ends the connection. The driver
    /// completes afterwards.
    pub async fn finish(mut self, outcome: &Outcome) {
        let bytes = outcome.to_bytes(self.as_status);
        // A client that has gone does not need to know.
        if self.error.write_all(&bytes).await.is_ok() && self.error.shutdown().await.is_ok() {
            match &self.connection {
                Connection::WebSocket(channels) => channels.close().await,
                Connection::Spdy(connection) => connection.close().await,
            }
        }
    }
}

/// Reads sizes, `{"Width":80,"Height":24}` one after the other, from a stream.
fn resizes(input: Option<Input>) -> (mpsc::Receiver<Size>, Driver) {
    let (send, receive) = mpsc::channel(RESIZE_QUEUE);
    let read = async move {
        let Some(mut input) = input else { return };
        let mut buffer = Vec::new();
        loop {
            let mut chunk = [0; 256];
            // The end of the stream, or of the connection: no more sizes come.
            let Ok(length @ 1..) = input.read(&mut chunk).await else { return };
            buffer.extend_from_slice(&chunk[..length]);
            let (sizes, taken) = parse_sizes(&buffer);
            buffer.drain(..taken);
            if buffer.len() > SIZE_BYTES_MAX {
                return;
            }
            for size in sizes {
                if send.send(size).await.is_err() {
                    // Nobody asks for sizes; the rest is read so that the connection goes on.
                    let _broken = tokio::io::copy(&mut input, &mut tokio::io::sink()).await;
                    return;
                }
            }
        }
    };
    (receive, Box::pin(read))
}

/// The complete sizes at the front of `buffer`, and how many bytes they take.
fn parse_sizes(buffer: &[u8]) -> (Vec<Size>, usize) {
    let mut values = serde_json::Deserializer::from_slice(buffer).into_iter::<Value>();
    let mut sizes = Vec::new();
    let mut taken = 0;
    while let Some(Ok(value)) = values.next() {
        taken = values.byte_offset();
        // Go reads field names in any case.
        let field = |name: &str| {
            let fields = value.as_object()?;
            let (_, number) = fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name))?;
            u16::try_from(number.as_u64()?).ok()
        };
        let size = Size { width: field("Width").unwrap_or(0), height: field("Height").unwrap_or(0) };
        // A size without room is none: clients send it while their terminal is being set up.
        if size.width > 0 && size.height > 0 {
            sizes.push(size);
        }
    }
    (sizes, taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_however_they_are_cut() {
        let text = br#"{"Width":80,"Height":24}{"Width":0,"Height":0}{"width":100,"height":40}{"Wid"#;
        let (sizes, taken) = parse_sizes(text);
        assert_eq!(sizes, [Size { width: 80, height: 24 }, Size { width: 100, height: 40 }]);
        assert_eq!(&text[taken..], br#"{"Wid"#);
    }
}
