//! Which volumes there are: one line per plugin; a volume is of one kind only.

use corten_api::core::v1::Volume;

use super::{
    config_map::ConfigMapPlugin, downward_api::DownwardApiPlugin, empty_dir::EmptyDirPlugin, host_path::HostPathPlugin,
    persistent_volume_claim::ClaimPlugin, plugin::VolumePlugin, projected::ProjectedPlugin, secret::SecretPlugin,
};

/// All plugins.
pub(super) static PLUGINS: &[&dyn VolumePlugin] = &[
    &ClaimPlugin,
    &ConfigMapPlugin,
    &DownwardApiPlugin,
    &EmptyDirPlugin,
    &HostPathPlugin,
    &ProjectedPlugin,
    &SecretPlugin,
];

/// The plugin that a volume is for.
pub(super) fn plugin_of(volume: &Volume) -> Option<&'static dyn VolumePlugin> {
    PLUGINS.iter().copied().find(|plugin| plugin.supports(volume))
}
