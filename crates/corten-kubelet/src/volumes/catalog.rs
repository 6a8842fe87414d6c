//! Which volumes there are: one line per plugin, asked in this order.

use corten_api::core::v1::Volume;

use super::{
    config_map::ConfigMapPlugin, downward_api::DownwardApiPlugin, empty_dir::EmptyDirPlugin, host_path::HostPathPlugin,
    persistent_volume_claim::ClaimPlugin, plugin::VolumePlugin, projected::ProjectedPlugin, secret::SecretPlugin,
};

/// All plugins.
pub(super) static PLUGINS: &[&dyn VolumePlugin] = &[
    &EmptyDirPlugin,
    &HostPathPlugin,
    &ConfigMapPlugin,
    &SecretPlugin,
    &DownwardApiPlugin,
    &ProjectedPlugin,
    &ClaimPlugin,
];

/// The plugin that a volume is for.
pub(super) fn plugin_of(volume: &Volume) -> Option<&'static dyn VolumePlugin> {
    PLUGINS.iter().copied().find(|plugin| plugin.supports(volume))
}
