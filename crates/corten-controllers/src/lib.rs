//! The controllers of kube-controller-manager, one folder each.
//!
//! Flow: `catalog` -> `Controllers::build` makes those that `--controllers` selects, each under its own identity ->
//! `run` starts the informers they asked for, then them. `mod.rs` of a controller watches and acts, `plan.rs` decides.
//! Upstream: cmd/kube-controller-manager and pkg/controller (v1.35).
#![forbid(unsafe_code)]

pub mod catalog;
pub mod conditions;
pub mod config;
pub mod deployment;
pub mod garbage_collector;
pub mod manager;
pub mod pod_control;
pub mod pod_garbage_collector;
pub mod pods;
pub mod replicaset;
pub mod replicationcontroller;

pub mod certificate_approving;
pub mod certificate_cleaner;
pub mod certificate_signing;
pub mod clusterrole_aggregation;
pub mod endpoints;
pub mod endpointslice;
pub mod endpointslice_mirroring;
pub mod namespace;
pub mod node_ipam;
pub mod node_lifecycle;
pub mod persistentvolume_binder;
pub mod persistentvolume_protection;
pub mod persistentvolumeclaim_protection;
pub mod root_ca_publisher;
pub mod service_cidrs;
pub mod serviceaccount;
pub mod serviceaccount_token;
pub mod taint_eviction;
pub mod ttl;

mod certificate_requests;
mod managed_slices;
mod objects;
mod own_writes;
mod protection;
mod queue_controller;
mod selectors;
mod service_pods;

pub use config::Config;
pub use manager::{Controllers, Parts};
