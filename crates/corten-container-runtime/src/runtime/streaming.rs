//! `Streaming`, and `ExecSync`: bytes between callers and processes.
//!
//! Pipes are made here and their far ends given to the shim, which hands them to the process: nothing is copied twice.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd as _, BorrowedFd, OwnedFd},
    path::PathBuf,
    time::Duration,
};

use async_trait::async_trait;
use corten_base::ErrorChain;
use corten_cri::{
    Code, CriError, EXEC_SYNC_OUTPUT_BYTES_MAX, StreamIo, Streaming, TerminalSize, api,
    streaming::{Duplex, Input, Output},
};
use corten_net::netns::Netns;
use rustix::{
    net::{AddressFamily, SocketFlags, SocketType},
    pipe::PipeFlags,
    termios::Winsize,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, Interest, unix::AsyncFd},
    net::{TcpSocket, TcpStream},
    sync::mpsc,
};

use super::{ContainerRuntime, sandboxes, unknown};
use crate::shim::{
    client::{ANSWER_PATIENCE, Call, register},
    protocol::{self, Answer, Request},
};

/// How much is copied at a time.
const COPY_BYTES: usize = 32 << 10;
const SIGKILL: i32 = 9;
/// How long a pod's port may take to accept: it is on this machine, and one that drops packets never does.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

/// Our end of a stream.
type End = AsyncFd<OwnedFd>;

fn end(descriptor: OwnedFd) -> io::Result<End> {
    rustix::io::ioctl_fionbio(&descriptor, true)?;
    register(descriptor)
}

/// A pipe: our reading end, the far writing end.
fn output() -> io::Result<(End, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    Ok((end(read)?, write))
}

/// A pipe: our writing end, the far reading end.
fn input() -> io::Result<(End, OwnedFd)> {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC)?;
    Ok((end(write)?, read))
}

async fn read(from: &End, buffer: &mut [u8]) -> io::Result<usize> {
    match from.async_io(Interest::READABLE, |fd| Ok(rustix::io::read(fd, &mut *buffer)?)).await {
        // A terminal whose last program has gone.
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error()) => Ok(0),
        other => other,
    }
}

async fn write_all(to: &End, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let written = to.async_io(Interest::WRITABLE, |fd| Ok(rustix::io::write(fd, bytes)?)).await?;
        bytes = &bytes[written..];
    }
    Ok(())
}

/// Copies a process's output to the client until either has ended. `false`: the client has.
async fn copy_out(from: Option<&End>, to: Option<Output>) -> io::Result<bool> {
    let Some(from) = from else { return Ok(true) };
    let mut to = to;
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let length = read(from, &mut buffer).await?;
        let Some(client) = to.as_mut() else {
            if length == 0 {
                return Ok(true);
            }
            continue;
        };
        if length == 0 {
            client.flush().await.ok();
            client.shutdown().await.ok();
            return Ok(true);
        }
        if client.write_all(&buffer[..length]).await.is_err() || client.flush().await.is_err() {
            return Ok(false);
        }
    }
}

/// An error if the client takes no more.
async fn while_taken(copy: impl Future<Output = io::Result<bool>>) -> Result<(), ()> {
    if matches!(copy.await, Ok(true)) { Ok(()) } else { Err(()) }
}

/// Copies what the client says; drops the process's end when it has said all.
async fn copy_in(from: Option<Input>, to: Option<End>) {
    let (Some(mut from), Some(to)) = (from, to) else { return };
    let mut buffer = vec![0; COPY_BYTES];
    while let Ok(length) = from.read(&mut buffer).await {
        // A process that reads no more is no error.
        if length == 0 || write_all(&to, &buffer[..length]).await.is_err() {
            return;
        }
    }
}

/// Reads to the end and keeps the beginning.
async fn collect(from: &End) -> io::Result<Vec<u8>> {
    let (mut kept, mut buffer) = (Vec::new(), vec![0; COPY_BYTES]);
    loop {
        let length = read(from, &mut buffer).await?;
        if length == 0 {
            return Ok(kept);
        }
        let room = EXEC_SYNC_OUTPUT_BYTES_MAX - kept.len();
        kept.extend_from_slice(&buffer[..length.min(room)]);
    }
}

async fn exit_code(call: &Call) -> Result<i32, CriError> {
    match call.answer().await?.0 {
        Answer::Exited { code } => Ok(code),
        answer => Err(unexpected(&answer)),
    }
}

fn unexpected(answer: &Answer) -> CriError {
    CriError::new(Code::Internal, format!("unexpected answer of the shim: {answer:?}"))
}

/// Copies both ways until the pod's side has ended: what a client says then reaches nobody, and clients over WebSocket
/// channels cannot end their side. One that has ended hears the pod to its end. A side that resets has ended, too.
async fn forward(connection: Box<dyn Duplex>, pod: impl AsyncRead + AsyncWrite) {
    let (mut from_client, mut to_client) = tokio::io::split(connection);
    let (mut from_pod, mut to_pod) = tokio::io::split(pod);
    let down = async {
        tokio::io::copy(&mut from_pod, &mut to_client).await.ok();
        to_client.shutdown().await.ok();
    };
    let up = async {
        if tokio::io::copy(&mut from_client, &mut to_pod).await.is_ok() && to_pod.shutdown().await.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        biased;
        () = down => {}
        () = up => {}
    }
}

/// The file with a command and its environment, for the shim to read. It goes with this value, whatever becomes of the call:
/// the environment may hold secrets. It is on a file system in memory, so that nothing waits for a disk.
struct ProcessFile(PathBuf);

impl Drop for ProcessFile {
    fn drop(&mut self) {
        if let Err(err) = corten_base::fs::remove_file(&self.0) {
            tracing::warn!(err = %ErrorChain(&err), "Could not remove the file of a command");
        }
    }
}

impl ContainerRuntime {
    /// Starts a command; gives the call, and its terminal if it has one.
    async fn start_exec(
        &self,
        id: &str,
        command: Vec<String>,
        terminal: Option<TerminalSize>,
        streams: [Option<OwnedFd>; 3],
    ) -> Result<(Call, Option<OwnedFd>), CriError> {
        let container = self.container(id)?;
        if command.is_empty() {
            return Err(CriError::invalid_argument("no command specified"));
        }
        if container.phase() != api::ContainerState::ContainerRunning {
            let text = format!("container is in {} state", container.phase().as_str_name());
            return Err(CriError::failed_precondition(text));
        }
        let live = self.live_container(&container.record);
        let file = live.join(format!("exec-{}.json", self.inner.rng.uuid()));
        let is_terminal = terminal.is_some();
        let file = self.blocking(move || -> Result<ProcessFile, corten_base::fs::FsError> {
            let file = ProcessFile(file);
            let process: Option<serde_json::Value> = crate::format::read(&live.join("process.json"))?;
            let mut process = process.unwrap_or_default();
            process["args"] = serde_json::json!(command);
            process["terminal"] = serde_json::json!(is_terminal);
            if let Some(env) = process["env"].as_array_mut()
                && is_terminal
                && !env.iter().any(|pair| pair.as_str().is_some_and(|pair| pair.starts_with("TERM=")))
            {
                env.push("TERM=xterm".into());
            }
            protocol::write_json(&file.0, &process)?;
            Ok(file)
        });
        let file = file.await?;
        let request = Request::Exec {
            id: container.record.id.clone(),
            process: file.0.clone(),
            streams: [streams[0].is_some(), streams[1].is_some(), streams[2].is_some()],
            terminal: terminal.map(|size| (size.height, size.width)),
        };
        let descriptors: Vec<BorrowedFd<'_>> = streams.iter().flatten().map(|fd| fd.as_fd()).collect();
        let started = self.shim(&container.record.sandbox).begin(request, &descriptors, ANSWER_PATIENCE).await;
        drop(file);
        match started? {
            (call, Answer::Started { .. }, mut descriptors) => Ok((call, descriptors.pop())),
            (_, answer, _) => Err(unexpected(&answer)),
        }
    }

    /// `ExecSync`. Errors: `DeadlineExceeded`, after the command was killed.
    pub(super) async fn exec_and_collect(
        &self,
        id: &str,
        command: Vec<String>,
        limit: Option<Duration>,
    ) -> Result<api::ExecSyncResponse, CriError> {
        let (out, far_out) = output().map_err(|error| unknown(&error))?;
        let (err, far_err) = output().map_err(|error| unknown(&error))?;
        let (call, _) = self.start_exec(id, command, None, [None, Some(far_out), Some(far_err)]).await?;
        let finished = async {
            let (code, stdout, stderr) = tokio::join!(exit_code(&call), collect(&out), collect(&err));
            Ok(api::ExecSyncResponse {
                stdout: stdout.map_err(|error| unknown(&error))?.into(),
                stderr: stderr.map_err(|error| unknown(&error))?.into(),
                exit_code: code?,
            })
        };
        let Some(limit) = limit else { return finished.await };
        match corten_base::timeout(&*self.inner.clock, limit, finished).await {
            Ok(answer) => answer,
            Err(_) => {
                call.signal(SIGKILL).await?;
                let text =
                    format!("failed to exec in container: timeout {limit:?} exceeded: context deadline exceeded");
                Err(CriError::new(Code::DeadlineExceeded, text))
            }
        }
    }
}

/// Follows the client's sizes for as long as the terminal lives.
async fn resize(terminal: &End, sizes: &mut mpsc::Receiver<TerminalSize>) -> io::Result<()> {
    while let Some(size) = sizes.recv().await {
        let size = Winsize { ws_row: size.height, ws_col: size.width, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(terminal, size)?;
    }
    std::future::pending().await
}

/// Sockets for the loopback addresses of the calling thread's network namespace, with the addresses they are for.
fn loopbacks(port: u16) -> io::Result<Vec<(TcpSocket, SocketAddr)>> {
    let make = |family, ip: IpAddr| -> io::Result<(TcpSocket, SocketAddr)> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        Ok((TcpSocket::from_std_stream(socket.into()), SocketAddr::new(ip, port)))
    };
    let mut sockets = vec![make(AddressFamily::INET, Ipv4Addr::LOCALHOST.into())?];
    // A kernel may have no IPv6.
    sockets.extend(make(AddressFamily::INET6, Ipv6Addr::LOCALHOST.into()).ok());
    Ok(sockets)
}

/// The first connection that succeeds; the first's error if none does.
async fn connect(sockets: Vec<(TcpSocket, SocketAddr)>) -> io::Result<TcpStream> {
    let mut failure = None;
    for (socket, address) in sockets {
        match socket.connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => failure = failure.or(Some(error)),
        }
    }
    Err(failure.expect("there is a socket for IPv4"))
}

#[async_trait]
impl Streaming for ContainerRuntime {
    async fn stream_exec(&self, request: api::ExecRequest, io: StreamIo) -> Result<i32, CriError> {
        let StreamIo { stdin, stdout, stderr, resize: mut sizes } = io;
        let failed = |error: io::Error| unknown(&error);
        if request.tty {
            let size = sizes.try_recv().unwrap_or(TerminalSize { width: 80, height: 24 });
            let streams = [None, None, None];
            let (call, terminal) = self.start_exec(&request.container_id, request.cmd, Some(size), streams).await?;
            let terminal = terminal.ok_or_else(|| CriError::unknown("the shim gave no terminal"))?;
            let input = end(terminal.try_clone().map_err(failed)?).map_err(failed)?;
            let terminal = end(terminal).map_err(failed)?;
            let run = async {
                let (code, _) = tokio::join!(exit_code(&call), copy_out(Some(&terminal), stdout));
                code
            };
            let talk = async {
                // The end of the client's input hangs nothing up.
                tokio::join!(copy_in(stdin, Some(input)), async { resize(&terminal, &mut sizes).await.ok() });
                std::future::pending::<()>().await;
            };
            return tokio::select! {
                biased;
                code = run => code,
                () = talk => unreachable!("it is pending for ever"),
            };
        }
        let (near_in, far_in) = match stdin {
            Some(_) => input().map(|(near, far)| (Some(near), Some(far))).map_err(failed)?,
            None => (None, None),
        };
        let pipe = |wanted: bool| -> Result<(Option<End>, Option<OwnedFd>), CriError> {
            if !wanted {
                return Ok((None, None));
            }
            let (near, far) = output().map_err(failed)?;
            Ok((Some(near), Some(far)))
        };
        let ((out, far_out), (err, far_err)) = (pipe(stdout.is_some())?, pipe(stderr.is_some())?);
        let streams = [far_in, far_out, far_err];
        let (call, _) = self.start_exec(&request.container_id, request.cmd, None, streams).await?;
        let run = async {
            let (code, ..) =
                tokio::join!(exit_code(&call), copy_out(out.as_ref(), stdout), copy_out(err.as_ref(), stderr));
            code
        };
        let talk = async {
            copy_in(stdin, near_in).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            code = run => code,
            () = talk => unreachable!("it is pending for ever"),
        }
    }

    async fn stream_attach(&self, request: api::AttachRequest, io: StreamIo) -> Result<(), CriError> {
        let StreamIo { stdin, stdout, stderr, resize: mut sizes } = io;
        let container = self.container(&request.container_id)?;
        let id = container.record.id.clone();
        let shim = self.shim(&container.record.sandbox);
        let failed = |error: io::Error| unknown(&error);
        let (mut near_in, mut far) = (None, [None, None, None]);
        if stdin.is_some() {
            let (near, other) = input().map_err(failed)?;
            (near_in, far[0]) = (Some(near), Some(other));
        }
        let mut outputs = [None, None];
        for (index, wanted) in [stdout.is_some(), stderr.is_some()].into_iter().enumerate() {
            if wanted {
                let (near, other) = output().map_err(failed)?;
                (outputs[index], far[index + 1]) = (Some(near), Some(other));
            }
        }
        let descriptors: Vec<BorrowedFd<'_>> = far.iter().flatten().map(|fd| fd.as_fd()).collect();
        let streams = [far[0].is_some(), far[1].is_some(), far[2].is_some()];
        let attach = Request::Attach { id: id.clone(), streams };
        let (call, ..) = shim.begin(attach, &descriptors, ANSWER_PATIENCE).await?;
        drop(far);
        let [out, err] = outputs;
        // Ends when the shim has hung up and all that it sent was read, or when a client takes no more.
        let run = async {
            let closed = async {
                call.closed().await;
                Ok(())
            };
            let copies = (while_taken(copy_out(out.as_ref(), stdout)), while_taken(copy_out(err.as_ref(), stderr)));
            tokio::try_join!(copies.0, copies.1, closed).ok();
        };
        let talk = async {
            let resizes = async {
                while let Some(size) = sizes.recv().await {
                    let request = Request::Resize { id: id.clone(), rows: size.height, columns: size.width };
                    if shim.ask(request).await.is_err() {
                        return;
                    }
                }
            };
            tokio::join!(copy_in(stdin, near_in), resizes);
            std::future::pending::<()>().await;
        };
        tokio::select! {
            biased;
            () = run => Ok(()),
            () = talk => unreachable!("it is pending for ever"),
        }
    }

    async fn stream_port_forward(
        &self,
        pod_sandbox_id: &str,
        port: u16,
        connection: Box<dyn Duplex>,
    ) -> Result<(), CriError> {
        let sandbox = self.sandbox(pod_sandbox_id)?;
        if !sandbox.ready {
            return Err(CriError::failed_precondition(format!("sandbox {:?} is not ready", sandbox.id)));
        }
        let netns = sandboxes::has_own_network(&sandbox.config.0).then(|| self.live(&sandbox.id).join("net"));
        let sockets = self
            .blocking(move || -> io::Result<_> {
                let make = || loopbacks(port);
                match netns {
                    Some(path) => {
                        let netns = Netns::open(&path).map_err(io::Error::other)?;
                        netns.run(make).map_err(io::Error::other)?
                    }
                    None => make(),
                }
            })
            .await?;
        let connected = corten_base::timeout(&*self.inner.clock, CONNECT_PATIENCE, connect(sockets)).await;
        let near = match connected {
            Ok(connected) => connected.map_err(|error| unknown(&error))?,
            Err(elapsed) => {
                return Err(CriError::new(Code::DeadlineExceeded, format!("connect to port {port}: {elapsed}")));
            }
        };
        forward(connection, near).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A connection that its pod had ended went on until the client ended its half, which some cannot.
    #[tokio::test]
    async fn a_forwarded_connection_ends_with_the_pods_side() {
        let (client, near) = tokio::io::duplex(64);
        let (pod, far) = tokio::io::duplex(64);
        let (mut client_read, _client_write) = tokio::io::split(client);
        let talk = async {
            let (mut read, mut write) = tokio::io::split(far);
            write.write_all(b"bye").await.unwrap();
            write.shutdown().await.unwrap();
            let mut rest = Vec::new();
            read.read_to_end(&mut rest).await.unwrap();
            let mut got = String::new();
            client_read.read_to_string(&mut got).await.unwrap();
            got
        };
        let ((), got) = tokio::join!(forward(Box::new(near), pod), talk);
        assert_eq!(got, "bye");
    }
}
