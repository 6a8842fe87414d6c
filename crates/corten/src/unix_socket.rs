//! Connecting to sockets of other processes, which may hang.

use std::{
    io::{self, ErrorKind},
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    time::Duration,
};

use anyhow::Context as _;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
    sockopt::{Timeout, set_socket_timeout, socket_peercred},
};

use crate::process;

/// Connects to `path`. Blocks, but not for longer than `patience`: where the listener is stopped and its backlog full, nobody
/// would ever answer.
///
/// Errors: `WouldBlock` after that time; `NotFound` and `ConnectionRefused` where nobody listens.
pub(crate) fn connect_within(path: &Path, patience: Duration) -> io::Result<UnixStream> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // Connecting to a local socket waits as writing to it does.
    set_socket_timeout(&socket, Timeout::Send, Some(patience))?;
    connect(&socket, &SocketAddrUnix::new(path)?)?;
    set_socket_timeout(&socket, Timeout::Send, None)?;
    Ok(socket.into())
}

/// The process that listens on a socket, and its number; nothing if nobody does. Blocks for at most `patience`.
pub(crate) fn listener_of(socket: &Path, patience: Duration) -> anyhow::Result<Option<(i32, OwnedFd)>> {
    let connection = match connect_within(socket, patience) {
        Ok(connection) => connection,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("connect to {}", socket.display())),
    };
    let listener = socket_peercred(&connection).with_context(|| format!("ask who listens on {}", socket.display()))?;
    let pid = listener.pid.as_raw_nonzero().get();
    Ok(process::hold(pid)?.map(|process| (pid, process)))
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    /// A listener that is stopped has its backlog full at some time, and whoever came next waited for ever.
    #[test]
    fn a_full_backlog_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        assert_eq!(connect_within(&path, Duration::from_millis(20)).unwrap_err().kind(), ErrorKind::NotFound);
        let listener = UnixListener::bind(&path).unwrap();
        // Sets the length of the backlog anew.
        rustix::net::listen(&listener, 0).unwrap();
        let mut waiting = Vec::new();
        let error = loop {
            match connect_within(&path, Duration::from_millis(20)) {
                Ok(connection) => waiting.push(connection),
                Err(error) => break error,
            }
        };
        assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error} after {}", waiting.len());
    }

    #[test]
    fn the_listener_is_found_by_its_socket() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sock");
        assert!(listener_of(&path, Duration::from_secs(1)).unwrap().is_none());
        let _listener = UnixListener::bind(&path).unwrap();
        let (pid, _process) = listener_of(&path, Duration::from_secs(1)).unwrap().unwrap();
        assert_eq!(pid, std::process::id().cast_signed());
    }
}
