//! The built-in container runtime: CRI's traits on top of `corten-oci`, `corten-net` and overlayfs.
//!
//! Flow: kubelet -> `ContainerRuntime` (this process) -> one `shim` process per pod -> `corten-oci` -> the kernel.
//! Images come from archives (`images::import`) into content-addressed blobs and overlay snapshots.
//! Invariants: everything lies below the directories of [`Config`], so several clusters live on one machine; a shim survives
//! the death of this process, which takes up its pods again at the next start.
#![forbid(unsafe_code)]

mod config;
mod format;
pub mod images;
mod namespaces;
mod network;
mod runtime;
pub mod shim;
mod spec;

pub use config::Config;
use corten_base::blocking;
pub use runtime::ContainerRuntime;
