//! The plugins that exist, in the order of the default profile: the first filter that refuses a node gives the reason.
//!
//! Source: pkg/scheduler/apis/config/v1/default_plugins.go (v1.35), without NodeVolumeLimits and VolumeZone.

use super::{
    default_binder, default_preemption, dynamic_resources, image_locality, inter_pod_affinity, node_affinity,
    node_name, node_ports, node_resources_balanced_allocation, node_resources_fit, node_unschedulable,
    pod_topology_spread, priority_sort, scheduling_gates, taint_toleration, volume_binding, volume_restrictions,
};
use crate::framework::PluginDescriptor;

/// All plugins.
// order matters: the first filter that refuses a node gives the reason that users read.
pub static PLUGINS: &[&PluginDescriptor] = &[
    &scheduling_gates::PLUGIN,
    &priority_sort::PLUGIN,
    &node_unschedulable::PLUGIN,
    &node_name::PLUGIN,
    &taint_toleration::PLUGIN,
    &node_affinity::PLUGIN,
    &node_ports::PLUGIN,
    &node_resources_fit::PLUGIN,
    &volume_restrictions::PLUGIN,
    &volume_binding::PLUGIN,
    &pod_topology_spread::PLUGIN,
    &inter_pod_affinity::PLUGIN,
    &dynamic_resources::PLUGIN,
    &default_preemption::PLUGIN,
    &node_resources_balanced_allocation::PLUGIN,
    &image_locality::PLUGIN,
    &default_binder::PLUGIN,
];
