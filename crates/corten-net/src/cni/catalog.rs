//! The built-in plugins.

use super::{Plugin, bridge::Bridge, host_local::HostLocal, loopback::Loopback, portmap::Portmap};

/// Type names, sorted, and plugins.
pub static PLUGINS: &[(&str, &dyn Plugin)] =
    &[("bridge", &Bridge), ("host-local", &HostLocal), ("loopback", &Loopback), ("portmap", &Portmap)];

/// The built-in plugin of this type.
#[must_use]
pub fn find(plugin_type: &str) -> Option<&'static dyn Plugin> {
    PLUGINS.iter().find(|(name, _)| *name == plugin_type).map(|(_, plugin)| *plugin)
}
