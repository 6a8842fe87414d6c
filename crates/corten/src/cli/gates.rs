//! Settings of what the API server serves, checked as they are read and kept as they were said.

use corten_component_base::feature_gates::{BadFeatureGates, FeatureGates};
use corten_controlplane::{BadRuntimeConfig, RuntimeConfig};

/// `--feature-gates`.
pub(crate) fn feature_gates(text: &str) -> Result<String, BadFeatureGates> {
    FeatureGates::parse(text).map(|_| text.to_owned())
}

/// `--runtime-config`.
pub(crate) fn runtime_config(text: &str) -> Result<String, BadRuntimeConfig> {
    RuntimeConfig::parse(text).map(|_| text.to_owned())
}
