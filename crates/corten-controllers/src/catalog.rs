//! Every controller, sorted by name: a folder, a `mod` line and a line in the list.
//!
//! Flags, roles, clients and help are derived from the descriptors.

use corten_controller::ControllerDescriptor;

use crate::config::Config;

/// All controllers of the controller manager.
pub static CONTROLLERS: &[&ControllerDescriptor<Config>] = &[
    &crate::certificate_approving::CONTROLLER,
    &crate::certificate_cleaner::CONTROLLER,
    &crate::certificate_signing::CONTROLLER,
    &crate::clusterrole_aggregation::CONTROLLER,
    &crate::deployment::CONTROLLER,
    &crate::endpoints::CONTROLLER,
    &crate::endpointslice::CONTROLLER,
    &crate::endpointslice_mirroring::CONTROLLER,
    &crate::garbage_collector::CONTROLLER,
    &crate::namespace::CONTROLLER,
    &crate::node_ipam::CONTROLLER,
    &crate::node_lifecycle::CONTROLLER,
    &crate::persistentvolume_binder::CONTROLLER,
    &crate::persistentvolume_protection::CONTROLLER,
    &crate::persistentvolumeclaim_protection::CONTROLLER,
    &crate::pod_garbage_collector::CONTROLLER,
    &crate::replicaset::CONTROLLER,
    &crate::replicationcontroller::CONTROLLER,
    &crate::root_ca_publisher::CONTROLLER,
    &crate::service_cidrs::CONTROLLER,
    &crate::serviceaccount::CONTROLLER,
    &crate::serviceaccount_token::CONTROLLER,
    &crate::taint_eviction::CONTROLLER,
    &crate::ttl::CONTROLLER,
];
