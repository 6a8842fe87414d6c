//! Binds pods through the API's `binding` subresource.
//!
//! Upstream: pkg/scheduler/framework/plugins/defaultbinder (v1.35).

use crate::{
    cache::PodInfo,
    framework::{BindPlugin, Extensions, PluginDescriptor, plugin::Binding},
};

/// The plugin.
pub(super) static PLUGIN: PluginDescriptor = PluginDescriptor {
    name: "DefaultBinder",
    default_weight: 0,
    build: |_args| Ok(Extensions::new().bind(DefaultBinder)),
};

struct DefaultBinder;

impl BindPlugin for DefaultBinder {
    fn bind(&self, pod: &PodInfo, node: &str) -> Option<Binding> {
        let PodInfo { namespace, name, uid, .. } = pod;
        Some(Binding { namespace: namespace.clone(), name: name.clone(), uid: uid.clone(), node: node.into() })
    }
}
