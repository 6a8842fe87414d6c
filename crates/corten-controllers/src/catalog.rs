//! Every controller, sorted by name: a folder, a `mod` line and a line in the list.
//!
//! Flags, roles, clients and help are derived from the descriptors.

use corten_controller::ControllerDescriptor;

use crate::{config::Config, deployment, garbage_collector, pod_garbage_collector, replicaset, replicationcontroller};

/// All controllers of the controller manager.
pub static CONTROLLERS: &[&ControllerDescriptor<Config>] = &[
    &deployment::CONTROLLER,
    &garbage_collector::CONTROLLER,
    &pod_garbage_collector::CONTROLLER,
    &replicaset::CONTROLLER,
    &replicationcontroller::CONTROLLER,
];
