//! The asking end; blocks, because a command does one thing.

use std::{
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, bail};

use super::{Answer, Envelope, LINE_BYTES_MAX, Request, VERSION};
use crate::unix_socket::connect_within;

/// How long an answer may take that needs no work: a machine that is busy takes a second.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody listens and does not answer: the process is stopped, or hangs.
#[derive(Debug, thiserror::Error)]
#[error("the running process does not answer within {} s", .0.as_secs())]
pub(crate) struct Silent(Duration);

/// Sends a request and waits for its answer: thirty seconds for `Status` and `Stop`, however long the work takes for others.
/// Nothing if nobody listens.
///
/// Errors: [`Silent`], the connection broke, or the process answers that it could not do it.
pub(crate) fn ask(socket: &Path, request: Request) -> anyhow::Result<Option<Answer>> {
    let patience = matches!(request, Request::Status | Request::Stop).then_some(PATIENCE);
    ask_within(socket, request, patience)
}

/// As `ask`, with a time of one's own.
pub(super) fn ask_within(
    socket: &Path,
    request: Request,
    patience: Option<Duration>,
) -> anyhow::Result<Option<Answer>> {
    let connect_patience = patience.unwrap_or(PATIENCE);
    let mut stream = match connect_within(socket, connect_patience) {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(Silent(connect_patience).into()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("connect to {}", socket.display())),
    };
    let mut line = serde_json::to_vec(&Envelope { version: VERSION, request }).context("write the request")?;
    line.push(b'\n');
    stream.set_write_timeout(patience).and_then(|()| stream.set_read_timeout(patience)).context("set a deadline")?;
    let mut answer = String::new();
    let sent = stream.write_all(&line);
    let read = sent.and_then(|()| BufReader::new(stream).take(LINE_BYTES_MAX).read_line(&mut answer));
    if let Err(error) = &read
        && let Some(patience) = patience
        && error.kind() == ErrorKind::WouldBlock
    {
        return Err(Silent(patience).into());
    }
    if read.context("read the answer of the running process")? == 0 {
        bail!("the running process ended before it answered");
    }
    match serde_json::from_str(&answer).context("understand the answer of the running process")? {
        Answer::Failed(reason) => bail!(reason),
        answer => Ok(Some(answer)),
    }
}
