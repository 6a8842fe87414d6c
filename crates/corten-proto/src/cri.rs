//! The Container Runtime Interface: the kubelet asks, a container runtime answers.
//!
//! Upstream: k8s.io/cri-api, pkg/apis/runtime/v1 (v1.35).

use std::fmt;

// Only generated code names it.
use tonic_prost as _;

/// Version 1 of the interface, gRPC package `runtime.v1`.
pub mod v1 {
    #![allow(
        missing_docs,
        deprecated,
        unreachable_pub,
        clippy::all,
        clippy::wildcard_imports,
        clippy::allow_attributes_without_reason,
        reason = "generated from proto/cri_v1.proto"
    )]
    tonic::include_proto!("runtime.v1");
}

impl fmt::Debug for v1::AuthConfig {
    /// Says where and as whom, never with which secret: requests end up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthConfig")
            .field("username", &self.username)
            .field("server_address", &self.server_address)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
