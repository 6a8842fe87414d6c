//! The asking end; blocks, because a command does one thing.

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    os::unix::net::UnixStream,
    path::Path,
};

use anyhow::{Context as _, bail};

use super::{Answer, Envelope, LINE_BYTES_MAX, Request, VERSION};

/// Sends a request and waits for its answer, however long the work takes. Nothing if nobody listens.
///
/// Errors: the connection broke, or the process answers that it could not do it.
pub(crate) fn ask(socket: &Path, request: Request) -> anyhow::Result<Option<Answer>> {
    let mut stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("connect to {}", socket.display())),
    };
    let mut line = serde_json::to_vec(&Envelope { version: VERSION, request }).context("write the request")?;
    line.push(b'\n');
    stream.write_all(&line).context("send the request to the running process")?;
    let mut answer = String::new();
    let read = BufReader::new(stream).take(LINE_BYTES_MAX).read_line(&mut answer);
    if read.context("read the answer of the running process")? == 0 {
        bail!("the running process ended before it answered");
    }
    match serde_json::from_str(&answer).context("understand the answer of the running process")? {
        Answer::Failed(reason) => bail!(reason),
        answer => Ok(Some(answer)),
    }
}
