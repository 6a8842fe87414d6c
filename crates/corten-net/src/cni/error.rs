//! The error object of the specification.

use std::error::Error;

use corten_base::ErrorChain;
use serde::{Deserialize, Serialize};

/// Error codes of the specification; from 100 on they belong to the plugin.
pub mod code {
    /// The version of the configuration is not supported.
    pub const INCOMPATIBLE_VERSION: u32 = 1;
    /// A field of the configuration is not supported.
    pub const UNSUPPORTED_FIELD: u32 = 2;
    /// The container is unknown or does not exist.
    pub const UNKNOWN_CONTAINER: u32 = 3;
    /// A `CNI_*` variable is missing or wrong.
    pub const INVALID_ENVIRONMENT: u32 = 4;
    /// Input or output failed.
    pub const IO: u32 = 5;
    /// Data could not be decoded.
    pub const DECODE: u32 = 6;
    /// The network configuration is wrong.
    pub const INVALID_CONFIG: u32 = 7;
    /// Something is temporarily in the way.
    pub const TRY_AGAIN_LATER: u32 = 11;
    /// The plugin cannot serve additions at the moment.
    pub const NOT_AVAILABLE: u32 = 50;
    /// Ours: the kernel refused.
    pub const KERNEL: u32 = 100;
    /// Ours: no address is free.
    pub const EXHAUSTED: u32 = 101;
    /// Ours: a host port belongs to another pod.
    pub const PORT_TAKEN: u32 = 102;
    /// Ours: what is there is not what was asked for.
    pub const MISMATCH: u32 = 103;
}

/// What a plugin answers when it fails.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "camelCase")]
#[error("{msg}{}{details} (code {code})", if details.is_empty() { "" } else { ": " })]
pub struct CniError {
    /// Version of the specification.
    #[serde(default)]
    pub cni_version: String,
    /// See [`code`].
    #[serde(default)]
    pub code: u32,
    /// Short text.
    #[serde(default)]
    pub msg: String,
    /// Long text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub details: String,
}

impl CniError {
    /// An error without details.
    #[must_use]
    pub fn new(code: u32, msg: impl Into<String>) -> Self {
        Self { cni_version: String::new(), code, msg: msg.into(), details: String::new() }
    }

    /// With the causes of the failure.
    #[must_use]
    pub fn details(mut self, cause: &(dyn Error + 'static)) -> Self {
        self.details = ErrorChain(cause).to_string();
        self
    }

    /// For `map_err`: the kernel refused while doing `what`.
    pub(super) fn kernel<E: Error + 'static>(what: impl Into<String>) -> impl FnOnce(E) -> Self {
        move |e| Self::new(code::KERNEL, what).details(&e)
    }
}
