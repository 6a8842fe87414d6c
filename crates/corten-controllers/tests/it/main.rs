//! The controllers on a control plane in memory: one binary, so that they share the harness.

mod harness;

mod certificates;
mod deployment;
mod garbage_collector;
mod namespaces;
mod nodes;
mod pod_garbage_collector;
mod replicaset;
mod service_cidrs;
mod services;
mod volumes;
