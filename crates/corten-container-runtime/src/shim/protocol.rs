//! What runtime and shim say to each other, version 1.
//!
//! One connection per request over a `SOCK_SEQPACKET` socket; a packet is one JSON document, with descriptors beside it.
//! A shim may be older than the runtime that talks to it: fields are only added, with defaults, and a request that a shim
//! does not know is answered with an error.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::{Path, PathBuf},
};

use corten_base::fs::{self, FsError};
use corten_oci::{Access, Propagation, VolumeMount};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// The version of requests, answers and `state.json`.
pub const VERSION: u32 = 1;
/// A packet has to fit the socket's buffer (212,992 bytes by default); what is larger travels as a file.
const PACKET_BYTES_MAX: usize = 128 << 10;
/// stdin, stdout, stderr.
const DESCRIPTORS_MAX: usize = 3;

/// Version and request.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Envelope {
    pub(crate) version: u32,
    pub(crate) request: Request,
}

/// What the runtime asks.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Request {
    /// Makes a container of a bundle: answered by `Created`.
    Create(CreateRequest),
    /// Starts it: `Done` when its program runs.
    Start { id: String },
    /// Sends a signal to its first process, or all.
    Kill { id: String, signal: i32, all: bool },
    /// Removes it, killing what runs.
    Delete { id: String },
    /// Runs a command: `Started` (with the terminal's descriptor, if any), then `Exited`. The descriptors are those of
    /// `streams` that are set, in their order.
    Exec { id: String, process: PathBuf, streams: [bool; 3], terminal: Option<(u16, u16)> },
    /// Sends a signal to the command that was started over this connection; not answered.
    Signal { signal: i32 },
    /// Changes the size of its terminal.
    Resize { id: String, rows: u16, columns: u16 },
    /// Joins its streams: `Done`, and the connection's end is the end of either side.
    Attach { id: String, streams: [bool; 3] },
    /// Opens its log anew.
    ReopenLog { id: String },
    /// `Done`, then `Ended` for each container that ends from now on.
    Events,
    /// The process that holds the pod's PID namespace; made when it is first asked for.
    PidNamespace,
    /// Ends the shim, deleting what is left.
    Shutdown,
}

/// A container to make.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CreateRequest {
    pub(crate) id: String,
    /// `config.json` and the root file system.
    pub(crate) bundle: PathBuf,
    /// Where `state.json` goes.
    pub(crate) directory: PathBuf,
    pub(crate) log: Option<PathBuf>,
    pub(crate) stdin: bool,
    pub(crate) stdin_once: bool,
    pub(crate) terminal: bool,
    /// A file with the volumes: `Vec<Volume>`.
    pub(crate) volumes: PathBuf,
}

/// What the shim answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub(crate) enum Answer {
    Done,
    Created { pid: i32 },
    Started { pid: i32 },
    Exited { code: i32 },
    Ended { id: String },
    Pid { pid: i32 },
    Failed { kind: FailureKind, message: String },
}

/// What kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum FailureKind {
    NotFound,
    Precondition,
    Invalid,
    Other,
}

/// `VolumeMount` as it travels.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Volume {
    pub(crate) source: PathBuf,
    pub(crate) target: PathBuf,
    pub(crate) access: VolumeAccess,
    pub(crate) propagation: VolumePropagation,
    #[serde(default)]
    pub(crate) no_exec: bool,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum VolumeAccess {
    ReadWrite,
    ReadOnly,
    RecursiveReadOnly,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum VolumePropagation {
    Private,
    HostToContainer,
    Bidirectional,
}

impl From<Volume> for VolumeMount {
    fn from(volume: Volume) -> Self {
        Self {
            source: volume.source,
            target: volume.target,
            access: match volume.access {
                VolumeAccess::ReadWrite => Access::ReadWrite,
                VolumeAccess::ReadOnly => Access::ReadOnly,
                VolumeAccess::RecursiveReadOnly => Access::RecursiveReadOnly,
            },
            propagation: match volume.propagation {
                VolumePropagation::Private => Propagation::Private,
                VolumePropagation::HostToContainer => Propagation::HostToContainer,
                VolumePropagation::Bidirectional => Propagation::Bidirectional,
            },
            no_exec: volume.no_exec,
            ..Self::default()
        }
    }
}

/// `state.json`: what the shim knows about a container, for a runtime that was not there when it happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ContainerState {
    pub(crate) version: u32,
    pub(crate) pid: i32,
    /// Nanoseconds since 1970.
    pub(crate) started_at: Option<i64>,
    pub(crate) exit: Option<Exit>,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Exit {
    pub(crate) code: i32,
    /// Nanoseconds since 1970.
    pub(crate) finished_at: i64,
    pub(crate) oom_killed: bool,
    /// Why its program did not start.
    pub(crate) start_error: Option<String>,
}

impl ContainerState {
    pub(crate) fn path(directory: &Path) -> PathBuf {
        directory.join("state.json")
    }

    /// `None` if there is no such file.
    pub(crate) fn read(directory: &Path) -> Result<Option<Self>, FsError> {
        crate::format::read_version(&Self::path(directory), VERSION)
    }
}

/// Sends one packet. Errors: `InvalidInput` for one that is too long.
pub(crate) fn send(socket: impl AsFd, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let text = serde_json::to_vec(message)?;
    if text.len() > PACKET_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the message is too long"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() {
        let fits = control.push(SendAncillaryMessage::ScmRights(descriptors));
        assert!(fits, "there are at most three streams");
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(&text)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives one packet. Errors: `UnexpectedEof` when the other side has gone.
pub(crate) fn receive<T: DeserializeOwned>(socket: impl AsFd) -> io::Result<(T, Vec<OwnedFd>)> {
    let mut text = vec![0; PACKET_BYTES_MAX];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::CMSG_CLOEXEC;
    let received = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut text)], &mut control, flags)?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
    }
    Ok((serde_json::from_slice(&text[..received.bytes])?, descriptors))
}

/// Takes the descriptors of a packet apart, as `streams` says which are there.
pub(crate) fn streams(present: [bool; 3], descriptors: Vec<OwnedFd>) -> [Option<OwnedFd>; 3] {
    let mut descriptors = descriptors.into_iter();
    present.map(|present| if present { descriptors.next() } else { None })
}

/// Writes a file that other processes read, as a whole.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<(), FsError> {
    let text = serde_json::to_vec(value).map_err(|error| FsError {
        operation: "encode",
        path: path.to_owned(),
        source: error.into(),
    })?;
    fs::write_atomic(path, &text, 0o600)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    #[test]
    fn a_request_arrives_with_its_descriptors() {
        let (near, far) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let (read, write) = rustix::pipe::pipe().unwrap();
        let request = Request::Exec {
            id: "c".to_owned(),
            process: "/p".into(),
            streams: [false, true, false],
            terminal: Some((24, 80)),
        };
        send(&near, &Envelope { version: VERSION, request }, &[write.as_fd()]).unwrap();
        drop(write);
        let (envelope, descriptors) = receive::<Envelope>(&far).unwrap();
        let Request::Exec { streams: present, terminal, .. } = envelope.request else { panic!("{envelope:?}") };
        assert_eq!((terminal, descriptors.len()), (Some((24, 80)), 1));
        let [_, stdout, _] = streams(present, descriptors);
        rustix::io::write(stdout.unwrap(), b"hi").unwrap();
        let mut text = String::new();
        std::fs::File::from(read).read_to_string(&mut text).unwrap();
        assert_eq!(text, "hi");
        drop(near);
        assert_eq!(receive::<Envelope>(&far).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
