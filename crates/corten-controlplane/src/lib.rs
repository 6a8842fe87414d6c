//! The built-in API surface: which resources the server has, and everything about them that is not pure.
//!
//! Flow: `ControlPlane::build` makes a store per resource, the chain's authenticators and authorizers, and the routes;
//! `run` follows the store, fills in what every cluster has, and serves.
#![forbid(unsafe_code)]

mod access;
pub mod admission;
pub mod allocators;
pub mod authentication;
pub mod authorization;
pub mod bootstrap;
pub mod caches;
pub mod compactor;
pub mod control_plane;
mod health;
mod metrics;
mod rest;
mod runtime_config;
mod version;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use access::ServiceAccounts;
pub use allocators::ServiceNetwork;
pub use control_plane::{BuildError, Certificates, Config, ControlPlane};
pub use rest::component_status::Components;
pub use rest::kubelets::{BadKubeletClient, KubeletClient};
pub use runtime_config::{BadRuntimeConfig, RuntimeConfig};
