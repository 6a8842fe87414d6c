//! Group flowcontrol.apiserver.k8s.io: who gets which share of the API server's attention.
//!
//! Upstream: pkg/apis/flowcontrol, pkg/registry/flowcontrol (v1.35).

pub mod bootstrap;
pub mod flow_schema;
pub mod priority_level_configuration;

mod strategy;

/// The group.
const GROUP: &str = "flowcontrol.apiserver.k8s.io";
