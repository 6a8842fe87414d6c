//! The seam between the kubelet and whatever runs containers: CRI as Rust traits, with gRPC on either side of them.
//!
//! Flow: kubelet -> `RuntimeService`, `ImageService`, `Streaming` -> the built-in runtime in the same process, or
//! `client` -> unix socket -> containerd and others. `server` offers any implementation on a socket.
//! Invariant: a kubelet sees only these traits; every implementation passes `conformance`.
//! Upstream: k8s.io/cri-api, pkg/apis/services.go and pkg/apis/runtime/v1 (v1.35).
#![forbid(unsafe_code)]

pub mod error;
pub mod images;
pub mod runtime;
pub mod streaming;

mod calls;
pub mod client;
mod deadlines;
pub mod server;

pub mod disk_usage;
pub mod log_format;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "fake")]
pub mod fake;

use std::sync::Arc;

/// The messages of the interface.
pub use corten_proto::cri::v1 as api;

pub use error::{Code, CriError};
pub use images::ImageService;
pub use runtime::{EventStream, RuntimeService};
pub use streaming::{StreamIo, Streaming, TerminalSize};

/// The longest message that is read: the kubelet's limit upstream.
pub const MESSAGE_BYTES_MAX: usize = 16 << 20;

/// Where `ExecSync` cuts each of stdout and stderr; the command goes on, the rest is dropped.
pub const EXEC_SYNC_OUTPUT_BYTES_MAX: usize = 16 << 20;

/// The version of the interface itself, as `Version` answers it.
pub const API_VERSION: &str = "v1";

/// What a kubelet is given: one runtime behind all its interfaces.
#[derive(Clone)]
pub struct Cri {
    /// Pods and containers.
    pub runtime: Arc<dyn RuntimeService>,
    /// Images.
    pub images: Arc<dyn ImageService>,
    /// How to reach the streams of exec, attach and port-forward.
    pub streaming: StreamingAccess,
}

/// How a caller gets at the byte streams of a container.
#[derive(Clone)]
pub enum StreamingAccess {
    /// The runtime lives in this process and takes the streams as they are: no second HTTP hop.
    Direct(Arc<dyn Streaming>),
    /// `RuntimeService::{exec, attach, port_forward}` give a URL, to which the client's connection is proxied.
    Url,
}
