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

/// Sends a request and waits for its answer: thirty seconds for those that need no work, and however long the work takes for
/// others, as long as the process answers questions meanwhile. Nothing if nobody listens.
///
/// Errors: [`Silent`], the connection broke, or the process answers that it could not do it.
pub(crate) fn ask(socket: &Path, request: Request) -> anyhow::Result<Option<Answer>> {
    ask_within(socket, request, PATIENCE)
}

/// As `ask`, with a time of one's own.
pub(super) fn ask_within(socket: &Path, request: Request, patience: Duration) -> anyhow::Result<Option<Answer>> {
    let is_question = matches!(request, Request::Status);
    let works = matches!(request, Request::ImportImages(_) | Request::RemoveImage(_) | Request::Backup(_));
    let mut stream = match connect_within(socket, patience) {
        Ok(stream) => stream,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(Silent(patience).into()),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("connect to {}", socket.display())),
    };
    let mut line = serde_json::to_vec(&Envelope { version: VERSION, request }).context("write the request")?;
    line.push(b'\n');
    let limit = Some(patience);
    stream.set_write_timeout(limit).and_then(|()| stream.set_read_timeout(limit)).context("set a deadline")?;
    let mut sent = stream.write_all(&line);
    let (mut reader, mut answer) = (BufReader::new(stream).take(LINE_BYTES_MAX), Vec::new());
    let read = loop {
        match sent.and_then(|()| reader.read_until(b'\n', &mut answer)) {
            // It may be at work, or hang: then it does not say how it is either.
            Err(error) if error.kind() == ErrorKind::WouldBlock && works => {
                ask_within(socket, Request::Status, patience)?;
                sent = Ok(());
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Err(Silent(patience).into()),
            read => break read,
        }
    };
    let is_over = match &read {
        Ok(length) => *length == 0 && answer.is_empty(),
        Err(error) => matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe),
    };
    if is_over {
        // How it is can be said all the same; whether it did what was asked cannot.
        if is_question
            && connect_within(socket, patience).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused)
        {
            return Ok(None);
        }
        bail!("the running process ended before it answered");
    }
    read.context("read the answer of the running process")?;
    match serde_json::from_slice(&answer).context("understand the answer of the running process")? {
        Answer::Failed(reason) => bail!(reason),
        answer => Ok(Some(answer)),
    }
}
