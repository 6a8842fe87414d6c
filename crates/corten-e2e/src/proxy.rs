//! `kubectl proxy`: plain HTTP to the API server, for requests that kubectl has no command for.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    process::Child,
    time::Duration,
};

use anyhow::{Context as _, ensure};

use crate::Kubectl;

/// How long an answer, or a message that has to come, may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running proxy; it ends with the value.
#[derive(Debug)]
pub struct Proxy {
    process: Child,
    address: SocketAddr,
}

impl Proxy {
    /// Starts one on a port of its own, with the administrator's credentials.
    pub fn start(kubectl: &Kubectl) -> anyhow::Result<Self> {
        let mut process = kubectl.start(&["proxy", "--port=0"])?;
        let out = process.stdout.take().context("the output is piped")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line).context("read where kubectl serves")?;
        let address = line.trim().rsplit(' ').next().unwrap_or_default().parse();
        let address = address.with_context(|| format!("find the address in {line:?}"))?;
        Ok(Self { process, address })
    }

    /// The code and the body of an answer. `headers` are whole lines.
    pub fn ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> anyhow::Result<(u16, String)> {
        let mut stream = self.connect()?;
        // The version before: its answers come in one piece, and end with the connection.
        write!(stream, "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1\r\n")?;
        for header in headers {
            write!(stream, "{header}\r\n")?;
        }
        write!(stream, "Content-Length: {}\r\n\r\n{body}", body.len()).context("send the request")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).context("read the answer")?;
        let answer = String::from_utf8(answer).context("read the answer as text")?;
        let (head, body) = answer.split_once("\r\n\r\n").context("the answer has no end of its head")?;
        Ok((code(head)?, body.to_owned()))
    }

    /// Opens a WebSocket that speaks `protocol`, or whatever the server likes if that is empty.
    pub fn web_socket(&self, path: &str, protocol: &str) -> anyhow::Result<WebSocket> {
        let mut stream = self.connect()?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )?;
        if !protocol.is_empty() {
            write!(stream, "Sec-WebSocket-Protocol: {protocol}\r\n")?;
        }
        write!(stream, "\r\n").context("send the request")?;
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            ensure!(reader.read_line(&mut head).context("read the answer")? > 0, "the answer ends early: {head}");
        }
        ensure!(code(&head)? == 101, "{head}");
        let spoken = format!("sec-websocket-protocol: {protocol}\r\n");
        ensure!(protocol.is_empty() || head.to_ascii_lowercase().contains(&spoken), "{head}");
        Ok(WebSocket { reader })
    }

    fn connect(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect(self.address).context("connect to kubectl's proxy")?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The test is over or fails already: nothing more can be reported here.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn code(head: &str) -> anyhow::Result<u16> {
    let code = head.split(' ').nth(1).context("the answer has no code")?;
    code.parse().with_context(|| format!("read the code of {head}"))
}

/// The client's side of a WebSocket, which only listens.
#[derive(Debug)]
pub struct WebSocket {
    reader: BufReader<TcpStream>,
}

/// What came over a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Text.
    Text(String),
    /// Bytes.
    Binary(Vec<u8>),
}

impl WebSocket {
    /// The next message; `None` once the server has closed.
    ///
    /// Errors: nothing came in time, or it is no message.
    pub fn receive(&mut self) -> anyhow::Result<Option<Message>> {
        loop {
            let [first, length] = self.bytes()?;
            let length = match length {
                126 => usize::from(u16::from_be_bytes(self.bytes()?)),
                127 => usize::try_from(u64::from_be_bytes(self.bytes()?))?,
                length => usize::from(length),
            };
            let mut payload = vec![0; length];
            self.reader.read_exact(&mut payload).context("read a message")?;
            // Servers do not mask, and neither side of these streams sends messages in parts.
            match first {
                0x81 => return Ok(Some(Message::Text(String::from_utf8(payload)?))),
                0x82 => return Ok(Some(Message::Binary(payload))),
                0x88 => return Ok(None),
                0x89 | 0x8a => {}
                other => anyhow::bail!("a message begins with {other:#x}"),
            }
        }
    }

    fn bytes<const N: usize>(&mut self) -> anyhow::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).context("wait for a message")?;
        Ok(bytes)
    }
}
