//! Claims of devices are not served yet: no pod has any, so that none can be given back to make room.
//!
//! Upstream: pkg/scheduler/framework/plugins/dynamicresources PostFilter (v1.35), which says so for every pod.

use crate::framework::{Extensions, NoFit, Nomination, PluginDescriptor, PostFilterPlugin, Status};

/// The plugin.
pub(super) static PLUGIN: PluginDescriptor = PluginDescriptor {
    name: "DynamicResources",
    default_weight: 0,
    build: |_args| Ok(Extensions::new().post_filter(DynamicResources)),
};

struct DynamicResources;

impl PostFilterPlugin for DynamicResources {
    fn post_filter(&self, _no_fit: &NoFit<'_>) -> (Status, Nomination) {
        (Status::unschedulable("no new claims to deallocate"), Nomination::Keep)
    }
}
