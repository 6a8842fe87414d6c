//! From pods to CRI configurations: names, labels, environment, mounts, security, resources.
//!
//! Flow: worker -> `Specs` -> pure parts (one per field of the configuration) -> `PodSandboxConfig`, `ContainerConfig`.
//! Invariant: the same pod gives the same configuration; what is read from outside (objects, services, the node's
//! resolver file) is read here and handed to the parts as values.
//! Upstream: pkg/kubelet/kuberuntime, pkg/kubelet/kubelet_pods.go (v1.35).

pub mod specs;

pub mod hash;
pub mod labels;
pub mod log_paths;
pub mod qos;

pub(crate) mod sandbox;
pub mod security;

mod env_file;
pub mod environment;
pub(crate) mod expansion;
pub mod field_ref;
pub mod resource_ref;
mod service_env;

mod etc_hosts;
mod hostname;
mod mounts;

pub mod resources;

pub use specs::{Specs, SpecsParts};
