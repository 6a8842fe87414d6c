//! The kubelet: what runs the pods of one node.
//!
//! Flow: the API's pods of this node -> `pod_workers` (one per pod) -> the traits of `interfaces` and CRI -> PLEG ->
//! `status` -> API. Beside it: `prober`, `node` (registration, status, lease) and `server` (exec, logs, port-forward).
//! Invariant: the kubelet knows no particular runtime; it sees the traits of `corten-cri`.
//! Design: docs/design/kubelet.md. Upstream: pkg/kubelet (v1.35).
#![forbid(unsafe_code)]

pub mod config;
pub mod interfaces;

pub mod agent;
pub mod allocation;
pub mod eviction;
pub mod kubelet;
pub mod log_rotation;
pub mod pleg;
pub mod pod_workers;
pub mod sources;
pub mod status;

mod pods_view;

pub mod api_objects;
pub mod cgroups;
pub mod containers;
pub mod dns_config;
pub mod hooks;
pub mod images;
pub mod node;
pub mod pod_ref;
pub mod prober;
pub mod volumes;

pub mod server;

pub use agent::{Agent, AgentError};
pub use config::Config;
pub use kubelet::{Deps, Kubelet};
