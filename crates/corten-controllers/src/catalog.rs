//! Every controller, sorted by name: a folder, a `mod` line and a line in the list.
//!
//! Flags, roles, clients and help are derived from the descriptors.

use corten_controller::ControllerDescriptor;

use crate::{clusterrole_aggregation, config::Config, endpoints, endpointslice, root_ca_publisher, serviceaccount};

/// All controllers of the controller manager.
pub static CONTROLLERS: &[&ControllerDescriptor<Config>] = &[
    &clusterrole_aggregation::CONTROLLER,
    &endpoints::CONTROLLER,
    &endpointslice::CONTROLLER,
    &root_ca_publisher::CONTROLLER,
    &serviceaccount::CONTROLLER,
];
