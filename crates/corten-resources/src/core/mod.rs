//! The core group.

pub mod config_map;
pub mod event;
pub mod namespace;
pub mod persistent_volume_claim;
pub mod pod;
pub mod secret;
pub mod service_account;

pub(crate) mod pod_spec;
