//! The socket on which a running process takes commands from `corten status`, `down`, `image` and `backup`.
//!
//! Format, version 1: one connection per command; a line of JSON with the version and the request, then one line with the
//! answer. Only root can open the socket.

mod client;
mod server;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub(crate) use client::{Silent, ask};
pub(crate) use server::{ControlSocket, Handler};

use crate::components::Component;

/// The version that this program speaks.
const VERSION: u32 = 1;

/// The longest line: an answer with thousands of images is a tenth of it.
const LINE_BYTES_MAX: u64 = 4 << 20;

/// What goes over the socket.
#[derive(Debug, Serialize, Deserialize)]
struct Envelope {
    version: u32,
    request: Request,
}

/// A command.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Request {
    /// How are you?
    Status,
    /// End; pods run on.
    Stop,
    /// Import the images of these archives.
    ImportImages(Vec<PathBuf>),
    /// Which images are there?
    ListImages,
    /// Remove the image of this name or id.
    RemoveImage(String),
    /// Copy the store into this new file.
    Backup(PathBuf),
}

/// What comes back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Answer {
    /// To `Status`.
    Status(Box<Report>),
    /// To `ListImages`.
    Images(Vec<ImageLine>),
    /// It is done; what to tell the user, a line each.
    Done(Vec<String>),
    /// It could not be done.
    Failed(String),
}

/// How a process is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    /// Its process id.
    pub(crate) pid: u32,
    /// The version of corten.
    pub(crate) version: String,
    /// Where its data is.
    pub(crate) root: PathBuf,
    /// The step that the start is at; nothing when it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) starting: Option<String>,
    /// Whether it was told to end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) stopping: bool,
    /// The API's address on this machine.
    pub(crate) server: String,
    /// The API's address for pods and other machines.
    pub(crate) advertise: String,
    /// The node's name; empty if there is no node.
    pub(crate) node: String,
    /// `Ready`, or why not; empty if there is no node.
    pub(crate) node_state: String,
    /// The node's addresses, kinds and all.
    pub(crate) node_addresses: Vec<String>,
    /// The version of Kubernetes that the node reports.
    pub(crate) kubelet_version: String,
    /// How many files the process may have open; nothing: any number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) open_files_max: Option<u64>,
    /// The parts.
    pub(crate) components: Vec<Component>,
}

/// An image, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ImageLine {
    /// Its id.
    pub(crate) id: String,
    /// Its names.
    pub(crate) tags: Vec<String>,
    /// The bytes of its blobs.
    pub(crate) size_bytes: u64,
}

#[cfg(test)]
mod tests;
